"""The files of a network: read whenever they are needed, and always the same ones."""

from __future__ import annotations

import hashlib
from pathlib import Path


class NetworkError(Exception):
    """The files of a network cannot be read, or do not fit one another; the message names file and layer."""


class Files:
    """The files that make a network.

    Args:
        paths: where they are.

    Raises:
        NetworkError: one of them cannot be read.
    """

    def __init__(self, *paths: Path) -> None:
        self.paths = paths
        self._digests = [_digest(_read(path)) for path in paths]

    def __str__(self) -> str:
        return " with ".join(map(str, self.paths))

    @property
    def digest(self) -> str:
        """What is the same for files of the same content, wherever they are."""
        return "".join(self._digests)

    def read(self) -> list[bytes]:
        """Their contents.

        Raises:
            NetworkError: one of them cannot be read any more, or has changed.
        """
        contents = [_read(path) for path in self.paths]
        for path, content, digest in zip(self.paths, contents, self._digests, strict=True):
            if _digest(content) != digest:
                raise NetworkError(f"{path}: has changed since its service was created; create the service again")
        return contents


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as problem:
        raise NetworkError(f"{path}: cannot be read: {problem.strerror}") from problem


def _digest(content: bytes) -> str:
    return hashlib.blake2b(content).hexdigest()
