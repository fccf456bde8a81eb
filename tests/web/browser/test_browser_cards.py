"""What is done with products that were found: enlarge them, go on to the shop, see more of them."""

from __future__ import annotations

import io
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest
from PIL import Image
from sharing import first_alone
from shop import Shop, picture
from tabs import Tab
from webshop import Served

from ddsim.web.limits import Limits

PHONE = {"width": 390, "height": 844, "has_touch": True, "is_mobile": True}


@pytest.fixture
def shaped(tmp_path: Any, serving: Callable[..., Served]) -> Served:
    """The page over pictures of several shapes."""
    shop = Shop(tmp_path)
    for number, size in enumerate([(64, 64), (96, 48), (48, 96), (60, 45), (30, 90), (90, 30), (64, 64), (40, 60)]):
        shop.add_picture(f"bed/b{number}.png", picture(number).resize(size, Image.Resampling.NEAREST))
    with shop.search() as search:
        search.index()
    return serving(shop)


def everything(tab: Tab) -> Tab:
    """Search all categories for one of the lamps."""
    return tab.open("/?like=lamp/a0.png&all=1").done()


def test_enlarging(tab: Tab) -> None:
    """A click on a picture enlarges it; keys and buttons go through the others; Escape leads back to the card."""
    everything(tab)
    names = tab.names()
    tab.see(".card-picture").nth(1).click()
    dialog = tab.see("#enlarged")
    assert dialog.is_visible()
    assert tab.see("#enlarged-name").inner_text() == names[1]
    tab.page.keyboard.press("ArrowRight")
    assert tab.see("#enlarged-name").inner_text() == names[2]
    tab.see("#enlarged-before").click()
    tab.see("#enlarged-before").click()
    assert tab.see("#enlarged-name").inner_text() == names[0]
    assert not tab.see("#enlarged-before").is_visible()
    tab.page.evaluate("document.getElementById('enlarged-image').decode()")
    assert "/pictures/" in tab.see("#enlarged-image").evaluate("image => image.currentSrc")
    tab.page.keyboard.press("Escape")
    assert not dialog.is_visible()
    assert tab.page.evaluate("document.activeElement.className") == "card-picture"
    tab.page.keyboard.press("Enter")
    tab.see("#enlarged .card-more").click()
    tab.page.wait_for_url("**/?like=**")
    assert not dialog.is_visible()


def test_a_tap_beside_the_enlarged_picture_closes_it(served: Any, tab_on: Callable[..., Tab]) -> None:
    """As it does on every phone."""
    tab = everything(tab_on(served, **PHONE))
    tab.see(".card-picture").first.tap()
    assert tab.see("#enlarged").is_visible()
    assert not tab.scrolls_sideways()
    tab.page.touchscreen.tap(5, 5)
    tab.page.wait_for_selector("#enlarged", state="hidden")


def test_where_a_product_is_sold_comes_first(tab: Tab) -> None:
    """A product with an address has that as its first button, and what is like it beside."""
    tab.open("/?like=lamp/a1.png&all=1").done()
    sold = tab.page.locator(".card", has_text="Tall lamp")
    assert sold.locator(".card-actions a").evaluate_all("all => all.map((one) => one.className.split(' ').at(-1))") == [
        "card-shop",
        "card-more",
    ]
    shop, more = (sold.locator(part).bounding_box() for part in (".card-shop", ".card-more"))
    assert shop["y"] == more["y"]
    assert shop["width"] > more["width"] >= 40
    sold.locator(".card-picture").click()
    assert tab.see("#enlarged .card-shop").get_attribute("href") == "https://shop.example/lamp?id=1&b=2"


def test_show_more(shop: Shop, serving: Callable[..., Any], tab_on: Callable[..., Tab]) -> None:
    """More products come below those that are there, until there are none; back and forward keep them."""
    tab = everything(tab_on(serving(shop, Limits(default_k=5))))
    assert len(tab.names()) == 5
    first = tab.names()
    tab.see("#show-more").click()
    tab.see(".card").nth(9).wait_for()
    assert tab.names()[:5] == first
    assert tab.see("#results-title").inner_text() == "10 similar pictures"
    assert tab.page.evaluate("document.activeElement.closest('.card') === document.querySelectorAll('.card')[5]")
    tab.see("#show-more").click()
    tab.see(".card").nth(10).wait_for()
    assert not tab.see("#show-more").is_visible()
    assert len(set(tab.see(".card-more").evaluate_all("all => all.map((one) => one.href)"))) == 11
    tab.see(".brand").click()
    tab.page.go_back()
    assert tab.done().names()[:5] == first


def test_more_without_scripts(shop: Shop, serving: Callable[..., Any], chromium: Any, loopback: None) -> None:
    """Links lead to the next ones, to the enlarged picture, and out of every error."""
    served = serving(shop, Limits(default_k=5))
    context = chromium.new_context(java_script_enabled=False)
    try:
        page = context.new_page()
        page.goto(f"{served.url}/?like=lamp/a0.png&all=1")
        page.click("noscript a")
        seen: list[str] = []
        for more in (True, True, False):
            seen += [str(one.get_attribute("href")) for one in page.locator("#grid .card-more").all()]
            if more:
                page.click("#show-more")
        assert len(seen) == len(set(seen)) == 11
        assert page.locator("#show-more:visible").count() == 0
        page.locator(".card-picture").first.click()
        assert "/pictures/" in page.url
        page.goto(f"{served.url}/search?like=nobody")
        page.click(".notice a")
        assert page.url == f"{served.url}/"
        page.goto(f"{served.url}/search?like=lamp/a0.png")
        page.click("#again")
        assert page.locator("#picture").is_visible()
    finally:
        context.close()


def test_scores_only_where_they_differ(tab: Tab) -> None:
    """Equal scores are not repeated; where all are equal, none is shown, and no legend."""

    def answer_with(*scores: float) -> list[str]:
        def answer(route: Any) -> None:
            found = route.fetch().json()
            cards = [card | {"score": score} for card, score in zip(found["neighbours"], scores, strict=False)]
            route.fulfill(json=found | {"neighbours": cards})

        tab.page.route("**/api/search", answer)
        everything(tab)
        tab.page.unroute("**/api/search")
        return [str(one) for one in tab.see(".card-score:visible .card-percent").all_text_contents()]

    assert answer_with(1, 0.971, 0.974, 0.974, 0.84, 0.84) == ["100%", "97%", "84%"]
    assert tab.see("#legend").is_visible()
    assert answer_with(0.97, 0.97, 0.97, 0.97) == []
    assert not tab.see("#legend").is_visible()


def test_results_begin_above_the_middle_of_a_phone(served: Any, lamp: bytes, tab_on: Callable[..., Tab]) -> None:
    """Photo, chips and words leave the lower half of the screen to products; chips stand in one row."""
    tab = tab_on(served, **PHONE).open().upload(lamp).done()
    assert tab.see(".card").first.bounding_box()["y"] < PHONE["height"] / 2
    assert len({one.bounding_box()["y"] for one in tab.see(".chip").all()}) == 1


@pytest.mark.parametrize("width", first_alone([390, 1280]))
def test_cards_have_the_shape_of_their_pictures(shaped: Served, tab_on: Callable[..., Tab], width: int) -> None:
    """No bars beside pictures, no card over another, and the best ones stand first."""
    tab = tab_on(shaped, width, 900).open("/?like=bed/b0.png&all=1").done()
    assert tab.shifts() < 0.1
    boxes = [one.bounding_box() for one in tab.see(".card").all()]
    for number, one in enumerate(boxes):
        for other in boxes[:number]:
            apart = one["x"] >= other["x"] + other["width"] or other["x"] >= one["x"] + one["width"]
            assert apart or one["y"] >= other["y"] + other["height"] or other["y"] >= one["y"] + one["height"]
    assert [box["y"] for box in boxes] == sorted(box["y"] for box in boxes)
    shapes = tab.see(".card-picture img").evaluate_all(
        "all => all.map((one) => [one.clientWidth / one.clientHeight, one.naturalWidth / one.naturalHeight])"
    )
    assert len(shapes) == 7
    for shown, own in shapes:
        assert shown == pytest.approx(own, rel=0.05) or own in (pytest.approx(1 / 3), pytest.approx(3))


def test_hints_about_keys_are_for_who_uses_them(tab: Tab, wide: bytes) -> None:
    """With the mouse nobody reads of arrow keys."""
    tab.upload(wide).done()
    tab.see("#region-start").click()
    assert not tab.see(".hint-keys").is_visible()
    tab.page.keyboard.press("ArrowRight")
    assert tab.see(".hint-keys").is_visible()
    tab.see("#region-clear").click()
    assert not tab.see(".hint-keys").is_visible()


def test_an_empty_file(tab: Tab) -> None:
    """It is called empty, not damaged."""
    assert "This file is empty." in tab.upload(b"", "photo.jpg", "image/jpeg").refused()


def test_buttons_keep_off_the_words_below_a_flat_picture(
    shop: Shop, serving: Callable[..., Any], tab_on: Callable[..., Tab]
) -> None:
    """The enlarged picture's box is as high as the three buttons on it want it."""
    file = io.BytesIO()
    Image.new("RGB", (600, 6), "navy").save(file, "PNG")
    tab = everything(tab_on(serving(shop), **PHONE))
    tab.page.route("**/pictures/**", lambda route: route.fulfill(body=file.getvalue(), content_type="image/png"))
    tab.see(".card-picture").nth(1).click()
    boxes = [tab.see(f"#enlarged-{name}").bounding_box() for name in ("close", "before", "name")]
    assert all(boxes)
    ends = [(box["y"], box["y"] + box["height"]) for box in boxes if box]
    assert all(end <= begin for (_, end), (begin, _) in pairwise(ends))
