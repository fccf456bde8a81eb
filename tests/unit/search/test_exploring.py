"""ddsim.search.exploring: a catalogue as a map, one page that needs nothing else."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from shop import plain

from ddsim import CapabilityError, ConfigError, Item
from ddsim.search.exploring import CatalogueMap, mapped

RNG = np.random.default_rng(0)


def items(count: int, root: Path = Path("nowhere")) -> list[Item]:
    """Of two categories by turns."""
    names = [f"{'lamp' if number % 2 else 'bed'}/{number:03d}.png" for number in range(count)]
    return [Item(name, name.partition("/")[0], root / name) for name in names]


def drawn(count: int, **options: Any) -> CatalogueMap:
    """A map of so many items in two heaps."""
    vectors = RNG.normal(size=(count, 8)).astype(np.float32)
    vectors[::2, 0] += 40
    return mapped(items(count), vectors, "pca", **{"pictures": 0, **options})


def test_what_is_alike_is_near() -> None:
    """Two heaps of vectors are two heaps on the map, and the map fills its frame."""
    found = drawn(40)
    across = {place.category: [] for place in found}  # type: dict[str, list[float]]
    for place in found:
        across[place.category].append(place.x)
    (low, high) = sorted(across.values(), key=max)
    assert max(low) < min(high) - 0.5
    assert {round(min(low), 3), round(max(high), 3)} == {0.0, 1.0}


def test_more_values_than_items_and_fewer() -> None:
    """Both ways to find the components find the same plane."""
    vectors = RNG.normal(size=(9, 9)).astype(np.float32) * np.arange(9, 0, -1)
    wide = mapped(items(9), np.pad(vectors, ((0, 0), (0, 5))), "pca", pictures=0)
    tall = mapped(items(9), vectors, "pca", pictures=0)
    for one, other in zip(wide, tall, strict=True):
        assert min(abs(one.x - other.x), abs(1 - one.x - other.x)) < 1e-3
        assert min(abs(one.y - other.y), abs(1 - one.y - other.y)) < 1e-3


@pytest.mark.parametrize("count", [0, 1, 2])
def test_small_maps(count: int) -> None:
    """Of hardly anything there is a map, too."""
    found = mapped(items(count), np.ones((count, 4), np.float32), "pca", pictures=9)
    assert [(place.x, place.y) for place in found] == [(0.5, 0.5)] * count
    assert f"{count} items" in found.html


def test_vectors_that_are_no_numbers_are_left_out() -> None:
    """One bad vector does not spoil the map, and the page says that something is missing."""
    vectors = RNG.normal(size=(5, 3)).astype(np.float32)
    vectors[2, 0] = np.nan
    found = mapped(items(5), vectors, "pca", pictures=0)
    assert len(found) == 4
    assert "1 more are not on the map" in found.html


def test_pictures_are_inside_and_capped(tmp_path: Path) -> None:
    """So many have their picture, spread over all; the others are dots. No other file, and no address, is needed."""
    shown = items(6, tmp_path)
    for item in shown:
        item.path.parent.mkdir(exist_ok=True)
        plain("red").save(item.path)
    page = mapped(shown, RNG.normal(size=(6, 4)).astype(np.float32), "pca", pictures=4).html
    assert page.count("data:image/jpeg;base64,") == 4
    assert "2 of them as dots" in page
    assert not re.search(r"(?:src|href)=\"(?!data:)", page)
    assert "http" not in page.replace('http-equiv="Content-Security-Policy"', "")


def test_names_are_escaped() -> None:
    """Markup in names is text, in the page and in a notebook's frame."""
    name = "<script>alert(1)</script>\"'&\udcff/x.png"
    page = mapped([Item(name, name[:25], Path(name))], np.ones((1, 2), np.float32), "pca", pictures=1)
    assert page.html.count("<script>") == 1
    assert "&lt;script&gt;alert(1)" in page.html
    assert 'srcdoc="&lt;!doctype html&gt;' in page._repr_html_()
    page.html.encode("utf-8")


def test_it_is_written_into_a_file(tmp_path: Path) -> None:
    """What a notebook shows can be opened in a browser, and where it cannot be written the error names the file."""
    found = drawn(3)
    assert found.save(tmp_path / "map.html").read_text("utf-8") == found.html
    with pytest.raises(ConfigError, match=r"no-folder.*cannot be written"):
        found.save(tmp_path / "no-folder" / "map.html")


def test_umap_where_it_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    """The error says how to get it."""
    monkeypatch.setitem(sys.modules, "umap", None)
    with pytest.raises(CapabilityError, match=r"UMAP, which is not installed: .*\[umap\]"):
        mapped(items(40), np.ones((40, 3), np.float32), "umap", pictures=0)


def test_umap_where_it_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    """It gives the plane; with too few items to have neighbourhoods PCA does."""
    asked: list[dict[str, Any]] = []

    class UMAP:
        def __init__(self, **options: Any) -> None:
            asked.append(options)

        def fit_transform(self, vectors: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
            return vectors[:, :2]

    stand_in = ModuleType("umap")
    stand_in.UMAP = UMAP  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "umap", stand_in)
    vectors = np.stack([np.arange(40), np.arange(40), np.zeros(40)], axis=1).astype(np.float32)
    assert mapped(items(40), vectors, "umap", pictures=0)[39].x == 1.0
    assert asked[0]["metric"] == "cosine"
    mapped(items(9), vectors[:9], "umap", pictures=0)
    assert len(asked) == 1
