"""What a classifier that is trained on the items makes of the queries."""

from __future__ import annotations

import numpy as np

from ddsim.deepdetect import Vectors
from ddsim.errors import CapabilityError
from ddsim.evaluation.task import Task
from ddsim.metrics import Values
from ddsim.training import fit

# More teach little, and every configuration is trained anew.
_MOST = 5000


def trained_accuracy(task: Task, items: Vectors, queries: Vectors) -> Values | None:
    """Whether the classifier tells each query's category right.

    A query that is an item itself is told by a classifier that was trained without it and what has the same content.

    Args:
        task: what is right.
        items: their vectors, shape (n, d), as the network gave them.
        queries: likewise, shape (q, d).

    Returns:
        Shape (q,), 1 where it is right, NaN where no item is of the query's category. None where there is nothing to
        tell apart, or scikit-learn is not installed.
    """
    if len(task.categories) < 2:
        return None
    chosen = np.unique(np.linspace(0, len(items) - 1, min(len(items), _MOST)).astype(np.int64))
    photos = [task.items[place] for place in chosen.tolist()]
    if len({photo.category for photo in photos}) < 2:
        return None
    try:
        fitted = fit(items[chosen], [photo.category for photo in photos], [photo.sha256 for photo in photos])
    except CapabilityError:
        return None
    told = fitted.head.probabilities(queries)
    held_out = {photo.sha256: row for photo, row in zip(photos, fitted.held_out, strict=True)}
    for place, photo in enumerate(task.queries):
        if photo.sha256 in held_out:
            told[place] = held_out[photo.sha256]
    names = np.array(fitted.head.categories)
    # An item that is the only one of its category cannot be told without itself.
    best = np.where(np.isnan(told).any(axis=1), "", names[np.nan_to_num(told).argmax(axis=1)])
    right = best == np.array([photo.category for photo in task.queries])
    return np.where(task.relevant > 0, right.astype(np.float64), np.nan)
