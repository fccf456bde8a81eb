"""The first moments of a command: without a library that it needs it says so, and Ctrl-C ends it without a word.

Imports the standard library only.
"""

from __future__ import annotations

import errno
import os
import signal
import sys
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from types import FrameType

_READER_GONE, _WRONG_USE, _INTERRUPTED = 1, 2, 130
_CHECKOUT = Path(__file__).resolve().parents[2]


def start(program: str, usual: str) -> None:
    """Import the command line, which takes a second, and run it.

    Args:
        program: the function of :mod:`ddsim.commands.app` that runs it.
        usual: how it is started where everything is installed, behind the name of a Python.
    """
    before = signal.signal(signal.SIGINT, _leave)
    try:
        app = import_module("ddsim.commands.app")
    except ModuleNotFoundError as error:
        missing = (error.name or "").partition(".")[0]
        if missing == "ddsim":
            raise
        sys.stderr.write(f"error: {_words(missing, usual)}\n")
        raise SystemExit(_WRONG_USE) from None
    signal.signal(signal.SIGINT, before)
    try:
        try:
            getattr(app, program)()
        finally:
            with suppress(AttributeError):  # there is none where it was closed before the start
                sys.stdout.flush()
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EPIPE):
            raise
        # What is left for standard output would be tried once more at the very end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        if error.errno == errno.EPIPE:
            raise SystemExit(_READER_GONE) from None
        sys.stderr.write(f"error: {error.strerror}: what was to be written has no room; make some, and run it again\n")
        raise SystemExit(_WRONG_USE) from None


def _leave(number: int, frame: FrameType | None) -> None:
    # At once, for libraries turn an exception in the middle of their import into one of their own.
    del number, frame
    os._exit(_INTERRUPTED)


def _words(missing: str, usual: str) -> str:
    text = f"ddsim needs {missing}, which is not installed for {sys.executable}"
    if not (_CHECKOUT / "scripts" / "venv.sh").is_file():
        return f"{text}: install ddsim with pip, which brings what it needs"
    python = _CHECKOUT / ".venv" / "bin" / "python"
    if python.is_file() and os.path.abspath(sys.prefix) != str(python.parents[1]):
        return f"{text}. Where it is installed: {python} {usual}"
    return f"{text}. `. scripts/venv.sh` in {_CHECKOUT} installs everything; then: {python} {usual}"
