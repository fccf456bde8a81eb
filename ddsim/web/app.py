"""The web page and its API as one application.

``templates/page.html.jinja`` is the one template (Jinja2, everything escaped, unknown names are errors). It is given:

``request``
    Starlette's own
``t``
    the page's words in its language, see :class:`ddsim.web.texts.Texts`
``look``
    see :class:`ddsim.web.appearance.Appearance`
``catalogue``
    as ``GET /api/catalogue`` answers, see :class:`ddsim.web.models.Catalogue`
``max_bytes``, ``too_large``, ``empty``
    of an upload, and the errors that a larger one and an empty one get
``odd_products``
    sentences about product data that whoever runs the page should know; empty where others see it
``problem``
    None, or the error that every search would get: nothing indexed, server down
``result``, ``error``
    the answer of ``POST /api/search`` (with ``start``, and ``score_differs`` of each neighbour), or the error, where a
    form without JavaScript was posted (``POST /search``) or a link followed (``GET /search``, the same fields in the
    query); else None

An error is ``code``, ``message``, ``hint``. ``GET /`` never searches: that is left to the page's JavaScript.
"""

from __future__ import annotations

import logging
import os
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.staticfiles import StaticFiles
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware
from starlette.routing import Match, Mount

from ddsim.catalogue import Where
from ddsim.config import Settings
from ddsim.deepdetect import Client
from ddsim.errors import ConfigError, DDSimError
from ddsim.web.answering import Answering
from ddsim.web.answers import refused
from ddsim.web.api import api
from ddsim.web.appearance import Appearance
from ddsim.web.describing import describe
from ddsim.web.files import make_folder
from ddsim.web.fronts import Front
from ddsim.web.heads import Heads
from ddsim.web.limits import Limits, Workers
from ddsim.web.looks import looks
from ddsim.web.missing import missing
from ddsim.web.pages import STATIC, pages
from ddsim.web.pictures import Pictures
from ddsim.web.products import Products, indexed
from ddsim.web.refusals import Refusal, Words, bad_request, words_for
from ddsim.web.searching import Searching
from ddsim.web.security import LOOPBACK, Guarded
from ddsim.web.texts import Texts
from ddsim.web.uploads import Photos
from ddsim.web.watching import MEDIA, Figures, Watched

_log = logging.getLogger(__name__)
_FOLDER = "web"
_SOON_SECONDS = 30.0
_METHODS = {"GET": "GET, HEAD", "POST": "POST"}
_ABOUT = "Visual search in a catalogue: a photo in, the most similar products out."


def create_app(
    settings: Settings,
    catalogue: Where | None = None,
    *,
    client: Client | None = None,
    limits: Limits | None = None,
    hosts: Collection[str] | None = LOOPBACK,
    origins: Collection[str] = (),
    front: Front | None = None,
    private: bool = False,
    metrics: bool = False,
) -> FastAPI:
    """Make the application; nothing is asked of the server before somebody searches.

    Args:
        settings: the configuration.
        catalogue: where the reference pictures are; None as for :class:`ddsim.ImageSearch`.
        client: to use instead of one made from the settings; closed with the application.
        limits: what it takes; by default what the settings say.
        hosts: names that it may be asked for by (the ``Host`` of requests, without port); None for any.
        origins: other sites whose pages may use the API, such as ``https://shop.example``.
        front: what stands before it; by default nothing but perhaps a proxy on this machine.
        private: whether nobody but who runs it sees it; the start page then tells what is wrong with product data.
        metrics: whether ``/metrics`` gives figures for Prometheus.

    Raises:
        ConfigError: the state folder cannot be used.
        CapabilityError: the embedded server is wanted, and what it needs is not installed.
    """
    limits = limits or Limits.of(settings)
    searching = Searching(settings, catalogue, client)
    folder, temporary = _folder(settings)
    photos = Photos(folder / "photos", settings.upload_options(), limits)
    pictures = Pictures(folder / "thumbnails", settings)
    products = Products(
        lambda: searching.collection.source.folder, lambda: indexed(searching.collection.manifest), searching.product
    )
    answering = Answering(searching, photos, products, pictures, Appearance(settings), limits)
    searches = Workers(limits.searches, limits.waiting, limits.search_seconds, "search")
    renderings = Workers(limits.renderings, limits.renderings_waiting, _SOON_SECONDS, "render")

    checks = Workers(1, 63, _SOON_SECONDS, "check")

    @asynccontextmanager
    async def running(_: FastAPI) -> AsyncIterator[None]:
        yield
        searches.close()
        renderings.close()
        checks.close()
        searching.close()
        if temporary is not None:
            temporary.cleanup()

    app = FastAPI(
        title="ddsim", description=_ABOUT, docs_url=None, redoc_url=None, redirect_slashes=False, lifespan=running
    )
    app.state.products = products
    app.include_router(pages(answering, limits, searches, renderings, checks, private))
    app.include_router(api(answering, pictures, limits, searches, renderings, checks))

    @app.get("/docs", include_in_schema=False)
    async def docs(request: Request) -> Response:
        return describe(app, str(request.base_url), answering.appearance.logo)

    texts = Texts(settings.web.language)
    app.include_router(looks(answering.appearance, texts, limits.upload_bytes))
    app.mount("/static", _Static(directory=STATIC), name="static")
    _answer_errors(app, answering.appearance, texts)
    if origins:
        app.add_middleware(CORSMiddleware, allow_origins=list(origins), allow_methods=["GET", "POST"])
    app.add_middleware(Heads)
    figures = Figures(lambda: sum(searching.categories().values()))
    if metrics:

        @app.get("/metrics", include_in_schema=False)
        async def told() -> Response:
            return Response(await renderings.run(figures.text), media_type=MEDIA)

    front = front or Front()
    app.add_middleware(
        Guarded,
        hosts=None if hosts is None else frozenset(hosts),
        origins=origins,
        upload_bytes=limits.upload_bytes,
        front=front,
    )
    # Added last, it is the outermost.
    app.add_middleware(Watched, figures=figures, front=front)
    return app


def _folder(settings: Settings) -> tuple[Path, TemporaryDirectory[str] | None]:
    """Where uploads and thumbnails are kept: with the state, or where that is read-only while the page is served."""
    wanted = settings.state / settings.name / _FOLDER
    try:
        make_folder(wanted)
        if os.access(wanted, os.W_OK):
            return wanted, None
    except ConfigError as error:
        _log.info("%s", error)
    temporary = TemporaryDirectory(prefix="ddsim-web-")
    _log.warning("%s cannot be written: uploads and thumbnails are kept only while the page is served", wanted)
    return Path(temporary.name), temporary


class _Static(StaticFiles):
    """Files of the page, which browsers keep and ask about again: modules import each other by fixed addresses."""

    def file_response(self, *args: Any, **kwargs: Any) -> Response:
        """As the library answers."""
        response = super().file_response(*args, **kwargs)
        response.headers["cache-control"] = "no-cache"
        return response


def _answer_errors(app: FastAPI, appearance: Appearance, texts: Texts) -> None:
    @app.exception_handler(Refusal)
    async def _refused(_: Request, error: Refusal) -> Response:
        return refused(error.words)

    @app.exception_handler(DDSimError)
    async def _failed(_: Request, error: DDSimError) -> Response:
        return refused(words_for(error))

    @app.exception_handler(RequestValidationError)
    async def _invalid(_: Request, __: RequestValidationError) -> Response:
        return refused(bad_request("The address has a part that cannot be right.").words)

    @app.exception_handler(HTTPException)
    async def _http(request: Request, error: HTTPException) -> Response:
        if error.status_code == 404:
            return missing(request, appearance, texts)
        if error.status_code == 405:
            return _wrong_method(app, request)
        return refused(bad_request("This is not how to ask for it.", "See /docs.", error.status_code).words)


def _wrong_method(app: FastAPI, request: Request) -> Response:
    """What is there, asked for in another way; several routes may share an address."""
    routes = [route for route in app.routes if not isinstance(route, Mount)]
    allowed = [
        names
        for method, names in _METHODS.items()
        if any(route.matches({**request.scope, "method": method})[0] is Match.FULL for route in routes)
    ]
    words = ", ".join(allowed or [_METHODS["GET"]])  # none is found for what is mounted: /static
    message = f"This address does not take {request.method[:20]!r}."
    answer = refused(Words("method_not_allowed", 405, message, f"It takes {words}."))
    answer.headers["allow"] = words
    return answer
