"""`ddsim network`: the networks that ddsim knows by name, their files, and what layers a network has."""

from __future__ import annotations

import difflib
import os
from pathlib import Path
from typing import Annotated

import typer

from ddsim.caffe import LayerShape, PrototxtError, layer_shapes, read_definition
from ddsim.commands.common import JsonOption, out, prepare_output, print_json, reported
from ddsim.errors import ConfigError, InvalidRequest, install_hint
from ddsim.networks import (
    EXTRA,
    FEATURES,
    KnownNetwork,
    export,
    export_derived,
    export_file,
    known_networks,
    network_files,
)
from ddsim.showing import printable

_EPILOG = """
Examples:

  ddsim network list

  ddsim network layers efficientnet-lite2 --find pool

  ddsim network layers model/deploy.prototxt

  ddsim network export efficientnet-lite2 models/efficientnet-lite2

  ddsim network export downloads/train_val.prototxt models/own

  ddsim network export model/deploy.prototxt model --layer pool5 --power 2

Exit codes: 0 all well, 2 wrong use, such as a name that is not known or a package that is not installed.
"""

app = typer.Typer(
    no_args_is_help=True,
    help="Networks that are known by name: list them, write their files, show layers.",
    epilog=_EPILOG,
)


@app.command("list", epilog=_EPILOG)
def list_networks(json: JsonOption = False) -> None:
    """List the networks that `network: NAME` in a configuration can name."""
    prepare_output()
    if json:
        print_json([_described(network) for network in known_networks()])
        return
    for network in known_networks():
        there = "installed" if network.weights is not None else "not installed"
        out.print(f"{network.name}  {network.about} ({there})", markup=False)
    if any(network.weights is None for network in known_networks()):
        out.print(f"to install: {install_hint(EXTRA)}", markup=False)


@app.command("export", epilog=_EPILOG)
def export_network(
    network: Annotated[
        str,
        typer.Argument(
            metavar="NETWORK",
            help="A known name, or a file: a definition (.prototxt), weights (.caffemodel), labels (.txt).",
        ),
    ],
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="Where to; made if need be.")],
    layer: Annotated[
        str | None,
        typer.Option(help="Of a definition: the layer that pools the last map, for which pooling: centre is wanted."),
    ] = None,
    power: Annotated[
        float | None,
        typer.Option(min=1, max=10, help="With --layer: the power that goes with it.", show_default="1"),
    ] = None,
    json: JsonOption = False,
) -> None:
    """Write what a real server needs: a known network's files, or a file of one's own in the form that a server takes.

    Definitions with an Input layer or input: fields, of Caffe's old form, or for training become those of a server;
    weights of 16 bits become such of 32; files of labels are numbered. With --layer the centre-weighted definition is
    written instead.

    Where a known network's folder is /opt/models/NAME on the server, a configuration of that server says network: NAME.
    A derived definition goes beside the one that it was made of: there `pooling: centre` looks for it.
    """
    prepare_output()
    changes: tuple[str, ...] = ()
    with reported():
        if power is not None and layer is None:
            raise InvalidRequest("--power goes with --layer: give both, or leave both out")
        if _is_known(network) and layer is not None:
            raise InvalidRequest(
                f"--layer is for a definition's file, {network} comes with what it needs: leave it out"
            )
        if _is_known(network) or not os.path.isfile(network):
            files = export(network, folder)
        elif layer is not None:
            files = [export_derived(Path(network), folder, layer, 1.0 if power is None else power)]
        else:
            path, changes = export_file(Path(network), folder)
            files = [path]
    if json:
        print_json({"network": network, "files": [str(path) for path in files], "changes": list(changes)})
        return
    for path in files:
        out.print(f"wrote {printable(str(path))}", markup=False)
    for change in changes:
        out.print(f"  {printable(change)}", markup=False)


@app.command(epilog=_EPILOG)
def layers(
    network: Annotated[
        str, typer.Argument(metavar="NETWORK", help="A known name, or a definition's file (deploy.prototxt).")
    ],
    find: Annotated[
        str | None, typer.Option("--find", help="Only the layer of this name, or those whose names contain it.")
    ] = None,
    json: JsonOption = False,
) -> None:
    """Show every layer of a network with the shape of what it gives: channels x height x width, or values."""
    prepare_output()
    with reported():
        found = _shapes(network)
        if find is not None:
            found = _matching(found, find)
    if json:
        print_json([{"name": one.name, "type": one.kind, "shape": one.shape} for one in found])
        return
    widest = max(len(one.name) for one in found)
    for one in found:
        shape = " x ".join(map(str, one.shape)) if one.shape is not None else "unknown"
        out.print(f"{printable(one.name):{widest}}  {shape:>16}  {printable(one.kind)}", markup=False)


def _described(network: KnownNetwork) -> dict[str, object]:
    return {
        "name": network.name,
        "about": network.about,
        "package": network.package,
        "installed": network.weights is not None,
        "width": network.side,
        "height": network.side,
        "layer": FEATURES,
    }


def _is_known(name: str) -> bool:
    return name in {network.name for network in known_networks()}


def _shapes(network: str) -> list[LayerShape]:
    """The layers of a known network, or of a file."""
    own_file = os.path.isfile(network) and not _is_known(network)
    file = Path(network) if own_file else network_files(network).definition
    try:
        return layer_shapes(read_definition(file.read_text("utf-8", "surrogateescape")))
    except PrototxtError as error:
        raise ConfigError(f"{file}: {error}") from error
    except OSError as error:
        raise ConfigError(f"{file}: cannot be read: {error.strerror}") from error


def _matching(layers: list[LayerShape], wanted: str) -> list[LayerShape]:
    found = [one for one in layers if one.name == wanted] or [one for one in layers if wanted in one.name]
    if found:
        return found
    near = difflib.get_close_matches(wanted, [one.name for one in layers], 3, 0.4)
    raise InvalidRequest(
        f"no layer's name contains {wanted!r}; "
        + (f"the nearest are {', '.join(near)}" if near else "without --find all of them are shown")
    )
