"""One segment of a local index: rows that were saved together, in a file that is written once and never changed.

A segment holds numbers of rows that are gone from the segments before it, and rows of its own: their numbers ascending,
what each was divided by, and the values, which are read through a memory map. A checksum of the whole file is kept by
whoever lists it (:mod:`ddsim.vectors.store`), so a file that was torn or changed is known.
"""

from __future__ import annotations

import mmap
import os
import struct
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Literal, TypeAlias

import numpy as np

from ddsim.deepdetect import Vectors
from ddsim.vectors.exact import Kept, Vids
from ddsim.vectors.files import Damaged, written

Precision: TypeAlias = Literal["float32", "float16"]

TYPES: dict[Precision, np.dtype[Any]] = {"float32": np.dtype("<f4"), "float16": np.dtype("<f2")}
_PRECISIONS: dict[int, Precision] = {kind.itemsize: name for name, kind in TYPES.items()}
_VID, _LENGTH = np.dtype("<i8"), np.dtype("<f4")
_MAGIC = b"ddsimseg"
_VERSION = 1
# Magic, version, bytes of a value, dimension, numbers that are gone, rows.
_HEAD = struct.Struct("<8sIIQQQ")
# Where the values begin; processors like it, and so does whoever reads a hex dump.
_ALIGNED = 64
_READ = 1 << 22
# What is on its way to the disk is kept small, or the small file of a checkpoint waits for the large one of a merge.
_SYNC = 1 << 25


@dataclass(frozen=True, slots=True)
class Entry:
    """A segment as a list of them names it: its file, the file's size in bytes, and the checksum of its content."""

    name: str
    size: int
    crc: int


@dataclass(frozen=True, slots=True, eq=False)  # arrays do not compare to one truth value
class Segment:
    """A segment that can be read.

    Attributes:
        entry: how it is listed.
        gone: numbers of rows in earlier segments that do not count any more, ascending, int64, shape (g,).
        vids: the rows' numbers, ascending, int64, shape (n,).
        lengths: what each row is to be multiplied with to be as it was added, float32, shape (n,).
        rows: shape (n, d), float32 or float16, in the file's memory map.
    """

    entry: Entry
    gone: Vids
    vids: Vids
    lengths: Vectors
    rows: Kept


class _Summed:
    """Counts and sums up what is written to a file."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self.size = self.crc = 0
        self._synced = 0

    def write(self, content: bytes | memoryview) -> None:
        self._file.write(content)
        self.size += len(content)
        self.crc = zlib.crc32(content, self.crc)
        if self.size - self._synced >= _SYNC:
            self.sync()

    def sync(self) -> None:
        self._file.flush()
        os.fsync(self._file.fileno())
        self._synced = self.size


def write_segment(
    path: Path,
    gone: Vids,
    vids: Vids,
    lengths: Vectors,
    dimension: int,
    parts: Iterable[Kept],
    *,
    sync: bool = True,
) -> Entry:
    """Write a segment and put it on disk.

    Args:
        path: a file that is not there.
        gone: ascending, shape (g,).
        vids: ascending, shape (n,).
        lengths: shape (n,).
        dimension: how many values a row has.
        parts: the rows in the order of the numbers, of one precision; each part of shape (m, dimension). The first may
            be empty, and tells the precision.
        sync: False for what the caller puts on disk.

    Raises:
        ConfigError: it cannot be written; nothing is left of it.
    """
    with written(path):
        try:
            with path.open("xb") as file:
                out = _Summed(file)
                for number, part in enumerate(parts):
                    if not number:
                        out.write(_head(part.dtype.itemsize, dimension, gone, vids))
                        for array, kind in ((gone, _VID), (vids, _VID), (lengths, _LENGTH)):
                            out.write(np.ascontiguousarray(array, kind).data.cast("B") if array.size else b"")
                        out.write(bytes(-out.size % _ALIGNED))
                    if part.size:
                        out.write(np.ascontiguousarray(part).data.cast("B"))
                if sync:
                    out.sync()
        except BaseException:
            path.unlink(missing_ok=True)
            raise
    return Entry(path.name, out.size, out.crc)


def _head(itemsize: int, dimension: int, gone: Vids, vids: Vids) -> bytes:
    return _HEAD.pack(_MAGIC, _VERSION, itemsize, dimension, len(gone), len(vids))


def open_segment(folder: Path, entry: Entry, *, trusted: bool = False) -> Segment:
    """Read a segment; its values stay on disk and are mapped.

    Args:
        folder: where it lies.
        entry: what it should be.
        trusted: whether this process has written it, so that its checksum need not be compared.

    Raises:
        Damaged: the file is not as it was written.
        FileNotFoundError: there is none.
        OSError: it cannot be read.
    """
    with (folder / entry.name).open("rb") as file:
        if os.fstat(file.fileno()).st_size != entry.size:
            raise Damaged(f"cut or grown: {os.fstat(file.fileno()).st_size} bytes, {entry.size} were written")
        # Read, not mapped: what was only compared with its checksum should not count as this process' memory.
        crc = 0
        while not trusted and (content := file.read(_READ)):
            crc = zlib.crc32(content, crc)
        if not trusted and crc != entry.crc:
            raise Damaged("not what was written: its checksum differs")
        whole = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    return _mapped(entry, whole)


def _mapped(entry: Entry, whole: mmap.mmap) -> Segment:
    if entry.size < _HEAD.size:
        raise Damaged("no segment: too short for one")
    magic, version, itemsize, dimension, gone, rows = _HEAD.unpack_from(whole)
    if (magic, version) != (_MAGIC, _VERSION) or itemsize not in _PRECISIONS:
        raise Damaged("of another kind, or of another version of ddsim")
    place = _HEAD.size
    start = place + 8 * gone + 12 * rows
    start += -start % _ALIGNED
    if start + rows * dimension * itemsize != entry.size:
        raise Damaged(f"no segment: {entry.size} bytes for {rows} rows of {dimension} values")
    # Numbers are looked up all the time, so they are copied: 12 bytes a row.
    numbers = np.frombuffer(whole, _VID, gone + rows, place).astype(np.int64)
    lengths = np.frombuffer(whole, _LENGTH, rows, place + 8 * (gone + rows)).astype(np.float32)
    kind = TYPES[_PRECISIONS[itemsize]]
    values = np.frombuffer(whole, kind, rows * dimension, start).reshape(rows, dimension)
    return Segment(entry, numbers[:gone], numbers[gone:], lengths, values)
