"""Which hosts are asked: one that does not answer would hold a run for minutes with each of its pictures."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

#: A host is silent after so many questions in a row without an answer: more than are at work at a time, mostly.
MOST = 20
# Seconds after which one question goes to a silent host, to see whether it answers again.
_PAUSE = 60.0


@dataclass(slots=True)
class _Silence:
    questions: int = 0
    next_try: float = 0.0


class Hosts:
    """Counts questions without an answer by their hosts. Any thread may use it.

    Args:
        clock: gives seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._silent: dict[str, _Silence] = {}

    def may_be_asked(self, host: str) -> bool:
        """Whether a question may go there: not to a silent host, but for one in a while."""
        with self._lock:
            silence, now = self._silent.get(host), self._clock()
            if silence is None or silence.questions < MOST:
                return True
            if now < silence.next_try:
                return False
            silence.next_try = now + _PAUSE
            return True

    def answered(self, host: str) -> None:
        """It did, whatever it said."""
        with self._lock:
            self._silent.pop(host, None)

    def did_not_answer(self, host: str) -> None:
        """It could not be reached, or said nothing in time."""
        with self._lock:
            silence = self._silent.setdefault(host, _Silence())
            silence.questions += 1
            silence.next_try = self._clock() + _PAUSE
