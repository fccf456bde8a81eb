"""Networks to measure with: well-known shapes, random weights, written as Caffe files."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from ddsim.networks import network_files
from ddsim.networks.layers import (
    Array,
    Layer,
    add,
    convolution,
    data,
    inner_product,
    pooling,
    prototxt,
    relu,
    softmax,
    weights_of,
)

_RANDOM = np.random.default_rng(0)


def squeezenet() -> list[Layer]:
    """SqueezeNet 1.1, 227 x 227; its last convolution stands for classes, as in the original."""
    layers = [data(227, 227), *_convolved("conv1", "data", 3, 64, 3, stride=2), pooling("pool1", "conv1", "MAX", 3, 2)]
    blob, channels = "pool1", 64
    for number, (squeezed, expanded) in enumerate([(16, 64), (16, 64), (32, 128), (32, 128), *[(48, 192)] * 2], 2):
        layers += _fire(f"fire{number}", blob, channels, squeezed, expanded)
        blob, channels = f"fire{number}", 2 * expanded
        if number in (3, 5):
            layers.append(pooling(f"pool{number}", blob, "MAX", 3, 2))
            blob = f"pool{number}"
    for number in (8, 9):
        layers += _fire(f"fire{number}", blob, channels, 64, 256)
        blob, channels = f"fire{number}", 512
    layers += _convolved("conv10", blob, channels, 1000, 1)
    everything = "pooling_param { pool: AVE global_pooling: true }"
    return [*layers, Layer("pool10", "Pooling", ("conv10",), ("pool10",), everything), softmax("prob", "pool10")]


def resnet50() -> list[Layer]:
    """ResNet-50, 224 x 224, its batch normalisations folded into the convolutions."""
    layers = [data(224, 224), *_convolved("conv1", "data", 3, 64, 7, stride=2, pad=3)]
    layers.append(pooling("pool1", "conv1", "MAX", 3, 2))
    blob, channels = "pool1", 64
    for stage, (count, width) in enumerate([(3, 64), (4, 128), (6, 256), (3, 512)], 2):
        for block in range(count):
            name, stride = f"res{stage}{'abcdef'[block]}", 2 if block == 0 and stage > 2 else 1
            side = blob
            if block == 0:
                side = f"{name}_side"
                layers += _convolved(side, blob, channels, 4 * width, 1, stride=stride)[:1]
            layers += _convolved(f"{name}_a", blob, channels, width, 1, stride=stride)
            layers += _convolved(f"{name}_b", f"{name}_a", width, width, 3, pad=1)
            layers += _convolved(f"{name}_c", f"{name}_b", width, 4 * width, 1)[:1]
            layers += [add(name, side, f"{name}_c"), relu(f"{name}_relu", name)]
            blob, channels = name, 4 * width
    layers.append(pooling("pool5", blob, "AVE", 7, 1))
    layers.append(inner_product("fc1000", "pool5", _numbers(1000, 2048), _numbers(1000)))
    return [*layers, softmax("prob", "fc1000")]


def write(folder: Path, name: str, layers: list[Layer]) -> tuple[Path, Path]:
    """Definition and weights of a network."""
    paths = folder / f"{name}.prototxt", folder / f"{name}.caffemodel"
    paths[0].write_text(prototxt(name, layers), "utf-8")
    paths[1].write_bytes(weights_of(layers))
    return paths


def networks(folder: Path) -> Iterator[tuple[str, tuple[Path, Path], str]]:
    """(name, definition and weights, layer to extract) of the networks that are measured."""
    yield "SqueezeNet 1.1", write(folder, "squeezenet", squeezenet()), "pool10"
    files = network_files("efficientnet-lite0")
    yield "EfficientNet-Lite0", (files.definition, files.weights), "pool5/7x7_s1"
    yield "ResNet-50", write(folder, "resnet50", resnet50()), "pool5"


def _fire(name: str, bottom: str, channels: int, squeezed: int, expanded: int) -> list[Layer]:
    layers = _convolved(f"{name}/squeeze", bottom, channels, squeezed, 1)
    layers += _convolved(f"{name}/one", f"{name}/squeeze", squeezed, expanded, 1)
    layers += _convolved(f"{name}/three", f"{name}/squeeze", squeezed, expanded, 3, pad=1)
    return [*layers, Layer(name, "Concat", (f"{name}/one", f"{name}/three"), (name,))]


def _convolved(
    name: str, bottom: str, channels: int, outputs: int, kernel: int, *, stride: int = 1, pad: int = 0
) -> list[Layer]:
    weights = _numbers(outputs, channels, kernel, kernel)
    one = convolution(name, bottom, weights, _numbers(outputs), stride=stride, pad=pad)
    return [one, relu(f"{name}_relu", name)]


def _numbers(*shape: int) -> Array:
    """Random weights that keep what runs through them of about the same size."""
    inputs = max(int(np.prod(shape[1:])), 1)
    return (_RANDOM.standard_normal(shape) * np.sqrt(2 / inputs)).astype(np.float32)
