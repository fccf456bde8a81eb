"""A catalogue: a folder of reference pictures, ``<category>/<picture>``, as items."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ddsim.errors import ConfigError

# Left behind by file managers and synchronisers; nobody means them as pictures.
_LITTER = frozenset({"thumbs.db", "desktop.ini", "__macosx", "failures.jsonl", "products.csv", "products.json"})


@dataclass(frozen=True, slots=True)
class Item:
    """One reference picture.

    Attributes:
        uri: its path relative to the catalogue, with ``/`` between the parts; the name the index keeps.
        category: the first part of the uri.
        path: where it is.
    """

    uri: str
    category: str
    path: Path


def scan(root: Path) -> list[Item]:
    """List the items of a catalogue, sorted by uri.

    Every file in a category's folder, at any depth, is an item whatever its name: one that is no picture shows up as a
    failure instead of being passed over in silence. Hidden files and the litter of file managers are left out, and so
    is what lies beside the category folders. Links to files count; links to folders are not followed.

    Raises:
        ConfigError: there is no such folder, or it holds no item.
    """
    if not root.is_dir():
        raise ConfigError(f"{root}: no such folder; a catalogue is a folder of category folders with pictures in them")
    items = sorted(
        (
            Item(uri=f"{category.name}/{inner}", category=category.name, path=category / inner)
            for category in _visible(root)
            if category.is_dir()
            for inner in _files(category)
        ),
        key=lambda item: item.uri,
    )
    if not items:
        raise ConfigError(f"{root}: no pictures; expected files such as {root / 'lamp' / 'lamp-001.jpg'}")
    return items


def _files(folder: Path) -> Iterator[str]:
    for entry in _visible(folder):
        if entry.is_dir():
            if not entry.is_symlink():
                yield from (f"{entry.name}/{inner}" for inner in _files(entry))
        else:
            yield entry.name


def _visible(folder: Path) -> list[Path]:
    with os.scandir(folder) as entries:
        names = [entry.name for entry in entries]
    return [folder / name for name in names if not name.startswith(".") and name.lower() not in _LITTER]
