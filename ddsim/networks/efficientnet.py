"""EfficientNet-Lite as layers: TensorFlow's padding and batch normalisation put in Caffe's terms.

A network of this family is a stem, seven stages of blocks, a head, an average over the map and a classifier. A block
widens its channels (expand), looks around in each of them (depthwise) and narrows them again (project).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ddsim.networks.layers import Array, Layer, add, convolution, data, inner_product, pooling, relu6, softmax

#: The layer whose values describe a picture; the article's name for it, whatever the network.
FEATURES = "pool5/7x7_s1"
#: Subtracted from blue, green and red.
MEAN = 127.0

_SCALE = 1 / 128
_STRIDES = (1, 2, 2, 2, 1, 2, 1)
_EPSILON = 1e-3

Tensors = Mapping[str, NDArray[Any]]


def efficientnet_layers(tensors: Tensors, side: int, repeats: Sequence[int]) -> list[Layer]:
    """The layers, named as those that the article extracts from.

    Args:
        tensors: the ``state_dict`` of the PyTorch network, which takes RGB in -1 to 1.
        side: width and height of the input.
        repeats: how many blocks each of the seven stages has.

    Returns:
        From the MemoryData head to ``prob``. They take blue, green, red less 127 each.

    Raises:
        KeyError: a tensor is missing.
    """
    build = _Builder(tensors, side)
    top = build.convolution("conv_stem", "data", "_conv_stem", "_bn0", stride=2)
    number = 0
    for count, stride in zip(repeats, _STRIDES, strict=True):
        for place in range(count):
            top = build.block(number, top, stride if place == 0 else 1, shortcut=place > 0)
            number += 1
    top = build.convolution("conv_head", top, "_conv_head", "_bn1")
    build.layers += [
        pooling(FEATURES, top, "AVE", build.side, 1),
        inner_product("fc", FEATURES, tensors["_fc.weight"], tensors["_fc.bias"]),
        softmax("prob", "fc"),
    ]
    return build.layers


class _Builder:
    """Appends layers.

    Attributes:
        layers: those so far.
        side: width and height of the map that the last of them gives.
    """

    def __init__(self, tensors: Tensors, side: int) -> None:
        self._tensors = tensors
        self.layers = [data(side, side)]
        self.side = side

    def block(self, number: int, bottom: str, stride: int, shortcut: bool) -> str:
        """One block; returns the name of what it gives."""
        source, name, top = f"_blocks.{number}", f"block{number}", bottom
        if f"{source}._expand_conv.weight" in self._tensors:
            top = self.convolution(f"{name}/expand", top, f"{source}._expand_conv", f"{source}._bn0")
        depthwise = f"{source}._depthwise_conv"
        top = self.convolution(f"{name}/depthwise", top, depthwise, f"{source}._bn1", stride=stride, grouped=True)
        top = self.convolution(f"{name}/project", top, f"{source}._project_conv", f"{source}._bn2", rectified=False)
        if shortcut:
            self.layers.append(add(f"{name}/add", bottom, top))
            top = f"{name}/add"
        return top

    def convolution(
        self,
        name: str,
        bottom: str,
        source: str,
        norm: str,
        *,
        stride: int = 1,
        grouped: bool = False,
        rectified: bool = True,
    ) -> str:
        """A convolution with its normalisation folded in, and the rectifier; returns the name of what it gives."""
        weights, bias = self._folded(source, norm)
        if bottom == "data":
            # PyTorch's network takes red first, and values divided by 128.
            weights = weights[:, ::-1] * _SCALE
        weights, pad = _padded(weights, stride, self.side)
        group = len(weights) if grouped else 1
        self.layers.append(
            convolution(name, bottom, weights.astype(np.float32), bias, stride=stride, pad=pad, group=group)
        )
        if rectified:
            self.layers.append(relu6(f"{name}/relu", name))
        self.side = -(-self.side // stride)
        return name

    def _folded(self, source: str, norm: str) -> tuple[NDArray[np.float64], Array]:
        """Weights and bias of the one convolution that does the same as both."""
        mean, variance, factor, bias = (
            self._tensors[f"{norm}.{name}"].astype(np.float64)
            for name in ("running_mean", "running_var", "weight", "bias")
        )
        factor /= np.sqrt(variance + _EPSILON)
        weights = self._tensors[f"{source}.weight"] * factor[:, np.newaxis, np.newaxis, np.newaxis]
        return weights, (bias - mean * factor).astype(np.float32)


def _padded(weights: NDArray[np.float64], stride: int, side: int) -> tuple[NDArray[np.float64], int]:
    """Weights and symmetric padding that come to TensorFlow's SAME on a map of this side.

    With a stride of 2 on an even side it pads one more after than before. A kernel grown by a row and a column of zeros
    in front, symmetrically padded, sees the same.
    """
    size = weights.shape[2]
    if stride == 1 or side % 2:
        return weights, size // 2
    return np.pad(weights, ((0, 0), (0, 0), (1, 0), (1, 0))), size // 2
