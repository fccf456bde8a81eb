"""`ddsim config`: look at configurations and begin with the shipped ones."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ddsim.commands.common import out, prepare_output, printable, reported
from ddsim.config import dump, load, write_shipped

app = typer.Typer(no_args_is_help=True, help="Show configurations, or write commented ones to begin with.")


@app.command()
def show(file: Annotated[Path, typer.Argument(help="Configuration file.")]) -> None:
    """Print the effective settings of a configuration: defaults filled in, variables and paths resolved."""
    prepare_output()
    with reported():
        text = dump(load(file))
    typer.echo(text, nl=False)


@app.command()
def init(
    folder: Annotated[Path, typer.Argument(help="Where to write them.")] = Path("configs"),
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace files that are there.")] = False,
) -> None:
    """Write the commented configurations that come with ddsim into a folder."""
    prepare_output()
    with reported():
        written = write_shipped(folder, overwrite=overwrite)
    for path in written:
        out.print(f"wrote {printable(str(path))}", markup=False)
    if not written:
        out.print(
            f"nothing written: all files are in {printable(str(folder))} already (--overwrite replaces them)",
            markup=False,
        )
