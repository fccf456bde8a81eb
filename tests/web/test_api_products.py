"""Product data: what is taken, what is left out, and when it is read."""

from __future__ import annotations

import json
import logging
import os
import unicodedata
from collections.abc import Callable
from pathlib import Path

import pytest
from shop import Shop
from starlette.testclient import TestClient
from webshop import NASTY, stocked

from ddsim.web.products import Products

KNOWN = ("bed/a.png", "bed/b.png")


@pytest.fixture
def products(tmp_path: Path) -> Products:
    """The product data of a folder with two items."""
    return Products(lambda: tmp_path, lambda: KNOWN)


def facts(products: Products, uri: str = "bed/a.png") -> tuple[str | None, ...] | None:
    """Name, price and address of a product."""
    product = products.get(uri)
    return product and (product.name, product.price, str(product.url) if product.url else None)


def test_no_file(products: Products) -> None:
    """Product data need not be there."""
    assert products.get("bed/a.png") is None


@pytest.mark.parametrize(
    "text",
    [
        "uri,name,price,url\nbed/a.png,Bed,9.5,https://x.example/\n",
        "\ufeffURI;Name;Price;url\r\nbed/a.png;Bed;9.5;https://x.example/\r\n",
        "url\tprice\tname\turi\tcolour\nhttps://x.example/\t9.5\tBed\tbed/a.png\tred\n",
        'uri , name,price,url\nbed/a.png," Bed ",9.5,https://x.example/',
    ],
    ids=["plain", "from a spreadsheet", "tabs", "blanks"],
)
def test_csv(products: Products, tmp_path: Path, text: str) -> None:
    """CSV as people and spreadsheets write it; columns of no interest are passed over."""
    (tmp_path / "products.csv").write_text(text, "utf-8", newline="")
    assert facts(products) == ("Bed", "9.5", "https://x.example/")


@pytest.mark.parametrize(
    "content",
    [
        [{"uri": "bed/a.png", "name": "Bed", "price": 9.5, "url": "https://x.example/"}],
        {"bed/a.png": {"name": "Bed", "price": 9.5, "url": "https://x.example/"}},
    ],
    ids=["list", "object"],
)
def test_json(products: Products, tmp_path: Path, content: object) -> None:
    """JSON as a list or by uri; prices may be numbers."""
    (tmp_path / "products.json").write_text(json.dumps(content))
    assert facts(products) == ("Bed", "9.5", "https://x.example/")


EXCEL = "uri;name;price;url\r\nbed\\a.png;Bäd;9,50 €;\r\n"


@pytest.mark.parametrize(
    ("data", "note"),
    [
        (EXCEL.encode("cp1252"), "Windows-1252"),
        (EXCEL.encode("utf-8-sig"), ""),
        (EXCEL.encode("utf-16"), ""),
        (b"\xfe\xff" + EXCEL.encode("utf-16-be"), ""),
        (EXCEL.encode("utf-16-le"), ""),
        (EXCEL.encode("utf-16-be"), ""),
        (("sep=;\r\n" + EXCEL).encode(), ""),
        (("\ufeffsep=;\r\n\r\n" + EXCEL).encode("utf-16-le"), ""),
        (('"SEP=|"\n' + EXCEL.replace(";", "|")).encode(), ""),
        (("\r\n;;;\r\n" + EXCEL + ";;;\r\n\r\n").encode("cp1252"), "Windows-1252"),
        (EXCEL.replace(";", "\t").encode("utf-16"), ""),
    ],
    ids=[
        "cp1252",
        "utf-8 with a mark",
        "utf-16",
        "utf-16 the other way",
        "utf-16 without a mark",
        "utf-16-be without a mark",
        "sep=",
        "sep= in utf-16, and an empty line",
        "sep= in quotes",
        "empty lines",
        "unicode text",
    ],
)
def test_csv_from_excel(products: Products, tmp_path: Path, data: bytes, note: str) -> None:
    """What Excel writes is read whatever its letters and separators, and said where letters had to be guessed."""
    (tmp_path / "products.csv").write_bytes(data)
    assert facts(products) == ("Bäd", "9,50 €", None)
    found = products.matching()
    assert (found.products, found.matched, found.left_out) == (1, 1, ())
    assert note in "".join(found.notes)
    assert bool(note) == bool(found.notes)


@pytest.mark.parametrize(
    "uri",
    [
        "bed/a.png",
        "bed\\a.png",
        "./bed/a.png",
        ".\\bed\\a.png",
        "/bed/a.png",
        "  bed/a.png\u00a0",
        "bed//a.png",
        "bed/./a.png",
    ],
)
def test_names_of_items_as_people_write_them(products: Products, tmp_path: Path, uri: str) -> None:
    """Backslashes, ./ and blanks around a name do not make it another one, in either kind of file."""
    (tmp_path / "products.csv").write_text(f"uri,name\n{uri},Bed\n", "utf-8")
    assert facts(products) == ("Bed", None, None)
    (tmp_path / "products.json").write_text(json.dumps({uri: {"name": "JSON"}}))
    assert facts(products) == ("JSON", None, None)


@pytest.mark.parametrize("forms", [("NFC", "NFD"), ("NFD", "NFC")])
def test_letters_in_either_spelling(tmp_path: Path, forms: tuple[str, str]) -> None:
    """A Mac writes ü as two letters, Excel as one: both are the same name."""
    on_disk, in_file = (unicodedata.normalize(form, "Stühle/grün.png") for form in forms)
    products = Products(lambda: tmp_path, lambda: [on_disk])
    (tmp_path / "products.csv").write_text(f"uri,name\n{in_file},Stuhl\n", "utf-8")
    assert facts(products, on_disk) == ("Stuhl", None, None)
    assert products.matching().unmatched == ()


def test_what_matches_nothing_is_told_with_what_may_be_meant(tmp_path: Path) -> None:
    """A name with letters of another size, another ending or no folder leads to the one picture that it may mean."""
    products = Products(lambda: tmp_path, lambda: ["bed/a.png", "bed/b.png", "lamp/b.png"])
    lines = [
        "uri,name",
        "Bed/A.PNG,1",
        "bed/a.jpg,2",
        "a.png,3",
        "b.png,4",
        "x.png,5",
        "bed/b.png,6",
        "bed/b.png,7",
        ",8",
    ]
    (tmp_path / "products.csv").write_text("\n".join(lines))
    found = products.matching()
    assert (found.products, found.matched, found.pictures) == (6, 1, 3)
    meant = {one.uri: one.near for one in found.unmatched}
    assert meant == dict.fromkeys(("Bed/A.PNG", "bed/a.jpg", "a.png"), "bed/a.png") | {"b.png": None, "x.png": None}
    assert found.left_out == ("line 9 (uri is missing: the name of the picture that it is of)",)
    assert found.notes == ("1 line is of an item that has one before: the last one counts",)


@pytest.mark.parametrize("start", [b"PK\x03\x04", b"\xd0\xcf\x11\xe0"])
def test_a_workbook_under_the_name_of_a_csv_file(products: Products, tmp_path: Path, start: bytes) -> None:
    """It is named for what it is, with what to do."""
    (tmp_path / "products.csv").write_bytes(start + bytes(100))
    assert "save it as “CSV UTF-8”" in str(products.matching().problem)


def test_headings_without_a_uri_are_shown(products: Products, tmp_path: Path) -> None:
    """Who called the column otherwise sees what was found instead."""
    (tmp_path / "products.csv").write_text("Picture;Name\nbed/a.png;Bed\n")
    assert products.matching().problem == "its first line has no heading uri, but 'picture', 'name'"


def test_empty_cells_are_nothing(products: Products, tmp_path: Path) -> None:
    """A product may have a name alone."""
    (tmp_path / "products.csv").write_text("uri,name,price,url\nbed/a.png,Bed,,  \nbed/b.png\n")
    assert facts(products) == ("Bed", None, None)
    assert facts(products, "bed/b.png") == (None, None, None)


def test_json_goes_first(products: Products, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Of two files the JSON file counts, and the log says that the other one does not."""
    (tmp_path / "products.json").write_text('{"bed/a.png": {"name": "JSON"}}')
    assert facts(products) == ("JSON", None, None)
    assert products.matching().notes == ()
    (tmp_path / "products.csv").write_text("uri,name\nbed/a.png,CSV\n")
    assert facts(products) == ("JSON", None, None)
    assert products.matching().notes == ("products.csv is there, too, and does not count",)
    assert "products.json: products.csv is there, too, and does not count." in caplog.text


@pytest.mark.parametrize(
    "url", ["javascript:alert(1)", "data:text/html,x", "ftp://x.example/", "//x.example", "/here", "x", "https://"]
)
def test_addresses_of_other_kinds(
    products: Products, tmp_path: Path, caplog: pytest.LogCaptureFixture, url: str
) -> None:
    """Only http and https make a link; a product with anything else is shown without, and the log says which."""
    rows = [{"uri": "bed/a.png", "name": "Bed", "url": url}, {"uri": "bed/b.png", "name": "Whole"}]
    (tmp_path / "products.json").write_text(json.dumps(rows))
    assert facts(products) == ("Bed", None, None)
    assert facts(products, "bed/b.png") == ("Whole", None, None)
    told = "1 line is left out, in whole or in part, such as number 1 (url is not an address"
    assert told in caplog.text
    assert "the rest of it is used" in caplog.text


def test_a_line_that_is_wrong_in_part_replaces_no_other(products: Products, tmp_path: Path) -> None:
    """Of several lines of one item the last one counts, but for those."""
    rows = [{"uri": "bed/a.png", "name": "Bed"}, {"uri": "bed/a.png", "name": "Worse", "url": "x:y"}]
    (tmp_path / "products.json").write_text(json.dumps(rows))
    assert facts(products) == ("Bed", None, None)


@pytest.mark.parametrize("row", [{"name": "x"}, {"uri": ""}, {"uri": "bed/a.png", "name": "x" * 301}, "x", None, 3, []])
def test_rows_that_make_no_sense(products: Products, tmp_path: Path, row: object) -> None:
    """One wrong row does not cost the others."""
    (tmp_path / "products.json").write_text(json.dumps([row, {"uri": "bed/b.png", "name": "Whole"}]))
    assert facts(products) is None
    assert facts(products, "bed/b.png") == ("Whole", None, None)


@pytest.mark.parametrize(
    ("name", "line", "reason"),
    [
        ("products.csv", "bed/a.png,Bed,3,50", "4 cells under 3 headings: put in quotes what holds a ','"),
        ("products.csv", 'bed/a.png,"Bed\nbed/c.png,x', "a quote is opened here and closed nowhere"),
        ("products.csv", 'x,3",\nbed/a.png,"Bed\nbed/c.png,x', "line 4 (a quote is opened here"),
        ("products.json", '{"uri": "bed/a.png"', "line 2 (it is no JSON"),
    ],
)
def test_lines_that_can_be_read_in_two_ways(
    products: Products, tmp_path: Path, caplog: pytest.LogCaptureFixture, name: str, line: str, reason: str
) -> None:
    """They are left out and told of: a wrong price is worse than none."""
    good = "uri,name,price\nbed/b.png,Whole," if name.endswith("csv") else '{"uri": "bed/b.png", "name": "Whole"}'
    (tmp_path / name).write_text(f"{good}\n{line}\n")
    assert facts(products, "bed/b.png") == ("Whole", None, None)
    assert facts(products) is None
    assert reason in caplog.text


def test_json_with_a_product_a_line(products: Products, tmp_path: Path) -> None:
    """As databases write it; a cell of a CSV file may have lines, too."""
    (tmp_path / "products.json").write_text('{"uri": "bed/a.png", "name": "Bed"}\n\n{"uri": "bed/b.png", "price": "3"}')
    assert facts(products) == ("Bed", None, None)
    assert facts(products, "bed/b.png") == (None, "3", None)
    (tmp_path / "products.json").write_text('{"uri": "bed/a.png", "name": "Alone"}\n')
    os.utime(tmp_path / "products.json", ns=(1, 1))
    assert facts(products) == ("Alone", None, None)
    (tmp_path / "products.json").unlink()
    (tmp_path / "products.csv").write_text('uri,name\nbed/b.png,"Two\nlines"\nbed/a.png,12" wide\n')
    assert facts(products, "bed/b.png") == ("Two\nlines", None, None)
    assert facts(products) == ('12" wide', None, None)


def test_unknown_items_are_told(products: Products, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The log names products of items that are not indexed: a mistyped name would go unnoticed."""
    (tmp_path / "products.csv").write_text("uri,name\nbed/A.png,Bed\nbed/a.png,Bed\n")
    with caplog.at_level(logging.WARNING):
        assert facts(products) == ("Bed", None, None)
    assert "1 of 2 products match no indexed picture, such as 'bed/A.png', which may mean 'bed/a.png'." in caplog.text


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("products.csv", b"name,price\nBed,3\n"),
        ("products.csv", b"\xff\xfe\x00"),
        ("products.csv", b""),
        ("products.json", b"{"),
        ("products.json", b"3"),
        ("products.json", b'[{"uri": "bed/a.png"}]\nxx'),
        ("products.json", b"[" * 100_000),
    ],
)
def test_files_that_cannot_be_read(
    products: Products, tmp_path: Path, caplog: pytest.LogCaptureFixture, name: str, content: bytes
) -> None:
    """A file that makes no sense is told of, and what was known before stays."""
    path = tmp_path / name
    good = b"uri,name\nbed/a.png,Bed\n" if name.endswith("csv") else b'{"bed/a.png": {"name": "Bed"}}'
    path.write_bytes(good)
    assert facts(products) == ("Bed", None, None)
    path.write_bytes(content)
    os.utime(path, ns=(1, 1))
    assert facts(products) == ("Bed", None, None)
    assert "products stay as they were" in caplog.text


def test_changes_are_seen(products: Products, tmp_path: Path) -> None:
    """A file that changed is read anew, one that is gone counts no more, and no other file is read twice."""
    path = tmp_path / "products.csv"
    path.write_text("uri,name\nbed/a.png,Bed\n")
    assert facts(products) == ("Bed", None, None)
    path.write_text("uri,name\nbed/a.png,A better bed\n")
    assert facts(products) == ("A better bed", None, None)
    path.unlink()
    assert facts(products) is None


def test_an_unchanged_file_is_not_read_again(tmp_path: Path) -> None:
    """Looking at it costs no more than a look at its time."""
    asked: list[int] = []

    def known() -> tuple[str, ...]:
        asked.append(1)
        return KNOWN

    products = Products(lambda: tmp_path, known)
    (tmp_path / "products.csv").write_text("uri,name\nbed/a.png,Bed\n")
    for _ in range(5):
        products.get("bed/a.png")
    assert asked == [1]


def test_the_start_page_tells_what_matches_nothing(tmp_path: Path, opened: Callable[..., TestClient]) -> None:
    """Who runs the page alone reads there what is wrong with product data, escaped."""
    shop = stocked(Shop(tmp_path))
    (shop.catalogue / "products.csv").write_text(f"uri,name\n{NASTY},Bed\nlamp/a0.png,Lamp\n")
    alone = opened(shop, private=True)
    text = alone.get("/").text
    assert "1 of 2 products match no indexed picture" in text
    assert NASTY not in text
    assert "match no indexed" not in alone.get("/search?like=lamp/a0.png").text
    (shop.catalogue / "products.csv").unlink()
    assert "match no indexed" not in alone.get("/").text


def test_a_page_for_others_keeps_it_to_itself(page: TestClient) -> None:
    """Customers read nothing of product data that matches nothing."""
    assert "match no indexed" not in page.get("/").text


def test_a_reason_for_several_lines_is_told_once(
    products: Products, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Nine lines with an address of the same wrong kind make one sentence that can be read."""
    rows = "".join(f"lamp/a{at}.png,javascript:x\n" for at in range(9))
    (tmp_path / "products.csv").write_text(f"uri,url\n{rows}")
    products.get("lamp/a0.png")
    assert (
        "9 lines are left out, in whole or in part, such as line 2, line 3, line 4, line 5, line 6 (url is not"
        in caplog.text
    )
    assert caplog.text.count("url is not") == 1
