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
        self._places = [paths]
        self._digests = [_digest_of(path) for path in paths]

    def __str__(self) -> str:
        return " with ".join(map(str, self.paths))

    @property
    def paths(self) -> tuple[Path, ...]:
        """Where they were found last."""
        return self._places[-1]

    @property
    def digest(self) -> str:
        """What is the same for files of the same content, wherever they are."""
        return "".join(self._digests)

    def also_at(self, *paths: Path) -> None:
        """Remember where the same files lie, too: a service's folder may be deleted while another one needs them."""
        if paths not in self._places:
            self._places.append(paths)

    def read(self) -> list[bytes]:
        """Their contents.

        Raises:
            NetworkError: they are nowhere any more as they were.
        """
        for paths in self._places[:0:-1]:
            try:
                return self._read_at(paths)
            except NetworkError:
                self._places.remove(paths)
        return self._read_at(self._places[0])

    def _read_at(self, paths: tuple[Path, ...]) -> list[bytes]:
        contents = [_read(path) for path in paths]
        for path, content, digest in zip(paths, contents, self._digests, strict=True):
            if _digest(content) != digest:
                raise NetworkError(f"{path}: has changed since its service was created; create the service again")
        return contents


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as problem:
        raise NetworkError(f"{path}: cannot be read: {problem.strerror}") from problem


def _digest_of(path: Path) -> str:
    """The digest of a file, without holding all of it."""
    digest = hashlib.blake2b()
    try:
        with path.open("rb") as file:
            while chunk := file.read(1 << 20):
                digest.update(chunk)
    except OSError as problem:
        raise NetworkError(f"{path}: cannot be read: {problem.strerror}") from problem
    return digest.hexdigest()


def _digest(content: bytes) -> str:
    return hashlib.blake2b(content).hexdigest()
