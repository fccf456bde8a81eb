"""A classifier of one's own on a network's features."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tiny_efficientnet
from caffe_writer import caffemodel as written
from caffe_writer import write_network

from ddsim.caffe import BlobError, PrototxtError, read_weights
from ddsim.caffe.protobuf import fields
from ddsim.embedded.network import Network
from ddsim.networks import FEATURES, centre_weighted, with_head
from ddsim.networks.efficientnet import efficientnet_layers
from ddsim.networks.layers import prototxt, weights_of

LAYERS = efficientnet_layers(tiny_efficientnet.tensors(), tiny_efficientnet.SIDE, tiny_efficientnet.REPEATS)
TEXT, WEIGHTS = prototxt("tiny", LAYERS), weights_of(LAYERS)
RANDOM = np.random.default_rng(2)
FACTORS, BIAS = RANDOM.normal(0, 1, (5, 12)), RANDOM.normal(0, 1, 5)


@pytest.mark.parametrize("text", [TEXT, centre_weighted(TEXT, FEATURES, 2.0)], ids=["plain", "centre"])
def test_the_head_classifies_the_features(tmp_path: Path, text: str) -> None:
    """Its probabilities are the softmax of a linear function of the layer's values; the features stay as they were."""
    definition, weights = with_head(text, WEIGHTS, FEATURES, FACTORS, BIAS)
    network = Network(*write_network(tmp_path, definition, weights))
    pictures = RANDOM.normal(0, 50, (2, 3, 36, 36)).astype(np.float32)
    features = network.forward(pictures, FEATURES, 2)
    scores = np.exp(features @ FACTORS.T + BIAS)
    np.testing.assert_allclose(network.forward(pictures, None, 2), scores / scores.sum(1, keepdims=True), atol=1e-5)
    assert network.classes == 5
    (tmp_path / "before").mkdir()
    before = Network(*write_network(tmp_path / "before", text, WEIGHTS))
    np.testing.assert_allclose(before.forward(pictures, FEATURES, 2), features, rtol=1e-5)


def test_weights_of_either_form_are_added_to(tmp_path: Path) -> None:
    """Files from before 2015 keep their form: Caffe does not read both in one."""
    for legacy in (False, True):
        weights = written({"fc": [np.ones((2, 12)), np.zeros(2)]}, legacy=legacy)
        _, added = with_head(TEXT, weights, FEATURES, FACTORS, BIAS)
        np.testing.assert_array_equal(read_weights(added)["head"][0], FACTORS.astype(np.float32))
        assert added.startswith(weights)
        assert {number for number, _ in fields(memoryview(added))} == {2 if legacy else 100}


def test_what_cannot_carry_a_head_is_refused() -> None:
    """A layer that is not there, a head on a head, and weights that are none."""
    with pytest.raises(PrototxtError, match="no layer 'pool9'"):
        with_head(TEXT, WEIGHTS, "pool9", FACTORS, BIAS)
    definition, weights = with_head(TEXT, WEIGHTS, FEATURES, FACTORS, BIAS)
    with pytest.raises(PrototxtError, match="called 'head'"):
        with_head(definition, weights, "head/prob", FACTORS, BIAS)
    with pytest.raises(BlobError, match="not a protobuf file"):
        with_head(TEXT, b"weights", FEATURES, FACTORS, BIAS)
