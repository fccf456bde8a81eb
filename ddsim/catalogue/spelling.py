"""Names that people and files give, and the names on disk that they mean.

Systems write one and the same letter in several ways: ``ü`` is one code point (NFC) where Linux and Windows made a
name, two (NFD) where an older Mac did. Names on disk stay as they are; whatever is compared with them goes through
here.
"""

from __future__ import annotations

import difflib
import itertools
import os
import re
import unicodedata
from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Literal

_FORMS: tuple[Literal["NFC", "NFD"], ...] = ("NFC", "NFD")
# What `unicode_escape` writes for a single letter.
_ESCAPE = re.compile(r"\\(?:[tnr]|x[0-9a-f]{2}|u[0-9a-f]{4}|U000[0-9a-f]{5}|U0010[0-9a-f]{4})")
_FEW = 10
_PARTS = 5
_NEAR = 3


def same_name(text: str) -> str:
    """A name in the form in which it is compared."""
    return unicodedata.normalize("NFC", text)


def unescaped(name: str) -> str:
    """A name as it was before it was made printable, so that what a list shows can be given back."""
    return _ESCAPE.sub(lambda found: found[0].encode("ascii").decode("unicode_escape"), name)


def writings(uri: str) -> Iterator[str]:
    """A uri as it is given, then as different systems may have written each of its parts; few, however long it is.

    The last one is what it stands for where it has escapes in it.
    """
    yield uri
    if not uri.isascii():
        head, *tail = uri.split("/", _PARTS - 1)
        forms: tuple[Literal["NFC", "NFD"], ...]
        for forms in itertools.product(_FORMS, repeat=1 + len(tail)):
            parts = zip(forms, (head, *tail), strict=True)
            yield "/".join(unicodedata.normalize(form, part) for form, part in parts)
    if "\\" in uri:
        yield unescaped(uri)


class Names:
    """Names as they are on disk, found however they are written, and by what is printed for them.

    Args:
        known: the names. Of two that differ in the writing alone, each is found by its own, the first by any other.
    """

    def __init__(self, known: Iterable[str]) -> None:
        self._exact = set(known)
        self._same: dict[str, str] = {}
        for name in sorted(self._exact):
            self._same.setdefault(same_name(name), name)

    def find(self, name: str) -> str | None:
        """The name on disk that is meant; None where there is none."""
        for written in dict.fromkeys((name, unescaped(name))):
            if written in self._exact:
                return written
            if (same := self._same.get(same_name(written))) is not None:
                return same
        return None


def spelled(categories: Mapping[str, str], known: Iterable[str]) -> dict[str, str]:
    """Labels and their categories, these written as they are on disk where they are there."""
    names = Names(known)
    return {label: names.find(category) or category for label, category in categories.items()}


def on_disk(path: Path) -> Path:
    """A path as the disk has it; unchanged where nothing there is meant by it."""
    if str(path).isascii() or os.path.lexists(path):
        return path
    parent = on_disk(path.parent)
    try:
        found = Names(os.listdir(parent)).find(path.name)
    except OSError:
        return path
    return path if found is None else parent / found


def is_nowhere(path: Path) -> bool:
    """Whether there is nothing of a name that was given; what may not be looked at is for whoever opens it."""
    try:
        os.stat(path)
    except PermissionError:
        return False
    except (OSError, ValueError):
        return True
    return False


def choices(name: str, known: Collection[str]) -> str:
    """What there is in place of a name that is not: all of it, or the nearest and some of it where it is much."""
    if len(known) <= _FEW:
        return f"there {'is' if len(known) == 1 else 'are'} {', '.join(known)}"
    near = difflib.get_close_matches(name, known, _NEAR) or [
        one for one in known if same_name(name).casefold() in same_name(one).casefold()
    ]
    meant = f"did you mean {' or '.join(near[:_NEAR])}? " if near else ""
    some = ", ".join(sorted(known)[:_NEAR])
    return f"{meant}there are {len(known)}, such as {some}; `ddsim catalogue count` lists them"
