"""Items of a catalogue that are nearly the same picture."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from numbers import Real

import numpy as np
from numpy.typing import NDArray

from ddsim.catalogue import Item
from ddsim.deepdetect import Vectors
from ddsim.errors import InvalidRequest
from ddsim.search.collection import Collection
from ddsim.search.contents import items_with_vectors, tile_of
from ddsim.showing import Listing, Shown, Sketch, Table, clipped, counted, several

# So many rows are compared with all others at a time: with 100,000 items that is 200 MB.
_BLOCK = 512
# The cosine of a vector with itself, as it comes out of float32.
_ROUNDING = 1e-6
_ROWS, _TILES = 20, 12


@dataclass(frozen=True, slots=True, repr=False)
class Duplicate(Shown):
    """Items that are nearly the same picture.

    Attributes:
        items: two or more, sorted by uri; see :class:`ddsim.Item`.
        similarity: the lowest cosine of the angle between two of their vectors among those that reach the threshold.
    """

    items: tuple[Item, ...]
    similarity: float

    @property
    def uris(self) -> list[str]:
        """Names of the items."""
        return [item.uri for item in self.items]

    def to_dict(self) -> dict[str, object]:
        """Plain values: uris and similarity."""
        return {"uris": self.uris, "similarity": self.similarity}

    def _brief(self) -> str:
        return f"{several(map(repr, self.uris), len(self.items))}, similarity {self.similarity:.4f}"

    def _sketch(self) -> Sketch:
        tiles = [tile_of(item) for item in self.items[:_TILES]]
        return Sketch(f"{counted(len(self.items), 'item')}, similarity {self.similarity:.4f}", tiles=tiles)


class Duplicates(Listing[Duplicate]):
    """Groups of items that are nearly the same picture, the most similar first: a sequence of :class:`Duplicate`.

    Args:
        rows: the groups.
    """

    columns = ("similarity", "uris")

    def to_dict(self) -> dict[str, object]:
        """Plain values."""
        return {"duplicates": [one.to_dict() for one in self]}

    def _brief(self) -> str:
        if not self:
            return "none"
        return f"{counted(len(self), 'group')}, such as {clipped(self[0]._brief(), 150)}"

    def _sketch(self) -> Sketch:
        rows = [(f"{one.similarity:.4f}", several(one.uris, len(one.uris))) for one in self[:_ROWS]]
        table = Table(("similarity", "items"), rows, more=max(0, len(self) - _ROWS))
        tiles = [tile_of(item, f"group {place}") for place, one in enumerate(self, 1) for item in one.items[:2]]
        found = counted(len(self), "group") if self else "No group"
        title = f"{found} of items that are nearly the same picture"
        return Sketch(title, tiles=tiles[:_TILES], tables=[table] if rows else ())


def duplicates_of(collection: Collection, threshold: float, category: str | None) -> Duplicates:
    """Of a collection, or of one of its categories; see :meth:`ddsim.ImageSearch.duplicates`."""
    _check(threshold)  # before anything is loaded
    return duplicates_among(*items_with_vectors(collection, category), threshold)


def duplicates_among(items: Sequence[Item], vectors: Vectors, threshold: float) -> Duplicates:
    """Group items by the cosine of the angle between their vectors.

    Two items are in one group where a chain of pairs that reach the threshold leads from one to the other.

    Args:
        items: n.
        vectors: theirs, shape (n, d).
        threshold: above 0, and 1 at most.

    Raises:
        InvalidRequest: another threshold.
    """
    _check(threshold)
    leaders, lowest = _joined(_unit(vectors), threshold - _ROUNDING)
    groups: dict[int, list[int]] = {}
    for place, leader in enumerate(leaders):
        groups.setdefault(leader, []).append(place)
    found = [
        Duplicate(tuple(items[place] for place in places), round(float(lowest[places].min()), 6))
        for places in groups.values()
        if len(places) > 1
    ]
    return Duplicates(sorted(found, key=lambda one: (-one.similarity, one.items[0].uri)))


def _check(threshold: float) -> None:
    if not isinstance(threshold, Real) or not 0 < threshold <= 1:  # NaN is not, either
        raise InvalidRequest(
            f"duplicates: threshold={threshold!r} must be above 0 and at most 1: the cosine of the angle between the "
            "vectors of two items that count as nearly the same, such as 0.98"
        )


def _joined(unit: Vectors, least: float) -> tuple[list[int], NDArray[np.float32]]:
    """For each row the first one of its group, and the lowest cosine to another that reaches the least."""
    above = np.arange(len(unit))
    lowest = np.ones(len(unit), np.float32)

    def leader(place: int) -> int:
        while above[place] != place:
            above[place] = place = above[above[place]]
        return place

    for begin in range(0, len(unit), _BLOCK):
        cosines = unit[begin : begin + _BLOCK] @ unit[begin:].T
        for row, values in enumerate(cosines):
            near = np.flatnonzero(values[row + 1 :] >= least) + row + 1
            if near.size:
                lowest[begin + row] = min(lowest[begin + row], values[near].min())
            others = near + begin
            for other in others[above[others] != above[begin + row]].tolist():
                one, two = sorted((leader(begin + row), leader(other)))
                above[two] = one
    return [leader(place) for place in range(len(unit))], lowest


def _unit(vectors: Vectors) -> Vectors:
    """The same at length 1; what has no length, or is not finite, is like nothing."""
    lengths = np.linalg.norm(vectors.astype(np.float64), axis=1, keepdims=True)
    unit: Vectors = np.zeros_like(vectors, np.float32)
    np.divide(vectors, lengths, out=unit, where=np.isfinite(lengths) & (lengths > 0), casting="same_kind")
    return unit
