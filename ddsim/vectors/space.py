"""The vectors that are kept, and beside them the same as they are compared."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np

from ddsim.deepdetect import Vectors
from ddsim.vectors.approximate import FILE, Approximate, clear, pays
from ddsim.vectors.exact import Kept, Metric, Vids
from ddsim.vectors.files import Damaged, signature
from ddsim.vectors.listing import LIST
from ddsim.vectors.segments import Precision
from ddsim.vectors.shelf import Shelf
from ddsim.vectors.table import Table
from ddsim.vectors.transform import Recipe, Transform
from ddsim.vectors.vectorfile import read_arrays, write_arrays

_log = logging.getLogger(__name__)

LEARNED = "transform.npz"
_COMPARED = "compared"
# Components change little while the catalogue does; learning them anew at every change would move all distances.
_GROWN, _SHRUNK = 1.1, 0.9
_ROWS_AT_ONCE = 4096
_PARTS = 16


class Space:
    """Kept vectors under their vids, compared as a recipe makes them.

    What is kept is what the network gave (for ``cosine`` at length 1, the lengths beside), so another recipe or metric
    needs no picture again. Where a recipe makes others of them, these are on disk, too, once a run has settled.

    A recipe with components learns from the kept vectors. What it learned holds until there are a tenth more or fewer
    of them than it was made for, and is kept in a file, so that all processes compare in the same way. Whoever only
    searches and finds nothing in that file for its recipe learns for itself: the same, as the vectors are the same.

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
        recipe.check(dimension)
        self.dimension = dimension
        self._recipe = recipe
        self._metric = metric
        self.folder = folder
        self._precision = precision
        self._shelf = Shelf(folder, dimension, metric, precision)
        self._transform: Transform | None = None
        self._compared: Shelf | None = None
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
        self._recall()
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
        return queries if self._recipe.trivial or not len(self) else self._learned().apply(queries)

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
        if self._recipe.trivial:
            return None
        ((_, distance),) = self._kept.nearest(query, 1, np.array([vid], np.int64))
        return distance

    def _searched(self, *, saving: bool = False) -> Table:
        """The rows as they are compared, those that came since included; on disk, where they are to be saved."""
        if self._recipe.trivial:
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
        """What distances depend on besides metric and vectors, in a few words; others when it was learned anew."""
        if self._recipe.trivial:
            return "as it is"
        return self._transform.described if self._transform else "not yet"

    @property
    def due(self) -> bool:
        """Whether there is something to learn that was not learned yet, or from other rows."""
        if self._recipe.trivial or not len(self):
            return False
        if self._transform is None:
            return True
        rows = self._transform.rows
        return self._recipe.pca is not None and not _SHRUNK * rows <= len(self) <= _GROWN * rows

    def _recall(self) -> None:
        """Take what was learned before from the file, where it is of this recipe."""
        if self._recipe.trivial or self.folder is None:
            return
        found = self._read(self.folder / LEARNED)
        if found and (found.recipe, found.inputs) == (self._recipe, self.dimension):
            self._learn(found)

    def _read(self, path: Path) -> Transform | None:
        why: Exception
        try:
            arrays = read_arrays(path)
        except Damaged as error:
            why = error
        else:
            try:
                return Transform.from_arrays(arrays) if arrays else None
            except ValueError as error:
                why = error
        _log.warning("%s cannot be used, it is learned anew how vectors are compared: %s", path, why)
        return None

    def renew(self) -> None:
        """Learn what is due, and write the file; for whoever holds the right to write, after the rows were saved.

        Raises:
            ConfigError: nothing can be learned from these rows, or the file cannot be written.
        """
        if not self.due or self.folder is None:
            return
        self._learn(self._fitted())
        if self._transform is not None:
            write_arrays(self.folder / LEARNED, self._transform.to_arrays())
        _log.info("%s: learned from %d vectors how they are compared", self.folder, len(self))

    def _learn(self, transform: Transform) -> None:
        if self._transform is not None and self._transform.described == transform.described:
            return
        self._transform, self._compared, self._approximate = transform, None, None
        self._in_step = -1

    def _learned(self) -> Transform:
        if self._transform is None:
            self._learn(self._fitted())
        if self._transform is None:
            raise RuntimeError("what was learned is there")
        return self._transform

    def _fitted(self) -> Transform:
        sample = Transform.sampled(len(self), self.dimension)
        return Transform.fit(self._recipe, self._kept.rows_of(self.vids[sample]), len(self))


def signatures(folder: Path) -> list[object]:
    """Others when something was saved, learned or built in a folder."""
    return [signature(folder / name) for name in (LIST, LEARNED, FILE)]
