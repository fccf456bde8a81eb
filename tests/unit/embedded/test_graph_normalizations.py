"""BatchNorm, Scale, Bias, LRN, Normalize, Softmax as ONNX nodes: the numbers of OpenCV's DNN module, or of NumPy."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from layers import agree, graph, layer, needs_opencv_4, numbers, run

from ddsim.embedded.graph import GraphError

SIDE = st.integers(1, 6)
SHAPES = st.tuples(st.integers(1, 3), SIDE, SIDE, SIDE)


@needs_opencv_4
@given(SHAPES, st.sampled_from([0.0, 1.0, 999.98]), st.sampled_from([1e-5, 1e-3]))
def test_batch_norm(shape: tuple[int, ...], factor: float, epsilon: float) -> None:
    """The third blob divides the other two; 0 makes them 0."""
    channels = shape[1]
    blobs = [numbers(1, channels), np.abs(numbers(2, channels)), np.array([factor], np.float32)]
    if factor == 0.0:
        pictures = numbers(0, *shape)
        found = run(layer("BatchNorm", f"batch_norm_param {{ eps: {epsilon} }}"), pictures, {"out": blobs})
        np.testing.assert_allclose(found, pictures / np.sqrt(epsilon), rtol=1e-4)
        return
    agree(layer("BatchNorm", f"batch_norm_param {{ eps: {epsilon} }}"), numbers(0, *shape), {"out": blobs})


def test_batch_norm_of_vectors() -> None:
    """Behind an InnerProduct there is one number a channel."""
    blobs = {"out": [numbers(1, 12), np.abs(numbers(2, 12)), np.ones(1)]}
    pictures = numbers(0, 2, 3, 2, 2)
    found = run(layer("Flatten", name="flat") + layer("BatchNorm", bottoms="flat"), pictures, blobs)
    mean, variance, _ = blobs["out"]
    expected = (pictures.reshape(2, -1) - mean) / np.sqrt(variance + 1e-5)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


@needs_opencv_4
@given(SHAPES, st.booleans())
def test_scale(shape: tuple[int, ...], bias: bool) -> None:
    """A factor a channel, and a bias where there is one."""
    blobs = [numbers(1, shape[1]), *([numbers(2, shape[1])] if bias else [])]
    settings = f"scale_param {{ bias_term: {str(bias).lower()} }}"
    agree(layer("Scale", settings), numbers(0, *shape), {"out": blobs})


@pytest.mark.parametrize(
    ("settings", "span", "broadcast"),
    [
        ("", (3,), (3, 1, 1)),
        ("axis: 2", (4,), (4, 1)),
        ("axis: -1", (5,), (5,)),
        ("axis: 1 num_axes: 2", (3, 4), (3, 4, 1)),
        ("axis: 1 num_axes: -1", (3, 4, 5), (3, 4, 5)),
        ("axis: 0 num_axes: 0", (), ()),
    ],
)
@pytest.mark.parametrize("kind", ["Scale", "Bias"])
def test_spans(kind: str, settings: str, span: tuple[int, ...], broadcast: tuple[int, ...]) -> None:
    """Factors and summands reach over the axes that they are given for."""
    pictures, learned, shift = numbers(0, 2, 3, 4, 5), numbers(1, *span), numbers(2, *span)
    one, other = np.asarray(learned).reshape(broadcast), np.asarray(shift).reshape(broadcast)
    if kind == "Bias":
        found = run(layer("Bias", f"bias_param {{ {settings} }}"), pictures, {"out": [learned]})
        np.testing.assert_allclose(found, pictures + one, rtol=1e-5)
    else:
        layers = layer("Scale", f"scale_param {{ bias_term: true {settings} }}")
        found = run(layers, pictures, {"out": [learned, shift]})
        np.testing.assert_allclose(found, pictures * one + other, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("kind", "operator"), [("Scale", np.multiply), ("Bias", np.add)])
def test_factors_of_another_layer(kind: str, operator: np.ufunc) -> None:
    """From axis 0 on, the second input holds a set of factors for each picture, as in squeeze-and-excitation."""
    pictures = numbers(0, 3, 4, 5, 6)
    layers = layer("Pooling", "pooling_param { pool: AVE global_pooling: true }", name="mean")
    layers += layer("Flatten", bottoms="mean", name="flat")
    layers += layer(kind, f"{kind.lower()}_param {{ axis: 0 }}", bottoms="data flat")
    expected = operator(pictures, pictures.mean(axis=(2, 3), keepdims=True))
    np.testing.assert_allclose(run(layers, pictures), expected, rtol=1e-4, atol=1e-5)


@needs_opencv_4
@given(SHAPES, st.sampled_from([1, 3, 5, 7]), st.sampled_from([("1e-4", 0.75), ("1", 0.5)]))
def test_lrn_across_channels(shape: tuple[int, ...], size: int, constants: tuple[str, float]) -> None:
    """Neighbouring channels weaken one another; alpha is divided by their number."""
    alpha, beta = constants
    settings = f"lrn_param {{ local_size: {size} alpha: {alpha} beta: {beta} }}"
    agree(layer("LRN", settings), numbers(0, *shape), {})


def test_lrn_with_another_constant() -> None:
    """`k`, which OpenCV ignores, stands in the place of 1."""
    pictures = numbers(0, 2, 6, 3, 3)
    padded = np.pad(pictures**2, ((0, 0), (1, 1), (0, 0), (0, 0)))
    sums = padded[:, :-2] + padded[:, 1:-1] + padded[:, 2:]
    found = run(layer("LRN", "lrn_param { local_size: 3 alpha: 0.6 beta: 0.75 k: 2 }"), pictures)
    np.testing.assert_allclose(found, pictures / (2 + 0.2 * sums) ** 0.75, rtol=1e-4)


@given(st.integers(1, 8), st.integers(1, 8), st.sampled_from([1, 3, 5]))
def test_lrn_within_channels(height: int, width: int, size: int) -> None:
    """Neighbouring places weaken one another; what lies beyond the border counts as 0."""
    pictures = numbers(0, 2, 2, height, width)
    settings = f"lrn_param {{ norm_region: WITHIN_CHANNEL local_size: {size} alpha: 2 beta: 0.75 }}"
    padded = np.pad(pictures**2, ((0, 0), (0, 0), *[(size // 2, size // 2)] * 2))
    windows = np.lib.stride_tricks.sliding_window_view(padded, (size, size), axis=(2, 3))
    expected = pictures / (1 + 2 * windows.mean(axis=(4, 5))) ** 0.75
    np.testing.assert_allclose(run(layer("LRN", settings), pictures), expected, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("across", [False, True])
@pytest.mark.parametrize("shared", [False, True])
def test_normalize(across: bool, shared: bool) -> None:
    """Divided by the length of the whole picture or of each place, times learned factors."""
    pictures, factors = numbers(0, 2, 3, 4, 5), numbers(1, 1 if shared else 3)
    squares = (pictures**2).sum(axis=(1, 2, 3) if across else 1, keepdims=True)
    expected = pictures / np.sqrt(squares + 1e-10) * factors.reshape(-1, 1, 1)
    settings = f"norm_param {{ across_spatial: {str(across).lower()} channel_shared: {str(shared).lower()} }}"
    found = run(layer("Normalize", settings), pictures, {"out": [factors]})
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-6)


@needs_opencv_4
@given(SHAPES, st.sampled_from(["", "softmax_param { axis: 1 }", "softmax_param { axis: 2 }"]))
def test_softmax(shape: tuple[int, ...], settings: str) -> None:
    """Probabilities along one axis."""
    agree(layer("Softmax", settings), 5 * numbers(0, *shape))


@pytest.mark.parametrize(
    ("kind", "settings", "problem"),
    [
        ("BatchNorm", "batch_norm_param { use_global_stats: false }", "depend on those beside it"),
        ("BatchNorm", "", "has no weights"),
        ("LRN", "lrn_param { local_size: 4 }", "odd number"),
        ("LRN", "lrn_param { norm_region: NOWHERE }", "norm_region: expected ACROSS_CHANNELS"),
        ("Scale", "scale_param { axis: 0 }", "mix up pictures"),
        ("Scale", "scale_param { num_axes: 9 }", "num_axes is 9"),
        ("Softmax", "softmax_param { axis: 0 }", "mix up pictures"),
        ("Softmax", "softmax_param { axis: 4 }", "has 4 dimensions"),
    ],
)
def test_what_cannot_be_computed_is_refused(kind: str, settings: str, problem: str) -> None:
    """The error names the layer."""
    with pytest.raises(GraphError, match=rf"'out' \({kind}\)") as raised:
        graph(layer(kind, settings), (3, 4, 4))
    assert problem in str(raised.value)


@pytest.mark.parametrize("settings", ["axis: 1", "axis: 0 bias_term: true"])
def test_second_inputs_that_do_not_fit_are_refused(settings: str) -> None:
    """Factors for each picture begin at axis 0."""
    layers = layer("Flatten", name="flat") + layer("Scale", f"scale_param {{ {settings} }}", bottoms="data flat")
    with pytest.raises(GraphError, match=r"'out' \(Scale\)"):
        graph(layers, (3, 4, 4))
