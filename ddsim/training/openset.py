"""Learns when a photo shows none of the categories, by leaving out one category at a time."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ddsim.deepdetect import Vectors
from ddsim.routing import OpenSet, signs
from ddsim.training.fitting import Fitted, linear_model, scaled, solve

_Float64 = NDArray[np.float64]

# Of the catalogue's own items so many may be told that they show nothing of it.
_FALSE_ALARMS = 0.03
# Two categories left tell a third from nothing; with fewer items than this there is no share of 3 in 100.
_LEAST_CATEGORIES, _LEAST_ITEMS = 3, 30


def learn_open_set(
    vectors: Vectors, categories: Sequence[str], fitted: Fitted, distances: NDArray[np.float64]
) -> OpenSet | None:
    """Learn it from a catalogue alone.

    An item held out stands for a photo of its category. The items of a category, as a head sees them that was trained
    on the other categories, stand for photos of something else.

    Args:
        vectors: of the items, shape (n, d).
        categories: theirs.
        fitted: on them.
        distances: between them as searches give them, shape (n, n); NaN between an item and itself or its twins.

    Returns:
        None where categories or items are too few.
    """
    names = fitted.head.categories
    own = np.array([names.index(category) for category in categories])
    held = np.isfinite(fitted.held_out).all(axis=1) & np.isfinite(distances).any(axis=1)
    if len(names) < _LEAST_CATEGORIES or held.sum() < _LEAST_ITEMS:
        return None
    like = signs(_nearest(distances[held]), fitted.held_out[held].max(axis=1), len(names))
    rows = scaled(vectors)[0]
    unlike = [_left_out(rows, own, distances, fitted, left_out) for left_out in range(len(names))]
    told_from = np.concatenate(unlike)
    flags = np.concatenate((np.zeros(len(like)), np.ones(len(told_from))))
    line = linear_model().LogisticRegression(class_weight="balanced").fit(np.concatenate((like, told_from)), flags)
    inside = line.decision_function(like)
    limit = float(np.quantile(inside, 1 - _FALSE_ALARMS, method="higher"))
    caught = [float(np.mean(line.decision_function(part) > limit)) for part in unlike]
    by_distance, by_odds = line.coef_[0].tolist()
    return OpenSet(
        float(line.intercept_[0]),
        by_distance,
        by_odds,
        limit,
        float(np.mean(inside > limit)),
        float(np.mean(caught)),
    )


def _left_out(rows: _Float64, own: NDArray[np.int64], distances: _Float64, fitted: Fitted, left_out: int) -> _Float64:
    """The signs of a category's items where the catalogue has all but that category."""
    gone = own == left_out
    numbers = np.unique(own[~gone], return_inverse=True)[1]
    head = solve(rows[~gone], numbers, int(numbers.max()) + 1, fitted.strength)
    most = head.probabilities(rows[gone], fitted.temperature).max(axis=1)
    return signs(_nearest(distances[np.ix_(gone, ~gone)]), most, int(numbers.max()) + 1)


def _nearest(distances: _Float64) -> _Float64:
    nearest: _Float64 = np.nanmin(distances, axis=1)
    return nearest
