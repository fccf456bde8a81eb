"""An exact index in memory, by FAISS: rows with numbers, added and really removed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from ddsim.deepdetect import Vectors
from ddsim.errors import CapabilityError, install_hint

Metric = Literal["l2", "cosine"]
Vids = NDArray[np.int64]


class FlatIndex:
    """Vectors under their vids.

    With ``cosine`` they are kept at length 1; a vector of nothing but zeros stays so, at a right angle to all others.

    Args:
        dimension: their length.
        metric: what makes two of them near.

    Raises:
        CapabilityError: FAISS is not installed.
    """

    def __init__(self, dimension: int, metric: Metric) -> None:
        self._faiss: Any = load_faiss()
        self._flat = self._faiss.IndexFlatL2(dimension) if metric == "l2" else self._faiss.IndexFlatIP(dimension)
        self._index = self._faiss.IndexIDMap2(self._flat)
        self._lengths = np.zeros(0, np.float32)
        self.dimension = dimension
        self.metric = metric

    def __len__(self) -> int:
        return int(self._index.ntotal)

    @property
    def vids(self) -> Vids:
        """The numbers of all rows, in the rows' order."""
        found: Vids = self._faiss.vector_to_array(self._index.id_map)
        return found

    @property
    def rows(self) -> Vectors:
        """All rows as they lie in FAISS' memory, shape (n, d): good until something is added or removed."""
        if not len(self):
            return np.zeros((0, self.dimension), np.float32)
        values = self._faiss.rev_swig_ptr(self._flat.get_xb(), len(self) * self.dimension)
        rows: Vectors = values.reshape(len(self), self.dimension)
        return rows

    @property
    def lengths(self) -> Vectors:
        """What each row is to be multiplied with to be as it was added, shape (n,): all 1 for ``l2``."""
        return self._lengths

    def add(self, vids: Vids, vectors: Vectors) -> None:
        """Append rows; one that has such a number already is replaced.

        Args:
            vids: shape (n,).
            vectors: shape (n, d).
        """
        there = self.vids
        # New numbers are larger than all before, and looking each batch up among all rows would take longer and longer.
        if there.size and vids.size and vids.min() <= there.max():
            self.remove(np.intersect1d(vids, there))
        self.load(vids, *self._as_kept(vectors))

    def load(self, vids: Vids, rows: Vectors, lengths: Vectors | None = None) -> None:
        """Append rows that :attr:`rows` gave once, under numbers that are not there; without lengths, these are 1."""
        self._index.add_with_ids(np.ascontiguousarray(rows, np.float32), np.ascontiguousarray(vids, np.int64))
        self._lengths = np.append(self._lengths, np.ones(len(vids), np.float32) if lengths is None else lengths)

    def remove(self, vids: Vids) -> int:
        """Remove rows; numbers that are not there do not matter. Returns how many there were."""
        if not vids.size:
            return 0
        self._lengths = self._lengths[~np.isin(self.vids, vids)]  # FAISS leaves the rest in its order
        return int(self._index.remove_ids(np.ascontiguousarray(vids, np.int64)))

    def nearest(self, query: Vectors, k: int) -> list[tuple[int, float]]:
        """The nearest rows.

        Args:
            query: shape (d,).
            k: how many; fewer come where there are fewer.

        Returns:
            vid and distance, nearest first: L2 squared and divided by d, or 1 minus the cosine.
        """
        if not len(self):
            return []
        # One query at a time: for many at once FAISS computes L2 in a way that loses digits.
        row, _ = self._as_kept(query[np.newaxis])
        with _one_thread():
            values, vids = self._index.search(row, min(k, len(self)))
        distances = values[0] / self.dimension if self.metric == "l2" else np.maximum(0.0, 1.0 - values[0])
        return [(int(vid), float(distance)) for vid, distance in zip(vids[0], distances, strict=True) if vid >= 0]

    def _as_kept(self, vectors: Vectors) -> tuple[Vectors, Vectors]:
        """Rows as they are kept, and their lengths."""
        if self.metric == "l2":
            return np.ascontiguousarray(vectors, np.float32), np.ones(len(vectors), np.float32)
        lengths = np.linalg.norm(vectors.astype(np.float64), axis=1, keepdims=True)
        unit: Vectors = np.zeros_like(vectors, np.float32)
        np.divide(vectors, lengths, out=unit, where=lengths > 0, casting="same_kind")
        return unit, lengths[:, 0].astype(np.float32)


@contextmanager
def _one_thread() -> Iterator[None]:
    """Keep FAISS from waking its threads: for a single query they find nothing to do, and that takes milliseconds."""
    faiss = load_faiss()
    before = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(1)
    try:
        yield
    finally:
        faiss.omp_set_num_threads(before)


def load_faiss() -> ModuleType:
    """FAISS, which only those need who keep vectors here.

    Raises:
        CapabilityError: it is not installed.
    """
    try:
        import faiss
    except ModuleNotFoundError as error:
        raise CapabilityError(
            f"index.backend local needs FAISS, which is not installed: {install_hint('local')}"
        ) from error
    return faiss
