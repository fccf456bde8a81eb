"""Which of several servers is to do something: who has how much to do, who is away, and when he is tried again."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass

from ddsim.deepdetect.client import Client
from ddsim.errors import (
    ApiError,
    ConnectionLost,
    DDSimError,
    Intercepted,
    ServerBusy,
    ServerFault,
    ServerTimeout,
    ServerUnreachable,
    ServiceNotFound,
    TransportError,
    Unconnectable,
)

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Pause:
    """How long a server that failed is left alone: twice as long each time that it fails again.

    Attributes:
        first, longest: seconds.
    """

    first: float = 1.0
    longest: float = 60.0

    def after(self, failures: int) -> float:
        """Seconds, after so many failures in a row."""
        return float(min(self.longest, self.first * 2.0 ** min(failures - 1, 30)))


@dataclass(eq=False)
class Member:
    """One of several servers.

    Attributes:
        url: where it is.
        client: to it alone; it repeats nothing, as another server is asked instead.
        under_way: pictures that it works on at the moment.
        served: pictures that it was given so far; of those who have nothing to do, who was given least is next.
        trouble: why it is away; None while it is in use.
        failures: how often in a row it was in trouble.
        due: when it is tried again.
    """

    url: str
    client: Client
    under_way: int = 0
    served: int = 0
    trouble: DDSimError | None = None
    failures: int = 0
    due: float = 0.0


class Members:
    """Keeps account of several servers; safe to use from several threads.

    Args:
        clients: address -> client.
        admit: makes a server that was away ready for everything that the others are asked for; it raises a
            :class:`~ddsim.errors.DDSimError` where that cannot be.
        pause: how long one that failed is left alone.
        clock: seconds.
    """

    def __init__(
        self,
        clients: Mapping[str, Client],
        admit: Callable[[Member], None],
        pause: Pause,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.all = tuple(Member(url, client) for url, client in clients.items())
        self._admit = admit
        self._pause = pause
        self._clock = clock
        self._lock = threading.Lock()
        self._pool: ThreadPoolExecutor | None = None
        self._attempts: dict[Member, Future[None]] = {}

    def in_use(self) -> list[Member]:
        """Those that are not away."""
        with self._lock:
            return [one for one in self.all if one.trouble is None]

    def troubles(self) -> dict[str, str]:
        """The addresses of those that are away, with the reason."""
        with self._lock:
            return {one.url: str(one.trouble) for one in self.all if one.trouble is not None}

    @contextmanager
    def borrowed(self, count: int, without: Collection[Member]) -> Iterator[Member | None]:
        """The server with the least under way, for so many pictures; None where there is none but ``without``."""
        self._try_again()
        with self._lock:
            free = [one for one in self.all if one.trouble is None and one not in without]
            member = min(free, key=lambda one: (one.under_way, one.served), default=None)
            if member is not None:
                member.under_way += count
                member.served += count
        try:
            yield member
        finally:
            if member is not None:
                with self._lock:
                    member.under_way -= count

    def lose(self, member: Member, error: DDSimError) -> None:
        """Note that a server is not to be had. One that has only forgotten its services is due at once."""
        with self._lock:
            known = member.trouble is not None  # of several calls that fail together the first one counts
        if not known:
            self._leave_alone(member, error)

    def _leave_alone(self, member: Member, error: DDSimError) -> None:
        with self._lock:
            member.failures += 1
            member.trouble = error
            forgot = isinstance(error, ServiceNotFound) and member.failures == 1
            wait_s = 0.0 if forgot else self._pause.after(member.failures)
            if isinstance(error, ApiError) and error.retry_after is not None:
                wait_s = max(wait_s, error.retry_after)
            member.due = self._clock() + wait_s
        _log.warning("%s is left alone for %.3g s: %s", member.url, wait_s, error)

    def part_with(self, failed: Mapping[Member, DDSimError], *, done: bool) -> None:
        """Lose those that failed at what each was to do; where others have done it, whatever the reason.

        Args:
            failed: with which error.
            done: whether any other one has done it.

        Raises:
            DDSimError: none has: what one of them refused, as all may for the same reason, with its address; or the
                error of :meth:`nobody`.
        """
        refused = {} if done else {one: error for one, error in failed.items() if not is_trouble(error)}
        for member, error in failed.items():
            if member not in refused:
                self.lose(member, error)
        for member, error in refused.items():
            raise named(member, error)
        if not done:
            raise self.nobody(lost=False)

    def proved(self, member: Member) -> None:
        """Note that a server did what it was asked for."""
        member.failures = 0

    def await_any(self) -> None:
        """Where all are away, try all of them now, due or not, and return when each has said yes or no."""
        if not self.in_use():
            wait(self._attempt(self.all))

    def nobody(self, lost: bool) -> TransportError | ServerBusy:
        """The error where none is to be had, which names each; ServerBusy where each says that it is busy.

        Args:
            lost: whether the call may have reached one of them.
        """
        with self._lock:
            troubles = [one.trouble for one in self.all]
        pairs = zip(self.all, troubles, strict=True)
        told = "; ".join(f"{one.url}: {trouble or 'there again by now'}" for one, trouble in pairs)
        busy = [trouble for trouble in troubles if isinstance(trouble, ServerBusy)]
        if len(busy) == len(troubles):
            first = min(busy, key=lambda one: one.retry_after or 0.0)
            words = f"none of the {len(busy)} servers takes calls: {told}"
            return ServerBusy(429, None, words, method=first.method, path=first.path, retry_after=first.retry_after)
        kind: type[TransportError] = ConnectionLost if lost else ServerUnreachable
        if not lost and all(isinstance(trouble, (Unconnectable, Intercepted)) for trouble in troubles):
            kind = Unconnectable
        return kind(f"none of the {len(self.all)} servers can be used: {told}")

    def close(self) -> None:
        """Wait for attempts under way, and close the clients."""
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)
        for one in self.all:
            one.client.close()

    def _try_again(self) -> None:
        """Try those that are due, in the background: nobody else waits for one that may never answer."""
        now = self._clock()
        with self._lock:
            due = [one for one in self.all if one.trouble is not None and one.due <= now]
        self._attempt(due)

    def _attempt(self, members: Sequence[Member]) -> list[Future[None]]:
        """Try each in a thread of its own, one attempt at a time."""
        with self._lock:
            for one in members:
                if one not in self._attempts:
                    if self._pool is None:
                        self._pool = ThreadPoolExecutor(len(self.all), thread_name_prefix="ddsim-servers")
                    self._attempts[one] = self._pool.submit(self._attempted, one)
            return [self._attempts[one] for one in members]

    def _attempted(self, member: Member) -> None:
        try:
            self._admit(member)
            with self._lock:
                member.trouble = None  # the failures count until it has done some work
            _log.info("%s is there again", member.url)
        except DDSimError as error:
            self._leave_alone(member, error)
        finally:
            with self._lock:
                self._attempts.pop(member, None)


def is_trouble(error: BaseException) -> bool:
    """Whether an error is the server's, so that another one may do better."""
    return isinstance(error, (TransportError, ServerFault, ServerBusy, Intercepted))


def was_sent(error: BaseException) -> bool:
    """Whether a server may have worked on the call that ended with this error, and died of it."""
    return isinstance(error, (ConnectionLost, ServerTimeout))


def named(member: Member, error: DDSimError) -> DDSimError:
    """The same error with the server's address before its words."""
    error.args = (f"{member.url}: {error.args[0]}", *error.args[1:])
    return error
