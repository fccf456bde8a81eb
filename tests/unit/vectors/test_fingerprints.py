"""What a vector depends on, and what not; and the services for the time of an evaluation."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from shop import TINY, Shop
from terminal import interrupt

from ddsim import ConnectionLost, Settings
from ddsim.errors import BadParameter
from ddsim.evaluation.throwaway import PREFIX, borrowed
from ddsim.vectors.fingerprints import hash_files, label_key, network_key, stands_alone, vector_key
from ddsim.vectors.others import Patience

REMOTE: dict[str, Any] = {
    "server": "http://host:8080",
    "similarity": {"repository": "/i/similar", "extract_layer": "pool1"},
    "classification": {"repository": "/i/classes"},
}
# What another vector comes out of, one by one.
DECISIVE: list[dict[str, Any]] = [
    {"network": {"mean": [1.0, 2.0, 3.0]}},
    {"network": {"rgb": True}},
    {"upload": {"quality": 80}},
    {"upload": {"shrink": False}},
    REMOTE,
]
INDIFFERENT: list[dict[str, Any]] = [
    {"name": "other"},
    {"similarity": {"service": "x", "index_type": "HNSW8"}},
    {"index": {"backend": "local", "metric": "cosine", "pca": 3, "batch_size": 1}},
    {"catalogue": "elsewhere", "state": "elsewhere"},
    {"upload": {"max_pixels": 99}},
    {"categories": {"a": "b"}},
    {"routing": {"voters": 3}},
]


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    """A shop with the tiny network."""
    return Shop(tmp_path)


def changed(shop: Shop, **changes: Any) -> Settings:
    """The shop's settings with these changes."""
    shop.configure(**changes)
    return shop.settings


@pytest.mark.parametrize("key", [vector_key, network_key, label_key])
@pytest.mark.parametrize("changes", DECISIVE)
def test_what_counts(shop: Shop, changes: dict[str, Any], key: Callable[[Settings], str]) -> None:
    """Another server, network, or way of preparing pictures: what was kept does not count."""
    assert key(shop.settings) != key(changed(shop, **changes))


@pytest.mark.parametrize("key", [vector_key, network_key, label_key])
@pytest.mark.parametrize("changes", INDIFFERENT)
def test_what_does_not_count(shop: Shop, changes: dict[str, Any], key: Callable[[Settings], str]) -> None:
    """Names, folders, limits, and all that is done to vectors afterwards."""
    assert key(shop.settings) == key(changed(shop, **changes))


def test_the_layer(shop: Shop) -> None:
    """Vectors are of a layer; the network and its labels are not."""
    before, after = shop.settings, changed(shop, similarity={"extract_layer": "fc1"})
    assert vector_key(before) != vector_key(after)
    assert (network_key(before), label_key(before)) == (network_key(after), label_key(after))


def test_no_classification(shop: Shop) -> None:
    """No labels, no key."""
    assert label_key(changed(shop, classification=None)) is None


def test_the_files_of_a_network_that_is_here(shop: Shop) -> None:
    """Replaced under the same name they are another network; a server's own files are known by their names only."""
    weights = shop.root / "tiny.caffemodel"
    weights.write_bytes((TINY / "tiny.caffemodel").read_bytes())
    shop.configure(network={"weights": str(weights)})
    before = vector_key(shop.settings)
    weights.write_bytes(weights.read_bytes() + b"\0")
    assert vector_key(shop.settings) != before


def test_labels_are_of_their_file(shop: Shop) -> None:
    """Another label file: other labels, the same vectors."""
    labels = shop.root / "words.txt"
    labels.write_text("0 x\n")
    before, after = shop.settings, changed(shop, network={"corresp": str(labels)})
    assert label_key(before) != label_key(after)
    assert vector_key(before) == vector_key(after)


def test_a_network_that_lies_in_the_repository(shop: Shop) -> None:
    """The folder and what is in it count then, but for what the server writes there."""
    folder = shop.root / "model"
    folder.mkdir()
    shop.configure(
        network={"corresp": None, "def": None, "weights": None},
        classification={"repository": str(folder)},
        similarity={
            "extract_layer": "pool1",
            "def": str(TINY / "deploy.prototxt"),
            "weights": str(TINY / "tiny.caffemodel"),
        },
    )
    assert shop.settings.classification is not None
    assert not stands_alone(shop.settings.classification)
    assert stands_alone(shop.settings.similarity)
    before = label_key(shop.settings)
    (folder / "config.json").touch()
    assert label_key(shop.settings) == before
    (folder / "x.caffemodel").write_bytes(b"1")
    assert label_key(shop.settings) != before


# The services

PATIENCE = Patience(sleep=lambda _: None)


def test_a_service_comes_and_goes(shop: Shop) -> None:
    """Under a name and in a folder of its own, which goes with it; the network stays."""
    settings = shop.settings
    with shop.client() as client:
        with borrowed(client, settings.similarity, settings.similarity_spec(), PATIENCE) as there:
            assert there.name.startswith(PREFIX)
            assert there.ask(lambda name: client.get_service(name).type, "pool1") == "unsupervised"
            (folder,) = Path(settings.similarity.repository).iterdir()
            assert folder.name == there.name
        assert client.info().services == ()
        assert list(Path(settings.similarity.repository).iterdir()) == []
    assert (TINY / "tiny.caffemodel").is_file()
    assert not shop.tap.index_calls


def test_an_embedded_server_needs_no_folder_of_the_user(shop: Shop) -> None:
    """Its service comes and goes elsewhere: where vectors are read from, nobody may have the right to write."""
    settings = shop.settings
    with shop.client() as client:
        with borrowed(client, settings.similarity, settings.similarity_spec(), PATIENCE, embedded=True) as there:
            there.ask(lambda _: None, "pool1")
            folder = Path(client.get_service(there.name).repository)
            assert folder.is_dir()
            assert folder.name == there.name
        assert client.info().services == ()
    assert not folder.parent.exists()
    assert not Path(settings.similarity.repository).exists()


def test_a_service_that_failed_leaves_nothing(shop: Shop) -> None:
    """Not even the folder, where the layer is unknown to the network."""
    settings = shop.settings
    with shop.client() as client:
        with (
            pytest.raises(BadParameter, match="nosuch"),
            borrowed(client, settings.similarity, settings.similarity_spec(), PATIENCE) as there,
        ):
            there.ask(lambda _: None, "nosuch")
        assert client.info().services == ()
    assert list(Path(settings.similarity.repository).iterdir()) == []


def test_a_service_that_was_forgotten_is_made_again(shop: Shop) -> None:
    """By a server that was restarted; what was asked is asked again."""
    settings = shop.settings
    with shop.client() as client:
        with borrowed(client, settings.similarity, settings.similarity_spec(), PATIENCE) as there:
            there.ask(lambda name: client.get_service(name), "pool1")
            shop.tap.restart()
            assert there.ask(lambda name: client.get_service(name).name, "pool1") == there.name
            shop.tap.restart()
        assert client.info().services == ()
    assert list(Path(settings.similarity.repository).iterdir()) == []


def test_a_server_that_is_gone_at_the_end(shop: Shop) -> None:
    """That the service cannot be removed does not spoil what was found."""

    def gone(*_: object) -> None:
        raise ConnectionLost("gone", method="DELETE", path="/services")

    settings = shop.settings
    with shop.client() as client:
        with borrowed(client, settings.similarity, settings.similarity_spec(), PATIENCE) as there:
            there.ask(lambda _: None, "pool1")
            shop.tap.faults.append(gone)
        shop.tap.faults.clear()
        assert [service.name for service in client.info().services] == [there.name]


def test_nothing_is_removed_in_an_interruption(shop: Shop) -> None:
    """The server may still be predicting, and deleting a service then may be its end."""
    settings = shop.settings
    with shop.client() as client:
        with (
            pytest.raises(KeyboardInterrupt),
            borrowed(client, settings.similarity, settings.similarity_spec(), PATIENCE) as there,
        ):
            there.ask(interrupt, "pool1")
        assert shop.tap.matching("DELETE") == []


def test_a_network_in_the_repository_stays(shop: Shop) -> None:
    """The service is made in the configured folder then, and no file of it is removed."""
    folder = shop.root / "model"
    folder.mkdir()
    for name in ("deploy.prototxt", "tiny.caffemodel", "corresp.txt"):
        (folder / name).write_bytes((TINY / name).read_bytes())
    shop.configure(
        network={"corresp": None, "def": None, "weights": None},
        classification={"repository": str(folder)},
        similarity={
            "extract_layer": "pool1",
            "def": str(TINY / "deploy.prototxt"),
            "weights": str(TINY / "tiny.caffemodel"),
        },
    )
    service, spec = shop.settings.classification, shop.settings.classification_spec()
    assert service is not None
    assert spec is not None
    with shop.client() as client:
        with borrowed(client, service, spec, PATIENCE) as there:
            there.ask(lambda _: None, None)
        assert client.info().services == ()
    assert [sent.path.partition("?")[2] for sent in shop.tap.matching("DELETE")] == [""]
    assert {"deploy.prototxt", "tiny.caffemodel", "corresp.txt"} <= {path.name for path in folder.iterdir()}


def test_hashes_of_files_follow_their_content(tmp_path: Path) -> None:
    """A file that is replaced by one of another size has another hash."""
    path = tmp_path / "weights"
    path.write_bytes(b"one")
    (before,) = hash_files([path])
    path.write_bytes(b"three")
    assert [before] != list(hash_files([path]))
