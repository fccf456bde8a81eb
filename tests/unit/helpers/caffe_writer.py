"""Small Caffe files for tests, written byte by byte."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike


def varint(number: int) -> bytes:
    """Protobuf's integers: seven bits a byte, the lowest first."""
    written = b""
    while number > 0x7F:
        written += bytes([number & 0x7F | 0x80])
        number >>= 7
    return written + bytes([number])


def field(number: int, content: bytes) -> bytes:
    """A field that holds bytes."""
    return varint(number << 3 | 2) + varint(len(content)) + content


def blob(values: ArrayLike, legacy: bool = False) -> bytes:
    """A BlobProto; ``legacy`` writes its shape as num, channels, height, width."""
    array = np.asarray(values, np.float32)
    data = field(5, array.tobytes())
    if legacy:
        shape = (1, 1, 1, 1, *array.shape)[-4:]
        return b"".join(varint(i + 1 << 3) + varint(size) for i, size in enumerate(shape)) + data
    return field(7, field(1, b"".join(varint(size) for size in array.shape))) + data


def caffemodel(layers: Mapping[str, Sequence[ArrayLike]], legacy: bool = False) -> bytes:
    """A NetParameter with the blobs of each layer; ``legacy`` writes it as files before 2015 are."""
    layer, name, blobs = (2, 4, 6) if legacy else (100, 1, 7)
    return b"".join(
        field(layer, field(name, key.encode()) + b"".join(field(blobs, blob(value, legacy)) for value in values))
        for key, values in layers.items()
    )


def write_network(folder: Path, definition: str, weights: bytes) -> tuple[Path, Path]:
    """Both files of a network."""
    paths = folder / "deploy.prototxt", folder / "net.caffemodel"
    paths[0].write_text(definition, "utf-8")
    paths[1].write_bytes(weights)
    return paths
