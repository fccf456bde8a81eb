"""Containers by their names: what they are, and the end of them."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from itertools import takewhile

from ddsim.containers.bindings import published, volume_of
from ddsim.containers.container import ask
from ddsim.containers.engine import Engine
from ddsim.containers.recipe import NAME
from ddsim.deepdetect import Info
from ddsim.errors import DDSimError


@dataclass(frozen=True)
class ContainerStatus:
    """What there is to say of a server's container.

    Attributes:
        name: the container's name.
        state: Docker's word, such as ``running``, ``restarting`` or ``exited``; ``absent`` where there is none.
        image: what it was made of.
        url: where the server is reached; None while no port is bound.
        version: the server's version; None where it does not answer.
        services: names of the services it has.
        restarts: how often it ended and was started again by its restart policy.
        volume: the volume with its models and indexes.
    """

    name: str
    state: str
    image: str = ""
    url: str | None = None
    version: str | None = None
    services: tuple[str, ...] = ()
    restarts: int = 0
    volume: str | None = None


def status(engine: Engine, name: str = NAME, asked: Callable[[str], Info] | None = None) -> ContainerStatus:
    """What the container of that name is and whether its server answers.

    Raises:
        EngineError: see :meth:`Engine.find`.
    """
    container = engine.find(name)
    if container is None:
        return ContainerStatus(name, "absent")
    url, info = published(container), None
    if url is not None and container.status == "running":
        with suppress(DDSimError):
            info = (asked or ask)(url)
    return ContainerStatus(
        name,
        container.status,
        container.attrs["Config"]["Image"],
        url,
        info.version if info is not None else None,
        tuple(service.name for service in info.services) if info is not None else (),
        container.attrs["RestartCount"],
        volume_of(container),
    )


def numbered(name: str, number: int) -> str:
    """The container of the first, second, ... of several servers that share a name."""
    return name if number == 1 else f"{name}-{number}"


def more(engine: Engine, name: str) -> list[str]:
    """The names of the second server and those after it, as far as there are any."""
    return list(takewhile(lambda one: engine.find(one) is not None, (numbered(name, n) for n in range(2, 100))))


def down(engine: Engine, name: str = NAME, volume: str | None = None) -> list[str]:
    """Stop and remove the containers of that name, and a volume where one is named; what was removed, in words.

    Raises:
        EngineError: see :meth:`Engine.find` and :meth:`Engine.remove_volume`.
    """
    removed = []
    for one in (name, *more(engine, name)):
        container = engine.find(one)
        if container is not None:
            engine.remove(container)
            removed.append(f"container {one}")
    if volume is not None and engine.remove_volume(volume):
        removed.append(f"volume {volume}")
    return removed
