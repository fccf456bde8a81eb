"""The search of one configuration over vectors in memory, as its index does it: all distances, or those it finds.

A database's index is measured as one that compares with every item, whatever ``index.index_type`` says. What
``approximate: auto`` builds from so many items on is built for the items of the evaluation where these are as many.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from ddsim.config import Settings
from ddsim.deepdetect import Vectors
from ddsim.errors import InvalidRequest
from ddsim.metrics import Values
from ddsim.routing import pairwise
from ddsim.vectors import (
    TYPES,
    Approximate,
    Metric,
    Precision,
    Recipe,
    Table,
    Transform,
    load_faiss,
    narrowed,
    pays,
    recalled,
)

_ITEMS_AT_ONCE = 4096
_ROUNDING = 1e-13


class Searcher(Protocol):
    """Items that can be searched."""

    @property
    def dimension(self) -> int:
        """The length of the vectors as they are searched."""
        ...

    @property
    def size(self) -> int:
        """What the index takes, in bytes."""
        ...

    @property
    def notes(self) -> tuple[str, ...]:
        """What is to be said of it, a sentence each."""
        ...

    def distances(self, queries: Vectors) -> Values:
        """From each query to each item, shape (q, n); NaN where the index does not find an item.

        Args:
            queries: shape (q, d), as the network gave them.
        """
        ...

    def nearest(self, query: Vectors, k: int) -> object:
        """What one query costs: the k nearest of one vector, shape (d,)."""
        ...

    def between(self, places: Sequence[int]) -> Values:
        """The distances between some items, exact, shape (m, m), the diagonal NaN."""
        ...


def searcher(settings: Settings, rows: Vectors, wide: int) -> Searcher:
    """Make the index of a configuration.

    Args:
        settings: name metric, recipe, precision and kind of index.
        rows: the items, shape (n, d), as the network gave them.
        wide: how many items have to be found, for an index that does not look at all of them.

    Raises:
        InvalidRequest, ConfigError: recipe or index do not fit the vectors.
        InvalidResponse: they hold values that are too large for the precision.
        CapabilityError: FAISS is needed and not installed.
    """
    index = settings.index
    if index.backend in ("server", "auto") and settings.similarity.index_type != "Flat":
        return Servers(rows, settings.similarity.index_type, wide)
    if index.approximate == "auto" and pays(len(rows)):
        return InLists(rows, index.metric, Recipe.of(index), index.precision, wide)
    return Exact(rows, index.metric, Recipe.of(index), index.precision)


class Exact:
    """Compares with every item, as the index of ddsim's own keeps them; see :class:`Searcher`.

    Args:
        rows: the items, shape (n, d).
        metric: ``l2`` squared and divided by d, ``cosine`` 1 minus the cosine.
        recipe: what is done to vectors first; learned from the items, as an index learns it.
        precision: how values are kept.

    Attributes:
        rows: the items as they are compared, shape (n, dimension), float32.
        notes: see :class:`Searcher`.

    Raises:
        ConfigError: the recipe does not fit the vectors.
        InvalidResponse: they hold values that are too large for the precision.
    """

    notes: tuple[str, ...] = ()

    def __init__(
        self, rows: Vectors, metric: Metric, recipe: Recipe | None = None, precision: Precision = "float32"
    ) -> None:
        self._metric = metric
        self._precision = precision
        # What a network gave is kept, and so is what a recipe makes of that: both are rounded.
        kept = self._rounded(rows)
        self._transform = Transform.fit(recipe or Recipe(), kept)
        # By angle a row that was rounded is compared at length 1 all the same.
        self.rows = self._long(self._rounded(self._transform.apply(kept)))
        self._squares = np.square(self.rows, dtype=np.float64).sum(axis=1)

    @property
    def dimension(self) -> int:
        """As :class:`Searcher` says."""
        return int(self.rows.shape[1])

    @property
    def size(self) -> int:
        """As :class:`Searcher` says."""
        return self.rows.size * TYPES[self._precision].itemsize

    def distances(self, queries: Vectors) -> Values:
        """As :class:`Searcher` says. In double precision, for equal items have to come out equally far."""
        asked = self._made(queries).astype(np.float64)
        products = np.empty((len(asked), len(self.rows)))
        for start in range(0, len(self.rows), _ITEMS_AT_ONCE):
            part = slice(start, start + _ITEMS_AT_ONCE)
            products[:, part] = asked @ self.rows[part].astype(np.float64).T
        if self._metric == "cosine":
            far = 1.0 - products
        else:
            squares = np.square(asked).sum(axis=1)[:, None] + self._squares
            far = squares - 2 * products
            # What is left of rounding must not decide between items of the same vector: neither where they are that of
            # the query, nor (below) elsewhere.
            far[far < _ROUNDING * squares] = 0.0
            far /= self.dimension
        return np.maximum(far, 0.0).astype(np.float32).astype(np.float64)

    def nearest(self, query: Vectors, k: int) -> NDArray[np.intp]:
        """As :class:`Searcher` says; in single precision, as an index does it."""
        scores = self._squares - 2 * (self.rows @ self._made(query[np.newaxis])[0])
        if k >= len(scores):
            return np.argsort(scores)
        found = np.argpartition(scores, k)[:k]
        return np.asarray(found[np.argsort(scores[found])])

    def between(self, places: Sequence[int]) -> Values:
        """As :class:`Searcher` says."""
        return pairwise(self.rows[list(places)], self._metric)

    def _made(self, vectors: Vectors) -> Vectors:
        return self._long(self._transform.apply(vectors))

    def _long(self, vectors: Vectors) -> Vectors:
        """At the length at which they are compared."""
        return unit(vectors) if self._metric == "cosine" else vectors

    def _rounded(self, vectors: Vectors) -> Vectors:
        return narrowed(self._long(vectors), self._precision).astype(np.float32, copy=False)


class InLists(Exact):
    """Looks at a part of many items, as the index of ddsim's own does with ``approximate: auto``.

    It is asked for as many items as the measures need, and finds a little more than where it is asked for ten.

    Args:
        rows, metric, recipe, precision: as of :class:`Exact`.
        wide: how many items to ask for.

    Raises:
        CapabilityError: FAISS is not installed.
    """

    def __init__(self, rows: Vectors, metric: Metric, recipe: Recipe, precision: Precision, wide: int) -> None:
        super().__init__(rows, metric, recipe, precision)
        self._wide = wide
        self._table = Table(self.dimension, metric, precision)
        self._table.add(np.arange(len(self.rows)), self.rows)
        self._lists = Approximate.build(self._table)
        self.notes = (recalled(asdict(self._lists.built)),)

    @property
    def size(self) -> int:
        """As :class:`Searcher` says: the lists hold each value once more, in a byte."""
        return super().size + self.rows.size

    def distances(self, queries: Vectors) -> Values:
        """As :class:`Searcher` says."""
        distances = np.full((len(queries), len(self.rows)), np.nan)
        for row, query in zip(distances, self._made(queries), strict=True):
            for place, distance in self._lists.nearest(self._table, query, self._wide):
                row[place] = distance
        return distances

    def nearest(self, query: Vectors, k: int) -> NDArray[np.intp]:
        """As :class:`Searcher` says."""
        found = self._lists.nearest(self._table, self._made(query[np.newaxis])[0], k)
        return np.array([place for place, _ in found], np.intp)


class Servers:
    """The server's own index, of another type than Flat, made by FAISS in the same way; see :class:`Searcher`.

    Args:
        rows: the items, shape (n, d).
        kind: FAISS' name for the index.
        wide: how many items to ask for.

    Raises:
        InvalidRequest: there are too few items to train the index. DeepDetect v0.25.0 then keeps an empty index and
            reports no error (checked on a running server).
        CapabilityError: FAISS is not installed.
    """

    notes: tuple[str, ...] = ()

    def __init__(self, rows: Vectors, kind: str, wide: int) -> None:
        faiss: Any = load_faiss()
        self._faiss = faiss
        self._rows = np.ascontiguousarray(rows, np.float32)
        self._count, self.dimension = rows.shape
        self._wide = min(wide, self._count)
        try:
            self._index = faiss.index_factory(self.dimension, kind)
            ivf = faiss.try_extract_index_ivf(self._index)
            if ivf is not None:
                # As the server does it: a fiftieth of the lists, two at least. Without the first line FAISS warns.
                ivf.cp.min_points_per_centroid = 1
                ivf.nprobe = max(2, ivf.nlist // 50)
            self._index.train(self._rows)
            self._index.add(self._rows)
        except RuntimeError as error:
            reason = str(error).strip().rpartition("Error: ")[2]
            raise InvalidRequest(f"index_type {kind} cannot be made of {self._count} items: {reason}") from error

    @property
    def size(self) -> int:
        """As :class:`Searcher` says."""
        return int(self._faiss.serialize_index(self._index).nbytes)

    def distances(self, queries: Vectors) -> Values:
        """As :class:`Searcher` says: squared L2 divided by the length of the vectors before any PCA."""
        far, found = self._index.search(np.ascontiguousarray(queries, np.float32), self._wide)
        distances = np.full((len(queries), self._count + 1), np.nan)
        # What is not found has number -1 and goes to the last column, which is cut off.
        np.put_along_axis(distances, found, np.where(found < 0, np.nan, far / self.dimension), axis=1)
        return distances[:, :-1]

    def nearest(self, query: Vectors, k: int) -> object:
        """As :class:`Searcher` says."""
        return self._index.search(np.ascontiguousarray(query[np.newaxis], np.float32), min(k, self._count))

    def between(self, places: Sequence[int]) -> Values:
        """As :class:`Searcher` says."""
        return pairwise(self._rows[list(places)], "l2")


def unit(vectors: Vectors) -> Vectors:
    """Vectors at length 1, float32; one of nothing but zeros stays so."""
    lengths = np.linalg.norm(vectors.astype(np.float64), axis=1, keepdims=True)
    return (vectors / np.where(lengths > 0, lengths, 1.0)).astype(np.float32)
