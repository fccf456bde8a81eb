"""Which of the names that a listing gives are items, and of which category: as in a folder of this machine."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

from ddsim.catalogue import Entry, Kind, Patterns, Rules, Survey, is_named_like_a_picture
from ddsim.errors import ConfigError

_Key = TypeVar("_Key")


@dataclass(frozen=True, slots=True)
class Listed(Generic[_Key]):
    """A file of a listing.

    Attributes:
        name: its path below the catalogue, with ``/`` between the parts.
        key: what it is read or asked by.
    """

    name: str
    key: _Key


def items(
    listing: Callable[[], Iterable[Listed[_Key]]], shown: str, patterns: Patterns, survey: Survey
) -> Iterator[tuple[str, str, _Key]]:
    """Uri, category and key of each item of a listing, in its order; what is passed over is counted.

    Where no name is in a folder, all of them are of one category, named after the catalogue. That is looked at first,
    so that nothing has to be kept.

    Args:
        listing: begins the listing; called twice where there are no folders.
        shown: the catalogue's address.
        patterns: what is passed over.
        survey: see :func:`ddsim.catalogue.walk`.

    Raises:
        ConfigError: there is no item.
    """
    rules = Rules(None, patterns)
    single = not any("/" in one.name.strip("/") for one in listing())
    names = _Names(rules, survey, shown.rstrip("/").rpartition("/")[2] if single else None)
    found = False
    for one in listing():
        category = names.category(one.name)
        if category is not None:
            found = True
            yield one.name, category, one.key
    if not found and not survey.shut:
        raise ConfigError(f"{shown}: no pictures; expected names such as lamp/lamp-001.jpg below it")


def entry(uri: str, category: str, size: int, number: int) -> Entry:
    """An item that is no file here."""
    return Entry(uri, category, Path(uri), size, number)


def flaw_of(name: str) -> str | None:
    """Why a name cannot be an item's; None where it can."""
    if {"", ".", ".."} & set(name.split("/")):
        return "its name has an empty part, . or .. between slashes: give it another name"
    return "its name has a NUL in it: give it another name" if "\0" in name else None


class _Names:
    """Decides about one name after the other."""

    def __init__(self, rules: Rules, survey: Survey, single: str | None) -> None:
        self._rules = rules
        self._survey = survey
        self._single = single
        self._folders: dict[str, Kind | None] = {}

    def category(self, name: str) -> str | None:
        """Of an item; None for what is none."""
        if name.endswith("/"):
            return None  # some tools make empty objects that stand for folders
        flaw = flaw_of(name)
        if flaw is not None:
            self._survey.shut[name] = flaw
            return None
        *folders, last = name.split("/")
        if self._is_passed_over(folders):
            return None
        kind = self._rules.file(last, name)
        if kind is None and not folders and self._single is None:
            kind = Kind.LOOSE
        if kind is not None:
            self._survey.note(kind, name)
            return None
        if not is_named_like_a_picture(last):
            self._survey.note(Kind.ODD, name)
        return folders[0] if folders else self._single

    def _is_passed_over(self, folders: list[str]) -> bool:
        for depth, folder in enumerate(folders, 1):
            uri = "/".join(folders[:depth])
            if uri not in self._folders:
                if len(self._folders) > 10_000:  # it only saves time
                    self._folders.clear()
                self._folders[uri] = self._rules.folder(folder, uri)
                if self._folders[uri] is not None:
                    self._survey.note(self._folders[uri] or Kind.EXCLUDED, uri)
            if self._folders[uri] is not None:
                return True
        return False
