"""ddsim.search.duplicates: groups of items that are nearly the same."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ddsim import InvalidRequest, Item
from ddsim.search import duplicates
from ddsim.search.duplicates import duplicates_among


def items(count: int) -> list[Item]:
    """That many."""
    return [Item(f"a/{number:04d}", "a", Path(f"a/{number:04d}")) for number in range(count)]


def turned(*degrees: float) -> np.ndarray[Any, np.dtype[np.float32]]:
    """Vectors in the plane, at these angles."""
    angles = np.radians(degrees)
    return np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)


def groups(vectors: np.ndarray[Any, Any], threshold: float) -> list[list[str]]:
    """The last digits of what is found together."""
    found = duplicates_among(items(len(vectors)), vectors, threshold)
    return [[uri[-1] for uri in one.uris] for one in found]


def test_those_that_are_near_are_found_together() -> None:
    """The most similar group comes first, and what is alone in none."""
    assert groups(turned(0, 90, 5, 91, 180), np.cos(np.radians(6))) == [["1", "3"], ["0", "2"]]


def test_a_chain_is_one_group() -> None:
    """Each is near the next; the similarity is that of the least similar neighbours in it."""
    (one,) = duplicates_among(items(3), turned(0, 5, 10), float(np.cos(np.radians(6))))
    assert len(one.items) == 3
    assert one.similarity == pytest.approx(np.cos(np.radians(5)))


def test_lengths_do_not_matter() -> None:
    """The angle counts; a vector of zeros and one that is not finite are like nothing."""
    vectors = np.array([[1, 0], [9, 0], [0, 0], [0, 0], [np.nan, 1], [np.inf, 1]], np.float32)
    assert groups(vectors, 1.0) == [["0", "1"]]


def test_blocks_do_not_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    """However many rows are compared at a time, the same is found."""
    vectors = np.random.default_rng(0).normal(size=(60, 3)).astype(np.float32)
    whole = groups(vectors, 0.95)
    monkeypatch.setattr(duplicates, "_BLOCK", 7)
    assert groups(vectors, 0.95) == whole
    assert whole


@pytest.mark.parametrize("threshold", [0, -0.5, 1.01, float("nan"), float("inf"), "0.9", None])
def test_thresholds_out_of_range(threshold: Any) -> None:
    """The error says what is expected."""
    with pytest.raises(InvalidRequest, match="must be above 0 and at most 1"):
        duplicates_among(items(2), turned(0, 1), threshold)


def test_thresholds_of_numpy() -> None:
    """A number is one, whoever made it."""
    assert duplicates_among(items(2), turned(0, 1), np.float32(0.9))  # type: ignore[arg-type]


def test_nothing_is_no_duplicate() -> None:
    """Without items there is no group, and the repr says so."""
    assert repr(duplicates_among([], np.zeros((0, 4), np.float32), 0.9)) == "<Duplicates: none>"
