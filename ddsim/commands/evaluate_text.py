"""What `ddsim evaluate` prints: a table that fits a terminal, what failed, and who beats whom."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from itertools import takewhile
from pathlib import Path

from rich.cells import cell_len

from ddsim.commands.common import Typed, out
from ddsim.evaluation import Evaluation, Interval, Row
from ddsim.showing import counted, printable

_COLUMNS = ("P@1", "P@10", "MAP@R", "product@1", "accuracy", "accuracy.trained", "routing_gain")
_HEADS = {"product@1": "prod@1", "accuracy": "cat.", "accuracy.trained": "trained", "routing_gain": "gain"}
_LEGEND = "cat.: category told right; trained: by `ddsim train`; gain: by cat.; ms: median"
# More rows and comparisons than that are for the report.
_ROWS, _VERDICTS = 20, 10


def print_evaluation(evaluation: Evaluation, typed: Typed) -> None:
    """Print what was found.

    Args:
        evaluation: what was found.
        typed: what the commands in reasons and notes need.
    """
    asked = "leave-one-out" if evaluation.queries is None else printable(evaluation.queries)
    out.print(
        f"{counted(evaluation.asked, 'query', 'queries')} ({asked}) on {counted(evaluation.items, 'item')}; in %",
        style="dim",
        markup=False,
    )
    rows = [row for row in evaluation.rows if row.failed is None]
    shown = [row for place, row in enumerate(rows) if place < _ROWS or row.kind == "floor"]
    head, *lines = _aligned(evaluation, shown)
    out.print(head, style="bold", markup=False)
    for line in lines:
        out.print(line, markup=False)
    if len(rows) > len(shown):
        out.print(f"and {counted(len(rows) - len(shown), 'more configuration')}, in the report", markup=False)
    out.print(_LEGEND, style="dim", markup=False)
    for row in evaluation.rows:
        if row.failed is not None:
            out.print("[red]failed:[/] ", end="")
            reason = "\n".join(map(printable, typed.completed(row.failed).split("\n")))
            out.print(f"{printable(row.name)}: {reason}", markup=False)
    for sentence in dict.fromkeys(sentence for row in evaluation.rows for sentence in row.warnings):
        out.print("[yellow]note:[/] ", end="")
        out.print(printable(typed.completed(sentence)), markup=False)
    out.print()
    names = {row.name for row in evaluation.rows if row.kind == "configuration"}
    pairs = [one for one in evaluation.comparisons if one.category is None and {one.a, one.b} <= names]
    for comparison in pairs[:_VERDICTS]:
        out.print(printable(comparison.verdict), markup=False)
    if len(pairs) > _VERDICTS:
        out.print(f"... and {counted(len(pairs) - _VERDICTS, 'more comparison')}, in the report", markup=False)
    out.print(printable(evaluation.conclusion), style="bold", markup=False)


def print_files(files: Mapping[str, Path]) -> None:
    """Print where it was written: what is in a file -> the file."""
    out.print(" ".join(printable(str(path)) for path in files.values()), style="dim", markup=False)


def _aligned(evaluation: Evaluation, rows: Sequence[Row]) -> list[str]:
    """A line of headings and one for each of these rows. Rich's own tables would fold long names in a pipe."""
    primary = evaluation.primary
    columns = [name for name in _COLUMNS if name != primary and any(name in row.measures for row in rows)]
    shared = _shared([row.name for row in evaluation.rows if row.kind == "configuration"])
    table = [["", primary, *(_HEADS.get(name, name) for name in columns), "dim", "index", "ms"]]
    table += [[printable(row.name.removeprefix(shared)), *_cells(row, primary, columns)] for row in rows]
    widths = [max(map(cell_len, column)) for column in zip(*table, strict=True)]
    return ["  ".join(_padded(cells, widths)).rstrip() for cells in table]


def _shared(names: Sequence[str]) -> str:
    """What all names begin with, up to a dash, and none is: those of one matrix bear the name of its file."""
    columns = zip(*(name.split("-")[:-1] for name in names), strict=False)
    shared = takewhile(lambda words: len(set(words)) == 1, columns) if len(names) > 1 else ()
    return "".join(f"{words[0]}-" for words in shared)


def _padded(cells: Sequence[str], widths: Sequence[int]) -> Iterator[str]:
    for place, (cell, width) in enumerate(zip(cells, widths, strict=True)):
        gap = " " * (width - cell_len(cell))
        yield cell + gap if place == 0 else gap + cell


def _cells(row: Row, primary: str, columns: Sequence[str]) -> list[str]:
    means = [_percent(row.measures[name].overall) if name in row.measures else "" for name in columns]
    return [
        _with_margin(row.measures[primary].overall),
        *means,
        "" if row.dimension is None else f"{row.dimension}",
        "" if row.index_bytes is None else _size(row.index_bytes),
        "" if row.latency_p50 is None else f"{1000 * row.latency_p50:.0f}",
    ]


def _percent(given: Interval) -> str:
    return "" if given.n == 0 else f"{100 * given.value:.1f}"


def _with_margin(given: Interval) -> str:
    return _percent(given) if math.isnan(given.low) else f"{_percent(given)} ± {100 * given.margin:.1f}"


def _size(size: int) -> str:
    for limit, unit in ((1e9, "GB"), (1e6, "MB")):
        if size >= limit:
            return f"{size / limit:.0f} {unit}" if size >= 10 * limit else f"{size / limit:.1f} {unit}"
    return f"{size / 1e3:.0f} kB"
