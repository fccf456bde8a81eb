"""What is left on a server that nobody uses any more: services, leases, and the folders of indexes.

A service costs the server memory, and whoever needs one that is gone makes it again. An index's service is its
manifest's own, and is removed only where the manifests of this state folder say that nobody has it; another state
folder cannot be looked into. Services that are shared, such as a classifier, are removed when nobody has used them for
a time: the server counts the predictions of each, and a file here remembers since when a count has stood still.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import re
import socket
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ddsim.catalogue import Locks, whereabouts
from ddsim.config import Settings
from ddsim.deepdetect import Client, ServiceInfo, ServiceSpec, holder_of, holders, is_lease, is_of_ddsim, mark_of
from ddsim.errors import DDSimError, ServiceNotFound
from ddsim.search.states import State, manifest_of, manifests
from ddsim.vectors import HOME

_log = logging.getLogger(__name__)

SEEN = "services.json"
_INDEX = re.compile(r".*/[0-9a-f]{12}-g\d+")
_DAY_S = 86_400.0


@dataclass(frozen=True)
class Unused:
    """A service that nobody uses, and why that is known."""

    name: str
    why: str


def unused_services(client: Client, settings: Settings, *, now: float | None = None) -> list[Unused]:
    """The services of ddsim on a server that nobody uses, as far as it can be known here.

    What is seen of shared services is remembered in the state folder, if there is one.

    Raises:
        ApiError, TransportError: the server cannot be asked.
    """
    now = time.time() if now is None else now
    services = client.info().services
    own = _folders(settings.state)
    since = _since(settings, [one for one in services if _is_shared(one)], now)
    return [Unused(one.name, why) for one in services if (why := _why(one, settings, own, since, now))]


def remove_unused(client: Client, settings: Settings) -> list[Unused]:
    """Remove them; what fails is only logged.

    Returns:
        those that are gone.
    """
    removed: list[Unused] = []
    try:
        for one in unused_services(client, settings):
            with suppress(ServiceNotFound):
                client.delete_service(one.name)
            removed.append(one)
            _log.info("service %s is removed from the server: %s", one.name, one.why)
    except DDSimError as error:
        _log.info("what nobody uses stays on the server: %s", error)
    return removed


def remove_from_server(client: Client, state: State) -> bool:
    """Remove the index of a state, and its service, from the server, if they are that state's own.

    Returns:
        whether they are gone.

    Raises:
        ManifestBusy: somebody works on it, here or on another machine.
        ApiError, TransportError: the server cannot be asked, or refuses.
    """
    with Locks(state.folder).writing():
        return _removed_from_server(client, state)


def _removed_from_server(client: Client, state: State) -> bool:
    with manifest_of(state.folder) as manifest:
        generations = range(1, int(manifest.get_meta("generation") or 0) + 1)
        folders = [f"{manifest.get_meta('repository')}-g{number}" for number in generations]
        theirs = whereabouts(manifest) in ("copied", "unknown")
        on_server = str(manifest.get_meta(HOME) or "").startswith("server")
    if theirs or not on_server or not all(_INDEX.fullmatch(folder) for folder in folders):
        return False
    for one in client.info().services:
        if one.repository.rstrip("/") in folders and not is_lease(one.description):
            _check_lease(client, one.name, state.folder)
            with suppress(ServiceNotFound):
                client.delete_service(one.name)
    for folder in folders:
        # A service without a network takes its folder with it, without loading what is in there
        # (recordings/wire/07c-delete-explicit-paths).
        name = f"ddsim-gone-{folder.rpartition('/')[2]}"
        client.create_service(ServiceSpec(name=name, repository=folder, create_repository=True, nclasses=1))
        client.delete_service(name, destroy_model_files="dir")
    return True


def _check_lease(client: Client, service: str, folder: Path) -> None:
    for one in holders(client, service).values():
        if not one.is_gone(str(folder.absolute()), time.time()):
            raise one.error()


def _why(
    one: ServiceInfo, settings: Settings, own: tuple[str, ...] | None, since: dict[str, float], now: float
) -> str | None:
    """Why nobody uses a service; None where somebody may."""
    holder = holder_of(one.description)
    if holder is not None:
        return f"{holder.owner} ended without giving it back" if holder.is_gone("", now) else None
    if _is_shared(one):
        days = settings.index.unused_days
        idle = (now - since[one.name]) / _DAY_S
        return f"nobody has used it for {idle:.0f} days" if days is not None and idle >= days else None
    owner = mark_of(one).owner or ""
    ours = f" {settings.state}/" in owner and owner.endswith(f" on {socket.gethostname()}")
    if ours and own is not None and not one.repository.startswith(own):
        return f"no index in {settings.state} is its own"
    return None


def _is_shared(one: ServiceInfo) -> bool:
    """Whether it is nobody's own: a classifier, one that only computes vectors, or left by an evaluation."""
    trial = one.name.startswith(("ddsim-doctor-", "ddsim-evaluate-", "ddsim-gone-"))
    return trial or (is_of_ddsim(one) and not _INDEX.fullmatch(one.repository.rstrip("/")))


def _folders(state: Path) -> tuple[str, ...] | None:
    """How the folders begin that manifests name as their own; None where one of them cannot be read."""
    found: list[str] = []
    try:
        for folder in manifests(state):
            with manifest_of(folder) as manifest:
                found.append(f"{manifest.get_meta('repository')}-g")
    except DDSimError as error:
        _log.info("no index's service is taken for unused: %s", error)
        return None
    return tuple(found)


def _since(settings: Settings, services: list[ServiceInfo], now: float) -> dict[str, float]:
    """Since when each of these services has answered nobody, seconds since 1970; it is noted for the next time."""
    path, address = settings.state / SEEN, settings.server.url or "embedded"
    every = _read(path)
    before = every.get(address)
    known = before if isinstance(before, dict) else {}
    noted: dict[str, list[Any]] = {}
    for one in services:
        count = _count(one)
        made = hashlib.sha256(one.description.encode()).hexdigest()[:12]
        last = known.get(one.name)
        same = isinstance(last, list) and last[:2] == [made, count] and isinstance(last[2], (int, float))
        noted[one.name] = [made, count, min(float(last[2]), now) if same and last is not None else now]
    if os.path.isdir(settings.state) and noted != known:
        with suppress(OSError):  # whoever may not write there remembers nothing
            path.write_text(json.dumps({**every, address: noted}), encoding="utf-8")
    return {name: float(one[2]) for name, one in noted.items()}


def _count(one: ServiceInfo) -> int:
    """How many predictions a service has answered."""
    shown = (one.model_extra or {}).get("service_stats")
    count = shown.get("predict_count") if isinstance(shown, dict) else None
    return count if isinstance(count, int) else 0


def _read(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
