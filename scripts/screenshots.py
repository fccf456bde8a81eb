"""Photograph the web page over the demo catalogue with a real Chromium: for the README, and to look at it.

    scripts/demo                     # draws and indexes the catalogue
    python scripts/screenshots.py    # writes scripts/demo-page.png
    python scripts/screenshots.py --all shots/    # every view, at three widths, light and dark

Needs Chromium, and of Python the extras embedded and web, and `playwright`.
"""

from __future__ import annotations

import argparse
import http.server
import io
import os
import shutil
import socket
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import uvicorn
from demo_drawing import CATEGORIES, draw
from PIL import Image
from playwright.sync_api import Browser, Page, sync_playwright

from ddsim import ImageSearch, Settings, load
from ddsim.web.app import create_app

ROOT = Path(__file__).resolve().parents[1]
PICTURE = ROOT / "scripts" / "demo-page.png"
QUERY = ROOT / "demo" / "queries" / "lamp" / "lamp-007-view2.jpg"
MOST_BYTES = 200_000
README_WIDTH = 1100
SIZES = {390: 844, 820: 1180, 1440: 900}
PROGRAMS = ("chromium", "chromium-browser", "google-chrome")
SHOP_PAGE = """<!doctype html><html lang="en"><head><title>A shop</title>
<meta name="viewport" content="width=device-width"><style>:root {{ color-scheme: light dark }}
body {{ max-width: 60rem; margin: 2rem auto; padding: 0 1rem; font: 1rem/1.5 sans-serif }}</style></head>
<body><h1>A shop</h1><p>Have you seen something you like?</p><script src="{url}/embed.js"></script></body></html>"""
# Twelve kinds of each of the five pieces of furniture are sixty categories.
KINDS = (
    *("antique", "attic", "balcony", "childrens", "conservatory", "farmhouse"),
    *("folding", "garden", "industrial", "mid_century_modern", "nursery", "windsor"),
)
NOTES = {"name": "notes.txt", "mimeType": "text/plain", "buffer": b"no picture"}


class Shop(http.server.ThreadingHTTPServer):
    """Another site, whose one page has the widget in it."""

    page = ""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), ShopHandler)
        self.origin = f"http://127.0.0.1:{self.server_port}"


class ShopHandler(http.server.BaseHTTPRequestHandler):
    """Answers with the shop's page."""

    def do_GET(self) -> None:
        """Answer."""
        self.send_response(200)
        self.send_header("content-type", "text/html")
        self.end_headers()
        self.wfile.write(self.server.page.encode())  # type: ignore[attr-defined]

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextmanager
def served(settings: Settings, origin: str) -> Iterator[str]:
    """The page on a free port of this machine; yields its address."""
    door = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    door.bind(("127.0.0.1", 0))
    door.listen()
    server = uvicorn.Server(
        uvicorn.Config(create_app(settings, origins=[origin]), log_level="error", timeout_graceful_shutdown=1)
    )
    thread = threading.Thread(target=server.run, kwargs={"sockets": [door]})
    thread.start()
    try:
        yield f"http://127.0.0.1:{door.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join()
        door.close()


def opened(browser: Browser, url: str, width: int, scheme: str) -> Page:
    """The start page in a window of its own."""
    page = browser.new_context(
        viewport={"width": width, "height": SIZES[width]},
        color_scheme="dark" if scheme == "dark" else "light",
        reduced_motion="reduce",
        has_touch=width < 1000,
    ).new_page()
    page.goto(url, wait_until="networkidle")
    return page


def search(page: Page) -> None:
    """Upload the drawn photo and wait for all that it finds."""
    page.set_input_files("#picture", QUERY)
    page.wait_for_selector('#results:is([data-state="done"], [data-state="error"])')
    if page.locator("#say .notice").count():
        raise SystemExit(page.locator("#say .notice").inner_text())
    page.evaluate("document.activeElement.blur()")
    page.wait_for_load_state("networkidle")


def nothing_similar(page: Page) -> None:
    """Search a category for what it has nothing like."""
    words = {"nothing_similar": "even the nearest is farther than other pictures of the catalogue are from each other"}
    page.route("**/api/search", lambda route: route.fulfill(json=route.fetch().json() | words))
    page.click("[data-category=sofa]")
    page.wait_for_selector("#say .notice")
    page.unroute("**/api/search")
    page.wait_for_load_state("networkidle")


def many_categories(folder: Path) -> Settings:
    """Draw and index a catalogue of sixty categories with two small pictures each; returns how it is searched."""
    text = (ROOT / "configs" / "demo.yaml").read_text("utf-8")
    config = folder / "many.yaml"
    config.write_text(text.replace("../demo/", "").replace("../.ddsim", "state"), "utf-8")
    for product, kind in enumerate(KINDS):
        for piece in CATEGORIES:
            category = folder / "catalogue" / f"{kind}_{piece}"
            category.mkdir(parents=True)
            for view in (1, 2):
                draw(piece, product, view, size=120, supersampling=1).save(category / f"{category.name}-{view}.jpg")
    # The network's five labels are none of these categories: the neighbours alone tell them.
    settings = load(config).model_copy(update={"classification": None, "categories": {}})
    with ImageSearch(settings) as search:
        search.index()
    return settings


def widget(page: Page, origin: str) -> None:
    """Search in another site's page."""
    page.goto(origin)
    page.set_input_files("input[type=file]", QUERY)
    page.wait_for_selector("li")
    page.wait_for_load_state("networkidle")


def all_views(browser: Browser, url: str, bare: str, many: str, origin: str, folder: Path) -> None:
    """Photograph start page, results and what can be done with them, errors, the widget, no categories and sixty."""
    folder.mkdir(parents=True, exist_ok=True)
    for width in SIZES:
        for scheme in ("light", "dark"):

            def shoot(page: Page, view: str, end: str = f"{width}-{scheme}") -> None:
                page.screenshot(path=folder / f"{view}-{end}.png")

            page = opened(browser, url, width, scheme)
            shoot(page, "home")
            search(page)
            shoot(page, "results")
            page.click(".card-picture >> nth=1")
            page.evaluate("document.images['enlarged-image'].decode()")
            shoot(page, "enlarged")
            page.keyboard.press("Escape")
            page.click("#region-start")
            shoot(page, "part")
            nothing_similar(page)
            shoot(page, "nothing")
            page.set_input_files("#picture", NOTES)  # type: ignore[arg-type]
            page.wait_for_selector('#results[data-state="error"]')
            shoot(page, "error")
            page.context.close()
            page = opened(browser, url, width, scheme)
            widget(page, origin)
            shoot(page, "widget")
            page.context.close()
            page = opened(browser, bare, width, scheme)
            shoot(page, "empty")
            page.context.close()
            page = opened(browser, many, width, scheme)
            shoot(page, "many-home")
            search(page)
            shoot(page, "many")
            page.click("#chips > :last-child")
            shoot(page, "many-open")
            page.context.close()


def every_view(browser: Browser, settings: Settings, folder: Path) -> None:
    """Serve the catalogue, an empty one, one of many categories and another site's page, and photograph them."""
    with tempfile.TemporaryDirectory() as nowhere, tempfile.TemporaryDirectory() as drawn, Shop() as shop:
        bare = settings.model_copy(update={"state": Path(nowhere)})
        many = many_categories(Path(drawn))
        with (
            served(settings, shop.origin) as url,
            served(bare, shop.origin) as bare_url,
            served(many, shop.origin) as many_url,
        ):
            shop.page = SHOP_PAGE.format(url=url)
            threading.Thread(target=shop.serve_forever, daemon=True).start()
            all_views(browser, url, bare_url, many_url, shop.origin, folder)
            shop.shutdown()


def readme_picture(browser: Browser, url: str) -> None:
    """Write the README's picture, in few enough colours to be small."""
    page = opened(browser, url, 1440, "light")
    search(page)
    with Image.open(io.BytesIO(page.screenshot())) as shot:
        small = shot.convert("RGB")
    page.context.close()
    small.thumbnail((README_WIDTH, README_WIDTH), Image.Resampling.LANCZOS)
    for colours in (256, 192, 128, 64):
        # Refining the palette keeps the few colours that are not beige.
        few = small.quantize(colours, Image.Quantize.MEDIANCUT, kmeans=8, dither=Image.Dither.NONE)
        few.save(PICTURE, optimize=True)
        if PICTURE.stat().st_size <= MOST_BYTES:
            break
    print(f"{PICTURE.relative_to(ROOT)}: {PICTURE.stat().st_size // 1000} kB")


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description="Photograph the web page over the demo catalogue.")
    parser.add_argument("--all", type=Path, metavar="FOLDER", help="write every view there instead")
    parser.add_argument("--config", type=Path, default=ROOT / "configs" / "demo.yaml", help="(default: the demo's)")
    options = parser.parse_args()
    program = next(filter(None, map(shutil.which, PROGRAMS)), None)
    if program is None:
        parser.error("there is no Chromium")
    if not QUERY.exists():
        parser.error("there is no demo catalogue: run scripts/demo first")
    root = hasattr(os, "geteuid") and os.geteuid() == 0  # for whom Chromium's sandbox does not work
    settings = load(options.config)
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=program, args=["--no-sandbox"] if root else [])
        if options.all:
            every_view(browser, settings, options.all)
        else:
            with served(settings, "http://127.0.0.1") as url:
                readme_picture(browser, url)
        browser.close()


if __name__ == "__main__":
    main()
