"""Networks as layers, and layers as Caffe's two files: a definition and weights."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ddsim.caffe import write_weights

Array = NDArray[np.float32]


@dataclass(frozen=True)
class Layer:
    """One layer.

    Attributes:
        name: by which its weights and its output are found.
        kind: Caffe's type, such as ``Convolution``.
        bottoms: what it takes.
        tops: what it gives.
        settings: the block of its own parameters as it stands in a definition; often empty.
        blobs: its weights and its bias, where it has any.
    """

    name: str
    kind: str
    bottoms: tuple[str, ...]
    tops: tuple[str, ...]
    settings: str = ""
    blobs: tuple[Array, ...] = ()


def data(width: int, height: int) -> Layer:
    """The head that a DeepDetect server demands: it fills ``data`` itself and ignores ``label``."""
    lines = f"memory_data_param {{ batch_size: 1 channels: 3 height: {height} width: {width} }}"
    return Layer("data", "MemoryData", (), ("data", "label"), lines)


def convolution(
    name: str, bottom: str, weights: Array, bias: Array, *, stride: int = 1, pad: int = 0, group: int = 1
) -> Layer:
    """A convolution; weights are (outputs, inputs / group, rows, columns) with as many rows as columns."""
    lines = f"convolution_param {{ num_output: {len(weights)} kernel_size: {weights.shape[2]}"
    lines += f" stride: {stride} pad: {pad}{f' group: {group}' if group > 1 else ''} }}"
    return Layer(name, "Convolution", (bottom,), (name,), lines, (weights, bias))


def relu(name: str, blob: str) -> Layer:
    """A rectifier that works in place."""
    return Layer(name, "ReLU", (blob,), (blob,))


def relu6(name: str, blob: str) -> Layer:
    """A rectifier that ends at 6 and works in place; a real v0.25.0 has it, Caffe's first authors had not."""
    return Layer(name, "ReLU6", (blob,), (blob,))


def pooling(name: str, bottom: str, kind: str, size: int, stride: int) -> Layer:
    """A pooling layer, ``kind`` being MAX or AVE."""
    lines = f"pooling_param {{ pool: {kind} kernel_size: {size} stride: {stride} }}"
    return Layer(name, "Pooling", (bottom,), (name,), lines)


def add(name: str, one: str, other: str) -> Layer:
    """The sum of two blobs."""
    return Layer(name, "Eltwise", (one, other), (name,), "eltwise_param { operation: SUM }")


def inner_product(name: str, bottom: str, weights: Array, bias: Array) -> Layer:
    """A fully connected layer; weights are (outputs, inputs)."""
    lines = f"inner_product_param {{ num_output: {len(weights)} }}"
    return Layer(name, "InnerProduct", (bottom,), (name,), lines, (weights, bias))


def softmax(name: str, bottom: str) -> Layer:
    """Probabilities over channels."""
    return Layer(name, "Softmax", (bottom,), (name,))


def prototxt(name: str, layers: Sequence[Layer]) -> str:
    """A network's definition as text; a part of one has no name."""
    lines = [f'name: "{name}"'] if name else []
    for layer in layers:
        lines += ["layer {", f'  name: "{layer.name}"', f'  type: "{layer.kind}"']
        lines += [f'  bottom: "{bottom}"' for bottom in layer.bottoms]
        lines += [f'  top: "{top}"' for top in layer.tops]
        lines += [f"  {layer.settings}"] if layer.settings else []
        lines.append("}")
    return "\n".join(lines) + "\n"


def weights_of(layers: Sequence[Layer]) -> bytes:
    """The weights of layers as a ``.caffemodel``, which finds them by the layers' names."""
    return write_weights({layer.name: layer.blobs for layer in layers if layer.blobs})
