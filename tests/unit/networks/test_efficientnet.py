"""EfficientNet-Lite written as Caffe files computes what its authors' network does."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tiny_efficientnet
from caffe_writer import write_network

from ddsim.caffe import layer_shapes, read_definition
from ddsim.embedded.network import Network
from ddsim.networks import FEATURES, centre_weighted
from ddsim.networks.efficientnet import efficientnet_layers
from ddsim.networks.layers import prototxt, weights_of

WEIGHTS = tiny_efficientnet.tensors()
LAYERS = efficientnet_layers(WEIGHTS, tiny_efficientnet.SIDE, tiny_efficientnet.REPEATS)
TEXT = prototxt("tiny", LAYERS)
PIXELS = np.random.default_rng(1).uniform(0, 255, (36, 36, 3)).astype(np.float32)


def run(folder: Path, text: str, layer: str | None) -> np.ndarray:
    """A layer's values for the picture, prepared as a server does: blue, green, red less the mean."""
    network = Network(*write_network(folder, text, weights_of(LAYERS)))
    return network.forward((PIXELS[:, :, ::-1].transpose(2, 0, 1) - 127)[np.newaxis], layer, 1)[0]


def test_features_are_the_average_of_the_last_map(tmp_path: Path) -> None:
    """Folded normalisation, TensorFlow's padding and the order of colours: all come to the same numbers."""
    expected = tiny_efficientnet.last_map(WEIGHTS, PIXELS).mean((1, 2))
    np.testing.assert_allclose(run(tmp_path, TEXT, FEATURES), expected, atol=1e-4)
    assert expected.std() > 0.1


def test_probabilities_come_from_the_features(tmp_path: Path) -> None:
    """The last layer is the network's own classifier."""
    scores = WEIGHTS["_fc.weight"] @ tiny_efficientnet.last_map(WEIGHTS, PIXELS).mean((1, 2)) + WEIGHTS["_fc.bias"]
    expected = np.exp(scores) / np.exp(scores).sum()
    np.testing.assert_allclose(run(tmp_path, TEXT, None), expected, atol=1e-6)


@pytest.mark.parametrize("power", [1.0, 2.0, 3.0])
def test_places_count_as_often_as_windows_cover_them(tmp_path: Path, power: float) -> None:
    """The derived layer gives the weighted mean, and its root; everything behind it gives what it gave."""
    last = tiny_efficientnet.last_map(WEIGHTS, PIXELS)
    assert last.shape == (12, 2, 2)
    derived = centre_weighted(TEXT, FEATURES, power)
    expected = (last**power).mean((1, 2)) ** (1 / power)
    np.testing.assert_allclose(run(tmp_path, derived, FEATURES), expected, atol=1e-4)
    np.testing.assert_allclose(run(tmp_path, derived, None), run(tmp_path, TEXT, None), atol=1e-6)


def test_shapes_are_those_that_the_network_has(tmp_path: Path) -> None:
    """Every layer's shape is known without running it."""
    network = Network(*write_network(tmp_path, TEXT, weights_of(LAYERS)))
    found = layer_shapes(read_definition(TEXT))
    assert [one.name for one in found] == list(network.layers)
    pixels = np.zeros((1, 3, 36, 36), np.float32)
    for one in found:
        assert one.shape is not None
        assert network.forward(pixels, one.name, 1).shape == (1, np.prod(one.shape))
    assert found[-3].shape == (12, 1, 1)
