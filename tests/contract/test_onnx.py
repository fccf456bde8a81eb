"""Networks of ONNX files, which stand in the place of Torch's traced ones."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx_writer
import pytest
from numpy.typing import NDArray
from onnx_writer import node

from ddsim.embedded.files import NetworkError
from ddsim.embedded.onnx import OnnxNetwork

PICTURES = np.random.default_rng(0).uniform(0, 255, (5, 3, 32, 32)).astype(np.float32)


def loaded(folder: Path, content: bytes) -> OnnxNetwork:
    """A network of a file with this content."""
    return OnnxNetwork(onnx_writer.write(folder, content) / "net.onnx")


def convolved(
    pictures: NDArray[np.float32], weights: NDArray[np.float32], bias: NDArray[np.float32]
) -> NDArray[np.float32]:
    """A convolution whose stride is its size, written out."""
    side = weights.shape[2]
    tiles = pictures.reshape(len(pictures), 3, 32 // side, side, 32 // side, side)
    return np.einsum("ncyixj,ocij->noyx", tiles, weights) + bias[:, np.newaxis, np.newaxis]


def test_numbers_are_those_of_the_definition(tmp_path: Path) -> None:
    """A convolution gives what its definition says, whatever the number of pictures at a time."""
    network = loaded(tmp_path, onnx_writer.mapper())
    expected = convolved(PICTURES, *onnx_writer.mapper_weights())
    for batch in (1, 2, 100):
        np.testing.assert_allclose(network.forward(PICTURES, batch), expected, rtol=1e-4, atol=1e-3)
    assert network.parameters == 2 * 3 * 8 * 8 + 2


def test_first_output_counts(tmp_path: Path) -> None:
    """Of several outputs the first in the file's list is the network's, as of a tuple in Torch."""
    one, two = (loaded(tmp_path, onnx_writer.classifier(second_output=second)) for second in (False, True))
    np.testing.assert_array_equal(two.forward(PICTURES, 1), one.forward(PICTURES, 1))


def test_size_that_does_not_fit(tmp_path: Path) -> None:
    """Pictures of another size are an error where the network needs one, and the next ones are fine."""
    network = loaded(tmp_path, onnx_writer.classifier())
    expected = network.forward(PICTURES, 5)
    with pytest.raises(NetworkError, match="Expected: 32"):
        network.forward(PICTURES[:, :, :16, :16], 5)
    np.testing.assert_array_equal(network.forward(PICTURES, 5), expected)


def _renamed(old: bytes, new: bytes) -> bytes:
    return onnx_writer.classifier().replace(old, new)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "0 inputs and 0 outputs"),
        (b"not a network", "no ONNX file"),
        (onnx_writer.classifier()[:3000], "damaged"),
        (_renamed(b"Relu", b"Rel\xff"), "net.onnx"),
        (_renamed(b"Relu", b"Ruin"), "Ruin"),
        (_renamed(b"\x0a\x02c2", b"\x0a\x02c9"), "c9"),
        (_renamed(b"\x08\x10\x08\x08\x08\x03\x08\x03", b"\x08\x11\x08\x08\x08\x03\x08\x03"), "w2"),
        (onnx_writer.model([], {"w": None}, {"data": (1, 3)}, {"w": (1, 3)}), "'w' lie in another file"),
        (onnx_writer.model([], {}, {"data": (1, 3)}, {"out": (1, 3)}), "out"),
        (onnx_writer.model([node("Relu", ("a",), ("b",))], {}, {"a": (1,), "c": (1,)}, {"b": (1,)}), "2 inputs"),
    ],
)
def test_file_that_is_no_network(tmp_path: Path, content: bytes, reason: str) -> None:
    """A damaged or unusable file is an error that names it and says why, never a crash."""
    with pytest.raises(NetworkError, match=reason) as raised:
        loaded(tmp_path, content)
    assert str(tmp_path / "net.onnx") in str(raised.value)


def test_file_that_is_not_there(tmp_path: Path) -> None:
    """The error says so."""
    with pytest.raises(NetworkError, match="cannot be read"):
        OnnxNetwork(tmp_path / "net.onnx")
