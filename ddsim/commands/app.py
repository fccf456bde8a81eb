"""The commands under one name, and `python -m ddsim.index` for one of them."""

from __future__ import annotations

import re
from importlib.metadata import PackageNotFoundError, version
from typing import Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup

from ddsim.commands import (
    catalogue,
    config,
    containers,
    doctor,
    evaluate,
    index,
    network,
    search,
    serve,
    server,
    state,
    train,
)
from ddsim.errors import DISTRIBUTION

_NOTHING = re.compile(r"--[\w-]+=")


def _check(context: Any, words: list[str]) -> None:
    """Refuse an empty word: as a path it would be the current folder, whatever that is.

    Raises:
        typer.BadParameter: there is one.
    """
    empty = next((place for place, word in enumerate(words, 1) if not word or _NOTHING.fullmatch(word)), None)
    if empty is not None and not context.resilient_parsing:  # which it is while a shell completes a line
        raise typer.BadParameter(f"argument {empty} is empty: is a variable not set?", ctx=context)


class _Commands(TyperGroup):
    """Looks at all that was written before any command does."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Take the words apart."""
        _check(ctx, args)
        return super().parse_args(ctx, args)


class _Command(TyperCommand):
    """The same for one command alone."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Take the words apart."""
        _check(ctx, args)
        return super().parse_args(ctx, args)


app = typer.Typer(
    name="ddsim",
    cls=_Commands,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    help="Visual search on a DeepDetect server: folders of reference pictures in, similar pictures out.",
    epilog="Start with `ddsim config init`, then `ddsim index`, then `ddsim search PHOTO`.",
)
app.command(epilog=index.EPILOG)(index.index)
app.command(epilog=search.EPILOG)(search.search)
app.command(name="evaluate", epilog=evaluate.EPILOG)(evaluate.evaluate_command)
app.command(epilog=train.EPILOG)(train.train)
app.command(epilog=containers.UP_EPILOG)(containers.up)
app.command(epilog=containers.DOWN_EPILOG)(containers.down)
app.command(epilog=containers.STATUS_EPILOG)(containers.status)
app.command(epilog=containers.LOGS_EPILOG)(containers.logs)
app.command(epilog=serve.EPILOG)(serve.serve)
app.command(epilog=server.EPILOG)(server.server)
app.command(epilog=doctor.EPILOG)(doctor.doctor)
app.add_typer(catalogue.app, name="catalogue")
app.add_typer(config.app, name="config")
app.add_typer(network.app, name="network")
app.add_typer(state.app, name="state")


def _version(wanted: bool) -> None:
    if wanted:
        try:
            typer.echo(f"ddsim {version(DISTRIBUTION)}")
        except PackageNotFoundError:
            typer.echo("ddsim, from a source folder that is not installed")
        raise typer.Exit


@app.callback()
def _root(
    _: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")] = False,
) -> None:
    """Visual search on a DeepDetect server: folders of reference pictures in, similar pictures out."""


def main() -> None:
    """Run `ddsim`."""
    app(prog_name="ddsim")


def index_alone() -> None:
    """Run `ddsim index` as a program of its own."""
    alone = typer.Typer(pretty_exceptions_enable=False, rich_markup_mode="markdown", add_completion=False)
    alone.command(cls=_Command, epilog=index.EPILOG)(index.index)
    alone(prog_name="python -m ddsim.index")
