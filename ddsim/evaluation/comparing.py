"""Rows against each other: means with intervals, every pair on the same queries, and where they disagree."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from ddsim.evaluation.intervals import Draws
from ddsim.evaluation.results import Comparison, Disagreement, Measure, Row, Shown
from ddsim.evaluation.scoring import Scores
from ddsim.evaluation.task import Task
from ddsim.metrics import Values

#: Rows shown of a query on which configurations disagree.
_ROWS_SHOWN = 6


class Groups:
    """The queries, all of them and by category, with their draws.

    Args:
        task: names queries and categories.
        seed: of the draws.
    """

    def __init__(self, task: Task, seed: int) -> None:
        units = task.units
        own = np.array([photo.category for photo in task.queries], dtype=object)
        self.counts = {name: int((own == name).sum()) for name in sorted({photo.category for photo in task.queries})}
        self._rows: dict[str | None, np.ndarray[tuple[int], np.dtype[np.int64]]] = {None: np.arange(len(own))}
        self._rows |= {name: np.flatnonzero(own == name) for name in self.counts}
        self._draws = {name: Draws([units[row] for row in rows], seed=seed) for name, rows in self._rows.items()}

    def measures(self, values: Mapping[str, Mapping[str, Values]]) -> dict[str, dict[str, Measure]]:
        """Means with intervals: name of a row -> measure -> over all queries and by category.

        Args:
            values: name of a row -> measure -> shape (q,).
        """
        found: dict[str, dict[str, Measure]] = {row: {} for row in values}
        for measure in dict.fromkeys(measure for own in values.values() for measure in own):
            having = [row for row, own in values.items() if measure in own]
            table = np.stack([values[row][measure] for row in having])
            by_group = {group: self._draws[group].intervals(table[:, rows]) for group, rows in self._rows.items()}
            for place, row in enumerate(having):
                by_category = {name: by_group[name][place] for name in self.counts}
                found[row][measure] = Measure(by_group[None][place], by_category)
        return found

    def comparisons(self, measure: str, values: Mapping[str, Values]) -> list[Comparison]:
        """Every pair of rows, overall and by category; those over all queries first.

        Args:
            measure: which.
            values: name of a row -> shape (q,).
        """
        names = list(values)
        if not names:
            return []
        table = np.stack([values[name] for name in names])
        return [
            Comparison(measure, names[a], names[b], group, difference)
            for group, rows in self._rows.items()
            for a, b, difference in self._draws[group].differences(table[:, rows])
        ]

    def joint(self, values: Mapping[str, Values]) -> float:
        """By how much margins must grow for all pairs over all queries at once, see :meth:`Draws.joint`.

        Args:
            values: as for :meth:`comparisons`.
        """
        return self._draws[None].joint(np.stack(list(values.values()))) if values else 1.0


def ranked(rows: Iterable[Row], primary: str) -> list[Row]:
    """Configurations best first, failed ones after them, floors last."""

    def place(row: Row) -> tuple[bool, bool, bool, float]:
        value = row.measures[primary].overall.value if primary in row.measures else float("nan")
        known = not np.isnan(value)
        return row.kind == "floor", row.failed is not None, not known, -value if known else 0.0

    return sorted(rows, key=place)


def disagreements(
    task: Task, rows: Sequence[str], scores: Mapping[str, Scores], most: int, measure: str
) -> tuple[Disagreement, ...]:
    """The queries on which the configurations differ most, one of each product.

    Args:
        task: names queries and items.
        rows: configurations, best first.
        scores: of each.
        most: how many queries.
        measure: by which they differ, such as :func:`ddsim.evaluation.results.spread_by` says.
    """
    if len(rows) < 2:
        return ()
    table = np.stack([scores[row].values[measure] for row in rows])
    spread = np.nan_to_num(table.max(axis=0) - table.min(axis=0))
    chosen: dict[str, int] = {}
    for query in np.argsort(-spread, kind="stable").tolist():
        if len(chosen) == most or spread[query] <= 0:
            break
        chosen.setdefault(task.queries[query].unit, query)
    return tuple(
        Disagreement(
            task.queries[query].uri,
            task.queries[query].category,
            float(spread[query]),
            {row: _found(task, scores[row], query) for row in _telling(rows, table[:, query])},
        )
        for query in chosen.values()
    )


def _telling(rows: Sequence[str], values: Values) -> list[str]:
    """The rows to show of a query: the best ones altogether, and those that did best and worst here."""
    places = dict.fromkeys([int(values.argmax()), int(values.argmin()), *range(len(rows))])
    return [rows[place] for place in sorted(list(places)[:_ROWS_SHOWN])]


def _found(task: Task, scores: Scores, query: int) -> tuple[Shown, ...]:
    category = task.queries[query].category
    return tuple(
        Shown(item.uri, item.category, float(distance), item.category == category)
        for place, distance in zip(scores.nearest[query].tolist(), scores.distances[query].tolist(), strict=True)
        if place >= 0
        for item in (task.items[place],)
    )
