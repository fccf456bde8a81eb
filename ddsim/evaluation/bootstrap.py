"""Means with intervals: queries drawn again and again, alone, in pairs and by group. Pure functions over arrays.

A query without a value (NaN: a *lone* one, for which there is nothing to be found) is left out and counted as excluded.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from ddsim.errors import InvalidRequest
from ddsim.metrics import Values
from ddsim.showing import Value

#: So many units there must be at least: with fewer an interval of 95 % is NaN, see :func:`bootstrap`.
FEWEST = 6


@dataclass(frozen=True, slots=True, repr=False)
class Interval(Value):
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


def _row(name: str, values: ArrayLike) -> Values:
    row = np.asarray(values, dtype=np.float64)
    if row.ndim != 1:
        raise InvalidRequest(f"{name}: {row.shape} given, expected one number a query (q,)")
    return row
