"""Two pages in processes of their own behind the nginx of docker-compose.yml, over one database."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Event
from typing import Any

import pytest
import requests
from forwarding import Way
from proxies import balanced
from requests.adapters import HTTPAdapter
from shop import Shop, picture
from test_milvus_page import cdn  # noqa: F401  a fixture
from test_milvus_shared import index, opened  # noqa: F401  index is a fixture

from ddsim import IndexOptions

pytestmark = [pytest.mark.usefixtures("loopback"), pytest.mark.long]

REPOSITORY = Path(__file__).parents[2]
PATIENCE = 60.0
QUIET = {"OMP_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1"}


class From(HTTPAdapter):
    """Connections from one address of this machine: nginx tells visitors apart by it."""

    def __init__(self, address: str) -> None:
        self._address = address
        super().__init__()

    def init_poolmanager(self, *arguments: Any, **options: Any) -> None:
        """Made with that address."""
        super().init_poolmanager(*arguments, **options, source_address=(self._address, 0))


@dataclass
class Visitor:
    """Somebody with an address of their own before the balancer."""

    url: str
    session: requests.Session

    def get(self, path: str) -> requests.Response:
        """Get something from there."""
        return self.session.get(f"{self.url}/{path}", timeout=PATIENCE)

    def search(self, **form: str) -> requests.Response:
        """Upload the same photo as everybody."""
        photo = io.BytesIO()
        picture(0).save(photo, "PNG")
        files = {"picture": ("photo.png", photo.getvalue())}
        return self.session.post(f"{self.url}/api/search", files=files, data={"k": "20"} | form, timeout=PATIENCE)

    def found(self, **form: str) -> dict[str, Any]:
        """What that photo finds."""
        answer = self.search(**form)
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    def names_until(self, name: str, begun: Event) -> list[str]:
        """What the nearest is called, asked again and again until it has that name; ``begun`` is set then."""
        names: list[str] = []
        end = time.monotonic() + PATIENCE
        while names[-1:] != [name]:
            assert time.monotonic() < end, "it is never called so"
            names.append(self.found(all="true")["neighbours"][0]["name"])
            begun.set()
        return names

    def assert_all_there(self, found: dict[str, Any]) -> None:
        """The link of a search, and all pictures of its answer."""
        cards = found["neighbours"]
        for address in [found["query"]["url"], *(card[kind] for card in cards for kind in ("picture", "thumbnail"))]:
            assert self.get(address).headers["content-type"] == "image/jpeg", address
        again = self.get(found["link"])
        assert again.status_code == 200
        assert all(card["name"] in again.text for card in cards)


def said(found: dict[str, Any]) -> dict[str, Any]:
    """What everybody must be told alike: all but the names of the uploads, and how long it took."""
    query = {key: value for key, value in found["query"].items() if key not in ("photo", "url")}
    link = found["link"].replace(found["query"]["photo"], "PHOTO")
    return {key: value for key, value in found.items() if key != "timings"} | {"query": query, "link": link}


@contextmanager
def page(shop: Shop) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """`ddsim serve` in a process and a home of its own: its URL, without a slash at the end."""
    home = shop.root / "home"
    home.mkdir()
    command = [sys.executable, "-m", "ddsim", "serve", "--config", str(shop.config), "--port", "0"]
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(REPOSITORY), "HOME": str(home), **QUIET}
    with (
        (shop.root / "log").open("wb") as log,
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True, env=environment, cwd=home) as running,
    ):
        try:
            assert running.stdout is not None
            url = running.stdout.readline().strip().rstrip("/")
            assert url, (shop.root / "log").read_text("utf-8")
            yield url, running
        finally:
            running.kill()
            # Shown where a test fails.
            sys.stderr.write((shop.root / "log").read_text("utf-8"))


@dataclass
class Pages:
    """What is behind the balancer.

    Attributes:
        visitors: one of each page.
        running: the pages, in the same order.
        way: to the database, for both of them.
    """

    visitors: tuple[Visitor, Visitor]
    running: tuple[subprocess.Popen[str], ...]
    way: Way


@pytest.fixture
def indexing(tmp_path: Path, index: dict[str, Any]) -> Shop:  # noqa: F811
    """The machine that indexes, with three pictures and what one of them costs."""
    shop = opened(tmp_path / "indexing", index)
    shop.add("lamp/0.png", "lamp/über 1.png", "bed/0.png")
    (shop.catalogue / "products.csv").write_text("uri,name,price\nlamp/0.png,Tall lamp,49.90\n", "utf-8")
    with shop.search() as search:
        search.index()
    return shop


@pytest.fixture
def pages(
    tmp_path: Path,
    index: dict[str, Any],  # noqa: F811
    indexing: Shop,
    cdn: str,  # noqa: F811
) -> Iterator[Pages]:
    """Two pages that have the configuration, and get pictures where it says."""
    with ExitStack() as stack:
        way = stack.enter_context(Way(index["url"]))
        shops = [
            opened(tmp_path / name, index | {"url": way.url}, catalogue={"url_prefix": cdn})
            for name in ("one", "other")
        ]
        served = [stack.enter_context(page(shop)) for shop in shops]
        urls = [url for url, _ in served]
        balancer = stack.enter_context(balanced(tmp_path, urls))
        first, second = (stack.enter_context(visitor_of(url, balancer)) for url in urls)
        yield Pages((first, second), tuple(running for _, running in served), way)


@contextmanager
def visitor_of(page: str, balancer: str) -> Iterator[Visitor]:
    """Somebody whom the balancer sends to that page: it keeps their photo."""
    for number in range(2, 60):
        with requests.Session() as session:
            session.mount("http://", From(f"127.0.0.{number}"))
            visitor = Visitor(balancer, session)
            photo = visitor.found()["query"]["url"]
            if requests.get(f"{page}/{photo}", timeout=PATIENCE).status_code == 200:
                yield visitor
                return
    raise AssertionError(f"nobody comes to {page}")


def eventually(true: Callable[[], bool]) -> None:
    """Ask until it is so."""
    end = time.monotonic() + PATIENCE
    while not true():
        assert time.monotonic() < end, "it does not come true"


def test_two_pages_are_one(indexing: Shop, pages: Pages) -> None:
    """The same answers, links, pictures, products; a rebuild switches under both; one that is killed is not missed."""
    one, other = pages.visitors
    found = one.found(all="true")
    first = found["neighbours"][0]
    assert (first["uri"], first["name"], first["price"]) == ("lamp/0.png", "Tall lamp", "49.90")
    assert len(found["neighbours"]) == 3
    assert said(found) == said(other.found(all="true"))
    assert said(one.found(category="bed")) == said(other.found(category="bed"))
    for visitor in pages.visitors:
        visitor.assert_all_there(visitor.found(all="true"))

    indexing.add("chair/0.png")
    (indexing.catalogue / "bed/0.png").unlink()
    (indexing.catalogue / "products.csv").write_text("uri,name,price\nlamp/0.png,Lamp,9\n", "utf-8")
    with ThreadPoolExecutor() as pool:
        begun = [Event() for _ in pages.visitors]
        seen = [
            pool.submit(visitor.names_until, "Lamp", event)
            for visitor, event in zip(pages.visitors, begun, strict=True)
        ]
        assert all(event.wait(PATIENCE) for event in begun)
        with indexing.search() as search:
            search.index(options=IndexOptions(rebuild=True, allow_vanished=True))
    assert all(one.result()[0] == "Tall lamp" for one in seen), "searches were answered before, meanwhile and after"
    for visitor in pages.visitors:
        found = visitor.found(all="true")
        assert {card["uri"] for card in found["neighbours"]} == {"lamp/0.png", "lamp/über 1.png", "chair/0.png"}
        assert visitor.get("api/catalogue").json()["items"] == 3
        visitor.assert_all_there(found)

    before = said(other.found(all="true"))
    pages.running[0].kill()
    pages.running[0].wait(PATIENCE)
    assert said(one.found(all="true")) == before
    assert one.get("api/catalogue").status_code == 200
    one.assert_all_there(one.found(all="true"))


def test_a_database_that_is_gone_is_said_and_comes_back(pages: Pages) -> None:
    """Visitors read the page's own words, not the balancer's, however often they ask; then all is as before."""
    before = said(pages.visitors[0].found(all="true"))
    pages.way.cut()
    for _ in range(2):
        for visitor in pages.visitors:
            answer = visitor.search(all="true")
            assert answer.status_code == 503
            assert answer.json()["error"]["code"] == "database_down"
            # What was heard last of it counts for two seconds more.
            eventually(lambda: "database_down" in visitor.get("healthz").text)  # noqa: B023  called at once
            shown = visitor.get("")
            assert (shown.status_code, "The database of the catalogue does not answer" in shown.text) == (200, True)
    pages.way.open()
    for visitor in pages.visitors:
        eventually(lambda: visitor.search(all="true").status_code == 200)  # noqa: B023  called at once
        assert said(visitor.found(all="true")) == before
