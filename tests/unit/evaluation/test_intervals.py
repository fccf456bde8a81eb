"""The bootstrap of many rows at once: the same as that of one after the other."""

from __future__ import annotations

import numpy as np
import pytest

import ddsim.evaluation.intervals
from ddsim.errors import InvalidRequest
from ddsim.evaluation.bootstrap import Interval, bootstrap, differences
from ddsim.evaluation.intervals import Draws

ROUNDS = 200


def same(one: Interval, other: Interval) -> None:
    """Equal but for rounding."""
    np.testing.assert_allclose(
        [one.value, one.low, one.high], [other.value, other.low, other.high], atol=1e-12, equal_nan=True
    )
    assert (one.n, one.excluded) == (other.n, other.excluded)


@pytest.mark.parametrize("kept", [10**9, 0])
@pytest.mark.parametrize("queries", [3, 6, 40])
def test_the_same_as_one_by_one(queries: int, kept: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every interval and every paired difference is that of ddsim.metrics, whether draws are kept or made in parts."""
    monkeypatch.setattr(ddsim.evaluation.intervals, "_KEPT", kept)
    monkeypatch.setattr(ddsim.evaluation.intervals, "_AT_ONCE", 500)
    rng = np.random.default_rng(queries)
    values = rng.random((3, queries))
    values[:, ::7] = np.nan
    units = [f"unit {number // 2}" for number in range(queries)]
    draws = Draws(units, seed=5, rounds=ROUNDS)
    for row, interval in zip(values, draws.intervals(values), strict=True):
        same(interval, bootstrap(row, units=units, seed=5, rounds=ROUNDS))
    pairs = list(draws.differences(values))
    assert [(a, b) for a, b, _ in pairs] == [(0, 1), (0, 2), (1, 2)]
    for a, b, interval in pairs:
        same(interval, bootstrap(differences(values[a], values[b]), units=units, seed=5, rounds=ROUNDS))


def test_all_pairs_at_once() -> None:
    """The margins grow until no pair is farther from its own difference in 95 of 100 draws; by hand, draw by draw."""
    rng, queries = np.random.default_rng(3), 30
    values = rng.random((4, queries))
    values[3] = values[2]  # the same in every draw: it is not in the way
    draws = Draws([f"{number:02}" for number in range(queries)], seed=5, rounds=ROUNDS)
    margins = {(a, b): found.margin for a, b, found in draws.differences(values)}
    lots, farthest = np.random.default_rng(5), []
    for _ in range(ROUNDS):
        off = values[:, lots.integers(queries, size=queries)].mean(axis=1) - values.mean(axis=1)
        farthest.append(max(abs(off[b] - off[a]) / margin for (a, b), margin in margins.items() if margin))
    assert draws.joint(values) == pytest.approx(np.quantile(farthest, 0.95))
    assert draws.joint(values) > 1


@pytest.mark.parametrize(("rows", "queries"), [(1, 30), (2, 30), (5, 3), (5, 0)])
def test_one_pair_or_too_few_queries(rows: int, queries: int) -> None:
    """A pair alone is as it is, and where nothing can be told nothing grows."""
    values = np.random.default_rng(3).random((rows, queries))
    assert Draws([str(number) for number in range(queries)], rounds=ROUNDS).joint(values) == 1.0


def test_a_group_without_queries() -> None:
    """It has no mean and no interval, and is no error."""
    (interval,) = Draws([]).intervals(np.zeros((1, 0)))
    assert np.isnan([interval.value, interval.low, interval.high]).all()
    assert (interval.n, interval.excluded) == (0, 0)


def test_rows_over_different_queries() -> None:
    """They cannot be compared in pairs."""
    values = np.array([[0.0, 1.0], [0.0, np.nan]])
    with pytest.raises(InvalidRequest, match="same queries"):
        Draws(["a", "b"]).intervals(values)
