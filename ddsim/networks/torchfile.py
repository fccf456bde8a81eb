"""PyTorch's legacy file format (before 1.6: no zip), read without PyTorch and without trusting the file.

A file holds five pickles: a magic number, a version, facts about the machine, the tensors, and the keys of the storages
whose raw numbers follow. The unpickler here knows the handful of names that tensors consist of and refuses every other,
so no file can have anything imported or called.
"""

from __future__ import annotations

import io
import math
import pickle
import struct
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ddsim.errors import DDSimError

Array = NDArray[Any]

_MAGIC = 0x1950A86A20F9469CFC6C
_VERSION = 1001
_ANOTHER = "it is not a file in PyTorch's legacy format"
_STORAGES = {"FloatStorage": "<f4", "LongStorage": "<i8"}
_WRONG = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    EOFError,
    LookupError,
    MemoryError,
    RecursionError,
    TypeError,
    ValueError,
    pickle.UnpicklingError,
    struct.error,
)


class TorchFileError(DDSimError, ValueError):
    """A file is no legacy file of PyTorch, is damaged, or holds more than tensors; the message says what is wrong."""


@dataclass(frozen=True)
class _Storage:
    """Numbers that stand later in the file."""

    key: str
    kind: str
    count: int


@dataclass(frozen=True)
class _View:
    """A tensor: where in a storage it begins, its shape, and how far apart neighbours along each axis are."""

    storage: _Storage
    offset: int
    shape: tuple[int, ...]
    steps: tuple[int, ...]


def read_tensors(data: bytes) -> dict[str, Array]:
    """The tensors of a saved ``state_dict``.

    Args:
        data: the file's content.

    Returns:
        name -> float32 or int64 array, which shares the memory of ``data``.

    Raises:
        TorchFileError: it is not such a file, is cut off, or holds anything but tensors.
    """
    stream = io.BytesIO(data)
    try:
        head = [_load(stream) for _ in range(3)]
        if head[:2] != [_MAGIC, _VERSION] or not head[2]["little_endian"]:
            raise TorchFileError(_ANOTHER)
        views = _views(_load(stream))
        keys = _load(stream)
        storages = {view.storage.key: view.storage for view in views.values()}
        if not isinstance(keys, list) or set(keys) != storages.keys():
            raise TorchFileError("its list of storages does not fit its tensors")
        numbers = {key: _numbers(stream, data, storages[key]) for key in keys}
    except TorchFileError:
        raise
    except _WRONG as error:
        raise TorchFileError(f"{_ANOTHER}, or is damaged: {error}") from error
    return {name: _cut(view, numbers[view.storage.key]) for name, view in views.items()}


# The one in Python: that in C makes room for as many remembered things as a file says, and four bytes of a damaged file
# can say 4,000,000,000.
class _Unpickler(pickle._Unpickler):
    """Makes tensors' descriptions, and refuses whatever else a pickle can ask for."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("collections", "OrderedDict"):
            return OrderedDict
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return _rebuilt
        if module == "torch" and name in _STORAGES:
            return _STORAGES[name]
        raise TorchFileError(f"it asks for {module}.{name}; only plain tensors are read")

    def persistent_load(self, pid: Any) -> _Storage:
        if not isinstance(pid, tuple):
            raise TorchFileError(_ANOTHER)
        word, kind, key, _, count, *_ = pid
        if word != "storage" or kind not in _STORAGES.values() or not isinstance(key, str) or not _is_size(count):
            raise TorchFileError("it refers to something other than a storage of numbers")
        return _Storage(key, kind, count)


def _load(stream: io.BytesIO) -> Any:
    return _Unpickler(stream).load()


def _rebuilt(storage: Any, offset: Any, shape: Any, steps: Any, *_: Any) -> _View:
    """What stands in for ``torch._utils._rebuild_tensor_v2``."""
    numbers = [offset, *shape, *steps]
    if not isinstance(storage, _Storage) or len(shape) != len(steps) or not all(map(_is_size, numbers)):
        raise TorchFileError("it holds a tensor of no sensible shape")
    last = offset + sum((size - 1) * step for size, step in zip(shape, steps, strict=True))
    if 0 in shape or last >= storage.count or math.prod(shape) > storage.count:
        raise TorchFileError(f"a tensor of shape {list(shape)} reaches beyond its storage")
    return _View(storage, offset, tuple(shape), tuple(steps))


def _is_size(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 1 << 40


def _views(found: Any) -> Mapping[str, _View]:
    if not isinstance(found, dict) or not all(
        isinstance(name, str) and isinstance(view, _View) for name, view in found.items()
    ):
        raise TorchFileError("it holds something other than named tensors")
    return found


def _numbers(stream: io.BytesIO, data: bytes, storage: _Storage) -> Array:
    count = int.from_bytes(stream.read(8), "little", signed=True)
    if count != storage.count:
        raise TorchFileError(f"storage {storage.key} holds {count} numbers where {storage.count} were announced")
    start, kind = stream.tell(), np.dtype(storage.kind)
    if start + count * kind.itemsize > len(data):
        raise TorchFileError("it is cut off")
    stream.seek(count * kind.itemsize, io.SEEK_CUR)
    return np.frombuffer(data, kind, count, start)


def _cut(view: _View, numbers: Array) -> Array:
    # _rebuilt has seen to it that this stays within the numbers.
    steps = [step * numbers.itemsize for step in view.steps]
    return np.lib.stride_tricks.as_strided(numbers[view.offset :], view.shape, steps, writeable=False)
