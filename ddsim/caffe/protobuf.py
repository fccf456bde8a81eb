"""Protobuf's wire format, as far as the files of networks need it.

The reader skips what it does not know; the writer knows fields that hold bytes, and lists of integers.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from ddsim.errors import DDSimError

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5

Value = int | memoryview


class ProtobufError(DDSimError, ValueError):
    """A file is damaged, cut off or something else; the message says what is wrong."""


def fields(data: memoryview) -> Iterator[tuple[int, Value]]:
    """(field number, value) of a message; a value is an integer or the bytes of anything else.

    Raises:
        ProtobufError: the bytes are no message.
    """
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
            raise ProtobufError(f"it is not a protobuf file (wire type {kind})")
        if number == 0 or size > len(data) - position:
            raise ProtobufError("it is cut off or damaged" if number else "it is not a protobuf file (field 0)")
        yield number, data[position : position + size]
        position += size


def integers(message: memoryview, wanted: int) -> Iterator[int]:
    """The integers of a repeated field, packed or not.

    Raises:
        ProtobufError: the bytes are no message.
    """
    for number, value in fields(message):
        if number != wanted:
            continue
        if isinstance(value, int):
            yield value
            continue
        position = 0
        while position < len(value):
            found, position = _varint(value, position)
            yield found


def written(number: int, content: bytes) -> bytes:
    """A field that holds bytes: a string, a message or packed numbers."""
    return b"".join((_written_varint(number << 3 | _BYTES), _written_varint(len(content)), content))


def written_integers(number: int, values: Iterable[int]) -> bytes:
    """A repeated field of integers of 0 and above, packed."""
    return written(number, b"".join(_written_varint(value) for value in values))


def _written_varint(number: int) -> bytes:
    parts = bytearray()
    while number > 0x7F:
        parts.append(number & 0x7F | 0x80)
        number >>= 7
    parts.append(number)
    return bytes(parts)


def _varint(data: memoryview, position: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        if position >= len(data):
            raise ProtobufError("it is cut off or damaged")
        byte = data[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, position
    raise ProtobufError("it is not a protobuf file (a number of more than 64 bits)")
