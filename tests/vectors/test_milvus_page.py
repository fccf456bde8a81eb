"""The page on a machine that has nothing but the configuration: all it shows comes from the database and a CDN."""

from __future__ import annotations

import io
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from forwarding import Way
from homes import StrictTap
from shop import Shop, picture
from starlette.testclient import TestClient
from test_milvus_shared import calls, index, opened  # noqa: F401  index is a fixture
from webshop import ADDRESS, app_of

from ddsim.vectors.milvusplace import alias_of

pytestmark = [pytest.mark.usefixtures("loopback"), pytest.mark.long]


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  the library's name for it
        """Say nothing."""


@pytest.fixture
def cdn(tmp_path: Path) -> Iterator[str]:
    """An address below which the indexing machine's catalogue can be had."""
    folder = tmp_path / "indexing" / "catalogue"
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=str(folder))) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_a_page_without_state_shows_all_of_it(tmp_path: Path, index: dict[str, Any], cdn: str) -> None:  # noqa: F811
    """Categories, examples, neighbours, products and pictures; and an item is searched for like a photo."""
    indexing = opened(tmp_path / "indexing", index)
    indexing.add("lamp/0.png", "lamp/über 1.png", "bed/0.png")
    (indexing.catalogue / "products.csv").write_text("uri,name,price\nlamp/0.png,Tall lamp,49.90\n", "utf-8")
    with indexing.search() as search:
        search.index()
    searching: Shop = opened(tmp_path / "searching", index, catalogue={"url_prefix": cdn})
    assert isinstance(searching.tap, StrictTap)
    photo = io.BytesIO()
    picture(0).save(photo, "PNG")
    with TestClient(app_of(searching), base_url=ADDRESS) as client:
        catalogue = client.get("/api/catalogue").json()
        assert {one["name"]: one["count"] for one in catalogue["categories"]} == {"bed": 1, "lamp": 2}
        assert {one["uri"] for one in catalogue["examples"]} == {"lamp/0.png", "lamp/über 1.png", "bed/0.png"}
        found = client.post("/api/search", files={"picture": ("a.png", photo.getvalue())}, data={"all": "true"}).json()
        first = found["neighbours"][0]
        assert (first["uri"], first["name"], first["price"]) == ("lamp/0.png", "Tall lamp", "49.90")
        assert {one["uri"] for one in found["neighbours"]} == {"lamp/0.png", "lamp/über 1.png", "bed/0.png"}
        for card in found["neighbours"]:
            for kind in ("picture", "thumbnail"):
                answer = client.get(f"/{card[kind]}")
                assert (answer.status_code, answer.headers["content-type"]) == (200, "image/jpeg")
        like = client.post("/api/search", data={"like": "lamp/über 1.png", "all": "true"}).json()
        assert {one["uri"] for one in like["neighbours"]} == {"lamp/0.png", "bed/0.png"}
        assert client.get("/healthz").status_code == 200
    (indexing.catalogue / "products.csv").write_text("uri,name,price\nbed/0.png,Bed,10\n", "utf-8")
    with indexing.search() as search:
        search.index()
        assert search.collection.manifest.get_meta("in_doubt") is False
    with TestClient(app_of(searching), base_url=ADDRESS) as client:
        names = {one["uri"]: one["name"] for one in client.get("/api/catalogue").json()["examples"]}
        assert (names["bed/0.png"], names["lamp/0.png"]) == ("Bed", "0")


@pytest.mark.parametrize("machine", ["indexing", "searching"])
def test_whoever_watches_hears_of_a_database_that_is_gone(
    tmp_path: Path,
    index: dict[str, Any],  # noqa: F811
    machine: str,
) -> None:
    """At once, with a manifest at hand and without, whether or not somebody searched; and that it is back."""
    with Way(index["url"]) as way:
        shop = opened(tmp_path / "indexing", index | {"url": way.url})
        shop.add("lamp/0.png", "lamp/1.png", "bed/0.png")
        with shop.search() as search:
            search.index()
        if machine == "searching":
            shop = opened(tmp_path / "searching", index | {"url": way.url})
        with TestClient(app_of(shop), base_url=ADDRESS) as client:
            asked = {"like": "lamp/0.png", "all": "true"}
            assert client.get("/healthz").status_code == 200  # before any search
            way.cut()
            answer = client.get("/healthz")
            assert (answer.status_code, answer.json()["error"]["code"]) == (503, "database_down")
            way.open()
            assert client.get("/healthz").status_code == 200
            if machine == "indexing":  # the other one has no pictures to search for
                assert client.post("/api/search", data=asked).status_code == 200
            way.cut()
            assert client.get("/healthz").json()["error"]["code"] == "database_down"
            assert client.post("/api/search", data=asked).json()["error"]["code"] == "database_down"
            way.open()
            assert client.get("/healthz").status_code == 200


def test_whoever_watches_hears_of_a_collection_that_is_gone(tmp_path: Path, index: dict[str, Any]) -> None:  # noqa: F811
    """Somebody has dropped it from the database, which answers."""
    shop = opened(tmp_path / "indexing", index)
    shop.add("lamp/0.png", "bed/0.png")
    with shop.search() as search:
        search.index()
        name = search.collection.manifest.get_meta("collection")
    with TestClient(app_of(shop), base_url=ADDRESS) as client, calls(shop) as database:
        assert client.get("/healthz").status_code == 200
        database.unpoint(alias_of(shop.settings))
        database.drop(name)
        answer = client.get("/healthz")
        assert (answer.status_code, answer.json()["error"]["code"]) == (503, "nothing_indexed")
