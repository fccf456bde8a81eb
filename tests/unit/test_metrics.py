"""Metrics: hand-worked cases, slow obvious second versions, and scikit-learn where it computes the same."""

import dataclasses
import itertools
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.isotonic import IsotonicRegression
from sklearn.metrics import average_precision_score, top_k_accuracy_score

from ddsim import metrics
from ddsim.errors import InvalidRequest
from ddsim.metrics import Calibration, Interval, bootstrap, calibrate

NAN = math.nan
# A busy machine is no failure.
patient = settings(deadline=None)


def same(found: Any, expected: Any) -> bool:
    """Whether numbers agree up to rounding, NaN with NaN."""
    return np.allclose(np.asarray(found, float), np.asarray(expected, float), rtol=0, atol=1e-12, equal_nan=True)


@st.composite
def searches(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray]:
    """(hits, relevant) of up to five queries; some are lone, some relevant items are not in the list."""
    queries, items = draw(st.integers(0, 5)), draw(st.integers(0, 8))
    flags = st.lists(st.booleans(), min_size=items, max_size=items)
    hits = np.array([draw(flags) for _ in range(queries)], bool).reshape(queries, items)
    return hits, hits.sum(axis=1) + np.array([draw(st.integers(0, 3)) for _ in range(queries)], int)


# Slow second versions, as their definitions read.


def slow_precision(hits: list[bool], _: int, k: int) -> float:
    """How many of the first k places hold a hit, a k-th each."""
    return sum(1 / k for place in range(k) if place < len(hits) and hits[place])


def slow_recall(hits: list[bool], relevant: int, k: int) -> float:
    """How many of the relevant items are among the first k."""
    return len([hit for hit in hits[:k] if hit]) / relevant


def slow_recall_any(hits: list[bool], _: int, k: int) -> float:
    """Whether a hit is among the first k."""
    return float(True in hits[:k])


def slow_r_precision(hits: list[bool], relevant: int, _: int) -> float:
    """Precision at R."""
    return slow_precision(hits, relevant, relevant)


def slow_average_precision(hits: list[bool], relevant: int, _: int) -> float:
    """Sum of the precision at every hit, over R."""
    return sum(slow_precision(hits, relevant, rank) for rank in range(1, len(hits) + 1) if hits[rank - 1]) / relevant


def slow_average_precision_at_r(hits: list[bool], relevant: int, k: int) -> float:
    """The same of a list that is cut off at R."""
    return slow_average_precision(hits[:relevant], relevant, k)


@pytest.mark.parametrize(
    ("fast", "slow"),
    [
        (metrics.precision_at_k, slow_precision),
        (metrics.recall_at_k, slow_recall),
        (metrics.recall_any_at_k, slow_recall_any),
        (lambda hits, relevant, _: metrics.r_precision(hits, relevant), slow_r_precision),
        (lambda hits, relevant, _: metrics.average_precision(hits, relevant), slow_average_precision),
        (lambda hits, relevant, _: metrics.average_precision_at_r(hits, relevant), slow_average_precision_at_r),
    ],
)
@patient
@given(search=searches(), k=st.integers(1, 12))
def test_same_as_second_version(
    fast: Callable[..., np.ndarray],
    slow: Callable[[list[bool], int, int], float],
    search: tuple[np.ndarray, np.ndarray],
    k: int,
) -> None:
    """Every metric agrees with its definition, for lists shorter than k and lone queries, too."""
    rows = zip(search[0].tolist(), search[1].tolist(), strict=True)
    assert same(fast(*search, k), [slow(hits, relevant, k) if relevant else NAN for hits, relevant in rows])


@patient
@given(hits=st.lists(st.booleans(), min_size=1, max_size=12).filter(any))
def test_average_precision_as_scikit_learn(hits: list[bool]) -> None:
    """Of a whole list without ties, average precision is scikit-learn's."""
    expected = average_precision_score(hits, range(len(hits), 0, -1))
    assert same(metrics.average_precision([hits], [sum(hits)]), [expected])


@patient
@given(st.integers(1, 3), st.lists(st.permutations(range(1, 5)), min_size=1, max_size=6), st.data())
def test_top_k_accuracy_as_scikit_learn(k: int, rows: list[list[int]], data: st.DataObject) -> None:
    """Without ties, top-k accuracy is scikit-learn's."""
    actual = [data.draw(st.integers(0, 3)) for _ in rows]
    expected = top_k_accuracy_score(actual, rows, k=k, labels=range(4))
    assert same(metrics.top_k_accuracy(rows, actual, k).mean(), expected)


def test_hand_worked_search() -> None:
    """Hits at ranks 1, 3 and 4 of a list of four, with five relevant items in all."""
    search = ([[True, False, True, True]], [5])
    assert same(metrics.precision_at_k(*search, 1), [1])
    assert same(metrics.precision_at_k(*search, 3), [2 / 3])
    assert same(metrics.precision_at_k(*search, 10), [3 / 10])
    assert same(metrics.recall_at_k(*search, 3), [2 / 5])
    assert same(metrics.recall_at_k(*search, 10), [3 / 5])
    assert same(metrics.recall_any_at_k(*search, 1), [1])
    assert same(metrics.r_precision(*search), [3 / 5])
    assert same(metrics.average_precision(*search), [(1 + 2 / 3 + 3 / 4) / 5])
    assert same(metrics.average_precision_at_r(*search), [(1 + 2 / 3 + 3 / 4) / 5])
    assert same(metrics.average_precision_at_r([[False, True, True]], [2]), [(1 / 2) / 2])


@pytest.mark.parametrize("hits", [[], np.zeros((0, 7), bool)])
def test_no_queries(hits: Any) -> None:
    """No queries give no numbers, and a mean over none that says so."""
    for values in (metrics.precision_at_k(hits, [], 5), metrics.average_precision_at_r(hits, [])):
        assert values.shape == (0,)
        assert str(bootstrap(values)) == str(Interval(NAN, NAN, NAN, 0, 0))


def test_lone_queries_are_excluded_and_counted() -> None:
    """A query of a category without other items has no value, and the mean is over the rest."""
    values = metrics.precision_at_k([[True, False], [False, False], [False, False]], [1, 0, 3], 2)
    assert same(values, [0.5, NAN, 0])
    mean = bootstrap(values)
    assert (mean.value, mean.n, mean.excluded) == (0.25, 2, 1)


def test_matches() -> None:
    """Names match their like; a query or an item without a name matches nothing, not even another without."""
    found = metrics.matches(["lamp", None, "sofa"], ["sofa", "lamp", None, "bed"])
    assert found.tolist() == [[False, True, False, False], [False] * 4, [True, False, False, False]]
    assert metrics.matches([], ["x"]).shape == (0, 1)


# Ranking and ties.


def ranked(distances: Sequence[Sequence[float]], relevant: Sequence[Sequence[bool]]) -> list[list[bool]]:
    """The hits of a ranking."""
    order = metrics.ranking(distances, relevant)
    return np.take_along_axis(np.asarray(relevant), order, 1).tolist()


def test_ties_do_not_help() -> None:
    """Among equally near items the irrelevant come first; who cannot tell items apart has no precision at all."""
    assert ranked([[0.5, 0.1, 0.5, 0.5]], [[True, True, False, True]]) == [[True, False, True, True]]
    hits = ranked([[1.0] * 4], [[True, False, True, False]])
    assert same(metrics.precision_at_k(hits, [2], 2), [0])


@patient
@given(st.lists(st.tuples(st.sampled_from([0.0, 0.5, 1.0, math.inf]), st.booleans()), max_size=7), st.randoms())
def test_order_of_the_items_does_not_matter(items: list[tuple[float, bool]], random: Any) -> None:
    """The hits are the same however the items were ordered before."""
    mixed = random.sample(items, len(items))
    both = [ranked([[far for far, _ in row]], [[flag for _, flag in row]]) for row in (items, mixed)]
    assert both[0] == both[1]


@patient
@given(st.lists(st.tuples(st.integers(0, 3), st.booleans()), min_size=1, max_size=7), st.data())
def test_leave_one_out(items: list[tuple[int, bool]], data: st.DataObject) -> None:
    """An item at distance NaN changes no metric, as if it were not there."""
    own = data.draw(st.integers(0, len(items)))
    far, flags = [float(far) for far, _ in items], [flag for _, flag in items]
    without = ranked([far], [flags])
    with_it = ranked([[*far[:own], NAN, *far[own:]]], [[*flags[:own], False, *flags[own:]]])
    for metric in (metrics.average_precision, metrics.r_precision, metrics.average_precision_at_r):
        assert same(metric(with_it, [sum(flags)]), metric(without, [sum(flags)]))


# Routing.


def test_routing_loss() -> None:
    """Right, a filter shows only hits; wrong, none: here it gains 1/2, loses 1/2, and changes nothing."""
    hits = np.array([[True, False, True], [True, False, True], [True, False, True]])
    kept = np.array([[True, False, True], [False, True, False], [True, True, True]])
    assert metrics.filtered(hits, kept).tolist() == [[True, True, False], [False] * 3, [True, False, True]]
    assert same(metrics.routing_loss(hits, [2, 2, 2], kept, 2), [-0.5, 0.5, 0])
    assert same(metrics.routing_loss(hits, [2, 2, 2], kept, 1), [0, 1, 0])


@patient
@given(searches(), st.integers(1, 9), st.randoms())
def test_filtered_lists(search: tuple[np.ndarray, np.ndarray], k: int, random: Any) -> None:
    """A filtered list is the shown items in their order, then misses."""
    hits = search[0]
    kept = np.array([[random.random() < 0.5 for _ in row] for row in hits], bool).reshape(hits.shape)
    for row, shown, found in zip(hits.tolist(), kept.tolist(), metrics.filtered(hits, kept).tolist(), strict=True):
        left = list(itertools.compress(row, shown))
        assert found == left + [False] * (len(row) - len(left))


def test_top_k_accuracy_of_ties_and_unnamed_categories() -> None:
    """Equally probable categories count as the last of them; unnamed and unknown ones are wrong, however large k is."""
    table = [[0.4, 0.4, 0.2], [0.4, 0.4, 0.2], [1, 0, 0], [0, 0, 0], [0.5, 0.3, 0.2], [NAN, 0.1, 0]]
    actual = [0, 2, 1, 0, -1, 1]
    assert metrics.top_k_accuracy(table, actual, 1).tolist() == [0, 0, 0, 0, 0, 1]
    assert metrics.top_k_accuracy(table, actual, 2).tolist() == [1, 0, 0, 0, 0, 1]
    assert metrics.top_k_accuracy(table, actual, 9).tolist() == [1, 1, 0, 0, 0, 1]
    assert metrics.top_k_accuracy(np.zeros((2, 0)), [-1, -1]).tolist() == [0, 0]
    assert metrics.top_k_accuracy(np.zeros((0, 3)), []).shape == (0,)


# Chance.


@pytest.mark.parametrize("k", [1, 3, 9])
@pytest.mark.parametrize(("relevant", "items"), [(1, 1), (1, 5), (3, 6), (4, 4), (2, 7)])
def test_chance_is_the_mean_over_all_orders(relevant: int, items: int, k: int) -> None:
    """Every chance level is its metric's mean over all places that the relevant items can have."""
    places = list(itertools.combinations(range(items), relevant))
    hits = np.array([[rank in chosen for rank in range(items)] for chosen in places])
    search = (hits, [relevant] * len(places))
    one = ([relevant], items)
    assert same(metrics.chance_precision_at_k(*one, k), metrics.precision_at_k(*search, k).mean())
    assert same(metrics.chance_precision_at_k(*one, 1), metrics.r_precision(*search).mean())
    assert same(metrics.chance_recall_at_k(*one, k), metrics.recall_at_k(*search, k).mean())
    assert same(metrics.chance_recall_any_at_k(*one, k), metrics.recall_any_at_k(*search, k).mean())
    assert same(metrics.chance_average_precision(*one), metrics.average_precision(*search).mean())
    assert same(metrics.chance_average_precision(*one, at_r=True), metrics.average_precision_at_r(*search).mean())


def test_chance_of_lone_queries_and_empty_catalogues() -> None:
    """Who cannot succeed has no chance level either, and different queries may have different catalogues."""
    for level in (metrics.chance_precision_at_k, metrics.chance_recall_at_k, metrics.chance_recall_any_at_k):
        assert same(level([0, 0, 2], [0, 4, 4], 1), [NAN, NAN, 0.25 if level is metrics.chance_recall_at_k else 0.5])
    assert same(metrics.chance_average_precision([0, 1], [0, 1]), [NAN, 1])
    assert metrics.chance_average_precision([], 5).shape == (0,)


# Intervals.


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
    five, six = bootstrap([1.0] * 5), bootstrap([1.0] * 6)
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
    gain, loss = bootstrap(metrics.differences(a, b)), bootstrap(metrics.differences(b, a))
    assert (gain.sign, loss.sign) == (1, -1)
    assert same([gain.value, gain.low, gain.high], [-loss.value, -loss.high, -loss.low])
    assert bootstrap(a).high > bootstrap(b).low
    assert bootstrap(metrics.differences(a, a)) == Interval(0, 0, 0, 80, 0)


def test_pairs_without_a_value() -> None:
    """A query that has no value in one of two configurations is excluded from their comparison."""
    found = bootstrap(metrics.differences([1, NAN, 0.5, 0], [0, 1, NAN, 1]))
    assert (found.value, found.n, found.excluded) == (0, 2, 2)


def test_groups() -> None:
    """Each group has the interval of its own queries; a group without queries is told of, with none."""
    values, groups = [0.0, 0.9, NAN, 0.25, 0.8, 0.3, 0.2, 0.1, 0.5], ["b", "a", "a", "b", "a", "a", "a", "a", "a"]
    found = metrics.bootstrap_by_group(values, groups, names=["none", "a"], seed=4)
    assert list(found) == ["none", "a", "b"]
    assert found["a"] == bootstrap([0.9, NAN, 0.8, 0.3, 0.2, 0.1, 0.5], seed=4)
    assert found["a"] != bootstrap([0.9, NAN, 0.8, 0.3, 0.2, 0.1, 0.5])
    assert (found["a"].n, found["a"].excluded) == (6, 1)
    assert (found["b"].value, found["none"].n, math.isnan(found["none"].value)) == (0.125, 0, True)
    units = metrics.bootstrap_by_group(values, groups, units=list("123344455"))
    assert math.isnan(units["a"].low)


# Calibration.

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


def test_nearest_pairs() -> None:
    """Each picture gives its nearest others, never itself; of equally near ones those of other categories first."""
    far = [[NAN, 2, 1, 2], [2, NAN, 3, 4]]
    pairs = metrics.nearest_pairs(far, [[False, True, False, False], [True, False, False, True]], 2)
    assert [part.tolist() for part in pairs] == [[1, 2, 2, 3], [False, False, True, False]]
    assert [part.shape for part in metrics.nearest_pairs([[NAN]], [[False]], 3)] == [(0,), (0,)]
    assert metrics.nearest_pairs(far, np.zeros((2, 4), bool), 9)[0].shape == (6,)


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
        (lambda: metrics.precision_at_k([[True]], [1], 0), "precision_at_k: k=0 must be 1 or more"),
        (lambda: metrics.recall_at_k([[True]], [1, 1], 1), r"recall_at_k: hits \(1, 1\)"),
        (lambda: metrics.r_precision([True, False], [1, 1]), r"must be \(q, n\)"),
        (lambda: metrics.average_precision([[False], [True]], [0, 0]), "query 1 has more hits"),
        (lambda: metrics.ranking([[1.0]], [[True, False]]), "must be the same"),
        (lambda: metrics.ranking([[NAN]], [[True]]), "not to be found"),
        (lambda: metrics.filtered([[True]], [[True, False]]), "must be the same"),
        (lambda: metrics.top_k_accuracy([[0.5, 0.5]], [2]), "do not fit"),
        (lambda: metrics.top_k_accuracy([[0.5, 0.5]], [-2]), "do not fit"),
        (lambda: metrics.top_k_accuracy([[0.5, 0.5]], [0], 0), "k=0"),
        (lambda: metrics.chance_precision_at_k([3], 2, 1), "at most items"),
        (lambda: metrics.chance_recall_at_k([1, 2], [2, 2, 2], 1), "chance_recall_at_k: "),
        (lambda: metrics.chance_recall_any_at_k([1], 2, 0), "k=0"),
        (lambda: bootstrap([[1.0]]), "one number a query"),
        (lambda: bootstrap([1.0], units=["a", "b"]), "units"),
        (lambda: bootstrap([1.0], confidence=1), "confidence=1"),
        (lambda: bootstrap([1.0], rounds=0), "rounds=0"),
        (lambda: metrics.differences([1], [1, 2]), "1 and 2 queries"),
        (lambda: metrics.bootstrap_by_group([1.0], []), "as many groups"),
        (lambda: metrics.bootstrap_by_group([1.0], ["a"], units=[]), "units"),
        (lambda: calibrate([], []), "no pairs"),
        (lambda: calibrate([NAN], [True]), "all finite"),
        (lambda: calibrate([1.0], [True, False]), "no pairs"),
        (lambda: calibrate([1.0], [True]).reach(0), "floor=0"),
        (lambda: metrics.nearest_pairs([[1.0]], [[True]], 0), "k=0"),
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
