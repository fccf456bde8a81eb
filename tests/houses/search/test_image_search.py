"""ddsim.ImageSearch: what is in a catalogue, and the further ways to ask for it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from homes import four_at_a_time
from PIL import Image
from shop import Shop, picture, plain

import ddsim
from ddsim import CapabilityError, ConfigError, ImageError, ImageSearch, InvalidRequest

ODD = 'lamp/it\'s "<b>odd</b>" & ü.png'


def filled(root: Path, home: str, **index: Any) -> Shop:
    """Three lamps, one of them twice, and two beds; one name is odd, and one file no picture."""
    root.mkdir(exist_ok=True)
    shop = four_at_a_time(root, home)
    if index:
        shop.configure(index={"batch_size": 4, **index})
    shop.add("bed/1.png", "bed/2.png", "lamp/1.png")
    for uri, seed in ((ODD, 77), ("lamp/3.png", 78), ("lamp/4.png", 78)):
        shop.add_picture(uri, picture(seed))
    shop.add_bytes("lamp/broken.png", b"no picture")
    with shop.search() as search:
        search.index()
    return shop


@pytest.fixture(scope="module", params=["server", "local"])
def either(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Shop:
    """The shop in either home; nothing of it is changed."""
    return filled(tmp_path_factory.mktemp(request.param), request.param)


@pytest.fixture(scope="module")
def local(tmp_path_factory: pytest.TempPathFactory) -> Shop:
    """The shop whose vectors ddsim keeps; nothing of it is changed."""
    return filled(tmp_path_factory.mktemp("here"), "local")


def test_items(either: Shop) -> None:
    """What is indexed, sorted, with paths that are there; what failed is not among it."""
    with either.search() as search:
        before = len(either.tap.sent)
        found = search.items()
        assert [item.uri for item in found] == sorted(["bed/1.png", "bed/2.png", "lamp/1.png", ODD, *TWINS])
        assert all(item.path.is_file() for item in found)
        assert {item.category for item in search.items("bed")} == {"bed"}
        assert found.to_dict() == {"indexed": [item.uri for item in found]}
        assert repr(found) == "<Items: 6 items indexed: bed 2, lamp 4>"
        assert "&lt;b&gt;odd" in found._repr_html_()
        assert len(either.tap.sent) == before, "the server is not asked"


TWINS = ("lamp/3.png", "lamp/4.png")


def test_failures(either: Shop) -> None:
    """What could not be indexed, with the reason."""
    with either.search() as search:
        (failed,) = search.failures()
    assert failed.uri == "lamp/broken.png"
    assert failed.reason


def test_remove(tmp_path: Path) -> None:
    """One name or several; they are found no more, and an unknown one says which may be meant."""
    shop = filled(tmp_path, "local")
    with shop.search() as search:
        with pytest.raises(InvalidRequest, match=r"nothing was removed; did you mean .*'lamp/1.png'"):
            search.remove(["lamp/3.png", "lamp/1.pgn"])
        assert search.remove(ODD) == 1
        assert search.remove(iter(["bed/1.png", "bed/1.png", "bed/2.png"])) == 2
        assert [item.uri for item in search.items()] == ["lamp/1.png", *TWINS]
        for wrong in (5, None, b"lamp/1.png", [5]):
            with pytest.raises(InvalidRequest, match="named by text"):
                search.remove(wrong)  # type: ignore[arg-type]
        assert search.remove([]) == 0


def test_vectors(local: Shop) -> None:
    """As the network gives them: each is what the server computes of the item's picture."""
    with local.search() as search:
        uris, vectors = search.vectors()
        assert uris == [item.uri for item in search.items()]
        assert vectors.dtype == np.float32
        hits = search.collection.search([item.path for item in search.items()], 1)
        assert np.allclose(vectors, [one.vector for one in hits], rtol=1e-4)
        assert search.vectors("bed").vectors.shape == (2, vectors.shape[1])
        assert repr(search.vectors()) == f"<ItemVectors: 6 items, float32 {vectors.shape}>"
        assert search.vectors().to_dict() == {"uris": uris, "vectors": vectors.tolist()}


def test_vectors_as_they_are_compared(tmp_path: Path) -> None:
    """Where the settings reduce them, both kinds can be had."""
    shop = filled(tmp_path, "local", backend="local", metric="cosine", pca=2)
    with shop.search() as search:
        assert search.vectors().vectors.shape == (6, 16)
        assert search.vectors(compared=True).vectors.shape == (6, 2)
        assert search.query_vector(search.vectors().vectors[0], 1)[0].uri == search.items()[0].uri


def test_vectors_of_the_servers_index(tmp_path: Path) -> None:
    """The server gives none back, which the error says; what a training has computed is there."""
    shop = filled(tmp_path, "server")
    with shop.search() as search:
        with pytest.raises(CapabilityError, match=r"of 6 items 0 are kept here: write `backend: local`"):
            search.vectors()
        pytest.importorskip("sklearn", reason="scikit-learn is not installed")
        search.train()
        uris, vectors = search.vectors()
        hits = search.collection.search([item.path for item in search.items()], 1)
        assert np.allclose(vectors, [one.vector for one in hits], rtol=1e-4)
        assert len(uris) == 6


def test_vectors_that_another_run_has_added(tmp_path: Path) -> None:
    """A search that is open finds those of a run that went on meanwhile."""
    shop = filled(tmp_path, "local")
    with shop.search() as search:
        assert len(search.vectors().uris) == 6
        shop.add("bed/new.png")
        with shop.search() as other:
            other.index()
        uris, vectors = search.vectors()
        assert "bed/new.png" in uris
        assert len(vectors) == 7


def test_query_a_vector(local: Shop) -> None:
    """An item's own vector finds it; categories and twins are as for pictures."""
    with local.search() as search:
        uris, vectors = search.vectors()
        place = uris.index(ODD)
        found = search.query_vector(vectors[place], 3)
        assert found[0].uri == ODD
        assert found[0].score == 1.0
        assert found.query == "<vector>"
        by_hand = search.query(local.catalogue / ODD, 3)
        assert [one.uri for one in by_hand] == [one.uri for one in found]
        assert {one.category for one in search.query_vector(list(vectors[place]), 9, category="bed")} == {"bed"}


@pytest.mark.parametrize(
    ("vector", "said"),
    [
        ([1.0, 2.0], "2 values cannot be searched for: those of the index have 16"),
        (np.zeros(16) + 1j, "complex"),
        (np.zeros((1, 16)), r"shape \(d,\) is needed, this has shape \(1, 16\)"),
        ([], r"shape \(d,\) is needed"),
        ([float("nan")] * 16, "not finite"),
        ([float("inf")] * 16, "not finite"),
        ([1e300] * 16, "not finite"),
        ([1e38] * 16, "distances do not fit into 32 bits"),
        ("lamp", "no vector of numbers"),
        ([[1.0], [1.0, 2.0]], "no vector of numbers"),
        ([10**400] * 16, "no vector of numbers"),
        ([1j] * 16, "complex numbers"),
        (np.zeros(16, "M8[s]"), "dates"),
        ([None] * 16, "not finite"),
    ],
)
def test_vectors_that_cannot_be(local: Shop, vector: Any, said: str) -> None:
    """Of another length or shape, or without numbers: it says so, and without a warning."""
    with local.search() as search, pytest.raises(InvalidRequest, match=said):
        search.query_vector(vector)


def test_vectors_of_any_length_where_it_does_not_count(tmp_path: Path) -> None:
    """Where vectors are compared by their direction, one of huge values finds what the same of small ones finds."""
    shop = filled(tmp_path, "local", backend="local", metric="cosine")
    with shop.search() as search:
        uris, vectors = search.vectors()
        place = uris.index(ODD)
        huge = vectors[place] * (np.float32(1e38) / np.abs(vectors[place]).max())
        assert search.query_vector(huge, 1)[0].uri == ODD


def test_the_servers_index_takes_no_vector(tmp_path: Path) -> None:
    """The error says which home does."""
    shop = filled(tmp_path, "server")
    with shop.search() as search, pytest.raises(CapabilityError, match="takes pictures only: write `backend: local`"):
        search.query_vector([0.0] * 16)


def test_query_an_item(either: Shop) -> None:
    """More like an item: without itself, but with its twin, and ranks from 1."""
    with either.search() as search:
        found = search.query_item("lamp/3.png", 3, route=False)
        assert found.query == "lamp/3.png"
        assert [one.rank for one in found] == [1, 2, 3]
        assert (found[0].uri, found[0].score) == ("lamp/4.png", 1.0)
        assert found[0].path == search.catalogue / "lamp/4.png"
        assert "lamp/3.png" not in {name for one in found for name in (one.uri, *one.also)}
        assert "img" in found._repr_html_()
        assert len(search.query_item("lamp/3.png", 99, category="lamp")) == 3


def test_an_item_costs_no_forward_pass(local: Shop) -> None:
    """Where its vector is kept here, nothing is computed, and its file may be gone."""
    with local.search() as search:
        search.query_item("lamp/1.png")
        before = len(local.tap.matching("POST", "/predict"))
        search.query_item(ODD)
        assert len(local.tap.matching("POST", "/predict")) == before


def test_an_item_that_is_not_there(either: Shop) -> None:
    """The error names what may be meant; what failed is not indexed."""
    with either.search() as search:
        with pytest.raises(InvalidRequest, match=r"no item 'lamp/1.jpg' is indexed; did you mean .*'lamp/1.png'"):
            search.query_item("lamp/1.jpg")
        with pytest.raises(InvalidRequest, match=r"'lamp/broken.png' is indexed: it failed, not a picture"):
            search.query_item("lamp/broken.png")
        for wrong in (None, 5, b"lamp/1.png"):
            with pytest.raises(InvalidRequest, match="named by text"):
                search.query_item(wrong)  # type: ignore[arg-type]
        with pytest.raises(InvalidRequest, match="named by text"):
            search.items(5)  # type: ignore[arg-type]


@pytest.mark.parametrize("k", [0, -1, 2.5, "5", None, True])
def test_numbers_of_neighbours_that_cannot_be(local: Shop, k: Any) -> None:
    """The error says what is needed, whatever is searched for."""
    with local.search() as search:
        for call in (
            lambda: search.query(plain("red"), k),
            lambda: search.query_vector([0.0] * 16, k),
            lambda: search.query_item("lamp/1.png", k),
        ):
            with pytest.raises(InvalidRequest, match=r"must be (a whole number|1 or more)"):
                call()


def test_an_item_whose_picture_is_needed_and_gone(tmp_path: Path) -> None:
    """With the server's index its picture is searched for."""
    shop = filled(tmp_path, "server")
    (shop.catalogue / "lamp/1.png").unlink()
    with shop.search() as search, pytest.raises(ImageError, match=r"lamp/1.png"):
        search.query_item("lamp/1.png")


def test_query_a_part_of_a_picture(either: Shop) -> None:
    """A lamp in the corner of a large photo is found by that corner."""
    photo = plain("grey", (128, 128))
    photo.paste(picture(78), (96, 96))
    with either.search() as search:
        found = search.query(photo, 1, region=(0.75, 0.75, 0.25, 0.25))
        assert found[0].uri in TWINS
        assert found[0].score == 1.0
        with pytest.raises(InvalidRequest, match="as fractions of the picture"):
            search.query(photo, region=(10, 10, 50, 50))


def test_duplicates(local: Shop) -> None:
    """The picture that is there twice is found; markup in names stays text."""
    with local.search() as search:
        (one,) = search.duplicates(1.0)
        assert one.uris == list(TWINS)
        assert one.similarity == 1.0
        assert list(search.duplicates(1.0, category="bed")) == []
        with pytest.raises(InvalidRequest, match="threshold=0 must be above 0"):
            search.duplicates(0)
        assert "<b>odd" not in search.duplicates(0.01)._repr_html_()


def test_explore(local: Shop, tmp_path: Path) -> None:
    """A page with a picture of every item; some of them only, where there are too many."""
    with local.search() as search:
        found = search.explore(tmp_path / "map.html")
        page = (tmp_path / "map.html").read_text("utf-8")
        assert page.count("data:image/jpeg") == len(found) == 6
        assert "<b>odd" not in page
        few = search.explore(most=2)
        assert len(few) == 2
        assert "4 more are not on the map" in few.html
        assert {place.category for place in search.explore(category="bed")} == {"bed"}
        numbers = ({"most": 0}, {"most": 2.5}, {"most": True}, {"pictures": -1}, {"pictures": None})
        for wrong in (*numbers, {"method": "tsne"}):
            with pytest.raises(InvalidRequest, match="explore: "):
                search.explore(**wrong)  # type: ignore[arg-type]


CALLS: list[Callable[[ImageSearch], object]] = [
    lambda search: search.index(),
    lambda search: search.train(),
    lambda search: search.items(),
    lambda search: search.failures(),
    lambda search: search.remove("a"),
    lambda search: search.vectors(),
    lambda search: search.duplicates(),
    lambda search: search.explore(),
    lambda search: search.query(Image.new("RGB", (9, 9))),
    lambda search: search.query_many([]),
    lambda search: search.query_vector([1.0]),
    lambda search: search.query_item("a"),
]


@pytest.mark.parametrize("call", CALLS)
def test_a_closed_search(local: Shop, call: Callable[[ImageSearch], object]) -> None:
    """Whatever is asked of it, it says that it is closed."""
    with local.search() as search:
        pass
    with pytest.raises(InvalidRequest, match="this ImageSearch is closed"):
        call(search)


@pytest.mark.parametrize("call", [call for call in CALLS[5:] if call is not CALLS[9]])
def test_nothing_is_indexed(tmp_path: Path, call: Callable[[ImageSearch], object]) -> None:
    """Whoever searches first is told to index."""
    shop = four_at_a_time(tmp_path, "local")
    with shop.search() as search, pytest.raises(ConfigError, match=r"nothing of .* is indexed"):
        call(search)


def test_an_empty_index_has_empty_lists(tmp_path: Path) -> None:
    """Looking is not searching: there is nothing, and that is no error."""
    with four_at_a_time(tmp_path, "local").search() as search:
        assert list(search.items()) == []
        assert list(search.failures()) == []


def test_one_word_means_one_thing(either: Shop) -> None:
    """A score is a search's; what a client alone tells is called otherwise."""
    assert "score" not in ddsim.Match.__annotations__
    with either.search() as search:
        result = search.query(either.catalogue / "bed/1.png", 2)
    assert result[0].score == 1.0
