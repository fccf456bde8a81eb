"""fetching: what is fetched for a stranger, from where, and how much of it."""

from __future__ import annotations

import gzip
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager, suppress

import pytest
from elsewhere import Answered, Web

from ddsim.errors import ImageError, ImageUnavailable
from ddsim.sources.base import Stamp
from ddsim.sources.fetching import Fetcher
from ddsim.sources.hosts import MOST

LIMIT = 10_000


@pytest.fixture
def fetcher() -> Iterator[Fetcher]:
    """One that may go anywhere."""
    with closing(Fetcher(allow_private=True)) as made:
        yield made


@pytest.fixture
def careful() -> Iterator[Fetcher]:
    """One that may not."""
    with closing(Fetcher()) as made:
        yield made


def reason(fetcher: Fetcher, url: str, limit: int = LIMIT) -> str:
    """Why something is not fetched."""
    with pytest.raises(ImageError) as caught:
        fetcher.get(url, limit)
    return caught.value.reason


def test_a_file(web: Web, fetcher: Fetcher) -> None:
    """Whole, and its stamp without it."""
    web.files["/a.jpg"] = b"content"
    assert fetcher.get(f"{web.url}/a.jpg", LIMIT) == b"content"
    stamp = fetcher.stamp(f"{web.url}/a.jpg")
    assert (stamp.size, stamp.mark) == (7, f'"{hash(b"content"):x}"')
    assert [method for method, _ in web.asked] == ["GET", "HEAD"]


def test_stamps_without_etags(web: Web, fetcher: Fetcher) -> None:
    """The time of writing stands in, or nothing; where HEAD is not answered, GET is asked and its content left."""
    web.files["/a.jpg"] = web.files["/b.jpg"] = b"content"
    web.etags, web.heads = False, False
    web.times["/a.jpg"] = "Sat, 28 Nov 2026 10:00:00 GMT"
    assert fetcher.stamp(f"{web.url}/a.jpg") == Stamp(7, "Sat, 28 Nov 2026 10:00:00 GMT")
    assert fetcher.stamp(f"{web.url}/b.jpg") == Stamp(7, None)
    assert Stamp(7, None).number(5) == 5
    assert Stamp(7, "x").number(5) == Stamp(9, "x").number(6) != Stamp(7, "y").number(5)
    assert 0 <= Stamp(7, "x").number(5) < 2**63


@pytest.mark.parametrize(("status", "words"), [(404, "404"), (403, "403"), (500, "500"), (204, "204")])
def test_refusals(web: Web, fetcher: Fetcher, status: int, words: str) -> None:
    """What the server says is the reason."""
    web.special["/a.jpg"] = Answered(b"no", status)
    assert words in reason(fetcher, f"{web.url}/a.jpg")


@pytest.mark.parametrize(
    ("answer", "passing"),
    [
        (Answered(status=500), True),
        (Answered(status=503), True),
        (Answered(status=429, headers={"Retry-After": "0"}), True),
        (Answered(b"content", headers={"Content-Length": "1000", "Connection": "close"}), True),
        (Answered(b"\n<!doctype html>Back soon", headers={"Content-Type": "text/html; charset=utf-8"}), True),
        (Answered(status=404), False),
        (Answered(status=403), False),
        (Answered(status=410), False),
        (Answered(), False),
        (Answered(b"x" * (LIMIT + 1)), False),
    ],
)
def test_what_is_wrong_with_a_host_is_not_wrong_with_its_pictures(
    web: Web, fetcher: Fetcher, monkeypatch: pytest.MonkeyPatch, answer: Answered, passing: bool
) -> None:
    """What may be over soon is told from what is said of the picture itself."""
    monkeypatch.setattr("urllib3.util.retry.time.sleep", lambda _: None)
    web.special["/a.jpg"] = answer
    with pytest.raises(ImageError) as caught:
        fetcher.get(f"{web.url}/a.jpg", LIMIT)
    assert isinstance(caught.value, ImageUnavailable) == passing


def test_nobody_there_says_nothing_of_pictures(fetcher: Fetcher, monkeypatch: pytest.MonkeyPatch) -> None:
    """But an address that can be none does."""
    monkeypatch.setattr("urllib3.util.retry.time.sleep", lambda _: None)
    for url, passing in (("http://127.0.0.1:9/a.jpg", True), ("http://no host/a.jpg", False)):
        with pytest.raises(ImageError) as caught:
            fetcher.stamp(url)
        assert isinstance(caught.value, ImageUnavailable) == passing


def test_pictures_may_be_called_pages(web: Web, fetcher: Fetcher) -> None:
    """Programs that give pictures often do not say what they give."""
    web.special["/a.php"] = Answered(b"\xff\xd8", headers={"Content-Type": "text/html"})
    assert fetcher.get(f"{web.url}/a.php", LIMIT) == b"\xff\xd8"


def test_what_is_too_long_is_not_read(web: Web, fetcher: Fetcher) -> None:
    """By what it says of itself, by what comes where it says nothing, and by what it would be unpacked."""
    web.files["/a.jpg"] = b"x" * (LIMIT + 1)
    web.special["/lies.jpg"] = Answered(b"x" * (LIMIT + 1), headers={"Content-Length": "", "Connection": "close"})
    web.special["/bomb.jpg"] = Answered(gzip.compress(b"x" * 10**7), headers={"Content-Encoding": "gzip"})
    for name in ("a", "lies", "bomb"):
        assert f"more than the limit of {LIMIT} bytes" in reason(fetcher, f"{web.url}/{name}.jpg")
    web.files["/a.jpg"] = b"x" * LIMIT
    assert len(fetcher.get(f"{web.url}/a.jpg", LIMIT)) == LIMIT


def test_what_drips_is_given_up(web: Web) -> None:
    """However slowly bytes come, a file has its time, in its headers and in its content."""
    for begin in (b"", b"Content-Length: 100000\r\n\r\n"):
        with dripping(b"HTTP/1.1 200 OK\r\n" + begin) as url, closing(Fetcher(allow_private=True, seconds=0.3)) as made:
            assert reason(made, url, 200_000) == "it cannot be fetched: no answer in time"


@contextmanager
def dripping(begin: bytes) -> Iterator[str]:
    """An address that answers so, and then gives a byte after the other without an end."""
    listening, over = socket.create_server(("127.0.0.1", 0)), threading.Event()

    def serve() -> None:
        while not over.is_set():
            with suppress(OSError):
                connection, _ = listening.accept()
                with connection:
                    connection.sendall(begin)
                    while not over.wait(0.02):
                        connection.sendall(b"x")

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}/a.jpg"
    finally:
        over.set()
        with suppress(OSError):
            listening.shutdown(socket.SHUT_RDWR)
        listening.close()
        thread.join(10)


def test_a_pause_without_an_end_is_not_made(web: Web, fetcher: Fetcher, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that wants to be asked again in a day is asked after half a minute."""
    pauses: list[float] = []
    monkeypatch.setattr("urllib3.util.retry.time.sleep", pauses.append)
    web.special["/a.jpg"] = Answered(status=429, headers={"Retry-After": "86400"})
    assert reason(fetcher, f"{web.url}/a.jpg") == "the server there answers 429 Too Many Requests"
    assert pauses == [30.0] * 3


def test_what_breaks_off_is_told(web: Web, fetcher: Fetcher) -> None:
    """In words: a part of a picture is none."""
    web.special["/a.jpg"] = Answered(b"content", headers={"Content-Length": "1000", "Connection": "close"})
    assert reason(fetcher, f"{web.url}/a.jpg") == "it ended before all of it had come"


def test_empty_files_are_none(web: Web, fetcher: Fetcher) -> None:
    """As with files on a disk."""
    web.files["/a.jpg"] = b""
    assert reason(fetcher, f"{web.url}/a.jpg") == "empty file"


def test_nobody_there(fetcher: Fetcher) -> None:
    """The system's words."""
    assert "refused" in reason(fetcher, "http://127.0.0.1:9/a.jpg")


@pytest.fixture(autouse=True)
def _sockets(loopback: None) -> None:
    """Also for what nobody answers."""


def test_private_addresses_are_not_reached(web: Web, careful: Fetcher) -> None:
    """Not by number and not by name: nothing is sent, and it is said how to allow it."""
    web.files["/a.jpg"] = b"content"
    for host in ("127.0.0.1", "localhost", "127.1"):
        url = web.url.replace("127.0.0.1", host) + "/a.jpg"
        assert "its own network: write catalogue: {folder: ..., allow_private: true}" in reason(careful, url)
    assert web.asked == []


def test_redirects_are_followed_but_not_to_private_addresses(web: Web) -> None:
    """Each hop is looked at; the host that was trusted may be where it is, others may not."""
    port = web.url.rpartition(":")[2]
    web.files["/a.jpg"] = b"content"
    web.special["/moved.jpg"] = Answered(status=302, headers={"Location": "/a.jpg"})
    web.special["/inside.jpg"] = Answered(status=301, headers={"Location": f"http://localhost:{port}/a.jpg"})
    web.special["/loop.jpg"] = Answered(status=302, headers={"Location": "/loop.jpg"})
    web.special["/file.jpg"] = Answered(status=302, headers={"Location": "file:///etc/passwd"})
    with closing(Fetcher(trusted=frozenset({"127.0.0.1"}))) as fetcher:
        assert fetcher.get(f"{web.url}/moved.jpg", LIMIT) == b"content"
        assert "localhost is 127.0.0.1, of this machine" in reason(fetcher, f"{web.url}/inside.jpg")
        assert "redirected more than 5 times" in reason(fetcher, f"{web.url}/loop.jpg")
        assert "redirects to no such address" in reason(fetcher, f"{web.url}/file.jpg")


def test_what_fails_in_passing_is_tried_again(web: Web, fetcher: Fetcher) -> None:
    """A server that is busy for a moment is asked once more."""
    busy = [Answered(status=503), Answered(status=503)]
    usual = web.answer
    web.files["/a.jpg"] = b"content"
    web.answer = lambda method, target: busy.pop() if busy else usual(method, target)  # type: ignore[method-assign]
    assert fetcher.get(f"{web.url}/a.jpg", LIMIT) == b"content"


def test_a_host_that_does_not_answer_is_left_alone(web: Web, fetcher: Fetcher, monkeypatch: pytest.MonkeyPatch) -> None:
    """After so many pictures of it no connection is tried; others are fetched as ever."""
    monkeypatch.setattr("urllib3.util.retry.time.sleep", lambda _: None)
    web.files["/a.jpg"] = b"content"
    nowhere = "http://127.0.0.1:9/a.jpg"
    for _ in range(MOST):
        assert "refused" in reason(fetcher, nowhere)
    with pytest.raises(
        ImageUnavailable, match=r"127\.0\.0\.1:9 did not answer 20 times in a row, and is not asked for"
    ):
        fetcher.get(nowhere, LIMIT)
    assert fetcher.get(f"{web.url}/a.jpg", LIMIT) == b"content"
    assert fetcher.stamp(f"{web.url}/a.jpg").size == 7


def test_several_threads_notice_together(fetcher: Fetcher, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many ask at a time, soon none does."""
    monkeypatch.setattr("urllib3.util.retry.time.sleep", lambda _: None)
    with ThreadPoolExecutor(16) as pool:
        reasons = list(pool.map(lambda _: reason(fetcher, "http://127.0.0.1:9/a.jpg"), range(200)))
    asked = [one for one in reasons if "refused" in one]
    assert MOST <= len(asked) < MOST + 16
    assert all("not asked for now" in one for one in reasons if one not in asked)


def test_an_unused_proxy_is_told(fetcher: Fetcher, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where nobody can be reached without it, and only then; not where the environment excepts the host."""
    monkeypatch.setattr("urllib3.util.retry.time.sleep", lambda _: None)
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("http_proxy", "http://joe:hunter2@127.0.0.1:9")
    for made, told in ((Fetcher(trusted=frozenset({"127.0.0.1"})), True), (fetcher, False)):
        words = reason(made, "http://127.0.0.1:9/a.jpg")
        assert ("the proxy that the environment names is not used" in words) == told
        assert ("allow_private: true" in words) == told
        assert "hunter2" not in words
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with closing(Fetcher(trusted=frozenset({"127.0.0.1"}))) as made:
        assert "proxy" not in reason(made, "http://127.0.0.1:9/a.jpg")
