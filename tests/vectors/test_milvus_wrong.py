"""What a stranger writes wrong of a database: each is said at once where waiting does not help, with what to do."""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest
from milvuses import TOKEN, skip_without

from ddsim import DatabaseTrouble, TransportError, Unconnectable
from ddsim.config import IndexSettings
from ddsim.vectors import Patience
from ddsim.vectors.milvuscalls import Calls
from ddsim.vectors.milvusnotes import Notes

pytestmark = [pytest.mark.usefixtures("loopback"), pytest.mark.long]


def refusal(kind: type[TransportError], url: str, token: str | None = TOKEN) -> str:
    """What is said of these settings by the first call."""
    waits: list[float] = []
    patience = Patience(seconds=0.0, sleep=waits.append, clock=time.monotonic)
    settings = IndexSettings(backend="milvus", url=url, token=token, timeout=10.0)
    with Calls(settings, waits.append) as calls, pytest.raises(kind) as caught:
        patience.outlast_database(calls.names)
    assert bool(waits) == (kind is DatabaseTrouble), "only what may pass is asked again"
    assert str(caught.value).startswith(f"the Milvus at {url} ")
    return str(caught.value)


@pytest.fixture
def no_milvus() -> Iterator[int]:
    """The port of a server that speaks as a Milvus does, and knows none of its calls."""
    skip_without()
    import grpc

    server = grpc.server(ThreadPoolExecutor(2))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    yield port
    server.stop(None).wait()


@pytest.fixture
def web_server() -> Iterator[int]:
    """The port of a server of web pages."""
    skip_without()
    with ThreadingHTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler) as server:
        thread = Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield server.server_port
        server.shutdown()
        thread.join()


@pytest.mark.parametrize(
    ("token", "words"),
    [
        (None, "wants a token: write index.token, `user:password` or a key"),
        ("", "wants a token"),
        ("root", "refuses what index.token gives: correct it"),
        ("root:secret-word", "refuses what index.token gives"),
    ],
)
def test_tokens(milvus_url: str, token: str | None, words: str) -> None:
    """None where one is needed, a half one, and a wrong one, which is not shown."""
    said = refusal(Unconnectable, milvus_url, token)
    assert words in said
    assert "secret-word" not in said


def test_a_database_that_is_not_there(milvus_url: str) -> None:
    """The name stands after the slash; the usual one is there."""
    assert "has no database of the name that ends index.url" in refusal(Unconnectable, f"{milvus_url}/nowhere")
    with Calls(IndexSettings(backend="milvus", url=f"{milvus_url}/default", token=TOKEN)) as calls:
        assert calls.version().startswith("v2.")


def test_what_is_no_milvus_of_our_time(no_milvus: int) -> None:
    """A server without its calls is named as what it may be."""
    assert "is none, or one older than 2.3" in refusal(Unconnectable, f"http://127.0.0.1:{no_milvus}")


def test_another_port(web_server: int) -> None:
    """Nothing there, or something else: which port is usual is said."""
    for port in (9, web_server):
        assert "19530 is its usual port" in refusal(DatabaseTrouble, f"http://127.0.0.1:{port}")


def test_https_where_there_is_none(milvus_url: str) -> None:
    """The scheme is named among what may be wrong."""
    assert "http or https" in refusal(DatabaseTrouble, milvus_url.replace("http:", "https:"))


def test_notes_that_somebody_has_dropped(milvus_url: str) -> None:
    """Nothing is noted then, and what is noted next is there for everybody."""
    settings = IndexSettings(backend="milvus", url=milvus_url, token=TOKEN)
    with Calls(settings) as calls:
        name = f"test_{secrets.token_hex(6)}"
        ours, theirs = Notes(calls, name), Notes(calls, name)
        for notes in (ours, theirs):
            notes.write("a", {"of": name})
            calls.drop(name)
            assert notes.read("a") is None
        ours.write("b", [1])
        calls.drop(name)
        ours.remove("b")
        theirs.write("b", [2])
        assert (ours.read("b"), ours.read("a")) == ([2], None)
        calls.drop(name)
        ours.write("b", [3])
        assert theirs.read("b") == [3]
        calls.delete_where(name, 'key != "b"')
        ours.write("b", [3])
        assert theirs.read("b") == [3]
        calls.drop(name)
        ours.replace_all({}, "mark")
        assert not ours.is_there()
