"""ddsim.catalogue.manifest: items, their states and numbers, and what a damaged or foreign file leads to."""

from __future__ import annotations

import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path

import numpy as np
import pytest

from ddsim.catalogue import database
from ddsim.catalogue.folder import Entry
from ddsim.catalogue.manifest import ItemState, Manifest, Row
from ddsim.catalogue.plan import Change
from ddsim.errors import ConfigError, IndexBusy, InvalidRequest, ManifestBusy, StateNotWritable

IDENTITY = {"catalogue": "/photos", "model": {"layer": "pool5", "width": 224}}
PENDING, SENDING, ADDED, INDEXED, QUARANTINED = ItemState


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where the manifest is kept."""
    return tmp_path / "state" / "demo"


@pytest.fixture
def manifest(folder: Path) -> Iterator[Manifest]:
    """An empty manifest."""
    with Manifest.open(folder, IDENTITY) as opened:
        yield opened


def fill(manifest: Manifest, *uris: str) -> None:
    """Plan these items, which are pending then; others vanish."""
    entries = [Entry(uri, uri.partition("/")[0], Path("/photos") / uri, 10, 20) for uri in uris]
    with manifest.plan(entries, str) as plan:
        manifest.apply(plan)


def send(manifest: Manifest, *uris: str) -> list[int]:
    """Begin these, each with a content of its own."""
    return manifest.begin([(uri, f"hash of {uri!a}", 11, 21) for uri in uris])


def index(manifest: Manifest, *uris: str) -> list[int]:
    """Take these all the way."""
    vids = send(manifest, *uris)
    manifest.added(vids)
    manifest.indexed()
    return vids


def states(manifest: Manifest) -> dict[str, ItemState]:
    """The state of every item."""
    return {row.uri: row.state for row in manifest.rows()}


def test_the_way_of_an_item(manifest: Manifest) -> None:
    """An item is pending, sending, added and indexed in turn; its number is there from sending on."""
    before = time.time()
    fill(manifest, "lamp/1")
    assert manifest.get("lamp/1") == Row("lamp/1", "lamp", 10, 20, None, PENDING, None, 0, ANY_TIME, None)
    (vid,) = send(manifest, "lamp/1")
    row = Row("lamp/1", "lamp", 11, 21, "hash of 'lamp/1'", SENDING, None, 0, ANY_TIME, vid)
    assert manifest.get("lamp/1") == row
    assert manifest.added([vid]) == 1
    assert states(manifest) == {"lamp/1": ADDED}
    assert manifest.indexed() == 1
    found = manifest.get("lamp/1")
    assert found
    assert (found.state, found.vid, found.sha256) == (INDEXED, vid, "hash of 'lamp/1'")
    assert before <= found.changed <= time.time()


class _AnyTime(float):
    def __eq__(self, other: object) -> bool:
        return isinstance(other, float)

    __hash__ = float.__hash__


ANY_TIME = _AnyTime()


def test_everything_survives_reopening(folder: Path) -> None:
    """A manifest that is closed and opened again knows what it knew."""
    with Manifest.open(folder, IDENTITY) as manifest:
        fill(manifest, "lamp/1", "lamp/2", "lamp/3")
        index(manifest, "lamp/1")
        manifest.quarantine("lamp/2", "cut short")
        manifest.set_meta(generation=3)
        rows = manifest.rows()
    with Manifest.open(folder, IDENTITY) as manifest:
        assert manifest.rows() == rows
        assert manifest.get_meta("generation") == 3
        assert manifest.folder == folder


def test_a_killed_process_loses_nothing(folder: Path, manifest: Manifest) -> None:
    """What was committed before kill -9 is there afterwards, and its numbers are not given again."""
    fill(manifest, *(f"lamp/{i}" for i in range(5)))
    program = """
import os, signal, sys
from pathlib import Path
from ddsim.catalogue.manifest import Manifest
manifest = Manifest.open(Path(sys.argv[1]), eval(sys.argv[2]))
manifest.added(manifest.begin([("lamp/0", "a", 1, 1), ("lamp/1", "b", 1, 1)])[:1])
os.kill(os.getpid(), signal.SIGKILL)
"""
    root = str(Path(__file__).parents[3])
    command = [sys.executable, "-c", program, str(folder), repr(IDENTITY)]
    done = subprocess.run(command, env={**os.environ, "PYTHONPATH": root}, timeout=60, check=False)
    assert done.returncode == -signal.SIGKILL
    rows = manifest.rows()
    assert [row.state for row in rows] == [ADDED, SENDING, PENDING, PENDING, PENDING]
    assert send(manifest, "lamp/0")[0] > max(row.vid or 0 for row in rows)


def test_begin_is_written_before_it_returns(folder: Path, manifest: Manifest) -> None:
    """Another connection sees an item as being sent as soon as its number is known."""
    fill(manifest, "lamp/1")
    vids = send(manifest, "lamp/1")
    with Manifest.open(folder, IDENTITY) as other:
        assert [(row.state, row.vid) for row in other.rows()] == [(SENDING, vids[0])]


def test_numbers_grow(manifest: Manifest) -> None:
    """Every insertion has a number of its own, larger than all before, in the order of the batch."""
    fill(manifest, "lamp/1", "lamp/2")
    vids = send(manifest, "lamp/2", "lamp/1") + send(manifest, "lamp/1", "lamp/2") + index(manifest, "lamp/1")
    assert vids == sorted(set(vids))
    assert len(vids) == 5
    assert manifest.begin([]) == []


def test_a_batch_larger_than_what_is_reserved(manifest: Manifest) -> None:
    """Numbers do not run out inside a batch."""
    uris = [f"lamp/{i}" for i in range(2500)]
    fill(manifest, *uris)
    vids = [*send(manifest, uris[0]), *send(manifest, *uris), *send(manifest, uris[0])]
    assert vids == sorted(set(vids))


def test_numbers_of_two_open_manifests(folder: Path, manifest: Manifest) -> None:
    """Who takes turns with another on the same file still gets larger numbers than the other had."""
    fill(manifest, "lamp/1")
    with Manifest.open(folder, IDENTITY) as other:
        vids = [vid for _ in range(3) for turn in (manifest, other) for vid in send(turn, "lamp/1")]
    assert vids == sorted(set(vids))


def test_a_power_cut_gives_no_number_again(folder: Path, tmp_path: Path) -> None:
    """Commits that a power cut may undo, after numbers were reserved, do not bring a number back."""
    with Manifest.open(folder, IDENTITY) as manifest:
        fill(manifest, "lamp/1")
        send(manifest, "lamp/1")
        shutil.copytree(folder, tmp_path / "as it was")
        lost = [vid for _ in range(10) for vid in send(manifest, "lamp/1")]
    shutil.rmtree(folder)
    shutil.copytree(tmp_path / "as it was", folder)
    with Manifest.open(folder, IDENTITY) as manifest:
        assert send(manifest, "lamp/1")[0] > max(lost)


@pytest.mark.parametrize("how", ["deleted", "restored"])
def test_a_manifest_that_falls_behind_its_index(
    folder: Path, tmp_path: Path, how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A deleted manifest or one from a backup gives no number that the index may hold: the clock went on."""
    clock = iter(range(10**15, 10**18, 10**10))
    monkeypatch.setattr("ddsim.catalogue.manifest.time.time_ns", lambda: next(clock) * 1000)
    with Manifest.open(folder, IDENTITY) as manifest:
        fill(manifest, "lamp/1")
        send(manifest, "lamp/1")
    shutil.copytree(folder, tmp_path / "backup")
    with Manifest.open(folder, IDENTITY) as manifest:
        later = [vid for _ in range(3000) for vid in send(manifest, "lamp/1")]
    shutil.rmtree(folder)
    if how == "restored":
        shutil.copytree(tmp_path / "backup", folder)
    with Manifest.open(folder, IDENTITY) as manifest:
        fill(manifest, "lamp/1")
        assert send(manifest, "lamp/1")[0] > max(later)


def test_a_clock_that_was_set_back(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Numbers grow whatever the clock says."""
    vids: list[int] = []
    for now in (10**18, 0, 10**9):
        monkeypatch.setattr("ddsim.catalogue.manifest.time.time_ns", lambda now=now: now)
        with Manifest.open(folder, IDENTITY) as manifest:
            fill(manifest, "lamp/1")
            vids += send(manifest, "lamp/1")
    assert vids == sorted(set(vids))


@pytest.mark.parametrize("batch", [["lamp/1", "lamp/9"], ["lamp/1", "lamp/1"]], ids=["unknown", "twice"])
def test_a_batch_that_cannot_be(manifest: Manifest, batch: list[str]) -> None:
    """A batch with an unknown item, or one twice, is refused as a whole."""
    fill(manifest, "lamp/1")
    with pytest.raises(InvalidRequest):
        send(manifest, *batch)
    assert states(manifest) == {"lamp/1": PENDING}


def test_added_counts_what_is_still_valid(manifest: Manifest) -> None:
    """What was removed, begun anew or never begun is not marked as added."""
    fill(manifest, "lamp/1", "lamp/2", "lamp/3")
    vids = send(manifest, "lamp/1", "lamp/2", "lamp/3")
    manifest.remove(["lamp/1"])
    send(manifest, "lamp/2")
    assert manifest.added([*vids, 7, -1, 2**70]) == 1
    assert states(manifest) == {"lamp/2": SENDING, "lamp/3": ADDED}
    assert manifest.added([]) == 0


def test_quarantine(manifest: Manifest) -> None:
    """An item in quarantine has its reason, counts its tries and has no number; the next try clears the reason."""
    fill(manifest, "lamp/1")
    send(manifest, "lamp/1")
    manifest.quarantine("lamp/1", "cut short")
    manifest.quarantine("lamp/1", "empty, 0 bytes", sha256="e3b0", size=0, mtime_ns=5)
    row = Row("lamp/1", "lamp", 0, 5, "e3b0", QUARANTINED, "empty, 0 bytes", 2, ANY_TIME, None)
    assert manifest.get("lamp/1") == row
    send(manifest, "lamp/1")
    again = manifest.get("lamp/1")
    assert again
    assert (again.error, again.tries) == (None, 2)


def test_quarantine_keeps_what_it_is_not_told(manifest: Manifest) -> None:
    """Content, size and time stay as they were known where nothing was read."""
    fill(manifest, "lamp/1")
    send(manifest, "lamp/1")
    manifest.quarantine("lamp/1", "gone")
    row = manifest.get("lamp/1")
    assert row
    assert (row.sha256, row.size, row.mtime_ns) == ("hash of 'lamp/1'", 11, 21)


def test_quarantine_of_nothing(manifest: Manifest) -> None:
    """An item that does not exist cannot be put aside."""
    with pytest.raises(InvalidRequest, match="lamp/9"):
        manifest.quarantine("lamp/9", "x")


def test_requeue(manifest: Manifest) -> None:
    """Items in the named states are pending again without a number; facts are stored along with it."""
    fill(manifest, *"abcde")
    index(manifest, "a")
    manifest.added(send(manifest, "b"))
    vids = send(manifest, "c")
    manifest.quarantine("d", "x")
    assert manifest.requeue(SENDING) == 1
    assert manifest.resolve(vids) == {}
    assert states(manifest) == {"a": INDEXED, "b": ADDED, "c": PENDING, "d": QUARANTINED, "e": PENDING}
    assert manifest.requeue(INDEXED, ADDED, facts={"generation": 2}) == 2
    assert manifest.get_meta("generation") == 2
    assert set(states(manifest).values()) == {PENDING, QUARANTINED}
    assert [row.vid for row in manifest.rows()] == [None] * 5
    assert manifest.requeue() == 0


def test_lost(manifest: Manifest) -> None:
    """Items that the index turns out not to hold are pending again; unknown numbers do not matter."""
    fill(manifest, "a", "b")
    vids = index(manifest, "a", "b")
    assert manifest.lost([vids[0], 5, 2**80]) == 1
    assert states(manifest) == {"a": PENDING, "b": INDEXED}


def test_remove(manifest: Manifest) -> None:
    """A removed item is gone at once, with its number."""
    fill(manifest, "a", "b")
    vids = index(manifest, "a", "b")
    assert manifest.remove(["a", "nothing"]) == 1
    assert manifest.get("a") is None
    assert list(manifest.resolve(vids)) == [vids[1]]


def test_resolve_gives_current_ones_alone(manifest: Manifest) -> None:
    """Old numbers, numbers being sent and numbers never given resolve to nothing; added ones are valid."""
    fill(manifest, "a", "b", "c")
    old = index(manifest, "a", "b")
    new = index(manifest, "a")
    added = send(manifest, "c")
    assert manifest.resolve(added) == {}
    manifest.added(added)
    found = manifest.resolve([*old, *new, *added, *added, 0, -3, 10**30])
    assert {vid: row.uri for vid, row in found.items()} == {new[0]: "a", old[1]: "b", added[0]: "c"}
    assert all(row.vid == vid for vid, row in found.items())
    assert manifest.resolve([]) == {}


def test_resolve_sees_what_others_change(manifest: Manifest) -> None:
    """What was resolved a moment ago is another item's, or nobody's, once this or another connection says so."""
    fill(manifest, "a", "b")
    first, second = index(manifest, "a", "b")
    assert set(manifest.resolve([first, second])) == {first, second}
    with Manifest.look(manifest.folder, IDENTITY) as other:
        assert set(other.resolve([first, second])) == {first, second}
        manifest.remove(["a"])
        assert set(manifest.resolve([first, second])) == {second} == set(other.resolve([first, second]))
        other.lost([second])
        assert manifest.resolve([first, second]) == {} == other.resolve([first, second])


def test_numbers_and_facts_follow_what_others_change(manifest: Manifest, folder: Path) -> None:
    """What was asked before is asked again once another process has changed something."""
    fill(manifest, "bed/a.jpg", "lamp/b.jpg")
    index(manifest, "bed/a.jpg")
    manifest.set_meta(generation=1)
    assert (manifest.categories(), manifest.counts()[PENDING], manifest.get_meta("generation")) == ({"bed": 1}, 1, 1)
    with Manifest.open(folder, IDENTITY) as other:
        index(other, "lamp/b.jpg")
        other.set_meta(generation=2)
    assert manifest.categories() == {"bed": 1, "lamp": 1}
    assert (manifest.counts()[PENDING], manifest.get_meta("generation")) == (0, 2)


def test_what_was_undone_is_not_remembered(manifest: Manifest) -> None:
    """A question in the middle of a change that is undone does not spoil later answers."""
    manifest.set_meta(generation=1)
    with suppress(KeyboardInterrupt), manifest._database.writing() as db:
        db.execute("UPDATE meta SET value = '2'")
        assert manifest.get_meta("generation") == 2
        raise KeyboardInterrupt
    assert manifest.get_meta("generation") == 1


def test_answers_belong_to_whoever_asked(manifest: Manifest) -> None:
    """What a caller does to an answer changes no later one."""
    manifest.set_meta(seen=["a"])
    for _ in range(2):
        manifest.categories()["bed"] = 7
        manifest.counts()[PENDING] = 7
        manifest.get_meta("seen").append("b")
    assert (manifest.categories(), manifest.counts()[PENDING], manifest.get_meta("seen")) == ({}, 0, ["a"])


def test_resolve_takes_any_number_of_numbers(manifest: Manifest) -> None:
    """More numbers than SQLite takes parameters are resolved."""
    uris = [f"lamp/{i:04}" for i in range(1700)]
    fill(manifest, *uris)
    vids = index(manifest, *uris)
    found = manifest.resolve(range(vids[0] - 3000, vids[-1] + 1))
    assert {vid: row.uri for vid, row in found.items()} == dict(zip(vids, uris, strict=True))


def test_numbers_of_numpy(manifest: Manifest) -> None:
    """Numbers that come out of an array are numbers."""
    fill(manifest, "a", "b")
    vids = np.array(send(manifest, "a", "b"))
    assert manifest.added(vids) == 2
    assert set(manifest.resolve(vids)) == set(vids.tolist())
    assert manifest.lost(vids[:1]) == 1


def test_pages(manifest: Manifest) -> None:
    """Items come in pages in the order of their names, all of them or those of a state or category."""
    uris = sorted(f"{category}/{i}" for category in ("lamp", "bed", "lamp-old") for i in range(4))
    fill(manifest, *reversed(uris))
    index(manifest, "lamp/1", "bed/2")
    pages, last = [], ""
    while page := manifest.rows(after=last, limit=5):
        pages.append([row.uri for row in page])
        last = page[-1].uri
    assert pages == [uris[:5], uris[5:10], uris[10:]]
    assert [row.uri for row in manifest.rows(INDEXED)] == ["bed/2", "lamp/1"]
    assert [row.uri for row in manifest.rows(category="lamp", after="lamp/1")] == ["lamp/2", "lamp/3"]
    assert [row.uri for row in manifest.rows(PENDING, "lamp")] == ["lamp/0", "lamp/2", "lamp/3"]
    assert [row.uri for row in manifest.pending("bed/1", 2)] == ["bed/3", "lamp-old/0"]
    assert manifest.pending("zzz") == []


ODD = [
    "lamp/%",
    "lamp/_",
    "lamp/'; DROP TABLE items; --",
    "lamp/\udcff.jpg",
    "lamp/a\0b",
    "椅子/🛋 ünïcode\n.jpg",
    "LAMP/a",
]


def test_odd_names(manifest: Manifest) -> None:
    """Names are taken as they are: wildcards, quotes, bytes that are no Unicode, capitals, anything."""
    fill(manifest, *ODD)
    vids = index(manifest, *ODD)
    assert [row.uri for row in manifest.rows()] == sorted(ODD)
    assert {manifest.resolve([vid])[vid].uri for vid in vids} == set(ODD)
    assert manifest.categories() == {"LAMP": 1, "lamp": 5, "椅子": 1}
    assert [row.uri for row in manifest.rows(category="椅子")] == [ODD[5]]
    assert manifest.get("lamp/a") is None
    manifest.quarantine(ODD[3], "\udcff cannot be read")
    row = manifest.get(ODD[3])
    assert row
    assert row.error == "\\udcff cannot be read"
    assert manifest.remove(["lamp/%"]) == 1


@pytest.mark.parametrize("number", [-(2**63), -1, 2**63 - 1, 2**63, 2**64 - 1])
def test_odd_times(manifest: Manifest, number: int) -> None:
    """Times before 1970 and past 2262 are no trouble, and the same on the next run."""
    entry = Entry("a/1", "a", Path("a/1"), 5, number)
    for expected in (1, 0):
        with manifest.plan([entry], str) as plan:
            manifest.apply(plan)
            assert len(list(plan.uris(Change.NEW))) == expected
    manifest.begin([("a/1", "h", 5, number)])
    manifest.quarantine("a/1", "x", size=5, mtime_ns=number)
    with manifest.plan([entry], str) as plan:
        assert plan.counts[Change.FAILED] == 1


def test_counts(manifest: Manifest) -> None:
    """Every state is counted, those without items too; categories count what is indexed."""
    assert manifest.counts() == dict.fromkeys(ItemState, 0)
    assert manifest.categories() == {}
    fill(manifest, "lamp/1", "lamp/2", "bed/1", "bed/2")
    index(manifest, "lamp/1", "lamp/2", "bed/1")
    manifest.quarantine("lamp/2", "x")
    assert manifest.counts() == {PENDING: 1, SENDING: 0, ADDED: 0, INDEXED: 2, QUARANTINED: 1}
    assert list(manifest.categories().items()) == [("bed", 1), ("lamp", 1)]


def test_vids(manifest: Manifest) -> None:
    """All valid numbers come in order; what is being sent is not valid."""
    fill(manifest, "a", "b", "c", "d")
    index(manifest, "a", "b")
    manifest.added(send(manifest, "c"))
    send(manifest, "d")
    again = index(manifest, "a")
    found = list(manifest.vids())
    assert found == sorted(found)
    assert {row.uri for row in manifest.resolve(found).values()} == {"a", "b", "c"}
    assert found[-1] == again[0]


def test_twins(manifest: Manifest) -> None:
    """Indexed items of the same content are grouped; what is not in the index is no twin."""
    fill(manifest, *"abcdefg")
    manifest.added(manifest.begin([(uri, "same", 1, 1) for uri in "dba"] + [("c", "other", 1, 1), ("e", "2nd", 1, 1)]))
    manifest.indexed()
    manifest.added(manifest.begin([("f", "2nd", 1, 1)]))
    manifest.begin([("g", "other", 1, 1)])
    assert list(manifest.twins()) == [["e", "f"], ["a", "b", "d"]]


def test_twins_may_be_left_half_way(manifest: Manifest) -> None:
    """The manifest goes on while somebody is in the middle of a long answer."""
    fill(manifest, *"abcd")
    manifest.added(manifest.begin([("a", "x", 1, 1), ("b", "x", 1, 1), ("c", "y", 1, 1), ("d", "y", 1, 1)]))
    twins = manifest.twins()
    assert next(twins) == ["a", "b"]
    manifest.remove("abcd")
    assert list(manifest.twins()) == []
    assert next(twins) == ["c", "d"]


def test_sample(manifest: Manifest) -> None:
    """A sample has something of each category, more of the large ones, indexed items alone, and is repeatable."""
    uris = [f"{category}/{i:03}" for category, count in (("a", 2), ("b", 30), ("c", 60)) for i in range(count)]
    fill(manifest, *uris, "d/pending")
    index(manifest, *uris)
    sample = manifest.sample(20, seed=1)
    names = [row.uri for row in sample]
    assert names == sorted(set(names))
    assert len(names) == 20
    assert {row.state for row in sample} == {INDEXED}
    counts = [sum(name.startswith(category) for name in names) for category in "abc"]
    assert counts[0] in (1, 2)
    assert counts[0] < counts[1] < counts[2]
    assert manifest.sample(20, seed=1) == sample
    assert manifest.sample(20, seed=2) != sample


@pytest.mark.parametrize(("n", "expected"), [(0, 0), (-1, 0), (1, 1), (2, 2), (3, 3), (4, 4), (5, 5), (6, 6), (100, 6)])
def test_sample_of_any_size(manifest: Manifest, n: int, expected: int) -> None:
    """As many items as asked for, or all there are."""
    fill(manifest, "a/1", "b/1", "b/2", "b/3", "b/4", "c/1")
    index(manifest, "a/1", "b/1", "b/2", "b/3", "b/4", "c/1")
    rows = manifest.sample(n, seed=0)
    assert len(rows) == expected
    assert len({row.category for row in rows}) == min(expected, 3)


def test_sample_of_nothing(manifest: Manifest) -> None:
    """An empty manifest has an empty sample."""
    assert manifest.sample(10, seed=0) == []


def test_meta(manifest: Manifest) -> None:
    """Facts are kept under their keys, whatever plain values they are, and replaced."""
    assert manifest.get_meta("incarnation") is None
    manifest.set_meta(generation=1, incarnation="x", audit={"ok": True, "items": [1, 2.5, None]})
    manifest.set_meta(generation=2)
    assert manifest.get_meta("generation") == 2
    assert manifest.get_meta("incarnation") == "x"
    assert manifest.get_meta("audit") == {"ok": True, "items": [1, 2.5, None]}


def test_searching_a_built_index(manifest: Manifest) -> None:
    """Searches are let in where everything that was sent is built."""
    fill(manifest, "a", "b", "c")
    index(manifest, "a")
    manifest.quarantine("b", "x")
    with manifest.searching(0), manifest.searching(0):
        pass


@pytest.mark.parametrize("added", [False, True])
def test_searching_what_an_interrupted_run_left(manifest: Manifest, added: bool) -> None:
    """No search where pictures may be unbuilt and nobody is at work on them; says how to go on."""
    fill(manifest, "a")
    vids = send(manifest, "a")
    manifest.added(vids if added else [])
    with (
        pytest.raises(IndexBusy, match="interrupted run left pictures unbuilt: run `ddsim index`"),
        manifest.searching(0),
    ):
        pass
    manifest.requeue(SENDING, ADDED)
    with manifest.searching(0):
        pass


def test_searching_while_a_run_is_at_work(manifest: Manifest) -> None:
    """A run that has not come to the unbuilt ones yet is no interrupted one."""
    fill(manifest, "a")
    send(manifest, "a")
    with manifest.writing(), pytest.raises(IndexBusy, match="adding pictures; try again"), manifest.searching(0):
        pass


def test_searching_during_additions(manifest: Manifest) -> None:
    """Searches wait for the build; afterwards they are let in."""
    fill(manifest, "a")
    with manifest.writing(), manifest.adding(0):
        with pytest.raises(IndexBusy, match="adding pictures; try again"), manifest.searching(0):
            pass
        index(manifest, "a")
    with manifest.searching(0), pytest.raises(IndexBusy, match="searches did not end"), manifest.adding(0):
        pass


def test_one_run_at_a_time(folder: Path, manifest: Manifest, monkeypatch: pytest.MonkeyPatch) -> None:
    """The right to write belongs to the file, not to the object."""
    monkeypatch.setattr("ddsim.catalogue.locks._PROBE_S", 0)
    with Manifest.open(folder, IDENTITY) as other, manifest.writing(), pytest.raises(ManifestBusy), other.writing():
        pass


def test_several_threads(manifest: Manifest) -> None:
    """Threads read while another writes; nobody sees a half-written batch."""
    uris = [f"lamp/{i:03}" for i in range(64)]
    fill(manifest, *uris)
    done, wrong = threading.Event(), []

    def read() -> None:
        while not done.is_set():
            rows = manifest.rows()
            counts = manifest.counts()
            if len({row.vid for row in rows} - {None}) % 32 or sum(counts.values()) != 64:
                wrong.append(rows)
            manifest.resolve([row.vid for row in rows if row.vid])

    readers = [threading.Thread(target=read) for _ in range(3)]
    for reader in readers:
        reader.start()
    try:
        for _ in range(10):
            for batch in (uris[:32], uris[32:]):
                manifest.added(send(manifest, *batch))
            manifest.indexed()
            manifest.requeue(INDEXED)
    finally:
        done.set()
        for reader in readers:
            reader.join(30)
    assert wrong == []


def test_opened_at_once_by_many(folder: Path) -> None:
    """Several that make the same manifest at the same moment all get it."""
    barrier, failed = threading.Barrier(6), []

    def go() -> None:
        barrier.wait(30)
        try:
            Manifest.open(folder, IDENTITY).close()
        except Exception as error:  # noqa: BLE001  a thread's error would get lost
            failed.append(error)

    threads = [threading.Thread(target=go) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert failed == []


def test_another_identity(folder: Path, manifest: Manifest) -> None:
    """A manifest of another configuration is refused, saying what differs."""
    other = {"catalogue": "/photos", "model": {"layer": "fc", "width": 224}}
    with pytest.raises(ConfigError, match=r"belongs to another.*model: stored .*pool5.*now .*fc") as caught:
        Manifest.open(folder, other)
    assert "catalogue" not in str(caught.value).partition("(")[2]
    Manifest.open(folder, dict(reversed(IDENTITY.items()))).close()


def test_an_identity_that_is_none(folder: Path) -> None:
    """An identity that was damaged is told apart from one that differs."""
    Manifest.open(folder, IDENTITY).close()
    with sqlite3.connect(folder / "manifest.sqlite") as db:
        db.execute("UPDATE about SET identity = '['")
    db.close()
    with pytest.raises(ConfigError, match="identity cannot be read"):
        Manifest.open(folder, IDENTITY)


def test_a_newer_layout(folder: Path) -> None:
    """A manifest of a later version is not touched."""
    Manifest.open(folder, IDENTITY).close()
    with sqlite3.connect(folder / "manifest.sqlite") as db:
        db.execute("PRAGMA user_version = 99")
    db.close()
    with pytest.raises(ConfigError, match=r"newer ddsim.*layout 99.*update ddsim"):
        Manifest.open(folder, IDENTITY)


def scribble(path: Path) -> None:
    """Not a database."""
    path.write_bytes(b"no database at all " * 1000)


def foreign(path: Path) -> None:
    """A database of another program."""
    path.unlink()
    with sqlite3.connect(path) as db:
        db.execute("CREATE TABLE items (uri TEXT)")
    db.close()


def cut(path: Path) -> None:
    """Half of the pages are gone."""
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 8192 * 4096])


@pytest.mark.parametrize("damage", [scribble, foreign, cut])
def test_a_damaged_file(folder: Path, damage: Callable[[Path], None]) -> None:
    """A file that is no manifest is named, with what to delete and what that costs."""
    with Manifest.open(folder, IDENTITY) as manifest:
        fill(manifest, *(f"lamp/{i}" for i in range(500)))
    damage(folder / "manifest.sqlite")
    with pytest.raises(ConfigError, match=r"not a manifest that can be read.*delete the folder.*once more") as caught:
        Manifest.open(folder, IDENTITY).rows(limit=1000)
    assert str(folder / "manifest.sqlite") in str(caught.value)


def test_damage_that_is_met_later(folder: Path) -> None:
    """Damage in the middle of a file is told when it is met, by whatever meets it."""
    with Manifest.open(folder, IDENTITY) as manifest:
        fill(manifest, *(f"lamp/{i}" for i in range(2000)))
    path = folder / "manifest.sqlite"
    content = bytearray(path.read_bytes())
    content[4096 * 10 :] = os.urandom(len(content) - 4096 * 10)
    path.write_bytes(content)
    with Manifest.open(folder, IDENTITY) as manifest:
        with pytest.raises(ConfigError, match="not a manifest that can be read"):
            manifest.rows(limit=5000)
        with pytest.raises(ConfigError, match="not a manifest that can be read"):
            fill(manifest, "lamp/1")
        with pytest.raises(ConfigError, match="not a manifest that can be read"):
            list(manifest.twins())


def test_an_empty_file(folder: Path) -> None:
    """A file of no bytes is what SQLite itself begins with."""
    folder.mkdir(parents=True)
    (folder / "manifest.sqlite").touch()
    with Manifest.open(folder, IDENTITY) as manifest:
        assert manifest.counts()[PENDING] == 0


def test_a_folder_that_cannot_be(folder: Path) -> None:
    """A file in the place of the folder, or a folder in the place of the file, is named."""
    folder.parent.mkdir(parents=True)
    folder.touch()
    with pytest.raises(ConfigError, match="state folder cannot be made"):
        Manifest.open(folder, IDENTITY)
    folder.unlink()
    (folder / "manifest.sqlite").mkdir(parents=True)
    with pytest.raises(ConfigError, match="cannot be used: unable to open"):
        Manifest.open(folder, IDENTITY)


def test_a_full_disk(manifest: Manifest) -> None:
    """Where there is no room, nothing is half done and the error says so; with room it goes on."""
    fill(manifest, "a")
    connection = manifest._database.connection
    connection.execute("PRAGMA max_page_count = 1")
    with pytest.raises(ConfigError, match=r"full.*free space"):
        manifest.set_meta(big="x" * 10**6)
    connection.execute("PRAGMA max_page_count = 1000000")
    manifest.set_meta(small=1)
    assert (manifest.get_meta("big"), manifest.get_meta("small")) == (None, 1)


def test_a_file_that_somebody_keeps_locked(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another program that keeps the file locked is waited for, not for ever."""
    monkeypatch.setattr(database, "_WAIT_S", 0.01)
    with Manifest.open(folder, IDENTITY) as manifest:
        fill(manifest, "a")
        other = sqlite3.connect(folder / "manifest.sqlite", isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(ManifestBusy) as caught:
            send(manifest, "a")
        assert caught.value.folder == str(folder)
        other.close()
        send(manifest, "a")


def test_closed(manifest: Manifest) -> None:
    """A closed manifest says that it is closed; closing twice is fine."""
    plan = manifest.plan([], str)
    manifest.close()
    manifest.close()
    calls: list[Callable[[], object]] = [
        manifest.counts,
        manifest.indexed,
        lambda: list(manifest.vids()),
        lambda: manifest.plan([], str),
        lambda: manifest.begin([("a", "b", 1, 1)]),
        manifest.searching(0).__enter__,
    ]
    for call in calls:
        with pytest.raises(InvalidRequest, match="manifest is closed"):
            call()
    plan.close()


def test_an_interrupted_change_is_undone(manifest: Manifest) -> None:
    """Ctrl-C in the middle of a change leaves the manifest as it was, and usable."""
    fill(manifest, "a", "b")

    def names() -> Iterator[str]:
        yield "a"
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        manifest.remove(names())
    assert set(states(manifest)) == {"a", "b"}
    assert manifest.remove(["a"]) == 1


def test_a_file_that_a_first_run_is_making_is_an_empty_manifest(folder: Path) -> None:
    """Who looks between its beginning and its first transaction finds nothing indexed, and later what there is."""
    folder.mkdir(parents=True)
    beginning = sqlite3.connect(folder / database.FILE)
    beginning.execute("PRAGMA journal_mode = WAL")
    beginning.close()
    with Manifest.look(folder, IDENTITY) as looking:
        assert looking.categories() == {}
        with Manifest.open(folder, IDENTITY) as made:
            fill(made, "lamp/a.jpg")
            index(made, "lamp/a.jpg")
        assert looking.categories() == {"lamp": 1}


@pytest.mark.parametrize(
    "words", ["disk I/O error", "database or disk is full", "attempt to write a readonly database"]
)
def test_a_full_disk_is_no_damage(manifest: Manifest, words: str) -> None:
    """SQLite has several words for it; whoever only looks can do so then."""
    with pytest.raises(StateNotWritable, match="free space"), manifest._database.translated():
        raise sqlite3.OperationalError(words)


_FORKING = """
import os, sys
from pathlib import Path
from ddsim.catalogue.folder import Entry
from ddsim.catalogue.manifest import Manifest

def fill(manifest, *uris):
    with manifest.plan([Entry(uri, "a", Path(uri), 1, 2) for uri in uris], str) as plan:
        manifest.apply(plan)

manifest = Manifest.open(Path(sys.argv[1]), {})
fill(manifest, "a/1")
closed, told = os.pipe(), os.pipe()
if os.fork() == 0:
    manifest.set_meta(child="here")
    os.write(told[1], b".")
    os.read(closed[0], 1)
    fill(manifest, "a/1", "a/2")
    os._exit(0)
os.read(told[0], 1)
manifest.close()
with Manifest.open(Path(sys.argv[1]), {}) as again:
    again.set_meta(parent="here")
    os.write(closed[1], b".")
    assert os.wait()[1] == 0
    again.set_meta(last="parent")
    print([row.uri for row in again.rows()], [again.get_meta(key) for key in ("child", "parent", "last")])
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
def test_a_forked_process_writes_what_its_parent_reads(folder: Path) -> None:
    """Also where the parent closes the manifest and opens it again meanwhile: nothing is lost, nothing damaged."""
    done = subprocess.run([sys.executable, "-c", _FORKING, folder], capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("['a/1', 'a/2'] ['here', 'here', 'parent']\n", "")
    with closing(sqlite3.connect(folder / database.FILE)) as db:
        assert db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


def test_a_forked_process_may_close_twice(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As a block does that is left there, too, and what its parent had closed."""
    manifest = Manifest.open(folder, IDENTITY)
    monkeypatch.setattr(os, "getpid", lambda: -1)
    for _ in range(2):
        manifest.close()
    with pytest.raises(InvalidRequest, match="closed"):
        manifest.counts()
