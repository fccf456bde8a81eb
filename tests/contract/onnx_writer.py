"""Small ONNX networks for tests, written byte by byte: no library for that is needed.

Field numbers are those of onnx.proto.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

_VERSION, _OPERATORS = 7, 11
_FLOAT, _INT64 = 1, 7
_ATTRIBUTE_INT, _ATTRIBUTE_INTS = 2, 7

Shape = Sequence[int | str]


def _varint(number: int) -> bytes:
    written = b""
    while number > 0x7F:
        written += bytes([number & 0x7F | 0x80])
        number >>= 7
    return written + bytes([number])


def _number(field: int, value: int) -> bytes:
    return _varint(field << 3) + _varint(value % 2**64)


def _bytes(field: int, content: bytes | str) -> bytes:
    content = content.encode() if isinstance(content, str) else content
    return _varint(field << 3 | 2) + _varint(len(content)) + content


def node(kind: str, inputs: Sequence[str], outputs: Sequence[str], **attributes: int | Sequence[int]) -> bytes:
    """One operator; attributes are integers or lists of them."""
    parts = [_bytes(1, name) for name in inputs] + [_bytes(2, name) for name in outputs]
    parts += [_bytes(3, f"node_{outputs[0]}"), _bytes(4, kind)]
    for name, value in attributes.items():
        if isinstance(value, int):
            written = _number(3, value) + _number(20, _ATTRIBUTE_INT)
        else:
            written = b"".join(_number(8, one) for one in value) + _number(20, _ATTRIBUTE_INTS)
        parts.append(_bytes(5, _bytes(1, name) + written))
    return b"".join(parts)


def _tensor(name: str, values: ArrayLike | None) -> bytes:
    if values is None:  # its numbers lie in another file
        return _number(2, _FLOAT) + _bytes(8, name) + _number(14, 1)
    array = np.asarray(values)
    kind, array = (_INT64, array.astype("<i8")) if array.dtype.kind == "i" else (_FLOAT, array.astype("<f4"))
    shape = b"".join(_number(1, size) for size in array.shape)
    return shape + _number(2, kind) + _bytes(8, name) + _bytes(9, array.tobytes())


def _value(name: str, shape: Shape) -> bytes:
    sizes = b"".join(_bytes(1, _number(1, size) if isinstance(size, int) else _bytes(2, size)) for size in shape)
    return _bytes(1, name) + _bytes(2, _bytes(1, _number(1, _FLOAT) + _bytes(2, sizes)))


def model(
    nodes: Sequence[bytes],
    tensors: Mapping[str, ArrayLike | None],
    inputs: Mapping[str, Shape],
    outputs: Mapping[str, Shape],
) -> bytes:
    """A ModelProto."""
    graph = b"".join(_bytes(1, one) for one in nodes) + _bytes(2, "net")
    graph += b"".join(_bytes(5, _tensor(name, values)) for name, values in tensors.items())
    graph += b"".join(_bytes(11, _value(name, shape)) for name, shape in inputs.items())
    graph += b"".join(_bytes(12, _value(name, shape)) for name, shape in outputs.items())
    operators = _bytes(1, "") + _number(2, _OPERATORS)
    return _number(1, _VERSION) + _bytes(7, graph) + _bytes(8, operators)


_CONVOLUTION = {"kernel_shape": (3, 3), "pads": (1, 1, 1, 1), "strides": (2, 2)}
_PICTURE: Shape = ("batch", 3, 32, 32)


def _weights(classes: int) -> dict[str, NDArray[np.float64]]:
    """Weights of two convolutions and a linear layer: 1717 of them with 5 classes, as in the recorded networks."""
    random = np.random.default_rng(1)
    shapes = {
        "w1": (8, 3, 3, 3),
        "b1": (8,),
        "w2": (16, 8, 3, 3),
        "b2": (16,),
        "w3": (classes, 64),
        "b3": (classes,),
    }
    scales = {"w1": 0.002, "w2": 0.1, "w3": 0.1}
    return {name: random.normal(0, scales.get(name[:2], 0.1), shape) for name, shape in shapes.items()}


def _trunk() -> list[bytes]:
    return [
        node("Conv", ("data", "w1", "b1"), ("c1",), **_CONVOLUTION),
        node("Relu", ("c1",), ("r1",)),
        node("Conv", ("r1", "w2", "b2"), ("c2",), **_CONVOLUTION),
        node("Relu", ("c2",), ("r2",)),
        node("AveragePool", ("r2",), ("p2",), kernel_shape=(4, 4), strides=(4, 4)),
    ]


def classifier(classes: int = 5, *, batch: int | None = None, second_output: bool = False) -> bytes:
    """A network of 3 x 32 x 32 pictures that gives logits; ``batch`` bakes that batch size in."""
    tensors: dict[str, ArrayLike] = dict(_weights(classes))
    flat = node("Flatten", ("p2",), ("f",), axis=1)
    if batch is not None:
        tensors["shape"] = np.array([batch, 64])
        flat = node("Reshape", ("p2", "shape"), ("f",))
    nodes = [*_trunk(), flat, node("Gemm", ("f", "w3", "b3"), ("logits",), transB=1)]
    outputs: dict[str, Shape] = {"logits": (batch or "batch", classes)}
    if second_output:
        outputs["f"] = ("batch", 64)
    return model(nodes, tensors, {"data": (batch or "batch", *_PICTURE[1:])}, outputs)


def embedder() -> bytes:
    """A network that gives 16 features; the weights of a linear layer lie in it unused."""
    nodes = [*_trunk()[:4], node("GlobalAveragePool", ("r2",), ("p",)), node("Flatten", ("p",), ("features",), axis=1)]
    return model(nodes, dict(_weights(5)), {"data": _PICTURE}, {"features": ("batch", 16)})


def mapper_weights() -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Weights and bias of the only layer of :func:`mapper`."""
    random = np.random.default_rng(2)
    return random.normal(0, 0.02, (2, 3, 8, 8)).astype(np.float32), random.normal(0, 0.1, (2,)).astype(np.float32)


def mapper() -> bytes:
    """A network that gives 2 x 4 x 4 numbers."""
    tensors = dict(zip("wb", mapper_weights(), strict=True))
    nodes = [node("Conv", ("data", "w", "b"), ("map",), kernel_shape=(8, 8), strides=(8, 8))]
    return model(nodes, tensors, {"data": _PICTURE}, {"map": ("batch", 2, 4, 4)})


def pixels() -> bytes:
    """The mean of each channel and one pixel, of pictures of any size and number of channels."""
    tensors = {"starts": np.array([5, 9]), "ends": np.array([6, 10]), "axes": np.array([2, 3])}
    nodes = [
        node("GlobalAveragePool", ("data",), ("mean",)),
        node("Slice", ("data", "starts", "ends", "axes"), ("pixel",)),
        node("Concat", ("mean", "pixel"), ("both",), axis=1),
        node("Flatten", ("both",), ("numbers",), axis=1),
    ]
    return model(nodes, tensors, {"data": ("batch", "channels", "height", "width")}, {"numbers": ("batch", 6)})


def write(folder: Path, content: bytes, name: str = "net.onnx") -> Path:
    """A repository with that network in it."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(content)
    return folder
