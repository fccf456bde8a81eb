"""The store, its list, segments and merging: what is on disk is that of some checkpoint, wherever a process ends."""

from __future__ import annotations

import os
import shutil
import signal
import zlib
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sharing import first_alone

from ddsim.errors import ConfigError
from ddsim.vectors import files, listing, merging, store
from ddsim.vectors.files import Damaged
from ddsim.vectors.segments import open_segment, write_segment
from ddsim.vectors.shelf import Shelf

Content = dict[int, list[float]]
needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork and kill -9")


def opened(folder: Path, *, writing: bool = True, dimension: int = 3) -> Shelf:
    """A shelf as one more user opens it."""
    shelf = Shelf(folder, dimension, "l2")
    shelf.look()
    if writing:
        shelf.prepare()
    return shelf


def content(shelf: Shelf) -> Content:
    """What it holds."""
    vids = shelf.table.vids
    return dict(zip(vids.tolist(), shelf.table.rows_of(vids).tolist(), strict=True))


def rows_for(vids: list[int]) -> Content:
    """A row of its own for each number."""
    return {vid: [float(vid), vid / 7, -float(vid)] for vid in vids}


def add(shelf: Shelf, vids: list[int]) -> None:
    """Add these rows, not saved yet."""
    rows = np.array([[vid, vid / 7, -vid] for vid in vids], np.float32)
    shelf.table.add(np.array(vids, np.int64), rows)


def same(found: Content, vids: list[int]) -> bool:
    """Whether it is the rows of these numbers, and nothing else."""
    expected = rows_for(vids)
    return found.keys() == expected.keys() and all(found[vid] == pytest.approx(expected[vid]) for vid in vids)


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """Merges after three checkpoints already."""
    monkeypatch.setattr(merging, "FEW", 3)


def test_a_checkpoint_writes_what_came_since(tmp_path: Path) -> None:
    """However much is there, one more file of that size comes, and those that were there stay as they are."""
    with closing(opened(tmp_path)) as shelf:
        add(shelf, list(range(1, 1001)))
        shelf.save()
        (first,) = tmp_path.glob("*.seg")
        before = first.read_bytes()
        add(shelf, [2000, 2001])
        shelf.table.remove(np.array([5]))
        shelf.save()
        _, second = sorted(tmp_path.glob("*.seg"))
        assert first.read_bytes() == before
        assert second.stat().st_size < 200
    with closing(opened(tmp_path, writing=False)) as reader:
        assert same(content(reader), [vid for vid in [*range(1, 1001), 2000, 2001] if vid != 5])


def test_a_reader_sees_one_checkpoint(tmp_path: Path, few: None) -> None:
    """What is added, removed and merged meanwhile it sees when it looks again, and not before."""
    with closing(opened(tmp_path)) as shelf, closing(opened(tmp_path, writing=False)) as reader:
        add(shelf, [1, 2, 3])
        shelf.save()
        reader.look()
        for vid in range(4, 30):
            add(shelf, [vid])
            shelf.table.remove(np.array([vid - 3]))
            shelf.save()
        shelf.settle()
        assert same(content(reader), [1, 2, 3])
        assert [vid for vid, _ in reader.table.nearest(np.zeros(3, np.float32), 3)] == [1, 2, 3]
        reader.look()
        assert same(content(reader), [27, 28, 29])


def test_merges_leave_few_files_and_all_rows(tmp_path: Path, few: None) -> None:
    """Many checkpoints, removals between them, numbers that come again: the same rows in a file or two."""
    with closing(opened(tmp_path)) as shelf:
        expected: set[int] = set()
        dice = np.random.default_rng(1)
        for step in range(60):
            come = dice.choice(500, 8, replace=False) + 1
            gone = dice.choice(500, 4, replace=False) + 1
            add(shelf, come.tolist())
            shelf.table.remove(gone)
            expected = (expected | set(come.tolist())) - set(gone.tolist())
            shelf.save()
            assert len(list(tmp_path.glob("*.seg"))) <= 15, step
        shelf.settle()
        assert len(list(tmp_path.glob("*.seg"))) <= 2
        assert same(content(shelf), sorted(expected))
        kept = sum(len(one.vids) for one in shelf.segments)
        assert kept <= len(expected) / 0.9
    with closing(opened(tmp_path, writing=False)) as reader:
        assert same(content(reader), sorted(expected))


def test_what_is_saved_while_a_merge_is_under_way_counts(
    tmp_path: Path, few: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rows that come and go before its file is named, of its own rows too."""
    with closing(opened(tmp_path)) as shelf:
        held = shelf.merging
        assert held is not None
        real, begun = held._merge, []

        def slow(job: Any) -> Any:
            begun.append(job)
            return real(job)

        monkeypatch.setattr(held, "_merge", slow)
        for vid in (1, 2, 3):
            add(shelf, [vid, vid + 10])
            shelf.save()
        assert begun
        shelf.table.remove(np.array([1, 12]))
        add(shelf, [40])
        shelf.save()
        shelf.settle()
        assert same(content(shelf), [2, 3, 11, 13, 40])
    with closing(opened(tmp_path, writing=False)) as reader:
        assert same(content(reader), [2, 3, 11, 13, 40])


def test_a_merge_that_fails_costs_nothing(
    tmp_path: Path, few: None, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A full disk, say: it is said, the segments stay, and checkpoints go on."""

    def full(*_: object) -> None:
        raise ConfigError("no space left")

    monkeypatch.setattr(merging, "write_segment", full)
    with closing(opened(tmp_path)) as shelf:
        for vid in range(1, 8):
            add(shelf, [vid])
            shelf.save()
        shelf.settle()
        assert same(content(shelf), list(range(1, 8)))
    assert "segments were not merged" in caplog.text


# Death


def play(folder: Path) -> None:
    """Checkpoints with what comes and goes, and merges; what each leaves is written down before the next begins."""
    told = os.open(folder.parent / "done", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    with closing(opened(folder)) as shelf:
        there: list[int] = []
        for step in range(1, 9):
            there = [vid for vid in [*there, step, step + 100] if vid != step + 98]
            add(shelf, [step, step + 100])
            shelf.table.remove(np.array([step + 98]))
            shelf.save()
            os.write(told, b".")  # a byte a step: the merge's thread may end the process at any time
        shelf.settle()


def after(step: int) -> list[int]:
    """What is there after so many steps."""
    there: list[int] = []
    for one in range(1, step + 1):
        there = [vid for vid in [*there, one, one + 100] if vid != one + 98]
    return sorted(there)


def die_at(call: int, when: str, monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Have this process end with kill -9 at the so manieth call that changes something on disk."""
    count = 0

    def watched(function: Callable[..., Any]) -> Callable[..., Any]:
        def asked(*args: Any, **kwargs: Any) -> Any:
            nonlocal count
            count += 1
            own = count
            if own == call and when == "before":
                os.kill(os.getpid(), signal.SIGKILL)
            found = function(*args, **kwargs)
            if own == call and when == "after":
                os.kill(os.getpid(), signal.SIGKILL)
            return found

        return asked

    def arm() -> None:
        for name in ("fsync", "replace"):
            monkeypatch.setattr(files.os, name, watched(getattr(os, name)))
        monkeypatch.setattr(Path, "unlink", watched(Path.unlink))

    return arm


def struck(folder: Path, arm: Callable[[], None]) -> bool:
    """Play in a process of its own; whether it was killed."""
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            arm()
            play(folder)
            status = 0
        finally:
            os._exit(status)
    _, status = os.waitpid(pid, 0)
    assert os.waitstatus_to_exitcode(status) in (0, -signal.SIGKILL)
    return os.WIFSIGNALED(status)


@needs_fork
@pytest.mark.parametrize(("when", "apart"), first_alone([("before", 0.0), ("after", 0.0), ("before", 60.0)]))
def test_kill_9_at_every_write_leaves_a_checkpoint(
    tmp_path: Path, few: None, when: str, apart: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At every sync, renaming and removal of checkpoints and merges: the last one told of is there, or the next one."""
    monkeypatch.setattr(store, "_APART_S", apart)
    for call in range(1, 1000):
        folder = tmp_path / str(call) / "vectors"
        folder.parent.mkdir()
        died = struck(folder, die_at(call, when, monkeypatch))
        told = folder.parent / "done"
        done = told.stat().st_size if told.exists() else 0
        with closing(opened(folder, writing=False)) as reader:
            assert any(same(content(reader), after(step)) for step in (done, done + 1)), (call, done)
        with closing(opened(folder)) as shelf:
            listed = {path.name for path in folder.iterdir()}
            assert listed == {listing.LIST, *(one.entry.name for one in shelf.segments)}, call
            add(shelf, [999])
            shelf.save()
            shelf.settle()
        with closing(opened(folder, writing=False)) as reader:
            assert any(same(content(reader), [*after(step), 999]) for step in (done, done + 1))
        shutil.rmtree(folder.parent)
        if not died:
            break
    assert call > 20


@settings(deadline=None, max_examples=60, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_any_damage_costs_its_segment_alone(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    """Cut anywhere or changed at any place, a file's rows are gone or right; those of the others are there."""
    folder = tmp_path_factory.mktemp("damaged") / "vectors"
    with closing(opened(folder)) as shelf:
        for vids in ([1, 2], [3, 4], [5, 6]):
            add(shelf, vids)
            shelf.save()
    path = data.draw(st.sampled_from(sorted(folder.glob("*.seg"))))
    whole = path.read_bytes()
    place = data.draw(st.integers(0, len(whole) - 1))
    if data.draw(st.booleans()):
        path.write_bytes(whole[:place])
    else:
        path.write_bytes(whole[:place] + bytes([data.draw(st.integers(0, 255))]) + whole[place + 1 :])
    number = int(path.stem)
    lost = [2 * number - 1, 2 * number]
    with closing(opened(folder)) as shelf:
        rest = [vid for vid in range(1, 7) if vid not in lost]
        assert same(content(shelf), list(range(1, 7))) or same(content(shelf), rest)
        add(shelf, lost)
        shelf.save()
    with closing(opened(folder, writing=False)) as reader:
        assert same(content(reader), list(range(1, 7)))


@settings(deadline=None, max_examples=100, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_any_list_is_read_or_called_damaged(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    """Whatever its bytes: the rows are there, or none are, and the next checkpoint begins anew."""
    folder = tmp_path_factory.mktemp("list") / "vectors"
    with closing(opened(folder)) as shelf:
        add(shelf, [1, 2])
        shelf.save()
    path = folder / listing.LIST
    whole = path.read_bytes()
    place = data.draw(st.integers(0, len(whole) - 1))
    path.write_bytes(whole[:place] + data.draw(st.binary(max_size=3)) + whole[place + data.draw(st.integers(0, 3)) :])
    with closing(opened(folder)) as shelf:
        assert content(shelf) == {} or same(content(shelf), [1, 2])
        add(shelf, [1, 2, 3])
        shelf.save()
    with closing(opened(folder, writing=False)) as reader:
        assert same(content(reader), [1, 2, 3])


@pytest.mark.parametrize("name", ["../vectors.npz", "/etc/passwd", "a.txt", ""])
def test_a_list_names_segments_of_its_folder_only(tmp_path: Path, name: str) -> None:
    """One that was made by hand names no other file, whatever its checksum."""
    inner = (
        b'{"dimension":3,"metric":"l2","key":"","segments":[{"name":"' + name.encode() + b'","size":1,"crc":1}],'
        b'"last":1,"version":1}'
    )
    (tmp_path / listing.LIST).write_bytes(b'{"crc":' + str(zlib.crc32(inner)).encode() + b',"list":' + inner + b"}\n")
    assert listing.listed_in(tmp_path) is None


def test_a_file_that_is_no_segment(tmp_path: Path) -> None:
    """Its checksum may be right; what it says of itself is looked at all the same."""
    empty = np.zeros(0, np.int64)
    parts = [np.zeros((2, 3), np.float32)]
    entry = write_segment(tmp_path / "1.seg", empty, np.array([1, 2]), np.ones(2, np.float32), 3, parts)
    assert open_segment(tmp_path, entry).rows.shape == (2, 3)
    whole = bytearray((tmp_path / "1.seg").read_bytes())
    for place, value in ((0, 65), (8, 9), (12, 3), (16, 200), (32, 77)):
        changed = bytes(whole[:place] + bytes([value]) + whole[place + 1 :])
        (tmp_path / "2.seg").write_bytes(changed)
        other = type(entry)("2.seg", len(changed), zlib.crc32(changed))
        with pytest.raises(Damaged):
            open_segment(tmp_path, other)


def test_rows_of_another_key_are_not_taken_for_these(tmp_path: Path) -> None:
    """Vectors as another recipe made them lie there: they count as nothing, and go when something is saved."""
    for key in ("one", "two"):
        with closing(Shelf(tmp_path, 3, "l2", "float32", key)) as shelf:
            shelf.look()
            assert content(shelf) == {}
            shelf.prepare()
            add(shelf, [1])
            shelf.save()
    assert len(list(tmp_path.glob("*.seg"))) == 1
