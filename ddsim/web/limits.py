"""How much the page takes: sizes, times, and how many requests at once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TypeVar

import anyio

from ddsim.config import Settings
from ddsim.web.refusals import BUSY, TOO_SLOW, Refusal

T = TypeVar("T")

MEGA = 1024 * 1024


@dataclass(frozen=True)
class Limits:
    """What one server of the page takes.

    Attributes:
        upload_bytes: of one photo.
        upload_pixels: that would be decoded of one photo, which is refused before that.
        k: the most results that may be asked for.
        deepest: the most results that may be passed over, page by page.
        default_k: how many there are where nobody asks.
        searches: searches at work at once, each in a thread.
        waiting: searches that may wait for one of these; one more is turned away with 503.
        search_seconds: for one search, from the first byte of the upload to the answer.
        renderings: pictures and thumbnails at work at once, each in a thread.
        renderings_waiting: as ``waiting``.
        photos: uploads that are kept, so that a link can show them again.
        photos_bytes: of all of them.
        photos_seconds: how long each is kept.
    """

    upload_bytes: int = 20 * MEGA
    upload_pixels: int = 64_000_000
    k: int = 100
    deepest: int = 900
    default_k: int = 24
    searches: int = 4
    waiting: int = 28
    search_seconds: float = 30.0
    renderings: int = 2
    renderings_waiting: int = 254
    photos: int = 500
    photos_bytes: int = 200 * MEGA
    photos_seconds: float = 24 * 3600.0

    @classmethod
    def of(cls, settings: Settings) -> Limits:
        """Those of a configuration: what it says under ``page``, and no more than it takes of catalogue and queries."""
        return cls(
            upload_bytes=min(settings.web.max_bytes, settings.upload.max_bytes),
            upload_pixels=settings.upload.max_pixels,
        )


class Workers:
    """A bounded number of threads for work that blocks, and a bounded number of requests that wait for one.

    Args:
        threads: how many.
        waiting: requests that may wait.
        seconds: for one request, waiting included.
        name: of the threads.
    """

    def __init__(self, threads: int, waiting: int, seconds: float, name: str) -> None:
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix=name)
        self._most = threads + waiting
        self._seconds = seconds
        self._inside = 0

    @asynccontextmanager
    async def admitted(self) -> AsyncIterator[None]:
        """One request's stay, with its time limit.

        Raises:
            Refusal: too many are inside already, or the time is over. A thread that is at work then goes on to its end.
        """
        if self._inside >= self._most:
            raise Refusal(BUSY)
        self._inside += 1
        try:
            with anyio.fail_after(self._seconds):
                yield
        except TimeoutError as error:
            raise Refusal(TOO_SLOW) from error
        finally:
            self._inside -= 1

    async def run(self, work: Callable[[], T]) -> T:
        """Do this in one of the threads; who is no longer waited for is not begun."""
        return await asyncio.wrap_future(self._pool.submit(work))

    def close(self) -> None:
        """Begin nothing more."""
        self._pool.shutdown(wait=False, cancel_futures=True)
