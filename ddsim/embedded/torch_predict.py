"""POST /predict on one service of a server with Torch, with the real server's checks."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from ddsim.embedded import dto
from ddsim.embedded.call import Call, first_of_equal_uris, in_answer_order, refuse_other_outputs
from ddsim.embedded.files import NetworkError
from ddsim.embedded.payload import section, strings
from ddsim.embedded.reading import Item
from ddsim.embedded.replies import Json, bad_input, bad_parameter, internal, no_model, would_have_died
from ddsim.embedded.service import InputSettings
from ddsim.embedded.torch_service import TorchService, changed

Numbers = npt.NDArray[np.float32]

#: Without a head of its own both name the network's output (recordings/torch/wire/09-extract-layer).
_LAYERS = ("last", "final")
_ALL = -1
#: A number that stands in the memory behind the classes, as one did in recordings/torch/wire/06-best-too-large.
_GARBAGE = 2.562733951727023e32


def check_shape(request: Any) -> None:
    """The checks made on the raw JSON (recordings/torch/wire/12b-body-not-an-object, 15-wrong-types).

    Raises:
        Refusal: 500 where the real process would end.
    """
    if not isinstance(request, dict):
        raise would_have_died("SIGABRT", "a body that is no object; official builds do not survive it")
    if not isinstance(request.get("service", ""), str):
        raise would_have_died("SIGABRT", "a service that is no string; official builds do not survive it")


def predictions(call: Call, service: TorchService) -> list[Json]:
    """The predictions of a call on the locked service.

    Raises:
        Refusal: the call cannot be answered.
    """
    _check_types(call.request)
    inputs = changed(service.inputs, call.section("input"))
    given, output = call.section("mllib"), call.section("output")
    refuse_other_outputs(output)
    if given.get("datatype") == "fp16":
        raise bad_parameter("fp16 inference can be done only on GPU")
    items = in_answer_order(call.read(inputs, honour_scale=True))
    _check_channels(inputs, items)
    if given.get("forward_method"):
        raise no_model(f"Libtorch error:Method {given['forward_method']} not found in traced model")
    layer = given.get("extract_layer", "")
    if layer and layer not in _LAYERS:
        raise bad_parameter(f"unknown extract layer {layer}")
    batch = section(given, "net").get("test_batch_size", 1)
    if batch == 0:
        return []
    service.statistics.pictures += len(items)
    items = first_of_equal_uris(items)
    batch = batch if batch > 0 else len(items)
    outputs = _forward(service, items, batch)
    if layer:
        outputs = outputs.reshape(len(items), -1)
        return _extracted(
            items, _in_whole_batches(outputs, batch) if call.profile.whole_batches else list(outputs), output
        )
    return _classified(service, items, outputs, output)


def _check_types(request: Json) -> None:
    for key in ("ids", "index_uris", "meta_uris"):
        strings(request, key)
    try:
        dto.check(dto.object_at(request, "parameters"), dto.TORCH)
    except dto.WrongField as problem:
        raise internal(str(problem)) from None


def _check_channels(inputs: InputSettings, items: list[Item]) -> None:
    """recordings/torch/wire/13-input-parameters."""
    channels = len(items[0].pixels)
    for name, values in (("mean", inputs.mean), ("std", inputs.std)):
        if values and len(values) != channels:
            raise bad_input(f"{name} vector be of size the number of channels ({channels})")


def _forward(service: TorchService, items: list[Item], batch: int) -> Numbers:
    try:
        return service.net.forward(np.stack([item.pixels for item in items]), batch)
    except NetworkError as problem:
        raise no_model(f"Libtorch error:{problem}") from problem


def _in_whole_batches(vectors: Numbers, batch: int) -> list[Numbers]:
    """The defect of releases before v0.29: of each pass every picture gets all vectors in a row."""
    passes = [vectors[start : start + batch] for start in range(0, len(vectors), batch)]
    return [part.ravel() for part in passes for _ in part]


def _extracted(items: list[Item], vectors: list[Numbers], output: Json) -> list[Json]:
    found: list[Json] = []
    for position, (item, vector) in enumerate(zip(items, vectors, strict=True)):
        if output.get("binarized"):
            vector = (vector > 0).astype(np.float32)
        prediction: Json = {"last": True} if position == len(items) - 1 else {}
        found.append(prediction | {"uri": item.uri, "classes": [], "vals": vector.astype(np.float64), "images": []})
    return found


def _classified(service: TorchService, items: list[Item], outputs: Numbers, output: Json) -> list[Json]:
    if outputs.ndim != 2:
        raise internal(f"TensorAccessor expected 2 dims but tensor has {outputs.ndim}")
    best = output.get("best", _ALL)
    wanted = max(service.columns if best == _ALL else best, 0)
    threshold = output.get("confidence_threshold", 0.0)
    return [
        {"uri": item.uri, "classes": _best(service, row, wanted, threshold), "images": []}
        for item, row in zip(items, _softmax(outputs), strict=True)
    ]


def _softmax(outputs: Numbers) -> Numbers:
    # Where a std of 0 made infinities, NaN comes out, as it does from the real one.
    with np.errstate(invalid="ignore"):
        powers = np.exp(outputs - outputs.max(axis=1, keepdims=True))
        return np.asarray(powers / powers.sum(axis=1, keepdims=True), np.float32)


def _best(service: TorchService, row: Numbers, wanted: int, threshold: float) -> list[Json]:
    """The most probable classes, and invented ones where more are asked for than there are.

    The real server reads beyond its array there and answers what it finds: classes without a name, with probabilities
    of 0 or far above 1. Here the first of them has 0, the others an enormous one, so that a client that asks for too
    many notices (recordings/torch/wire/06-best-too-large, 07-nclasses-too-large).
    """
    order = np.argsort(-row, kind="stable")[:wanted]
    found: list[Json] = [{"prob": float(row[index]), "cat": service.label(int(index))} for index in order]
    invented = wanted - len(found)
    if invented > 0:
        garbage: list[Json] = [{"prob": _GARBAGE, "cat": ""}] * (invented - 1)
        found = [*garbage, *found, {"prob": 0.0, "cat": ""}]
    found = [entry for entry in found if not entry["prob"] < threshold]
    if found:
        found[-1] = {"last": True} | found[-1]
    return found
