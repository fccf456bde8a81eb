"""A database that does not look at every vector: when it begins to, what it finds, and that no list is short."""

from __future__ import annotations

import secrets
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from milvuses import TOKEN
from shop import Shop, picture
from test_milvus_shared import index, indexing, opened, searching  # noqa: F401  index and machines are fixtures

from ddsim import IndexOptions
from ddsim.catalogue import ItemState, Row
from ddsim.config import IndexSettings
from ddsim.deepdetect.results import Vectors
from ddsim.doctor.catalogue import check_index
from ddsim.doctor.checks import attempt
from ddsim.vectors import Patience, milvuskeeping
from ddsim.vectors.exact import Metric
from ddsim.vectors.milvuscalls import Calls, Kind
from ddsim.vectors.milvuskeeping import METRICS
from ddsim.vectors.milvusrecall import measure
from ddsim.vectors.milvussearch import Searching

pytestmark = [pytest.mark.usefixtures("loopback"), pytest.mark.long]

DIMENSION = 16
SIZES = {"few": 50, "some": 1500, "most": 4450}


def kind_of(shop: Shop) -> Kind:
    """The kind of the index that answers."""
    with shop.search() as search, Calls(shop.settings.index) as database:
        found = database.index_of(search.collection.manifest.get_meta("collection"))
    assert found is not None
    return found[1]


def test_a_grown_catalogue_gets_another_index(
    indexing: Shop,  # noqa: F811
    searching: Shop,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """From so many items on it is HNSW; searches within a category are whole before, meanwhile and after."""
    monkeypatch.setattr(milvuskeeping, "MANY", 12)
    with indexing.search() as search:
        assert search.index().approximate is None
    assert kind_of(indexing) == "FLAT"
    over, lists = threading.Event(), []

    def look() -> None:
        with searching.search() as search:
            while not over.is_set():
                lists.append([one.uri for one in search.query(picture(0), 4, category="lamp").neighbours])

    looking = threading.Thread(target=look)
    looking.start()
    try:
        indexing.add(*(f"bed/more {number}.png" for number in range(8)))
        with indexing.search() as search:
            report = search.index()
    finally:
        over.set()
        looking.join()
    assert kind_of(indexing) == "HNSW"
    with searching.search() as search:
        lists.append([one.uri for one in search.query(picture(0), 4, category="lamp").neighbours])
        assert len(search.query(picture(0), 30, route=False).neighbours) == 15
    assert len(lists) > 2
    assert {tuple(sorted(one)) for one in lists} == {tuple(f"lamp/{number}.png" for number in range(4))}
    assert report.approximate is not None
    assert (report.approximate["index"], report.approximate["rows"], report.approximate["recall"]) == ("HNSW", 15, 1.0)
    told = attempt("indexed", lambda note: check_index(indexing.settings, note))
    assert "searches look by the database's HNSW of 15 vectors and find 100.0%" in told[-1].message
    for path in (indexing.catalogue / "bed").glob("more *"):
        path.unlink()
    with indexing.search() as search:
        search.index(options=IndexOptions(allow_vanished=True))
    assert kind_of(indexing) == "HNSW", "one that was made for many serves few as well"


@dataclass
class Listed:
    """Stands for a manifest of these categories: row n has the number n + 1."""

    names: list[str]

    def categories(self) -> dict[str, int]:
        """How many of each."""
        return {name: self.names.count(name) for name in set(self.names)}

    def outlast_rebuild(self, work: Callable[[], Any], doubtful: Callable[[Any], bool]) -> Any:
        """Nothing is rebuilt."""
        return work()

    def resolve(self, vids: Iterable[int]) -> dict[int, Row]:
        """All are valid."""
        return {
            vid: Row(str(vid), self.names[vid - 1], 0, 0, None, ItemState.INDEXED, None, 0, 0.0, vid) for vid in vids
        }


@dataclass
class Many:
    """A collection with an HNSW over some thousand vectors in three categories."""

    calls: Calls
    name: str
    metric: Metric
    rows: Vectors
    names: list[str]
    queries: Vectors

    def nearest(self, query: Vectors, category: str) -> set[int]:
        """The ten nearest of a category, compared one by one."""
        places = np.flatnonzero(np.array(self.names) == category)
        rows = self.rows[places]
        if self.metric == "l2":
            far = ((rows - query) ** 2).sum(axis=1)
        else:
            far = -(rows @ query) / np.linalg.norm(rows, axis=1)
        return {int(place) + 1 for place in places[np.argsort(far)[:10]]}


@pytest.fixture(scope="module", params=["l2", "cosine"])
def many(request: pytest.FixtureRequest, milvus_url: str) -> Iterator[Many]:
    """Each category lies elsewhere; queries are of all of them."""
    from pytest_socket import enable_socket

    enable_socket()
    dice = np.random.default_rng(3)
    rows, queries, names = [], [], []
    for category, size in SIZES.items():
        centres = dice.normal(size=DIMENSION) + dice.normal(size=(10, DIMENSION))
        for kept, count in ((rows, size), (queries, 10)):
            noise = 0.4 * dice.normal(size=(count, DIMENSION))
            kept.append((centres[dice.integers(0, 10, count)] + noise).astype(np.float32))
        names += [category] * size
    vectors = np.concatenate(rows)
    settings = IndexSettings(backend="milvus", url=milvus_url, token=TOKEN)
    with closing(Calls(settings)) as calls:
        name = f"many_{secrets.token_hex(6)}"
        calls.create_items(name, "a test's", DIMENSION, METRICS[request.param], "HNSW")
        facts = [
            {"vid": place + 1, "uri": str(place), "category": one, "sha256": "", "generation": 1}
            for place, one in enumerate(names)
        ]
        for start in range(0, len(facts), 1000):
            part = slice(start, start + 1000)
            calls.add(
                name, [one | {"vector": row.tolist()} for one, row in zip(facts[part], vectors[part], strict=True)]
            )
        calls.finish_index(name)
        yield Many(calls, name, request.param, vectors, names, np.concatenate(queries))
        calls.drop(name)


def test_no_list_is_short_and_nearly_all_of_the_nearest_are_found(many: Many) -> None:
    """Within each category, wherever the query comes from, and also where a whole category is asked for."""
    keeping: Any = SimpleNamespace(known=True, collection=many.name)
    records: Any = Listed(many.names)
    search = Searching(many.calls, keeping, records, records, many.metric, Patience())
    for category, size in SIZES.items():
        shares = []
        for hits, query in zip(search.found(many.queries, 10, [category]), many.queries, strict=True):
            assert len(hits.found) == 10
            shares.append(len({one.vid for one in hits.found} & many.nearest(query, category)) / 10)
        assert np.mean(shares) >= 0.99
        for hits in search.found(many.queries[:4], size + 5, [category]):
            assert len(hits.found) == size
            assert [one.distance for one in hits.found] == sorted(one.distance for one in hits.found)


def test_what_is_measured_is_so(many: Many, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nearly all are found; a search that passes by every second row is found out."""
    asked = list(range(1, len(many.names), 40))
    how = METRICS[many.metric], "HNSW"
    good = measure(many.calls, many.name, how, asked)
    assert (good.rows, good.index) == (sum(SIZES.values()), "HNSW")
    assert good.recall >= 0.99
    nearest = Calls.nearest

    def careless(self: Calls, name: str, queries: Vectors, limit: int, *more: Any) -> list[list[dict[str, Any]]]:
        return [hits[::2] for hits in nearest(self, name, queries, 2 * limit, *more)]

    monkeypatch.setattr(Calls, "nearest", careless)
    assert 0.4 <= measure(many.calls, many.name, how, asked).recall <= 0.6
