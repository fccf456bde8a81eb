"""A catalogue in a database, that one machine indexes and others search: they have nothing but its configuration."""

from __future__ import annotations

import itertools
import secrets
import shutil
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from homes import Killed, StrictTap
from milvuses import TOKEN
from shop import Shop, picture

from ddsim import (
    CapabilityError,
    ConfigError,
    ForeignCollection,
    ImageUnavailable,
    IndexOptions,
    InvalidRequest,
    TransportError,
)
from ddsim.catalogue import ItemState
from ddsim.deepdetect import Canary, Ensured, ensure
from ddsim.doctor.catalogue import check_index
from ddsim.doctor.checks import attempt
from ddsim.search import Collection
from ddsim.sources import FolderSource
from ddsim.vectors.canary import canary_of
from ddsim.vectors.milvuscalls import Calls, among
from ddsim.vectors.milvusplace import alias_of

pytestmark = [pytest.mark.usefixtures("loopback"), pytest.mark.long]


def opened(root: Path, index: dict[str, Any], **changes: Any) -> Shop:
    """A machine of its own: state, catalogue and server are nobody else's."""
    root.mkdir()
    base = {"classification": None, "similarity": {"extract_layer": "fc1"}, "index": {"batch_size": 4, **index}}
    return Shop(root, base | changes, tap=StrictTap(profile="no-simsearch"))


@pytest.fixture
def index(milvus_url: str) -> Iterator[dict[str, Any]]:
    """The index's settings, with a collection of the test's own; what is made under its name is removed again."""
    made = {"backend": "milvus", "url": milvus_url, "token": TOKEN, "collection": f"test_{secrets.token_hex(6)}"}
    yield made
    from pymilvus import MilvusClient

    with closing(MilvusClient(uri=milvus_url, token=TOKEN)) as client:
        for name in client.list_collections():
            if name.startswith(made["collection"]):
                for alias in client.list_aliases(name)["aliases"]:
                    client.drop_alias(alias)
                client.drop_collection(name)


@pytest.fixture
def indexing(tmp_path: Path, index: dict[str, Any]) -> Shop:
    """The machine that indexes, with seven pictures in three categories."""
    shop = opened(tmp_path / "indexing", index)
    shop.add(*(f"lamp/{number}.png" for number in range(4)), "bed/0.png", 'bed/"1\\".png', "chair/0.png")
    return shop


@pytest.fixture
def searching(tmp_path: Path, index: dict[str, Any]) -> Shop:
    """A machine that searches: the same configuration, and nothing else."""
    return opened(tmp_path / "searching", index)


def calls(shop: Shop) -> Calls:
    """Calls to a shop's database."""
    return Calls(shop.settings.index)


def uris(shop: Shop) -> list[str]:
    """What is in the catalogue."""
    return sorted(path.relative_to(shop.catalogue).as_posix() for path in shop.catalogue.glob("*/*.png"))


def found(shop: Shop) -> list[str]:
    """What a machine without state finds, sorted; each item as often as it is found."""
    with shop.search() as search:
        if not search.collection.records.categories():
            return []
        return sorted(one.uri for one in search.query(picture(0), 1000, route=False, twins=True).neighbours)


def test_a_machine_without_state_finds_what_another_indexed(indexing: Shop, searching: Shop) -> None:
    """The same neighbours, categories and probabilities, names with quotes in them too; nothing is written there."""
    with indexing.search() as search:
        assert search.index().audit.passed
        own = search.query(picture(2), 5)
        learned = search.collection.learned()
    with searching.search() as search:
        other = search.query(picture(2), 5)
        assert [(one.uri, one.score) for one in other.neighbours] == [(one.uri, one.score) for one in own.neighbours]
        assert (other.categories, other.searched) == (own.categories, own.searched)
        assert search.collection.learned() == learned
        records = search.collection.records
        assert records.categories() == {"bed": 2, "chair": 1, "lamp": 4}
        assert [one.uri for one in search.query(picture(2), 9, category="bed").neighbours if one.uri[:3] != "bed"] == []
        row = records.find('bed/"1\\".png')
        assert row is not None
        assert row.category == "bed"
        assert records.get('bed/" or uri != "') is None
        assert {row.uri for row in records.sample(100, seed=1)} == set(uris(indexing))
        with pytest.raises(CapabilityError, match="machine that indexes"):
            records.rows(ItemState.INDEXED)
    assert list((searching.root / ".ddsim").rglob("*.sqlite")) == []
    with Collection(searching.settings, None) as alone:
        assert sum(alone.records.categories().values()) == 7


def test_nothing_indexed_is_said_and_then_found(indexing: Shop, searching: Shop) -> None:
    """Before the first run a search says so; after it the same machine finds everything, as it is by then."""
    with searching.search() as search, pytest.raises(ConfigError, match=r"nothing of .* is indexed"):
        search.query(picture(0))
    with indexing.search() as search:
        search.index()
    assert found(searching) == uris(indexing)
    (indexing.catalogue / "lamp/0.png").unlink()
    indexing.add("lamp/1.png", "sofa/0.png")
    with indexing.search() as search:
        search.index(options=IndexOptions(allow_vanished=True))
    assert found(searching) == uris(indexing)


def test_a_rebuild_goes_on_beside_the_old_generation(indexing: Shop, searching: Shop) -> None:
    """Others find the old one until the new one is whole, then that; of the old one nothing stays."""
    with indexing.search() as search, calls(indexing) as database:
        search.index()
        before = database.describe(alias_of(indexing.settings))
        meanwhile: list[list[str]] = []
        search.index(options=IndexOptions(rebuild=True), progress=lambda _: meanwhile.append(found(searching)))
        after = database.describe(alias_of(indexing.settings))
        assert before is not None
        assert after is not None
        assert after.name != before.name
        assert meanwhile
        assert all(one == uris(indexing) for one in meanwhile)
        left = [name for name in database.names() if name.startswith(indexing.settings.index.collection or "")]
        assert left == [after.name]
    assert found(searching) == uris(indexing)


@pytest.mark.parametrize("carried_out", [False, True])
def test_death_at_any_call_to_the_database(
    indexing: Shop, searching: Shop, carried_out: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whichever call a run dies at, before or after it is carried out: the next one mends it, each item is there once.

    Somebody who searches in between sees no item twice.
    """
    with indexing.search() as search:
        search.index()
    once = Calls.once
    left = 0

    def dying(self: Calls, call: str, name: str, arguments: dict[str, Any]) -> Any:
        nonlocal left
        left -= 1
        if left == 0 and not carried_out:
            raise Killed
        result = once(self, call, name, arguments)
        if left == 0:
            raise Killed
        return result

    monkeypatch.setattr(Calls, "once", dying)
    # Every fourth call; between the two ways to die, every other one.
    for moment in itertools.count(1 + 2 * carried_out, 4):
        indexing.add_picture("lamp/0.png", picture(1000 + moment))
        indexing.add_picture(f"new/{moment}.png", picture(2000 + moment))
        (indexing.catalogue / f"new/{moment - 4}.png").unlink(missing_ok=True)
        left = moment
        alive = run(indexing)
        left = 0
        names = found(searching)
        assert len(names) == len(set(names))
        assert run(indexing)
        assert found(searching) == uris(indexing)
        if alive:
            break
    assert moment > 10


def run(shop: Shop) -> bool:
    """An indexing run; whether it came to its end."""
    try:
        with shop.search() as search:
            assert search.index(options=IndexOptions(allow_vanished=True)).audit.passed
            with calls(shop) as database:
                name = search.collection.manifest.get_meta("collection")
                assert database.count(name) == len(uris(shop))
    except Killed:
        return False
    return True


def test_a_collection_of_another_ddsim_is_refused(indexing: Shop, tmp_path: Path, index: dict[str, Any]) -> None:
    """Two machines that both index under one name: the second is told who was there first, and nothing is changed."""
    with indexing.search() as search:
        search.index()
    second = opened(tmp_path / "second", index)
    second.add("lamp/0.png")
    with second.search() as search:
        for options in (IndexOptions(), IndexOptions(rebuild=True)):
            with pytest.raises(ForeignCollection) as caught:
                search.index(options=options)
            for folder in (indexing.catalogue, second.catalogue):
                assert str(folder) in str(caught.value)
    assert found(indexing) == uris(indexing)


@pytest.fixture
def newcomer(indexing: Shop) -> Shop:
    """The machine that indexes, after its index was made and its state folder lost: that lies in ``lost``."""
    with indexing.search() as search:
        search.index()
    (indexing.root / ".ddsim").rename(indexing.root / "lost")
    indexing.tap.restart()
    return indexing


def names_of(shop: Shop) -> list[str]:
    """The collections under a shop's name."""
    with calls(shop) as database:
        return [name for name in database.names() if name.startswith(alias_of(shop.settings) + "_1")]


@pytest.mark.parametrize("rebuild", [False, True])
def test_a_lost_state_folder_takes_its_name_over(newcomer: Shop, searching: Shop, rebuild: bool) -> None:
    """Only where it is told to. Others find the old index until the new one is whole; of the old one nothing stays."""
    (before,) = names_of(newcomer)
    with newcomer.search() as search:
        with pytest.raises(ForeignCollection) as caught:
            search.index(options=IndexOptions(rebuild=rebuild))
        for words in (str(newcomer.settings.state), "made 20", "which has made none", "`ddsim index --take-over`"):
            assert words in str(caught.value)
        assert names_of(newcomer) == [before]
        meanwhile: list[list[str]] = []
        report = search.index(
            options=IndexOptions(rebuild=rebuild, take_over=True), progress=lambda _: meanwhile.append(found(searching))
        )
        assert report.audit is not None
        assert report.audit.passed
    assert meanwhile
    assert all(one == uris(newcomer) for one in meanwhile)
    assert found(searching) == found(newcomer) == uris(newcomer)
    (after,) = names_of(newcomer)
    assert after != before
    assert run(newcomer)
    assert names_of(newcomer) == [after]


def test_a_state_folder_that_comes_back_is_refused(newcomer: Shop, searching: Shop) -> None:
    """Whatever it does after another has taken its name changes nothing; it can take it back, if it is told to."""
    with newcomer.search() as search:
        search.index(options=IndexOptions(take_over=True))
    there = names_of(newcomer)
    (newcomer.root / ".ddsim").rename(newcomer.root / "new")
    (newcomer.root / "lost").rename(newcomer.root / ".ddsim")
    newcomer.tap.restart()
    with newcomer.search() as search:
        collection = search.collection
        for work in (
            search.index,
            lambda: search.index(options=IndexOptions(rebuild=True)),
            lambda: search.query(picture(0)),
            collection.audit,
            collection.train,
            lambda: collection.remove(["bed/0.png"]),
        ):
            with pytest.raises(ForeignCollection, match="--take-over"):
                work()
    assert names_of(newcomer) == there
    assert found(searching) == uris(newcomer)
    with newcomer.search() as search:
        assert search.index(options=IndexOptions(take_over=True)).audit.passed
    assert len(names_of(newcomer)) == 1
    assert found(searching) == found(newcomer) == uris(newcomer)


def test_a_stopped_run_takes_nothing_over(newcomer: Shop, searching: Shop) -> None:
    """The old index answers, and the next run has to be told again; it sends only what is missing."""
    (before,) = names_of(newcomer)
    told: list[object] = []
    with newcomer.search() as search:
        options = IndexOptions(take_over=True)
        assert not search.index(options=options, progress=told.append, stopping=lambda: bool(told)).finished
        assert before in names_of(newcomer)
        assert found(searching) == uris(newcomer)
        with pytest.raises(ForeignCollection):
            search.index()
        assert search.index(options=options).sent < len(uris(newcomer))
    assert before not in names_of(newcomer)
    assert found(searching) == uris(newcomer)


def test_an_index_without_a_picture_takes_nothing_over(newcomer: Shop, searching: Shop) -> None:
    """Where nothing of the catalogue could be indexed, what others find stays as it is."""
    (before,) = names_of(newcomer)
    whole = uris(newcomer)
    newcomer.catalogue.rename(newcomer.root / "aside")
    newcomer.add_bytes("lamp/0.png", b"no picture")
    with newcomer.search() as search:
        assert search.index(options=IndexOptions(take_over=True)).indexed == 0
    assert before in names_of(newcomer)
    assert found(searching) == whole


def unavailable(self: FolderSource, uri: str, *_: object) -> bytes:
    """A catalogue whose host is in trouble, but for one picture."""
    if uri != "bed/0.png":
        raise ImageUnavailable(uri, "503")
    return (self.folder / uri).read_bytes()


def test_what_lacks_pictures_in_passing_takes_nothing_over(
    newcomer: Shop, searching: Shop, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Pictures that cannot be had just now are waited for, which the report says; the old index answers until then."""
    (before,) = names_of(newcomer)
    with newcomer.search() as search:
        with monkeypatch.context() as trouble:
            trouble.setattr(FolderSource, "read", unavailable)
            report = search.index(options=IndexOptions(take_over=True))
        assert report.indexed == 1
        assert report.withheld is not None
        assert report.warnings[-1] == report.withheld
        for words in (before, "6 of the catalogue", "chair/0.png", "--take-over --allow-vanished"):
            assert words in report.withheld
        assert caplog.text.count("was not taken over") == 1
        assert before in names_of(newcomer)
        assert found(searching) == uris(newcomer)
        report = search.index(options=IndexOptions(take_over=True))
        assert (report.withheld, report.warnings) == (None, ())
    assert before not in names_of(newcomer)
    assert found(searching) == uris(newcomer)


def test_what_cannot_be_looked_at_is_waited_for_unless_told(
    newcomer: Shop, searching: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So is a folder that cannot be read; whoever allows what has vanished takes the name over without it."""
    (before,) = names_of(newcomer)
    (newcomer.catalogue / "lamp").rename(newcomer.root / "lamp")
    (newcomer.catalogue / "lamp").symlink_to(newcomer.root / "nowhere")
    with newcomer.search() as search:
        report = search.index(options=IndexOptions(take_over=True))
        assert "(lamp)" in (report.withheld or "")
        assert before in names_of(newcomer)
        report = search.index(options=IndexOptions(take_over=True, allow_vanished=True))
        assert report.withheld is None
    assert before not in names_of(newcomer)
    assert found(searching) == sorted(['bed/"1\\".png', "bed/0.png", "chair/0.png"])


@pytest.mark.parametrize("rebuild", [False, True])
def test_what_is_much_smaller_takes_nothing_over_unless_told(newcomer: Shop, searching: Shop, rebuild: bool) -> None:
    """A catalogue that has lost most of what others find is looked at by a person first; a rebuild goes by that too."""
    (before,) = names_of(newcomer)
    whole = uris(newcomer)
    (newcomer.catalogue / "lamp").rename(newcomer.root / "lamp")
    (newcomer.catalogue / 'bed/"1\\".png').unlink()
    options = IndexOptions(take_over=True)
    with newcomer.search() as search:
        report = search.index(options=options)
        if rebuild:
            report = search.index(options=replace(options, rebuild=True))
        assert report.finished
        assert "holds 7 pictures, this index 2" in (report.withheld or "")
        assert report.warnings[-1] == report.withheld
        assert before in names_of(newcomer)
        assert found(searching) == whole
        report = search.index(options=replace(options, rebuild=rebuild, allow_vanished=True))
        assert report.withheld is None
    assert len(names_of(newcomer)) == 1
    assert found(searching) == uris(newcomer) == ["bed/0.png", "chair/0.png"]


@pytest.mark.parametrize("carried_out", [False, True])
@pytest.mark.parametrize("next_one", ["goes on", "rebuilds", "is not whole"])
def test_death_while_the_name_is_taken(
    newcomer: Shop, searching: Shop, carried_out: bool, next_one: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was taken is not forgotten, and not removed before the name is this index's own."""
    (before,) = names_of(newcomer)
    once = Calls.once

    def dying(self: Calls, call: str, name: str, arguments: dict[str, Any]) -> Any:
        if call == "alter_alias" and not carried_out:
            raise Killed
        result = once(self, call, name, arguments)
        if call == "alter_alias":
            raise Killed
        return result

    options = IndexOptions(take_over=True)
    with monkeypatch.context() as mortal, newcomer.search() as search:
        mortal.setattr(Calls, "once", dying)
        with pytest.raises(Killed):
            search.index(options=options)
    assert before in names_of(newcomer)
    assert found(searching) == uris(newcomer)
    if next_one == "is not whole":
        whole = uris(newcomer)
        newcomer.catalogue.rename(newcomer.root / "aside")
        newcomer.add_bytes("lamp/0.png", b"no picture")
        with newcomer.search() as search:
            search.index(options=replace(options, allow_vanished=True))
        assert (before in names_of(newcomer)) is not carried_out
        assert found(searching) == ([] if carried_out else whole)
        shutil.rmtree(newcomer.catalogue)
        (newcomer.root / "aside").rename(newcomer.catalogue)
    with newcomer.search() as search:
        search.index(options=replace(options, rebuild=next_one == "rebuilds"))
        after = search.collection.manifest.get_meta("collection")
    assert names_of(newcomer) == [after]
    assert found(searching) == uris(newcomer)


def test_what_is_nobodys_of_ddsim_is_not_taken_over(indexing: Shop) -> None:
    """A collection that ddsim did not make is refused whatever is asked for, and left alone."""
    from pymilvus import MilvusClient

    name = alias_of(indexing.settings)
    with closing(MilvusClient(uri=indexing.settings.index.url or "", token=TOKEN)) as client:
        client.create_collection(name, dimension=4)
        with indexing.search() as search, pytest.raises(ForeignCollection, match="somebody else") as caught:
            search.index(options=IndexOptions(take_over=True))
        assert "--take-over" not in str(caught.value)
        assert client.has_collection(name)


def test_what_is_removed_by_hand_is_gone_for_others(indexing: Shop, searching: Shop) -> None:
    """They count, route to and name what is left, as the machine does that removed it."""
    with indexing.search() as search:
        search.index()
        search.collection.remove(["bed/0.png", 'bed/"1\\".png'])
    with searching.search() as search:
        assert search.collection.records.categories() == {"chair": 1, "lamp": 4}
        assert "bed" not in search.query(picture(5), 9).searched
        with pytest.raises(InvalidRequest, match="no category 'bed'"):
            search.query(picture(4), category="bed")


def test_a_classifier_that_is_trained_by_hand_is_others_too(indexing: Shop, searching: Shop) -> None:
    """They tell categories by the one that was trained last, though no run came after it."""
    for shop in (indexing, searching):
        shop.configure(classification="trained")
    with indexing.search() as search:
        search.index()
        search.collection.remove(["lamp/0.png"])
        search.collection.train()
        head = search.collection.head()
    with Collection(searching.settings, None) as alone:
        other = alone.head()
    assert head is not None
    assert other is not None
    assert other.mark == head.mark


def test_a_collection_of_somebody_else_is_refused(indexing: Shop) -> None:
    """A collection under ddsim's name that ddsim did not make is shown, and left alone, by runs and by searches."""
    from pymilvus import MilvusClient

    name = alias_of(indexing.settings)
    with closing(MilvusClient(uri=indexing.settings.index.url or "", token=TOKEN)) as client:
        client.create_collection(name, dimension=4)
        with indexing.search() as search:
            with pytest.raises(ForeignCollection, match=r"somebody else.*FLOAT_VECTOR"):
                search.index()
            with pytest.raises(ForeignCollection, match="none that this configuration"):
                search.query(picture(0))
        assert client.has_collection(name)


def test_another_metric_sends_nothing(indexing: Shop, searching: Shop) -> None:
    """The collection is changed where it is; whoever searches by the old metric is told, and gets no wrong numbers."""
    with indexing.search() as search:
        search.index()
    indexing.configure(index={**indexing.base["index"], "metric": "cosine"})
    indexing.tap.sent.clear()
    with indexing.search() as search:
        assert search.index().sent == 0
        first = search.query(picture(1), 1).neighbours[0]
        assert first.distance == pytest.approx(0.0, abs=1e-6)
    with searching.search() as search, pytest.raises(ConfigError, match=r"metric.*COSINE"):
        search.query(picture(0))


def test_names_stay_names(indexing: Shop) -> None:
    """Whatever is in a name, an expression finds that one and no other."""
    names = [
        '"',
        "\\",
        '\\"',
        "' or 1 == 1",
        '"] or vid > 0 or uri in ["',
        "{x}",
        "%",
        "a\nb",
        "\x01",
        "ü日本😀",
        "\\u0041",
    ]
    with indexing.search() as search:
        search.index()
        name = search.collection.manifest.get_meta("collection")
    with calls(indexing) as database:
        rows = [
            {"vid": number, "uri": one, "category": one, "sha256": "", "generation": 1, "vector": [0.0] * 16}
            for number, one in enumerate(names, 1)
        ]
        database.add(name, rows)
        for one in names:
            for field in ("uri", "category"):
                assert [row["uri"] for row in database.where(name, among(field, [one]), 9, "Strong")] == [one]


def test_a_wrong_token_is_not_waited_for(indexing: Shop) -> None:
    """The database's refusal is said at once, without the token."""
    indexing.configure(index={**indexing.base["index"], "token": "root:secret-word"})
    with indexing.search() as search:
        with pytest.raises(TransportError, match=r"index\.token") as caught:
            search.index()
        assert "secret-word" not in str(caught.value)


def test_the_doctor_looks_at_the_database(indexing: Shop, searching: Shop) -> None:
    """Which Milvus it is, and how many items answer there, on machines without state too; and where there are none."""
    before = attempt("indexed", lambda note: check_index(searching.settings, note))
    assert [one.status for one in before] == ["ok", "warning"]
    assert "no collection" in before[1].message
    with indexing.search() as search:
        search.index()
    told = attempt("indexed", lambda note: check_index(searching.settings, note))
    assert [one.status for one in told] == ["ok", "ok"]
    assert "Milvus" in told[0].message
    assert "7 items" in told[1].message
    searching.configure(index={**searching.base["index"], "url": "http://127.0.0.1:9"})
    (gone,) = attempt("indexed", lambda note: check_index(searching.settings, note))
    assert (gone.status, "is it running" in gone.message) == ("failed", True)


@pytest.mark.parametrize("who", ["indexing", "searching"])
def test_what_is_kept_decides_among_several_servers(
    indexing: Shop, searching: Shop, who: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With state and without, the client is given the canary of the vectors that are kept, to compare servers by."""
    with indexing.search() as search:
        assert search.index().audit.passed
    with Collection(indexing.settings, None) as collection:
        kept = canary_of(collection.manifest)
    given: list[Canary | None] = []

    def ensured(*args: Any, canary: Canary | None = None, **named: Any) -> Ensured:
        given.append(canary)
        return ensure(*args, canary=canary, **named)

    monkeypatch.setattr("ddsim.vectors.milvus.ensure", ensured)
    assert found({"indexing": indexing, "searching": searching}[who]) == uris(indexing)
    assert kept is not None
    assert given
    assert all(one is not None and one.same_as(kept) for one in given)
