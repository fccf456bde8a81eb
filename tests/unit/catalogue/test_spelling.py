"""ddsim.catalogue.spelling: names that people give, and names on disk."""

from __future__ import annotations

from pathlib import Path

import pytest

from ddsim.catalogue import Names, choices, on_disk, same_name, spelled
from ddsim.catalogue.spelling import writings

NFC, NFD = "St\u00fchle", "Stu\u0308hle"


@pytest.mark.parametrize(
    ("disk", "given"), [(NFC, NFD), (NFD, NFC), (NFD, NFD), ("\u212bngstr\u00f6m", "\u00c5ngstr\u00f6m")]
)
def test_a_name_is_found_however_its_letters_are_written(disk: str, given: str) -> None:
    """The name that comes back is that of the disk; another name is none."""
    assert Names([disk, "lamp"]).find(given) == disk
    assert Names([disk, "lamp"]).find("Stuhle") is None


def test_two_names_that_look_the_same_are_each_found_by_their_own() -> None:
    """Where both writings are on disk nothing is mixed up."""
    both = Names([NFC, NFD])
    assert (both.find(NFC), both.find(NFD)) == (NFC, NFD)


def test_labels_stand_for_categories_as_the_disk_writes_them() -> None:
    """A category without a folder stays as it is written."""
    assert spelled({"n1": NFC, "n2": "lamp", "n3": "M\u00f6bel"}, [NFD, "lamp"]) == {
        "n1": NFD,
        "n2": "lamp",
        "n3": "M\u00f6bel",
    }


def test_each_part_of_a_uri_may_be_written_in_its_own_way() -> None:
    """A folder from a Mac with files from elsewhere is found, and long names cost no more than short ones."""
    assert f"{NFD}/gr\u00fcn/\u00e4.jpg" in writings(f"{NFC}/gr\u00fcn/a\u0308.jpg")
    assert list(writings("lamp/a.jpg")) == ["lamp/a.jpg"]
    assert len(list(writings("/".join([NFC] * 100)))) < 100


def test_a_path_is_found_however_its_letters_are_written(tmp_path: Path) -> None:
    """Every part of it; what is not there stays as it was given."""
    (tmp_path / NFD / "gr\u00fcn").mkdir(parents=True)
    assert on_disk(tmp_path / NFC / "gru\u0308n") == tmp_path / NFD / "gr\u00fcn"
    assert on_disk(tmp_path / NFC / "rot") == tmp_path / NFC / "rot"
    assert on_disk(tmp_path / "nowhere" / NFC) == tmp_path / "nowhere" / NFC


def test_few_choices_are_listed_and_of_many_the_nearest() -> None:
    """Nobody is answered with thousands of names."""
    assert choices("lmap", ["bed", "lamp"]) == "there are bed, lamp"
    many = [f"category-{number:04}" for number in range(3000)] + ["lamp"]
    words = choices("lmap", many)
    assert words.startswith("did you mean lamp? there are 3001, such as category-0000, ")
    assert len(choices("x", many)) < 200
    assert same_name(NFD) == NFC
