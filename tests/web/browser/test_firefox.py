"""The page in Firefox, driven by Mozilla's own Marionette client: the way through it, and that nothing is refused.

Skipped where Firefox or the client is missing, but not where DDSIM_REQUIRE_BROWSER=1 is set.
"""

from __future__ import annotations

import os
import shutil
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NoReturn

import pytest
from PIL import Image
from shop import Shop

from ddsim.web.limits import Limits

pytestmark = pytest.mark.long
NAMES = ("firefox-esr", "firefox")
PATIENCE_SECONDS = 30
WATCH = """
window.violations = [];
const note = (words) => violations.push(words);
addEventListener("securitypolicyviolation", (event) => note(`${event.violatedDirective} ${event.blockedURI}`));
addEventListener("error", (event) => note(event.message));
"""


def _missing(reason: str) -> NoReturn:
    if os.environ.get("DDSIM_REQUIRE_BROWSER") == "1":
        pytest.fail(f"DDSIM_REQUIRE_BROWSER=1, but {reason}")
    pytest.skip(reason)


@pytest.fixture
def firefox(loopback: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The browser with a window of a phone's width."""
    program = next(filter(None, map(shutil.which, NAMES)), None)
    if program is None:
        _missing("there is no Firefox: apt-get install firefox-esr")
    with warnings.catch_warnings():
        # The client looks at the system by functions that are on their way out.
        warnings.simplefilter("ignore")
        try:
            from marionette_driver.marionette import Marionette
        except ImportError:
            _missing("its client is not installed: pip install marionette_driver")
        browser = Marionette(bin=program, headless=True, gecko_log="-")
        browser.start_session()
        browser.timeout.implicit = PATIENCE_SECONDS
        browser.set_window_rect(width=500, height=900)
        yield browser
        browser.quit()
        browser.cleanup()


def _found(browser: Any) -> Callable[[str], Any]:
    from marionette_driver.by import By

    return lambda selector: browser.find_element(By.CSS_SELECTOR, selector)


def test_the_way_through_the_page(
    firefox: Any, shop: Shop, serving: Callable[..., Any], tmp_path: Path, lamp: bytes
) -> None:
    """Uploading, a category, enlarging, more products and going back do in Firefox what they do in Chromium."""
    url = serving(shop, Limits(default_k=5)).url
    one = _found(firefox)
    (tmp_path / "lamp.png").write_bytes(lamp)
    firefox.navigate(f"{url}/")
    firefox.execute_script(WATCH, sandbox=None)
    one("#picture").send_keys(str(tmp_path / "lamp.png"))
    one('#results[data-state="done"]')
    assert firefox.execute_script("return document.querySelectorAll('.card').length") == 5
    one("[data-all]").click()
    one('#results[data-state="done"] [data-all][aria-pressed="true"]')
    firefox.execute_script("document.getElementById('show-more').click()")
    one(".card:nth-child(10)")
    apart = firefox.execute_script(
        "const tops = [...document.querySelectorAll('.card')].map((card) => card.getBoundingClientRect());"
        "return tops.every((a, i) => tops.every((b, j) => i <= j || a.left >= b.right || b.left >= a.right"
        " || a.top >= b.bottom || b.top >= a.bottom))"
    )
    assert apart, "no card lies over another"
    firefox.execute_script("document.querySelector('.card-picture').click()")
    assert firefox.execute_script("return document.getElementById('enlarged').open")
    one("#enlarged-close").click()
    assert not firefox.execute_script("return document.getElementById('enlarged').open")
    assert firefox.execute_script("return document.documentElement.scrollWidth <= innerWidth")
    assert firefox.execute_script("return window.violations", sandbox=None) == []
    firefox.go_back()
    firefox.go_back()
    one('body[data-view="home"]')


def test_what_the_server_draws_is_seen(firefox: Any, served: Any, tmp_path: Path) -> None:
    """A page of results drawn by the server is no empty window: it has many colours."""
    firefox.navigate(f"{served.url}/search?like=lamp/a0.png&all=1")
    _found(firefox)('#results[data-state="done"] .card')
    file = tmp_path / "window.png"
    file.write_bytes(firefox.screenshot(format="binary", full=False))
    with Image.open(file) as image:
        assert len(image.convert("RGB").getcolors(1 << 24) or ()) > 50
