"""ddsim.pictures.thumbnails: small pictures, and parts of pictures."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from shop import plain

from ddsim import ImageError, InvalidRequest, Upload, Url
from ddsim.pictures import part_of, thumbnail


def halves(size: tuple[int, int] = (40, 20)) -> Image.Image:
    """Red on the left, blue on the right."""
    image = plain("red", size)
    image.paste(plain("blue", (size[0] // 2, size[1])), (size[0] // 2, 0))
    return image


@pytest.mark.parametrize(("size", "small"), [((400, 200), (100, 50)), ((10, 20), (10, 20)), ((1000, 1), (100, 1))])
def test_thumbnails_keep_proportions(size: tuple[int, int], small: tuple[int, int]) -> None:
    """The longer side fits, nothing is enlarged, and nothing vanishes."""
    jpeg = thumbnail(plain("green", size), 100)
    assert jpeg is not None
    with Image.open(io.BytesIO(jpeg)) as image:
        assert (image.format, image.size) == ("JPEG", small)


def test_no_thumbnail_of_no_picture(tmp_path: Path) -> None:
    """What cannot be read has none."""
    (tmp_path / "x.jpg").write_bytes(b"no picture")
    assert thumbnail(tmp_path / "x.jpg", 100) is None
    assert thumbnail(tmp_path / "gone.jpg", 100) is None


def test_a_part_is_cut_out() -> None:
    """Left, top, width and height are fractions of the picture."""
    part = part_of(halves(), (0.5, 0.5, 0.5, 0.5), Upload())
    assert part.size == (20, 10)
    assert np.asarray(part.convert("RGB")).reshape(-1, 3).mean(axis=0).tolist() == [0, 0, 255]


def test_parts_are_of_the_upright_picture(tmp_path: Path) -> None:
    """A phone's photo is turned before anything is cut out of it."""
    exif = Image.Exif()
    exif[0x0112] = 3  # upside down
    halves().save(tmp_path / "turned.png", exif=exif)
    part = part_of(tmp_path / "turned.png", (0, 0, 0.5, 1), Upload())
    assert part.convert("RGB").getpixel((0, 0)) == (0, 0, 255)


@pytest.mark.parametrize(
    "region",
    [
        (0, 0, 0, 1),
        (-0.1, 0, 0.5, 0.5),
        (0.6, 0, 0.5, 1),
        (0, 0, 1, 1.1),
        (0, 0, float("nan"), 1),
        (0, 0, float("inf"), 1),
        (10, 10, 200, 200),
        (0, 0, 1),
        (0, 0, 1, 1, 1),
        ("a", 0, 1, 1),
        "0,0,1,1",
        None,
        5,
    ],
)
def test_regions_that_are_none(region: Any) -> None:
    """Outside, negative, not a number or in pixels: the error says what is expected."""
    with pytest.raises(InvalidRequest, match="as fractions of the picture are needed"):
        part_of(halves(), region, Upload())


def test_a_region_with_nothing_to_see() -> None:
    """A few pixels show nothing."""
    with pytest.raises(InvalidRequest, match=r"is 4 x 2 pixels of it, too small"):
        part_of(halves(), (0, 0, 0.1, 0.1), Upload())


def test_no_part_of_what_the_server_reads() -> None:
    """There are no pixels of it here."""
    with pytest.raises(ImageError, match="for the server to read"):
        part_of(Url("http://x/y.jpg"), (0, 0, 1, 1), Upload())
