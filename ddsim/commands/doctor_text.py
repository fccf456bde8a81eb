"""What `ddsim doctor` prints."""

from __future__ import annotations

import textwrap
from collections import Counter
from collections.abc import Iterator

from rich.text import Text

from ddsim.commands.common import Typed, out
from ddsim.config import Settings
from ddsim.doctor import Check, Conformance, Diagnosis, Status, Trap
from ddsim.showing import counted, printable

_STYLES: dict[Status, str] = {"ok": "green", "warning": "yellow", "failed": "bold red", "skipped": "dim"}
_WIDEST = 100
# Flags of the build that decide what ddsim can do there.
_FLAGS = ("USE_CAFFE", "USE_TORCH", "USE_SIMSEARCH", "USE_FAISS", "USE_ANNOY", "USE_CUDA_CV", "USE_TENSORRT")


def print_diagnosis(found: Diagnosis, settings: Settings, verbose: bool, typed: Typed) -> None:
    """Print what is known of a server, its traps where they are asked for, and every check with its hint."""
    info, width = found.info, min(out.width, _WIDEST)
    commit = f" ({printable(info.commit[:12])})" if info.commit else ""
    where = settings.server.url or "embedded in ddsim"
    print_line(f"DeepDetect {printable(info.version or 'of unknown version')}{commit}, {printable(where)}", "bold")
    for name, text in _facts(found):
        _wrapped(f"  {name:12}", text, width)
    print_line("\nChecks", "bold")
    for check in found.checks:
        _check(check, width, typed)
    if verbose:
        _traps(found, width)
    elif found.traps:
        print_line("\nThe traps of this server: ddsim doctor --verbose", "dim")
    if found.conformance is not None:
        _conformance(found.conformance, width)
    print_line(f"\n{_summary(found)}", "bold")


def _traps(found: Diagnosis, width: int) -> None:
    print_line("\nTraps of this server, each with what ddsim does about it", "bold")
    harm = None
    for trap in found.traps:
        if trap.harm != harm:
            harm = trap.harm
            print_line(f"  {harm}", "underline")
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
    print_line("\nConformance with v0.25.0", "bold")
    different, untried = len(found.differences), len(found.untried)
    same = len(found.outcomes) - different - untried
    calls = counted(len(found.outcomes), "call")
    print_line(f"  {calls}: {same} as recorded, {different} different, {untried} not tried")
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


def print_line(text: str, style: str = "") -> None:
    """Print a line in one style."""
    out.print(Text(text, style=style))


def _wrapped(head: str | Text, text: str, width: int, style: str = "", hang: int | None = None) -> None:
    """A line that goes on below itself, right of its head."""
    start = head if isinstance(head, Text) else Text(head)
    indent = start.cell_len if hang is None else hang
    first, *rest = textwrap.wrap(" " * start.cell_len + text, max(width, 40), subsequent_indent=" " * indent) or [""]
    out.print(start + Text(first[start.cell_len :], style=style))
    for line in rest:
        out.print(Text(line, style=style))
