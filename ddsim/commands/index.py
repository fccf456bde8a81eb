"""`ddsim index`: bring the index into step with a folder of reference pictures."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, ProgressColumn, Task, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bar
from rich.text import Text

from ddsim.catalogue import Where, is_nowhere
from ddsim.commands.common import (
    AUDIT_FAILED,
    DEFAULT_CONFIG,
    INTERRUPTED,
    SOME_FAILED,
    ConfigOption,
    JsonOption,
    RateColumn,
    Typed,
    VerboseOption,
    err,
    given_catalogue,
    interruptible,
    log_to_terminal,
    print_json,
    reported,
)
from ddsim.commands.index_text import print_audit, print_report, show_outlook
from ddsim.commands.progress import Lines
from ddsim.config import BackendName, Settings, advice, load
from ddsim.deepdetect import Retries
from ddsim.errors import ConfigError, ConnectionLost, InvalidRequest, ServerUnreachable, Unconnectable
from ddsim.indexing import Audit, IndexReport, Progress
from ddsim.search import ImageSearch, IndexOptions, connect
from ddsim.sources import is_table

EPILOG = """
Examples:

  ddsim index                              configs/resnet50.yaml and the catalogue it names

  ddsim index photos/ --config my.yaml     another folder, another configuration

  ddsim index --dry-run                    what would be done

  ddsim index --json | jq .failed          for machines

A run that was stopped or killed goes on where it ended when it is started again.

Exit codes: 0 all indexed, 1 some pictures could not be, 2 wrong use, or too much of the catalogue is gone, 3 trouble
with the server or a failed audit.
"""
_FOREVER = 1_000_000  # the time ends it


def index(
    folder: Annotated[
        Path | None,
        typer.Argument(
            metavar="FOLDER",
            help="Reference pictures: FOLDER/CATEGORY/PICTURE. By default the configuration's catalogue.",
        ),
    ] = None,
    config: ConfigOption = DEFAULT_CONFIG,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only show what would be done.")] = False,
    retry_failed: Annotated[
        bool, typer.Option("--retry-failed", help="Try again what could not be indexed before.")
    ] = False,
    allow_vanished: Annotated[
        bool,
        typer.Option(
            "--allow-vanished",
            help="Go on though a large part of the catalogue is gone, or of what --take-over removes.",
        ),
    ] = False,
    rebuild: Annotated[bool, typer.Option("--rebuild", help="Empty the index and send everything again.")] = False,
    take_over: Annotated[
        bool,
        typer.Option(
            "--take-over",
            help="Take the name in a Milvus from another state folder's index, such as a lost one, and remove that.",
        ),
    ] = False,
    audit: Annotated[
        bool | None,
        typer.Option(
            "--audit/--no-audit", help="--audit only checks the index; --no-audit leaves out the check after a run."
        ),
    ] = None,
    backend: Annotated[
        BackendName | None,
        typer.Option(help="Where vectors are kept, in place of what the configuration says."),
    ] = None,
    wait: Annotated[
        float, typer.Option(min=0, help="Seconds to wait for a server that is just starting.", show_default=True)
    ] = 30.0,
    json: JsonOption = False,
    verbose: VerboseOption = False,
) -> None:
    """Make a folder of reference pictures searchable.

    Sends what is new or changed since the last run. What is gone from the folder is no longer found.
    """
    log_to_terminal(verbose)
    typed = Typed(config, folder)
    with reported("Interrupted. Run the same command again to go on.", typed):
        _check_options(dry_run, audit, retry_failed, rebuild, allow_vanished, take_over)
        settings = _settings(config, backend)
        catalogue = given_catalogue(folder) or settings.catalogue
        lacking = isinstance(catalogue, Path) and (is_nowhere(catalogue) or os.path.isfile(catalogue))
        if lacking and not is_table(catalogue):
            raise ConfigError(
                f"{catalogue}: no such folder. Put reference pictures there as CATEGORY/PICTURE, "
                "name another folder (ddsim index FOLDER), or change catalogue: in " + str(config)
            )
        _await_server(settings, 0.0 if dry_run else wait)
        options = IndexOptions(retry_failed, rebuild, audit is not False, allow_vanished, take_over)
        with ImageSearch(settings, catalogue) as search:
            if dry_run:
                show_outlook(search.collection.outlook(options), json, typed)
                return
            if audit:
                _end_audit(search.collection.audit(), json, typed)
                return
            report = _run(search, options, verbose)
        if json:
            print_json({**_where(settings, catalogue), **report.to_dict()})
        else:
            print_report(settings, report, typed)
        for sentence in advice(settings):
            err.print(f"[yellow]warning:[/] {escape(sentence)}")
        _exit(report)


def _check_options(
    dry_run: bool, audit: bool | None, retry_failed: bool, rebuild: bool, allow_vanished: bool, take_over: bool
) -> None:
    given = {"--dry-run": dry_run, "--retry-failed": retry_failed, "--rebuild": rebuild}
    given |= {"--allow-vanished": allow_vanished, "--take-over": take_over}
    if audit and (others := [name for name, wanted in given.items() if wanted]):
        raise InvalidRequest(
            f"--audit only looks at the index, and {others[0]} asks for something else: give one of both"
        )


def _settings(config: Path, backend: BackendName | None) -> Settings:
    settings = load(config)
    if backend is None or backend == settings.index.backend:
        return settings
    return settings.with_backend(backend)


def _await_server(settings: Settings, seconds: float) -> None:
    """Give a server that was started a moment ago the time to come up."""
    if settings.server.embedded or not seconds:
        return
    try:
        with connect(settings, retries=1) as client:
            client.info()
    except Unconnectable:
        raise
    except (ConnectionLost, ServerUnreachable):
        where = settings.server.shown
        err.print(
            f"No server answers at {where} yet. Waiting up to {seconds:g} s for one that is starting ...", markup=False
        )
        patient = Retries(tries=_FOREVER, seconds=seconds, longest_wait=2.0)
        with connect(settings, retries=patient) as client:
            client.info()


def _exit(report: IndexReport) -> None:
    if not report.finished:
        err.print("Stopped. What was sent can be searched; run the same command again to go on.")
        raise typer.Exit(INTERRUPTED)
    if report.audit is not None and not report.audit.passed:
        raise typer.Exit(AUDIT_FAILED)
    if report.failures or report.withheld:
        raise typer.Exit(SOME_FAILED)


class _FailedColumn(ProgressColumn):
    def render(self, task: Task) -> Text:
        failed = task.fields["failed"]
        return Text(f"{failed} failed", style="yellow") if failed else Text()


def _run(search: ImageSearch, options: IndexOptions, verbose: bool) -> IndexReport:
    columns = (
        TextColumn("{task.fields[stage]}"),
        BarColumn(),
        MofNCompleteColumn(),
        RateColumn(),
        TimeRemainingColumn(),
        _FailedColumn(),
    )
    lines = Lines(lambda line: err.print(line, markup=False), often=verbose)
    with interruptible() as stopped, Bar(*columns, console=err, disable=not err.is_terminal) as bar:
        task = bar.add_task("index", total=None, failed=0, stage="indexing")

        def show(progress: Progress) -> None:
            if not err.is_terminal:
                lines.tell(progress.stage, progress.done, progress.total, progress.failed)
            bar.update(
                task,
                completed=progress.done,
                total=progress.total,
                failed=progress.failed,
                stage=progress.stage,
            )

        return search.index(search.catalogue, options, progress=show, stopping=lambda: bool(stopped))


def _where(settings: Settings, catalogue: Where) -> dict[str, object]:
    return {"configuration": settings.name, "catalogue": str(catalogue), "service": settings.similarity.service}


def _end_audit(audit: Audit, json: bool, typed: Typed) -> None:
    if json:
        print_json({"audit": audit.to_dict()})
    else:
        print_audit(audit, typed)
    if not audit.passed:
        raise typer.Exit(AUDIT_FAILED)
