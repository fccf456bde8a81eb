"""The page for people: drawn on the server, with or without JavaScript in the browser."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Any

import anyio
from fastapi import APIRouter, Request, Response
from fastapi.responses import HTMLResponse
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from ddsim.errors import DatabaseTrouble
from ddsim.web.answering import Answering
from ddsim.web.answers import headers_of
from ddsim.web.forms import Wanted, posted, wanted
from ddsim.web.limits import Limits, Workers
from ddsim.web.refusals import EMPTY, Refusal, Words, too_large, words_for
from ddsim.web.texts import Texts

HERE = Path(__file__).parent
STATIC = HERE / "static"
_GLANCE_SECONDS = 1.0


def pages(
    answering: Answering, limits: Limits, searches: Workers, renderings: Workers, checks: Workers, private: bool
) -> APIRouter:
    """The routes; arguments as for :func:`ddsim.web.api.api` and :func:`ddsim.web.app.create_app`."""
    router = APIRouter(include_in_schema=False)
    draw = _Drawing(answering, limits, private)

    @router.get("/")
    async def page(request: Request) -> Response:
        """The page; the search that its address asks for is left to its JavaScript."""
        problem = await _problem(answering, checks)
        async with renderings.admitted():
            return await renderings.run(partial(draw, request, problem=problem))

    async def results(request: Request, read: Callable[[], Awaitable[Wanted]]) -> Response:
        try:
            async with searches.admitted():
                asked = await read()
                found = await searches.run(partial(answering.search, asked))
        except Refusal as refusal:
            drawn = partial(draw, request, error=refusal.words)
        else:
            drawn = partial(draw, request, result=_for_people(found, asked.start))
        async with renderings.admitted():
            return await renderings.run(drawn)

    @router.post("/search")
    async def posted_search(request: Request) -> Response:
        """Search as the form without JavaScript does."""
        return await results(request, partial(posted, request, limits))

    @router.get("/search")
    async def linked_search(request: Request) -> Response:
        """Search as a link without JavaScript does."""

        async def read() -> Wanted:
            return wanted(request.query_params.multi_items(), limits)

        return await results(request, read)

    return router


async def _problem(answering: Answering, checks: Workers) -> Words | None:
    """Why searches are not answered, as far as that is soon known: the page does not wait for a server that hangs."""
    problem: Words | None = None
    with anyio.move_on_after(_GLANCE_SECONDS):
        try:
            async with checks.admitted():
                problem = await checks.run(answering.searching.trouble)
        except Refusal:
            return None  # others are asking already
    return problem


def _for_people(found: dict[str, Any], start: int) -> dict[str, Any]:
    """Equal scores say nothing: one is shown where it is another than that of the card before."""
    shares = [round(one["score"] * 100) for one in found["neighbours"]]
    differs = [len(set(shares)) > 1 and (at == 0 or shares[at - 1] != share) for at, share in enumerate(shares)]
    cards = [one | {"score_differs": told} for one, told in zip(found["neighbours"], differs, strict=True)]
    return found | {"neighbours": cards, "start": start}


class _Drawing:
    def __init__(self, answering: Answering, limits: Limits, private: bool) -> None:
        self._answering = answering
        self._private = private
        self._texts = Texts(answering.searching.settings.web.language)
        self._limits = limits
        # Not autoescaped by ending: everything here is HTML.
        self._templates = Environment(
            loader=FileSystemLoader(HERE / "templates"), autoescape=True, undefined=StrictUndefined
        )

    def __call__(
        self,
        request: Request,
        *,
        result: dict[str, Any] | None = None,
        problem: Words | None = None,
        error: Words | None = None,
    ) -> Response:
        texts = self._texts
        matching = self._answering.products.matching
        try:
            catalogue = self._answering.catalogue()
        except DatabaseTrouble as trouble:
            catalogue, problem = self._answering.unknown_catalogue(), words_for(trouble)
        context = {
            "request": request,
            "t": texts,
            "look": self._answering.appearance,
            "catalogue": catalogue,
            "max_bytes": self._limits.upload_bytes,
            "too_large": texts.error(too_large(self._limits.upload_bytes).words),
            "empty": texts.error(EMPTY),
            "odd_products": matching().sentences if self._private and not (result or error) else [],
            "result": result,
            "problem": problem and texts.error(problem),
            "error": error and texts.error(error),
        }
        html = self._templates.get_template("page.html.jinja").render(context)
        return HTMLResponse(html, error.status if error else 200, headers_of(error) if error else None)
