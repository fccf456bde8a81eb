"""The files of an index in a service's repository: vectors in ``index.faiss``, names in ``names.bin/``.

They lie where a real server keeps its own, but are not interchangeable: ``names.bin/`` holds one text file, a JSON
string a row, where a real server has an LMDB database; and the lists of an IVF index stay within ``index.faiss``, so
that there is no ``index_mmap.faiss``.

The names' file is called after a digest of the ``index.faiss`` it belongs to. A save writes the new vectors aside, then
the new names, then renames the vectors into place, and only then deletes the old names. So whenever the process ends,
the vectors that are there have their own names beside them.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import uuid
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, Any

import faiss

INDEX = "index.faiss"
NAMES = "names.bin"
_MAPPED_INDEX = "index_mmap.faiss"
_NAMES_SUFFIX = ".jsonl"
_UNFINISHED = ".unfinished"
_FOREIGN_NAMES = "data.mdb"
_CHUNK = 1 << 20

#: What FAISS throws, by way of SWIG.
FAISS_ERRORS = (RuntimeError, MemoryError, TypeError)

#: Its annotations leave out the classes that read and write.
_faiss: Any = faiss


class SimilarityError(Exception):
    """An index cannot be loaded, extended, searched or written; the message is FAISS's own where it has one."""


@contextlib.contextmanager
def reported(path: Path) -> Iterator[None]:
    """Turn errors of FAISS and of the file system into SimilarityError.

    Args:
        path: what to name where the system names no file.
    """
    try:
        yield
    except OSError as problem:
        raise SimilarityError(f"{problem.filename or path}: {problem.strerror or problem}") from problem
    except MemoryError as problem:
        raise SimilarityError("std::bad_alloc") from problem
    except FAISS_ERRORS as problem:
        raise SimilarityError(str(problem)) from problem


class _Digested:
    """A file whose bytes are digested on their way."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._digest = hashlib.blake2b(digest_size=16)

    def read(self, size: int) -> bytes:
        data = self._file.read(size)
        self._digest.update(data)
        return data

    def write(self, data: bytes) -> int:
        self._digest.update(data)
        return self._file.write(data)

    @property
    def names(self) -> str:
        """What the names that belong to this index are called."""
        return self._digest.hexdigest() + _NAMES_SUFFIX


def load(repository: Path) -> tuple[Any, list[str | None]] | None:
    """Read what the last save wrote, and clear away what an interrupted one left behind.

    Returns:
        the FAISS index and one name a row, None where names are lost; or None where there is no index.

    Raises:
        SimilarityError: a file cannot be read or is damaged, or the names are those of a real server.
    """
    path = repository / INDEX
    with reported(path):
        _clear_unfinished(repository)
        if not path.exists():
            return None
        with path.open("rb") as file:
            source = _Digested(file)
            index = _faiss.read_index(_faiss.PyCallbackIOReader(source.read))
            while source.read(_CHUNK):
                pass  # the digest covers the whole file
        return index, _read_names(repository / NAMES, source.names, index.ntotal)


def save(repository: Path, index: Any, names: Sequence[str | None]) -> None:
    """Replace the saved index and its names.

    Raises:
        SimilarityError: a file cannot be written; what was saved before is still there, whole.
    """
    folder = repository / NAMES
    with reported(repository / INDEX):
        folder.mkdir(exist_ok=True)
        vectors, lines = _aside(repository / INDEX), _aside(folder / NAMES)
        try:
            with vectors.open("xb") as file:
                target = _Digested(file)
                _faiss.write_index(index, _faiss.PyCallbackIOWriter(target.write))
                _sync(file)
            with lines.open("xb") as file:
                file.writelines(json.dumps(name).encode("ascii") + b"\n" for name in names)
                _sync(file)
            os.replace(lines, folder / target.names)
            _sync_folder(folder)
            os.replace(vectors, repository / INDEX)
            _sync_folder(repository)
        finally:
            vectors.unlink(missing_ok=True)
            lines.unlink(missing_ok=True)
        for old in folder.glob("*" + _NAMES_SUFFIX):
            if old.name != target.names:
                old.unlink()


def remove_files(repository: Path) -> None:
    """Delete the index and the names of a repository; files that are not there are no error.

    Raises:
        SimilarityError: one of them cannot be deleted.
    """
    with reported(repository):
        for name in (INDEX, _MAPPED_INDEX):
            (repository / name).unlink(missing_ok=True)
        _clear_unfinished(repository)
        if (repository / NAMES).exists():
            shutil.rmtree(repository / NAMES)


def _read_names(folder: Path, file_name: str, rows: int) -> list[str | None]:
    path = folder / file_name
    if not path.exists():
        if (folder / _FOREIGN_NAMES).exists():
            raise SimilarityError(
                f"{folder}: the names are those of a real server, which this one cannot read; "
                "index the pictures again in another repository"
            )
        return [None] * rows
    try:
        names: list[str | None] = [json.loads(line) for line in path.read_bytes().splitlines()]
    except ValueError as problem:
        raise SimilarityError(f"{path}: damaged: {problem}; index the pictures again") from problem
    # More names than rows: the others wait for an index that could not be trained yet, and are lost with their vectors.
    return [*names, *[None] * rows][:rows]


def _aside(path: Path) -> Path:
    """A name of its own, beside that of the file it is to become."""
    return path.with_name(f"{path.name}.{uuid.uuid4().hex}{_UNFINISHED}")


def _clear_unfinished(repository: Path) -> None:
    for folder in (repository, repository / NAMES):
        for path in folder.glob("*" + _UNFINISHED):
            path.unlink(missing_ok=True)


def _sync(file: IO[bytes]) -> None:
    file.flush()
    os.fsync(file.fileno())


def _sync_folder(folder: Path) -> None:
    """Put a renaming on disk; Windows neither can nor needs to."""
    if os.name == "nt":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
