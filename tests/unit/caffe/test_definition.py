"""definition: what a deploy.prototxt says of a network for pictures, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest

from ddsim.caffe import PrototxtError, read_definition

MEMORY = 'layer { name: "in" type: "MemoryData" top: "data" top: "label" memory_data_param { %s } %s }'
SIZES = "batch_size: 4 channels: 3 height: 5 width: 7"
RELU = 'layer { name: "relu" type: "ReLU" bottom: "data" top: "out" }'


def memory(sizes: str = SIZES, extra: str = "") -> str:
    """A MemoryData head."""
    return MEMORY % (sizes, extra)


def test_memory_data_head_is_read() -> None:
    """The head's name, first top and sizes are kept."""
    definition = read_definition(memory() + RELU)
    assert (definition.head, definition.input_layer, definition.input_blob) == ("MemoryData", "in", "data")
    assert definition.input_shape == (3, 5, 7)
    assert definition.names == ("in", "relu")
    assert [layer.text("name") for layer in definition.layers] == ["relu"]


@pytest.mark.parametrize(
    ("text", "head", "layer"),
    [
        ('layer { name: "x" type: "Input" top: "data" input_param { shape { dim: [1, 3, 5, 7] } } }', "Input", "x"),
        ('input: "data" input_dim: 1 input_dim: 3 input_dim: 5 input_dim: 7', "input", "input"),
        ('input: "data" input_shape { dim: 1 dim: 3 dim: 5 dim: 7 }', "input", "input"),
    ],
)
def test_other_heads_are_told_apart(text: str, head: str, layer: str) -> None:
    """Input layers and input fields are read like MemoryData, and named for what they are."""
    definition = read_definition(f"{text}\n{RELU}")
    assert (definition.head, definition.input_layer, definition.input_shape) == (head, layer, (3, 5, 7))


def test_layers_of_training_and_losses_are_left_out() -> None:
    """What is for TRAIN or a stage only, and what needs true labels, has no place in a prediction."""
    rest = """
      layer { name: "both" type: "ReLU" bottom: "data" top: "both" include { phase: TRAIN } include { phase: TEST } }
      layer { name: "train" type: "Dropout" bottom: "both" top: "both" include { phase: TRAIN } }
      layer { name: "staged" type: "ReLU" bottom: "both" top: "both" include { stage: "special" } }
      layer { name: "not" type: "ReLU" bottom: "both" top: "both" exclude { phase: TEST } }
      layer { name: "kept" type: "Softmax" bottom: "both" top: "kept" exclude { phase: TRAIN } }
      layer { name: "quiet" type: "Silence" bottom: "both" }
      layer { name: "loss" type: "SoftmaxWithLoss" bottom: "both" bottom: "label" top: "loss" }
      layer { name: "after" type: "Power" bottom: "loss" top: "after" }"""
    assert read_definition(memory() + rest).names == ("in", "both", "kept")


def test_transform_of_the_head_is_applied() -> None:
    """A head's own mean_value and scale act on the pictures: first the mean, then the scale."""
    transform = "transform_param { mean_value: 1 mean_value: 2 mean_value: 3 scale: 0.5 }"
    definition = read_definition(memory(extra=transform) + RELU)
    result = definition.transformed(np.full((1, 3, 5, 7), 11, np.float32))
    assert result[0, :, 0, 0].tolist() == [5.0, 4.5, 4.0]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "no layers"),
        ('layers { name: "x" type: DATA }', "first layer is of type 'Data'"),
        ('layer { name: "x" type: "Data" top: "data" }', "type 'Data'"),
        (memory("channels: 3 height: 5") + RELU, "the input's shape is [[1, 3, 5]]"),
        (memory("channels: 3 height: 5 width: 0") + RELU, "width is 0"),
        (memory("channels: three height: 5 width: 7") + RELU, "expected integers"),
        (memory(extra="transform_param { crop_size: 3 }") + RELU, "crop_size"),
        (memory(extra="transform_param { mean_value: 1 mean_value: 2 }") + RELU, "2 mean_value for 3 channels"),
        ('input: "a" input: "b" input_dim: 1 input_dim: 3 input_dim: 5 input_dim: 7', "takes 2 inputs"),
        ('input: "a" input_dim: 1', "the input's shape is [[1]]"),
        (memory() + RELU + RELU, "two layers are named 'relu'"),
        (memory() + 'layer { type: "ReLU" bottom: "data" top: "out" }', "layer 2 has no name"),
        (memory() + 'layer { name: "r" type: "Scale" top: "out" }', "layer 'r' has no bottom"),
        (memory() + 'layer { name: "r" type: "Scale" bottom: "data" }', "layer 'r' has no top"),
        (memory() + 'layer { name: "c" type: "Convolution" convolution_param { group: 0 } }', "layer 'c': group is 0"),
        (memory() + 'layer { name: "p" type: "Pooling" pooling_param { pad: -1 } }', "layer 'p': pad is -1"),
    ],
)
def test_unusable_definition_is_refused(text: str, problem: str) -> None:
    """What describes no network for pictures, or a number that Caffe refuses is an error that names it."""
    with pytest.raises(PrototxtError) as raised:
        read_definition(text)
    assert problem in str(raised.value)
