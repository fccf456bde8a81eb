"""What the page looks like, as files: the owner's logo and colour, and the script for other people's shops."""

from __future__ import annotations

import json
from pathlib import Path

from fastapi import APIRouter, Response

from ddsim.web.appearance import Appearance
from ddsim.web.refusals import EMPTY, NOT_FOUND, Refusal, too_large
from ddsim.web.texts import Texts

_FOR_A_WHILE = "max-age=300"
_WIDGET = Path(__file__).parent / "static" / "widget.js"


def looks(appearance: Appearance, texts: Texts, upload_bytes: int) -> APIRouter:
    """The routes.

    Args:
        appearance: the owner's.
        texts: in the owner's language.
        upload_bytes: the most that a photo may have.
    """
    router = APIRouter(include_in_schema=False)

    @router.get("/logo")
    async def logo() -> Response:
        """The owner's logo."""
        if not appearance.logo_data:
            raise Refusal(NOT_FOUND)
        headers = {"cache-control": _FOR_A_WHILE}
        return Response(appearance.logo_data, media_type=appearance.logo_type, headers=headers)

    @router.get("/accent.css")
    async def accent() -> Response:
        """The owner's colour."""
        return Response(appearance.style(), media_type="text/css", headers={"cache-control": _FOR_A_WHILE})

    @router.get("/embed.js")
    async def embed() -> Response:
        """The search for other people's pages, with what it needs to know before the first answer."""
        said = [texts.error(words) for words in (EMPTY, too_large(upload_bytes).words)]
        settings = {
            "language": texts.language,
            "texts": texts.words,
            "errors": {one["code"]: [one["message"], one["hint"]] for one in said} | texts.errors,
            "limit": upload_bytes,
            "accent": appearance.button[0],
            "onAccent": appearance.button[1],
        }
        script = f"(() => {{\nconst settings = {json.dumps(settings)};\n{_WIDGET.read_text('utf-8')}}})();\n"
        return Response(script, media_type="text/javascript", headers={"cache-control": _FOR_A_WHILE})

    return router
