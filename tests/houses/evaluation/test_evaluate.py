"""Evaluations with the embedded server: what is computed, what is kept, and what becomes of failures."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from PIL import Image, ImageDraw
from shop import PATIENT, TINY, Sent, Shop, lost_reply, once, picture, refusal

import ddsim.evaluation.rows
import ddsim.evaluation.sending
from ddsim import Client, ConnectionLost, Reply, ServerUnreachable, Settings, connect
from ddsim.deepdetect import Canary
from ddsim.embedded import Engine
from ddsim.errors import ConfigError, InvalidRequest
from ddsim.evaluation.experiments import Experiment, read_experiments
from ddsim.evaluation.options import Options, Step
from ddsim.evaluation.results import Evaluation, Row
from ddsim.evaluation.run import evaluate_experiments
from ddsim.pictures import encode
from ddsim.vectors.cache import Cache
from ddsim.vectors.fingerprints import looks_alike, vector_key
from ddsim.vectors.others import Patience

QUIET = Options(timing_queries=0)
CATEGORIES = {"n00000002": "lamp", "n00000004": "bed"}


def drawn(category: str, product: int, view: int) -> Image.Image:
    """A lamp is a bright round thing, a bed a dark flat one; every view lies a little elsewhere."""
    image = Image.new("RGB", (64, 64), (200, 190, 40 * (product % 4)))
    shift = 3 * view
    box = (10 + shift, 10, 30 + shift + 3 * product, 40) if category == "lamp" else (5, 40 + shift, 60, 50 + shift)
    draw = ImageDraw.Draw(image)
    draw.ellipse(box, fill=(250, 240, 90)) if category == "lamp" else draw.rectangle(box, fill=(40, 30, 20 * product))
    return image


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    """A shop with two categories of eight products, one view of each, and two other views of each to search with."""
    shop = Shop(tmp_path, {"categories": CATEGORIES})
    for category in ("lamp", "bed"):
        for product in range(8):
            shop.add_picture(f"{category}/{category}-{product}.png", drawn(category, product, 0))
            for view in (1, 2):
                path = tmp_path / "queries" / category / f"{category}-{product}-view{view}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                drawn(category, product, view).save(path)
    return shop


def several(shop: Shop, **matrix: Any) -> list[Experiment]:
    """The shop's configuration with this matrix."""
    raw = yaml.safe_load(shop.config.read_text("utf-8"))
    file = shop.root / "matrix.yaml"
    file.write_text(yaml.safe_dump(raw | {"matrix": matrix}), "utf-8")
    return read_experiments([file])


def run(shop: Shop, found: list[Experiment], queries: Path | None = None, **options: Any) -> Evaluation:
    """Evaluate with the shop's server."""
    result = ask(shop, found, queries, **options)
    assert result is not None
    return result


def ask(
    shop: Shop, found: list[Experiment], queries: Path | None = None, *, cache: Path | None = None, **options: Any
) -> Evaluation | None:
    """The same; there may be no result."""

    def opening(settings: Settings) -> Client:
        return connect(settings, transport=shop.tap, retries=PATIENT)

    defaults: dict[str, Any] = {"options": QUIET, "opening": opening, "patience": Patience(sleep=lambda _: None)}
    return evaluate_experiments(
        found, shop.catalogue, queries, cache=cache or shop.root / "cache", **(defaults | options)
    )


def asked(shop: Shop, layer: str | None) -> list[str]:
    """The pictures that went to the server for this layer, or for labels, without those that prove a service."""
    bodies = [sent.json for sent in shop.tap.sent if sent.path == "/predict"]
    wanted = [body for body in bodies if body["parameters"]["mllib"].get("extract_layer") == layer]
    return [data for body in wanted for data in body["data"]]


def rows_of(evaluation: Evaluation) -> dict[str, Row]:
    """Rows by name."""
    return {row.name: row for row in evaluation.rows}


def same_measures(one: Evaluation, other: Evaluation) -> None:
    """All rows have the same measures."""
    a, b = rows_of(one), rows_of(other)
    assert a.keys() == b.keys()
    for name, row in a.items():
        assert str(row.measures) == str(b[name].measures)


def test_an_evaluation(shop: Shop) -> None:
    """Configurations best first, then the floors; all measures, overall and by category; a conclusion."""
    found = run(shop, several(shop, layer=["pool1", "fc1"]), shop.root / "queries", options=Options(timing_queries=3))
    configurations = [row for row in found.rows if row.kind == "configuration"]
    assert {row.about["layer"] for row in configurations} == {"pool1", "fc1"}
    assert [row.name for row in found.rows[2:]] in (
        ["grey thumbnail", "pure chance"],
        ["pure chance", "grey thumbnail"],
    )
    assert (found.items, found.asked, found.categories) == (16, 32, {"bed": 16, "lamp": 16})
    assert (found.primary, found.products is not None) == ("product@1", True)
    for row in configurations:
        assert row.failed is None
        assert set(row.measures) == {
            *("P@1", "P@5", "P@10", "MAP@R", "product@1", "product@10", "routing_gain"),
            *("accuracy", "accuracy.service", "accuracy.neighbours", "accuracy.trained"),
        }
        assert row.measures["P@1"].by_category.keys() == {"bed", "lamp"}
        assert row.measures["P@1"].overall.n == 32
        assert (row.extracted, row.cached) == (48, 0)
        assert row.index_bytes == 16 * 4 * (row.dimension or 0)
        assert 0 < (row.latency_p50 or 0) <= (row.latency_p95 or 0)
    assert rows_of(found)["pure chance"].measures["P@1"].overall.value == pytest.approx(0.5)
    assert len([one for one in found.comparisons if one.category is None]) == 6
    assert len(found.comparisons) == 18
    assert found.conclusion
    assert found.to_dict()["rows"][0]["name"] == found.rows[0].name


def test_no_index_is_touched_and_no_service_stays(shop: Shop) -> None:
    """Only vectors and labels are asked for; the server is as it was before, its folders too."""
    run(shop, several(shop, layer=["pool1", "fc1"]))
    assert not any(sent.output.get("index") or sent.output.get("search") for sent in shop.tap.sent)
    with shop.client() as client:
        assert client.info().services == ()
    assert not [path for path in (shop.root / ".ddsim").rglob("*") if path.is_file()]
    assert sorted(path.name for path in TINY.iterdir() if path.suffix == ".caffemodel") == ["tiny.caffemodel"]


def test_leave_one_out(shop: Shop) -> None:
    """Without queries each item is one; without views of a product in the catalogue there is nothing to say of them.

    Of eight pictures of a category seven can be found: P@10 cannot be 100 %.
    """
    found = run(shop, several(shop, layer=["pool1"]))
    assert (found.queries, found.asked, found.primary, found.products) == (None, 16, "MAP@R", None)
    assert rows_of(found)["matrix"].measures["P@1"].overall.n == 16
    assert {one.measure for one in found.comparisons} == {"MAP@R"}
    assert found.conclusion.endswith("so that P@10 cannot reach 100 %.")
    assert "ranked by this" in found.to_html()


def test_the_same_names_in_other_folders(shop: Shop) -> None:
    """Numbers that begin anew in each folder of a category name no products that would be seen twice."""
    for folder in ("desk", "floor"):
        for number in range(3):
            shop.add_picture(f"lamp/{folder}/{number}.png", drawn("lamp", number, 7 if folder == "desk" else 9))
    found = run(shop, several(shop, layer=["pool1"]))
    assert (found.primary, found.products) == ("P@10", None)


def test_a_folder_that_must_not_be_written(shop: Shop) -> None:
    """An embedded server computes vectors with its own place for what passes, and with another cache all goes well."""
    shop.configure(server="embedded")
    (shop.root / ".ddsim").write_text("no folder can be made here")
    row = rows_of(run(shop, several(shop, layer=["pool1"])))["matrix"]
    assert (row.failed, row.extracted) == (None, 16)


def test_searches_of_one_extraction_cost_one_extraction(shop: Shop) -> None:
    """Metrics, recipes and kinds of index are worked out here: each picture is sent once, one to try, three drawn."""
    found = several(
        shop, metric=["l2", "cosine"], normalisation=["none", "power"], pca=["none", 4], whiten=[False, True]
    )
    kinds = several(shop, index_type=["HNSW8", "IVF2,Flat", "PCA4,Flat"])
    evaluation = run(shop, [*found, *kinds])
    measured = [row for row in evaluation.rows if row.failed is None and row.kind == "configuration"]
    assert len(measured) >= 10 + 3
    assert len(asked(shop, "pool1")) == 16 + 1 + 3
    assert sorted(row.extracted for row in measured)[-2:] == [0, 16]
    assert {row.extracted + row.cached for row in measured} == {16}
    assert {4, 392} <= {row.dimension for row in measured}


def test_what_is_known_is_not_asked_again(shop: Shop) -> None:
    """A second evaluation gives the same, and the server is not even connected to."""
    first = run(shop, several(shop, layer=["pool1", "fc1"]))
    shop.tap.sent.clear()
    second = run(shop, several(shop, layer=["pool1", "fc1"]))
    assert shop.tap.sent == []
    same_measures(first, second)
    assert {(row.extracted, row.cached) for row in second.rows if row.kind == "configuration"} == {(0, 16)}


def test_only_new_pictures_are_asked_for(shop: Shop) -> None:
    """By content: a picture under another name is known, a changed one is not. Three drawn ones tell the network."""
    run(shop, several(shop, layer=["pool1"]))
    (shop.catalogue / "lamp" / "lamp-0.png").rename(shop.catalogue / "lamp" / "renamed.png")
    shop.add_picture("lamp/new.png", picture(77))
    shop.tap.sent.clear()
    run(shop, several(shop, layer=["pool1"]))
    assert len(asked(shop, "pool1")) == 1 + 1 + 3


def test_labels_are_kept_like_vectors(shop: Shop) -> None:
    """Every picture is classified once, whatever the layer; without a category for any label nobody is asked twice."""
    run(shop, several(shop, layer=["pool1", "fc1"]))
    assert len(asked(shop, None)) == 16 + 1


def test_pictures_that_cannot_be_read(shop: Shop) -> None:
    """They are left out for all rows alike, with a sentence; the rest is measured."""
    shop.add_bytes("lamp/broken.jpg", b"no picture")
    shop.add_bytes("lamp/empty.jpg", b"")
    found = run(shop, several(shop, layer=["pool1", "fc1"]))
    assert found.items == 16
    for row in rows_of(found).values():
        if row.kind == "configuration":
            assert "2 pictures are left out" in row.warnings[0]
            assert "lamp/empty.jpg (empty, 0 bytes)" in row.warnings[0]


def test_a_picture_that_one_configuration_cannot_use(shop: Shop) -> None:
    """It is left out for the others too, so that all answer the same queries."""
    shop.add_picture("lamp/large.png", picture(99, (90, 90)))
    first = several(shop, layer=["pool1"])
    shop.configure(name="careful", upload={"max_pixels": 70 * 70}, similarity={"extract_layer": "fc1"})
    found = run(shop, [*first, *read_experiments([shop.config])])
    assert found.items == 16
    assert all("lamp/large.png" in row.warnings[0] for row in found.rows if row.kind == "configuration")


def test_a_configuration_that_can_use_hardly_any_picture(shop: Shop) -> None:
    """It fails, and leaves the pictures to the others."""
    first = several(shop, layer=["pool1"])
    shop.configure(name="blind", upload={"max_pixels": 10}, similarity={"extract_layer": "fc1"})
    found = run(shop, [*first, *read_experiments([shop.config])])
    assert found.items == 16
    assert "16 of 16 pictures cannot be used" in str(rows_of(found)["blind"].failed)


def test_limits_do_not_count_for_what_is_known(shop: Shop) -> None:
    """Vectors of another configuration are taken whatever this one would refuse to read; timing does without them."""
    shop.add_picture("bed/0-large.png", picture(99, (90, 90)))
    before = run(shop, several(shop, layer=["pool1"]))
    shop.configure(upload={"max_pixels": 70 * 70})
    after = run(shop, several(shop, layer=["pool1"]), options=Options(timing_queries=17))
    same_measures(before, after)
    assert rows_of(after)["matrix"].latency_p50 is not None


@pytest.mark.skipif(sys.platform != "linux", reason="names of bytes")
def test_names_of_any_kind(shop: Shop) -> None:
    """Any script, spaces and markup are measured; what no index takes, bytes that are no Unicode, is left out."""
    for seed, name in enumerate((b"b\xff", "椅子 [red]".encode())):
        folder = os.fsencode(shop.catalogue) + b"/" + name
        os.mkdir(folder)
        for number in range(3):
            picture(10 * seed + number).save(os.fsdecode(folder + b"/%d [x] 7.png" % number), "PNG")
    found = run(shop, several(shop, layer=["pool1", "fc1"]))
    assert (found.items, found.categories["椅子 [red]"]) == (19, 3)
    assert "3 pictures are left out" in found.rows[0].warnings[0]
    assert found.to_dict()


def test_no_picture_at_all(shop: Shop) -> None:
    """Nothing can be said then."""
    for path in shop.catalogue.rglob("*.png"):
        path.write_bytes(b"no picture")
    with pytest.raises(ConfigError, match="no picture that can be used"):
        run(shop, several(shop, layer=["pool1"]))


def test_a_failing_configuration_is_a_row(shop: Shop) -> None:
    """An unknown layer, a combination that is wrong by itself, an index that cannot be made: each says why."""
    wrong = Experiment("wrong", {"model": "x"}, None, "whiten without pca")
    found = run(shop, [*several(shop, layer=["pool1", "nosuch"]), *several(shop, pca=[600]), wrong])
    rows = rows_of(found)
    reasons = {name: row.failed for name, row in rows.items() if row.failed is not None}
    assert len(reasons) == 3
    assert reasons["wrong"] == "whiten without pca"
    assert any("nosuch" in str(reason) for reason in reasons.values())
    assert any("600" in str(reason) for reason in reasons.values())
    assert not any(row.by_server for row in rows.values())
    assert [row.failed is None for row in found.rows] == [True, False, False, False, True, True]


def test_a_server_that_is_restarted_in_the_middle(shop: Shop) -> None:
    """The service is made again and the batch sent again: the same comes out."""
    expected = run(shop, several(shop, layer=["pool1"]), cache=shop.root / "other")

    def died(carry_out: Callable[[], Reply]) -> Reply:
        shop.tap.restart()
        raise ConnectionLost("the connection ended", method="POST", path="/predict")

    sent_before = len(shop.tap.sent)
    shop.tap.faults.append(once(lambda sent: len(sent.ids) > 1 and len(shop.tap.sent) > sent_before + 4, died))
    same_measures(run(shop, several(shop, layer=["pool1"])), expected)


def test_a_server_that_takes_its_time_to_come_back(shop: Shop) -> None:
    """It is waited for."""
    waited: list[float] = []

    def gone(sent: Sent, carry_out: Callable[[], Reply]) -> Reply | None:
        del carry_out
        if len(sent.ids) > 1 and not waited:
            raise ConnectionLost("the connection ended", method="POST", path="/predict")
        if 0 < len(waited) < 3:
            raise ServerUnreachable("nobody there", method=sent.method, path=sent.path)
        return None

    def first(sent: Sent, carry_out: Callable[[], Reply]) -> Reply | None:
        if sent.method == "GET" and any(len(one.ids) > 1 for one in shop.tap.sent) and not waited:
            waited.append(0.0)
        return gone(sent, carry_out)

    shop.tap.faults.append(first)
    found = run(shop, several(shop, layer=["pool1"]), patience=Patience(sleep=waited.append))
    assert rows_of(found)["matrix"].extracted == 16
    assert len(waited) == 3


def test_answers_that_are_lost(shop: Shop) -> None:
    """A lost answer costs one more call, and nothing is counted twice."""
    shop.tap.faults.append(once(lambda sent: len(sent.ids) > 1, lost_reply))
    found = run(shop, several(shop, layer=["pool1"]))
    assert rows_of(found)["matrix"].extracted == 16


@pytest.mark.parametrize("answer", ["death", "refusal", "fault"])
def test_a_picture_at_which_the_server_fails(shop: Shop, answer: str) -> None:
    """It is found by halving and left out, whether the server dies of it, refuses it or fails."""
    poison = shop.add_picture("lamp/poison.png", picture(5))
    data = encode(poison, shop.settings.upload_options()).base64

    def poisoned(sent: Sent, carry_out: Callable[[], Reply]) -> Reply | None:
        if sent.path != "/predict" or data not in sent.json["data"]:
            return None
        if answer == "death":
            shop.tap.restart()
            raise ConnectionLost("the connection ended", method="POST", path="/predict")
        return refusal(400, 1005, "cannot read it") if answer == "refusal" else refusal(500, 1007, "oops")

    shop.tap.faults.append(poisoned)
    found = run(shop, several(shop, layer=["pool1"]))
    assert found.items == 16
    (warning,) = rows_of(found)["matrix"].warnings
    assert warning.startswith("1 picture is left out, for all rows alike: lamp/poison.png (")


def test_several_such_pictures(shop: Shop) -> None:
    """Each is left out: failures count in a row only, and between them batches go well."""
    names = [shop.add_picture(f"{name}.png", picture(seed)) for seed, name in enumerate(("bed/a", "lamp/a", "lamp/z"))]
    poison = {encode(name, shop.settings.upload_options()).base64 for name in names}

    def poisoned(sent: Sent, carry_out: Callable[[], Reply]) -> Reply | None:
        del carry_out
        bad = sent.path == "/predict" and poison & set(sent.json["data"])
        return refusal(500, 1007, "oops") if bad else None

    shop.tap.faults.append(poisoned)
    found = run(shop, several(shop, layer=["pool1"]))
    assert found.items == 16
    assert "3 pictures are left out" in found.rows[0].warnings[0]


def test_indexes_that_do_not_look_at_all_items(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """They are asked for as many items as there are right ones, or MAP@R would blame them for what nobody asked."""
    monkeypatch.setattr(ddsim.evaluation.rows, "_WIDE", 1)
    shop.configure(similarity={"extract_layer": "fc1"})
    flat, graph = (run(shop, several(shop, index_type=[kind])).rows[0] for kind in ("Flat", "HNSW8"))
    assert str(flat.measures["MAP@R"]) == str(graph.measures["MAP@R"])


def test_a_server_that_always_fails(shop: Shop) -> None:
    """The row fails by its doing, after some tries and not after all pictures."""
    shop.tap.faults.append(lambda sent, _: refusal(500, 1007, "oops") if len(sent.ids) > 1 else None)
    shop.tap.faults.append(
        lambda sent, _: refusal(500, 1007, "oops") if sent.path == "/predict" and len(shop.tap.sent) > 5 else None
    )
    row = rows_of(run(shop, several(shop, layer=["pool1"])))["matrix"]
    assert row.by_server
    assert "oops" in str(row.failed)


def test_a_server_that_is_not_there(shop: Shop) -> None:
    """The rows say so; floors are measured all the same."""

    def unreachable(settings: Settings) -> Client:
        client = connect(settings, transport=shop.tap, retries=PATIENT)
        shop.tap.faults[:] = [refused]
        return client

    def refused(*_: object) -> Reply:
        raise ServerUnreachable("nobody there", method="GET", path="/")

    found = run(shop, several(shop, layer=["pool1", "fc1"]), opening=unreachable)
    rows = [row for row in found.rows if row.kind == "configuration"]
    assert all(row.by_server and "nobody there" in str(row.failed) for row in rows)
    assert found.conclusion == "No configuration could be measured."
    assert len(found.comparisons) == 3


def test_a_server_that_is_not_needed_any_more(shop: Shop) -> None:
    """What is known is measured; only the time of a query is not."""
    run(shop, several(shop, layer=["pool1"]))

    def refused(*_: object) -> Reply:
        raise ServerUnreachable("nobody there", method="GET", path="/")

    shop.tap.faults.append(refused)
    row = rows_of(run(shop, several(shop, layer=["pool1"]), options=Options()))["matrix"]
    assert (row.failed, row.latency_p50) == (None, None)
    assert row.warnings == ("the time of a query is not known: nobody there",)


def test_a_network_that_was_replaced(shop: Shop) -> None:
    """What is kept of the old one does not count where the server gives something else."""
    found = several(shop, layer=["pool1"])
    expected = run(shop, found, cache=shop.root / "other")
    settings = found[0].settings
    assert settings is not None
    run(shop, found)
    with Cache(shop.root / "cache") as cache:
        hashes = [sha256 for (sha256,) in cache._db.execute("SELECT DISTINCT sha256 FROM kept")]
        old = {sha256: np.ones(7, np.float32) for sha256 in [*hashes, "of another catalogue"]}
        cache.recognise(vector_key(settings), looks_alike(settings), Canary(np.ones((3, 7), np.float32)))
        cache.keep_vectors(vector_key(settings), old)
    found_again = run(shop, found, options=Options(timing_queries=1))
    same_measures(found_again, expected)
    with Cache(shop.root / "cache") as cache:
        assert cache.known(vector_key(settings), old) == set(hashes)
    assert (rows_of(found_again)["matrix"].extracted, rows_of(found_again)["matrix"].cached) == (16, 0)


def test_stopping_and_going_on(shop: Shop) -> None:
    """Nothing comes of a stopped run, and the next one computes the rest only."""
    steps: list[Step] = []
    found = several(shop, layer=["pool1"])
    stopped = ask(
        shop, found, progress=steps.append, stopping=lambda: steps[-1].stage == "extracting" and steps[-1].done > 4
    )
    assert stopped is None
    done = steps[-1].done
    assert 4 < done < 16
    with shop.client() as client:
        assert client.info().services == ()
    row = rows_of(run(shop, found))["matrix"]
    assert (row.extracted, row.cached) == (16 - done, done)


@pytest.mark.parametrize("what", ["reading", "classifying", "searching"])
def test_stopping_elsewhere(shop: Shop, what: str) -> None:
    """It can be stopped at any step."""
    steps: list[Step] = []
    stopped = ask(shop, several(shop, layer=["pool1"]), progress=steps.append, stopping=lambda: steps[-1].stage == what)
    assert stopped is None


def test_progress(shop: Shop) -> None:
    """One step after the other, each to its end."""
    steps: list[Step] = []
    run(shop, several(shop, layer=["pool1", "fc1"]), progress=steps.append)
    last = {step.stage: step for step in steps}
    assert list(last) == ["reading", "extracting", "classifying", "thumbnails", "searching", "comparing"]
    assert {(step.done, step.total) for what, step in last.items() if what in ("classifying", "thumbnails")} == {
        (16, 16)
    }
    assert (last["extracting"].done, last["searching"].done) == (32, 48)


def test_the_same_seed_gives_the_same_numbers(shop: Shop) -> None:
    """Also with a sample of the queries, which has so many of each category."""
    found = several(shop, layer=["pool1", "fc1"])
    options = Options(timing_queries=0, limit=3, seed=1)
    one, two = (run(shop, found, shop.root / "queries", options=options) for _ in range(2))
    assert one.categories == {"bed": 3, "lamp": 3}
    same_measures(one, two)
    assert str(one.comparisons) == str(two.comparisons)


def test_disagreements_show_what_was_found(shop: Shop) -> None:
    """Their items are those of the catalogue, and never the query itself."""
    found = run(shop, several(shop, layer=["pool1", "fc1"]))
    assert all(one.spread > 0 for one in found.disagreements)
    for one in found.disagreements:
        for shown in one.neighbours.values():
            assert len(shown) == 10
            assert one.query not in {item.uri for item in shown}


def test_the_configuration_is_measured_as_it_searches(shop: Shop) -> None:
    """The nearest items are those that an index of the same configuration gives."""
    shop.configure(similarity={"extract_layer": "fc1"})
    found = run(shop, [*read_experiments([shop.config]), *several(shop, layer=["data"])], shop.root / "queries")
    with shop.search() as search:
        search.index()
        for one in found.disagreements[:3]:
            (hits,) = search.collection.search([shop.root / "queries" / one.query], 10)
            shown = one.neighbours["shop"]
            np.testing.assert_allclose(
                [item.distance for item in shown], [item.distance for item in hits.found], rtol=1e-4
            )


@pytest.mark.parametrize("profile", ["torch-v0.29", "torch-v0.28"])
def test_a_server_with_torch_alone(shop: Shop, profile: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its networks lie in the configured folders: the services are made there, and every file of theirs stays."""
    monkeypatch.syspath_prepend(str(Path(__file__).parents[2] / "contract"))
    onnx_writer = importlib.import_module("onnx_writer")
    network = {"mllib": "torch", "def": None, "weights": None, "corresp": None, "mean": None}
    similarity = {"extract_layer": "last"}
    folders = {kind: onnx_writer.write(shop.root / kind, onnx_writer.classifier()) for kind in ("similar", "classes")}
    shop.configure(
        network=network,
        similarity=similarity | {"repository": str(folders["similar"])},
        classification={"repository": str(folders["classes"])},
        categories={"0": "lamp", "1": "bed"},
    )
    shop.tap.engine = Engine(profile=profile)
    found = run(shop, read_experiments([shop.config]), shop.root / "queries", options=Options(timing_queries=2))
    row = rows_of(found)["shop"]
    assert (row.failed, row.extracted) == (None, 48)
    assert "accuracy.service" in row.measures
    with shop.client() as client:
        assert client.info().services == ()
    assert all((folder / "net.onnx").is_file() for folder in folders.values())
    assert [sent.path for sent in shop.tap.matching("DELETE") if "clear" in sent.path] == []


@pytest.mark.parametrize("options", [{"limit": 0}, {"timing_queries": -1}, {"disagreements": -1}, {"seed": -1}])
def test_options_that_make_no_sense(options: dict[str, int]) -> None:
    """They are refused."""
    with pytest.raises(InvalidRequest, match="evaluate"):
        Options(**options)


def test_nothing_to_evaluate(shop: Shop) -> None:
    """It is refused as well."""
    with pytest.raises(InvalidRequest, match="no configuration"):
        run(shop, [])


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    """Failures in a row end a run after fewer tries than in earnest."""
    monkeypatch.setattr(ddsim.evaluation.sending, "_FAILURES_IN_A_ROW", 8)
