"""Every fault of a network for every call of both clients: a typed error or the right answer in time, nothing left.

``DDSIM_FAULTS=thorough`` tries the faults at other exchanges of a call as well, and with other numbers of tries.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from calls import Scene
from matrix import CALLS, SLACK, Case, cancel, cases, furnished, try_out

from ddsim import Client
from ddsim.deepdetect.transport import Timeout
from ddsim.embedded import EmbeddedServer, Engine

pytestmark = pytest.mark.enable_socket
CASES = cases(thorough=os.environ.get("DDSIM_FAULTS") == "thorough")


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Scene, int, dict[str, Any]]]:
    """A server with services, its port, and what each call gives on a good day."""
    folder: Path = tmp_path_factory.mktemp("repositories")
    with EmbeddedServer(Engine()) as server, Client(server.url) as direct:
        scene = Scene(direct, folder)
        yield scene, urlsplit(server.url).port or 0, furnished(scene)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_fault(case: Case, stage: tuple[Scene, int, dict[str, Any]]) -> None:
    """The call ends in time, typed or right; nothing is doubled, nothing leaks, and the client works on."""
    try_out(case, *stage)


# A server without training refuses the other two.
@pytest.mark.parametrize("call", [name for name in CALLS if not name.startswith("train")])
@pytest.mark.parametrize("tasks", [False, True], ids=["threads", "tasks"])
@pytest.mark.parametrize("fault", ["429", "429 for now", "429 until a date"])
def test_refused_for_now(fault: str, tasks: bool, call: str, stage: tuple[Scene, int, dict[str, Any]]) -> None:
    """A call of which a server says that nothing was done is right at the second try, whatever it changes."""
    assert try_out(Case(fault, call, tasks), *stage, Timeout(SLACK, SLACK)) == "right"


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("fault", ["silent", "too late"])
def test_cancelled(fault: str, call: str, stage: tuple[Scene, int, dict[str, Any]]) -> None:
    """A task that is cancelled in the middle of a call leaves no connection half used and nothing doubled."""
    cancel(Case(fault, call, tasks=True), *stage[:2])
