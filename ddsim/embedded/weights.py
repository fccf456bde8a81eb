"""Whether the weights of a ``.caffemodel`` fit the layers of a definition.

OpenCV checks part of this itself; where it does not, it computes something else, or reads beyond a blob.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

from ddsim.caffe import Message, Shape

Blobs = Mapping[str, Sequence[Shape]]

#: Where a layer's number of outputs is declared, and which size of its first blob it is.
_OUTPUTS = {
    "Convolution": ("convolution_param", 0),
    "ConvolutionDepthwise": ("convolution_param", 0),
    "InnerProduct": ("inner_product_param", -2),
}

#: Of two inputs these take their factors from the second one, and have no weights.
_FACTORS = {"Bias", "Scale"}


class WeightsError(ValueError):
    """A layer's weights are missing, or are of another shape than the definition asks for."""


def check_outputs(layer: Message, blobs: Blobs) -> None:
    """Compare a layer's weights with what its definition alone says of them, before OpenCV sees either.

    Args:
        layer: its definition.
        blobs: layer name -> shapes.

    Raises:
        WeightsError: there are none under its name, or they are for another number of outputs.
    """
    kind, name, taken = layer.text("type"), layer.text("name"), len(layer.texts("bottom"))
    if kind in _EXPECTED and kind not in _FACTORS and taken != 1:
        raise WeightsError(f"layer {name!r} ({kind}) takes {taken} inputs; the embedded server knows it with one only")
    if not _needs_weights(layer):
        return
    if name not in blobs:
        raise WeightsError(
            f"layer {name!r} ({kind}) has no weights under this name; "
            f"the weights name {', '.join(list(blobs)[:5])}{', ...' if len(blobs) > 5 else ''}"
        )
    if kind not in _OUTPUTS:
        return
    key, place = _OUTPUTS[kind]
    parameters = _parameters(layer, key)
    outputs, has_bias = _number(parameters, "num_output", 0), _is_on(parameters, "bias_term", "true")
    sizes = [_size(blobs[name][0], place), *map(math.prod, blobs[name][1:])]
    if sizes != [outputs] * (1 + has_bias):
        raise WeightsError(
            f"layer {name!r} ({kind}): the definition asks for {outputs} outputs {'with' if has_bias else 'without'} "
            f"bias, the file holds weights of shape {[list(shape) for shape in blobs[name]]}"
        )


def check_shapes(layer: Message, taken: Shape, blobs: Blobs) -> None:
    """Compare a layer's weights with its definition; layers of types not known here are left to OpenCV.

    Args:
        layer: its definition.
        taken: shape of what it takes, the number of pictures first.
        blobs: layer name -> shapes.

    Raises:
        WeightsError: they differ.
    """
    if not _needs_weights(layer):
        return
    expected = _EXPECTED[layer.text("type")](layer, taken)
    found = blobs[layer.text("name")]
    if [_bare(shape) for shape in expected] != [_bare(shape) for shape in found]:
        raise WeightsError(
            f"layer {layer.text('name')!r} ({layer.text('type')}): the definition asks for weights of shape "
            f"{[list(shape) for shape in expected]}, the file holds {[list(shape) for shape in found]}"
        )


def _needs_weights(layer: Message) -> bool:
    return layer.text("type") in _EXPECTED and len(layer.texts("bottom")) == 1


def _size(shape: Shape, place: int) -> int:
    return shape[place] if len(shape) >= 2 else 0


def _bare(shape: Shape) -> Shape:
    """Without leading ones: old files pad every shape to four numbers."""
    start = next((i for i, size in enumerate(shape) if size != 1), len(shape))
    return tuple(shape[start:])


def _parameters(layer: Message, key: str) -> Message:
    return Message([field for part in layer.messages(key) for field in part.fields])


def _number(parameters: Message, key: str, default: int) -> int:
    return [default, *parameters.integers(key)][-1]


def _is_on(parameters: Message, key: str, default: str) -> bool:
    return parameters.text(key, default) in {"true", "True", "t", "1"}


def _convolution(layer: Message, taken: Shape) -> list[Shape]:
    parameters = _parameters(layer, "convolution_param")
    outputs, group = _number(parameters, "num_output", 0), _number(parameters, "group", 1)
    sizes = parameters.integers("kernel_size")
    sides = (sizes or [0])[0], (sizes or [0])[-1]
    kernel = (_number(parameters, "kernel_h", sides[0]), _number(parameters, "kernel_w", sides[1]))
    backwards = layer.text("type") == "Deconvolution"
    ends = (taken[1], outputs // group) if backwards else (outputs, taken[1] // group)
    return [(*ends, *kernel), *([(outputs,)] if _is_on(parameters, "bias_term", "true") else [])]


def _inner_product(layer: Message, taken: Shape) -> list[Shape]:
    parameters = _parameters(layer, "inner_product_param")
    if _is_on(parameters, "transpose", "false"):
        raise WeightsError(f"layer {layer.text('name')!r}: transpose is not in the embedded server")
    outputs = _number(parameters, "num_output", 0)
    inputs = math.prod(taken[_number(parameters, "axis", 1) :])
    return [(outputs, inputs), *([(outputs,)] if _is_on(parameters, "bias_term", "true") else [])]


def _batch_norm(_: Message, taken: Shape) -> list[Shape]:
    return [(taken[1],), (taken[1],), (1,)]


def _scale(layer: Message, taken: Shape) -> list[Shape]:
    parameters = _parameters(layer, "scale_param")
    factors = _spanned(parameters, taken)
    return [factors, factors] if _is_on(parameters, "bias_term", "false") else [factors]


def _bias(layer: Message, taken: Shape) -> list[Shape]:
    return [_spanned(_parameters(layer, "bias_param"), taken)]


def _spanned(parameters: Message, taken: Shape) -> Shape:
    axis, axes = _number(parameters, "axis", 1), _number(parameters, "num_axes", 1)
    rest = taken[axis:]
    return rest if axes == -1 else rest[:axes]


def _prelu(layer: Message, taken: Shape) -> list[Shape]:
    shared = _is_on(_parameters(layer, "prelu_param"), "channel_shared", "false")
    return [() if shared else (taken[1],)]


_EXPECTED: dict[str, Callable[[Message, Shape], list[Shape]]] = {
    "BatchNorm": _batch_norm,
    "Bias": _bias,
    "Convolution": _convolution,
    "ConvolutionDepthwise": _convolution,
    "Deconvolution": _convolution,
    "InnerProduct": _inner_product,
    "PReLU": _prelu,
    "Scale": _scale,
}
