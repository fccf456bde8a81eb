"""Which rows of an approximate index a search may find: those that are still there, and that pass its filter."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ddsim.deepdetect import Vectors
from ddsim.vectors.exact import Mask, Vids, load_faiss

# Filters that are kept ready; one of a million rows takes 125 kB.
_REMEMBERED = 64


@dataclass(frozen=True, eq=False)
class _Filter:
    """A filter as FAISS wants it.

    Attributes:
        only: the numbers. As long as they are kept, no others have their id.
        bits: of each row whether it passes, eight a byte.
        passing: how many rows of each list pass.
    """

    only: Vids | None
    bits: NDArray[np.uint8]
    passing: NDArray[np.int64]


class Passing:
    """Filters over the lists of an approximate index.

    Args:
        lists: FAISS' index, whose numbers are places in ``vids``.
        vids: ascending, shape (n,).
    """

    def __init__(self, lists: Any, vids: Vids) -> None:
        self._lists = lists
        self._vids = vids
        self._alive: Mask | None = None
        self._filters: dict[int, _Filter] = {}
        self._list_of: NDArray[np.int64] | None = None

    @property
    def gone(self) -> int:
        """How many rows are not there any more."""
        return 0 if self._alive is None else int((~self._alive).sum())

    def follow(self, now: Vids) -> None:
        """Know which rows are there now: numbers, ascending."""
        alive = np.isin(self._vids, now, assume_unique=True)
        self._alive = None if alive.all() else alive
        self._filters.clear()

    def selector(self, only: Vids | None) -> Any:
        """What FAISS asks of every row; None where all of them pass."""
        if only is None and self._alive is None:
            return None
        faiss = load_faiss()
        return faiss.IDSelectorBitmap(len(self._vids), faiss.swig_ptr(self._filter(only).bits))

    def probes(self, query: Vectors, only: Vids, usual: int) -> int:
        """How many lists hold as many rows that pass as ``usual`` lists hold rows of any kind; all, where none do.

        Args:
            query: as the rows are compared, shape (dimension,).
            only: the numbers that pass, ascending.
            usual: so many lists' rows are to be looked at.
        """
        _, (order,) = self._lists.quantizer.search(query[np.newaxis], self._lists.nlist)
        seen = np.cumsum(self._filter(only).passing[order])
        wanted = min(usual * len(self._vids) // self._lists.nlist, int(seen[-1]))
        return int(np.searchsorted(seen, wanted)) + 1

    def _filter(self, only: Vids | None) -> _Filter:
        if id(only) not in self._filters:
            if len(self._filters) >= _REMEMBERED:
                self._filters.clear()
            mask = np.ones(len(self._vids), np.bool_) if self._alive is None else self._alive
            if only is not None:
                mask = mask & np.isin(self._vids, only, assume_unique=True)
            passing = np.bincount(self._lists_of_rows()[mask], minlength=self._lists.nlist)
            self._filters[id(only)] = _Filter(only, np.packbits(mask, bitorder="little"), passing)
        return self._filters[id(only)]

    def _lists_of_rows(self) -> NDArray[np.int64]:
        """In which list each row lies."""
        if self._list_of is None:
            faiss, inverted = load_faiss(), self._lists.invlists
            self._list_of = np.zeros(len(self._vids), np.int64)
            for number in range(self._lists.nlist):
                size = inverted.list_size(number)
                if size:
                    self._list_of[faiss.rev_swig_ptr(inverted.get_ids(number), size)] = number
        return self._list_of
