"""ddsim.doctor: what a server can do, its traps, and whether what is configured works on it."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from shop import TINY, Sent, Shop, once, plain, refusal

from ddsim import ConnectionLost, IndexLost, Reply, ServerUnreachable, ServiceSpec
from ddsim.config import Server
from ddsim.deepdetect.described import Info
from ddsim.deepdetect.services import ensure, shared
from ddsim.doctor import PREFIX, TRAPS, Check, Diagnosis, Facts, Options, diagnose
from ddsim.doctor import checks as checks_module
from ddsim.doctor.facts import facts_of
from ddsim.doctor.traps import traps_of
from ddsim.embedded import Engine

LABELS = {f"n0000000{i}": name for i, name in enumerate(("chair", "lamp", "table", "bed", "sofa"), 1)}
BOTH = "USE_CAFFE=ON USE_SIMSEARCH=ON USE_FAISS=ON"


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    """A shop with a picture of each category, all of them mapped."""
    shop = Shop(tmp_path, {"categories": LABELS})
    for category in LABELS.values():
        shop.add_picture(f"{category}/1.png", plain("red"))
    return shop


def look(shop: Shop, **options: Any) -> Diagnosis:
    """Have the doctor look, who waits for nothing; a call that would kill fails the test."""
    return diagnose(shop.settings, shop.client(), shop.tap, Options(**options), sleep=lambda _: None)


def look_elsewhere(shop: Shop, section: str = "similarity", **changes: Any) -> Diagnosis:
    """The same where the files are another machine's, so that nobody but the server sees that they are not there."""
    parts = {name: getattr(shop.settings, name) for name in ("similarity", "classification")}
    changed = {name: part.model_copy(update=changes) for name, part in parts.items() if section in (name, "network")}
    settings = shop.settings.model_copy(update={"server": Server.at("http://elsewhere:8080"), **changed})
    return diagnose(settings, shop.client(), shop.tap, Options(), sleep=lambda _: None)


def of(found: Diagnosis, name: str) -> list[Check]:
    """The checks of that name."""
    return [check for check in found.checks if check.name == name]


def the(found: Diagnosis, name: str) -> Check:
    """The only check of that name."""
    (check,) = of(found, name)
    return check


def files(shop: Shop) -> list[Path]:
    """All that lies in the shop's folder."""
    return sorted(shop.root.rglob("*"))


def services(shop: Shop) -> list[str]:
    """All that the server has."""
    return [one.name for one in shop.client().info().services]


# An index that was torn


def killed_at_a_build(shop: Shop) -> None:
    """Both the run and the server end in the middle of a build."""

    def ends(_: Callable[[], Reply]) -> Reply:
        shop.tap.restart()
        raise KeyboardInterrupt

    shop.tap.faults.append(once(lambda sent: sent.builds, ends))
    with shop.collection() as collection, pytest.raises(KeyboardInterrupt):
        collection.index()


def test_a_torn_index_is_named_with_its_cure(shop: Shop) -> None:
    """The doctor tells it by what was noted, searches nothing, and `ddsim index` is the cure."""
    killed_at_a_build(shop)
    shop.tap.sent.clear()
    check = the(look(shop, quick=True), "index files")
    assert check.status == "failed"
    assert "rows without names" in check.message
    assert "`ddsim index`" in check.hint
    assert not [sent for sent in shop.tap.sent if sent.output.get("search")]
    with shop.collection() as collection:
        collection.index()
    assert of(look(shop, quick=True), "index files") == []


def test_an_index_that_servers_die_of_is_named_with_its_cure(shop: Shop) -> None:
    """How often, where it lies, and that `--rebuild` helps."""
    with shop.collection() as collection:
        collection.index()
        with collection.manifest.writing():
            collection.manifest.set_meta(loading=2)
    shop.tap.restart()
    with shop.collection() as collection, pytest.raises(IndexLost):
        collection.index()
    check = the(look(shop, quick=True), "index files")
    assert "2 times" in check.message
    assert "`ddsim index --rebuild`" in check.hint


# All well


def test_all_well(shop: Shop) -> None:
    """Before anything was indexed all is well but that; nothing is left, neither there nor here."""
    before = files(shop), sorted(TINY.iterdir())
    found = look(shop)
    statuses = {check.name: check.status for check in found.checks}
    assert statuses == {
        "round trip": "ok",
        "library": "ok",
        "index": "ok",
        "similarity network": "ok",
        "extraction": "ok",
        "classification network": "ok",
        "classification": "ok",
        "catalogue": "ok",
        "categories": "ok",
        "labels": "ok",
        "indexed": "warning",
    }
    assert "ddsim index" in the(found, "indexed").hint
    assert "pool1 gives 392 values" in the(found, "similarity network").message
    assert "5 labels" in the(found, "classification network").message
    assert not found.failed
    assert found.conformance is None
    assert (files(shop), sorted(TINY.iterdir())) == before
    assert services(shop) == []
    assert found.info.version == "v0.25.0"


def test_after_indexing(shop: Shop) -> None:
    """Services that are there are used, and stay; the count of what is indexed is told."""
    with shop.search() as search:
        search.index()
        search.query(plain("red"))
        before = services(shop)
        sent = len(shop.tap.sent)
        found = look(shop)
    messages = [check.message for check in of(found, "service")]
    assert [re.sub("-[0-9a-f]{6} ", " ", message) for message in messages] == [
        "shop-similar is there, as configured",
        "shop-classes is there, as configured",
    ]
    assert the(found, "indexed").status == "ok"
    assert the(found, "indexed").message.startswith("5 of ")
    assert {sent.method for sent in shop.tap.sent[sent:]} == {"GET", "POST"}
    assert services(shop) == before


def test_quick(shop: Shop) -> None:
    """--quick sends nothing but GET."""
    found = look(shop, quick=True)
    assert the(found, "networks").status == "skipped"
    assert the(found, "labels").status == "skipped"
    assert {sent.method for sent in shop.tap.sent} == {"GET"}


def test_not_local(shop: Shop) -> None:
    """Without a configuration of one's own nothing of this machine is looked at."""
    names = {check.name for check in look(shop, local=False).checks}
    assert names.isdisjoint({"catalogue", "categories", "labels", "indexed"})


# Networks


@pytest.mark.parametrize(("key", "word"), [("definition", "def"), ("weights", "weights")])
def test_files_that_are_not_there(shop: Shop, key: str, word: str) -> None:
    """Which file the server lacks is told, with its path, and that paths are the server's."""
    before = files(shop)
    check = the(look_elsewhere(shop, "network", **{key: "/nowhere/file"}), "similarity network")
    assert check.status == "failed"
    assert f"cannot load {word}: /nowhere/file" in check.message
    assert "the server's own" in check.hint
    assert [path for path in files(shop) if path not in before] == []
    assert services(shop) == []


@pytest.mark.parametrize("key", ["def", "weights", "corresp"])
def test_files_that_are_not_on_this_machine(shop: Shop, key: str) -> None:
    """Where the server is embedded nothing is tried with a file that is not there; its key is named."""
    shop.configure(network={key: "/nowhere/file"})
    check = the(look(shop), "classification network")
    assert check.message == f"/nowhere/file: there is no such file: correct {key} in the configuration"
    assert check.status == "failed"


def test_a_layer_that_is_not_there(shop: Shop) -> None:
    """The layer is named, and where the right one can be read; the call after it is taken by the trial."""
    found = look_elsewhere(shop, extract_layer="pool5/7x7_s1")
    check = the(found, "layer")
    assert check.status == "failed"
    assert "pool5/7x7_s1" in check.message
    assert "deploy.prototxt" in check.hint
    assert "pool5" in check.hint
    assert found.failed
    assert the(found, "classification network").status == "ok"
    assert services(shop) == []


def test_labels_that_are_missing(shop: Shop) -> None:
    """A server without a file of labels answers numbers, and says nothing of it."""
    found = look_elsewhere(shop, "network", corresp="/nowhere/corresp.txt")
    check = the(found, "classification network")
    assert check.status == "warning"
    assert "numbers" in check.message
    assert "/nowhere/corresp.txt" in check.hint
    assert the(found, "labels").message.startswith("the network does not have 5 of the 5 ")


def test_another_number_of_labels(shop: Shop) -> None:
    """A nclasses that is not what the network has."""
    part = shop.settings.classification
    assert part is not None
    # What a definition here contradicts does not get this far; one on a server elsewhere cannot be looked into.
    settings = shop.settings.model_copy(update={"classification": part.model_copy(update={"nclasses": 7})})
    found = diagnose(settings, shop.client(), shop.tap, Options(), sleep=lambda _: None)
    check = the(found, "classification network")
    assert check.status == "warning"
    assert check.hint == "write nclasses: 5"


def test_without_classification(shop: Shop) -> None:
    """A configuration may do without, and has no use for labels then."""
    shop.configure(classification=None)
    found = look(shop)
    assert the(found, "classification").status == "skipped"
    assert of(found, "labels") == of(found, "categories") == []


def test_a_service_of_other_settings(shop: Shop) -> None:
    """Somebody else's service of that name is a failure; the network is tried beside it, and it stays."""
    spec = shared(shop.settings.similarity_spec()).model_copy(update={"width": 64, "repository": f"{shop.root}/other"})
    shop.client().create_service(ServiceSpec(**spec.model_dump()))
    found = look(shop)
    check = the(found, "service")
    assert check.status == "failed"
    assert "width: configured 32, found 64" in check.message
    assert the(found, "similarity network").status == "ok"
    assert services(shop) == [spec.name]


def test_a_service_of_ones_own_with_other_settings(shop: Shop) -> None:
    """A service that belongs to the configuration is created anew by the next run: a warning."""
    other = shared(shop.settings.similarity_spec()).model_copy(update={"mean": (1.0, 2.0, 3.0)})
    ensure(shop.client(), other, layer="pool1", owner=f"shop {shop.root}")
    check = the(look(shop), "service")
    assert check.status == "warning"
    assert "mean" in check.message


def test_a_network_in_the_services_own_folder(shop: Shop) -> None:
    """Where a trial would leave a file beside the network none is made."""
    repository = shop.root / "model"
    repository.mkdir()
    files_given = dict.fromkeys(("def", "weights", "corresp"))
    classes = {"repository": str(repository), "create_repository": False}
    similar = {"def": f"{TINY}/deploy.prototxt", "weights": f"{TINY}/tiny.caffemodel"}
    shop.configure(network=files_given, classification=classes, similarity={**similar, "repository": f"{shop.root}/i"})
    check = the(look(shop), "classification network")
    assert check.status == "skipped"
    assert "ddsim index" in check.hint
    assert list(repository.iterdir()) == []


def test_a_repository_that_nobody_makes(shop: Shop) -> None:
    """A folder that is not there, and that the server shall not make, is told."""
    shop.configure(classification={"repository": f"{shop.root}/none", "create_repository": False})
    check = the(look(shop), "repository")
    assert check.status == "failed"
    assert "create_repository: true" in check.hint


# Trouble


def test_a_server_that_cannot_be_reached(shop: Shop) -> None:
    """Nothing can be said of a server that does not answer."""

    def gone(sent: Sent, carry_out: Callable[[], Reply]) -> Reply | None:
        raise ServerUnreachable("nobody")

    shop.tap.faults.append(gone)
    with pytest.raises(ServerUnreachable):
        look(shop)


def test_a_server_that_is_lost_meanwhile(shop: Shop) -> None:
    """What can still be looked at is."""

    def dies(sent: Sent, carry_out: Callable[[], Reply]) -> Reply | None:
        if sent.method != "GET":
            raise ConnectionLost("died")
        return None

    shop.tap.faults.append(dies)
    found = look(shop)
    assert the(found, "similarity network").status == "failed"
    assert "log" in the(found, "similarity network").hint
    assert the(found, "catalogue").status == "ok"


def test_what_cannot_be_removed(shop: Shop) -> None:
    """What stays on the server is a failure of its own."""

    def stuck(sent: Sent, carry_out: Callable[[], Reply]) -> Reply | None:
        return refusal(500, 500, "busy") if sent.method == "DELETE" else None

    shop.tap.faults.append(stuck)
    found = look(shop, reference=shop.settings)
    assert found.failed
    assert all(check.status == "failed" for check in of(found, "clearing away"))
    assert PREFIX in of(found, "clearing away")[0].message


@pytest.mark.parametrize("at", range(8, 40, 3))
def test_interrupted(shop: Shop, at: int) -> None:
    """Ctrl-C at any call leaves nothing on the server."""
    before = files(shop)

    def interrupt(sent: Sent, carry_out: Callable[[], Reply]) -> Reply | None:
        if len(shop.tap.sent) == at:
            carry_out()
            raise KeyboardInterrupt
        return None

    shop.tap.faults.append(interrupt)
    try:
        look(shop)
    except KeyboardInterrupt:
        assert files(shop) == before
        assert services(shop) == []
    else:
        assert len(shop.tap.sent) < at


# Abilities


@pytest.mark.parametrize("backend", ["server", "local", "auto"])
def test_without_similarity_search(shop: Shop, backend: str) -> None:
    """An index on a server that has none fails; kept by ddsim it is fine, and auto says what it takes."""
    shop.tap.engine = Engine(profile="no-simsearch")
    shop.configure(index={"backend": backend})
    found = look(shop)
    check = the(found, "index")
    assert check.status == ("failed" if backend == "server" else "ok")
    assert ("auto: this server has none" in check.message) == (backend == "auto")
    (trap,) = (trap for trap in found.traps if trap.name == "no-similarity-search")
    assert trap.on(found.facts) == (backend != "server")
    assert the(found, "similarity network").status == "ok"


def test_local_without_faiss(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """The index that ddsim keeps needs FAISS here."""
    monkeypatch.setattr(checks_module, "find_spec", lambda _: None)
    shop.configure(index={"backend": "local"})
    check = the(look(shop), "index")
    assert check.status == "failed"
    assert "'.[local]'" in check.hint


def test_without_caffe(shop: Shop) -> None:
    """A server without the configured library fails, and networks are not tried there."""
    shop.tap.engine = Engine(profile="torch-v0.29")
    found = look(shop)
    assert the(found, "library").status == "failed"
    assert "Torch" in the(found, "library").hint
    assert the(found, "networks").status == "skipped"
    assert {sent.method for sent in shop.tap.sent} == {"GET"}


# Catalogue and index


def test_no_catalogue(shop: Shop) -> None:
    """A folder that is not there is told, with what to do."""
    shop.configure(catalogue=f"{shop.root}/nowhere")
    check = the(look(shop, quick=True), "catalogue")
    assert check.status == "warning"
    assert "nowhere" in check.message
    assert "<category>/<picture>" in check.hint


def test_categories_that_differ(shop: Shop) -> None:
    """Categories without a folder, folders without a label, and labels that the network lacks, are named."""
    shop.add("bench/1.png")
    shop.configure(categories={**LABELS, "wardrobe": "wardrobe", "n01 lampe": "lamp"})
    found = look(shop)
    missing, unmapped = of(found, "categories")
    assert missing.message.endswith(": wardrobe")
    assert unmapped.message.endswith(": bench")
    assert the(found, "labels").message == "the network does not have 2 of the 7 mapped labels: n01 lampe, wardrobe"


def test_no_label_is_mapped(shop: Shop) -> None:
    """A classification whose labels stand for nothing decides nothing."""
    shop.configure(categories=None)
    check = the(look(shop, quick=True), "labels")
    assert check.status == "warning"
    assert "categories" in check.hint


def test_what_is_put_aside(shop: Shop) -> None:
    """Pictures that could not be indexed, and where the reasons are."""
    shop.add_bytes("lamp/broken.png", b"no picture")
    with shop.search() as search:
        search.index()
    indexed, aside = of(look(shop), "indexed")
    assert indexed.message.startswith("5 of ")
    assert aside.message == "put aside: 1"
    assert "ddsim catalogue failures" in aside.hint


# Traps


def facts(shop: Shop, version: str, flags: str) -> Facts:
    """Facts of a server that says this of itself."""
    return facts_of(Info(version=version, compile_flags=flags), shop.settings)


def names(found: Facts) -> set[str]:
    """The names of the traps."""
    return {trap.name for trap in traps_of(found)}


def test_traps_have_names_and_sentences() -> None:
    """Names differ; each trap has one sentence, a work-around and a source."""
    assert len({trap.name for trap in TRAPS}) == len(TRAPS)
    for trap in TRAPS:
        assert re.fullmatch(r"[A-Z][^\n]{20,90}\.", trap.meaning) or trap.meaning.endswith("(before v0.29).")
        assert ". " not in trap.meaning
        assert trap.workaround
        assert trap.source


def test_the_worst_come_first() -> None:
    """What ends the server, then what spoils data, then what misleads."""
    harms = [trap.harm for trap in TRAPS]
    assert harms == sorted(harms, key=harms.index)
    assert harms[0] == "ends the server"


@pytest.mark.parametrize(
    ("version", "flags", "has", "lacks"),
    [
        ("v0.25.0", BOTH, {"empty-build", "unknown-layer"}, {"no-similarity-search", "lost-std", "no-caffe"}),
        ("v0.25.0", "USE_CAFFE=ON USE_FAISS=ON", {"no-similarity-search"}, {"empty-build", "search-on-classifier"}),
        ("v0.25.0", "USE_CAFFE=ON USE_SIMSEARCH=ON USE_ANNOY=ON", {"closed-index"}, {"empty-build"}),
        ("v0.29.0-45-g7c4eae3c", "USE_TORCH=ON", {"no-caffe", "lost-std"}, {"mixed-features", "unknown-layer"}),
        ("v0.28.0", "USE_TORCH=ON", {"mixed-features"}, {"mixed-arrays"}),
        ("", "USE_TORCH=ON", {"mixed-features"}, set()),
    ],
)
def test_which_traps_apply(shop: Shop, version: str, flags: str, has: set[str], lacks: set[str]) -> None:
    """It follows from what the server was built with, and where it matters from its version."""
    found = names(facts(shop, version, flags))
    assert has <= found
    assert found.isdisjoint(lacks)
    assert {"too-few-ids", "forgotten-services"} <= found


@pytest.mark.parametrize(("index_type", "on"), [("Flat", True), ("IVF4,Flat", False)])
def test_a_workaround_that_is_off(shop: Shop, index_type: str, on: bool) -> None:
    """Some work-arounds depend on the configuration."""
    shop.configure(similarity={"index_type": index_type})
    found = facts(shop, "v0.25.0", BOTH)
    (trap,) = (trap for trap in traps_of(found) if trap.name == "too-few-for-lists")
    assert trap.on(found) == on


def test_what_is_not_recorded_is_unproven() -> None:
    """Only recordings prove."""
    assert {trap.name for trap in TRAPS if not trap.proven} == {
        "mixed-arrays",
        "whole-request-at-once",
        "closed-index",
        "mixed-features",
    }


def test_an_index_that_cannot_be_trained_is_found_beforehand(shop: Shop) -> None:
    """FAISS needs as many pictures as lists or dimensions."""
    for kind in ("IVF1024,Flat", "PCA999,Flat"):
        shop.configure(similarity={"index_type": kind})
        check = the(look(shop, quick=True), "index type")
        assert check.status == "failed"
        assert f"{kind} needs at least " in check.message
    shop.configure(similarity={"index_type": "IVF1,Flat"})
    assert the(look(shop, quick=True), "index type").status == "ok"
    shop.configure()
    assert of(look(shop, quick=True), "index type") == []


def test_labels_are_shown_beside_the_mapping(shop: Shop) -> None:
    """What each stands for; and what the network has, where one of them is not among it."""
    assert "n00000001 -> chair, n00000002 -> lamp" in the(look(shop), "labels").message
    shop.configure(categories={"n00000002 ": "lamp"})
    assert the(look(shop), "labels").status == "ok"
    shop.configure(categories={"chair": "lamp"})
    check = the(look(shop), "labels")
    assert (check.status, "it has " in check.hint, "n00000002" in check.hint) == ("warning", True, True)
