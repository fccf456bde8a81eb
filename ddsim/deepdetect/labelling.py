"""Labels and features of pictures: the plans behind the client's ``classify`` and ``extract``."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from ddsim.deepdetect import wire
from ddsim.deepdetect.checks import check_layer, check_list, count
from ddsim.deepdetect.core import Core
from ddsim.deepdetect.guard import Guard
from ddsim.deepdetect.parts import Data, in_requests
from ddsim.deepdetect.predicting import features, predict
from ddsim.deepdetect.results import Classification, Vectors
from ddsim.deepdetect.steps import Plan
from ddsim.errors import InvalidRequest, InvalidResponse
from ddsim.pictures import Picture, Upload


def classify(
    core: Core,
    service: str,
    pictures: Iterable[Picture],
    top: int | None,
    min_probability: float,
    upload: Upload | None,
) -> Plan[list[Classification]]:
    """See :meth:`ddsim.Client.classify`."""
    if top is not None:
        top = count("top", top)
    if not 0.0 <= min_probability <= 1.0:
        raise InvalidRequest(f"classify: min_probability={min_probability} must be from 0 to 1")
    check_list(pictures)
    guard = yield from core.known(service)
    if guard.info and guard.info.type == "unsupervised":
        raise InvalidRequest(f"service {guard.name!r} gives features, not labels: use a classification service")
    output = {"best": _best(guard, top), "confidence_threshold": float(min_probability)}

    def send(ids: list[str], data: list[Data]) -> Plan[list[Classification]]:
        predictions = yield from predict(core, guard, ids, data, output=output)
        return [wire.parse_classification(prediction) for prediction in predictions]

    return (yield from in_requests(core, pictures, upload, send))


def _best(guard: Guard, top: int | None) -> int:
    if top is None:
        return -1
    # A Torch service invents classes above its own count (recordings/torch 06).
    known = guard.info.nclasses if guard.info and guard.is_torch else None
    return min(top, known) if known is not None and known > 0 else top


def extract(core: Core, service: str, pictures: Iterable[Picture], layer: str, upload: Upload | None) -> Plan[Vectors]:
    """See :meth:`ddsim.Client.extract`."""
    check_layer(layer)
    check_list(pictures)
    guard = yield from core.known(service)
    guard.check_features()

    def send(ids: list[str], data: list[Data]) -> Plan[list[Vectors]]:
        return [(yield from features(core, guard, ids, data, layer))]

    parts = yield from in_requests(core, pictures, upload, send)
    if len({part.shape[1] for part in parts}) > 1:
        raise InvalidResponse(f"service {guard.name!r} answered feature vectors of different lengths")
    return np.concatenate(parts) if parts else np.zeros((0, 0), np.float32)
