"""A table with its folder: what is saved comes from there, and what is added goes there at the next checkpoint."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from ddsim.deepdetect import Vectors
from ddsim.errors import InvalidRequest
from ddsim.vectors import merging
from ddsim.vectors.exact import Kept, Metric, Vids
from ddsim.vectors.merging import Merging
from ddsim.vectors.segments import TYPES, Precision, Segment
from ddsim.vectors.store import Store, save_all
from ddsim.vectors.table import Table, Unsaved

# Rows that are written in one go; those of a long network are many bytes each.
_BYTES_AT_ONCE = 1 << 26
_MANY = 4


class Shelf:
    """Rows under their numbers, on disk and in memory.

    Args:
        folder: where segments lie; None where nothing was ever saved.
        dimension: of what is kept.
        metric: what makes two rows near.
        precision: how values are kept.
        key: what the rows are, where that can change; a folder with other rows counts as empty.
    """

    def __init__(
        self, folder: Path | None, dimension: int, metric: Metric, precision: Precision = "float32", key: str = ""
    ) -> None:
        self.table = Table(dimension, metric, precision)
        self._store = None if folder is None else Store(folder)
        self.merging = None if self._store is None else Merging(self._store, precision)
        self._key = key

    def look(self) -> None:
        """Hold what is saved now.

        Raises:
            ConfigError: it cannot be read.
        """
        if self._store is None:
            return
        self._store.look()
        if self._fits():
            self.table.load(self._store.segments)
        else:
            self._convert()

    def _fits(self) -> bool:
        """Whether the saved rows lie there as the table keeps them; at another precision they can be searched, too."""
        listed, table = (None if self._store is None else self._store.listed), self.table
        return listed is not None and self._is_ours() and listed.metric == table.metric

    def _is_ours(self) -> bool:
        listed = None if self._store is None else self._store.listed
        return listed is not None and (listed.dimension, listed.key) == (self.table.dimension, self._key)

    def _convert(self) -> None:
        """Hold rows that were saved for another metric, in memory."""
        self.table.load([])
        listed = None if self._store is None else self._store.listed
        if self._store is None or listed is None or not self._is_ours():
            return
        other = Table(listed.dimension, listed.metric)
        other.load(self._store.segments)
        for vids, rows, lengths in other.parts():
            self.table.add(vids, rows * lengths[:, np.newaxis])

    @property
    def segments(self) -> list[Segment]:
        """Those that are on disk."""
        return [] if self._store is None else self._store.segments

    # Writing. Whoever does holds the manifest's right to write.

    def prepare(self) -> None:
        """Be ready for :meth:`save`: a list is there, all it names is whole and as the settings want it, and no more.

        Raises:
            ConfigError: it cannot be written. So do all below.
        """
        store, table = self._needed(), self.table
        if not self._is_ours():
            store.begin(table.dimension, table.metric, self._key)
        store.heal()
        wanted = TYPES[table.precision]
        if not self._fits() or any(segment.rows.dtype != wanted for segment in store.segments):
            self.rewrite()

    def rewrite(self) -> None:
        """Save all rows anew."""
        store = self._needed()
        save_all(store, self._all(), self.table.metric)
        self.table.emptied()
        self.table.load(store.segments)

    def _all(self) -> Iterator[Unsaved]:
        """All rows, some dozens of megabytes at a time."""
        size = self.table.dimension * TYPES[self.table.precision].itemsize
        held: list[tuple[Vids, Kept, Vectors]] = []
        for vids, rows, lengths in self.table.parts():
            # For angles: rows that were rounded are not quite of length 1.
            rows, factors = self.table.as_kept(rows)
            held.append((vids, rows.astype(TYPES[self.table.precision]), lengths * factors))
            if sum(len(some) for some, _, _ in held) * size >= _BYTES_AT_ONCE:
                yield _together(held)
                held = []
        if held:
            yield _together(held)

    def save(self) -> None:
        """Save what was added and removed since; what it costs depends on that alone."""
        store = self._needed()
        # Whoever saves faster than segments are merged waits, or there would be more and more files.
        self._collect(wait=len(store.segments) > _MANY * merging.FEW)
        if self.table.unsaved:
            self.table.saved(store.append(self.table.to_save()))
        if self.merging is not None:
            self.merging.begin(self.table)

    def settle(self) -> None:
        """Merge whatever is due, wait for it, and have all of it on disk."""
        if self.merging is None:
            return
        self._needed().sync()
        self._collect(wait=True)
        while self.merging.begin(self.table, settling=True):
            self._collect(wait=True)

    def _collect(self, *, wait: bool = False) -> None:
        if self.merging is not None and self.merging.collect(wait=wait):
            self.table.load(self._needed().segments)

    def close(self) -> None:
        """Give up what is under way in the background, and have what was saved on disk."""
        if self.merging is not None:
            self.merging.close()
            self._needed().sync()

    def _needed(self) -> Store:
        if self._store is None:
            raise InvalidRequest("this index of vectors has no folder: it was opened for searching only")
        return self._store


def _together(parts: Sequence[tuple[Vids, Kept, Vectors]]) -> Unsaved:
    vids = np.concatenate([some for some, _, _ in parts])
    order = np.argsort(vids, kind="stable")
    rows, lengths = (np.concatenate([part[place] for part in parts])[order] for place in (1, 2))
    return Unsaved(np.zeros(0, np.int64), vids[order], lengths, rows)
