"""Who may write a manifest, and when the server's index may be searched: locks that end with the process.

Files in the manifest's folder::

    run.lock       exclusive while a run works on the manifest
    turn.lock      exclusive while somebody asks for run.lock, or holds it for a moment only
    run.json       who holds it: pid, host, since, command; means nothing while run.lock is free
    search.lock    shared around each search, exclusive while pictures are added and not built
    adding.lock    exclusive while somebody waits for search.lock or holds it exclusively
    waiting.lock   shared while a search waits for adding.lock

The operating system takes a lock away when its holder ends, by ``kill -9`` too. Every use opens the file anew, so that
threads of one process keep each other out as processes do. The folder must be on a file system with locks of its own,
which network shares often lack.
"""

from __future__ import annotations

import json
import os
import shlex
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any, Literal

import portalocker
from portalocker import LockFlags

from ddsim.errors import ConfigError, IndexBusy, ManifestBusy, StateNotWritable

_NOTE = "run.json"
_SEARCHES = ("search.lock", "adding.lock")
_POLL_S = 0.02
# Long enough for a search that only asks whether a run is under way (Locks.running), far too short for a real run.
_PROBE_S = 0.5
# For a search that puts right what it needs: a service is made, and what an interrupted run left is built.
_MOMENT_S = 60.0
_COMMAND_CHARS = 300


def busy(folder: Path) -> ManifestBusy:
    """The error that says who works on the manifest in this folder."""
    return ManifestBusy(str(folder), **_read_note(folder / _NOTE))


class _Taken(Exception):
    """Somebody else holds the lock."""


class Locks:
    """The locks of one manifest.

    Attributes:
        folder: where the manifest and the lock files are; it exists.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @contextmanager
    def writing(self, *, brief: bool = False) -> Iterator[None]:
        """The exclusive right to a run.

        Args:
            brief: it is held for a moment only, as by a search that puts right what it needs: others wait for its end,
                where a run makes them give up.

        Raises:
            ManifestBusy: another run has it, in this process or another.
            ConfigError: the file system has no locks.
        """
        note = self.folder / _NOTE
        with ExitStack() as held, ExitStack() as turn:
            try:
                turn.enter_context(self._held("turn.lock", LockFlags.EXCLUSIVE, _MOMENT_S))
                held.enter_context(self._held("run.lock", LockFlags.EXCLUSIVE, _PROBE_S))
            except _Taken:
                raise busy(self.folder) from None
            if not brief:
                turn.close()
            with _usable(self.folder):
                for name in _SEARCHES:
                    (self.folder / name).touch()
                _write_note(note)
            try:
                yield
            finally:
                with suppress(OSError):  # a note that stays behind misleads nobody: the lock is free
                    note.unlink()

    def running(self) -> bool:
        """Whether some run holds the right to write at this moment."""
        if not (self.folder / "run.lock").exists():
            return False
        try:
            with self._held("run.lock", LockFlags.SHARED, 0):
                return False
        except _Taken:
            return True

    @contextmanager
    def searching(self, wait_s: float) -> Iterator[None]:
        """Keep pictures from being added during one search; any number may search at once.

        Args:
            wait_s: how long to wait for the end of additions, in seconds.

        Raises:
            IndexBusy: pictures are being added for longer than that.
            ConfigError: the file system has no locks.
        """
        with ExitStack() as held:
            try:
                held.enter_context(self._passed(0))
            except _Taken:
                try:
                    with self._waiting():
                        held.enter_context(self._passed(wait_s))
                except _Taken:
                    raise IndexBusy("an indexing run is adding pictures; try again in a moment") from None
            yield

    @contextmanager
    def _passed(self, wait_s: float) -> Iterator[None]:
        # Searches that overlap without end would keep a writer out for good. So they pass a gate first, which a waiting
        # writer closes; behind it there is nobody left to wait for.
        with ExitStack() as held:
            with self._held("adding.lock", LockFlags.SHARED, wait_s):
                held.enter_context(self._held("search.lock", LockFlags.SHARED, 0))
            yield

    @contextmanager
    def _waiting(self) -> Iterator[None]:
        with ExitStack() as held:
            with suppress(_Taken):  # a writer looks at it just now, and is about to add
                held.enter_context(self._held("waiting.lock", LockFlags.SHARED, 0))
            yield

    def give_way(self, wait_s: float) -> None:
        """Let the searches begin that wait for the end of additions; for a writer that will add again.

        Args:
            wait_s: so many seconds at most.
        """
        with suppress(_Taken), self._held("waiting.lock", LockFlags.EXCLUSIVE, wait_s):
            pass

    @contextmanager
    def adding(self, wait_s: float) -> Iterator[None]:
        """Keep searches away from the first addition to the end of the build.

        Args:
            wait_s: how long to wait for searches under way, in seconds; new ones are kept back meanwhile.

        Raises:
            IndexBusy: a search takes longer than that, or another thread or process is adding.
            ConfigError: the file system has no locks.
        """
        with ExitStack() as held:
            try:
                held.enter_context(self._held("adding.lock", LockFlags.EXCLUSIVE, wait_s))
                held.enter_context(self._held("search.lock", LockFlags.EXCLUSIVE, wait_s))
            except _Taken:
                raise IndexBusy(
                    f"searches did not end within {wait_s:g} s, so no picture can be added: "
                    f"stop what searches, such as `ddsim serve`, and run again. The lock files are in {self.folder}"
                ) from None
            yield

    @contextmanager
    def _held(self, name: str, kind: LockFlags, wait_s: float) -> Iterator[None]:
        path = self.folder / name
        # "ab": a network file system wants the file open for writing, and nobody's content may be cut. Whoever only
        # looks may have no right to write it.
        mode: Literal["rb", "ab"] = "rb" if kind == LockFlags.SHARED and path.exists() else "ab"
        if mode == "ab" and kind == LockFlags.SHARED and self.folder.is_dir() and not os.access(self.folder, os.W_OK):
            yield  # a run makes all of these files when it begins, so none ever was
            return
        lock = portalocker.Lock(path, mode, timeout=wait_s, check_interval=_POLL_S, flags=kind | LockFlags.NON_BLOCKING)
        with _usable(path):
            lock.acquire()
        try:
            yield
        finally:
            lock.release()


@contextmanager
def _usable(path: Path) -> Iterator[None]:
    try:
        yield
    except portalocker.AlreadyLocked:
        raise _Taken from None
    except (portalocker.LockException, OSError) as error:
        if not path.parent.is_dir():
            raise ConfigError(f"{path.parent}: the state folder is gone: run `ddsim index`") from error
        raise StateNotWritable(
            f"{path}: cannot be written or locked ({error}); the state folder must be writable, on a local disk"
        ) from error


def _write_note(path: Path) -> None:
    note = {
        "pid": os.getpid(),
        "host": socket.gethostname(),
        "since": time.time(),
        "command": shlex.join(sys.argv)[:_COMMAND_CHARS],
    }
    # Replaced as a whole, so that nobody reads half a note.
    draft = path.with_suffix(".new")
    draft.write_text(json.dumps(note), encoding="utf-8")
    draft.replace(path)


def _read_note(path: Path) -> dict[str, Any]:
    """The holder's note, nothing where there is none that can be read."""
    try:
        note = json.loads(path.read_text(encoding="utf-8"))
        time.localtime(note["since"])
        return {
            "pid": int(note["pid"]),
            "host": str(note["host"]),
            "since": float(note["since"]),
            "command": str(note["command"]),
        }
    except (OSError, ValueError, KeyError, TypeError, OverflowError):
        return {}
