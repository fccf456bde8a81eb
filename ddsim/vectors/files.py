"""Files that are either as they were, or as they are to be, whenever a process or a machine ends."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from ddsim.errors import ConfigError

#: What a file is called while it is being written; nobody reads it.
UNFINISHED = ".unfinished"
_AT_ONCE = 8


class Damaged(Exception):
    """A file is not as it was written, or of another kind."""


def replace(path: Path, fill: Callable[[IO[bytes]], object]) -> None:
    """Write a file beside its place, put it on disk, and then into its place.

    Args:
        path: where it is to be.
        fill: writes its content.

    Raises:
        ConfigError: it cannot be written; what was there before is still there.
    """
    draft = path.with_suffix(UNFINISHED)
    with written(path):
        try:
            with draft.open("wb") as file:
                fill(file)
                file.flush()
                os.fsync(file.fileno())
            os.replace(draft, path)
            sync_folder(path.parent)
        finally:
            with suppress(OSError):
                draft.unlink(missing_ok=True)


def sync_folder(folder: Path) -> None:
    """Put the names in a folder on disk."""
    sync(folder)


def sync(*paths: Path) -> None:
    """Put files, and the names in folders, on disk; all at once, as a disk takes hardly longer for several.

    Raises:
        OSError: not all of them are.
    """
    if len(paths) == 1:
        _sync_one(paths[0])
        return
    with ThreadPoolExecutor(min(len(paths), _AT_ONCE), thread_name_prefix="ddsim-sync") as pool:
        list(pool.map(_sync_one, paths))


def _sync_one(path: Path) -> None:
    if os.name == "nt" and path.is_dir():
        return  # Windows neither can nor needs to.
    handle = os.open(path, os.O_RDWR if os.name == "nt" else os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextmanager
def written(path: Path) -> Iterator[None]:
    """Say which file of vectors cannot be written, and what to do."""
    try:
        yield
    except OSError as error:
        raise ConfigError(
            f"{path}: the vectors cannot be written: {error.strerror or error}; "
            "make sure that there is free space, and the right to write, in its folder"
        ) from error


@contextmanager
def read(path: Path) -> Iterator[None]:
    """Say which file of vectors cannot be read.

    A missing file raises FileNotFoundError: the caller knows what that means.
    """
    try:
        yield
    except FileNotFoundError:
        raise
    except OSError as error:
        raise ConfigError(f"{path}: the vectors cannot be read: {error.strerror or error}") from error


def signature(path: Path) -> object:
    """Differs when a file was replaced; None where there is none."""
    try:
        status = os.stat(path)
    except OSError:
        return None
    return status.st_ino, status.st_mtime_ns, status.st_size
