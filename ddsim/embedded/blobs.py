"""Caffe's binary files, as far as they are needed: layer names and blob shapes of a ``.caffemodel``, and single blobs.

A reader of protobuf's wire format that skips what it does not know. It sees to it that nothing damaged reaches
OpenCV, and that a wrong file is an error with a name.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5

# Field numbers of Caffe's schema. Files written before 2015 hold their layers in another field with other numbers.
_LAYER, _OLD_LAYER = 100, 2
_NAME_OF = {_LAYER: 1, _OLD_LAYER: 4}
_BLOBS_OF = {_LAYER: 7, _OLD_LAYER: 6}
_LEGACY_SHAPE = (1, 2, 3, 4)
_DATA, _SHAPE, _DOUBLE_DATA = 5, 7, 8
_DIM = 1

Shape = tuple[int, ...]
_Value = int | memoryview


class BlobError(ValueError):
    """A binary file of Caffe is damaged, cut off or something else; the message says what is wrong."""


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
    for number, layer in _fields(memoryview(data)):
        if number not in _NAME_OF or not isinstance(layer, memoryview):
            continue
        name, shapes = "", []
        for part, value in _fields(layer):
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
    for number, value in _fields(blob):
        if number in _LEGACY_SHAPE and isinstance(value, int):
            legacy[number] = value
        elif number == _SHAPE and isinstance(value, memoryview):
            shape = tuple(_dims(value))
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


def _dims(shape: memoryview) -> Iterator[int]:
    for number, value in _fields(shape):
        if number == _DIM and isinstance(value, int):
            yield value
        elif number == _DIM and isinstance(value, memoryview):
            position = 0
            while position < len(value):
                dim, position = _varint(value, position)
                yield dim


def _fields(data: memoryview) -> Iterator[tuple[int, _Value]]:
    """(field number, value) of a message; a value is an integer or the bytes of anything else."""
    position = 0
    while position < len(data):
        key, position = _varint(data, position)
        number, kind = key >> 3, key & 7
        if kind == _VARINT:
            value, position = _varint(data, position)
            yield number, value
            continue
        if kind == _BYTES:
            size, position = _varint(data, position)
        elif kind in {_FIXED32, _FIXED64}:
            size = 4 if kind == _FIXED32 else 8
        else:
            raise BlobError(f"it is not a protobuf file (wire type {kind})")
        if number == 0 or size > len(data) - position:
            raise BlobError("it is cut off or damaged" if number else "it is not a protobuf file (field 0)")
        yield number, data[position : position + size]
        position += size


def _varint(data: memoryview, position: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        if position >= len(data):
            raise BlobError("it is cut off or damaged")
        byte = data[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, position
    raise BlobError("it is not a protobuf file (a number of more than 64 bits)")
