"""Both clients: what is demanded of one is demanded of the other."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from awaited import Awaited

from ddsim import Client, Retries


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """The tests of the client itself are those of both."""
    if "client" in metafunc.fixturenames and metafunc.module.__name__.rpartition(".")[2].startswith("test_client"):
        metafunc.parametrize("client", ["threads", "tasks"], indirect=True)


@pytest.fixture
def client(request: pytest.FixtureRequest, transport: Any) -> Iterator[Any]:
    """A client of the server that answers everything well; it waits for nothing between tries."""
    if getattr(request, "param", "threads") == "threads":
        yield Client(transport=transport, retries=Retries(sleep=lambda _: None))
        return
    awaited = Awaited(transport)
    yield awaited
    awaited.close()
