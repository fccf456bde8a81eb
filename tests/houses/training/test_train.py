"""A classifier trained on an index: in searches, kept beside the manifest, trained anew when the catalogue changes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from homes import HOMES, StrictTap
from PIL import Image
from shop import Shop

from ddsim import ConfigError, InvalidRequest, ServiceSpec
from ddsim.routing import trained_before
from ddsim.training import NetworkSource, fit, source_of, write_network

COLOURS = {"bed": (200, 40, 40), "lamp": (40, 200, 40), "sofa": (40, 40, 200)}


def paint(shop: Shop, category: str, count: int, first: int = 0) -> None:
    """Pictures of about one colour, which the tiny network tells apart."""
    for number in range(first, first + count):
        noise = np.random.default_rng((number, *COLOURS[category])).integers(-35, 36, (32, 32, 3))
        pixels = np.clip(np.array(COLOURS[category]) + noise, 0, 255).astype(np.uint8)
        path = shop.catalogue / category / f"{number:02d}.png"
        path.parent.mkdir(exist_ok=True)
        Image.fromarray(pixels).save(path)


def trained_shop(root: Path, home: str, **base: object) -> Shop:
    """A shop whose configuration asks for a trained classifier."""
    settings, profile = HOMES[home]
    shop = Shop(
        root,
        {"classification": "trained", "similarity": {"extract_layer": "fc1"}, "index": settings, **base},
        tap=StrictTap(profile=profile),
    )
    for category in COLOURS:
        paint(shop, category, 12)
    return shop


@pytest.fixture(params=list(HOMES))
def shop(request: pytest.FixtureRequest, tmp_path: Path) -> Shop:
    """Twelve pictures each of three categories, in every home of vectors."""
    return trained_shop(tmp_path, request.param)


def test_indexing_trains_and_searches_use_it(shop: Shop) -> None:
    """Right after a run the classifier tells what a photo shows, and its word has a weight."""
    with shop.search() as search:
        report = search.index()
        assert report.learned is not None
        assert report.learned.weight is not None
        head = search.collection.trained()
        assert head is not None
        for category in COLOURS:
            result = search.query(shop.catalogue / category / "03.png", 3)
            assert result.categories[0].name == category
            assert result.categories[0].probability > 0.5


def test_a_query_costs_one_call(shop: Shop) -> None:
    """The classifier works on the vector that the search brings anyway: no service is asked besides."""
    with shop.search() as search:
        search.index()
        search.query(shop.catalogue / "bed/00.png", 3)
        shop.tap.sent.clear()
        search.query(shop.catalogue / "lamp/00.png", 3)
    assert len(shop.tap.matching("POST", "/predict")) == 1


def test_a_run_without_changes_trains_nothing(shop: Shop) -> None:
    """The same head is still there."""
    with shop.search() as search:
        search.index()
        before = search.collection.trained()
        search.index()
        after = search.collection.trained()
    assert before is not None
    assert after is not None
    assert before.mark == after.mark


@pytest.mark.parametrize(("more", "anew"), [(1, False), (4, True)])
def test_a_twentieth_of_change_trains_anew(tmp_path: Path, more: int, anew: bool) -> None:
    """One new picture of 36 leaves the head as it is; four do not."""
    shop = trained_shop(tmp_path, "local")
    with shop.search() as search:
        search.index()
        before = search.collection.trained()
        paint(shop, "bed", more, first=12)
        search.index()
        after = search.collection.trained()
    assert before is not None
    assert after is not None
    assert (before.mark != after.mark) is anew


def test_a_new_category_trains_anew(tmp_path: Path) -> None:
    """However few its pictures are."""
    shop = trained_shop(tmp_path, "local")
    with shop.search() as search:
        search.index()
        (shop.catalogue / "table").mkdir()
        (shop.catalogue / "bed/00.png").rename(shop.catalogue / "table/00.png")
        search.index()
        head = search.collection.trained()
    assert head is not None
    assert head.head.categories == ("bed", "lamp", "sofa", "table")


def test_only_what_is_new_is_computed(tmp_path: Path) -> None:
    """Where the server's index gives no vectors back, those of the training before are still known."""
    shop = trained_shop(tmp_path, "server")
    with shop.search() as search:
        search.index()
        assert search.train().computed == 0
        paint(shop, "lamp", 1, first=12)
        search.index()
        assert search.train().computed == 1


def test_what_it_is_worth(shop: Shop) -> None:
    """Of pictures held out, beside the vote; every category has its own row."""
    with shop.search() as search:
        search.index()
        report = search.train()
    assert report.items == 36
    assert report.worth["trained"].accuracy > 0.9
    assert set(report.worth) == {"trained", "neighbours"}
    assert set(report.by_category) == set(COLOURS)
    assert report.to_dict()["worth"]["trained"]["items"] == 36


def test_a_picture_in_the_wrong_folder_is_suspected(tmp_path: Path) -> None:
    """A red picture among the green ones."""
    shop = trained_shop(tmp_path, "local")
    (shop.catalogue / "bed/00.png").rename(shop.catalogue / "lamp/odd.png")
    with shop.search() as search:
        search.index()
        report = search.train()
    assert [(one.uri, one.taken_for) for one in report.suspects] == [("lamp/odd.png", "bed")]
    assert ("lamp", "bed") in {(one.category, one.taken_for) for one in report.confusions}


def test_one_category_needs_no_classifier(tmp_path: Path) -> None:
    """Indexing and searching go on; training says why not."""
    shop = Shop(tmp_path, {"classification": "trained", "similarity": {"extract_layer": "fc1"}})
    paint(shop, "bed", 5)
    with shop.search() as search:
        assert search.index().indexed == 5
        assert search.query(shop.catalogue / "bed/00.png", 2).neighbours[0].uri == "bed/00.png"
        with pytest.raises(InvalidRequest, match="nothing to tell apart"):
            search.train()


def test_a_configuration_that_asks_for_what_was_never_trained(tmp_path: Path) -> None:
    """Indexed without it, searched with it: the error says what to run."""
    shop = trained_shop(tmp_path, "local", classification=None)
    with shop.search() as search:
        search.index()
    shop.configure(classification="trained")
    with shop.search() as search, pytest.raises(ConfigError, match="run `ddsim train`"):
        search.query(shop.catalogue / "bed/00.png", 2)


@pytest.mark.parametrize("spoil", ["cut", "empty", "other"])
def test_a_damaged_head_is_trained_anew(tmp_path: Path, spoil: str) -> None:
    """Searches say so; the next run makes a new one."""
    shop = trained_shop(tmp_path, "local")
    with shop.search() as search:
        search.index()
        path = search.collection.manifest.folder / "head.npz"
    content = path.read_bytes()
    path.write_bytes({"cut": content[:-200], "empty": b"", "other": b"no archive at all"}[spoil])
    with shop.search() as search:
        with pytest.raises(ConfigError, match=r"head\.npz.*`ddsim train`"):
            search.query(shop.catalogue / "bed/00.png", 2)
        search.index()
        assert search.query(shop.catalogue / "bed/00.png", 2).categories[0].name == "bed"


def test_the_network_says_what_the_head_says(tmp_path: Path) -> None:
    """As an ordinary classification service: its labels are the categories, its probabilities the head's."""
    shop = trained_shop(tmp_path, "local")
    with shop.search() as search:
        search.index()
        trained = search.collection.head()
        assert trained is not None
        source = source_of(shop.settings)
        assert isinstance(source, NetworkSource)
        files = write_network(shop.settings, trained.head, tmp_path / "network", source)
        similarity = shop.settings.similarity
        search.client.create_service(
            ServiceSpec(
                name="trained",
                type="supervised",
                repository=str(tmp_path / "network"),
                definition=str(files[0]),
                weights=str(files[1]),
                corresp=str(files[2]),
                nclasses=3,
                width=similarity.width,
                height=similarity.height,
                mean=similarity.mean,
            )
        )
        pictures = sorted(shop.catalogue.glob("*/0[0-3].png"))
        told = search.client.classify("trained", pictures, top=None)
        vectors = np.stack([hits.vector for hits in search.collection.search(pictures, 1)])
    for one, expected in zip(told, trained.head.shares(vectors), strict=True):
        assert {label.name: pytest.approx(label.probability, abs=1e-4) for label in one.labels} == expected


def test_a_category_with_a_line_break_has_no_line(tmp_path: Path) -> None:
    """Its network is refused with the reason."""
    shop = trained_shop(tmp_path, "local")
    head = fit(np.eye(16, dtype=np.float32)[:4], ["a\nb", "c"] * 2).head
    source = source_of(shop.settings)
    assert source is not None
    with pytest.raises(InvalidRequest, match="rename its folder"):
        write_network(shop.settings, head, tmp_path / "network", source)


def test_a_head_is_that_of_its_note(tmp_path: Path) -> None:
    """A process that ended between the file and its note leaves no head rather than one with another's line."""
    shop = trained_shop(tmp_path, "local")
    with shop.search() as search:
        search.index()
        manifest = search.collection.manifest
        note = manifest.get_meta("head")
        with manifest.writing():
            manifest.set_meta(head={**note, "mark": "another"})
        assert trained_before(manifest) is None


def test_a_classifier_of_categories_that_are_gone_tells_nothing(tmp_path: Path) -> None:
    """With one category left there is nothing to tell, and no other one is named any more."""
    shop = trained_shop(tmp_path, "local", catalogue={"folder": str(tmp_path / "catalogue"), "vanish_limit": 1.0})
    with shop.search() as search:
        search.index()
        for category in ("lamp", "sofa"):
            for path in (shop.catalogue / category).iterdir():
                path.unlink()
            (shop.catalogue / category).rmdir()
        search.index()
        result = search.query(shop.catalogue / "bed/00.png", 2)
        assert search.collection.trained() is None
    assert {one.name for one in result.categories} == {"bed"}


@pytest.mark.parametrize("by", ["neighbours", "none"])
def test_a_routing_that_leaves_the_classifier_out_is_refused(tmp_path: Path, by: str) -> None:
    """Nobody should think that it is asked."""
    shop = trained_shop(tmp_path, "local", routing={"by": by})
    with pytest.raises(ConfigError, match="leaves the trained classifier out"):
        _ = shop.settings
