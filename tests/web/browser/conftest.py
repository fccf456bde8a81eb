"""A real browser for the page: Debian's Chromium, driven by Playwright's Python package.

Without them these tests are skipped; where DDSIM_REQUIRE_BROWSER=1 is set, they fail instead.
"""

from __future__ import annotations

import io
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NoReturn

import pytest
from PIL import Image
from shop import Shop
from tabs import Tab

from ddsim import ImageSearch, load

ROOT = Path(__file__).parents[3]
NAMES = ("chromium", "chromium-browser", "google-chrome")
PRODUCTS = 4


def _missing(reason: str) -> NoReturn:
    if os.environ.get("DDSIM_REQUIRE_BROWSER") == "1":
        pytest.fail(f"DDSIM_REQUIRE_BROWSER=1, but {reason}")
    pytest.skip(reason)


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    """The browser."""
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        _missing("Playwright is not installed: pip install playwright")
    program = next(filter(None, map(shutil.which, NAMES)), None)
    if program is None:
        _missing("there is no Chromium: apt-get install chromium")
    # Chromium's own sandbox refuses to work for root, who tests in containers.
    root = hasattr(os, "geteuid") and os.geteuid() == 0
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=program, args=["--no-sandbox"] if root else [])
        yield browser
        browser.close()


@pytest.fixture
def tab_on(loopback: None, chromium: Any) -> Iterator[Callable[..., Tab]]:
    """Opens a tab of its own profile on a server: ``tab_on(served, width=360, ...)``; the browser must not complain."""
    tabs: list[Tab] = []

    def make(served: Any, width: int = 1280, height: int = 900, **more: Any) -> Tab:
        context = chromium.new_context(viewport={"width": width, "height": height}, **more)
        tabs.append(Tab(context.new_page(), served.url))
        return tabs[-1]

    yield make
    complaints = [one for tab in tabs for one in tab.complaints()]
    for tab in tabs:
        tab.page.context.close()
    assert complaints == []


@pytest.fixture
def tab(served: Any, tab_on: Callable[..., Tab]) -> Tab:
    """A tab on the start page of the shop."""
    return tab_on(served).open()


def png(image: Image.Image) -> bytes:
    """A picture's PNG file."""
    file = io.BytesIO()
    image.save(file, "PNG")
    return file.getvalue()


@pytest.fixture
def lamp(shop: Shop) -> bytes:
    """The very picture of a lamp, lamp/a3.png."""
    return (shop.catalogue / "lamp" / "a3.png").read_bytes()


@pytest.fixture
def bed(shop: Shop) -> bytes:
    """The very picture of a bed, bed/a4.png."""
    return (shop.catalogue / "bed" / "a4.png").read_bytes()


@pytest.fixture
def wide(shop: Shop) -> bytes:
    """A photo of two things: lamp/a3.png on the left, bed/a4.png on the right."""
    both = Image.new("RGB", (128, 64))
    for left, name in ((0, "lamp/a3.png"), (64, "bed/a4.png")):
        with Image.open(shop.catalogue / name) as image:
            both.paste(image.convert("RGB").resize((64, 64), Image.Resampling.NEAREST), (left, 0))
    return png(both)


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small drawn catalogue of furniture, with queries."""
    folder = tmp_path_factory.mktemp("drawn")
    command = [sys.executable, "scripts/make_demo_catalogue.py", str(folder), "--products", str(PRODUCTS)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    text = (ROOT / "configs" / "demo.yaml").read_text("utf-8")
    (folder / "demo.yaml").write_text(text.replace("../demo/", "").replace("../.ddsim", "state"), "utf-8")
    return folder


@pytest.fixture
def furniture(drawn: Path, serving: Callable[..., Any]) -> Any:
    """The page over the drawn furniture and the demo network, on a port."""
    settings = load(drawn / "demo.yaml")
    with ImageSearch(settings) as search:
        search.index()
    return serving(SimpleNamespace(settings=settings, client=lambda: None))
