"""Features asked for before they are needed, so that a server has work while the last answer is being stored."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

from ddsim.deepdetect import Vectors
from ddsim.pictures import Encoded

#: Requests under way at a time: one that the server works on, one that waits there for its turn.
_UNDER_WAY = 2


class Ahead:
    """Requests that are under way. Used by one thread.

    Args:
        extract: asks for the features of some pictures; called in other threads.
    """

    def __init__(self, extract: Callable[[Sequence[Encoded]], Vectors]) -> None:
        self._extract = extract
        self._pool: ThreadPoolExecutor | None = None
        self._waiting: deque[tuple[list[Encoded], Future[Vectors]]] = deque()

    def foresee(self, pictures: Sequence[Encoded]) -> None:
        """Ask for the features of pictures that :meth:`take` will be called for, after those foreseen before."""
        if self._pool is None:
            self._pool = ThreadPoolExecutor(_UNDER_WAY, thread_name_prefix="ddsim-extract")
        wanted = list(pictures)
        self._waiting.append((wanted, self._pool.submit(self._extract, wanted)))

    def take(self, pictures: Sequence[Encoded]) -> Vectors:
        """The features of pictures, (n, d); asked for now where nobody has foreseen exactly these.

        Raises:
            DDSimError: whatever their request ended with.
        """
        for place, (foreseen, future) in enumerate(self._waiting):
            if len(foreseen) == len(pictures) and all(a is b for a, b in zip(foreseen, pictures, strict=True)):
                for _ in range(place + 1):
                    self._waiting.popleft()
                return future.result()
        return self._extract(pictures)

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
