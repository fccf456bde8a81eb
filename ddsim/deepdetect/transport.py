"""One exchange with a server: the seam behind which HTTP, the embedded engine and test doubles stand."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar, runtime_checkable

import numpy as np
import tenacity
from numpy.typing import NDArray

from ddsim.errors import ConnectionLost, ServerTimeout, ServerUnreachable, Unconnectable
from ddsim.showing import Value, clipped

_log = logging.getLogger(__name__)
_Answer = TypeVar("_Answer")
_PASSING_FAULTS = frozenset({502, 503, 504})


@dataclass(frozen=True)
class Timeout:
    """Time limits of one exchange, in seconds.

    Attributes:
        connect: until a connection stands.
        read: from then on until the whole answer is there; sending the request counts.
    """

    connect: float
    read: float


@dataclass(frozen=True, repr=False)
class Reply(Value):
    """What a server answered.

    Attributes:
        status: HTTP status.
        body: the body's bytes, decompressed.
        headers: their names in lower case.
        values: what the body would say, where a :class:`ValueTransport` has not written it; arrays stand for lists of
            numbers.
    """

    status: int
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)
    values: Mapping[str, Any] | None = None


class Transport(Protocol):
    """Carries one exchange; does not retry, does not judge the status."""

    def exchange(self, method: str, path: str, json: Mapping[str, Any] | None, timeout: Timeout) -> Reply:
        """Send one request and return the answer, whatever its status.

        Args:
            method: GET, PUT, POST or DELETE.
            path: the request target, query included, e.g. ``/services/lamps?clear=index``. Never percent-encoded:
                DeepDetect v0.25.0 does not decode it (checked on a running server).
            json: the body, for POST and PUT; None sends no body at all.
            timeout: time limits.

        Raises:
            ServerUnreachable: no connection could be made; Unconnectable where none ever will this way.
            ServerTimeout: sent, no answer in time.
            ConnectionLost: sent, the connection ended without an answer.
            InvalidResponse: the answer is not HTTP.
        """
        ...

    def close(self) -> None:
        """Release connections; the transport is not used afterwards."""
        ...


class AsyncTransport(Protocol):
    """As :class:`Transport`, for tasks of asyncio."""

    async def exchange(self, method: str, path: str, json: Mapping[str, Any] | None, timeout: Timeout) -> Reply:
        """See :meth:`Transport.exchange`. Where the task is cancelled, nothing of this exchange meets a later one."""
        ...

    async def close(self) -> None:
        """Release connections; the transport is not used afterwards."""
        ...


@dataclass(frozen=True, slots=True, eq=False)
class Decoded:
    """A picture file and what is in it, which a server of the same process need not find out once more.

    Attributes:
        data: the file's content.
        pixels: what decoding gives, uint8: (height, width) of grey, (height, width, 3) in RGB order.
    """

    data: bytes
    pixels: NDArray[np.uint8]

    def __len__(self) -> int:
        return len(self.data)


@runtime_checkable
class ValueTransport(Transport, Protocol):
    """A transport within the process: what both sides have as values is not written as text and read again."""

    def exchange_values(self, method: str, path: str, json: Mapping[str, Any] | None, timeout: Timeout) -> Reply:
        """As :meth:`Transport.exchange`, but elements of ``data`` may be files: bytes, or :class:`Decoded`.

        The answer is the same as to base64 and JSON; where it says yes to a prediction it may come as values.
        """
        ...


def where(transport: object) -> str:
    """Where a transport leads, in a word for people: its address, without secrets, or what kind it is."""
    return clipped(str(getattr(transport, "url", type(transport).__name__)))


@dataclass(frozen=True)
class Retries:
    """How often, and for how long, a call is tried again.

    A call that never reached the server is always safe to repeat, and is repeated unless waiting cannot help. One that
    did is repeated only where it changes nothing. Indexing is not: the server's index only grows, so a picture that is
    sent twice is in it twice.

    Attributes:
        tries: calls in all; 1 switches retrying off.
        seconds: no new try begins later than this after the first.
        first_wait, longest_wait: seconds; the wait doubles in between, with up to first_wait of jitter on top.
        sleep: how to wait; tests pass one that does not. None is Python's own; tasks wait by asyncio.
    """

    tries: int = 3
    seconds: float = 30.0
    first_wait: float = 0.2
    longest_wait: float = 5.0
    sleep: Callable[[float], None] | None = None

    def pause(self, seconds: float) -> None:
        """Wait.

        Args:
            seconds: how long.
        """
        (self.sleep or time.sleep)(seconds)

    def run(self, call: Callable[[], _Answer], *, repeatable: bool) -> _Answer:
        """Make the call, again where that is safe; the last answer or error comes out.

        Args:
            call: what to do.
            repeatable: whether it may be done again after it has reached a server; it gives a :class:`Reply` then.
        """
        answer: _Answer = tenacity.Retrying(**self._policy(repeatable), sleep=self.pause)(call)
        return answer

    async def run_in_task(self, call: Callable[[], Awaitable[Reply]], *, repeatable: bool) -> Reply:
        """Make the call likewise; see :meth:`run`. Other tasks go on while this one waits."""
        reply: Reply = await tenacity.AsyncRetrying(**self._policy(repeatable), sleep=asyncio.sleep)(call)
        return reply

    def _policy(self, repeatable: bool) -> dict[str, Any]:
        def passing(state: tenacity.RetryCallState) -> bool:
            outcome = state.outcome
            if outcome is None or not outcome.failed:
                return repeatable and outcome is not None and outcome.result().status in _PASSING_FAULTS
            error = outcome.exception()
            again = isinstance(error, ServerUnreachable) and not isinstance(error, Unconnectable)
            return again or (repeatable and isinstance(error, (ConnectionLost, ServerTimeout)))

        return {
            "stop": tenacity.stop_after_attempt(self.tries) | tenacity.stop_before_delay(self.seconds),
            "wait": tenacity.wait_exponential(multiplier=self.first_wait, max=self.longest_wait)
            + tenacity.wait_random(0, self.first_wait),
            "retry": passing,
            "retry_error_callback": _last,
            "before_sleep": _tell,
        }


def _last(state: tenacity.RetryCallState) -> Any:
    return state.outcome.result() if state.outcome else None


def _tell(state: tenacity.RetryCallState) -> None:
    if state.outcome is not None:
        reason = state.outcome.exception() or f"HTTP {state.outcome.result().status}"
        _log.warning("try %d failed, another follows in %.1f s: %s", state.attempt_number, state.upcoming_sleep, reason)
