"""Whoever only looks needs no right to write: state folders of another user, on read-only disks and on full ones."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path

import pytest
from homes import StrictTap
from shop import PATIENT, Shop
from stock import index, names
from terminal import command, error_line, run

import ddsim.search.search
from ddsim import StateNotWritable, connect
from ddsim.catalogue import ItemState, Manifest

ReadOnly = Callable[[Path], None]


@pytest.fixture
def read_only() -> Iterator[ReadOnly]:
    """Makes a folder one that cannot be written: by its rights, or for root, who needs none, by a read-only mount."""
    undo: list[Callable[[], object]] = []

    def make(folder: Path) -> None:
        if os.geteuid():
            for path in [folder, *(path for path in folder.rglob("*") if path.is_dir())]:
                path.chmod(0o500)
                undo.append(partial(path.chmod, 0o700))
            return
        for options in (["--bind", str(folder), str(folder)], ["-o", "remount,bind,ro", str(folder)]):
            if subprocess.run(["mount", *options], capture_output=True, check=False).returncode:
                pytest.skip("nothing can be mounted here, and rights do not keep root from writing")
            if options[0] == "--bind":
                undo.append(partial(subprocess.run, ["umount", str(folder)], check=True))

    yield make
    for step in undo:
        step()


@pytest.fixture(params=["local", "server"])
def shop(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Shop:
    """An indexed shop; the commands talk to its own server."""
    base = {"classification": None, "similarity": {"extract_layer": "fc1"}, "index": {"backend": request.param}}
    shop = Shop(tmp_path, base, tap=StrictTap())
    shop.add(*names("lamp", 4), *names("bed", 2))
    index(shop)
    there = partial(connect, transport=shop.tap, retries=PATIENT)
    monkeypatch.setattr(ddsim.search.search, "connect", there)
    return shop


def state(shop: Shop) -> Path:
    """Where the shop's manifests are."""
    return shop.root / ".ddsim"


def listed(folder: Path) -> dict[str, tuple[int, int]]:
    """All files below, with size and time."""
    return {str(path): (path.stat().st_size, path.stat().st_mtime_ns) for path in folder.rglob("*") if path.is_file()}


def looks(shop: Shop) -> None:
    """Everything that only looks works."""
    assert run("catalogue", "count", "--config", shop.config, "--json").exit_code == 0
    assert run("catalogue", "failures", "--config", shop.config).exit_code == 0
    assert len(run("catalogue", "list", "--config", shop.config).stdout.splitlines()) == 6
    assert json.loads(command(shop, "index", "--dry-run", "--json").stdout)["changes"]["unchanged"] == 6
    found = json.loads(command(shop, "search", shop.catalogue / "lamp/01.png", "--json").stdout)
    assert found["neighbours"][0]["uri"] == "lamp/01.png"
    assert len(found["neighbours"]) == 6


def test_a_state_folder_that_cannot_be_written_is_searched_all_the_same(shop: Shop, read_only: ReadOnly) -> None:
    """Catalogue, dry run and search work; what writes says so in one line; nothing is left behind."""
    before = listed(state(shop))
    read_only(state(shop))
    looks(shop)
    [one] = json.loads(run("state", "list", "--config", shop.config, "--json").stdout)["indexes"]
    assert (one["status"], one["indexed"]) == ("used", 6)
    for arguments in (("index",), ("catalogue", "remove", "lamp/01.png")):
        line = error_line(run(*arguments[:2], "--config", shop.config, *arguments[2:]), 2)
        assert ".ddsim" in line
        assert "the state folder cannot be written" in line or "cannot be written or locked" in line
    assert listed(state(shop)) == before


def test_a_server_that_forgot_its_service_is_searched_from_a_read_only_state_folder(
    shop: Shop, read_only: ReadOnly
) -> None:
    """Whoever cannot note it down has the service created all the same, and once for all searches."""
    read_only(state(shop))
    shop.tap.restart()
    looks(shop)
    shop.tap.sent.clear()
    with shop.search() as search:
        for _ in range(3):
            assert len(search.query(shop.catalogue / "lamp/01.png").neighbours) == 6
    assert len(shop.tap.matching("PUT")) <= 1


def test_looking_leaves_nothing_behind(shop: Shop) -> None:
    """Not where it could, either: no file, no lock, no log; and nothing at all where nothing was ever indexed."""
    before = listed(state(shop) / "shop")
    looks(shop)
    assert listed(state(shop) / "shop") == before
    (shop.root / "other").mkdir()
    other = Shop(shop.root / "other")
    other.add("lamp/a.png")
    assert run("catalogue", "count", "--config", other.config).stdout == "nothing is indexed\n"
    assert command(other, "index", "--dry-run").exit_code == 0
    assert not (other.root / ".ddsim").exists()


def test_whoever_looks_sees_what_a_run_adds_later(tmp_path: Path) -> None:
    """A look that began before anything was indexed is of what is there when it is asked."""
    with Manifest.look(tmp_path / "later", {"a": 1}) as early:
        assert early.counts()[ItemState.QUARANTINED] == 0
        with Manifest.open(tmp_path / "later", {"a": 1}) as writer, writer.writing():
            writer.set_meta(home="x")
            assert early.get_meta("home") == "x"
        assert early.get_meta("home") == "x"


def test_a_page_is_served_from_a_read_only_state_folder(shop: Shop, read_only: ReadOnly) -> None:
    """Uploads and thumbnails are kept elsewhere meanwhile, and are gone afterwards."""
    pytest.importorskip("fastapi")
    from starlette.testclient import TestClient

    from ddsim.web.app import create_app

    read_only(state(shop))
    with TestClient(create_app(shop.settings, client=shop.client()), base_url="http://127.0.0.1") as page:
        photo = (shop.catalogue / "lamp/01.png").read_bytes()
        found = page.post("/api/search", files={"picture": ("a.png", photo)}).json()
        assert found["neighbours"][0]["uri"] == "lamp/01.png"
        assert page.get(found["neighbours"][0]["thumbnail"]).status_code == 200
    assert not (state(shop) / "shop" / "web").exists()


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of a megabyte."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(disk)]
    if os.geteuid() or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("nothing can be mounted here")
    yield disk
    subprocess.run(["umount", str(disk)], check=True)


def fill(disk: Path) -> Path:
    """Leave no room on a disk; the file that takes it."""
    with suppress(OSError), (disk / "filler").open("wb", buffering=0) as filler:
        while filler.write(b"x" * 4096):
            pass
    return disk / "filler"


def test_a_full_disk_is_searched_all_the_same(disk: Path) -> None:
    """Reading needs no space."""
    with Manifest.open(disk / "state", {}) as manifest:
        manifest.set_meta(home="here")
    fill(disk)
    with Manifest.look(disk / "state", {}) as manifest:
        assert manifest.get_meta("home") == "here"
    assert sorted(path.name for path in (disk / "state").iterdir()) == ["manifest.sqlite"]


def test_what_a_killed_run_left_on_a_full_disk_wants_room_and_is_not_called_damaged(tmp_path: Path, disk: Path) -> None:
    """Nobody is told to delete what is read again as soon as there is room."""
    manifest = Manifest.open(tmp_path / "state", {})
    manifest.set_meta(home="here")
    shutil.copytree(tmp_path / "state", disk / "state", ignore=shutil.ignore_patterns("*-shm"))
    manifest.close()
    filler = fill(disk)
    with pytest.raises(StateNotWritable, match=r"no free space on this disk.*nothing is lost"):
        Manifest.look(disk / "state", {})
    filler.unlink()
    with Manifest.look(disk / "state", {}) as manifest:
        assert manifest.get_meta("home") == "here"


def test_what_a_killed_run_left_is_told_to_whoever_cannot_put_it_right(tmp_path: Path, read_only: ReadOnly) -> None:
    """A log without the file that belongs to it: one sentence with who may help."""
    folder = tmp_path / "state"
    manifest = Manifest.open(folder, {})
    manifest.set_meta(home="here")
    (tmp_path / "copy").mkdir()
    for name in ("manifest.sqlite", "manifest.sqlite-wal"):
        (tmp_path / "copy" / name).write_bytes((folder / name).read_bytes())
    manifest.close()
    read_only(tmp_path / "copy")
    with pytest.raises(ddsim.ConfigError, match="a run was stopped there in the middle"):
        Manifest.look(tmp_path / "copy", {})


def test_writing_where_it_cannot_be_is_an_error_of_its_own(shop: Shop, read_only: ReadOnly) -> None:
    """Programs can tell it from a configuration that is wrong."""
    read_only(state(shop))
    with shop.collection() as collection, pytest.raises(StateNotWritable):
        collection.index()
