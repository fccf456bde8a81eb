"""The doctor: what can this server do, which of its traps apply, and does what is configured work on it?

Uses the client, the settings, a collection's manifest and the server's container; makes trial services and removes them
again. `ddsim doctor` prints what it finds.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from ddsim.config import Settings
from ddsim.containers import Engine
from ddsim.deepdetect import Canary, Client, Info, Transport
from ddsim.doctor import conformance
from ddsim.doctor.alike import check_alike
from ddsim.doctor.bench import PREFIX, Bench
from ddsim.doctor.catalogue import check_catalogue, check_damage, check_index, check_index_type
from ddsim.doctor.checks import Check, Status, abilities, attempt, round_trip
from ddsim.doctor.conformance import Conformance, Outcome
from ddsim.doctor.facts import Facts, facts_of
from ddsim.doctor.memory import check_memory
from ddsim.doctor.networks import Networks
from ddsim.doctor.traps import TRAPS, Harm, Trap, traps_of
from ddsim.search import current_catalogue

__all__ = [
    "PREFIX",
    "TRAPS",
    "Check",
    "Conformance",
    "Diagnosis",
    "Facts",
    "Harm",
    "Options",
    "Outcome",
    "Status",
    "Trap",
    "compared",
    "diagnose",
]


@dataclass(frozen=True)
class Options:
    """What to look at.

    Attributes:
        quick: leave out the networks, so that nothing is created on the server.
        local: look at catalogue, categories and index on this machine.
        reference: settings whose network serves for the calls of a conformance run; None makes none.
        compare: have what :func:`compared` needs: vectors of three drawn pictures.
    """

    quick: bool = False
    local: bool = True
    reference: Settings | None = None
    compare: bool = False


@dataclass(frozen=True)
class Diagnosis:
    """All that was found.

    Attributes:
        info: what the server says of itself.
        facts: what decides about traps.
        traps: those that the server has, the worst first.
        checks: in the order in which they were made.
        conformance: None where it was not asked for.
        canary: what the network makes of the drawn pictures; None where it was not asked for, or cannot be had.
    """

    info: Info
    facts: Facts
    traps: tuple[Trap, ...]
    checks: tuple[Check, ...]
    conformance: Conformance | None
    canary: Canary | None = None

    @property
    def failed(self) -> bool:
        """Whether something that is configured cannot work."""
        return any(check.status == "failed" for check in self.checks)


def diagnose(
    settings: Settings,
    client: Client,
    transport: Transport,
    options: Options | None = None,
    *,
    progress: Callable[[str], None] | None = None,
    sleep: Callable[[float], None] = time.sleep,
    engine: Callable[[], Engine] = Engine,
) -> Diagnosis:
    """Look at a server and at what is configured for it.

    What is created on the server meanwhile is removed again, also after errors and Ctrl-C: trial services, in one
    folder. No call is made that could end the server.

    Args:
        settings: the configuration.
        client: to its server, see :func:`ddsim.connect`.
        transport: to the same server.
        options: what to look at.
        progress: told what is being done.
        sleep: how to wait for a creation that was interrupted; tests pass one that does not.
        engine: gives the Docker engine where the server's container may be; asked for loopback addresses only.

    Raises:
        TransportError, ApiError: the server cannot be reached, or is none. Later trouble is in the checks.
    """
    options = options or Options()
    progress = progress or (lambda _: None)
    info = client.info()
    progress("round trips")
    checks = attempt("round trip", lambda note: note(round_trip(client)))
    checks += abilities(info, settings)
    networks = Networks(
        client, settings, lambda repository: Bench(transport, repository, sleep=sleep), compare=options.compare
    )
    if not options.quick and not any(check.status == "failed" and check.name == "library" for check in checks):
        progress("similarity network")
        checks += attempt("similarity network", networks.similarity)
        progress("classification network")
        checks += attempt("classification network", networks.classification)
    else:
        why = "--quick" if options.quick else "the server lacks the library"
        checks.append(Check("networks", "skipped", f"not tried: {why}"))
    progress("memory")
    checks += attempt("memory", lambda note: check_memory(settings, engine, note))
    if options.local:
        progress("catalogue")
        settings = _of_what_is_searched(settings)
        checks += attempt("catalogue", lambda note: check_catalogue(settings, networks.labels, note))
        checks += attempt("index type", lambda note: check_index_type(settings, note))
        checks += attempt("indexed", lambda note: check_index(settings, note))
        checks += attempt("index files", lambda note: check_damage(settings, client, note))
    found, left = None, networks.left
    if options.reference is not None:
        found = conformance.run(options.reference, transport, progress=progress, sleep=sleep)
        left = left + list(found.left)
    checks += [Check("clearing away", "failed", what, "remove it on the server by hand") for what in left]
    facts = facts_of(info, settings)
    return Diagnosis(info, facts, traps_of(facts), tuple(checks), found, networks.canary)


def compared(settings: Settings, found: Mapping[str, Diagnosis]) -> dict[str, Diagnosis]:
    """What was found at several servers, each with one check more: whether it gives the vectors that the others give.

    Args:
        settings: the configuration.
        found: address -> what was found there, by looking with ``compare``.
    """
    checks = check_alike(settings, {url: one.canary for url, one in found.items()})
    return {url: replace(one, checks=(*one.checks, checks[url])) for url, one in found.items()}


def _of_what_is_searched(settings: Settings) -> Settings:
    """The settings with the catalogue that searches use where none is named."""
    reference = settings.reference.model_copy(update={"folder": current_catalogue(settings)})
    return settings.model_copy(update={"reference": reference})
