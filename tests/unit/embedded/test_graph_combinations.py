"""Eltwise, Concat, Slice, Split, Crop, Axpy as ONNX nodes: the numbers of OpenCV's DNN module, or of NumPy."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from layers import agree, graph, layer, needs_opencv_4, numbers, run

from ddsim.embedded.graph import GraphError

SIDE = st.integers(1, 6)
SHAPES = st.tuples(st.integers(1, 3), SIDE, SIDE, SIDE)
TWO = layer("Power", "power_param { scale: 2 shift: 1 }", name="two") + layer("AbsVal", name="three")


@needs_opencv_4
@given(
    SHAPES,
    st.sampled_from(["", "operation: SUM", "operation: 0", "operation: PROD", "operation: MAX", "coeff: 2 coeff: -1"]),
    st.sampled_from(["data two", "two data"]),
)
def test_eltwise(shape: tuple[int, ...], settings: str, bottoms: str) -> None:
    """Sum, weighted sum, product and maximum; the sum is the default."""
    agree(TWO + layer("Eltwise", f"eltwise_param {{ {settings} }}", bottoms), numbers(0, *shape))


def test_eltwise_of_three() -> None:
    """More than two blobs of one shape."""
    pictures = numbers(0, 2, 3, 4, 5)
    parts = [pictures, 2 * pictures + 1, np.abs(pictures)]
    for settings, expected in (
        ("", sum(parts)),
        ("coeff: [1, 0.5, -1]", parts[0] + parts[1] / 2 - parts[2]),
        ("operation: PROD", parts[0] * parts[1] * parts[2]),
        ("operation: MAX", np.maximum(np.maximum(*parts[:2]), parts[2])),
    ):
        layers = TWO + layer("Eltwise", f"eltwise_param {{ {settings} }}", "data two three")
        np.testing.assert_allclose(run(layers, pictures), expected, rtol=1e-5, atol=1e-5)


@needs_opencv_4
@given(SHAPES, st.sampled_from(["", "axis: 1", "axis: 2", "axis: -1", "concat_dim: 1"]))
def test_concat(shape: tuple[int, ...], settings: str) -> None:
    """Behind one another along an axis."""
    agree(TWO + layer("Concat", f"concat_param {{ {settings} }}", "data two three"), numbers(0, *shape))


@pytest.mark.parametrize(
    ("settings", "axis", "points"),
    [
        ("", 1, [2, 4]),
        ("slice_point: 1 slice_point: 2", 1, [1, 2]),
        ("slice_dim: 1 slice_point: [2, 5]", 1, [2, 5]),
        ("axis: 2 slice_point: [3, 4]", 2, [3, 4]),
        ("axis: -1", 3, [1, 2]),
    ],
)
def test_slice(settings: str, axis: int, points: list[int]) -> None:
    """At the given points or into equal parts; the layer's own value is the first part."""
    pictures = numbers(0, 2, 6, 5, 3)
    parts = np.split(pictures, points, axis=axis)
    layers = layer("Slice", f"slice_param {{ {settings} }}", tops="first second third")
    assert np.array_equal(run(layers, pictures), parts[0])
    for name, expected in zip(("first", "second", "third"), parts, strict=True):
        layers_behind = layers + layer("Power", "power_param { shift: 1 }", name, "behind")
        np.testing.assert_allclose(run(layers_behind, pictures, name="behind"), expected + 1, rtol=1e-5)


def test_split() -> None:
    """One blob under two names."""
    pictures = numbers(0, 2, 3, 4, 5)
    layers = layer("Split", tops="one other", name="split")
    layers += layer("ReLU", bottoms="one", tops="one", name="relu") + layer("Eltwise", bottoms="one other")
    assert np.array_equal(run(layers, pictures, name="split"), pictures)
    np.testing.assert_allclose(run(layers, pictures), np.maximum(pictures, 0) + pictures, rtol=1e-5)


@pytest.mark.parametrize(
    ("settings", "top", "left"), [("", 0, 0), ("offset: 1", 1, 1), ("axis: 2 offset: 2 offset: 3", 2, 3)]
)
def test_crop(settings: str, top: int, left: int) -> None:
    """Cut to the size of the second input, from an offset on."""
    pictures = numbers(0, 2, 3, 6, 8)
    layers = layer("Pooling", "pooling_param { kernel_size: 2 stride: 2 }", name="small")
    layers += layer("Crop", f"crop_param {{ {settings} }}", "data small")
    assert np.array_equal(run(layers, pictures), pictures[:, :, top : top + 3, left : left + 4])


@pytest.mark.parametrize("flat", [False, True])
def test_axpy(flat: bool) -> None:
    """A factor a channel, as a vector or as a picture of one place, and a sum: SE-ResNet's end of a block."""
    pictures = numbers(0, 2, 3, 4, 5)
    layers = TWO + layer("Pooling", "pooling_param { pool: AVE global_pooling: true }", name="mean")
    layers += layer("Flatten", bottoms="mean", name="flat")
    layers += layer("Axpy", bottoms=f"{'flat' if flat else 'mean'} two three")
    expected = pictures.mean(axis=(2, 3), keepdims=True) * (2 * pictures + 1) + np.abs(pictures)
    np.testing.assert_allclose(run(layers, pictures), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("layers", "problem"),
    [
        (layer("Eltwise"), "expected two or more"),
        (layer("Flatten", name="flat") + layer("Eltwise", bottoms="data flat"), "equal ones"),
        (layer("Eltwise", "eltwise_param { coeff: 1 }", "data data"), "1 coeff for the SUM of 2 inputs"),
        (layer("Eltwise", "eltwise_param { operation: PROD coeff: [1, 1] }", "data data"), "2 coeff for the PROD"),
        (layer("Eltwise", "eltwise_param { operation: MIN }", "data data"), "found 'MIN'"),
        (layer("Concat", "concat_param { axis: 0 }", "data data"), "mix up pictures"),
        (layer("Flatten", name="flat") + layer("Concat", bottoms="data flat"), "which differ beside axis 1"),
        (layer("Slice", tops="a b c d"), "cuts 6 at no points, for 4 tops"),
        (layer("Slice", "slice_param { slice_point: 6 }", tops="a b"), "cuts 6 at [6]"),
        (layer("Slice", "slice_param { slice_point: [4, 2] }", tops="a b c"), "cuts 6 at [4, 2]"),
        (layer("Slice", "slice_param { axis: 0 }", tops="a b"), "mix up pictures"),
        (layer("Crop"), "takes 1 inputs; expected 2"),
        (layer("Crop", "crop_param { offset: 1 }", "data data"), "at [1, 1] out of"),
        (layer("Crop", "crop_param { offset: [1, 1, 1] }", "data data"), "3 offset"),
        (layer("Axpy"), "takes 1 inputs; expected 3"),
        (layer("Axpy", bottoms="data data data"), "one a channel"),
    ],
)
def test_what_cannot_be_computed_is_refused(layers: str, problem: str) -> None:
    """The error names the layer."""
    with pytest.raises(GraphError, match="'out'") as raised:
        graph(layers, (6, 4, 4))
    assert problem in str(raised.value)
