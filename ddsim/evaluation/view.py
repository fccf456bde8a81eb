"""What the page shows of an evaluation, worked out to strings: who is who, values in words, and tables.

No HTML is made here, nor where the charts and the comparisons are worked out.
"""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

from ddsim.evaluation.bootstrap import Interval
from ddsim.evaluation.results import MEASURES, Evaluation, Measure, Row
from ddsim.showing import counted

_COLOURS = 6  # how many the template has; from the seventh configuration on they repeat, the numbers do not
#: What stands where there is no value.
NOTHING = "–"  # noqa: RUF001


@dataclass(frozen=True)
class Who:
    """A row as it is called all over the page: by a number in a colour, and its name in full and cut to fit."""

    key: str
    colour: str
    name: str
    short: str


@dataclass(frozen=True)
class Cell:
    """A value, what stands small beneath it, what is said where the mouse rests on it, and its class of style."""

    text: str
    small: str = ""
    title: str = ""
    kind: str = ""


@dataclass(frozen=True)
class Line:
    """A row of a table; ``failed`` stands in the place of the cells."""

    who: Who
    cells: list[Cell]
    about: str = ""
    failed: str = ""


@dataclass(frozen=True)
class Table:
    """Configurations, and apart from them the floors."""

    title: str
    heads: list[Cell]
    lines: list[Line]
    floors: list[Line]


def everyone(rows: Sequence[Row]) -> dict[str, Who]:
    """Numbers and colours for the configurations, letters for the floors, by name of row and in the order of rows."""
    who: dict[str, Who] = {}
    numbers, letters = 0, 0
    for row in rows:
        if row.kind == "floor":
            key, colour, letters = chr(ord("a") + letters % 26), "floor", letters + 1
        else:
            key, colour, numbers = str(numbers + 1), f"c{numbers % _COLOURS}", numbers + 1
        who[row.name] = Who(key, colour, row.name, shortened(row.name, 44))
    return who


def shortened(name: str, width: int) -> str:
    """Without its middle where it is too wide: names of a matrix differ at their ends."""
    if _fitting(name, width) == len(name):
        return name
    head, tail = _fitting(name, width // 2), _fitting(name[::-1], (width - 1) // 2)
    return f"{name[:head]}…{name[len(name) - tail :]}"


def _fitting(name: str, width: int) -> int:
    """How many characters find room; a Chinese one is as wide as two letters."""
    for at, letter in enumerate(name):
        width -= 2 if unicodedata.east_asian_width(letter) in "WF" else 1
        if width < 0:
            return at
    return len(name)


def as_percent(share: float) -> str:
    """A share of 1 in percent, without the sign; a dash where it is none."""
    # Plus zero: what is rounded to -0.0 is shown as 0.0.
    return NOTHING if math.isnan(share) else f"{round(100 * share, 1) + 0.0:.1f}"


def _duration(seconds: float | None) -> str:
    if seconds is None or math.isnan(seconds):
        return NOTHING
    return (
        f"{1000 * seconds:.0f} ms"
        if seconds < 1
        else f"{seconds:.1f} s"
        if seconds < 120
        else f"{seconds / 60:.0f} min"
    )


def _bytes(size: int | None) -> str:
    if size is None:
        return NOTHING
    units = ((1e9, "GB"), (1e6, "MB"), (1e3, "kB"))
    return next((f"{size / unit:.1f} {name}" for unit, name in units if size >= unit), f"{size} B")


def measures_of(rows: Sequence[Row]) -> list[str]:
    """The measures that at least one row has, in the order in which they are shown."""
    return [name for name in MEASURES if any(name in row.measures for row in rows)]


def quality(rows: Sequence[Row], who: dict[str, Who], primary: str) -> Table:
    """All rows, failed ones too, and their measures over all queries."""
    names = measures_of(rows)
    kinds = {name: "primary" if name == primary else "" for name in names}
    heads = []
    for name in names:
        text, dot, kind = name.partition(".")  # `accuracy.service` in two lines: nine such columns must find room
        heads.append(Cell(text, "ranked by this" if kinds[name] else dot + kind, MEASURES[name], kinds[name]))
    lines = [
        Line(
            who[row.name],
            [as_cell(overall(row.measures.get(name)), kinds[name]) for name in names],
            " · ".join(f"{axis} {value}" for axis, value in row.about.items()),
            row.failed or "",
        )
        for row in rows
    ]
    return as_table("How well they find", heads, rows, lines)


def cost(rows: Sequence[Row], who: dict[str, Who]) -> Table:
    """What the rows that did not fail take: room and time."""
    heads = [
        Cell("Dimension", title="length of a vector as it is searched"),
        Cell("Index", title="what the index takes"),
        Cell("Query p50", title="half of the queries took no longer, from a picture in memory to its neighbours"),
        Cell("Query p95", title="95 of 100 queries took no longer"),
        Cell("Extracted", title="vectors that the server computed for this run"),
        Cell("Cached", title="vectors that were known from earlier"),
        Cell("Took", title="what this row of the evaluation took altogether"),
    ]
    kept = [row for row in rows if row.failed is None]
    lines = [
        Line(
            who[row.name],
            [
                Cell(NOTHING if row.dimension is None else f"{row.dimension:,}"),
                Cell(_bytes(row.index_bytes)),
                Cell(_duration(row.latency_p50)),
                Cell(_duration(row.latency_p95)),
                Cell(f"{row.extracted:,}"),
                Cell(f"{row.cached:,}"),
                Cell(_duration(row.seconds)),
            ],
        )
        for row in kept
    ]
    return as_table("What they cost", heads, kept, lines)


def by_category(found: Evaluation, rows: Sequence[Row], who: dict[str, Who], name: str) -> Table:
    """One measure: rows by categories."""
    lines = []
    for row in rows:
        measure = row.measures.get(name)
        values = [measure.by_category.get(category) if measure else None for category in found.categories]
        lines.append(Line(who[row.name], [as_cell(value) for value in (overall(measure), *values)]))
    return as_table(name, category_heads(found), rows, lines)


def category_heads(found: Evaluation) -> list[Cell]:
    """All queries, and those of each category, with how many they are."""
    return [Cell(name, f"{count:,}") for name, count in (("all", found.asked), *found.categories.items())]


def overall(measure: Measure | None) -> Interval | None:
    """A measure over all queries, where there is one."""
    return measure.overall if measure else None


def as_cell(given: Interval | None, kind: str = "") -> Cell:
    """A value with its margin, and all of it in words."""
    if given is None or math.isnan(given.value):
        return Cell(NOTHING, title="was not measured here" if given is None else "no query has a value", kind="none")
    over = counted(given.n, "query", "queries")
    left_out = f", {given.excluded:,} left out: nothing right to find for them" if given.excluded else ""
    if math.isnan(given.low):
        return Cell(as_percent(given.value), f"n = {given.n}", f"over {over}: too few for an interval{left_out}", kind)
    within = f"between {as_percent(given.low)} and {as_percent(given.high)}, over {over}{left_out}"
    return Cell(as_percent(given.value), f"± {as_percent(given.margin)}", within, kind)


def as_table(title: str, heads: list[Cell], rows: Sequence[Row], lines: list[Line]) -> Table:
    """A table of these lines, those of floors apart."""
    floors = [line for line, row in zip(lines, rows, strict=True) if row.kind == "floor"]
    return Table(title, heads, [line for line in lines if line not in floors], floors)
