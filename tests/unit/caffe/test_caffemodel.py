"""caffemodel: the blobs of weights files are read and written; what is damaged is refused."""

from __future__ import annotations

import contextlib

import numpy as np
import pytest
from caffe_writer import blob, caffemodel, field
from hypothesis import example, given
from hypothesis import strategies as st

from ddsim.caffe import BlobError, half_precision, read_blob, read_shapes, read_weights, write_weights


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
        (b"", "it is empty"),
        (b"<html>not found</html>", "it is a page of HTML"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "git lfs pull"),
        (b"PK\x03\x04" + bytes(20), "a zip archive"),
        (b"\x89HDF\r\n\x1a\n" + bytes(20), "an HDF5 file"),
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
@example(b"A\0\0\0\0\0\0\0H")  # a number of 64 bits that 32 do not hold
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    """No bytes end in another error than the one announced."""
    for read in (read_shapes, read_blob):
        with contextlib.suppress(BlobError):
            read(data)


def test_weights_come_back_with_their_numbers() -> None:
    """What is written is read again, every number and shape."""
    layers = {"conv": [np.arange(24, dtype=np.float32).reshape(2, 3, 2, 2), np.ones(2)], "schön": [np.array(3.0)]}
    found = read_weights(write_weights(layers))
    assert list(found) == list(layers)
    for name, blobs in layers.items():
        for one, other in zip(found[name], blobs, strict=True):
            assert one.dtype == np.float32
            assert np.array_equal(one, other)
            assert one.shape == np.shape(other)


def test_large_shapes_are_written() -> None:
    """Sizes of more than seven bits take more than one byte."""
    assert read_shapes(write_weights({"fc": [np.zeros((1000, 300))]})) == {"fc": [(1000, 300)]}


def test_a_layer_can_be_added_to_a_file() -> None:
    """Bytes of one layer behind those of a file are one more layer, behind an old file, too."""
    for legacy in (False, True):
        joined = caffemodel({"conv": [np.ones((2, 2, 1, 1))]}, legacy) + write_weights({"head": [np.ones((5, 2))]})
        assert list(read_shapes(joined)) == ["conv", "head"]


def test_double_precision_is_read() -> None:
    """Some files hold their numbers with 64 bits."""
    doubles = field(7, field(1, b"\x03")) + field(8, np.array([1.0, 2.0, 3.0]).tobytes())
    assert read_weights(field(100, field(1, b"a") + field(7, doubles)))["a"][0].tolist() == [1, 2, 3]


def test_numbers_of_16_bits_are_read_and_known() -> None:
    """NVIDIA's Caffe writes them; a server does not read them, so they are told apart."""
    values = np.array([0.5, -2.0, 3.25, 0.0], "<f2")
    shape = field(7, field(1, b"\x02") + field(1, b"\x02"))
    half = field(100, field(1, b"a") + field(7, shape + b"\x50\x02" + field(12, values.tobytes())))
    assert half_precision(half)
    assert read_weights(half)["a"][0].tolist() == [[0.5, -2.0], [3.25, 0.0]]
    assert not half_precision(write_weights(read_weights(half)))
    with pytest.raises(BlobError, match=r"16 bits \(FP16\)"):
        read_weights(field(100, field(1, b"a") + field(7, shape + field(5, values.tobytes()))))
