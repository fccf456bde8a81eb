"""A process that has imported everything and forks real ones: `ddsim server`, `python -m ddsim.index` and others.

Each line of standard input is a JSON object, each line of standard output too. ``{"start": ...}`` forks, ``{"kill":
pid, "signal": n}`` sends a signal to a child, ``{"started": pid}`` and ``{"ended": pid, "status": n}`` say what
happened. Starting from here costs some milliseconds where a new interpreter costs most of a second. Standard input's
end ends all.

A child can be told to kill itself at an exact point: every function in POINTS is wrapped here, in the tests' process,
and asks its *trap* at every call, a file that may name a point and the number of the call.
"""

from __future__ import annotations

import functools
import importlib
import inspect
import json
import os
import select
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

# module:name of what a process can be killed before or after; os.* are reached through the writing of files.
POINTS = {
    "index": (
        "ddsim.catalogue.manifest:Manifest.apply",
        "ddsim.catalogue.manifest:Manifest.begin",
        "ddsim.catalogue.manifest:Manifest.added",
        "ddsim.catalogue.manifest:Manifest.indexed",
        "ddsim.catalogue.manifest:Manifest.quarantine",
        "ddsim.catalogue.manifest:Manifest.requeue",
        "ddsim.catalogue.manifest:Manifest.set_meta",
        "ddsim.vectors.milvuslink:Link.once",
        "ddsim.vectors.store:write_segment",
        "ddsim.vectors.store:Store.commit",
        "ddsim.vectors.store:Store.drop",
        "ddsim.vectors.merging:write_segment",
        "ddsim.vectors.merging:Merging.collect",
        "os:fsync",
        "os:replace",
    ),
    "server": (
        "ddsim.embedded.simsearch:SimilarityIndex.open",
        "ddsim.embedded.simsearch:SimilarityIndex.add",
        "ddsim.embedded.simsearch:SimilarityIndex.build",
        "ddsim.embedded.indexfiles:_Digested.write",
        "ddsim.embedded.pictures:decode",
        "os:fsync",
        "os:replace",
        "pathlib:Path.unlink",
    ),
}
_COMMANDS = {"index": ("ddsim.index", []), "server": ("ddsim.__main__", ["server"])}


class _Trap:
    """Kills this process at the call that the file names; asked at every call, so that it can be set at any time."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._id: object = None
        self._calls = 0

    def passed(self, point: str, when: str) -> None:
        """A point was reached."""
        try:
            with open(self._file, encoding="utf-8") as file:
                order = json.load(file)
        except FileNotFoundError:
            return
        if order["id"] != self._id:
            self._id, self._calls = order["id"], 0
        if (order["point"], order["when"]) == (point, when):
            self._calls += 1
            if self._calls == order["n"]:
                self._file.unlink()  # it is for this process, not for the one that takes its place
                os.kill(os.getpid(), signal.SIGKILL)


def _wrap(point: str, around: Callable[[Callable[..., Any]], Callable[..., Any]]) -> None:
    module, _, path = point.partition(":")
    holder = importlib.import_module(module)
    *parts, name = path.split(".")
    for part in parts:
        holder = getattr(holder, part)
    raw = inspect.getattr_static(holder, name)  # a method may stand in a base
    if isinstance(raw, classmethod):
        setattr(holder, name, classmethod(around(raw.__func__)))
    else:
        setattr(holder, name, around(raw))


def _watched(point: str, trap: _Trap) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    def around(function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        def watched(*args: Any, **kwargs: Any) -> Any:
            trap.passed(point, "before")
            result = function(*args, **kwargs)
            trap.passed(point, "after")
            return result

        return watched

    return around


def _logged(log: Path) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Write down what is sent to the index, before it is, and what was refused."""
    from ddsim.errors import BadInput

    def note(what: str, batch: Any) -> None:
        line = json.dumps({what: [one.uri for one in batch]}) + "\n"
        handle = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        os.write(handle, line.encode())
        os.close(handle)

    def around(add: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(add)
        def logged(self: Any, batch: Any, **kwargs: Any) -> Any:
            note("sent", batch)
            try:
                return add(self, batch, **kwargs)
            except BadInput:
                note("refused", batch)
                raise

        return logged

    return around


def _poisoned(picture: bytes) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """A picture that this server cannot read, although others can."""

    def around(decode: Callable[..., Any]) -> Callable[..., Any]:
        from ddsim.embedded.pictures import UndecodablePicture

        @functools.wraps(decode)
        def picky(data: bytes, *args: Any, **kwargs: Any) -> Any:
            if data == picture:
                raise UndecodablePicture("this server cannot read it")
            return decode(data, *args, **kwargs)

        return picky

    return around


def _prepare(order: dict[str, Any]) -> None:
    role = order["role"]
    if order.get("poison"):
        poisoned = _poisoned(Path(order["poison"]).read_bytes())
        _wrap("ddsim.embedded.pictures:decode", poisoned)
    if order.get("log"):
        logged = _logged(Path(order["log"]))
        for home in ("server:ServerBackend", "local:LocalBackend", "milvus:MilvusBackend"):
            _wrap(f"ddsim.vectors.{home}.add", logged)
    if order.get("trap"):
        trap = _Trap(Path(order["trap"]))
        for point in POINTS.get(role, ()):
            _wrap(point, _watched(point, trap))


def _run(order: dict[str, Any]) -> None:
    """The child: never returns."""
    signal.set_wakeup_fd(-1)
    for number in (signal.SIGCHLD, signal.SIGINT):
        signal.signal(number, signal.SIG_DFL if number == signal.SIGCHLD else signal.default_int_handler)
    for stream, name in ((0, os.devnull), (1, order["stdout"]), (2, order["stderr"])):
        handle = os.open(name, os.O_RDONLY if stream == 0 else os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        os.dup2(handle, stream)
        os.close(handle)
    status = 1
    try:
        _prepare(order)
        module, words = _COMMANDS[order["role"]]
        sys.argv = ["ddsim", *words, *order["argv"]]
        importlib.import_module(module).main()
        status = 0
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else 1
    except BaseException:  # noqa: BLE001  the child must not go on as a second zygote
        sys.excepthook(*sys.exc_info())
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


def _say(**what: object) -> None:
    os.write(1, json.dumps(what).encode() + b"\n")


def main() -> None:
    """Fork, kill and report until standard input ends."""
    for module in ("ddsim.commands.app", "ddsim.embedded", "ddsim.embedded.http", "ddsim.vectors.local"):
        importlib.import_module(module)
    # A small catalogue has few checkpoints: merges are to be struck, too.
    importlib.import_module("ddsim.vectors.merging").FEW = 2  # type: ignore[attr-defined]
    for points in POINTS.values():
        for point in points:
            importlib.import_module(point.partition(":")[0])
    reading, writing = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(writing)
    children: set[int] = set()
    rest = b""
    _say(ready=os.getpid())
    while True:
        ready, _, _ = select.select([0, reading], [], [])
        if reading in ready:
            os.read(reading, 4096)
            _reap(children)
        if 0 in ready:
            data = os.read(0, 1 << 16)
            if not data:
                break
            *lines, rest = (rest + data).split(b"\n")
            for line in lines:
                _obey(json.loads(line), children)
    for pid in children:
        os.kill(pid, signal.SIGKILL)


def _obey(order: dict[str, Any], children: set[int]) -> None:
    if "kill" in order:
        if order["kill"] in children:  # else it has ended, and the number may be somebody else's
            os.kill(order["kill"], order["signal"])
        return
    pid = os.fork()
    if pid == 0:
        _run(order["start"])
    children.add(pid)
    _say(started=pid)


def _reap(children: set[int]) -> None:
    while children:
        pid, status = os.waitpid(-1, os.WNOHANG)
        if pid == 0:
            return
        children.discard(pid)
        _say(ended=pid, status=os.waitstatus_to_exitcode(status))


if __name__ == "__main__":
    main()
