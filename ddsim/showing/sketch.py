"""What there is to see of a result, whoever draws it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

Picture: TypeAlias = Callable[[], "bytes | None"]
"""Gives a small picture as the content of a JPEG file when it is drawn; None where it cannot be read any more."""


@dataclass(frozen=True)
class Tile:
    """A small picture with words below it.

    Attributes:
        picture: what is drawn; terminals show the words alone.
        name: of what it shows.
        note: what is to be said of it, in a word or two.
        details: all that is known of it, for whoever points at it.
    """

    picture: Picture
    name: str
    note: str = ""
    details: str = ""


@dataclass(frozen=True)
class Table:
    """Words in rows and columns.

    Attributes:
        heads: of the columns.
        rows: as many cells each as there are heads.
        title: above it.
        more: how many rows were left out.
    """

    heads: Sequence[str]
    rows: Sequence[Sequence[str]]
    title: str = ""
    more: int = 0


@dataclass(frozen=True)
class Sketch:
    """Everything, from top to bottom; what is empty is not drawn.

    Attributes:
        title: what it is, in a line.
        photo: the picture that it is about.
        chips: short names with a value each, such as categories with their probabilities.
        notes: sentences that should not be missed.
        facts: names and values.
        tiles: small pictures in a row.
        tables: see there.
    """

    title: str
    photo: Picture | None = None
    chips: Sequence[tuple[str, str]] = ()
    notes: Sequence[str] = ()
    facts: Sequence[tuple[str, str]] = ()
    tiles: Sequence[Tile] = ()
    tables: Sequence[Table] = ()
