"""Make it so: a service as configured, kept where it is so already, or an error that says what differs."""

from __future__ import annotations

import logging
import math
from collections.abc import Iterable
from dataclasses import dataclass

import orjson
from PIL import Image

from ddsim.client import Client
from ddsim.errors import ApiError, DDSimError, ServiceConflict, ServiceExists, ServiceNotFound
from ddsim.images import Upload
from ddsim.wire import ServiceInfo, ServiceSpec

_log = logging.getLogger(__name__)
_MARK = "ddsim "
# The server shows neither of these again, so they travel in the description, which it does show.
_UNSHOWN = ("definition", "weights", "corresp", "templates")


@dataclass(frozen=True)
class Ensured:
    """A service that is as configured and has answered a prediction.

    Attributes:
        name: the service.
        created: whether it had to be created.
        dimension: the length of its features; None for a classification service.
    """

    name: str
    created: bool
    dimension: int | None


def ensure(client: Client, spec: ServiceSpec, *, layer: str | None = None) -> Ensured:
    """Create a service, or keep the one that is there if it has the same settings.

    One prediction proves that it works: a server answers 201 to a service without weights (recording 04). A service
    that was created here and fails that prediction is removed again, so that the corrected one can be created.

    Args:
        client: the server.
        spec: the service wanted.
        layer: whose features to ask for in that prediction; None classifies.

    Raises:
        ServiceConflict: it exists with other settings; nothing was changed.
        ApiError: it cannot be created, or cannot predict.
    """
    marked = spec.model_copy(update={"description": _describe(spec)})
    created = False
    try:
        found = client.get_service(spec.name)
    except ServiceNotFound:
        try:
            client.create_service(marked)
            created = True
        except ServiceExists:
            _log.info("service %s was created by someone else at the same time", spec.name)
        found = client.get_service(spec.name)
    if not created and (differing := differences(spec, found)):
        raise ServiceConflict(spec.name, differing)
    try:
        dimension = _probe(client, spec, layer)
    except ApiError:
        if created:
            _remove(client, spec.name)
        raise
    return Ensured(spec.name, created, dimension)


def differences(spec: ServiceSpec, found: ServiceInfo) -> dict[str, tuple[object, object]]:
    """Compare a wanted service with one that exists: setting -> (wanted, found), only where they differ.

    A service that ddsim did not create says nothing of its model files; they are then not compared.
    """
    picture, network = found.parameters.get("input", {}), found.parameters.get("mllib", {})
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


def _close(wanted: Iterable[float], found: Iterable[object]) -> bool:
    # The server keeps 32-bit floats.
    pairs = list(zip(wanted, found, strict=False))
    same_length = len(list(wanted)) == len(list(found))
    return same_length and all(isinstance(b, (int, float)) and math.isclose(a, b, rel_tol=1e-5) for a, b in pairs)


def _describe(spec: ServiceSpec) -> str:
    return _MARK + orjson.dumps({key: value for key in _UNSHOWN if (value := getattr(spec, key))}).decode()


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
