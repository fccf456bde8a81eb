"""Runs a few layers of Caffe's, as the embedded server does and as OpenCV's DNN module does."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import cv2
import numpy as np
import pytest
from caffe_writer import caffemodel
from numpy.typing import ArrayLike, NDArray

from ddsim.caffe import Weights, read_definition, read_weights
from ddsim.embedded.graph import Graph
from ddsim.embedded.runtime import Hardware, Session

Array = NDArray[np.float32]

needs_opencv_4 = pytest.mark.skipif(
    not hasattr(cv2.dnn, "readNetFromCaffe"), reason="OpenCV from 5 on reads no Caffe networks to compare with"
)
_NOTHING: Mapping[str, Sequence[ArrayLike]] = {}


def numbers(seed: int, *shape: int) -> Array:
    """Random numbers, the same for the same seed."""
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def layer(kind: str, settings: str = "", bottoms: str = "data", name: str = "out", tops: str = "") -> str:
    """A layer's definition; `bottoms` and `tops` in a row with spaces between, by default one top of its name."""
    ends = [f'bottom: "{one}"' for one in bottoms.split()] + [f'top: "{one}"' for one in (tops or name).split()]
    return f'layer {{ name: "{name}" type: "{kind}" {" ".join(ends)} {settings} }}'


def definition(layers: str, shape: Sequence[int]) -> str:
    """A definition whose input is called `data`."""
    dims = " ".join(f"dim: {size}" for size in (1, *shape))
    return f'input: "data" input_shape {{ {dims} }} {layers}'


def graph(layers: str, shape: Sequence[int], weights: Mapping[str, Sequence[ArrayLike]] = _NOTHING) -> Graph:
    """The graph of these layers over pictures of that shape."""
    blobs: Weights = read_weights(caffemodel(weights)) if weights else {}
    return Graph(read_definition(definition(layers, shape)), blobs)


def run(
    layers: str, pictures: Array, weights: Mapping[str, Sequence[ArrayLike]] = _NOTHING, name: str = "out"
) -> Array:
    """What the embedded server computes for a layer: (n, ...), of the shape that it has foretold."""
    built = graph(layers, pictures.shape[1:], weights)
    model = built.model([name])
    (found,) = Session(model.proto, Hardware(threads=1), model.weights).run([model.outputs[name]], pictures)
    assert len(found) == len(pictures)
    assert built.widths[name] == found[0].size
    return found


def by_opencv(
    layers: str, pictures: Array, weights: Mapping[str, Sequence[ArrayLike]] = _NOTHING, name: str = "out"
) -> Array:
    """What OpenCV computes for it."""
    text = definition(layers, pictures.shape[1:]).encode()
    net = cv2.dnn.readNetFromCaffe(np.frombuffer(text, np.uint8), np.frombuffer(caffemodel(weights), np.uint8))
    net.enableFusion(False)
    net.setInput(pictures)
    return np.array(net.forward(name))


def agree(
    layers: str, pictures: Array, weights: Mapping[str, Sequence[ArrayLike]] = _NOTHING, name: str = "out"
) -> None:
    """Both compute the same."""
    found, expected = run(layers, pictures, weights, name), by_opencv(layers, pictures, weights, name)
    assert found.reshape(len(found), -1).shape == expected.reshape(len(found), -1).shape
    np.testing.assert_allclose(found.ravel(), expected.ravel(), rtol=1e-4, atol=1e-4)
