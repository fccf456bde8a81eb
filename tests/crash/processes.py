"""The test's end of the zygote: starting real processes, killing them, waiting for their end."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Collection
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
#: Seconds after which a test gives up waiting, however slow the machine.
PATIENCE = 60.0
# One thread a library: nothing is computed here that is worth more, and a fork takes no threads along.
_QUIET = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "OPENCV_FOR_THREADS_NUM": "1", "COLUMNS": "200"}


class Processes:
    """Starts processes by way of a zygote; a context manager."""

    def __init__(self) -> None:
        self._zygote = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("zygote.py"))],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=_environment(),
        )
        self._news = threading.Condition()
        self._starting = threading.Lock()
        self._started: list[int] = []
        self._ended: dict[int, int] = {}
        self._gone = False
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def __enter__(self) -> Processes:
        return self

    def __exit__(self, *_: object) -> None:
        assert self._zygote.stdin is not None
        self._zygote.stdin.close()
        self._zygote.wait(PATIENCE)
        self._reader.join(PATIENCE)
        if self._zygote.stdout is not None:
            self._zygote.stdout.close()

    def start(self, role: str, argv: Collection[object], **order: object) -> int:
        """Start one; its pid.

        Args:
            role: ``index`` or ``server``.
            argv: its arguments.
            order: ``stdout`` and ``stderr`` (files), ``trap``, ``log``, ``poison``: see the zygote.
        """
        with self._starting:
            wanted = {key: str(value) for key, value in order.items() if value is not None}
            self._say(start={"role": role, "argv": [str(one) for one in argv], **wanted})
            with self._news:
                assert self._news.wait_for(lambda: self._started or self._gone, PATIENCE), "nothing was forked"
                assert self._started, "the zygote died"
                return self._started.pop()

    def send(self, pid: int, number: int) -> None:
        """Send a signal."""
        self._say(kill=pid, signal=number)

    def kill(self, pid: int) -> None:
        """End it with kill -9, and wait for that."""
        self.send(pid, signal.SIGKILL)
        self.wait(pid)

    def wait(self, *pids: int) -> dict[int, int]:
        """Wait until one of them has ended; those that have, with exit codes (negative: the signal)."""
        with self._news:
            done = self._news.wait_for(lambda: self._gone or any(pid in self._ended for pid in pids), PATIENCE)
            assert done, f"none of {pids} ended within {PATIENCE:g} s"
            return {pid: self._ended[pid] for pid in pids if pid in self._ended}

    def has_ended(self, pid: int) -> bool:
        """Whether it has."""
        with self._news:
            return self._gone or pid in self._ended

    def _say(self, **what: object) -> None:
        assert self._zygote.stdin is not None
        self._zygote.stdin.write(json.dumps(what).encode() + b"\n")
        self._zygote.stdin.flush()

    def _read(self) -> None:
        assert self._zygote.stdout is not None
        for line in self._zygote.stdout:
            news: dict[str, Any] = json.loads(line)
            with self._news:
                if "started" in news:
                    self._started.append(news["started"])
                elif "ended" in news:
                    self._ended[news["ended"]] = news["status"]
                self._news.notify_all()
        with self._news:
            self._gone = True
            self._news.notify_all()


class Commands(Processes):
    """Starts the commands as users do, with an interpreter of their own; nothing is wrapped in those."""

    def __init__(self) -> None:
        self._processes: dict[int, subprocess.Popen[bytes]] = {}

    def __exit__(self, *_: object) -> None:
        for process in self._processes.values():
            process.kill()
            process.wait(PATIENCE)

    def start(self, role: str, argv: Collection[object], **order: object) -> int:
        """Start one; its pid."""
        command = {"index": ["ddsim.index"], "server": ["ddsim", "server"]}[role]
        with open(str(order["stdout"]), "ab") as out, open(str(order["stderr"]), "ab") as err:
            process = subprocess.Popen(
                [sys.executable, "-m", *command, *map(str, argv)],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                env=_environment(),
            )
        self._processes[process.pid] = process
        return process.pid

    def send(self, pid: int, number: int) -> None:
        """Send a signal."""
        self._processes[pid].send_signal(number)

    def wait(self, *pids: int) -> dict[int, int]:
        """Wait until one of them has ended."""
        end = time.monotonic() + PATIENCE
        while not (ended := {pid: status for pid in pids if (status := self._processes[pid].poll()) is not None}):
            assert time.monotonic() < end, f"none of {pids} ended within {PATIENCE:g} s"
            time.sleep(0.005)
        return ended

    def has_ended(self, pid: int) -> bool:
        """Whether it has."""
        return self._processes[pid].poll() is not None


def _environment() -> dict[str, str]:
    return {**os.environ, **_QUIET, "PYTHONPATH": str(ROOT)}


class Server:
    """`ddsim server` as a process that can be killed and started again on the same port and folders.

    Attributes:
        deaths: how often it ended.
    """

    def __init__(self, processes: Processes, folder: Path, *, trap: Path | None, poison: Path | None) -> None:
        self._processes = processes
        self._folder = folder
        self._options = {"trap": trap, "poison": poison, "stdout": folder / "server.out"}
        self._lock = threading.RLock()
        self.port = 0
        self.deaths = 0
        self._start()

    def kill(self) -> None:
        """End it with kill -9."""
        self._processes.kill(self.pid)

    def stop(self) -> None:
        """Hold it with SIGSTOP: it answers nothing any more."""
        self._processes.send(self.pid, signal.SIGSTOP)

    def start_again(self) -> None:
        """Start it if it is dead."""
        with self._lock:
            if self._processes.has_ended(self.pid):
                self.deaths += 1
                self._start()

    def said(self) -> str:
        """All that it wrote to standard error, in all its lives."""
        return "".join(path.read_text() for path in self._folder.glob("server-*.err"))

    def _start(self) -> None:
        errors = self._folder / f"server-{self.deaths}.err"
        self.pid = self._processes.start(
            "server", ["--port", self.port, "--root", self._folder], stderr=errors, **self._options
        )
        end = time.monotonic() + PATIENCE
        while "listening on" not in (text := errors.read_text() if errors.exists() else ""):
            assert not self._processes.has_ended(self.pid), f"the server does not start: {text}"
            assert time.monotonic() < end, "the server does not start in time"
            time.sleep(0.002)
        self.port = int(text.partition("http://127.0.0.1:")[2].split()[0])
