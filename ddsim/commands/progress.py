"""How far a long run is, in lines for logs: what a bar is for people who watch a terminal."""

from __future__ import annotations

import time
from collections.abc import Callable


class Lines:
    """Says now and then how far a run is; short runs say nothing.

    A line comes every half a minute, and sooner with each twentieth of the work, but not within five seconds of the
    one before; ``often`` says more.

    Args:
        say: takes the lines.
        often: whether somebody asked to hear more.
        clock: tells the time, in seconds.
    """

    def __init__(self, say: Callable[[str], None], *, often: bool = False, clock: Callable[[], float] = time.monotonic):
        self._say = say
        self._longest, self._shortest, self._part = (5.0, 1.0, 0.01) if often else (30.0, 5.0, 0.05)
        self._clock = clock
        self._begun = self._said = clock()
        self._stage = ""
        self._part_said = 0.0

    def tell(self, stage: str, done: int, total: int, failed: int = 0) -> None:
        """Hear how far it is, and say so if it is time."""
        now = self._clock()
        if stage != self._stage:
            self._stage, self._begun, self._part_said = stage, now, 0.0
        part = done / total if total else 1.0
        waited = now - self._said
        if waited < self._longest and (waited < self._shortest or part - self._part_said < self._part):
            return
        self._said, self._part_said = now, part
        rate = done / (now - self._begun) if now > self._begun else 0.0
        words = [f"{stage}: {done} of {total} ({part:.0%})"]
        if rate:
            words += [f"{rate:.1f}/s"] + ([f"{_duration((total - done) / rate)} left"] if done < total else [])
        words += [f"{failed} failed"] if failed else []
        self._say(", ".join(words))


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"about {seconds:.0f} s"
    return f"about {seconds / 60:.0f} min" if seconds < 5400 else f"about {seconds / 3600:.1f} h"
