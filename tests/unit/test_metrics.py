"""Metrics: hand-worked cases, slow obvious second versions, and scikit-learn where it computes the same."""

import itertools
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ddsim import metrics
from ddsim.errors import InvalidRequest
from ddsim.evaluation.bootstrap import Interval, bootstrap

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
    from sklearn.metrics import average_precision_score

    expected = average_precision_score(hits, range(len(hits), 0, -1))
    assert same(metrics.average_precision([hits], [sum(hits)]), [expected])


@patient
@given(st.integers(1, 3), st.lists(st.permutations(range(1, 5)), min_size=1, max_size=6), st.data())
def test_top_k_accuracy_as_scikit_learn(k: int, rows: list[list[int]], data: st.DataObject) -> None:
    """Without ties, top-k accuracy is scikit-learn's."""
    from sklearn.metrics import top_k_accuracy_score

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


def test_routing_gain() -> None:
    """Right, a filter shows only hits; wrong, none: here it gains 1/2, loses 1/2, and changes nothing."""
    hits = np.array([[True, False, True], [True, False, True], [True, False, True]])
    kept = np.array([[True, False, True], [False, True, False], [True, True, True]])
    assert metrics.filtered(hits, kept).tolist() == [[True, True, False], [False] * 3, [True, False, True]]
    assert same(metrics.routing_gain(hits, [2, 2, 2], kept, 2), [0.5, -0.5, 0])
    assert same(metrics.routing_gain(hits, [2, 2, 2], kept, 1), [0, -1, 0])


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
    ],
)
def test_what_does_not_fit_is_refused(call: Callable[[], object], said: str) -> None:
    """Arguments that cannot be right are an error that names the function and what is wrong."""
    with pytest.raises(InvalidRequest, match=said):
        call()
