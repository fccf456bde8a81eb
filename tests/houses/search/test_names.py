"""Names as people, files and the disk write them, through index, search, removal and the page's product data."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from shop import Shop, picture
from stock import index
from terminal import command, error_line, run

from ddsim import ImageSearch, InvalidRequest
from ddsim.web.products import Products

NFC, NFD = "St\u00fchle", "Stu\u0308hle"
FORMS = pytest.mark.parametrize(("disk", "given"), [(NFC, NFD), (NFD, NFC)], ids=["NFC on disk", "NFD on disk"])


def stocked(tmp_path: Path, category: str) -> Shop:
    """Three pictures in this category and three lamps, indexed; the network's labels stand for this category, too."""
    shop = Shop(tmp_path, {"index": {"backend": "local"}})
    shop.add(
        *(f"{category}/gr\u00fcn-{number}.png" for number in range(3)), *(f"lamp/{number}.png" for number in range(3))
    )
    index(shop)
    return shop


@FORMS
def test_a_category_is_searched_however_its_letters_are_written(tmp_path: Path, disk: str, given: str) -> None:
    """In Python and by `ddsim search --category`; results have the name that is on disk."""
    shop = stocked(tmp_path, disk)
    with shop.search() as search:
        result = search.query(picture(1), category=given)
        assert result.searched == (disk,)
        assert {one.category for one in result.neighbours} == {disk}
        assert len(search.collection.search([picture(1)], 9, among=given)[0].found) == 3
    listed = run("catalogue", "list", "--config", shop.config, "--category", given)
    assert listed.stdout.splitlines() == [f"{disk}/gr\u00fcn-{number}.png" for number in range(3)]


@FORMS
def test_a_label_stands_for_a_category_however_its_letters_are_written(tmp_path: Path, disk: str, given: str) -> None:
    """The service's probability goes to the category that the catalogue has."""
    shop = stocked(tmp_path, disk)
    labels = [line.split(" ", 1)[1] for line in Path(shop.settings.similarity.corresp or "").read_text().splitlines()]
    shop.configure(categories=dict.fromkeys(labels, given), routing={"by": "service"})
    index(shop)
    with shop.search() as search:
        (category,) = search.query(picture(1)).categories
    assert (category.name, category.searched) == (disk, True)
    assert category.probability > 0.9


@FORMS
def test_a_picture_is_removed_however_its_letters_are_written(tmp_path: Path, disk: str, given: str) -> None:
    """`ddsim catalogue remove` finds it; the file stays as it is."""
    shop = stocked(tmp_path, disk)
    result = run("catalogue", "remove", "--config", shop.config, f"{given}/gru\u0308n-1.png")
    assert (result.exit_code, result.stdout) == (0, "1 removed\n")
    assert f"{disk}/gr\u00fcn-1.png" not in shop.indexed()


@FORMS
def test_product_data_is_found_however_its_letters_are_written(tmp_path: Path, disk: str, given: str) -> None:
    """A products.csv from another system belongs to the pictures here."""
    (tmp_path / "products.csv").write_text(f"uri,name\n{given}/a.jpg,Chair\n", "utf-8")
    product = Products(lambda: tmp_path, lambda: [f"{disk}/a.jpg"]).get(f"{disk}/a.jpg")
    assert product is not None
    assert product.name == "Chair"


@FORMS
def test_a_catalogue_is_indexed_however_its_path_is_written(tmp_path: Path, disk: str, given: str) -> None:
    """In the configuration and on the command line."""
    shop = stocked(tmp_path, "bed")
    (tmp_path / disk / "cat").mkdir(parents=True)
    picture(9).save(tmp_path / disk / "cat" / "a.png")
    value = json.loads(command(shop, "index", tmp_path / given, "--json").stdout)
    assert (value["catalogue"], value["indexed"]) == (str(tmp_path / disk), 1)
    shop.configure(catalogue=str(tmp_path / given))
    assert shop.settings.catalogue == tmp_path / disk


def test_an_unknown_category_is_answered_with_the_nearest_ones(tmp_path: Path) -> None:
    """By search and by `catalogue list`, exit code 2 in one line, however many categories there are."""
    shop = Shop(tmp_path, {"classification": None, "index": {"backend": "local"}})
    shop.add(*(f"category-{number:02}/a.png" for number in range(12)), "chair/a.png")
    index(shop)
    for result in (
        command(shop, "search", shop.catalogue / "chair/a.png", "--category", "chiar"),
        run("catalogue", "list", "--config", shop.config, "--category", "chiar"),
    ):
        line = error_line(result, 2)
        assert "no category 'chiar' is indexed; did you mean chair? there are 13, such as category-00, " in line
        assert "category-11" not in line


def test_an_address_in_place_of_a_photo_is_refused(tmp_path: Path) -> None:
    """Exit code 2 with the address as it was given, where it is not of the web."""
    line = error_line(command(stocked(tmp_path, "bed"), "search", "file:///tmp/a.jpg"), 2)
    assert "file:///tmp/a.jpg: an address is given where a file or folder of this machine belongs" in line


def test_a_catalogue_is_no_file_address(tmp_path: Path) -> None:
    """Folders are written as folders; the message names what addresses there are."""
    line = error_line(command(stocked(tmp_path, "bed"), "index", "file:///tmp/a"), 2)
    assert "file: addresses are not read; write a folder, or one of s3, gs, https, http" in line


def test_the_catalogue_that_was_given_is_the_one_that_is_indexed(tmp_path: Path) -> None:
    """`from_config(configuration, folder).index()` indexes that folder, not the configuration's own."""
    shop = stocked(tmp_path, "bed")
    (tmp_path / "other" / "cat").mkdir(parents=True)
    picture(9).save(tmp_path / "other" / "cat" / "a.png")
    with ImageSearch(shop.settings, tmp_path / "other", client=shop.client()) as search:
        assert search.index().indexed == 1
        assert search.catalogue == tmp_path / "other"
        assert search.index(shop.catalogue).indexed == 6
        assert search.index().indexed == 1


def test_removing_a_name_that_is_not_there_says_so(tmp_path: Path) -> None:
    """Nothing is removed then, not the known ones either; how many are unknown is told."""
    shop = stocked(tmp_path, "bed")
    with shop.collection() as collection:
        with pytest.raises(InvalidRequest, match=r"not in the catalogue: 'nobody.png', nor 1 more of those"):
            collection.remove(["lamp/0.png", "nobody.png", "bed/nobody.png"])
        assert collection.remove(["lamp/0.png"]) == 1
    assert len(shop.indexed()) == 5
