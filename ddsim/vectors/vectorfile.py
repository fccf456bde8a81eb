"""Arrays in one file, as numpy writes them (``numpy.load`` reads it), such as vids and vectors; replaced as a whole.

It is written beside its place and renamed when it is on disk, so whenever a process or a machine ends, there is one
whole file or none. What a disk does to it later shows in the checksums that the format keeps of every part.
"""

from __future__ import annotations

import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ddsim.deepdetect import Vectors
from ddsim.errors import ConfigError
from ddsim.vectors.exact import Vids
from ddsim.vectors.files import Damaged as Damaged
from ddsim.vectors.files import replace

_ROWS_AT_ONCE = 4096
_VID, _VALUE = np.dtype("<i8"), np.dtype("<f4")


class Part(NamedTuple):
    """Some rows of a file: what they are for, their numbers (n,), the rows (n, d), and the rows' own lengths (n,).

    The lengths are None in a file that has none.
    """

    kind: str
    vids: Vids
    rows: Vectors
    lengths: Vectors | None


def write(path: Path, kind: str, vids: Vids, rows: Vectors, lengths: Vectors | None = None) -> None:
    """Replace the file.

    Args:
        path: where it is.
        kind: what the vectors are for, such as their metric.
        vids: shape (n,).
        rows: shape (n, d).
        lengths: what each row was divided by, shape (n,).

    Raises:
        ConfigError: it cannot be written; what was there before is still there.
    """
    kept = {"metric": np.array(kind), "vids": vids.astype(_VID), "vectors": rows.astype(_VALUE, copy=False)}
    if lengths is not None:
        kept["lengths"] = lengths.astype(_VALUE, copy=False)
    write_arrays(path, kept)


def write_arrays(path: Path, arrays: Mapping[str, Any]) -> None:
    """Replace a file by one of these arrays, by name.

    Raises:
        ConfigError: it cannot be written; what was there before is still there.
    """
    replace(path, lambda file: np.savez(file, **arrays))


def read_arrays(path: Path) -> dict[str, NDArray[Any]]:
    """All arrays of a file, which fit into memory; none of a missing file.

    Raises:
        Damaged: they are not as they were written.
        ConfigError: it cannot be read.
    """
    try:
        with path.open("rb") as file, _archive(file) as archive:
            return {
                name.removesuffix(".npy"): _array(archive, name.removesuffix(".npy")) for name in archive.namelist()
            }
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise ConfigError(f"{path}: the vectors cannot be read: {error.strerror or error}") from error


def read(path: Path, *kinds: str) -> Iterator[Part]:
    """The file's content, in parts; of an empty index one part with no rows, of a missing file none.

    Only at the end is it certain that all of it is right.

    Raises:
        Damaged: it is not, or is of none of these kinds.
        ConfigError: it cannot be read.
    """
    try:
        with path.open("rb") as file:
            yield from _parts(file, kinds)
    except FileNotFoundError:
        return
    except OSError as error:
        raise ConfigError(f"{path}: the vectors cannot be read: {error.strerror or error}") from error


def _parts(file: IO[bytes], kinds: tuple[str, ...]) -> Iterator[Part]:
    with _archive(file) as archive:
        kind = str(_array(archive, "metric"))
        if kind not in kinds:
            raise Damaged(f"of metric {kind}, not {' or '.join(kinds)}")
        vids = _array(archive, "vids")
        if vids.dtype != _VID or vids.ndim != 1:
            raise Damaged(f"damaged: its numbers are {vids.dtype} of shape {vids.shape}")
        lengths = _array(archive, "lengths") if "lengths.npy" in archive.namelist() else None
        if lengths is not None and (lengths.dtype != _VALUE or lengths.shape != vids.shape):
            raise Damaged(f"damaged: its lengths are {lengths.dtype} of shape {lengths.shape}")
        start = 0
        with archive.open("vectors.npy") as stream:
            for part, rows in _rows(stream, vids):
                end = start + len(part)
                yield Part(kind, part, rows, None if lengths is None else lengths[start:end])
                start = end


@contextmanager
def _archive(file: IO[bytes]) -> Iterator[zipfile.ZipFile]:
    try:
        with zipfile.ZipFile(file) as archive:
            yield archive
    except Damaged:
        raise
    except Exception as error:
        # A damaged archive makes its readers raise nearly anything.
        raise Damaged(f"damaged ({type(error).__name__}: {error})") from error


def _array(archive: zipfile.ZipFile, name: str) -> NDArray[Any]:
    with archive.open(f"{name}.npy") as stream:
        array: NDArray[Any] = np.lib.format.read_array(stream, allow_pickle=False)
        _check_end(stream)
    return array


def _rows(stream: IO[bytes], vids: Vids) -> Iterator[tuple[Vids, Vectors]]:
    """In parts, as there may be more of them than fit into memory twice."""
    np.lib.format.read_magic(stream)
    shape, _, dtype = np.lib.format.read_array_header_1_0(stream)
    if dtype != _VALUE or len(shape) != 2 or shape[0] != len(vids):
        raise Damaged(f"damaged: its vectors are {dtype} of shape {shape}, for {len(vids)} numbers")
    for start in range(0, max(len(vids), 1), _ROWS_AT_ONCE):
        part = vids[start : start + _ROWS_AT_ONCE]
        content = stream.read(len(part) * shape[1] * _VALUE.itemsize)
        yield part, np.frombuffer(content, _VALUE).reshape(len(part), shape[1])
    _check_end(stream)


def _check_end(stream: IO[bytes]) -> None:
    # Reading on to the end is what compares the checksum.
    if stream.read(1):
        raise Damaged("damaged: it is longer than it says")
