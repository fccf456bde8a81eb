"""What can go wrong in front of a real browser's user: each time a sentence, what to do, and no harm."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, get_args

import orjson
import pytest
from shop import Shop
from tabs import Tab, error

from ddsim import ServerUnreachable
from ddsim.web.limits import Limits
from ddsim.web.refusals import Code

NASTY = "<img src=x onerror=alert(1)>"


def test_a_file_that_is_no_picture(tab: Tab, lamp: bytes) -> None:
    """It is refused in words, aloud as well, and the button for another one works."""
    words = tab.upload(b"hello", "notes.txt", "text/plain").refused()
    assert "picture" in words
    assert tab.see("#alert").text_content() != ""
    assert not tab.see("#query-actions").is_visible()
    with tab.page.expect_file_chooser() as chooser:
        tab.see("#say button").first.click()
    chooser.value.set_files({"name": "lamp.png", "mimeType": "image/png", "buffer": lamp})
    assert "a3" in tab.done().names()
    assert tab.see("#say").inner_text() == ""


def test_back_from_an_error(tab: Tab, lamp: bytes) -> None:
    """Back leads from an error to what was before it: the start page, or results."""
    tab.upload(b"hello").refused()
    tab.page.go_back()
    assert tab.see("#home").is_visible()
    tab.upload(lamp).done()
    names = tab.names()
    tab.upload(b"hello").refused()
    tab.page.go_back()
    assert tab.done().names() == names


def test_a_photo_that_is_too_large(shop: Shop, serving: Callable[..., Any], tab_on: Callable[..., Tab]) -> None:
    """It is not even sent, and gets the sentence that the server has for it."""
    tab = tab_on(serving(shop, Limits(upload_bytes=1000))).open()
    asked: list[str] = []
    tab.page.on("request", lambda request: asked.append(request.url))
    words = tab.upload(b"x" * 1001).refused()
    boot = orjson.loads(tab.see("#boot").text_content())
    assert boot["too_large"]["message"] in words
    assert boot["too_large"]["hint"] in words
    assert not [url for url in asked if "/api/" in url]


def test_the_server_behind_is_down(served: Any, tab: Tab, lamp: bytes) -> None:
    """The page says so; once the server is there again, the button tries again with the same photo."""

    def down(sent: Any, carry_out: Any) -> None:
        raise ServerUnreachable("connection refused", method=sent.method, path=sent.path)

    served.shop.tap.faults.append(down)
    assert "server" in tab.upload(lamp).refused()
    served.shop.tap.faults.clear()
    tab.see("#say button:has-text('Try again')").click()
    assert "a3" in tab.done().names()
    assert tab.address.startswith("/?photo=")


def test_this_server_is_gone(tab: Tab, lamp: bytes) -> None:
    """A call that does not come through is told in words, not left hanging."""
    tab.page.route("**/api/search", lambda route: route.abort("connectionrefused"))
    assert "does not reach its server" in tab.upload(lamp).refused()


def test_an_answer_of_somebody_else(tab: Tab, lamp: bytes) -> None:
    """What a proxy puts between, such as a page of HTML, is told as what it is."""
    tab.page.route("**/api/search", lambda route: route.fulfill(status=502, body="<h1>Bad gateway</h1>"))
    assert "does not understand" in tab.upload(lamp).refused()


def test_every_error_of_the_api(tab: Tab, lamp: bytes) -> None:
    """Message and hint of every code are shown and spoken, with something to press that leads on."""
    codes = list(get_args(Code))
    left = list(codes)
    tab.page.route(
        "**/api/search", lambda route: route.fulfill(**error(left[0], f"{left[0]} happened.", "Do <b>x</b>."))
    )
    for code in codes:
        tab.upload(lamp)
        tab.see(f".notice-message:has-text('{code} happened.')").wait_for()
        assert tab.see("#say .notice-hint").inner_text() == "Do <b>x</b>."
        assert tab.see("#alert").text_content() == f"{code} happened. Do <b>x</b>."
        assert tab.see("#say button").count() >= 1
        assert tab.see("#grid .card").count() == 0
        left.pop(0)


def test_an_empty_catalogue(empty: Shop, photo: bytes, serving: Callable[..., Any], tab_on: Callable[..., Tab]) -> None:
    """Where nothing is indexed, the start page says so, and a search says it again."""
    tab = tab_on(serving(empty)).open()
    assert "ddsim index" in tab.see(".pitch .notice").inner_text()
    assert "ddsim index" in tab.upload(photo).refused()


def test_an_old_link(tab: Tab) -> None:
    """A link to a photo that is kept no longer says so; the way back to the start works."""
    tab.open("/?photo=" + "x" * 22)
    tab.refused()
    tab.see("#say button:has-text('Back to the start')").click()
    assert tab.see("#home").is_visible()
    assert tab.address == "/"


@pytest.mark.parametrize(
    "query", ["like=..%2F..%2Fetc%2Fpasswd", "like=lamp/a1.png&region=1,2,3", "like=lamp/a1.png&category=%3Cb%3E"]
)
def test_a_made_up_link(tab: Tab, query: str) -> None:
    """Whatever stands in the address, the page answers with a sentence or with results."""
    tab.open(f"/?{query}")
    tab.page.wait_for_selector('#results:is([data-state="error"], [data-state="done"])')
    assert tab.see(".notice, .card").count() > 0
    assert tab.see("#main b").count() == 0


def test_nothing_similar_enough(tab: Tab, lamp: bytes) -> None:
    """It is said in the heading and aloud, with what to try; the nearest are shown all the same."""

    def answer(route: Any) -> None:
        found = route.fetch().json()
        route.fulfill(json=found | {"nothing_similar": "the nearest item is far away"})

    tab.page.route("**/api/search", answer)
    tab.upload(lamp).done()
    assert tab.see("#results-title").inner_text() == "Nothing similar enough"
    assert tab.see("#status").text_content().startswith("Nothing similar enough")
    assert "The nearest item is far away." in tab.see("#say").inner_text()
    assert tab.see(".card").count() > 0
    tab.page.unroute("**/api/search")
    tab.see("#say button:has-text('all categories')").click()
    tab.page.wait_for_url("**all=1")
    assert tab.done().see("#say").inner_text() == ""


def test_words_of_others_stay_words(tab: Tab, lamp: bytes) -> None:
    """HTML in product names and prices is shown as it is written, and only web addresses become links."""
    tab.upload(lamp, f"{NASTY}.png").done()
    tab.see("[data-all]").click()
    tab.page.wait_for_url("**all=1")
    tab.done()
    found = tab.page.locator(".card", has_text=NASTY)
    assert found.count() == 2  # one of them has a script for an address, and no link
    nasty = found.first
    assert nasty.locator(".card-price").inner_text() == "<b>1</b>"
    nasty.locator(".card-more").click()
    tab.page.wait_for_url("**like=**")
    assert tab.done().see("#query-name").inner_text() == f"More like {NASTY}"
    assert NASTY in tab.page.title()
    assert tab.see("main img[src=x], main b").count() == 0
    links = tab.see(".card-shop").evaluate_all("links => links.map((link) => [link.protocol, link.rel, link.target])")
    assert links == [["https:", "noopener noreferrer", "_blank"]]
