"""Layers that multiply by matrices: Convolution, Deconvolution, InnerProduct."""

from __future__ import annotations

import math
from collections.abc import Sequence

from ddsim.caffe import Shape
from ddsim.embedded.graph.builder import Blob, Builder
from ddsim.embedded.graph.layer import Array, Layer, Settings


def convolution(layer: Layer, inputs: Sequence[Blob], builder: Builder) -> list[Blob]:
    """Convolution, and what some files call a depthwise one."""
    taken, settings, outputs, group = _begun(layer, inputs)
    channels = taken.shape[1]
    if channels % group or outputs % group:
        raise layer.error(f"group is {group}, for {channels} channels and {outputs} outputs")
    kernel, pad, stride, dilation = _geometry(settings)
    size = tuple(
        (side + 2 * p - d * (k - 1) - 1) // s + 1
        for side, k, p, s, d in zip(taken.shape[2:], kernel, pad, stride, dilation, strict=True)
    )
    shape = (1, outputs, *size)
    weights = _weights(layer, settings, (outputs, channels // group, *kernel))
    return [
        builder.add(
            "Conv",
            [taken, *(builder.constant(blob) for blob in weights)],
            shape,
            work=math.prod(shape) * math.prod(weights[0].shape[1:]),
            kernel_shape=kernel,
            pads=[*pad, *pad],
            strides=stride,
            dilations=dilation,
            group=group,
        )
    ]


def deconvolution(layer: Layer, inputs: Sequence[Blob], builder: Builder) -> list[Blob]:
    """Deconvolution: a convolution backwards, from few places to many."""
    taken, settings, outputs, group = _begun(layer, inputs)
    channels = taken.shape[1]
    if channels % group or outputs % group:
        raise layer.error(f"group is {group}, for {channels} channels and {outputs} outputs")
    kernel, pad, stride, dilation = _geometry(settings)
    size = tuple(
        s * (side - 1) + d * (k - 1) + 1 - 2 * p
        for side, k, p, s, d in zip(taken.shape[2:], kernel, pad, stride, dilation, strict=True)
    )
    weights = _weights(layer, settings, (channels, outputs // group, *kernel))
    return [
        builder.add(
            "ConvTranspose",
            [taken, *(builder.constant(blob) for blob in weights)],
            (1, outputs, *size),
            work=math.prod(taken.shape) * math.prod(weights[0].shape[1:]),
            kernel_shape=kernel,
            pads=[*pad, *pad],
            strides=stride,
            dilations=dilation,
            group=group,
        )
    ]


def inner_product(layer: Layer, inputs: Sequence[Blob], builder: Builder) -> list[Blob]:
    """InnerProduct: all axes from ``axis`` on are one vector."""
    taken, settings = layer.only(inputs), layer.settings("inner_product_param")
    axis = settings.axis("axis", 1, len(taken.shape))
    length, outputs = math.prod(taken.shape[axis:]), _outputs(layer, settings)
    across = settings.flag("transpose", False)
    weights = _weights(layer, settings, (length, outputs) if across else (outputs, length))
    shape = (*taken.shape[:axis], outputs)
    work = math.prod(shape) * length
    if axis == 1:
        if len(taken.shape) > 2:
            taken = builder.add("Flatten", [taken], (1, length), work=0, axis=1)
        constants = [builder.constant(blob) for blob in weights]
        return [builder.add("Gemm", [taken, *constants], shape, work=work, transB=int(not across))]
    matrix = builder.constant(weights[0] if across else weights[0].T)
    rows = builder.reshaped(taken, (*taken.shape[:axis], length))
    result = builder.add("MatMul", [rows, matrix], shape, work=work)
    return [builder.add("Add", [result, builder.constant(blob)], shape) for blob in weights[1:]] or [result]


def _begun(layer: Layer, inputs: Sequence[Blob]) -> tuple[Blob, Settings, int, int]:
    taken, settings = layer.only(inputs), layer.settings("convolution_param")
    if len(taken.shape) != 4:
        raise layer.error(f"takes what has {len(taken.shape)} dimensions; expected 4")
    if settings.axis("axis", 1, 4) != 1:
        raise layer.error("axis is not 1, which the embedded server does not know")
    return taken, settings, _outputs(layer, settings), settings.integer("group", 1)


def _outputs(layer: Layer, settings: Settings) -> int:
    outputs = settings.integer("num_output", 0)
    if outputs < 1:
        raise layer.error("num_output is missing")
    return outputs


def _geometry(settings: Settings) -> tuple[tuple[int, int], ...]:
    """Kernel, padding, stride and dilation, each (height, width)."""
    kernel = settings.sides("kernel_size", "kernel", 0)
    if min(kernel) < 1:
        raise settings.layer.error("kernel_size is missing")
    dilation = settings.sides("dilation", "dilation", 1)
    return kernel, settings.sides("pad", "pad", 0), settings.sides("stride", "stride", 1), dilation


def _weights(layer: Layer, settings: Settings, shape: Shape) -> list[Array]:
    outputs = settings.integer("num_output", 0)
    return layer.weights(shape, *([(outputs,)] if settings.flag("bias_term", True) else []))


KINDS = {
    "Convolution": convolution,
    "ConvolutionDepthwise": convolution,
    "Deconvolution": deconvolution,
    "DepthwiseConvolution": convolution,
    "InnerProduct": inner_product,
}
