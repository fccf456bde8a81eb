"""What is right, and how well it is found: against a slow and obvious second version, and by hand."""

from __future__ import annotations

import numpy as np
import pytest
from evaluated import Made, photo, places
from hypothesis import given, settings
from hypothesis import strategies as st

import ddsim.evaluation.task
from ddsim.evaluation.scoring import Router, chance, score
from ddsim.evaluation.task import Task
from ddsim.routing.calibration import Learned, learn
from ddsim.routing.isotonic import Calibration

NOTHING = Learned(None, None, None, None, 0, 0)
LINE = Learned(Calibration((0.0, 10.0), (1.0, 0.0), 9), None, None, 0.5, 9, 9)


def obvious(task: Task, query: int, far: list[float], same: str, k: int) -> tuple[list[bool], int]:
    """Whether the first k items of one query are right, one by one, and how many right ones there are."""
    own = task.queries[query]
    seen = [
        (distance, getattr(item, same) is not None and getattr(item, same) == getattr(own, same))
        for item, distance in zip(task.items, far, strict=True)
        if item.sha256 != own.sha256
    ]
    found = sorted(one for one in seen if not np.isnan(one[0]))
    return [right for _, right in found[:k]], sum(right for _, right in seen)


@st.composite
def tasks(draw: st.DrawFn) -> tuple[Task, np.ndarray]:
    """Items and queries of few categories, products and contents, and distances with ties and gaps."""
    kinds = st.tuples(st.sampled_from("ab"), st.sampled_from(["p", "q", None]), st.integers(0, 6))

    def photos(prefix: str) -> list:
        made = draw(st.lists(kinds, min_size=1, max_size=9))
        return [
            photo(f"{category}/{prefix}{place}", product and f"{category}/{product}", f"content {content}")
            for place, (category, product, content) in enumerate(made)
        ]

    task = Task(photos("i"), photos("q"))
    values = st.sampled_from([0.0, 0.5, 1.0, 2.0, float("nan")])
    count = len(task.items) * len(task.queries)
    far = draw(st.lists(values, min_size=count, max_size=count))
    return task, np.array(far).reshape(len(task.queries), len(task.items))


@settings(max_examples=200, deadline=None)
@given(tasks())
def test_measures_against_an_obvious_second_version(made: tuple[Task, np.ndarray]) -> None:
    """Precision, MAP@R and products on small cases with ties, twins, lone queries and items that are not found."""
    task, far = made
    scores = score(task, places(len(task.queries)), Made(far), None)
    for query, distances in enumerate(far.tolist()):
        for k in (1, 5, 10):
            right, there = obvious(task, query, distances, "category", k)
            np.testing.assert_allclose(scores.values[f"P@{k}"][query], sum(right) / k if there else np.nan)
        hits, there = obvious(task, query, distances, "category", 99)
        precisions = [sum(hits[: rank + 1]) / (rank + 1) for rank, hit in enumerate(hits[:there]) if hit]
        np.testing.assert_allclose(scores.values["MAP@R"][query], sum(precisions) / there if there else np.nan)
        for k in (1, 10):
            right, there = obvious(task, query, distances, "product", k)
            if "product@1" in scores.values:
                np.testing.assert_equal(scores.values[f"product@{k}"][query], float(any(right)) if there else np.nan)
            else:
                assert there == 0


def test_the_parts_give_the_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    """A task in parts of one query each gives the same."""
    rng = np.random.default_rng(0)
    items = [photo(f"{'ab'[number % 2]}/{number}") for number in range(12)]
    far = rng.random((12, 12))
    router = Router(learn(Made(far).between(range(12)), [item.category for item in items], None), 3)
    whole = score(Task(items, items), places(12), Made(far), router)
    monkeypatch.setattr(ddsim.evaluation.task, "_CELLS", 1)
    told: list[int] = []
    parts = score(Task(items, items), places(12), Made(far), router, told.append)
    assert told == [1] * 12
    for name, values in whole.values.items():
        np.testing.assert_array_equal(values, parts.values[name])
    np.testing.assert_array_equal(whole.nearest, parts.nearest)


def test_the_query_itself_is_not_found() -> None:
    """Leave-one-out, no item finds itself or its twin, whatever their names; they do not count as relevant either."""
    items = [photo("a/1", content="x"), photo("a/2", content="x"), photo("a/3"), photo("b/1", content="x")]
    task = Task(items, items)
    assert task.relevant.tolist() == [1, 1, 2, 0]
    assert task.findable.tolist() == [1, 1, 3, 1]
    scores = score(task, places(4), Made(np.zeros((4, 4))), None)
    assert scores.nearest[0].tolist() == [2, -1, -1, -1]
    assert scores.nearest[2].tolist()[:1] == [3]  # equally far: the wrong one first
    assert np.isnan(scores.values["P@1"][3])


def test_pictures_of_the_same_product_count_for_the_category() -> None:
    """They are other pictures: leave-one-out finds them."""
    items = [photo("a/1", "a/p"), photo("a/1-view2", "a/p"), photo("b/1", "b/p")]
    task = Task(items, items)
    assert (task.relevant.tolist(), task.same_product.tolist()) == ([1, 1, 0], [1, 1, 0])
    assert task.units == ["product a/p", "product a/p", "product b/p"]


def test_products_are_left_out_where_names_tell_none() -> None:
    """No query has its product among the items: there is nothing to measure."""
    task = Task([photo("a/1", "a/1"), photo("b/2")], [photo("a/3", "a/3"), photo("b/4")])
    assert "product@1" not in score(task, places(2), Made(np.zeros((2, 2))), None).values
    assert "product@1" not in chance(task)


def test_who_tells_the_category() -> None:
    """The vote of the nearest, the service, and the mixture of both, each by hand."""
    items = [photo("a/1"), photo("a/2"), photo("b/1"), photo("b/2")]
    task = Task(items, [photo("a/x"), photo("a/y"), photo("b/z"), photo("c/w")])
    far = np.array([[1, 2, 5, 6], [5, 6, 1, 2], [5, 6, 1, 2], [1, 2, 5, 6]], float)
    service = [{"a": 0.9}, {"a": 0.95}, {"unknown": 1.0}, {"c": 1.0}]
    values = score(task, places(4), Made(far), Router(LINE, 2, service)).values
    np.testing.assert_array_equal(values["accuracy.neighbours"], [1, 0, 1, np.nan])
    np.testing.assert_array_equal(values["accuracy.service"], [1, 1, 0, np.nan])
    # The second: 0.475 for a by the service, 0.45 for b by the vote; the third: 0.5 for what is no category here.
    np.testing.assert_array_equal(values["accuracy"], [1, 1, 0, np.nan])


def test_a_search_without_a_service_is_routed_by_the_vote() -> None:
    """There is no accuracy of a service then, and both together are the vote."""
    items = [photo("a/1"), photo("b/1")]
    values = score(Task(items, [photo("a/x")]), places(1), Made(np.array([[1.0, 2.0]])), Router(LINE, 1)).values
    assert "accuracy.service" not in values
    assert values["accuracy"].tolist() == values["accuracy.neighbours"].tolist() == [1]


def test_routing_gain() -> None:
    """Searching the most probable category only is a gain where it is right, and loses all where it is wrong."""
    items = [photo("a/1"), photo("b/1"), photo("a/2"), photo("b/2")]
    task = Task(items, [photo("a/x"), photo("b/y")])
    far = np.array([[1, 2, 3, 4], [1, 2, 3, 4]], float)
    values = score(task, places(2), Made(far), Router(LINE, 1)).values
    # Both lists hold all four items: two right ones in ten. Only a is searched: the same two for a, none for b.
    np.testing.assert_allclose(values["routing_gain"], [0.0, -0.2])


def test_nobody_knows_the_category() -> None:
    """Without a calibration nothing is told, and no category is searched alone."""
    items = [photo("a/1"), photo("b/1")]
    values = score(Task(items, [photo("a/x")]), places(1), Made(np.array([[1.0, 2.0]])), Router(NOTHING, 5)).values
    assert (values["accuracy"].tolist(), values["routing_gain"].tolist()) == ([0], [0])


def test_chance_by_hand() -> None:
    """One of three others is right: a third at rank 1."""
    items = [photo("a/1", "a/p"), photo("a/2", "a/p"), photo("b/1", "b/q"), photo("b/2", "b/r")]
    values = chance(Task(items, items))
    np.testing.assert_allclose(values["P@1"], [1 / 3] * 4)
    np.testing.assert_allclose(values["MAP@R"], [1 / 3] * 4)
    np.testing.assert_allclose(values["product@1"], [1 / 3, 1 / 3, np.nan, np.nan])
    np.testing.assert_allclose(values["product@10"], [1, 1, np.nan, np.nan])
