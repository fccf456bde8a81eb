"""ddsim.vectors.local: vectors in files of ddsim's own, exact, and never a crash for what became of the files."""

from __future__ import annotations

import errno
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from homes import Home, Killed
from shop import picture, plain

from ddsim import CapabilityError, ConfigError, InvalidRequest, load
from ddsim.catalogue.manifest import ItemState, Manifest
from ddsim.doctor import Check
from ddsim.doctor import catalogue as doctor_catalogue
from ddsim.doctor.catalogue import check_index
from ddsim.errors import ManifestBusy
from ddsim.vectors import APPROXIMATE, LocalBackend, approximate, files, store
from ddsim.vectors.store import Store
from ddsim.vectors.table import Table


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Home]:
    """Five pictures and nothing indexed, before a server without an index."""
    made = Home(tmp_path, "local")
    made.shop.add(*(f"lamp/{number}.png" for number in range(3)), "bed/0.png", "bed/1.png")
    yield made
    made.close()


def folder_of(home: Home) -> Path:
    """The folder of the vectors."""
    (folder,) = (home.root / "state" / "manifest").glob("vectors*")
    return folder


def names_in(home: Home) -> list[str]:
    """All files there."""
    return sorted(path.name for path in folder_of(home).iterdir())


def segments_of(home: Home) -> list[Path]:
    """The files of the segments, the oldest first."""
    return sorted(folder_of(home).glob("*.seg"))


def kept(home: Home) -> set[int]:
    """The vids of the rows that are on disk and count, as anybody can read them."""
    store, table = Store(folder_of(home)), Table(16, "l2")
    store.look()
    table.load(store.segments)
    return set(table.vids.tolist())


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
    """Before the list's new line is there the old one counts; after it, what it names is not sent again."""
    home.index()
    home.shop.add("bed/7.png", "bed/8.png")

    def killed(*_: object, **__: object) -> None:
        raise Killed

    with home.run() as (manifest, backend):
        monkeypatch.setattr(store, "sync_files" if saved else "write_segment", killed)
        with pytest.raises(Killed):
            home.add_some(manifest, backend, 2, build=True)
        monkeypatch.undo()
    manifest = home.manifest()
    with manifest.writing(), closing(home.backend(manifest)) as backend:
        backend.open(writing=True)
        counts = manifest.counts()
        assert (counts[ItemState.INDEXED], counts[ItemState.PENDING]) == ((7, 0) if saved else (5, 2))
    home.index()
    home.check()
    assert kept(home) == valid(home)


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
    """The old files stay, the error says what is wrong, and nothing unfinished takes up the space."""
    home.index()
    before = names_in(home)
    home.shop.add("bed/7.png")

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with home.run() as (manifest, backend):
        monkeypatch.setattr(files.os, "fsync", full)
        rows = manifest.pending()
        batch = home.begin(manifest, rows)
        backend.add(batch)
        with pytest.raises(ConfigError, match=r"vectors-.*: the vectors cannot be written: No space left"):
            backend.build()
        assert names_in(home) == before
        monkeypatch.undo()
        # As the protocol has it: the same once more.
        backend.add(batch)
        backend.build()
        assert backend.stored() == 6
    home.check()


# What became of the file


def test_a_file_that_is_gone(home: Home, caplog: pytest.LogCaptureFixture) -> None:
    """What it held is pending, and that is said; what other files hold is not sent again."""
    home.index()
    home.shop.add("bed/7.png")
    home.index()
    segments_of(home)[0].unlink()
    with home.run() as (manifest, _):
        assert manifest.counts()[ItemState.PENDING] == 5
    assert "is gone" in caplog.text
    assert "5 pictures were not saved" in caplog.text
    home.index()
    home.check()


def test_a_folder_that_is_gone(home: Home, caplog: pytest.LogCaptureFixture) -> None:
    """Everything is pending, and that is said."""
    home.index()
    shutil.rmtree(folder_of(home))
    with home.run() as (manifest, _):
        assert manifest.counts()[ItemState.PENDING] == 5
    assert "5 pictures were not saved" in caplog.text
    home.index()
    home.check()


@pytest.mark.parametrize("content", [b"", b"{", b'{"crc":0,"list":{}}', b"[]", b"\xff\xfe"])
@pytest.mark.parametrize("writing", [False, True])
def test_a_list_that_is_something_else(
    home: Home, content: bytes, writing: bool, caplog: pytest.LogCaptureFixture
) -> None:
    """Whoever opens it, to search or to index: a warning, everything pending, and the next run makes it whole."""
    home.index()
    (folder_of(home) / "segments.json").write_bytes(content)
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


@pytest.mark.parametrize("damage", ["cut", "grown", "changed"])
def test_a_segment_that_is_damaged(home: Home, damage: str, caplog: pytest.LogCaptureFixture) -> None:
    """Its checksum tells: what it held is sent again, and nothing else."""
    home.index()
    home.shop.add("bed/7.png", "bed/8.png")
    home.index()
    last = segments_of(home)[-1]
    whole = last.read_bytes()
    changed = whole[:-5] + bytes([whole[-5] ^ 1]) + whole[-4:]
    last.write_bytes({"cut": whole[:-1], "grown": whole + b"0", "changed": changed}[damage])
    with home.run() as (manifest, _):
        assert [row.uri for row in manifest.pending()] == ["bed/7.png", "bed/8.png"]
    assert f"{last.name} cannot be used" in caplog.text
    assert not last.exists()
    home.index()
    home.check()


def test_an_older_folder_put_back(home: Home) -> None:
    """What it lacks is sent again and no more; what it has too much is removed."""
    home.index()
    shutil.copytree(folder_of(home), home.root / "older")
    home.shop.add("bed/7.png")
    home.shop.add_picture("lamp/0.png", picture(400))
    home.index()
    folder = folder_of(home)
    shutil.rmtree(folder)
    shutil.move(home.root / "older", folder)
    with home.run() as (manifest, _):
        assert [row.uri for row in manifest.pending()] == ["bed/7.png", "lamp/0.png"]
    home.index()
    home.check()
    assert kept(home) == valid(home)


@pytest.mark.parametrize("name", ["segments.json", "00000001.seg"])
def test_a_file_that_cannot_be_read_is_no_damage(home: Home, name: str) -> None:
    """A folder in its place, say: nothing is sent again for that, it is an error."""
    home.index()
    (folder_of(home) / name).unlink()
    (folder_of(home) / name).mkdir()
    with pytest.raises(ConfigError, match="cannot be read"), home.run():
        pass
    assert home.manifest().counts()[ItemState.INDEXED] == 5


def test_what_an_end_has_left_is_removed(home: Home) -> None:
    """Segments that no list names, drafts, and folders that no manifest names go when the next run begins."""
    home.index()
    before = names_in(home)
    for name in ("99999999.seg", "segments.unfinished"):
        (folder_of(home) / name).write_bytes(b"half")
    (folder_of(home).parent / "vectors-0123").mkdir()
    home.index()
    assert names_in(home) == before


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


# A part of many vectors is searched


@pytest.fixture
def many(home: Home, monkeypatch: pytest.MonkeyPatch) -> Home:
    """Five pictures are many, and an approximate index is wanted."""
    monkeypatch.setattr(approximate, "FROM", 5)
    monkeypatch.setattr(approximate, "_FEW", 0)
    home.shop.configure(index={"backend": "local", "batch_size": 4, "approximate": "auto"})
    return home


def settle(home: Home) -> dict[str, Any] | None:
    """A run's end; what the manifest says of it."""
    home.index()
    with home.run() as (manifest, backend):
        backend.settle()
        found: dict[str, Any] | None = manifest.get_meta(APPROXIMATE)
        return found


def test_what_is_built_stands_in_the_manifest(many: Home) -> None:
    """With what it finds; it searches for whoever comes, and goes when it is wanted no more, or the rows are few."""
    found = settle(many)
    assert found is not None
    assert (found["rows"], found["recall"]) == (5, 1.0)
    assert "approximate.json" in names_in(many)
    many.check()
    many.check_neighbours(many.shop.catalogue / "lamp/1.png", 2, "bed")
    many.shop.configure(index={"backend": "local", "batch_size": 4})
    assert settle(many) is None
    assert not [name for name in names_in(many) if name.startswith("approximate")]


def test_categories_that_changed_are_followed(many: Home) -> None:
    """An open searcher filters by the items that there are now."""
    settle(many)
    with closing(many.backend()) as backend:
        backend.open(writing=False)
        query = [many.shop.catalogue / "lamp/1.png"]
        assert len(backend.search(query, 9, "bed")[0].found) == 2
        many.shop.add("bed/7.png", "bed/8.png")
        (many.shop.catalogue / "bed/0.png").unlink()
        settle(many)
        assert sorted(one.uri for one in backend.search(query, 9, "bed")[0].found) == [
            "bed/1.png",
            "bed/7.png",
            "bed/8.png",
        ]


def test_a_report_tells_how_much_is_found(many: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    """The run's report and the doctor have it, and say so where it is less than it should be."""
    with many.shop.collection() as collection:
        report = collection.index()
    assert report.approximate is not None
    assert report.to_dict()["approximate"]["recall"] == 1.0
    notes: list[Check] = []
    check_index(many.shop.settings, notes.append)
    (check,) = [note for note in notes if note.name == "approximate"]
    assert (check.status, "find 100.0% of the ten nearest" in check.message) == ("ok", True)
    monkeypatch.setattr(doctor_catalogue, "GOOD", 1.1)
    notes.clear()
    check_index(many.shop.settings, notes.append)
    (check,) = [note for note in notes if note.name == "approximate"]
    assert (check.status, "approximate: never" in check.hint) == ("warning", True)


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
