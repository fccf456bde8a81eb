"""What the tests of the page share: it on a small indexed catalogue, in the process and on a real port."""

from __future__ import annotations

import io
import socket
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from shop import Shop, plain
from starlette.testclient import TestClient
from webshop import ADDRESS, Served, app_of, stocked

from ddsim.web.limits import Limits


@pytest.fixture(scope="session")
def stock(tmp_path_factory: pytest.TempPathFactory) -> Shop:
    """An indexed shop, for branches that only look."""
    return stocked(Shop(tmp_path_factory.mktemp("stock")))


@pytest.fixture
def shop(stock: Shop, tmp_path: Any) -> Shop:
    """A branch of it with a server of its own; ``shop.tap.faults`` spoils what that answers."""
    return stock.branch(tmp_path)


@pytest.fixture
def opened() -> Iterator[Callable[..., TestClient]]:
    """Opens the page over a shop: ``opened(shop, limits)``."""
    clients: list[TestClient] = []

    def open_page(shop: Shop, limits: Limits | None = None, **more: Any) -> TestClient:
        client = TestClient(app_of(shop, limits, **more), base_url=ADDRESS)
        clients.append(client.__enter__())
        return client

    yield open_page
    for client in clients:
        client.__exit__(None, None, None)


@pytest.fixture
def page(shop: Shop, opened: Callable[..., TestClient]) -> TestClient:
    """The page over the shop."""
    return opened(shop)


@pytest.fixture
def empty(tmp_path: Any) -> Shop:
    """A shop in which nothing is indexed."""
    return Shop(tmp_path)


@pytest.fixture
def serving(loopback: None) -> Iterator[Callable[..., Served]]:
    """Puts the page over a shop on a port: ``serving(shop, limits)``."""
    import uvicorn

    running: list[tuple[uvicorn.Server, threading.Thread, socket.socket]] = []

    def serve(shop: Shop, limits: Limits | None = None, **more: Any) -> Served:
        # asyncio answers at once only where a socket says that it is TCP's.
        door = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        door.bind(("127.0.0.1", 0))
        door.listen()
        config = uvicorn.Config(app_of(shop, limits, **more), log_config=None, timeout_graceful_shutdown=1)
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [door]}, daemon=True)
        thread.start()
        running.append((server, thread, door))
        # Connections wait at the door until the server is there.
        return Served(f"{ADDRESS}:{door.getsockname()[1]}", shop)

    yield serve
    for server, thread, door in running:
        server.should_exit = True
        thread.join(10)
        door.close()


@pytest.fixture
def served(shop: Shop, serving: Callable[..., Served]) -> Served:
    """The page over the shop on a port."""
    return serving(shop)


@pytest.fixture
def photo() -> bytes:
    """A photo of nothing in particular."""
    file = io.BytesIO()
    plain("#7a9", (48, 32)).save(file, "PNG")
    return file.getvalue()
