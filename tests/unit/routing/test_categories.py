"""ddsim.routing.categories: which categories are searched, and what is said about it."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ddsim import InvalidRequest, Label
from ddsim.routing.categories import Decision, Rules, by_labels, choose, combine, decide, vote

NAMES = ["bed", "chair", "lamp", "sofa", "table"]
SHARES = st.dictionaries(st.sampled_from(NAMES), st.floats(0, 1))


def told(decision: Decision) -> dict[str, tuple[float, bool, str]]:
    """What it says of each category."""
    return {one.name: (one.probability, one.searched, one.why) for one in decision.categories}


# Labels


def test_where_the_best_categories_hold_less_than_half_everything_is_searched() -> None:
    """With 43 equal categories the best three hold 7 %: none is hidden, and each says why it is searched."""
    shares = {f"c{number:02}": 1 / 43 for number in range(43)}
    decision = decide({}, shares, Rules(), shares)
    assert decision.searched == ()
    assert all(one.searched for one in decision.categories)
    words = "the 3 most probable have 7.0%, all indexed categories together 100.0%, so all are searched"
    assert {one.why for one in decision.categories} == {words}


def test_labels_of_one_category_add_up() -> None:
    """The whole label goes before its first word; others count for none; the larger sum comes first."""
    categories = {"n1": "chair", "n2 stool": "chair", "n2": "wrong", "n3": "lamp", "plain": "bed"}
    labels = [Label("n9 dog", 0.4), Label("n3 lamp", 0.25), Label("n1 seat", 0.2), Label("n2 stool", 0.1)]
    shares = by_labels([*labels, Label("plain", 0.05)], categories)
    assert shares == pytest.approx({"chair": 0.3, "lamp": 0.25, "bed": 0.05})
    assert list(shares) == ["chair", "lamp", "bed"]


@pytest.mark.parametrize("labels", [(), (Label("n1 x", 0.5),), (Label("", 0.5),)])
def test_labels_without_a_category(labels: tuple[Label, ...]) -> None:
    """No labels, or none that is named, give no category."""
    assert by_labels(labels, {"n2": "lamp"}) == {}
    assert by_labels(labels, {}) == {}


# The vote


def test_a_vote_by_hand() -> None:
    """The nearest has 0.8; lamps have 1.2 of all 1.5: 0.8 x 1.2 / 1.5 = 0.64, beds 0.16; together 0.8."""
    shares = vote([("lamp", 0.8), ("bed", 0.3), ("lamp", 0.4)])
    assert shares == pytest.approx({"lamp": 0.64, "bed": 0.16})
    assert list(shares) == ["lamp", "bed"]


def test_far_away_no_category_gets_much() -> None:
    """The same votes, all a hundred times weaker, give the same order and a hundredth of the probability."""
    near, far = vote([("lamp", 0.8), ("bed", 0.4)]), vote([("lamp", 0.008), ("bed", 0.004)])
    assert list(near) == list(far)
    assert far["lamp"] == pytest.approx(near["lamp"] / 100)


@pytest.mark.parametrize("voters", [[], [("lamp", 0.0)], [("lamp", 0.0), ("bed", 0.0)]])
def test_a_vote_of_nobody(voters: list[tuple[str, float]]) -> None:
    """Without voters, or with those that know nothing, there is no category."""
    assert vote(voters) == {}


def test_a_tie_goes_by_name() -> None:
    """Equally probable categories stand by name, in whatever order they came."""
    assert list(vote([("lamp", 0.5), ("bed", 0.5)])) == list(vote([("bed", 0.5), ("lamp", 0.5)])) == ["bed", "lamp"]


@given(st.lists(st.tuples(st.sampled_from(NAMES), st.floats(0, 1)), max_size=20))
def test_a_vote_shares_the_nearests_probability(voters: list[tuple[str, float]]) -> None:
    """Whoever votes, the categories together have what the nearest item has, most probable first."""
    voters.sort(key=lambda one: -one[1])
    shares = vote(voters)
    assert sum(shares.values()) == pytest.approx(voters[0][1] if shares else 0)
    assert all(one >= other for one, other in pairwise(shares.values()))


# Both


def test_a_mixture_by_hand() -> None:
    """A quarter of the service and three quarters of the vote; what one of them does not name has 0 there."""
    mixed = combine({"bed": 0.8, "sofa": 0.2}, {"lamp": 0.4, "bed": 0.4}, 0.25)
    assert mixed == pytest.approx({"bed": 0.5, "lamp": 0.3, "sofa": 0.05})
    assert list(mixed) == ["bed", "lamp", "sofa"]


@given(SHARES, SHARES, st.floats(0, 1))
def test_a_mixture_lies_in_between(service: dict[str, float], neighbours: dict[str, float], weight: float) -> None:
    """Each category's probability is between both sides', at the ends it is one side's."""
    for name, share in combine(service, neighbours, weight).items():
        both = service.get(name, 0.0), neighbours.get(name, 0.0)
        assert min(both) - 1e-12 <= share <= max(both) + 1e-12
    assert all(share == service.get(name, 0.0) for name, share in combine(service, neighbours, 1.0).items())
    assert all(share == neighbours.get(name, 0.0) for name, share in combine(service, neighbours, 0.0).items())


@pytest.mark.parametrize("weight", [-0.1, 1.1, float("nan")])
def test_a_weight_that_is_none(weight: float) -> None:
    """A weight outside 0 to 1 is refused."""
    with pytest.raises(InvalidRequest, match="weight"):
        combine({}, {}, weight)


# Choosing


@pytest.mark.parametrize(
    ("shares", "share", "most", "chosen"),
    [
        ({"lamp": 0.95, "bed": 0.05}, 0.9, 3, ("lamp",)),
        ({"lamp": 0.9, "bed": 0.1}, 0.9, 3, ("lamp",)),
        ({"lamp": 0.89, "bed": 0.11}, 0.9, 3, ("lamp", "bed")),
        ({"a": 0.4, "b": 0.3, "c": 0.2, "d": 0.1}, 0.9, 3, ("a", "b", "c")),
        ({"a": 0.25, "b": 0.25, "c": 0.25, "d": 0.25}, 0.9, 3, ("a", "b", "c")),
        ({"a": 0.25, "b": 0.25, "c": 0.25, "d": 0.25}, 0.9, 9, ("a", "b", "c", "d")),
        ({"b": 0.5, "a": 0.5}, 0.5, 3, ("a",)),
        ({f"c{number}": 1 / 43 for number in range(43)}, 0.9, 3, ()),
        ({"a": 0.17, "b": 0.17, "c": 0.17, "d": 0.49}, 0.9, 2, ("d", "a")),
        ({"a": 0.2, "b": 0.2, "c": 0.2, "d": 0.2, "e": 0.2}, 0.9, 2, ()),
        ({"a": 0.2, "b": 0.2, "c": 0.2, "d": 0.2, "e": 0.2}, 0.3, 2, ("a", "b")),
        ({"a": 0.5, "b": 0.5}, 1.0, 3, ("a", "b")),
        ({"a": 0.5, "b": 0.0}, 1.0, 3, ("a",)),
        ({"a": 0.04, "b": 0.03, "c": 0.02, "d": 0.01}, 0.9, 3, ("a", "b", "c")),
        ({"a": 4e-12, "b": 3e-12, "c": 2e-12, "d": 1e-12}, 0.9, 4, ("a", "b", "c")),
        ({"a": 0.9, "b": 0.1}, 1e-9, 3, ("a",)),
        ({"a": 0.0}, 0.9, 3, ()),
        ({}, 0.9, 3, ()),
    ],
)
def test_choosing(shares: dict[str, float], share: float, most: int, chosen: tuple[str, ...]) -> None:
    """The most probable ones up to the share of what there is, at most so many, none without probability."""
    assert choose(shares, share, most) == chosen


@given(SHARES, st.floats(0.01, 1), st.integers(1, 5))
def test_no_more_than_needed(shares: dict[str, float], share: float, most: int) -> None:
    """What is chosen reaches the share or the limit, the last one was needed, and nothing left out is more probable."""
    chosen = choose(shares, share, most)
    total, held = sum(shares.values()), [shares[name] for name in chosen]
    best = sum(sorted(shares.values(), reverse=True)[:most])
    if not chosen:
        assert best == 0 or best < min(share, 0.5) * total
        return
    assert len(chosen) <= most
    assert all(shares[name] <= min(held, default=1) for name in shares.keys() - set(chosen))
    if len(chosen) < most:
        assert sum(held) >= share * total * (1 - 1e-8)
    if len(chosen) > 1:
        assert sum(held[:-1]) < share * total


# Deciding

SERVICE, NEIGHBOURS = {"lamp": 0.6, "bed": 0.4}, {"sofa": 0.5, "lamp": 0.1}


@pytest.mark.parametrize(
    ("by", "weight", "service", "expected"),
    [
        ("service", None, SERVICE, SERVICE),
        ("neighbours", None, SERVICE, NEIGHBOURS),
        ("combined", None, SERVICE, {"lamp": 0.35, "sofa": 0.25, "bed": 0.2}),
        ("combined", 0.0, SERVICE, {"sofa": 0.5, "lamp": 0.1, "bed": 0.0}),
        ("combined", 1.0, SERVICE, {"lamp": 0.6, "bed": 0.4, "sofa": 0.0}),
        ("combined", 0.2, {}, NEIGHBOURS),
        ("service", None, {}, {}),
    ],
)
@pytest.mark.parametrize("everything", [False, True])
def test_who_decides(
    by: str, weight: float | None, service: dict[str, float], expected: Mapping[str, float], everything: bool
) -> None:
    """The probabilities are of those who are asked, whether or not anything is chosen by them."""
    rules = Rules(by, weight, everything=everything)  # type: ignore[arg-type]
    decision = decide(service, NEIGHBOURS, rules, NAMES)
    assert {one.name: one.probability for one in decision.categories} == pytest.approx(expected)
    assert [one.probability for one in decision.categories] == sorted(expected.values(), reverse=True)
    assert decision.vote == 0.5
    assert bool(decision.searched) == (not everything and bool(expected))


def test_what_is_said() -> None:
    """Each category says whether it was searched and why, in the percents that stand beside it."""
    shares = {"lamp": 0.5, "piano": 0.2, "bed": 0.2, "sofa": 0.05}
    decision = decide(shares, {}, Rules("service", share=0.8), NAMES)
    assert decision.searched == ("lamp", "bed")
    why = "among the most probable: lamp and bed together have 70.0%, all indexed categories have 75.0%"
    assert told(decision) == {
        "lamp": (0.5, True, why),
        "bed": (0.2, True, why),
        "piano": (0.2, False, "no indexed picture is of this category"),
        "sofa": (0.05, False, "only the most probable categories are searched: lamp and bed"),
    }
    three = decide({"lamp": 0.5, "bed": 0.2, "sofa": 0.2}, {}, Rules("service"), NAMES)
    assert three.categories[0].why.startswith("among the most probable: lamp, bed and sofa together have 90.0%")
    alone = decide({"lamp": 0.5}, {}, Rules("service"), NAMES)
    assert told(alone) == {
        "lamp": (0.5, True, "the most probable: lamp has 50.0%, all indexed categories together have 50.0%")
    }


def test_everything() -> None:
    """Where all are to be searched nothing is chosen, and all that there is says so."""
    decision = decide({"lamp": 0.5, "piano": 0.2}, {}, Rules("service", everything=True), NAMES)
    assert decision.searched == ()
    assert told(decision) == {
        "lamp": (0.5, True, "all are searched"),
        "piano": (0.2, False, "no indexed picture is of this category"),
    }


@pytest.mark.parametrize("shares", [{}, {"piano": 0.9}, {"lamp": 0.0}])
def test_nothing_to_go_by(shares: dict[str, float]) -> None:
    """Where no category of the catalogue has any probability, all are searched, and it says why."""
    decision = decide(shares, {}, Rules("service"), NAMES)
    assert decision.searched == ()
    for name, (_, searched, why) in told(decision).items():
        assert (searched, "no category is probable" in why) == (name == "lamp", name == "lamp")


def test_forced() -> None:
    """What is asked for is searched, whatever the probabilities are, and stands there even without any."""
    decision = decide({"lamp": 0.9}, {"lamp": 0.3}, Rules(), NAMES, ["sofa", "bed"])
    assert decision.searched == ("sofa", "bed")
    assert told(decision) == {
        "lamp": (pytest.approx(0.6), False, "another category was asked for"),
        "sofa": (0.0, True, "asked for"),
        "bed": (0.0, True, "asked for"),
    }
    assert decide({}, {}, Rules(everything=True), NAMES, ["bed"]).searched == ("bed",)


@given(SHARES, SHARES, st.sets(st.sampled_from(NAMES)), st.sampled_from(["combined", "service", "neighbours"]))
def test_only_what_is_indexed_is_searched(
    service: dict[str, float], neighbours: dict[str, float], indexed: set[str], by: str
) -> None:
    """Whatever is probable, at most three categories are chosen, all of them indexed, and each result says the same."""
    decision = decide(service, neighbours, Rules(by), indexed)  # type: ignore[arg-type]
    assert len(decision.searched) <= 3
    assert set(decision.searched) <= indexed
    for one in decision.categories:
        assert one.searched == (one.name in (decision.searched or indexed))
        assert one.why
        assert 0 <= one.probability <= 1
    assert decision.vote == max(neighbours.values(), default=0.0)
