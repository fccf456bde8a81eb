"""Pictures that cannot be used: each is an ImageError with its name and a reason in plain words, and nothing else."""

from __future__ import annotations

import contextlib
import errno
import io
import os
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from ddsim.errors import ImageError
from ddsim.pictures.encoding import Encoded, Upload, encode

NASTY = Path(__file__).parents[4] / "shared" / "images" / "nasty"
KINDS = ("JPEG", "PNG", "GIF", "BMP", "TIFF", "WEBP")


def saved(kind: str, mode: str = "RGB", size: tuple[int, int] = (40, 30), **options: Any) -> bytes:
    """The bytes of a picture file that is hard to compress."""
    pixels = np.random.default_rng(3).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).convert(mode).save(file, kind, **options)
    return file.getvalue()


def header(width: int, height: int) -> bytes:
    """The start of a PNG of that size."""
    body = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + body + struct.pack(">I", zlib.crc32(body))


def bomb(width: int, height: int) -> bytes:
    """A whole PNG of that size whose pixels are missing."""
    body = b"IDAT" + zlib.compress(b"")
    end = b"\0\0\0\0IEND\xae\x42\x60\x82"
    return header(width, height) + struct.pack(">I", len(body) - 4) + body + struct.pack(">I", zlib.crc32(body)) + end


def refused(picture: Any, upload: Upload | None = None) -> ImageError:
    """The error that this picture gives."""
    with pytest.raises(ImageError) as caught:
        encode(picture, upload or Upload())
    assert str(caught.value) == f"{caught.value.source}: {caught.value.reason}"
    return caught.value


# --- files


@pytest.mark.parametrize("kind", KINDS)
def test_a_cut_off_file_is_refused(kind: str) -> None:
    """Half a picture has other vectors than the whole; the cause is kept."""
    data = saved(kind)
    for length in (len(data) // 2, 40):
        error = refused(data[:length])
        assert error.source == f"<bytes, {length} bytes>"
        assert error.reason.startswith(f"damaged or cut short {kind}")
        assert error.__cause__ is not None


@pytest.mark.parametrize("missing", range(1, 16))
def test_a_png_without_its_last_bytes_is_refused(missing: int) -> None:
    """All pixels may be there, but the server's reader refuses such a PNG and fails the whole batch for it."""
    assert "cut short" in refused(saved("PNG")[:-missing]).reason


def test_a_png_with_a_wrong_checksum_is_refused() -> None:
    """Pillow would not look at it; the server does."""
    data = bytearray(saved("PNG"))
    data[data.index(b"IEND") - 8] ^= 1
    assert refused(bytes(data)).reason.startswith("damaged or cut short PNG")


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "empty, 0 bytes"),
        (b"just text\n", "not a picture of a kind that is read here (JPEG, PNG"),
        (b"\n<!DOCTYPE html><html>404", "it looks like text such as HTML or SVG"),
        (b"\xef\xbb\xbf<svg xmlns='x'/>", "it looks like text such as HTML or SVG"),
        (b"%PDF-1.7\n", "it looks like a PDF"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "not a picture of a kind"),
        (b"\0\0\0\x18ftypisom\0\0\0\0isommp42", "a film, or a picture of a kind that is not read here"),
        (saved("ICNS", size=(32, 32)), "not a picture of a kind"),
        (saved("JPEG")[:20], "damaged or cut short JPEG"),
        (b"\xff\xd8\xff", "damaged or cut short JPEG"),
    ],
    ids=["empty", "text", "html", "svg", "pdf", "eps", "film", "icns", "header", "signature"],
)
def test_what_is_no_picture_is_refused_by_its_content(tmp_path: Path, data: bytes, reason: str) -> None:
    """A name that ends in .jpg makes no picture, and no format with a language of its own is ever opened."""
    path = tmp_path / "a.jpg"
    path.write_bytes(data)
    error = refused(path)
    assert error.source == str(path)
    assert reason in error.reason


# --- pixel bombs and other sizes


def test_a_pixel_bomb_is_refused_by_its_header() -> None:
    """A few hundred bytes may unpack to gigabytes; neither Pillow's warning nor its process-wide limit is needed."""
    limit = Image.MAX_IMAGE_PIXELS
    error = refused(bomb(30_000, 30_000))
    assert error.reason == "30000 x 30000 pixels, more than the limit of 64000000 (upload.max_pixels)"
    assert limit == Image.MAX_IMAGE_PIXELS


def test_the_limit_is_that_of_the_upload(monkeypatch: pytest.MonkeyPatch) -> None:
    """It counts for every source, and Pillow does not warn from its own limit on."""
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 700)
    reason = "40 x 30 pixels, more than the limit of 1199 (upload.max_pixels)"
    for kind in KINDS:
        assert encode(saved(kind), Upload(max_pixels=1200)).size == (40, 30)
        assert refused(saved(kind), Upload(max_pixels=1199)).reason == reason
    for picture in (Image.new("RGB", (40, 30)), np.zeros((30, 40), np.uint8)):
        assert refused(picture, Upload(max_pixels=1199)).reason == reason


def test_a_side_that_the_server_cannot_read_is_refused() -> None:
    """OpenCV reads no side longer than 2 to the 20; shrunk, the picture is all right."""
    strip = Image.new("L", ((1 << 20) + 1, 1))
    assert "no side may be longer than 1048576" in refused(strip).reason
    assert encode(strip, Upload(shrink=(64, 64))).size == (64, 1)


@pytest.mark.parametrize(
    "picture", [Image.new("RGB", (0, 5)), np.zeros((0, 3, 3), np.uint8), np.zeros((3, 0), np.float32), bomb(0, 7)]
)
def test_pictures_without_pixels_are_refused(picture: Any) -> None:
    """There is nothing to look at."""
    assert "no pixels" in refused(picture).reason or "damaged" in refused(picture).reason


def test_files_over_the_limit_are_not_read(tmp_path: Path) -> None:
    """A path is judged by its size, a stream is left as soon as it is too much."""
    data = saved("BMP")
    path = tmp_path / "a.bmp"
    path.write_bytes(data)
    upload = Upload(max_bytes=100)
    stream = io.BytesIO(data)
    assert refused(path, upload).reason == f"{len(data)} bytes, more than the limit of 100"
    assert refused(data, upload).reason == "more than the limit of 100 bytes"
    assert refused(stream, upload).reason == "more than the limit of 100 bytes"
    assert stream.tell() == 101
    assert encode(path, Upload(max_bytes=len(data))).size == (40, 30)


# --- paths


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("", "no such file"),
        ("no/such/sofa.jpg", "no such file"),
        ("a\0b", "null"),
        ("https://example.com/sofa.jpg", "wrap it in ddsim.Url"),
        ("HTTP://example.com/sofa.jpg", "wrap it in ddsim.Url"),
        ("file:///sofa.jpg", "no such file"),
        ("data:image/png;base64,iVBORw0KGgo=", "not a data: URI; give a path, the bytes"),
        ("iVBORw0KGgo" * 12, "it looks like base64"),
        ("iVBORw0KGgo" * 1000, "it looks like base64"),
    ],
)
def test_a_str_is_a_path_and_nothing_else(path: str, reason: str) -> None:
    """A URL or base64 is named as such, and the error tells what to give."""
    error = refused(path)
    assert reason in error.reason
    assert len(str(error)) < 700


def test_a_directory_is_refused(tmp_path: Path) -> None:
    """Neither here nor at the server is a folder one picture."""
    assert refused(tmp_path).reason == "a directory, not a picture"


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no FIFOs on this system")
def test_a_fifo_is_refused_before_it_is_opened(tmp_path: Path) -> None:
    """Opening it would wait for ever for somebody who writes."""
    path = tmp_path / "a.jpg"
    os.mkfifo(path)
    assert refused(path).reason == "not a regular file"


@pytest.mark.skipif(not Path("/dev/zero").exists(), reason="no devices on this system")
def test_a_device_is_refused() -> None:
    """It would never end."""
    assert refused("/dev/zero").reason == "not a regular file"


def test_a_dangling_link_is_refused(tmp_path: Path) -> None:
    """It is a name without a file."""
    (tmp_path / "a.jpg").symlink_to(tmp_path / "gone.jpg")
    assert refused(tmp_path / "a.jpg").reason == "no such file or directory"


@pytest.mark.parametrize(("number", "reason"), [(errno.EACCES, "permission denied"), (errno.EIO, "input/output error")])
def test_a_file_that_cannot_be_opened_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, reason: str
) -> None:
    """The system's own words are the reason."""
    path = tmp_path / "a.jpg"
    path.write_bytes(saved("JPEG"))

    def fail(*_: object, **__: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr("builtins.open", fail)
    error = refused(path)
    monkeypatch.undo()
    assert error.reason == reason
    assert isinstance(error.__cause__, OSError)


# --- files, images, arrays and other things


class Failing(io.BytesIO):
    """A stream whose connection is lost."""

    def read(self, size: int | None = -1) -> bytes:
        """Fail."""
        raise ConnectionResetError("gone")


class Awaited:
    """An upload as asynchronous frameworks have it."""

    async def read(self, size: int = -1) -> bytes:
        """Give nothing before it is awaited."""
        return b""


@pytest.mark.parametrize(
    ("picture", "reason"),
    [
        (io.StringIO("text"), "mode 'rb'"),
        (Awaited(), "has to be awaited"),
        (Failing(), "cannot be read (gone)"),
        (None, "not a picture; give a path"),
        (7, "not a picture; give a path"),
        ([b"a"], "not a picture; give a path"),
        (np.uint8(3), "not a picture; give a path"),
    ],
)
def test_other_things_are_refused(picture: Any, reason: str) -> None:
    """The error tells what is accepted."""
    assert reason in refused(picture).reason


def test_a_closed_file_is_refused() -> None:
    """Python's ValueError does not get out."""
    file = io.BytesIO(saved("PNG"))
    file.close()
    assert refused(file).reason.startswith("cannot be read")
    view = memoryview(b"abc")
    view.release()
    assert refused(view).reason.startswith("cannot be read")


def test_a_lazy_pil_image_may_turn_out_damaged() -> None:
    """Pillow opens a cut-off file without complaint."""
    image = Image.open(io.BytesIO(saved("JPEG")[:-300]))
    assert refused(image).reason.startswith("damaged or cut short JPEG")


@pytest.mark.parametrize(
    "image",
    [
        Image.fromarray(np.array([[0, 300]], np.float32)),
        Image.fromarray(np.array([[-1, 1]], np.float32)),
        Image.fromarray(np.array([[0, np.nan]], np.float32)),
        Image.fromarray(np.array([[0, 70_000]], np.int32)),
        Image.fromarray(np.array([[-5, 70]], np.int32)),
    ],
)
def test_grey_levels_of_unknown_range_are_refused(image: Image.Image) -> None:
    """Rather no vector than one of a picture that nobody meant."""
    assert "no clear black and white" in refused(image).reason


@pytest.mark.parametrize(
    ("array", "reason"),
    [
        (np.zeros(5, np.uint8), "height x width"),
        (np.zeros((3, 4, 2), np.uint8), "height x width"),
        (np.zeros((3, 40, 30), np.uint8), "height x width"),
        (np.zeros((1, 4, 4, 3), np.uint8), "height x width"),
        (np.full((3, 4), 255.0), "floats must lie within 0 and 1"),
        (np.full((3, 4), -0.1), "floats must lie within 0 and 1"),
        (np.full((3, 4), np.nan), "floats must lie within 0 and 1"),
        (np.full((3, 4), np.inf), "floats must lie within 0 and 1"),
        (np.zeros((3, 4), np.int64), "no clear black and white"),
        (np.zeros((3, 4), np.int8), "no clear black and white"),
        (np.zeros((3, 4), np.uint32), "no clear black and white"),
        (np.zeros((3, 4), np.complex64), "no clear black and white"),
        (np.full((3, 4), "x"), "no clear black and white"),
    ],
)
def test_arrays_of_unclear_meaning_are_refused(array: Any, reason: str) -> None:
    """Wrong shapes and ranges are told, not guessed."""
    assert reason in refused(array).reason


# --- anything at all


SEEDS = [
    *(saved(kind) for kind in KINDS),
    saved("JPEG", progressive=True),
    saved("JPEG", mode="CMYK"),
    saved("PNG", mode="P", transparency=b"\0\x80"),
    saved("PNG", mode="LA"),
    saved("PNG", save_all=True, append_images=[Image.new("RGB", (40, 30))]),
    saved("GIF", mode="P", save_all=True, append_images=[Image.new("P", (40, 30))]),
    saved("WEBP", lossless=True),
    saved("TIFF", compression="tiff_deflate"),
    saved("BMP", mode="P"),
]


@settings(max_examples=400, deadline=None)
@given(
    data=st.sampled_from(SEEDS),
    edits=st.lists(st.tuples(st.integers(0, 300), st.binary(max_size=6), st.integers(0, 9)), min_size=1, max_size=5),
    keep=st.floats(0.1, 1.2),
    shrink=st.sampled_from([None, (16, 16), (5, 60)]),
)
def test_whatever_is_in_a_file_it_is_a_picture_or_an_image_error(
    data: bytes, edits: list[tuple[int, bytes, int]], keep: float, shrink: tuple[int, int] | None
) -> None:
    """No exception and no warning of Pillow's decoders gets out, whatever bytes they are given."""
    for place, inserted, removed in edits:
        data = data[:place] + inserted + data[place + removed :]
    with contextlib.suppress(ImageError):
        encoded = encode(data[: int(len(data) * keep)], Upload(shrink=shrink, max_pixels=1_000_000))
        assert isinstance(encoded, Encoded)
        assert min(encoded.size) > 0


@pytest.mark.skipif(not NASTY.is_dir(), reason=f"{NASTY} is not there")
@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("-leading-dash.jpg", (320, 240)),
        ("1x1.png", (1, 1)),
        ("UPPER.JPEG", (320, 240)),
        ("apng_mode_16bit.png", (128, 64)),
        ("bomb_30000x30000.png", "30000 x 30000 pixels"),
        ("broken_data_stream.png", "damaged or cut short PNG"),
        ("cmyk.jpg", (320, 240)),
        ("exif_typeerror.jpg", (800, 531)),
        ("flower.webp", (480, 360)),
        ("gray_alpha.png", (320, 240)),
        ("hopper_orientation_3.jpg", (128, 128)),
        ("hopper_orientation_6.jpg", (128, 128)),
        ("html_error_page.jpg", "not a picture"),
        ("iss634.gif", (245, 245)),
        ("no_extension", (320, 240)),
        ("palette.png", (320, 240)),
        ("png_named.jpg", (320, 240)),
        ("progressive_exif6.jpg", (240, 320)),
        ("quote'and\"double & ampersand #hash %20 +plus?.jpg", (320, 240)),
        ("rgb16.png", (320, 240)),
        ("sofa café ünïcode 椅子 🛋.jpg", (320, 240)),
        ("strip_4000x2.png", (4000, 2)),
        ("text.jpg", "not a picture"),
        ("transparent.webp", (200, 150)),
        ("truncated_half.jpg", "damaged or cut short JPEG"),
        ("truncated_header.jpg", "damaged or cut short JPEG"),
        ("zero_byte.jpg", "empty"),
    ],
)
def test_pictures_that_others_stumbled_over(name: str, expected: tuple[int, int] | str) -> None:
    """Odd files from the world outside are read, or refused for the right reason."""
    if isinstance(expected, str):
        assert refused(NASTY / name).reason.startswith(expected)
    else:
        assert encode(NASTY / name).size == expected
