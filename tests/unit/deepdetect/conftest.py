"""Both clients: what is demanded of one is demanded of the other."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from awaited import Awaited

from ddsim import Client, Retries


@pytest.fixture(params=["threads", "tasks"])
def client(request: pytest.FixtureRequest, transport: Any) -> Iterator[Any]:
    """A client of the server that answers everything well; it waits for nothing between tries."""
    if request.param == "threads":
        yield Client(transport=transport, retries=Retries(sleep=lambda _: None))
        return
    awaited = Awaited(transport)
    yield awaited
    awaited.close()
