"""Pooling, with Caffe's rounding.

Caffe rounds the number of windows up, so that the last one may reach beyond the picture and its padding. The windows
are counted here and given to ONNX as padding behind the picture: ONNX Runtime's own rounding up has changed from
release to release.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ddsim.embedded.graph.builder import Blob, Builder
from ddsim.embedded.graph.layer import Layer, Settings

_METHODS = ("MAX", "AVE", "STOCHASTIC")


@dataclass(frozen=True)
class _Side:
    """Windows along one side of a picture.

    Attributes:
        length: of the picture.
        kernel, stride, pad: in pixels; ``pad`` at both ends.
        windows: how many there are.
    """

    length: int
    kernel: int
    stride: int
    pad: int
    windows: int

    @property
    def behind(self) -> int:
        """Pixels to be added behind the picture so that these windows fit, and no more."""
        return max((self.windows - 1) * self.stride + self.kernel - self.length - self.pad, 0)

    def counted(self) -> list[int]:
        """How many pixels of each window count for its average: padding does, what lies beyond it does not."""
        starts = [i * self.stride - self.pad for i in range(self.windows)]
        return [min(start + self.kernel, self.length + self.pad) - start for start in starts]


def pooling(layer: Layer, inputs: Sequence[Blob], builder: Builder) -> list[Blob]:
    """Pooling: the largest of a window, or its average."""
    taken, settings = layer.only(inputs), layer.settings("pooling_param")
    if len(taken.shape) != 4:
        raise layer.error(f"takes what has {len(taken.shape)} dimensions; expected 4")
    method = settings.word("pool", _METHODS)
    if method == "STOCHASTIC":
        raise layer.error("pool is STOCHASTIC, which the embedded server does not know")
    if settings.flag("global_pooling", False):
        operator = "GlobalMaxPool" if method == "MAX" else "GlobalAveragePool"
        return [builder.add(operator, [taken], (*taken.shape[:2], 1, 1), work=int(np.prod(taken.shape)))]
    high, wide = _sides(layer, settings, taken)
    shape = (*taken.shape[:2], high.windows, wide.windows)
    geometry = {
        "kernel_shape": (high.kernel, wide.kernel),
        "strides": (high.stride, wide.stride),
        "pads": (high.pad, wide.pad, high.behind, wide.behind),
    }
    work = int(np.prod(shape)) * high.kernel * wide.kernel
    if method == "MAX":
        return [builder.add("MaxPool", [taken], shape, work=work, **geometry)]
    average = builder.add("AveragePool", [taken], shape, work=work, count_include_pad=1, **geometry)
    whole, counted = high.kernel * wide.kernel, np.outer(high.counted(), wide.counted())
    if (counted == whole).all():
        return [average]
    return [builder.add("Mul", [average, builder.constant(whole / counted)], shape)]


def _sides(layer: Layer, settings: Settings, taken: Blob) -> list[_Side]:
    kernel, pad = settings.sides("kernel_size", "kernel", 0), settings.sides("pad", "pad", 0)
    stride = settings.sides("stride", "stride", 1)
    if min(kernel) < 1:
        raise layer.error("kernel_size is missing")
    if any(p >= k for p, k in zip(pad, kernel, strict=True)):
        raise layer.error(f"its padding {list(pad)} is not less than its kernel {list(kernel)}")
    # round_mode is Caffe's, ceil_mode that of a branch in which several well-known networks were trained.
    up = settings.word("round_mode", ("CEIL", "FLOOR")) == "CEIL" and settings.flag("ceil_mode", True)
    sides = []
    for length, k, p, s in zip(taken.shape[2:], kernel, pad, stride, strict=True):
        room = length + 2 * p - k
        if room < 0:
            raise layer.error(f"its kernel {list(kernel)} is larger than what it takes, {list(taken.shape[2:])}")
        windows = -(-room // s) + 1 if up else room // s + 1
        if (windows - 1) * s >= length + p:
            windows -= 1  # it would begin beyond the picture
        sides.append(_Side(length, k, s, p, windows))
    return sides


KINDS = {"Pooling": pooling}
