"""The JSON API, and the pictures that its answers name."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import JSONResponse
from starlette.convertors import PathConvertor, register_url_convertor

from ddsim.web import models
from ddsim.web.answering import Answering
from ddsim.web.forms import posted
from ddsim.web.limits import Limits, Workers
from ddsim.web.pictures import SIZES, Pictures, Rendered
from ddsim.web.refusals import NOT_FOUND, Refusal
from ddsim.web.rendering import MEDIA

_FOR_GOOD = "public, max-age=31536000, immutable"
_ASK_AGAIN = "no-cache"
_UPLOADED = "private, max-age=3600"
Version = Annotated[str, Query(max_length=64, description="of the content; an address with it never changes")]


class _Uri(PathConvertor):
    """An item's uri, in which names may have line breaks, too."""

    regex = r"[\s\S]*"


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """How refusals with these statuses look, for OpenAPI."""
    return {status: {"model": models.Refused} for status in statuses}


def api(
    answering: Answering,
    pictures: Pictures,
    limits: Limits,
    searches: Workers,
    renderings: Workers,
    checks: Workers,
) -> APIRouter:
    """The routes.

    Args:
        answering: does the work.
        pictures: the catalogue's.
        limits: of uploads.
        searches: threads for searches.
        renderings: threads for everything that is soon done.
        checks: threads for asking whether the server is there.
    """
    register_url_convertor("uri", _Uri())
    router = APIRouter()

    @router.post(
        "/api/search",
        response_model=models.Found,
        responses=problems(400, 403, 404, 413, 415, 422, 503, 504),
        openapi_extra={"requestBody": _search_body()},
        tags=["search"],
    )
    async def search(request: Request) -> Response:
        """Find the items most similar to a photo, to an earlier one, or to an item."""
        async with searches.admitted():
            wanted = await posted(request, limits)
            return JSONResponse(await searches.run(partial(answering.search, wanted)))

    @router.get("/api/catalogue", response_model=models.Catalogue, responses=problems(503), tags=["catalogue"])
    async def catalogue() -> Response:
        """Tell what there is to search."""
        return JSONResponse(await _soon(renderings, answering.catalogue))

    @router.get("/api/products/{uri:uri}", response_model=models.Card, responses=problems(404, 503), tags=["catalogue"])
    async def product(uri: str) -> Response:
        """Tell what is known of an item."""
        return JSONResponse(await _soon(renderings, lambda: answering.card(answering.searching.item(uri))))

    @router.get("/healthz", response_model=models.Health, responses=problems(503, 504), tags=["health"])
    async def health() -> Response:
        """Tell whether searches are answered."""
        return JSONResponse(await _soon(checks, answering.health))

    @router.get("/pictures/{uri:uri}", response_class=Response, responses=problems(404, 503), tags=["pictures"])
    async def picture(request: Request, uri: str, v: Version = "") -> Response:
        """An item's picture as JPEG, at most 1600 pixels a side."""

        def made() -> Rendered:
            return pictures.picture(answering.searching.item(uri), answering.searching.collection.source)

        return await _shown(request, renderings, made, v)

    @router.get(
        "/thumbnails/{size}/{uri:uri}", response_class=Response, responses=problems(404, 503), tags=["pictures"]
    )
    async def thumbnail(request: Request, size: str, uri: str, v: Version = "") -> Response:
        """An item's picture as JPEG within a square of 160, 320 or 640 pixels."""
        if size not in map(str, SIZES):
            raise Refusal(NOT_FOUND)

        def made() -> Rendered:
            row = answering.searching.item(uri)
            return pictures.thumbnail(row, answering.searching.collection.source, int(size))

        return await _shown(request, renderings, made, v)

    @router.get("/photos/{token}", response_class=Response, responses=problems(404, 503), tags=["pictures"])
    async def photo(token: str) -> Response:
        """An uploaded photo, written anew as JPEG."""
        data = await _soon(renderings, lambda: answering.photos.get(token).shown.read_bytes())
        return Response(data, media_type=MEDIA, headers={"cache-control": _UPLOADED})

    return router


def _search_body() -> dict[str, Any]:
    """Written by hand, as the form is read by hand: the framework would read all of it before anybody is asked."""
    schema = models.SearchForm.model_json_schema()
    schema["properties"]["picture"] |= {"type": "string", "format": "binary"}
    return {"required": True, "content": {"multipart/form-data": {"schema": schema}}}


async def _soon(workers: Workers, work: Callable[[], Any]) -> Any:
    async with workers.admitted():
        return await workers.run(work)


async def _shown(request: Request, workers: Workers, made: Callable[[], Rendered], asked: str) -> Response:
    rendered: Rendered = await _soon(workers, made)
    headers = {
        "etag": f'"{rendered.version}"',
        # An address with the hash of another content must not stand for this one.
        "cache-control": _FOR_GOOD if asked == rendered.version else _ASK_AGAIN,
    }
    if headers["etag"] in request.headers.get("if-none-match", ""):
        return Response(status_code=304, headers=headers)
    return Response(rendered.data, media_type=MEDIA, headers=headers)
