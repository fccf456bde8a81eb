"""A head: probabilities of vectors, whatever their length; what does not fit is refused."""

from __future__ import annotations

import numpy as np
import pytest

from ddsim.errors import InvalidRequest
from ddsim.routing import Head, softmax

HEAD = Head(("bed", "lamp"), np.array([[1, 0], [0, 1]], np.float32), np.zeros(2, np.float32))


def test_probabilities_by_hand() -> None:
    """A vector along the first axis: e to 1."""
    np.testing.assert_allclose(
        HEAD.probabilities(np.array([[1, 0], [0, 0]], np.float32)),
        [[np.e / (np.e + 1), 1 / (np.e + 1)], [0.5, 0.5]],
    )


def test_shares_come_most_probable_first() -> None:
    """As category -> probability."""
    (found,) = HEAD.shares(np.array([[0, 3]], np.float32))
    assert list(found) == ["lamp", "bed"]
    assert sum(found.values()) == pytest.approx(1)


def test_large_logits_do_not_overflow() -> None:
    """Certain is certain."""
    np.testing.assert_array_equal(softmax(np.array([[1e4, -1e4]])), [[1, 0]])


@pytest.mark.parametrize(
    ("names", "weights", "biases"),
    [
        (("bed",), np.ones((1, 2)), np.ones(1)),
        (("bed", "bed"), np.ones((2, 2)), np.ones(2)),
        (("bed", "lamp"), np.ones((3, 2)), np.ones(2)),
        (("bed", "lamp"), np.ones((2, 2)), np.ones(3)),
        (("bed", "lamp"), np.full((2, 2), np.nan), np.ones(2)),
    ],
)
def test_what_is_no_head_is_refused(names: tuple[str, ...], weights: np.ndarray, biases: np.ndarray) -> None:
    """Too few categories, other shapes, or numbers that are none."""
    with pytest.raises(InvalidRequest, match="head"):
        Head(names, weights.astype(np.float32), biases.astype(np.float32))


def test_vectors_of_another_network_are_refused() -> None:
    """The message has both lengths."""
    with pytest.raises(InvalidRequest, match=r"\(1, 3\) given, expected \(n, 2\)"):
        HEAD.probabilities(np.ones((1, 3), np.float32))
