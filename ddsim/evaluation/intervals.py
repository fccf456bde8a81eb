"""The bootstrap of ddsim/evaluation/bootstrap.py for many rows of values at once: every row sees the same draws.

Under one draw the difference of two means is the mean of the differences, so that all pairs of rows can be compared for
the price of the rows. One by one, a matrix of a hundred configurations would take an hour.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from ddsim.errors import InvalidRequest
from ddsim.evaluation.bootstrap import Interval
from ddsim.metrics import Flags, Values

_TAILS = (0.025, 0.975)
# So many cells of draws are worth keeping between two measures, and so many are made at a time: 32 and 128 MB.
_KEPT, _AT_ONCE = 4_000_000, 16_000_000


class Draws:
    """The same queries, drawn again and again.

    Args:
        units: of the queries, see :func:`ddsim.evaluation.bootstrap.bootstrap`.
        seed: likewise.
        rounds: how often.
    """

    def __init__(self, units: Sequence[str], *, seed: int = 0, rounds: int = 2000) -> None:
        self._units = np.asarray(units, dtype=np.str_)
        self._seed = seed
        self._rounds = rounds
        self._known: dict[bytes, list[NDArray[np.float64]]] = {}

    def intervals(self, values: Values) -> list[Interval]:
        """The mean of each row with its interval, as :func:`ddsim.evaluation.bootstrap.bootstrap` gives it.

        Args:
            values: shape (rows, q); NaN queries are excluded, the same ones in all rows.

        Raises:
            InvalidRequest: other ones.
        """
        kept = self._kept(values)
        low, high = _edges(self._means(values, kept))
        return [_interval(row, low[place], high[place], kept) for place, row in enumerate(values)]

    def differences(self, values: Values) -> Iterator[tuple[int, int, Interval]]:
        """Every pair of rows, a before b: (a, b, how much larger b is), paired by query; otherwise as above."""
        kept = self._kept(values)
        means = self._means(values, kept)
        for a in range(len(values) - 1):
            low, high = _edges(means[:, a + 1 :] - means[:, [a]])
            for place, b in enumerate(range(a + 1, len(values))):
                yield a, b, _interval(values[b] - values[a], low[place], high[place], kept)

    def joint(self, values: Values) -> float:
        """By how much the margins of all pairs of rows must grow so that all pairs hold at once, with the same 95 %.

        In each draw the pair counts that is farthest from its own difference, in margins (max statistic). 1 where there
        is one pair alone, or too few units say nothing.

        Args:
            values: as for :meth:`differences`.
        """
        kept = self._kept(values)
        means = self._means(values, kept)
        if len(values) < 3 or np.isnan(means).any():
            return 1.0
        off = means - values[:, kept].mean(axis=1)
        farthest = np.zeros(len(means))
        for a in range(len(values) - 1):
            low, high = _edges(means[:, a + 1 :] - means[:, [a]])
            apart, margin = np.abs(off[:, a + 1 :] - off[:, [a]]), (high - low) / 2
            differing = margin > 0
            farthest = np.maximum(farthest, (apart[:, differing] / margin[differing]).max(axis=1, initial=0.0))
        return max(1.0, float(np.quantile(farthest, _TAILS[1] - _TAILS[0])))

    def _kept(self, values: Values) -> Flags:
        known = ~np.isnan(values)
        if values.ndim != 2 or values.shape[1] != len(self._units) or np.any(known != known[:1]):
            raise InvalidRequest(f"bootstrap: {values.shape} values, and not all over the same queries")
        return np.asarray(known.all(axis=0), dtype=np.bool_)

    def _means(self, values: Values, kept: Flags) -> Values:
        """The mean of each row under each draw, shape (rounds, rows); NaN where too few units say nothing."""
        numbers = np.unique(self._units[kept], return_inverse=True)[1]
        sizes = np.bincount(numbers).astype(np.float64)
        if 2 * 0.5 ** len(sizes) > _TAILS[0] + 1 - _TAILS[1]:
            return np.full((1, len(values)), np.nan)
        sums = np.stack([np.bincount(numbers, weights=row[kept]) for row in values], axis=1)
        parts = [(counts @ sums) / (counts @ sizes)[:, None] for counts in self._draws(kept, len(sizes))]
        return np.concatenate(parts)

    def _draws(self, kept: Flags, drawn: int) -> list[NDArray[np.float64]] | Iterator[NDArray[np.float64]]:
        """How often each unit is drawn in each round, shape (rounds, units), in parts."""
        if self._rounds * drawn > _KEPT:
            return self._drawn(drawn)
        key = kept.tobytes()
        if key not in self._known:
            self._known[key] = list(self._drawn(drawn))
        return self._known[key]

    def _drawn(self, drawn: int) -> Iterator[NDArray[np.float64]]:
        rng = np.random.default_rng(self._seed)
        left = self._rounds
        while left:
            rounds = min(left, max(1, _AT_ONCE // drawn))
            yield np.stack(
                [np.bincount(rng.integers(drawn, size=drawn), minlength=drawn) for _ in range(rounds)]
            ).astype(np.float64)
            left -= rounds


def _edges(means: Values) -> tuple[Values, Values]:
    if np.isnan(means).any():
        nowhere = np.full(means.shape[1], np.nan)
        return nowhere, nowhere
    low, high = np.quantile(means, _TAILS, axis=0)
    return low, high


def _interval(values: Values, low: float, high: float, kept: Flags) -> Interval:
    n = int(kept.sum())
    value = float(values[kept].mean()) if n else float("nan")
    return Interval(value, float(low), float(high), n, len(kept) - n)
