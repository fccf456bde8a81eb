"""How good a search is, in numbers with intervals: pure functions over arrays, no files, no server.

Most take the ``hits`` of q queries, shape (q, n), bool: whether the item at that rank is relevant, nearest first; and
``relevant``, shape (q,), int: how many relevant items there are to be found. They give a number a query, shape (q,), so
that queries can be compared in pairs and grouped; :func:`bootstrap` makes a mean with an interval of them.

- A list that is shorter than k is filled up with misses: what was not found is not left out of the account.
- A query without any relevant item (a *lone* one) has nothing right to find. It is NaN; means leave it out and count
  it as excluded.
- Items at the same distance: the irrelevant ones come first (:func:`ranking`). So no search is praised for the order in
  which ties happened to come, and one that cannot tell items apart gets the worst that it could show.

One file although it is long: these conventions hold for all of it, and no part needs more than numpy.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ddsim.errors import InvalidRequest

Flags: TypeAlias = NDArray[np.bool_]
Values: TypeAlias = NDArray[np.float64]

# So many steps tell all that a line can, and take a tenth of a second.
_RUNS = 20_000

# ---------------------------------------------------------------------------------------------------------- the hits


def matches(wanted: Sequence[str | None], given: Sequence[str | None]) -> Flags:
    """Whether an item is relevant for a query: both bear the same name, of a category or of a product.

    Args:
        wanted: of the queries; None, for one that has none, matches nothing.
        given: of the items.

    Returns:
        Shape (queries, items).
    """
    numbers = {name: number for number, name in enumerate(dict.fromkeys(wanted)) if name is not None}
    rows = np.array([numbers.get(name, -1) if name is not None else -1 for name in wanted], dtype=np.int64)
    columns = np.array([numbers.get(name, -2) if name is not None else -2 for name in given], dtype=np.int64)
    return np.equal.outer(rows, columns)


def ranking(distances: ArrayLike, relevant: ArrayLike) -> NDArray[np.intp]:
    """The items by distance; among equally near ones the irrelevant first.

    Args:
        distances: shape (q, n). NaN keeps an item from being found (leave-one-out: the query itself); it comes last
            and must not be relevant, so that it is a miss wherever it is counted.
        relevant: shape (q, n), bool.

    Returns:
        Shape (q, n), columns in the order of ranks; ``np.take_along_axis(relevant, order, 1)`` are the hits.

    Raises:
        InvalidRequest: the shapes differ, or an item with distance NaN is relevant.
    """
    far, flags = np.asarray(distances, dtype=np.float64), np.asarray(relevant, dtype=np.bool_)
    if far.ndim != 2 or far.shape != flags.shape:
        raise InvalidRequest(f"ranking: distances {far.shape} and relevant {flags.shape} must be the same (q, n)")
    if np.any(np.isnan(far) & flags):
        raise InvalidRequest("ranking: an item that is not to be found (distance NaN) counts as relevant")
    return np.lexsort((flags, far), axis=-1)


def filtered(hits: ArrayLike, kept: ArrayLike) -> Flags:
    """The hits of the lists in which only some items are shown; the others' places at the end are misses.

    Args:
        hits: shape (q, n).
        kept: shape (q, n), bool, in the order of ranks.
    """
    found, shown = np.asarray(hits, dtype=np.bool_), np.asarray(kept, dtype=np.bool_)
    if found.ndim != 2 or found.shape != shown.shape:
        raise InvalidRequest(f"filtered: hits {found.shape} and kept {shown.shape} must be the same (q, n)")
    return np.take_along_axis(found & shown, np.argsort(~shown, axis=1, kind="stable"), axis=1)


# ------------------------------------------------------------------------------------------------- metrics of a query


def precision_at_k(hits: ArrayLike, relevant: ArrayLike, k: int) -> Values:
    """Which part of the first k is relevant. Where fewer than k items are relevant it cannot reach 1."""
    found, there = _lists("precision_at_k", hits, relevant, k)
    return _unless_lone(found[:, :k].sum(axis=1) / k, there)


def recall_at_k(hits: ArrayLike, relevant: ArrayLike, k: int) -> Values:
    """Which part of the relevant items is among the first k."""
    found, there = _lists("recall_at_k", hits, relevant, k)
    return _unless_lone(found[:, :k].sum(axis=1) / np.maximum(there, 1), there)


def recall_any_at_k(hits: ArrayLike, relevant: ArrayLike, k: int) -> Values:
    """1 where at least one relevant item is among the first k, else 0: the recall@k of metric learning."""
    found, there = _lists("recall_any_at_k", hits, relevant, k)
    return _unless_lone(found[:, :k].any(axis=1).astype(np.float64), there)


def r_precision(hits: ArrayLike, relevant: ArrayLike) -> Values:
    """Which part of the first R is relevant, where R is how many relevant items there are."""
    found, there = _lists("r_precision", hits, relevant)
    ranks = np.arange(1, found.shape[1] + 1)
    return _unless_lone((found & (ranks <= there[:, None])).sum(axis=1) / np.maximum(there, 1), there)


def average_precision(hits: ArrayLike, relevant: ArrayLike) -> Values:
    """The precision at every hit, summed up and divided by R; relevant items that are not in the list add nothing."""
    found, there = _lists("average_precision", hits, relevant)
    return _average_precision(found, there)


def average_precision_at_r(hits: ArrayLike, relevant: ArrayLike) -> Values:
    """The same over the first R ranks only; its mean is MAP@R.

    Musgrave, Belongie and Lim, A Metric Learning Reality Check (2020), as pytorch-metric-learning computes it.
    """
    found, there = _lists("average_precision_at_r", hits, relevant)
    found = found[:, : int(there.max(initial=0))]
    return _average_precision(found & (np.arange(1, found.shape[1] + 1) <= there[:, None]), there)


def top_k_accuracy(probabilities: ArrayLike, actual: ArrayLike, k: int = 1) -> Values:
    """1 where the actual category is among the k most probable, else 0.

    A category that is as probable as others counts as the last of them, one without any probability as not named.

    Args:
        probabilities: shape (q, categories).
        actual: shape (q,), columns; -1 is a category that is not among them, and wrong in any case.
        k: how many.
    """
    table, columns = np.asarray(probabilities, dtype=np.float64), np.asarray(actual, dtype=np.int64)
    fits = table.ndim == 2 and columns.shape == table.shape[:1]
    if k < 1 or not fits or np.any((columns < -1) | (columns >= table.shape[1])):
        raise InvalidRequest(
            f"top_k_accuracy: k={k}, probabilities {table.shape} and actual {columns.shape} do not fit"
        )
    # -1 takes the last column, so that one without any probability is put there.
    own = np.pad(table, ((0, 0), (0, 1)))[np.arange(len(table)), columns]
    as_probable = np.count_nonzero(table >= own[:, None], axis=1)
    return np.asarray((own > 0) & (as_probable <= k), dtype=np.float64)


def routing_loss(hits: ArrayLike, relevant: ArrayLike, kept: ArrayLike, k: int) -> Values:
    """What it costs to show items of one category only: precision@k without that filter minus precision@k with it.

    Args:
        hits: shape (q, n).
        relevant: shape (q,).
        kept: shape (q, n), bool, in the order of ranks: whether the item is of the category searched.
        k: as in :func:`precision_at_k`.

    Returns:
        In [-1, 1]; below 0 where the filter is a gain.
    """
    return precision_at_k(hits, relevant, k) - precision_at_k(filtered(hits, kept), relevant, k)


# ------------------------------------------------------------------------------------------------------------- chance


def chance_precision_at_k(relevant: ArrayLike, items: ArrayLike, k: int) -> Values:
    """The precision@k to be expected of a random order, exactly; with k=1 the R-precision, too.

    Args:
        relevant: how many items are relevant, shape (q,).
        items: how many there are, shape (q,) or one number for all queries.
        k: as in :func:`precision_at_k`.
    """
    there, size = _urns("chance_precision_at_k", relevant, items, k)
    return _unless_lone(there / np.maximum(size, 1) * np.minimum(k, size) / k, there)


def chance_recall_at_k(relevant: ArrayLike, items: ArrayLike, k: int) -> Values:
    """The recall@k to be expected of a random order; arguments as in :func:`chance_precision_at_k`."""
    there, size = _urns("chance_recall_at_k", relevant, items, k)
    return _unless_lone(np.minimum(k, size) / np.maximum(size, 1), there)


def chance_recall_any_at_k(relevant: ArrayLike, items: ArrayLike, k: int) -> Values:
    """How probable a relevant item is among the first k of a random order; arguments as above."""
    there, size = _urns("chance_recall_any_at_k", relevant, items, k)
    missed = np.ones(there.shape)
    for drawn in range(k):
        missed *= np.clip((size - there - drawn) / np.maximum(size - drawn, 1), 0.0, 1.0)
    return _unless_lone(1.0 - missed, there)


def chance_average_precision(relevant: ArrayLike, items: ArrayLike, *, at_r: bool = False) -> Values:
    """The average precision to be expected of a random order, exactly.

    Rank i holds a hit with probability R/n, and a hit there sees 1 + (i-1)(R-1)/(n-1) hits up to it on average.

    Args:
        relevant: as in :func:`chance_precision_at_k`.
        items: likewise.
        at_r: of the first R ranks only, as :func:`average_precision_at_r`.
    """
    there, size = _urns("chance_average_precision", relevant, items)
    ranks = there if at_r else size
    harmonic = np.concatenate(([0.0], np.cumsum(1.0 / np.arange(1, int(ranks.max(initial=0)) + 1))))[ranks]
    others = (there - 1) / np.maximum(size - 1, 1)
    return _unless_lone((harmonic + (ranks - harmonic) * others) / np.maximum(size, 1), there)


# ---------------------------------------------------------------------------------------------------------- intervals


@dataclass(frozen=True, slots=True)
class Interval:
    """A mean and how far it can be trusted.

    Attributes:
        value: the mean over n queries; NaN where there are none.
        low, high: within which it lies; NaN where too few queries say nothing (:func:`bootstrap`).
        n: how many queries it is over.
        excluded: how many had no value: lone ones.
    """

    value: float
    low: float
    high: float
    n: int
    excluded: int

    @property
    def margin(self) -> float:
        """Half the interval's length: the y of x ± y."""
        return (self.high - self.low) / 2

    @property
    def sign(self) -> int:
        """1 where all of the interval is above 0, -1 where it is below, 0 where nothing is decided."""
        return int(self.low > 0) - int(self.high < 0)


def bootstrap(
    values: ArrayLike,
    *,
    units: Sequence[str] | None = None,
    seed: int = 0,
    rounds: int = 2000,
    confidence: float = 0.95,
) -> Interval:
    """The mean with its percentile interval: the queries are drawn again and again, as many as there are.

    With so few of them that their values could all lie on one side of 0 by mere luck (2 / 2^n > 1 - confidence: up to 5
    at 95 %) the interval is NaN, since the method would show certainty there.

    Args:
        values: one a query, shape (q,); NaN ones are excluded.
        units: one a query. Queries of one unit, such as pictures of one product, are no independent witnesses: they
            are drawn together. None: every query is a unit of its own.
        seed: the same one gives the same interval.
        rounds: how often.
        confidence: of the interval.

    Raises:
        InvalidRequest: the arguments do not fit.
    """
    given = _row("bootstrap", values)
    if not 0 < confidence < 1 or rounds < 1 or (units is not None and len(units) != len(given)):
        raise InvalidRequest(f"bootstrap: {confidence=}, {rounds=} or the number of units does not fit")
    known = ~np.isnan(given)
    kept, excluded = given[known], int((~known).sum())
    names = np.arange(len(kept)) if units is None else np.asarray(units, dtype=np.str_)[known]
    numbers = np.unique(names, return_inverse=True)[1]
    sums, sizes = np.bincount(numbers, weights=kept), np.bincount(numbers)
    n, drawn = len(kept), len(sums)
    value = float(kept.mean()) if n else np.nan
    if 2 * 0.5**drawn > 1 - confidence:
        return Interval(value, np.nan, np.nan, n, excluded)
    rng, means = np.random.default_rng(seed), np.empty(rounds)
    for number in range(rounds):
        picks = rng.integers(drawn, size=drawn)
        means[number] = sums[picks].sum() / sizes[picks].sum()
    low, high = np.quantile(means, [(1 - confidence) / 2, (1 + confidence) / 2])
    return Interval(value, float(low), float(high), n, excluded)


def differences(a: ArrayLike, b: ArrayLike) -> Values:
    """How much better b is than a on each query: b - a, NaN where either is.

    ``bootstrap(differences(a, b))`` is the paired bootstrap: b beats a where its ``sign`` is 1.

    Raises:
        InvalidRequest: they are not over the same queries.
    """
    before, after = _row("differences", a), _row("differences", b)
    if before.shape != after.shape:
        raise InvalidRequest(f"differences: {len(before)} and {len(after)} queries cannot be compared in pairs")
    return after - before


def bootstrap_by_group(
    values: ArrayLike,
    groups: Sequence[str],
    *,
    names: Iterable[str] = (),
    units: Sequence[str] | None = None,
    seed: int = 0,
) -> dict[str, Interval]:
    """:func:`bootstrap` of each group's queries, as group -> interval.

    Args:
        values: one a query, shape (q,).
        groups: one a query, such as its category.
        names: groups to tell of even where no query is of them; they come first.
        units: as for :func:`bootstrap`.
        seed: likewise.
    """
    given = _row("bootstrap_by_group", values)
    if len(groups) != len(given) or (units is not None and len(units) != len(given)):
        raise InvalidRequest(f"bootstrap_by_group: {len(given)} queries want as many groups, and units if any")
    rows: dict[str, list[int]] = {name: [] for name in (*names, *groups)}
    for row, group in enumerate(groups):
        rows[group].append(row)
    return {
        group: bootstrap(given[own], units=None if units is None else [units[row] for row in own], seed=seed)
        for group, own in rows.items()
    }


# -------------------------------------------------------------------------------------------------------- calibration


@dataclass(frozen=True, slots=True)
class Calibration:
    """How probable it is that an item at a distance is of the query's category: a line that never rises.

    Attributes:
        distances: of the line's corners, ascending from 0.
        probabilities: there, from 1 downwards; in between lies a straight line, beyond the last corner its value.
        pairs: how many pairs of pictures it was learned from.
    """

    distances: tuple[float, ...]
    probabilities: tuple[float, ...]
    pairs: int

    def __post_init__(self) -> None:
        corners, heights = np.asarray(self.distances), np.asarray(self.probabilities)
        usable = corners.shape == heights.shape and corners.ndim == 1 and corners[:1].tolist() == [0.0]
        # Spelt so that NaN does not pass.
        if not (usable and np.all(np.diff(corners) > 0) and np.all(np.diff(heights) <= 0) and np.isfinite(corners[-1])):
            raise InvalidRequest("calibration: distances must ascend from 0, and probabilities never rise")
        if not (heights[0] == 1.0 and heights[-1] >= 0.0):
            raise InvalidRequest("calibration: probabilities must begin with 1 and stay within [0, 1]")

    def probability(self, distances: ArrayLike) -> Values:
        """Of items at these distances, any shape; 1 at distance 0: that is the same picture."""
        far = np.asarray(distances, dtype=np.float64)
        return np.asarray(np.interp(far, self.distances, self.probabilities), dtype=np.float64)

    def reach(self, floor: float) -> float:
        """The largest distance at which the probability is not yet under a floor in (0, 1].

        Where it falls that far at no distance seen, it is the largest one seen: nothing is known of what lies beyond.
        """
        if not 0 < floor <= 1:
            raise InvalidRequest(f"calibration: floor={floor} must be above 0 and at most 1")
        last = int((np.asarray(self.probabilities) >= floor).sum()) - 1
        if last + 1 == len(self.distances):
            return self.distances[-1]
        (near, far), (high, low) = self.distances[last : last + 2], self.probabilities[last : last + 2]
        return near + (far - near) * (high - floor) / (high - low)


def nearest_pairs(distances: ArrayLike, same: ArrayLike, k: int) -> tuple[Values, Flags]:
    """What to calibrate on, leave-one-out: each picture with the k others that a search for it would show.

    Args:
        distances: shape (q, n); NaN where an item is the query itself, see :func:`ranking`.
        same: shape (q, n), bool: whether both are of one category.
        k: how many others of each picture.

    Returns:
        The pairs' distances and whether they are of one category, both of shape (m,), m at most q times k.
    """
    order = ranking(distances, same)[:, : _positive("nearest_pairs", k)]
    far = np.take_along_axis(np.asarray(distances, dtype=np.float64), order, axis=1).ravel()
    flags = np.take_along_axis(np.asarray(same, dtype=np.bool_), order, axis=1).ravel()
    return far[~np.isnan(far)], flags[~np.isnan(far)]


def calibrate(distances: ArrayLike, same: ArrayLike, *, centred: bool = False) -> Calibration:
    """Learn from pairs how probable one category is at a distance: isotonic regression by pool-adjacent-violators.

    Of all lines that never rise it takes the one with the least squared error: runs of pairs that contradict the order
    are pooled, and every pool gets its share of pairs of one category. Pairs at the same distance are one pool from the
    start. At distance 0 it is 1 whatever was seen, since that is the same picture.

    Args:
        distances: of the pairs, shape (m,); below 0 (rounding) counts as 0.
        same: shape (m,), bool: whether the pair is of one category.
        centred: draw the line from pool to pool, through the middle of each (centred isotonic regression, Oron and
            Flournoy 2017), in place of a step for each pool: it falls all the way, so that what is nearer gets more. n
            pairs without an exception do not make certain: they count as (n + 1) / (n + 2) (Laplace), if the next pool
            has no more. More than 20,000 distances are taken in so many runs of about as many pairs.

    Raises:
        InvalidRequest: there are no pairs, or a distance is not finite.
    """
    far, flags = _row("calibrate", distances), np.asarray(same, dtype=np.bool_)
    if not far.size or far.shape != flags.shape or not np.all(np.isfinite(far)):
        raise InvalidRequest(f"calibrate: {far.shape} distances, all finite, and {flags.shape} flags are no pairs")
    seen, numbers = np.unique(np.maximum(far, 0.0), return_inverse=True)
    sizes, hits = np.bincount(numbers), np.bincount(numbers[flags], minlength=len(seen))
    if centred:
        return _through_centres(seen, sizes, hits)
    corners: dict[float, float] = {0.0: 1.0}
    for first, last, good, size in _pooled(hits.tolist(), sizes.tolist()):
        corners.setdefault(float(seen[first]), good / size)
        corners.setdefault(float(seen[last]), good / size)
    return Calibration(tuple(corners), tuple(corners.values()), far.size)


def _through_centres(seen: Values, sizes: NDArray[np.int64], hits: NDArray[np.int64]) -> Calibration:
    pairs = int(sizes.sum())
    if len(seen) > _RUNS:
        starts = np.unique(np.searchsorted(np.cumsum(sizes), np.linspace(0, pairs, _RUNS, endpoint=False), "right"))
        sums = np.add.reduceat(seen * sizes, starts)
        sizes, hits = np.add.reduceat(sizes, starts), np.add.reduceat(hits, starts)
        seen = sums / sizes
    pools = _pooled(hits.tolist(), sizes.tolist())
    corners: dict[float, float] = {0.0: 1.0}
    for (first, last, good, size), following in zip_longest(pools, pools[1:]):
        pool = slice(first, last + 1)
        # Only the first pool can be without any pair that differs.
        share = good / size if good < size else max(1 - 1 / (size + 2), following[2] / following[3] if following else 0)
        corners.setdefault(float(np.average(seen[pool], weights=sizes[pool])), share)
    return Calibration(tuple(corners), tuple(corners.values()), pairs)


def _pooled(hits: list[int], sizes: list[int]) -> list[tuple[int, int, int, int]]:
    """(first, last, hits, size) of the runs in which these shares never rise."""
    pools: list[tuple[int, int, int]] = []
    for number, (good, size) in enumerate(zip(hits, sizes, strict=True)):
        first = number
        while pools and pools[-1][1] * size <= good * pools[-1][2]:
            first, more, others = pools.pop()
            good, size = good + more, size + others
        pools.append((first, good, size))
    lasts = [first - 1 for first, _, _ in pools[1:]] + [len(hits) - 1]
    return [(first, last, good, size) for (first, good, size), last in zip(pools, lasts, strict=True)]


# ------------------------------------------------------------------------------------------------------------ helpers


def _lists(name: str, hits: ArrayLike, relevant: ArrayLike, k: int = 1) -> tuple[Flags, NDArray[np.int64]]:
    _positive(name, k)
    found, there = np.asarray(hits, dtype=np.bool_), np.asarray(relevant, dtype=np.int64)
    if found.shape == (0,):  # no queries, written as []
        found = found.reshape(0, 0)
    if found.ndim != 2 or there.shape != found.shape[:1]:
        raise InvalidRequest(f"{name}: hits {found.shape} must be (q, n) and relevant {there.shape} (q,)")
    if np.any(found.sum(axis=1) > there):
        query = int(np.argmax(found.sum(axis=1) > there))
        raise InvalidRequest(f"{name}: query {query} has more hits than there are relevant items")
    return found, there


def _urns(name: str, relevant: ArrayLike, items: ArrayLike, k: int = 1) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    _positive(name, k)
    there = np.asarray(relevant, dtype=np.int64)
    try:
        size = np.broadcast_to(np.asarray(items, dtype=np.int64), there.shape)
    except ValueError as error:
        raise InvalidRequest(f"{name}: {error}") from error
    if there.ndim != 1 or np.any(there > size) or np.any(there < 0):
        raise InvalidRequest(f"{name}: relevant must be (q,), and at least 0 and at most items")
    return there, size


def _row(name: str, values: ArrayLike) -> Values:
    row = np.asarray(values, dtype=np.float64)
    if row.ndim != 1:
        raise InvalidRequest(f"{name}: {row.shape} given, expected one number a query (q,)")
    return row


def _positive(name: str, k: int) -> int:
    if k < 1:
        raise InvalidRequest(f"{name}: k={k} must be 1 or more")
    return k


def _average_precision(found: Flags, there: NDArray[np.int64]) -> Values:
    precisions = np.cumsum(found, axis=1) / np.arange(1, found.shape[1] + 1)
    return _unless_lone((precisions * found).sum(axis=1) / np.maximum(there, 1), there)


def _unless_lone(values: ArrayLike, there: NDArray[np.int64]) -> Values:
    return np.where(there > 0, values, np.nan)
