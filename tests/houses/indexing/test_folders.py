"""Runs over folders as they are met: shares that are not there, folders that cannot be read, litter, links."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from shop import Shop
from stock import assert_sound, index, names
from terminal import command, error_line

from ddsim import CatalogueVanished, IndexOptions
from ddsim.catalogue import Kind

BASE = {"classification": None, "similarity": {"extract_layer": "fc1"}, "index": {"backend": "local"}}


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    """Six lamps, and four beds on what could be a share, all indexed."""
    shop = Shop(tmp_path, BASE)
    shop.add(*names("lamp", 6), *names("bed", 4))
    share = tmp_path / "share"
    (shop.catalogue / "bed").rename(share)
    (shop.catalogue / "bed").symlink_to(share)
    assert index(shop).indexed == 10
    return shop


def refuse(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """Let the system refuse to list folders of this name."""
    real = os.scandir

    def guarded(folder: str) -> object:
        if Path(folder).name == name:
            raise PermissionError(13, "Permission denied", str(folder))
        return real(folder)

    monkeypatch.setattr(os, "scandir", guarded)


def test_a_folder_that_cannot_be_read_is_a_failure_and_the_rest_is_indexed(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Exit code 1 with the reason; what is known below it is found; once it can be read all is well."""
    shop.add("lamp/new.png")
    refuse(monkeypatch, "bed")
    result = command(shop, "index", "--json")
    assert result.exit_code == 1
    value = json.loads(result.stdout)
    reason = "this folder cannot be read: permission denied"
    assert value["unreadable"] == {"bed": reason}
    assert value["failed"] == [{"uri": "bed", "reason": reason, "tries": 1}]
    assert (value["indexed"], value["changes"]["new"], value["changes"]["vanished"]) == (11, 1, 0)
    assert "bed/00.png" in shop.indexed()
    assert f"bed: {reason}" in command(shop, "index").stdout
    monkeypatch.undo()
    assert index(shop).failures == ()
    assert_sound(shop, [*names("bed", 4), *names("lamp", 6), "lamp/new.png"])


def test_what_waited_in_a_folder_that_cannot_be_read_is_sent_when_it_can(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Pictures that an earlier run left to do do not end up aside for good because their folder was away."""
    shop.add("bed/late.png")
    with shop.collection() as collection:
        collection.index(IndexOptions(audit=False), stopping=lambda: True)
    refuse(monkeypatch, "bed")
    away = shop.root / "away"
    (shop.root / "share").rename(away)
    (shop.root / "share").mkdir()
    index(shop)
    (shop.root / "share").rmdir()
    away.rename(shop.root / "share")
    monkeypatch.undo()
    assert index(shop).failures == ()
    assert "bed/late.png" in shop.indexed()


def test_a_share_that_is_not_mounted_is_told_and_nothing_is_lost(shop: Shop) -> None:
    """A broken link to a category is a failure; its pictures stay, and nothing is sent again when it is back."""
    (shop.root / "share").rename(shop.root / "away")
    result = command(shop, "index")
    assert result.exit_code == 1
    assert f"bed: a broken link: {shop.root / 'share'} is not there (is it mounted?)" in result.stdout
    assert ", 0 vanished" in result.stdout
    (shop.root / "away").rename(shop.root / "share")
    shop.tap.sent.clear()
    assert index(shop).sent == 0
    assert_sound(shop, [*names("bed", 4), *names("lamp", 6)])


def test_an_empty_mount_point_stops_the_run_before_anything_is_lost(shop: Shop) -> None:
    """Exit code 2 naming the category and the way on; nothing was sent or forgotten; --dry-run says so too."""
    (shop.root / "share").rename(shop.root / "away")
    (shop.root / "share").mkdir()
    shop.add("lamp/new.png")
    shop.tap.sent.clear()
    line = error_line(command(shop, "index", "--wait", 0), 2)
    assert "4 of 10 indexed pictures are gone; empty now: bed" in line
    assert "--allow-vanished" in line
    assert len(shop.indexed()) == 10
    assert "lamp/new.png" not in shop.indexed()
    result = command(shop, "index", "--dry-run")
    assert result.exit_code == 0
    assert "A run would stop: 4 of 10 indexed pictures are gone" in result.stdout
    assert "gone" in json.loads(command(shop, "index", "--dry-run", "--json").stdout)["stops"]
    result = command(shop, "index", "--allow-vanished")
    assert result.exit_code == 0
    assert "  1 new, 0 changed, 4 vanished" in result.stdout


@pytest.mark.parametrize(("limit", "stops"), [(None, True), (0.5, True), (0.6, False), (1.0, False)])
def test_more_than_a_share_of_the_catalogue_gone_stops_the_run(shop: Shop, limit: float | None, stops: bool) -> None:
    """The share is the configuration's, a tenth by default; a handful of pictures may always go."""
    catalogue = str(shop.catalogue)
    shop.configure(catalogue=catalogue if limit is None else {"folder": catalogue, "vanish_limit": limit})
    for uri in names("lamp", 4):
        (shop.catalogue / uri).unlink()
    assert index(shop).changes["vanished"] == 4
    shop.add(*names("lamp", 4))
    index(shop)
    for uri in names("lamp", 6):
        (shop.catalogue / uri).unlink()
    (shop.catalogue / "lamp").rmdir()
    if stops:
        with pytest.raises(CatalogueVanished, match="6 of 10 indexed pictures are gone"):
            index(shop)
    else:
        assert index(shop).changes["vanished"] == 6


def test_a_category_that_was_renamed_is_not_taken_for_lost(shop: Shop) -> None:
    """Files that are there under another name, with the size and time they had, are not gone."""
    (shop.catalogue / "lamp").rename(shop.catalogue / "lamps")
    report = index(shop)
    assert (report.changes["vanished"], report.changes["new"]) == (6, 6)
    assert_sound(shop, [*names("bed", 4), *names("lamps", 6)])


def test_a_rebuild_is_refused_while_a_folder_cannot_be_read(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """It would lose what is indexed of that folder, which nobody can send again now."""
    refuse(monkeypatch, "bed")
    with pytest.raises(CatalogueVanished, match="bed cannot be read now, and a rebuild would lose"):
        index(shop, rebuild=True)
    assert len(shop.indexed()) == 10


def test_what_is_passed_over_is_told_with_examples(shop: Shop) -> None:
    """In the report, by --dry-run and in JSON: litter, patterns, loose pictures, followed links, odd endings."""
    shop.add("lamp/@eaDir/thumb.png", "lamp/.hidden.png", "lamp/draft.png", "loose.png")
    shop.add_bytes("lamp/notes.txt", b"words")
    (shop.catalogue / "lamp" / "round").symlink_to(shop.catalogue / "lamp")
    (shop.catalogue / "lamp" / "more").symlink_to(shop.catalogue / "bed")
    shop.configure(catalogue={"folder": str(shop.catalogue), "exclude": ["draft*"]})
    expected = {
        "litter": {"count": 1, "examples": ["lamp/@eaDir"]},
        "hidden": {"count": 1, "examples": ["lamp/.hidden.png"]},
        "excluded": {"count": 1, "examples": ["lamp/draft.png"]},
        "loose": {"count": 1, "examples": ["loose.png"]},
        "circles": {"count": 1, "examples": ["lamp/round"]},
        "links": {"count": 1, "examples": ["lamp/more"]},
        "odd": {"count": 1, "examples": ["lamp/notes.txt"]},
    }
    assert {kind.value for kind in Kind} == expected.keys() | {"repeated"}  # of tables alone
    assert json.loads(command(shop, "index", "--dry-run", "--json").stdout)["met"] == expected
    for result in (command(shop, "index", "--dry-run"), command(shop, "index")):
        assert "  1 passed over as litter of machines: lamp/@eaDir\n" in result.stdout
        assert "  1 passed over beside the category folders: loose.png\n" in result.stdout
        assert "  1 links to folders followed: lamp/more\n" in result.stdout
    value = json.loads(command(shop, "index", "--json").stdout)
    assert value["met"] == expected
    assert value["indexed"] == 14
    assert [one["uri"] for one in value["failed"]] == ["lamp/notes.txt"]


def test_patterns_of_the_configuration_take_pictures_out_again(shop: Shop) -> None:
    """What a new pattern names vanishes from the index, and comes back with the pattern gone."""
    shop.configure(catalogue={"folder": str(shop.catalogue), "exclude": ["lamp/00.png"], "include": ["*.png"]})
    assert index(shop).changes["vanished"] == 1
    assert_sound(shop, [*names("bed", 4), *names("lamp", 6)[1:]])


@pytest.mark.parametrize("key", ["exclude", "include"])
def test_a_pattern_that_is_none_is_named_with_its_line(shop: Shop, key: str) -> None:
    """The configuration's mistakes come out before anything is done."""
    shop.configure(catalogue={"folder": str(shop.catalogue), key: ["!"]})
    line = error_line(command(shop, "index"), 2)
    assert f"catalogue.{key}: " in line
    assert "Invalid git pattern" in line
