"""ddsim.vectors.server: DeepDetect's own index, with its generations, incarnations and tombstones."""

from __future__ import annotations

import itertools
import json
import logging
import re
import shutil
import socket
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import pytest
from homes import Blow, Home, Killed
from sharing import first_alone
from shop import Sent, lost_reply, once, picture, plain, refusal

from ddsim import (
    CapabilityError,
    ConnectionLost,
    InvalidRequest,
    Reply,
    ServerFault,
    ServerTimeout,
    ServiceConflict,
    ServiceSpec,
    TransportError,
)
from ddsim.catalogue.manifest import ItemState, Manifest
from ddsim.deepdetect.services import ensure, mark_of
from ddsim.errors import IndexBusy
from ddsim.vectors import Backend, Prepared, ServerBackend
from ddsim.vectors.serveradding import Adding


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Home]:
    """Five pictures and nothing indexed, before a server with an index."""
    made = Home(tmp_path, "server")
    made.shop.add(*(f"lamp/{number}.png" for number in range(3)), "bed/0.png", "bed/1.png")
    yield made
    made.close()


def added(home: Home) -> list[str]:
    """The names of all rows that were sent so far."""
    return [name for sent in home.tap.index_calls for name in sent.ids]


def searches(home: Home) -> list[Sent]:
    """The searches that were sent so far."""
    return [sent for sent in home.tap.sent if sent.output.get("search")]


def is_search(sent: Sent) -> bool:
    """Whether a request searches."""
    return bool(sent.output.get("search"))


def builds(sent: Sent) -> bool:
    """Whether a request builds."""
    return sent.builds


def folders(home: Home) -> list[Path]:
    """Where the index may lie on the server: the folders of all generations."""
    return sorted(home.shop.index_folder.iterdir())


def cut_short(home: Home, work: Callable[[Manifest, Backend], None]) -> None:
    """A run that ends as by kill -9 after some work."""

    def killed(manifest: Manifest, backend: Backend) -> None:
        work(manifest, backend)
        raise Killed

    with pytest.raises(Killed), home.run() as (manifest, backend):
        killed(manifest, backend)


def finish(home: Home, manifest: Manifest, backend: Backend) -> None:
    """The rest of a run."""
    while home.add_some(manifest, backend, 2):
        pass
    home.carefully(backend, backend.build)


# Names and folders


def test_a_row_is_named_for_its_item_and_its_number(home: Home) -> None:
    """What the server stores is uri#vid, the vid being the manifest's."""
    home.index()
    manifest = home.manifest()
    rows = [manifest.get(uri) for uri in home.uris]
    assert sorted(added(home)) == sorted(f"{row.uri}#{row.vid}" for row in rows if row)


def test_every_generation_has_a_folder_of_its_own(home: Home) -> None:
    """Below the configured repository, named for the manifest and the generation; a rebuild clears the old one."""
    home.index()
    (first,) = folders(home)
    assert re.fullmatch(r"[0-9a-f]{12}-g1", first.name)
    assert (first / "index.faiss").exists()
    manifest = home.manifest()
    with manifest.writing(), closing(home.backend(manifest)) as backend:
        backend.rebuild()
    home.index()
    assert [folder.name for folder in folders(home)] == [first.name, first.name.replace("-g1", "-g2")]
    assert not (first / "index.faiss").exists()
    assert (folders(home)[1] / "index.faiss").exists()
    home.check()


def test_a_manifest_that_was_deleted_shares_nothing_with_the_next(home: Home) -> None:
    """Rows of an older manifest are in another folder, and cannot be taken for items of the new one."""
    home.index()
    home.close()
    shutil.rmtree(home.root / "state")
    home.shop.add("lamp/0.png")
    home.index()
    home.check()
    assert len(folders(home)) == 2


def test_the_service_says_whose_it_is(home: Home) -> None:
    """Its description names configuration and state folder, for people, and the incarnation, for the next run."""
    home.index()
    mark = mark_of(home.shop.client().get_service(home.shop.service()))
    assert mark.owner == f"shop {home.root / 'state'} on {socket.gethostname()}"
    assert mark.incarnation == home.manifest().get_meta("incarnation")


def test_rows_and_tombstones_are_counted(home: Home) -> None:
    """Every row that may be there counts, in doubt or not; what is not valid any more is the tombstones' share."""
    home.index(batch=4, every=1)
    with closing(home.backend()) as backend:
        backend.open(writing=False)
        assert (backend.stored(), backend.tombstone_share()) == (5, 0.0)
    home.shop.add("lamp/0.png", "lamp/1.png")
    home.tap.faults.append(once(lambda sent: sent.indexes, lost_reply))
    home.index(batch=4, every=1)
    with closing(home.backend()) as backend:
        backend.open(writing=False)
        # Five, two in doubt, and the two once more.
        assert backend.stored() == 9
        assert backend.tombstone_share() == pytest.approx(4 / 9)
    home.check()


# Never a search while something is unbuilt


def test_nothing_is_searched_while_it_is_unbuilt(home: Home) -> None:
    """While a run adds, a search says so and asks the server nothing; after the build it finds everything."""
    with home.run() as (manifest, backend), closing(home.backend()) as reader:
        reader.open(writing=False)
        home.add_some(manifest, backend, 2)
        before = len(searches(home))
        for asked in (reader, backend):
            with pytest.raises(IndexBusy):
                asked.search([plain("grey")], 3)
        assert len(searches(home)) == before
        finish(home, manifest, backend)
        assert len(reader.search([plain("grey")], 9)[0].found) == 5


def test_a_searcher_builds_what_a_dead_run_left(home: Home) -> None:
    """The run is gone and the server has its rows in memory: they are built, and nothing is sent again."""
    cut_short(home, lambda manifest, backend: home.add_some(manifest, backend, 3))
    before = len(added(home))
    assert len(home.search(plain("grey")).found) == 3
    assert added(home)[before:] == []
    home.index()
    home.check()
    assert len(added(home)) == 5


def test_one_who_searches_already_builds_it_too(home: Home) -> None:
    """A searcher that was there before the run began, and died, needs no restart."""
    home.index()
    with closing(home.backend()) as reader:
        reader.open(writing=False)
        home.shop.add("bed/7.png")
        cut_short(home, lambda manifest, backend: home.add_some(manifest, backend, 3))
        assert len(reader.search([plain("grey")], 9)[0].found) == 6


def test_rows_in_doubt_alone_are_built_as_well(home: Home) -> None:
    """The process died before the answer and its picture is gone since: no item waits, and still nothing is unsafe."""
    home.index()
    (home.shop.catalogue / "bed/7.png").write_bytes((home.shop.catalogue / "bed/0.png").read_bytes())

    def killed(carry_out: Callable[[], Reply]) -> Reply:
        carry_out()
        raise Killed

    home.tap.faults.append(once(lambda sent: sent.indexes, killed))
    with pytest.raises(Killed):
        home.index()
    (home.shop.catalogue / "bed/7.png").unlink()
    home.index()
    home.check()


def test_rows_that_nobody_waits_for_are_built_before_a_search(home: Home) -> None:
    """The one item that was added is in quarantine when the run dies: the manifest waits for nothing, the rows do."""
    home.index()
    home.shop.add("bed/7.png")
    with closing(home.backend()) as reader:
        reader.open(writing=False)

        def work(manifest: Manifest, backend: Backend) -> None:
            home.add_some(manifest, backend, 1)
            manifest.quarantine("bed/7.png", "looked at again")

        cut_short(home, work)
        found = reader.search([home.shop.catalogue / "bed/7.png"], 9)[0].found
        assert sorted(one.uri for one in found) == sorted(set(home.uris) - {"bed/7.png"})


def test_nothing_is_added_during_a_search(home: Home) -> None:
    """A search under way is waited for; where it takes too long nothing is sent, and nothing is in doubt."""
    home.index()
    home.shop.add("bed/7.png")
    with home.run() as (manifest, backend):
        before = len(added(home))
        with home.manifest().searching(), pytest.raises(IndexBusy, match="searches did not end"):
            home.add_some(manifest, backend, 1)
        assert len(added(home)) == before
        manifest.requeue(ItemState.SENDING)
        assert len(home.search(plain("grey")).found) == 5
        finish(home, manifest, backend)
    home.check()


def test_a_build_whose_note_was_lost_is_made_once_more(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    """The process died between the build and the manifest while the server lives: nothing of it is sent again."""

    def killed(_: Manifest) -> int:
        raise Killed

    with home.run() as (manifest, backend), monkeypatch.context() as patch:
        patch.setattr(Adding, "_note_built", killed)
        with pytest.raises(Killed):
            home.add_some(manifest, backend, 3, build=True)
    before = len(added(home))
    with home.run() as (manifest, backend):
        assert manifest.counts()[ItemState.INDEXED] == 3
        assert len(added(home)) == before
        finish(home, manifest, backend)
    home.check()


def test_a_build_of_nothing_is_not_sent(home: Home) -> None:
    """It would kill a real server."""
    home.index()
    with home.run() as (_, backend):
        before = len(added(home))
        backend.build()
        assert len(added(home)) == before


# A server that died


def test_what_was_not_built_is_sent_again(home: Home) -> None:
    """The server ended before the build: its rows are gone, and nothing else is."""
    with home.run() as (manifest, backend):
        home.add_some(manifest, backend, 2, build=True)
        home.add_some(manifest, backend, 2)
        home.tap.restart()
        backend.recover()
        counts = manifest.counts()
        assert (counts[ItemState.INDEXED], counts[ItemState.PENDING]) == (2, 3)
        before = len(added(home))
        backend.build()
        assert len(added(home)) == before
        finish(home, manifest, backend)
    home.check()


@pytest.mark.parametrize("build", [False, True])
def test_a_service_created_anew_behind_a_runs_back_is_noticed(home: Home, build: bool) -> None:
    """The answer came from another incarnation, which never had the rows before: they are sent again."""
    with home.run() as (manifest, backend):
        home.add_some(manifest, backend, 2)
        client = home.shop.client()
        found = client.get_service(home.shop.service())
        changes = {"name": found.name, "repository": found.repository}
        spec = home.shop.settings.similarity_spec().model_copy(update=changes)
        owner = mark_of(found).owner
        ensure(client, spec, layer="fc1", owner=owner, incarnation="", replace_own=True)
        rows = manifest.pending(limit=2)
        with pytest.raises(ConnectionLost, match="another one now"):
            home.add_rows(manifest, backend, rows, build=build)
        backend.recover()
        # The later batch may have been built; what came before it was not.
        finish(home, manifest, backend)
    home.check()


@pytest.mark.parametrize("status", [500, 502])
def test_a_build_that_fails_is_mended(home: Home, status: int, caplog: pytest.LogCaptureFixture) -> None:
    """A server or a proxy that fails at a build: nothing is searched until all is certain again, nothing is lost."""
    with home.run() as (manifest, backend):
        home.add_some(manifest, backend, 2)
        home.tap.faults.append(once(builds, lambda _: refusal(status, 1007)))
        rows = manifest.pending(limit=2)
        with pytest.raises(ServerFault):
            home.add_rows(manifest, backend, rows, build=True)
        with pytest.raises(IndexBusy):
            backend.search([plain("grey")], 1)
        finish(home, manifest, backend)
    home.index()
    home.check()


def test_a_full_disk_costs_nothing_while_the_server_lives(home: Home) -> None:
    """Rows in the server's memory that it cannot write are there still when it can; till then the reason is told."""
    home.index()
    home.shop.add("bed/7.png")
    cut_short(home, lambda manifest, backend: home.add_some(manifest, backend, 3))
    before = len(added(home))
    home.tap.faults.append(once(builds, lambda _: refusal(500, 1007, "disk full")))
    with pytest.raises(ServerFault, match="disk full"), home.run():
        pass
    home.index()
    assert len(added(home)) == before
    home.check()


def test_a_timeout_is_a_lost_answer(home: Home) -> None:
    """The server may still be at it: the rows count as unbuilt until the next build."""

    def late(carry_out: Callable[[], Reply]) -> Reply:
        carry_out()
        raise ServerTimeout("too late", method="POST", path="/predict")

    home.tap.faults.append(once(lambda sent: sent.indexes, late))
    home.index()
    home.check()


# An index that is damaged or gone


@pytest.mark.parametrize("names_too", [False, True])
def test_an_index_that_was_removed(home: Home, names_too: bool, caplog: pytest.LogCaptureFixture) -> None:
    """A volume that is gone after a restart: said, everything is sent again, in a new generation."""
    home.index()
    (folder,) = folders(home)
    (folder / "index.faiss").unlink()
    if names_too:
        shutil.rmtree(folder / "names.bin")
    home.tap.restart()
    with home.run() as (manifest, backend):
        assert manifest.counts()[ItemState.PENDING] == 5
        assert manifest.get_meta("generation") == 2
        assert "empty" in caplog.text
        finish(home, manifest, backend)
    home.check()


@pytest.mark.parametrize("content", [b"", b"IxFI", b"not an index at all"])
def test_an_index_that_is_damaged(home: Home, content: bytes, caplog: pytest.LogCaptureFixture) -> None:
    """It fails to load, and is not touched again (a real server would die): a new generation, everything once more."""
    home.index()
    (folder,) = folders(home)
    (folder / "index.faiss").write_bytes(content)
    home.tap.restart()
    with home.run() as (manifest, backend):
        assert manifest.counts()[ItemState.PENDING] == 5
        assert "cannot be loaded" in caplog.text
        assert not (folder / "index.faiss").exists()
        finish(home, manifest, backend)
    home.check()


def test_a_damaged_index_is_no_ones_surprise_but_the_first(home: Home) -> None:
    """A mere searcher starts the new generation too; it finds nothing then, and says so by finding nothing."""
    home.index()
    (folders(home)[0] / "index.faiss").write_bytes(b"xx")
    home.tap.restart()
    assert home.search(plain("grey")).found == ()
    home.index()
    home.check()


def test_an_index_that_was_never_filled_and_fails_is_an_error(home: Home) -> None:
    """A folder that the server cannot use is no damage to repair: no generation after the other is tried."""
    home.tap.faults.append(lambda sent, _: refusal(500, 1007, "read-only") if is_search(sent) else None)
    with pytest.raises(ServerFault, match="read-only"), home.run():
        pass
    assert len(folders(home)) == 1


def test_a_rebuild_of_a_damaged_index(home: Home, caplog: pytest.LogCaptureFixture) -> None:
    """What cannot be loaded can be removed all the same."""
    home.index()
    (folder,) = folders(home)
    (folder / "index.faiss").write_bytes(b"xx")
    home.tap.restart()
    manifest = home.manifest()
    with manifest.writing(), closing(home.backend(manifest)) as backend:
        backend.rebuild()
    assert "cannot be loaded" in caplog.text
    assert not (folder / "index.faiss").exists()
    home.index()
    home.check()


@pytest.mark.parametrize(
    ("victim", "carried_out"),
    first_alone([("client", True), ("server", False), ("client", False), ("server", True)], plain=2),
)
def test_a_rebuild_can_end_anywhere(victim: str, carried_out: bool, tmp_path: Path) -> None:
    """Process or server die at any call of it: another run has everything in the index once."""
    for moment in itertools.count():
        with closing(Home(tmp_path / str(moment), "server")) as home:
            home.shop.add("lamp/0.png", "lamp/1.png")
            home.index()
            blow = Blow(home, moment, victim, carried_out)
            home.tap.faults.append(blow)
            manifest = home.manifest()
            with suppress(Killed, TransportError), manifest.writing(), closing(home.backend(manifest)) as backend:
                backend.rebuild()
            home.tap.faults.clear()
            home.index()
            home.check()
            if not blow.fell:
                break
    assert moment > 5


def test_a_rebuild_for_another_network_does_not_touch_the_old_index(
    home: Home, caplog: pytest.LogCaptureFixture
) -> None:
    """It would have to be loaded by a search, with vectors of a length that is not its own; its folder is named."""
    home.index()
    (folder,) = folders(home)
    home.shop.configure(similarity={"extract_layer": "pool1"})
    home.tap.restart()
    manifest = home.manifest()
    with manifest.writing(), closing(home.backend(manifest)) as backend:
        home.tap.sent.clear()
        backend.rebuild()
    assert len(searches(home)) == 1
    assert (folder / "index.faiss").exists()
    assert f"stays in {folder}" in caplog.text
    home.layer = "pool1"
    home.index()
    home.check()


# Whose service it is


def strange(home: Home, **changes: Any) -> ServiceSpec:
    """The server was restarted, and somebody else created a service of the very name that ours had."""
    facts = {"name": home.shop.service(), "create_repository": True}
    home.tap.restart()
    spec = home.shop.settings.similarity_spec().model_copy(update=facts | changes)
    home.shop.client().create_service(spec)
    return spec


@pytest.mark.parametrize("changes", [{}, {"width": 16, "height": 16}])
def test_somebody_elses_service_is_left_alone(home: Home, changes: dict[str, Any]) -> None:
    """Of nobody, or with other settings: a conflict, and nothing on the server changes but for the lease."""
    home.index()
    strange(home, **changes)
    services = home.shop.client().info().services
    home.tap.sent.clear()
    with pytest.raises(ServiceConflict, match="owner"), home.run():
        pass
    assert home.tap.creations == []
    assert home.shop.client().info().services == services


def test_two_manifests_under_one_service_name_live_side_by_side(home: Home, tmp_path: Path) -> None:
    """Another catalogue, or the same one of another machine: each has a service of its own, in each order."""
    home.index()
    with closing(Home(tmp_path / "second", "server")) as second:
        second.tap.engine = home.tap.engine
        second.shop.add("lamp/0.png", "rug/0.png")
        second.index()
        home.check()
        second.check()
        home.shop.add("bed/9.png")
        home.index()
        second.check()
    home.check()


def test_a_service_that_took_our_place_is_not_searched_for_long(home: Home) -> None:
    """After a restart somebody else made a service of that name: no short list in silence, but a conflict."""
    home.index()
    with closing(home.backend()) as reader:
        reader.open(writing=False)
        spec = strange(home, repository=str(home.root / "theirs"))
        home.shop.client().add_to_index(spec.name, {"theirs#1": picture(3), "theirs": picture(4)}, layer="fc1")
        with pytest.raises(ServiceConflict, match="owner"):
            reader.search([plain("grey")], 3)


def test_a_service_of_ours_with_other_settings_is_replaced(home: Home) -> None:
    """What an earlier configuration of this manifest created gives way, and its index files stay."""
    home.index()
    home.shop.configure(network={**_network(home), "mean": [104.01, 117.0, 123.5]})
    home.check()
    info = home.shop.client().get_service(home.shop.service())
    assert info.parameters["input"]["mean"] == pytest.approx([104.01, 117.0, 123.5])


def _network(home: Home) -> dict[str, Any]:
    similarity = home.shop.settings.similarity
    names = {"def": similarity.definition, "weights": similarity.weights, "corresp": similarity.corresp}
    return {**names, "nclasses": 5, "width": 32, "height": 32, "mean": list(similarity.mean)}


# What the server must be able to do


@pytest.mark.parametrize(
    "flags", ["USE_CAFFE=ON USE_SIMSEARCH=OFF USE_FAISS=ON", "USE_CAFFE=ON USE_SIMSEARCH=ON USE_ANNOY=ON"]
)
def test_a_server_without_an_index_that_grows(home: Home, flags: str) -> None:
    """None at all, or Annoy's, which takes nothing after its build: refused at once, with what to do."""
    head = {"head": {"compile_flags": flags, "services": []}}
    home.tap.faults.append(lambda sent, _: Reply(200, json.dumps(head).encode()) if sent.path == "/info" else None)
    with pytest.raises(CapabilityError, match=r"backend: local.*--rebuild"), home.run():
        pass
    home.shop.configure(index={"backend": "auto"})
    assert home.backend().home == "local l2"


# Searching


def test_one_wide_search_is_enough(home: Home) -> None:
    """Where most rows are valid a query costs one request, whatever the category."""
    home.index()
    with closing(home.backend()) as reader:
        reader.open(writing=False)
        reader.search([plain("grey")], 1)
        for category in (None, "bed"):
            home.tap.sent.clear()
            reader.search([plain("grey"), plain("red")], 2, category)
            assert len(home.tap.sent) == 1


def test_it_is_asked_for_more_only_where_needed(home: Home) -> None:
    """Of several queries those that have enough are not asked again."""
    home.shop.add(*(f"crowd/{number}.png" for number in range(80)))
    home.shop.add_picture("bed/0.png", plain("white", (32, 32)))
    home.index(batch=4, every=100)
    with closing(home.backend()) as reader:
        reader.open(writing=False)
        reader.search([plain("grey")], 1)
        home.tap.sent.clear()
        (near, _) = reader.search([plain("white"), home.shop.catalogue / "crowd/0.png"], 1, "bed")
        assert near.found[0].uri == "bed/0.png"
        assert len(home.tap.sent[0].ids) == 2
        assert {len(sent.ids) for sent in home.tap.sent[1:]} <= {1}


def test_a_row_that_is_missing_is_said(home: Home, caplog: pytest.LogCaptureFixture) -> None:
    """The index has fewer items than the manifest has: whoever gets a short list is told."""
    home.index(batch=4, every=1)

    def fewer(sent: Sent, carry_out: Callable[[], Reply]) -> Reply | None:
        if not is_search(sent):
            return None
        body = json.loads(carry_out().body)
        for prediction in body["body"]["predictions"]:
            prediction["nns"] = [one for one in prediction["nns"] if one["uri"] != "#0"][:3]
        return Reply(200, json.dumps(body).encode())

    home.tap.faults.append(fewer)
    assert len(home.search(plain("grey"), 4).found) == 3
    assert "3 items where the manifest has 4" in caplog.text
    caplog.clear()
    assert len(home.search(plain("grey"), 3).found) == 3
    assert "where the manifest has" not in caplog.text


def test_rows_of_others_and_distances_that_are_none_do_not_count(home: Home) -> None:
    """Names without a number, or with an absurd one, and values that are no numbers, are passed over."""
    home.index()

    def odd(sent: Sent, carry_out: Callable[[], Reply]) -> Reply | None:
        if not is_search(sent):
            return None
        body = json.loads(carry_out().body)
        for prediction in body["body"]["predictions"]:
            names = ["lamp/0.png", "x#", "x#-1", "x#12", f"x#{'9' * 30}", "x#٣", "#0"]
            prediction["nns"] = [one for one in prediction["nns"] if one["uri"] != "#0"]
            prediction["nns"] += [{"uri": name, "dist": 0.0} for name in names]
            prediction["nns"][0]["dist"] = float("nan")
        return Reply(200, json.dumps(body).encode())

    home.tap.faults.append(odd)
    found = home.search(plain("grey"), 9).found
    assert len(found) == 4
    assert {one.uri for one in found} < set(home.uris)


# Calls that fail before anything is added


def test_a_call_that_was_refused_leaves_nothing_in_doubt(home: Home) -> None:
    """More pictures than fit a call, or one that the server refuses: searches go on as before."""
    home.index()
    home.shop.add(*(f"sofa/{number}.png" for number in range(5)))
    with home.run() as (manifest, backend):
        rows = manifest.pending(limit=5)
        batch = home.begin(manifest, rows)
        with pytest.raises(InvalidRequest, match="more than one request"):
            backend.add(batch)
        manifest.requeue(ItemState.SENDING)
        assert not manifest.get_meta("unbuilt")
        assert len(backend.search([plain("grey")], 9)[0].found) == 5
        home.tap.faults.append(once(lambda sent: sent.indexes, lambda _: refusal(500, 1007)))
        with pytest.raises(ServerFault):
            home.add_rows(manifest, backend, rows[:2])
        manifest.requeue(ItemState.SENDING)
        assert len(backend.search([plain("grey")], 9)[0].found) == 5
        finish(home, manifest, backend)
    home.check()


def test_it_stands_in_the_log_when_the_service_is_created_anew(home: Home, caplog: pytest.LogCaptureFixture) -> None:
    """Replacing a service of ours is nothing to worry about, and nothing to hide."""
    home.index()
    home.shop.configure(network={**_network(home), "mean": [104.01, 117.0, 123.5]})
    with caplog.at_level(logging.INFO, "ddsim.deepdetect.services"):
        home.index()
    assert "created anew, as it differs in mean" in caplog.text


def test_without_pictures_nothing_is_lost(home: Home) -> None:
    """The backend need not be given a way to the pictures; what was not built is then sent again."""
    manifest = home.manifest()
    with manifest.writing():
        backend = ServerBackend(home.shop.client(), home.shop.settings, manifest, patience=home.clock.patience())
        backend.open(writing=True)
        home.plan(manifest, backend)
        home.add_some(manifest, backend, 2)
        home.tap.restart()
        backend.recover()
        assert manifest.counts()[ItemState.PENDING] == 5
        finish(home, manifest, backend)
        backend.close()
    home.check()


def test_the_same_row_twice_is_found_once(home: Home) -> None:
    """A batch that was given again under its old numbers, as after a fault that did happen later than it seemed."""
    with home.run() as (manifest, backend):
        batch = home.begin(manifest, manifest.pending(limit=2))
        backend.add(batch)
        again = [Prepared(one.uri, one.vid, one.picture) for one in batch]
        backend.add(again)
        backend.build()
        finish(home, manifest, backend)
    home.check()
