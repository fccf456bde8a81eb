"""What was computed once is not computed again: after a renaming, for another catalogue, or after an evaluation."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from homes import four_at_a_time
from shop import Shop, picture
from stock import assert_sound, index, names, sent_uris

from ddsim import Collection, NetworkChanged
from ddsim.deepdetect import SAME, Canary, drawn
from ddsim.evaluation.experiments import read_experiments
from ddsim.evaluation.options import Options
from ddsim.evaluation.run import evaluate_experiments
from ddsim.vectors.cache import FILE, FOLDER, Cache


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    """A shop that keeps its vectors here."""
    return four_at_a_time(tmp_path, "local")


def test_a_renamed_folder_costs_no_forward_pass(shop: Shop) -> None:
    """Only the three drawn pictures are sent again, since the server was restarted; everything is found anew."""
    shop.add(*names("lamp", 11))
    index(shop)
    (shop.catalogue / "lamp").rename(shop.catalogue / "light")
    shop.tap.sent.clear()
    report = index(shop)
    assert (report.sent, report.reused, report.changes["new"], report.indexed) == (0, 11, 11, 11)
    assert sent_uris(shop) == []
    assert_sound(shop, names("light", 11))


def test_another_catalogue_with_the_same_pictures(shop: Shop) -> None:
    """What both hold is computed for the first only."""
    shop.add(*names("lamp", 3))
    index(shop)
    other = shop.root / "other"
    shutil.copytree(shop.catalogue / "lamp", other / "old")
    picture(77).save(other / "old" / "new.png")
    with Collection(shop.settings, shop.client(), other) as collection:
        report = collection.index()
    assert (report.sent, report.reused) == (1, 3)


def test_what_an_evaluation_computed(shop: Shop) -> None:
    """An index takes it, and an evaluation what was indexed."""
    shop.add(*names("lamp", 3), *names("bed", 3))
    experiments = read_experiments([shop.config])
    cache, options = shop.settings.state / FOLDER, Options(timing_queries=0)
    evaluate_experiments(experiments, shop.catalogue, options=options, cache=cache, opening=lambda _: shop.client())
    report = index(shop)
    assert (report.sent, report.reused) == (0, 6)
    shop.add("lamp/new.png")
    assert index(shop).sent == 1
    found = evaluate_experiments(
        experiments, shop.catalogue, options=options, cache=cache, opening=lambda _: shop.client()
    )
    assert found is not None
    assert [(row.extracted, row.cached) for row in found.rows if row.kind == "configuration"] == [(0, 7)]


def test_the_same_network_in_other_files_on_another_server(shop: Shop) -> None:
    """From the embedded server to a real one: the paths are others, the vectors are not, and nothing is sent."""
    shop.add(*names("lamp", 3))
    index(shop)
    shop.configure(**_elsewhere(shop, "http://gpu:8080"))
    shop.tap.restart()
    report = index(shop)
    assert (report.sent, report.reused) == (0, 3)


def test_the_same_paths_on_another_server(shop: Shop) -> None:
    """Another address, with or without a password, is the same index where the network is the same."""
    shop.configure(**_elsewhere(shop, "http://one:8080"))
    shop.add(*names("lamp", 3))
    index(shop)
    for address in ("http://two:8080", "http://me:pass@two:9090"):
        shop.configure(**_elsewhere(shop, address))
        report = index(shop)
        assert (report.sent, report.reused, report.changes["unchanged"]) == (0, 0, 3)


@pytest.mark.parametrize("home", ["server", "local"])
def test_another_network_at_another_address(tmp_path: Path, home: str) -> None:
    """It is refused with both addresses, by runs and searches; a rebuild takes it, and sends everything."""
    shop = four_at_a_time(tmp_path, home)
    copy = shop.root / "network"
    shutil.copytree(Path(str(shop.settings.similarity.definition)).parent, copy)
    shop.configure(**_elsewhere(shop, "http://one:8080", copy))
    shop.add(*names("lamp", 3))
    index(shop)
    weights = copy / "tiny.caffemodel"
    _disturb(weights)
    shop.tap.restart()
    shop.configure(**_elsewhere(shop, "http://two:8080", copy))
    with pytest.raises(NetworkChanged, match=r"http://two:8080.*http://one:8080.*--rebuild"):
        index(shop)
    with shop.search() as search, pytest.raises(NetworkChanged):
        search.query(picture(5))
    report = index(shop, rebuild=True)
    assert (report.sent, report.reused) == (3, 0)
    assert_sound(shop, names("lamp", 3))


def test_an_upgraded_server_at_the_same_address(shop: Shop) -> None:
    """A restart is enough to look again; the message says that it is the same address."""
    copy = shop.root / "network"
    shutil.copytree(Path(str(shop.settings.similarity.definition)).parent, copy)
    shop.configure(**_elsewhere(shop, "http://one:8080", copy))
    shop.add(*names("lamp", 3))
    index(shop)
    _disturb(copy / "tiny.caffemodel")
    shop.tap.restart()
    with pytest.raises(NetworkChanged, match="http://one:8080 of today"):
        index(shop)


def test_a_search_on_the_wrong_server_loses_nothing(tmp_path: Path) -> None:
    """An index that is on one server is not given up because another one has none."""
    shop = four_at_a_time(tmp_path, "server")
    shop.configure(**_elsewhere(shop, "http://one:8080"))
    shop.add(*names("lamp", 3))
    index(shop)
    there = shop.root / "similar"
    first = shop.tap.engine
    shop.tap.restart()
    for folder in shop.root.glob("similar*"):
        folder.rename(shop.root / f"of-one-{folder.name}")
    there.mkdir(exist_ok=True)
    shop.configure(**_elsewhere(shop, "http://two:8080"))
    for _ in range(2):
        with shop.search() as search, pytest.raises(Exception, match=r"http://one:8080.*http://two:8080"):
            search.query(picture(5))
    for folder in shop.root.glob("similar*"):
        shutil.rmtree(folder)
    for folder in shop.root.glob("of-one-*"):
        folder.rename(shop.root / folder.name.removeprefix("of-one-"))
    shop.tap.engine = first
    shop.configure(**_elsewhere(shop, "http://one:8080"))
    report = index(shop)
    assert (report.sent, report.changes["unchanged"]) == (0, 3)


def test_without_a_cache(shop: Shop) -> None:
    """index.cache: 0 keeps nothing, and everything is sent."""
    shop.configure(index={"backend": "local", "cache": 0})
    shop.add(*names("lamp", 3))
    index(shop)
    (shop.catalogue / "lamp").rename(shop.catalogue / "light")
    report = index(shop)
    assert (report.sent, report.reused) == (3, 0)
    assert not (shop.settings.state / FOLDER).exists()


@pytest.mark.parametrize("content", [b"no database, but some text that is long enough", b""])
def test_a_cache_that_is_broken(shop: Shop, content: bytes) -> None:
    """The run goes on without it."""
    folder = shop.settings.state / FOLDER
    folder.mkdir(parents=True)
    (folder / FILE).write_bytes(content)
    shop.add(*names("lamp", 3))
    assert index(shop).indexed == 3


def test_the_cache_stays_within_its_size(tmp_path: Path) -> None:
    """What was kept first goes first; while somebody holds it, nothing goes."""
    row = np.ones(1000, np.float32)
    with Cache(tmp_path) as cache:
        for number in range(200):
            cache.keep_vectors("k", {f"{number:03d}": row})
        with Cache(tmp_path, holding=True):
            cache.trim(400_000)
            assert len(cache.known("k", [f"{number:03d}" for number in range(200)])) == 200
        cache.trim(400_000)
        assert cache.size() <= 400_000
        known = cache.known("k", [f"{number:03d}" for number in range(200)])
        assert {"199"} <= known < {f"{number:03d}" for number in range(200)}
        assert "000" not in known


def test_drawn_pictures_tell_networks_apart(shop: Shop) -> None:
    """They are always the same, and a network with a little noise on its weights is another one."""
    one, two = drawn(shop.settings.upload_options()), drawn(shop.settings.upload_options())
    assert [picture.data for picture in one] == [picture.data for picture in two]
    assert len({picture.data for picture in one}) == 3
    rows = np.random.default_rng(0).normal(size=(3, 64)).astype(np.float32)
    rounded = Canary(rows + np.float32(1e-4) * np.abs(rows))
    assert Canary(rows).same_as(rounded)
    assert Canary(rows).same_as(Canary(3 * rows))
    assert not Canary(rows).same_as(Canary(rows + np.float32(0.1)))
    assert Canary(rows).nearness(Canary(rows[:, :10])) == -1.0
    assert Canary(rows).nearness(Canary(rows * np.nan)) == -1.0
    assert Canary(0 * rows).same_as(Canary(0 * rows))
    again = Canary.from_text(Canary(rows).to_text())
    assert again is not None
    assert again.nearness(Canary(rows)) >= SAME
    assert (
        Canary.from_text("{}") is Canary.from_text("") is Canary.from_text('{"shape": [9], "values": "AA=="}') is None
    )


def _elsewhere(shop: Shop, address: str, network: Path | None = None) -> dict[str, object]:
    """A configuration for a server elsewhere, whose files are these or copies of them."""
    if network is None:
        network = shop.root / "network"
        if not network.exists():
            shutil.copytree(Path(str(shop.settings.similarity.definition)).parent, network)
    files = {"def": str(network / "deploy.prototxt"), "weights": str(network / "tiny.caffemodel")}
    return {
        "server": address,
        "network": {**files, "nclasses": 5, "width": 32, "height": 32, "mean": [104.0, 117.0, 123.5]},
        "similarity": {"extract_layer": "fc1", "repository": str(shop.root / "similar")},
    }


def _disturb(weights: Path) -> None:
    """Other values in the same file: blobs of floats are most of it."""
    data = bytearray(weights.read_bytes())
    middle = len(data) // 2
    values = np.frombuffer(bytes(data[middle : middle + 400]), np.uint8)
    data[middle : middle + 400] = np.roll(values, 4).tobytes()
    weights.write_bytes(bytes(data))
