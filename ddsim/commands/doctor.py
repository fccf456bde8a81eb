"""`ddsim doctor`: what a server can do, its traps, and whether what is configured works on it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Annotated, Any

import typer
from rich.text import Text

from ddsim.commands.common import (
    DEFAULT_CONFIG,
    SOME_FAILED,
    ConfigOption,
    JsonOption,
    Typed,
    VerboseOption,
    err,
    log_to_terminal,
    out,
    print_json,
    reported,
)
from ddsim.commands.doctor_json import as_json, lost_as_json
from ddsim.commands.doctor_text import print_diagnosis, print_line
from ddsim.config import Server, Settings, load, shipped
from ddsim.doctor import Diagnosis, Options, compared, diagnose
from ddsim.errors import ApiError, DDSimError, ServerUnreachable, TransportError
from ddsim.search import connect, transport_to
from ddsim.showing import printable

EPILOG = """
Examples:

  ddsim doctor                               all that is configured

  ddsim doctor --url http://gpu-box:8080     the same on another server

  ddsim doctor --quick                       creates nothing on the server

  ddsim doctor --verbose                     the traps of the server, too

  ddsim doctor --conformance                 what differs from v0.25.0

  ddsim doctor --json | jq '.checks[] | select(.status == "failed")'

What it creates on the server it removes again. Traps marked "unproven" are known from the server's source or from
reports; the others were seen on a running server.

Exit codes: 0 all well, perhaps with warnings, 1 something that is configured cannot work, 2 wrong use, 3 the server
cannot be reached.
"""


def doctor(
    url: Annotated[str | None, typer.Option(help="Look at this server instead of the configured one.")] = None,
    quick: Annotated[
        bool, typer.Option("--quick", help="Do not try the configured networks: alone it creates nothing.")
    ] = False,
    conformance: Annotated[
        bool, typer.Option("--conformance", help="Repeat calls that v0.25.0 was seen to answer, and list what differs.")
    ] = False,
    config: ConfigOption = DEFAULT_CONFIG,
    json: JsonOption = False,
    verbose: VerboseOption = False,
) -> None:
    """Look at a server: what it can do, its known traps, and whether what is configured works on it."""
    log_to_terminal(verbose)
    with reported(typed=Typed(config)), _working() as progress:
        # Without a configuration of one's own an address is enough: the networks of the official image are tried.
        local = url is None or os.path.exists(config) or config != DEFAULT_CONFIG
        settings = load(config) if local else _shipped()
        if url is not None:
            settings = settings.model_copy(update={"server": Server.at(url)})
        reference = (settings if settings.similarity.mllib == "caffe" else _shipped()) if conformance else None
        each = [settings.model_copy(update={"server": one}) for one in settings.server.one_by_one()]
        found = _looked_at(each, Options(quick, local, reference, compare=len(each) > 1), progress)
        found = _compared(settings, found) if len(found) > 1 else found
    if json:
        told = [as_json(one, of) if isinstance(one, Diagnosis) else lost_as_json(one, of) for of, one in found]
        print_json(told[0] if len(told) == 1 else {"servers": told, "failed": any(one["failed"] for one in told)})
    else:
        for of, one in found:
            if isinstance(one, Diagnosis):
                print_diagnosis(one, of, verbose, Typed(config))
            else:
                print_line(f"{printable(of.server.shown)}: {printable(str(one))}", "bold red")
            if len(found) > 1:
                out.print()
    if any(one.failed if isinstance(one, Diagnosis) else True for _, one in found):
        raise typer.Exit(SOME_FAILED)


def _looked_at(
    each: Sequence[Settings], options: Options, progress: Callable[[str], None]
) -> list[tuple[Settings, Diagnosis | DDSimError]]:
    """What is found at each server, or why one of several cannot be asked; this machine is looked at once.

    Raises:
        DDSimError: the only one, or none of them, can be asked.
    """
    found: list[tuple[Settings, Diagnosis | DDSimError]] = []
    for settings in each:
        try:
            transport = transport_to(settings)
            with connect(settings, transport=transport) as client:
                found.append((settings, diagnose(settings, client, transport, options, progress=progress)))
            options = replace(options, local=False)
        except (TransportError, ApiError) as error:
            found.append((settings, error))
    if errors := [one for _, one in found if isinstance(one, DDSimError)]:
        if len(errors) == len(each) == 1:
            raise errors[0]
        if len(errors) == len(each):
            told = "; ".join(f"{of.server.shown}: {one}" for of, one in found)
            raise ServerUnreachable(f"none of the {len(each)} servers can be asked: {told}")
    return found


def _compared(
    settings: Settings, found: list[tuple[Settings, Diagnosis | DDSimError]]
) -> list[tuple[Settings, Diagnosis | DDSimError]]:
    """The same, with what the servers' vectors tell of each other."""
    there = {of.server.shown: one for of, one in found if isinstance(one, Diagnosis)}
    told = compared(settings, there)
    return [(of, told.get(of.server.shown, one)) for of, one in found]


def _shipped() -> Settings:
    return load(shipped()[DEFAULT_CONFIG.name])


@contextmanager
def _working() -> Iterator[Any]:
    """Says on a terminal what is being done."""
    if not err.is_terminal:
        yield lambda _: None
        return
    with err.status("") as status:
        yield lambda what: status.update(Text(f"{what} ..."))
