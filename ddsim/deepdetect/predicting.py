"""One prediction of a service: what is sent, and what its answer or its failure says about the service."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from PIL import Image

from ddsim.deepdetect import wire
from ddsim.deepdetect.core import Core, ask, attempted
from ddsim.deepdetect.guard import Guard
from ddsim.deepdetect.parts import Data, prepared
from ddsim.deepdetect.results import Vectors
from ddsim.deepdetect.steps import Plan, holding
from ddsim.errors import ApiError, BadParameter, InvalidRequest, ServerFault, ServiceNotFound

_log = logging.getLogger(__name__)
#: Stands for "some picture" where the server demands one and its content does not matter.
DUMMY: Image.Image = Image.new("RGB", (32, 32), (128, 128, 128))


def predict(
    core: Core,
    guard: Guard,
    ids: list[str],
    data: list[Data],
    *,
    layer: str | None = None,
    output: Mapping[str, Any] | None = None,
    one_by_one: bool = False,
) -> Plan[list[Mapping[str, Any]]]:
    """One POST /predict, its predictions in the order of ``ids``."""
    if layer is not None and guard.is_torch and not guard.together:
        # While nobody knows whether the service mixes features up, none of them may get into an index.
        one_by_one = one_by_one or guard.together is False or bool(output)
    network: dict[str, Any] = {"net": {"test_batch_size": 1 if one_by_one else min(len(data), core.batch_size)}}
    if layer is not None:
        network["extract_layer"] = layer
    parameters: dict[str, Any] = {"mllib": network, "output": dict(output or {})}
    if guard.is_torch and guard.info and guard.info.std:
        # Given at creation it is shown and not used (recordings/torch 13): it must come with every call.
        parameters["input"] = {"std": guard.info.std}
    # ids go with every call: without them the server names pictures by position, and fewer of them than data kill it
    # (recording 28).
    body = {"service": guard.name, "ids": ids, "parameters": parameters, "data": data}
    call = _watched(core, guard, body, layer, output)
    # Conclusions are drawn before anybody else gets a turn.
    alone = (layer not in guard.proven or output) if layer else not guard.is_torch
    payload = yield from (holding(guard.lock, call) if alone else call)
    return wire.parse_predictions(payload, ids)


def _watched(
    core: Core, guard: Guard, body: Mapping[str, Any], layer: str | None, output: Mapping[str, Any] | None
) -> Plan[Any]:
    """The call, and the conclusions from its failure."""
    indexing = bool(output and "index" in output)
    limit = core.limits.index if indexing else core.limits.predict
    with _concluded(core, guard, output):
        try:
            return (yield from ask("POST", "/predict", body, limit, repeatable=not indexing))
        except BadParameter:
            if layer is not None and not guard.is_torch:
                yield from _absorb_poison(core, guard)
            raise


@contextmanager
def _concluded(core: Core, guard: Guard, output: Mapping[str, Any] | None) -> Iterator[None]:
    try:
        yield
    except ServiceNotFound:
        guard.forget()
        raise
    except ServerFault as error:
        if output is not None and ("index" in output or "search" in output):
            guard.failed(error, searching="index" not in output)
        raise
    except (ApiError, InvalidRequest):
        raise
    except BaseException:
        # No answer came, or nobody waited for it any more.
        guard.doubt()
        core.capabilities = None
        raise


def _absorb_poison(core: Core, guard: Guard) -> Plan[None]:
    # After an unknown layer a Caffe service holds pictures that it did not consume and fails at the next call,
    # whatever it is (recording 20). This is that call.
    body = {
        "service": guard.name,
        "ids": ["0"],
        "parameters": {"mllib": {"net": {"test_batch_size": 1}}},
        "data": [(yield from prepared(core, DUMMY, None))],
    }
    error = yield from attempted(ask("POST", "/predict", body, core.limits.predict))
    if error is not None:
        _log.info("the call after an unknown layer failed, as expected: %s", error)


def features(core: Core, guard: Guard, ids: list[str], data: list[Data], layer: str) -> Plan[Vectors]:
    """The features of one request's pictures, with what they tell about the service."""
    if layer in guard.proven:
        return wire.parse_vectors((yield from predict(core, guard, ids, data, layer=layer)))
    return (yield from holding(guard.lock, _first_features(core, guard, ids, data, layer)))


def _first_features(core: Core, guard: Guard, ids: list[str], data: list[Data], layer: str) -> Plan[Vectors]:
    vectors = wire.parse_vectors((yield from predict(core, guard, ids, data, layer=layer)))
    if guard.together is not None or not guard.is_torch:
        guard.proven.add(layer)
        return vectors
    if len(ids) == 1:
        return vectors
    if vectors.shape[1] % len(ids) or (vectors != vectors[0]).any():
        guard.together = True
        return vectors
    # Torch before v0.29 answers for each picture the features of all that went through the network with it, in a row
    # (known from its source, not recorded). Pictures that are alike look so, too: one by one tells.
    alone = wire.parse_vectors((yield from predict(core, guard, ids, data, layer=layer, one_by_one=True)))
    guard.together = alone.shape == vectors.shape
    if not guard.together:
        _log.warning(
            "service %s mixes up the features of pictures that go through its network together, as Torch does "
            "before v0.29: from now on they go one by one",
            guard.name,
        )
    return alone
