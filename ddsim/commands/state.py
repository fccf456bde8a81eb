"""`ddsim state`: the indexes that ddsim keeps, and removing those that nobody uses any more."""

from __future__ import annotations

import time
from typing import Annotated

import typer

from ddsim.commands.common import (
    DEFAULT_CONFIG,
    ConfigOption,
    JsonOption,
    err,
    log_to_terminal,
    out,
    print_json,
    printable,
    reported,
)
from ddsim.config import load
from ddsim.errors import InvalidRequest
from ddsim.search import State, cache_bytes, remove_state, states

app = typer.Typer(no_args_is_help=True, help="Look at the indexes in the state folder, and remove old ones.")

_EPILOG = """
```
ddsim state list
ddsim state prune --dry-run
ddsim state prune shop/0a1b2c3d4e5f-0a1b2c3d4e5f
```
"""
_STALE = ("old", "empty")
_MEANING = {
    "used": "used by this configuration",
    "old": "of this configuration with another network or other settings",
    "empty": "nothing was ever indexed",
    "missing": "its catalogue is not there",
    "other": "of another configuration",
}


@app.command("list", epilog=_EPILOG)
def list_states(config: ConfigOption = DEFAULT_CONFIG, json: JsonOption = False) -> None:
    """List the indexes of the state folder: whose they are, how large, and whether anybody uses them."""
    log_to_terminal(False)
    with reported():
        settings = load(config)
        found, cache = states(settings), cache_bytes(settings)
    if json:
        print_json({"state": str(settings.state), "indexes": [_as_json(one) for one in found], "cache_bytes": cache})
        return
    for one in found:
        _print(one)
    out.print(f"{_megabytes(cache)} of vectors kept by their pictures' content, for all of them")
    if any(one.status in _STALE for one in found):
        out.print("`ddsim state prune` removes what is old or empty")


@app.command(epilog=_EPILOG)
def prune(
    names: Annotated[
        list[str] | None, typer.Argument(help="As `ddsim state list` shows them. By default all old and empty ones.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be removed.")] = False,
    config: ConfigOption = DEFAULT_CONFIG,
    json: JsonOption = False,
) -> None:
    """Remove indexes from this disk. Pictures stay, and so does an index that is on a server.

    What is missing its catalogue is removed only by name: the catalogue may be on a disk that is not mounted.
    """
    log_to_terminal(False)
    with reported():
        found = {one.name: one for one in states(load(config))}
        if unknown := [name for name in names or () if name not in found]:
            raise InvalidRequest(f"no index {unknown[0]!r}: `ddsim state list` shows those that are there")
        chosen = [found[name] for name in names] if names else [one for one in found.values() if one.status in _STALE]
        for one in chosen:
            if not dry_run:
                remove_state(one)
            if one.on_server:
                err.print(f"{printable(one.name)}: its vectors stay on the server, in {one.on_server}-g*", markup=False)
    if json:
        print_json({"removed": [] if dry_run else [_as_json(one) for one in chosen]})
        return
    for one in chosen:
        _print(one)
    freed = _megabytes(sum(one.bytes for one in chosen))
    out.print(f"{len(chosen)} of {len(found)} {'would be ' if dry_run else ''}removed, {freed}")


def _print(one: State) -> None:
    pictures = "cannot be read" if one.indexed is None else f"{one.indexed} pictures"
    when = time.strftime("%Y-%m-%d %H:%M", time.localtime(one.changed))
    out.print(f"{printable(one.name)}  {one.status}: {_MEANING[one.status]}", markup=False)
    where = printable(str(one.catalogue)) if one.catalogue else "catalogue unknown"
    out.print(f"  {where}, {pictures}, {one.home or 'no vectors'}, {_megabytes(one.bytes)}, {when}", markup=False)


def _megabytes(size: int) -> str:
    return f"{size / 1e6:.1f} MB"


def _as_json(one: State) -> dict[str, object]:
    return {
        "name": one.name,
        "folder": str(one.folder),
        "catalogue": None if one.catalogue is None else str(one.catalogue),
        "status": one.status,
        "home": one.home,
        "indexed": one.indexed,
        "bytes": one.bytes,
        "changed": one.changed,
        "on_server": one.on_server,
    }
