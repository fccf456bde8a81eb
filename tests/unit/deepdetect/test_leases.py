"""ddsim.deepdetect.leases: one works on an index, and whoever comes second is told who it is."""

from __future__ import annotations

import json
import os
import random
import socket
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from shop import Sent, Shop, once

from ddsim import ConnectionLost, ManifestBusy, Reply
from ddsim.deepdetect import holders, is_lease, leases
from ddsim.deepdetect.leases import APART, LASTS, RENEWED, Lease


@dataclass
class World:
    """A server, a clock, and the machine that whoever asks is on."""

    shop: Shop
    patch: pytest.MonkeyPatch
    now: float = 1_000_000.0
    state: Path = Path("/state")

    def lease(self, who: str = "shop", folder: str = "a", ahead: float = 0.0) -> Lease:
        """One more that wants to work on the index, by a clock that is ahead."""
        lease = Lease(
            self.shop.client(),
            "sim-3f2a91",
            owner=f"{who} /state/{folder}",
            folder=self.state / folder,
            clock=lambda: self.now + ahead,
        )
        lease.repository = str(self.shop.root / "indexes" / "x-g1")
        return lease

    def on(self, host: str) -> None:
        """Go to another machine."""
        self.patch.setattr(socket, "gethostname", lambda: host)

    def in_container(self, name: str) -> None:
        """Go to another container on this machine, which has its own name and its own processes."""
        self.patch.setattr(leases, "here", lambda: (name, f"the machine's start, {name}"))

    def numbers(self) -> list[int]:
        """What of the lease is on the server."""
        return sorted(holders(self.shop.client(), "sim-3f2a91"))


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    """A server without leases."""
    return World(Shop(tmp_path), monkeypatch)


def test_one_has_it_and_gives_it_back(world: World) -> None:
    """While it is held its service is there, without a network and without an index; afterwards nothing is."""
    lease = world.lease()
    lease.take()
    (service,) = world.shop.client().info().services
    assert service.name == "sim-3f2a91.lease-1"
    assert is_lease(service.description)
    (holder,) = holders(world.shop.client(), "sim-3f2a91").values()
    assert (holder.owner, holder.pid, holder.host) == ("shop /state/a", os.getpid(), socket.gethostname())
    assert (holder.since, holder.until) == (world.now, world.now + LASTS)
    lease.release()
    lease.release()
    assert world.numbers() == []


def test_the_second_is_told_who_where_and_since_when(world: World) -> None:
    """Before anything of his is on the server; the first has it still."""
    first = world.lease("first")
    first.take()
    world.on("other-machine")
    second = world.lease("second", "b")
    with pytest.raises(ManifestBusy) as caught:
        second.take()
    assert (caught.value.pid, caught.value.since, caught.value.until) == (os.getpid(), world.now, world.now + LASTS)
    for word in (f"process {os.getpid()}", "first /state/a", "since 1970-01-12", "until 1970-01-12"):
        assert word in str(caught.value)
    second.release()
    assert world.numbers() == [1]
    first.release()
    second.take()


def test_it_is_renewed_now_and_then(world: World) -> None:
    """Not at every use; each renewal is the next number, and others go on to be refused."""
    lease = world.lease()
    lease.take()
    world.now += RENEWED / 2
    lease.hold()
    assert world.numbers() == [1]
    world.now += RENEWED
    lease.hold()
    assert world.numbers() == [2]
    world.now += LASTS - 1
    world.on("other-machine")
    with pytest.raises(ManifestBusy):
        world.lease("second", "b").take()


def test_holding_what_was_never_taken_takes_it(world: World) -> None:
    """Whoever holds has it."""
    world.lease().hold()
    assert world.numbers() == [1]


@pytest.mark.parametrize("ahead", [-APART + 1, 0.0, APART - 1])
def test_clocks_may_differ(world: World, ahead: float) -> None:
    """By five minutes either way: a lease that is renewed as it should be is not taken for a dead one's."""
    lease = world.lease(ahead=ahead)
    lease.take()
    world.now += LASTS
    world.on("other-machine")
    with pytest.raises(ManifestBusy):
        world.lease("second", "b").take()


def test_one_that_is_not_heard_of_any_more_is_taken_over_from(world: World) -> None:
    """On another machine that is known by time alone; who was taken for gone learns it, and lets the other be."""
    first = world.lease("first")
    first.take()
    world.now += LASTS + APART + 1
    world.on("other-machine")
    second = world.lease("second", "b")
    second.take()
    assert world.numbers() == [2]
    with pytest.raises(ManifestBusy, match="second /state/b"):
        first.hold()
    first.release()
    assert world.numbers() == [2]
    second.hold()


def test_a_process_of_this_machine_that_ended_holds_nothing(world: World) -> None:
    """However it ended, it is taken over from at once; one that lives is not."""
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    world.patch.setattr(os, "getpid", lambda: ended.pid)
    world.lease("first").take()
    world.patch.undo()
    world.lease("second", "b").take()
    assert world.numbers() == [2]
    with pytest.raises(ManifestBusy):
        world.lease("third", "c").take()


def test_whoever_has_the_folders_lock_has_the_lease(world: World) -> None:
    """On one machine there is nobody else in that folder, whatever process has the number of one that ended."""
    world.lease().take()
    world.lease().take()
    assert world.numbers() == [2]


def test_a_container_is_a_machine_of_its_own(world: World) -> None:
    """Under the same name, with other processes: that none has this number here says nothing."""
    world.lease("first").take()
    world.patch.setattr(leases, "here", lambda: (socket.gethostname(), "another container"))
    with pytest.raises(ManifestBusy):
        world.lease("second").take()


@pytest.fixture
def volume(world: World, tmp_path: Path) -> Path:
    """A folder that several containers see, with the state of two manifests; one has another one being built in it."""
    if not leases.places_of(tmp_path):
        pytest.skip("needs a system that tells its starts apart")
    world.state = tmp_path / "volume"
    for folder in ("a/beside", "b"):
        (world.state / folder).mkdir(parents=True)
    return world.state


@pytest.mark.usefixtures("volume")
@pytest.mark.parametrize(("before", "after"), [("a", "a"), ("a/beside", "a"), ("a", "a/beside")])
def test_a_container_made_anew_has_the_lease_of_the_one_before(world: World, before: str, after: str) -> None:
    """Whoever has the lock of the very folder that the holder worked in knows that his run is over."""
    world.in_container("one")
    world.lease("first", before).take()
    world.in_container("another")
    world.lease("second", after).take()
    assert world.numbers() == [2]


@pytest.mark.usefixtures("volume")
def test_another_folder_beside_it_says_nothing(world: World) -> None:
    """Its lock is another one, though both lie in one folder."""
    world.in_container("one")
    world.lease("first", "a").take()
    world.in_container("another")
    with pytest.raises(ManifestBusy):
        world.lease("second", "b").take()


def test_a_folder_of_the_same_name_says_nothing(world: World, volume: Path) -> None:
    """Each container has its state under the same path: only whose folder is the very same one has its lock."""
    world.in_container("one")
    world.lease("first").take()
    (volume / "a").rename(volume / "elsewhere")
    (volume / "a").mkdir()
    world.in_container("another")
    with pytest.raises(ManifestBusy):
        world.lease("second").take()


@pytest.mark.usefixtures("volume")
def test_a_folder_that_two_machines_share_says_nothing(world: World) -> None:
    """A network file system may keep locks from other machines, so there time alone tells."""
    world.on("one")
    world.lease("first").take()
    world.patch.setattr(leases, "started", lambda: "another machine's start")
    world.on("another")
    with pytest.raises(ManifestBusy):
        world.lease("second").take()


def test_a_lease_of_an_older_version_is_one(world: World) -> None:
    """It does not say which folder its holder works in, but for its path."""
    world.lease("first").take()
    (service,) = world.shop.client().info().services
    words = json.loads(service.description.removeprefix("ddsim lease "))
    del words["places"]
    holder = leases.holder_of(f"ddsim lease {json.dumps(words)}")
    assert holder is not None
    assert (holder.word, holder.places) == (words["word"], "")


def test_a_server_that_was_restarted_gives_it_again(world: World) -> None:
    """It forgot the lease; whoever held it takes it anew, unless somebody else came first."""
    first = world.lease("first")
    first.take()
    world.shop.tap.restart()
    world.now += RENEWED
    first.hold()
    assert len(world.numbers()) == 1
    world.shop.tap.restart()
    world.on("other-machine")
    world.lease("second", "b").take()
    world.now += RENEWED
    with pytest.raises(ManifestBusy, match="second"):
        first.hold()
    assert len(world.numbers()) == 1


@pytest.mark.parametrize("carried_out", [False, True])
def test_an_answer_that_is_lost_is_no_lease_lost(world: World, carried_out: bool) -> None:
    """Whoever asks again finds out whether it was created, and has it."""

    def lost(carry_out: Callable[[], Reply]) -> Reply:
        if carried_out:
            carry_out()
        raise ConnectionLost("gone")

    lease = world.lease()
    world.shop.tap.faults.append(once(lambda sent: sent.method == "PUT", lost))
    with pytest.raises(ConnectionLost):
        lease.take()
    lease.take()
    assert world.numbers() == [1]
    world.now += RENEWED
    world.shop.tap.faults.append(once(lambda sent: sent.method == "PUT", lost))
    with pytest.raises(ConnectionLost):
        lease.hold()
    lease.take()
    assert len(world.numbers()) == 1
    lease.release()
    assert world.numbers() == []


@pytest.mark.parametrize(("status", "dd_code"), [(404, 1000), (400, 1006)])
def test_a_server_without_caffe_holds_none(
    world: World, caplog: pytest.LogCaptureFixture, status: int, dd_code: int
) -> None:
    """Nobody is kept from his work there; that others are not told of him is said once."""
    words = {"status": {"code": status, "msg": "No", "dd_code": dd_code, "dd_msg": "Unknown Library"}}
    refused = Reply(status, json.dumps(words).encode())
    world.shop.tap.faults.append(lambda sent, _: refused if sent.method == "PUT" else None)
    lease = world.lease()
    lease.take()
    world.now += 2 * RENEWED
    lease.hold()
    lease.release()
    assert world.numbers() == []
    assert caplog.text.count("holds no leases") == 1


@pytest.mark.parametrize("description", ["", "ddsim lease ", "ddsim lease []", 'ddsim lease {"pid": "x"}', "sofas"])
def test_what_cannot_be_read_is_nobodys_lease(world: World, description: str) -> None:
    """Whatever somebody wrote into a service of such a name, it keeps nobody out for good."""
    lease = world.lease()
    spec = world.shop.settings.classification_spec()
    assert spec is not None
    world.shop.client().create_service(
        spec.model_copy(update={"name": "sim-3f2a91.lease-x", "description": description})
    )
    lease.take()
    assert world.numbers() == [1]


@pytest.mark.parametrize("seed", range(20))
def test_of_many_at_once_one_has_it(world: World, seed: int) -> None:
    """However their calls are shuffled: never two, and never nobody once the others were told who it is."""
    dice = random.Random(seed)  # noqa: S311  nothing secret
    world.on(f"machine-{dice.randrange(3)}")
    waiting = [world.lease(f"user-{number}", str(number)) for number in range(3)]
    has: list[Lease] = []

    def somebody_comes_between(sent: Sent, _: Callable[[], Reply]) -> Reply | None:
        if waiting and dice.random() < 0.4:
            attempt(waiting.pop())
        return None

    def attempt(lease: Lease) -> None:
        try:
            lease.take()
            has.append(lease)
        except ManifestBusy as error:
            assert "user-" in str(error)  # noqa: PT017

    world.shop.tap.faults.append(somebody_comes_between)
    while waiting:
        attempt(waiting.pop())
    world.shop.tap.faults.clear()
    assert len(has) <= 1
    assert len(world.numbers()) == len(has)
