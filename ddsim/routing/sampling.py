"""A sample of the vectors that go by while a catalogue is indexed, kept in a file beside the manifest.

The server's index gives no vector back, and computing one again costs a forward pass.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Sequence

import numpy as np

from ddsim.catalogue import Manifest, Row
from ddsim.deepdetect import Vectors
from ddsim.vectors import vectorfile

_log = logging.getLogger(__name__)

FILE = "sample.npz"
#: So many items tell what there is to tell, and the distances between all of them fit into a few megabytes.
SIZE = 1000
_KIND = "sample"


class Sample:
    """Some items of every category with their vectors: the same ones, whatever the order in which they came.

    Args:
        manifest: says which items are valid; the file lies in its folder.
        size: how many items.
    """

    def __init__(self, manifest: Manifest, size: int = SIZE) -> None:
        self._manifest = manifest
        self._file = manifest.folder / FILE
        self._size = size
        self._kept: dict[int, Vectors] = {}
        try:
            for _, vids, rows, _ in vectorfile.read(self._file, _KIND):
                self._kept.update(zip(vids.tolist(), rows, strict=True))
        except vectorfile.Damaged as error:
            _log.warning(
                "%s cannot be used, it is %s: the vectors of some pictures are computed again", self._file, error
            )
            self._kept.clear()
        self._saved = set(self._kept)

    def take(self, vids: Sequence[int], vectors: Vectors) -> None:
        """Look at vectors that were just added to the index under these numbers, shape (n, d), and keep some."""
        self._keep(vids, vectors)

    def keep(self, rows: Sequence[Row], vectors: Vectors) -> None:
        """Add items whose vectors were computed again; vectors of shape (n, d)."""
        self._keep([row.vid for row in rows if row.vid is not None], vectors)

    def _keep(self, vids: Sequence[int], vectors: Vectors) -> None:
        self._kept.update((vid, vector.copy()) for vid, vector in zip(vids, vectors, strict=True))
        if len(self._kept) > 2 * self._size:
            self._choose()

    def settle(self) -> tuple[list[Row], Vectors]:
        """Forget items that are no longer valid, and write the rest to the file.

        Returns:
            The items, sorted by uri, and their vectors, shape (n, d).

        Raises:
            ConfigError: the file cannot be written.
        """
        rows = self._choose()
        vids = [row.vid for row in rows if row.vid is not None]
        vectors = np.stack([self._kept[vid] for vid in vids]) if vids else np.zeros((0, 0), np.float32)
        if set(vids) != self._saved:
            vectorfile.write(self._file, _KIND, np.array(vids, np.int64), vectors)
            self._saved = set(vids)
        return rows, vectors

    def _choose(self) -> list[Row]:
        """Let go of what is not valid, and of what is too much: each category keeps its part of the size."""
        rows = self._manifest.resolve(self._kept)
        # A length that others do not have is of a network that was replaced.
        if len({vector.size for vector in self._kept.values()}) > 1:
            newest = self._kept[max(self._kept)].size
            rows = {vid: row for vid, row in rows.items() if self._kept[vid].size == newest}
        groups: dict[str, list[Row]] = {}
        for row in rows.values():
            groups.setdefault(row.category, []).append(row)
        chosen: list[Row] = []
        # The small categories first: what they leave of their part goes to the others.
        for done, group in enumerate(sorted(groups.values(), key=len)):
            part = (self._size - len(chosen)) // (len(groups) - done)
            chosen += sorted(group, key=lot)[:part]
        self._kept = {row.vid: self._kept[row.vid] for row in chosen if row.vid is not None}
        return sorted(chosen, key=lambda row: row.uri)


def lot(row: Row) -> bytes:
    """Chance that depends on the name alone."""
    return hashlib.sha256(row.uri.encode("utf-8", "surrogateescape")).digest()
