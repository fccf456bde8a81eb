"""The map of a catalogue, a page of its own, in a real browser."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from shop import Shop


def test_one_category_of_many_is_two_clicks_away(tmp_path: Path, chromium: Any) -> None:
    """All are hidden at once, and one of them is shown again; the map asks nobody for anything."""
    shop = Shop(tmp_path, {"classification": None, "index": {"backend": "local"}})
    shop.add(*(f"{category}/{number}.png" for category in ("bed", "lamp", "sofa") for number in range(3)))
    with shop.search() as search:
        search.index()
        html = search.explore().html
    page = chromium.new_page()
    try:
        asked: list[str] = []
        page.on("request", lambda request: asked.append(request.url))
        page.set_content(html)
        items = page.locator(".item:visible")
        everything = items.count()
        page.locator("#all input").uncheck()
        assert items.count() == 0
        page.locator('#legend [title="bed"] input').check()
        assert 0 < items.count() < everything
        assert not page.locator("#all input").is_checked()
        page.locator("#all input").check()
        assert items.count() == everything
        assert [url for url in asked if not url.startswith("data:")] == []
    finally:
        page.close()
