"""The shape of what each layer of a definition gives, worked out as Caffe does, without weights and without a run."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from ddsim.caffe.definition import Definition
from ddsim.caffe.prototxt import Message

Shape = tuple[int, ...]


@dataclass(frozen=True)
class LayerShape:
    """A layer and what it gives for one picture.

    Attributes:
        name: the layer's name.
        kind: Caffe's type, such as ``Convolution``.
        shape: its first output without the number of pictures: (channels, height, width) or (values,). None where a
            layer of a type that is not known here stands before it, or is it.
    """

    name: str
    kind: str
    shape: Shape | None


def layer_shapes(definition: Definition) -> list[LayerShape]:
    """Every layer with its shape, in the definition's order, the input layer first.

    Raises:
        PrototxtError: a number in the definition is none.
    """
    blobs: dict[str, Shape] = {definition.input_blob: (1, *definition.input_shape)}
    found = [LayerShape(definition.input_layer, definition.head, definition.input_shape)]
    for layer in definition.layers:
        taken = [blobs.get(name) for name in layer.texts("bottom")]
        given = _given(layer, [shape for shape in taken if shape is not None]) if None not in taken else None
        for top in layer.texts("top"):
            # What is given in place of a known shape and is not known itself must not be taken for the old one.
            blobs.pop(top, None)
            if given is not None:
                blobs[top] = given
        found.append(LayerShape(layer.text("name"), layer.text("type"), None if given is None else given[1:]))
    return found


def _given(layer: Message, taken: list[Shape]) -> Shape | None:
    rule = _RULES.get(layer.text("type"))
    try:
        shape = rule(layer, taken) if rule is not None and taken else None
    except (IndexError, ZeroDivisionError):
        return None  # it takes something else than such a layer can; who runs the network says what
    return shape if shape is not None and all(size > 0 for size in shape) else None


def parameters(layer: Message, key: str) -> Message:
    """A layer's own parameters, empty where it has none."""
    return Message([field for part in layer.messages(key) for field in part.fields])


def number(found: Message, key: str, default: int) -> int:
    """One integer of them."""
    return [default, *found.integers(key)][-1]


def sides(found: Message, key: str, stem: str, default: int) -> tuple[int, int]:
    """A size down and a size across: ``kernel_size``, or ``kernel_h`` and ``kernel_w``, and the like."""
    given = found.integers(key) or [default]
    return number(found, f"{stem}_h", given[0]), number(found, f"{stem}_w", given[-1])


def _same(_: Message, taken: list[Shape]) -> Shape:
    return taken[0]


def _convolved(layer: Message, taken: list[Shape]) -> Shape:
    found = parameters(layer, "convolution_param")
    sizes = [
        (side + 2 * pad - (dilation * (kernel - 1) + 1)) // stride + 1
        for side, kernel, stride, pad, dilation in zip(taken[0][2:], *_window(found), strict=True)
    ]
    return (taken[0][0], number(found, "num_output", 0), *sizes)


def _widened(layer: Message, taken: list[Shape]) -> Shape:
    found = parameters(layer, "convolution_param")
    sizes = [
        stride * (side - 1) + dilation * (kernel - 1) + 1 - 2 * pad
        for side, kernel, stride, pad, dilation in zip(taken[0][2:], *_window(found), strict=True)
    ]
    return (taken[0][0], number(found, "num_output", 0), *sizes)


def _window(found: Message) -> tuple[tuple[int, int], ...]:
    """Kernel, stride, padding and dilation, each down and across."""
    return (
        sides(found, "kernel_size", "kernel", 1),
        sides(found, "stride", "stride", 1),
        sides(found, "pad", "pad", 0),
        sides(found, "dilation", "dilation", 1),
    )


def _pooled(layer: Message, taken: list[Shape]) -> Shape:
    found = parameters(layer, "pooling_param")
    batch, channels, *maps = taken[0]
    if found.text("global_pooling") in {"true", "1"}:
        return batch, channels, 1, 1
    down = found.text("round_mode") in {"FLOOR", "1"}
    kernels, strides, pads, _ = _window(found)
    given = []
    for side, kernel, stride, pad in zip(maps, kernels, strides, pads, strict=True):
        span = side + 2 * pad - kernel
        size = (span // stride if down else -(-span // stride)) + 1
        # The last window has to begin within the picture or its padding before.
        given.append(size - 1 if pad and (size - 1) * stride >= side + pad else size)
    return (batch, channels, *given)


def _inner(layer: Message, taken: list[Shape]) -> Shape:
    found = parameters(layer, "inner_product_param")
    return (*taken[0][: _axis(number(found, "axis", 1), taken[0])], number(found, "num_output", 0))


def _flat(layer: Message, taken: list[Shape]) -> Shape:
    found = parameters(layer, "flatten_param")
    start = _axis(number(found, "axis", 1), taken[0])
    end = _axis(number(found, "end_axis", -1), taken[0])
    return (*taken[0][:start], math.prod(taken[0][start : end + 1]), *taken[0][end + 1 :])


def _joined(layer: Message, taken: list[Shape]) -> Shape:
    found = parameters(layer, "concat_param")
    axis = _axis(number(found, "axis", number(found, "concat_dim", 1)), taken[0])
    return (*taken[0][:axis], sum(shape[axis] for shape in taken), *taken[0][axis + 1 :])


def _sliced(layer: Message, taken: list[Shape]) -> Shape | None:
    found = parameters(layer, "slice_param")
    if found.texts("slice_point"):
        return None
    axis = _axis(number(found, "axis", number(found, "slice_dim", 1)), taken[0])
    return (*taken[0][:axis], taken[0][axis] // len(layer.texts("top")), *taken[0][axis + 1 :])


def _reshaped(layer: Message, taken: list[Shape]) -> Shape | None:
    found = parameters(layer, "reshape_param")
    sizes = [size for shape in found.messages("shape") for size in shape.integers("dim")]
    if found.texts("axis") or found.texts("num_axes") or sizes.count(-1) > 1:
        return None
    sizes = [taken[0][place] if size == 0 else size for place, size in enumerate(sizes)]
    rest = math.prod(taken[0]) // math.prod(size for size in sizes if size != -1)
    return tuple(rest if size == -1 else size for size in sizes)


def _axis(axis: int, shape: Shape) -> int:
    return axis + len(shape) if axis < 0 else axis


_RULES: Mapping[str, Callable[[Message, list[Shape]], Shape | None]] = {
    "Convolution": _convolved,
    "ConvolutionDepthwise": _convolved,
    "Deconvolution": _widened,
    "Pooling": _pooled,
    "InnerProduct": _inner,
    "Flatten": _flat,
    "Concat": _joined,
    "Slice": _sliced,
    "Reshape": _reshaped,
    **dict.fromkeys(
        ("AbsVal", "BNLL", "BatchNorm", "Bias", "Dropout", "ELU", "Eltwise", "Exp", "LRN", "Log", "MVN", "PReLU"), _same
    ),
    **dict.fromkeys(("Power", "ReLU", "ReLU6", "Scale", "Sigmoid", "Softmax", "Split", "TanH", "Threshold"), _same),
}
