"""ddsim.catalogue.locks: who may write, who may search, and that the end of a process frees what it held."""

from __future__ import annotations

import json
import os
import pickle
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path

import portalocker
import pytest
from turns import turn_asked_for

from ddsim.catalogue.locks import Locks
from ddsim.errors import ConfigError, DDSimError, IndexBusy, ManifestBusy

# Takes a lock, says so, and keeps it until it is killed or its input ends.
HOLDER = """
import sys
from pathlib import Path
from ddsim.catalogue.locks import Locks
locks = Locks(Path(sys.argv[1]))
wait = () if sys.argv[2] == "writing" else (0,)
with getattr(locks, sys.argv[2])(*wait):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def locks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Locks:
    """The locks of an empty folder; a run that is kept out knows it at once."""
    monkeypatch.setattr("ddsim.catalogue.locks._PROBE_S", 0)
    return Locks(tmp_path)


@contextmanager
def holder(folder: Path, what: str) -> Iterator[subprocess.Popen[str]]:
    """Another process that holds this lock."""
    command = [sys.executable, "-c", HOLDER, str(folder), what]
    root = str(Path(__file__).parents[3])
    process = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": root}
    )
    with process:
        try:
            assert process.stdout
            assert process.stdout.readline() == "held\n"
            yield process
        finally:
            process.kill()


def test_one_run_at_a_time(locks: Locks) -> None:
    """A second run is refused while the first is under way, and let in afterwards."""
    with locks.writing(), pytest.raises(ManifestBusy), locks.writing():
        pass
    with locks.writing():
        pass


@pytest.mark.parametrize("brief", [False, True])
def test_what_takes_a_moment_is_waited_for(locks: Locks, monkeypatch: pytest.MonkeyPatch, brief: bool) -> None:
    """A run, and another one that needs a moment, begin once it has ended."""
    asked, order = turn_asked_for(monkeypatch), []

    def wait() -> None:
        with locks.writing(brief=brief):
            order.append("second")

    with locks.writing(brief=True):
        second = threading.Thread(target=wait)
        second.start()
        assert asked.wait(20)
        order.append("first")
    second.join(20)
    assert order == ["first", "second"]


def test_a_moment_that_does_not_end(locks: Locks, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is not waited for without end, and named; a run is not waited for at all."""
    monkeypatch.setattr("ddsim.catalogue.locks._MOMENT_S", 0)
    with locks.writing(brief=True), pytest.raises(ManifestBusy) as caught, locks.writing():
        pass
    assert caught.value.pid == os.getpid()
    with locks.writing(), pytest.raises(ManifestBusy), locks.writing(brief=True):
        pass


def test_the_second_run_is_told_who_holds_it(locks: Locks, monkeypatch: pytest.MonkeyPatch) -> None:
    """The error names process, machine, beginning and command of the run under way, and what to do."""
    monkeypatch.setattr(sys, "argv", ["ddsim", "index", "my config.yml"])
    before = time.time()
    with locks.writing(), pytest.raises(ManifestBusy) as caught, locks.writing():
        pass
    error = caught.value
    assert (error.pid, error.host, error.folder) == (os.getpid(), socket.gethostname(), str(locks.folder))
    assert error.command == "ddsim index 'my config.yml'"
    assert error.since is not None
    assert before <= error.since <= time.time()
    for word in (f"process {os.getpid()} on {socket.gethostname()}", "ddsim index", "since 20", "wait for its end"):
        assert word in str(error)


def test_another_process_keeps_a_run_out_until_it_is_killed(locks: Locks) -> None:
    """A run in another process is named; killing it without a chance to clean up frees the manifest."""
    with holder(locks.folder, "writing") as process:
        with pytest.raises(ManifestBusy) as caught, locks.writing():
            pass
        assert caught.value.pid == process.pid
        process.kill()
        process.wait()
        assert (locks.folder / "run.json").exists()
        with locks.writing(), pytest.raises(ManifestBusy) as caught, locks.writing():
            pass
        assert caught.value.pid == os.getpid()


@pytest.mark.parametrize(
    "note", [None, "", "{", "[]", '{"pid": 1}', '{"pid": 1, "host": "h", "since": 1e300, "command": ""}', b"\xff"]
)
def test_a_note_that_cannot_be_read(locks: Locks, note: str | bytes | None) -> None:
    """Without a readable note the second run is refused all the same."""
    with locks.writing():
        path = locks.folder / "run.json"
        path.unlink() if note is None else path.write_bytes(note if isinstance(note, bytes) else note.encode())
        with pytest.raises(ManifestBusy, match="it has not said which") as caught, locks.writing():
            pass
    assert caught.value.pid is None


def test_a_stale_note_means_nothing(locks: Locks) -> None:
    """A note that a killed run left behind keeps nobody out."""
    note = {"pid": 1, "host": "h", "since": 0.0, "command": "x"}
    (locks.folder / "run.json").write_text(json.dumps(note))
    assert not locks.running()
    with locks.writing():
        assert json.loads((locks.folder / "run.json").read_text())["pid"] == os.getpid()
    assert not (locks.folder / "run.json").exists()


def test_a_failing_run_frees_the_manifest(locks: Locks) -> None:
    """An error inside ends the right to write."""
    with pytest.raises(KeyError), locks.writing():
        raise KeyError
    assert not locks.running()


def test_running(locks: Locks) -> None:
    """Whether a run is under way can be asked without disturbing it."""
    assert not locks.running()
    with locks.writing():
        assert locks.running()
        assert locks.running()
    assert not locks.running()


def test_asking_does_not_keep_a_run_out(locks: Locks, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run that begins at the moment somebody asks whether one is under way waits a moment instead of giving up."""
    monkeypatch.setattr("ddsim.catalogue.locks._PROBE_S", 10)
    asked = ExitStack()
    asked.enter_context(portalocker.Lock(locks.folder / "run.lock", "ab", flags=portalocker.LOCK_SH))
    real = time.sleep

    def sleep(seconds: float) -> None:
        asked.close()
        real(seconds)

    monkeypatch.setattr(time, "sleep", sleep)
    with locks.writing():
        assert locks.running()


def test_searches_do_not_keep_each_other_out(locks: Locks) -> None:
    """Any number of searches run at once, in threads and processes."""
    with holder(locks.folder, "searching"), locks.searching(0), locks.searching(0):
        pass


def test_no_search_while_pictures_are_added(locks: Locks) -> None:
    """A search is refused at once or after the given time, in words for the person who searches."""
    with locks.adding(0), pytest.raises(IndexBusy, match="adding pictures; try again in a moment"), locks.searching(0):
        pass
    with (
        holder(locks.folder, "adding"),
        pytest.raises(IndexBusy, match="adding pictures; try again"),
        locks.searching(0.01),
    ):
        pass
    with locks.searching(0):
        pass


def test_nothing_is_added_during_a_search(locks: Locks) -> None:
    """Whoever adds waits for searches under way, and says so when they do not end."""
    with locks.searching(0), pytest.raises(IndexBusy, match=r"searches did not end within 0\.01 s"), locks.adding(0.01):
        pass
    with locks.adding(0):
        pass


@pytest.mark.parametrize("what", ["searching", "adding"])
def test_a_killed_process_frees_the_index(locks: Locks, what: str) -> None:
    """What a killed search or run held is free at once."""
    with holder(locks.folder, what) as process:
        process.kill()
        process.wait()
        with locks.adding(0):
            pass


def blocked(attempt: Callable[[], AbstractContextManager[None]]) -> bool:
    """Whether this lock cannot be had at this moment."""
    try:
        with attempt():
            return False
    except IndexBusy:
        return True


def test_searches_without_end_do_not_keep_a_run_out(locks: Locks) -> None:
    """A run that waits for a search comes before searches that begin later."""
    added = threading.Event()

    def add() -> None:
        with locks.adding(30):
            added.set()

    with locks.searching(0):
        adding = threading.Thread(target=add)
        adding.start()
        deadline = time.monotonic() + 10
        while not blocked(lambda: locks.searching(0)):
            assert time.monotonic() < deadline, "later searches are let in while a run waits"
        assert not added.is_set()
    assert added.wait(10)
    adding.join(10)


def test_a_search_waits_for_the_end_of_additions(locks: Locks) -> None:
    """A search that comes during additions goes on by itself when they end in time."""
    searched = threading.Event()

    def search() -> None:
        with locks.searching(30):
            searched.set()

    with locks.adding(0):
        searching = threading.Thread(target=search)
        searching.start()
        assert not searched.is_set()
    assert searched.wait(10)
    searching.join(10)


def test_a_writer_gives_way_to_searches_that_wait(locks: Locks) -> None:
    """However soon it adds again: a search that waited for the end of the first additions begins before the second."""
    begun = threading.Event()
    waiting = threading.Event()
    held = locks._held

    @contextmanager
    def noting(name: str, kind: portalocker.LockFlags, wait_s: float) -> Iterator[None]:
        with held(name, kind, wait_s):
            if name == "waiting.lock" and kind == portalocker.LockFlags.SHARED:
                waiting.set()
            yield

    def search() -> None:
        searcher = Locks(locks.folder)
        searcher._held = noting  # type: ignore[method-assign]
        with searcher.searching(30):
            begun.set()

    thread = threading.Thread(target=search)
    with locks.adding(0):
        thread.start()
        assert waiting.wait(30)
    locks.give_way(30)
    with locks.adding(30):
        assert begun.is_set()
    thread.join()


def test_a_writer_that_nobody_waits_for_goes_on_at_once(locks: Locks) -> None:
    """Searches under way are no reason to give way, and neither is nobody at all."""
    locks.give_way(0)
    with locks.searching(0):
        locks.give_way(0)


@pytest.mark.parametrize("take", ["writing", "searching", "adding"])
def test_a_file_system_without_locks(locks: Locks, monkeypatch: pytest.MonkeyPatch, take: str) -> None:
    """Where files cannot be locked, the folder and the way out are named; nobody goes on unprotected."""

    def refuse(*_: object) -> None:
        raise portalocker.LockException("Operation not supported")

    monkeypatch.setattr(portalocker.Lock, "acquire", refuse)
    with pytest.raises(ConfigError, match=r"cannot be written or locked.*local disk") as caught:
        attempt(locks, take).__enter__()
    assert str(locks.folder) in str(caught.value)


@pytest.mark.parametrize("take", ["writing", "searching", "adding"])
def test_a_folder_that_is_gone(locks: Locks, take: str) -> None:
    """A state folder that was removed meanwhile is an error of ddsim's."""
    gone = Locks(locks.folder / "gone")
    with pytest.raises(ConfigError, match="gone"):
        attempt(gone, take).__enter__()


def attempt(locks: Locks, take: str) -> AbstractContextManager[None]:
    """One of the locks by name, without waiting."""
    return {"writing": locks.writing, "searching": lambda: locks.searching(0), "adding": lambda: locks.adding(0)}[
        take
    ]()


@pytest.mark.parametrize(
    "error",
    [ManifestBusy("/state"), ManifestBusy("/state", pid=1, host="h", since=2.0, command="x"), IndexBusy("busy")],
    ids=["unknown", "known", "index"],
)
def test_the_errors_survive_pickle(error: DDSimError) -> None:
    """The errors come whole out of a worker process."""
    twin = pickle.loads(pickle.dumps(error))  # noqa: S301  bytes of our own making
    assert (type(twin), str(twin), vars(twin)) == (type(error), str(error), vars(error))
