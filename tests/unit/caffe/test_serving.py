"""Definitions in the forms of model zoos become what a DeepDetect server runs, and what else a file is, is said."""

from __future__ import annotations

from pathlib import Path

import pytest

from ddsim.caffe import PrototxtError, check_served, for_server, read_definition, what_else

CASES = Path(__file__).parents[4] / "shared" / "cases" / "prototxt"
REST = """
layer { name: "conv" type: "Convolution" bottom: "data" top: "conv" convolution_param { num_output: 2 kernel_size: 3 } }
layer { name: "prob" type: "Softmax" bottom: "conv" top: "prob" }
"""
MEMORY = """name: "own"
layer { name: "data" type: "MemoryData" top: "data" top: "label"
  memory_data_param { batch_size: 1 channels: 3 height: 8 width: 9 } }
"""
INPUTS = {
    "input layer": 'layer { name: "data" type: "Input" top: "data" '
    "input_param { shape { dim: 10 dim: 3 dim: 8 dim: 9 } } }",
    "input_dim": 'input: "data" input_dim: 1 input_dim: 3 input_dim: 8 input_dim: 9',
    "input_shape": 'input: "data" input_shape { dim: 1 dim: 3 dim: 8 dim: 9 }',
}
TRAINING = """
layer { name: "data" type: "Data" top: "data" top: "label" include { phase: TRAIN }
  transform_param { crop_size: 8 mean_value: 104 mean_value: 117 mean_value: 124 } }
layer { name: "data" type: "Data" top: "data" top: "label" include { phase: TEST } transform_param { crop_size: 8 } }
layer { name: "conv" type: "Convolution" bottom: "data" top: "conv" convolution_param { num_output: 2 kernel_size: 3 } }
layer { name: "accuracy" type: "Accuracy" bottom: "conv" bottom: "label" top: "accuracy" include { phase: TEST } }
layer { name: "loss" type: "SoftmaxWithLoss" bottom: "conv" bottom: "label" top: "loss" }
"""


def test_a_servers_definition_stays_as_it_is() -> None:
    """Comments and all; nothing is said."""
    text = f"# für Möbel\r\n{MEMORY}{REST}"
    served = for_server(text.encode("latin-1"))
    assert served.changes == ()
    assert served.text.encode("utf-8", "surrogateescape") == text.encode("latin-1")
    assert check_served(read_definition(served.text)) is None


@pytest.mark.parametrize("form", INPUTS)
def test_an_input_layer_or_field_becomes_memory_data(form: str) -> None:
    """A server runs nothing else; the batch of the file does not matter."""
    content = (INPUTS[form] + REST).encode()
    assert "ddsim network export FILE FOLDER" in (check_served(read_definition(content.decode())) or "")
    served = for_server(content)
    found = read_definition(served.text)
    assert (found.head, found.input_shape, found.input_blob) == ("MemoryData", (3, 8, 9), "data")
    assert [layer.text("name") for layer in found.layers] == ["conv", "prob"]
    assert 'top: "label"' in served.text
    assert any("a MemoryData layer of 3 x 8 x 9" in change for change in served.changes)
    assert for_server(served.text.encode()).changes == ()


def test_a_byte_order_mark_is_left_out() -> None:
    """Windows' editors write one; here it is read over, on a server it is an error."""
    served = for_server(b"\xef\xbb\xbf" + (MEMORY + REST).encode())
    assert not served.text.startswith("\ufeff")
    assert served.changes == ("the byte order mark at its beginning is left out",)
    assert read_definition("\ufeff" + MEMORY + REST).input_shape == (3, 8, 9)


def test_layers_of_the_old_form_are_written_as_those_of_today() -> None:
    """Their types had other names."""
    old = (MEMORY + REST).replace("layer {", "layers {").replace('"MemoryData"', "MEMORY_DATA")
    old = old.replace('"Convolution"', "CONVOLUTION").replace('"Softmax"', "SOFTMAX")
    served = for_server(old.encode())
    assert "layers {" not in served.text
    assert [layer.text("type") for layer in read_definition(served.text).layers] == ["Convolution", "Softmax"]


def test_a_definition_for_training_becomes_one_for_a_server() -> None:
    """The loss becomes the probabilities it was made of; the mean goes into the configuration."""
    served = for_server(TRAINING.encode())
    found = read_definition(served.text)
    assert (found.head, found.input_shape) == ("MemoryData", (3, 8, 8))
    assert [layer.text("type") for layer in found.layers] == ["Convolution", "Softmax"]
    with pytest.raises(PrototxtError, match="ddsim network export FILE FOLDER"):
        read_definition(TRAINING)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (MEMORY + 'layer { name: "py" type: "Python" bottom: "data" top: "py" }' + REST, "'py' take 'data' instead"),
        (TRAINING.replace("crop_size: 8", ""), "write a MemoryData layer in its place"),
        ("<!DOCTYPE html><html>Sign in</html>", "it is a page of HTML"),
        ("version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 9\n", "a Git LFS pointer.*git lfs pull"),
        ("", "it is empty"),
        ("layer {", "the file ends before"),
    ],
)
def test_what_no_server_runs_is_named_with_what_to_do(text: str, words: str) -> None:
    """Nothing is written then."""
    with pytest.raises(PrototxtError, match=words):
        for_server(text.encode())


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "empty"),
        (b"\x1f\x8b\x08", "gzip"),
        (b"PK\x03\x04", "zip"),
        (b"\n <HTML><body>", "HTML"),
        (b"\x80\x02}", "pickle"),
    ],
)
def test_files_that_are_something_else_are_recognised(content: bytes, words: str) -> None:
    """By their first bytes, whatever their names."""
    assert words in (what_else(content) or "")
    assert what_else(MEMORY.encode()) is None


@pytest.mark.skipif(not CASES.is_dir(), reason=f"{CASES} is not there")
@pytest.mark.parametrize(
    "name",
    [
        *("bom", "crlf", "input-batch10", "input-dim", "input-layer", "input-shape", "latin1-comment", "memory"),
        *("train_val", "v1"),
    ],
)
def test_the_forms_of_the_field_become_the_same_network(name: str) -> None:
    """Ten spellings of one network."""
    wanted = read_definition((CASES / "memory.prototxt").read_text("utf-8"))
    found = read_definition(for_server((CASES / f"{name}.prototxt").read_bytes()).text)
    assert (found.head, found.input_shape) == ("MemoryData", wanted.input_shape)
    assert [layer.text("name") for layer in found.layers] == [layer.text("name") for layer in wanted.layers]
