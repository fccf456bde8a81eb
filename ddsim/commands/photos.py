"""What the arguments of `ddsim search` stand for: photos, folders of them, standard input, addresses on the web."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from ddsim.catalogue import pictures_below
from ddsim.commands.common import given
from ddsim.errors import ImageError, InvalidRequest
from ddsim.pictures import Encoded, Fetching, Upload, encode, fetch, is_address

_STDIN = "-"


@dataclass(frozen=True)
class Photo:
    """One photo to search for.

    Attributes:
        name: as it was given.
        content: the path of its file, or the content of one.
        encoded: as it is sent.
    """

    name: str
    content: Path | bytes
    encoded: Encoded


@dataclass(frozen=True)
class Failed:
    """A photo that cannot be searched for: as it was given, and why."""

    name: str
    error: ImageError


class Photos:
    """The photos that arguments stand for.

    Args:
        arguments: as they were typed.
        upload: how photos are prepared.
        fetching: what of the web may be fetched.

    Raises:
        InvalidRequest: standard input is asked for twice, or an address of another kind is given; or a folder has no
            pictures.

    Attributes:
        several: whether more than one photo may come of them.
    """

    def __init__(self, arguments: Sequence[str], upload: Upload, fetching: Fetching) -> None:
        self._upload = upload
        self._fetching = fetching
        if arguments.count(_STDIN) > 1:
            raise InvalidRequest("- is given twice: standard input holds one photo")
        found = [_sources(argument) for argument in arguments]
        self._sources = [source for sources, _ in found for source in sources]
        self.several = len(found) > 1 or any(is_folder for _, is_folder in found)

    def __len__(self) -> int:
        return len(self._sources)

    def __iter__(self) -> Iterator[Photo | Failed]:
        """Read one after another."""
        for source in self._sources:
            name = str(source)
            try:
                content = self._read(source)
                try:
                    encoded = encode(content, self._upload)
                except ImageError as error:
                    # Not of so many bytes: of the address, or of standard input.
                    raise ImageError(name, error.reason) from error
            except ImageError as error:
                yield Failed(name, error)
            else:
                yield Photo(name, content, encoded)

    def _read(self, source: str | Path) -> Path | bytes:
        if isinstance(source, Path):
            return source
        if source == _STDIN:
            content = sys.stdin.buffer.read(self._upload.max_bytes + 1)
            if not content:
                raise ImageError(source, "nothing came on standard input")
            return content
        return fetch(source, self._fetching)


def _sources(argument: str) -> tuple[list[str | Path], bool]:
    """The photos behind an argument (paths, an address, or standard input), and whether it is a folder."""
    if argument == _STDIN or is_address(argument):
        return [argument], False
    path = given(Path(argument))
    if not os.path.isdir(path):
        return [path], False
    found = pictures_below(path)
    if not found:
        raise InvalidRequest(f"{path}: there is no picture in this folder")
    return [*found], True
