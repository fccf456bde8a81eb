"""What every place of pictures does, whichever it is."""

from __future__ import annotations

import hashlib
import time
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, TypeVar

from ddsim.catalogue import Entry, Survey
from ddsim.errors import ImageError
from ddsim.sources.names import entry

_Key = TypeVar("_Key")
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


class Elsewhere(ABC):
    """What is the same in each :class:`Source` whose pictures are not on this machine.

    Args:
        shown: what people call it.
        readers: pictures at a time.
        max_bytes: larger ones are not read.
    """

    def __init__(self, shown: str, *, readers: int, max_bytes: int) -> None:
        self._shown = shown
        self._readers = readers
        self._max_bytes = max_bytes

    @property
    def shown(self) -> str:
        """See :class:`Source`."""
        return self._shown

    @property
    def folder(self) -> None:
        """None: the pictures are elsewhere."""
        return None

    @property
    def readers(self) -> int:
        """So many at a time."""
        return self._readers

    @abstractmethod
    def read(self, uri: str, max_bytes: int) -> bytes:
        """See :class:`Source`."""

    def digest(self, path: Path) -> str:
        """The hash of an item's content, which is read whole."""
        return hashlib.sha256(self.read(path.as_posix(), self._max_bytes)).hexdigest()

    def _stamped(
        self, found: Iterable[tuple[str, str, _Key]], stamp: Callable[[_Key], Stamp], survey: Survey
    ) -> Iterator[Entry]:
        """The items, each with what is said of it, which is asked for several at a time.

        Args:
            found: uri and category of each, and what its stamp is asked by.
            stamp: gives it, or an ImageError where it cannot be had, which is noted.
            survey: see :func:`ddsim.catalogue.walk`.
        """
        now = time.time_ns()

        def asked(one: tuple[str, str, _Key]) -> Entry | tuple[str, str]:
            uri, category, key = one
            try:
                told = stamp(key)
            except ImageError as error:
                return uri, error.reason
            return entry(uri, category, told.size, told.number(now))

        for one in in_parallel(found, asked, self._readers):
            if isinstance(one, Entry):
                yield one
            else:
                uri, survey.shut[uri] = one


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
