"""Pictures as phones, cameras and half-finished copies leave them: taken where a person sees a picture."""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from ddsim.errors import ImageError
from ddsim.pictures import Upload, encode

CASES = Path(__file__).parents[4] / "shared" / "cases" / "odd-pictures"
SMALL = Upload(shrink=(64, 64))


def drawn(width: int = 320, height: int = 320) -> Image.Image:
    """Something with an up and a down, and detail everywhere."""
    rows, columns = np.mgrid[0:height, 0:width]
    red, green = rows * 255 // height, columns * 255 // width
    return Image.fromarray(np.stack([red, green, (rows ^ columns) & 255], axis=2).astype(np.uint8))


def jpeg(image: Image.Image, **options: Any) -> bytes:
    """The bytes of a JPEG file."""
    file = io.BytesIO()
    image.save(file, "JPEG", quality=90, **options)
    return file.getvalue()


def png16(values: np.ndarray[Any, np.dtype[np.uint16]], colours: bool = False) -> bytes:
    """The bytes of a PNG with 16 bits a value, grey or in three colours alike."""
    height, width = values.shape
    shown = np.repeat(values[:, :, np.newaxis], 3, axis=2) if colours else values
    lines = b"".join(b"\0" + row.astype(">u2").tobytes() for row in shown)
    parts = [(b"IHDR", struct.pack(">IIBBBBB", width, height, 16, 2 if colours else 0, 0, 0, 0))]
    parts += [(b"IDAT", zlib.compress(lines)), (b"IEND", b"")]
    chunks = (struct.pack(">I", len(d)) + k + d + struct.pack(">I", zlib.crc32(k + d)) for k, d in parts)
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


def levels(picture: Any, upload: Upload = SMALL) -> np.ndarray[Any, Any]:
    """What is sent, as numbers."""
    with Image.open(io.BytesIO(encode(picture, upload).data)) as image:
        return np.asarray(image.convert("RGB")).astype(int)


# --- many pixels


@pytest.fixture(scope="module")
def phone() -> bytes:
    """A photo of 200 million pixels, as phones take them."""
    return jpeg(drawn().resize((16320, 12240), Image.Resampling.NEAREST), subsampling=2)


def test_a_photo_of_200_megapixels_is_taken(phone: bytes) -> None:
    """It is decoded at an eighth of its sides: 3 million pixels, well below the limit on what is decoded."""
    encoded = encode(phone, SMALL)
    assert (encoded.original_size, encoded.size, encoded.remark) == ((16320, 12240), (64, 64), "")
    assert np.abs(levels(phone) - levels(drawn()))[:, :, :2].mean() < 4
    with pytest.raises(ImageError, match=r"2040 x 1530 decoded as small as can be.*upload\.max_pixels"):
        encode(phone, Upload(shrink=(64, 64), max_pixels=3_000_000))


def test_a_large_photo_that_is_not_shrunk_counts_whole(phone: bytes) -> None:
    """Then all of it would be decoded, and sent."""
    with pytest.raises(ImageError, match=r"16320 x 12240 pixels, more than the limit of 64000000 .upload\.max_pixels"):
        encode(phone)


@pytest.mark.parametrize("options", [{"progressive": True}, {"progressive": True, "subsampling": 0}])
def test_a_progressive_jpeg_counts_whole(options: dict[str, Any]) -> None:
    """Its decoder holds all of it in memory before it gives the first small pixel."""
    data = jpeg(drawn(1600, 1000), **options)
    assert encode(data, Upload(shrink=(64, 64), max_pixels=1_600_000)).size == (64, 64)
    with pytest.raises(ImageError, match="1600 x 1000 pixels, more than"):
        encode(data, Upload(shrink=(64, 64), max_pixels=1_599_999))
    assert encode(jpeg(drawn(1600, 1000)), Upload(shrink=(64, 64), max_pixels=200_000)).size == (64, 64)


# --- cut short


@pytest.mark.parametrize("shrink", [None, (64, 64)])
@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"subsampling": 2}, {"restart_marker_blocks": 3}])
def test_a_jpeg_without_its_last_two_bytes_is_taken(options: dict[str, Any], shrink: tuple[int, int] | None) -> None:
    """Every viewer shows it whole, and so it is sent, with a word about it."""
    upload, data = Upload(shrink=shrink), jpeg(drawn(), **options)
    for missing in (1, 2):
        encoded = encode(data[:-missing], upload)
        assert encoded.remark == "the end of the file is missing, its pixels are all there"
        assert np.abs(levels(data[:-missing], upload) - levels(data, upload)).mean() < 1.5
        assert Image.open(io.BytesIO(encoded.data)).load() is not None


@pytest.mark.parametrize("options", [{}, {"restart_marker_blocks": 3}, {"subsampling": 0}])
@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
def test_a_jpeg_is_taken_from_nine_tenths_of_its_rows_on(options: dict[str, Any], mode: str) -> None:
    """Less than that makes another picture of it, with other neighbours."""
    data = jpeg(drawn().convert(mode), **options)
    encoded = encode(data[: int(len(data) * 0.97)], SMALL)
    assert encoded.remark.startswith("cut short: up to a tenth of the rows")
    for share in (0.05, 0.5, 0.8):
        with pytest.raises(ImageError, match="damaged or cut short JPEG"):
            encode(data[: int(len(data) * share)], SMALL)


def test_a_progressive_jpeg_that_lacks_a_whole_pass_is_refused() -> None:
    """All rows are there then, and none of them is sharp."""
    data = jpeg(drawn(), progressive=True)
    for share in (0.3, 0.6):
        with pytest.raises(ImageError, match="damaged or cut short JPEG"):
            encode(data[: int(len(data) * share)], SMALL)


def test_a_black_end_is_no_missing_end() -> None:
    """What is counted is what the file holds, not what it shows."""
    image = drawn()
    image.paste((0, 0, 0), (0, 200, 320, 320))
    assert "all there" in encode(jpeg(image)[:-2], SMALL).remark
    image.paste((128, 128, 128), (0, 200, 320, 320))
    assert "all there" in encode(jpeg(image)[:-2], SMALL).remark


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "GIF", "WEBP"])
def test_blank_lines_before_a_picture_do_not_matter(kind: str) -> None:
    """Scripts that deliver pictures leave them there; viewers pass over them. What is sent begins without."""
    file = io.BytesIO()
    drawn(40, 30).save(file, kind)
    plain = encode(file.getvalue())
    assert encode(b"\r\n\n" + file.getvalue()).data == plain.data
    with pytest.raises(ImageError, match="not a picture"):
        encode(b"\n\nhello")


# --- 12 bits in 16


@pytest.mark.parametrize("bits", [8, 10, 12])
def test_12_bit_grey_in_a_16_bit_file_is_not_black(bits: int) -> None:
    """The largest value becomes white, and that is said; from a sixteenth of the range on values count as they are."""
    values = np.asarray(drawn(64, 64).convert("L")).astype(np.uint16) << (bits - 8)
    file = io.BytesIO()
    Image.fromarray(values).save(file, "TIFF")
    expected = np.rint(values * (255 / values.max()))
    for picture in (png16(values), file.getvalue(), values, Image.fromarray(values)):
        encoded = encode(picture)
        assert "stretched" in encoded.remark
        assert np.abs(levels(picture, Upload())[:, :, 0] - expected).max() <= 1
    wide = values << (16 - bits)
    assert encode(png16(wide)).remark == ""
    assert np.abs(levels(png16(wide), Upload())[:, :, 0] - (wide >> 8)).max() <= 1


def test_a_black_picture_stays_black() -> None:
    """There is nothing to stretch."""
    black = np.zeros((8, 8), np.uint16)
    assert levels(png16(black), Upload()).max() == 0
    assert levels(black, Upload()).max() == 0


def test_12_bit_colours_in_a_16_bit_file_are_refused() -> None:
    """Only the upper 8 bits of colours are read; a black picture would be indexed, and found by everything dark."""
    values = np.asarray(drawn(64, 64).convert("L")).astype(np.uint16)
    with pytest.raises(ImageError, match="save it with 8 bits"):
        encode(png16(values << 4, colours=True))
    assert encode(png16(values << 8, colours=True)).remark == ""


@pytest.mark.skipif(not CASES.is_dir(), reason=f"{CASES} is not there")
@pytest.mark.parametrize(
    ("name", "remark"), [("no-eoi.jpg", "all there"), ("lead-newline.jpg", ""), ("gray12in16.png", "stretched")]
)
def test_the_odd_pictures_of_the_field_are_taken(name: str, remark: str) -> None:
    """Those that people had trouble with elsewhere."""
    assert remark in encode(CASES / name, SMALL).remark
