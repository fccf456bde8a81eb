"""ddsim.vectors.approximate: nearly all of the nearest from a part of the rows, and no list is ever short."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from ddsim.vectors import approximate
from ddsim.vectors.approximate import Approximate
from ddsim.vectors.exact import Metric
from ddsim.vectors.space import Space
from ddsim.vectors.table import Table
from ddsim.vectors.transform import Recipe

COUNT, DIMENSION = 4000, 16


def drawn(count: int, seed: int = 0) -> np.ndarray[tuple[int, int], np.dtype[np.float32]]:
    """Rows in clusters."""
    dice = np.random.default_rng(seed)
    centres = np.random.default_rng(99).normal(size=(60, DIMENSION))
    return (centres[dice.integers(0, 60, count)] + 0.4 * dice.normal(size=(count, DIMENSION))).astype(np.float32)


def filled(metric: Metric = "l2") -> Table:
    """A table of clustered rows, numbered by threes."""
    table = Table(DIMENSION, metric)
    table.add(3 * np.arange(COUNT) + 1, drawn(COUNT))
    return table


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Few rows are many already."""
    monkeypatch.setattr(approximate, "FROM", 1000)
    monkeypatch.setattr(approximate, "_FEW", 50)


@pytest.mark.parametrize("metric", ["l2", "cosine"])
def test_nearly_all_of_the_nearest_are_found(metric: Metric) -> None:
    """What was measured is so for other rows, distances are exact, and not all lists are searched."""
    table = filled(metric)
    built = Approximate.build(table)
    assert built.built.recall >= 0.99
    assert built.built.probes < built.built.lists
    right = total = 0
    for query in drawn(100, seed=5):
        exact, found = dict(table.nearest(query, 10)), dict(built.nearest(table, query, 10))
        assert len(found) == 10
        right += len(exact.keys() & found.keys())
        total += 10
        assert all(found[vid] == exact[vid] for vid in exact.keys() & found.keys())
    assert right / total >= 0.97


def test_more_lists_are_searched_until_enough_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows without any clusters need more of them; where all are searched, all is found."""
    table = Table(DIMENSION, "l2")
    table.add(np.arange(COUNT), np.random.default_rng(1).normal(size=(COUNT, DIMENSION)).astype(np.float32))
    built = Approximate.build(table).built
    assert built.recall >= 0.99
    assert built.probes > 4
    monkeypatch.setattr(approximate, "GOOD", 1.1)
    built = Approximate.build(table).built
    assert (built.probes, built.recall) == (built.lists, pytest.approx(1.0, abs=0.01))


@pytest.mark.parametrize("size", [1, 40, 300, 3000])
def test_a_filter_never_leaves_a_list_short(size: int) -> None:
    """Whatever it lets through, wherever that lies: as many as wanted, or all there are."""
    table = filled()
    built = Approximate.build(table)
    # Those that are farthest from the queries lie in lists that would not be searched.
    query = drawn(1, seed=7)[0]
    only = np.sort([vid for vid, _ in table.nearest(query, COUNT)[-size:]])
    for k in (1, 30, 5000):
        found = built.nearest(table, query, k, only)
        assert len(found) == min(k, size)
        assert {vid for vid, _ in found} <= set(only.tolist())
    if size <= 300:
        assert built.nearest(table, query, 1, only) == table.nearest(query, 1, only)


@pytest.mark.parametrize("metric", ["l2", "cosine"])
def test_nearly_all_of_the_nearest_within_a_category_are_found(metric: Metric) -> None:
    """Wherever the query comes from: a category may lie far from it, and fill few of the lists or many."""
    dice = np.random.default_rng(3)
    weights = dice.normal(size=(6, DIMENSION))
    sizes, rows, queries = (100, 400, 1500, 6000, 12_000), [], []
    for size in sizes:
        centres = dice.normal(size=6) + dice.normal(size=(max(2, size // 200), 6))
        for kept, count in ((rows, size), (queries, 10)):
            here = centres[dice.integers(0, len(centres), count)] + 0.4 * dice.normal(size=(count, 6))
            kept.append((here @ weights + 0.1 * dice.normal(size=(count, DIMENSION))).astype(np.float32))
    table = Table(DIMENSION, metric)
    table.add(np.arange(sum(sizes)), np.concatenate(rows))
    built = Approximate.build(table)
    assert built.built.probes < built.built.lists / 4
    for number, size in enumerate(sizes):
        only = np.arange(size) + sum(sizes[:number])
        found = [{vid for vid, _ in built.nearest(table, query, 10, only)} for query in np.concatenate(queries)]
        exact = [{vid for vid, _ in table.nearest(query, 10, only)} for query in np.concatenate(queries)]
        assert np.mean([len(one & other) / 10 for one, other in zip(found, exact, strict=True)]) >= 0.99, size


def test_what_comes_and_goes_counts_at_once() -> None:
    """Before it is built anew, new rows are found, and those that are gone are not."""
    table = filled()
    built = Approximate.build(table)
    query = drawn(1, seed=7)[0]
    before = [vid for vid, _ in built.nearest(table, query, 10)]
    table.add(np.array([99_999]), query[np.newaxis])
    table.remove(np.array(before[:5]))
    assert not built.is_stale(table)
    after = [vid for vid, _ in built.nearest(table, query, 10)]
    assert after[0] == 99_999
    assert not set(after) & set(before[:5])
    assert after[1:6] == before[5:]
    table.remove(table.vids[: COUNT // 5])
    assert built.is_stale(table)


def test_it_is_kept_beside_the_rows(tmp_path: Path) -> None:
    """The next to come reads it; other rows, other settings and few rows have none, and its files go."""
    with Settled(tmp_path) as space:
        facts = space.settle(approximate=True)
        assert facts is not None
        assert (facts["rows"], facts["lists"]) == (COUNT, 64)
        assert space.settle(approximate=True) == facts
    files = sorted(path.name for path in tmp_path.glob("approximate*"))
    assert len(files) == 3
    with Settled(tmp_path) as space:
        assert space.settle(approximate=True) == facts
        assert sorted(path.name for path in tmp_path.glob("approximate*")) == files
        space.add(np.arange(COUNT) + 100_000, drawn(COUNT, seed=2))
        space.save()
        grown = space.settle(approximate=True)
        assert grown is not None
        assert grown["rows"] == 2 * COUNT
        assert len(list(tmp_path.glob("approximate*"))) == 3
        assert space.settle(approximate=False) is None
    assert list(tmp_path.glob("approximate*")) == []


@pytest.mark.parametrize("what", ["approximate.json", "*.faiss", "*.vids"])
@pytest.mark.parametrize("damage", ["gone", "cut", "changed"])
def test_what_is_damaged_is_built_anew(
    tmp_path: Path, what: str, damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    """A searcher compares every row meanwhile, and is right; the next run puts it right."""
    with Settled(tmp_path) as space:
        facts = space.settle(approximate=True)
    (path,) = tmp_path.glob(what)
    whole = path.read_bytes()
    if damage == "gone":
        path.unlink()
    else:
        changed = whole[:-20] + bytes([whole[-20] ^ 1]) + whole[-19:]
        path.write_bytes(whole[:-3] if damage == "cut" else changed)
    query = drawn(1, seed=7)[0]
    reader = Space(DIMENSION, "l2", Recipe(), tmp_path)
    reader.look(approximate=True)
    assert reader.nearest(query, 10) == filled().nearest(query, 10)
    assert "every row is compared" in caplog.text or damage == "gone"
    with Settled(tmp_path) as space:
        again = space.settle(approximate=True)
    assert again is not None
    assert facts is not None
    assert again | {"seconds": 0} == facts | {"seconds": 0}
    found = json.loads((tmp_path / "approximate.json").read_bytes())
    assert all((tmp_path / one["name"]).exists() for one in found["built"]["files"].values())


def test_components_are_searched_so_too(tmp_path: Path) -> None:
    """As a recipe makes them, on disk: whoever comes next need not make them again."""
    with Settled(tmp_path, Recipe(pca=6)) as space:
        space.renew()
        facts = space.settle(approximate=True)
        assert facts is not None
        assert facts["rows"] == COUNT
    assert len(list((tmp_path / "compared").glob("*.seg"))) >= 1
    with Settled(tmp_path, Recipe(pca=6)) as space:
        query = space.compared(drawn(1, seed=7))[0]
        assert space.nearest(query, 1) == space.nearest(query, 1, space.vids[space.vids % 3 == 1])
        assert len(space.nearest(query, 5)) == 5
        assert space.settle(approximate=True) == facts
    with Settled(tmp_path) as space:
        space.settle(approximate=False)
    assert not (tmp_path / "compared").exists()


class Settled(Space):
    """A space over clustered rows, saved; a context manager."""

    def __init__(self, folder: Path, recipe: Recipe | None = None) -> None:
        super().__init__(DIMENSION, "l2", recipe or Recipe(), folder)
        self.look(approximate=True)
        self.prepare()
        if not len(self):
            self.add(3 * np.arange(COUNT) + 1, drawn(COUNT))
            self.save()

    def __enter__(self) -> Settled:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
