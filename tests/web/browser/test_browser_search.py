"""Searching in a real browser: every way to say what to search for, and everything a result can be used for."""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from shop import Shop
from tabs import Tab, error
from webshop import stocked


@pytest.mark.long
def test_the_product_of_a_drawn_query_comes_first(furniture: Any, drawn: Path, tab_on: Callable[..., Tab]) -> None:
    """Uploading a drawn photo finds the very product that it shows, in the category that it is of."""
    tab = tab_on(furniture).open()
    for query in (drawn / "queries" / "lamp" / "lamp-001-view2.jpg", drawn / "queries" / "sofa" / "sofa-003-view3.jpg"):
        category, product = query.parent.name, query.name[:-10]
        tab.upload(query.read_bytes(), query.name, "image/jpeg").done()
        assert tab.names()[0] == product
        assert category in tab.pressed()
        assert tab.see(f'[data-category="{category}"] .chip-share').inner_text().endswith("%")
        assert tab.see("#query-name").inner_text() == query.name


def test_choosing_by_the_button(tab: Tab, lamp: bytes) -> None:
    """The button opens the file dialogue; the same file can be chosen twice."""
    for _ in range(2):
        with tab.page.expect_file_chooser() as chooser:
            tab.see("label[for=picture]:visible, #again:visible").first.click()
        chooser.value.set_files({"name": "lamp.png", "mimeType": "image/png", "buffer": lamp})
        tab.done()
        assert tab.see(".card").count() > 0
    assert tab.see("#camera").get_attribute("capture") == "environment"


def test_pasting(tab: Tab, lamp: bytes) -> None:
    """A pasted picture is searched; pasted text is nobody's business."""
    text = tab.page.evaluate_handle("() => { const t = new DataTransfer(); t.setData('text/plain', 'x'); return t; }")
    tab.send("paste", "ClipboardEvent", text, "clipboardData")
    assert tab.see("#home").is_visible()
    tab.send("paste", "ClipboardEvent", tab.transfer(lamp), "clipboardData")
    assert "a3" in tab.done().names()


def test_dropping(tab: Tab, lamp: bytes) -> None:
    """A file may be dropped anywhere; while it is over the page, the page says so."""
    transfer = tab.transfer(lamp)
    tab.send("dragenter", "DragEvent", transfer, "dataTransfer")
    assert tab.see("#dropping").is_visible()
    tab.send("dragleave", "DragEvent", transfer, "dataTransfer")
    assert not tab.see("#dropping").is_visible()
    tab.send("dragenter", "DragEvent", transfer, "dataTransfer")
    tab.send("drop", "DragEvent", transfer, "dataTransfer")
    assert not tab.see("#dropping").is_visible()
    assert "a3" in tab.done().names()


def test_dropping_what_is_no_file(tab: Tab) -> None:
    """Dropped text is refused with what to do, and does not make the browser leave the page."""
    text = tab.page.evaluate_handle("() => { const t = new DataTransfer(); t.setData('text/plain', 'x'); return t; }")
    tab.send("drop", "DragEvent", text, "dataTransfer")
    assert "no picture file" in tab.see("#home-say").inner_text()


def test_examples(tab: Tab) -> None:
    """An example photo is searched by a click."""
    tab.see(".example").first.click()
    tab.done()
    assert re.match(r"/\?like=(bed|lamp)/a\d\.png", tab.address)
    assert tab.see("#query-name").inner_text().startswith("More like ")


def test_categories(tab: Tab, lamp: bytes) -> None:
    """A chip searches its category instead, All searches everything, and the photo may decide again."""
    tab.upload(lamp).done()
    of_itself = tab.pressed()
    tab.see('[data-category="bed"]').click()
    tab.page.wait_for_url("**category=bed")
    tab.done()
    assert (tab.pressed(), tab.categories()) == (["bed"], {"bed"})
    assert tab.see('[data-category="bed"]').evaluate("chip => chip === document.activeElement")
    assert "as you chose" in tab.see("#why").inner_text()
    tab.see("[data-all]").click()
    tab.page.wait_for_url("**all=1")
    tab.done()
    assert (tab.pressed(), tab.categories()) == (["All"], {"bed", "lamp"})
    tab.see("#why button").click()
    tab.page.wait_for_url(lambda url: "all" not in url)
    assert tab.done().pressed() == of_itself


def test_more_like_this(tab: Tab, lamp: bytes) -> None:
    """A card's button searches for things like it, and the new query is shown."""
    tab.upload(lamp).done()
    card = tab.see(".card").nth(1)
    name = card.locator(".card-again").text_content()
    card.locator(".card-more").click()
    tab.page.wait_for_url("**/?like=**")
    tab.done()
    assert tab.see("#query-name").inner_text() == f"More like {name}"
    assert tab.see("#photo-image").get_attribute("src").startswith("pictures/")


def test_a_box_drawn_with_the_mouse(tab: Tab, wide: bytes) -> None:
    """A box drawn on the photo searches that part: of lamp and bed side by side, the half that is the bed."""
    tab.upload(wide).done()
    tab.see("[data-all]").click()
    tab.page.wait_for_url("**all=1")
    tab.done()
    photo = tab.see("#photo").bounding_box()
    tab.page.mouse.move(photo["x"] + photo["width"] * 0.5, photo["y"] + 1)
    tab.page.mouse.down()
    tab.page.mouse.move(photo["x"] + photo["width"] * 0.8, photo["y"] + photo["height"] * 0.5, steps=3)
    tab.page.mouse.move(photo["x"] + photo["width"] + 30, photo["y"] + photo["height"] + 30, steps=3)
    assert tab.see("#region").is_visible()
    tab.page.mouse.up()
    tab.page.wait_for_url("**region=**")
    assert tab.done().names()[0] == "a4"
    tab.see("#region-clear").click()
    tab.page.wait_for_url(lambda url: "region" not in url)
    tab.done()
    assert not tab.see("#region").is_visible()
    assert tab.focused() == "region-start"


def test_a_box_is_dragged_and_resized(tab: Tab, wide: bytes) -> None:
    """The box can be dragged as a whole and by its corners, and stays on the photo; a mere click draws none."""
    tab.upload(wide).done()
    tab.see("#photo").click(position={"x": 5, "y": 5})
    assert not tab.see("#region").is_visible()
    tab.see("#region-start").click()
    box, photo = tab.see("#region").bounding_box(), tab.see("#photo").bounding_box()
    tab.page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    tab.page.mouse.down()
    tab.page.mouse.move(photo["x"] - 500, photo["y"] + photo["height"] / 2, steps=3)
    tab.page.mouse.up()
    tab.page.wait_for_url("**region=0**")
    moved = tab.see("#region").bounding_box()
    assert moved["x"] == pytest.approx(photo["x"], abs=1)
    assert moved["width"] == pytest.approx(box["width"], abs=1)
    corner = tab.see('.handle[data-side="se"]').bounding_box()
    tab.page.mouse.move(corner["x"] + corner["width"] / 2, corner["y"] + corner["height"] / 2)
    tab.page.mouse.down()
    tab.page.mouse.move(photo["x"] + photo["width"], photo["y"] + photo["height"], steps=3)
    tab.page.mouse.up()
    assert tab.see("#region").bounding_box()["width"] == pytest.approx(photo["width"], abs=1)


def swipe(tab: Tab, x: float, y: float, right: float) -> None:
    """Put a finger down at (x, y), move it to the right and take it away."""
    devices = tab.page.context.new_cdp_session(tab.page)
    for kind, points in (
        ("touchStart", [{"x": x, "y": y}]),
        ("touchMove", [{"x": x + right / 2, "y": y}]),
        ("touchMove", [{"x": x + right, "y": y}]),
        ("touchEnd", []),
    ):
        devices.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})


PHONE = {"width": 390, "height": 844, "has_touch": True, "is_mobile": True}


def test_a_finger_on_the_photo_scrolls(served: Any, wide: bytes, tab_on: Callable[..., Tab]) -> None:
    """Nobody who scrolls by touch over the photo draws a box."""
    tab = tab_on(served, **PHONE).open().upload(wide).done()
    photo = tab.see("#photo").bounding_box()
    swipe(tab, photo["x"] + 20, photo["y"] + 20, 60)
    assert not tab.see("#region").is_visible()


def test_a_box_by_touch(served: Any, wide: bytes, tab_on: Callable[..., Tab]) -> None:
    """Once a part is asked for, a finger moves the box, and its release searches."""
    tab = tab_on(served, **PHONE).open().upload(wide).done()
    tab.see("#region-start").tap()
    tab.see("#region").wait_for()
    box = tab.see("#region").bounding_box()
    swipe(tab, box["x"] + box["width"] / 2, box["y"] + box["height"] / 2, 60)
    tab.page.wait_for_url("**region=**")
    assert tab.see("#region").bounding_box()["x"] == pytest.approx(box["x"] + 60, abs=2)


def test_a_box_by_keys(tab: Tab, wide: bytes) -> None:
    """Arrow keys move the box, with Shift they change its size, Enter searches, Escape takes the whole photo."""
    tab.upload(wide).done()
    tab.see("#region-start").focus()
    tab.page.keyboard.press("Enter")
    assert tab.focused() == "region"
    for _ in range(13):
        tab.page.keyboard.press("ArrowRight")
    for _ in range(5):
        tab.page.keyboard.press("Shift+ArrowUp")
    assert "50% from the left" in tab.see("#region").get_attribute("aria-label")
    assert "40% high" in tab.see("#region").get_attribute("aria-label")
    assert "region" not in tab.address
    tab.page.keyboard.press("Enter")
    tab.page.wait_for_url("**region=0.5,0.25,0.5,0.4")
    tab.done()
    assert not tab.see("#region-search").is_visible()
    assert tab.focused() == "region"
    tab.page.keyboard.press("Escape")
    tab.page.wait_for_url(lambda url: "region" not in url)
    tab.done()
    assert not tab.see("#region").is_visible()


def test_back_and_forward(tab: Tab, lamp: bytes) -> None:
    """Back goes through the searches to the start page, forward comes again; nothing is searched anew."""
    tab.upload(lamp).done()
    first = tab.names(), tab.pressed(), tab.address
    tab.see('[data-category="bed"]').click()
    tab.page.wait_for_url("**category=bed")
    second = tab.done().names(), tab.pressed(), tab.address
    searches: list[str] = []
    tab.page.on("request", lambda request: searches.append(request.url) if "/api/" in request.url else None)
    tab.page.go_back()
    assert (tab.names(), tab.pressed(), tab.address) == first
    tab.page.go_back()
    assert tab.see("#home").is_visible()
    tab.page.go_forward()
    tab.page.go_forward()
    assert (tab.names(), tab.pressed(), tab.address) == second
    assert searches == []


def test_a_link_reproduces_the_search(served: Any, lamp: bytes, tab_on: Callable[..., Tab]) -> None:
    """The copied link shows somebody else the same photo, category, part and products."""
    tab = tab_on(served, permissions=["clipboard-read", "clipboard-write"]).open().upload(lamp).done()
    tab.see("#region-start").click()
    tab.page.keyboard.press("Enter")
    tab.page.wait_for_url("**region=**")
    tab.done().see('[data-category="bed"]').click()
    tab.page.wait_for_url("**category=bed**")
    tab.done().see("#copy").click()
    tab.see("#copy-word").filter(has_text="Link copied").wait_for()
    link = tab.page.evaluate("navigator.clipboard.readText()")
    assert link == tab.page.url
    other = tab_on(served).open(link.removeprefix(served.url)).done()
    assert (other.names(), other.pressed(), other.address) == (tab.names(), ["bed"], tab.address)
    assert other.see("#region").get_attribute("aria-label") == tab.see("#region").get_attribute("aria-label")


def test_a_newer_search_ends_an_older_one(tab: Tab, lamp: bytes, bed: bytes) -> None:
    """While one photo is searched another may be chosen: the first call is given up, and only the second is shown."""
    held: list[Any] = []
    failed: list[str] = []
    tab.page.on("requestfailed", lambda request: failed.append(request.failure))
    tab.page.route("**/api/search", lambda route: route.continue_() if held else held.append(route))
    tab.upload(lamp, "first.png").upload(bed, "second.png").done()
    assert failed == ["net::ERR_ABORTED"]
    assert tab.see("#query-name").inner_text() == "second.png"
    assert tab.names()[0] == "a4"


def test_progress(tab: Tab, lamp: bytes) -> None:
    """While it works, the page shows the photo, a progress bar and places for results, and says so aloud."""
    held: list[Any] = []
    tab.page.route("**/api/search", lambda route: held.append(route))
    tab.upload(lamp)
    tab.page.wait_for_selector("#photo-image:visible")
    assert tab.see("#progress").is_visible()
    assert tab.see(".card.bone").count() > 3
    assert tab.see("#grid").get_attribute("aria-busy") == "true"
    assert tab.see("#status").text_content() == "Searching"
    held[0].continue_()
    tab.done()
    tab.page.wait_for_selector("#progress", state="hidden")
    assert "similar pictures in" in tab.see("#status").text_content()


def test_a_photo_that_is_kept_no_longer_is_sent_again(tab: Tab, lamp: bytes) -> None:
    """Where the server has forgotten an upload that the page still has, it is sent once more and nobody notices."""
    tab.upload(lamp).done()
    answers = [error("unknown_photo")]
    tab.page.route("**/api/search", lambda route: route.fulfill(**answers.pop()) if answers else route.continue_())
    tab.see('[data-category="bed"]').click()
    tab.page.wait_for_url("**category=bed")
    assert tab.done().categories() == {"bed"}
    assert answers == []


def test_without_scripts(served: Any, lamp: bytes, tab_on: Callable[..., Tab], chromium: Any) -> None:
    """A browser without scripts posts the form and follows links, and gets the same products."""
    context = chromium.new_context(java_script_enabled=False)
    try:
        page = context.new_page()
        page.goto(served.url)
        page.set_input_files("#picture", {"name": "lamp.png", "mimeType": "image/png", "buffer": lamp})
        page.click("noscript button")
        with_scripts = tab_on(served).open().upload(lamp).done()
        assert [
            text.split(" (opens")[0] for text in page.locator(".card-name").all_text_contents()
        ] == with_scripts.names()
        page.locator(".card-more").first.click()
        assert page.locator(".card").count() > 0
        page.click('.chip:has-text("bed")')
        assert set(page.locator(".card-category").all_text_contents()) == {"bed"}
    finally:
        context.close()


def test_a_photo_that_this_browser_cannot_show(tab: Tab, shop: Shop) -> None:
    """Chromium draws no TIFF, as it draws no HEIC: the JPEG that the server made of it stands beside the results."""
    file = io.BytesIO()
    with Image.open(shop.catalogue / "lamp" / "a3.png") as image:
        image.convert("RGB").save(file, "TIFF")
    tab.upload(file.getvalue(), "scan.tif", "image/tiff").done()
    tab.page.wait_for_load_state("networkidle")
    assert tab.see("#photo-image").evaluate("(image) => image.decode().then(() => image.naturalWidth)") > 0
    assert "/photos/" in str(tab.see("#photo-image").evaluate("(image) => image.src"))


def test_no_link_is_copied_before_there_is_one(tab: Tab, lamp: bytes, bed: bytes) -> None:
    """While a search is at work the last one's link does not stand for it."""
    tab.upload(lamp).done()
    assert tab.see("#copy").is_enabled()
    tab.page.route("**/api/search", lambda _: None)
    tab.upload(bed)
    tab.page.wait_for_selector('#results[data-state="waiting"]')
    assert tab.see("#copy").is_disabled()
    tab.page.unroute("**/api/search")


def test_words_from_right_to_left_turn_no_sentence(
    tmp_path: Path, serving: Callable[..., Any], tab_on: Callable[..., Tab]
) -> None:
    """A product's Arabic name is kept from turning the words around it."""
    shop = stocked(Shop(tmp_path))
    (shop.catalogue / "products.csv").write_text("uri,name\nlamp/a0.png,\u0643\u0631\u0633\u064a (1)\n", "utf-8")
    tab = tab_on(serving(shop)).open("/?like=lamp/a0.png").done()
    assert tab.see("#query-name").inner_text() == "More like \u2068\u0643\u0631\u0633\u064a (1)\u2069"
    assert tab.see(".card-name").first.evaluate("(one) => getComputedStyle(one).unicodeBidi") == "plaintext"
