"""The pictures of an evaluation: products by names, what cannot be read, and samples."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from shop import picture

from ddsim.catalogue import PRODUCTS, product_of, product_pattern
from ddsim.errors import InvalidRequest
from ddsim.evaluation.pictures import Photo, gather, sample, some
from ddsim.sources import FolderSource

DEFAULT = product_pattern(PRODUCTS)


def photo(category: str, number: int) -> Photo:
    """A picture that is not there."""
    uri = f"{category}/{number}.jpg"
    return Photo(uri, category, Path(uri), 1, uri, None)


@pytest.mark.parametrize(
    ("uri", "product"),
    [
        ("lamp/lamp-007.jpg", "lamp/lamp-007"),
        ("lamp/lamp-007-view2.jpg", "lamp/lamp-007"),
        ("lamp/lamp-007_view_12.png", "lamp/lamp-007"),
        ("lamp/lamp-007.side.jpg", "lamp/lamp-007"),
        ("lamp/floor/007-front.jpeg", "lamp/floor/007"),
        ("lamp/desk/007.jpeg", "lamp/desk/007"),
        ("lamp/2024/old/007-view2.jpeg", "lamp/2024/old/007"),
        ("lamp/2024/green.jpg", None),
        ("007-side.jpg", "lamp/007"),
        ("other/007.jpg", "lamp/other/007"),
        ("lamp/kind0/lamp-007.jpg", "lamp/lamp-007"),
        ("images/A1.jpg", "lamp/A1"),
        ("A1-front.jpg", "lamp/A1"),
        ("lamp/desk/1.jpg", "lamp/desk/1"),
        ("lamp/desk/image_0001.jpg", "lamp/desk/image_0001"),
        ("lamp/desk/image_0001-view2.jpg", "lamp/desk/image_0001"),
        ("lamp/desk/IMG_2024_01.JPG", "lamp/desk/IMG_2024_01"),
        ("lamp/desk/IMG-20240105-WA0012.jpg", "lamp/desk/IMG-20240105-WA0012"),
        ("lamp/desk/_DSC01234.jpg", "lamp/desk/_DSC01234"),
        ("lamp/desk/P1010023.jpg", "lamp/desk/P1010023"),
        ("lamp/desk/photo12.jpg", "lamp/desk/photo12"),
        ("lamp/desk/Photo 12 side.jpg", "lamp/desk/Photo 12"),
        ("lamp/lamp-007/view2.jpg", "lamp/lamp-007/view2"),
        ("lamp/desk/photon12.jpg", "lamp/photon12"),
        ("lamp/007.jpg", "lamp/007"),
        ("lamp/IMG_2024_01.jpg", "lamp/IMG_2024_01"),
        ("lamp/IMG_2024_02.jpg", "lamp/IMG_2024_02"),
        ("lamp/green.jpg", None),
        ("lamp/no-ending-1", None),
    ],
)
def test_products_by_the_default_pattern(uri: str, product: str | None) -> None:
    """Views of a product have its name; folders count where that is a bare number or a camera's; no digit, none."""
    assert product_of(uri, "lamp", DEFAULT) == product


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("lamp/kind0/lamp-000.jpg", "lamp/lamp-000-view2.jpg", True),
        ("lamp/front/lamp-007.jpg", "lamp/side/lamp-007.jpg", True),
        ("images/A1.jpg", "A1-front.jpg", True),
        ("lamp/desk/001.jpg", "lamp/floor/001.jpg", False),
        ("lamp/desk/001.jpg", "lamp/desk/001-view2.jpg", True),
        ("lamp/desk/DSC_0001.jpg", "lamp/floor/DSC_0001.jpg", False),
    ],
)
def test_products_of_folders_that_nest_differently(one: str, other: str, same: bool) -> None:
    """A name that tells something is the same product anywhere in its category; a counter's only in its folder."""
    assert (product_of(one, "lamp") == product_of(other, "lamp")) is same


def test_products_by_a_pattern_of_ones_own() -> None:
    """The group of that name is the product, within its category."""
    pattern = product_pattern(r"(?P<product>sku\d+)")
    assert product_of("bed/red_sku12_a.jpg", "bed", pattern) == "bed/sku12"
    assert product_of("bed/red.jpg", "bed", pattern) is None


@pytest.mark.parametrize(
    ("pattern", "said"),
    [("(", "no regular expression"), (r"\d+", r"\(\?P<product>"), (None, "as text"), (5, "as text")],
)
def test_patterns_that_are_none(pattern: Any, said: str) -> None:
    """They are refused, with what is expected."""
    with pytest.raises(InvalidRequest, match=said):
        product_pattern(pattern)


def test_gather(tmp_path: Path) -> None:
    """Photos come by uri with the hash of their content; files that cannot be read are told with the reason."""
    (tmp_path / "lamp").mkdir()
    for name, seed in (("b-2", 0), ("a-1", 1), ("c-3", 0)):
        picture(seed).save(tmp_path / "lamp" / f"{name}.png")
    (tmp_path / "lamp" / "empty.jpg").touch()
    (tmp_path / "lamp" / "gone.jpg").symlink_to("nowhere")
    told: list[int] = []
    folder = gather(FolderSource(tmp_path), DEFAULT, 10**6, lambda: told.append(1))
    assert [one.uri for one in folder.photos] == ["lamp/a-1.png", "lamp/b-2.png", "lamp/c-3.png"]
    assert folder.photos[1].sha256 == folder.photos[2].sha256 != folder.photos[0].sha256
    assert [one.product for one in folder.photos] == ["lamp/a-1", "lamp/b-2", "lamp/c-3"]
    assert folder.unreadable.keys() == {"lamp/empty.jpg", "lamp/gone.jpg"}
    assert {one.source.folder for one in folder.photos} == {tmp_path}
    assert len(told) == 5


def test_gather_keeps_to_the_limit(tmp_path: Path) -> None:
    """A file that is too large is not read."""
    (tmp_path / "lamp").mkdir()
    (tmp_path / "lamp" / "1.png").write_bytes(b"x" * 11)
    assert "10" in gather(FolderSource(tmp_path), DEFAULT, 10).unreadable["lamp/1.png"]


def test_a_sample_has_so_many_of_each_category() -> None:
    """The same ones for the same seed, in their order; all where there are no more."""
    photos = [photo(category, number) for category in ("bed", "lamp") for number in range(20)] + [photo("sofa", 1)]
    chosen = sample(photos, 5, seed=3)
    assert Counter(one.category for one in chosen) == {"bed": 5, "lamp": 5, "sofa": 1}
    assert chosen == sample(photos, 5, seed=3) == sorted(chosen, key=photos.index)
    assert chosen != sample(photos, 5, seed=4)
    assert sample(photos, None, seed=3) == photos
    assert set(sample(photos, 4, seed=3)) < set(chosen)
    assert set(chosen) - {chosen[0]} <= set(sample([one for one in photos if one != chosen[0]], 5, seed=3))


@pytest.mark.parametrize("count", [1, 2, 3, 10, 25, 41, 100])
def test_some_photos_of_all_categories(count: int) -> None:
    """No more than asked for, and as many as the even parts allow; small categories leave theirs to the others."""
    photos = [photo(category, number) for category in ("bed", "lamp") for number in range(20)] + [photo("sofa", 1)]
    chosen = some(photos, count, seed=0)
    assert len(chosen) == len(set(chosen)) <= count
    assert len(chosen) >= min(count, len(photos)) - 2
    if count >= 3:
        assert {one.category for one in chosen} == {"bed", "lamp", "sofa"}
