"""`ddsim config`: look at configurations and begin with the shipped ones."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated

import typer

from ddsim.commands.common import JsonOption, check_not_both, out, prepare_output, print_json, reported
from ddsim.config import CONFIGS, MATRIX, dump, json_schema, load, read, shareable, write_shipped
from ddsim.errors import ConfigError
from ddsim.showing import printable

_SHOW_EPILOG = """
Examples:

  ddsim config show configs/shop.yaml

  ddsim config show photos --json | jq .similarity.extract_layer

Exit codes: 0 all well, 2 wrong use, such as a configuration with a mistake.
"""
_INIT_EPILOG = """
Examples:

  ddsim config init                  configs/photos.yaml

  ddsim config init resnet50         for a DeepDetect server

  ddsim config init --all            all that come with ddsim

Exit codes: 0 all well, also where the files are there already, 2 wrong use.
"""
_USUAL = "photos"
_SCHEMA_EPILOG = """
Examples:

  ddsim config schema > ddsim.schema.json

With the line `# yaml-language-server: $schema=ddsim.schema.json` at the top of a configuration editors with a YAML
language server, such as Visual Studio Code with its extension for YAML, use it.

Exit codes: 0 all well.
"""

app = typer.Typer(no_args_is_help=True, help="Show configurations, or write commented ones to begin with.")


@app.command(epilog=_SHOW_EPILOG)
def show(
    file: Annotated[
        Path,
        typer.Argument(metavar="CONFIG", help="Configuration file, or the name of one that comes with ddsim."),
    ],
    json: JsonOption = False,
) -> None:
    """Print the effective settings of a configuration: defaults filled in, variables and paths resolved."""
    prepare_output()
    with reported():
        settings = load(file)
    if json:
        print_json(shareable(settings))
    else:
        typer.echo(dump(settings), nl=False)


@app.command(epilog=_INIT_EPILOG)
def init(
    name: Annotated[
        str | None,
        typer.Argument(
            metavar="NAME", help="One that comes with ddsim, such as photos, resnet50 or demo.", show_default=_USUAL
        ),
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help="Write all of them.")] = False,
    folder: Annotated[Path, typer.Option("--folder", help="Where to write.")] = CONFIGS,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace files that are there.")] = False,
    json: JsonOption = False,
) -> None:
    """Write a commented configuration to begin with; without a name the one for your own photos, without a server."""
    prepare_output()
    with reported():
        check_not_both("NAME writes one configuration, and --all all of them", name and everything)
        name = name or _USUAL
        written = write_shipped(folder, overwrite=overwrite, names=None if everything else [name])
    if json:
        print_json({"written": [str(path) for path in written]})
        return
    for path in written:
        out.print(f"wrote {printable(str(path))}", markup=False)
    if not written:
        where = printable(str(folder))
        out.print(f"nothing written: it is in {where} already (--overwrite replaces it)", markup=False)
    if not everything:
        file = folder / f"{name}.yaml"
        config = shlex.quote(str(file) if folder != CONFIGS else name)
        usual, several = f"ddsim index FOLDER --config {config}", f"ddsim evaluate {config} --catalogue FOLDER"
        out.print(f"next: {several if _is_several(file) else usual}", markup=False)


def _is_several(file: Path) -> bool:
    try:
        return MATRIX in read(file).data
    except ConfigError:
        return False  # whoever wrote that will be told when it is used


@app.command(epilog=_SCHEMA_EPILOG)
def schema() -> None:
    """Print the JSON schema of configurations, by which editors complete keys and find mistakes."""
    print_json(json_schema())
