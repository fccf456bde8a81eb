"""The demo network's files: whole, readable, as small as promised, and good on products it has never seen."""

from __future__ import annotations

import importlib
import re
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from ddsim.caffe import Message, parse, read_weights
from ddsim.networks.layers import Layer, prototxt, weights_of

pytest.importorskip("onnxruntime", reason="the demo network runs in ONNX Runtime: pip install '.[embedded]'")

ROOT = Path(__file__).resolve().parents[2]
MODEL = ROOT / "ddsim" / "embedded" / "models" / "demo"
CATEGORIES = ("chair", "lamp", "table", "bed", "sofa")


@pytest.fixture(scope="module")
def scripts() -> tuple[ModuleType, ModuleType, ModuleType]:
    """Return the scripts that draw, that name files, and that measure."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(ROOT / "scripts"))
        names = ("demo_drawing", "make_demo_catalogue", "demo_measure")
        drawing, maker, measuring = (importlib.import_module(name) for name in names)
    return drawing, maker, measuring


def fields(message: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield number and content of a protobuf message's length-delimited fields, the only kind in our files."""
    at = 0
    while at < len(message):
        key, at = varint(message, at)
        assert key & 7 == 2, f"wire type {key & 7} at byte {at}"
        length, at = varint(message, at)
        assert at + length <= len(message)
        yield key >> 3, message[at : at + length]
        at += length


def varint(message: bytes, at: int) -> tuple[int, int]:
    """Return a number and the place after it."""
    value = shift = 0
    while True:
        byte = message[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return value, at


def blob_shape(blob: bytes) -> tuple[int, ...]:
    """Return a BlobProto's shape after checking that it holds as many finite numbers as the shape says."""
    parts = dict(fields(blob))
    packed = dict(fields(parts[7]))[1]
    shape, at = [], 0
    while at < len(packed):
        length, at = varint(packed, at)
        shape.append(length)
    values = np.frombuffer(parts[5], "<f4")
    assert len(values) == np.prod(shape)
    assert np.isfinite(values).all()
    return tuple(shape)


def stored_shapes() -> dict[str, list[tuple[int, ...]]]:
    """Return the blob shapes of every layer with weights, from the binary file."""
    shapes = {}
    for number, content in fields((MODEL / "demo.caffemodel").read_bytes()):
        if number == 100:
            layer = list(fields(content))
            name = next(value for key, value in layer if key == 1).decode()
            blobs = [blob_shape(value) for key, value in layer if key == 7]
            if blobs:
                shapes[name] = blobs
    return shapes


def declared_layers() -> list[str]:
    """Return the text of every layer of the definition."""
    text = (MODEL / "deploy.prototxt").read_text("utf-8")
    return re.findall(r"^layer \{\n(.*?)^\}", text, re.DOTALL | re.MULTILINE)


def setting(layer: str, key: str) -> str:
    """Return the first value of a key in a layer's text."""
    found = re.search(rf'\b{key}: "?([^"\s]+)', layer)
    assert found, f"{key} is missing in {layer}"
    return found[1]


def test_blobs_have_the_shapes_that_the_definition_declares() -> None:
    """Every convolution and inner product has weights and bias of its declared shape; no other layer has any."""
    channels = {"data": 3}
    expected = {}
    for layer in declared_layers():
        kind, name = setting(layer, "type"), setting(layer, "name")
        inputs = channels[setting(layer, "bottom")] if kind != "MemoryData" else 3
        outputs = int(setting(layer, "num_output")) if "num_output" in layer else inputs
        if kind == "Convolution":
            size = int(setting(layer, "kernel_size"))
            expected[name] = [(outputs, inputs, size, size), (outputs,)]
        elif kind == "InnerProduct":
            expected[name] = [(outputs, inputs), (outputs,)]
        channels[setting(layer, "top")] = outputs
    assert len(expected) > 10
    assert stored_shapes() == expected


def test_head_and_named_layers_are_those_a_server_and_the_configurations_expect() -> None:
    """The first layer is a MemoryData head with tops data and label; the feature layer and `prob` have their names."""
    layers = declared_layers()
    assert setting(layers[0], "type") == "MemoryData"
    assert re.findall(r'top: "(\w+)"', layers[0]) == ["data", "label"]
    kinds = {setting(layer, "name"): setting(layer, "type") for layer in layers}
    assert kinds["conv1"] == "Convolution"
    assert kinds["pool5/7x7_s1"] == "Pooling"
    assert kinds["prob"] == "Softmax"
    assert "Eltwise" in kinds.values()


def test_they_are_what_the_library_writes() -> None:
    """Definition and weights, taken apart into layers and written as the training writes them, are the same again."""
    text, weights = (
        (MODEL / "deploy.prototxt").read_text("utf-8"),
        read_weights((MODEL / "demo.caffemodel").read_bytes()),
    )
    layers = []
    for one in parse(text).messages("layer"):
        name = one.text("name")
        own = [(key, value) for key, value in one.fields if isinstance(value, Message)]
        settings = "".join(
            f"{key} {{ {' '.join(f'{inner}: {scalar}' for inner, scalar in value.fields)} }}" for key, value in own
        )
        ends = tuple(one.texts("bottom")), tuple(one.texts("top"))
        layers.append(Layer(name, one.text("type"), *ends, settings, tuple(weights.get(name, ()))))
    assert prototxt("demo", layers) == text
    again = read_weights(weights_of(layers))
    assert again.keys() == weights.keys()
    for name, blobs in weights.items():
        for blob, other in zip(blobs, again[name], strict=True):
            np.testing.assert_array_equal(blob, other)


def test_weights_fit_the_promised_size() -> None:
    """The weights stay within 3 MB."""
    assert (MODEL / "demo.caffemodel").stat().st_size <= 3_000_000


def test_labels_are_the_categories_in_order() -> None:
    """corresp.txt has one line, index and label, for each output."""
    lines = (MODEL / "corresp.txt").read_text("utf-8").splitlines()
    assert lines == [f"{number} {category}" for number, category in enumerate(CATEGORIES)]


def test_the_embedded_server_runs_the_network(scripts: tuple[ModuleType, ModuleType, ModuleType]) -> None:
    """The files are read and give 192 features and probabilities that add up to one."""
    measuring = scripts[2]
    network = measuring.load(MODEL)
    pictures = np.zeros((2, 3, measuring.SIDE, measuring.SIDE), np.float32)
    assert network.forward(pictures, "pool5/7x7_s1", 2).shape == (2, 192)
    assert network.forward(pictures, "prob", 2).sum(axis=1) == pytest.approx([1.0, 1.0], abs=1e-5)


def test_unseen_products_are_classified_and_found_again(
    scripts: tuple[ModuleType, ModuleType, ModuleType], tmp_path: Path
) -> None:
    """Of ten products a category that training never saw, rooms are told apart and lead back to the reference."""
    drawing, maker, measuring = scripts
    for category in CATEGORIES:
        for product in range(10):
            for view in (1, 2):
                path = maker.picture_path(tmp_path, category, product, view)
                path.parent.mkdir(parents=True, exist_ok=True)
                drawing.draw(category, product, view, supersampling=1).save(path, quality=90)
    numbers = measuring.measure(MODEL, tmp_path).numbers()
    assert numbers["queries"] == 50
    assert numbers["accuracy on queries"] >= 0.96
    assert numbers["recall@1"] >= 0.85
