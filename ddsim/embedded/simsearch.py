"""The index of one similarity service: vectors in FAISS, with their names.

Meaning of calls and numbers as in a real server (recordings/wire/21-sim-index-search and those that follow it).
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import faiss
import numpy as np
from numpy.typing import NDArray

from ddsim.embedded.indexfiles import FAISS_ERRORS, INDEX, NAMES, SimilarityError, load, remove_files, reported, save

__all__ = ["DimensionMismatch", "Hit", "SimilarityError", "SimilarityIndex", "remove_files"]

# The words of the real server for a search_nn of 0 and less (recordings/wire/21-sim-index-search).
_NO_NEIGHBOURS = (
    "Error in virtual void faiss::IndexFlat::search(faiss::Index::idx_t, const float*, faiss::Index::idx_t, float*, "
    "faiss::Index::idx_t*, const faiss::SearchParameters*) const at ./faiss/IndexFlat.cpp:33: Error: 'k > 0' failed"
)
_LESS_THAN_NONE = "cannot create std::vector larger than max_size()"


class DimensionMismatch(SimilarityError):
    """A vector has another length than those of the index.

    A real server does not check it, and computes something else (recordings/wire/39-sim-dimension).
    """


@dataclass(frozen=True)
class Hit:
    """One neighbour.

    Attributes:
        name: as it was added; empty where the names of a built index are lost.
        distance: squared Euclidean distance divided by the dimension.
        row: its place in the index.
        built: whether the row has been built, and its name is there. A real server fails with ``std::bad_alloc`` at a
            search that finds a row of which this is not so (recordings/wire/23-sim-search-unbuilt,
            47b-sim-names-missing).
    """

    name: str
    distance: float
    row: int
    built: bool


class SimilarityIndex:
    """An index in memory, and its files; the caller sees to it that calls do not overlap.

    Two of them on one repository do not see each other's rows, and the last build wins.

    Attributes:
        dimension: length of its vectors.
        added_since_open: whether anything was added since it was loaded or made.
    """

    def __init__(
        self, repository: Path, index: Any, names: list[str | None], nprobe: int | None, train_samples: int
    ) -> None:
        self.dimension: int = index.d
        self.added_since_open = False
        self._repository = repository
        self._index = index
        self._names = names
        self._built = len(names)
        self._nprobe = nprobe
        self._train_samples = train_samples
        #: Rows that wait until the index is trained.
        self._waiting: list[NDArray[np.float32]] = []

    @classmethod
    def open(
        cls,
        repository: Path,
        dimension: int,
        index_type: str = "Flat",
        nprobe: int | None = None,
        train_samples: int = 100_000,
    ) -> SimilarityIndex:
        """Load the index of a repository, or make a new one; makes the folder of names in either case.

        Args:
            repository: an existing folder.
            dimension: length of the vectors; where there is an index its own counts.
            index_type: a FAISS factory string; where there is an index its own counts.
            nprobe: how many lists of an IVF index a search visits; default a fiftieth of them, at least 2.
            train_samples: how many vectors to wait for before an index that needs training is trained without a build.

        Raises:
            SimilarityError: FAISS does not know ``index_type``, or a file is damaged or cannot be read.
        """
        with reported(repository / INDEX):
            (repository / NAMES).mkdir(exist_ok=True)
            loaded = load(repository)
            index, names = loaded if loaded is not None else (faiss.index_factory(dimension, index_type), [])
            ivf = faiss.try_extract_index_ivf(index)
        if ivf is not None:
            # Else FAISS prints a warning where there are fewer than 39 samples a list.
            ivf.cp.min_points_per_centroid = 1
        return cls(repository, index, names, nprobe, train_samples)

    @property
    def rows(self) -> int:
        """How many rows can be found."""
        return int(self._index.ntotal)

    @property
    def unbuilt(self) -> int:
        """How many rows were added since the last build."""
        return len(self._names) - self._built

    def add(self, names: Sequence[str], vectors: NDArray[np.float32]) -> None:
        """Append rows; they are found at once, but count as unbuilt until ``build``.

        An index that needs training (IVF, PCA) gets them when it is trained: at a build, at a search, or when
        ``train_samples`` wait. Without enough of them that fails silently and the index stays empty
        (recordings/wire/45-sim-index-types).

        Args:
            names: any text, as often as you like.
            vectors: (n, dimension), one a name.

        Raises:
            DimensionMismatch: the vectors have another length; nothing was added.
            SimilarityError: FAISS cannot take them; nothing was added.
            ValueError: not as many names as vectors.
        """
        if len(names) != len(vectors):
            raise ValueError(f"{len(names)} names for {len(vectors)} vectors")
        rows = self._fitting(vectors)
        if not self._index.is_trained and len(self._names) >= self._train_samples:
            self._train()
        if self._index.is_trained:
            self._insert(rows)
        else:
            self._waiting.append(rows)
        self._names.extend(names)
        self.added_since_open = True

    def build(self) -> None:
        """Train the index if it needs to be, and write it and its names to the repository.

        Raises:
            SimilarityError: a file cannot be written; what was built before is still there.
        """
        if not self._index.is_trained:
            self._train()
        save(self._repository, self._index, self._names)
        self._built = len(self._names)

    def search(self, vector: NDArray[np.float32], k: int, nprobe: int | None = None) -> list[Hit]:
        """The nearest rows, nearest first, those of equal distance in the order they were added.

        Args:
            vector: (dimension,).
            k: how many; fewer come where the index has fewer.
            nprobe: as at ``open``, for this search.

        Raises:
            DimensionMismatch: the vector has another length.
            SimilarityError: ``k`` is not positive, or FAISS cannot search.
        """
        if k <= 0:
            raise SimilarityError(_NO_NEIGHBOURS if k == 0 else _LESS_THAN_NONE)
        query = self._fitting(vector[np.newaxis])
        if not self._index.is_trained:
            self._train()
        if not self._index.is_trained or not self.rows:
            return []
        if isinstance(self._index, faiss.IndexIVF):
            wanted = [visits for visits in (nprobe, self._nprobe) if visits is not None and visits > 0]
            self._index.nprobe = [*wanted, max(2, self._index.nlist // 50)][0]
        with reported(self._repository):
            distances, found = self._index.search(query, min(k, self.rows))
        pairs = sorted((float(d), int(row)) for d, row in zip(distances[0], found[0], strict=True) if row >= 0)
        return [self._hit(distance, row) for distance, row in pairs]

    def _hit(self, distance: float, row: int) -> Hit:
        name = self._names[row]
        return Hit(name or "", distance / self.dimension, row, name is not None and row < self._built)

    def _fitting(self, vectors: NDArray[np.float32]) -> NDArray[np.float32]:
        if vectors.ndim != 2 or vectors.shape[1] != self.dimension:
            raise DimensionMismatch(
                f"vectors of shape {vectors.shape} for an index of dimension {self.dimension}; use the extract_layer "
                "and picture size it was made with, or an index of its own"
            )
        return np.ascontiguousarray(vectors, np.float32)

    def _insert(self, rows: NDArray[np.float32]) -> None:
        with reported(self._repository):
            self._index.add(rows)

    def _train(self) -> None:
        if not self._waiting:
            return
        rows = np.concatenate(self._waiting)
        # Too few samples are no error to a real server: it tries again with more.
        with contextlib.suppress(*FAISS_ERRORS):
            self._index.train(rows)
        if self._index.is_trained:
            self._insert(rows)
            self._waiting.clear()
