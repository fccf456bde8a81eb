"""How the valid rows are found among all that an index stores."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from ddsim.catalogue import Records, Row
from ddsim.deepdetect import Vectors, closeness_by
from ddsim.errors import InvalidRequest
from ddsim.vectors.base import Among, Found, Hits, Select
from ddsim.vectors.exact import Metric

# A row more in an answer costs next to nothing, another call costs a forward pass.
_WIDE = 256
# Where the index filters by itself, another call costs less than looking up hundreds of items that nobody is shown.
_NARROW = 64
_WIDER = 4
_WIDEST_AT_ONCE = 10_000


@dataclass(frozen=True, slots=True, eq=False)
class Ranking:
    """What an index gave for one picture.

    Attributes:
        vector: the picture's own features, as the network gave them.
        rows: vid and distance, nearest first.
        compared: the vector as it was compared, where that is another one.
    """

    vector: Vectors
    rows: Sequence[tuple[int, float]]
    compared: Vectors | None = None


Within: TypeAlias = Callable[[int, Collection[str], int], Ranking]
"""For a query's position, some categories and a number: the nearest rows of items of these, so many."""


Scorer: TypeAlias = Callable[[Vectors], Callable[[float], float]]
"""For a query's vector as it was compared, what gives a distance its closeness."""


def scorer_of(metric: Metric) -> Scorer:
    """How closeness follows from the distances that a home gives for this metric."""
    return closeness_by if metric == "l2" else _closeness_by_angle


def _closeness_by_angle(_vector: Vectors) -> Callable[[float], float]:
    return lambda far: min(1.0, max(0.0, 1.0 - far))


def check_k(k: int) -> None:
    """Make sure that somebody asks for something.

    Raises:
        InvalidRequest: ``k`` below 1.
    """
    if k < 1:
        raise InvalidRequest(f"k={k} must be 1 or more")


def search_valid(
    ask: Callable[[list[int], int], Sequence[Ranking]],
    manifest: Records,
    scorer: Scorer,
    queries: int,
    k: int,
    among: Among = None,
    *,
    within: Within | None = None,
) -> list[Hits]:
    """Ask for more rows than wanted, and for more again until enough of them are valid or there are none left.

    Args:
        ask: gives the nearest rows of these queries (by position), so many for each; fewer where the index has fewer.
        manifest: knows the valid ones.
        scorer: for a query's vector, what gives a distance its closeness.
        queries: how many there are.
        k: items wanted for each query.
        among: only items of some categories.
        within: gives the nearest rows of a query among items of some categories, so many; fewer where there are fewer.
            For indexes that can filter: whoever cannot is asked for all that is near, which is filtered here.

    Raises:
        InvalidRequest: ``k`` below 1.
    """
    check_k(k)
    if isinstance(among, str):
        among = (among,)
    select = among if isinstance(among, Select) else Select(lambda _position, _near, _vector: among, among)
    search = _Search(manifest, scorer, k, select, within)
    if within is not None and among is not None and not isinstance(among, Select):
        return [search.narrowed(within, position, frozenset(among)) for position in range(queries)]
    hits: dict[int, Hits] = {}
    narrow = max(_NARROW, 4 * k, 2 * select.sees)
    waiting, wide = list(range(queries)), narrow if within else _wide(manifest, k, select.likely)
    while waiting:
        hits |= search.take(waiting, ask(waiting, wide), wide)
        waiting = [position for position in waiting if position not in hits]
        wide *= _WIDER
    return [hits[position] for position in range(queries)]


class _Search:
    """One search for several queries: what was chosen for them, and what of an answer is of use."""

    def __init__(
        self,
        manifest: Records,
        scorer: Scorer,
        k: int,
        select: Select,
        within: Within | None,
    ) -> None:
        self._manifest = manifest
        self._scorer = scorer
        self._k = k
        self._select = select
        self._within = within
        self._chosen: dict[int, Collection[str] | None] = {}

    def take(self, positions: Sequence[int], rankings: Sequence[Ranking], wide: int) -> dict[int, Hits]:
        """The hits of those queries for which an answer of so many rows was enough."""
        rows = self._manifest.resolve({vid for ranking in rankings for vid, _ in ranking.rows})
        hits: dict[int, Hits] = {}
        for position, ranking in zip(positions, rankings, strict=True):
            valid, exhausted, score = _valid(ranking, rows), len(ranking.rows) < wide, self._score(ranking)
            if position not in self._chosen:
                near = _one_each(valid, self._select.sees) if self._select.fold else valid
                if len(near) < self._select.sees and not exhausted:
                    continue
                seen = [_found(one, score) for one in near[: self._select.sees]]
                self._chosen[position] = self._select.choose(position, seen, ranking.vector)
            only = self._chosen[position]
            kept = self._kept(valid, score, only)
            if len(kept) == self._k or exhausted:
                hits[position] = Hits(ranking.vector, kept, None if only is None else frozenset(only))
            elif self._within is not None and only is not None:
                hits[position] = self.narrowed(self._within, position, frozenset(only))
        return hits

    def narrowed(self, within: Within, position: int, only: frozenset[str]) -> Hits:
        """The hits of one query among items of some categories, asked for by themselves."""
        wide = max(_NARROW, 4 * self._k)
        while True:
            ranking = within(position, only, wide)
            valid = _valid(ranking, self._manifest.resolve(vid for vid, _ in ranking.rows))
            kept = self._kept(valid, self._score(ranking), only)
            if len(kept) == self._k or len(ranking.rows) < wide:
                return Hits(ranking.vector, kept, only)
            wide *= _WIDER

    def _score(self, ranking: Ranking) -> Callable[[float], float]:
        return self._scorer(ranking.vector if ranking.compared is None else ranking.compared)

    def _kept(
        self, valid: Sequence[_Valid], score: Callable[[float], float], only: Collection[str] | None
    ) -> tuple[Found, ...]:
        kept = [one for one in valid if only is None or one[0].category in only]
        groups = _folded(kept, self._k) if self._select.fold else [[one] for one in kept[: self._k]]
        return tuple(_found(first, score, others) for first, *others in groups)


def _wide(manifest: Records, k: int, likely: Collection[str] | None) -> int:
    """So many rows that one answer will do; what is likely is not near, it lies as if it were anywhere."""
    least = max(_WIDE, 4 * k)
    if likely is None:
        return least
    sizes = manifest.categories()
    share = sum(sizes.get(category, 0) for category in set(likely)) / max(sum(sizes.values()), 1)
    return max(least, min(_WIDEST_AT_ONCE, math.ceil(2 * k / share))) if share else least


# An answer has hundreds of rows, of which a few are shown: what the others would need is not computed for them.
_Valid: TypeAlias = tuple[Row, int, float]
"""An item that an index gave, its number and its distance."""


def _valid(ranking: Ranking, rows: Mapping[int, Row]) -> list[_Valid]:
    found: dict[int, _Valid] = {}
    for vid, distance in ranking.rows:
        row = rows.get(vid)
        if row is not None and vid not in found and math.isfinite(distance):
            found[vid] = row, vid, distance
    return list(found.values())


def _found(one: _Valid, score: Callable[[float], float], others: Sequence[_Valid] = ()) -> Found:
    row, vid, distance = one
    return Found(vid, row.uri, row.category, distance, score(distance), tuple(other.uri for other, _, _ in others))


def _one_each(valid: Sequence[_Valid], most: int) -> list[_Valid]:
    """The nearest item of each content in each category, so many: the same picture once more says nothing new."""
    first: dict[tuple[object, str], _Valid] = {}
    for one in valid:
        row, vid, _ = one
        first.setdefault((row.sha256 or vid, row.category), one)
        if len(first) == most:
            break
    return list(first.values())


def _folded(valid: Sequence[_Valid], most: int) -> list[list[_Valid]]:
    """Items of the same content together, at the place of the nearest; so many of such groups, each of them whole."""
    groups: dict[object, list[_Valid]] = {}
    for one in valid:
        row, vid, _ = one
        content = row.sha256 or vid
        if content in groups:
            groups[content].append(one)
        elif len(groups) < most:
            groups[content] = [one]
    return list(groups.values())
