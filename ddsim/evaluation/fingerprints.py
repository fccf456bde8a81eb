"""All that a vector or a label depends on, as a key: with any of it another, what the cache holds does not count."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from ddsim.config import Service, Settings, Similarity
from ddsim.evaluation.pictures import hash_files

# Raised when pictures are prepared in another way, so that other vectors come out.
_VERSION = 1
# What a service is called and where it writes do not change what its network says.
_NOT_THE_NETWORK = {"service", "repository", "create_repository", "corresp", "extract_layer", "index_type"}
_INDEX_FILES = {"config.json", "index.faiss", "index_mmap.faiss"}


def network_key(settings: Settings) -> str:
    """Of the network that gives vectors, and of how pictures come to it; whatever the layer, unless it is derived."""
    derived = settings.similarity.pooling != "plain"
    layer = {"layer": settings.similarity.extract_layer} if derived else {}
    return _key({"vectors": _service(settings, settings.similarity), **layer, **_sent(settings)})


def vector_key(settings: Settings) -> str:
    """Of the vectors: network and layer."""
    return _key({"network": network_key(settings), "layer": settings.similarity.extract_layer})


def label_key(settings: Settings) -> str | None:
    """Of the labels that the classification service gives; None without one."""
    service = settings.classification
    if service is None:
        return None
    files = [service.corresp] if service.corresp else []
    return _key({"labels": _service(settings, service), "corresp": _files(settings, files), **_sent(settings)})


def stands_alone(service: Service) -> bool:
    """Whether all files that its answers depend on are named: then any folder will do for the service to write into."""
    labels_known = isinstance(service, Similarity) or service.corresp is not None
    network_known = service.weights is not None and bool(service.definition or service.template)
    return service.mllib == "caffe" and network_known and labels_known


def _service(settings: Settings, service: Service) -> dict[str, Any]:
    network = service.facts(_NOT_THE_NETWORK)
    named = [path for path in (service.definition, service.weights) if path]
    if stands_alone(service):
        return {"network": network, "files": _files(settings, named)}
    folder = Path(service.repository)
    inside = sorted(folder.iterdir()) if settings.server.embedded and folder.is_dir() else []
    named += [str(path) for path in inside if path.name not in _INDEX_FILES]
    return {"network": network, "repository": service.repository, "files": _files(settings, named)}


def _files(settings: Settings, paths: list[str]) -> list[str]:
    """Hashes of the files that are here to be looked at; those of a server elsewhere are known by their names only."""
    if not settings.server.embedded:
        return list(paths)
    return list(hash_files([Path(path) for path in paths if Path(path).is_file()]))


def _sent(settings: Settings) -> dict[str, Any]:
    upload = settings.upload_options()
    return {
        "version": _VERSION,
        "server": settings.server.url or "embedded",
        "shrink": upload.shrink,
        "quality": upload.quality,
    }


def _key(facts: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()
