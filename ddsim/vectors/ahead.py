"""Answers asked for before they are needed, so that a server has work while the last one is being stored."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Generic, TypeVar

from ddsim.deepdetect import Client, members_of
from ddsim.pictures import Encoded

_Answer = TypeVar("_Answer")


def requests_to(client: Client) -> int:
    """How many requests are under way at a time: for each server one that it works on, and one that waits there.

    One where what answers takes one after the other.
    """
    return 2 * len(members_of(client)) if client.concurrent else 1


class Ahead(Generic[_Answer]):
    """Requests that are under way. Used by one thread.

    Args:
        ask: asks for what is wanted of some pictures; called in other threads.
        under_way: requests at a time, see :func:`requests_to`.
    """

    def __init__(self, ask: Callable[[Sequence[Encoded]], _Answer], under_way: int = 2) -> None:
        self._ask = ask
        self._under_way = under_way
        self._pool: ThreadPoolExecutor | None = None
        self._waiting: list[tuple[list[Encoded], Future[_Answer]]] = []

    def foresee(self, pictures: Sequence[Encoded]) -> Future[_Answer]:
        """Ask for pictures that :meth:`take` will be called for, in whatever order."""
        if self._pool is None:
            self._pool = ThreadPoolExecutor(self._under_way, thread_name_prefix="ddsim-extract")
        wanted = list(pictures)
        future = self._pool.submit(self._ask, wanted)
        self._waiting.append((wanted, future))
        return future

    def take(self, pictures: Sequence[Encoded]) -> _Answer:
        """The answer for pictures; asked for now where nobody has foreseen exactly these.

        Raises:
            DDSimError: whatever their request ended with.
        """
        for place, (foreseen, future) in enumerate(self._waiting):
            if len(foreseen) == len(pictures) and all(a is b for a, b in zip(foreseen, pictures, strict=True)):
                del self._waiting[place]
                return future.result()
        return self._ask(pictures)

    def drop(self) -> None:
        """Forget what is under way: the server is another one now, or nobody wants it any more."""
        for _, future in self._waiting:
            future.cancel()
        self._waiting.clear()

    def close(self) -> None:
        """Wait for what is under way, and end the threads."""
        self.drop()
        if self._pool is not None:
            self._pool.shutdown()
            self._pool = None
