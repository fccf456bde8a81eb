"""Product data: what is taken, what is left out, and when it is read."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from ddsim.web.products import Products

KNOWN = ("bed/a.png", "bed/b.png")


@pytest.fixture
def products(tmp_path: Path) -> Products:
    """The product data of a folder with two items."""
    return Products(lambda: tmp_path, lambda uri: uri in KNOWN)


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


def test_empty_cells_are_nothing(products: Products, tmp_path: Path) -> None:
    """A product may have a name alone."""
    (tmp_path / "products.csv").write_text("uri,name,price,url\nbed/a.png,Bed,,  \nbed/b.png\n")
    assert facts(products) == ("Bed", None, None)
    assert facts(products, "bed/b.png") == (None, None, None)


def test_json_goes_first(products: Products, tmp_path: Path) -> None:
    """Of two files the JSON file counts."""
    (tmp_path / "products.csv").write_text("uri,name\nbed/a.png,CSV\n")
    (tmp_path / "products.json").write_text('{"bed/a.png": {"name": "JSON"}}')
    assert facts(products) == ("JSON", None, None)


@pytest.mark.parametrize(
    "url", ["javascript:alert(1)", "data:text/html,x", "ftp://x.example/", "//x.example", "/here", "x", "https://"]
)
def test_addresses_of_other_kinds(
    products: Products, tmp_path: Path, caplog: pytest.LogCaptureFixture, url: str
) -> None:
    """Only http and https make a link; a product with anything else is left out, and the log says which."""
    rows = [{"uri": "bed/a.png", "name": "Bed", "url": url}, {"uri": "bed/b.png", "name": "Whole"}]
    (tmp_path / "products.json").write_text(json.dumps(rows))
    assert facts(products) is None
    assert facts(products, "bed/b.png") == ("Whole", None, None)
    assert "1 lines are left out, such as number 1 (url:" in caplog.text


@pytest.mark.parametrize("row", [{"name": "x"}, {"uri": ""}, {"uri": "bed/a.png", "name": "x" * 301}, "x", None, 3, []])
def test_rows_that_make_no_sense(products: Products, tmp_path: Path, row: object) -> None:
    """One wrong row does not cost the others."""
    (tmp_path / "products.json").write_text(json.dumps([row, {"uri": "bed/b.png", "name": "Whole"}]))
    assert facts(products) is None
    assert facts(products, "bed/b.png") == ("Whole", None, None)


def test_unknown_items_are_told(products: Products, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The log names products of items that are not indexed: a mistyped name would go unnoticed."""
    (tmp_path / "products.csv").write_text("uri,name\nbed/A.png,Bed\nbed/a.png,Bed\n")
    with caplog.at_level(logging.WARNING):
        assert facts(products) == ("Bed", None, None)
    assert "1 products are of no indexed item, such as 'bed/A.png'" in caplog.text


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("products.csv", b"name,price\nBed,3\n"),
        ("products.csv", b"\xff\xfe\x00"),
        ("products.csv", b""),
        ("products.json", b"{"),
        ("products.json", b"3"),
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
    asked: list[str] = []
    known: Callable[[str], bool] = lambda uri: not asked.append(uri)  # noqa: E731
    products = Products(lambda: tmp_path, known)
    (tmp_path / "products.csv").write_text("uri,name\nbed/a.png,Bed\n")
    for _ in range(5):
        products.get("bed/a.png")
    assert asked == ["bed/a.png"]
