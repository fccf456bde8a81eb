"""Layers that change each number by itself."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from ddsim.embedded.graph.builder import Blob, Builder
from ddsim.embedded.graph.layer import Layer, Settings


def _plain(operator: str) -> Callable[[Layer, Sequence[Blob], Builder], list[Blob]]:
    """A kind that is one operator without settings."""

    def build(layer: Layer, inputs: Sequence[Blob], builder: Builder) -> list[Blob]:
        taken = layer.only(inputs)
        return [builder.add(operator, [taken], taken.shape)]

    return build


def relu(layer: Layer, inputs: Sequence[Blob], builder: Builder) -> list[Blob]:
    """ReLU, with a slope below zero where one is given."""
    taken, slope = layer.only(inputs), layer.settings("relu_param").number("negative_slope", 0.0)
    if slope == 0.0:
        return [builder.add("Relu", [taken], taken.shape)]
    return [builder.add("LeakyRelu", [taken], taken.shape, alpha=slope)]


def relu6(layer: Layer, inputs: Sequence[Blob], builder: Builder) -> list[Blob]:
    """ReLU6: no less than 0, no more than 6."""
    taken = layer.only(inputs)
    return [builder.add("Clip", [taken, builder.constant(0.0), builder.constant(6.0)], taken.shape)]


def prelu(layer: Layer, inputs: Sequence[Blob], builder: Builder) -> list[Blob]:
    """PReLU: a learned slope below zero, one a channel or one for all."""
    taken = layer.only(inputs)
    shared = layer.settings("prelu_param").flag("channel_shared", False)
    (slopes,) = layer.weights(() if shared else (taken.shape[1],))
    slopes = slopes.reshape(() if shared else (-1, *[1] * (len(taken.shape) - 2)))
    return [builder.add("PRelu", [taken, builder.constant(slopes)], taken.shape)]


def elu(layer: Layer, inputs: Sequence[Blob], builder: Builder) -> list[Blob]:
    """ELU."""
    taken = layer.only(inputs)
    return [builder.add("Elu", [taken], taken.shape, alpha=layer.settings("elu_param").number("alpha", 1.0))]


def power(layer: Layer, inputs: Sequence[Blob], builder: Builder) -> list[Blob]:
    """Power: ``(shift + scale * x) ** power``."""
    settings = layer.settings("power_param")
    result = builder.scaled(layer.only(inputs), settings.number("scale", 1.0), settings.number("shift", 0.0))
    exponent = settings.number("power", 1.0)
    if exponent == 1.0:
        return [builder.add("Identity", [result], result.shape, work=0)]
    return [builder.add("Pow", [result, builder.constant(exponent)], result.shape)]


def exponential(layer: Layer, inputs: Sequence[Blob], builder: Builder) -> list[Blob]:
    """Exp: ``base ** (shift + scale * x)``."""
    settings = layer.settings("exp_param")
    base = _log_of_base(settings)
    scale, shift = settings.number("scale", 1.0) * base, settings.number("shift", 0.0) * base
    result = builder.scaled(layer.only(inputs), scale, shift)
    return [builder.add("Exp", [result], result.shape)]


def logarithm(layer: Layer, inputs: Sequence[Blob], builder: Builder) -> list[Blob]:
    """Log: the logarithm of ``shift + scale * x``."""
    settings = layer.settings("log_param")
    base = _log_of_base(settings)
    if base == 0.0:
        raise layer.error("base is 1, for which there is no logarithm")
    result = builder.scaled(layer.only(inputs), settings.number("scale", 1.0), settings.number("shift", 0.0))
    return [builder.scaled(builder.add("Log", [result], result.shape), 1.0 / base, 0.0)]


def _log_of_base(settings: Settings) -> float:
    """Caffe writes -1 for e."""
    base = settings.number("base", -1.0)
    if base == -1.0:
        return 1.0
    if not 0.0 < base < math.inf:
        raise settings.layer.error(f"base is {base:g}; expected more than 0")
    return math.log(base)


KINDS = {
    "AbsVal": _plain("Abs"),
    "BNLL": _plain("Softplus"),
    "Dropout": _plain("Identity"),
    "ELU": elu,
    "Exp": exponential,
    "Log": logarithm,
    "PReLU": prelu,
    "Power": power,
    "ReLU": relu,
    "ReLU6": relu6,
    "Sigmoid": _plain("Sigmoid"),
    "TanH": _plain("Tanh"),
}
