"""POST /predict on one service, with the real server's checks in its order."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import numpy.typing as npt

from ddsim.embedded import dto, indexing, torch_predict
from ddsim.embedded.call import Call, first_of_equal_uris, in_answer_order, milliseconds_since, refuse_other_outputs
from ddsim.embedded.files import NetworkError
from ddsim.embedded.network import Network, UnknownLayer
from ddsim.embedded.payload import a_number, a_string, an_int, pictures, section
from ddsim.embedded.profile import Profile
from ddsim.embedded.reading import Item
from ddsim.embedded.replies import Json, bad_parameter, internal, service_not_found, wrong_type
from ddsim.embedded.repository import Allowed
from ddsim.embedded.service import Service
from ddsim.embedded.torch_service import TorchService

Vectors = npt.NDArray[np.float32]

_ALL_CLASSES = -1
_SIMILARITY = ("index", "build_index", "search")


def predict(service: Service, request: Json, allowed: Allowed, profile: Profile, threads: int) -> Json:
    """Answer one predict call; calls on one service wait for each other.

    Args:
        service: found by the request's ``service``.
        request: the body as the typed container holds it.
        allowed: tells whether this server may read a path.
        profile: which DeepDetect answers.
        threads: how many pictures are read at a time.

    Returns:
        the answer's ``head`` and ``body``.

    Raises:
        Refusal: the call cannot be answered.
    """
    started = time.perf_counter()
    pictures(request)
    with service.lock:
        if service.deleted:
            raise service_not_found()
        begun = time.perf_counter()
        service.statistics.calls += 1
        try:
            predictions = _predictions(Call(service, request, allowed, profile, threads))
        except Exception:
            service.statistics.failed += 1
            raise
        finally:
            service.statistics.predict_ms += milliseconds_since(begun)
        service.statistics.succeeded += 1
    head = {"method": "/predict", "service": service.name, "time": float(round(milliseconds_since(started)))}
    return {"head": head, "body": {"predictions": predictions}}


def _predictions(call: Call) -> list[Json]:
    if isinstance(call.service, TorchService):
        return torch_predict.predictions(call, call.service)
    network = call.service.usable_network()
    threshold = a_number(call.section("output"), "confidence_threshold", 0.0)
    inputs = call.service.inputs.changed_by(call.section("input"))
    items = in_answer_order(call.read(inputs))
    call.service.statistics.pictures += len(items)
    if call.service.poisoned:
        call.service.poisoned = False
        raise internal("src/caffe/layers/memory_data_layer.cpp:106 / Check failed (custom): !has_new_data_")
    layer = a_string(call.section("mllib"), "extract_layer", "")
    batch = an_int(section(call.section("mllib"), "net"), "test_batch_size", len(items))
    _check_fit(network, items)
    items = first_of_equal_uris(items) if batch > 0 else []
    vectors = _forward(call, network, items, layer, batch)
    if call.service.unsupervised:
        return _extracted(call, items, vectors, bool(layer))
    if layer:
        raise wrong_type()
    return _classified(call, items, vectors, threshold)


def _check_fit(network: Network, items: list[Item]) -> None:
    """Compare the pictures with the network's input, in the order and words of Caffe's data transformer."""
    channels, height, width = network.input_shape
    given = items[0].pixels.shape
    checks = (
        (197, channels == given[0], "(channels) == (datum_channels)"),
        (198, height <= given[1], "(height) <= (datum_height)"),
        (199, width <= given[2], "(width) <= (datum_width)"),
        (206, height == given[1], "(datum_height) == (height)"),
        (207, width == given[2], "(datum_width) == (width)"),
    )
    for line, fits, text in checks:
        if not fits:
            raise internal(f"src/caffe/data_transformer.cpp:{line} / Check failed (custom): {text}")


def _forward(call: Call, network: Network, items: list[Item], layer: str, batch: int) -> Vectors:
    if not items or (call.service.unsupervised and not layer):
        return np.zeros((0, 0), np.float32)
    try:
        return network.forward(np.stack([item.pixels for item in items]), layer or None, batch)
    except UnknownLayer:
        # The pictures stay in the real net's input layer, which refuses the next ones once.
        call.service.poisoned = True
        raise bad_parameter(f"unknown extract layer {layer}") from None
    except NetworkError as problem:
        raise internal(str(problem)) from problem


def _checked_output(call: Call) -> Json:
    output = call.section("output")
    try:
        dto.check_output(output)
    except dto.WrongField as problem:
        raise internal(str(problem)) from None
    refuse_other_outputs(output)
    if not call.profile.simsearch:
        # Ignored without a word, as in builds without similarity search (recordings/torch/wire/11-simsearch-off).
        output = {key: value for key, value in output.items() if key not in _SIMILARITY}
    return output


def _extracted(call: Call, items: list[Item], vectors: Vectors, has_layer: bool) -> list[Json]:
    output = _checked_output(call)
    if not has_layer:
        items = []
    if output.get("binarized"):
        vectors = (vectors > 0).astype(np.float32)
    additions = indexing.run(call.service, output, [item.stored for item in items], vectors)
    predictions = []
    for position, (item, vector, added) in enumerate(zip(items, vectors, additions, strict=True)):
        prediction: Json = {"last": True} if position == len(items) - 1 else {}
        # As float64 each number is written with all digits of the float32, as the real server writes it.
        prediction |= {"uri": item.uri, "classes": [], "vals": vector.astype(np.float64), "images": []}
        predictions.append(prediction | _indexed(output, item) | added)
    return predictions


def _indexed(output: Json, item: Item) -> Json:
    """The flag is missing where the stored name is not the uri (recordings/wire/37-sim-index-uris)."""
    return {"indexed": True} if output.get("index") and item.stored == item.uri else {}


def _classified(call: Call, items: list[Item], vectors: Vectors, threshold: float) -> list[Json]:
    output = _checked_output(call)
    best = output.get("best", 1)
    classes = [_best_classes(call.service, vector, best, threshold) for vector in vectors]
    # A supervised service indexes its best probability: of no use, but that is what the real one does.
    tops = np.array([[found[0]["prob"] if found else 0.0] for found in classes], np.float32).reshape(-1, 1)
    additions = indexing.run(call.service, output, [item.stored for item in items], tops)
    return [
        {"uri": item.uri, "classes": found, "images": []} | _indexed(output, item) | added
        for item, found, added in zip(items, classes, additions, strict=True)
    ]


def _best_classes(service: Service, probabilities: npt.NDArray[np.float32], best: int, threshold: float) -> list[Json]:
    order: Any = np.argsort(-probabilities, kind="stable")
    if best != _ALL_CLASSES:
        order = order[: max(best, 0)]
    found: list[Json] = []
    for index in order:
        probability = float(probabilities[index])
        if not probability < threshold:  # NaN as threshold keeps everything
            found.append({"prob": probability, "cat": service.label(int(index))})
    if found:
        found[-1] = {"last": True} | found[-1]
    return found
