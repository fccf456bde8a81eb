"""ddsim.vectors: what holds in either home, whatever happens to the server, the answers and the process."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from sqlite3 import Connection

import numpy as np
import pytest
from homes import HOMES, Blow, Home, Killed
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from sharing import first_alone
from shop import Sent, lost_reply, once, picture

from ddsim import (
    BadInput,
    ConfigError,
    ConnectionLost,
    InvalidRequest,
    InvalidResponse,
    Reply,
    ServerUnreachable,
    TransportError,
)
from ddsim.catalogue.database import Database
from ddsim.catalogue.manifest import ItemState
from ddsim.deepdetect import drawn
from ddsim.errors import IndexBusy, ManifestBusy
from ddsim.vectors import Patience

# Another metric dies in no other way.
TWO_HOMES = pytest.mark.parametrize("home", first_alone(HOMES, plain=2), indirect=True)


@pytest.fixture(params=HOMES)
def home(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Home]:
    """Each of the homes, with seven pictures in three categories and nothing indexed."""
    made = Home(tmp_path, request.param)
    made.shop.add(*(f"lamp/{number}.png" for number in range(4)), "bed/0.png", "bed/1.png", "chair/0.png")
    yield made
    made.close()


def adds(home: Home) -> Callable[[Sent], bool]:
    """Tells the requests that add pictures, in this home."""
    told_apart_by = drawn(home.shop.settings.upload_options())[0].base64

    def adding(sent: Sent) -> bool:
        return sent.indexes if home.name == "server" else len(sent.ids) > 1 and told_apart_by not in sent.json["data"]

    return adding


def test_every_picture_finds_itself(home: Home) -> None:
    """After a run each item is there once and nearest to itself, at distance 0 and with score 1."""
    home.index()
    home.check()
    nearest = home.search(home.shop.catalogue / "bed/1.png", k=1).found[0]
    assert (nearest.uri, nearest.category) == ("bed/1.png", "bed")
    assert nearest.distance == pytest.approx(0.0, abs=1e-6)
    assert nearest.closeness == pytest.approx(1.0, abs=1e-6)


@pytest.mark.parametrize("layer", ["fc1", "pool1"])
@pytest.mark.parametrize("name", HOMES)
def test_distances_are_those_of_the_metric(name: str, layer: str, tmp_path: Path) -> None:
    """L2 is squared and divided by the length, in either home; cosine is 1 minus the cosine; as numpy has them."""
    with closing(Home(tmp_path, name, layer)) as home:
        home.shop.add(*(f"lamp/{number}.png" for number in range(6)))
        home.index()
        query = home.shop.catalogue / "lamp/0.png"
        home.check_neighbours(query, 6)
        hits = home.search(query)
        assert hits.vector.dtype == np.float32
        assert hits.vector == pytest.approx(home.vectors(query)[0])
        scores = [one.closeness for one in hits.found]
        assert scores == sorted(scores, reverse=True)
        assert all(0.0 <= score <= 1.0 for score in scores)


def test_several_queries_at_once(home: Home) -> None:
    """Each query gets its own answer, in the order they were given; none gives none."""
    home.index()
    paths = [home.shop.catalogue / uri for uri in home.uris]
    with closing(home.backend()) as backend:
        backend.open(writing=False)
        replies = backend.search(paths, 1)
        assert [reply.found[0].uri for reply in replies] == home.uris
        assert backend.search([], 1) == []


@pytest.mark.parametrize("k", [0, -1])
def test_k_below_one_is_refused(home: Home, k: int) -> None:
    """Nobody is asked for no neighbours: it is a mistake."""
    with closing(home.backend()) as backend:
        backend.open(writing=False)
        with pytest.raises(InvalidRequest, match=f"k={k}"):
            backend.search([home.shop.catalogue / "lamp/0.png"], k)


def test_an_empty_index_finds_nothing(home: Home) -> None:
    """Before anything was indexed a search answers, with the picture's own vector."""
    hits = home.search(home.shop.catalogue / "lamp/0.png")
    assert hits.found == ()
    assert hits.vector.shape == (16,)


def test_add_gives_the_vectors(home: Home) -> None:
    """What the network made of the pictures comes back, in their order, for checks of it."""
    with home.run() as (manifest, backend):
        rows = manifest.pending(limit=3)
        paths = [home.shop.catalogue / row.uri for row in rows]
        added = home.add_rows(manifest, backend, rows)
        assert added == pytest.approx(home.vectors(*paths))
        backend.build()


def test_twins_are_both_found(home: Home) -> None:
    """Two files with the same content are two items; each is found, at the same distance."""
    home.shop.add_picture("bed/twin.png", picture(0))
    home.shop.add_picture("chair/twin.png", picture(0))
    home.index()
    home.check()
    near = home.search(home.shop.catalogue / "bed/twin.png", k=3).found
    assert {"bed/twin.png", "chair/twin.png"} <= {one.uri for one in near}
    assert near[0].distance == pytest.approx(near[1].distance, abs=1e-6)


@pytest.mark.parametrize("category", ["lamp", "bed", "chair", "cupboard", None])
@pytest.mark.parametrize("k", [1, 2, 50])
def test_a_category_is_exact(home: Home, category: str | None, k: int) -> None:
    """As many of the category as asked for, the nearest of them, even where all others are nearer."""
    home.shop.add(*(f"crowd/{number}.png" for number in range(10)))
    home.index()
    home.check_neighbours(home.shop.catalogue / "crowd/3.png", k, category)


def test_the_category_is_the_manifests(home: Home) -> None:
    """A category is what the manifest says, not what the name looks like."""
    home.shop.add_picture("lamp/bed/9.png", picture(77))
    home.index()
    (found,) = home.search(home.shop.catalogue / "lamp/bed/9.png", 1).found
    assert (found.uri, found.category) == ("lamp/bed/9.png", "lamp")


def test_names_that_need_care(home: Home) -> None:
    """Numbers signs, spaces and any script in a name; the number behind the last sign is the vid's alone."""
    odd = ["lamp/a#1.png", "lamp/a#1", "lamp/b #2#.png", "lamp/Stuhl ü.png", "lamp/椅子#99"]
    home.shop.add(*odd)
    home.index()
    home.check()


def test_a_second_run_sends_nothing(home: Home) -> None:
    """Nothing new: not one picture is added."""
    home.index()
    home.tap.sent.clear()
    home.index()
    assert [sent for sent in home.tap.sent if adds(home)(sent)] == []
    home.check()


# Changed, removed


def test_what_changed_is_not_found_by_what_it_was(home: Home) -> None:
    """From the plan on the old picture is gone; after the run the item is found by the new one."""
    home.index()
    old = home.root / "old.png"
    (home.shop.catalogue / "lamp/0.png").rename(old)
    home.shop.add_picture("lamp/0.png", picture(501))
    with home.run() as (manifest, backend):
        assert "lamp/0.png" not in [found.uri for found in backend.search([old], 100)[0].found]
        home.add_some(manifest, backend, 10, build=True)
    home.check()
    assert home.search(old, 100).found[0].distance > 1e-3


def test_what_vanished_is_not_found(home: Home) -> None:
    """From the plan on, for those who search already and for those to come; what is near it is found in its place."""
    home.index()
    gone = home.root / "gone.png"
    with closing(home.backend()) as earlier:
        earlier.open(writing=False)
        (home.shop.catalogue / "lamp/0.png").rename(gone)
        with home.run():
            pass
        (hits,) = earlier.search([gone], 2)
        assert len(hits.found) == 2
        assert "lamp/0.png" not in [found.uri for found in hits.found]
    home.check()
    home.check_neighbours(gone, 2)


def test_removing_from_the_manifest_is_enough(home: Home) -> None:
    """Whatever the index holds still: an item that is no item is not found."""
    home.index()
    manifest = home.manifest()
    with manifest.writing():
        manifest.remove(["lamp/0.png", "bed/0.png"])
    found = home.search(home.shop.catalogue / "lamp/0.png").found
    assert len(found) == 5
    assert not {"lamp/0.png", "bed/0.png"} & {one.uri for one in found}
    assert home.search(home.shop.catalogue / "lamp/0.png", 1, "bed").found[0].uri == "bed/1.png"


def test_the_same_uri_again_and_again(home: Home) -> None:
    """An item that changed a hundred times is one item, and hides none of the others."""
    for round_ in range(6):
        home.shop.add_picture("lamp/0.png", picture(900 + round_))
        home.index(batch=1)
    home.check()
    home.check_neighbours(home.shop.catalogue / "lamp/0.png", 4)


def test_rebuild_starts_anew(home: Home) -> None:
    """Everything is pending, nothing is found, no row is left over; the next run makes it whole."""
    home.index()
    (home.shop.catalogue / "lamp/0.png").unlink()
    home.index()
    manifest = home.manifest()
    with manifest.writing(), closing(home.backend(manifest)) as backend:
        backend.rebuild()
        assert manifest.counts()[ItemState.PENDING] == 6
        assert backend.search([home.shop.catalogue / "lamp/1.png"], 5)[0].found == ()
        assert backend.stored() == 0
    home.index()
    home.check()
    with closing(home.backend()) as backend:
        backend.open(writing=False)
        assert (backend.stored(), backend.tombstone_share()) == (6, 0.0)


# Lost answers, dead servers, dead clients


@pytest.mark.parametrize("build", [False, True])
def test_a_lost_answer_doubles_nothing(home: Home, build: bool) -> None:
    """The server did it and nobody heard: the items are pending again, and in the end each is found once."""
    with home.run() as (manifest, backend):
        home.add_some(manifest, backend, 2)
        home.tap.faults.append(once(adds(home), lost_reply))
        rows = manifest.pending(limit=3)
        if home.name == "server":
            with pytest.raises(ConnectionLost):
                home.add_rows(manifest, backend, rows, build=build)
            backend.recover()
            counts = manifest.counts()
            assert (counts[ItemState.PENDING], counts[ItemState.SENDING]) == (5, 0)
        else:
            # Computing vectors changes nothing, so the client asks again by itself.
            home.add_rows(manifest, backend, rows, build=build)
            counts = manifest.counts()
            assert (counts[ItemState.PENDING], counts[ItemState.SENDING]) == (2, 0)
        assert counts[ItemState.ADDED] + counts[ItemState.INDEXED] == 7 - counts[ItemState.PENDING]
        while home.add_some(manifest, backend, 2):
            pass
        backend.build()
    home.check()


def test_a_refused_picture_leaves_the_rest_alone(home: Home) -> None:
    """One picture that the server cannot read fails its call; the others go in a call without it, under their vids."""
    bad = once(adds(home), lambda _: Reply(400, b'{"status":{"code":400,"dd_code":1005,"dd_msg":"unreadable"}}'))
    with home.run() as (manifest, backend):
        home.tap.faults.append(bad)
        rows = manifest.pending(limit=3)
        batch = home.begin(manifest, rows)
        with pytest.raises(BadInput):
            backend.add(batch)
        backend.add(batch[1:])
        backend.build()
        manifest.quarantine(rows[0].uri, "unreadable")
        while home.add_some(manifest, backend, 3):
            pass
        backend.build()
        counts = manifest.counts()
        assert (counts[ItemState.INDEXED], counts[ItemState.QUARANTINED]) == (6, 1)
    assert rows[0].uri not in [found.uri for found in home.search(home.shop.catalogue / "lamp/1.png").found]


def test_a_server_restarted_between_batches(home: Home) -> None:
    """The next call tells; after that everything goes on, and nothing is lost or doubled."""
    with home.run() as (manifest, backend):
        home.add_some(manifest, backend, 2, build=True)
        home.add_some(manifest, backend, 2)
        home.tap.restart()
        rows = manifest.pending(limit=2)
        with pytest.raises(ConnectionLost, match="restarted"):
            home.add_rows(manifest, backend, rows)
        backend.recover()
        assert manifest.counts()[ItemState.INDEXED] >= 2
        while home.add_some(manifest, backend, 2):
            pass
        backend.build()
    home.check()


def test_a_server_restarted_between_runs(home: Home) -> None:
    """What was indexed is found by the new server, and nothing is sent again."""
    home.index()
    home.tap.restart()
    home.check()
    home.tap.sent.clear()
    home.index()
    assert [sent for sent in home.tap.sent if adds(home)(sent)] == []


def test_a_server_restarted_under_a_searcher(home: Home) -> None:
    """Somebody who searches for days does not notice."""
    home.index()
    with closing(home.backend()) as backend:
        backend.open(writing=False)
        for _ in range(2):
            home.tap.restart()
            (hits,) = backend.search([home.shop.catalogue / "bed/0.png"], 3)
            assert hits.found[0].uri == "bed/0.png"
            assert len(hits.found) == 3


def test_many_search_when_the_server_is_restarted(home: Home) -> None:
    """Threads of one backend, as a web server has them: one puts things right, and all get their answers."""
    home.index()
    manifest = home.manifest()
    with closing(home.backend(manifest, patience=Patience())) as backend:
        backend.open(writing=False)
        home.tap.restart()
        with ThreadPoolExecutor(6) as pool:
            every = list(pool.map(lambda uri: backend.search([home.shop.catalogue / uri], 2)[0], home.uris * 3))
    assert [hits.found[0].uri for hits in every] == home.uris * 3
    assert len(home.tap.creations) == 2


def test_recovering_waits_for_the_server(home: Home) -> None:
    """A server that is away for twenty seconds is waited for, by the clock that was given."""
    with home.run() as (manifest, backend):
        home.add_some(manifest, backend, 2)
        home.tap.restart()
        home.tap.down = True
        home.clock.back_at = 20.0
        with pytest.raises(ServerUnreachable):
            home.add_rows(manifest, backend, manifest.pending(limit=2))
        backend.recover()
        assert 20.0 <= home.clock.now <= 40.0
        while home.add_some(manifest, backend, 2):
            pass
        backend.build()
    home.check()


def test_recovering_ends(home: Home) -> None:
    """A server that does not come back is given up within the time that was given; nothing is lost by that."""
    with home.run() as (manifest, backend):
        home.add_some(manifest, backend, 2)
        home.tap.down = True
        with pytest.raises(ServerUnreachable):
            backend.recover()
        assert 30.0 <= home.clock.now <= 60.0
    home.tap.down = False
    home.index()
    home.check()


def test_a_server_that_dies_again_while_it_is_recovered(home: Home) -> None:
    """Recovering outlasts it, and one who dies each time is given up; then too it can be tried again."""
    with home.run() as (manifest, backend):
        home.add_some(manifest, backend, 2)
        home.tap.restart()
        home.tap.faults.append(once(lambda sent: sent.method == "PUT", lost_reply))
        backend.recover()
        home.tap.faults.append(
            lambda sent, carry_out: lost_reply(carry_out) if sent.output == {} and sent.ids else None
        )
        with pytest.raises(ConnectionLost):
            backend.recover()
        home.tap.faults.clear()
        backend.recover()
        while home.add_some(manifest, backend, 2):
            pass
        backend.build()
    home.check()


@TWO_HOMES
@pytest.mark.parametrize(
    ("victim", "carried_out"),
    first_alone([("client", True), ("server", False), ("client", False), ("server", True)], plain=2),
)
def test_death_at_any_call(home: Home, victim: str, carried_out: bool, tmp_path: Path) -> None:
    """Whichever call the process or the server dies at, before or after it is carried out: the next run mends it all.

    Somebody searching in between sees no error and no item twice.
    """
    for moment in itertools.count():
        with closing(Home(tmp_path / str(moment), home.name)) as shop:
            shop.shop.add(*(f"lamp/{number}.png" for number in range(3)))
            shop.index()
            (shop.shop.catalogue / "lamp/0.png").unlink()
            shop.shop.add("lamp/1.png", "bed/0.png", "bed/1.png")
            blow = Blow(shop, moment, victim, carried_out)
            shop.tap.faults.append(blow)
            try:
                shop.index(batch=1)
            except (Killed, TransportError):
                shop.tap.faults.clear()
                uris = [found.uri for found in shop.search(shop.shop.catalogue / "lamp/2.png").found]
                assert len(uris) == len(set(uris))
            shop.tap.faults.clear()
            shop.index(batch=2)
            shop.check()
            if not blow.fell:
                break
    assert moment > 5


@TWO_HOMES
@pytest.mark.parametrize("committed", first_alone([False, True]))
def test_death_at_any_commit(home: Home, committed: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whichever change of the manifest the process dies at, before or after it holds: the next run mends it all."""
    writing = Database.writing
    left = 0

    @contextmanager
    def watched(database: Database, **options: bool) -> Iterator[Connection]:
        nonlocal left
        left -= 1
        mine = left == 0
        with writing(database, **options) as connection:
            yield connection
            if mine and not committed:
                raise Killed
        if mine:
            raise Killed

    monkeypatch.setattr(Database, "writing", watched)
    for moment in itertools.count(1):
        with closing(Home(tmp_path / str(moment), home.name)) as shop:
            shop.shop.add(*(f"lamp/{number}.png" for number in range(3)))
            shop.index()
            (shop.shop.catalogue / "lamp/0.png").unlink()
            shop.shop.add("lamp/1.png", "bed/0.png", "bed/1.png")
            left = moment
            with suppress(Killed):
                shop.index(batch=1)
            alive, left = left > 0, 0
            uris = [found.uri for found in shop.search(shop.shop.catalogue / "lamp/2.png").found]
            assert len(uris) == len(set(uris))
            shop.index(batch=2)
            shop.check()
            if alive:
                break
    assert moment > 8


# Who may do what


def test_searching_while_a_run_is_at_work(home: Home) -> None:
    """A search meanwhile finds what is built, or says that the index is busy; it never disturbs the run."""
    home.index()
    home.shop.add("bed/7.png", "bed/8.png")
    with home.run() as (manifest, backend), closing(home.backend()) as reader:
        reader.open(writing=False)
        assert len(reader.search([home.shop.catalogue / "bed/7.png"], 100)[0].found) == 7
        home.add_some(manifest, backend, 1)
        try:
            found = reader.search([home.shop.catalogue / "bed/7.png"], 100)[0].found
            assert len(found) == 7
        except IndexBusy:
            assert home.name == "server"
        home.add_some(manifest, backend, 1, build=True)
        assert len(reader.search([home.shop.catalogue / "bed/7.png"], 100)[0].found) == 9
    home.check()


def test_a_searcher_leaves_repairs_to_the_run_at_work(home: Home) -> None:
    """A service that is gone is not created again behind a run's back; only the server's own index needs that."""
    home.index()
    home.shop.add("bed/7.png")
    with home.run() as (manifest, backend):
        home.add_some(manifest, backend, 1)
        home.tap.restart()
        with closing(home.backend()) as reader:
            try:
                reader.open(writing=False)
                assert home.name != "server"
            except ManifestBusy:
                assert home.name == "server"
        home.carefully(backend, backend.build)
        while home.add_some(manifest, backend, 2):
            pass
        home.carefully(backend, backend.build)
    home.check()


def test_another_network_under_the_same_name_is_refused(home: Home) -> None:
    """Vectors of another length than those kept: said before anything is mixed up, and a rebuild mends it."""
    home.index()
    home.shop.configure(similarity={"extract_layer": "pool1"})
    home.tap.restart()
    manifest = home.manifest()
    with manifest.writing(), closing(home.backend(manifest)) as backend:
        with pytest.raises(InvalidResponse, match=r"392 values.* 16.*--rebuild"):
            backend.open(writing=True)
        backend.rebuild()
    home.layer = "pool1"
    home.index()
    home.check()


@pytest.mark.parametrize(
    ("first", "second"),
    [pair for pair in itertools.permutations(HOMES, 2) if not all(name.startswith("local") for name in pair)],
)
def test_a_silent_change_of_home_is_refused(first: str, second: str, tmp_path: Path) -> None:
    """Items in one home are not looked for in another; the message says how to move, and moving works."""
    with closing(Home(tmp_path, first)) as home:
        home.shop.add("lamp/0.png", "bed/0.png")
        home.index()
        moved = {"backend": "server", "metric": "l2"} | dict(HOMES[second][0])
        home.shop.configure(index={"batch_size": 4, **moved})
        home.name, home.tap.profile = second, HOMES[second][1]
        with pytest.raises(ConfigError, match=rf"{first.split()[0]}.*{second.split()[0]}.*--rebuild"):
            home.backend()
        home.tap.restart()
        manifest = home.manifest()
        with manifest.writing(), closing(home.backend(manifest, rebuilding=True)) as backend:
            backend.rebuild()
        home.index()
        home.check()


@pytest.mark.parametrize(("profile", "kind"), [("v0.25.0", "server Flat"), ("no-simsearch", "local l2")])
def test_auto_takes_what_there_is_and_stays_there(profile: str, kind: str, tmp_path: Path) -> None:
    """The server's index where it has one, else ours; and what was chosen once stays so with another server."""
    with closing(Home(tmp_path, "server")) as home:
        home.shop.configure(index={"batch_size": 4, "backend": "auto"})
        home.tap.profile = profile
        home.tap.restart()
        home.shop.add("lamp/0.png")
        assert home.backend().home == kind
        home.index()
        home.check()
        home.tap.profile = "no-simsearch" if profile == "v0.25.0" else "v0.25.0"
        home.tap.restart()
        assert home.backend().home == kind


# Anything in any order

STEPS = st.one_of(
    st.tuples(st.just("draw"), st.sampled_from(["lamp/0", "lamp/1", "bed/0", "bed/1", "sofa/0"]), st.integers(0, 8)),
    st.tuples(st.just("delete"), st.sampled_from(["lamp/0", "lamp/1", "bed/0", "bed/1", "sofa/0"]), st.just(0)),
    st.tuples(st.just("index"), st.sampled_from(["all"]), st.integers(1, 4)),
    st.tuples(st.sampled_from(["client", "server"]), st.sampled_from(["before", "after"]), st.integers(3, 25)),
    st.tuples(st.just("restart"), st.just(""), st.just(0)),
)


@pytest.mark.parametrize("again", first_alone(range(3)))
@pytest.mark.parametrize("name", HOMES)
@settings(max_examples=8, deadline=None, suppress_health_check=list(HealthCheck))
@example(steps=[("client", "before", 7), ("client", "before", 9)], k=1)  # two runs killed while the index was loaded
@given(steps=st.lists(STEPS, min_size=3, max_size=10), k=st.integers(1, 9))
def test_any_history_ends_well(
    name: str, again: int, tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[str, str, int]], k: int
) -> None:
    """Pictures drawn, redrawn and deleted, runs cut short, servers restarted: a last run, and searches are exact."""
    with closing(Home(tmp_path_factory.mktemp("history"), name)) as home:
        home.shop.add("cup/0.png")
        for step, what, number in steps:
            take(home, step, what, number)
        home.tap.faults.clear()
        home.index()
        home.check()
        for category in (None, "lamp", "bed"):
            home.check_neighbours(home.shop.catalogue / "cup/0.png", k, category)


def take(home: Home, step: str, what: str, number: int) -> None:
    """One step of a history."""
    if step == "draw":
        home.shop.add_picture(f"{what}.png", picture(number))
    elif step == "delete":
        (home.shop.catalogue / f"{what}.png").unlink(missing_ok=True)
    elif step == "restart":
        home.tap.restart()
    elif step == "index":
        home.index(batch=number)
    else:
        home.tap.faults[:] = [Blow(home, number, step, what == "after")]
        with suppress(Killed, TransportError):
            home.index(batch=1)
        home.tap.faults.clear()


@pytest.mark.parametrize("name", HOMES)
def test_k_is_exact_under_many_tombstones(name: str, tmp_path: Path) -> None:
    """However many rows are not valid any more, and however near: as many items as asked for, the nearest of them."""
    with closing(Home(tmp_path, name)) as home:
        home.shop.add(*(f"lamp/{number}.png" for number in range(4)), "bed/0.png", "bed/1.png")
        home.shop.add_picture("lamp/near.png", picture(50))
        with home.run() as (manifest, backend):
            for _ in range(40):
                # Every time rows that are valid no more, as near to the query as can be.
                for row in [manifest.get("lamp/near.png"), manifest.get("lamp/0.png")]:
                    assert row is not None
                    home.add_rows(manifest, backend, [row])
            while home.add_some(manifest, backend, 4):
                pass
            backend.build()
        for k in (1, 2, 5, 7, 100):
            home.check_neighbours(home.shop.catalogue / "lamp/near.png", k)
        home.check_neighbours(home.shop.catalogue / "lamp/near.png", 2, "bed")
        home.check()
