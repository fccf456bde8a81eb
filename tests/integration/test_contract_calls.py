"""The recorded calls of tests/contract on a server that runs elsewhere: in a container, or where ``--server`` says."""

from __future__ import annotations

import uuid
from collections.abc import Iterator

import pytest
from caller import Caller
from differences import expected, unsent
from dock import Story, is_embedded
from doors import SocketDoor
from recorded import Scenario, load, names
from replay import Replay
from test_recordings import _created, _unfit_for_live
from world import World


@pytest.fixture
def door(server_url: str) -> Iterator[SocketDoor]:
    """The way to the server."""
    door = SocketDoor(server_url)
    yield door
    door.close()


# Left out is what restarts the server, looks at its files or needs a network that is too large for the repository.
APPLICABLE = [name for name in names() if not _unfit_for_live(load(name))]


@pytest.fixture(scope="module")
def recorded_world(server_url: str, contract_places: dict[str, str]) -> dict[str, str]:
    """Where the recordings' network and pictures lie on the server, once it is clear that they do."""
    world, door = World(contract_places), SocketDoor(server_url)
    caller = Caller(door, world)
    input_, network = {"connector": "image", "width": 32, "height": 32}, {"nclasses": 5}
    service = {
        "mllib": "caffe",
        "type": "supervised",
        "parameters": {"input": input_, "mllib": network},
        "model": {"repository": "/opt/models/tiny"},
    }
    caller.call("PUT", "/services/ddsim-looks", service)
    request = {"service": "ddsim-looks", "parameters": {}, "data": ["/data/images/chair1.jpg"]}
    status, answer = caller.call("POST", "/predict", request)
    caller.call("DELETE", "/services/ddsim-looks")
    door.close()
    if status != 200:
        pytest.skip(
            "the recordings' network and pictures are not on this server: copy tests/contract/recordings/models/tiny "
            "and recordings/images there (docker cp), and name the folders above them by --server-models and "
            f"--server-data ({answer['status']})"
        )
    return contract_places


def _lists_services(scenario: Scenario) -> bool:
    requests = [exchange["request"] for exchange in scenario.exchanges if "request" in exchange]
    return any(request["path"].startswith("/info") for request in requests)


@pytest.mark.parametrize("name", APPLICABLE)
def test_answers_as_recorded(name: str, door: SocketDoor, server_url: str, recorded_world: dict[str, str]) -> None:
    """Each answer is the recorded one, but where the embedded server differs on purpose."""
    scenario = load(name)
    if _lists_services(scenario) and door.request("GET", "/info", {}, None).json()["head"]["services"]:
        pytest.skip("was recorded on a server without other services, and this one has some")
    meant = expected(name, over_http=True) if is_embedded(server_url) else {}
    world = World(recorded_world | {"/data/indexes": f"{recorded_world['/data']}/indexes/{uuid.uuid4().hex}"})
    try:
        found = Replay(scenario, world, door, skip=unsent(name), same_build=False).run()
    finally:
        for service in _created(scenario):
            door.request("DELETE", f"/services/{service}", {}, None)
    assert {position: problems for position, problems in found.items() if position not in meant} == {}


def test_index_and_search(story: Story) -> None:
    """Pictures are indexed, found each by itself, and neither sent again nor found once they are gone."""
    report = story.index()
    assert report["indexed"] == report["sent"] == 24
    story.assert_each_finds_itself()
    (story.catalogue / "lamp" / "002.png").unlink()
    again = story.index()
    assert (again["indexed"], again["sent"]) == (23, 0)
    story.assert_each_finds_itself()
