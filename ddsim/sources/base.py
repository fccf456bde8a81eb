"""What every place of pictures does, whichever it is."""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, TypeVar

from ddsim.catalogue import Entry, Survey

_Given = TypeVar("_Given")
_Made = TypeVar("_Made")


class Source(Protocol):
    """Where a catalogue's pictures are. Any thread may read from it."""

    @property
    def shown(self) -> str:
        """What people call it: a folder, an address, a file."""
        ...

    @property
    def folder(self) -> Path | None:
        """The folder of this machine that holds the pictures; None where there is none."""
        ...

    @property
    def readers(self) -> int | None:
        """So many threads are worth their while for reading; None where reading does not wait for anybody."""
        ...

    def walk(self, survey: Survey) -> Iterator[Entry]:
        """Find the items one by one; see :func:`ddsim.catalogue.walk`.

        Raises:
            ConfigError: it is not there, cannot be read, or holds no item.
        """
        ...

    def digest(self, path: Path) -> str:
        """The hash of an item's content, by the path of its :class:`~ddsim.catalogue.Entry`.

        Raises:
            OSError, ImageError: it cannot be read.
        """
        ...

    def read(self, uri: str, max_bytes: int) -> bytes:
        """An item's file, whole.

        Raises:
            ImageError: there is none of that name, or it is empty, longer than ``max_bytes`` or cannot be read.
            CatalogueUnreachable: nothing can be read from there any more.
        """
        ...

    def place(self, uri: str) -> str:
        """Where an item's file is, for people."""
        ...

    def close(self) -> None:
        """Let go of connections."""
        ...


@dataclass(frozen=True, slots=True)
class Stamp:
    """What tells whether a file is still the same without reading it.

    Attributes:
        size: in bytes; 0 where nobody says.
        mark: its etag, or the time when it was written, as a text; None where nobody says, so that the content decides.
    """

    size: int
    mark: str | None

    def number(self, unknown: int) -> int:
        """The mark as a number that fits where a file's time stands; ``unknown`` where there is no mark."""
        if self.mark is None:
            return unknown
        digest = hashlib.blake2b(self.mark.encode("utf-8", "surrogateescape"), digest_size=8).digest()
        return int.from_bytes(digest, "big") >> 1


def in_parallel(given: Iterable[_Given], make: Callable[[_Given], _Made], threads: int) -> Iterator[_Made]:
    """What is made of things one by one, in their order, by several threads that run a little ahead."""
    waiting: deque[Future[_Made]] = deque()
    with ThreadPoolExecutor(threads, thread_name_prefix="ddsim-source") as pool:
        try:
            for one in given:
                waiting.append(pool.submit(make, one))
                if len(waiting) >= 4 * threads:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()
