"""Definitions with centre-weighted pooling, and layers' shapes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from caffe_writer import caffemodel, write_network

from ddsim.caffe.prototxt import PrototxtError
from ddsim.embedded.network import Network
from ddsim.networks import centre_weighted

HEAD = """
layer { name: "data" type: "MemoryData" top: "data" top: "label"
        memory_data_param { batch_size: 1 channels: 2 height: %d width: %d } }
layer { name: "relu" type: "ReLU" bottom: "data" top: "map" }
"""
TAIL = """
layer { name: "pool" type: "Pooling" bottom: "map" top: "pooled" pooling_param { pool: AVE global_pooling: true } }
layer { name: "fc" type: "InnerProduct" bottom: "pooled" top: "fc" inner_product_param { num_output: 3 } }
"""
WEIGHTS = caffemodel({"fc": [np.ones((3, 2)), np.zeros(3)]})


def coverage(side: int) -> np.ndarray:
    """How many windows of half the size cover each place of a line."""
    size = (side + 1) // 2
    count = np.zeros(side)
    for start in range(side - size + 1):
        count[start : start + size] += 1
    return count


@pytest.mark.parametrize("sides", [(7, 7), (9, 9), (8, 8), (2, 2), (5, 8)])
@pytest.mark.parametrize("layer", ["pool", "relu"])
def test_the_middle_counts_most(tmp_path: Path, sides: tuple[int, int], layer: str) -> None:
    """Whatever the map's size, and whether the layer pools the map or gives it: a weighted average."""
    values = np.random.default_rng(0).uniform(0, 1, (1, 2, *sides)).astype(np.float32)
    derived = centre_weighted(HEAD % sides + TAIL, layer)
    found = Network(*write_network(tmp_path, derived, WEIGHTS)).forward(values, layer, 1)
    weights = np.outer(*map(coverage, sides))
    expected = (values * weights).sum((2, 3)) / weights.sum()
    np.testing.assert_allclose(found, expected, rtol=1e-5)
    assert weights[sides[0] // 2, sides[1] // 2] == weights.max()


def test_negative_values_do_not_spoil_an_odd_power(tmp_path: Path) -> None:
    """They count as nothing, where their root would be no number."""
    text = HEAD.replace('type: "ReLU"', 'type: "Power"') % (4, 4) + TAIL
    values = np.full((1, 2, 4, 4), -1, np.float32)
    values[0, 1] = 2
    found = Network(*write_network(tmp_path, centre_weighted(text, "pool", 3), WEIGHTS)).forward(values, "pool", 1)
    np.testing.assert_allclose(found, [[0, 2]], rtol=1e-5)


@pytest.mark.parametrize(
    ("layer", "said"),
    [
        ("pol", "no layer 'pol'"),
        ("fc", r"'fc' \(InnerProduct\) has no map"),
        ("data", "no layer 'data'"),
    ],
)
def test_layers_that_have_no_map_are_refused(layer: str, said: str) -> None:
    """The message names the layer and says which one to name."""
    with pytest.raises(PrototxtError, match=said):
        centre_weighted(HEAD % (7, 7) + TAIL, layer)


def test_a_map_of_one_place_is_refused() -> None:
    """There is no middle to it."""
    with pytest.raises(PrototxtError, match="no map of 2 x 2 or more, but values of shape 2 x 1 x 1"):
        centre_weighted(HEAD % (1, 1) + TAIL, "pool")
