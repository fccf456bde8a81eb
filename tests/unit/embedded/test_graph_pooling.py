"""Pooling as ONNX nodes: Caffe's rounding up, and its idea of an average at the borders."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from layers import Array, agree, graph, layer, needs_opencv_4, numbers, run

from ddsim.embedded.graph import GraphError


def pooled(
    pictures: Array, average: bool, kernel: tuple[int, int], stride: tuple[int, int], pad: tuple[int, int], up: bool
) -> Array:
    """Caffe's pooling, number by number, as its source does it."""
    sizes = pictures.shape[2:]
    counts = []
    for size, k, s, p in zip(sizes, kernel, stride, pad, strict=True):
        count = int(np.ceil((size + 2 * p - k) / s) if up else np.floor((size + 2 * p - k) / s)) + 1
        counts.append(count - 1 if (count - 1) * s >= size + p else count)
    result = np.empty((*pictures.shape[:2], *counts), np.float32)
    for y, x in np.ndindex(*counts):
        starts = [i * s - p for i, s, p in zip((y, x), stride, pad, strict=True)]
        # Padding counts for the average, what lies beyond it does not.
        ends = [min(start + k, size + p) for start, k, size, p in zip(starts, kernel, sizes, pad, strict=True)]
        area = (ends[0] - starts[0]) * (ends[1] - starts[1])
        window = pictures[:, :, max(starts[0], 0) : ends[0], max(starts[1], 0) : ends[1]]
        result[:, :, y, x] = window.sum(axis=(2, 3)) / area if average else window.max(axis=(2, 3))
    return result


SIDES = st.tuples(st.integers(1, 5), st.integers(1, 4), st.integers(0, 3), st.integers(1, 13))


@given(st.booleans(), SIDES, SIDES, st.booleans())
def test_pooling(average: bool, high: tuple[int, ...], wide: tuple[int, ...], up: bool) -> None:
    """Any kernel, stride and padding on any size, rounded up or down."""
    kernel, stride, pad, size = zip(high, wide, strict=True)
    assume(all(p < k <= length + 2 * p for k, p, length in zip(kernel, pad, size, strict=True)))
    settings = [f"pool: {'AVE' if average else 'MAX'} round_mode: {'CEIL' if up else 'FLOOR'}"]
    settings += [
        f"{key}_h: {values[0]} {key}_w: {values[1]}"
        for key, values in (("kernel", kernel), ("stride", stride), ("pad", pad))
    ]
    pictures = numbers(0, 2, 3, *size)
    found = run(layer("Pooling", f"pooling_param {{ {' '.join(settings)} }}"), pictures)
    np.testing.assert_allclose(found, pooled(pictures, average, kernel, stride, pad, up), rtol=1e-4, atol=1e-5)


@needs_opencv_4
@pytest.mark.parametrize("size", [7, 12, 13, 14, 27, 28])
@pytest.mark.parametrize("settings", ["kernel_size: 3 stride: 2", "kernel_size: 3 stride: 2 pad: 1", "kernel_size: 2"])
@pytest.mark.parametrize("method", ["MAX", "AVE"])
def test_pooling_of_well_known_networks(method: str, settings: str, size: int) -> None:
    """The geometries that occur give what OpenCV gives."""
    agree(layer("Pooling", f"pooling_param {{ pool: {method} {settings} }}"), numbers(0, 2, 3, size, size + size % 3))


@pytest.mark.parametrize(("method", "reduced"), [("MAX", np.max), ("AVE", np.mean)])
def test_global_pooling(method: str, reduced: np.ufunc) -> None:
    """One number a channel."""
    pictures = numbers(0, 2, 3, 5, 7)
    found = run(layer("Pooling", f"pooling_param {{ pool: {method} global_pooling: true }}"), pictures)
    np.testing.assert_allclose(found, reduced(pictures, axis=(2, 3), keepdims=True), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(("written", "method"), [("", "MAX"), ("pool: 0", "MAX"), ("pool: 1", "AVE")])
def test_method_by_number_or_default(written: str, method: str) -> None:
    """MAX is the default; numbers stand for names."""
    pictures = numbers(0, 1, 2, 6, 6)
    found, expected = (
        run(layer("Pooling", f"pooling_param {{ {text} kernel_size: 2 stride: 2 }}"), pictures)
        for text in (written, f"pool: {method}")
    )
    assert np.array_equal(found, expected)


def test_rounding_of_another_branch() -> None:
    """`ceil_mode: false` rounds down."""
    found = run(layer("Pooling", "pooling_param { kernel_size: 2 stride: 2 ceil_mode: false }"), numbers(0, 1, 1, 5, 5))
    assert found.shape == (1, 1, 2, 2)


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ("pool: STOCHASTIC kernel_size: 2", "STOCHASTIC"),
        ("pool: MIN kernel_size: 2", "expected MAX, AVE, STOCHASTIC, found 'MIN'"),
        ("stride: 2", "kernel_size is missing"),
        ("kernel_size: 2 pad: 2", "not less than its kernel"),
        ("kernel_size: 9", "larger than what it takes"),
    ],
)
def test_what_cannot_be_computed_is_refused(settings: str, problem: str) -> None:
    """The error names the layer."""
    with pytest.raises(GraphError, match=r"'out' \(Pooling\)") as raised:
        graph(layer("Pooling", f"pooling_param {{ {settings} }}"), (3, 6, 6))
    assert problem in str(raised.value)


def test_what_is_no_picture_any_more_is_refused() -> None:
    """A vector cannot be pooled."""
    layers = layer("Flatten", name="flat") + layer("Pooling", "pooling_param { kernel_size: 1 }", "flat")
    with pytest.raises(GraphError, match="2 dimensions"):
        graph(layers, (3, 6, 6))
