"""What is learned from the kept vectors, and the file that keeps it, so that all processes compare in the same way."""

from __future__ import annotations

import logging
from pathlib import Path

from ddsim.vectors.files import Damaged
from ddsim.vectors.table import Table
from ddsim.vectors.transform import Recipe, Transform
from ddsim.vectors.vectorfile import read_arrays, write_arrays

_log = logging.getLogger(__name__)

#: What the file is called.
LEARNED = "transform.npz"
# Components change little while the catalogue does; learning them anew at every change would move all distances.
_GROWN, _SHRUNK = 1.1, 0.9


class Learning:
    """A recipe, and what it learned.

    A recipe with components learns from the kept vectors. What it learned holds until there are a tenth more or fewer
    of them than it was made for. Whoever only searches and finds nothing in the file for its recipe learns for itself:
    the same, as the vectors are the same.

    Args:
        recipe: what is done to vectors before they are compared.
        dimension: length of the vectors that are kept.
        folder: where the file is; None where nothing was ever saved.

    Raises:
        ConfigError: the recipe wants more components than there are values.
    """

    def __init__(self, recipe: Recipe, dimension: int, folder: Path | None) -> None:
        recipe.check(dimension)
        self._recipe = recipe
        self._dimension = dimension
        self._folder = folder
        self._transform: Transform | None = None

    @property
    def trivial(self) -> bool:
        """Whether vectors are compared as they are."""
        return self._recipe.trivial

    @property
    def described(self) -> str:
        """What distances depend on besides metric and vectors, in a few words; others when it was learned anew."""
        if self.trivial:
            return "as it is"
        return self._transform.described if self._transform else "not yet"

    def due(self, count: int) -> bool:
        """Whether there is something to learn from so many rows that was not learned yet, or from other rows."""
        if self.trivial or not count:
            return False
        if self._transform is None:
            return True
        rows = self._transform.rows
        return self._recipe.pca is not None and not _SHRUNK * rows <= count <= _GROWN * rows

    def recall(self) -> None:
        """Take what was learned before from the file, where it is of this recipe.

        Raises:
            ConfigError: the file cannot be read.
        """
        if self.trivial or self._folder is None:
            return
        found = _read(self._folder / LEARNED)
        if found and (found.recipe, found.inputs) == (self._recipe, self._dimension):
            self._take(found)

    def renew(self, kept: Table) -> None:
        """Learn what is due, and write the file; for whoever holds the right to write, after the rows were saved.

        Raises:
            ConfigError: nothing can be learned from these rows, or the file cannot be written.
        """
        if self._folder is None or not self.due(len(kept)):
            return
        write_arrays(self._folder / LEARNED, self._take(self._fitted(kept)).to_arrays())
        _log.info("%s: learned from %d vectors how they are compared", self._folder, len(kept))

    def learned(self, kept: Table) -> Transform:
        """What was learned, now where it was not before.

        Raises:
            ConfigError: nothing can be learned from these rows.
        """
        return self._transform or self._take(self._fitted(kept))

    def _take(self, found: Transform) -> Transform:
        if self._transform is None or self._transform.described != found.described:
            self._transform = found
        return self._transform

    def _fitted(self, kept: Table) -> Transform:
        sample = Transform.sampled(len(kept), self._dimension)
        return Transform.fit(self._recipe, kept.rows_of(kept.vids[sample]), len(kept))


def _read(path: Path) -> Transform | None:
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
