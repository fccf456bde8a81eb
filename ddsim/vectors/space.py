"""The vectors that are kept, and beside them the same as they are compared."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np

from ddsim.deepdetect import Vectors
from ddsim.errors import InvalidRequest
from ddsim.vectors.flat import FlatIndex, Metric, Vids
from ddsim.vectors.transform import Recipe, Transform
from ddsim.vectors.vectorfile import Damaged, Part, read_arrays, write_arrays

_log = logging.getLogger(__name__)

# Components change little while the catalogue does; learning them anew at every change would move all distances.
_GROWN, _SHRUNK = 1.1, 0.9


class Space:
    """Kept vectors under their vids, compared as a recipe makes them.

    What is kept is what the network gave (for ``cosine`` at length 1, the lengths beside), so another recipe or metric
    needs no picture again.

    A recipe with components learns from the kept vectors. What it learned holds until there are a tenth more or fewer
    of them than it was made for, and is kept in a file, so that all processes compare in the same way. Whoever only
    searches and finds nothing in that file for its recipe learns for itself: the same, as the vectors are the same.

    Args:
        dimension: length of the vectors that are kept.
        metric: what makes two of them near.
        recipe: what is done to them before they are compared.
        file: where that which the recipe learned is kept.

    Raises:
        CapabilityError: FAISS is not installed.
        ConfigError: the recipe wants more components than there are values.
    """

    def __init__(self, dimension: int, metric: Metric, recipe: Recipe, file: Path) -> None:
        recipe.check(dimension)
        self.dimension = dimension
        self._recipe = recipe
        self._metric = metric
        self._file = file
        self._kept = FlatIndex(dimension, metric)
        self._transform: Transform | None = None
        # Made when it is needed first; where the recipe changes nothing it is what is kept.
        self._compared: FlatIndex | None = self._kept if recipe.trivial else None

    def __len__(self) -> int:
        return len(self._kept)

    @property
    def vids(self) -> Vids:
        """The numbers of all rows, in the rows' order."""
        return self._kept.vids

    @property
    def rows(self) -> Vectors:
        """The rows that are kept; see :attr:`FlatIndex.rows`."""
        return self._kept.rows

    @property
    def lengths(self) -> Vectors:
        """What each row is to be multiplied with to be as the network gave it."""
        return self._kept.lengths

    def load(self, part: Part) -> None:
        """Append rows from a file, before anything is searched.

        Raises:
            Damaged: they are of another metric, and the file is of a version that kept too little to tell this one's.
        """
        if part.kind == self._metric:
            self._kept.load(part.vids, part.rows, part.lengths)
        elif part.kind == "l2" or part.lengths is not None:
            lengths = 1.0 if part.lengths is None else part.lengths[:, np.newaxis]
            self._kept.add(part.vids, part.rows * np.float32(lengths))
        else:
            raise Damaged(f"of metric {part.kind}, written by an older version that kept no lengths")

    def add(self, vids: Vids, vectors: Vectors) -> None:
        """Append rows; one that has such a number already is replaced."""
        self._kept.add(vids, vectors)
        if self._transform is not None and self._compared is not None:
            self._compared.add(vids, self._transform.apply(vectors))

    def remove(self, vids: Vids) -> int:
        """Remove rows; numbers that are not there do not matter. Returns how many there were."""
        if self._compared is not None and self._compared is not self._kept:
            self._compared.remove(vids)
        return self._kept.remove(vids)

    # Comparing

    def compared(self, queries: Vectors) -> Vectors:
        """Queries as they are compared.

        Args:
            queries: as the network gave them, shape (n, d).

        Raises:
            ConfigError: there are no rows to learn components from.
        """
        return queries if self._recipe.trivial or not len(self) else self._learned().apply(queries)

    def nearest(self, query: Vectors, k: int) -> list[tuple[int, float]]:
        """The nearest rows.

        Args:
            query: one of those that :meth:`compared` gave.
            k: how many; fewer come where there are fewer.

        Returns:
            vid and distance, nearest first, as :meth:`FlatIndex.nearest` has them.
        """
        return self._searched().nearest(query, k) if len(self) else []

    def compared_rows(self, vids: Sequence[int]) -> Vectors:
        """The rows of these numbers as they are compared, float32, shape (n, dimension), in the order of the numbers.

        Raises:
            InvalidRequest: one of them is not there.
            ConfigError: as :meth:`compared`.
        """
        index = self._searched() if len(self) else self._kept
        return index.rows[_places_of(index, vids)]

    def added_rows(self, vids: Sequence[int]) -> Vectors:
        """The rows of these numbers as they were added, float32, shape (n, dimension), in the order of the numbers.

        Raises:
            InvalidRequest: one of them is not there.
        """
        places = _places_of(self._kept, vids)
        return self._kept.rows[places] * self.lengths[places, np.newaxis]

    def apart(self, query: Vectors, vid: int) -> float | None:
        """How far a row is from a query, both as the network gave them; None where they are compared so.

        Args:
            query: as the network gave it, shape (d,).
            vid: the row's number.
        """
        if self._recipe.trivial:
            return None
        alone = FlatIndex(self.dimension, self._metric)
        alone.add(np.array([vid]), self.added_rows([vid]))
        ((_, distance),) = alone.nearest(query, 1)
        return distance

    def _searched(self) -> FlatIndex:
        if self._compared is None:
            transform = self._learned()
            self._compared = FlatIndex(transform.dimension, self._metric)
            self._compared.add(self.vids, transform.apply(self.rows))
        return self._compared

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

    def recall(self) -> None:
        """Take what was learned before from the file, where it is of this recipe."""
        if self._recipe.trivial:
            return
        found = self._read()
        if found and (found.recipe, found.inputs) == (self._recipe, self.dimension):
            self._transform = found

    def _read(self) -> Transform | None:
        why: Exception
        try:
            arrays = read_arrays(self._file)
        except Damaged as error:
            why = error
        else:
            try:
                return Transform.from_arrays(arrays) if arrays else None
            except ValueError as error:
                why = error
        _log.warning("%s cannot be used, it is learned anew how vectors are compared: %s", self._file, why)
        return None

    def renew(self) -> None:
        """Learn what is due, and write the file; for whoever holds the right to write, after the rows were saved.

        Raises:
            ConfigError: nothing can be learned from these rows, or the file cannot be written.
        """
        if not self.due:
            return
        self._transform, self._compared = Transform.fit(self._recipe, self.rows), None
        write_arrays(self._file, self._transform.to_arrays())
        _log.info("%s: learned from %d vectors how they are compared", self._file, len(self))

    def forget(self) -> None:
        """Remove the file: the rows that come are of nobody knows which network."""
        with suppress(FileNotFoundError):
            self._file.unlink()

    def _learned(self) -> Transform:
        if self._transform is None:
            self._transform = Transform.fit(self._recipe, self.rows)
        return self._transform


def _places_of(index: FlatIndex, vids: Sequence[int]) -> list[int]:
    places = {int(vid): place for place, vid in enumerate(index.vids)}
    missing = [vid for vid in vids if vid not in places]
    if missing:
        raise InvalidRequest(f"no vector of number {missing[0]} among those that are kept")
    return [places[vid] for vid in vids]
