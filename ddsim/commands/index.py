"""`ddsim index`: a catalogue's pictures into the index."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.progress import BarColumn, MofNCompleteColumn, ProgressColumn, Task, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bar
from rich.text import Text

from ddsim.commands.common import (
    DEFAULT_CONFIG,
    INTERRUPTED,
    SOME_FAILED,
    ConfigOption,
    JsonOption,
    VerboseOption,
    err,
    log_to_terminal,
    out,
    print_json,
    printable,
    reported,
)
from ddsim.config import load
from ddsim.errors import ConfigError
from ddsim.indexing import IndexReport, Progress
from ddsim.search import ImageSearch
from ddsim.settings import Settings

EPILOG = """
Examples:

  ddsim index                              configs/resnet50.yaml and the catalogue it names

  ddsim index photos/ --config my.yaml     another folder, another configuration

  ddsim index --json | jq .failed          for machines

Exit codes: 0 all indexed, 1 some pictures could not be, 2 wrong use, 3 trouble with the server.
"""


def index(
    folder: Annotated[
        Path | None,
        typer.Argument(help="Reference pictures: FOLDER/<category>/<picture>. [default: the configuration's]"),
    ] = None,
    config: ConfigOption = DEFAULT_CONFIG,
    json: JsonOption = False,
    verbose: VerboseOption = False,
) -> None:
    """Make a folder of reference pictures searchable.

    The index is made anew: what it held before is replaced.
    """
    log_to_terminal(verbose)
    with reported():
        settings = load(config)
        catalogue = folder if folder is not None else settings.catalogue
        if not catalogue.is_dir():
            raise ConfigError(
                f"{catalogue}: no such folder. Put reference pictures there as <category>/<picture>, "
                "name another folder (ddsim index FOLDER), or change catalogue: in " + str(config)
            )
        try:
            report = _run(settings, catalogue)
        except KeyboardInterrupt:
            err.print("Interrupted; the index is incomplete. Run the same command again.")
            raise typer.Exit(INTERRUPTED) from None
    if json:
        print_json(_as_json(settings, catalogue, report))
    else:
        _print(settings, report)
    if report.failures:
        raise typer.Exit(SOME_FAILED)


class _RateColumn(ProgressColumn):
    def render(self, task: Task) -> Text:
        return Text(f"{task.speed:.1f}/s" if task.speed else "")


def _run(settings: Settings, catalogue: Path) -> IndexReport:
    columns = (
        TextColumn("indexing"),
        BarColumn(),
        MofNCompleteColumn(),
        _RateColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[failed]} failed", style="yellow"),
    )
    with ImageSearch(settings) as search, Bar(*columns, console=err, disable=not err.is_terminal) as bar:
        task = bar.add_task("index", total=None, failed=0)

        def show(progress: Progress) -> None:
            bar.update(task, completed=progress.done, total=progress.total, failed=progress.failed)

        return search.index(catalogue, progress=show)


def _print(settings: Settings, report: IndexReport) -> None:
    rate = report.indexed / report.seconds if report.seconds else 0.0
    out.print(
        f"{report.indexed} pictures indexed in {report.seconds:.1f} s ({rate:.0f}/s), "
        f"{report.dimension} values each, service {settings.similarity.service}"
    )
    if report.failures:
        out.print(f"[yellow]{len(report.failures)} could not be indexed:[/]")
        for failure in report.failures:
            out.print(f"  {printable(failure.uri)}: {printable(failure.reason)}", markup=False)


def _as_json(settings: Settings, catalogue: Path, report: IndexReport) -> dict[str, object]:
    return {
        "configuration": settings.name,
        "catalogue": str(catalogue),
        "service": settings.similarity.service,
        "indexed": report.indexed,
        "dimension": report.dimension,
        "seconds": round(report.seconds, 3),
        "failed": [{"uri": failure.uri, "reason": failure.reason} for failure in report.failures],
    }
