"""Caffe's binary files: the blobs of a ``.caffemodel``, read and written, and single blobs.

A file that is damaged or something else is an error with a name.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ddsim.caffe.protobuf import ProtobufError, fields, integers, written, written_integers
from ddsim.caffe.recognise import what_else

# Field numbers of Caffe's schema. Files written before 2015 hold their layers in another field with other numbers.
_LAYER, _OLD_LAYER = 100, 2
_NAME_OF = {_LAYER: 1, _OLD_LAYER: 4}
_BLOBS_OF = {_LAYER: 7, _OLD_LAYER: 6}
_LEGACY_SHAPE = (1, 2, 3, 4)
_DATA, _SHAPE, _DOUBLE_DATA = 5, 7, 8
# NVIDIA's Caffe writes numbers of other kinds as bytes.
_RAW_KIND, _RAW_DATA = 10, 12
_RAW_KINDS = {0: "<f8", 1: "<f4", 2: "<f2"}
_HALF = "<f2"
_DIM = 1

Shape = tuple[int, ...]
Weights = dict[str, list[NDArray[np.float32]]]

#: A binary file of Caffe is damaged, cut off or something else; the message says what is wrong.
BlobError = ProtobufError


def read_shapes(data: bytes) -> dict[str, list[Shape]]:
    """The blob shapes of each layer that has any.

    Args:
        data: a ``.caffemodel``.

    Returns:
        layer name -> shapes of its blobs; of two layers with one name the first counts. A name that is not UTF-8 holds
        surrogate escapes.

    Raises:
        BlobError: the file is damaged, or holds no weights at all.
    """
    return {name: [blob.shape for blob in blobs] for name, blobs in _read_layers(data).items()}


def read_weights(data: bytes) -> Weights:
    """The blobs of each layer that has any; see :func:`read_shapes`.

    Returns:
        layer name -> its blobs in the shapes they have in the file. They are views of ``data`` where possible, so that
        a large file is not held twice; none of them can be written to.
    """
    return {name: [blob.values() for blob in blobs] for name, blobs in _read_layers(data).items()}


def read_blob(data: bytes) -> NDArray[np.float32]:
    """One blob with its numbers, such as ``mean.binaryproto``.

    Raises:
        BlobError: the file is damaged, or is no blob.
    """
    blob = _read(memoryview(data))
    if not blob.parts:
        raise BlobError("it holds no numbers")
    return blob.values()


def write_weights(layers: Mapping[str, Sequence[ArrayLike]]) -> bytes:
    """A ``.caffemodel``: for each layer its name and its blobs.

    Args:
        layers: layer name -> blobs in Caffe's order, such as (outputs, inputs, rows, columns) and (outputs,).
    """
    return _written_layers(_LAYER, layers)


def add_weights(data: bytes, layers: Mapping[str, Sequence[ArrayLike]]) -> bytes:
    """A ``.caffemodel`` with more layers at its end, in the form that the file has: of today, or from before 2015.

    Raises:
        BlobError: the file is damaged, or is none.
    """
    of_today = any(number == _LAYER for number, _ in fields(memoryview(data)))
    return data + _written_layers(_LAYER if of_today else _OLD_LAYER, layers)


def _written_layers(kind: int, layers: Mapping[str, Sequence[ArrayLike]]) -> bytes:
    return b"".join(
        written(
            kind,
            written(_NAME_OF[kind], name.encode("utf-8", "surrogateescape"))
            + b"".join(written(_BLOBS_OF[kind], _written_blob(blob)) for blob in blobs),
        )
        for name, blobs in layers.items()
    )


@dataclass(frozen=True)
class _Blob:
    """A blob before its numbers are made an array: shape, the pieces that hold the numbers, their numpy type."""

    shape: Shape
    parts: list[memoryview]
    kind: str

    def values(self) -> NDArray[np.float32]:
        whole = self.parts[0] if len(self.parts) == 1 else b"".join(self.parts)
        with np.errstate(over="ignore"):  # what is beyond 32 bits becomes infinite
            return np.frombuffer(whole, self.kind).astype(np.float32, copy=False).reshape(self.shape)


def half_precision(data: bytes) -> bool:
    """Whether some of a ``.caffemodel``'s numbers have 16 bits (FP16), which no server reads.

    Raises:
        BlobError: as :func:`read_shapes`.
    """
    return any(blob.kind == _HALF for blobs in _read_layers(data).values() for blob in blobs)


def _read_layers(data: bytes) -> dict[str, list[_Blob]]:
    if (other := what_else(data[:512])) is not None:
        raise BlobError(f"it is {other}")
    found: dict[str, list[_Blob]] = {}
    for name, blobs in _layers(data):
        if blobs:
            found.setdefault(name, blobs)
    if not found:
        raise BlobError("it holds no layer with weights")
    return found


def _layers(data: bytes) -> Iterator[tuple[str, list[_Blob]]]:
    for number, layer in fields(memoryview(data)):
        if number not in _NAME_OF or not isinstance(layer, memoryview):
            continue
        name, blobs = "", []
        for part, value in fields(layer):
            if part == _NAME_OF[number] and isinstance(value, memoryview):
                name = bytes(value).decode("utf-8", "surrogateescape")
            elif part == _BLOBS_OF[number] and isinstance(value, memoryview):
                blobs.append(_read(value))
        yield name, blobs


def _read(blob: memoryview) -> _Blob:
    """A blob whose shape and count of numbers agree."""
    legacy: dict[int, int] = {}
    shape: Shape | None = None
    numbers: dict[int, list[memoryview]] = {_DATA: [], _DOUBLE_DATA: [], _RAW_DATA: []}
    raw_kind = 1
    for number, value in fields(blob):
        if number in _LEGACY_SHAPE and isinstance(value, int):
            legacy[number] = value
        elif number == _SHAPE and isinstance(value, memoryview):
            shape = tuple(integers(value, _DIM))
        elif number == _RAW_KIND and isinstance(value, int):
            raw_kind = value
        elif number in numbers and isinstance(value, memoryview):
            numbers[number].append(value)
    if legacy:
        # Caffe prefers the old four numbers where both are there.
        shape = tuple(legacy.get(number, 0) for number in _LEGACY_SHAPE)
    kind, parts = ("<f4", numbers[_DATA]) if numbers[_DATA] else ("<f8", numbers[_DOUBLE_DATA])
    if numbers[_RAW_DATA] and not parts:
        if raw_kind not in _RAW_KINDS:
            raise BlobError(f"a blob of shape {list(shape or ())} holds numbers of a kind that is not read here")
        kind, parts = _RAW_KINDS[raw_kind], numbers[_RAW_DATA]
    size = sum(len(part) for part in parts)
    count = size / np.dtype(kind).itemsize
    if math.prod(shape or ()) != count:
        hint = (
            "; so many would be of 16 bits (FP16), which Caffe does not read"
            if size == 2 * math.prod(shape or ())
            else ""
        )
        raise BlobError(f"a blob of shape {list(shape or ())} holds {count:g} numbers{hint}")
    return _Blob(shape or (), parts, kind)


def _written_blob(values: ArrayLike) -> bytes:
    array = np.asarray(values, "<f4")
    return written(_SHAPE, written_integers(_DIM, array.shape)) + written(_DATA, array.tobytes())
