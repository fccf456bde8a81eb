"""The charts of the page, worked out to places and strings: bars of one measure, category by category."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from ddsim.evaluation.bootstrap import Interval
from ddsim.evaluation.results import Evaluation, Row
from ddsim.evaluation.view import Who, as_cell, shortened
from ddsim.showing import counted

_NAMED_BARS = 10  # up to so many bars in a chart bear their names; above that their numbers only
_LEFT, _RIGHT = 28, 270  # where 0 and 100 % are in a chart, whose width is 360


@dataclass(frozen=True)
class Bar:
    """``top``, ``length`` and the interval's ``ends`` in the units of the drawing; ``name`` empty to save room."""

    who: Who
    top: int
    name: str
    length: float
    ends: tuple[float, float] | None
    text: str
    title: str


@dataclass(frozen=True)
class Chart:
    """Bars of all rows over one category's queries; ``said`` is the same in words."""

    title: str
    queries: str
    height: int
    bars: list[Bar]
    said: str


def charts(found: Evaluation, rows: Sequence[Row], who: dict[str, Who]) -> list[Chart]:
    """The primary measure: all queries, then category by category, the rows in the same order everywhere."""
    drawn = {who[row.name]: row.measures[found.primary] for row in rows if found.primary in row.measures}
    if not drawn:
        return []
    everything = _chart("All queries", found.asked, {one: measure.overall for one, measure in drawn.items()})
    return [everything] + [
        _chart(name, count, {one: measure.by_category.get(name) for one, measure in drawn.items()})
        for name, count in found.categories.items()
    ]


def _chart(title: str, queries: int, values: dict[Who, Interval | None]) -> Chart:
    named = len(values) <= _NAMED_BARS
    step, top = (38, 18) if named else (19, 2)
    bars = []
    for number, (who, given) in enumerate(values.items()):
        cell = as_cell(given)
        length = 0.0 if given is None or math.isnan(given.value) else across(given.value) - _LEFT
        ends = None if given is None or math.isnan(given.low) else (across(given.low), across(given.high))
        text = f"{cell.text} {cell.small}".strip()
        name = shortened(who.name, 48) if named else ""
        bars.append(Bar(who, number * step + top, name, length, ends, text, f"{who.name}: {text}, {cell.title}"))
    said = "; ".join(f"{bar.who.key} {bar.who.short} {bar.text}" for bar in bars)
    return Chart(title, counted(queries, "query", "queries"), bars[-1].top + 20, bars, said)


def across(share: float) -> float:
    """Where a share lies in a chart."""
    return round(_LEFT + (_RIGHT - _LEFT) * min(max(share, 0.0), 1.0), 1)
