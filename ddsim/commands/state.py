"""`ddsim state`: the indexes that ddsim keeps, and removing those that nobody uses any more."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from ddsim.catalogue import Where
from ddsim.commands.common import (
    DEFAULT_CONFIG,
    SOME_FAILED,
    ConfigOption,
    JsonOption,
    Typed,
    err,
    log_to_terminal,
    out,
    print_json,
    reported,
    say,
)
from ddsim.config import Settings, load
from ddsim.errors import ApiError, CapabilityError, DDSimError, InvalidRequest, TransportError
from ddsim.search import (
    Collection,
    State,
    Unused,
    cache_bytes,
    catalogues,
    connect,
    remove_from_server,
    remove_state,
    remove_unused,
    states,
    unused_services,
)
from ddsim.showing import counted, printable

app = typer.Typer(no_args_is_help=True, help="Look at the indexes in the state folder, and remove old ones.")

_LIST_EPILOG = """
Examples:

  ddsim state list

  ddsim state list --json | jq '.indexes[] | select(.status == "old").name'

Exit codes: 0 all well, 2 wrong use.
"""
_PRUNE_EPILOG = """
Examples:

  ddsim state prune --dry-run

  ddsim state prune shop/0a1b2c3d4e5f-0a1b2c3d4e5f

Exit codes: 0 all well, 1 a server could not be asked and keeps the vectors of some, 2 wrong use.
"""
_ADOPT_EPILOG = """
Examples:

  ddsim state adopt --config configs/shop.yaml

Exit codes: 0 all well, 1 the indexes of some catalogues were refused, 2 wrong use, or the only one was refused.
"""
_STALE = ("old", "empty")
_MEANING = {
    "used": "used by this configuration",
    "old": "of this configuration with another network or other settings",
    "empty": "nothing was ever indexed",
    "missing": "its catalogue is not there",
    "other": "of another configuration",
}


@app.command("list", epilog=_LIST_EPILOG)
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
    if not found:
        out.print(f"no index is in {printable(str(settings.state))}", markup=False)
    out.print(f"{_megabytes(cache)} of vectors kept by their pictures' content, for all of them")
    if any(one.status in _STALE for one in found):
        out.print(Typed(config).completed("`ddsim state prune` removes what is old or empty"), markup=False)


@app.command(epilog=_PRUNE_EPILOG)
def prune(
    names: Annotated[
        list[str] | None,
        typer.Argument(metavar="NAME", help="As `ddsim state list` shows them. By default all old and empty ones."),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be removed.")] = False,
    config: ConfigOption = DEFAULT_CONFIG,
    json: JsonOption = False,
) -> None:
    """Remove indexes from this disk and from the server, and services there that nobody uses. Pictures stay.

    What is missing its catalogue is removed only by name: the catalogue may be on a disk that is not mounted. A service
    that another state folder calls its own stays, and one that is shared until it was not used for `index.unused_days`.
    """
    log_to_terminal(False)
    with reported(typed=Typed(config)):
        settings = load(config)
        found = {one.name: one for one in states(settings)}
        if unknown := [name for name in names or () if name not in found]:
            raise InvalidRequest(f"no index {unknown[0]!r}: `ddsim state list` shows those that are there")
        chosen = [found[name] for name in names] if names else [one for one in found.values() if one.status in _STALE]
        services, kept = _on_server(settings, chosen, dry_run)
        for one in chosen:
            if not dry_run:
                remove_state(one)
    if json:
        gone = [{"name": one.name, "why": one.why} for one in services]
        print_json({"removed": [] if dry_run else [_as_json(one) for one in chosen], "services": gone})
    else:
        for one in chosen:
            _print(one)
        for service in services:
            out.print(f"service {printable(service.name)}: {printable(service.why)}", markup=False)
        freed = _megabytes(sum(one.bytes for one in chosen))
        out.print(f"{len(chosen)} of {len(found)} {'would be ' if dry_run else ''}removed, {freed}")
    if kept:
        raise typer.Exit(SOME_FAILED)


def _on_server(settings: Settings, chosen: Sequence[State], dry_run: bool) -> tuple[list[Unused], bool]:
    """Remove from the server what the chosen indexes have there, and what nobody uses.

    Returns:
        the services that it is, and whether vectors stay there that should go.
    """
    waiting = [one for one in chosen if one.on_server]
    try:
        with connect(settings, retries=0) as client:
            while waiting and not dry_run:
                if not remove_from_server(client, waiting[0]):
                    _stays(waiting[0], "it is another state folder's")
                del waiting[0]
            return (unused_services if dry_run else remove_unused)(client, settings), False
    except (ApiError, TransportError, CapabilityError, InvalidRequest) as error:
        for one in waiting:
            _stays(one, str(error))
        return [], bool(waiting)


def _stays(one: State, why: str) -> None:
    where = f"its vectors stay on the server, in {one.on_server}-g*: {why}"
    err.print(f"{printable(one.name)}: {printable(where)}", markup=False)


@app.command(epilog=_ADOPT_EPILOG)
def adopt(config: ConfigOption = DEFAULT_CONFIG, json: JsonOption = False) -> None:
    """Say that this state folder was moved here from another machine, and that its indexes on the server are its own.

    Two state folders must not use one index, so one that comes from elsewhere is not used until this is said. Where it
    is a copy, and the first one is still in use, run `ddsim index --rebuild` instead; a copy of what is still there on
    this machine is refused, and the others are adopted.
    """
    log_to_terminal(False)
    with reported(typed=Typed(config)):
        adopted, refused = _adopted(load(config))
    if json:
        told = [{"catalogue": str(catalogue), "reason": str(error)} for catalogue, error in refused.items()]
        print_json({"adopted": [str(catalogue) for catalogue in adopted], "refused": told})
    else:
        for catalogue in adopted:
            out.print(printable(str(catalogue)), markup=False)
        out.print(f"{len(adopted)} adopted")
    for catalogue, error in refused.items():
        say(DDSimError(f"{catalogue}: {error}"), Typed(config, Path(str(catalogue))))
    if refused:
        raise typer.Exit(SOME_FAILED)


def _adopted(settings: Settings) -> tuple[list[Where], dict[Where, DDSimError]]:
    """The catalogues whose indexes were adopted, and those that were refused.

    Raises:
        DDSimError: there is only one, and it was refused.
    """
    adopted: list[Where] = []
    refused: dict[Where, DDSimError] = {}
    everything = list(dict.fromkeys(catalogues(settings)))
    for catalogue in everything:
        try:
            with Collection(settings, None, catalogue) as collection:
                adopted += [catalogue] if collection.adopt() else []
        except DDSimError as error:
            if len(everything) == 1:
                raise
            refused[catalogue] = error
    return adopted, refused


def _print(one: State) -> None:
    pictures = "cannot be read" if one.indexed is None else counted(one.indexed, "picture")
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
