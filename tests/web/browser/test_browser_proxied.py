"""The page in a browser behind a proxy, below a path."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from proxies import proxied, snippet
from sharing import first_alone
from tabs import Tab
from webshop import Served


@pytest.mark.parametrize("kind", first_alone(["nginx", "caddy"]))
def test_below_a_path(served: Served, tab_on: Callable[..., Tab], lamp: bytes, tmp_path: Path, kind: str) -> None:
    """Searching, going on from a product, going back and going home stay below the path."""
    with proxied(kind, snippet(kind), tmp_path, served.url) as outside:
        tab = tab_on(Served(outside, served.shop)).open("/visual/").upload(lamp).done()
        assert tab.address.startswith("/visual/?photo=")
        tab.see(".card-more").nth(1).click()
        tab.page.wait_for_url("**/visual/?like=**")
        tab.done()
        tab.page.go_back()
        tab.page.wait_for_url("**/visual/?photo=**")
        tab.done()
        broken = "[...document.images].filter((one) => one.complete && one.currentSrc && !one.naturalWidth).length"
        tab.page.wait_for_load_state("networkidle")
        assert tab.page.evaluate(broken) == 0
        tab.see(".brand").click()
        tab.page.wait_for_url("**/visual/")
        assert tab.see(".example").count() > 0
