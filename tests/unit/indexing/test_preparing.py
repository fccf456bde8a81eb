"""ddsim.indexing.preparing: pictures are made ready in order, some in advance, and never more than memory allows."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from shop import picture

from ddsim import Upload
from ddsim.catalogue.manifest import ItemState, Row
from ddsim.indexing.preparing import Ready, Unreadable, cores, prepare, prepare_ahead
from ddsim.pictures.encoding import Encoded
from ddsim.sources import FolderSource


def row(number: int, size: int = 10) -> Row:
    """An item that is pending."""
    return Row(f"lamp/{number:04d}.png", "lamp", size, 0, None, ItemState.PENDING, None, 0, 0.0, None)


def ready(item: Row) -> Ready | Unreadable:
    """Made ready without looking at anything."""
    return Ready(item, "", Encoded(b"", "image/png", (1, 1), (1, 1)))


class Counted:
    """A source that knows how many were taken from it."""

    def __init__(self, *items: Row) -> None:
        self.items = items
        self.taken = 0

    def __iter__(self) -> Iterator[Row]:
        for item in self.items:
            self.taken += 1
            yield item


def test_in_order_whatever_is_ready_first() -> None:
    """The first is slow, the second done before it; they come in the order they were given."""
    second_done = threading.Event()

    def make(item: Row) -> Ready | Unreadable:
        if item.uri.endswith("0000.png"):
            assert second_done.wait(30)
        else:
            second_done.set()
        return ready(item)

    rows = [row(number) for number in range(50)]
    assert [one.row for one in prepare_ahead(rows, make, count=8, size=10_000)] == rows


@pytest.mark.parametrize(("count", "size", "bound"), [(4, 10_000, 4), (100, 30, 3), (1, 10_000, 1), (100, 10, 1)])
def test_no_more_in_advance_than_allowed(count: int, size: int, bound: int) -> None:
    """By count or by bytes: what was begun and not handed over yet, and what was taken from the source for it."""
    begun: list[Row] = []
    lock = threading.Lock()

    def make(item: Row) -> Ready | Unreadable:
        with lock:
            begun.append(item)
        return ready(item)

    source = Counted(*(row(number) for number in range(40)))
    for done, _ in enumerate(prepare_ahead(source, make, count=count, size=size), 1):
        with lock:
            assert len(begun) <= done + bound
        # One more is looked at, to know its size.
        assert source.taken <= done + bound + 1
    assert len(begun) == 40


def test_work_goes_on_ahead() -> None:
    """While the consumer is busy with the first, the next ones are made."""
    begun = [threading.Event() for _ in range(4)]

    def make(item: Row) -> Ready | Unreadable:
        begun[int(item.uri[5:9])].set()
        return ready(item)

    with closing(_ahead([row(number) for number in range(4)], make, count=4)) as ahead:
        next(ahead)
        assert all(event.wait(30) for event in begun)


def _ahead(rows: list[Row], make: Callable[[Row], Ready | Unreadable], count: int) -> Iterator[Ready | Unreadable]:
    return prepare_ahead(rows, make, count=count, size=10_000)  # type: ignore[return-value]


def test_one_that_is_larger_than_all_that_is_allowed() -> None:
    """It goes, alone."""
    rows = [row(0), row(1, size=1000), row(2)]
    assert [one.row for one in prepare_ahead(rows, ready, count=8, size=100)] == rows


def test_nothing() -> None:
    """No rows, nothing to yield."""
    assert list(prepare_ahead([], ready, count=8, size=100)) == []


def test_whoever_stops_early_leaves_nothing_behind() -> None:
    """Closing it ends the threads; what was not in advance is never made."""
    begun: list[Row] = []

    def make(item: Row) -> Ready | Unreadable:
        begun.append(item)
        return ready(item)

    with closing(_ahead([row(number) for number in range(100)], make, count=5)) as ahead:
        next(ahead)
    assert len(begun) <= 6
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("ddsim-prepare")]


def test_an_error_comes_out() -> None:
    """What is no ordinary unreadable picture ends the run with the error itself."""

    def make(item: Row) -> Ready | Unreadable:
        if item.uri == "lamp/0002.png":
            raise MemoryError
        return ready(item)

    with pytest.raises(MemoryError):
        list(prepare_ahead([row(number) for number in range(9)], make, count=4, size=10_000))


def test_prepare(tmp_path: Path) -> None:
    """The hash is that of the very bytes that are sent, whatever the file is a moment later."""
    path = tmp_path / "lamp" / "0001.png"
    path.parent.mkdir()
    picture(1).save(path)
    content = path.read_bytes()
    made = prepare(row(1), FolderSource(tmp_path), Upload())
    assert isinstance(made, Ready)
    assert made.sha256 == hashlib.sha256(content).hexdigest()
    assert made.picture.data == content
    assert made.row == row(1)


def test_prepare_what_is_no_picture(tmp_path: Path) -> None:
    """The reason is told, with the hash where the content could be read, so that a repaired file can be told apart."""
    (tmp_path / "lamp").mkdir()
    (tmp_path / "lamp" / "0001.png").write_bytes(b"words")
    text = prepare(row(1), FolderSource(tmp_path), Upload())
    gone = prepare(row(2), FolderSource(tmp_path), Upload())
    assert isinstance(text, Unreadable)
    assert "not a picture" in text.reason
    assert text.sha256 == hashlib.sha256(b"words").hexdigest()
    assert isinstance(gone, Unreadable)
    assert (gone.reason, gone.sha256) == ("no such file or directory", None)


def test_prepare_a_name_that_no_index_takes(tmp_path: Path) -> None:
    """Such a name is told before the file is read."""
    named = Row("lamp/a^b.png", "lamp", 1, 0, None, ItemState.PENDING, None, 0, 0.0, None)
    made = prepare(named, FolderSource(tmp_path), Upload())
    assert isinstance(made, Unreadable)
    assert "rename the picture" in made.reason
    assert made.sha256 is None


@pytest.mark.parametrize(("threads", "expected"), [(3, 3), (None, cores())])
def test_threads_are_as_many_as_wanted(threads: int | None, expected: int) -> None:
    """By default there is one for each core: so many items are prepared at the same time."""
    together = threading.Barrier(expected)

    def make(one: Row) -> Ready | Unreadable:
        together.wait(30)
        return ready(one)

    rows = [row(number) for number in range(expected)]
    assert len(list(prepare_ahead(rows, make, count=expected, size=10_000, threads=threads))) == expected
