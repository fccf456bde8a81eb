"""`ddsim evaluate`: measure configurations on labelled pictures, and say which one finds better."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from rich.progress import BarColumn, MofNCompleteColumn, TaskID, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bar

from ddsim.catalogue import PRODUCTS, Where, is_nowhere
from ddsim.commands.common import (
    DEFAULT_CONFIG,
    INTERRUPTED,
    SERVER_TROUBLE,
    SOME_FAILED,
    JsonOption,
    RateColumn,
    Typed,
    VerboseOption,
    check_not_both,
    err,
    given_catalogue,
    interruptible,
    log_to_terminal,
    print_json,
    reported,
)
from ddsim.commands.evaluate_files import make_folder, write
from ddsim.commands.evaluate_text import print_evaluation, print_files
from ddsim.commands.progress import Lines
from ddsim.errors import ConfigError
from ddsim.evaluation import Evaluation, Experiment, Options, Step, evaluate_experiments, read_experiments
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


def evaluate_command(
    configs: Annotated[
        list[Path],
        typer.Argument(metavar="CONFIG", help="Configuration files; one with matrix: stands for all its combinations."),
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
        str,
        typer.Option(
            help="Regular expression that finds the (?P\\<product\\>...) in a picture's name.",
            show_default="its name without its view, and its folders where that is a bare number",
        ),
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
    typed = Typed(configs[0] if len(configs) == 1 else DEFAULT_CONFIG, catalogue)
    with reported("Interrupted. Run the same command again to go on.", typed):
        check_not_both("--cache keeps vectors for the next run, and --no-cache none", cache and no_cache)
        found = read_experiments(configs)
        first = next(one.settings for one in found if one.settings is not None)
        items = given_catalogue(catalogue) or first.catalogue
        asked = given_catalogue(queries)
        if isinstance(items, Path) and is_nowhere(items):
            raise ConfigError(
                f"{items}: no such folder. Name the reference pictures (`ddsim evaluate CONFIG --catalogue FOLDER`), "
                "or change catalogue: in the first configuration"
            )
        options = Options(products=product_pattern, limit=limit)
        make_folder(out_folder)
        with _cache(cache or first.state / CACHE_FOLDER, no_cache) as folder:
            evaluation = _run(found, items, asked, options, folder, verbose)
        if evaluation is None:
            err.print("Stopped. What was computed is kept; run the same command again to go on.")
            raise typer.Exit(INTERRUPTED)
        files: dict[str, Path] = {}
        if not json:
            print_evaluation(evaluation, typed)
        try:
            files = write(evaluation, found, items, out_folder)
        finally:
            # What took long to find is not lost because a disk is full.
            if json:
                print_json({**evaluation.to_dict(), "files": {name: str(path) for name, path in files.items()}})
    if not json:
        print_files(files)
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
