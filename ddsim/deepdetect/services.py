"""Make it so: a service as configured, kept where it is so already, or an error that says what differs."""

from __future__ import annotations

import hashlib
import logging
import math
import secrets
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial

import orjson
from PIL import Image

from ddsim.deepdetect.canary import Canary
from ddsim.deepdetect.client import Client
from ddsim.deepdetect.described import ServiceInfo
from ddsim.deepdetect.results import Ensured
from ddsim.deepdetect.several import Several
from ddsim.deepdetect.specs import ServiceSpec
from ddsim.errors import (
    ApiError,
    DDSimError,
    InvalidRequest,
    InvalidResponse,
    ServiceConflict,
    ServiceExists,
    ServiceNotFound,
)
from ddsim.pictures import Upload

_log = logging.getLogger(__name__)
_MARK = "ddsim "
# The server shows neither of these again, so they travel in the description, which it does show.
_UNSHOWN = ("definition", "weights", "corresp", "templates")


@dataclass(frozen=True)
class Mark:
    """What ddsim wrote into the description of a service that it created.

    Attributes:
        owner: for whom; None where it was created for anybody, or not by ddsim.
        incarnation: a word drawn when it was created for that owner. A service that still carries it has lived ever
            since, and holds in memory what was added to its index: a server that ends forgets its services.
    """

    owner: str | None = None
    incarnation: str | None = None


def ensure(
    client: Client,
    spec: ServiceSpec,
    *,
    layer: str | None = None,
    owner: str | None = None,
    incarnation: str | None = None,
    replace_own: bool = False,
    canary: Canary | None = None,
) -> Ensured:
    """Create a service, or keep the one that is there if it has the same settings.

    One prediction proves that it works: DeepDetect v0.25.0 also creates services without weights (checked on a running
    server). A service that was created here and fails that prediction is removed again, so that a corrected one can be
    created.

    Args:
        client: the server.
        spec: the service wanted.
        layer: whose features to ask for in that prediction; None classifies.
        owner: for whom it is created, if it has to be created.
        incarnation: keep only the service of this owner that carries this word; ``""`` fits none, so none is kept.
        replace_own: whether a service of this owner with other settings is deleted and created anew. That touches no
            file, but what was added to its index and not built is lost.
        canary: what is kept of the layer's vectors, which tells with several servers who has the right network.

    Raises:
        ServiceConflict: it exists with other settings, or for another owner; nothing was changed.
        ApiError: it cannot be created, or cannot predict.
        InvalidRequest: a layer of a service that gives no features.
        NetworkChanged: of several servers some give other vectors than the others; they are named.
    """
    if isinstance(client, Several):
        make = partial(ensure, spec=spec, layer=layer, owner=owner, incarnation=incarnation, replace_own=replace_own)
        return client.ensured(spec.name, layer, make, canary)
    try:
        return _ensure(client, spec, layer, owner, incarnation, replace_own)
    except ServiceNotFound:
        _log.info("service %s went away while it was looked at: %s", spec.name, client.why_missing(spec.name))
        return _ensure(client, spec, layer, owner, incarnation, replace_own)


def _ensure(
    client: Client, spec: ServiceSpec, layer: str | None, owner: str | None, incarnation: str | None, replace_own: bool
) -> Ensured:
    marked = spec.model_copy(update={"description": _describe(spec, owner, secrets.token_hex(8))})
    found, created = _found_or_created(client, marked)
    differing = {} if created else _all_differences(spec, found, owner, incarnation)
    replaced = False
    if differing and replace_own and owner is not None and mark_of(found).owner == owner:
        _log.info("service %s is created anew, as it differs in %s", spec.name, ", ".join(differing))
        with suppress(ServiceNotFound):
            client.delete_service(spec.name)
            replaced = True
        found, created = _found_or_created(client, marked)
        differing = {} if created else _all_differences(spec, found, owner, incarnation)
    if differing:
        raise ServiceConflict(spec.name, differing)
    try:
        dimension = _probe(client, spec, layer)
    except (ApiError, InvalidRequest, InvalidResponse):
        if created:
            _remove(client, spec.name)
        raise
    return Ensured(spec.name, created, dimension, mark_of(found).incarnation, replaced)


def shared(spec: ServiceSpec) -> ServiceSpec:
    """The service under a name that says what it is, ``similar-3f2a91``.

    All who want the very same service share it, whatever configuration and machine they are of, and whoever wants
    another one under the same name has one of his own beside it.
    """
    agreed = spec.model_dump_json(exclude={"name", "description", "create_repository"})
    return spec.model_copy(update={"name": f"{spec.name}-{hashlib.sha256(agreed.encode()).hexdigest()[:6]}"})


def mark_of(found: ServiceInfo) -> Mark:
    """The mark of a service, an empty one where it has none."""
    known = _undescribe(found.description) or {}
    owner, incarnation = known.get("owner"), known.get("incarnation")
    return Mark(
        owner if isinstance(owner, str) else None,
        incarnation if isinstance(incarnation, str) else None,
    )


def is_of_ddsim(found: ServiceInfo) -> bool:
    """Whether ddsim made a service, by its description."""
    return _undescribe(found.description) is not None


def differences(spec: ServiceSpec, found: ServiceInfo) -> dict[str, tuple[object, object]]:
    """Compare a wanted service with one that exists: setting -> (wanted, found), only where they differ.

    A service that ddsim did not create says nothing of its model files; they are then not compared.
    """
    picture, network = found.shown("input"), found.shown("mllib")
    pairs: dict[str, tuple[object, object]] = {
        "mllib": (spec.mllib, found.mllib),
        "type": (spec.type, found.type),
        "repository": (spec.repository.rstrip("/"), found.repository.rstrip("/")),
        "width": (spec.width, picture.get("width")),
        "height": (spec.height, picture.get("height")),
        "rgb": (spec.rgb, bool(picture.get("rgb", False))),
        "nclasses": (spec.nclasses, network.get("nclasses")),
        "template": (spec.template or "", network.get("template") or ""),
    }
    differing = {key: pair for key, pair in pairs.items() if pair[0] != pair[1]}
    numbers = {"mean": spec.mean, "std": spec.std, "scale": () if spec.scale is None else (spec.scale,)}
    for key, wanted in numbers.items():
        shown = picture.get(key) or ()
        shown = tuple(shown) if isinstance(shown, Iterable) else (shown,)
        if not _close(wanted, shown):
            differing[key] = (list(wanted), list(shown))
    known = _undescribe(found.description)
    if known is not None:
        for key in _UNSHOWN:
            if getattr(spec, key) != known.get(key):
                differing[key] = (getattr(spec, key), known.get(key))
    return differing


def _found_or_created(client: Client, marked: ServiceSpec) -> tuple[ServiceInfo, bool]:
    try:
        return client.get_service(marked.name), False
    except ServiceNotFound:
        created = True
        try:
            client.create_service(marked)
        except ServiceExists:
            _log.info("service %s was created by someone else at the same time", marked.name)
            created = False
        return client.get_service(marked.name), created


def _all_differences(
    spec: ServiceSpec, found: ServiceInfo, owner: str | None, incarnation: str | None
) -> dict[str, tuple[object, object]]:
    differing = differences(spec, found)
    mark = mark_of(found)
    if incarnation is not None and mark.owner != owner:
        differing["owner"] = (owner, mark.owner)
    elif incarnation is not None and mark.incarnation != incarnation:
        differing["incarnation"] = (incarnation, mark.incarnation)
    return differing


def _close(wanted: Iterable[float], found: Iterable[object]) -> bool:
    # The server keeps 32-bit floats.
    pairs = list(zip(wanted, found, strict=False))
    same_length = len(list(wanted)) == len(list(found))
    return same_length and all(isinstance(b, (int, float)) and math.isclose(a, b, rel_tol=1e-5) for a, b in pairs)


def _describe(spec: ServiceSpec, owner: str | None, incarnation: str) -> str:
    kept = {key: value for key in _UNSHOWN if (value := getattr(spec, key))}
    # One for everybody has no owner, and can be told from another one made in its place all the same.
    kept |= {"made": incarnation} if owner is None else {"owner": owner, "incarnation": incarnation}
    return _MARK + orjson.dumps(kept).decode()


def _undescribe(description: str) -> dict[str, object] | None:
    if not description.startswith(_MARK):
        return None
    try:
        kept = orjson.loads(description.removeprefix(_MARK))
    except orjson.JSONDecodeError:
        return None
    return kept if isinstance(kept, dict) else None


def _probe(client: Client, spec: ServiceSpec, layer: str | None) -> int | None:
    picture = Image.new("RGB", (spec.width, spec.height), (128, 128, 128))
    if layer is None:
        client.classify(spec.name, [picture], top=1, upload=Upload())
        return None
    return int(client.extract(spec.name, [picture], layer=layer, upload=Upload()).shape[1])


def _remove(client: Client, name: str) -> None:
    try:
        client.delete_service(name)
    except DDSimError as error:
        # The caller is about to hear of the first error, which matters more.
        _log.warning("service %s failed its first prediction and could not be removed: %s", name, error)
