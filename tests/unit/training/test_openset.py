"""Photos of something else are told so, by distance and certainty together."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from ddsim.deepdetect import Vectors
from ddsim.routing import OpenSet, pairwise, signs
from ddsim.training.fitting import fit
from ddsim.training.openset import learn_open_set


def catalogue(categories: int, items: int, seed: int = 0) -> tuple[Vectors, list[str]]:
    """Clouds in 24 dimensions."""
    rng = np.random.default_rng(seed)
    centres = rng.normal(size=(categories, 24))
    names = [f"c{number}" for number in range(categories) for _ in range(items)]
    return np.repeat(centres, items, axis=0) + rng.normal(size=(categories * items, 24)) * 0.4, names


def learned(vectors: NDArray[np.float64], names: list[str]) -> OpenSet | None:
    """Of a catalogue, by the angle."""
    return learn_open_set(vectors, names, fit(vectors, names), pairwise(vectors, "cosine"))


def test_something_else_is_told_from_the_catalogue() -> None:
    """Of clouds that the catalogue never had nearly all are strange; of its own only those that it says."""
    everything, names = catalogue(8, 30)
    known = np.array([name < "c5" for name in names])
    own = [name for name in names if name < "c5"]
    found = learned(everything[known], own)
    assert found is not None
    assert found.false_alarms <= 0.03
    assert found.caught > 0.8
    head = fit(everything[known], own).head
    far = 1 - _unit(everything[~known]) @ _unit(everything[known]).T
    strange = found.strangeness(far.min(axis=1), head.probabilities(everything[~known]).max(axis=1), 5)
    assert np.mean(strange > 0) > 0.8


def _unit(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    unit: NDArray[np.float64] = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    return unit


@pytest.mark.parametrize(("categories", "items"), [(2, 40), (4, 6)])
def test_too_little_to_tell(categories: int, items: int) -> None:
    """With two categories, or a handful of items, there is no share of 3 in 100 to go by."""
    assert learned(*catalogue(categories, items)) is None


def test_few_categories_are_no_merit() -> None:
    """Chance among two says as much as chance among ten: nothing."""
    np.testing.assert_allclose(signs(1.0, 0.5, 2), signs(1.0, 0.1, 10), atol=1e-12)


def test_it_survives_storage() -> None:
    """What was kept as JSON decides as before."""
    one = OpenSet(0.1, 2.0, -0.5, 1.5, 0.03, 0.9)
    assert OpenSet.from_json(one.as_json()) == one
