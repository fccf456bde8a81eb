"""The drawn demo catalogue: the same everywhere, every product its own, files where the demo looks for them."""

from __future__ import annotations

import functools
import hashlib
import importlib
import itertools
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from PIL import Image

SCRIPTS = Path(__file__).resolve().parents[2] / "scripts"
CATEGORIES = ("chair", "lamp", "table", "bed", "sofa")


@pytest.fixture(scope="module")
def drawing() -> ModuleType:
    """Return the scripts' drawing package."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(SCRIPTS))
        return importlib.import_module("demo_drawing")


@pytest.fixture(scope="module")
def maker(drawing: ModuleType) -> ModuleType:
    """Return the script that writes the catalogue."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(SCRIPTS))
        return importlib.import_module("make_demo_catalogue")


def pixels(picture: Image.Image) -> np.ndarray:
    """Return a picture as numbers that can be subtracted."""
    return np.asarray(picture, dtype=float)


def test_same_product_and_view_give_same_pixels_whatever_was_drawn_between(drawing: ModuleType) -> None:
    """A picture depends on its category, product and view alone."""
    first = drawing.draw("chair", 3, 2, size=64)
    drawing.draw("sofa", 9, 3, size=64)
    assert drawing.draw("chair", 3, 2, size=64).tobytes() == first.tobytes()


def test_another_process_draws_the_same_pixels(drawing: ModuleType) -> None:
    """Nothing of the running process, such as its hash seed, gets into a picture."""
    code = (
        "import hashlib, sys; sys.path.insert(0, sys.argv[1]); from demo_drawing import draw;"
        "print(hashlib.sha256(draw('lamp', 7, 3, size=64).tobytes()).hexdigest())"
    )
    run = subprocess.run([sys.executable, "-c", code, str(SCRIPTS)], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == hashlib.sha256(drawing.draw("lamp", 7, 3, size=64).tobytes()).hexdigest()


def test_views_of_a_product_and_different_categories_differ(drawing: ModuleType) -> None:
    """Views of one product, and the references of the five categories, are clearly different pictures."""
    views = [pixels(drawing.draw("table", 5, view, size=48)) for view in (1, 2, 3)]
    references = [pixels(drawing.draw(category, 5, 1, size=48)) for category in CATEGORIES]
    for group in (views, references):
        assert all(np.abs(one - other).mean() > 6 for one, other in itertools.combinations(group, 2))


def test_picture_is_rgb_of_the_asked_size(drawing: ModuleType) -> None:
    """The size asked for is the size drawn, in RGB."""
    picture = drawing.draw("bed", 0, 1, size=72)
    assert (picture.mode, picture.size) == ("RGB", (72, 72))


@pytest.mark.parametrize("category", CATEGORIES)
def test_default_products_differ_in_shape_and_stand_or_hang(drawing: ModuleType, category: str) -> None:
    """No two of a category's sixty products share their shape, and each is a sound model that stands or hangs."""
    shapes = set()
    for product in range(60):
        solids = drawing.model(category, product)
        points = np.concatenate([solid.points for solid in solids])
        assert np.isfinite(points).all()
        assert points[:, 2].min() > -0.05
        shapes.add(np.round(np.concatenate([points.mean(axis=0), np.ptp(points, axis=0)]), 5).tobytes())
    assert len(shapes) == 60


def test_unknown_category_and_view_zero_are_refused(drawing: ModuleType) -> None:
    """What cannot be drawn is refused by name."""
    with pytest.raises(ValueError, match="unknown category 'shelf'"):
        drawing.draw("shelf", 0, 1)
    with pytest.raises(ValueError, match="numbered from 1"):
        drawing.draw("chair", 0, 0)


def test_written_picture_is_the_drawing_as_jpeg(drawing: ModuleType, maker: ModuleType, tmp_path: Path) -> None:
    """A picture is written as a JPEG of 320 x 320 pixels that shows what was drawn, and no part of it stays behind."""
    path = tmp_path / "catalogue" / "lamp" / "lamp-004.jpg"
    path.parent.mkdir(parents=True)
    maker.write_picture((tmp_path, "lamp", 4, 1))
    with Image.open(path) as picture:
        assert (picture.format, picture.mode, picture.size) == ("JPEG", "RGB", (320, 320))
        assert np.abs(pixels(picture) - pixels(drawing.draw("lamp", 4, 1))).mean() < 2
    assert list(path.parent.iterdir()) == [path]


def test_catalogue_is_laid_out_once_repaired_and_cut_down(
    drawing: ModuleType, maker: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """References and queries lie where expected; a second run draws nothing, a third only what was lost or changed."""
    monkeypatch.setattr(maker, "draw", functools.partial(drawing.draw, size=24, supersampling=1))
    assert maker.make(tmp_path, products=2, processes=1) == 30
    reference = tmp_path / "catalogue" / "chair" / "chair-001.jpg"
    query = tmp_path / "queries" / "chair" / "chair-001-view2.jpg"
    assert len(list((tmp_path / "catalogue").rglob("*.jpg"))) == 10
    assert len(list((tmp_path / "queries").rglob("*.jpg"))) == 20
    assert maker.make(tmp_path, products=2, processes=1) == 0
    before = query.read_bytes()
    query.unlink()
    assert maker.make(tmp_path, products=2, processes=1) == 1
    assert query.read_bytes() == before
    assert maker.make(tmp_path, products=1, processes=1) == 15
    assert not reference.exists()
    assert len(list(tmp_path.rglob("*.jpg"))) == 15


def test_one_query_is_drawn_alone(maker: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The demonstration needs every reference and one query; what is lacking can be drawn later."""
    monkeypatch.syspath_prepend(str(SCRIPTS))  # the other processes look for the script where this one does
    told: list[tuple[int, int]] = []
    drawn = maker.make(tmp_path, products=8, processes=2, queries=False, progress=lambda *one: told.append(one))
    assert drawn == 41
    assert told == [(done, 41) for done in range(1, 42)]
    assert [path.name for path in (tmp_path / "queries").rglob("*.jpg")] == ["lamp-007-view2.jpg"]
    assert maker.make(tmp_path, products=8, processes=2, queries=False) == 0
