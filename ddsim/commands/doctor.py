"""`ddsim doctor`: what a server can do, its traps, and whether what is configured works on it."""

from __future__ import annotations

import textwrap
from collections import Counter
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
from ddsim.config import Server, Settings, load, shipped
from ddsim.doctor import Check, Conformance, Diagnosis, Options, Status, Trap, compared, diagnose
from ddsim.errors import ApiError, DDSimError, ServerUnreachable, TransportError
from ddsim.search import connect, transport_to
from ddsim.showing import counted, printable

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

_STYLES: dict[Status, str] = {"ok": "green", "warning": "yellow", "failed": "bold red", "skipped": "dim"}
_WIDEST = 100
# Flags of the build that decide what ddsim can do there.
_FLAGS = ("USE_CAFFE", "USE_TORCH", "USE_SIMSEARCH", "USE_FAISS", "USE_ANNOY", "USE_CUDA_CV", "USE_TENSORRT")


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
        local = url is None or config.exists() or config != DEFAULT_CONFIG
        settings = load(config) if local else _shipped()
        if url is not None:
            settings = settings.model_copy(update={"server": Server.at(url)})
        reference = (settings if settings.similarity.mllib == "caffe" else _shipped()) if conformance else None
        each = [settings.model_copy(update={"server": one}) for one in settings.server.one_by_one()]
        found = _looked_at(each, Options(quick, local, reference, compare=len(each) > 1), progress)
        found = _compared(settings, found) if len(found) > 1 else found
    if json:
        told = [_as_json(one, of) if isinstance(one, Diagnosis) else _lost_json(one, of) for of, one in found]
        print_json(told[0] if len(told) == 1 else {"servers": told, "failed": any(one["failed"] for one in told)})
    else:
        for of, one in found:
            if isinstance(one, Diagnosis):
                _print(one, of, verbose, Typed(config))
            else:
                _line(f"{printable(of.server.shown)}: {printable(str(one))}", "bold red")
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


def _lost_json(error: DDSimError, settings: Settings) -> dict[str, object]:
    return {"server": {"url": settings.server.url}, "unreachable": str(error), "failed": True}


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


# Text


def _print(found: Diagnosis, settings: Settings, verbose: bool, typed: Typed) -> None:
    info, width = found.info, min(out.width, _WIDEST)
    commit = f" ({printable(info.commit[:12])})" if info.commit else ""
    where = settings.server.url or "embedded in ddsim"
    _line(f"DeepDetect {printable(info.version or 'of unknown version')}{commit}, {printable(where)}", "bold")
    for name, text in _facts(found):
        _wrapped(f"  {name:12}", text, width)
    _line("\nChecks", "bold")
    for check in found.checks:
        _check(check, width, typed)
    if verbose:
        _traps(found, width)
    elif found.traps:
        _line("\nThe traps of this server: ddsim doctor --verbose", "dim")
    if found.conformance is not None:
        _conformance(found.conformance, width)
    _line(f"\n{_summary(found)}", "bold")


def _traps(found: Diagnosis, width: int) -> None:
    _line("\nTraps of this server, each with what ddsim does about it", "bold")
    harm = None
    for trap in found.traps:
        if trap.harm != harm:
            harm = trap.harm
            _line(f"  {harm}", "underline")
        _trap(trap, trap.on(found.facts), width)


def _facts(found: Diagnosis) -> Iterator[tuple[str, str]]:
    capabilities = found.info.capabilities
    libraries = [name for name in ("caffe", "torch") if getattr(capabilities, name)]
    yield "libraries", ", ".join(libraries) or "neither caffe nor torch"
    yield (
        "similarity",
        capabilities.similarity_engine or ("an unknown engine" if capabilities.similarity_search else "none"),
    )
    yield "built with", " ".join(_flags(found)) or "unknown: the server does not say"
    services = [f"{one.name} ({one.mllib}, {one.type})" for one in found.info.services]
    yield "services", printable(", ".join(services)) or "none"


def _flags(found: Diagnosis) -> list[str]:
    return [flag for flag in found.info.compile_flags.split() if flag.partition("=")[0] in _FLAGS]


def _trap(trap: Trap, on: bool, width: int) -> None:
    _wrapped("    ", trap.meaning + ("" if trap.proven else " (unproven)"), width)
    state = trap.name if on else f"{trap.name}, OFF"
    _wrapped("      ", f"{state}: {trap.workaround}", width, "dim" if on else "yellow")


def _check(check: Check, width: int, typed: Typed) -> None:
    head = Text(f"  {check.status:8}", style=_STYLES[check.status])
    _wrapped(head + Text(f"{check.name:24}"), printable(check.message), width)
    if check.hint:
        _wrapped(" " * 10 + "-> ", printable(typed.completed(check.hint)), width, "dim")


def _conformance(found: Conformance, width: int) -> None:
    _line("\nConformance with v0.25.0", "bold")
    same = len(found.outcomes) - len(found.differences) - len(found.untried)
    _line(f"  {counted(len(found.outcomes), 'call')}: {same} as recorded, {len(found.differences)} different, ", end="")
    _line(f"{len(found.untried)} not tried")
    for one in found.differences:
        _wrapped(Text("  differs ", style="yellow") + Text(one.name + ": "), printable(one.difference), width, hang=10)
        _wrapped(" " * 10, one.source, width, "dim")
    for why, count in Counter(one.untried for one in found.untried).items():
        first = next(one.name for one in found.untried if one.untried == why)
        names = f'"{first}"' + (f" and {count - 1} after it" if count > 1 else "")
        _wrapped(Text("  untried ", style="dim"), f"{names}: {why}", width, hang=10)


def _summary(found: Diagnosis) -> str:
    counts = Counter(check.status for check in found.checks)
    parts = [f"{counts[status]} {_plural(status, counts[status])}" for status in _STYLES if counts[status]]
    off = sum(not trap.on(found.facts) for trap in found.traps)
    traps = f"{counted(len(found.traps), 'trap')}, " + (
        f"{off} without a work-around" if off else "a work-around for each"
    )
    return f"{counted(len(found.checks), 'check')}: {', '.join(parts)}; {traps}"


def _plural(status: Status, count: int) -> str:
    return "warnings" if status == "warning" and count > 1 else status


def _line(text: str, style: str = "", end: str = "\n") -> None:
    out.print(Text(text, style=style), end=end)


def _wrapped(head: str | Text, text: str, width: int, style: str = "", hang: int | None = None) -> None:
    """A line that goes on below itself, right of its head."""
    start = head if isinstance(head, Text) else Text(head)
    indent = start.cell_len if hang is None else hang
    first, *rest = textwrap.wrap(" " * start.cell_len + text, max(width, 40), subsequent_indent=" " * indent) or [""]
    out.print(start + Text(first[start.cell_len :], style=style))
    for line in rest:
        out.print(Text(line, style=style))


# JSON


def _as_json(found: Diagnosis, settings: Settings) -> dict[str, object]:
    info, capabilities = found.info, found.info.capabilities
    return {
        "server": {
            "url": settings.server.url,
            "version": info.version,
            "commit": info.commit,
            "caffe": capabilities.caffe,
            "torch": capabilities.torch,
            "similarity_engine": capabilities.similarity_engine,
            "compile_flags": info.compile_flags.split(),
            "services": [
                {"name": one.name, "mllib": one.mllib, "type": one.type, "repository": one.repository}
                for one in info.services
            ],
        },
        "traps": [
            {
                "name": trap.name,
                "harm": trap.harm,
                "meaning": trap.meaning,
                "workaround": trap.workaround,
                "on": trap.on(found.facts),
                "proven": trap.proven,
                "source": trap.source,
            }
            for trap in found.traps
        ],
        "checks": [
            {"name": one.name, "status": one.status, "message": one.message, "hint": one.hint} for one in found.checks
        ],
        "conformance": None if found.conformance is None else _conformance_as_json(found.conformance),
        "failed": found.failed,
    }


def _conformance_as_json(found: Conformance) -> list[dict[str, object]]:
    return [
        {
            "name": one.name,
            "source": one.source,
            "expected": {"status": one.expected.status, "dd_code": one.expected.dd_code},
            "got": None if one.got is None else {"status": one.got.status, "dd_code": one.got.dd_code},
            "difference": one.difference,
            "untried": one.untried,
        }
        for one in found.outcomes
    ]
