"""ddsim.search.search: a picture in; labels, categories and the nearest items out."""

from __future__ import annotations

import io
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from shop import Sent, Shop, once, picture, refusal
from turns import turn_asked_for

from ddsim import (
    ApiError,
    BadInput,
    ConfigError,
    ConnectionLost,
    ImageError,
    ImageSearch,
    IndexOptions,
    InvalidRequest,
    Reply,
    SearchResult,
    ServiceConflict,
    ServiceNotFound,
    Timings,
)
from ddsim.vectors import Select


@pytest.fixture(scope="module")
def main_shop(tmp_path_factory: pytest.TempPathFactory) -> Shop:
    """Twelve lamps, four beds and a chair, indexed."""
    shop = Shop(tmp_path_factory.mktemp("main"))
    shop.add(*(f"lamp/{number:02d}.png" for number in range(12)))
    shop.add(*(f"bed/{number:02d}.png" for number in range(4)), "chair/only.png")
    with shop.search() as search:
        search.index()
    return shop


@pytest.fixture
def shop(main_shop: Shop, tmp_path: Path) -> Shop:
    """A branch of it, whose server has just started: it knows no service, the index is there."""
    return main_shop.branch(tmp_path)


def query(
    shop: Shop, k: int = 10, category: str | None = None, uri: str = "lamp/03.png", *, route: bool = False
) -> SearchResult:
    """Ask for the neighbours of a picture of the catalogue, in all categories if nothing else is said."""
    return shop.search().query(shop.catalogue / uri, k, category=category, route=route)


def untimed(result: SearchResult) -> SearchResult:
    """The same, as if it had taken no time."""
    return replace(result, timings=Timings(0, 0, 0, 0))


def shares(result: SearchResult) -> dict[str, float]:
    """Category -> probability, in the result's order."""
    return {one.name: one.probability for one in result.categories}


def searches(shop: Shop) -> list[Sent]:
    """The requests that searched."""
    return [sent for sent in shop.tap.sent if sent.output.get("search")]


def by_hand(shop: Shop, uri: str, category: str | None = None) -> list[str]:
    """The uris of the catalogue by distance, computed from the features without any index."""
    files = sorted(path for path in shop.catalogue.rglob("*.png") if category in (None, path.parent.name))
    settings = shop.settings.similarity
    vectors = shop.client().extract(shop.service(), [shop.catalogue / uri, *files], layer=settings.extract_layer)
    distances = np.mean((vectors[1:] - vectors[0]) ** 2, axis=1)
    return [files[place].relative_to(shop.catalogue).as_posix() for place in np.argsort(distances, kind="stable")]


@pytest.mark.parametrize("k", [1, 2, 10, 16])
def test_k_nearest_in_order(shop: Shop, k: int) -> None:
    """As many neighbours as asked for, nearest first, the same as computed by hand."""
    result = query(shop, k)
    assert [neighbour.uri for neighbour in result.neighbours] == by_hand(shop, "lamp/03.png")[:k]
    distances = [neighbour.distance for neighbour in result.neighbours]
    assert distances == sorted(distances)
    scores = [neighbour.score for neighbour in result.neighbours]
    assert scores == sorted(scores, reverse=True)
    assert [neighbour.rank for neighbour in result.neighbours] == list(range(1, k + 1))
    assert result.searched == ()


def test_neighbours_know_their_files(shop: Shop) -> None:
    """Each neighbour's path is its picture in the catalogue."""
    for neighbour in query(shop).neighbours:
        assert neighbour.path is not None
        assert neighbour.path.is_absolute()
        assert neighbour.path.samefile(shop.catalogue / neighbour.uri)


def test_the_score_is_what_was_learned(shop: Shop) -> None:
    """A neighbour's score is the probability that the catalogue's own pictures taught for its distance and rank."""
    with shop.collection() as collection:
        learned = collection.learned()
    assert learned is not None
    assert learned.shown is not None
    neighbours = query(shop).neighbours
    expected = learned.shown.probability([neighbour.distance * neighbour.rank**0.5 for neighbour in neighbours])
    assert [neighbour.score for neighbour in neighbours] == pytest.approx(expected.tolist())
    assert len(set(expected)) > 3


def test_a_picture_is_its_own_nearest(shop: Shop) -> None:
    """The same picture is at distance 0 and scores 1; no other of the catalogue does."""
    first, second = query(shop, 2).neighbours
    assert (first.uri, first.category, first.distance, first.score) == ("lamp/03.png", "lamp", 0.0, 1.0)
    assert second.distance > 0
    assert 0 <= second.score < 1


def test_more_than_there_are(shop: Shop) -> None:
    """Asked for more than the index holds, the answer is all of it, once each."""
    found = [neighbour.uri for neighbour in query(shop, 100).neighbours]
    assert len(found) == len(set(found)) == 17


@pytest.mark.parametrize("category", ["lamp", "bed", "chair"])
@pytest.mark.parametrize("k", [1, 3, 50])
def test_one_category(shop: Shop, category: str, k: int) -> None:
    """Restricted to a category the answer is exact: its nearest k, or all of it where there are fewer."""
    result = query(shop, k, category)
    assert result.searched == (category,)
    assert [neighbour.uri for neighbour in result.neighbours] == by_hand(shop, "lamp/03.png", category)[:k]


def test_a_category_without_items(shop: Shop) -> None:
    """A category that the index does not have is refused with those that it has; nothing is sent."""
    with pytest.raises(InvalidRequest, match="no category 'la' is indexed; there are bed, chair, lamp"):
        query(shop, 3, "la")
    assert not shop.tap.sent


def test_a_rare_category_is_searched_to_the_end(tmp_path: Path) -> None:
    """Where the wanted category lies behind all others, the search widens until it has it, and no further."""
    shop = Shop(tmp_path)
    shop.configure(index={"batch_size": 128})
    for number in range(600):
        colour = (100 + number % 25, 100 + number // 25, 100)
        shop.add_picture(f"many/{number:03d}.png", Image.new("RGB", (32, 32), colour))
    shop.add_picture("rare/0.png", Image.new("RGB", (32, 32), (255, 0, 255)))
    shop.add_picture("rare/1.png", Image.new("RGB", (32, 32), (0, 255, 0)))
    with shop.search() as search:
        search.index()
        shop.tap.sent.clear()
        grey, green = Image.new("RGB", (32, 32), (100, 100, 100)), Image.new("RGB", (32, 32), (0, 250, 0))
        asked = search.query(grey, 2, category="rare")
        assert {neighbour.uri for neighbour in asked.neighbours} == {"rare/0.png", "rare/1.png"}
        # It is known beforehand how rare it is, so one question is wide enough.
        assert [sent.output["search_nn"] >= 602 for sent in searches(shop)] == [True]
        shop.tap.sent.clear()
        (hits,) = search.collection.search([grey], 2, among=Select(lambda *_: ["rare"]))
        assert {found.uri for found in hits.found} == {"rare/0.png", "rare/1.png"}
        widths = [sent.output["search_nn"] for sent in searches(shop)]
        assert widths == sorted(set(widths))
        assert widths[-2] < 602 <= widths[-1]
        shop.tap.sent.clear()
        (hits,) = search.collection.search([green], 1, among=Select(lambda *_: ["rare"]))
        assert [found.uri for found in hits.found] == ["rare/1.png"]
        assert len(searches(shop)) == 1


def test_without_a_category_one_search_is_enough(shop: Shop) -> None:
    """One query costs one search and one classification, whatever k is."""
    with shop.search() as search:
        search.query(shop.catalogue / "lamp/00.png")
        shop.tap.sent.clear()
        search.query(shop.catalogue / "lamp/00.png", 500)
    assert [sent.method + sent.path for sent in shop.tap.sent] == ["POST/predict"] * 2


def test_labels(shop: Shop) -> None:
    """All labels of the network come along, most probable first; together they make one."""
    labels = query(shop).labels
    assert [sent.output["best"] for sent in shop.tap.sent if "best" in sent.output][-1] == -1
    assert {label.name.split()[1] for label in labels} == {"chair", "lamp", "table", "bed", "sofa"}
    assert [label.probability for label in labels] == sorted((label.probability for label in labels), reverse=True)
    assert sum(label.probability for label in labels) == pytest.approx(1, abs=1e-4)


def test_labels_become_categories(shop: Shop) -> None:
    """A label counts for a category by its whole text or by its first word; several of a category add up."""
    mapping = {"n00000001": "seat", "n00000005 sofa": "seat", "n00000002": "lamp", "n00000003 tab": "nothing"}
    shop.configure(categories=mapping, routing={"by": "service"})
    result = query(shop)
    share = {label.name: label.probability for label in result.labels}
    expected = {
        "seat": share["n00000001 chair"] + share["n00000005 sofa"],
        "lamp": share["n00000002 lamp"],
        "nothing": 0.0,
    }
    assert share.keys() >= {"n00000003 table"}
    assert shares(result) == pytest.approx({name: one for name, one in expected.items() if one})
    assert list(shares(result)) == sorted(shares(result), key=lambda name: -expected[name])


def test_the_whole_label_goes_before_its_first_word(shop: Shop) -> None:
    """Where both are named, the whole label decides."""
    shop.configure(categories={"n00000002": "wrong", "n00000002 lamp": "right"}, routing={"by": "service"})
    assert list(shares(query(shop))) == ["right"]


def test_labels_that_nobody_named(shop: Shop) -> None:
    """Without a mapping there are labels, and the neighbours alone say what the picture shows."""
    result = query(shop, route=True)
    assert result.labels
    assert result.categories[0].name == "lamp"
    shop.configure(routing={"by": "neighbours"})
    assert result.categories == query(shop, route=True).categories


def test_without_a_classification_service(shop: Shop) -> None:
    """A configuration without one finds neighbours, which tell the category, and says nothing of labels."""
    shop.configure(classification=None)
    result = query(shop)
    assert result.labels == ()
    assert result.timings.classify < result.timings.search
    assert shares(result).keys() == {"lamp", "bed", "chair"}
    assert len(result.neighbours) == 10
    assert not any("classes" in sent.path for sent in shop.tap.sent)


@pytest.mark.parametrize("k", [0, -1])
def test_k_below_1(shop: Shop, k: int) -> None:
    """K must be 1 or more; nothing is sent otherwise."""
    with pytest.raises(InvalidRequest, match=f"k={k} must be 1 or more"):
        query(shop, k)
    assert not shop.tap.sent


@pytest.mark.parametrize("content", [b"", b"words", None])
def test_an_unreadable_query(shop: Shop, content: bytes | None) -> None:
    """What is no picture is named with the reason before anything is sent."""
    path = shop.root / "query.jpg"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ImageError) as caught:
        shop.search().query(path)
    assert caught.value.source == str(path)
    assert caught.value.reason
    assert not shop.tap.sent


def as_file(path: Path) -> object:
    """An open file."""
    return io.BytesIO(path.read_bytes())


@pytest.mark.parametrize(
    "kind", [Path, str, Path.read_bytes, Image.open, as_file, lambda path: np.array(Image.open(path))]
)
def test_every_kind_of_picture(shop: Shop, kind: Callable[[Path], object]) -> None:
    """A path, its text, bytes, a PIL image, an open file and an array find the same; a file can be read only once."""
    result = shop.search().query(kind(shop.catalogue / "bed/02.png"), 1)  # type: ignore[arg-type]
    assert result.neighbours[0].uri == "bed/02.png"
    assert result.neighbours[0].distance == 0.0
    assert result.query


def test_the_query_is_named(shop: Shop) -> None:
    """The result says what was asked for."""
    assert query(shop).query == str(shop.catalogue / "lamp/03.png")


@pytest.mark.parametrize("fresh", [True, False])
def test_a_restarted_server_is_told_its_services_again(shop: Shop, fresh: bool) -> None:
    """Services are gone after a restart, the index is not: the next query creates them and answers as before."""
    search = shop.search()
    before = search.query(shop.catalogue / "lamp/03.png")
    shop.tap.restart()
    after = (shop.search() if fresh else search).query(shop.catalogue / "lamp/03.png")
    assert untimed(after) == untimed(before)
    assert {service.name[:-7] for service in search.client.info().services} == {"shop-classes", "shop-similar"}


def test_one_service_was_deleted(shop: Shop) -> None:
    """Where only one of the two is gone, it is created again and the other kept."""
    search = shop.search()
    before = search.query(shop.catalogue / "lamp/03.png")
    for name in (shop.service("shop-classes"), shop.service()):
        shop.client().delete_service(name)
        shop.tap.sent.clear()
        assert untimed(search.query(shop.catalogue / "lamp/03.png")) == untimed(before)
        assert shop.tap.creations == [name]


def test_a_service_that_stays_away(shop: Shop) -> None:
    """A server that loses the services again at once is not asked for ever."""
    search = shop.search()
    search.query(shop.catalogue / "lamp/03.png")
    shop.tap.faults.append(lambda sent, _: refusal(404, 1002) if sent.path == "/predict" else None)
    with pytest.raises(ServiceNotFound):
        search.query(shop.catalogue / "lamp/03.png")
    assert len(shop.tap.matching("POST", "/predict")) < 20


def lose(_: Callable[[], Reply]) -> Reply:
    """No answer."""
    raise ConnectionLost("lost", method="POST", path="/predict")


FAULTS: dict[str, Callable[[Callable[[], Reply]], Reply]] = {
    "lost": lose,
    "503": lambda _: refusal(503),
    "502 in HTML": lambda _: Reply(502, b"<html>Bad Gateway</html>"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_query_survives_one_fault(shop: Shop, fault: str) -> None:
    """A query changes nothing, so a lost answer or a passing fault is tried again."""
    shop.tap.faults.append(once(lambda sent: bool(sent.output.get("search")), FAULTS[fault]))
    assert query(shop, 1).neighbours[0].uri == "lamp/03.png"


def test_a_query_that_the_server_cannot_read(shop: Shop) -> None:
    """The server's own words come out."""
    with shop.search() as search:
        search.query(shop.catalogue / "lamp/03.png")
        shop.tap.faults.append(
            lambda sent, _: refusal(400, 1005, "could not read") if sent.path == "/predict" else None
        )
        with pytest.raises(BadInput, match="could not read"):
            search.query(shop.catalogue / "lamp/03.png")


def test_a_fault_that_stays(shop: Shop) -> None:
    """An error of the server comes out after a bounded number of tries."""
    shop.tap.faults.append(lambda sent, _: refusal(503) if sent.output.get("search") else None)
    with pytest.raises(ApiError, match="503"):
        query(shop)
    assert len(searches(shop)) == 3


def test_nothing_indexed(tmp_path: Path) -> None:
    """A search before any indexing says what to do; indexing after it, in the same object, works."""
    shop = Shop(tmp_path)
    shop.add("lamp/a.png", "lamp/b.png")
    with shop.search() as search:
        for category in (None, "lamp"):
            with pytest.raises(ConfigError, match="run `ddsim index`"):
                search.query(shop.catalogue / "lamp/a.png", category=category)
        assert not shop.tap.sent
        search.index()
        assert len(search.query(shop.catalogue / "lamp/a.png").neighbours) == 2


def test_a_conflict_comes_out(shop: Shop) -> None:
    """A service of the same name with other settings is not searched as if it were ours."""
    query(shop)
    name = shop.service()
    shop.tap.restart()
    other = shop.settings.similarity_spec().model_copy(update={"name": name, "mean": (1.0, 1.0, 1.0)})
    shop.client().create_service(other)
    shop.tap.sent.clear()
    with pytest.raises(ServiceConflict, match="mean"):
        query(shop)
    assert not searches(shop)


def test_another_folder(tmp_path: Path) -> None:
    """Another folder than the configuration's can be indexed instead; a missing one is an error."""
    shop = Shop(tmp_path)
    shop.add("lamp/a.png")
    other = tmp_path / "other" / "cat"
    other.mkdir(parents=True)
    picture(99).save(other / "x.png")
    with shop.search() as search:
        with pytest.raises(ConfigError, match="no such folder"):
            search.index(tmp_path / "nowhere")
        assert search.index(str(tmp_path / "other")).indexed == 1
        assert [neighbour.uri for neighbour in search.query(other / "x.png").neighbours] == ["cat/x.png"]


def test_searches_that_make_the_service_at_once_wait_for_each_other(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As with embedded servers of several processes, of which each has to be told the service."""
    asked = turn_asked_for(monkeypatch)
    monkeypatch.setattr("ddsim.catalogue.locks._PROBE_S", 0)
    with shop.search() as search, ThreadPoolExecutor(1) as pool:
        with search.collection.manifest.writing(brief=True):
            found = pool.submit(search.query, shop.catalogue / "bed/00.png", 1)
            assert asked.wait(20)
        assert found.result(20).neighbours[0].uri == "bed/00.png"


def test_a_run_that_fails_leaves_the_catalogue_that_is_searched(shop: Shop, tmp_path: Path) -> None:
    """A folder that is misspelt or empty is an error, and what was searched before is searched still."""
    (tmp_path / "empty").mkdir()
    with shop.search() as search:
        before = search.catalogue
        for wrong in ("nowhere", tmp_path / "empty"):
            with pytest.raises(ConfigError, match=str(wrong)):
                search.index(wrong)
        assert search.catalogue == before
        assert search.query(shop.catalogue / "bed/00.png").neighbours


def test_a_catalogue_is_text_or_a_path(shop: Shop) -> None:
    """Anything else is refused with a sentence, and so is what is no settings."""
    with ImageSearch(shop.settings, str(shop.catalogue), client=shop.client()) as search:
        assert search.catalogue == shop.catalogue
        with pytest.raises(InvalidRequest, match="not by IndexOptions"):
            search.index(IndexOptions(rebuild=True))  # type: ignore[arg-type]
    with pytest.raises(InvalidRequest, match=r"not by 5"):
        ImageSearch(shop.settings, 5)  # type: ignore[arg-type]
    with pytest.raises(InvalidRequest, match=r"ddsim.load\(FILE\) gives, not 'shop.yaml'; ImageSearch.from_config"):
        ImageSearch("shop.yaml")  # type: ignore[arg-type]


def test_from_config_and_closing(shop: Shop) -> None:
    """A search can be made of a configuration's path alone; leaving it closes the client."""
    with ImageSearch.from_config(str(shop.config)) as search:
        assert search.query(shop.catalogue / "bed/00.png", 1).neighbours[0].uri == "bed/00.png"
    with shop.search():
        pass
    assert shop.tap.closed


def test_vectors_at_home(tmp_path: Path) -> None:
    """Where ddsim keeps the vectors, the same is found, exactly and by category, and the server only computes."""
    shop = Shop(tmp_path, {"index": {"backend": "local"}})
    shop.add(*(f"lamp/{number:02d}.png" for number in range(6)), "bed/00.png", "bed/01.png")
    with shop.search() as search:
        search.index()
    for category in (None, "bed"):
        result = query(shop, 3, category)
        assert [neighbour.uri for neighbour in result.neighbours] == by_hand(shop, "lamp/03.png", category)[:3]
    assert result.labels
    assert not searches(shop)
    assert not shop.tap.index_calls


def test_many_pictures_may_come_from_anywhere(shop: Shop) -> None:
    """A generator will do; one path is not many pictures."""
    shop.add("lamp/a.png", "bed/b.png")
    with shop.search() as search:
        search.index()
        pictures = sorted(shop.catalogue.rglob("*.png"))[:2]
        assert [one.query for one in search.query_many(path for path in pictures)] == list(map(str, pictures))
        assert len(search.query_many(np.array(list(map(str, pictures))))) == len(search.query_many(np.array(pictures)))
        photo = Image.open(pictures[0])
        for one in ("photo.jpg", pictures[0], photo, np.asarray(photo), b"photo", None):
            with pytest.raises(InvalidRequest, match="give a list of pictures, even for one"):
                search.query_many(one)


def test_a_folder_is_where_it_was_when_it_was_named(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """The current folder may be another one by the time of a run."""
    shop.add("lamp/a.png")
    monkeypatch.chdir(shop.catalogue.parent)
    with ImageSearch(shop.settings, shop.catalogue.name, client=shop.client()) as search:
        monkeypatch.chdir("/")
        assert search.index().indexed
        assert search.catalogue == shop.catalogue


def test_an_empty_name_is_no_folder(shop: Shop) -> None:
    """A path of no letters would be the current folder."""
    with shop.search() as search:
        for folder in ("", " "):
            with pytest.raises(InvalidRequest, match="an empty text"):
                search.index(folder)
