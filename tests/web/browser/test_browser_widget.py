"""The search in somebody else's page, with a policy of its own, on another site."""

from __future__ import annotations

import http.server
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from shop import Shop

PAGE = """<!doctype html><html lang="en"><head><title>A shop</title></head><body><h1>A shop</h1>
<script src="{url}/embed.js" data-results="3"></script><p id="after">After</p></body></html>"""
POLICY = "default-src 'none'; script-src {url}; connect-src {url}; img-src {url}; style-src 'none'"


@pytest.fixture
def another_site(loopback: None) -> Iterator[tuple[str, dict[str, str]]]:
    """A site that answers with one page; (its origin, what its page is made of)."""
    told = {"page": "", "policy": ""}

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = told["page"].encode() if self.path == "/" else b""
            self.send_response(200 if body else 404)
            self.send_header("content-type", "text/html")
            self.send_header("content-security-policy", told["policy"])
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}", told
        server.shutdown()
        thread.join()


def test_the_widget(
    shop: Shop, serving: Callable[..., Any], chromium: Any, another_site: tuple[str, dict[str, str]], lamp: bytes
) -> None:
    """One script tag gives a button and products that lead to the shop, or to the page; errors are words."""
    origin, told = another_site
    served = serving(shop, origins=[origin])
    told["page"], told["policy"] = (text.replace("{url}", served.url) for text in (PAGE, POLICY))
    context = chromium.new_context(viewport={"width": 390, "height": 844})
    try:
        page = context.new_page()
        trouble: list[str] = []
        page.on("console", lambda message: trouble.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: trouble.append(str(error)))
        page.goto(f"{origin}/")
        assert page.locator("h1 ~ div + #after").count() == 1, "it stands where the tag is"
        photo = page.locator("input[type=file]")
        photo.set_input_files({"name": "lamp.png", "mimeType": "image/png", "buffer": lamp})
        page.locator("li").nth(2).wait_for()
        assert page.locator("li").count() == 3
        links = page.locator("li a").evaluate_all("links => links.map((link) => link.href)")
        assert all(link.startswith((f"{served.url}/?like=", "https://shop.example/")) for link in links)
        page.wait_for_load_state("networkidle")
        assert page.locator("li img").first.evaluate("image => image.naturalWidth") > 0
        assert page.locator(".more a").get_attribute("href").startswith(f"{served.url}/?photo=")
        assert not page.evaluate("document.documentElement.scrollWidth > innerWidth")
        assert [text for text in trouble if "favicon" not in text and "404" not in text] == []
        photo.set_input_files({"name": "notes.txt", "mimeType": "text/plain", "buffer": b"hello"})
        page.locator(".say", has_text="picture").wait_for()
        assert page.locator("li").count() == 0
    finally:
        context.close()


def test_a_shop_from_right_to_left(
    shop: Shop, serving: Callable[..., Any], chromium: Any, another_site: tuple[str, dict[str, str]]
) -> None:
    """The widget's own words run as its language does: "3 similar pictures" does not become "similar pictures 3"."""
    origin, told = another_site
    served = serving(shop, origins=[origin])
    told["page"], told["policy"] = (text.replace("{url}", served.url) for text in (PAGE, POLICY))
    told["page"] = told["page"].replace('lang="en"', 'lang="ar" dir="rtl"')
    context = chromium.new_context()
    try:
        page = context.new_page()
        page.goto(f"{origin}/")
        directions = [page.locator(one).evaluate("(one) => getComputedStyle(one).direction") for one in (".say", "h1")]
        assert directions == ["ltr", "rtl"]
    finally:
        context.close()


def test_a_site_that_was_not_let_in(
    served: Any, chromium: Any, another_site: tuple[str, dict[str, str]], lamp: bytes
) -> None:
    """Without --allow-origin another site's page cannot even load the script."""
    origin, told = another_site
    told["page"], told["policy"] = PAGE.replace("{url}", served.url), "default-src *"
    context = chromium.new_context()
    try:
        page = context.new_page()
        page.goto(f"{origin.replace('127.0.0.1', 'localhost')}/")
        assert page.locator("h1 ~ div").count() == 0
    finally:
        context.close()
