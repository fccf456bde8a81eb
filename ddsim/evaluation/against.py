"""Rows of an evaluation against each other, worked out to strings for the page."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from ddsim.evaluation.results import Comparison, Evaluation, Row
from ddsim.evaluation.view import NOTHING, Cell, Line, Table, Who, as_table, category_heads
from ddsim.showing import counted

_CELLS = 20_000  # so many cells of comparisons by category at most: a page must open in a moment


@dataclass(frozen=True)
class Matrix:
    """Every row against every other one."""

    title: str
    heads: list[Who]
    lines: list[Line]
    summary: str


def matrix(found: Evaluation, rows: Sequence[Row], who: dict[str, Who], category: str | None) -> Matrix | None:
    """Every row against every other, over all queries or those of a category; None where no two were compared."""
    cells = _pairs(found, category)
    names = [row.name for row in rows if any(row.name in pair for pair in cells)]
    lines = [
        Line(
            who[name],
            [Cell("", kind="self") if name == other else cells.get((name, other), Cell(NOTHING)) for other in names],
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
    lines = [Line(who[row.name], [cells.get((best, row.name), Cell(NOTHING)) for cells in pairs]) for row in others]
    return who[best], as_table("", category_heads(found), others, lines)


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
