"""Caffe's binary files, as far as they are needed: layer names and blob shapes of a ``.caffemodel``, and single blobs.

It is seen to that nothing damaged reaches OpenCV, and that a wrong file is an error with a name.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from ddsim.embedded.protobuf import ProtobufError, fields, integers

# Field numbers of Caffe's schema. Files written before 2015 hold their layers in another field with other numbers.
_LAYER, _OLD_LAYER = 100, 2
_NAME_OF = {_LAYER: 1, _OLD_LAYER: 4}
_BLOBS_OF = {_LAYER: 7, _OLD_LAYER: 6}
_LEGACY_SHAPE = (1, 2, 3, 4)
_DATA, _SHAPE, _DOUBLE_DATA = 5, 7, 8
_DIM = 1

Shape = tuple[int, ...]

#: A binary file of Caffe is damaged, cut off or something else; the message says what is wrong.
BlobError = ProtobufError


def read_shapes(data: bytes) -> dict[str, list[Shape]]:
    """The blob shapes of each layer that has any.

    Args:
        data: a ``.caffemodel``.

    Returns:
        layer name -> shapes of its blobs; of two layers with one name the first, which is the one OpenCV takes.

    Raises:
        BlobError: the file is damaged, or holds no weights at all.
    """
    found: dict[str, list[Shape]] = {}
    for number, layer in fields(memoryview(data)):
        if number not in _NAME_OF or not isinstance(layer, memoryview):
            continue
        name, shapes = "", []
        for part, value in fields(layer):
            if part == _NAME_OF[number] and isinstance(value, memoryview):
                name = bytes(value).decode("utf-8", "surrogateescape")
            elif part == _BLOBS_OF[number] and isinstance(value, memoryview):
                shapes.append(_read(value)[0])
        if shapes:
            found.setdefault(name, shapes)
    if not found:
        raise BlobError("it holds no layer with weights")
    return found


def read_blob(data: bytes) -> NDArray[np.float32]:
    """One blob with its numbers, such as ``mean.binaryproto``.

    Raises:
        BlobError: the file is damaged, or is no blob.
    """
    shape, parts, kind = _read(memoryview(data))
    if not parts:
        raise BlobError("it holds no numbers")
    return np.frombuffer(b"".join(parts), kind).astype(np.float32).reshape(shape)


def _read(blob: memoryview) -> tuple[Shape, list[memoryview], str]:
    """Shape, numbers and their numpy type; checks that these agree."""
    legacy: dict[int, int] = {}
    shape: Shape | None = None
    numbers: dict[int, list[memoryview]] = {_DATA: [], _DOUBLE_DATA: []}
    for number, value in fields(blob):
        if number in _LEGACY_SHAPE and isinstance(value, int):
            legacy[number] = value
        elif number == _SHAPE and isinstance(value, memoryview):
            shape = tuple(integers(value, _DIM))
        elif number in numbers and isinstance(value, memoryview):
            numbers[number].append(value)
    if legacy:
        # Caffe prefers the old four numbers where both are there.
        shape = tuple(legacy.get(number, 0) for number in _LEGACY_SHAPE)
    kind, parts = ("<f4", numbers[_DATA]) if numbers[_DATA] else ("<f8", numbers[_DOUBLE_DATA])
    count = sum(len(part) for part in parts) / np.dtype(kind).itemsize
    if math.prod(shape or ()) != count:
        raise BlobError(f"a blob of shape {list(shape or ())} holds {count:g} numbers")
    return shape or (), parts, kind
