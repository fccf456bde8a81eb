"""When a call is tried again: what passes by itself, what may be repeated, and how long to wait in between."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime, timezone
from email.utils import parsedate_to_datetime
from typing import Any, TypeVar

import tenacity

from ddsim.deepdetect.checks import is_whole
from ddsim.deepdetect.transport import Reply
from ddsim.errors import (
    ApiError,
    ConnectionLost,
    InvalidRequest,
    ServerBusy,
    ServerTimeout,
    ServerUnreachable,
    Unconnectable,
)

_log = logging.getLogger(__name__)
_Answer = TypeVar("_Answer")
_REFUSED = 429
_PASSING_FAULTS = frozenset({502, 503, 504})
# Of statuses that may come with a time after which to ask again; a 3xx may have one, too, and is not followed.
_DATED = frozenset({_REFUSED, 503})
_LONGEST = 1e9


@dataclass(frozen=True)
class Retries:
    """How often, and for how long, a call is tried again.

    A call that never reached the server is always safe to repeat, and is repeated unless waiting cannot help; so is one
    that was answered 429, of which nothing was done. Any other is repeated only where it changes nothing. Indexing is
    not: the server's index only grows, so a picture that is sent twice is in it twice.

    A server, or a proxy before it, that says with a 429 or 503 when it wants to be asked again (Retry-After) is not
    asked earlier; where that is beyond ``seconds``, it is not asked again at all.

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
            call: what to do; where it gives a :class:`Reply`, its status counts.
            repeatable: whether it may be done again after it has reached a server.
        """
        answer: _Answer = tenacity.Retrying(**self._policy(repeatable), sleep=self.pause)(call)
        return answer

    async def run_in_task(self, call: Callable[[], Awaitable[Reply]], *, repeatable: bool) -> Reply:
        """Make the call likewise; see :meth:`run`. Other tasks go on while this one waits."""
        reply: Reply = await tenacity.AsyncRetrying(**self._policy(repeatable), sleep=asyncio.sleep)(call)
        return reply

    def _policy(self, repeatable: bool) -> dict[str, Any]:
        doubling = tenacity.wait_exponential(multiplier=self.first_wait, max=self.longest_wait)
        jitter = tenacity.wait_random(0, self.first_wait)

        def wait(state: tenacity.RetryCallState) -> float:
            return max(doubling(state), _asked_for(state)) + jitter(state)

        return {
            "stop": tenacity.stop_after_attempt(self.tries) | tenacity.stop_before_delay(self.seconds),
            "wait": wait,
            "retry": lambda state: _passes(state, repeatable),
            "retry_error_callback": _last,
            "before_sleep": _tell,
        }


def retries_of(again: int | Retries | None) -> Retries:
    """The policy that the ``retries`` of a client stands for."""
    if isinstance(again, Retries):
        return again
    if again is not None and (not is_whole(again) or again < 0):
        raise InvalidRequest(f"retries={again!r} must be a whole number, 0 or more, or a ddsim.Retries")
    return Retries() if again is None else Retries(tries=again + 1)


def retry_after(reply: Reply) -> float | None:
    """The seconds after which whoever answered 429 or 503 wants to be asked again, 0 or more; None without a word."""
    words = reply.headers.get("retry-after", "").strip()
    if reply.status not in _DATED or not words:
        return None
    if words.isascii() and words.isdigit():
        return min(float(words), _LONGEST)
    moment = _moment(words)
    if moment is None:
        return None
    # Who says both goes by one clock, which need not be this machine's.
    now = _moment(reply.headers.get("date", "")) or datetime.now(timezone.utc)
    return min(max((moment - now).total_seconds(), 0.0), _LONGEST)


def _moment(words: str) -> datetime | None:
    """The moment that a date of HTTP names."""
    try:
        moment = parsedate_to_datetime(words)
        return moment.replace(tzinfo=moment.tzinfo or timezone.utc).astimezone(timezone.utc)
    except (ValueError, OverflowError, IndexError, TypeError):
        return None


def _passes(state: tenacity.RetryCallState, repeatable: bool) -> bool:
    """Whether what came of a try may be better the next time, and the call may be made again."""
    outcome = state.outcome
    if outcome is None:
        return False
    if not outcome.failed:
        answer = outcome.result()
        if not isinstance(answer, Reply):
            return False
        return answer.status == _REFUSED or (repeatable and answer.status in _PASSING_FAULTS)
    error = outcome.exception()
    unsent = isinstance(error, (ServerUnreachable, ServerBusy)) and not isinstance(error, Unconnectable)
    return unsent or (repeatable and isinstance(error, (ConnectionLost, ServerTimeout)))


def _asked_for(state: tenacity.RetryCallState) -> float:
    """The seconds that whoever answered asked for."""
    if state.outcome is None:
        return 0.0
    if state.outcome.failed:
        error = state.outcome.exception()
        return (error.retry_after if isinstance(error, ApiError) else None) or 0.0
    answer = state.outcome.result()
    return (retry_after(answer) if isinstance(answer, Reply) else None) or 0.0


def _last(state: tenacity.RetryCallState) -> Any:
    return state.outcome.result() if state.outcome else None


def _tell(state: tenacity.RetryCallState) -> None:
    if state.outcome is not None:
        reason = state.outcome.exception() or f"HTTP {state.outcome.result().status}"
        _log.warning("try %d failed, another follows in %.1f s: %s", state.attempt_number, state.upcoming_sleep, reason)
