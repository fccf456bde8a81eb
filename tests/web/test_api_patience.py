"""Connections that say nothing do not keep others out."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Iterator
from typing import Any

import pytest
import uvicorn

from ddsim.web.patience import impatient

BEGUN = b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Slow: "


class Slow:
    """A page whose answer at /wait comes when it is told to."""

    def __init__(self) -> None:
        self.asked = threading.Event()
        self.go = threading.Event()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer."""
        if scope["path"] == "/wait":
            self.asked.set()
            await asyncio.to_thread(self.go.wait, 30)
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
        await send({"type": "http.response.body", "body": b"ok"})


@pytest.fixture
def served(loopback: None) -> Iterator[tuple[Slow, int]]:
    """That page on a port, with little patience."""
    page = Slow()
    door = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    door.bind(("127.0.0.1", 0))
    door.listen()
    config = uvicorn.Config(page, http=impatient(0.05), log_config=None, lifespan="off", timeout_graceful_shutdown=1)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [door]}, daemon=True)
    thread.start()
    yield page, door.getsockname()[1]
    server.should_exit = True
    thread.join(10)
    door.close()


def connected(port: int, said: bytes) -> socket.socket:
    """A connection on which that was sent."""
    door = socket.create_connection(("127.0.0.1", port), timeout=30)
    door.sendall(said)
    return door


def heard(door: socket.socket) -> bytes:
    """Everything until the other side ends the connection."""
    found = b""
    with door:
        while part := door.recv(4096):
            found += part
    return found


@pytest.mark.parametrize("said", [b"", BEGUN])
def test_who_says_nothing_is_left(served: tuple[Slow, int], said: bytes) -> None:
    """A connection without a whole request is ended."""
    assert heard(connected(served[1], said)) == b""


def test_a_second_request_that_is_not_finished(served: tuple[Slow, int]) -> None:
    """So is one whose first request was answered."""
    answer = heard(connected(served[1], b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n" + BEGUN))
    assert answer.startswith(b"HTTP/1.1 200")
    assert answer.endswith(b"ok")


def test_an_answer_that_takes_longer_comes(served: tuple[Slow, int]) -> None:
    """While a search is at work nothing is ended, however long others have been left by then."""
    page, port = served
    asking = connected(port, b"GET /wait HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")
    assert page.asked.wait(30)
    for _ in range(3):
        assert heard(connected(port, BEGUN)) == b""
    page.go.set()
    assert heard(asking).endswith(b"ok")
