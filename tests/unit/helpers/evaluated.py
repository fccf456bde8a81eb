"""What the tests of evaluations share: pictures that are not there, and a search over made-up distances."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ddsim.deepdetect.results import Vectors
from ddsim.evaluation.pictures import Photo
from ddsim.metrics import Values


def photo(uri: str, product: str | None = None, content: str | None = None) -> Photo:
    """A picture by its name; its content is its own unless said otherwise."""
    category = uri.partition("/")[0]
    return Photo(uri, category, Path(uri), 1, content or uri, product)


class Made:
    """A searcher with these distances, shape (q, n); a query is known by the first value of its vector, its place."""

    dimension, size = 1, 4

    def __init__(self, far: Values, items: Values | None = None) -> None:
        self._far = far
        self._items = far if items is None else items

    def distances(self, queries: Vectors) -> Values:
        """Those of the queries."""
        return self._far[queries[:, 0].astype(int)].copy()

    def nearest(self, query: Vectors, k: int) -> object:
        """Nothing is timed here."""
        raise NotImplementedError

    def between(self, places: Sequence[int]) -> Values:
        """Those between items."""
        found = self._items[np.ix_(list(places), list(places))].copy()
        np.fill_diagonal(found, np.nan)
        return found


def places(count: int) -> Vectors:
    """The vectors of so many queries."""
    return np.arange(count, dtype=np.float32)[:, np.newaxis]
