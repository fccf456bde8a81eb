"""Options and fixtures of the contract tests.

By default they run against the embedded server, straight and over a socket. ``--server URL`` runs them against a live
DeepDetect v0.25.0 that finds the recordings' tiny network and pictures where the other options say; scenarios that
restart or kill the server or look at its files are skipped there.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from doors import SocketDoor
from servers import Running
from world import World, build


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what is for the other kind of server."""
    other = "running" if config.getoption("--server", None) else "live"
    here = Path(__file__).parent
    unfit = [item for item in items if here in item.path.parents and other in getattr(item, "fixturenames", ())]
    if unfit:
        config.hook.pytest_deselected(items=unfit)
        items[:] = [item for item in items if item not in unfit]


@pytest.fixture(params=["in-process", "socket"])
def running(request: pytest.FixtureRequest) -> Iterator[Running]:
    """The embedded server by one of its doors; a test file may name another profile in ``PROFILE``."""
    running = Running(request.param, getattr(request.module, "PROFILE", "v0.25.0"))
    yield running
    running.stop()


@pytest.fixture
def live(request: pytest.FixtureRequest) -> Iterator[SocketDoor]:
    """The live server."""
    door = SocketDoor(request.config.getoption("--server"))
    yield door
    door.close()


@pytest.fixture
def live_places(request: pytest.FixtureRequest) -> dict[str, str]:
    """Recorded folders and the live server's."""
    return {
        "/opt/models": request.config.getoption("--server-models", "/opt/models"),
        "/data": request.config.getoption("--server-data", "/data"),
    }


@pytest.fixture
def world(request: pytest.FixtureRequest, tmp_path: Path) -> World:
    """The folders of the scenario that parametrizes the test."""
    return build(tmp_path, request.node.callspec.params.get("name", ""))
