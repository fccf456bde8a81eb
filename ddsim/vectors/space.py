"""The vectors that are kept, and beside them the same as they are compared."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np

from ddsim.deepdetect import Vectors
from ddsim.vectors.approximate import FILE, Approximate, clear, pays
from ddsim.vectors.exact import Kept, Metric, Vids
from ddsim.vectors.files import signature
from ddsim.vectors.learning import LEARNED, Learning
from ddsim.vectors.listing import LIST
from ddsim.vectors.segments import Precision
from ddsim.vectors.shelf import Shelf
from ddsim.vectors.table import Table
from ddsim.vectors.transform import Recipe, Transform

_COMPARED = "compared"
_ROWS_AT_ONCE = 4096
_PARTS = 16


class Space:
    """Kept vectors under their vids, compared as a recipe makes them.

    What is kept is what the network gave (for ``cosine`` at length 1, the lengths beside), so another recipe or metric
    needs no picture again. Where a recipe makes others of them, these are on disk, too, once a run has settled.

    Args:
        dimension: length of the vectors that are kept.
        metric: what makes two of them near.
        recipe: what is done to them before they are compared.
        folder: where all of it is kept; None where nothing was ever saved.
        precision: how values are kept.

    Raises:
        CapabilityError: FAISS is not installed.
        ConfigError: the recipe wants more components than there are values.
    """

    def __init__(
        self, dimension: int, metric: Metric, recipe: Recipe, folder: Path | None, precision: Precision = "float32"
    ) -> None:
        self.dimension = dimension
        self._learning = Learning(recipe, dimension, folder)
        self._metric = metric
        self.folder = folder
        self._precision = precision
        self._shelf = Shelf(folder, dimension, metric, precision)
        self._compared: Shelf | None = None
        self._compared_by = self.described
        self._in_step = -1
        self._approximate: Approximate | None = None
        self._mark: object = None

    def __len__(self) -> int:
        return len(self._kept)

    @property
    def _kept(self) -> Table:
        return self._shelf.table

    @property
    def vids(self) -> Vids:
        """The numbers of all rows, ascending."""
        return self._kept.vids

    def look(self, *, approximate: bool = False) -> None:
        """Hold what is saved.

        Args:
            approximate: whether an approximate index is used, where there is one.

        Raises:
            ConfigError: it cannot be read.
        """
        self._shelf.look()
        self._learning.recall()
        self._heed()
        self._in_step = -1
        mark = None if self.folder is None or not approximate else signature(self.folder / FILE)
        if mark is None or self.folder is None:
            self._approximate = None
        elif self._approximate is None or mark != self._mark:
            self._approximate = Approximate.read(self.folder, self._key)
        self._mark = mark

    def add(self, vids: Vids, vectors: Vectors) -> None:
        """Add rows; one that has such a number already is replaced.

        Raises:
            InvalidResponse: as :meth:`ddsim.vectors.table.Table.add`.
        """
        self._kept.add(vids, vectors)

    def restore(self, vids: Vids, rows: Kept, lengths: Vectors) -> None:
        """Add rows that were kept before, and what they were divided by."""
        self._kept.restore(vids, rows, lengths)

    def remove(self, vids: Vids) -> int:
        """Remove rows; numbers that are not there do not matter. Returns how many there were."""
        return self._kept.remove(vids)

    # Saving, for whoever holds the right to write

    @property
    def unsaved(self) -> bool:
        """Whether something was added or removed since the last checkpoint."""
        return self._kept.unsaved

    def prepare(self) -> None:
        """Be ready for being saved, and remove what an end in between has left.

        Raises:
            ConfigError: it cannot be written. So do all below.
        """
        self._shelf.prepare()

    def save(self) -> None:
        """Save what was added and removed since."""
        self._shelf.save()

    def settle(self, *, approximate: bool) -> dict[str, object] | None:
        """Merge segments, save the vectors as they are compared, and build what searches them quickly.

        Args:
            approximate: whether many rows are searched approximately.

        Returns:
            what was built, now or before; None where every row is compared.
        """
        self._shelf.settle()
        searched = self._searched(saving=True) if len(self) else self._kept
        if self._compared is not None:
            self._compared.settle()
        elif self.folder is not None:
            # What was made by a recipe that the settings do not have any more.
            shutil.rmtree(self.folder / _COMPARED, ignore_errors=True)
        return self._built(searched, wanted=approximate)

    def _built(self, table: Table, *, wanted: bool) -> dict[str, object] | None:
        if self.folder is None:
            return None
        if not wanted or not pays(len(table)):
            self._approximate = None
            clear(self.folder)
            return None
        if self._approximate is None:
            self._approximate = Approximate.read(self.folder, self._key)
        if self._approximate is None or self._approximate.is_stale(table):
            self._approximate = Approximate.build(table)
            self._approximate.write(self.folder, self._key)
        return asdict(self._approximate.built)

    @property
    def _key(self) -> str:
        return f"{self._metric} {self.described}"

    def close(self) -> None:
        """Give up what is under way in the background."""
        self._shelf.close()
        if self._compared is not None:
            self._compared.close()

    # Comparing

    def compared(self, queries: Vectors) -> Vectors:
        """Queries as they are compared.

        Args:
            queries: as the network gave them, shape (n, d).

        Raises:
            ConfigError: there are no rows to learn components from.
        """
        return queries if self._learning.trivial or not len(self) else self._learned().apply(queries)

    def nearest(self, query: Vectors, k: int, only: Vids | None = None) -> list[tuple[int, float]]:
        """The nearest rows.

        Args:
            query: one of those that :meth:`compared` gave.
            k: how many; fewer come where there are fewer.
            only: search these numbers alone, ascending.

        Returns:
            vid and distance, nearest first, as :meth:`ddsim.vectors.table.Table.nearest` has them.
        """
        if not len(self):
            return []
        table = self._searched()
        if self._approximate is None:
            return table.nearest(query, k, only)
        return self._approximate.nearest(table, query, k, only)

    def compared_rows(self, vids: Sequence[int]) -> Vectors:
        """The rows of these numbers as they are compared, float32, shape (n, dimension), in the order of the numbers.

        Raises:
            InvalidRequest: one of them is not there.
            ConfigError: as :meth:`compared`.
        """
        return (self._searched() if len(self) else self._kept).rows_of(vids)

    def added_rows(self, vids: Sequence[int]) -> Vectors:
        """The rows of these numbers as they were added, float32, shape (n, dimension), in the order of the numbers.

        Raises:
            InvalidRequest: one of them is not there.
        """
        return self._kept.added_rows(vids)

    def apart(self, query: Vectors, vid: int) -> float | None:
        """How far a row is from a query, both as the network gave them; None where they are compared so.

        Args:
            query: as the network gave it, shape (d,).
            vid: the row's number.
        """
        if self._learning.trivial:
            return None
        ((_, distance),) = self._kept.nearest(query, 1, np.array([vid], np.int64))
        return distance

    def _searched(self, *, saving: bool = False) -> Table:
        """The rows as they are compared, those that came since included; on disk, where they are to be saved."""
        if self._learning.trivial:
            return self._kept
        transform = self._learned()
        if self._compared is None:
            place = None if self.folder is None else self.folder / _COMPARED
            key = transform.described
            self._compared = Shelf(place, transform.dimension, self._metric, self._precision, key)
            self._compared.look()
        if saving:
            self._compared.prepare()
        if self._in_step != self._kept.version:
            self._follow(self._compared, transform, saving=saving)
            self._in_step = self._kept.version
        if saving:
            self._compared.save()
        return self._compared.table

    def _follow(self, compared: Shelf, transform: Transform, *, saving: bool) -> None:
        """Take out of the compared rows what is kept no more, and add what they lack."""
        table, kept = compared.table, self._kept
        table.remove(np.setdiff1d(table.vids, kept.vids, assume_unique=True))
        lacking = np.setdiff1d(kept.vids, table.vids, assume_unique=True)
        for start in range(0, len(lacking), _ROWS_AT_ONCE):
            some = lacking[start : start + _ROWS_AT_ONCE]
            table.add(some, transform.apply(kept.rows_of(some)))
            # However many there are, they are not in memory.
            if saving and start % (_PARTS * _ROWS_AT_ONCE) == 0:
                compared.save()

    # Learning

    @property
    def described(self) -> str:
        """What distances depend on besides metric and vectors; see :attr:`.Learning.described`."""
        return self._learning.described

    @property
    def due(self) -> bool:
        """Whether there is something to learn that was not learned yet, or from other rows."""
        return self._learning.due(len(self))

    def renew(self) -> None:
        """Learn what is due, and write the file; for whoever holds the right to write, after the rows were saved.

        Raises:
            ConfigError: nothing can be learned from these rows, or the file cannot be written.
        """
        self._learning.renew(self._kept)
        self._heed()

    def _learned(self) -> Transform:
        transform = self._learning.learned(self._kept)
        self._heed()
        return transform

    def _heed(self) -> None:
        """Let go of what was compared by what was learned before, where something else was."""
        if self._compared_by != self.described:
            self._compared_by, self._compared, self._approximate = self.described, None, None
            self._in_step = -1


def signatures(folder: Path) -> list[object]:
    """Others when something was saved, learned or built in a folder."""
    return [signature(folder / name) for name in (LIST, LEARNED, FILE)]
