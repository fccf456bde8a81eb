"""How good a search is, in numbers with intervals: pure functions over arrays, no files, no server.

Most take the ``hits`` of q queries, shape (q, n), bool: whether the item at that rank is relevant, nearest first; and
``relevant``, shape (q,), int: how many relevant items there are to be found. They give a number a query, shape (q,), so
that queries can be compared in pairs and grouped; :func:`bootstrap` makes a mean with an interval of them.

- A list that is shorter than k is filled up with misses: what was not found is not left out of the account.
- A query without any relevant item (a *lone* one) has nothing right to find. It is NaN; means leave it out and count
  it as excluded.
- Items at the same distance: the irrelevant ones come first (:func:`ranking`). So no search is praised for the order in
  which ties happened to come, and one that cannot tell items apart gets the worst that it could show.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ddsim.errors import InvalidRequest

Flags: TypeAlias = NDArray[np.bool_]
Values: TypeAlias = NDArray[np.float64]

# ---------------------------------------------------------------------------------------------------------- the hits


def matches(wanted: Sequence[str | None], given: Sequence[str | None]) -> Flags:
    """Whether an item is relevant for a query: both bear the same name, of a category or of a product.

    Args:
        wanted: of the queries; None, for one that has none, matches nothing.
        given: of the items.

    Returns:
        Shape (queries, items).
    """
    numbers = {name: number for number, name in enumerate(dict.fromkeys(wanted)) if name is not None}
    rows = np.array([numbers.get(name, -1) if name is not None else -1 for name in wanted], dtype=np.int64)
    columns = np.array([numbers.get(name, -2) if name is not None else -2 for name in given], dtype=np.int64)
    return np.equal.outer(rows, columns)


def ranking(distances: ArrayLike, relevant: ArrayLike) -> NDArray[np.intp]:
    """The items by distance; among equally near ones the irrelevant first.

    Args:
        distances: shape (q, n). NaN keeps an item from being found (leave-one-out: the query itself); it comes last
            and must not be relevant, so that it is a miss wherever it is counted.
        relevant: shape (q, n), bool.

    Returns:
        Shape (q, n), columns in the order of ranks; ``np.take_along_axis(relevant, order, 1)`` are the hits.

    Raises:
        InvalidRequest: the shapes differ, or an item with distance NaN is relevant.
    """
    far, flags = np.asarray(distances, dtype=np.float64), np.asarray(relevant, dtype=np.bool_)
    if far.ndim != 2 or far.shape != flags.shape:
        raise InvalidRequest(f"ranking: distances {far.shape} and relevant {flags.shape} must be the same (q, n)")
    if np.any(np.isnan(far) & flags):
        raise InvalidRequest("ranking: an item that is not to be found (distance NaN) counts as relevant")
    return np.lexsort((flags, far), axis=-1)


def filtered(hits: ArrayLike, kept: ArrayLike) -> Flags:
    """The hits of the lists in which only some items are shown; the others' places at the end are misses.

    Args:
        hits: shape (q, n).
        kept: shape (q, n), bool, in the order of ranks.
    """
    found, shown = np.asarray(hits, dtype=np.bool_), np.asarray(kept, dtype=np.bool_)
    if found.ndim != 2 or found.shape != shown.shape:
        raise InvalidRequest(f"filtered: hits {found.shape} and kept {shown.shape} must be the same (q, n)")
    return np.take_along_axis(found & shown, np.argsort(~shown, axis=1, kind="stable"), axis=1)


# ------------------------------------------------------------------------------------------------- metrics of a query


def precision_at_k(hits: ArrayLike, relevant: ArrayLike, k: int) -> Values:
    """Which part of the first k is relevant. Where fewer than k items are relevant it cannot reach 1."""
    found, there = _lists("precision_at_k", hits, relevant, k)
    return _unless_lone(found[:, :k].sum(axis=1) / k, there)


def recall_at_k(hits: ArrayLike, relevant: ArrayLike, k: int) -> Values:
    """Which part of the relevant items is among the first k."""
    found, there = _lists("recall_at_k", hits, relevant, k)
    return _unless_lone(found[:, :k].sum(axis=1) / np.maximum(there, 1), there)


def recall_any_at_k(hits: ArrayLike, relevant: ArrayLike, k: int) -> Values:
    """1 where at least one relevant item is among the first k, else 0: the recall@k of metric learning."""
    found, there = _lists("recall_any_at_k", hits, relevant, k)
    return _unless_lone(found[:, :k].any(axis=1).astype(np.float64), there)


def r_precision(hits: ArrayLike, relevant: ArrayLike) -> Values:
    """Which part of the first R is relevant, where R is how many relevant items there are."""
    found, there = _lists("r_precision", hits, relevant)
    ranks = np.arange(1, found.shape[1] + 1)
    return _unless_lone((found & (ranks <= there[:, None])).sum(axis=1) / np.maximum(there, 1), there)


def average_precision(hits: ArrayLike, relevant: ArrayLike) -> Values:
    """The precision at every hit, summed up and divided by R; relevant items that are not in the list add nothing."""
    found, there = _lists("average_precision", hits, relevant)
    return _average_precision(found, there)


def average_precision_at_r(hits: ArrayLike, relevant: ArrayLike) -> Values:
    """The same over the first R ranks only; its mean is MAP@R.

    Musgrave, Belongie and Lim, A Metric Learning Reality Check (2020), as pytorch-metric-learning computes it.
    """
    found, there = _lists("average_precision_at_r", hits, relevant)
    found = found[:, : int(there.max(initial=0))]
    return _average_precision(found & (np.arange(1, found.shape[1] + 1) <= there[:, None]), there)


def top_k_accuracy(probabilities: ArrayLike, actual: ArrayLike, k: int = 1) -> Values:
    """1 where the actual category is among the k most probable, else 0.

    A category that is as probable as others counts as the last of them, one without any probability as not named.

    Args:
        probabilities: shape (q, categories).
        actual: shape (q,), columns; -1 is a category that is not among them, and wrong in any case.
        k: how many.
    """
    table, columns = np.asarray(probabilities, dtype=np.float64), np.asarray(actual, dtype=np.int64)
    fits = table.ndim == 2 and columns.shape == table.shape[:1]
    if k < 1 or not fits or np.any((columns < -1) | (columns >= table.shape[1])):
        raise InvalidRequest(
            f"top_k_accuracy: k={k}, probabilities {table.shape} and actual {columns.shape} do not fit"
        )
    # -1 takes the last column, so that one without any probability is put there.
    own = np.pad(table, ((0, 0), (0, 1)))[np.arange(len(table)), columns]
    as_probable = np.count_nonzero(table >= own[:, None], axis=1)
    return np.asarray((own > 0) & (as_probable <= k), dtype=np.float64)


def routing_gain(hits: ArrayLike, relevant: ArrayLike, kept: ArrayLike, k: int) -> Values:
    """What it brings to show items of one category only: precision@k with that filter minus precision@k without it.

    Args:
        hits: shape (q, n).
        relevant: shape (q,).
        kept: shape (q, n), bool, in the order of ranks: whether the item is of the category searched.
        k: as in :func:`precision_at_k`.

    Returns:
        In [-1, 1]; below 0 where the filter does harm.
    """
    return precision_at_k(filtered(hits, kept), relevant, k) - precision_at_k(hits, relevant, k)


# ------------------------------------------------------------------------------------------------------------- chance


def chance_precision_at_k(relevant: ArrayLike, items: ArrayLike, k: int) -> Values:
    """The precision@k to be expected of a random order, exactly; with k=1 the R-precision, too.

    Args:
        relevant: how many items are relevant, shape (q,).
        items: how many there are, shape (q,) or one number for all queries.
        k: as in :func:`precision_at_k`.
    """
    there, size = _urns("chance_precision_at_k", relevant, items, k)
    return _unless_lone(there / np.maximum(size, 1) * np.minimum(k, size) / k, there)


def chance_recall_at_k(relevant: ArrayLike, items: ArrayLike, k: int) -> Values:
    """The recall@k to be expected of a random order; arguments as in :func:`chance_precision_at_k`."""
    there, size = _urns("chance_recall_at_k", relevant, items, k)
    return _unless_lone(np.minimum(k, size) / np.maximum(size, 1), there)


def chance_recall_any_at_k(relevant: ArrayLike, items: ArrayLike, k: int) -> Values:
    """How probable a relevant item is among the first k of a random order; arguments as above."""
    there, size = _urns("chance_recall_any_at_k", relevant, items, k)
    missed = np.ones(there.shape)
    for drawn in range(k):
        missed *= np.clip((size - there - drawn) / np.maximum(size - drawn, 1), 0.0, 1.0)
    return _unless_lone(1.0 - missed, there)


def chance_average_precision(relevant: ArrayLike, items: ArrayLike, *, at_r: bool = False) -> Values:
    """The average precision to be expected of a random order, exactly.

    Rank i holds a hit with probability R/n, and a hit there sees 1 + (i-1)(R-1)/(n-1) hits up to it on average.

    Args:
        relevant: as in :func:`chance_precision_at_k`.
        items: likewise.
        at_r: of the first R ranks only, as :func:`average_precision_at_r`.
    """
    there, size = _urns("chance_average_precision", relevant, items)
    ranks = there if at_r else size
    harmonic = np.concatenate(([0.0], np.cumsum(1.0 / np.arange(1, int(ranks.max(initial=0)) + 1))))[ranks]
    others = (there - 1) / np.maximum(size - 1, 1)
    return _unless_lone((harmonic + (ranks - harmonic) * others) / np.maximum(size, 1), there)


# ------------------------------------------------------------------------------------------------------------ helpers


def _lists(name: str, hits: ArrayLike, relevant: ArrayLike, k: int = 1) -> tuple[Flags, NDArray[np.int64]]:
    _positive(name, k)
    found, there = np.asarray(hits, dtype=np.bool_), np.asarray(relevant, dtype=np.int64)
    if found.shape == (0,):  # no queries, written as []
        found = found.reshape(0, 0)
    if found.ndim != 2 or there.shape != found.shape[:1]:
        raise InvalidRequest(f"{name}: hits {found.shape} must be (q, n) and relevant {there.shape} (q,)")
    if np.any(found.sum(axis=1) > there):
        query = int(np.argmax(found.sum(axis=1) > there))
        raise InvalidRequest(f"{name}: query {query} has more hits than there are relevant items")
    return found, there


def _urns(name: str, relevant: ArrayLike, items: ArrayLike, k: int = 1) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    _positive(name, k)
    there = np.asarray(relevant, dtype=np.int64)
    try:
        size = np.broadcast_to(np.asarray(items, dtype=np.int64), there.shape)
    except ValueError as error:
        raise InvalidRequest(f"{name}: {error}") from error
    if there.ndim != 1 or np.any(there > size) or np.any(there < 0):
        raise InvalidRequest(f"{name}: relevant must be (q,), and at least 0 and at most items")
    return there, size


def _positive(name: str, k: int) -> int:
    if k < 1:
        raise InvalidRequest(f"{name}: k={k} must be 1 or more")
    return k


def _average_precision(found: Flags, there: NDArray[np.int64]) -> Values:
    precisions = np.cumsum(found, axis=1) / np.arange(1, found.shape[1] + 1)
    return _unless_lone((precisions * found).sum(axis=1) / np.maximum(there, 1), there)


def _unless_lone(values: ArrayLike, there: NDArray[np.int64]) -> Values:
    return np.where(there > 0, values, np.nan)
