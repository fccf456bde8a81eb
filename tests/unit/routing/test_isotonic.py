"""Calibration: hand-worked cases, slow obvious second versions, and scikit-learn where it computes the same."""

import dataclasses
import itertools
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ddsim.errors import InvalidRequest
from ddsim.routing.isotonic import Calibration, calibrate

NAN = math.nan
# A busy machine is no failure.
patient = settings(deadline=None)


def same(found: Any, expected: Any) -> bool:
    """Whether numbers agree up to rounding, NaN with NaN."""
    return np.allclose(np.asarray(found, float), np.asarray(expected, float), rtol=0, atol=1e-12, equal_nan=True)


PAIRS = st.lists(st.tuples(st.integers(1, 6).map(float), st.booleans()), min_size=1, max_size=20)


@patient
@given(PAIRS)
def test_calibration_as_second_version(pairs: list[tuple[float, bool]]) -> None:
    """At the distances seen it is the min-max of means, the closed form of isotonic regression."""
    steps = sorted({far for far, _ in pairs})
    at = [[flag for far, flag in pairs if far == step] for step in steps]

    def mean(first: int, last: int) -> float:
        """The share of one category from one distance to another."""
        return float(np.mean(list(itertools.chain(*at[first : last + 1]))))

    expected = [
        min(max(mean(first, last) for last in range(now, len(at))) for first in range(now + 1))
        for now in range(len(at))
    ]
    assert same(calibrate(*zip(*pairs, strict=True)).probability(steps), expected)


@patient
@given(PAIRS)
def test_calibration_as_scikit_learn(pairs: list[tuple[float, bool]]) -> None:
    """From the nearest distance seen onwards, and beyond the farthest, it is scikit-learn's isotonic regression."""
    from sklearn.isotonic import IsotonicRegression

    far, flags = zip(*pairs, strict=True)
    at = np.linspace(min(far), max(far) + 1, 17)
    theirs = IsotonicRegression(increasing=False, out_of_bounds="clip").fit(far, np.array(flags, float))
    assert same(calibrate(far, flags).probability(at), theirs.predict(at))


def test_hand_worked_calibration() -> None:
    """A pair that contradicts the order is pooled with its neighbours; before the first distance it rises to 1."""
    found = calibrate([4, 1, 2, 3, 5], [False, True, False, True, False])
    assert found == Calibration((0, 1, 2, 3, 4, 5), (1, 1, 0.5, 0.5, 0, 0), 5)
    assert found.probability([0, 1.5, 2.5, 3.5, 99]).tolist() == [1, 0.75, 0.5, 0.25, 0]
    assert (found.reach(1), found.reach(0.75), found.reach(0.5), found.reach(0.25)) == (1, 1.5, 3, 3.5)
    assert same(calibrate([2.0], [False]).probability([[0], [1]]), [[1], [0.5]])


def test_calibration_of_duplicates() -> None:
    """The same picture is of the same category, even where its twin stands in another."""
    found = calibrate([0.0, -1e-9, 1.0], [False, True, True])
    assert found == Calibration((0, 1), (1, 2 / 3), 3)
    assert calibrate([0.0], [False]) == Calibration((0,), (1,), 1)


def test_calibration_that_never_falls() -> None:
    """One category alone is never doubted, but nothing is known beyond the largest distance seen."""
    found = calibrate([1.0, 2.0, 3.0], [True, True, True])
    assert found == Calibration((0, 1, 3), (1, 1, 1), 3)
    assert (found.probability(99).item(), found.reach(0.5)) == (1, 3)


@patient
@given(PAIRS, st.floats(0.01, 1), st.floats(0, 8))
def test_reach_divides_near_from_far(pairs: list[tuple[float, bool]], floor: float, distance: float) -> None:
    """Up to the reach no distance falls under the floor; beyond it all do, as far as distances were seen."""
    found = calibrate(*zip(*pairs, strict=True))
    if distance <= found.reach(floor):
        assert found.probability(distance) >= floor - 1e-9
    elif distance <= found.distances[-1]:
        assert found.probability(distance) <= floor + 1e-9


def test_calibration_survives_storage() -> None:
    """Its fields are all there is to keep."""
    found = calibrate([1.0, 2.0], [True, False])
    assert Calibration(**dataclasses.asdict(found)) == found


@pytest.mark.parametrize(
    ("distances", "probabilities"),
    [
        ((), ()),
        ((0, 1), (1,)),
        ((1, 2), (1, 0)),
        ((0, 2, 1), (1, 1, 1)),
        ((0, 1), (0.5, 0)),
        ((0, 1, 2), (1, 0, 0.5)),
        ((0, 1), (1, -0.5)),
        ((0, NAN), (1, 0)),
        ((0, math.inf), (1, 0)),
        ((0, 1), (1, NAN)),
    ],
)
def test_damaged_calibrations_are_refused(distances: tuple[float, ...], probabilities: tuple[float, ...]) -> None:
    """Corners that are no line which begins with 1 and never rises are an error."""
    with pytest.raises(InvalidRequest, match="calibration"):
        Calibration(distances, probabilities, 5)


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: calibrate([], []), "one flag for each distance"),
        (lambda: calibrate([NAN], [True]), "finite distances"),
        (lambda: calibrate([1.0], [True, False]), "one flag for each distance"),
        (lambda: calibrate([1.0], [True]).reach(0), "floor=0"),
    ],
)
def test_what_does_not_fit_is_refused(call: Callable[[], object], said: str) -> None:
    """Arguments that cannot be right are an error that names the function and what is wrong."""
    with pytest.raises(InvalidRequest, match=said):
        call()


def test_a_centred_line_goes_through_the_middle_of_each_pool() -> None:
    """Pools of 1-2, 3-4 (1 of 2) and 5 (0 of 1): a corner in the middle of each, and it falls in between."""
    found = calibrate([1.0, 2, 3, 4, 5], [True, True, False, True, False], centred=True)
    assert found == Calibration((0, 1.5, 3.5, 5), (1, 0.75, 0.5, 0), 5)
    assert calibrate([2.0], [True], centred=True) == Calibration((0, 2), (1, 1 - 1 / 3), 1)
    assert calibrate([2.0], [False], centred=True) == Calibration((0, 2), (1, 0), 1)
    assert calibrate([0.0, 0.0], [True, False], centred=True) == Calibration((0,), (1,), 2)


@given(st.lists(st.tuples(st.floats(0, 10), st.booleans()), min_size=1, max_size=60))
def test_a_centred_line_never_rises_and_keeps_the_mean(pairs: list[tuple[float, bool]]) -> None:
    """It is a calibration whatever the pairs are, within the highest and lowest share of the stepped one."""
    far, same_ = zip(*pairs, strict=True)
    centred, stepped = calibrate(far, same_, centred=True), calibrate(far, same_)
    assert centred.probabilities[-1] >= min(stepped.probabilities[-1], 1 - 1 / (len(pairs) + 2))
    assert centred.pairs == len(pairs)


def test_many_distances_are_taken_in_runs() -> None:
    """With 50,000 distances the line is still within three hundredths of the true one, 1 - d."""
    far = np.random.default_rng(0).random(50_000)
    line = calibrate(far, np.random.default_rng(1).random(50_000) > far, centred=True)
    at = np.linspace(0.05, 0.95, 19)
    assert np.abs(line.probability(at) - (1 - at)).max() < 0.03
