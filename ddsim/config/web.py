"""How the web page looks and speaks, and what it takes."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from ddsim.config.part import Part
from ddsim.config.values import LocalPath, Size

Words = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=100)]


class Web(Part):
    """How the web page of `ddsim serve` looks and speaks, and what it takes."""

    title: Words | None = None
    """What it is called; by default the configuration's name."""
    logo: LocalPath | None = None
    """File of a picture beside the title: SVG, PNG, JPEG or WebP."""
    accent: Annotated[str, StringConstraints(pattern=r"^#[0-9a-fA-F]{6}$")] | None = None
    """Colour of buttons and links, such as "#0a6b4f"; made lighter or darker where it could not be read."""
    language: Literal["en", "de"] = "en"
    """Language of the page; the API speaks English."""
    categories: dict[str, Words] = Field(default={})
    """Categories -> what people call them; by default their own names, with blanks for underscores."""
    max_bytes: Annotated[Size, Field(ge=1)] = 20 * 1024 * 1024
    """Photos with more are refused; up to 32 of them are in memory at once. ``upload.max_bytes`` counts where it is
    less."""
