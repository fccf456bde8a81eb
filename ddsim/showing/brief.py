"""Words for one line: names and numbers as short as they can be read."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import islice
from os import PathLike
from typing import Any

_LONGEST = 60
_FEW = 3


def printable(text: str) -> str:
    """A name on one line, whatever is in it: line breaks and what moves a terminal's cursor as escapes."""
    return "".join(letter if letter.isprintable() else letter.encode("unicode_escape").decode() for letter in text)


def clipped(text: str, longest: int = _LONGEST) -> str:
    """A text on one line, its middle left out where it is longer than that."""
    shown = printable(text)
    if len(shown) <= longest:
        return shown
    half = (longest - 3) // 2
    return f"{shown[:half]}...{shown[-half:]}"


def counted(count: int, one: str, more: str | None = None) -> str:
    """A number and its noun, in the plural where it needs one, such as ``1 picture`` or ``2 pictures``."""
    return f"{count:,} {one if count == 1 else more or one + 's'}"


def percent(share: float) -> str:
    """A share of 1 in percent; 100% is for the whole alone, whatever rounding says."""
    return "100%" if share >= 1.0 else f"{min(100 * share, 99.9):.1f}%"


def several(names: Iterable[str], count: int, few: int = _FEW) -> str:
    """The first few of some names, and how many more there are.

    Args:
        names: of which only the first are taken.
        count: how many there are.
        few: so many are named at most.
    """
    shown = [clipped(name) for name in islice(names, few)]
    more = [f"and {count - len(shown):,} more"] if count > len(shown) else []
    return ", ".join(shown + more)


def value_in_brief(value: Any) -> str:
    """Any value as its repr begins: text and paths as text, of collections how many there are."""
    if isinstance(value, str):
        return clipped(repr(value))
    if isinstance(value, PathLike):
        return clipped(repr(str(value)))
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, Mapping) and value:
        return "{" + counted(len(value), "entry", "entries") + "}"
    if isinstance(value, Sequence) and len(value) > _FEW and not isinstance(value, (bytes, bytearray)):
        return "[" + counted(len(value), "value") + "]"
    return clipped(repr(value))
