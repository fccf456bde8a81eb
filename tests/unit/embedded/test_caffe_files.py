"""prototxt, blobs, definition: what is read from Caffe's files, and what is refused."""

from __future__ import annotations

import contextlib

import numpy as np
import pytest
from caffe_writer import blob, caffemodel, field
from hypothesis import given
from hypothesis import strategies as st

from ddsim.embedded.blobs import BlobError, read_blob, read_shapes
from ddsim.embedded.definition import read_definition
from ddsim.embedded.prototxt import Message, PrototxtError, parse, to_text

MEMORY = 'layer { name: "in" type: "MemoryData" top: "data" top: "label" memory_data_param { %s } %s }'
SIZES = "batch_size: 4 channels: 3 height: 5 width: 7"
RELU = 'layer { name: "relu" type: "ReLU" bottom: "data" top: "out" }'


def memory(sizes: str = SIZES, extra: str = "") -> str:
    """A MemoryData head."""
    return MEMORY % (sizes, extra)


def test_every_way_of_writing_a_field_is_read() -> None:
    """Colon or none before a brace, angle brackets, lists, separators, comments and split strings mean the same."""
    text = """# first
    a: 1 b: -2.5e3, c { d: "x # no comment" 'y\\'z' } ; e: { f: TRUE } g < h: [1, 2 , 3] >  # last"""
    net = parse(text)
    assert net.integers("a") == [1]
    assert net.floats("b") == [-2500.0]
    assert net.messages("c")[0].text("d") == "x # no commenty'z"
    assert net.messages("e")[0].text("f") == "TRUE"
    assert net.messages("g")[0].integers("h") == [1, 2, 3]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("a", "line 1: expected ':' or '{' after 'a'"),
        ("\n\na:", "line 3: expected a value for 'a'"),
        ("a: }", "line 1: expected a value for 'a', found '}'"),
        ("a {", "ends before 1 closing"),
        ("a { >", "'>' closes nothing"),
        ("}", "'}' closes nothing"),
        ("a: [1, 2", "expected a value"),
        ('# "\na: "x', "line 2: cannot read '\"x'"),
        ("a: 1 @", "cannot read '@'"),
        (": 1", "expected a key"),
        ("a {" * 200, "more than 100 messages"),
    ],
)
def test_unreadable_definition_names_its_line(text: str, problem: str) -> None:
    """A definition that is not protobuf text is an error that says where and why."""
    with pytest.raises(PrototxtError) as raised:
        parse(text)
    assert problem in str(raised.value)


VALUES = st.one_of(st.integers().map(str), st.sampled_from(["true", "MAX", '"a b"', "'c'", '"\\""', "1e-3"]))
MESSAGES = st.recursive(
    st.builds(Message, st.lists(st.tuples(st.sampled_from("abc"), VALUES), max_size=3)),
    lambda inner: st.builds(Message, st.lists(st.tuples(st.sampled_from("abc"), st.one_of(VALUES, inner)), max_size=3)),
    max_leaves=8,
)


@given(MESSAGES)
def test_what_is_written_is_read_again(message: Message) -> None:
    """Writing and reading a tree gives the same tree."""
    assert parse(to_text(message)) == message


@given(st.text(alphabet="ab1:{}<>[]\"'#,; \n", max_size=30))
def test_any_text_is_read_or_refused(text: str) -> None:
    """No text ends in another error than the one announced."""
    with contextlib.suppress(PrototxtError):
        parse(text)


def test_memory_data_head_becomes_an_input_field() -> None:
    """The head's name, first top and sizes are kept; OpenCV is given an input of that name and shape."""
    definition = read_definition(memory() + RELU)
    assert (definition.head, definition.input_layer, definition.input_blob) == ("MemoryData", "in", "data")
    assert definition.input_shape == (3, 5, 7)
    assert definition.names == ("in", "relu")
    net = parse(definition.runnable())
    assert net.text("input") == "data"
    assert net.messages("input_shape")[0].integers("dim") == [1, 3, 5, 7]
    assert [layer.text("name") for layer in net.messages("layer")] == ["relu"]


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
        ('layers { name: "x" type: DATA }', "upgrade_net_proto_text"),
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
    """What describes no network for pictures, or would end OpenCV's process, is an error that names it."""
    with pytest.raises(PrototxtError) as raised:
        read_definition(text)
    assert problem in str(raised.value)


@pytest.mark.parametrize("legacy", [False, True])
def test_shapes_of_weights_are_read(legacy: bool) -> None:
    """Names and shapes are found in files of today and in those from before 2015."""
    shapes = read_shapes(caffemodel({"conv": [np.zeros((2, 3, 5, 5)), np.zeros(2)], "relu": []}, legacy))
    assert shapes == {"conv": [(2, 3, 5, 5), (1, 1, 1, 2) if legacy else (2,)]}


def test_blob_keeps_its_numbers() -> None:
    """A blob's values and shape are read, single or double precision."""
    values = np.arange(6, dtype=np.float32).reshape(1, 2, 3)
    assert np.array_equal(read_blob(blob(values)), values)
    assert read_blob(blob(values, legacy=True)).shape == (1, 1, 2, 3)
    doubles = field(7, field(1, b"\x06")) + field(8, values.astype(np.float64).tobytes())
    assert np.array_equal(read_blob(doubles), values.ravel())


def test_every_truncation_of_weights_is_refused() -> None:
    """A cut-off file never passes for a smaller one, unless it ends between two layers."""
    whole = caffemodel({"a": [np.ones(3)]})
    for length in range(len(whole)):
        with pytest.raises(BlobError):
            read_shapes(whole[:length])


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (b"", "no layer with weights"),
        (b"<html>not found</html>", "not a protobuf file"),
        (b"\xff" * 20, "not a protobuf file"),
        (field(100, field(1, b"a") + field(7, field(7, field(1, b"\x04")) + field(5, b"\0" * 8))), "holds 2 numbers"),
    ],
)
def test_damaged_weights_say_what_is_wrong(data: bytes, problem: str) -> None:
    """Files that are no weights, and blobs that lack numbers, are errors."""
    with pytest.raises(BlobError) as raised:
        read_shapes(data)
    assert problem in str(raised.value)


@given(st.binary(max_size=60))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    """No bytes end in another error than the one announced."""
    for read in (read_shapes, read_blob):
        with contextlib.suppress(BlobError):
            read(data)
