"""A folder of this machine as a source of pictures."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

from ddsim.catalogue import Entry, Patterns, Survey, walk
from ddsim.errors import ImageError
from ddsim.pictures import read_file, read_item


class FolderSource:
    """A folder with files ``<category>/<picture>``; implements :class:`ddsim.sources.Source`.

    Args:
        root: the folder.
        patterns: what of it is passed over.
        elsewhere: the address of the same folder, for pictures that are not on this machine.
    """

    def __init__(self, root: Path, patterns: Patterns | None = None, elsewhere: str | None = None) -> None:
        self._root = root
        self._elsewhere = elsewhere
        self._patterns = patterns or Patterns()

    @property
    def shown(self) -> str:
        """Its path."""
        return str(self._root)

    @property
    def folder(self) -> Path:
        """Itself."""
        return self._root

    @property
    def readers(self) -> None:
        """Disks answer at once."""
        return None

    def walk(self, survey: Survey) -> Iterator[Entry]:
        """Find the items."""
        return walk(self._root, self._patterns, survey)

    def digest(self, path: Path) -> str:
        """Of a file, whatever its size."""
        digest = hashlib.sha256()
        with path.open("rb") as file:
            while block := file.read(1 << 20):
                digest.update(block)
        return digest.hexdigest()

    def read(self, uri: str, max_bytes: int) -> bytes:
        """A file below the folder."""
        # A uri may come from a server. Looked at as text, for a catalogue may well be made of links to elsewhere.
        root = os.path.abspath(self._root)
        path = os.path.normpath(os.path.join(root, uri))
        if not path.startswith(root.rstrip(os.sep) + os.sep):
            raise ImageError(uri, f"it is not below {root}")
        if self._elsewhere is not None and not os.path.lexists(path):
            return read_item(self._root, uri, max_bytes, self._elsewhere)
        return read_file(path, max_bytes)

    def place(self, uri: str) -> str:
        """The path."""
        return str(self._root / uri)

    def close(self) -> None:
        """Nothing is held."""
