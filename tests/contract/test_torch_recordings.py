"""Replays the recordings of a Torch server against the profile torch-v0.29, by both of its doors.

Those of a server built with similarity search (50 to 53) have no profile, and are not replayed.
"""

from __future__ import annotations

from pathlib import Path

import pytest
import torch_world
from differences import TORCH_DIFFERENCES, expected
from doors import SocketDoor
from recorded import TORCH_WIRE, load, names
from servers import Running
from torch_replay import TorchReplay
from world import World

pytestmark = pytest.mark.enable_socket

PROFILE = "torch-v0.29"
OFFICIAL = [name for name in names(TORCH_WIRE) if not name.startswith("5")]


@pytest.fixture
def world(tmp_path: Path) -> World:
    """The folders of the recorded Torch server."""
    return torch_world.build(tmp_path)


@pytest.mark.parametrize("name", OFFICIAL)
def test_torch_profile_answers_as_recorded(name: str, running: Running, world: World) -> None:
    """Each answer has the recorded status, codes and shape, but where a difference is listed, and there it differs."""
    found = TorchReplay(load(name, TORCH_WIRE), world, running.door, running.start).run()
    meant = expected(name, over_http=isinstance(running.door, SocketDoor), of=TORCH_DIFFERENCES)
    unlisted = {position: problems for position, problems in found.items() if position not in meant}
    assert not unlisted, "\n".join(f"exchange {position}: {problems}" for position, problems in unlisted.items())
    gone = {position: difference for position, difference in meant.items() if position not in found}
    assert not gone, f"listed differences that no longer occur: {gone}"


def test_every_difference_names_recorded_exchanges() -> None:
    """The table points at exchanges that exist and were replayed, and no name is used twice."""
    for difference in TORCH_DIFFERENCES:
        for scenario, positions in difference.where.items():
            assert scenario in OFFICIAL
            assert max(positions) < len(load(scenario, TORCH_WIRE).exchanges)
    assert len({difference.name for difference in TORCH_DIFFERENCES}) == len(TORCH_DIFFERENCES)


def test_all_recordings_are_there() -> None:
    """32 scenarios were recorded, 28 of them with the official options."""
    assert (len(names(TORCH_WIRE)), len(OFFICIAL)) == (32, 28)
