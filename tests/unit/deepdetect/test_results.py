"""ddsim.deepdetect.results: small values and the score."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ddsim import Neighbour
from ddsim.deepdetect.results import Classification, Label, SearchReply, closeness_by


def test_best_label() -> None:
    """The first label is the best one, and there may be none."""
    assert Classification((Label("lamp", 0.9), Label("bed", 0.1))).best == Label("lamp", 0.9)
    assert Classification(()).best is None


@pytest.mark.parametrize(
    ("uri", "category"), [("lamp/a.jpg", "lamp"), ("lamp/x/a.jpg", "lamp"), ("a.jpg", ""), ("/a.jpg", "")]
)
def test_category_of_a_neighbour(uri: str, category: str) -> None:
    """The category is the uri's first part where it has several."""
    assert Neighbour(uri, 0.0, 1.0).category == category


def test_a_reply_of_rows() -> None:
    """Ranked as they come, each with its closeness to the query's vector."""
    vector = np.array([3.0, 4.0], np.float32)
    found = SearchReply.of(vector, [("same", 0.0), ("far", 12.5)])
    assert [(item.uri, item.distance, item.rank) for item in found.neighbours] == [("same", 0.0, 1), ("far", 12.5, 2)]
    assert [item.closeness for item in found.neighbours] == [1.0, pytest.approx(math.exp(-1))]
    assert found.vector is vector


def test_replies_can_be_compared_and_hashed() -> None:
    """Two replies never raise when compared, kept in a set or looked for in a list, although they hold arrays."""
    one, other = (SearchReply(np.zeros(3, np.float32), ()) for _ in range(2))
    assert one in [other, one]
    assert len({one, other}) in (1, 2)


@given(
    distance=st.floats(0, allow_infinity=False),
    vector=st.lists(st.floats(width=32, allow_nan=False), min_size=1, max_size=8),
)
def test_score_stays_within_its_range(distance: float, vector: list[float]) -> None:
    """Whatever the numbers, a score is from 0 to 1, without a warning."""
    assert 0.0 <= closeness_by(np.array(vector, np.float32))(distance) <= 1.0


@given(st.floats(0, 100), st.floats(0, 100))
def test_score_falls_with_distance(one: float, other: float) -> None:
    """A nearer item never scores less."""
    vector = np.ones(4, np.float32)
    near, far = sorted((one, other))
    assert closeness_by(vector)(near) >= closeness_by(vector)(far)


@given(st.floats(0.001, 1000), st.floats(0.001, 10))
def test_score_does_not_depend_on_the_unit_of_the_features(unit: float, distance: float) -> None:
    """Features in another unit give the same score, so that one threshold fits several networks."""
    vector = np.array([1.0, 2.0, 3.0], np.float32)
    scaled = closeness_by((vector * unit).astype(np.float32))(distance * unit**2)
    assert scaled == pytest.approx(closeness_by(vector)(distance), rel=1e-4, abs=1e-9)


@pytest.mark.parametrize(
    ("distance", "vector", "score"),
    [
        (0.0, [1, 2], 1.0),
        (-1e-9, [1, 2], 1.0),
        (0.0, [0, 0], 1.0),
        (0.5, [0, 0], 0.0),
        (0.0, [], 1.0),
        (float("nan"), [1, 2], 0.0),
        (float("inf"), [1, 2], 0.0),
        (1.0, [float("inf"), 1], 0.0),
        (1.0, [float("nan"), 1], 0.0),
    ],
)
def test_score_at_the_edges(distance: float, vector: list[float], score: float) -> None:
    """The same picture scores 1, what is no number scores 0."""
    assert closeness_by(np.array(vector, np.float32))(distance) == score
