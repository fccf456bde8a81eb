"""The page for everybody: narrow and wide screens, keys alone, screen readers, little motion, nothing that jumps."""

from __future__ import annotations

import os
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sharing import first_alone
from shop import Shop
from tabs import Tab

AXE = "axe-core@4"


@pytest.mark.parametrize("width", first_alone([320, 1920, 360, 820], plain=2))
def test_no_width_scrolls_sideways(served: Any, wide: bytes, width: int, tab_on: Callable[..., Tab]) -> None:
    """Start page, results, a part of the photo and an error fit into narrow and wide windows."""
    tab = tab_on(served, width, 740).open("/docs")
    assert not tab.scrolls_sideways()
    tab.open()
    assert not tab.scrolls_sideways()
    tab.upload(wide, "a-rather-long-name-of-a-file-" * 6 + ".png").done()
    assert not tab.scrolls_sideways()
    tab.see("#region-start").click()
    assert not tab.scrolls_sideways()
    tab.upload(b"hello").refused()
    assert not tab.scrolls_sideways()
    for part in (".notice", ".top", "#stage"):
        box = tab.see(part).first.bounding_box()
        assert box["x"] >= 0
        assert box["x"] + box["width"] <= width


def test_long_words_stay_in_their_buttons(
    shop: Shop, serving: Callable[..., Any], wide: bytes, tab_on: Callable[..., Tab]
) -> None:
    """German on a narrow phone: words of a button break where it has no room for them."""
    shop.configure(web={"language": "de"})
    tab = tab_on(serving(shop), 320, 740).open().upload(wide).done()
    for button in tab.see(".button:visible").all():
        assert button.evaluate("(one) => one.scrollWidth <= one.clientWidth"), button.inner_text()


def test_keys_alone(tab: Tab, wide: bytes) -> None:
    """Without a mouse: choose a photo, go to a category, a product, a part of its picture, and back to the whole."""

    def go_to(name: str) -> None:
        for _ in range(60):
            if tab.focused().startswith(name):
                return
            tab.page.keyboard.press("Tab")
        pytest.fail(f"{name} is not reached by Tab")

    tab.page.keyboard.press("Tab")
    assert tab.focused() == "Skip to the content"
    go_to("picture")
    with tab.page.expect_file_chooser() as chooser:
        tab.page.keyboard.press("Enter")
    chooser.value.set_files({"name": "wide.png", "mimeType": "image/png", "buffer": wide})
    tab.done()
    assert tab.focused() == "results-title"
    go_to("bed")
    tab.page.keyboard.press("Space")
    tab.page.wait_for_url("**category=bed")
    assert tab.done().focused().startswith("bed")
    go_to("More like this")
    tab.page.keyboard.press("Enter")
    tab.page.wait_for_url("**like=bed**")
    tab.done()
    assert tab.focused() == "results-title"
    tab.page.keyboard.press("Shift+Tab")
    tab.page.keyboard.press("Shift+Tab")
    assert tab.focused() == "region-start"
    tab.page.keyboard.press("Enter")
    tab.page.keyboard.press("Enter")
    tab.page.wait_for_url("**region=**")
    assert tab.done().focused() == "region"
    tab.page.keyboard.press("Escape")
    tab.page.wait_for_url(lambda url: "region" not in url)


def test_focus_is_seen(tab: Tab, lamp: bytes) -> None:
    """Everything that Tab reaches has an outline, or its label has one."""
    tab.upload(lamp).done()
    for _ in range(16):
        tab.page.keyboard.press("Tab")
        outlined = tab.page.evaluate(
            "() => { const at = document.activeElement; const seen = at.matches('.file') ? at.nextElementSibling : at;"
            " return at === document.body || getComputedStyle(seen).outlineStyle === 'solid' }"
        )
        assert outlined, tab.focused()


def test_names_for_what_has_no_words(tab: Tab, lamp: bytes) -> None:
    """A screen reader hears whose link and how similar, and does not hear the same link twice."""
    tab.upload(lamp).done()
    card = tab.see(".card").first
    name = card.locator(".card-again").text_content()
    assert card.get_by_role("link", name=f"More like this {name}").count() == 1
    assert card.get_by_role("link", name=f"Enlarge {name}").count() == 1
    assert card.get_by_role("link").count() == 2 + card.locator(".card-shop").count()
    assert card.get_by_role("meter", name="Similarity").count() == card.locator(".card-score:visible").count()
    assert tab.page.get_by_role("group", name="Search in").get_by_role("button", pressed=True).count() >= 1
    assert tab.page.get_by_role("img", name="Your photo").count() == 1


def test_nothing_jumps(served: Any, wide: bytes, tab_on: Callable[..., Tab]) -> None:
    """While pictures come, what is there already stays where it is."""
    for width, height in ((360, 740), (1280, 900)):
        tab = tab_on(served, width, height)
        assert tab.open().shifts() < 0.1
        tab.upload(wide).done()
        assert tab.shifts() < 0.1
        assert tab.open("/?like=lamp/a3.png").done().shifts() < 0.1


def test_little_motion(served: Any, lamp: bytes, tab_on: Callable[..., Tab]) -> None:
    """Who wants little motion gets none, not even while it works."""
    held: list[Any] = []
    for wish, moves in (("reduce", False), ("no-preference", True)):
        tab = tab_on(served, reduced_motion=wish).open()
        tab.page.route("**/api/search", lambda route: held.append(route))
        tab.upload(lamp)
        tab.page.wait_for_selector(".card.bone")
        assert bool(tab.page.evaluate("document.getAnimations().length")) is moves
        held.pop().abort()
        tab.refused()


@pytest.fixture(scope="session")
def axe(request: pytest.FixtureRequest) -> str:
    """The accessibility checker's script, from npm."""
    folder = Path(request.config.cache.mkdir("axe"))
    npm = shutil.which("npm")
    if not list(folder.glob("*.tgz")):
        if npm is None:
            pytest.skip("npm is not installed, so there is no axe-core")
        # Beside its place first: another process of this run may be doing the same.
        with tempfile.TemporaryDirectory(dir=folder) as beside:
            packed = subprocess.run([npm, "pack", AXE], cwd=beside, capture_output=True, text=True, timeout=120)
            if packed.returncode:
                pytest.skip(f"npm does not give axe-core: {packed.stderr[-200:]}")
            archive_file = next(Path(beside).glob("*.tgz"))
            os.replace(archive_file, folder / archive_file.name)
    with tarfile.open(next(folder.glob("*.tgz"))) as archive:
        script = archive.extractfile("package/axe.min.js")
        assert script is not None
        return script.read().decode()


@pytest.mark.parametrize("scheme", first_alone(["light", "dark"]))
def test_axe(served: Any, wide: bytes, scheme: str, axe: str, tab_on: Callable[..., Tab]) -> None:
    """The checker finds nothing in start page, API, results, a part of the photo and an error, light and dark."""
    tab = tab_on(served, color_scheme=scheme, reduced_motion="reduce").open()

    def check() -> None:
        tab.page.evaluate(axe)
        found = tab.page.evaluate("axe.run()")["violations"]
        assert [(one["id"], [node["html"] for node in one["nodes"]]) for one in found] == []

    check()
    tab.open("/docs")
    check()
    tab.open().upload(wide).done()
    check()
    tab.see("#region-start").click()
    check()
    tab.upload(b"hello").refused()
    check()
