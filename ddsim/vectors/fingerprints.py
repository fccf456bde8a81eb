"""All that a vector or a label depends on, as a key: with any of it another, what is kept does not count.

A server's address is no part of it for vectors: whether two servers give the same ones is found out by asking them, see
:mod:`ddsim.vectors.canary`.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from ddsim.config import Service, Settings, Similarity

# Raised when pictures are prepared in another way, so that other vectors come out.
_VERSION = 1
# What a service is called, where it writes and where it computes do not change what its network says.
_NOT_THE_NETWORK = {"service", "repository", "create_repository", "corresp", "extract_layer", "index_type"}
_NOT_THE_NETWORK |= {"gpu", "gpuid"}
# Of files that are here to be looked at the content counts, and not where they lie.
_PATHS = {"definition", "weights"}
_INDEX_FILES = {"config.json", "index.faiss", "index_mmap.faiss"}


def network_facts(settings: Settings) -> dict[str, Any]:
    """What vectors depend on, whatever the layer, unless it is derived: the network and how pictures come to it."""
    derived = settings.similarity.pooling != "plain"
    layer = {"layer": settings.similarity.extract_layer} if derived else {}
    return {"vectors": _service(settings, settings.similarity), **layer, **_sent(settings)}


def vector_facts(settings: Settings) -> dict[str, Any]:
    """All that vectors depend on, as plain values that people can read."""
    return {**network_facts(settings), "layer": settings.similarity.extract_layer}


def looks_alike(settings: Settings) -> str:
    """What servers have to have in common before their vectors can be the same: all but the network's files."""
    facts = vector_facts(settings)
    network = {key: value for key, value in facts["vectors"]["network"].items() if key not in {*_PATHS, "templates"}}
    return _key({**facts, "vectors": network})


def network_key(settings: Settings) -> str:
    """Of the network that gives vectors; see :func:`network_facts`."""
    return _key(network_facts(settings))


def vector_key(settings: Settings) -> str:
    """Of the vectors: network and layer."""
    return _key({"network": network_key(settings), "layer": settings.similarity.extract_layer})


def label_facts(settings: Settings) -> dict[str, Any] | None:
    """What the labels of the classification service depend on, wherever its files lie; None without one."""
    service = settings.classification
    if service is None:
        return None
    files = [service.corresp] if service.corresp else []
    return {"labels": _service(settings, service), "corresp": _files(settings, files)}


def label_key(settings: Settings) -> str | None:
    """Of the labels that the classification service gives; None without one."""
    facts = label_facts(settings)
    # Nothing tells labels of the same network from others', so those of another server are others.
    where = {"server": settings.server.url or "embedded"}
    return None if facts is None else _key({**facts, **where, **_sent(settings)})


def stands_alone(service: Service) -> bool:
    """Whether all files that its answers depend on are named: then any folder will do for the service to write into."""
    labels_known = isinstance(service, Similarity) or service.corresp is not None
    network_known = service.weights is not None and bool(service.definition or service.template)
    return service.mllib == "caffe" and network_known and labels_known


def _service(settings: Settings, service: Service) -> dict[str, Any]:
    network = service.facts(_NOT_THE_NETWORK | (_PATHS if settings.server.embedded else set()))
    named = [path for path in (service.definition, service.weights) if path]
    if stands_alone(service):
        return {"network": network, "files": _files(settings, named)}
    folder = Path(service.repository)
    inside = sorted(folder.iterdir()) if settings.server.embedded and os.path.isdir(folder) else []
    named += [str(path) for path in inside if path.name not in _INDEX_FILES]
    where = {} if settings.server.embedded else {"repository": service.repository}
    return {"network": network, **where, "files": _files(settings, named)}


def _files(settings: Settings, paths: list[str]) -> list[str]:
    """Hashes of the files that are here to be looked at; those of a server elsewhere are known by their names only."""
    if not settings.server.embedded:
        return list(paths)
    return list(hash_files([Path(path) for path in paths if os.path.isfile(path)]))


def _sent(settings: Settings) -> dict[str, Any]:
    upload = settings.upload_options()
    return {
        "version": _VERSION,
        "shrink": upload.shrink,
        "quality": upload.quality,
    }


def _key(facts: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


def hash_files(paths: Sequence[Path]) -> Iterator[str]:
    """The hash of each file's content; a network's weights are read once as long as they stay as they are."""
    for path in paths:
        status = path.stat()
        yield _hashed(path, status.st_mtime_ns, status.st_size)


@lru_cache(maxsize=256)
def _hashed(path: Path, mtime_ns: int, size: int) -> str:
    del mtime_ns, size  # they only tell whether it is still the same file
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()
