"""upgrade: definitions from before 2014 become those of today."""

from __future__ import annotations

import pytest

from ddsim.caffe import PrototxtError, parse, to_text, upgraded

OLD = """
name: "old" input: "data"
layers { name: "conv1" type: CONVOLUTION bottom: "data" top: "conv1" blobs_lr: 1 blobs_lr: 2 weight_decay: 1
         convolution_param { num_output: 4 kernel_size: 3 } }
layers { name: "relu1" type: RELU bottom: "conv1" top: "conv1" }
layers { name: "loss" type: SOFTMAX_LOSS bottom: "conv1" bottom: "label" include { phase: TRAIN } }
"""
NEW = """
name: "old" input: "data"
layer { name: "conv1" bottom: "data" top: "conv1" convolution_param { num_output: 4 kernel_size: 3 }
        type: "Convolution" }
layer { name: "relu1" bottom: "conv1" top: "conv1" type: "ReLU" }
layer { name: "loss" bottom: "conv1" bottom: "label" include { phase: TRAIN } type: "SoftmaxWithLoss" }
"""


def test_old_layers_become_new_ones() -> None:
    """Types are spelt out, everything for training alone goes, the rest stays in its order."""
    assert to_text(upgraded(parse(OLD))) == to_text(parse(NEW))


def test_a_definition_of_today_stays_as_it_is() -> None:
    """Nothing is touched where nothing is old."""
    net = parse(NEW)
    assert upgraded(net) is net


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("INNER_PRODUCT", "InnerProduct"),
        ("LRN", "LRN"),
        ("TANH", "TanH"),
        ("ABSVAL", "AbsVal"),
        ("MEMORY_DATA", "MemoryData"),
        ("ARGMAX", "ArgMax"),
        ("HDF5_DATA", "HDF5Data"),
    ],
)
def test_types_are_called_as_today(old: str, new: str) -> None:
    """Capitals and underscores become the names that Caffe has had since."""
    assert upgraded(parse(f"layers {{ type: {old} }}")).messages("layer")[0].text("type") == new


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ('layers { name: "x" type: NO_SUCH }', "layer 'x': Caffe's old format has no type 'NO_SUCH'"),
        ('layers { layer { name: "conv1" type: "conv" } }', "oldest format"),
        ("layers { type: RELU } layer { }", "both"),
    ],
)
def test_what_is_older_or_mixed_is_refused(text: str, problem: str) -> None:
    """What cannot be understood for certain is an error that says why."""
    with pytest.raises(PrototxtError) as raised:
        upgraded(parse(text))
    assert problem in str(raised.value)
