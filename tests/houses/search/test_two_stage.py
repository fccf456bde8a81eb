"""Search in two stages: what a photo shows decides where its neighbours are looked for, and no list is ever short."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from itertools import combinations, pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from homes import HOMES, Home
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image
from scripted import COLOURS, always, colour_shop, coloured, exchanges, fill, speak, truly, uris_of
from shop import Shop, plain
from stock import index

import ddsim.search.collection
import ddsim.vectors.valid
from ddsim import ConfigError, InvalidRequest, SearchResult, Timings
from ddsim.catalogue.manifest import ItemState, Row
from ddsim.pictures.encoding import describe
from ddsim.routing.calibration import Learned
from ddsim.routing.categories import combine
from ddsim.vectors import Found, Hits, Select
from ddsim.vectors.valid import Ranking, search_valid

SIZES = {"bed": 18, "chair": 16, "lamp": 20, "sofa": 17}
TOTAL = sum(SIZES.values())
TWO = ["server", "local"]


@dataclass
class World:
    """An indexed shop that nobody changes, and what a run said of it."""

    shop: Shop
    learned: Learned


@pytest.fixture(scope="module", params=TWO)
def world(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> World:
    """Seventy-one pictures in four categories, in either home; the service knew them all when they were indexed."""
    shop = colour_shop(tmp_path_factory.mktemp("main"), request.param)
    fill(shop, SIZES)
    speak(shop, truly(shop, 0.7))
    learned = index(shop).learned
    assert learned is not None
    return World(shop, learned)


@pytest.fixture
def shop(world: World) -> Iterator[Shop]:
    """The shop, with its own configuration and nothing sent yet; whatever a test does to it is undone."""
    world.shop.tap.restart()
    speak(world.shop, always(lamp=0.6, bed=0.2))
    world.shop.tap.sent.clear()
    yield world.shop
    world.shop.configure()


@pytest.fixture
def knowing(monkeypatch: pytest.MonkeyPatch, world: World) -> Callable[..., Learned]:
    """Lets searches know something else than what was learned."""

    def know(**changes: Any) -> Learned:
        changed = replace(world.learned, **changes)
        monkeypatch.setattr(ddsim.search.collection.Collection, "learned", lambda _: changed)
        return changed

    return know


def query(shop: Shop, shows: str = "lamp", k: int = 5, **how: Any) -> SearchResult:
    """Search for a picture that shows a category and is not in the catalogue."""
    with shop.search() as search:
        return search.query(coloured(shows, 1000), k, **how)


def shares(result: SearchResult) -> dict[str, float]:
    """Category -> probability."""
    return {one.name: one.probability for one in result.categories}


def untimed(result: SearchResult) -> SearchResult:
    """The same, as if it had taken no time."""
    return replace(result, timings=Timings(0, 0, 0, 0))


# Who says what it shows


@pytest.mark.parametrize("category", COLOURS)
def test_by_the_neighbours(shop: Shop, category: str) -> None:
    """The vote of the nearest finds the category of a new picture; only that is searched, and it says why."""
    shop.configure(routing={"by": "neighbours"})
    result = query(shop, category)
    assert result.searched == (category,)
    first = result.categories[0]
    assert (first.name, first.searched) == (category, True)
    assert first.why.startswith(f"the most probable: {category} has {first.probability:.1%}, ")
    assert {one.category for one in result.neighbours} == {category}
    assert len(result.neighbours) == 5
    assert result.labels == ()
    assert result.nothing_similar is None
    assert not any(one.searched for one in result.categories[1:])


def test_by_the_service(shop: Shop) -> None:
    """What the labels say is searched, whatever is near: its nearest items, in order, exactly."""
    shop.configure(routing={"by": "service"})
    speak(shop, always(bed=0.8, lamp=0.01))
    result = query(shop, "lamp")
    assert result.searched == ("bed",)
    assert shares(result) == {"bed": 0.8, "lamp": 0.01}
    assert [label.probability for label in result.labels] == [0.8, 0.01]
    forced = query(shop, "lamp", category="bed")
    assert result.neighbours == forced.neighbours
    assert len(result.neighbours) == 5


def test_both_together(shop: Shop, knowing: Callable[..., Learned]) -> None:
    """Probabilities are the mixture of labels and vote with the weight that was learned."""
    knowing(weight=0.4)
    shop.configure(routing={"by": "neighbours"})
    vote = shares(query(shop, "sofa"))
    shop.configure()
    said = {"bed": 0.7, "sofa": 0.2}
    speak(shop, always(**said))
    result = query(shop, "sofa")
    assert shares(result) == pytest.approx(combine(said, vote, 0.4))
    assert [one.probability for one in result.categories] == sorted(shares(result).values(), reverse=True)
    # Both are needed, as neither side is sure of the other's.
    assert set(result.searched) == {"bed", "sofa"}


@pytest.mark.parametrize(("weight", "searched"), [(0.0, ("sofa",)), (1.0, ("bed",)), (None, ("bed", "sofa"))])
def test_the_weight_decides(
    shop: Shop, knowing: Callable[..., Learned], weight: float | None, searched: tuple[str, ...]
) -> None:
    """With no weight only the neighbours are believed, with all of it only the service; unknown, both are."""
    knowing(weight=weight)
    speak(shop, always(bed=1.0))
    assert set(query(shop, "sofa").searched) == set(searched)


def test_a_wrong_label_hides_nothing(shop: Shop) -> None:
    """Where the service is sure of a wrong category, the right one is searched as well, and holds the nearest."""
    speak(shop, always(bed=0.55))
    result = query(shop, "chair")
    assert "chair" in result.searched
    assert result.neighbours[0].category == "chair"


def test_by_nobody(shop: Shop) -> None:
    """With `none` everything is searched, and the result still says what the picture may show."""
    shop.configure(routing={"by": "none"})
    result = query(shop, k=TOTAL)
    assert result.searched == ()
    assert len(result.neighbours) == TOTAL
    assert shares(result)["lamp"] > 0.5
    assert {one.why for one in result.categories} == {"all are searched"}
    assert all(one.searched for one in result.categories)
    assert result.labels == ()


def test_without_routing(shop: Shop) -> None:
    """`route=False` searches everything; what the picture may show is the same as with it."""
    routed, all_ = query(shop, k=TOTAL), query(shop, k=TOTAL, route=False)
    assert all_.searched == ()
    assert len(all_.neighbours) == TOTAL
    assert shares(all_) == shares(routed)
    assert all_.labels == routed.labels
    assert {one.category for one in all_.neighbours} == set(SIZES)
    assert set(routed.searched) < set(SIZES)


def test_before_anything_was_learned(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between two runs, scores are similarities and both sides count the same; a search works all the same."""
    monkeypatch.setattr(ddsim.search.collection.Collection, "learned", lambda _: None)
    speak(shop, always(sofa=0.4))
    result = query(shop, "sofa")
    assert result.searched[0] == "sofa"
    assert result.nothing_similar is None
    assert all(0 < one.score < 1 for one in result.neighbours)


# How much is searched


@pytest.mark.parametrize(
    ("said", "searched"),
    [
        ({"bed": 0.95, "lamp": 0.05}, ["bed"]),
        ({"bed": 0.6, "lamp": 0.35, "sofa": 0.05}, ["bed", "lamp"]),
        ({"bed": 0.25, "chair": 0.25, "lamp": 0.25, "sofa": 0.25}, ["bed", "chair", "lamp"]),
        ({"sofa": 0.03, "chair": 0.01}, ["sofa", "chair"]),
        ({"piano": 0.9, "sofa": 0.05}, ["sofa"]),
    ],
)
def test_share_and_limit(shop: Shop, said: Mapping[str, float], searched: list[str]) -> None:
    """Categories up to nine tenths of the probability are searched, at most three, and those that there are."""
    shop.configure(routing={"by": "service"})
    speak(shop, always(**said))
    result = query(shop, k=90)
    assert list(result.searched) == searched
    assert {one.category for one in result.neighbours} == set(searched)
    assert len(result.neighbours) == sum(SIZES[name] for name in searched)


def test_share_and_limit_are_settings(shop: Shop) -> None:
    """Another share and another limit in the configuration."""
    said = {"bed": 0.4, "chair": 0.3, "lamp": 0.2, "sofa": 0.1}
    speak(shop, always(**said))
    for routing, count in (({"share": 0.3}, 1), ({"share": 1.0}, 3), ({"share": 1.0, "most": 4}, 4), ({"most": 2}, 2)):
        shop.configure(routing={"by": "service", **routing})
        assert query(shop).searched == tuple(said)[:count]


def test_voters_are_a_setting(shop: Shop) -> None:
    """With one voter its category has all the votes."""
    shop.configure(routing={"by": "neighbours", "voters": 1})
    assert list(shares(query(shop))) == ["lamp"]
    shop.configure(routing={"by": "neighbours", "voters": 71})
    assert shares(query(shop)).keys() <= set(SIZES)


@pytest.mark.parametrize("said", [{}, {"piano": 0.9}])
def test_labels_of_nothing_in_the_catalogue(shop: Shop, said: Mapping[str, float]) -> None:
    """A photo of something else: by the service alone there is nothing to go by, and everything is searched."""
    shop.configure(routing={"by": "service"}, categories={"n00000002": "lamp", "piano": "piano"})
    speak(shop, always(**said))
    result = query(shop, k=TOTAL)
    assert result.searched == ()
    assert len(result.neighbours) == TOTAL
    assert [(one.name, one.searched, one.why) for one in result.categories] == [
        (name, False, "no indexed picture is of this category") for name in said
    ]


# What is asked for


def test_one_category(shop: Shop) -> None:
    """It alone is searched, and the result says what the picture shows all the same."""
    result = query(shop, "lamp", k=50, category="sofa")
    assert result.searched == ("sofa",)
    assert len(result.neighbours) == SIZES["sofa"]
    told = {one.name: (one.searched, one.why) for one in result.categories}
    assert told["sofa"] == (True, "asked for")
    assert told["lamp"] == (False, "another category was asked for")
    assert result.categories[0].name == "lamp"


@pytest.mark.parametrize("kind", [list, tuple, set, frozenset])
def test_several_categories(shop: Shop, kind: Callable[[list[str]], Collection[str]]) -> None:
    """Any collection of them; one that is named twice counts once."""
    result = query(shop, k=50, category=kind(["sofa", "bed", "sofa"]))
    assert sorted(result.searched) == ["bed", "sofa"]
    assert {one.category for one in result.neighbours} == {"bed", "sofa"}
    assert len(result.neighbours) == SIZES["sofa"] + SIZES["bed"]


@pytest.mark.parametrize("category", ["sof", "", "Sofa", ["sofa", "sof"], ["nothing"]])
def test_an_unknown_category(shop: Shop, category: Any) -> None:
    """One that is not indexed is refused with those that are, before anything is sent."""
    with pytest.raises(InvalidRequest, match="is indexed; there are bed, chair, lamp, sofa"):
        query(shop, category=category)
    assert not shop.tap.sent


@pytest.mark.parametrize("category", [5, b"sofa", ["sofa", None]])
def test_a_category_that_is_no_text(shop: Shop, category: Any) -> None:
    """Categories are named by text; anything else is refused before anything is sent."""
    with pytest.raises(InvalidRequest, match="named by text"):
        query(shop, category=category)
    assert not shop.tap.sent


@pytest.mark.parametrize("category", [[], (), set()])
def test_no_category_at_all(shop: Shop, category: Collection[str]) -> None:
    """An empty choice is a mistake, not a wish for everything."""
    with pytest.raises(InvalidRequest, match="category is an empty list"):
        query(shop, category=category)
    assert not shop.tap.sent


@pytest.mark.parametrize("home", TWO)
def test_nothing_indexed(tmp_path: Path, home: str) -> None:
    """Before the first run nobody is asked anything."""
    empty = colour_shop(tmp_path, home)
    fill(empty, {"bed": 2})
    with empty.search() as search, pytest.raises(ConfigError, match="run `ddsim index`"):
        search.query(coloured("bed", 1), category="bed")
    assert not empty.tap.sent


# Nothing similar


def test_too_far_away(shop: Shop, world: World) -> None:
    """A picture that is like none of them gets neighbours, and a sentence with both distances."""
    assert world.learned.reach is not None
    with shop.search() as search:
        result = search.query(plain("white", (32, 32)), 3, route=False)
    assert len(result.neighbours) == 3
    assert result.neighbours[0].distance > world.learned.reach
    assert result.nothing_similar is not None
    assert f"{result.neighbours[0].distance:.4g}" in result.nothing_similar
    assert f"{world.learned.reach:.4g}" in result.nothing_similar
    assert "99 of 100" in result.nothing_similar


def test_the_catalogues_own_are_similar(shop: Shop, world: World) -> None:
    """Of the catalogue's pictures none is told that nothing is like it: each finds itself."""
    paths = sorted(shop.catalogue.rglob("*.png"))
    with shop.search() as search:
        results = search.query_many(paths, 1)
    for path, result in zip(paths, results, strict=True):
        assert result.neighbours[0].uri == path.relative_to(shop.catalogue).as_posix()
        assert result.nothing_similar is None
    assert world.learned.floor is not None


def test_no_category_is_probable(shop: Shop, knowing: Callable[..., Learned]) -> None:
    """Where all categories have less than the floor it says so, however near the nearest is; at it it does not."""
    speak(shop, always(lamp=0.02))
    shop.configure(routing={"by": "neighbours"})
    believed = query(shop).categories[0].probability
    knowing(reach=None, floor=believed)
    assert query(shop).nothing_similar is None
    knowing(reach=None, floor=min(1.0, believed + 0.01))
    said = query(shop).nothing_similar
    assert said is not None
    numbers = re.fullmatch(r"no category is more probable than ([\d.]+)%; 99 of 100 .+ with ([\d.]+)% or more", said)
    assert numbers is not None
    assert float(numbers[1]) < float(numbers[2])
    assert len(query(shop).neighbours) == 5


def test_a_sure_service_is_believed_too(shop: Shop, knowing: Callable[..., Learned]) -> None:
    """Where the vote is below the floor and the service is above, something is similar."""
    shop.configure(routing={"by": "neighbours"})
    vote = query(shop).categories[0].probability
    assert vote < 1
    knowing(reach=None, floor=(1 + vote) / 2)
    shop.configure(routing={"by": "service"})
    speak(shop, always(lamp=1.0))
    assert query(shop).nothing_similar is None
    speak(shop, always(lamp=0.5))
    assert query(shop).nothing_similar is not None


def test_the_same_picture_is_similar_whatever_it_shows(shop: Shop, knowing: Callable[..., Learned]) -> None:
    """Where the photo itself is in the catalogue, no threshold says that nothing is similar."""
    knowing(reach=0.0, floor=1.0)
    with shop.search() as search:
        found = search.query(shop.catalogue / "lamp/003.png")
        assert found.neighbours[0].uri == "lamp/003.png"
        assert found.nothing_similar is None
    assert query(shop).nothing_similar is not None


def test_without_thresholds_nothing_is_ruled_out(shop: Shop, knowing: Callable[..., Learned]) -> None:
    """A catalogue that is too small to know calls nothing dissimilar."""
    knowing(reach=None, floor=None)
    with shop.search() as search:
        assert search.query(plain("white", (32, 32)), route=False).nothing_similar is None


# What it costs


@pytest.mark.parametrize("how", [{}, {"route": False}, {"category": "sofa"}, {"category": ["bed", "chair"]}, {"k": 90}])
def test_one_call_with_the_neighbours_and_two_with_the_service(
    shop: Shop, knowing: Callable[..., Learned], how: dict[str, Any]
) -> None:
    """Every query costs one forward pass of the similarity service, and one of the classification service if asked."""
    knowing(weight=0.5)
    search = shop.search()
    search.query(coloured("bed", 1))
    shop.tap.sent.clear()
    search.query(coloured("lamp", 2), **how)
    assert sorted(exchanges(shop)) == ["POST /predict shop-classes", "POST /predict shop-similar"]
    for by in ("neighbours", "none"):
        shop.configure(routing={"by": by})
        search = shop.search()
        search.query(coloured("bed", 1))
        shop.tap.sent.clear()
        search.query(coloured("lamp", 2), **how)
        assert list(exchanges(shop)) == ["POST /predict shop-similar"]


def test_a_service_without_weight_is_not_asked(shop: Shop, knowing: Callable[..., Learned]) -> None:
    """Where the labels would change nothing they are not fetched, unless they are wanted; what is found is the same."""
    knowing(weight=0.0)
    search = shop.search()
    search.query(coloured("bed", 1), labels=True)
    shop.tap.sent.clear()
    silent = search.query(coloured("lamp", 2))
    assert list(exchanges(shop)) == ["POST /predict shop-similar"]
    assert silent.labels == ()
    shop.tap.sent.clear()
    told = search.query(coloured("lamp", 2), labels=True)
    assert sorted(exchanges(shop)) == ["POST /predict shop-classes", "POST /predict shop-similar"]
    assert told.labels
    assert (silent.searched, silent.neighbours) == (told.searched, told.neighbours)
    assert {name: share for name, share in shares(told).items() if share} == shares(silent)


def test_labels_can_be_had_without_their_counting(shop: Shop) -> None:
    """Where neighbours decide alone, the labels are there for who wants to show them."""
    shop.configure(routing={"by": "neighbours"})
    silent, told = query(shop, "lamp"), query(shop, "lamp", labels=True)
    assert silent.labels == ()
    assert told.labels
    assert (silent.searched, silent.neighbours, shares(silent)) == (told.searched, told.neighbours, shares(told))


def test_many_queries_cost_as_many_calls_as_batches(shop: Shop, knowing: Callable[..., Learned]) -> None:
    """Forty pictures go in three batches of sixteen, to each service."""
    knowing(weight=0.5)
    search = shop.search()
    search.query(coloured("bed", 1))
    shop.tap.sent.clear()
    assert len(search.query_many([coloured("bed", seed) for seed in range(40)])) == 40
    assert sorted(exchanges(shop)) == ["POST /predict shop-classes"] * 3 + ["POST /predict shop-similar"] * 3


def test_no_pictures_cost_nothing(shop: Shop) -> None:
    """Nobody is asked about nothing."""
    with shop.search() as search:
        assert search.query_many([]) == []
    assert not shop.tap.sent


@pytest.mark.parametrize("how", [{}, {"route": False}, {"category": "sofa"}, {"k": 90}])
def test_many_are_as_one_by_one(shop: Shop, how: dict[str, Any]) -> None:
    """Together or alone, each picture gets the same result, in the order in which they were given."""
    speak(shop, lambda data: {"bed": (len(data) % 7) / 10, "sofa": (len(data) % 5) / 20, "lamp": 0.1})
    pictures = [coloured(category, 500 + number) for number, category in enumerate([*COLOURS, *COLOURS, "bed"])]
    pictures.append(pictures[0])
    with shop.search() as search:
        together = search.query_many(pictures, **how)
        alone = [search.query(one, **how) for one in pictures]
    assert len({result.searched for result in together}) > 1 or how
    for one, other in zip(together, alone, strict=True):
        assert (one.query, one.searched, one.labels, one.nothing_similar) == (
            other.query,
            other.searched,
            other.labels,
            other.nothing_similar,
        )
        assert uris_of(one.neighbours) == uris_of(other.neighbours)
        assert shares(one) == pytest.approx(shares(other), rel=1e-4)
        distances = [neighbour.distance for neighbour in other.neighbours]
        assert [neighbour.distance for neighbour in one.neighbours] == pytest.approx(distances, rel=1e-4, abs=1e-6)
    assert together[-1].neighbours == together[0].neighbours


@pytest.mark.parametrize("by", ["combined", "neighbours"])
def test_timings_add_up(shop: Shop, by: str) -> None:
    """The parts are never negative and make the whole."""
    shop.configure(routing={"by": by})
    timings = query(shop).timings
    parts = (timings.prepare, timings.classify, timings.search)
    assert min(parts) >= 0
    assert sum(parts) == pytest.approx(timings.total)
    assert timings.search > 0
    assert timings.prepare > 0


def test_a_restarted_server(shop: Shop) -> None:
    """Both services are created again, and the answer is what it was."""
    search = shop.search()
    before = search.query(coloured("sofa", 1000))
    shop.tap.restart()
    assert untimed(search.query(coloured("sofa", 1000))) == untimed(before)
    assert untimed(shop.search().query(coloured("sofa", 1000))) == untimed(before)


def test_a_query_is_named(shop: Shop) -> None:
    """The result tells which picture it is about."""
    image = coloured("sofa", 1000)
    assert query(shop, "sofa").query == describe(image)


# How the valid rows are found, without a server


@dataclass
class Book:
    """Stands for a manifest: valid items by vid."""

    rows: dict[int, Row]

    def resolve(self, vids: Collection[int]) -> dict[int, Row]:
        """Those that are valid."""
        return {vid: self.rows[vid] for vid in vids if vid in self.rows}

    def categories(self) -> dict[str, int]:
        """How many there are of each."""
        names = [row.category for row in self.rows.values()]
        return {name: names.count(name) for name in sorted(set(names))}


@dataclass
class Rows:
    """Stands for an index: rows by distance, valid or not, and how it was asked."""

    book: Book
    ranked: list[list[tuple[int, float]]]
    asked: list[tuple[list[int], int]] = field(default_factory=list)

    def __call__(self, positions: list[int], wide: int) -> list[Ranking]:
        """The nearest rows."""
        self.asked.append((list(positions), wide))
        return [Ranking(np.ones(2, np.float32), self.ranked[position][:wide]) for position in positions]

    def search(self, k: int, among: Any = None) -> list[Hits]:
        """All queries."""
        return search_valid(self, self.book, lambda _: lambda far: 1 / (1 + far), len(self.ranked), k, among)  # type: ignore[arg-type]


def rows_of(categories: Sequence[str | None], orders: Sequence[Sequence[int]]) -> Rows:
    """An index whose rows have these categories, None for rows that are not valid, and its order for each query."""
    rows = {
        vid: Row(f"{name}/{vid}", name, 1, 1, None, ItemState.INDEXED, None, 0, 0.0, vid)
        for vid, name in enumerate(categories, 1)
        if name is not None
    }
    ranked = [[(place + 1, float(rank)) for rank, place in enumerate(order)] for order in orders]
    return Rows(Book(rows), ranked)


def expected(rows: Rows, query_: int, k: int, categories: Collection[str] | None) -> list[int]:
    """The nearest valid vids of these categories."""
    valid = [vid for vid, _ in rows.ranked[query_] if vid in rows.book.rows]
    return [vid for vid in valid if categories is None or rows.book.rows[vid].category in categories][:k]


@st.composite
def indexes(draw: st.DrawFn) -> Rows:
    """Up to 80 rows of four categories or none, in some order for each of up to three queries."""
    categories = draw(st.lists(st.sampled_from([None, None, "a", "b", "c", "d"]), max_size=80))
    orders = draw(st.lists(st.permutations(range(len(categories))), min_size=1, max_size=3))
    return rows_of(categories, orders)


AMONG = st.one_of(st.none(), st.sets(st.sampled_from("abcdx"), min_size=1))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(indexes(), st.integers(1, 30), AMONG, st.sampled_from(["plain", "chosen", "likely"]), st.integers(1, 20))
def test_never_fewer_than_there_are(
    monkeypatch: pytest.MonkeyPatch, rows: Rows, k: int, categories: set[str] | None, how: str, sees: int
) -> None:
    """Whatever the index holds and whoever chooses: the nearest k of the searched categories, once each, in order."""
    monkeypatch.setattr(ddsim.vectors.valid, "_WIDE", 4)
    seen: dict[int, list[int]] = {}

    def choose(position: int, near: Sequence[Found], _: object) -> Collection[str] | None:
        assert position not in seen, "asked twice"
        seen[position] = [one.vid for one in near]
        return categories

    among = {"plain": categories, "chosen": Select(choose, None, sees), "likely": Select(choose, categories, sees)}[how]
    hits = rows.search(k, among)
    for position, one in enumerate(hits):
        assert [found.vid for found in one.found] == expected(rows, position, k, categories)
        assert one.categories == (None if categories is None else frozenset(categories))
        distances = [found.distance for found in one.found]
        assert distances == sorted(distances)
        if how != "plain":
            # Whoever chooses has seen the nearest, as many as wanted where there are as many.
            assert seen[position] == expected(rows, position, len(seen[position]), None)
            assert len(seen[position]) >= len(expected(rows, position, sees, None))
    # Never narrower, never past what is needed.
    widths = [wide for _, wide in rows.asked]
    assert all(one < other for one, other in pairwise(widths))
    assert len(widths) < 2 or widths[-2] <= max(map(len, rows.ranked))


@given(indexes(), st.integers(1, 30))
def test_each_query_has_its_own_categories(rows: Rows, k: int) -> None:
    """What is chosen for one picture does not change what another one gets."""
    wanted = [{"a"}, None, {"b", "c"}]
    hits = rows.search(k, Select(lambda position, *_: wanted[position]))
    for position, one in enumerate(hits):
        assert [found.vid for found in one.found] == expected(rows, position, k, wanted[position])


def test_those_who_have_enough_are_not_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only queries that lack something are asked for wider, fourfold each time."""
    monkeypatch.setattr(ddsim.vectors.valid, "_WIDE", 2)
    rows = rows_of(["a"] * 40 + ["b"], [range(41), range(40, -1, -1)])
    first, second = rows.search(1, Select(lambda *_: {"b"}))
    assert [one.uri for one in first.found + second.found] == ["b/41"] * 2
    assert rows.asked == [([0, 1], 4), ([0], 16), ([0], 64)]


def test_a_rare_category_that_is_likely_is_asked_for_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where it is known what will be searched, the first question is as wide as its share of the index calls for."""
    monkeypatch.setattr(ddsim.vectors.valid, "_WIDE", 2)
    rows = rows_of(["a"] * 390 + ["b"] * 10, [range(400)])
    rows.search(2, "b")
    assert rows.asked[0][1] == 2 * 2 * 40
    rows.asked.clear()
    rows.search(2, ["a", "b"])
    assert rows.asked == [([0], 8)]
    rows.asked.clear()
    rows.search(2, ["x"])
    assert rows.asked[0][1] == 8


def test_a_common_first_question_is_wide(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is 256 rows, four times k where that is more, and no more than 10,000 for the rarest category."""
    rows = rows_of(["a"] * 3, [range(3)])
    for k, wide in ((1, 256), (64, 256), (100, 400)):
        rows.asked.clear()
        rows.search(k)
        assert rows.asked[0][1] == wide
    monkeypatch.setattr(Book, "categories", lambda _: {"a": 1, "z": 10**6})
    rows.asked.clear()
    rows.search(10, "a")
    assert rows.asked[0][1] == 10_000


def test_the_vote_sees_past_rows_that_are_not_valid(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the nearest rows are all of replaced pictures, those behind them are looked at before it is chosen."""
    monkeypatch.setattr(ddsim.vectors.valid, "_WIDE", 4)
    rows = rows_of([None] * 30 + ["a", "b", "a"], [range(33)])
    seen: list[int] = []

    def choose(_: int, near: Sequence[Found], _vector: object) -> list[str]:
        seen.append(len(near))
        return ["b"]

    (hits,) = rows.search(1, Select(choose, None, 3))
    assert seen == [3]
    assert [one.uri for one in hits.found] == ["b/32"]


@pytest.mark.parametrize("k", [0, -1])
def test_k_below_1(k: int) -> None:
    """Nothing is asked."""
    rows = rows_of(["a"], [[0]])
    with pytest.raises(InvalidRequest, match="must be 1 or more"):
        rows.search(k)
    assert not rows.asked


def test_a_row_that_comes_twice_or_nowhere() -> None:
    """A row that the index names twice counts once, and one at no finite distance not at all."""
    rows = rows_of(["a", "b", "a"], [[0, 1, 2]])
    rows.ranked[0] = [(1, 0.0), (1, 0.0), (2, 1.0), (3, float("inf")), (99, 2.0)]
    (hits,) = rows.search(5)
    assert [one.uri for one in hits.found] == ["a/1", "b/2"]


# The promise, on real indexes


@st.composite
def shelves(draw: st.DrawFn) -> tuple[dict[str, int], list[str], list[str]]:
    """How many pictures each category has, and which of them are replaced and removed after the first run."""
    sizes = draw(st.dictionaries(st.sampled_from("abcdef"), st.integers(1, 8), min_size=1, max_size=5))
    uris = [f"{category}/{number}.png" for category, size in sizes.items() for number in range(size)]
    replaced = draw(st.lists(st.sampled_from(uris), unique=True, max_size=6))
    removed = draw(st.lists(st.sampled_from(uris), unique=True, max_size=len(uris) - 1))
    return sizes, replaced, removed


def some_picture(seed: int) -> Image.Image:
    """One of twenty, so that there are twins."""
    patches = np.random.default_rng(seed % 20).integers(0, 256, (2, 2, 3), dtype=np.uint8)
    return Image.fromarray(patches).resize((32, 32), Image.Resampling.NEAREST)


@pytest.mark.parametrize("name", HOMES)
@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(shelf=shelves(), seed=st.integers(0, 1000))
def test_no_list_is_ever_short(
    name: str,
    shelf: tuple[dict[str, int], list[str], list[str]],
    seed: int,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    """Any catalogue, categories, k and home: k items or all that there are, sorted, unique, and of these."""
    monkeypatch.setattr(ddsim.vectors.valid, "_WIDE", 2)
    sizes, replaced, removed = shelf
    home = Home(tmp_path_factory.mktemp("shelf"), name)
    uris = [f"{category}/{number}.png" for category, size in sizes.items() for number in range(size)]
    for number, uri in enumerate(uris):
        home.shop.add_picture(uri, some_picture(seed + number))
    home.index(batch=4)
    for number, uri in enumerate(replaced):
        home.shop.add_picture(uri, some_picture(seed + 7 * number + 1))
    for uri in removed:
        (home.shop.catalogue / uri).unlink()
    home.index(batch=4)
    left = home.uris
    groups = [None, *(set(group) for count in (1, 2) for group in combinations(sizes, count))]
    queries = [some_picture(seed), some_picture(seed + 13)]
    with closing(home.backend()) as backend:
        backend.open(writing=False)
        for number, group in enumerate(groups):
            of_group = [uri for uri in left if group is None or uri[0] in group]
            for k in (1, max(1, len(of_group) - 1), len(of_group) + 3):
                among = Select(lambda *_, group=group: group) if number % 2 else group  # type: ignore[misc]
                for hits in backend.search(queries, k, among):
                    found = uris_of(hits.found)
                    assert len(found) == len(set(found)) == min(k, len(of_group))
                    assert set(found) <= set(of_group)
                    distances = [one.distance for one in hits.found]
                    assert distances == sorted(distances)
    home.close()


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    said=st.dictionaries(st.sampled_from([*SIZES, "piano"]), st.floats(0, 1)),
    by=st.sampled_from(["combined", "service", "neighbours"]),
    seed=st.integers(0, 30),
    k=st.integers(1, 80),
    share=st.floats(0.1, 1),
)
def test_whatever_is_routed_the_list_is_full(
    shop: Shop, said: dict[str, float], by: str, seed: int, k: int, share: float
) -> None:
    """Whatever the services say: k neighbours while the searched categories have k, of these alone, in order."""
    shop.configure(routing={"by": by, "share": share})
    speak(shop, always(**said))
    with shop.search() as search:
        result = search.query(coloured([*COLOURS][seed % 4], 2000 + seed, spread=120), k)
    there = sum(SIZES[name] for name in result.searched or SIZES)
    assert len(result.neighbours) == len(set(uris_of(result.neighbours))) == min(k, there)
    assert {one.category for one in result.neighbours} <= set(result.searched or SIZES)
    distances = [one.distance for one in result.neighbours]
    assert distances == sorted(distances)
    assert [one.rank for one in result.neighbours] == list(range(1, len(distances) + 1))
    scores = [one.score for one in result.neighbours]
    assert scores == sorted(scores, reverse=True)
    assert len(result.searched) <= 3
    assert {one.name for one in result.categories if one.searched} >= set(result.searched)
