"""ddsim.catalogue.whereabouts: a manifest that was moved is told from a copy."""

from __future__ import annotations

import shutil
import socket
from pathlib import Path

import pytest

from ddsim.catalogue import Manifest, note_whereabouts, noted_place, whereabouts


def made(folder: Path) -> Path:
    """A manifest that knows where it is, and has an index."""
    with Manifest.open(folder, {}) as manifest, manifest.writing():
        manifest.set_meta(repository="/indexes/3f2a91")
        note_whereabouts(manifest)
    return folder


def verdict(folder: Path) -> str:
    """What is thought of the manifest in this folder."""
    with Manifest.look(folder, {}) as manifest:
        return whereabouts(manifest)


def test_where_it_was_noted(tmp_path: Path) -> None:
    """It is here, and says so in words; so is one of before there were such notes."""
    folder = made(tmp_path / "a")
    assert verdict(folder) == "here"
    with Manifest.look(folder, {}) as manifest:
        assert noted_place(manifest) == f"{folder} on {socket.gethostname()}"
    assert verdict(tmp_path / "nothing") == "here"


def test_a_link_leads_to_the_same_one(tmp_path: Path) -> None:
    """Whatever path it is reached by."""
    (tmp_path / "link").symlink_to(made(tmp_path / "a"))
    assert verdict(tmp_path / "link") == "here"


def test_a_renamed_folder_is_moved(tmp_path: Path) -> None:
    """On this machine nothing is left where it was, and its file is the same."""
    made(tmp_path / "a").rename(tmp_path / "b")
    assert verdict(tmp_path / "b") == "moved"


def test_a_folder_on_another_disk_is_moved(tmp_path: Path) -> None:
    """Its file is another one, and nothing is left where it was."""
    shutil.copytree(made(tmp_path / "a"), tmp_path / "b")
    shutil.rmtree(tmp_path / "a")
    assert verdict(tmp_path / "b") == "moved"


def test_a_copy_beside_its_original_is_copied(tmp_path: Path) -> None:
    """The original is here, the copy is not, whichever is looked at first."""
    shutil.copytree(made(tmp_path / "a"), tmp_path / "b")
    assert (verdict(tmp_path / "b"), verdict(tmp_path / "a")) == ("copied", "here")


def test_a_backup_in_its_own_place_is_here(tmp_path: Path) -> None:
    """Brought back to where it was, as another file."""
    shutil.copytree(made(tmp_path / "a"), tmp_path / "b")
    shutil.rmtree(tmp_path / "a")
    shutil.copytree(tmp_path / "b", tmp_path / "a")
    assert verdict(tmp_path / "a") == "here"


def test_a_copy_whose_original_has_another_index_now_is_moved(tmp_path: Path) -> None:
    """Nobody else uses the index that it names."""
    folder = made(tmp_path / "a")
    shutil.copytree(folder, tmp_path / "b")
    with Manifest.open(folder, {}) as manifest, manifest.writing():
        manifest.set_meta(repository="/indexes/another")
        note_whereabouts(manifest)
    assert verdict(tmp_path / "b") == "moved"


def test_on_another_machine_nobody_knows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same file under another machine's name is a volume of a new container; a new file may be a copy."""
    shutil.copytree(made(tmp_path / "a"), tmp_path / "b")
    monkeypatch.setattr(socket, "gethostname", lambda: "elsewhere")
    assert (verdict(tmp_path / "a"), verdict(tmp_path / "b")) == ("here", "unknown")


def test_what_replaced_a_manifest_is_not_its_original(tmp_path: Path) -> None:
    """Another file in its place, with other content or none that can be read: the one that left is moved."""
    shutil.copytree(made(tmp_path / "a"), tmp_path / "b")
    (tmp_path / "a" / "manifest.sqlite").write_bytes(b"nothing that can be read")
    assert verdict(tmp_path / "b") == "moved"
