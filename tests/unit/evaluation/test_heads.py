"""What a trained classifier makes of queries: right on what can be told apart, never trained on the query itself."""

from __future__ import annotations

import numpy as np
from evaluated import photo

from ddsim.evaluation.heads import trained_accuracy
from ddsim.evaluation.task import Task


def test_queries_of_separate_clouds_are_told_right() -> None:
    """Each is nearest to its own category; one whose category has no item is no query at all."""
    items = [photo(f"{category}/{number}") for category in "ab" for number in range(6)]
    queries = [photo("a/x"), photo("b/y"), photo("c/z")]
    vectors = np.array([[1, 0.1 * n] for n in range(6)] + [[0.1 * n, 1] for n in range(6)], np.float32)
    found = trained_accuracy(Task(items, queries), vectors, np.array([[1, 0.2], [0.2, 1], [1, 1]], np.float32))
    assert found is not None
    np.testing.assert_array_equal(found, [1, 1, np.nan])


def test_an_item_is_told_without_itself() -> None:
    """Leave-one-out: an item among the others' cloud is told to be of theirs, though it was trained on."""
    items = [photo(f"{category}/{number}") for category in "ab" for number in range(6)]
    vectors = np.array([[1, 0.1 * n] for n in range(6)] + [[0.1 * n, 1] for n in range(6)], np.float32)
    vectors[0] = vectors[11]
    found = trained_accuracy(Task(items, items), vectors, vectors)
    assert found is not None
    assert found[0] == 0
    assert found[1:6].tolist() == [1] * 5


def test_one_category_is_nothing_to_tell_apart() -> None:
    """There is no value then."""
    items = [photo("a/1"), photo("a/2")]
    assert trained_accuracy(Task(items, items), np.eye(2, dtype=np.float32), np.eye(2, dtype=np.float32)) is None
