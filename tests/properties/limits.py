"""What reading a small file may cost: seconds of the processor, and memory."""

from __future__ import annotations

import resource
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

#: Of the processor, not of the clock, so that a busy machine changes nothing.
SECONDS = 10.0
MEGABYTES = 1024


class TooLong(BaseException):
    """It took more time than it may; nothing that is read may catch this."""


@contextmanager
def bounded() -> Iterator[None]:
    """Whatever goes on inside has so much time and so much more memory than before.

    Raises:
        TooLong: it took longer.
        MemoryError: it asked for more.
    """

    def stop(_: int, frame: FrameType | None) -> None:
        raise TooLong(f"more than {SECONDS:g} s in {frame.f_code if frame else '?'}")

    handled = signal.signal(signal.SIGPROF, stop)
    before = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (_used() + MEGABYTES * 1024 * 1024, before[1]))
    signal.setitimer(signal.ITIMER_PROF, SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        resource.setrlimit(resource.RLIMIT_AS, before)
        signal.signal(signal.SIGPROF, handled)


def _used() -> int:
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
    return pages * resource.getpagesize()
