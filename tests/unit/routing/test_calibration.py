"""ddsim.routing.calibration: what a catalogue teaches about its own distances, by hand and in general."""

from __future__ import annotations

import json
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from ddsim import InvalidRequest
from ddsim.routing.calibration import Learned, best_weight, learn, leave_one_out_votes, pairwise
from ddsim.routing.isotonic import Calibration

Matrix = NDArray[np.float64]
STRAIGHT = Calibration((0.0, 10.0), (1.0, 0.0), 1)


def line_of(places: Sequence[float]) -> Matrix:
    """The distances between points on a line, the diagonal NaN."""
    far = np.abs(np.subtract.outer(np.array(places, float), np.array(places, float)))
    np.fill_diagonal(far, np.nan)
    return far


def clusters(
    per_cluster: int, apart: float, dimension: int = 16, seed: int = 0
) -> tuple[NDArray[np.float32], list[str]]:
    """Two Gaussian clouds of category a and b, their centres so many standard deviations apart."""
    chance = np.random.default_rng(seed)
    centre = np.zeros(dimension)
    centre[0] = apart
    vectors = np.concatenate([chance.normal(size=(per_cluster, dimension)) + place for place in (0 * centre, centre)])
    return vectors.astype(np.float32), ["a"] * per_cluster + ["b"] * per_cluster


# Distances


def test_pairwise_l2_by_hand() -> None:
    """Squared and divided by the number of values, as the server's own (recordings/wire/21-sim-index-search)."""
    found = pairwise(np.array([[0, 0], [3, 4], [0, 4]], np.float32), "l2")
    assert found == pytest.approx(np.array([[np.nan, 12.5, 8], [12.5, np.nan, 4.5], [8, 4.5, np.nan]]), nan_ok=True)


def test_pairwise_cosine_by_hand() -> None:
    """1 minus the cosine, whatever the lengths; a vector of zeros is at a right angle to all, even to another one."""
    found = pairwise(np.array([[1, 0], [5, 0], [0, 2], [-1, 0], [0, 0], [0, 0]], np.float32), "cosine")
    assert found[0, 1:].tolist() == pytest.approx([0, 1, 2, 1, 1])
    assert found[4, 5] == 1
    assert np.isnan(np.diag(found)).all()


@pytest.mark.parametrize("metric", ["l2", "cosine"])
def test_pairwise_is_as_a_loop_has_it(metric: str) -> None:
    """The same as pair by pair, never below 0, and 0 for twins but for rounding."""
    rows = np.random.default_rng(0).normal(size=(12, 7)).astype(np.float32)
    rows[5] = rows[2]
    found = pairwise(rows, metric)  # type: ignore[arg-type]
    for one in range(12):
        for other in set(range(12)) - {one}:
            a, b = rows[one].astype(float), rows[other].astype(float)
            by_hand = np.mean((a - b) ** 2) if metric == "l2" else 1 - a @ b / np.linalg.norm(a) / np.linalg.norm(b)
            assert found[one, other] == pytest.approx(by_hand, abs=1e-9)
    assert np.nanmin(found) >= 0
    assert found[2, 5] < 1e-9


# Learning, by hand


def test_four_items_by_hand() -> None:
    """Pairs at 1 and 2 are of one category, at 7, 8, 9 and 10 of two: certain up to Laplace, then not at all.

    Two of two count as 3/4, in the middle of their pool; the other pool is around 8.5.
    """
    learned = learn(line_of([0, 1, 10, 8]), ["a", "a", "b", "b"])
    assert learned.line == Calibration((0, 1.5, 8.5), (1, 0.75, 0), 6)
    assert (learned.reach, learned.floor, learned.weight) == (None, None, None)  # too few to tell
    assert (learned.items, learned.classified) == (4, 0)


def test_votes_by_hand() -> None:
    """Each item's votes are the others', 1 - d/10 for each, as many as may vote."""
    far, categories = line_of([0, 1, 4, 5]), ["a", "a", "b", "b"]
    voted = leave_one_out_votes(far, categories, STRAIGHT, 2)
    # Of the item at 0: a at 1 has 0.9, b at 4 has 0.6; together 0.9.
    assert voted[0] == pytest.approx({"a": 0.9 * 0.9 / 1.5, "b": 0.9 * 0.6 / 1.5})
    # Of the item at 4: b at 5 has 0.9, a at 1 has 0.7.
    assert voted[2] == pytest.approx({"b": 0.9 * 0.9 / 1.6, "a": 0.9 * 0.7 / 1.6})
    assert [list(one) for one in leave_one_out_votes(far, categories, STRAIGHT, 1)] == [["a"], ["a"], ["b"], ["b"]]
    assert leave_one_out_votes(far, categories, STRAIGHT, 99) == leave_one_out_votes(far, categories, STRAIGHT, 3)


def test_nobody_votes_for_oneself() -> None:
    """A lone item of its category gets no vote for it."""
    for shares in leave_one_out_votes(line_of([0, 1, 2]), ["a", "b", "c"], STRAIGHT, 15):
        assert len(shares) == 2
    assert "a" not in leave_one_out_votes(line_of([0, 1, 2]), ["a", "b", "c"], STRAIGHT, 15)[0]


@pytest.mark.parametrize(("count", "known"), [(19, False), (20, True)])
def test_few_items_rule_nothing_out(count: int, known: bool) -> None:
    """Below 20 items there is no reach and no floor; from 20 on there are."""
    places = [group + number / 100 for number in range(count // 2) for group in (0, 50)]
    learned = learn(line_of([*places, 0.5][:count]), (["a", "b"] * count)[:count])
    assert (learned.reach is not None, learned.floor is not None) == (known, known)
    assert learned.line is not None


def test_reach_is_the_distance_of_the_loneliest() -> None:
    """Of 100 the farthest from its nearest one sets the reach; of 300, the three farthest may be told 'nothing'."""
    learned = learn(line_of([*range(99), 105]), ["a", "b"] * 50)
    assert learned.reach == 7
    learned = learn(line_of([*range(296), 302, 310, 320, 332]), ["a", "b"] * 150)
    assert learned.reach is not None
    nearest = np.nanmin(line_of([*range(296), 302, 310, 320, 332]), axis=1)
    assert (nearest > learned.reach).sum() in (2, 3)


def test_the_floor_counts_those_that_are_routed_right() -> None:
    """99 of 100 of the items whose vote is right have at least the floor; those that are wrong do not matter."""
    vectors, categories = clusters(60, 4.0)
    far = pairwise(vectors, "l2")
    learned = learn(far, categories)
    assert learned.line is not None
    assert learned.floor is not None
    voted = leave_one_out_votes(far, categories, learned.line, 15)
    right = [one[name] for one, name in zip(voted, categories, strict=True) if next(iter(one)) == name]
    assert learned.floor in right
    assert sum(share < learned.floor for share in right) <= 0.01 * len(right)


# One category, few, none


@pytest.mark.parametrize("count", [0, 1])
def test_fewer_than_two_items_teach_nothing(count: int) -> None:
    """Nothing at all, and no error."""
    assert learn(np.full((count, count), np.nan), ["a"] * count) == Learned(None, None, None, None, count, 0)


@pytest.mark.parametrize("categories", [["a", "a"], ["a", "b"]])
def test_two_items(categories: list[str]) -> None:
    """One pair gives a line that falls; the same picture stays certain."""
    learned = learn(line_of([0, 3]), categories)
    assert learned.line is not None
    assert learned.line.pairs == 1
    assert learned.line.probability([0, 1.5]).tolist()[0] == 1
    assert np.all(np.diff(learned.line.probability([0, 1.5, 3])) < 0)


def test_one_category_alone() -> None:
    """The score then is the share of pairs that are farther apart, as if one more were farthest of all."""
    learned = learn(line_of([0, 1, 3]), ["a"] * 3)  # distances 1, 2, 3
    assert learned.line is not None
    assert learned.line.pairs == 3
    # Quantiles at one, two and three thirds.
    assert learned.line.distances == pytest.approx((0, 5 / 3, 7 / 3, 3))
    assert learned.line.probabilities == pytest.approx((1, 0.75, 0.5, 0.25))
    assert (learned.floor, learned.weight) == (None, None)


def test_one_category_with_ties() -> None:
    """Pairs that are equally far are not farther: only the imagined one is. Twins change nothing at distance 0."""
    equal = np.ones((3, 3))
    np.fill_diagonal(equal, np.nan)
    learned = learn(equal, ["a"] * 3)
    assert learned.line == Calibration((0, 1), (1, 0.25), 3)
    alike = learn(np.where(np.isnan(equal), np.nan, 0.0), ["a"] * 3)
    assert alike.line == Calibration((0,), (1,), 3)


def test_one_category_has_a_reach() -> None:
    """How far the nearest usually is can be told with one category, too."""
    assert learn(line_of([*range(30), 33]), ["a"] * 31).reach == 4


# Twins, ties, what is no number


def test_twins_of_two_categories() -> None:
    """The same picture in two categories: at distance 0 it stays certain, and the line is a line."""
    learned = learn(line_of([0, 0, 5, 5, 9]), ["a", "b", "a", "b", "a"])
    assert learned.line is not None
    assert learned.line.probability(0.0) == 1.0
    assert learned.line.probabilities[1] < 1


def test_a_catalogue_of_twins_reaches_as_far_as_theirs() -> None:
    """Where each item has one at distance 0, everything else is farther than that."""
    places = [float(number // 2) for number in range(40)]
    assert learn(line_of(places), ["a", "b"] * 20).reach == 0


@pytest.mark.parametrize("same", [True, False])
def test_every_pair_is_equally_far(same: bool) -> None:
    """Distances that tell nothing give the share of equal pairs everywhere beyond 0."""
    far = np.full((4, 4), 2.0)
    np.fill_diagonal(far, np.nan)
    learned = learn(far, ["a", "a", "b", "b"] if same else ["a", "b", "c", "d"])
    assert learned.line is not None
    assert learned.line.probability([2.0, 100.0]).tolist() == pytest.approx([1 / 3] * 2 if same else [0] * 2)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_distances_that_are_none_are_refused(bad: float) -> None:
    """Only the diagonal may be NaN: whoever learns leaves out vectors that overflowed."""
    far = line_of([0, 1, 2, 3])
    far[0, 1] = far[1, 0] = bad
    with pytest.raises(InvalidRequest, match="finite"):
        learn(far, ["a", "b", "a", "b"])


@pytest.mark.parametrize(
    ("shape", "count", "voters"), [((2, 3), 2, 15), ((3, 3), 2, 15), ((4,), 2, 15), ((2, 2), 2, 0)]
)
def test_shapes_that_do_not_fit(shape: tuple[int, ...], count: int, voters: int) -> None:
    """Distances between other items than there are, or nobody who votes, are refused."""
    with pytest.raises(InvalidRequest, match="learn"):
        learn(np.zeros(shape), ["a"] * count, voters=voters)


# Two Gaussian clusters


def test_two_clusters_give_a_sane_line() -> None:
    """Far apart: pairs within a cluster are near certain, pairs across near 0, and every item is routed right."""
    vectors, categories = clusters(100, 12.0)
    far = pairwise(vectors, "l2")
    learned = learn(far, categories)
    assert learned.line is not None
    same = np.equal.outer(categories, categories) & ~np.isnan(far)
    across = ~same & ~np.isnan(far)
    assert np.median(learned.line.probability(far[same])) > 0.99
    assert np.median(learned.line.probability(far[across])) < 0.01
    voted = leave_one_out_votes(far, categories, learned.line, 15)
    assert [next(iter(shares)) for shares in voted] == categories
    assert learned.floor is not None
    assert learned.floor > 0.9
    assert learned.reach is not None
    assert np.median(far[same]) * 0.5 < learned.reach < np.median(far[across])


@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e4])
def test_scores_do_not_depend_on_the_scale(scale: float) -> None:
    """The same vectors in another unit give the same probabilities, floor and votes, and a reach in that unit."""
    vectors, categories = clusters(30, 3.0)
    one = learn(pairwise(vectors, "l2"), categories)
    other = learn(pairwise(vectors, "l2") * scale, categories)
    assert one.line is not None
    assert other.line is not None
    assert other.line.probabilities == pytest.approx(one.line.probabilities)
    assert other.line.distances == pytest.approx([distance * scale for distance in one.line.distances])
    assert other.floor == pytest.approx(one.floor)
    assert one.reach is not None
    assert other.reach == pytest.approx(one.reach * scale)


def test_scores_are_honest() -> None:
    """Of other pictures' pairs that score between 0.4 and 0.6, about half are of one category."""
    vectors, categories = clusters(200, 3.0, seed=1)
    line = learn(pairwise(vectors, "l2"), categories).line
    assert line is not None
    fresh, names = clusters(200, 3.0, seed=2)
    upper = np.triu_indices(len(names), 1)
    scores = line.probability(pairwise(fresh, "l2")[upper])
    same = np.equal.outer(names, names)[upper]
    middle = (scores > 0.4) & (scores < 0.6)
    assert middle.sum() > 1000
    assert same[middle].mean() == pytest.approx(scores[middle].mean(), abs=0.05)


def test_clusters_that_are_one() -> None:
    """Where nothing tells the categories apart, no distance beyond the nearest is worth more than chance."""
    vectors, categories = clusters(100, 0.0)
    line = learn(pairwise(vectors, "l2"), categories).line
    assert line is not None
    far = pairwise(vectors, "l2")
    assert np.nanmedian(line.probability(far[~np.isnan(far)])) == pytest.approx(0.5, abs=0.05)


# The weight


def test_without_the_service_there_is_no_weight() -> None:
    """None where no item was classified."""
    assert best_weight(["a"], [{"a": 1.0}], {}) is None
    assert learn(line_of([0, 1, 5]), ["a", "a", "b"]).weight is None


@pytest.mark.parametrize("count", [1, 2, 50])
def test_both_sides_alike(count: int) -> None:
    """Where it makes no difference, both count the same."""
    shares = {"a": 0.7, "b": 0.3}
    assert best_weight(["a"] * count, [shares] * count, dict.fromkeys(range(count), shares)) == 0.5


def test_one_side_is_always_right() -> None:
    """A side that is right every time where the other is always wrong gets all, or nearly all, of the weight."""
    right, wrong = {"a": 1.0}, {"b": 1.0}
    assert best_weight(["a"] * 50, [wrong] * 50, dict.fromkeys(range(50), right)) == 1.0
    assert best_weight(["a"] * 50, [right] * 50, dict.fromkeys(range(50), wrong)) == 0.0


def test_within_one_standard_error_the_middle_wins() -> None:
    """A difference that is smaller than its own error is none: the weight nearest to one half is as good.

    By hand, of two items: the service gives the right category 0.9 and 0.5, the vote 0.5 and 0.8. In the middle
    that makes 0.7 and 0.65. The best of the 21 weights is 0.35, ahead by less than the error of so few.
    """
    voted = [{"a": 0.5}, {"a": 0.8}]
    service = {0: {"a": 0.9}, 1: {"a": 0.5}}
    likelihoods = [[np.log(0.5 + 0.4 * weight), np.log(0.8 - 0.3 * weight)] for weight in np.linspace(0, 1, 21)]
    best = int(np.argmax(np.mean(likelihoods, axis=1)))
    assert best != 10
    behind = np.array(likelihoods[best]) - np.array(likelihoods[10])
    assert behind.mean() <= behind.std() / np.sqrt(2)
    assert best_weight(["a", "a"], voted, service) == 0.5


@given(st.integers(0, 10_000), st.integers(1, 40), st.floats(0.05, 1), st.floats(0.05, 1))
def test_the_one_standard_error_rule(seed: int, count: int, told: float, felt: float) -> None:
    """The weight is as good as the best within one standard error, and none that is nearer to one half is."""
    chance = np.random.default_rng(seed)
    voted = [{"a": felt * value, "b": 0.1} for value in chance.random(count)]
    service = {place: {"a": told * value, "c": 0.2} for place, value in enumerate(chance.random(count))}
    weight = best_weight(["a"] * count, voted, service)
    assert weight is not None

    def likelihoods(at: float) -> NDArray[np.float64]:
        mixed = [at * service[place]["a"] + (1 - at) * voted[place]["a"] for place in range(count)]
        return np.log(np.maximum(mixed, 0.01))

    grid = np.linspace(0, 1, 21)
    best = max(grid, key=lambda at: likelihoods(at).mean())

    def behind(at: float) -> tuple[float, float]:
        away = likelihoods(best) - likelihoods(at)
        return float(away.mean()), float(away.std() / np.sqrt(count))

    lost, error = behind(weight)
    assert lost <= error + 1e-9
    for nearer in grid[np.abs(grid - 0.5) < abs(weight - 0.5) - 1e-9]:
        lost, error = behind(float(nearer))
        assert lost > error - 1e-9


def test_a_category_that_got_nothing_does_not_decide_alone() -> None:
    """One item that the service puts elsewhere does not silence it, where it is better for the other fifty."""
    voted = [{"a": 0.4, "b": 0.4}] * 51
    service = {place: {"a": 1.0} if place else {"b": 1.0} for place in range(51)}
    weight = best_weight(["a"] * 51, voted, service)
    assert weight is not None
    assert weight >= 0.5


def test_learn_hands_the_weight_through() -> None:
    """Some of the items are enough; how many is told."""
    vectors, categories = clusters(30, 0.0)
    service = {place: {categories[place]: 1.0} for place in range(0, 60, 3)}
    learned = learn(pairwise(vectors, "l2"), categories, service)
    assert learned.classified == 20
    assert learned.weight == 1.0


# In general


@st.composite
def catalogues(draw: st.DrawFn) -> tuple[Matrix, list[str]]:
    """Some items with coarse distances, so that there are ties and twins."""
    count = draw(st.integers(2, 25))
    categories = draw(st.lists(st.sampled_from("abc"), min_size=count, max_size=count))
    steps = st.lists(st.integers(0, 6), min_size=count * count, max_size=count * count)
    far = np.array(draw(steps), float).reshape(count, count) / draw(st.sampled_from([1.0, 3.0, 7e-5]))
    far = np.minimum(far, far.T)
    np.fill_diagonal(far, np.nan)
    return far, categories


@given(catalogues(), st.integers(1, 30))
def test_whatever_a_catalogue_is_something_sane_is_learned(catalogue: tuple[Matrix, list[str]], voters: int) -> None:
    """The line never rises and begins with 1, thresholds are of the catalogue's own, and all survives JSON."""
    far, categories = catalogue
    service = {0: {"a": 0.5, "z": 0.5}, 1: {}}
    learned = learn(far, categories, service, voters=voters)
    assert learned.line is not None
    at = np.sort(np.append(far[~np.isnan(far)], [0.0, 1e9]))
    probabilities = learned.line.probability(at)
    assert probabilities[0] == 1
    assert np.all(np.diff(probabilities) <= 0)
    assert probabilities[-1] >= 0
    assert (learned.reach is None) == (len(categories) < 20)
    assert learned.reach is None or learned.reach in far
    assert learned.floor is None or 0 <= learned.floor <= 1
    assert learned.weight is not None
    assert 0 <= learned.weight <= 1
    assert (learned.items, learned.classified) == (len(categories), 2)
    assert Learned.from_json(json.loads(json.dumps(learned.as_json()))) == learned


@given(catalogues(), st.randoms(use_true_random=False))
def test_the_order_of_the_items_does_not_matter(catalogue: tuple[Matrix, list[str]], chance: object) -> None:
    """The same items in another order teach the same line and the same reach."""
    far, categories = catalogue
    order = list(range(len(categories)))
    chance.shuffle(order)  # type: ignore[attr-defined]
    one, other = learn(far, categories), learn(far[np.ix_(order, order)], [categories[place] for place in order])
    assert (one.line, one.reach) == (other.line, other.reach)


@pytest.mark.parametrize(
    "learned",
    [
        Learned(None, None, None, None, 0, 0),
        Learned(Calibration((0.0, 0.1, 1 / 3), (1.0, 0.7, 0.0), 5), 0.1 + 0.2, 1e-17, 0.55, 7, 3),
        Learned(Calibration((0.0,), (1.0,), 5), None, None, None, 7, 3, Calibration((0.0, 2.0), (1.0, 0.5), 9)),
    ],
)
def test_json_and_back(learned: Learned) -> None:
    """It is the same after JSON, to the last digit."""
    assert Learned.from_json(json.loads(json.dumps(learned.as_json()))) == learned


def test_how_far_is_too_far_is_measured_before_vectors_are_reduced() -> None:
    """The nearest by the reduced vectors counts, at the distance that it has without the reduction."""
    reduced, unreduced = np.full((30, 30), 5.0), np.full((30, 30), 9.0)
    for one in range(30):
        other = one ^ 1
        reduced[one, other] = 0.1
        unreduced[one, other] = 2.0 + 0.01 * (one // 2)
    for far in (reduced, unreduced):
        np.fill_diagonal(far, np.nan)
    categories = ["a", "b"] * 15
    assert learn(reduced, categories, apart=unreduced).reach == pytest.approx(2.14)
    assert learn(reduced, categories).reach == pytest.approx(0.1)
    assert learn(reduced, categories, apart=unreduced).line == learn(reduced, categories).line


# Scores of what is shown


def clustered(seed: int, each: int) -> tuple[Matrix, NDArray[np.int64]]:
    """Pictures of eight categories as points, some categories dense and some wide, and lying over one another."""
    dice = np.random.default_rng(seed)
    centres = np.random.default_rng(5).normal(size=(8, 6)) * 0.7
    wide = np.linspace(0.2, 1.2, 8)
    points = np.concatenate([centres[one] + wide[one] * dice.normal(size=(each, 6)) for one in range(8)])
    return points, np.repeat(np.arange(8), each)


def error_of(scores: Matrix, right: NDArray[np.bool_]) -> float:
    """How far the share of right ones is from the score, on average (expected calibration error, ten bins)."""
    bins = np.minimum((scores * 10).astype(int), 9)
    parts = [bins == one for one in range(10)]
    return float(sum(abs(scores[part].mean() - right[part].mean()) * part.mean() for part in parts if part.any()))


def test_scores_are_right_as_often_as_they_say() -> None:
    """Of the ten that are shown to pictures that nothing was learned from; all pairs say something else."""
    points, names = clustered(1, 60)
    learned = learn(pairwise(points.astype(np.float32), "l2"), [f"c{name}" for name in names])
    queries, actual = clustered(2, 60)
    far = ((queries[:, np.newaxis] - points) ** 2).mean(axis=2)
    order = np.argsort(far, axis=1)[:, :10]
    near, right = np.take_along_axis(far, order, axis=1), names[order] == actual[:, np.newaxis]
    scores = np.array([learned.scores(list(row), len(points)) for row in near])
    assert error_of(scores, right) < 0.04
    eight_in_ten = (scores > 0.7) & (scores < 0.9)
    assert eight_in_ten.sum() > 300
    assert right[eight_in_ten].mean() == pytest.approx(0.8, abs=0.05)
    assert learned.line is not None
    assert error_of(learned.line.probability(near), right) > 0.08


def test_what_comes_later_scores_no_higher() -> None:
    """Also at the same distance, however much is indexed; the same picture has 1."""
    learned = learn(pairwise(clustered(1, 20)[0].astype(np.float32), "l2"), [f"c{one // 20}" for one in range(160)])
    for indexed in (10, 160, 100_000):
        scores = learned.scores([0.0, 0.2, 0.2, 0.2, 0.9, 5.0, 5.0], indexed)
        assert scores is not None
        assert scores[0] == 1.0
        assert scores == sorted(scores, reverse=True)


def test_scores_of_what_older_versions_learned() -> None:
    """They go by the line alone, and where nothing was learned there are none."""
    older = Learned(Calibration((0.0, 1.0), (1.0, 0.5), 5), None, None, None, 7, 3)
    assert older.scores([0.0, 0.5, 1.0], 7) == [1.0, 0.75, 0.5]
    assert Learned(None, None, None, None, 1, 0).scores([0.5], 1) is None
