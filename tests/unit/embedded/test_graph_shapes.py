"""Flatten, Reshape, Permute, ArgMax as ONNX nodes: the numbers of NumPy."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from layers import Array, graph, layer, numbers, run

from ddsim.embedded.graph import GraphError

PICTURES = numbers(0, 2, 3, 4, 5)


@pytest.mark.parametrize(
    ("settings", "shape"),
    [
        ("", (2, 60)),
        ("axis: 2", (2, 3, 20)),
        ("axis: 1 end_axis: 2", (2, 12, 5)),
        ("axis: -2 end_axis: -1", (2, 3, 20)),
        ("axis: 2 end_axis: 2", (2, 3, 4, 5)),
    ],
)
def test_flatten(settings: str, shape: tuple[int, ...]) -> None:
    """Several axes become one."""
    found = run(layer("Flatten", f"flatten_param {{ {settings} }}"), PICTURES)
    assert np.array_equal(found, PICTURES.reshape(shape))


@pytest.mark.parametrize(
    ("settings", "shape"),
    [
        ("shape { dim: 0 dim: -1 }", (2, 60)),
        ("shape { dim: -1 dim: 60 }", (2, 60)),
        ("shape { dim: 1 dim: 60 }", (2, 60)),
        ("shape { dim: 0 dim: 0 dim: -1 dim: 2 }", (2, 3, 10, 2)),
        ("shape { dim: -1 } axis: 2", (2, 3, 20)),
        ("shape { dim: 2 dim: 6 } axis: 1 num_axes: 2", (2, 2, 6, 5)),
        ("shape { dim: 1 } axis: -1", (2, 3, 4, 5, 1)),
        ("shape { dim: 1 } axis: 1 num_axes: 0", (2, 1, 3, 4, 5)),
    ],
)
def test_reshape(settings: str, shape: tuple[int, ...]) -> None:
    """0 keeps a size, -1 is what remains, and axes outside the given ones stay."""
    found = run(layer("Reshape", f"reshape_param {{ {settings} }}"), PICTURES)
    assert np.array_equal(found, PICTURES.reshape(shape))


@given(st.permutations([1, 2, 3]), st.integers(0, 3))
def test_permute(order: list[int], given_: int) -> None:
    """The axes in another order; those that are not named follow in theirs."""
    named = [0, *order][: given_ + 1]
    whole = [*named, *(axis for axis in range(4) if axis not in named)]
    settings = " ".join(f"order: {axis}" for axis in named)
    found = run(layer("Permute", f"permute_param {{ {settings} }}"), PICTURES)
    assert np.array_equal(found, PICTURES.transpose(whole))


def largest(rows: Array, count: int) -> tuple[Array, Array]:
    """The places and values of the largest numbers of each row, of equal ones the last first."""
    places = np.array([sorted(range(len(row)), key=lambda i, row=row: (-row[i], -i))[:count] for row in rows])
    return places.astype(np.float32), np.take_along_axis(rows, places, axis=1)


@pytest.mark.parametrize("count", [1, 3])
def test_arg_max_of_a_picture(count: int) -> None:
    """Over all of a picture: places, or places and values."""
    rounded = np.round(PICTURES)  # so that many are equal
    places, values = largest(rounded.reshape(2, -1), count)
    found = run(layer("ArgMax", f"argmax_param {{ top_k: {count} }}"), rounded)
    assert np.array_equal(found, places.reshape(2, 1, count))
    found = run(layer("ArgMax", f"argmax_param {{ top_k: {count} out_max_val: true }}"), rounded)
    assert np.array_equal(found, np.stack([places, values], axis=1))


@pytest.mark.parametrize("axis", [1, 2, -1])
def test_arg_max_along_an_axis(axis: int) -> None:
    """Along one axis: places, or values."""
    rounded = np.round(PICTURES)
    rows = np.moveaxis(rounded, axis, -1)
    places, values = largest(rows.reshape(-1, rows.shape[-1]), 2)
    for settings, expected in (("", places), ("out_max_val: true", values)):
        found = run(layer("ArgMax", f"argmax_param {{ axis: {axis} top_k: 2 {settings} }}"), rounded)
        assert np.array_equal(found, np.moveaxis(expected.reshape(*rows.shape[:-1], 2), -1, axis))


@pytest.mark.parametrize(
    ("kind", "settings", "problem"),
    [
        ("Flatten", "flatten_param { axis: 0 }", "mix up pictures"),
        ("Flatten", "flatten_param { axis: 3 end_axis: 1 }", "lies behind"),
        ("Reshape", "reshape_param { shape { dim: 7 dim: -1 } }", "cannot make"),
        ("Reshape", "reshape_param { shape { dim: -1 dim: -1 } }", "cannot make"),
        ("Reshape", "reshape_param { shape { dim: 3 dim: 20 } }", "counts the pictures"),
        ("Reshape", "reshape_param { shape { dim: 0 dim: 0 dim: 0 dim: 0 dim: 0 } }", "cannot make"),
        ("Reshape", "reshape_param { shape { dim: 1 } axis: 9 }", "axis 9"),
        ("Reshape", "", "cannot make"),
        ("Permute", "permute_param { order: 1 order: 0 }", "the first must stay"),
        ("Permute", "permute_param { order: 0 order: 1 order: 1 }", "order [0, 1, 1"),
        ("ArgMax", "argmax_param { top_k: 61 }", "top_k is 61; expected 1 to 60"),
        ("ArgMax", "argmax_param { axis: 0 }", "mix up pictures"),
    ],
)
def test_what_cannot_be_computed_is_refused(kind: str, settings: str, problem: str) -> None:
    """The error names the layer."""
    with pytest.raises(GraphError, match=rf"'out' \({kind}\)") as raised:
        graph(layer(kind, settings), (3, 4, 5))
    assert problem in str(raised.value)
