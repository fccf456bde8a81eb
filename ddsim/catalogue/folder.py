"""A catalogue: a folder of reference pictures, ``<category>/<picture>``, as items."""

from __future__ import annotations

import os
import stat
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


@dataclass(frozen=True, slots=True)
class Entry:
    """One reference picture as it was found on disk.

    Attributes:
        uri, category, path: as :class:`Item`.
        size: in bytes; -1 where there is no file to read, such as behind a broken link or in place of a pipe.
        mtime_ns: when it was last written, in nanoseconds since 1970; 0 where ``size`` is -1.
    """

    uri: str
    category: str
    path: Path
    size: int
    mtime_ns: int


def scan(root: Path) -> list[Item]:
    """List the items of a catalogue, sorted by uri.

    Which files are items is told at :func:`walk`.

    Raises:
        ConfigError: there is no such folder, some folder cannot be read, or there is no item.
    """
    items = [Item(entry.uri, entry.category, entry.path) for entry in walk(root)]
    return sorted(items, key=lambda item: item.uri)


def walk(root: Path) -> Iterator[Entry]:
    """Find the items of a catalogue one by one; what is in the same folder comes in the order of its names.

    Every file in a category's folder, at any depth, is an item whatever its name: one that is no picture shows up as a
    failure instead of being passed over in silence, and so does one that cannot even be looked at. Hidden files and the
    litter of file managers are left out, and so is what lies beside the category folders. Links to files count and a
    category may be a link to a folder; links to folders below are not followed, as they may lead in circles.

    Raises:
        ConfigError: there is no such folder, some folder cannot be read, or there is no item. An empty catalogue is an
            error as it may be a disk that is not there, and an index should not be emptied for that.
    """
    found = False
    try:
        if not root.is_dir():
            raise ConfigError(
                f"{root}: no such folder; a catalogue is a folder of category folders with pictures in them"
            )
        for category in _visible(str(root)):
            folder = os.path.join(root, category)
            if os.path.isdir(folder):
                for entry in _entries(folder, category, category):
                    found = True
                    yield entry
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise ConfigError(f"{error.filename or root}: cannot be read: {reason}") from error
    if not found:
        raise ConfigError(f"{root}: no pictures; expected files such as {root / 'lamp' / 'lamp-001.jpg'}")


def _entries(folder: str, category: str, prefix: str) -> Iterator[Entry]:
    for name in _visible(folder):
        path, uri = os.path.join(folder, name), f"{prefix}/{name}"
        try:
            status = os.stat(path)
        except OSError:
            # Whoever opens the file to index it will meet the same reason, and report it.
            yield Entry(uri, category, Path(path), -1, 0)
            continue
        if stat.S_ISREG(status.st_mode):
            yield Entry(uri, category, Path(path), status.st_size, status.st_mtime_ns)
        elif not stat.S_ISDIR(status.st_mode):
            yield Entry(uri, category, Path(path), -1, 0)
        elif not os.path.islink(path):
            yield from _entries(path, category, uri)


def _visible(folder: str) -> list[str]:
    # Names alone: a hundred thousand of them in one folder are some megabytes, scandir's own entries many times that.
    with os.scandir(folder) as entries:
        names = [entry.name for entry in entries]
    return sorted(name for name in names if not name.startswith(".") and name.lower() not in _LITTER)
