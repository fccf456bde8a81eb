"""A tiny network of EfficientNet-Lite's making with random weights, and the same computed as its authors define it."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]
Tensors = Mapping[str, Array]

# An even side first, odd ones after: both ways in which TensorFlow's padding can be said in Caffe.
SIDE, REPEATS, LABELS = 36, (1, 2, 1, 1, 1, 1, 1), 1000
_STAGES = ((3, 1, 4), (3, 2, 4), (5, 2, 6), (3, 2, 6), (5, 1, 6), (5, 2, 8), (3, 1, 8))
_HEAD = 12


def tensors(seed: int = 0) -> dict[str, Array]:
    """A ``state_dict``."""
    random = np.random.default_rng(seed)
    found: dict[str, Array] = {}

    def convolution(name: str, norm: str, outputs: int, inputs: int, size: int) -> None:
        found[f"{name}.weight"] = random.normal(0, 1 / (size * inputs**0.5), (outputs, inputs, size, size))
        found[f"{norm}.weight"] = random.uniform(0.5, 1.5, outputs)
        found[f"{norm}.bias"] = random.normal(0, 0.5, outputs)
        found[f"{norm}.running_mean"] = random.normal(0, 0.5, outputs)
        found[f"{norm}.running_var"] = random.uniform(0.2, 1.0, outputs)

    convolution("_conv_stem", "_bn0", 4, 3, 3)
    inputs, number = 4, 0
    for (size, _, outputs), count in zip(_STAGES, REPEATS, strict=True):
        for _ in range(count):
            source, wide = f"_blocks.{number}", inputs
            if number:
                wide = inputs * 2
                convolution(f"{source}._expand_conv", f"{source}._bn0", wide, inputs, 1)
            convolution(f"{source}._depthwise_conv", f"{source}._bn1", wide, 1, size)
            convolution(f"{source}._project_conv", f"{source}._bn2", outputs, wide, 1)
            inputs, number = outputs, number + 1
    convolution("_conv_head", "_bn1", _HEAD, inputs, 1)
    found["_fc.weight"] = random.normal(0, 0.3, (LABELS, _HEAD))
    found["_fc.bias"] = random.normal(0, 0.3, LABELS)
    return {name: np.asarray(array, np.float32) for name, array in found.items()}


def last_map(weights: Tensors, pixels: Array) -> Array:
    """The last map of one picture, as the authors compute it.

    Args:
        weights: what :func:`tensors` gives.
        pixels: (height, width, 3), red, green, blue, 0 to 255.
    """
    values = (pixels.transpose(2, 0, 1) - 127.0) / 128.0
    values = _normed(weights, "_conv_stem", "_bn0", values, 2, rectified=True)
    number = 0
    for (_, stride, _), count in zip(_STAGES, REPEATS, strict=True):
        for place in range(count):
            source, before = f"_blocks.{number}", values
            if number:
                values = _normed(weights, f"{source}._expand_conv", f"{source}._bn0", values, 1, rectified=True)
            step = stride if place == 0 else 1
            values = _normed(weights, f"{source}._depthwise_conv", f"{source}._bn1", values, step, rectified=True)
            values = _normed(weights, f"{source}._project_conv", f"{source}._bn2", values, 1, rectified=False)
            values = values + before if place else values
            number += 1
    return _normed(weights, "_conv_head", "_bn1", values, 1, rectified=True)


def _normed(weights: Tensors, name: str, norm: str, values: Array, stride: int, *, rectified: bool) -> Array:
    found = _convolved(values, weights[f"{name}.weight"], stride)
    factor, bias, mean, variance = (
        weights[f"{norm}.{part}"][:, np.newaxis, np.newaxis]
        for part in ("weight", "bias", "running_mean", "running_var")
    )
    found = (found - mean) / np.sqrt(variance + 1e-3) * factor + bias
    return np.clip(found, 0, 6) if rectified else found


def _convolved(values: Array, kernels: Array, stride: int) -> Array:
    """A convolution with TensorFlow's SAME padding; one input for each output where kernels have one channel."""
    size, side = kernels.shape[2], values.shape[1]
    given = -(-side // stride)
    total = max((given - 1) * stride + size - side, 0)
    ends = (total // 2, total - total // 2)
    padded = np.pad(values, ((0, 0), ends, ends))
    windows = np.lib.stride_tricks.sliding_window_view(padded, (size, size), (1, 2))[:, ::stride, ::stride]
    if kernels.shape[1] == 1 and len(values) > 1:
        return np.einsum("cyxij,cij->cyx", windows, kernels[:, 0])
    return np.einsum("cyxij,ocij->oyx", windows, kernels)
