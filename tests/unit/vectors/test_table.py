"""ddsim.vectors.table: rows stay with their numbers, and the nearest are the nearest."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ddsim.errors import InvalidRequest, InvalidResponse
from ddsim.vectors.exact import Metric
from ddsim.vectors.segments import Precision
from ddsim.vectors.table import Table

RNG = np.random.default_rng(3)


def test_l2_keeps_its_digits() -> None:
    """Large values that differ little: the distance is exact, where the usual formula for many loses all digits."""
    rows = np.full((64, 256), 1000.0, np.float32)
    rows[:, 0] += np.arange(64, dtype=np.float32) / 64
    index = Table(256, "l2")
    index.add(np.arange(1, 65), rows)
    for place in (0, 17, 63):
        (first, second, *_) = index.nearest(rows[place], 3)
        assert first == (place + 1, 0.0)
        assert second[1] == pytest.approx((1 / 64) ** 2 / 256, rel=1e-3)


def test_cosine_of_nothing() -> None:
    """A vector of zeros is at a right angle to all, and no query makes a number that is none."""
    index = Table(3, "cosine")
    index.add(np.array([1, 2]), np.array([[0, 0, 0], [5, 0, 0]], np.float32))
    assert index.nearest(np.array([1, 0, 0], np.float32), 5) == [(2, 0.0), (1, 1.0)]
    assert sorted(index.nearest(np.zeros(3, np.float32), 5)) == [(1, 1.0), (2, 1.0)]


def test_a_number_is_there_once() -> None:
    """Added again, it is replaced; removed, it is gone; numbers that are not there do not matter."""
    index = Table(2, "l2")
    index.add(np.array([5, 6]), np.array([[1, 1], [2, 2]], np.float32))
    index.add(np.array([6, 7]), np.array([[3, 3], [4, 4]], np.float32))
    assert sorted(index.vids.tolist()) == [5, 6, 7]
    assert index.nearest(np.array([3, 3], np.float32), 1) == [(6, 0.0)]
    assert index.remove(np.array([5, 99])) == 1
    assert dict(zip(index.vids.tolist(), index.rows_of(index.vids).tolist(), strict=True)) == {
        6: [3.0, 3.0],
        7: [4.0, 4.0],
    }


@settings(deadline=None, max_examples=50)
@given(steps=st.lists(st.tuples(st.booleans(), st.sets(st.integers(1, 12), min_size=1)), max_size=12))
def test_rows_stay_with_their_numbers(steps: list[tuple[bool, set[int]]]) -> None:
    """Whatever is added and removed in whatever order, each number has its own vector."""
    index, expected = Table(2, "l2"), dict[int, list[float]]()
    for count, (adding, chosen) in enumerate(steps):
        vids = np.array(sorted(chosen), np.int64)
        if adding:
            vectors = np.array([[vid, count] for vid in vids], np.float32)
            index.add(vids, vectors)
            expected |= dict(zip(vids.tolist(), vectors.tolist(), strict=True))
        else:
            index.remove(vids)
            expected = {vid: row for vid, row in expected.items() if vid not in chosen}
    assert dict(zip(index.vids.tolist(), index.rows_of(index.vids).tolist(), strict=True)) == expected
    assert len(index) == len(expected)


@pytest.mark.parametrize("metric", ["l2", "cosine"])
@pytest.mark.parametrize("precision", ["float32", "float16"])
@pytest.mark.parametrize("share", [0.01, 0.5, 1.0])
def test_the_nearest_are_those_that_numpy_finds(metric: Metric, precision: Precision, share: float) -> None:
    """Among all, and among few or many chosen ones, after some were removed, at either precision."""
    rows = RNG.normal(size=(3000, 24)).astype(np.float32)
    table = Table(24, metric, precision)
    for start in range(0, 3000, 700):
        table.add(np.arange(start, min(start + 700, 3000)) + 5, rows[start : start + 700])
    table.remove(np.arange(100, 200))
    only = np.flatnonzero(RNG.random(3100) < share)
    left = np.array([vid for vid in only if vid in set(table.vids.tolist())])
    query = RNG.normal(size=24).astype(np.float32)
    others = table.rows_of(left).astype(np.float64)
    if metric == "l2":
        expected = ((others - query) ** 2).mean(axis=1)
    else:
        expected = 1 - others @ query / np.linalg.norm(others, axis=1) / np.linalg.norm(query)
    found = table.nearest(query, 12, only)
    assert [vid for vid, _ in found] == left[np.argsort(expected)[:12]].tolist()
    assert [far for _, far in found] == pytest.approx(np.sort(expected)[:12].tolist(), rel=1e-5, abs=1e-6)


def test_many_rows_are_searched_by_several_threads() -> None:
    """What they find together is what one finds."""
    rows = RNG.normal(size=(40_000, 512)).astype(np.float32)
    table = Table(512, "l2")
    table.add(np.arange(40_000), rows)
    found = [vid for vid, _ in table.nearest(rows[20_000], 5)]
    assert found == np.argsort(((rows - rows[20_000]) ** 2).sum(axis=1))[:5].tolist()


@pytest.mark.parametrize("metric", ["l2", "cosine"])
def test_half_precision_knows_itself(metric: Metric) -> None:
    """A row rounded to 16 bits is at hardly any distance from what it was made of."""
    rows = RNG.normal(size=(50, 16)).astype(np.float32)
    table = Table(16, metric, "float16")
    table.add(np.arange(50), rows)
    for place in range(50):
        ((vid, far), *_) = table.nearest(rows[place], 3)
        assert vid == place
        assert far < 1e-6
    assert table.added_rows([7])[0] == pytest.approx(rows[7], rel=1e-3)


def test_values_too_large_for_half_precision_are_refused() -> None:
    """They would be infinite; what the network itself gives as infinite stays so, for the audit to find."""
    table = Table(2, "l2", "float16")
    with pytest.raises(InvalidResponse, match=r"up to 70000.*float16 holds none beyond 65504: write float32"):
        table.add(np.array([1, 2]), np.array([[1, 2], [3, 70000]], np.float32))
    assert len(table) == 0
    table.add(np.array([1]), np.array([[np.inf, 1]], np.float32))
    assert len(table) == 1


def test_a_number_that_is_not_there_is_named() -> None:
    """Also where it lies between those that are."""
    table = Table(2, "l2")
    table.add(np.array([5, 9]), np.zeros((2, 2), np.float32))
    with pytest.raises(InvalidRequest, match="number 7"):
        table.rows_of([5, 7, 9])


def test_nothing_is_near_in_an_empty_table() -> None:
    """Before anything was added, after all is gone, and among numbers that are not there."""
    table = Table(2, "l2")
    query = np.zeros(2, np.float32)
    assert table.nearest(query, 3) == []
    table.add(np.array([1]), np.ones((1, 2), np.float32))
    assert table.nearest(query, 3, np.array([4])) == []
    table.remove(np.array([1]))
    assert table.nearest(query, 3) == []
