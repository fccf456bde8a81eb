"""What a check says, and the checks that need no trial: what the server was built with, and how fast it answers."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Literal, TypeAlias, TypeVar

from ddsim.config import Settings
from ddsim.deepdetect import Capabilities, Client, Info
from ddsim.errors import DDSimError, TransportError, install_hint
from ddsim.vectors import can_search

Status = Literal["ok", "warning", "failed", "skipped"]
_Answer = TypeVar("_Answer")
_CALLS = 5


@dataclass(frozen=True)
class Check:
    """One thing that was looked at.

    Attributes:
        name: what.
        status: ``failed``: what is configured cannot work so; ``warning``: it can, but look at it; ``skipped``: not
            looked at.
        message: what was found.
        hint: what to do about it; empty where there is nothing to do.
    """

    name: str
    status: Status
    message: str
    hint: str = ""


Note: TypeAlias = Callable[[Check], None]
"""Takes the results of a check, one by one."""


class Stopped(Exception):
    """The result that ends a check early: what would come next needs what is not there. Stays in this package."""

    def __init__(self, check: Check) -> None:
        super().__init__(check.message)
        self.check = check


def attempt(name: str, work: Callable[[Note], None]) -> list[Check]:
    """The results of a check; an error that ends it is one more, under this name."""
    found: list[Check] = []
    try:
        work(found.append)
    except Stopped as stopped:
        found.append(stopped.check)
    except DDSimError as error:
        lost = isinstance(error, TransportError)
        hint = "the server's log says why; `ddsim doctor` again tells whether it is back" if lost else ""
        found.append(Check(name, "failed", str(error), hint))
    return found


# Abilities


def abilities(info: Info, settings: Settings) -> list[Check]:
    """Whether the server was built with what the settings ask of it."""
    wanted = sorted({part.mllib for part in (settings.similarity, settings.classification) if part})
    return [*(_library(mllib, info.capabilities) for mllib in wanted), _index(settings, info.capabilities)]


def _library(mllib: Literal["caffe", "torch"], capabilities: Capabilities) -> Check:
    if capabilities.caffe if mllib == "caffe" else capabilities.torch:
        return Check("library", "ok", f"the server has {mllib}, which the configuration asks for")
    message = f"the configuration asks for {mllib}, which this server was built without"
    if mllib == "caffe":
        hint = "use the image deepdetect_cpu:v0.25.0, or a configuration for Torch such as configs/torch.yaml"
    else:
        hint = "use a server with Torch, or a configuration for Caffe such as configs/resnet50.yaml"
    return Check("library", "failed", message, hint)


def _index(settings: Settings, capabilities: Capabilities) -> Check:
    backend, name = settings.index.backend, "index"
    on_server = can_search(capabilities)
    if backend == "server" and not on_server:
        return Check(
            name,
            "failed",
            "the configuration keeps the index on the server, which was built without one that grows",
            "write `backend: local` (or auto) under `index:`, or use the image deepdetect_cpu:v0.25.0",
        )
    if backend == "server" or (backend == "auto" and on_server):
        return Check(name, "ok", f"on the server, {capabilities.similarity_engine}")
    if backend == "milvus":
        if find_spec("pymilvus") is None:
            return Check(name, "failed", "a Milvus keeps the index, and ddsim lacks its client", install_hint("milvus"))
        return Check(name, "ok", f"in the Milvus at {settings.index.url}")
    if find_spec("faiss") is None:
        return Check(name, "failed", "ddsim keeps the index, and lacks FAISS for it", install_hint("local"))
    chosen = " (auto: this server has none that grows)" if backend == "auto" else ""
    return Check(name, "ok", f"kept by ddsim{chosen}")


# Times


def round_trip(client: Client) -> Check:
    """How long the shortest call takes. Before any service is made or removed: the server's list is not locked."""
    times = [timed(client.info)[1] for _ in range(_CALLS)]
    shown = f"median {milliseconds(statistics.median(times))}, longest {milliseconds(max(times))}"
    return Check("round trip", "ok", f"GET /info: {shown}")


def timed(call: Callable[[], _Answer]) -> tuple[_Answer, float]:
    """A call's answer, and the seconds that it took."""
    begun = time.perf_counter()
    answer = call()
    return answer, time.perf_counter() - begun


def milliseconds(seconds: float) -> str:
    """A time in words."""
    return f"{seconds * 1000:.1f} ms" if seconds < 0.1 else f"{seconds * 1000:.0f} ms"
