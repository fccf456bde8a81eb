"""ddsim.vectors.local: vectors in one file, exact, really removed, and never a crash for what became of the file."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path

import numpy as np
import pytest
from homes import Home, Killed
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from shop import picture, plain

from ddsim import CapabilityError, ConfigError, InvalidRequest, load
from ddsim.catalogue.manifest import ItemState, Manifest
from ddsim.errors import ManifestBusy
from ddsim.vectors import LocalBackend, vectorfile
from ddsim.vectors.flat import FlatIndex
from ddsim.vectors.vectorfile import Damaged, read, write

VIDS = np.array([3, 2**60, 7], np.int64)
ROWS = np.arange(12, dtype=np.float32).reshape(3, 4)


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Home]:
    """Five pictures and nothing indexed, before a server without an index."""
    made = Home(tmp_path, "local")
    made.shop.add(*(f"lamp/{number}.png" for number in range(3)), "bed/0.png", "bed/1.png")
    yield made
    made.close()


def file_of(home: Home) -> Path:
    """The file of the vectors."""
    return home.root / "state" / "manifest" / "vectors.npz"


def kept(home: Home) -> set[int]:
    """The vids in the file, as anybody can read them."""
    with np.load(file_of(home)) as content:
        return set(content["vids"].tolist())


def valid(home: Home) -> set[int]:
    """The vids that count."""
    return set(home.manifest().vids())


def backend_of(home: Home) -> LocalBackend:
    """The backend, with what it has beyond the protocol."""
    backend = home.backend()
    assert isinstance(backend, LocalBackend)
    return backend


# What is kept


def test_only_what_is_valid_is_kept(home: Home) -> None:
    """Changed and vanished pictures leave the file with the plan, not only the results."""
    home.index()
    assert kept(home) == valid(home)
    home.shop.add_picture("lamp/0.png", picture(400))
    (home.shop.catalogue / "bed/0.png").unlink()
    with home.run():
        assert kept(home) == valid(home)
        assert len(kept(home)) == 3
    home.index()
    assert kept(home) == valid(home)
    assert len(kept(home)) == 4
    home.check()


def test_the_vectors_can_be_had(home: Home) -> None:
    """By their numbers, in any order, as the network gave them; a number that is not there is named."""
    home.index()
    manifest = home.manifest()
    rows = [row for uri in reversed(home.uris) if (row := manifest.get(uri)) and row.vid]
    with closing(backend_of(home)) as backend:
        backend.open(writing=False)
        found = backend.vectors_of([row.vid for row in rows if row.vid])
        assert found == pytest.approx(home.vectors(*(home.shop.catalogue / row.uri for row in rows)))
        assert found.dtype == np.float32
        assert backend.vectors_of([]).shape == (0, 16)
        with pytest.raises(InvalidRequest, match="number 12345"):
            backend.vectors_of([12345])


def test_vectors_for_cosine_have_length_one(tmp_path: Path) -> None:
    """So they are kept; what add() and a search give back is the network's own."""
    with closing(Home(tmp_path, "local cosine")) as home:
        home.shop.add("lamp/0.png", "lamp/1.png")
        home.index()
        with closing(backend_of(home)) as backend:
            backend.open(writing=False)
            lengths = np.linalg.norm(backend.vectors_of(sorted(valid(home))), axis=1)
            assert lengths == pytest.approx([1.0, 1.0])
            (hits,) = backend.search([home.shop.catalogue / "lamp/0.png"], 1)
        assert np.linalg.norm(hits.vector) != pytest.approx(1.0, abs=0.1)


@pytest.mark.parametrize("backend", ["server", "auto"])
def test_cosine_is_for_local_vectors_only(home: Home, backend: str) -> None:
    """The server's index cannot do it, and what may become the server's must not ask for it."""
    home.shop.configure(index={"backend": backend, "metric": "cosine"})
    with pytest.raises(ConfigError, match=r"metric.*l2 only.*backend: local"):
        load(home.shop.config)


def test_a_closed_backend_says_so(home: Home) -> None:
    """What was never opened, or is closed, is not searched and not added to."""
    backend = home.backend()
    with pytest.raises(InvalidRequest, match="open"):
        backend.remove([1])
    with closing(backend):
        backend.open(writing=False)
    with pytest.raises(InvalidRequest, match="open"):
        backend.search([plain("grey")], 1)


# Death in between


@pytest.mark.parametrize("saved", [False, True])
def test_death_around_the_save(home: Home, saved: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before the new file is in place the old one counts; after it, what it holds is not sent again."""
    home.index()
    home.shop.add("bed/7.png", "bed/8.png")
    replace = os.replace

    def killed(source: Path, target: Path) -> None:
        if saved:
            replace(source, target)
        raise Killed

    with home.run() as (manifest, backend):
        monkeypatch.setattr(vectorfile.os, "replace", killed)
        with pytest.raises(Killed):
            home.add_some(manifest, backend, 2, build=True)
        monkeypatch.undo()
    assert [path.name for path in file_of(home).parent.glob("vectors*")] == ["vectors.npz"]
    manifest = home.manifest()
    with manifest.writing(), closing(home.backend(manifest)) as backend:
        backend.open(writing=True)
        counts = manifest.counts()
        assert (counts[ItemState.INDEXED], counts[ItemState.PENDING]) == ((7, 0) if saved else (5, 2))
    home.index()
    home.check()


def test_death_before_the_note(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    """The file is saved and the manifest does not know: the next to open the index tells it, be it a searcher."""

    def killed(_: Manifest) -> int:
        raise Killed

    with home.run() as (manifest, backend):
        monkeypatch.setattr(Manifest, "indexed", killed)
        with pytest.raises(Killed):
            home.add_some(manifest, backend, 3, build=True)
        monkeypatch.undo()
        assert manifest.counts()[ItemState.ADDED] == 3
    assert len(home.search(plain("grey")).found) == 3
    home.tap.sent.clear()
    home.index()
    assert max(len(sent.ids) for sent in home.tap.sent) == 2
    home.check()


def test_a_disk_that_is_full(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    """The old file stays, the error says what is wrong, and no draft takes up the space."""
    home.index()
    before = file_of(home).read_bytes()
    home.shop.add("bed/7.png")

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with home.run() as (manifest, backend):
        monkeypatch.setattr(vectorfile.os, "fsync", full)
        rows = manifest.pending()
        batch = home.begin(manifest, rows)
        backend.add(batch)
        with pytest.raises(ConfigError, match=r"vectors\.npz: the vectors cannot be written: No space left"):
            backend.build()
        assert file_of(home).read_bytes() == before
        assert [path.name for path in file_of(home).parent.glob("vectors*")] == ["vectors.npz"]
        monkeypatch.undo()
        # As the protocol has it: the same once more.
        backend.add(batch)
        backend.build()
        assert backend.stored() == 6
    home.check()


# What became of the file


def test_a_file_that_is_gone(home: Home, caplog: pytest.LogCaptureFixture) -> None:
    """Everything is pending, and that is said."""
    home.index()
    file_of(home).unlink()
    with home.run() as (manifest, _):
        assert manifest.counts()[ItemState.PENDING] == 5
    assert "5 pictures were not saved" in caplog.text
    home.index()
    home.check()


@pytest.mark.parametrize("content", [b"", b"PK", b"no archive at all", b"PK\x05\x06" + bytes(18)])
@pytest.mark.parametrize("writing", [False, True])
def test_a_file_that_is_something_else(
    home: Home, content: bytes, writing: bool, caplog: pytest.LogCaptureFixture
) -> None:
    """Whoever opens it, to search or to index: a warning, everything pending, and the next run makes it whole."""
    home.index()
    file_of(home).write_bytes(content)
    manifest = home.manifest()
    with closing(home.backend(manifest)) as backend:
        if writing:
            with manifest.writing():
                backend.open(writing=True)
        else:
            backend.open(writing=False)
            assert backend.search([plain("grey")], 3)[0].found == ()
    assert manifest.counts()[ItemState.PENDING] == 5
    assert "cannot be used" in caplog.text
    home.index()
    home.check()


def test_an_older_file_put_back(home: Home) -> None:
    """What it lacks is sent again and no more; what it has too much is removed."""
    home.index()
    older = file_of(home).read_bytes()
    home.shop.add("bed/7.png")
    home.shop.add_picture("lamp/0.png", picture(400))
    home.index()
    file_of(home).write_bytes(older)
    with home.run() as (manifest, _):
        assert [row.uri for row in manifest.pending()] == ["bed/7.png", "lamp/0.png"]
    home.index()
    home.check()
    assert kept(home) == valid(home)


def test_a_file_that_cannot_be_read_is_no_damage(home: Home) -> None:
    """A folder in its place, say: nothing is sent again for that, it is an error."""
    home.index()
    file_of(home).unlink()
    file_of(home).mkdir()
    with pytest.raises(ConfigError, match="cannot be read"), home.run():
        pass
    assert home.manifest().counts()[ItemState.INDEXED] == 5


def test_a_searcher_leaves_a_running_run_alone(home: Home) -> None:
    """It finds what is saved; the rest is the run's business."""
    home.index()
    home.shop.add("bed/7.png")
    with home.run() as (manifest, backend):
        home.add_some(manifest, backend, 1)
        assert len(home.search(plain("grey")).found) == 5
        assert manifest.counts()[ItemState.ADDED] == 1
        with pytest.raises(ManifestBusy), manifest.writing():
            pass
        backend.build()
        assert len(home.search(plain("grey")).found) == 6


# The file by itself


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A file's content."""
    path = tmp_path_factory.mktemp("whole") / "vectors.npz"
    write(path, "l2", VIDS, ROWS)
    return path.read_bytes()


def content_of(path: Path, metric: str = "l2") -> tuple[list[int], list[list[float]]]:
    """All parts of a file together."""
    parts = list(read(path, metric))
    return [vid for part in parts for vid in part.vids.tolist()], [row for part in parts for row in part.rows.tolist()]


def test_what_was_written_is_read(tmp_path: Path) -> None:
    """Numbers and vectors come back as they were, also of an index with nothing in it, whose dimension is known."""
    path = tmp_path / "vectors.npz"
    assert list(read(path, "l2")) == []
    write(path, "l2", VIDS, ROWS)
    assert content_of(path) == (VIDS.tolist(), ROWS.tolist())
    write(path, "cosine", VIDS[:0], ROWS[:0])
    (part,) = read(path, "cosine")
    assert (part.vids.shape, part.rows.shape) == ((0,), (0, 4))


def test_lengths_come_with_their_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In parts as the rows do; a file without them says so, and others of another size are damage."""
    monkeypatch.setattr(vectorfile, "_ROWS_AT_ONCE", 2)
    path = tmp_path / "vectors.npz"
    write(path, "cosine", VIDS, ROWS, np.array([1, 2, 3], np.float32))
    parts = list(read(path, "l2", "cosine"))
    assert [part.kind for part in parts] == ["cosine", "cosine"]
    assert [part.lengths.tolist() for part in parts if part.lengths is not None] == [[1, 2], [3]]
    write(path, "l2", VIDS, ROWS)
    assert [part.lengths for part in read(path, "l2")] == [None, None]
    write(path, "l2", VIDS, ROWS, np.array([1, 2], np.float32))
    with pytest.raises(Damaged, match="its lengths"):
        content_of(path)


def test_many_rows_come_in_parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many there are, they are never in memory twice."""
    monkeypatch.setattr(vectorfile, "_ROWS_AT_ONCE", 2)
    path = tmp_path / "vectors.npz"
    write(path, "l2", VIDS, ROWS)
    assert [len(part.vids) for part in read(path, "l2")] == [2, 1]
    assert content_of(path) == (VIDS.tolist(), ROWS.tolist())


def test_another_metric_is_another_index(tmp_path: Path) -> None:
    """Vectors for one metric are not taken for the other."""
    write(tmp_path / "vectors.npz", "l2", VIDS, ROWS)
    with pytest.raises(Damaged, match="of metric l2, not cosine"):
        content_of(tmp_path / "vectors.npz", "cosine")


@settings(deadline=None, max_examples=300, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_any_damage_is_noticed(whole: bytes, tmp_path: Path, data: st.DataObject) -> None:
    """Cut anywhere or changed at any place: it reads as it was, or is called damaged; nothing else, ever."""
    path = tmp_path / "vectors.npz"
    if data.draw(st.booleans()):
        damaged = whole[: data.draw(st.integers(0, len(whole) - 1))]
    else:
        place = data.draw(st.integers(0, len(whole) - 1))
        value = data.draw(st.integers(0, 255))
        damaged = whole[:place] + bytes([value]) + whole[place + 1 :]
    path.write_bytes(damaged)
    with suppress(Damaged):
        assert content_of(path) == (VIDS.tolist(), ROWS.tolist())


def test_a_shape_that_leaves_something_over_is_damage(tmp_path: Path) -> None:
    """The checksum is compared at the end of a part only, so all of it has to be read."""
    path = tmp_path / "vectors.npz"
    write(path, "l2", np.arange(3000), np.zeros((3000, 4), np.float32))
    whole = path.read_bytes()
    assert whole.count(b"(3000, 4)") == 1
    path.write_bytes(whole.replace(b"(3000, 4)", b"(3000, 3)"))
    with pytest.raises(Damaged, match="longer than it says"):
        content_of(path)


@pytest.mark.parametrize(
    "arrays",
    [
        {"vids": VIDS[:2]},
        {"vids": VIDS.astype(np.float64)},
        {"vids": VIDS.reshape(1, 3)},
        {"vectors": ROWS.astype(np.float64)},
        {"vectors": ROWS.ravel()},
        {"vectors": np.array([object()] * 3)},
    ],
)
def test_arrays_that_do_not_fit_are_damage(tmp_path: Path, arrays: dict[str, np.ndarray]) -> None:  # type: ignore[type-arg]
    """An archive that is whole and holds something else."""
    path = tmp_path / "vectors.npz"
    np.savez(path, **{"metric": np.array("l2"), "vids": VIDS, "vectors": ROWS} | arrays)
    with pytest.raises(Damaged):
        content_of(path)


# The index by itself


def test_l2_keeps_its_digits() -> None:
    """Large values that differ little: the distance is exact, where the usual formula for many loses all digits."""
    rows = np.full((64, 256), 1000.0, np.float32)
    rows[:, 0] += np.arange(64, dtype=np.float32) / 64
    index = FlatIndex(256, "l2")
    index.add(np.arange(1, 65), rows)
    for place in (0, 17, 63):
        (first, second, *_) = index.nearest(rows[place], 3)
        assert first == (place + 1, 0.0)
        assert second[1] == pytest.approx((1 / 64) ** 2 / 256, rel=1e-3)


def test_cosine_of_nothing() -> None:
    """A vector of zeros is at a right angle to all, and no query makes a number that is none."""
    index = FlatIndex(3, "cosine")
    index.add(np.array([1, 2]), np.array([[0, 0, 0], [5, 0, 0]], np.float32))
    assert index.nearest(np.array([1, 0, 0], np.float32), 5) == [(2, 0.0), (1, 1.0)]
    assert sorted(index.nearest(np.zeros(3, np.float32), 5)) == [(1, 1.0), (2, 1.0)]


def test_a_number_is_there_once() -> None:
    """Added again, it is replaced; removed, it is gone; numbers that are not there do not matter."""
    index = FlatIndex(2, "l2")
    index.add(np.array([5, 6]), np.array([[1, 1], [2, 2]], np.float32))
    index.add(np.array([6, 7]), np.array([[3, 3], [4, 4]], np.float32))
    assert sorted(index.vids.tolist()) == [5, 6, 7]
    assert index.nearest(np.array([3, 3], np.float32), 1) == [(6, 0.0)]
    assert index.remove(np.array([5, 99])) == 1
    assert dict(zip(index.vids.tolist(), index.rows.tolist(), strict=True)) == {6: [3.0, 3.0], 7: [4.0, 4.0]}


@settings(deadline=None, max_examples=50)
@given(steps=st.lists(st.tuples(st.booleans(), st.sets(st.integers(1, 12), min_size=1)), max_size=12))
def test_rows_stay_with_their_numbers(steps: list[tuple[bool, set[int]]]) -> None:
    """Whatever is added and removed in whatever order, each number has its own vector."""
    index, expected = FlatIndex(2, "l2"), dict[int, list[float]]()
    for count, (adding, chosen) in enumerate(steps):
        vids = np.array(sorted(chosen), np.int64)
        if adding:
            vectors = np.array([[vid, count] for vid in vids], np.float32)
            index.add(vids, vectors)
            expected |= dict(zip(vids.tolist(), vectors.tolist(), strict=True))
        else:
            index.remove(vids)
            expected = {vid: row for vid, row in expected.items() if vid not in chosen}
    assert dict(zip(index.vids.tolist(), index.rows.tolist(), strict=True)) == expected
    assert len(index) == len(expected)


# FAISS is for those who need it


def test_without_faiss(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    """The error says what to install."""
    monkeypatch.setitem(sys.modules, "faiss", None)
    with pytest.raises(CapabilityError, match=r"pip install '\.\[local\]'"), closing(home.backend()) as backend:
        backend.open(writing=False)


def test_faiss_is_not_loaded_before_it_is_needed() -> None:
    """Who keeps vectors on the server needs no FAISS."""
    code = "import sys, ddsim.vectors; sys.exit('faiss' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False, timeout=60).returncode == 0
