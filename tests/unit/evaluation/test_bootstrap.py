"""Intervals: a slow obvious second version, promises held by simulation, and hand-worked cases."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ddsim.errors import InvalidRequest
from ddsim.evaluation.bootstrap import FEWEST, Interval, bootstrap, bootstrap_by_group, differences

NAN = math.nan
# A busy machine is no failure.
patient = settings(deadline=None)


def same(found: Any, expected: Any) -> bool:
    """Whether numbers agree up to rounding, NaN with NaN."""
    return np.allclose(np.asarray(found, float), np.asarray(expected, float), rtol=0, atol=1e-12, equal_nan=True)


def slow_bootstrap(values: list[float], rounds: int) -> list[float]:
    """The means of all draws, sorted, with the generator that the real one uses."""
    rng = np.random.default_rng(0)
    draws = [[values[pick] for pick in rng.integers(len(values), size=len(values))] for _ in range(rounds)]
    return sorted(math.fsum(draw) / len(draw) for draw in draws)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.floats(0, 1), min_size=6, max_size=12))
def test_bootstrap_as_second_version(values: list[float]) -> None:
    """An interval's ends lie where 2.5 % of the drawn means are beyond."""
    means, found = slow_bootstrap(values, 41), bootstrap(values, rounds=41)
    assert same([found.value, found.low, found.high], [np.mean(values), means[1], means[39]])
    assert (found.n, found.excluded) == (len(values), 0)


def test_intervals_hold_what_they_promise() -> None:
    """Of 300 samples' 95 % intervals about 95 % hold the true mean."""
    rng = np.random.default_rng(5)
    held = [
        found.low <= 0.3 <= found.high
        for found in (bootstrap(rng.random(60) < 0.3, seed=number, rounds=300) for number in range(300))
    ]
    assert 0.91 <= np.mean(held) <= 0.98


def test_seed_decides() -> None:
    """The same seed gives the same interval, another one hardly."""
    values = np.random.default_rng(1).random(40)
    assert bootstrap(values) == bootstrap(values, seed=0)
    assert bootstrap(values) != bootstrap(values, seed=1)


def test_too_few_queries_decide_nothing() -> None:
    """Five queries that all improve could do so by luck; six hardly. Queries of one product count as one."""
    five, six = bootstrap([1.0] * (FEWEST - 1)), bootstrap([1.0] * FEWEST)
    assert (five.value, five.sign, math.isnan(five.low), math.isnan(five.margin)) == (1, 0, True, True)
    assert (six.low, six.high, six.sign, six.margin) == (1, 1, 1, 0)
    assert bootstrap([1.0] * 6, units=["a", "a", "b", "c", "d", "e"]).sign == 0
    assert bootstrap([1.0] * 6, confidence=0.99).sign == 0
    assert bootstrap([-1.0] * 6).sign == -1


def test_units_are_drawn_together() -> None:
    """Seeing each query twice does not make an interval narrower where both are known to be one."""
    values = np.random.default_rng(2).random(30)
    names = [f"product-{number:02}" for number in range(30)]
    once = bootstrap(values)
    twice = bootstrap(np.repeat(values, 2), units=np.repeat(names, 2).tolist())
    assert same([twice.value, twice.low, twice.high], [once.value, once.low, once.high])
    assert twice.n == 60
    assert bootstrap(np.repeat(values, 2)).margin < 0.8 * once.margin


def test_queries_weigh_the_same_whatever_their_units() -> None:
    """Drawing units, the mean stays one over queries: a product with many of them counts for as many."""
    values, names = [0.0] * 99 + [1.0] * 9, ["a"] * 99 + list("bcdefghij")
    found, rng = bootstrap(values, units=names, rounds=41), np.random.default_rng(0)
    large = [(rng.integers(10, size=10) == 0).sum() for _ in range(41)]
    means = sorted((10 - times) / (10 - times + 99 * times) for times in large)
    assert same([found.low, found.high], [means[1], means[39]])


def test_pairs() -> None:
    """Pairing finds a small gain that the two means alone would hide, in either direction, and none where none is."""
    rng = np.random.default_rng(3)
    a = rng.random(80)
    b = a + 0.02 + 0.01 * rng.normal(size=80)
    gain, loss = bootstrap(differences(a, b)), bootstrap(differences(b, a))
    assert (gain.sign, loss.sign) == (1, -1)
    assert same([gain.value, gain.low, gain.high], [-loss.value, -loss.high, -loss.low])
    assert bootstrap(a).high > bootstrap(b).low
    assert bootstrap(differences(a, a)) == Interval(0, 0, 0, 80, 0)


def test_pairs_without_a_value() -> None:
    """A query that has no value in one of two configurations is excluded from their comparison."""
    found = bootstrap(differences([1, NAN, 0.5, 0], [0, 1, NAN, 1]))
    assert (found.value, found.n, found.excluded) == (0, 2, 2)


def test_groups() -> None:
    """Each group has the interval of its own queries; a group without queries is told of, with none."""
    values, groups = [0.0, 0.9, NAN, 0.25, 0.8, 0.3, 0.2, 0.1, 0.5], ["b", "a", "a", "b", "a", "a", "a", "a", "a"]
    found = bootstrap_by_group(values, groups, names=["none", "a"], seed=4)
    assert list(found) == ["none", "a", "b"]
    assert found["a"] == bootstrap([0.9, NAN, 0.8, 0.3, 0.2, 0.1, 0.5], seed=4)
    assert found["a"] != bootstrap([0.9, NAN, 0.8, 0.3, 0.2, 0.1, 0.5])
    assert (found["a"].n, found["a"].excluded) == (6, 1)
    assert (found["b"].value, found["none"].n, math.isnan(found["none"].value)) == (0.125, 0, True)
    units = bootstrap_by_group(values, groups, units=list("123344455"))
    assert math.isnan(units["a"].low)


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: bootstrap([[1.0]]), "one number a query"),
        (lambda: bootstrap([1.0], units=["a", "b"]), "units"),
        (lambda: bootstrap([1.0], confidence=1), "confidence=1"),
        (lambda: bootstrap([1.0], rounds=0), "rounds=0"),
        (lambda: differences([1], [1, 2]), "1 and 2 queries"),
        (lambda: bootstrap_by_group([1.0], []), "as many groups"),
        (lambda: bootstrap_by_group([1.0], ["a"], units=[]), "units"),
    ],
)
def test_what_does_not_fit_is_refused(call: Callable[[], object], said: str) -> None:
    """Arguments that cannot be right are an error that names the function and what is wrong."""
    with pytest.raises(InvalidRequest, match=said):
        call()
