"""`ddsim train`: a classifier for the catalogue's own categories, and what it is worth."""

from __future__ import annotations

import os
from contextlib import closing
from pathlib import Path
from typing import Annotated

import typer
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bar

from ddsim.commands.common import (
    DEFAULT_CONFIG,
    ConfigOption,
    JsonOption,
    RateColumn,
    Typed,
    VerboseOption,
    check_png,
    err,
    log_to_terminal,
    out,
    print_json,
    reported,
    save_png,
)
from ddsim.config import Settings, load
from ddsim.containers import MODELS, NAME, Engine, EngineError, put, status
from ddsim.errors import ConfigError
from ddsim.search import ImageSearch, confusion_sheet
from ddsim.showing import counted, printable
from ddsim.training import SOURCES, NetworkSource, TrainReport, source_of, write_network

EPILOG = """
Examples:

  ddsim train                            on what `ddsim index` has indexed

  ddsim train --config photos shop/      another configuration, another folder

  ddsim train --suspects                 also list pictures that may lie in the wrong folder

  ddsim train --sheet confused.png       draw what is most often confused

  ddsim train --network model/           write the network there, for any DeepDetect with Caffe

Searches use the classifier where the configuration says `classification: trained`; `ddsim index` then trains it anew
when more than a twentieth of the pictures, or a category, has changed.

Exit codes: 0 all well, 2 wrong use, such as a single category or nothing indexed, 3 trouble with the server.
"""
_WORDS = {"trained": "trained classifier", "neighbours": "vote of the neighbours", "labels": "the network's labels"}
_CONFUSIONS, _SUSPECTS = 3, 20


def train(
    folder: Annotated[
        Path | None,
        typer.Argument(metavar="FOLDER", help="The catalogue's folder, if not the one that is searched by default."),
    ] = None,
    config: ConfigOption = DEFAULT_CONFIG,
    suspects: Annotated[
        bool, typer.Option("--suspects", help="List pictures whose own category is hardly probable.")
    ] = False,
    sheet: Annotated[
        Path | None, typer.Option(help="Draw a PNG file that shows what is most often confused.", show_default=False)
    ] = None,
    network: Annotated[
        Path | None,
        typer.Option(help="Folder for the network that ends with the classifier.", show_default="beside the index"),
    ] = None,
    definition: Annotated[
        Path | None,
        typer.Option(help="A copy of the server's deploy.prototxt, where only the server has it.", show_default=False),
    ] = None,
    weights: Annotated[Path | None, typer.Option(help="Likewise of its .caffemodel.", show_default=False)] = None,
    json: JsonOption = False,
    verbose: VerboseOption = False,
) -> None:
    """Train a classifier for the catalogue's own categories on the features that are indexed.

    It tells what a photo shows from the vector that a search computes anyway. All measures are of pictures held out.
    """
    log_to_terminal(verbose)
    with reported(typed=Typed(config, folder)):
        check_png(sheet, "--sheet")
        settings = load(config)
        source = _source(settings, definition, weights, network)
        with ImageSearch(settings, folder) as search:
            report = _trained(search)
            files = _written(search, source, network)
            if sheet is not None:
                save_png(confusion_sheet(report, search.collection.source), sheet, "--sheet")
            served = _serve(settings, files)
    if json:
        facts = {"network": [str(file) for file in files], "served": served, "sheet": sheet and str(sheet)}
        print_json({**report.to_dict(), **facts})
        return
    _print(report, suspects)
    _print_network(settings, config, files, served)
    if sheet is not None:
        out.print(f"sheet: {printable(str(sheet))}", markup=False)


def _source(
    settings: Settings, definition: Path | None, weights: Path | None, folder: Path | None
) -> NetworkSource | None:
    """Where the network's own files are; None where they are not here, and nobody wants them in a folder."""
    if (definition is None) != (weights is None):
        raise ConfigError("--definition and --weights go together: give both, or leave both out")
    if definition is not None and weights is not None:
        return NetworkSource(definition, weights)
    source = source_of(settings)
    if source is None and folder is not None:
        raise ConfigError(
            "--network: the network's files are the server's own, or no Caffe files. Where the server has Caffe, give "
            "copies of its files: --definition deploy.prototxt --weights NAME.caffemodel"
        )
    return source


def _trained(search: ImageSearch) -> TrainReport:
    columns = (TextColumn("computing features"), BarColumn(), MofNCompleteColumn(), RateColumn(), TimeRemainingColumn())
    with Bar(*columns, console=err, disable=not err.is_terminal) as bar:
        task = bar.add_task("features", total=None, visible=False)

        def show(done: int, total: int) -> None:
            bar.update(task, completed=done, total=total, visible=True)

        return search.train(computed=show)


def _written(search: ImageSearch, source: NetworkSource | None, folder: Path | None) -> list[Path]:
    """The network's files; none where the network's own files are not here."""
    trained = search.collection.head()
    if source is None or trained is None:
        return []
    folder = folder or search.collection.manifest.folder / "trained"
    return write_network(search.settings, trained.head, folder, source)


def _serve(settings: Settings, files: list[Path]) -> str | None:
    """Put the network into the server's container, where that is ddsim's own; the folder there, or None."""
    if settings.server.embedded or not files:
        return None
    try:
        with closing(Engine()) as engine:
            if status(engine, NAME).url != settings.server.url:
                return None
            folder = f"{MODELS}/ddsim/trained/{settings.name}"
            put(engine, files, folder)
    except EngineError:
        return None  # no engine, or none that this user may use: then the server is not in it either
    return folder


def _print(report: TrainReport, suspects: bool) -> None:
    sizes = f"{counted(report.items, 'picture', 'pictures')} of {len(report.categories)} categories"
    out.print(f"trained on {sizes} ({report.dimension} values each) in {report.seconds:.1f} s", markup=False)
    rows = [("", "right", "log loss", "calibration error", "pictures held out")]
    for who in SOURCES:
        if worth := report.worth.get(who):
            facts = f"{worth.accuracy:.1%}", f"{worth.log_loss:.2f}", f"{worth.calibration_error:.3f}"
            rows.append((_WORDS[who], *facts, str(worth.items)))
    if len(rows) > 1:
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        for row in rows:
            out.print("  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)).rstrip())
    else:
        out.print("nothing is known of its worth: no category has a second picture to be held out")
    for one in report.confusions[:_CONFUSIONS]:
        examples = ", ".join(map(printable, one.examples))
        words = f"{printable(one.category)} taken for {printable(one.taken_for)}: {one.items} ({examples})"
        out.print(words, markup=False)
    if report.open_set is not None:
        out.print(
            f"told that they show something else: {report.open_set.caught:.0%} of a category that is left out, "
            f"{report.open_set.false_alarms:.0%} of the catalogue's own pictures"
        )
    _print_suspects(report, suspects)


def _print_suspects(report: TrainReport, wanted: bool) -> None:
    if wanted:
        for one in report.suspects:
            words = f"{one.taken_for} {one.other:.0%}, {one.category} {one.probability:.1%}"
            out.print(f"{printable(one.uri)}: {printable(words)}", markup=False)
    count = len(report.suspects)
    if count:
        hint = "" if wanted else "; --suspects lists them"
        out.print(f"{counted(count, 'picture', 'pictures')} may lie in the wrong folder{hint}")
    elif wanted:
        out.print("no picture looks as if it were in the wrong folder")


def _print_network(settings: Settings, config: Path, files: list[Path], served: str | None) -> None:
    if files:
        out.print(f"network: {printable(str(files[0].parent))}", markup=False)
    if served is not None:
        out.print(f"and in the container {NAME}: {served}", markup=False)
    elif files and not settings.server.embedded:
        out.print("for a service of its own on the server:", markup=False)
        out.print(f"  ssh SERVER mkdir -p {MODELS}/{settings.name}-trained", markup=False)
        copied = " ".join(printable(str(file)) for file in files)
        out.print(f"  scp {copied} SERVER:{MODELS}/{settings.name}-trained/", markup=False)
    if not settings.trained:
        own = "a configuration of your own (`ddsim config init`)"
        where = printable(str(config)) if os.path.isfile(config) else own
        out.print(f"`classification: trained` in {where} lets searches use it", markup=False)
