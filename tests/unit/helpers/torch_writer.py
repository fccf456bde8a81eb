"""Small files in PyTorch's legacy format, written opcode by opcode, so that hostile ones can be written as well."""

from __future__ import annotations

import pickle
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

MAGIC = 0x1950A86A20F9469CFC6C


def value(content: Any) -> bytes:
    """The opcodes that make a plain value."""
    return pickle.dumps(content, protocol=2)[2:-1]


def called(module: str, name: str, arguments: bytes) -> bytes:
    """The opcodes that call something with a tuple."""
    return f"c{module}\n{name}\n".encode() + arguments + b"R"


def tensor(
    key: str, count: int, shape: Sequence[int], steps: Sequence[int], offset: int = 0, kind: str = "FloatStorage"
) -> bytes:
    """The opcodes of a tensor over a storage."""
    storage = b"(" + value("storage") + f"ctorch\n{kind}\n".encode() + value(key) + value("cpu") + value(count) + b"NtQ"
    tail = value(offset) + value(tuple(shape)) + value(tuple(steps)) + value(False) + value(None)
    return called("torch._utils", "_rebuild_tensor_v2", b"(" + storage + tail + b"t")


def pickled(opcodes: bytes) -> bytes:
    """A pickle of these opcodes."""
    return b"\x80\x02" + opcodes + b"."


def saved(entries: Mapping[str, bytes], storages: Mapping[str, bytes], head: Sequence[Any] | None = None) -> bytes:
    """A whole file: names with the opcodes of their values, and the storages with their numbers."""
    begin = head or [MAGIC, 1001, {"protocol_version": 1001, "little_endian": True, "type_sizes": {}}]
    items = b"".join(value(name) + opcodes for name, opcodes in entries.items())
    dictionary = called("collections", "OrderedDict", b")") + b"(" + items + b"u"
    pieces = [*map(value, begin), dictionary, value(list(storages))]
    return b"".join(map(pickled, pieces)) + b"".join(storages.values())


def numbers(values: ArrayLike, kind: str = "<f4") -> bytes:
    """A storage."""
    array = np.asarray(values, kind).ravel()
    return len(array).to_bytes(8, "little") + array.tobytes()


def state_dict(tensors: Mapping[str, ArrayLike]) -> bytes:
    """A file of float tensors."""
    arrays = {name: np.asarray(array, np.float32) for name, array in tensors.items()}
    entries, storages = {}, {}
    for place, (name, array) in enumerate(arrays.items()):
        steps = [step // array.itemsize for step in np.ascontiguousarray(array).strides] if array.ndim else []
        entries[name] = tensor(str(place), array.size, array.shape, steps)
        storages[str(place)] = numbers(array)
    return saved(entries, storages)
