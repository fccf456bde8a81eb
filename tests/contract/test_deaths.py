"""A server that is killed while it writes its index: the run goes on, and every picture is found by name afterwards.

Against `ddsim server` in a process of its own; with ``--server URL --restart-command COMMAND`` against a live server,
which the command kills with ``kill -9`` and starts again.
"""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from neighbours import Gate, GatedTransport, User, World
from processes import Commands, Server
from sharing import first_alone
from world import TINY

from ddsim import Client, ConfigError, DDSimError, IndexLost, Reply, Timeout
from ddsim.catalogue import ItemState

pytestmark = pytest.mark.enable_socket
SEEDS = pytest.mark.parametrize("seed", first_alone(range(int(os.environ.get("DDSIM_DEATHS", "2")))))
_PATIENCE_S = 90.0


@dataclass
class Mortal:
    """A server, and how it is killed and started again."""

    world: World
    kill_and_start: Callable[[], None]


@pytest.fixture
def mortal(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Mortal]:
    """The server of this test."""
    gate, live = Gate(0), request.config.getoption("--server", None)
    if live:
        command = request.config.getoption("--restart-command", None)
        if not command:
            pytest.skip("kills the server: needs --restart-command")
        models, data = request.config.getoption("--server-models"), request.config.getoption("--server-data")
        world = World(live.rstrip("/"), f"{models}/tiny", f"{data}/indexes/{uuid4().hex}", gate)
        yield Mortal(world, lambda: _run(command, world.url))
        world.clear()
        return
    shutil.copytree(TINY, tmp_path / "tiny")
    (tmp_path / "data").mkdir()
    with Commands() as commands:
        server = Server(commands, tmp_path, trap=None, poison=None)
        world = World(f"http://127.0.0.1:{server.port}", str(tmp_path / "tiny"), str(tmp_path / "data"), gate)

        def kill_and_start() -> None:
            server.kill()
            server.start_again()

        yield Mortal(world, kill_and_start)


def _run(command: str, url: str) -> None:
    subprocess.run(command, shell=True, check=True, timeout=_PATIENCE_S)  # noqa: S602  whoever tests gave it
    with Client(url, retries=0, timeout=_PATIENCE_S) as client:
        for attempt in range(int(_PATIENCE_S)):
            try:
                client.info()
                return
            except DDSimError:
                assert attempt < _PATIENCE_S - 1, "the server does not come back"
                threading.Event().wait(1.0)


class Deadly(GatedTransport):
    """Kills the server so many seconds after a build was sent to it, once."""

    def __init__(self, mortal: Mortal, build: int, seconds: float) -> None:
        super().__init__(mortal.world.url, mortal.world.gate)
        self._mortal, self._left, self._seconds = mortal, build, seconds
        self.killed = False

    def exchange(self, method: str, path: str, json: Mapping[str, Any] | None, timeout: Timeout) -> Reply:
        """Make one call; the one that is aimed at may not be answered."""
        output = (json or {}).get("parameters", {}).get("output", {})
        builds = path == "/predict" and bool(output.get("build_index"))
        self._left -= builds
        if not builds or self._left != 0:
            return super().exchange(method, path, json, timeout)
        self.killed = True
        blow = threading.Timer(self._seconds, self._mortal.kill_and_start)
        blow.start()
        try:
            return super().exchange(method, path, json, timeout)
        finally:
            blow.join(_PATIENCE_S)


@SEEDS
def test_a_server_that_is_killed_at_a_build(mortal: Mortal, tmp_path: Path, seed: int) -> None:
    """The run waits for it and goes on; nothing is lost or doubled, and no search reaches a row without a name."""
    dice = random.Random(seed)  # noqa: S311  nothing secret
    user = User(tmp_path / "user", mortal.world, "a", {"index": {"checkpoint": 4, "batch_size": 4}})
    user.draw(*range(8))
    user.index()
    user.draw(*range(8, 20))
    deadly = Deadly(mortal, dice.randrange(1, 3), dice.choice([0.0, 0.002, 0.005, 0.02]))
    with closing(user.client(deadly)) as client, user.collection(client) as collection:
        report = collection.index()
    assert deadly.killed
    assert report.finished
    user.assert_whole()


@SEEDS
def test_a_server_and_a_run_that_are_killed_together(mortal: Mortal, tmp_path: Path, seed: int) -> None:
    """As at a power cut: whoever comes next, a page or a run, touches nothing that may be torn."""
    dice = random.Random(100 + seed)  # noqa: S311  nothing secret
    user = User(tmp_path / "user", mortal.world, "a", {"index": {"checkpoint": 4, "batch_size": 4}})
    user.draw(*range(8))
    user.index()
    user.draw(*range(8, 20))

    class Killed(BaseException):
        pass

    class Both(Deadly):
        def exchange(self, method: str, path: str, json: Mapping[str, Any] | None, timeout: Timeout) -> Reply:
            if self.killed:
                raise Killed
            try:
                return super().exchange(method, path, json, timeout)
            except DDSimError:
                if self.killed:
                    raise Killed from None
                raise

    both = Both(mortal, dice.randrange(1, 3), dice.choice([0.0, 0.002, 0.005, 0.02]))
    with closing(user.client(both)) as client, user.collection(client) as collection, pytest.raises(Killed):
        collection.index()
    if dice.random() < 0.5:
        with suppress(IndexLost, ConfigError):  # what may be torn is given up, and nothing is left
            user.page(3)
    user.index()
    user.assert_whole()
    with closing(user.client()) as client, user.collection(client) as collection:
        assert collection.manifest.counts()[ItemState.INDEXED] == 20
