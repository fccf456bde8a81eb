"""Every way in which two honest users meet on one server, with their calls in an order that is drawn from a seed.

No search shows another catalogue's pictures or reaches a row without a name, none is lost or doubled, and whoever is
refused is told who the other is. Against the embedded server on a socket; with ``--server URL`` against a live one.
"""

from __future__ import annotations

import os
import shutil
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, nullcontext
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from neighbours import Gate, User, World, many_machines
from sharing import first_alone
from world import TINY

from ddsim import Client, DDSimError, IndexReport, ManifestBusy, ServiceNotFound, StateCopied, UnsafeCall
from ddsim.catalogue import Locks
from ddsim.deepdetect import Lease, ServiceSpec, holders
from ddsim.doctor import Options as DoctorOptions
from ddsim.doctor import diagnose
from ddsim.embedded import EmbeddedServer, Engine
from ddsim.evaluation import Options, evaluate_experiments, read_experiments
from ddsim.search import remove_from_server, states, unused_services
from ddsim.vectors import service_of

pytestmark = pytest.mark.enable_socket
SEEDS = pytest.mark.parametrize("seed", first_alone(range(int(os.environ.get("DDSIM_INTERLEAVINGS", "4")))))
ELSEWHERE = "other-machine"


@pytest.fixture
def world(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[World]:
    """The server, with folders of this test's own."""
    gate = Gate(request.node.callspec.params.get("seed", 0) if hasattr(request.node, "callspec") else 0)
    live = request.config.getoption("--server", None)
    if live:
        models, data = request.config.getoption("--server-models"), request.config.getoption("--server-data")
        made = World(live.rstrip("/"), f"{models}/tiny", f"{data}/indexes/{uuid4().hex}", gate)
        yield made
        made.clear()
        return
    server = EmbeddedServer(Engine())
    server.start()
    (tmp_path / "server").mkdir()
    yield World(server.url, str(TINY), str(tmp_path / "server"), gate)
    server.stop()


def shown(found: Any) -> list[list[str]]:
    """What a page showed, which must not have ended in an error."""
    assert not isinstance(found, DDSimError), found
    return list(found)


def done(report: Any) -> IndexReport:
    """A run's report, which must not have ended in an error."""
    assert isinstance(report, IndexReport), report
    assert report.finished
    return report


# One configuration, several catalogues; copied configurations


@SEEDS
@pytest.mark.parametrize("shares_state", [True, False], ids=["one state", "states of their own"])
@pytest.mark.parametrize("host", [socket.gethostname(), ELSEWHERE], ids=["one machine", "two machines"])
def test_two_catalogues_under_one_configuration(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: int, shares_state: bool, host: str
) -> None:
    """Runs and pages of both at once: each finds its own pictures, all of them at every moment."""
    many_machines(monkeypatch)
    state = {"state": str(tmp_path / "state")} if shares_state else {}
    a, b = User(tmp_path / "a", world, "a", state), User(tmp_path / "b", world, "b", state, host)
    a.draw(*range(6))
    b.draw(*range(7))
    done(a.index())
    done(b.index())
    before = a.uris
    a.draw(*range(6, 10))
    results = world.gate.run(a.index, b.page, a.page, lambda: b.index(rebuild=True))
    done(results[0])
    done(results[3])
    assert all(sorted(found) == b.uris for found in shown(results[1]))
    # A search is answered with as many as there were when it was asked, which may be nearer ones by then.
    assert all(len(found) >= len(before) for found in shown(results[2]))
    a.assert_whole()
    b.assert_whole()


@SEEDS
def test_the_same_catalogue_in_containers_with_states_of_their_own(world: World, tmp_path: Path, seed: int) -> None:
    """One server, one folder of pictures, and no state in common: each has an index of its own and sends for it."""
    a, b = User(tmp_path / "a", world, "a"), User(tmp_path / "b", world, "a")
    b.catalogue = a.catalogue
    a.draw(*range(6))
    world.gate.run(a.index, b.index)
    results = world.gate.run(a.page, lambda: b.index(rebuild=True), b.page)
    assert all(sorted(found) == a.uris for found in shown(results[0]) + shown(results[2]))
    a.assert_whole()
    b.assert_whole()


@SEEDS
def test_a_layer_that_changes_while_a_page_serves_the_old_one(world: World, tmp_path: Path, seed: int) -> None:
    """The old index answers for as long as somebody asks it, and the new one is another."""
    old, new = User(tmp_path / "a", world, "a"), User(tmp_path / "a", world, "a")
    old.draw(*range(6))
    done(old.index())
    new.configure(similarity={"extract_layer": "pool1"})
    settings = new.read()
    old.configure()
    old_settings = old.read()
    monkey = {id(old): old_settings, id(new): settings}
    old.read = lambda: monkey[id(old)]  # type: ignore[method-assign]
    new.read = lambda: monkey[id(new)]  # type: ignore[method-assign]
    results = world.gate.run(old.page, new.index, new.index)
    assert all(sorted(found) == old.uris for found in shown(results[0]))
    told = [one for one in results[1:] if isinstance(one, ManifestBusy)]
    assert all(str(os.getpid()) in str(one) for one in told)
    done(new.index())
    old.assert_whole()
    new.assert_whole()
    assert len([name for name in world.services() if ".lease-" not in name and "similar" in name]) == 2


# Other commands beside a page and a run


def evaluated(user: User) -> Any:
    """`ddsim evaluate` of this configuration on its catalogue."""
    experiments = read_experiments([user.root / user.config_name])
    options = Options(timing_queries=0)
    return evaluate_experiments(
        experiments,
        user.catalogue,
        options=options,
        cache=user.root / "cache",
        opening=lambda _: user.client(),
    )


def diagnosed(user: User) -> Any:
    """`ddsim doctor` of this configuration."""
    transport = user.transport()
    with closing(user.client(transport)) as client:
        return diagnose(user.read(), client, transport, DoctorOptions(), sleep=lambda _: None)


def trained(user: User) -> Any:
    """`ddsim train` of this configuration."""
    with closing(user.client()) as client, user.collection(client) as collection:
        return collection.train()


@SEEDS
@pytest.mark.parametrize("other", [evaluated, diagnosed, trained])
def test_other_commands_beside_a_page_and_a_run(
    world: World, tmp_path: Path, seed: int, other: Callable[[User], Any]
) -> None:
    """They do what they do, or are told who is at work, and take nothing from either."""
    user = User(tmp_path / "a", world, "a")
    user.draw(*range(12))
    done(user.index())
    before = user.uris
    user.draw(12, 13)
    results = world.gate.run(user.index, user.page, lambda: other(user))
    ended = [one for one in (results[0], results[2]) if isinstance(one, DDSimError)]
    assert all(isinstance(one, ManifestBusy) and str(os.getpid()) in str(one) for one in ended), ended
    assert len(ended) < 2
    assert all(len(found) >= len(before) for found in shown(results[1]))
    if diagnosed is other:
        assert not results[2].failed, [check for check in results[2].checks if check.status == "failed"]
    done(user.index())
    user.assert_whole()
    assert not [name for name in world.services() if name.startswith(("ddsim-doctor-", "ddsim-evaluate-"))]


# Two versions of ddsim


def as_an_older_version_left_it(user: User) -> ServiceSpec:
    """Its state and its service as versions had them that called the service by its plain name."""
    with closing(user.client()) as client, user.collection(client) as collection, collection.manifest.writing():
        spec = service_of(client, user.read(), collection.manifest)
        facts = {"owner": None, "building": None, "whereabouts": None}
        client.delete_service(spec.name)
        older = spec.model_copy(update={"name": user.read().similarity.service, "description": "ddsim {}"})
        client.create_service(older)
        collection.manifest.set_meta(incarnation="one of that version", **facts)
    return older


@SEEDS
def test_a_state_of_an_older_version(world: World, tmp_path: Path, seed: int) -> None:
    """It is gone on with and nothing is sent again; the older version's page ends with the newer one's name."""
    user = User(tmp_path / "a", world, "a")
    user.draw(*range(6))
    done(user.index())
    older = as_an_older_version_left_it(user)
    user.draw(6)

    over = threading.Event()

    def run() -> IndexReport:
        try:
            return user.index()
        finally:
            over.set()

    def older_page() -> str:
        with closing(user.client()) as client:
            while True:
                last = over.is_set()
                try:
                    client.search_index(older.name, [user.catalogue / user.uris[0]], layer="fc1", k=5)
                except ServiceNotFound:
                    try:
                        client.create_service(older)
                    except UnsafeCall as error:
                        return str(error)
                if last:
                    return "the older service outlived the run"

    results = world.gate.run(run, older_page)
    assert done(results[0]).sent == 1
    assert f"{older.name}-" in str(results[1])
    user.assert_whole()


# State folders that are copied or moved


@SEEDS
def test_a_copied_state_folder(world: World, tmp_path: Path, seed: int) -> None:
    """The copy names the original and does not search its index; a run makes it one of its own."""
    a = User(tmp_path / "a", world, "a", {"state": str(tmp_path / "a" / "state")})
    a.draw(*range(6))
    done(a.index())
    shutil.copytree(tmp_path / "a" / "state", tmp_path / "b" / "state")
    b = User(tmp_path / "b", world, "a", {"state": str(tmp_path / "b" / "state")})
    b.catalogue = a.catalogue
    b.configure(catalogue=str(a.catalogue))
    with pytest.raises(StateCopied, match=f"copy of {tmp_path / 'a' / 'state'}"):
        b.page()
    results = world.gate.run(lambda: a.index(rebuild=True), a.page, b.index)
    assert all(sorted(found) == a.uris for found in shown(results[1]))
    assert done(results[2]).sent == 6
    a.assert_whole()
    b.assert_whole()
    assert len(set(world.services().values()) & {f for f in world.services().values() if "-g" in f}) == 2


def test_a_state_folder_copied_to_another_machine(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody can look whether the first is still in use: it is asked for, and `--rebuild` leaves that one whole."""
    here = socket.gethostname()
    many_machines(monkeypatch)
    a = User(tmp_path / "a", world, "a", {"state": str(tmp_path / "a" / "state")})
    a.draw(*range(6))
    done(a.index())
    shutil.copytree(tmp_path / "a" / "state", tmp_path / "b" / "state")
    b = User(tmp_path / "b", world, "a", {"state": str(tmp_path / "b" / "state")}, ELSEWHERE)
    b.catalogue = a.catalogue
    b.configure(catalogue=str(a.catalogue))
    for refused in (b.index, b.page):
        with pytest.raises(StateCopied, match=rf"{tmp_path / 'a' / 'state'}.* on {here}"):
            refused()
    done(b.index(rebuild=True))
    b.assert_whole()
    a.assert_whole()


def test_a_project_that_was_moved(world: World, tmp_path: Path) -> None:
    """Its index is its own still, the service too, and nothing is sent again."""
    a = User(tmp_path / "a", world, "a")
    a.draw(*range(6))
    done(a.index())
    names = world.services()
    (tmp_path / "a").rename(tmp_path / "moved")
    moved = User(tmp_path / "moved", world, "a")
    moved.draw(6)
    assert done(moved.index()).sent == 1
    assert world.services() == names
    moved.assert_whole()


# Two that must not go on at once, from two machines


@pytest.fixture
def no_locks(monkeypatch: pytest.MonkeyPatch) -> None:
    """A network share without locks: the lease alone keeps two machines apart."""
    monkeypatch.setattr(Locks, "writing", lambda _, **_brief: nullcontext())


def busy_in(error: BaseException, host: str) -> bool:
    """Whether a refusal names the machine and the process."""
    return isinstance(error, ManifestBusy) and error.host == host and error.pid == os.getpid() and bool(error.since)


@SEEDS
@pytest.mark.parametrize("options", [{}, {"rebuild": True}], ids=["run", "rebuild"])
def test_two_runs_on_one_index_from_two_machines(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, no_locks: None, seed: int, options: dict[str, bool]
) -> None:
    """One of them goes on; the other is told who, where and since when, and has changed nothing."""
    many_machines(monkeypatch)
    state = {"state": str(tmp_path / "state")}
    a = User(tmp_path / "a", world, "a", state)
    b = User(tmp_path / "a", world, "a", state, ELSEWHERE)
    a.draw(*range(6))
    done(a.index())
    a.draw(*range(6, 14))
    results = world.gate.run(a.index, lambda: b.index(**options))
    refused = [one for one in results if isinstance(one, DDSimError)]
    for one in refused:
        assert busy_in(one, socket.gethostname()) or busy_in(one, ELSEWHERE), one
    done(b.index())
    b.assert_whole()


def test_whoever_is_refused_has_sent_nothing(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, no_locks: None
) -> None:
    """A run, a rebuild, a removal beside somebody else's run: not a call that changes anything."""
    many_machines(monkeypatch)
    user = User(tmp_path / "a", world, "a")
    user.draw(*range(6))
    done(user.index())
    user.draw(6)
    with closing(user.client()) as client, user.collection(client) as collection:
        spec = service_of(client, user.read(), collection.manifest)
        monkeypatch.setattr(socket, "gethostname", lambda: ELSEWHERE)
        lease = Lease(client, spec.name, owner="shop /elsewhere", folder=Path("/elsewhere"))
        lease.repository = spec.repository
        lease.take()
        monkeypatch.setattr(socket, "gethostname", lambda: "here")
        before = world.services()
        (state,) = states(user.read())
        transport = user.transport()
        with closing(user.client(transport)) as second, user.collection(second) as mine:
            for attempt in (mine.index, lambda: remove_from_server(second, state), mine.train):
                with pytest.raises(ManifestBusy, match=rf"process {os.getpid()} on {ELSEWHERE}, since 20"):
                    attempt()
        assert transport.changed == []
        assert world.services() == before
        assert not [one for one in unused_services(client, user.read()) if one.name in before]
        lease.release()
    done(user.index())
    user.assert_whole()


def test_a_run_that_is_taken_for_dead_ends_before_it_sends_more(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, no_locks: None
) -> None:
    """Another machine took the lease over: the run learns who, and what both added is found once."""
    many_machines(monkeypatch)
    user = User(tmp_path / "a", world, "a")
    user.draw(*range(6))
    done(user.index())
    user.draw(*range(6, 14))
    monkeypatch.setattr("ddsim.deepdetect.leases.RENEWED", 0.0)
    with closing(user.client()) as client, user.collection(client) as collection:
        name = service_of(client, user.read(), collection.manifest).name
        taken: list[Lease] = []

        def taken_over(_: object) -> None:
            if taken or not (found := holders(client, name)):
                return
            monkeypatch.setattr("ddsim.deepdetect.leases.Holder.is_gone", lambda *_: True)
            monkeypatch.setattr(socket, "gethostname", lambda: ELSEWHERE)
            lease = Lease(client, name, owner="shop /elsewhere", folder=Path("/elsewhere"))
            lease.repository = f"{world.data}/similar"
            lease.take()
            taken.append(lease)
            monkeypatch.undo()
            monkeypatch.setattr("ddsim.deepdetect.leases.RENEWED", 0.0)
            assert max(holders(client, name)) == max(found) + 1

        with pytest.raises(ManifestBusy, match=f"on {ELSEWHERE}"):
            collection.index(progress=taken_over)
        taken[0].release()
    done(user.index())
    user.assert_whole()


# What is said of a server


def test_restarted_is_said_of_a_server_that_was(world: World, tmp_path: Path) -> None:
    """Where a service is gone alone somebody removed it; where all that was there is gone the server was restarted."""
    user = User(tmp_path / "a", world, "a")
    user.draw(*range(6))
    done(user.index())
    with closing(user.client()) as client, user.collection(client) as collection:
        name = service_of(client, user.read(), collection.manifest).name
        client.get_service(name)
        assert "or somebody removed" in client.why_missing(name)
        classes = user.read().classification_spec()
        assert classes is not None
        client.create_service(classes)
        with Client(world.url) as somebody:
            somebody.delete_service(name)
            assert client.why_missing(name).startswith("somebody removed it")
            for other in set(world.services()):
                somebody.delete_service(other)
        assert client.why_missing(name) == "the server was restarted"
    user.assert_whole()
