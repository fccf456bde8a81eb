"""Names as they are met: the page's addresses work for whatever a file is called."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from shop import Shop, picture
from starlette.testclient import TestClient

ODD = [
    *("two\nlines.png", "ends with\n", "\nbegins.png", "a\r\nb.png", "a\u2028b.png", "tab\there.png", "a b+c.png"),
    *("50% off?.png", "#1.png", "semi;colon&and=.png", "back\\slash.png", "\x1b[31mred.png", "Stu\u0308hle.png"),
]


@pytest.mark.parametrize("name", ODD)
def test_a_product_of_any_name_has_picture_thumbnail_and_data(
    tmp_path: Path, opened: Callable[..., TestClient], name: str
) -> None:
    """The addresses that a search gives answer, for names with line breaks, too."""
    shop = Shop(tmp_path, {"classification": None})
    shop.add(f"lamp/{name}")
    with shop.search() as search:
        assert search.index().indexed == 1
    page = opened(shop)
    (card,) = page.post("/api/search", data={"like": f"lamp/{name}", "k": "1"}).json()["neighbours"] or [
        page.get("/api/catalogue").json()["examples"][0]
    ]
    assert card["uri"] == f"lamp/{name}"
    for address in (card["picture"], card["thumbnail"]):
        answer = page.get(address)
        assert (answer.status_code, answer.headers["content-type"]) == (200, "image/jpeg")


def test_a_product_is_found_by_address_however_its_letters_are_written(
    tmp_path: Path, opened: Callable[..., TestClient]
) -> None:
    """An address typed on another system leads to the same product, which is left out of what is like it."""
    shop = Shop(tmp_path, {"classification": None})
    shop.add("lamp/gru\u0308n.png", "lamp/rot.png")
    with shop.search() as search:
        search.index()
    page = opened(shop)
    assert page.get("/api/products/lamp/gr\u00fcn.png").json()["uri"] == "lamp/gru\u0308n.png"
    found = page.post("/api/search", data={"like": "lamp/gr\u00fcn.png"}).json()["neighbours"]
    assert [one["uri"] for one in found] == ["lamp/rot.png"]


def test_an_unknown_category_among_many_is_refused_in_a_sentence(
    tmp_path: Path, opened: Callable[..., TestClient]
) -> None:
    """The answer does not list them all."""
    shop = Shop(tmp_path, {"classification": None, "index": {"backend": "local"}})
    shop.add(*(f"category-{number:02}/a.png" for number in range(12)))
    with shop.search() as search:
        search.index()
    answer = opened(shop).post("/api/search", data={"like": "category-00/a.png", "category": "chiar"})
    assert answer.status_code == 422
    assert answer.json()["error"]["hint"] == "Choose one of the 12 that /api/catalogue lists, or all of them."


def test_twins_of_a_product_are_one_result(tmp_path: Path, opened: Callable[..., TestClient]) -> None:
    """For a photo all names come as one; for one of the products the others do."""
    shop = Shop(tmp_path, {"classification": None, "index": {"backend": "local"}})
    for uri in ("lamp/one.png", "lamp/two.png"):
        shop.add_picture(uri, picture(70))
    shop.add("lamp/a.png")
    with shop.search() as search:
        search.index()
    page = opened(shop)
    like = page.post("/api/search", data={"like": "lamp/two.png"}).json()["neighbours"]
    assert [(one["uri"], one["also"]) for one in like] == [("lamp/one.png", []), ("lamp/a.png", [])]
    photo = (shop.catalogue / "lamp/one.png").read_bytes()
    found = page.post("/api/search", files={"picture": ("x.png", photo)}).json()["neighbours"]
    assert [sorted([one["uri"], *one["also"]]) for one in found] == [["lamp/one.png", "lamp/two.png"], ["lamp/a.png"]]


def test_many_categories_without_scripts(tmp_path: Path, opened: Callable[..., TestClient]) -> None:
    """What is searched stands first, and the last of the others are folded away, so that results are near."""
    shop = Shop(tmp_path, {"classification": None, "index": {"backend": "local"}})
    shop.add(*(f"category-{number:02}/a.png" for number in range(12)))
    with shop.search() as search:
        search.index()
    text = opened(shop).get("/search?like=category-00/a.png&category=category-11").text
    at = [text.index(f'category=category-{number:02}"') for number in (11, 0, 6, 7, 10)]
    assert at == sorted(at)
    assert at[2] < text.index("<details") < at[3]
    assert "4 more" in text


def test_a_form_with_letters_as_they_are(tmp_path: Path, opened: Callable[..., TestClient]) -> None:
    """`curl -d` sends letters in UTF-8, not percent-encoded."""
    shop = Shop(tmp_path, {"classification": None})
    shop.add("lamp/grün.png", "lamp/rot.png")
    with shop.search() as search:
        search.index()
    form = {"content": "like=lamp/grün.png".encode(), "headers": {"content-type": "application/x-www-form-urlencoded"}}
    assert opened(shop).post("/api/search", **form).json()["query"]["like"] == "lamp/grün.png"
