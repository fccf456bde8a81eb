"""What the page shows of an evaluation, worked out to strings: tables, charts and comparisons. No HTML is made here."""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

from ddsim.evaluation.bootstrap import Interval
from ddsim.evaluation.results import MEASURES, Comparison, Evaluation, Measure, Row

_COLOURS = 6  # how many the template has; from the seventh configuration on they repeat, the numbers do not
_NAMED_BARS = 10  # up to so many bars in a chart bear their names; above that their numbers only
_CELLS = 20_000  # so many cells of comparisons by category at most: a page must open in a moment
_LEFT, _RIGHT = 28, 270  # where 0 and 100 % are in a chart, whose width is 360
_NONE = "–"  # noqa: RUF001


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


@dataclass(frozen=True)
class Matrix:
    """Every row against every other one."""

    title: str
    heads: list[Who]
    lines: list[Line]
    summary: str


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


# ------------------------------------------------------------------------------------------------------ names and words


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


def counted(number: int, one: str, more: str) -> str:
    """`1 query`, `2 queries`."""
    return f"{number:,} {one if number == 1 else more}"


def _percent(share: float) -> str:
    # Plus zero: what is rounded to -0.0 is shown as 0.0.
    return _NONE if math.isnan(share) else f"{round(100 * share, 1) + 0.0:.1f}"


def _duration(seconds: float | None) -> str:
    if seconds is None or math.isnan(seconds):
        return _NONE
    return (
        f"{1000 * seconds:.0f} ms"
        if seconds < 1
        else f"{seconds:.1f} s"
        if seconds < 120
        else f"{seconds / 60:.0f} min"
    )


def _bytes(size: int | None) -> str:
    if size is None:
        return _NONE
    units = ((1e9, "GB"), (1e6, "MB"), (1e3, "kB"))
    return next((f"{size / unit:.1f} {name}" for unit, name in units if size >= unit), f"{size} B")


# ----------------------------------------------------------------------------------------------------------- the tables


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
            [_cell(_overall(row.measures.get(name)), kinds[name]) for name in names],
            " · ".join(f"{axis} {value}" for axis, value in row.about.items()),
            row.failed or "",
        )
        for row in rows
    ]
    return _table("How well they find", heads, rows, lines)


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
                Cell(_NONE if row.dimension is None else f"{row.dimension:,}"),
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
    return _table("What they cost", heads, kept, lines)


def by_category(found: Evaluation, rows: Sequence[Row], who: dict[str, Who], name: str) -> Table:
    """One measure: rows by categories."""
    lines = []
    for row in rows:
        measure = row.measures.get(name)
        values = [measure.by_category.get(category) if measure else None for category in found.categories]
        lines.append(Line(who[row.name], [_cell(value) for value in (_overall(measure), *values)]))
    return _table(name, _categories(found), rows, lines)


def _categories(found: Evaluation) -> list[Cell]:
    return [Cell(name, f"{count:,}") for name, count in (("all", found.asked), *found.categories.items())]


def _overall(measure: Measure | None) -> Interval | None:
    return measure.overall if measure else None


def _cell(given: Interval | None, kind: str = "") -> Cell:
    """A value with its margin, and all of it in words."""
    if given is None or math.isnan(given.value):
        return Cell(_NONE, title="was not measured here" if given is None else "no query has a value", kind="none")
    over = counted(given.n, "query", "queries")
    left_out = f", {given.excluded:,} left out: nothing right to find for them" if given.excluded else ""
    if math.isnan(given.low):
        return Cell(_percent(given.value), f"n = {given.n}", f"over {over}: too few for an interval{left_out}", kind)
    within = f"between {_percent(given.low)} and {_percent(given.high)}, over {over}{left_out}"
    return Cell(_percent(given.value), f"± {_percent(given.margin)}", within, kind)


def _table(title: str, heads: list[Cell], rows: Sequence[Row], lines: list[Line]) -> Table:
    floors = [line for line, row in zip(lines, rows, strict=True) if row.kind == "floor"]
    return Table(title, heads, [line for line in lines if line not in floors], floors)


# ----------------------------------------------------------------------------------------------------------- the charts


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
        cell = _cell(given)
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


# ------------------------------------------------------------------------------------------------------ the comparisons


def matrix(found: Evaluation, rows: Sequence[Row], who: dict[str, Who], category: str | None) -> Matrix | None:
    """Every row against every other, over all queries or those of a category; None where no two were compared."""
    cells = _pairs(found, category)
    names = [row.name for row in rows if any(row.name in pair for pair in cells)]
    lines = [
        Line(
            who[name],
            [Cell("", kind="self") if name == other else cells.get((name, other), Cell(_NONE)) for other in names],
        )
        for name in names
    ]
    decided = sum(cell.kind == "win" for cell in cells.values())
    summary = f"{decided} of {counted(len(cells) // 2, 'pair', 'pairs')} decided"
    return Matrix(category or "All queries", [who[name] for name in names], lines, summary) if cells else None


def matrices(found: Evaluation, rows: Sequence[Row], who: dict[str, Who]) -> list[Matrix] | None:
    """The comparisons of each category; None where they would be too many for a page."""
    if len(rows) ** 2 * len(found.categories) > _CELLS:
        return None
    made = [matrix(found, rows, who, category) for category in found.categories]
    return [one for one in made if one is not None]


def first_against(found: Evaluation, rows: Sequence[Row], who: dict[str, Who]) -> tuple[Who, Table] | None:
    """The configuration ranked first against each other row, by category."""
    best = next((row.name for row in rows if row.kind != "floor"), None)
    pairs = [_pairs(found, category) for category in (None, *found.categories)]
    others = [row for row in rows if any((best, row.name) in cells for cells in pairs)]
    if best is None or not others:
        return None
    lines = [Line(who[row.name], [cells.get((best, row.name), Cell(_NONE)) for cells in pairs]) for row in others]
    return who[best], _table("", _categories(found), others, lines)


def _pairs(found: Evaluation, category: str | None) -> dict[tuple[str, str], Cell]:
    """What is known of each two rows, both ways round: (row, other) -> how the row stands against the other."""
    cells = {}
    for said in found.comparisons:
        if said.category == category:
            cells[said.a, said.b], cells[said.b, said.a] = _against(said, -1), _against(said, 1)
    return cells


def _against(said: Comparison, way: int) -> Cell:
    """``way`` 1: how b stands against a; -1: how a stands against b."""
    difference, verdict = said.difference, said.verdict
    if math.isnan(difference.low):
        return Cell("?", f"n = {difference.n}", verdict, "few")
    value, margin = 100 * way * difference.value, f"± {100 * difference.margin:.1f}"
    if not difference.sign:
        return Cell(f"= {value:+.1f}", margin, verdict, "even")
    kind, mark = ("win", "▲") if difference.sign == way else ("lose", "▼")
    return Cell(f"{mark} {abs(value):.1f}", margin, verdict, kind)
