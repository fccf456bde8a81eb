"""`ddsim evaluate`: measure configurations on labelled pictures, and say which one finds better."""

from __future__ import annotations

import io
import json as stdlib_json
import math
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import takewhile
from pathlib import Path
from typing import Annotated

import orjson
import typer
from PIL import Image
from rich.cells import cell_len
from rich.progress import BarColumn, MofNCompleteColumn, TaskID, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bar

from ddsim.catalogue import PRODUCTS, Where
from ddsim.commands.common import (
    INTERRUPTED,
    SERVER_TROUBLE,
    SOME_FAILED,
    JsonOption,
    RateColumn,
    VerboseOption,
    err,
    given_catalogue,
    interruptible,
    log_to_terminal,
    out,
    print_json,
    reported,
)
from ddsim.commands.progress import Lines
from ddsim.config import Settings, dump
from ddsim.errors import CatalogueUnreachable, ConfigError, ImageError
from ddsim.evaluation import (
    Evaluation,
    Experiment,
    Interval,
    Options,
    Row,
    Step,
    evaluate_experiments,
    read_experiments,
    render,
)
from ddsim.pictures import Upload, encode
from ddsim.showing import counted, printable
from ddsim.sources import Source, source_of
from ddsim.vectors import CACHE_FOLDER

EPILOG = """
Examples:

  ddsim evaluate configs/resnet50.yaml configs/vgg16.yaml --catalogue photos/

  ddsim evaluate configs/experiments/demo-layers.yaml --queries demo/queries

  ddsim evaluate a.yaml b.yaml --limit 50           50 queries of each category

  ddsim evaluate a.yaml --product-pattern '(?P\\<product\\>sku[0-9]+)'

  ddsim index --config evaluation/best.yaml         use the winner

Without --queries every reference picture is searched among all others. A run that was stopped goes on where it ended
when it is started again.

Exit codes: 0 all well, 1 some configuration failed, 2 wrong use, 3 all failed because of their servers.
"""
_SIDE = 160
_COLUMNS = ("P@1", "P@10", "MAP@R", "product@1", "accuracy", "accuracy.trained", "routing_gain")
_HEADS = {"product@1": "prod@1", "accuracy": "cat.", "accuracy.trained": "trained", "routing_gain": "gain"}
_LEGEND = "cat.: category told right; trained: by `ddsim train`; gain: by cat.; ms: median"
# More rows and comparisons than that are for the report.
_ROWS, _VERDICTS = 20, 10


def evaluate_command(
    configs: Annotated[
        list[Path], typer.Argument(help="Configuration files; one with matrix: stands for all its combinations.")
    ],
    catalogue: Annotated[
        Path | None,
        typer.Option(
            help="Reference pictures: FOLDER/CATEGORY/PICTURE. By default the first configuration's catalogue."
        ),
    ] = None,
    queries: Annotated[
        Path | None,
        typer.Option(
            help="Photos to search with, likewise. By default each reference picture is searched among the others."
        ),
    ] = None,
    out_folder: Annotated[Path, typer.Option("--out", help="Where results.json, report.html and best.yaml go.")] = Path(
        "evaluation"
    ),
    product_pattern: Annotated[
        str, typer.Option(help="Regular expression that finds the (?P\\<product\\>...) in a picture's name.")
    ] = PRODUCTS,
    limit: Annotated[int | None, typer.Option(min=1, help="How many queries of each category at most.")] = None,
    cache: Annotated[
        Path | None,
        typer.Option(help="Where vectors are kept for the next run. By default where `ddsim index` keeps them, too."),
    ] = None,
    no_cache: Annotated[
        bool, typer.Option("--no-cache", help="Compute everything again, and keep no vectors for the next run.")
    ] = False,
    json: JsonOption = False,
    verbose: VerboseOption = False,
) -> None:
    """Compare configurations on labelled pictures: which one finds better, and is the difference more than luck?"""
    log_to_terminal(verbose)
    with reported("Interrupted. Run the same command again to go on."):
        found = read_experiments(configs)
        first = next(one.settings for one in found if one.settings is not None)
        items = given_catalogue(catalogue) or first.catalogue
        asked = given_catalogue(queries)
        options = Options(products=product_pattern, limit=limit)
        _make(out_folder)
        with _cache(cache or first.state / CACHE_FOLDER, no_cache) as folder:
            evaluation = _run(found, items, asked, options, folder, verbose)
        if evaluation is None:
            err.print("Stopped. What was computed is kept; run the same command again to go on.")
            raise typer.Exit(INTERRUPTED)
        files = _write(evaluation, found, first, items, asked, out_folder)
    if json:
        print_json({**evaluation.to_dict(), "files": {name: str(path) for name, path in files.items()}})
    else:
        _print(evaluation, files)
    _exit(evaluation)


def _exit(evaluation: Evaluation) -> None:
    tried = [row for row in evaluation.rows if row.kind == "configuration"]
    if all(row.failed is not None and row.by_server for row in tried):
        raise typer.Exit(SERVER_TROUBLE)
    if any(row.failed is not None for row in tried):
        raise typer.Exit(SOME_FAILED)


# Running


@contextmanager
def _cache(folder: Path, anew: bool) -> Iterator[Path]:
    if not anew:
        yield folder
        return
    with tempfile.TemporaryDirectory(prefix="ddsim-evaluate-") as empty:
        yield Path(empty)


def _run(
    found: Sequence[Experiment],
    catalogue: Where,
    queries: Where | None,
    options: Options,
    cache: Path,
    verbose: bool,
) -> Evaluation | None:
    columns = (
        TextColumn("{task.description:<11}"),
        BarColumn(),
        MofNCompleteColumn(),
        RateColumn(),
        TimeRemainingColumn(),
    )
    lines = Lines(lambda line: err.print(line, markup=False), often=verbose)
    with interruptible() as stopped, Bar(*columns, console=err, disable=not err.is_terminal) as bar:
        tasks: dict[str, TaskID] = {}

        def show(step: Step) -> None:
            if step.total == 0:
                return  # nothing of it to do: the cache has it all
            if not err.is_terminal:
                lines.tell(step.stage, step.done, step.total or 0)
            if step.stage not in tasks:
                tasks[step.stage] = bar.add_task(step.stage, total=step.total)
            bar.update(tasks[step.stage], completed=step.done, total=step.total)

        return evaluate_experiments(
            found,
            catalogue,
            queries,
            options=options,
            cache=cache,
            progress=show,
            stopping=lambda: bool(stopped),
        )


# Files


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"--out {folder}: cannot be made: {error.strerror or error}") from error


def _write(
    evaluation: Evaluation,
    found: Sequence[Experiment],
    first: Settings,
    catalogue: Where,
    queries: Where | None,
    folder: Path,
) -> dict[str, Path]:
    """Results, report and the winner's configuration; of an evaluation without a winner the last one is removed."""
    items = source_of(first, catalogue)
    sources = {"item": items, "query": items if queries is None else source_of(first, queries)}
    contents = {
        "results": ("results.json", _json(evaluation)),
        "report": ("report.html", render(evaluation, lambda kind, uri: _thumbnail(sources[kind], uri)).encode()),
    }
    best = _best(evaluation, found)
    if best is not None:
        contents["best"] = ("best.yaml", best.encode())
    try:
        for file, content in contents.values():
            (folder / file).write_bytes(content)
        if best is None:
            (folder / "best.yaml").unlink(missing_ok=True)
    except OSError as error:
        raise ConfigError(f"{error.filename}: cannot be written: {error.strerror or error}") from error
    return {name: folder / file for name, (file, _) in contents.items()}


def _json(evaluation: Evaluation) -> bytes:
    try:
        return orjson.dumps(evaluation.to_dict(), option=orjson.OPT_INDENT_2)
    except orjson.JSONEncodeError:
        # A file name that is not Unicode: the standard library escapes it.
        return stdlib_json.dumps(evaluation.to_dict(), indent=2).encode()


def _best(evaluation: Evaluation, found: Sequence[Experiment]) -> str | None:
    best = evaluation.rows[0]
    settings = {one.name: one.settings for one in found}.get(best.name)
    if best.failed is not None or settings is None:
        return None
    said = "".join(f"# {printable(line)}\n" for line in evaluation.conclusion.splitlines())
    return (
        f"# The first of an evaluation on {printable(evaluation.catalogue)}, {evaluation.when}.\n{said}{dump(settings)}"
    )


def _thumbnail(source: Source, uri: str) -> bytes | None:
    upload = Upload(shrink=(2 * _SIDE, 2 * _SIDE))
    try:
        prepared = encode(source.read(uri, upload.max_bytes), upload)
    except (ImageError, CatalogueUnreachable):
        return None
    # Both sides were shrunk on their own, so the proportions are those of the original.
    wide, high = prepared.original_size
    factor = min(1.0, _SIDE / max(wide, high))
    file = io.BytesIO()
    with Image.open(io.BytesIO(prepared.data)) as image:
        size = (max(1, round(wide * factor)), max(1, round(high * factor)))
        image.convert("RGB").resize(size, Image.Resampling.LANCZOS).save(file, "JPEG", quality=80)
    return file.getvalue()


# The terminal


def _print(evaluation: Evaluation, files: Mapping[str, Path]) -> None:
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
            out.print(f"{printable(row.name)}: {printable(row.failed)}", markup=False)
    for sentence in dict.fromkeys(sentence for row in evaluation.rows for sentence in row.warnings):
        out.print("[yellow]note:[/] ", end="")
        out.print(printable(sentence), markup=False)
    out.print()
    names = {row.name for row in evaluation.rows if row.kind == "configuration"}
    pairs = [one for one in evaluation.comparisons if one.category is None and {one.a, one.b} <= names]
    for comparison in pairs[:_VERDICTS]:
        out.print(printable(comparison.verdict), markup=False)
    if len(pairs) > _VERDICTS:
        out.print(f"... and {counted(len(pairs) - _VERDICTS, 'more comparison')}, in the report", markup=False)
    out.print(printable(evaluation.conclusion), style="bold", markup=False)
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
    """What all names begin with, up to a dash: those of one matrix bear the name of its file."""
    columns = zip(*(name.split("-") for name in names), strict=False)
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
