"""Rows against each other: means with intervals, every pair on the same queries, and who wins."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

import numpy as np

from ddsim.evaluation.bootstrap import Interval
from ddsim.evaluation.intervals import Draws
from ddsim.evaluation.results import Comparison, Disagreement, Measure, Row, Shown
from ddsim.evaluation.scoring import SHOWN, Scores
from ddsim.evaluation.task import Task
from ddsim.metrics import Values

#: Rows shown of a query on which configurations disagree.
_ROWS_SHOWN = 6
#: Rows named in a sentence.
_NAMED = 3


def primary_measure(task: Task) -> str:
    """The measure by which rows are ranked and compared.

    Who searches with a photo of a thing wants to see that thing first. Where names of files tell products, and most
    queries have theirs among the items, ``product@1`` says how often that is so. Otherwise nobody knows what is the
    same thing, and ``P@10`` says how much of the first page is at least of the right category.
    """
    return "product@1" if 2 * np.count_nonzero(task.same_product) > len(task.queries) else "P@10"


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


def ranked(rows: Iterable[Row], primary: str) -> list[Row]:
    """Configurations best first, failed ones after them, floors last."""

    def place(row: Row) -> tuple[bool, bool, bool, float]:
        value = row.measures[primary].overall.value if primary in row.measures else float("nan")
        known = not np.isnan(value)
        return row.kind == "floor", row.failed is not None, not known, -value if known else 0.0

    return sorted(rows, key=place)


def concluded(rows: Sequence[Row], comparisons: Sequence[Comparison], primary: str) -> str:
    """Who wins, in a sentence or two; nobody does where the intervals do not say so.

    Args:
        rows: as :func:`ranked` gives them.
        comparisons: of them all.
        primary: the measure.
    """
    overall = {(one.a, one.b): one.difference for one in comparisons if one.category is None}

    def better(a: str, b: str) -> Interval:
        """How much larger a is than b."""
        if (b, a) in overall:
            return overall[b, a]
        turned = overall[a, b]
        return Interval(-turned.value, -turned.high, -turned.low, turned.n, turned.excluded)

    alive = [row.name for row in rows if row.kind == "configuration" and row.failed is None]
    if not alive:
        return "No configuration could be measured."
    best, floors = alive[0], [row.name for row in rows if row.kind == "floor"]
    tied = [name for name in alive if name == best or better(best, name).sign <= 0]
    behind = [name for name in alive if name not in tied]
    sentences = []
    if len(alive) == 1:
        mean = next(row for row in rows if row.name == best).measures[primary].overall
        sentences.append(f"{best} reaches {_amount(mean)} % {primary}, with nothing to compare it with.")
    elif len(tied) == 1:
        sentences.append(f"{best} wins by {primary}: it beats {_beaten(best, behind, better)}.")
    else:
        more = [f"{len(tied) - _NAMED} more"] if len(tied) > _NAMED else []
        sentences.append(f"{_listed([*tied[:_NAMED], *more])} cannot be told apart by {primary}.")
        sentences += _shortest([row for row in rows if row.name in tied])
        if behind:
            sentences.append(f"{best} beats {_beaten(best, behind, better)}.")
    sentences += [
        f"{best} is not better than {floor}, which it has to beat to be of any use."
        for floor in floors
        if better(best, floor).sign <= 0
    ]
    return " ".join(sentences)


def _shortest(tied: Sequence[Row]) -> list[str]:
    """Which of equally good rows costs least, where that tells them apart."""
    lengths = [row.dimension or 0 for row in tied]
    least = min(lengths)
    short = [row.name for row, length in zip(tied, lengths, strict=True) if length == least]
    return [f"Of these {short[0]} has the shortest vectors, {least} values."] if len(short) == 1 else []


def _beaten(best: str, behind: Sequence[str], better: Callable[[str, str], Interval]) -> str:
    shown = [f"{name} by {_amount(better(best, name))}" for name in behind[:_NAMED]]
    more = len(behind) - len(shown)
    return _listed(shown + ([f"{more} more by at least as much"] if more else []))


def _amount(given: Interval) -> str:
    margin = "" if np.isnan(given.margin) else f" ± {100 * given.margin:.1f}"
    return f"{100 * given.value:.1f}{margin}"


def _listed(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def disagreements(task: Task, rows: Sequence[str], scores: Mapping[str, Scores], most: int) -> tuple[Disagreement, ...]:
    """The queries on which the configurations differ most by P@10, one of each product.

    Args:
        task: names queries and items.
        rows: configurations, best first.
        scores: of each.
        most: how many queries.
    """
    if len(rows) < 2:
        return ()
    table = np.stack([scores[row].values[f"P@{SHOWN}"] for row in rows])
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
