"""ddsim.routing.learning: a run that changed the index learns from it, keeps what it learned, and does so once."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from homes import HOMES, Killed
from scripted import COLOURS, always, as_sent, colour_shop, coloured, fill, is_classification, speak, truly
from shop import TINY, Sent, Shop, lost_reply, once, picture, refusal
from stock import index

from ddsim import ApiError, ImageError, Progress, ServerUnreachable
from ddsim.catalogue.manifest import ItemState
from ddsim.deepdetect import shared
from ddsim.routing.calibration import Learned, learn, pairwise
from ddsim.routing.sampling import FILE, Sample

SIZES = {"bed": 5, "lamp": 7, "sofa": 3}


@pytest.fixture(params=HOMES)
def home(request: pytest.FixtureRequest) -> str:
    """Each home of vectors."""
    return str(request.param)


@pytest.fixture
def shop(tmp_path: Path, home: str) -> Shop:
    """A shop with fifteen pictures that are not indexed yet, and a service that knows them all."""
    made = colour_shop(tmp_path, home)
    fill(made, SIZES)
    speak(made, truly(made))
    return made


@pytest.fixture
def served(tmp_path: Path) -> Shop:
    """The same before a server that keeps the index, which gives no vector back."""
    made = colour_shop(tmp_path, "server")
    fill(made, SIZES)
    speak(made, truly(made))
    return made


def learned(shop: Shop) -> Learned | None:
    """What somebody who has just come knows."""
    with shop.collection() as collection:
        return collection.learned()


def stages(shop: Shop) -> set[str]:
    """What a run over the shop's catalogue did."""
    seen: list[Progress] = []
    index(shop, progress=seen.append)
    return {one.stage for one in seen}


def classified(shop: Shop) -> list[str]:
    """The catalogue's pictures that the classification service was asked about, sorted by name."""
    names = {as_sent(path): path.relative_to(shop.catalogue).as_posix() for path in shop.catalogue.rglob("*.png")}
    sent = [sent for sent in shop.tap.sent if is_classification(sent)]
    return sorted(names[data] for one in sent for data in one.json["data"] if data in names)


def kept_uris(shop: Shop) -> list[str]:
    """The items in the sample's file, sorted."""
    with shop.collection() as collection:
        return [row.uri for row in Sample(collection.manifest).settle()[0]]


def is_search(sent: Sent) -> bool:
    """Whether a request searches the server's index."""
    return "ids" in (sent.json or {}) and bool(sent.json["parameters"].get("output", {}).get("search"))


# Once


def test_a_run_learns(shop: Shop) -> None:
    """After the run what was learned is in the report, in the manifest, and true of every indexed picture."""
    report = index(shop)
    assert report.learned is not None
    assert report.learned == learned(shop)
    assert (report.learned.items, report.learned.classified) == (15, 15)
    assert report.learned.weight is not None
    assert report.learned.weight >= 0.5
    assert report.learned.line is not None
    assert report.learned.line.pairs == 15 * 14 / 2


def test_it_is_learned_from_the_vectors(shop: Shop) -> None:
    """The line is that of the distances between the vectors which the network gives."""
    report = index(shop)
    paths = sorted(shop.catalogue.rglob("*.png"))
    similarity = shop.settings.similarity
    vectors = shop.client().extract(shop.service(), paths, layer=similarity.extract_layer)
    by_hand = learn(pairwise(vectors, shop.settings.index.metric), [path.parent.name for path in paths])
    assert report.learned is not None
    assert report.learned.line is not None
    assert by_hand.line is not None
    assert report.learned.line.distances == pytest.approx(by_hand.line.distances, rel=1e-4)
    assert report.learned.line.probabilities == pytest.approx(by_hand.line.probabilities)


def test_both_homes_learn_the_same(tmp_path: Path) -> None:
    """Where the vectors live makes no difference to what a score is."""
    found = []
    for name in ("server", "local"):
        (tmp_path / name).mkdir()
        made = colour_shop(tmp_path / name, name)
        fill(made, SIZES)
        speak(made, truly(made))
        report = index(made)
        assert report.learned is not None
        assert report.learned.line is not None
        found.append(report.learned)
    one, other = found
    assert one.line.distances == pytest.approx(other.line.distances, rel=1e-4)
    assert one.line.probabilities == pytest.approx(other.line.probabilities)
    assert (one.weight, one.items, one.classified) == (other.weight, other.items, other.classified)


@pytest.mark.parametrize("restarted", [False, True])
def test_an_unchanged_run_learns_nothing(shop: Shop, restarted: bool) -> None:
    """Where nothing changed nothing is learned or classified again, and what is known stays known."""
    before = index(shop).learned
    if restarted:
        shop.tap.restart()
    shop.tap.sent.clear()
    assert "learning" not in stages(shop)
    assert index(shop).learned == learned(shop) == before
    assert classified(shop) == []


def test_what_is_new_is_learned_from(shop: Shop) -> None:
    """New and changed pictures teach, and only those are classified; the words on others are remembered."""
    before = index(shop).learned
    new = [*fill(shop, {"bed": 2, "chair": 2}, first=50), "lamp/000.png"]
    shop.add_picture("lamp/000.png", coloured("lamp", 99))
    shop.tap.sent.clear()
    after = index(shop).learned
    assert after is not None
    assert (after.items, after.classified) == (19, 19)
    assert after != before
    assert classified(shop) == sorted(new)


def test_what_is_gone_teaches_no_more(shop: Shop) -> None:
    """Fewer pictures are another catalogue: it is learned anew, and nobody is classified for it."""
    index(shop)
    for path in (shop.catalogue / "bed").iterdir():
        path.unlink()
    shop.tap.sent.clear()
    after = index(shop, allow_vanished=True).learned
    assert after is not None
    assert (after.items, after.classified) == (10, 10)
    assert classified(shop) == []
    assert after == learned(shop)


def test_a_rebuilt_index_is_learned_from_anew(shop: Shop) -> None:
    """The same pictures teach the same."""
    before = index(shop).learned
    assert index(shop, rebuild=True).learned == before


# Whom


def test_the_service_is_asked_about_a_hundred_at_most(tmp_path: Path) -> None:
    """Each category has its part of the hundred, however many pictures there are."""
    made = colour_shop(tmp_path, "local")
    sizes = {"bed": 60, "lamp": 58, "sofa": 4}
    fill(made, sizes)
    speak(made, truly(made))
    report = index(made)
    assert report.learned is not None
    assert (report.learned.items, report.learned.classified) == (122, 33 + 33 + 4)
    asked = classified(made)
    assert len(asked) == len(set(asked)) == 70


@pytest.mark.parametrize("why", ["one category", "nothing mapped", "no service", "neighbours", "service", "none"])
def test_the_service_is_not_asked_where_it_does_not_matter(tmp_path: Path, why: str) -> None:
    """With one category, without a table, and where it is not weighed, its words would teach nothing."""
    routed = {"neighbours": why, "service": why, "none": why}.get(why)
    changes = {"routing": {"by": routed}} if routed else {}
    changes |= {"categories": {}} if why == "nothing mapped" else {}
    changes |= {"classification": None} if why == "no service" else {}
    made = colour_shop(tmp_path, "local", **changes)
    fill(made, {"bed": 6} if why == "one category" else SIZES)
    report = index(made)
    assert report.learned is not None
    assert (report.learned.weight, report.learned.classified) == (None, 0)
    assert report.learned.line is not None
    assert classified(made) == []
    made.tap.sent.clear()
    assert "learning" not in stages(made)


def test_twins_teach_once(shop: Shop) -> None:
    """The same picture under several names is one: no distance of 0 between two others comes into it."""
    alone = index(shop).learned
    for name in ("lamp/twin.png", "bed/twin.png"):
        (shop.catalogue / name).write_bytes((shop.catalogue / "lamp/003.png").read_bytes())
    report = index(shop)
    assert report.indexed == 17
    assert report.twins == 1
    assert report.learned is not None
    assert alone is not None
    assert report.learned.items == 15
    assert report.learned.line is not None
    assert report.learned.line.pairs == 15 * 14 / 2


def test_vectors_that_overflowed_teach_nothing(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """A network that gives infinity for some picture does not end the run, and the others teach."""

    def spoilt(self: object, vids: object) -> np.ndarray[tuple[int, int], np.dtype[np.float32]]:
        vectors = np.random.default_rng(0).random((15, 4)).astype(np.float32)
        vectors[3, 1], vectors[7, 2] = np.inf, np.nan
        return vectors

    for module in ("local.LocalBackend", "server.ServerBackend"):
        monkeypatch.setattr(f"ddsim.vectors.{module}.vectors_of", spoilt)
    found = index(shop).learned
    assert found is not None
    assert found.items == 13


@pytest.mark.parametrize(("sizes", "lines"), [({"bed": 1}, False), ({"bed": 2}, True), ({"bed": 1, "lamp": 1}, True)])
def test_tiny_catalogues(tmp_path: Path, home: str, sizes: dict[str, int], lines: bool) -> None:
    """One picture or two are learned from as far as that goes, once, and can be searched."""
    made = colour_shop(tmp_path, home)
    fill(made, sizes)
    report = index(made)
    assert report.learned is not None
    assert (report.learned.line is not None) == lines
    assert "learning" not in stages(made)
    with made.search() as search:
        assert search.query(coloured("bed", 0)).neighbours[0].score == pytest.approx(1)


# After trouble


def test_a_killed_run_leaves_what_it_saw_to_the_next(served: Shop) -> None:
    """What was built is kept with its vectors: the next run learns from everything, and computes nothing again."""
    served.configure(index={"batch_size": 4, "checkpoint": 4})
    calls = iter(range(100))

    def kill(sent: Sent, _: Callable[[], object]) -> None:
        if sent.indexes and next(calls) == 2:
            raise Killed

    served.tap.faults.append(kill)  # type: ignore[arg-type]
    with pytest.raises(Killed):
        index(served)
    served.tap.faults.pop()
    with served.collection() as collection:
        done = collection.manifest.counts()[ItemState.INDEXED]
    assert len(kept_uris(served)) == done == 4
    assert learned(served) is None
    served.tap.sent.clear()
    report = index(served)
    assert report.learned is not None
    assert report.learned.items == 15
    again = [uri for sent in served.tap.matching("POST", "/predict") if is_search(sent) for uri in sent.json["data"]]
    assert len(again) <= 1  # one is looked for when the index is opened


def test_ctrl_c_in_a_first_run_leaves_no_poorer_scores(shop: Shop) -> None:
    """The run after it learns from all pictures, also from those that the stopped one sent."""
    shop.configure(index={"batch_size": 4})
    told: list[Progress] = []
    assert not index(shop, progress=told.append, stopping=lambda: bool(told)).finished
    report = index(shop)
    assert report.learned is not None
    assert (report.changes["waiting"], report.learned.items) == (15 - told[0].done, 15)


def test_a_run_that_ends_in_trouble_is_learned_from_later(served: Shop) -> None:
    """Where a run failed after it had sent the last pictures, the next one learns though it sends nothing."""
    index(served)
    fill(served, {"lamp": 5}, first=20)
    served.tap.faults.append(lambda sent, _: refusal(500) if is_classification(sent) or is_search(sent) else None)
    with pytest.raises(ApiError):
        index(served, audit=True)
    served.tap.faults.clear()
    report = index(served)
    assert report.learned is not None
    assert report.learned.items == 20


@pytest.mark.parametrize("damage", [None, b"words"])
def test_a_lost_sample_is_made_again(served: Shop, damage: bytes | None) -> None:
    """Without its file, or with a damaged one, half of each category is computed again when it is needed."""
    index(served)
    (file,) = served.root.rglob(FILE)
    file.unlink() if damage is None else file.write_bytes(damage)
    fill(served, {"chair": 1}, first=70)
    report = index(served)
    assert report.learned is not None
    assert "chair/070.png" in kept_uris(served)
    have = {name: sum(uri.startswith(name) for uri in kept_uris(served)) for name in SIZES}
    assert have == {name: (size + 1) // 2 for name, size in SIZES.items()}


def test_pictures_that_are_gone_meanwhile_are_left_out(served: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """What cannot be read when it is needed again teaches nothing, and is no error."""
    index(served)
    (file,) = served.root.rglob(FILE)
    file.unlink()
    fill(served, {"chair": 2}, first=70)

    def unreadable(*_: object) -> None:
        raise ImageError("x", "gone")

    monkeypatch.setattr("ddsim.search.holdings.encode", unreadable)
    report = index(served)
    assert report.learned is not None
    assert report.learned.items == 2
    assert kept_uris(served) == ["chair/070.png", "chair/071.png"]


def test_a_stopped_run_leaves_learning_to_the_next(shop: Shop) -> None:
    """Until then scores are by what was learned before."""
    before = index(shop).learned
    fill(shop, {"lamp": 30}, first=20)
    told: list[Progress] = []
    report = index(shop, progress=told.append, stopping=lambda: bool(told))
    assert not report.finished
    assert report.learned is None
    assert learned(shop) == before
    with shop.search() as search:
        result = search.query(coloured("lamp", 0))
    assert result.neighbours[0].score == pytest.approx(1)
    after = index(shop).learned
    assert after is not None
    assert after == learned(shop)
    assert after.items == 45


@pytest.mark.parametrize("status", [400, 404, 500, 503])
def test_a_service_that_does_not_work_ends_no_run(shop: Shop, status: int, caplog: pytest.LogCaptureFixture) -> None:
    """The run warns and learns all but the weight; the next asks again, although nothing changed, and then no more."""
    words = speak(shop, truly(shop))
    words.failing = lambda: refusal(status, 1005)
    with caplog.at_level(logging.WARNING):
        report = index(shop)
    assert "the classification service does not work" in caplog.text
    assert report.learned is not None
    assert (report.learned.weight, report.learned.classified, report.learned.items) == (None, 0, 15)
    assert report.learned.line is not None
    words.failing = None
    assert stages(shop) >= {"learning"}
    after = learned(shop)
    assert after is not None
    assert (after.classified, after.line, after.reach) == (15, report.learned.line, report.learned.reach)
    assert after.weight is not None
    assert "learning" not in stages(shop)


def test_what_the_service_said_before_still_counts(shop: Shop) -> None:
    """When it fails over a few new pictures, its words on all others are weighed."""
    words = speak(shop, truly(shop))
    before = index(shop).learned
    words.failing = lambda: refusal(500)
    fill(shop, {"lamp": 1}, first=60)
    after = index(shop).learned
    assert before is not None
    assert after is not None
    assert (after.items, after.classified) == (16, 15)
    assert after.weight == before.weight


def test_somebody_elses_service_ends_no_run(shop: Shop, caplog: pytest.LogCaptureFixture) -> None:
    """A service of that name with other settings is not asked; the run says so and is done all the same."""
    spec = shop.settings.classification_spec()
    assert spec is not None
    shop.client().create_service(spec.model_copy(update={"name": shared(spec).name, "mean": (1.0, 1.0, 1.0)}))
    with caplog.at_level(logging.WARNING):
        report = index(shop)
    assert "mean" in caplog.text
    assert report.indexed == 15
    assert report.learned is not None
    assert report.learned.weight is None
    assert classified(shop) == []


@pytest.mark.parametrize("when", ["classification", "sample"])
def test_a_server_that_goes_away_meanwhile(served: Shop, when: str) -> None:
    """No answer while it learns is an error of the run; what was built holds, and the next run learns."""
    index(served)
    (file,) = served.root.rglob(FILE)
    file.unlink()
    fill(served, {"lamp": 1}, first=60)
    spoilt = is_classification if when == "classification" else is_search
    known = served.tap.faults[:]

    def gone(sent: Sent, _: Callable[[], object]) -> None:
        # The search that opens the index is let through: nothing was added yet.
        if spoilt(sent) and served.tap.index_calls:
            raise ServerUnreachable("nobody there", method="POST", path="/predict")

    served.tap.sent.clear()
    served.tap.faults.insert(0, gone)  # type: ignore[arg-type]
    with pytest.raises(ServerUnreachable):
        index(served)
    served.tap.faults[:] = known
    before = learned(served)
    assert before is not None
    assert before.items == 15
    assert len(served.indexed()) == 16
    report = index(served)
    assert report.sent == 0
    assert report.learned == learned(served)
    assert report.learned != before


def test_one_lost_answer_is_asked_for_again(shop: Shop) -> None:
    """Classification changes nothing, so it is repeated where an answer is lost."""
    shop.tap.faults.insert(0, once(is_classification, lost_reply))
    found = index(shop).learned
    assert found is not None
    assert found.classified == 15


# Other settings


@pytest.mark.parametrize(
    ("changes", "home"),
    [
        ({"routing": {"voters": 3}}, "server"),
        ({"index": {"normalisation": "l2"}}, "local"),
        ({"index": {"pca": 3}}, "local"),
    ],
    ids=str,
)
def test_other_distances_or_voters_are_another_lesson(tmp_path: Path, changes: dict[str, object], home: str) -> None:
    """What was learned under other settings does not count; the next run learns under these; and back again."""
    made = colour_shop(tmp_path, home)
    fill(made, SIZES)
    speak(made, truly(made))
    index(made)
    made.configure(**changes)
    made.tap.restart()
    assert learned(made) is None
    made.tap.sent.clear()
    report = index(made)
    assert report.learned == learned(made)
    assert learned(made) is not None
    assert "learning" not in stages(made)
    made.configure()
    made.tap.restart()
    assert learned(made) is None


def test_another_table_is_another_service(shop: Shop) -> None:
    """The distances mean what they meant; only the weight is of another service, until the next run asks this one."""
    before = index(shop).learned
    assert before is not None
    shop.configure(categories={"n00000001": "lamp"})
    assert learned(shop) == replace(before, weight=None, classified=0)
    shop.tap.sent.clear()
    after = index(shop).learned
    assert len(classified(shop)) == 15
    assert after is not None
    assert (after.line, after.classified) == (before.line, 15)


def moved_network(shop: Shop) -> Path:
    """The folder to which a shop's network files are copied, and in which its services write from now on."""
    folder = shop.root / "elsewhere"
    shutil.copytree(TINY, folder)
    files = {"def": "deploy.prototxt", "weights": "tiny.caffemodel", "corresp": "corresp.txt"}
    shop.configure(
        network={key: str(folder / name) for key, name in files.items()},
        classification={"repository": str(folder / "classes")},
    )
    return folder


def test_the_same_service_in_another_place_is_the_same(shop: Shop) -> None:
    """Where an installation and its folders lie says nothing of a network: files with the same content are the same."""
    before = index(shop).learned
    moved_network(shop)
    assert learned(shop) == before
    shop.tap.restart()
    assert "learning" not in stages(shop)


def test_other_files_are_another_service(shop: Shop) -> None:
    """What was learned about a service does not count where its labels are others, wherever they lie."""
    before = index(shop).learned
    assert before is not None
    labels = moved_network(shop) / "corresp.txt"
    labels.write_text(labels.read_text("utf-8").replace("chair", "table"), "utf-8")
    assert learned(shop) == replace(before, weight=None, classified=0)


def test_what_an_older_version_learned_still_counts(shop: Shop) -> None:
    """It noted the service by its paths. The next run notes it by its files, once, and asks the service nothing."""
    before = index(shop).learned
    network = shop.settings.classification
    assert network is not None
    noted = [network.facts(), shop.settings.categories]
    with shop.collection() as collection, collection.manifest.writing():
        kept, named = (collection.manifest.get_meta(key) for key in ("learned", "named"))
        collection.manifest.set_meta(learned=kept | {"service": noted}, named=named | {"of": noted})
    assert learned(shop) == before
    shop.tap.sent.clear()
    assert "learning" in stages(shop)
    assert learned(shop) == before
    assert classified(shop) == []
    assert "learning" not in stages(shop)


def test_who_decides_can_be_changed_and_changed_back(shop: Shop) -> None:
    """Without the service nothing is lost; with it again nothing has to be learned again."""
    before = index(shop).learned
    shop.configure(routing={"by": "neighbours"})
    assert learned(shop) == before
    assert "learning" not in stages(shop)
    shop.configure()
    assert learned(shop) == before
    shop.tap.sent.clear()
    assert "learning" not in stages(shop)
    assert classified(shop) == []


def test_the_service_is_weighed_when_it_is_wanted(shop: Shop) -> None:
    """Indexed without it, a catalogue is taught its weight by the next run that wants it, though nothing changed."""
    shop.configure(routing={"by": "neighbours"})
    before = index(shop).learned
    assert before is not None
    assert before.weight is None
    shop.configure()
    after = index(shop).learned
    assert after is not None
    assert after.weight is not None
    assert after.line == before.line


def test_share_and_limit_teach_nothing(shop: Shop) -> None:
    """How many categories are searched can be changed without learning again."""
    before = index(shop).learned
    shop.configure(routing={"share": 0.5, "most": 1})
    assert learned(shop) == before
    assert "learning" not in stages(shop)


def test_a_service_that_says_nothing_true_counts_little(shop: Shop) -> None:
    """Where the service is always wrong and the neighbours are right, the neighbours decide."""
    speak(shop, always(chair=0.99))
    found = index(shop).learned
    assert found is not None
    assert found.weight is not None
    assert found.weight < 0.2


def test_looking_learns_nothing(shop: Shop) -> None:
    """Searching, auditing and a dry run change nothing that was learned, and ask nobody for it."""
    before = index(shop).learned
    shop.tap.sent.clear()
    with shop.collection() as collection:
        collection.audit()
        collection.changes()
        collection.search([picture(1)], 3)
    assert classified(shop) == []
    assert learned(shop) == before
    assert set(SIZES) < set(COLOURS)


def test_an_api_error_is_not_swallowed_elsewhere(served: Shop) -> None:
    """Only the classification service may fail quietly: a search that fails while the sample is refilled comes out."""
    index(served)
    (file,) = served.root.rglob(FILE)
    file.unlink()
    fill(served, {"lamp": 1}, first=60)
    served.tap.sent.clear()
    served.tap.faults.insert(
        0, lambda sent, _: refusal(400, 1006) if is_search(sent) and served.tap.index_calls else None
    )
    with pytest.raises(ApiError):
        index(served)
