"""Figures for Prometheus, and the search in other people's pages."""

from __future__ import annotations

from collections.abc import Callable

from prometheus_client.parser import text_string_to_metric_families
from refusing import assert_refused
from shop import Shop
from starlette.testclient import TestClient

from ddsim.web.fronts import Front

OPEN = Callable[..., TestClient]
LIKE = {"like": "lamp/a0.png", "all": "1"}


def figures(page: TestClient) -> dict[str, float]:
    """What /metrics says, by name and status."""
    answer = page.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain")
    return {
        sample.name + sample.labels.get("status", ""): sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
        if "le" not in sample.labels
    }


def test_figures(shop: Shop, opened: OPEN) -> None:
    """Searches by their outcome, how long they took, and how much is indexed."""
    page = opened(shop, metrics=True)
    assert figures(page)["ddsim_indexed_items"] == 12
    for _ in range(2):
        page.post("/api/search", data=LIKE)
    page.get("/search", params=LIKE)
    page.post("/api/search", data={"like": "nobody"})
    page.post("/api/search", data=LIKE, headers={"origin": "https://evil.example"})
    page.get("/api/catalogue")
    assert page.get("/api/search").status_code == 405  # asks for no search
    told = figures(page)
    assert "ddsim_searches_total405" not in told
    assert told["ddsim_searches_total200"] == 3
    assert told["ddsim_searches_total404"] == 1
    assert told["ddsim_searches_total403"] == 1
    assert told["ddsim_search_seconds_count"] == 3
    assert told["ddsim_search_seconds_sum"] > 0


def test_figures_below_a_path(shop: Shop, opened: OPEN) -> None:
    """Searches are counted wherever the page is."""
    page = opened(shop, metrics=True, front=Front("/visual"))
    page.post("/visual/api/search", data=LIKE)
    assert figures(page)["ddsim_searches_total200"] == 1


def test_no_figures_where_nobody_asked_for_them(page: TestClient) -> None:
    """They are given behind a flag only."""
    assert_refused(page.get("/metrics"), 404, "not_found")


def test_the_script_for_other_pages(shop: Shop, opened: OPEN) -> None:
    """It has the owner's words and colour in it, and other sites may load it where they may search."""
    shop.configure(web={"language": "de", "accent": "#0a6b4f"})
    page = opened(shop, origins=["https://shop.example"])
    answer = page.get("/embed.js")
    assert answer.headers["content-type"].startswith("text/javascript")
    assert answer.headers["cross-origin-resource-policy"] == "cross-origin"
    assert '"Mit Foto suchen"' in answer.text
    assert '"#0a6b4f"' in answer.text
    assert "</script" not in answer.text
    asked = {"origin": "https://shop.example", "sec-fetch-site": "cross-site"}
    found = page.post("/api/search", data=LIKE, headers=asked)
    assert found.headers["access-control-allow-origin"] == "https://shop.example"
