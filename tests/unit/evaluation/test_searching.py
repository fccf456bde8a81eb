"""Searches over vectors in memory: distances as the indexes give them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from shop import Shop

from ddsim.errors import ConfigError, InvalidRequest, InvalidResponse
from ddsim.evaluation.searching import Exact, Servers, searcher
from ddsim.vectors import approximate
from ddsim.vectors.space import Space
from ddsim.vectors.table import Table
from ddsim.vectors.transform import Recipe

RNG = np.random.default_rng(1)
ROWS = RNG.normal(size=(50, 8)).astype(np.float32)
QUERIES = RNG.normal(size=(7, 8)).astype(np.float32)


@pytest.mark.parametrize("metric", ["l2", "cosine"])
def test_exact_distances_are_those_of_the_local_index(metric: Any) -> None:
    """The same numbers as the index that ddsim keeps, all of them."""
    index = Table(8, metric)
    index.add(np.arange(50), ROWS)
    found = Exact(ROWS, metric).distances(QUERIES)
    for query, far in zip(QUERIES, found, strict=True):
        expected = dict(index.nearest(query, 50))
        np.testing.assert_allclose(far, [expected[place] for place in range(50)], rtol=1e-4, atol=1e-6)


def test_items_of_the_same_vector_are_equally_far() -> None:
    """To the last digit, large values or small, and an item is at distance 0 from itself."""
    rows = np.repeat(RNG.normal(size=(3, 700)) * 1000, 2000, axis=0).astype(np.float32)
    far = Exact(rows, "l2").distances(rows[::2000])
    assert [len(np.unique(part)) for row in far for part in np.split(row, 3)] == [1] * 9
    assert far[0, 0] == 0


@pytest.mark.parametrize(("count", "dimension", "asked"), [(7, 17, 33), (13, 513, 5), (13, 100, 33)])
def test_rounding_decides_nothing(count: int, dimension: int, asked: int) -> None:
    """Sums of products depend on where in a matrix they stand; the distances of equal items do not."""
    for seed in range(20):
        rng = np.random.default_rng(seed)
        rows = np.repeat(rng.normal(size=(1, dimension)), count, axis=0).astype(np.float32)
        far = Exact(rows, "l2").distances(rng.normal(size=(asked, dimension)).astype(np.float32))
        assert (far == far[:, :1]).all()


def test_vectors_of_zeros() -> None:
    """By angle they are at a right one to all others, and nothing is divided by zero."""
    rows = np.array([[0, 0], [1, 0]], np.float32)
    np.testing.assert_array_equal(Exact(rows, "cosine").distances(rows), [[1, 1], [1, 0]])


def test_a_recipe_is_learned_from_the_items() -> None:
    """Fewer values are searched, and queries go through the same."""
    index = Exact(ROWS, "l2", Recipe("l2", 4, True))
    assert (index.dimension, index.size) == (4, 50 * 4 * 4)
    np.testing.assert_allclose(index.distances(ROWS).diagonal(), 0, atol=1e-6)


@pytest.mark.parametrize("metric", ["l2", "cosine"])
def test_the_nearest_of_one_query(metric: Any) -> None:
    """What is timed finds what the distances say."""
    index = Exact(ROWS, metric)
    for query, far in zip(QUERIES, index.distances(QUERIES), strict=True):
        assert index.nearest(query, 5).tolist() == np.argsort(far)[:5].tolist()
        assert index.nearest(query, 99).tolist() == np.argsort(far).tolist()


@pytest.mark.parametrize("recipe", [Recipe(), Recipe("l2", 5, True)])
@pytest.mark.parametrize("metric", ["l2", "cosine"])
def test_half_precision_is_measured_as_it_is_searched(metric: Any, recipe: Recipe) -> None:
    """Distances are those of the index that keeps vectors so, not those of the vectors themselves; it takes half."""
    space = Space(8, metric, recipe, None, "float16")
    space.add(np.arange(50), ROWS)
    index = Exact(ROWS, metric, recipe, "float16")
    found = index.distances(QUERIES)
    for query, far in zip(space.compared(QUERIES), found, strict=True):
        expected = dict(space.nearest(query, 50))
        np.testing.assert_allclose(far, [expected[place] for place in range(50)], rtol=1e-5, atol=1e-7)
    whole = Exact(ROWS, metric, recipe)
    assert not np.allclose(found, whole.distances(QUERIES), rtol=1e-5, atol=1e-7)
    assert 2 * index.size == whole.size


def test_values_that_half_precision_does_not_hold() -> None:
    """They are refused, as a run refuses them."""
    with pytest.raises(InvalidResponse, match="none beyond 65504"):
        Exact(1e6 * ROWS, "l2", None, "float16")


@pytest.mark.parametrize("metric", ["l2", "cosine"])
def test_many_items_are_searched_in_part_where_the_index_does_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, metric: Any
) -> None:
    """What is found is nearly all of the nearest, at exact distances; a note says how much."""
    monkeypatch.setattr(approximate, "FROM", 1000)
    monkeypatch.setattr(approximate, "_FEW", 50)
    shop = Shop(tmp_path)
    shop.configure(index={"backend": "local", "metric": metric, "approximate": "auto"})
    dice = np.random.default_rng(2)
    rows = (dice.normal(size=(60, 8))[dice.integers(0, 60, 2000)] + 0.3 * dice.normal(size=(2000, 8))).astype(
        np.float32
    )
    index = searcher(shop.settings, rows, 20)
    found, expected = index.distances(rows[:50]), Exact(rows, metric).distances(rows[:50])
    there = ~np.isnan(found)
    assert there.sum(axis=1).tolist() == [20] * 50
    np.testing.assert_allclose(found[there], expected[there], rtol=1e-4, atol=1e-6)
    tenth = np.sort(expected, axis=1)[:, 9:10] * (1 + 1e-4) + 1e-6
    assert (there & (expected <= tenth)).sum() >= 0.9 * 500
    assert "of the ten nearest" in index.notes[0]
    assert len(np.asarray(index.nearest(rows[0], 7))) == 7
    assert index.size > Exact(rows, metric).size
    assert type(searcher(shop.settings, rows[:999], 20)) is Exact
    shop.configure(index={"backend": "local", "metric": metric})
    assert searcher(shop.settings, rows, 20).notes == ()


def test_the_servers_kinds_of_index_are_the_servers(tmp_path: Path) -> None:
    """Where a database keeps the vectors, similarity.index_type says nothing of how they are searched."""
    shop = Shop(tmp_path)
    shop.configure(
        similarity={"extract_layer": "pool1", "index_type": "HNSW8"},
        index={"backend": "milvus", "url": "http://localhost:19530"},
    )
    assert isinstance(searcher(shop.settings, ROWS, 10), Exact)


@pytest.mark.parametrize(("kind", "exactly"), [("HNSW32", True), ("IVF1,Flat", True), ("PCA4,Flat", False)])
def test_other_indexes(kind: str, exactly: bool) -> None:
    """They give the server's distances: squared, divided by the vectors' length before any PCA."""
    index = Servers(ROWS, kind, 50)
    found, expected = index.distances(QUERIES), Exact(ROWS, "l2").distances(QUERIES)
    assert (index.dimension, found.shape) == (8, (7, 50))
    assert index.size > 0
    assert index.nearest(QUERIES[0], 3) is not None
    if exactly:
        np.testing.assert_allclose(found, expected, rtol=1e-4)
    else:
        assert (found <= expected + 1e-5).all()


def test_what_an_index_does_not_find() -> None:
    """It has no distance; what was found keeps its own."""
    found, expected = Servers(ROWS, "IVF16,Flat", 50).distances(QUERIES), Exact(ROWS, "l2").distances(QUERIES)
    missed = np.isnan(found)
    assert missed.any(axis=1).all()
    assert not missed.all()
    np.testing.assert_allclose(found[~missed], expected[~missed], rtol=1e-4)
    assert (~np.isnan(Servers(ROWS, "Flat", 5).distances(QUERIES))).sum(axis=1).tolist() == [5] * 7


@pytest.mark.parametrize("kind", ["IVF64,Flat", "PCA16,Flat"])
def test_indexes_that_cannot_be_made(kind: str) -> None:
    """Too few items for the lists, more components than values: refused, where the server keeps silent or dies."""
    with pytest.raises(InvalidRequest, match=f"{kind} cannot be made of 50 items"):
        Servers(ROWS, kind, 50)


def test_the_search_of_a_configuration(tmp_path: Path) -> None:
    """Its metric, its recipe and its kind of index."""
    shop = Shop(tmp_path)
    assert isinstance(searcher(shop.settings, ROWS, 10), Exact)
    shop.configure(similarity={"extract_layer": "pool1", "index_type": "HNSW8"})
    assert isinstance(searcher(shop.settings, ROWS, 10), Servers)
    shop.configure(index={"backend": "local", "metric": "cosine", "pca": 3})
    assert searcher(shop.settings, ROWS, 10).dimension == 3
    shop.configure(index={"backend": "local", "pca": 60})
    with pytest.raises(ConfigError, match="60"):
        searcher(shop.settings, ROWS, 10)


@pytest.mark.parametrize("index", [Exact(ROWS, "l2"), Servers(ROWS, "HNSW8", 50)])
def test_distances_between_items(index: Exact | Servers) -> None:
    """Exact ones, the diagonal NaN, to calibrate on."""
    between = index.between([3, 1])
    assert np.isnan(between.diagonal()).all()
    np.testing.assert_allclose(between[0, 1], np.square(ROWS[3] - ROWS[1]).mean(), rtol=1e-5)
