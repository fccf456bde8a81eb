"""What is asked of every configuration alike: which queries against which items, and what is right."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ddsim.evaluation.pictures import Photo
from ddsim.metrics import Flags

_CELLS = 4_000_000


@dataclass(frozen=True, slots=True, eq=False)
class Block:
    """Some of the queries, against all items.

    Attributes:
        rows: which queries.
        category: shape (q, n), whether an item is of the query's category, and may be found.
        product: likewise of the query's product.
        hidden: shape (q, n), whether an item must not be found: it is the query itself, under whatever name.
    """

    rows: slice
    category: Flags
    product: Flags
    hidden: Flags


class Task:
    """Queries, items, and which of them belong together.

    An item with the content of the query is the query itself: it is left out of the query's list. In leave-one-out that
    is each item for itself, and its twins. Other pictures of the same product stay: they are of the right category.

    Args:
        items: to be found.
        queries: asked.

    Attributes:
        categories: of the items, sorted.
        relevant: shape (q,), how many items are of each query's category.
        same_product: shape (q,), likewise of its product.
        findable: shape (q,), how many items there are for each query.
    """

    def __init__(self, items: Sequence[Photo], queries: Sequence[Photo]) -> None:
        self.items = tuple(items)
        self.queries = tuple(queries)
        self.categories = tuple(sorted({photo.category for photo in items}))
        self._category = _numbers([photo.category for photo in items], [photo.category for photo in queries])
        self._product = _numbers([photo.product for photo in items], [photo.product for photo in queries])
        self._content = _numbers([photo.sha256 for photo in items], [photo.sha256 for photo in queries])
        self.relevant, self.same_product, self.findable = (np.zeros(len(queries), np.int64) for _ in range(3))
        for block in self.blocks():
            self.relevant[block.rows] = block.category.sum(axis=1)
            self.same_product[block.rows] = block.product.sum(axis=1)
            self.findable[block.rows] = (~block.hidden).sum(axis=1)

    @property
    def units(self) -> list[str]:
        """What each query is a witness of."""
        return [photo.unit for photo in self.queries]

    @property
    def item_categories(self) -> NDArray[np.int64]:
        """Each item's category, as its place among :attr:`categories`."""
        places = {name: place for place, name in enumerate(self.categories)}
        return np.array([places[photo.category] for photo in self.items], dtype=np.int64)

    @property
    def query_categories(self) -> NDArray[np.int64]:
        """Each query's likewise; -1 where no item is of it."""
        places = {name: place for place, name in enumerate(self.categories)}
        return np.array([places.get(photo.category, -1) for photo in self.queries], dtype=np.int64)

    def blocks(self) -> Iterable[Block]:
        """The queries in parts that fit into memory."""
        step = max(1, _CELLS // max(len(self.items), 1))
        for start in range(0, len(self.queries), step):
            rows = slice(start, start + step)
            hidden = self._same(self._content, rows)
            seen = ~hidden
            yield Block(rows, self._same(self._category, rows) & seen, self._same(self._product, rows) & seen, hidden)

    @staticmethod
    def _same(numbers: tuple[NDArray[np.int64], NDArray[np.int64]], rows: slice) -> Flags:
        items, queries = numbers
        return np.equal.outer(queries[rows], items)


def _numbers(items: Sequence[str | None], queries: Sequence[str | None]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Names as numbers; an item and a query without one have different ones."""
    known: Mapping[str, int] = {name: place for place, name in enumerate(dict.fromkeys(filter(None, items)))}
    return (
        np.array([known[name] if name else -1 for name in items], dtype=np.int64),
        np.array([known.get(name, -2) if name else -2 for name in queries], dtype=np.int64),
    )
