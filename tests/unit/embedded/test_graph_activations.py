"""Layers that change each number by itself, as ONNX nodes: the numbers of OpenCV's DNN module, or of NumPy."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from layers import Array, agree, graph, layer, needs_opencv_4, numbers, run

from ddsim.embedded.graph import GraphError

SHAPES = st.tuples(st.integers(1, 3), st.integers(1, 5), st.integers(1, 5), st.integers(1, 5))


@needs_opencv_4
@given(
    SHAPES,
    st.sampled_from(
        [
            ("ReLU", ""),
            ("ReLU", "relu_param { negative_slope: 0.1 }"),
            ("ReLU6", ""),
            ("ELU", ""),
            ("ELU", "elu_param { alpha: 0.5 }"),
            ("Sigmoid", ""),
            ("TanH", ""),
            ("AbsVal", ""),
            ("BNLL", ""),
            ("Power", ""),
            ("Power", "power_param { power: 2 scale: 0.5 shift: 1 }"),
            ("Power", "power_param { power: 3 }"),
            ("Power", "power_param { scale: -2 shift: 3 }"),
            ("Exp", ""),
            ("Exp", "exp_param { base: 2 scale: 0.5 shift: 1 }"),
            ("Dropout", "dropout_param { dropout_ratio: 0.5 }"),
        ]
    ),
)
def test_activations(shape: tuple[int, ...], kind: tuple[str, str]) -> None:
    """Every kind that OpenCV has, on any shape."""
    agree(layer(*kind), 4 * numbers(0, *shape))


@pytest.mark.parametrize(
    ("kind", "settings", "expected"),
    [
        ("Log", "log_param { shift: 9 }", lambda x: np.log(x + 9)),
        ("Log", "log_param { base: 10 scale: 2 shift: 20 }", lambda x: np.log10(2 * x + 20)),
        ("Exp", "exp_param { base: -1 scale: 0.5 }", lambda x: np.exp(x / 2)),
        ("Power", "power_param { power: 0.5 shift: 9 }", lambda x: np.sqrt(x + 9)),
        ("Power", "power_param { power: 0 }", np.ones_like),
        ("BNLL", "", lambda x: np.log1p(np.exp(x))),
        ("ReLU6", "", lambda x: np.clip(x, 0, 6)),
    ],
)
def test_formulas(kind: str, settings: str, expected: Callable[[Array], Array]) -> None:
    """The formulas of Caffe's documentation."""
    pictures = numbers(0, 2, 3, 4, 5)
    np.testing.assert_allclose(run(layer(kind, settings), pictures), expected(pictures), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("shared", [False, True])
@pytest.mark.parametrize("flat", [False, True])
def test_learned_slopes(shared: bool, flat: bool) -> None:
    """One slope a channel or one for all, on pictures and on vectors."""
    pictures = numbers(0, 2, 3, 4, 5)
    taken = pictures.reshape(2, -1) if flat else pictures
    count = 1 if shared else taken.shape[1]
    slopes = numbers(1, count)
    layers = layer("Flatten", name="flat") if flat else ""
    layers += layer(
        "PReLU", f"prelu_param {{ channel_shared: {str(shared).lower()} }}", bottoms="flat" if flat else "data"
    )
    broadcast = slopes.reshape(-1, *[1] * (taken.ndim - 2))
    found = run(layers, pictures, {"out": [slopes]})
    np.testing.assert_allclose(found, np.where(taken > 0, taken, taken * broadcast), rtol=1e-5)


@pytest.mark.parametrize(
    ("kind", "settings", "problem"),
    [
        ("Log", "log_param { base: 1 }", "base is 1"),
        ("Exp", "exp_param { base: 0 }", "base is 0"),
        ("Exp", "exp_param { base: two }", "expected numbers"),
        ("PReLU", "", "has no weights"),
        ("ThisLayer", "", "does not know this type"),
    ],
)
def test_what_cannot_be_computed_is_refused(kind: str, settings: str, problem: str) -> None:
    """The error names the layer and its type."""
    with pytest.raises(GraphError, match=rf"'out' \({kind}\)") as raised:
        graph(layer(kind, settings), (3, 4, 4))
    assert problem in str(raised.value)


def test_two_inputs_are_refused() -> None:
    """What works on one blob is given one."""
    with pytest.raises(GraphError, match="takes 2 inputs"):
        graph(layer("ReLU", bottoms="data data"), (3, 4, 4))
