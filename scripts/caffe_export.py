"""Writes networks as Caffe files: deploy.prototxt (text) and .caffemodel (binary protobuf).

Only what the demo network needs of caffe.proto is known here. The field numbers are Caffe's: NetParameter name=1,
layer=100; LayerParameter name=1, type=2, bottom=3, top=4, blobs=7; BlobProto data=5 (packed), shape=7; BlobShape dim=1.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]


@dataclasses.dataclass(frozen=True)
class Layer:
    """One layer: `settings` are the prototxt lines of its own parameter block, `blobs` weights and bias, if any."""

    name: str
    kind: str
    bottoms: tuple[str, ...]
    tops: tuple[str, ...]
    settings: str = ""
    blobs: tuple[Array, ...] = ()


def data(width: int, height: int) -> Layer:
    """Return the head that a DeepDetect server demands: it fills `data` itself and ignores `label`."""
    lines = f"memory_data_param {{ batch_size: 1 channels: 3 height: {height} width: {width} }}"
    return Layer("data", "MemoryData", (), ("data", "label"), lines)


def convolution(name: str, bottom: str, weights: Array, bias: Array, *, stride: int = 1, pad: int = 0) -> Layer:
    """Return a convolution; weights are (outputs, inputs, rows, columns) with as many rows as columns."""
    lines = f"convolution_param {{ num_output: {len(weights)} kernel_size: {weights.shape[2]}"
    lines += f" stride: {stride} pad: {pad} }}"
    return Layer(name, "Convolution", (bottom,), (name,), lines, (weights, bias))


def relu(name: str, blob: str) -> Layer:
    """Return a rectifier that works in place."""
    return Layer(name, "ReLU", (blob,), (blob,))


def pooling(name: str, bottom: str, kind: str, size: int, stride: int) -> Layer:
    """Return a pooling layer, `kind` being MAX or AVE."""
    lines = f"pooling_param {{ pool: {kind} kernel_size: {size} stride: {stride} }}"
    return Layer(name, "Pooling", (bottom,), (name,), lines)


def add(name: str, one: str, other: str) -> Layer:
    """Return the sum of two blobs."""
    return Layer(name, "Eltwise", (one, other), (name,), "eltwise_param { operation: SUM }")


def inner_product(name: str, bottom: str, weights: Array, bias: Array) -> Layer:
    """Return a fully connected layer; weights are (outputs, inputs)."""
    lines = f"inner_product_param {{ num_output: {len(weights)} }}"
    return Layer(name, "InnerProduct", (bottom,), (name,), lines, (weights, bias))


def softmax(name: str, bottom: str) -> Layer:
    """Return a softmax over channels."""
    return Layer(name, "Softmax", (bottom,), (name,))


def prototxt(name: str, layers: Sequence[Layer]) -> str:
    """Return the network's definition as text."""
    lines = [f'name: "{name}"']
    for layer in layers:
        lines += ["layer {", f'  name: "{layer.name}"', f'  type: "{layer.kind}"']
        lines += [f'  bottom: "{bottom}"' for bottom in layer.bottoms]
        lines += [f'  top: "{top}"' for top in layer.tops]
        lines += [f"  {layer.settings}"] if layer.settings else []
        lines.append("}")
    return "\n".join(lines) + "\n"


def caffemodel(name: str, layers: Sequence[Layer]) -> bytes:
    """Return the network with its weights as a binary NetParameter."""
    parts = [_field(1, name.encode())]
    for layer in layers:
        fields = [_field(1, layer.name.encode()), _field(2, layer.kind.encode())]
        fields += [_field(3, bottom.encode()) for bottom in layer.bottoms]
        fields += [_field(4, top.encode()) for top in layer.tops]
        fields += [_field(7, _blob(blob)) for blob in layer.blobs]
        parts.append(_field(100, b"".join(fields)))
    return b"".join(parts)


def _blob(values: Array) -> bytes:
    shape = _field(1, b"".join(_varint(length) for length in values.shape))
    return _field(5, np.ascontiguousarray(values, "<f4").tobytes()) + _field(7, shape)


def _field(number: int, content: bytes) -> bytes:
    """Return a length-delimited protobuf field."""
    return _varint(number << 3 | 2) + _varint(len(content)) + content


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)
