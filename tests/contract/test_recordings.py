"""Replays every recording against the embedded server by both of its doors, or against a live one."""

from __future__ import annotations

import uuid

import pytest
from differences import DIFFERENCES, expected, unsent
from doors import SocketDoor
from recorded import Scenario, load, names
from replay import Replay
from servers import Running
from world import SQUEEZENET, World

pytestmark = pytest.mark.enable_socket

#: Scenarios of the recorded 1000-class network, which is too large for the repository.
_SQUEEZENET = ("04b-", "14-", "50-", "51-", "60-", "61-")


def _needs_squeezenet(name: str) -> None:
    if name.startswith(_SQUEEZENET) and not SQUEEZENET.is_dir():
        pytest.skip(f"needs the SqueezeNet of the recordings in {SQUEEZENET}")


@pytest.mark.parametrize("name", names())
def test_embedded_server_answers_as_recorded(name: str, running: Running, world: World) -> None:
    """Each answer is the recorded one, but where a difference is listed, and there it does differ."""
    _needs_squeezenet(name)
    replay = Replay(load(name), world, running.door, running.start)
    found = replay.run()
    meant = expected(name, over_http=isinstance(running.door, SocketDoor))
    unlisted = {position: problems for position, problems in found.items() if position not in meant}
    assert not unlisted, _listed(unlisted)
    gone = {position: difference for position, difference in meant.items() if position not in found}
    assert not gone, f"listed differences that no longer occur: {gone}"


@pytest.mark.parametrize("name", names())
def test_live_server_answers_as_recorded(name: str, live: SocketDoor, live_places: dict[str, str]) -> None:
    """A live server answers what the recorded one answered; nothing that could end it is sent."""
    scenario = load(name)
    reason = _unfit_for_live(scenario)
    if reason:
        pytest.skip(reason)
    own = f"{live_places['/data']}/indexes/{uuid.uuid4().hex}"
    world = World(live_places | {"/data/indexes": own})
    try:
        found = Replay(scenario, world, live, skip=unsent(name), same_build=False).run()
    finally:
        for service in _created(scenario):
            live.request("DELETE", f"/services/{service}", {}, None)
    assert not found, _listed(found)


def _listed(problems: dict[int, list[str]]) -> str:
    return "\n".join(f"exchange {position}: {problem}" for position, found in problems.items() for problem in found)


def _unfit_for_live(scenario: Scenario) -> str:
    if scenario.restarts:
        return "restarts or kills the server"
    if scenario.lists_files:
        return "looks at the server's files"
    if scenario.name.startswith(("04", "06", "12c")):
        return "needs files, rights or a fresh process that a live server does not have"
    return "needs another network" if scenario.name.startswith(_SQUEEZENET) else ""


def _created(scenario: Scenario) -> set[str]:
    requests = [exchange["request"] for exchange in scenario.exchanges if "request" in exchange]
    paths = {request["path"] for request in requests if request["method"] in ("PUT", "POST")}
    return {path.removeprefix("/services/").strip("/") for path in paths if path.startswith("/services/")}


def test_every_difference_names_recorded_exchanges() -> None:
    """The table points at exchanges that exist, and no name is used twice."""
    for difference in DIFFERENCES:
        for scenario, positions in difference.where.items():
            assert max(positions) < len(load(scenario).exchanges)
    assert len({difference.name for difference in DIFFERENCES}) == len(DIFFERENCES)


def test_all_recordings_are_there() -> None:
    """71 scenarios were recorded."""
    assert len(names()) == 71
