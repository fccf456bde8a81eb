"""What goes wrong behind the page: friendly sentences, and all is well again afterwards."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import Mock

import pytest
from PIL import Image
from refusing import assert_refused
from shop import Sent, Shop, Tap, once, refusal
from starlette.testclient import TestClient
from webshop import app_of, stocked

from ddsim import (
    Collection,
    ConfigError,
    DatabaseTrouble,
    DDSimError,
    ImageError,
    ImageSearch,
    ImageUnavailable,
    IndexBusy,
    IndexOptions,
    InvalidResponse,
    Reply,
    ServerBusy,
    ServerTimeout,
    ServerUnreachable,
    TooLarge,
)
from ddsim.errors import CatalogueUnreachable
from ddsim.web import searching
from ddsim.web.answering import Answering
from ddsim.web.limits import Limits
from ddsim.web.refusals import words_for

OPEN = Callable[..., TestClient]


def search(page: TestClient, **fields: str) -> Any:
    """The answer to a search for more like an item."""
    return page.post("/api/search", data={"like": "lamp/a0.png", "all": "1"} | fields)


class Gate:
    """A fault that keeps predictions waiting until it is opened."""

    def __init__(self) -> None:
        self.entered = threading.Semaphore(0)
        self.open = threading.Event()

    def __call__(self, sent: Sent, carry_out: Callable[[], Reply]) -> Reply | None:
        """Wait, then let it through."""
        if sent.path == "/predict":
            self.entered.release()
            assert self.open.wait(30)
        return None


@pytest.fixture
def gate(shop: Shop) -> Iterator[Gate]:
    """Keeps the shop's server from answering predictions until it is opened."""
    gate = Gate()
    shop.tap.faults.append(gate)
    yield gate
    gate.open.set()


# Nothing indexed


def test_nothing_indexed(empty: Shop, opened: OPEN) -> None:
    """Everything says so, and what to run; the page is drawn all the same."""
    page = opened(empty)
    error = assert_refused(search(page), 503, "nothing_indexed", empty)
    assert "ddsim index" in error["hint"]
    assert_refused(page.get("/healthz"), 503, "nothing_indexed", empty)
    told = page.get("/api/catalogue").json()
    assert (told["indexed"], told["items"], told["categories"], told["examples"]) == (False, 0, [], [])
    shown = page.get("/")
    assert shown.status_code == 200
    assert "ddsim index" in shown.text


def test_no_server_is_needed_to_look(empty: Shop, opened: OPEN) -> None:
    """The page of an empty catalogue asks the server nothing."""
    page = opened(empty)
    page.get("/")
    page.get("/healthz")
    assert empty.tap.sent == []


def test_what_is_indexed_later_is_found(empty: Shop, opened: OPEN) -> None:
    """Who indexes while the page is served need not start it anew."""
    page = opened(empty)
    assert page.get("/healthz").status_code == 503
    empty.add("lamp/a0.png", "lamp/a1.png")
    with Shop(empty.root).search() as other:  # with a server of its own
        other.index()
    assert [one["uri"] for one in search(page).json()["neighbours"]] == ["lamp/a1.png"]
    assert page.get("/healthz").status_code == 200


def test_another_catalogue_indexed_later_is_found(empty: Shop, opened: OPEN) -> None:
    """Where none is named, the catalogue that was indexed last is searched, also if that was after the start."""
    page = opened(empty)
    assert page.get("/api/catalogue").json()["items"] == 0
    elsewhere = empty.root / "elsewhere"
    elsewhere.mkdir()
    empty.add("lamp/a0.png", "lamp/a1.png")
    (empty.catalogue / "lamp").rename(elsewhere / "lamp")
    with empty.search() as other:
        other.index(elsewhere)
    assert page.get("/api/catalogue").json()["items"] == 2
    assert search(page).status_code == 200
    assert page.get("/thumbnails/160/lamp/a0.png").status_code == 200


def test_what_another_process_adds_is_found(tmp_path: Path, opened: OPEN) -> None:
    """A run elsewhere changes the index under an embedded server that has it in memory: it is read anew."""
    shop = Shop(tmp_path)
    shop.add("lamp/a0.png", "lamp/a1.png")
    with shop.search() as own:
        own.index()
    page = opened(shop)
    assert len(search(page).json()["neighbours"]) == 1
    shop.add_picture("bed/twin.png", Image.open(shop.catalogue / "lamp/a0.png"))
    with Shop(tmp_path).search() as other:  # with a server of its own
        other.index()
    # One result is enough for whoever asks for one: nothing else would show that the index is another.
    assert [one["uri"] for one in search(page, k="1").json()["neighbours"]] == ["bed/twin.png"]
    assert page.get("/api/catalogue").json()["items"] == 3


def test_a_rebuilt_index_is_found(tmp_path: Path, opened: OPEN) -> None:
    """So does one that was made anew, in the other home of vectors even."""
    shop = Shop(tmp_path)
    shop.add("lamp/a0.png", "lamp/a1.png")
    with shop.search() as own:
        own.index()
    page = opened(shop)
    assert len(search(page).json()["neighbours"]) == 1
    shop.add("lamp/a2.png")
    with ImageSearch(shop.settings.with_backend("local"), client=Shop(tmp_path).client()) as other:
        other.index(options=IndexOptions(rebuild=True))
    assert len(search(page).json()["neighbours"]) == 2


# A run at work


def test_a_run_at_work(shop: Shop, opened: OPEN) -> None:
    """While a run has the index, a search that would have to put something right is asked to wait."""
    page = opened(shop)
    with Collection(shop.settings, None) as other, other.manifest.writing():
        answer = search(page)
        assert page.get("/api/catalogue").json()["indexing"] is True
        assert page.get("/").status_code == 200
    error = assert_refused(answer, 503, "index_busy", shop)
    assert "indexed" in error["message"]
    assert int(answer.headers["retry-after"]) > 0
    assert search(page).status_code == 200
    assert page.get("/api/catalogue").json()["indexing"] is False


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (IndexBusy("an indexing run is adding pictures"), "index_busy"),
        (ConfigError("/etc/x: cannot be written"), "server_fault"),
        (ImageError("/etc/x", "gone"), "unknown_item"),
        (ImageUnavailable("/etc/x", "no answer in time"), "item_unavailable"),
        (CatalogueUnreachable("/etc/x: no bucket"), "item_unavailable"),
        (InvalidResponse("no JSON"), "server_down"),
        (DatabaseTrouble("the Milvus at http://db:19530 does not answer"), "database_down"),
        (ServerTimeout("no answer in time"), "timeout"),
        (ServerBusy(429, None, "", method="POST", path="/predict"), "busy"),
        (DDSimError("whatever"), "server_fault"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_words_for_errors(error: DDSimError, code: str) -> None:
    """Every error of the library has its words, which tell nothing of its own."""
    words = words_for(error)
    assert words.code == code
    assert str(error) not in words.message + words.hint


def test_pictures_that_cannot_be_fetched_just_now(
    tmp_path: Path, opened: Callable[..., TestClient], monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are no unknown products, nor kept as such: once their host answers again they are there."""
    shop = stocked(Shop(tmp_path))  # no thumbnail of it was made yet
    page = opened(shop)
    errors: list[DDSimError] = [ImageUnavailable("https://cdn/x", "refused"), CatalogueUnreachable("s3://shop/x")]
    places = ("/pictures/lamp/a0.png", "/thumbnails/160/lamp/a0.png")
    for error in errors:
        with monkeypatch.context() as down:
            down.setattr("ddsim.sources.FolderSource.read", Mock(side_effect=error))
            like = page.post("/api/search", data={"like": "lamp/a0.png", "region": "0,0,1,1"})
            for answer in (*map(page.get, places), like):
                assert "just now" in assert_refused(answer, 503, "item_unavailable", shop)["message"]
                assert int(answer.headers["retry-after"]) > 0
    assert [page.get(place).status_code for place in places] == [200, 200]


def test_a_busy_server_is_waited_for_as_it_wants() -> None:
    """The page passes on when the server behind it takes calls again."""
    error = ServerBusy(429, None, "", method="POST", path="/predict", retry_after=41.2)
    assert words_for(error).retry_after == 42


def test_a_state_folder_that_is_gone(page: TestClient, shop: Shop) -> None:
    """Nothing is indexed then; once something is, the page goes on as before."""
    assert search(page).status_code == page.get("/healthz").status_code == 200
    shutil.rmtree(shop.settings.state / shop.settings.name)
    assert_refused(page.get("/healthz"), 503, "nothing_indexed")
    with Shop(shop.root).search() as other:  # with a server of its own
        other.index()
    assert search(page).status_code == page.get("/healthz").status_code == 200


def test_a_disk_that_is_full(page: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever watches the page hears of it before somebody's upload does."""
    with monkeypatch.context() as full:
        full.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(total=10**9, free=1000))
        assert_refused(page.get("/healthz"), 503, "server_fault")
    assert page.get("/healthz").status_code == 200


def test_uploads_that_cannot_be_kept(page: TestClient, shop: Shop) -> None:
    """A search that cannot keep its upload does not blame the server, and whoever watches the page hears of it."""
    assert search(page).status_code == page.get("/healthz").status_code == 200
    photos = shop.settings.state / shop.settings.name / "web" / "photos"
    photos.rename(photos.with_name("elsewhere"))
    photos.write_text("a file in its place")
    data = (shop.catalogue / "lamp" / "a0.png").read_bytes()
    error = assert_refused(page.post("/api/search", files={"picture": ("a.png", data)}), 503, "server_fault")
    assert error["message"] == "Something went wrong here."
    assert_refused(page.get("/healthz"), 503, "server_fault")
    photos.unlink()
    assert page.get("/healthz").status_code == 200


# The server


@pytest.mark.parametrize(
    ("answer", "status", "code"),
    [
        (ServerUnreachable("connection refused", method="POST", path="/predict"), 503, "server_down"),
        (ServerTimeout("no answer", method="POST", path="/predict"), 504, "timeout"),
        (refusal(500, 1007, "out of memory in /opt/secret"), 503, "server_fault"),
        (Reply(200, b"<html>a router</html>"), 503, "server_down"),
    ],
    ids=["down", "slow", "faulty", "something else"],
)
def test_a_server_in_trouble(page: TestClient, shop: Shop, answer: Any, status: int, code: str) -> None:
    """Each kind of trouble has its sentence, and when the server is well again so is the page."""

    def fault(sent: Sent, _: Callable[[], Reply]) -> Reply | None:
        if isinstance(answer, Exception):
            raise answer
        return answer

    shop.tap.faults.append(fault)
    assert_refused(search(page), status, code, shop)
    assert page.get("/healthz").json()["error"]["code"] == code
    shown = page.get("/")
    assert shown.status_code == 200
    assert page.get("/thumbnails/320/lamp/a0.png").status_code == 200
    shop.tap.faults.clear()
    assert search(page).status_code == 200
    assert page.get("/healthz").status_code == 200


def faulty(sent: Sent, _: Callable[[], Reply]) -> Reply | None:
    """A server that says that it is well, and computes nothing."""
    return refusal(500, 1007, "out of memory") if sent.path == "/predict" else None


def test_a_server_that_answers_everything_but_searches(
    page: TestClient, shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever watches the page hears of it; a search of its own now and then tells when it is over, and none else."""
    shop.tap.faults.append(faulty)
    assert page.get("/healthz").status_code == 200  # nobody knows yet
    assert_refused(search(page), 503, "server_fault", shop)
    assert_refused(page.get("/healthz"), 503, "server_fault", shop)
    asked = len(shop.tap.matching("POST", "/predict"))
    assert_refused(page.get("/healthz"), 503, "server_fault", shop)
    shop.tap.faults.clear()
    assert_refused(page.get("/healthz"), 503, "server_fault", shop)
    assert len(shop.tap.matching("POST", "/predict")) == asked
    monkeypatch.setattr(searching, "_TRIED_AGAIN_S", 0.0)
    assert page.get("/healthz").status_code == 200
    asked = len(shop.tap.matching("POST", "/predict"))
    assert page.get("/healthz").status_code == 200
    assert len(shop.tap.matching("POST", "/predict")) == asked


def test_a_search_that_is_answered_ends_the_trouble(page: TestClient, shop: Shop) -> None:
    """Whoever watches the page need not wait then."""
    shop.tap.faults.append(faulty)
    assert_refused(search(page), 503, "server_fault", shop)
    assert_refused(page.get("/healthz"), 503, "server_fault", shop)
    shop.tap.faults.clear()
    assert search(page).status_code == page.get("/healthz").status_code == 200


def test_one_photo_that_cannot_be_searched_for_is_no_trouble(page: TestClient, shop: Shop) -> None:
    """The server fails at it alone: the next search, which a watcher's question makes, is answered."""
    assert search(page).status_code == 200
    shop.tap.faults.append(once(lambda sent: sent.path == "/predict", lambda _: refusal(500, 1007, "no such picture")))
    assert_refused(search(page), 503, "server_fault", shop)
    assert page.get("/healthz").status_code == 200


@pytest.mark.parametrize(
    "error",
    [TooLarge(413, None, "", method="POST", path="/predict"), CatalogueUnreachable("its host is not to be had")],
    ids=["too large", "out of reach"],
)
def test_what_tells_of_one_picture_alone_is_no_trouble(
    page: TestClient, monkeypatch: pytest.MonkeyPatch, error: DDSimError
) -> None:
    """A request that is too large, or an item's picture that cannot be had: whoever watches the page hears nothing."""
    monkeypatch.setattr(ImageSearch, "query", Mock(side_effect=error))
    assert search(page).status_code == 503
    assert page.get("/healthz").status_code == 200


def test_the_page_says_that_the_server_is_down(page: TestClient, shop: Shop) -> None:
    """Who opens it knows at once, before a search fails."""

    def fault(sent: Sent, _: Callable[[], Reply]) -> Reply | None:
        raise ServerUnreachable("connection refused", method=sent.method, path=sent.path)

    assert "does not answer" not in page.get("/").text
    shop.tap.faults.append(fault)
    assert "does not answer" in page.get("/").text


def test_a_restarted_server(page: TestClient, shop: Shop) -> None:
    """A server that forgot its services gets them again."""
    assert search(page).status_code == 200
    shop.tap.restart()
    assert search(page).status_code == 200


def test_a_server_that_restarts_under_load(page: TestClient, shop: Shop) -> None:
    """Searches under way and those that come next are all answered, by services made once."""
    with ThreadPoolExecutor(8) as threads:
        answers = [threads.submit(search, page) for _ in range(8)]
        shop.tap.restart()
        answers += [threads.submit(search, page) for _ in range(16)]
        assert [answer.result().status_code for answer in answers] == [200] * 24


def test_an_error_of_our_own(page: TestClient, shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """A fault in the page itself is a sentence too, and its traceback stays in the log."""

    def broken(*_: object) -> None:
        raise RuntimeError(f"{shop.root}/secret")

    monkeypatch.setattr(Answering, "search", broken)
    assert_refused(search(page), 500, "server_fault", shop)


# Many at once


def test_many_at_once_make_services_once(page: TestClient, shop: Shop) -> None:
    """Searches that come together at the very start are all answered, by one service of each kind."""
    with ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(lambda _: search(page), range(16)))
    assert [answer.status_code for answer in answers] == [200] * 16
    assert len({str(answer.json()["neighbours"]) for answer in answers}) == 1
    created = [sent.path for sent in shop.tap.matching("PUT")]
    assert len(created) == len(set(created))


def test_too_many_at_once(shop: Shop, opened: OPEN, gate: Gate) -> None:
    """Who finds no place is told politely when to come back; who has one is answered."""
    page = opened(shop, Limits(searches=1, waiting=0))
    with ThreadPoolExecutor(1) as threads:
        first = threads.submit(search, page)
        assert gate.entered.acquire(timeout=30)
        second = search(page)
        assert_refused(second, 503, "busy", shop)
        assert int(second.headers["retry-after"]) > 0
        # Whoever only looks is not in the way.
        assert page.get("/").status_code == 200
        assert page.get("/thumbnails/160/lamp/a0.png").status_code == 200
        gate.open.set()
        assert first.result(30).status_code == 200
    assert search(page).status_code == 200


def test_a_search_that_takes_too_long(shop: Shop, opened: OPEN, gate: Gate) -> None:
    """It is given up with a sentence; the next one is answered when its thread is free again."""
    page = opened(shop, Limits(searches=1, waiting=5, search_seconds=0.3))
    answer = search(page)
    assert_refused(answer, 504, "timeout", shop)
    assert "retry-after" in answer.headers
    gate.open.set()
    patient = opened(shop, Limits(searches=1))
    assert search(patient).status_code == 200


def test_who_is_not_waited_for_is_not_begun(shop: Shop, opened: OPEN, gate: Gate) -> None:
    """Searches whose time ran out while they waited for a thread never reach the server."""
    page = opened(shop, Limits(searches=1, waiting=5, search_seconds=0.3))
    with ThreadPoolExecutor(4) as threads:
        answers = list(threads.map(lambda _: search(page), range(4)))
    assert [answer.status_code for answer in answers] == [504] * 4
    shop.tap.faults.clear()
    gate.open.set()
    assert len(shop.tap.matching("POST", "/predict")) <= 1


def test_the_page_does_not_wait_for_a_server_that_hangs(shop: Shop, opened: OPEN) -> None:
    """Whether the server is there is asked for a moment only; then the page is drawn without an answer."""
    page, hanging = opened(shop), threading.Event()

    def fault(sent: Sent, _: Callable[[], Reply]) -> Reply | None:
        assert hanging.wait(30)
        return None

    shop.tap.faults.append(fault)
    try:
        answer = page.get("/")
        assert answer.status_code == 200
        assert "does not answer" not in answer.text
    finally:
        hanging.set()


def test_everything_is_closed(shop: Shop, opened: OPEN) -> None:
    """When the page ends, so do its connections."""
    with TestClient(app_of(shop), base_url="http://127.0.0.1") as page:
        assert search(page).status_code == 200
    assert isinstance(shop.tap, Tap)
    assert shop.tap.closed
