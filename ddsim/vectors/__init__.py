"""Where vectors live: three homes behind one protocol: the server's own index, one that ddsim keeps, and a database.

Uses the client, the settings and the manifest; the house alone knows how an index is written, searched and made whole
again. Routing, indexing and search work with whichever home a configuration names.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Literal

from ddsim.catalogue import ItemState, Manifest, whereabouts
from ddsim.config import Settings
from ddsim.deepdetect import Client, ServiceSpec
from ddsim.errors import ApiError, ConfigError, TransportError
from ddsim.vectors.ahead import Ahead, requests_to
from ddsim.vectors.approximate import GOOD, Approximate, pays, recalled
from ddsim.vectors.base import HOME, Among, Backend, Found, Hits, PictureOf, Prepared, Select
from ddsim.vectors.cache import FOLDER as CACHE_FOLDER
from ddsim.vectors.cache import Cache
from ddsim.vectors.canary import canary_of
from ddsim.vectors.exact import Metric, load_faiss
from ddsim.vectors.extracting import local_spec
from ddsim.vectors.fingerprints import (
    label_facts,
    label_key,
    looks_alike,
    network_key,
    stands_alone,
    vector_facts,
    vector_key,
)
from ddsim.vectors.keeping import tidy
from ddsim.vectors.local import LocalBackend
from ddsim.vectors.localkeeping import APPROXIMATE, COMPARED
from ddsim.vectors.memory import kept_by_content
from ddsim.vectors.milvus import MilvusBackend
from ddsim.vectors.milvuscalls import Calls
from ddsim.vectors.milvusglance import Glance
from ddsim.vectors.milvusplace import OWNER
from ddsim.vectors.milvusrecords import DatabaseRecords
from ddsim.vectors.others import Patience
from ddsim.vectors.segments import TYPES, Precision
from ddsim.vectors.served import Served, can_search
from ddsim.vectors.server import ServerBackend
from ddsim.vectors.table import Table, narrowed
from ddsim.vectors.trainable import check_trainable, least_pictures, why_not_trainable
from ddsim.vectors.transform import Recipe, Transform

__all__ = [
    "APPROXIMATE",
    "CACHE_FOLDER",
    "COMPARED",
    "GOOD",
    "HOME",
    "OWNER",
    "TYPES",
    "Ahead",
    "Among",
    "Approximate",
    "Backend",
    "Cache",
    "DatabaseRecords",
    "Found",
    "Glance",
    "Hits",
    "LocalBackend",
    "Metric",
    "MilvusBackend",
    "Patience",
    "PictureOf",
    "Precision",
    "Prepared",
    "Recipe",
    "Select",
    "ServerBackend",
    "Table",
    "Transform",
    "backend_for",
    "can_search",
    "canary_of",
    "check_trainable",
    "check_unworked",
    "damage",
    "database_records",
    "kept_by_content",
    "label_facts",
    "label_key",
    "least_pictures",
    "load_faiss",
    "looks_alike",
    "narrowed",
    "network_key",
    "pays",
    "recalled",
    "requests_to",
    "service_of",
    "stands_alone",
    "tidy",
    "vector_facts",
    "vector_key",
    "why_not_trainable",
    "working_on",
]

_log = logging.getLogger(__name__)


def backend_for(
    client: Client,
    settings: Settings,
    manifest: Manifest,
    *,
    patience: Patience | None = None,
    rebuilding: bool = False,
    taking_over: bool = False,
    allow_vanished: bool = False,
) -> Backend:
    """The home that the settings want, not opened yet.

    ``auto`` stays where the manifest's items are; for the first ones it takes the server's index where the server has
    one. The choice can be read at :attr:`Backend.home`.

    Args:
        client: the server.
        settings: ``index.backend`` and all that it depends on.
        manifest: of this catalogue and configuration.
        patience: how long to wait for a server that is gone.
        rebuilding: whether :meth:`Backend.rebuild` comes next, so that the home may be another one than before.
        taking_over: whether, in a database, it may take the place of another manifest's.
        allow_vanished: whether it may do so though much of that is not in it, or pictures cannot be had just now.

    Raises:
        ConfigError: the manifest's items are in another home.
        TransportError, ApiError: for ``auto``, the server cannot be asked.
    """
    kept = None if rebuilding else _kept(manifest)
    backend: Backend
    kind = _kind(client, settings, kept)
    if kind == "server":
        backend = ServerBackend(client, settings, manifest, patience)
    elif kind == "milvus":
        backend = MilvusBackend(
            client, settings, manifest, patience, taking_over=taking_over, allow_vanished=allow_vanished
        )
    else:
        backend = LocalBackend(client, settings, manifest, patience)
    # Among the metrics of vectors that are kept as the network gave them nothing has to move.
    if kept not in (None, backend.home) and not (kind != "server" and kept.startswith(kind)):
        raise ConfigError(
            f"index: the pictures indexed so far are in another kind of index ({kept}) than the configuration asks for "
            f"({backend.home}): change it back, or run `ddsim index --rebuild`, which sends every picture again"
        )
    return backend


def _kept(manifest: Manifest) -> str | None:
    counts = manifest.counts()
    if not counts[ItemState.INDEXED] and not counts[ItemState.ADDED]:
        return None
    kept = manifest.get_meta(HOME)
    return str(kept) if kept else None


def _kind(client: Client, settings: Settings, kept: str | None) -> Literal["server", "local", "milvus"]:
    wanted = settings.index.backend
    if wanted != "auto":
        return wanted
    if kept is not None:
        return "server" if kept.startswith("server") else "local"
    kind: Literal["server", "local"] = "server" if can_search(client.info().capabilities) else "local"
    _log.info("index.backend auto: the vectors are kept %s", "by the server" if kind == "server" else "by ddsim")
    return kind


def service_of(client: Client, settings: Settings, manifest: Manifest) -> ServiceSpec:
    """The service that an index has on the server; before there is one, the one that computes vectors kept here."""
    served = Served(client, settings, manifest)
    on_server = str(manifest.get_meta(HOME) or "").startswith("server")
    return served.spec() if on_server and served.facts.repository_drawn else local_spec(settings)


def database_records(settings: Settings) -> DatabaseRecords:
    """What the database that the settings name knows of the catalogue; nothing is asked yet.

    Raises:
        CapabilityError: its client is not installed.
    """
    return DatabaseRecords(Calls(settings.index), settings)


@contextmanager
def working_on(client: Client, settings: Settings, manifest: Manifest) -> Iterator[Callable[[], None]]:
    """Be the only one, on whatever machine, that works on a manifest's index on the server, if it has one of its own.

    The block gets what is to be called now and then, so that others go on to see that somebody is at work.

    Raises:
        ManifestBusy: somebody else works on it; says who, where and since when.
    """
    served = _of_its_own(client, settings, manifest)
    if served is None:
        yield lambda: None
        return
    served.take_lease()
    try:
        yield served.hold_lease
    finally:
        served.release_lease()


def check_unworked(client: Client, settings: Settings, manifest: Manifest) -> None:
    """Make sure that nobody on another machine works on a manifest's index, as far as the server can be asked.

    Raises:
        ManifestBusy: somebody does.
    """
    served = _of_its_own(client, settings, manifest)
    if served is not None:
        with suppress(ApiError, TransportError):
            served.check_lease()


def damage(client: Client, settings: Settings, manifest: Manifest) -> tuple[str, str] | None:
    """What is wrong with a manifest's index on the server, by what was noted of it, and its cure; it is not touched.

    None where nothing is, where a run is at work, or where there is no such index.
    """
    served = _of_its_own(client, settings, manifest)
    if served is None or manifest.running():
        return None
    facts = served.facts
    if facts.building and not served.is_there():
        return (
            f"a server ended while it wrote the index in {facts.repository}, which may hold rows without names now: "
            "it is not searched any more",
            "run `ddsim index`, which sends every picture again, to a new folder",
        )
    if facts.died:
        return (
            f"the server ended {facts.died} times while it loaded the index in {facts.repository}",
            "look into its log; if it does not lack memory, run `ddsim index --rebuild`",
        )
    return None


def _of_its_own(client: Client, settings: Settings, manifest: Manifest) -> Served | None:
    """The index on the server; None where there is none, or a copy's, which is another's."""
    served = Served(client, settings, manifest)
    on_server = str(manifest.get_meta(HOME) or "").startswith("server") and served.facts.repository_drawn
    return served if on_server and whereabouts(manifest) in ("here", "moved") else None
