"""The container behind an address of this machine: what its server may use of the memory, and who made it."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from ddsim.containers.engine import LABELS, Engine
from ddsim.containers.recipe import PORT

# Compose writes into each container which files it was made from.
_COMPOSE_FILES = "com.docker.compose.project.config_files"


@dataclass(frozen=True)
class Serving:
    """A container that runs and serves an address.

    Attributes:
        name: the container's name.
        limit: how many bytes of memory it may use; None where Docker sets no limit.
        compose: the file that Compose made it from, or several with commas; None where Compose did not make it.
    """

    name: str
    limit: int | None
    compose: str | None


def serving(engine: Engine, url: str) -> Serving | None:
    """The container, made by ddsim or its compose file, whose server is at an address of this machine.

    Args:
        engine: where to look.
        url: the server's address. One that is not loopback has no container here.

    Raises:
        EngineError: the engine refuses.
    """
    if not is_of_this_machine(url):
        return None
    port = urlsplit(url).port or (443 if url.startswith("https:") else 80)
    for container in engine.running():
        bound = container.ports.get(f"{PORT}/tcp") or ()
        if LABELS.items() <= container.labels.items() and any(one.get("HostPort") == str(port) for one in bound):
            return _serving(container)
    return None


def is_of_this_machine(url: str) -> bool:
    """Whether an address is a loopback one, where what answers may be a container of this machine."""
    host = urlsplit(url).hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def _serving(container: Any) -> Serving:
    limit = (container.attrs.get("HostConfig") or {}).get("Memory")
    return Serving(container.name, limit or None, container.labels.get(_COMPOSE_FILES) or None)
