"""ddsim.routing.sampling: the same few vectors of every category, whatever the order in which they came."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ddsim.catalogue.manifest import ItemState, Row
from ddsim.routing.sampling import FILE, Sample, lot


class Book:
    """Stands for a manifest: a folder, and items by their vids."""

    def __init__(self, folder: Path, uris: Sequence[str] = ()) -> None:
        self.folder = folder
        self.rows = {vid: row(uri, vid) for vid, uri in enumerate(uris, 1)}

    def resolve(self, vids: Sequence[int]) -> dict[int, Row]:
        """The valid ones."""
        return {vid: self.rows[vid] for vid in vids if vid in self.rows}


def row(uri: str, vid: int) -> Row:
    """An item that is indexed."""
    return Row(uri, uri.partition("/")[0], 1, 1, "0", ItemState.INDEXED, None, 0, 0.0, vid)


def vector(vid: int, length: int = 4) -> np.ndarray[tuple[int], np.dtype[np.float32]]:
    """One that tells its vid."""
    return np.full(length, vid, np.float32)


def sample(book: Book, size: int = 1000) -> Sample:
    """As a run opens it."""
    return Sample(book, size)  # type: ignore[arg-type]


def see(one: Sample, book: Book, vids: Sequence[int], batch: int = 3, length: int = 4) -> None:
    """Let these go by."""
    for start in range(0, len(vids), batch):
        part = vids[start : start + batch]
        one.take(part, np.stack([vector(vid, length) for vid in part]))


def uris(**sizes: int) -> list[str]:
    """That many items of each category."""
    return [f"{category}/{number:03d}" for category, size in sizes.items() for number in range(size)]


def settled(one: Sample) -> list[str]:
    """What it keeps; each item has its own vector."""
    rows, vectors = one.settle()
    assert [found.uri for found in rows] == sorted(found.uri for found in rows)
    assert len(vectors) == len(rows)
    assert all(kept[0] == found.vid for found, kept in zip(rows, vectors, strict=True))
    return [found.uri for found in rows]


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """Where the file lies; nothing else stays there."""
    yield tmp_path
    assert {path.name for path in tmp_path.iterdir()} <= {FILE}


def test_all_where_there_are_few(folder: Path) -> None:
    """While there is room everything is kept, with the vectors as they were, and is there after a restart."""
    book = Book(folder, uris(lamp=5, bed=2))
    one = sample(book)
    see(one, book, [*book.rows])
    assert settled(one) == sorted(uris(lamp=5, bed=2))
    assert settled(sample(book)) == sorted(uris(lamp=5, bed=2))


@settings(max_examples=30, deadline=None)
@given(st.permutations(range(1, 61)), st.integers(1, 20))
def test_the_same_whatever_the_order(tmp_path_factory: pytest.TempPathFactory, order: list[int], batch: int) -> None:
    """The sample depends on the items alone: not on the order, not on the batches, not on when it was made smaller."""
    book = Book(tmp_path_factory.mktemp("x"), uris(a=40, b=15, c=5))
    one = sample(book, 12)
    see(one, book, order, batch)
    by_lot = sorted(book.rows.values(), key=lot)
    groups = ([found.uri for found in by_lot if found.category == category] for category in "abc")
    assert settled(one) == sorted(uri for group in groups for uri in group[:4])


@pytest.mark.parametrize(
    ("sizes", "size", "quota"),
    [
        ({"a": 50, "b": 50}, 10, {"a": 5, "b": 5}),
        ({"a": 50, "b": 3}, 10, {"a": 7, "b": 3}),
        ({"a": 50, "b": 30, "c": 1}, 11, {"a": 5, "b": 5, "c": 1}),
        ({"a": 50, "b": 30, "c": 1}, 10, {"a": 5, "b": 4, "c": 1}),
        ({"a": 4, "b": 4, "c": 4}, 2, {"b": 1, "c": 1}),
        ({"a": 5}, 10, {"a": 5}),
    ],
)
def test_every_category_has_its_part(folder: Path, sizes: dict[str, int], size: int, quota: dict[str, int]) -> None:
    """All have the same part; what a small one leaves of it goes to the others."""
    book = Book(folder, uris(**sizes))
    one = sample(book, size)
    see(one, book, [*book.rows])
    found = Counter(uri.partition("/")[0] for uri in settled(one))
    assert sum(found.values()) == sum(quota.values()) <= size
    assert sorted(found.values()) == sorted(quota.values())
    if size >= len(sizes):
        assert {category: found[category] for category in quota if quota[category] < 4} == {
            category: count for category, count in quota.items() if count < 4
        }


def test_what_is_not_valid_goes(folder: Path) -> None:
    """Items that were removed or replaced since are not in it, and their places are free for others."""
    book = Book(folder, uris(lamp=8))
    one = sample(book, 4)
    see(one, book, [*book.rows])
    before = settled(one)
    gone = next(vid for vid, found in book.rows.items() if found.uri == before[0])
    del book.rows[gone]
    after = sample(book, 4)
    assert settled(after) == before[1:]
    book.rows[100] = row(before[0], 100)
    see(after, book, [100])
    assert settled(after) == before


def test_vids_that_are_nobodys(folder: Path) -> None:
    """What was seen and did not become an item is not kept."""
    book = Book(folder, uris(lamp=4))
    one = sample(book)
    see(one, book, [1, 2, 3, 4])
    del book.rows[2]
    book.rows.pop(3)
    assert settled(one) == ["lamp/000", "lamp/003"]


def test_nothing_at_all(folder: Path) -> None:
    """Without an item it is empty, and no file is needed for that."""
    rows, vectors = sample(Book(folder)).settle()
    assert (rows, vectors.shape) == ([], (0, 0))
    assert not (folder / FILE).exists()


def test_it_can_become_empty(folder: Path) -> None:
    """When the last item is gone the file says so."""
    book = Book(folder, uris(lamp=2))
    one = sample(book)
    see(one, book, [1, 2])
    assert len(settled(one)) == 2
    book.rows.clear()
    assert settled(sample(book)) == []
    assert settled(sample(book)) == []


def test_a_file_is_written_only_when_it_differs(folder: Path) -> None:
    """Where nothing changed the file is left alone."""
    book = Book(folder, uris(lamp=4))
    one = sample(book)
    see(one, book, [*book.rows])
    one.settle()
    before = (folder / FILE).stat().st_ino, (folder / FILE).stat().st_mtime_ns
    one.settle()
    sample(book).settle()
    assert ((folder / FILE).stat().st_ino, (folder / FILE).stat().st_mtime_ns) == before


@pytest.mark.parametrize("damage", [b"", b"words", None])
def test_a_damaged_file_counts_as_none(folder: Path, damage: bytes | None, caplog: pytest.LogCaptureFixture) -> None:
    """A file that is no sample, or is cut or changed in the middle, is warned of and made anew."""
    book = Book(folder, uris(lamp=6))
    one = sample(book)
    see(one, book, [*book.rows])
    one.settle()
    whole = (folder / FILE).read_bytes()
    middle = len(whole) // 2
    contents = [damage] if damage is not None else [whole[:-9], whole[:middle] + bytes([whole[middle] ^ 255]) * 40]
    for content in contents:
        (folder / FILE).write_bytes(content if len(content) < 60 or damage else content + whole[middle + 40 :])
        caplog.clear()
        with caplog.at_level(logging.WARNING):
            again = sample(book)
        assert FILE in caplog.text
        assert settled(again) == []
        see(again, book, [*book.rows])
        assert len(settled(again)) == 6
        assert len(settled(sample(book))) == 6


def test_vectors_of_another_length(folder: Path) -> None:
    """What is left of a network that was replaced goes: only vectors of the newest item's length stay."""
    book = Book(folder, uris(lamp=6))
    one = sample(book)
    see(one, book, [1, 2, 3], length=4)
    one.settle()
    again = sample(book)
    see(again, book, [4, 5], length=7)
    assert settled(again) == ["lamp/003", "lamp/004"]
    assert again.settle()[1].shape == (2, 7)
    assert settled(sample(book)) == ["lamp/003", "lamp/004"]


def test_memory_stays_small(folder: Path) -> None:
    """While a large catalogue goes by, no more than twice the size is held."""
    book = Book(folder, uris(lamp=500))
    one = sample(book, 10)
    for vid in book.rows:
        see(one, book, [vid])
        assert len(one._kept) <= 20
    assert len(settled(one)) == 10


def test_what_was_kept_is_a_copy(folder: Path) -> None:
    """Whoever reuses the array of a batch does not change the sample."""
    book = Book(folder, uris(lamp=1))
    one, given_ = sample(book), np.ones((1, 4), np.float32)
    one.keep([book.rows[1]], given_)
    given_[:] = 9
    assert settled(one) == ["lamp/000"]
