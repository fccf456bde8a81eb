"""A catalogue is known by what it is: however it is spelled and wherever it moves, nothing of it is sent again."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import pytest
from homes import four_at_a_time
from shop import Shop
from stock import index, names

from ddsim import Collection, IndexOptions, IndexReport
from ddsim.catalogue import MARK_FILE


@pytest.fixture(params=["server", "local"])
def shop(request: pytest.FixtureRequest, tmp_path: Path) -> Shop:
    """A shop whose three pictures are indexed."""
    (tmp_path / "shop").mkdir()
    made = four_at_a_time(tmp_path / "shop", request.param)
    made.add(*names("lamp", 3))
    index(made)
    return made


def again(shop: Shop, catalogue: Path) -> IndexReport:
    """A run over a folder, as if typed on the command line."""
    with Collection(shop.settings, shop.client(), catalogue) as collection:
        return collection.index(IndexOptions(audit=False))


def untouched(report: IndexReport) -> bool:
    """Whether a run found everything as it was, and sent nothing."""
    return (report.indexed, report.sent, report.reused, report.changes["unchanged"]) == (3, 0, 0, 3)


def test_another_spelling(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """A relative path, one with .. in it and a link lead to the same index."""
    (shop.root / "link").symlink_to(shop.catalogue)
    monkeypatch.chdir(shop.root)
    for path in (Path("catalogue"), Path("..") / "shop" / "catalogue", shop.root / "link"):
        assert untouched(again(shop, path)), path


def test_a_catalogue_that_moved(shop: Shop) -> None:
    """Its mark goes with it, so searches and runs know it at its new place, and after the next move, too."""
    for place in ("elsewhere", "and-again"):
        source = next(path.parent for path in shop.root.glob(f"*/{MARK_FILE}"))
        source.rename(shop.root / place)
        with Collection(shop.settings, shop.client(), shop.root / place) as collection:
            assert len(list(collection.manifest.rows())) == 3
        assert untouched(again(shop, shop.root / place))


def test_a_copy_is_another_catalogue(shop: Shop) -> None:
    """The original keeps its index, the copy gets its own and its own mark."""
    copy = shop.root / "copy"
    shutil.copytree(shop.catalogue, copy)
    report = again(shop, copy)
    assert (report.indexed, report.changes["new"]) == (3, 3)
    assert (copy / MARK_FILE).read_text() != (shop.catalogue / MARK_FILE).read_text()
    (copy / "lamp/00.png").unlink()
    assert again(shop, copy).indexed == 2
    assert untouched(again(shop, shop.catalogue))


def test_another_catalogue_in_the_place_of_one_that_moved(shop: Shop) -> None:
    """It is not taken for the old one, whose index stays with it."""
    shop.catalogue.rename(shop.root / "elsewhere")
    assert untouched(again(shop, shop.root / "elsewhere"))
    shop.add("bed/new.png")
    report = again(shop, shop.catalogue)
    assert (report.indexed, report.changes["new"], report.changes["vanished"]) == (1, 1, 0)
    assert untouched(again(shop, shop.root / "elsewhere"))
    assert again(shop, shop.catalogue).changes["unchanged"] == 1


def test_a_project_that_moved(tmp_path: Path, shop: Shop) -> None:
    """Configuration, state and catalogue in another folder: searched there, and nothing is sent or left behind."""
    before = shop.root
    before.rename(tmp_path / "moved")
    shop.tap.restart()
    moved = Shop(tmp_path / "moved", shop.base, tap=shop.tap)
    with moved.search() as search:
        assert search.query(moved.catalogue / "lamp/00.png", 1)[0].uri == "lamp/00.png"
    assert untouched(again(moved, moved.catalogue))
    moved.tap.restart()
    assert untouched(again(moved, moved.catalogue))
    assert not before.exists()


def test_an_index_stays_where_it_is(shop: Shop) -> None:
    """Whatever the configuration says of a folder that holds an older one: only a project that moved goes elsewhere."""
    folder = Path(shop.settings.similarity.repository)
    if not folder.is_dir():
        pytest.skip("vectors that ddsim keeps lie with the state")
    shop.tap.restart()
    aside = folder.with_name("aside")
    shutil.copytree(folder, aside)
    shop.configure(similarity={"repository": str(aside)})
    shop.add("lamp/new.png")
    assert again(shop, shop.catalogue).changes["new"] == 1
    with shop.search() as search:
        assert search.query(shop.catalogue / "lamp/new.png", 1)[0].uri == "lamp/new.png"


def test_a_catalogue_that_cannot_be_marked(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is known by its path, and indexed like any other."""
    other = shop.root / "other"
    shutil.copytree(shop.catalogue, other, ignore=shutil.ignore_patterns(MARK_FILE))
    replace = os.replace

    def refuse(source: Any, target: Any) -> None:
        if str(target).endswith(MARK_FILE):
            raise PermissionError(13, "Permission denied", str(target))
        replace(source, target)

    monkeypatch.setattr(os, "replace", refuse)
    assert again(shop, other).indexed == 3
    assert untouched(again(shop, other))
    assert sorted(path.name for path in other.iterdir()) == ["lamp"]


@pytest.mark.parametrize("content", [b"", b"\xff\xfe", b"../../etc", b"x" * 5000, b"ABCDEF"])
def test_a_mark_that_is_none(shop: Shop, content: bytes) -> None:
    """What somebody else wrote into the file counts as no mark, and is replaced by one."""
    (shop.catalogue / MARK_FILE).write_bytes(content)
    assert untouched(again(shop, shop.catalogue))
    assert len((shop.catalogue / MARK_FILE).read_text().strip()) == 32
