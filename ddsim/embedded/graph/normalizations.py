"""Layers that bring numbers into a range: BatchNorm, Scale, Bias, LRN, Normalize, Softmax."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ddsim.caffe import Shape
from ddsim.embedded.graph.builder import Blob, Builder
from ddsim.embedded.graph.layer import Array, Layer, Settings


def batch_norm(layer: Layer, inputs: Sequence[Blob], builder: Builder) -> list[Blob]:
    """BatchNorm: by the averages and variances that were found in training."""
    taken, settings = layer.only(inputs), layer.settings("batch_norm_param")
    if not settings.flag("use_global_stats", True):
        raise layer.error(
            "use_global_stats is false, so that a picture's numbers would depend on those beside it; leave it out"
        )
    channels = taken.shape[1]
    mean, variance, factor = layer.weights((channels,), (channels,), (1,))
    # Caffe keeps sums that decay, and by what to divide them.
    weight = np.float32(0.0) if factor[0] == 0 else 1 / factor[0]
    ones, zeros = np.ones(channels, np.float32), np.zeros(channels, np.float32)
    return [_normalized(builder, taken, ones, zeros, mean * weight, variance * weight, settings.number("eps", 1e-5))]


def scale(layer: Layer, inputs: Sequence[Blob], builder: Builder) -> list[Blob]:
    """Scale: times learned factors, or times what another layer gives; and plus a bias."""
    settings = layer.settings("scale_param")
    biased = settings.flag("bias_term", False)
    if len(inputs) == 2:
        if biased:
            raise layer.error("has two inputs and a bias, which the embedded server does not know")
        return [_with_second(layer, settings, inputs, builder, "Mul")]
    taken = layer.only(inputs)
    span, broadcast = _spanned(settings, taken)
    factors, *bias = layer.weights(*[span] * (1 + biased))
    if span == taken.shape[1:2]:
        # The form that ONNX Runtime folds into a convolution before it.
        zeros, ones = np.zeros(span, np.float32), np.ones(span, np.float32)
        return [_normalized(builder, taken, factors, [*bias, zeros][0], zeros, ones, 0.0)]
    result = builder.add("Mul", [taken, builder.constant(factors.reshape(broadcast))], taken.shape)
    for blob in bias:
        result = builder.add("Add", [result, builder.constant(blob.reshape(broadcast))], taken.shape)
    return [result]


def bias(layer: Layer, inputs: Sequence[Blob], builder: Builder) -> list[Blob]:
    """Bias: plus learned numbers, or plus what another layer gives."""
    settings = layer.settings("bias_param")
    if len(inputs) == 2:
        return [_with_second(layer, settings, inputs, builder, "Add")]
    taken = layer.only(inputs)
    span, broadcast = _spanned(settings, taken)
    (values,) = layer.weights(span)
    return [builder.add("Add", [taken, builder.constant(values.reshape(broadcast))], taken.shape)]


def lrn(layer: Layer, inputs: Sequence[Blob], builder: Builder) -> list[Blob]:
    """LRN, across channels or within each."""
    taken, settings = layer.only(inputs), layer.settings("lrn_param")
    size, alpha, beta = (
        settings.integer("local_size", 5),
        settings.number("alpha", 1.0),
        settings.number("beta", 0.75),
    )
    if len(taken.shape) != 4:
        raise layer.error(f"takes what has {len(taken.shape)} dimensions; expected 4")
    if size % 2 == 0:
        raise layer.error(f"local_size is {size}; expected an odd number")
    if settings.word("norm_region", ("ACROSS_CHANNELS", "WITHIN_CHANNEL")) == "ACROSS_CHANNELS":
        constant = settings.number("k", 1.0)
        return [builder.add("LRN", [taken], taken.shape, size=size, alpha=alpha, beta=beta, bias=constant)]
    squares = builder.add("Mul", [taken, taken], taken.shape)
    around = builder.add(
        "AveragePool",
        [squares],
        taken.shape,
        work=int(np.prod(taken.shape)) * size * size,
        kernel_shape=(size, size),
        pads=[size // 2] * 4,
        count_include_pad=1,
    )
    divisor = builder.add("Pow", [builder.scaled(around, alpha, 1.0), builder.constant(beta)], taken.shape)
    return [builder.add("Div", [taken, divisor], taken.shape)]


def normalize(layer: Layer, inputs: Sequence[Blob], builder: Builder) -> list[Blob]:
    """Normalize: each picture, or each place of it, divided by its length, times learned factors."""
    taken, settings = layer.only(inputs), layer.settings("norm_param")
    across = settings.flag("across_spatial", True)
    shared = settings.flag("channel_shared", True)
    (factors,) = layer.weights((1,) if shared else (taken.shape[1],))
    axes = list(range(1, len(taken.shape))) if across else [1]
    shape = tuple(1 if axis in axes else size for axis, size in enumerate(taken.shape))
    squares = builder.add("ReduceSumSquare", [taken], shape, axes=axes, keepdims=1, work=int(np.prod(taken.shape)))
    length = builder.add("Sqrt", [builder.scaled(squares, 1.0, settings.number("eps", 1e-10))], shape)
    result = builder.add("Div", [taken, length], taken.shape)
    broadcast = factors.reshape(-1, *[1] * (len(taken.shape) - 2))
    return [builder.add("Mul", [result, builder.constant(broadcast)], taken.shape)]


def softmax(layer: Layer, inputs: Sequence[Blob], builder: Builder) -> list[Blob]:
    """Softmax."""
    taken = layer.only(inputs)
    axis = layer.settings("softmax_param").axis("axis", 1, len(taken.shape))
    return [builder.add("Softmax", [taken], taken.shape, axis=axis)]


def _normalized(
    builder: Builder, taken: Blob, factors: Array, shift: Array, mean: Array, variance: Array, epsilon: float
) -> Blob:
    constants = [builder.constant(values) for values in (factors, shift, mean, variance)]
    return builder.add("BatchNormalization", [taken, *constants], taken.shape, epsilon=epsilon)


def _spanned(settings: Settings, taken: Blob) -> tuple[Shape, Shape]:
    """The shape of the factors, and the same padded with ones so that it fits what is taken."""
    dimensions, axes = len(taken.shape), settings.integer("num_axes", 1)
    axis = settings.axis("axis", 1, dimensions, least=0 if axes == 0 else 1)
    if axes < -1 or axis + axes > dimensions:
        raise settings.layer.error(f"num_axes is {axes}, from axis {axis} of {dimensions}")
    end = dimensions if axes == -1 else axis + axes
    span = taken.shape[axis:end]
    return span, (*span, *[1] * (dimensions - end))


def _with_second(layer: Layer, settings: Settings, inputs: Sequence[Blob], builder: Builder, operator: str) -> Blob:
    """Factors or summands that another layer gives, a set for each picture."""
    taken, second = inputs
    axis = settings.axis("axis", 1, len(taken.shape), least=0)
    if axis != 0 or second.shape != taken.shape[: len(second.shape)]:
        raise layer.error(
            f"its second input is of shape {list(second.shape[1:])} a picture, from axis {axis} on; "
            f"expected axis 0, and the first sizes of {list(taken.shape[1:])}"
        )
    shape = (*second.shape, *[1] * (len(taken.shape) - len(second.shape)))
    return builder.add(operator, [taken, builder.reshaped(second, shape)], taken.shape)


KINDS = {
    "BatchNorm": batch_norm,
    "Bias": bias,
    "LRN": lrn,
    "Normalize": normalize,
    "Scale": scale,
    "Softmax": softmax,
}
