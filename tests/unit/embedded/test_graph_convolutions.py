"""Convolution, Deconvolution, InnerProduct as ONNX nodes: the numbers of OpenCV's DNN module, for any geometry."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from layers import agree, graph, layer, needs_opencv_4, numbers, run

from ddsim.embedded.graph import GraphError


@st.composite
def geometries(draw: st.DrawFn) -> dict[str, int]:
    """Kernel, stride, padding and dilation, each side by itself."""
    sides = {f"{key}_{side}": draw(st.integers(1, 4)) for key in ("kernel", "stride") for side in "hw"}
    pads = {f"pad_{side}": draw(st.integers(0, 3)) for side in "hw"}
    return {**sides, **pads, "dilation": draw(st.integers(1, 3))}


def written(geometry: dict[str, int]) -> str:
    """As settings of a definition."""
    return " ".join(f"{key}: {value}" for key, value in geometry.items())


def fits(geometry: dict[str, int], height: int, width: int) -> bool:
    """Whether at least one window fits into the picture."""
    return all(
        size + 2 * geometry[f"pad_{side}"] >= geometry["dilation"] * (geometry[f"kernel_{side}"] - 1) + 1
        for side, size in (("h", height), ("w", width))
    )


@needs_opencv_4
@given(
    geometries(),
    st.integers(3, 11),
    st.integers(3, 11),
    st.sampled_from([(1, 4, 6), (2, 4, 6), (4, 4, 4), (3, 3, 6)]),
    st.booleans(),
)
def test_convolutions(
    geometry: dict[str, int], height: int, width: int, groups: tuple[int, int, int], bias: bool
) -> None:
    """Any kernel, stride, padding, dilation and grouping, on sizes that do not divide evenly."""
    assume(fits(geometry, height, width))
    group, channels, outputs = groups
    settings = f"num_output: {outputs} group: {group} bias_term: {str(bias).lower()} {written(geometry)}"
    kernel = (geometry["kernel_h"], geometry["kernel_w"])
    blobs = [numbers(1, outputs, channels // group, *kernel), *([numbers(2, outputs)] if bias else [])]
    layers = layer("Convolution", f"convolution_param {{ {settings} }}")
    agree(layers, numbers(0, 2, channels, height, width), {"out": blobs})


@needs_opencv_4
@given(geometries(), st.integers(2, 6), st.integers(2, 6), st.sampled_from([(1, 4, 6), (2, 4, 6)]), st.booleans())
def test_deconvolutions(
    geometry: dict[str, int], height: int, width: int, groups: tuple[int, int, int], bias: bool
) -> None:
    """The same backwards."""
    geometry = geometry | {"dilation": 1}
    kernel, stride = ((geometry[f"{key}_h"], geometry[f"{key}_w"]) for key in ("kernel", "stride"))
    sizes = [
        s * (size - 1) + k - 2 * p
        for s, size, k, p in zip(stride, (height, width), kernel, (geometry["pad_h"], geometry["pad_w"]), strict=True)
    ]
    assume(min(sizes) >= 1)
    assume(geometry["pad_h"] < kernel[0] and geometry["pad_w"] < kernel[1])
    group, channels, outputs = groups
    settings = f"num_output: {outputs} group: {group} bias_term: {str(bias).lower()} {written(geometry)}"
    blobs = [numbers(1, channels, outputs // group, *kernel), *([numbers(2, outputs)] if bias else [])]
    layers = layer("Deconvolution", f"convolution_param {{ {settings} }}")
    agree(layers, numbers(0, 2, channels, height, width), {"out": blobs})


def test_dilated_deconvolution() -> None:
    """A dilated kernel puts its numbers further apart (NumPy: each input number adds the kernel to its place)."""
    pictures, weights = numbers(0, 1, 2, 3, 4), numbers(1, 2, 3, 2, 2)
    expected = np.zeros((1, 3, 2 * 2 + 3, 2 * 3 + 3), np.float32)
    for row, column in np.ndindex(3, 4):
        for y, x in np.ndindex(2, 2):
            expected[0, :, 2 * row + 2 * y, 2 * column + 2 * x] += pictures[0, :, row, column] @ weights[:, :, y, x]
    settings = "convolution_param { num_output: 3 kernel_size: 2 stride: 2 dilation: 2 bias_term: false }"
    np.testing.assert_allclose(run(layer("Deconvolution", settings), pictures, {"out": [weights]}), expected, atol=1e-5)


@pytest.mark.parametrize("kind", ["Convolution", "ConvolutionDepthwise", "DepthwiseConvolution"])
def test_depthwise_convolutions(kind: str) -> None:
    """A convolution of each channel by itself, whatever a file calls it."""
    pictures, weights = numbers(0, 2, 3, 4, 4), numbers(1, 3, 1, 1, 1)
    found = run(
        layer(kind, "convolution_param { num_output: 3 group: 3 kernel_size: 1 bias_term: false }"),
        pictures,
        {"out": [weights]},
    )
    np.testing.assert_allclose(found, pictures * weights.reshape(3, 1, 1), rtol=1e-5)


@needs_opencv_4
@given(st.integers(1, 5), st.integers(1, 4), st.integers(1, 4), st.booleans())
def test_inner_products(channels: int, height: int, width: int, bias: bool) -> None:
    """Everything of a picture is one vector."""
    blobs = [numbers(1, 7, channels * height * width), *([numbers(2, 7)] if bias else [])]
    settings = f"inner_product_param {{ num_output: 7 bias_term: {str(bias).lower()} }}"
    agree(layer("InnerProduct", settings), numbers(0, 3, channels, height, width), {"out": blobs})


@pytest.mark.parametrize("transpose", [False, True])
@pytest.mark.parametrize("axis", [1, 2, 3, -1])
def test_inner_products_from_an_axis_on(axis: int, transpose: bool) -> None:
    """The axes before it stay; transposed weights are (inputs, outputs)."""
    pictures = numbers(0, 2, 3, 4, 5)
    first = axis % 4
    rows = pictures.reshape(*pictures.shape[:first], -1)
    weights, bias = numbers(1, 7, rows.shape[-1]), numbers(2, 7)
    settings = f"inner_product_param {{ num_output: 7 axis: {axis} transpose: {str(transpose).lower()} }}"
    found = run(layer("InnerProduct", settings), pictures, {"out": [weights.T if transpose else weights, bias]})
    np.testing.assert_allclose(found, rows @ weights.T + bias, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ("kind", "settings", "problem"),
    [
        ("Convolution", "convolution_param { num_output: 4 kernel_size: 9 }", "shape [4, -2, -2] a picture"),
        ("Convolution", "convolution_param { kernel_size: 1 }", "num_output is missing"),
        ("Convolution", "convolution_param { num_output: 4 }", "kernel_size is missing"),
        ("Convolution", "convolution_param { num_output: 4 kernel_size: 1 group: 3 }", "group is 3"),
        ("Convolution", "convolution_param { num_output: 4 kernel_size: [1, 2, 3] }", "given 3 times"),
        ("Convolution", "convolution_param { num_output: 4 kernel_size: 1 axis: 2 }", "axis is not 1"),
        ("Convolution", "convolution_param { num_output: 4 kernel_size: 1 bias_term: maybe }", "true or false"),
        ("Deconvolution", "convolution_param { num_output: 4 kernel_size: 1 pad: 9 }", "a picture"),
        ("Deconvolution", "convolution_param { num_output: 4 kernel_size: 1 group: 3 }", "group is 3"),
        ("Deconvolution", "convolution_param { num_output: 4 kernel_size: 1 stride: 1048576 }", "a picture"),
        ("InnerProduct", "inner_product_param { num_output: 3 axis: 0 }", "mix up pictures"),
        ("InnerProduct", "inner_product_param { num_output: 3 axis: 7 }", "has 4 dimensions"),
    ],
)
def test_what_cannot_be_computed_is_refused(kind: str, settings: str, problem: str) -> None:
    """The error names the layer."""
    weights = {"out": [np.ones((4, 4, 1, 1)), np.ones(4)]}
    if "kernel_size: 9" in settings:
        weights = {"out": [np.ones((4, 4, 9, 9)), np.ones(4)]}
    with pytest.raises(GraphError) as raised:
        graph(layer(kind, settings), (4, 6, 6), weights)
    assert problem in str(raised.value)
    assert "'out'" in str(raised.value)
