"""ddsim.search.collection: runs that do only what is to be done, and an index that shows the folder as it is."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from homes import StrictTap, four_at_a_time
from shop import Sent, Shop, picture
from stock import assert_sound, index, make_unreadable, names, quarantined, sent_batches, sent_uris, wait_for_nothing

from ddsim import (
    CapabilityError,
    Collection,
    ConfigError,
    ImageSearch,
    IndexOptions,
    InvalidRequest,
    ManifestBusy,
    Reply,
)
from ddsim.catalogue.manifest import ItemState
from ddsim.catalogue.plan import Change


def snapshot(folder: Path) -> dict[str, bytes]:
    """All files below."""
    return {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def change_some(shop: Shop) -> list[str]:
    """Add three files, change two, remove four and touch one of ten; what is to be sent then."""
    added, changed = ["bed/x.png", "bed/y.png", "lamp/zz.png"], ["lamp/03.png", "lamp/07.png"]
    shop.add(*added, *changed)
    for number in (0, 4, 5, 9):
        (shop.catalogue / f"lamp/{number:02d}.png").unlink()
    os.utime(shop.catalogue / "lamp/01.png", (1, 1))
    return sorted(added + changed)


# Only what is to be done


@pytest.mark.parametrize("restarted", [True, False])
def test_only_what_changed_is_sent(either: Shop, restarted: bool) -> None:
    """Of ten, three added, two changed, four removed, one touched: two requests bring five pictures, each once."""
    either.add(*names("lamp", 10))
    index(either)
    sent = change_some(either)
    if restarted:
        either.tap.restart()
    either.tap.sent.clear()
    report = index(either)
    assert sorted(uri for batch in sent_batches(either) for uri in batch) == sent
    assert [len(batch) for batch in sent_batches(either)] == [4, 1]
    expected = {"new": 3, "changed": 2, "vanished": 4, "touched": 1, "unchanged": 3, "waiting": 0, "failed": 0}
    assert report.changes == expected
    assert (report.indexed, report.sent) == (9, 5)
    left = [uri for uri in names("lamp", 10) if uri[5:7] not in ("00", "04", "05", "09")]
    assert_sound(either, [*left, "bed/x.png", "bed/y.png", "lamp/zz.png"])


@pytest.mark.parametrize("restarted", [True, False])
def test_a_second_run_sends_nothing(either: Shop, restarted: bool) -> None:
    """Where nothing changed, no picture of the catalogue goes over the wire, and nothing is there twice."""
    either.add(*names("lamp", 6))
    either.add_bytes("lamp/bad.jpg", b"")
    index(either)
    if restarted:
        either.tap.restart()
    either.tap.sent.clear()
    report = index(either)
    assert sent_batches(either) == []
    assert (report.sent, report.indexed, report.rows) == (0, 6, 6)
    assert (report.changes["unchanged"], report.changes["failed"]) == (6, 1)
    assert [failure.uri for failure in report.failures] == ["lamp/bad.jpg"]
    assert_sound(either, names("lamp", 6))


def test_a_dry_run_changes_nothing(either: Shop) -> None:
    """It counts what a run would do, sends nothing, and leaves every file as it is."""
    either.add(*names("lamp", 10))
    either.add_bytes("lamp/bad.jpg", b"")
    index(either)
    change_some(either)
    either.tap.sent.clear()
    state = either.root / ".ddsim"
    with either.collection() as collection:
        before, rows = snapshot(state), list(collection.manifest.rows(limit=1000))
        counts = collection.changes()
        retried = collection.changes(IndexOptions(retry_failed=True))
        assert snapshot(state) == before
        assert list(collection.manifest.rows(limit=1000)) == rows
    assert not either.tap.sent
    expected = {"new": 3, "changed": 2, "vanished": 4, "touched": 1, "unchanged": 3, "waiting": 0, "failed": 1}
    assert {change.value: count for change, count in counts.items()} == expected
    assert retried == counts
    assert index(either).changes == expected


def test_a_dry_run_of_a_new_catalogue(either: Shop) -> None:
    """Before the first run everything is new, and nothing is indexed afterwards either."""
    either.add(*names("lamp", 3))
    with either.collection() as collection:
        assert collection.changes()[Change.NEW] == 3
    assert not either.tap.sent
    assert either.indexed() == []


def test_a_moved_file_is_another_item(either: Shop) -> None:
    """A name that is gone is found no more, the new one is, whose content is the same."""
    either.add(*names("lamp", 3))
    index(either)
    (either.catalogue / "bed").mkdir()
    (either.catalogue / "lamp/01.png").rename(either.catalogue / "bed/01.png")
    report = index(either)
    assert (report.changes["new"], report.changes["vanished"], report.sent + report.reused) == (1, 1, 1)
    assert_sound(either, ["bed/01.png", "lamp/00.png", "lamp/02.png"])


def test_an_emptied_folder_empties_nothing(either: Shop) -> None:
    """A catalogue without a picture, such as a disk that is not mounted, is an error and forgets no item."""
    either.add(*names("lamp", 3))
    index(either)
    either.catalogue.rename(either.root / "away")
    either.catalogue.mkdir()
    with pytest.raises(ConfigError, match="no pictures"):
        index(either)
    either.catalogue.rmdir()
    with pytest.raises(ConfigError, match="no such folder"):
        index(either)
    (either.root / "away").rename(either.catalogue)
    assert_sound(either, names("lamp", 3))


# Gone at once


def test_what_vanished_is_found_no_more(either: Shop) -> None:
    """After the run, in a search that was open before it as well."""
    either.add(*names("lamp", 6))
    index(either)
    query = picture(99)
    with either.search() as search:
        assert len(search.query(query).neighbours) == 6
        (either.catalogue / "lamp/02.png").unlink()
        index(either)
        assert [one.uri for one in search.query(query).neighbours].count("lamp/02.png") == 0
        assert len(search.query(query, 5).neighbours) == 5


def test_what_changed_is_found_by_its_new_content_only(either: Shop) -> None:
    """The old picture finds others at a distance, the new one finds it at none."""
    (path,) = either.add("lamp/02.png")
    either.add("lamp/00.png", "lamp/01.png")
    old = path.read_bytes()
    index(either)
    either.add("lamp/02.png")
    report = index(either)
    assert (report.sent, report.changes["changed"]) == (1, 1)
    with either.search() as search:
        assert search.query(old).neighbours[0].distance > 0
        found = search.query(path).neighbours
        assert (found[0].uri, found[0].distance) == ("lamp/02.png", pytest.approx(0, abs=1e-6))
        assert len(found) == 3


def test_k_is_reached_past_the_tombstones(shop: Shop) -> None:
    """However many rows of replaced pictures are nearer, the answer is the valid nearest k."""
    for round_ in range(4):
        for number in range(30):
            shop.add_picture(f"lamp/{number:02d}.png", picture(number + 100 * round_))
        index(shop)
    report = index(shop)
    assert (report.indexed, report.rows, report.tombstones) == (30, 120, 0.75)
    with shop.search() as search:
        found = search.query(picture(0), 30).neighbours
    assert sorted(one.uri for one in found) == names("lamp", 30)
    assert_sound(shop, names("lamp", 30))


def test_at_home_rows_are_really_removed(tmp_path: Path) -> None:
    """The local index has no tombstones."""
    shop = four_at_a_time(tmp_path, "local")
    shop.add(*names("lamp", 6))
    index(shop)
    shop.add("lamp/00.png")
    (shop.catalogue / "lamp/01.png").unlink()
    report = index(shop)
    assert (report.rows, report.tombstones, report.indexed) == (5, 0.0, 5)


def test_rebuilding(either: Shop) -> None:
    """Everything is sent again into an empty index, which has no tombstones."""
    either.add(*names("lamp", 6))
    index(either)
    either.add("lamp/00.png")
    either.tap.sent.clear()
    report = index(either, rebuild=True)
    assert (report.sent, report.indexed, report.rows, report.tombstones) == (6, 6, 6, 0.0)
    assert sent_uris(either) == names("lamp", 6)
    assert_sound(either, names("lamp", 6))


def test_removing_items(either: Shop) -> None:
    """They are found no more at once, without their files being touched; the next run finds them anew."""
    either.add(*names("lamp", 5))
    index(either)
    with either.search() as search:
        search.query(picture(99))
        with either.collection() as collection:
            assert collection.remove(["lamp/01.png", "lamp/03.png"]) == 2
        assert sorted(one.uri for one in search.query(picture(99)).neighbours) == [
            "lamp/00.png",
            "lamp/02.png",
            "lamp/04.png",
        ]
    assert (either.catalogue / "lamp/01.png").exists()
    report = index(either)
    assert report.sent + report.reused == 2
    assert_sound(either, names("lamp", 5))


def test_removing_what_is_not_indexed(either: Shop) -> None:
    """An item in quarantine is forgotten, too, and the server is not asked for that."""
    either.add("lamp/a.png")
    either.add_bytes("lamp/bad.jpg", b"")
    index(either)
    either.tap.sent.clear()
    with either.collection() as collection:
        assert collection.remove(["lamp/bad.jpg"]) == 1
        assert quarantined(collection) == []
    assert not either.tap.sent


# Quarantine


def test_what_failed_is_left_alone_until_it_is_retried(either: Shop) -> None:
    """A picture that the server refused is not sent again by later runs, but by one that is asked to; tries add up."""
    either.add(*names("lamp", 5))
    make_unreadable(either, ["lamp/02.png"])
    index(either)
    either.tap.sent.clear()
    assert [failure.tries for failure in index(either).failures] == [1]
    assert sent_batches(either) == []
    assert [failure.tries for failure in index(either, retry_failed=True).failures] == [2]
    assert {uri for batch in sent_batches(either) for uri in batch} == {"lamp/02.png"}
    either.tap.faults.clear()
    report = index(either, retry_failed=True)
    assert (report.failures, report.indexed, report.sent) == ((), 5, 1)
    assert_sound(either, names("lamp", 5))


def test_a_repaired_file_is_picked_up(either: Shop) -> None:
    """A file in quarantine that changed is tried again without being asked for, one that was only touched is not."""
    either.add("lamp/a.png")
    bad = either.add_bytes("lamp/bad.png", b"words")
    worse = either.add_bytes("lamp/worse.png", b"words")
    assert len(index(either).failures) == 2
    os.utime(worse, (1, 1))
    picture(77).save(bad, "PNG")
    report = index(either)
    assert (report.indexed, report.sent) == (2, 1)
    assert [(failure.uri, failure.tries) for failure in report.failures] == [("lamp/worse.png", 1)]
    assert_sound(either, ["lamp/a.png", "lamp/bad.png"])


def test_a_picture_that_was_damaged_is_found_no_more(either: Shop) -> None:
    """An item whose file is no picture any more is put aside, and its old row is not found."""
    either.add(*names("lamp", 3))
    index(either)
    (either.catalogue / "lamp/01.png").write_bytes(b"words")
    report = index(either)
    assert [failure.uri for failure in report.failures] == ["lamp/01.png"]
    assert_sound(either, ["lamp/00.png", "lamp/02.png"])


# Who may


def test_a_second_run_at_the_same_time(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is told who holds the manifest, and has changed nothing; looking is allowed meanwhile."""
    wait_for_nothing(monkeypatch)
    shop.add(*names("lamp", 6))
    index(shop)
    shop.add("lamp/new.png")
    with shop.collection() as collection, collection.manifest.writing():
        rows = collection.manifest.counts()
        shop.tap.sent.clear()
        with pytest.raises(ManifestBusy) as caught:
            index(shop)
        assert caught.value.pid == os.getpid()
        assert not shop.tap.sent
        assert collection.manifest.counts() == rows
        assert len(shop.indexed()) == 6
    assert index(shop).indexed == 7


def test_without_a_client_the_manifest_can_be_read(either: Shop) -> None:
    """What needs the server says that there is none."""
    either.add(*names("lamp", 3))
    either.add_bytes("lamp/bad.jpg", b"")
    index(either)
    with Collection(either.settings, None) as collection:
        assert collection.manifest.counts()[ItemState.INDEXED] == 3
        assert quarantined(collection) == ["lamp/bad.jpg"]
        assert collection.changes()[Change.UNCHANGED] == 3
        with pytest.raises(InvalidRequest, match="without a client"):
            collection.index()
        with pytest.raises(InvalidRequest, match="without a client"):
            collection.search([picture(1)], 1)


def test_nothing_indexed(either: Shop) -> None:
    """A search before any run says what to do, with the catalogue and the configuration."""
    either.add("lamp/a.png")
    with either.collection() as collection, pytest.raises(ConfigError, match="run `ddsim index`") as caught:
        collection.search([picture(1)], 1)
    assert str(either.catalogue) in str(caught.value)
    assert "'shop'" in str(caught.value)


def test_an_unknown_category(either: Shop) -> None:
    """It is told which there are."""
    either.add("lamp/a.png", "bed/b.png")
    index(either)
    with either.collection() as collection, pytest.raises(InvalidRequest, match="there are bed, lamp"):
        collection.search([picture(1)], 1, among="lmap")


# Another configuration, another folder


def test_another_layer_is_another_index(either: Shop) -> None:
    """Nothing of the one is found in the other, and going back finds the first as it was."""
    either.add(*names("lamp", 3))
    assert index(either).dimension == 16
    either.configure(similarity={"extract_layer": "pool1"})
    either.tap.restart()
    assert either.indexed() == []
    report = index(either)
    assert (report.dimension, report.sent) == (392, 3)
    assert_sound(either, names("lamp", 3))
    either.configure()
    either.tap.restart()
    either.tap.sent.clear()
    assert index(either).sent == 0
    assert_sound(either, names("lamp", 3))


def test_other_preprocessing_is_another_index(shop: Shop) -> None:
    """The service's settings belong to the index: its own service is created anew for the other one."""
    shop.add(*names("lamp", 3))
    index(shop)
    shop.configure(network={"mean": [1.0, 2.0, 3.0]})
    shop.tap.restart()
    report = index(shop)
    assert (report.sent, report.indexed) == (3, 3)
    assert_sound(shop, names("lamp", 3))


def test_another_network_in_the_same_file_is_another_index(shop: Shop) -> None:
    """Where ddsim can look at the network's files, replaced weights mean another index."""
    weights = shop.root / "copy.caffemodel"
    content = bytearray(Path(shop.settings.similarity.weights or "").read_bytes())
    weights.write_bytes(content)
    shop.configure(network={"weights": str(weights)})
    shop.add(*names("lamp", 3))
    index(shop)
    content[-1] ^= 1
    weights.write_bytes(content)
    assert shop.indexed() == []


def test_another_batch_size_is_the_same_index(either: Shop) -> None:
    """What vectors do not depend on may change."""
    either.add(*names("lamp", 3))
    index(either)
    either.configure(index={"batch_size": 2, "checkpoint": 10})
    either.tap.sent.clear()
    assert index(either).sent == 0


def test_a_service_of_somebody_else_is_left_alone(shop: Shop) -> None:
    """One of the configured name stays as it is: an index has a service of its own beside it."""
    shop.add(*names("lamp", 3))
    client = shop.client()
    foreign = shop.settings.similarity_spec().model_copy(update={"mean": (1.0, 2.0, 3.0), "description": "mine"})
    client.create_service(foreign)
    shop.tap.sent.clear()
    assert index(shop).sent == 3
    assert client.get_service(foreign.name).description == "mine"
    assert_sound(shop, names("lamp", 3))


def test_another_folder_is_searched_by_default(either: Shop) -> None:
    """Where the configuration's own catalogue was never indexed, the one indexed last is; later the own one is."""
    other = either.root / "other" / "cat"
    other.mkdir(parents=True)
    picture(99).save(other / "x.png")
    with either.search() as search:
        assert search.index(either.root / "other").indexed == 1
        assert search.catalogue == either.root / "other"
        assert [one.uri for one in search.query(picture(99)).neighbours] == ["cat/x.png"]
    with either.search() as search:
        assert search.catalogue == either.root / "other"
        assert [one.uri for one in search.query(picture(99)).neighbours] == ["cat/x.png"]


def test_two_folders_are_two_indexes(either: Shop) -> None:
    """Each is searched by its name; neither's pictures are found in the other."""
    either.add("lamp/a.png")
    other = either.root / "other" / "cat"
    other.mkdir(parents=True)
    picture(99).save(other / "x.png")
    index(either)
    either.tap.restart()
    with either.search(either.root / "other") as search:
        search.index(either.root / "other")
    for folder, uris in ((None, ["lamp/a.png"]), (either.root / "other", ["cat/x.png"])):
        either.tap.restart()
        with either.search(folder) as search:
            assert [one.uri for one in search.query(picture(1)).neighbours] == uris


def test_one_service_serves_every_catalogue_in_turn(shop: Shop) -> None:
    """Another folder of the same configuration takes the service over; the first gets it back when it is searched."""
    shop.add("lamp/a.png")
    index(shop)
    other = shop.root / "other" / "cat"
    other.mkdir(parents=True)
    picture(99).save(other / "x.png")
    with shop.search() as search:
        assert search.index(shop.root / "other").sent == 1
        assert [one.uri for one in search.query(picture(99)).neighbours] == ["cat/x.png"]
    assert_sound(shop, ["lamp/a.png"])


def test_another_layer_takes_the_service_over(shop: Shop) -> None:
    """Whoever changes the layer indexes anew, into another index, without having to delete anything."""
    shop.add("lamp/a.png", "lamp/b.png")
    index(shop)
    shop.configure(similarity={"extract_layer": "pool1"})
    report = index(shop)
    assert (report.sent, report.dimension) == (2, 392)
    assert_sound(shop, ["lamp/a.png", "lamp/b.png"])


# What the server can do


def without_search(sent: Sent, carry_out: Callable[[], Reply]) -> Reply | None:
    """A server that was built without similarity search and says so."""
    if sent.path != "/info":
        return None
    reply = carry_out()
    return Reply(200, reply.body.replace(b"USE_SIMSEARCH=ON", b"USE_SIMSEARCH=OFF"))


def test_a_server_without_similarity_search(shop: Shop) -> None:
    """A server that would ignore the index silently is refused, with what to do."""
    shop.add(*names("lamp", 3))
    shop.tap.faults.append(without_search)
    with pytest.raises(CapabilityError, match="backend: local"):
        index(shop)
    assert not shop.tap.index_calls
    assert sent_batches(shop) == []


@pytest.mark.parametrize(("profile", "home"), [("v0.25.0", "server Flat"), ("no-simsearch", "local l2")])
def test_auto(tmp_path: Path, profile: str, home: str) -> None:
    """`auto` takes the server's index where there is one, and stays with what it chose."""
    base = {"classification": None, "similarity": {"extract_layer": "fc1"}, "index": {"backend": "auto"}}
    shop = Shop(tmp_path, base, tap=StrictTap(profile=profile))
    shop.add(*names("lamp", 3))
    assert index(shop).home == home
    assert_sound(shop, names("lamp", 3))
    if home == "local l2":
        shop.tap = StrictTap()
        assert index(shop).home == home
        assert_sound(shop, names("lamp", 3))


def test_changing_the_home(shop: Shop) -> None:
    """The other home is refused until the index is rebuilt, which sends everything there."""
    shop.add(*names("lamp", 3))
    index(shop)
    shop.configure(index={"backend": "local"})
    with pytest.raises(ConfigError, match="--rebuild"):
        index(shop)
    report = index(shop, rebuild=True)
    assert (report.home, report.sent) == ("local l2", 3)
    assert_sound(shop, names("lamp", 3))
    shop.configure()
    assert index(shop, rebuild=True).home == "server Flat"
    assert_sound(shop, names("lamp", 3))


def test_a_search_closes_what_it_opened(shop: Shop) -> None:
    """Where the manifest cannot be opened, the client is closed."""
    shop.add("lamp/a.png")
    index(shop)
    (manifest,) = (shop.root / ".ddsim").rglob("manifest.sqlite")
    manifest.write_text("words")
    client = shop.client()
    with pytest.raises(ConfigError):
        ImageSearch(shop.settings, client=client)
    assert shop.tap.closed
