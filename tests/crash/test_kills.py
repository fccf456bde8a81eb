"""ddsim and its server are killed, as real processes, at many points: nothing is lost and nothing is there twice.

The points are drawn from a seed. ``DDSIM_CRASH_POINTS`` (of each backend) and ``DDSIM_CRASH_SEED`` make longer or other
runs; a failure names the seed and the points so far. Without ``--long`` there is one campaign for each backend.
"""

from __future__ import annotations

import itertools
import os
import random
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from campaign import Campaign, Tally
from milvus_keeper import TOKEN
from points import draw_exchange, draw_point
from processes import Commands, Processes
from sharing import first_alone
from stocktaking import BATCH, CHECKPOINT, draw, rework

pytestmark = [
    pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork and kill -9"),
    pytest.mark.usefixtures("loopback"),
]
_POINTS = int(os.environ.get("DDSIM_CRASH_POINTS", "28"))
_SEED = int(os.environ.get("DDSIM_CRASH_SEED", "1"))
_AT_ONCE = 7
_SEEDS = [f"{_SEED}.{number}" for number in range(-(-_POINTS // _AT_ONCE))]


@pytest.fixture(scope="module")
def processes() -> Iterator[Processes]:
    """Starts real processes quickly."""
    with Processes() as started:
        yield started


@pytest.fixture(scope="module")
def catalogue(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two hundred pictures, five of them bad."""
    folder = tmp_path_factory.mktemp("catalogue")
    draw(folder)
    return folder


@pytest.mark.parametrize("seed", first_alone(_SEEDS))
@pytest.mark.parametrize("backend", ["server", "local"])
def test_nothing_is_lost_or_doubled_wherever_processes_are_killed(
    backend: str, seed: str, processes: Processes, catalogue: Path, tmp_path: Path
) -> None:
    """After kills at seeded points and one whole run, each good picture is found once and each bad one explained."""
    dice = random.Random(f"{seed} {backend}")  # noqa: S311  nothing secret
    struck = 0
    for number in itertools.count():
        folder = tmp_path / str(number)
        folder.mkdir()
        with Campaign(processes, folder, catalogue, backend) as campaign, _named(campaign, seed):
            campaign.strike(lambda: draw_point(dice, backend), _AT_ONCE - struck)
            campaign.finish()
        _tell(campaign.tally, backend, seed)
        struck += len(campaign.tally.points)
        if struck >= _AT_ONCE:
            return


@pytest.mark.long
@pytest.mark.parametrize("backend", ["server", "local"])
def test_changes_of_an_indexed_catalogue_survive_kills(backend: str, processes: Processes, tmp_path: Path) -> None:
    """Changed, removed and new pictures are found as they are now, and as nothing else."""
    seed = f"{_SEED} changes"
    dice = random.Random(f"{seed} {backend}")  # noqa: S311  nothing secret
    catalogue = tmp_path / "catalogue"
    draw(catalogue)
    with Campaign(processes, tmp_path, catalogue, backend) as campaign, _named(campaign, seed):
        campaign.finish()
        rework(catalogue)
        campaign.strike(lambda: draw_point(dice, backend), 5)
        campaign.finish()
    _tell(campaign.tally, backend, seed)


@pytest.mark.long
@pytest.mark.parametrize("changes", [False, True])
def test_a_database_loses_nothing_wherever_processes_are_killed(
    changes: bool, processes: Processes, tmp_path: Path, milvus_url: str
) -> None:
    """Vectors in a Milvus, run and server killed at seeded points, of a new catalogue and a changed one: as above."""
    seed = f"{_SEED} database {changes}"
    dice = random.Random(seed)  # noqa: S311  nothing secret
    catalogue = tmp_path / "catalogue"
    draw(catalogue)
    index = {"url": milvus_url, "token": TOKEN, "collection": f"crash_{secrets.token_hex(6)}"}
    with Campaign(processes, tmp_path, catalogue, "milvus", **index) as campaign, _named(campaign, seed):
        if changes:
            campaign.finish()
            rework(catalogue)
        campaign.strike(lambda: draw_point(dice, "milvus"), 5 if changes else _AT_ONCE)
        campaign.finish()
    assert campaign.tally.points
    _tell(campaign.tally, "milvus", seed)


@pytest.mark.long
@pytest.mark.parametrize("backend", ["server", "local"])
def test_the_commands_themselves_lose_nothing(backend: str, tmp_path: Path) -> None:
    """`python -m ddsim.index` and `python -m ddsim server`, started as users start them, keep the same promise."""
    seed = f"{_SEED} commands"
    dice = random.Random(f"{seed} {backend}")  # noqa: S311  nothing secret
    catalogue = tmp_path / "catalogue"
    draw(catalogue, readable=False)
    with (
        Commands() as commands,
        Campaign(commands, tmp_path, catalogue, backend) as campaign,
        _named(campaign, seed),
    ):
        campaign.strike(lambda: draw_exchange(dice), 4)
        campaign.finish()
    _tell(campaign.tally, backend, seed)


@contextmanager
def _named(campaign: Campaign, seed: str) -> Iterator[None]:
    """Say at a failure what would repeat it."""
    try:
        yield
    except BaseException:
        print(f"seed {seed}: killed at {campaign.tally.points}")  # noqa: T201  pytest shows it
        raise


def _tell(tally: Tally, backend: str, seed: str) -> None:
    print(  # noqa: T201
        f"{backend} {seed}: {len(tally.points)} kills, {tally.runs} runs ({tally.gave_up} gave up), "
        f"sent again for each: {tally.resent}"
    )
    # Pictures are built together with the batch that makes them so many. A server's own index is given up where it died
    # during a build, which costs all of it.
    assert backend == "server" or all(cost < CHECKPOINT + BATCH for cost in tally.resent), (tally.resent, tally.points)
