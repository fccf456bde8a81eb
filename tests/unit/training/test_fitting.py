"""Heads: right on what can be told apart, calibrated on folds they did not see, the same from the same items."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from ddsim.deepdetect import Vectors
from ddsim.errors import InvalidRequest
from ddsim.training.fitting import best_temperature, fit, folds_of, log_loss


def clouds(sizes: dict[str, int], spread: float, seed: int = 0) -> tuple[Vectors, list[str]]:
    """Vectors of 12 values around a centre for each category."""
    rng = np.random.default_rng(seed)
    centres = {name: rng.normal(size=12) for name in sizes}
    names = [name for name, size in sizes.items() for _ in range(size)]
    return np.array([centres[name] + rng.normal(size=12) * spread for name in names], np.float32), names


def told(probabilities: NDArray[np.float64], categories: tuple[str, ...]) -> list[str]:
    """The most probable category of each row."""
    return [categories[place] for place in probabilities.argmax(axis=1)]


def test_what_can_be_told_apart_is() -> None:
    """Held out, nearly all items of separate clouds get their own category, and new ones do, too."""
    vectors, names = clouds({"bed": 30, "lamp": 30, "sofa": 30}, 0.3)
    fitted = fit(vectors, names)
    assert fitted.head.categories == ("bed", "lamp", "sofa")
    assert np.mean(np.array(told(fitted.held_out, fitted.head.categories)) == names) > 0.95
    more, expected = clouds({"bed": 30, "lamp": 30, "sofa": 30}, 0.3)
    assert told(fitted.head.probabilities(more), fitted.head.categories) == expected


def test_a_networks_scale_does_not_matter() -> None:
    """A network that gives a hundredfold of all values leads to the same probabilities."""
    vectors, names = clouds({"bed": 10, "lamp": 10}, 0.5)
    one, other = fit(vectors, names).head, fit(100 * vectors, names).head
    np.testing.assert_allclose(one.probabilities(vectors), other.probabilities(100 * vectors), atol=1e-4)


def test_vectors_of_nothing_but_zeros() -> None:
    """They tell nothing apart, and break nothing."""
    fitted = fit(np.zeros((6, 3), np.float32), ["bed", "lamp"] * 3)
    np.testing.assert_allclose(fitted.head.probabilities(np.zeros((1, 3), np.float32)), [[0.5, 0.5]], atol=1e-6)


def test_the_same_items_give_the_same_head() -> None:
    """Nothing is left to chance."""
    vectors, names = clouds({"bed": 12, "lamp": 9, "sofa": 5}, 1.0)
    one, other = fit(vectors, names), fit(vectors, names)
    np.testing.assert_array_equal(one.head.weights, other.head.weights)
    np.testing.assert_array_equal(one.held_out, other.held_out)


def test_probabilities_are_as_often_right_as_they_say() -> None:
    """Where clouds overlap, the mean probability of what is told is how often that is right."""
    vectors, names = clouds({"bed": 150, "lamp": 150, "sofa": 150}, 2.0)
    fitted = fit(vectors, names)
    right = np.mean(np.array(told(fitted.held_out, fitted.head.categories)) == names)
    assert 0.5 < right < 0.98
    assert fitted.held_out.max(axis=1).mean() == pytest.approx(right, abs=0.05)


def test_a_small_category_counts_as_much_as_a_large_one() -> None:
    """With a hundred beds and five lamps, lamps are not all taken for beds."""
    vectors, names = clouds({"bed": 100, "lamp": 5}, 0.7)
    fitted = fit(vectors, names)
    lamps = [
        one for one, own in zip(told(fitted.held_out, fitted.head.categories), names, strict=True) if own == "lamp"
    ]
    assert lamps.count("lamp") >= 4


def test_two_pictures_in_a_category() -> None:
    """Each is held out once, with the other one left to learn from."""
    vectors, names = clouds({"bed": 2, "lamp": 2, "sofa": 2}, 0.1)
    fitted = fit(vectors, names)
    assert fitted.folds == 2
    assert told(fitted.held_out, fitted.head.categories) == names


def test_an_only_picture_is_never_held_out() -> None:
    """Nobody could know its category without it; it is trained on, and nothing is said of what that is worth."""
    vectors, names = clouds({"bed": 5, "lamp": 5, "sofa": 1}, 0.1)
    fitted = fit(vectors, names)
    assert np.isnan(fitted.held_out[-1]).all()
    assert np.isfinite(fitted.held_out[:-1]).all()
    assert told(fitted.head.probabilities(vectors), fitted.head.categories) == names


def test_one_picture_in_each_category() -> None:
    """A head comes of it, and nothing is known of its worth."""
    vectors, names = clouds({"bed": 1, "lamp": 1}, 0.1)
    fitted = fit(vectors, names)
    assert (fitted.folds, fitted.temperature) == (0, 1.0)
    assert np.isnan(fitted.held_out).all()
    assert told(fitted.head.probabilities(vectors), fitted.head.categories) == names


@pytest.mark.parametrize(("names", "said"), [(["bed"] * 3, "all 3 pictures are of the category 'bed'"), ([], "no cat")])
def test_nothing_to_tell_apart(names: list[str], said: str) -> None:
    """One category, or none, is an error that says so."""
    with pytest.raises(InvalidRequest, match=said):
        fit(np.ones((len(names), 3), np.float32), names)


def test_shapes_must_fit() -> None:
    """As many vectors as categories."""
    with pytest.raises(InvalidRequest, match="2 vectors and 3 categories"):
        fit(np.ones((2, 3), np.float32), ["a", "b", "a"])


def test_what_belongs_together_is_held_out_together() -> None:
    """Equal content is in one fold, and each category is spread over as many folds as it can."""
    targets = np.array([0] * 10 + [1] * 4)
    groups = [0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6]
    folds = folds_of(targets, groups, 0)
    assert len({(group, fold) for group, fold in zip(groups, folds.tolist(), strict=True)}) == 7
    assert sorted(set(folds[:10].tolist())) == [0, 1, 2, 3, 4]
    assert sorted(set(folds[10:].tolist())) == [0, 1]


def test_temperature_is_the_best_of_all() -> None:
    """No other one has a smaller log loss, and logits that are ten times too sure are divided by ten."""
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(2000, 3))
    targets = np.array([rng.choice(3, p=row) for row in np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)])
    found = best_temperature(10 * logits, targets)
    assert found == pytest.approx(10, rel=0.15)
    assert all(log_loss(10 * logits / found, targets) <= log_loss(10 * logits / other, targets) for other in (3, 30))


def test_long_vectors_are_trained_on_in_their_span() -> None:
    """With more values than items, it is the head that training on all values would give."""
    vectors, names = clouds({"bed": 8, "lamp": 8, "sofa": 8}, 0.6)
    wide = np.concatenate([vectors, np.zeros((24, 200), np.float32)], axis=1)
    rotation = np.linalg.qr(np.random.default_rng(1).normal(size=(212, 212)))[0].astype(np.float32)
    narrow, long = fit(vectors, names), fit(wide @ rotation, names)
    assert long.strength == narrow.strength
    np.testing.assert_allclose(long.held_out, narrow.held_out, atol=2e-3)
    np.testing.assert_allclose(long.head.probabilities(wide @ rotation), narrow.head.probabilities(vectors), atol=2e-3)
