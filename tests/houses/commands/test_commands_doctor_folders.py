"""`ddsim doctor` finds beforehand what is odd about a catalogue's folder."""

from __future__ import annotations

import shutil
from functools import partial
from pathlib import Path

import pytest
from homes import StrictTap
from shop import PATIENT, Shop
from stock import index, names

from ddsim import connect
from ddsim.doctor import Options, diagnose


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    """Six lamps and four beds, indexed."""
    base = {"classification": None, "similarity": {"extract_layer": "fc1"}}
    shop = Shop(tmp_path, base, tap=StrictTap())
    shop.add(*names("lamp", 6), *names("bed", 4))
    index(shop)
    return shop


def found(shop: Shop) -> list[str]:
    """What the doctor has to say that is not well, and what is passed over."""
    client = partial(connect, transport=shop.tap, retries=PATIENT)(shop.settings)
    diagnosis = diagnose(shop.settings, client, shop.tap, Options(quick=True))
    return [
        f"{one.status} {one.name}: {one.message}"
        for one in diagnosis.checks
        if one.name in ("folder", "indexed", "index type")
    ]


def test_a_sound_folder_is_no_news(shop: Shop) -> None:
    """Nothing but what is indexed."""
    (line,) = found(shop)
    assert line.startswith("ok indexed: 10 of ")


def test_litter_loose_pictures_broken_links_and_names_that_look_the_same(shop: Shop) -> None:
    """Each has a line with what it is and where."""
    shop.add("lamp/@eaDir/thumb.png", "stray.png", "Stu\u0308hle/a.png", "St\u00fchle/b.png")
    (shop.catalogue / "sofa").symlink_to("/mnt/no-such-share")
    (shop.catalogue / "table").mkdir()
    text = "\n".join(found(shop))
    assert "warning folder: sofa: a broken link: /mnt/no-such-share is not there (is it mounted?)" in text
    assert "warning folder: empty categories: table" in text
    assert "warning folder: passed over beside the category folders: 1, such as stray.png" in text
    assert "ok folder: passed over: 1 litter" in text
    assert "warning folder: 2 folders look the same" in text


def test_a_share_that_is_not_mounted_is_found_before_a_run(shop: Shop) -> None:
    """The doctor says that the run would stop, and why."""
    shutil.rmtree(shop.catalogue / "bed")
    (shop.catalogue / "bed").mkdir()
    assert any(
        "`ddsim index` would stop: 4 of 10 indexed pictures are gone; empty now: bed" in one for one in found(shop)
    )


def test_an_index_type_that_needs_more_pictures_is_found_before_a_run(shop: Shop) -> None:
    """It fails the check with the number that is needed."""
    shop.configure(similarity={"index_type": "IVF1024,Flat"})
    assert any(
        "failed index type: similarity.index_type IVF1024,Flat needs at least 1024 pictures" in one
        for one in found(shop)
    )


def test_the_catalogue_that_is_searched_is_looked_at(shop: Shop) -> None:
    """Where another folder was indexed last, and the configured one never, it is that one."""
    moved = shop.root / "elsewhere"
    shop.catalogue.rename(moved)
    (moved / "table").mkdir()
    shop.configure(name="other")
    with shop.search() as search:
        search.index(moved)
    text = "\n".join(found(shop))
    assert "warning folder: empty categories: table" in text
    assert f"ok indexed: 10 of {moved}" in text
