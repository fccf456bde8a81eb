"""Templates, and sketches as HTML for notebooks: no script, no file beside it, and every name escaped."""

from __future__ import annotations

import base64
from functools import lru_cache
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ddsim.showing.saving import save_files
from ddsim.showing.sketch import Sketch

if TYPE_CHECKING:
    from jinja2 import Environment


def drawn(sketch: Sketch) -> str:
    """A fragment of HTML; it can be encoded as UTF-8 whatever the names hold."""
    return filled("ddsim.showing", "sketch.html.jinja", sketch=sketch, data=lambda picture: data_uri(picture()))


def filled(package: str, template: str, **values: Any) -> str:
    """A template with values in it, all of which it escapes.

    Args:
        package: whose folder the template lies in.
        template: name of its file.
        values: by the names that it has for them.

    Returns:
        HTML that can be encoded as UTF-8 whatever the values hold: what UTF-8 has no bytes for, as in names of files
        that are no text, is a question mark.
    """
    html = _environment(package).get_template(template).render(**values)
    return html.encode("utf-8", "replace").decode("utf-8")


def save_page(html: str, path: str | PathLike[str]) -> Path:
    """Write a page into a file; one that is there is replaced.

    Returns:
        the same path.

    Raises:
        ConfigError: it cannot be written; what was there before is still there.
    """
    file = Path(path)
    save_files({file: html.encode("utf-8")})
    return file


def data_uri(jpeg: bytes | None) -> str:
    """The content of a JPEG file as an address that holds all of it; empty where there is none."""
    return "" if jpeg is None else "data:image/jpeg;base64," + base64.b64encode(jpeg).decode("ascii")


@lru_cache(maxsize=8)
def _environment(package: str) -> Environment:
    # Whoever never sees HTML does not wait for it.
    from jinja2 import Environment, PackageLoader, StrictUndefined

    return Environment(
        loader=PackageLoader(package, ""),
        autoescape=True,  # by decision, not by the file's name: Jinja2 would not guess it from .jinja
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
