"""Pictures made ready ahead of time: decoding and shrinking go on while the server works on the batch before."""

from __future__ import annotations

import hashlib
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar, overload

from ddsim.catalogue import Row
from ddsim.deepdetect import Vectors, check_uri
from ddsim.errors import ImageError, ImageUnavailable, InvalidRequest
from ddsim.pictures import Encoded, Upload, encode
from ddsim.sources import Source

_Prepared = TypeVar("_Prepared")


def cores() -> int:
    """How many cores this process may run on."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # not on Linux
        return os.cpu_count() or 1


@dataclass(frozen=True, slots=True)
class Ready:
    """An item that can be sent: as it was read, which is what its hash, size and time belong to."""

    row: Row
    sha256: str
    picture: Encoded


@dataclass(frozen=True, slots=True, eq=False)  # arrays do not compare to one truth value
class Known:
    """An item whose content was seen before, with its vector, shape (d,); nothing of it has to be decoded or sent."""

    row: Row
    sha256: str
    vector: Vectors


@dataclass(frozen=True, slots=True)
class Unreadable:
    """An item that cannot, and why; with the hash of its content where that could be read.

    Attributes:
        passing: whether it cannot be had just now, which says nothing of the picture.
    """

    row: Row
    reason: str
    sha256: str | None = None
    passing: bool = False


@overload
def prepare(row: Row, source: Source, upload: Upload) -> Ready | Unreadable: ...


@overload
def prepare(
    row: Row, source: Source, upload: Upload, known: Callable[[str], Vectors | None]
) -> Ready | Known | Unreadable: ...


def prepare(
    row: Row, source: Source, upload: Upload, known: Callable[[str], Vectors | None] = lambda _: None
) -> Ready | Known | Unreadable:
    """Read and hash one item, and encode it where nothing is known of its content.

    Args:
        row: the item.
        source: where the catalogue's pictures are.
        upload: how it is encoded.
        known: gives the vector of a content hash.

    Raises:
        CatalogueUnreachable: nothing can be read from there any more.
    """
    sha256 = None
    try:
        check_uri(row.uri)
        data = source.read(row.uri, upload.max_bytes)
        sha256 = hashlib.sha256(data).hexdigest()
        vector = known(sha256)
        return Ready(row, sha256, encode(data, upload)) if vector is None else Known(row, sha256, vector)
    except ImageError as error:
        return Unreadable(row, error.reason, sha256, passing=isinstance(error, ImageUnavailable))
    except InvalidRequest as error:
        return Unreadable(row, str(error), sha256)


def prepare_ahead(
    rows: Iterable[Row], make: Callable[[Row], _Prepared], *, count: int, size: int, threads: int | None = None
) -> Iterator[_Prepared]:
    """Prepare items in order, some of them in advance.

    Args:
        rows: what to prepare; taken one by one.
        make: prepares one; called in threads.
        count: items in advance at most.
        size: bytes of their files at most, so that memory stays flat whatever the pictures are; one item always goes.
        threads: how many prepare; None takes as many as there are cores.

    Yields:
        the items in the order of ``rows``.
    """
    waiting: deque[tuple[int, Future[_Prepared]]] = deque()
    held = 0
    source = iter(rows)
    upcoming = next(source, None)
    with ThreadPoolExecutor(threads or cores(), thread_name_prefix="ddsim-prepare") as pool:
        try:
            while waiting or upcoming is not None:
                while upcoming is not None and (not waiting or (len(waiting) < count and held + upcoming.size <= size)):
                    waiting.append((upcoming.size, pool.submit(make, upcoming)))
                    held += upcoming.size
                    upcoming = next(source, None)
                taken, future = waiting.popleft()
                held -= taken
                yield future.result()
        finally:
            for _, future in waiting:
                future.cancel()
