"""Sketches as HTML for notebooks: no script, no file beside it, and every name escaped."""

from __future__ import annotations

import base64
from functools import lru_cache
from typing import TYPE_CHECKING

from ddsim.showing.sketch import Picture, Sketch

if TYPE_CHECKING:
    from jinja2 import Template


def drawn(sketch: Sketch) -> str:
    """A fragment of HTML; it can be encoded as UTF-8 whatever the names hold."""
    return encodable(_template().render(sketch=sketch, data=_data))


def encodable(text: str) -> str:
    """A text with question marks for what UTF-8 has no bytes for, as in names of files that are no text."""
    return text.encode("utf-8", "replace").decode("utf-8")


def _data(picture: Picture) -> str:
    """A picture as a data URI; empty where there is none."""
    jpeg = picture()
    return "" if jpeg is None else "data:image/jpeg;base64," + base64.b64encode(jpeg).decode("ascii")


@lru_cache(maxsize=1)
def _template() -> Template:
    # Whoever never sees a notebook does not wait for it.
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("ddsim.showing", ""),
        autoescape=True,  # by decision, not by the file's name: Jinja2 would not guess it from .jinja
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("sketch.html.jinja")
