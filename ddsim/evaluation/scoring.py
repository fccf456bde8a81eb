"""How well one search answers the queries: a value of each measure for every query, and what was found first."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from ddsim.deepdetect import Vectors
from ddsim.evaluation.searching import Searcher
from ddsim.evaluation.task import Block, Task
from ddsim.metrics import (
    Flags,
    Values,
    average_precision_at_r,
    chance_average_precision,
    chance_precision_at_k,
    chance_recall_any_at_k,
    precision_at_k,
    ranking,
    recall_any_at_k,
    routing_gain,
    top_k_accuracy,
)
from ddsim.routing import Learned, Shares, combine, vote

#: So many of the nearest items are shown where configurations disagree.
SHOWN = 10


@dataclass(frozen=True)
class Router:
    """How the category of a query is told.

    Attributes:
        learned: of this search's own distances.
        voters: how many nearest items vote.
        service: by the classification service, one a query; None without one.
    """

    learned: Learned
    voters: int
    service: Sequence[Shares] | None = None


@dataclass
class Scores:
    """What came out for q queries.

    Attributes:
        values: measure -> shape (q,); NaN where there is nothing right to find. See
            :data:`ddsim.evaluation.results.MEASURES`.
        nearest: the first items' places, shape (q, at most 10); -1 where nothing more was found.
        distances: theirs.
    """

    values: dict[str, Values] = field(default_factory=dict)
    nearest: NDArray[np.int64] = field(default_factory=lambda: np.zeros((0, 0), np.int64))
    distances: Values = field(default_factory=lambda: np.zeros((0, 0)))


def score(
    task: Task, queries: Vectors, index: Searcher, router: Router | None, told: Callable[[int], None] = lambda _: None
) -> Scores:
    """Ask all queries.

    Args:
        task: what is right.
        queries: their vectors, shape (q, d), as the network gave them.
        index: what is searched.
        router: None leaves accuracy and routing gain out.
        told: called with the number of queries done, after each part.
    """
    parts: list[Scores] = []
    for block in task.blocks():
        distances = index.distances(queries[block.rows])
        distances[block.hidden] = np.nan
        parts.append(_scored(task, block, distances, router))
        told(len(distances))
    return Scores(
        {name: np.concatenate([part.values[name] for part in parts]) for name in parts[0].values},
        np.concatenate([part.nearest for part in parts]),
        np.concatenate([part.distances for part in parts]),
    )


def _scored(task: Task, block: Block, distances: Values, router: Router | None) -> Scores:
    found = ~np.isnan(distances)
    relevant, products = task.relevant[block.rows], task.same_product[block.rows]
    order = ranking(distances, block.category & found)
    hits = np.take_along_axis(block.category & found, order, axis=1)
    values = {f"P@{k}": precision_at_k(hits, relevant, k) for k in (1, 5, 10)}
    values["MAP@R"] = average_precision_at_r(hits, relevant)
    if task.same_product.any():
        # Ordered anew: among equally near items those of other products come first.
        same = block.product & found
        right = np.take_along_axis(same, ranking(distances, same), axis=1)
        values |= {f"product@{k}": recall_any_at_k(right, products, k) for k in (1, 10)}
    if router is not None:
        values |= _routed(task, block, distances, order, hits, router)
    first = order[:, :SHOWN]
    far = np.take_along_axis(distances, first, axis=1)
    return Scores(values, np.where(np.isnan(far), -1, first), far)


def _routed(
    task: Task, block: Block, distances: Values, order: NDArray[np.intp], hits: Flags, router: Router
) -> dict[str, Values]:
    relevant, actual = task.relevant[block.rows], task.query_categories[block.rows]
    neighbours = _votes(task, distances, order, router)
    told = {"neighbours": neighbours, "combined": neighbours}
    if router.service is not None:
        told["service"] = list(router.service[block.rows])
        weight = router.learned.weight if router.learned.weight is not None else 0.0
        told["combined"] = [combine(a, b, weight) for a, b in zip(told["service"], neighbours, strict=True)]
    # Categories that no item is of can be named, too, and are wrong.
    names = list(
        dict.fromkeys([*task.categories, *(name for shares in told.values() for one in shares for name in one)])
    )
    tables = {who: _table(shares, names) for who, shares in told.items()}
    right = {who: np.where(relevant > 0, top_k_accuracy(table, actual), np.nan) for who, table in tables.items()}
    values = {"accuracy": right["combined"], "accuracy.neighbours": right["neighbours"]}
    if "service" in right:
        values["accuracy.service"] = right["service"]
    best = tables["combined"].argmax(axis=1)
    # Where no category has any probability nobody would search in one of them only.
    unsure = tables["combined"].max(axis=1, initial=0.0) <= 0
    kept = (task.item_categories[order] == best[:, np.newaxis]) | unsure[:, np.newaxis]
    values["routing_gain"] = routing_gain(hits, relevant, kept, SHOWN)
    return values


def _votes(task: Task, distances: Values, order: NDArray[np.intp], router: Router) -> list[Shares]:
    line = router.learned.line
    if line is None:
        return [{} for _ in order]
    first = order[:, : router.voters]
    far = np.take_along_axis(distances, first, axis=1)
    weights = line.probability(np.nan_to_num(far, nan=np.inf))
    places = task.item_categories[first]
    return [
        vote(
            [
                (task.categories[place], float(weight))
                for place, weight, distance in zip(row, given, near, strict=True)
                if not np.isnan(distance)
            ]
        )
        for row, given, near in zip(places, weights, far, strict=True)
    ]


def _table(shares: Sequence[Mapping[str, float]], names: Sequence[str]) -> Values:
    return np.array([[one.get(name, 0.0) for name in names] for one in shares], dtype=np.float64).reshape(
        -1, len(names)
    )


def chance(task: Task) -> dict[str, Values]:
    """What is to be expected of a search that knows nothing, exactly."""
    values = {f"P@{k}": chance_precision_at_k(task.relevant, task.findable, k) for k in (1, 5, 10)}
    values["MAP@R"] = chance_average_precision(task.relevant, task.findable, at_r=True)
    if task.same_product.any():
        values |= {f"product@{k}": chance_recall_any_at_k(task.same_product, task.findable, k) for k in (1, 10)}
    return values
