"""Pictures that are whole, in all the shapes that people have them in. Damaged ones: test_images_damaged.py."""

from __future__ import annotations

import io
import struct
import threading
import warnings
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from ddsim.errors import ImageError, InvalidRequest
from ddsim.pictures import pixels
from ddsim.pictures.encoding import Encoded, ServerPath, Upload, Url, describe, encode

RED, GREEN, BLUE, WHITE = (220, 30, 30), (30, 200, 30), (30, 30, 210), (255, 255, 255)


def corners(width: int = 48, height: int = 32) -> Image.Image:
    """Red top left, green top right, blue bottom left, white bottom right."""
    image = Image.new("RGB", (width, height), WHITE)
    image.paste(RED, (0, 0, width // 2, height // 2))
    image.paste(GREEN, (width // 2, 0, width, height // 2))
    image.paste(BLUE, (0, height // 2, width // 2, height))
    return image


def noise(width: int, height: int) -> Image.Image:
    """The same random pixels every time."""
    return Image.fromarray(np.random.default_rng(7).integers(0, 256, (height, width, 3), dtype=np.uint8))


def saved(image: Image.Image, kind: str, **options: Any) -> bytes:
    """The bytes of a picture file."""
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def turned(orientation: int) -> bytes:
    """EXIF data with that orientation."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    return exif.tobytes()


def sent(encoded: Encoded) -> Any:
    """The pixels that are sent, height x width x 3."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # broken metadata that was passed on is the reader's business
        image = Image.open(io.BytesIO(encoded.data))
    assert image.size == encoded.size
    assert Image.MIME[image.format or ""] == encoded.media
    return np.asarray(image.convert("RGB"))


def assert_corners(pixels: Any, *expected: tuple[int, int, int]) -> None:
    """Top left, top right, bottom left, bottom right are of these colours, as nearly as a JPEG keeps them."""
    found = [pixels[row, column] for row in (4, -5) for column in (4, -5)]
    assert np.abs(np.array(found, int) - np.array(expected)).max() < 16, found


def png(width: int, height: int, depth: int, colour: int, rows: bytes, *extra: tuple[bytes, bytes]) -> bytes:
    """A PNG that Pillow cannot write."""

    def chunk(name: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))

    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    middle = b"".join(chunk(name, body) for name, body in extra)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + middle
        + chunk(b"IDAT", zlib.compress(rows))
        + chunk(b"IEND", b"")
    )


# --- what goes out unchanged


@pytest.mark.parametrize(
    "data",
    [
        saved(corners(), "JPEG"),
        saved(corners(), "JPEG", progressive=True),
        saved(corners().convert("L"), "JPEG"),
        saved(corners(), "JPEG", exif=turned(1)),
        saved(corners(), "PNG"),
        saved(corners().convert("L"), "PNG"),
        saved(Image.new("RGB", (1, 1)), "PNG"),
        saved(corners(4000, 2), "PNG"),
    ],
    ids=["jpeg", "progressive", "grey jpeg", "upright jpeg", "png", "grey png", "1x1", "4000x2"],
)
def test_plain_jpeg_and_png_go_out_byte_for_byte(data: bytes) -> None:
    """What the server sees as we do is not written anew."""
    encoded = encode(data)
    assert encoded.data == data
    assert encoded.size == encoded.original_size == Image.open(io.BytesIO(data)).size


def test_base64_is_what_the_server_decodes() -> None:
    """Standard alphabet, padding, one line; sent_bytes is its length."""
    for length in range(1, 80):
        encoded = Encoded(bytes(range(250, 250 - length, -1)), "image/png", (1, 1), (1, 1))
        assert encoded.sent_bytes == len(encoded.base64)
        assert len(encoded.base64) % 4 == 0
        assert set(encoded.base64) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/=")


def test_an_encoded_picture_is_not_prepared_again() -> None:
    """Who prepared a picture may hand it on; other limits do not touch it."""
    encoded = encode(corners())
    assert encode(encoded, Upload(shrink=(2, 2), max_pixels=1)) is encoded
    assert describe(encoded) == f"<image/png 48x32, {len(encoded.data)} bytes>"


# --- where pictures come from


def test_every_source_gives_the_same(tmp_path: Path) -> None:
    """Path, str, bytes and their kin, and files are only different ways to the same bytes."""
    data = saved(corners(), "JPEG")
    path = tmp_path / "sofa café 椅子 #1.JPG.txt"
    path.write_bytes(data)
    with path.open("rb") as file:
        sources: list[Any] = [path, str(path), data, bytearray(data), memoryview(data), file, io.BytesIO(data)]
        assert {encode(source).data for source in sources} == {data}


def test_a_file_is_read_from_where_it_stands_and_left_open() -> None:
    """The file stays its owner's."""
    data = saved(corners(), "PNG")
    file = io.BytesIO(b"header" + data)
    file.seek(6)
    assert encode(file).data == data
    assert not file.closed


def test_a_stream_that_gives_a_little_at_a_time_is_read_to_its_end() -> None:
    """Raw streams and sockets answer with less than they are asked for."""

    class Dripping(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            return super().read(min(7, size or 7))

    data = saved(corners(), "PNG")
    assert encode(Dripping(data)).data == data


# --- how they are turned


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize("shrink", [None, (24, 16)])
@pytest.mark.parametrize(
    ("orientation", "expected"),
    [
        (2, (GREEN, RED, WHITE, BLUE)),
        (3, (WHITE, BLUE, GREEN, RED)),
        (4, (BLUE, WHITE, RED, GREEN)),
        (5, (RED, BLUE, GREEN, WHITE)),
        (6, (BLUE, RED, WHITE, GREEN)),
        (7, (WHITE, GREEN, BLUE, RED)),
        (8, (GREEN, WHITE, RED, BLUE)),
    ],
)
def test_exif_orientation_is_applied(
    kind: str, shrink: tuple[int, int] | None, orientation: int, expected: tuple[Any, ...]
) -> None:
    """A person sees the picture upright, so does the network, and nothing is turned twice."""
    data = saved(corners(192, 128), kind, exif=turned(orientation))
    encoded = encode(data, Upload(shrink=shrink))
    assert encoded.original_size == ((192, 128) if orientation < 5 else (128, 192))
    assert encoded.size == (shrink or encoded.original_size)
    assert_corners(sent(encoded), *expected)
    assert not Image.open(io.BytesIO(encoded.data)).getexif()


@pytest.mark.parametrize(
    "exif",
    [
        b"Exif\0\0MM\0\x2a\0\0\0\x08\0\x01",
        b"Exif\0\0MM\0\x2a\xff\xff\xff\xff",
        b"Exif\0\0nonsense and more of it",
        turned(9),
        turned(0),
    ],
)
def test_broken_exif_does_not_matter(exif: bytes) -> None:
    """Pixels that are whole are used, whatever the metadata says."""
    encoded = encode(saved(corners(), "JPEG", exif=exif))
    assert_corners(sent(encoded), RED, GREEN, BLUE, WHITE)


def test_an_orientation_that_pillow_overlooks_is_not_passed_on() -> None:
    """A reader that is less strict than Pillow must not turn what we did not turn."""
    exif = turned(6).replace(b"\x01\x12\x00\x03\x00\x00\x00\x01", b"\x01\x12\x00\x03\x00\xff\xff\x01")
    data = saved(corners(), "JPEG", exif=exif)
    encoded = encode(data)
    assert encoded.data != data
    assert b"Exif" not in encoded.data
    assert encoded.size == (48, 32)


# --- colours


def black_palette() -> Image.Image:
    """A picture with a palette, all of it of colour 3, which is black."""
    image = Image.new("P", (9, 9), 3)
    image.putpalette(bytes(24))
    return image


@pytest.mark.parametrize(
    "data",
    [
        saved(Image.new("RGBA", (9, 9), (9, 9, 9, 0)), "PNG"),
        saved(Image.new("LA", (9, 9), (9, 0)), "PNG"),
        saved(Image.new("RGBA", (9, 9), (9, 9, 9, 0)), "WEBP"),
        saved(Image.new("RGBA", (9, 9), (9, 9, 9, 0)), "TIFF"),
        saved(black_palette(), "PNG", transparency=bytes(8)),
        saved(black_palette(), "PNG", transparency=3),
        saved(black_palette(), "GIF", transparency=3),
        saved(Image.new("L", (9, 9), 3), "PNG", transparency=3),
        saved(Image.new("1", (9, 9), 0), "PNG", transparency=0),
        saved(Image.new("RGB", (9, 9), (3, 4, 5)), "PNG", transparency=(3, 4, 5)),
        png(1, 1, 16, 0, b"\0\x12\x34", (b"tRNS", b"\x12\x34")),
    ],
    ids=["rgba", "la", "webp", "tiff", "p bytes", "p", "gif", "l", "1", "rgb", "grey 16"],
)
def test_what_is_transparent_becomes_white(data: bytes) -> None:
    """A cut-out sofa stands on white, not on whatever colour its hidden pixels have."""
    assert (sent(encode(data)) == 255).all()


@pytest.mark.parametrize("mode", ["RGBA", "LA", "PA", "La", "RGBa"])
def test_half_transparent_is_mixed_with_white(mode: str) -> None:
    """Soft edges stay soft."""
    if mode == "PA":
        image = Image.new("PA", (4, 4), (0, 128))
        image.putpalette(bytes(768))
    else:
        image = Image.new("RGBA", (4, 4), (0, 0, 0, 128))
        image = image.convert("LA").convert(mode) if mode in ("LA", "La") else image.convert(mode)
    assert np.abs(sent(encode(image)).astype(int) - 127).max() <= 1


def test_16_bit_grey_keeps_its_shades() -> None:
    """The upper 8 of 16 bits, as the server's reader takes them, and not everything above 255 white."""
    levels = np.array([[0, 255, 100 << 8, 0xFFFF]], np.uint16)
    expected = [0, 0, 100, 255]
    for picture in (
        levels,
        saved(Image.fromarray(levels), "PNG"),
        saved(Image.fromarray(levels), "TIFF"),
        Image.fromarray(levels),
        Image.fromarray(levels.astype(np.int32)),
    ):
        assert sent(encode(picture))[0, :, 0].tolist() == expected


def test_16_bit_colour_keeps_its_shades() -> None:
    """The same for 16 bits in three channels."""
    data = png(2, 1, 16, 2, b"\0" + struct.pack(">6H", 0, 100 << 8, 0xFFFF, 0xFFFF, 200 << 8, 0))
    encoded = encode(data)
    assert encoded.data != data
    assert sent(encoded)[0].tolist() == [[0, 100, 255], [255, 200, 0]]


@pytest.mark.parametrize(
    "image",
    [
        Image.fromarray(np.array([[0, 0.5, 1]], np.float32)),
        Image.fromarray(np.array([[0, 127.6, 255]], np.float32)),
        Image.fromarray(np.array([[0, 128, 255]], np.int32)),
    ],
    ids=["F to 1", "F to 255", "I to 255"],
)
def test_wide_grey_levels_are_read_by_their_range(image: Image.Image) -> None:
    """Pillow's wide modes hold 0 to 1 or 0 to 255, depending on who made them."""
    for picture in (image, saved(image, "TIFF")):
        assert sent(encode(picture))[0, :, 0].tolist() == [0, 128, 255]


@pytest.mark.parametrize("mode", ["1", "L", "P", "CMYK", "YCbCr", "HSV", "LAB", "RGBX"])
def test_every_mode_of_pillow_becomes_grey_or_colour(mode: str) -> None:
    """A person's red stays red."""
    image = corners() if mode not in ("1", "L") else Image.new("RGB", (48, 32), WHITE)
    image = image.quantize(4) if mode == "P" else image.convert(mode)
    expected = (WHITE,) * 4 if mode in ("1", "L") else (RED, GREEN, BLUE, WHITE)
    assert_corners(sent(encode(image)), *expected)


@pytest.mark.parametrize("adobe", [True, False])
def test_cmyk_jpegs_are_not_negatives(adobe: bool) -> None:
    """Photoshop stores CMYK upside down, and says so in an APP14 marker."""
    data = saved(corners().convert("CMYK"), "JPEG", quality=95)
    if not adobe:
        data = data.replace(b"Adobe", b"Obeda")
    encoded = encode(data)
    assert encoded.media == "image/jpeg"
    assert_corners(sent(encoded), RED, GREEN, BLUE, WHITE)


@pytest.mark.parametrize("kind", ["GIF", "PNG", "WEBP", "TIFF", "MPO"])
def test_of_several_frames_the_first_is_sent(kind: str) -> None:
    """An animation or a burst is its first picture, and the others are not sent along."""
    data = saved(corners(), kind, save_all=True, append_images=[Image.new("RGB", (48, 32), "black")])
    encoded = encode(data)
    assert_corners(sent(encoded), RED, GREEN, BLUE, WHITE)
    assert getattr(Image.open(io.BytesIO(encoded.data)), "n_frames", 1) == 1


@pytest.mark.parametrize(
    ("kind", "media"),
    [("BMP", "image/png"), ("GIF", "image/png"), ("TIFF", "image/png"), ("WEBP", "image/jpeg")],
)
def test_what_the_server_may_not_read_is_written_anew(kind: str, media: str) -> None:
    """Lossless stays lossless; what was lossy before becomes a good JPEG; a colour profile is left behind."""
    encoded = encode(saved(corners(), kind))
    assert encoded.media == media
    assert "icc_profile" not in Image.open(io.BytesIO(encoded.data)).info
    assert_corners(sent(encoded), RED, GREEN, BLUE, WHITE)


@pytest.mark.skipif("AVIF" not in Image.SAVE, reason="this Pillow writes no AVIF")
def test_avif_is_read_where_pillow_reads_it() -> None:
    """Shops have begun to use it."""
    assert_corners(sent(encode(saved(corners(), "AVIF"))), RED, GREEN, BLUE, WHITE)


def test_heic_is_read_with_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    """Phones save it; without the extra the message says how to get it, and calls nothing readable that is not."""
    pillow_heif = pytest.importorskip("pillow_heif", reason="HEIC is not read here: pip install '.[heic]'")
    file = io.BytesIO()
    pillow_heif.from_pillow(corners()).save(file, quality=95)
    encoded = encode(file.getvalue())
    assert encoded.media == "image/jpeg"
    assert_corners(sent(encoded), RED, GREEN, BLUE, WHITE)
    with pytest.raises(ImageError, match="damaged or cut short HEIF"):
        encode(file.getvalue()[:200])
    monkeypatch.setattr(pixels, "HEIC", False)
    with pytest.raises(ImageError, match=r"HEIC, which is read with the extra heic: .*pip install '\.\[heic\]'"):
        encode(file.getvalue())


def test_avif_is_not_called_both_readable_and_not(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where this Pillow lacks it, it is not among what to save pictures as."""
    monkeypatch.setattr(pixels, "AVIF", False)
    monkeypatch.setattr(pixels, "FORMATS", "JPEG, PNG")
    with pytest.raises(ImageError, match=r"AVIF, which .* does not read; save it as one of JPEG, PNG$"):
        encode(b"\0\0\0\x18ftypavif\0\0\0\0mif1avif")


def test_what_is_sent_looks_the_same_to_the_reader_of_the_server() -> None:
    """OpenCV finds the pixels that Pillow finds, in files passed on and in files written."""
    cv2 = pytest.importorskip("cv2")
    for kind in ("JPEG", "PNG", "GIF", "BMP", "TIFF", "WEBP", "MPO"):
        for mode in ("RGB", "L"):
            for orientation in (1, 6):
                data = saved(corners().convert(mode), kind, exif=turned(orientation))
                encoded = encode(data)
                found = cv2.imdecode(np.frombuffer(encoded.data, np.uint8), cv2.IMREAD_COLOR)[:, :, ::-1]
                assert np.abs(found.astype(int) - sent(encoded)).max() <= 2, (kind, mode, orientation)


# --- PIL images and arrays


def test_a_pil_image_is_left_as_it_was() -> None:
    """Nothing is turned, shrunk or forgotten in the caller's own image."""
    image: Image.Image = Image.open(io.BytesIO(saved(corners(), "JPEG", exif=turned(6))))
    before = dict(image.info)
    encoded = encode(image, Upload(shrink=(8, 8)))
    assert encoded.original_size == (32, 48)
    assert image.size == (48, 32)
    assert image.info == before
    assert image.getexif()[0x0112] == 6


def test_a_pil_image_is_taken_at_its_frame() -> None:
    """Who has gone to the second frame means it."""
    image = Image.open(io.BytesIO(saved(corners(), "GIF", save_all=True, append_images=[Image.new("RGB", (48, 32))])))
    image.seek(1)
    assert (sent(encode(image)) == 0).all()


@pytest.mark.parametrize(
    ("array", "expected"),
    [
        (np.full((2, 3), 7, np.uint8), (7, 7, 7)),
        (np.full((2, 3, 1), 7, np.uint8), (7, 7, 7)),
        (np.full((2, 3, 3), (1, 2, 3), np.uint8), (1, 2, 3)),
        (np.full((2, 3, 4), (1, 2, 3, 0), np.uint8), WHITE),
        (np.full((2, 3, 4), (1, 2, 3, 255), np.uint8), (1, 2, 3)),
        (np.full((2, 3), True), WHITE),
        (np.full((2, 3, 3), (0, 0xFFFF, 100 << 8), np.uint16), (0, 255, 100)),
        (np.full((2, 3, 3), (0, 0xFFFF, 100 << 8), ">u2"), (0, 255, 100)),
        (np.full((2, 3, 4), (0, 0xFFFF, 100 << 8, 0xFFFF), np.uint16), (0, 255, 100)),
        (np.full((2, 3, 4), (0, 0xFFF, 100 << 4, 0xFFFF), np.uint16), (0, 255, 100)),
        (np.full((2, 3, 4), (0, 0xFFF, 100 << 4, 0xFFF), np.uint16), (0, 255, 100)),
        (np.full((2, 3, 4), (0, 0xFFF, 0, 0x800), np.uint16), (127, 255, 127)),
        (np.full((2, 3, 4), (0, 0xFFFF, 0, 0xFFF), np.uint16), (240, 255, 240)),
        (np.full((2, 3, 3), (0, 1, 0.5), np.float32), (0, 255, 128)),
        (np.full((2, 3), 0.5, np.float16), (128, 128, 128)),
        (np.full((4, 6, 3), (1, 2, 3), np.uint8)[::2, ::-2], (1, 2, 3)),
    ],
)
def test_arrays_are_rgb_in_the_range_of_their_type(array: Any, expected: tuple[int, int, int]) -> None:
    """uint8 and uint16 use their whole range, floats go from 0 to 1, bool is black and white."""
    encoded = encode(array)
    assert encoded.size == (3, 2)
    assert (sent(encoded) == expected).all()


# --- shrinking


def test_shrinking_gives_exactly_the_networks_size() -> None:
    """The server does not keep the aspect ratio either."""
    encoded = encode(saved(noise(400, 300), "JPEG"), Upload(shrink=(64, 48)))
    assert (encoded.size, encoded.original_size, encoded.media) == ((64, 48), (400, 300), "image/jpeg")
    assert_corners(sent(encode(corners(640, 480), Upload(shrink=(64, 48)))), RED, GREEN, BLUE, WHITE)


@pytest.mark.parametrize(
    ("size", "expected"), [((20, 10), (20, 10)), ((400, 10), (64, 10)), ((20, 300), (20, 64)), ((64, 64), (64, 64))]
)
def test_shrinking_never_enlarges(size: tuple[int, int], expected: tuple[int, int]) -> None:
    """A side that is short enough stays as it is, and so does its file where nothing is left to do."""
    data = saved(noise(*size), "PNG")
    encoded = encode(data, Upload(shrink=(64, 64)))
    assert encoded.size == expected
    assert (encoded.data == data) == (size == expected)


def test_shrinking_goes_by_pixels_alone() -> None:
    """A strongly compressed original is shrunk too, though its file is the smaller one: vectors must compare."""
    data = saved(noise(80, 80), "JPEG", quality=1)
    encoded = encode(data, Upload(shrink=(64, 64)))
    assert len(encoded.data) > len(data)
    assert encoded.size == (64, 64)


def test_shrinking_averages() -> None:
    """Fine stripes become grey; picking single pixels would give stripes of another width."""
    stripes = np.zeros((256, 512), np.uint8)
    stripes[:, ::2] = 255
    for picture in (stripes, saved(Image.fromarray(stripes), "JPEG"), saved(Image.fromarray(stripes), "PNG")):
        pixels = sent(encode(picture, Upload(shrink=(32, 32))))
        assert np.abs(pixels.astype(int) - 128).max() < 6


def test_draft_decoding_does_not_show() -> None:
    """A JPEG decoded at a fraction of its size gives the picture that a whole decode gives."""
    smooth = noise(8, 6).resize((801, 603))
    data = saved(smooth, "JPEG", quality=95)
    quick = sent(encode(data, Upload(shrink=(50, 40)))).astype(int)
    whole = sent(encode(Image.open(io.BytesIO(data)).convert("RGB"), Upload(shrink=(50, 40)))).astype(int)
    assert np.abs(quick - whole).mean() < 3


def test_quality_is_that_of_the_jpegs_written() -> None:
    """And a PNG has none."""
    data = saved(noise(64, 64), "WEBP")
    assert len(encode(data, Upload(quality=60)).data) < len(encode(data).data)
    assert encode(corners(), Upload(quality=60)).data == encode(corners()).data


# --- names, and what the server shall read


@pytest.mark.parametrize(
    ("picture", "expected"),
    [
        ("a/b.jpg", "a/b.jpg"),
        (Path("a") / "b.jpg", str(Path("a/b.jpg"))),
        ("", "<empty path>"),
        ("x" * 5000, "x" * 200 + "... (5000 characters)"),
        (b"123", "<bytes, 3 bytes>"),
        (bytearray(b"123"), "<bytearray, 3 bytes>"),
        (memoryview(b"123"), "<memoryview>"),
        (np.zeros((3, 4, 3), np.uint8), "<array 3x4x3 uint8>"),
        (Image.new("L", (5, 6)), "<image 5x6 L>"),
        (io.BytesIO(b""), "<BytesIO>"),
        (ServerPath("/data/a.jpg"), "/data/a.jpg"),
        (Url("http://host/a.jpg"), "http://host/a.jpg"),
        (None, "<NoneType>"),
    ],
)
def test_pictures_have_names_for_messages(picture: object, expected: str) -> None:
    """A message names the picture in few words, whatever it is."""
    assert describe(picture) == expected


def test_an_open_file_is_called_by_its_name(tmp_path: Path) -> None:
    """A file object knows where it comes from."""
    path = tmp_path / "a.jpg"
    path.write_bytes(b"")
    with path.open("rb") as file:
        assert describe(file) == f"<BufferedReader {path}>"


@pytest.mark.parametrize("path", ["/data/a.jpg", "a b/ü.png", "/data/with.dots/a"])
def test_a_server_path_is_sent_as_it_is(path: str) -> None:
    """The server reads it from its own disk."""
    assert ServerPath(path).data == path


@pytest.mark.parametrize(
    "path",
    ["", "a\0b", "/data/", "/data/x.lmdb", "/a.lmdb/b.jpg", "http://h/a", "https://h/a", "file:///a", Path("/a")],
)
def test_a_server_path_that_means_something_else_is_refused(path: Any) -> None:
    """A directory, a database or a URL would not be read as one picture."""
    with pytest.raises(InvalidRequest, match="ServerPath"):
        ServerPath(path)


@pytest.mark.parametrize("url", ["http://host/a.jpg", "https://host:8080/a?b=c#d", "http://[::1]/a"])
def test_a_url_is_sent_as_it_is(url: str) -> None:
    """The server fetches it by itself."""
    assert Url(url).data == url


@pytest.mark.parametrize(
    "url",
    ["", "host/a.jpg", "HTTP://host/a", "Https://host/a", "file:///a", "ftp://h/a", "http://", "http://h/a b", None],
)
def test_a_url_that_the_server_would_not_fetch_is_refused(url: Any) -> None:
    """It looks for http:// and https:// in lower case, and takes everything else for a path or for data."""
    with pytest.raises(InvalidRequest, match="Url"):
        Url(url)


@pytest.mark.parametrize("picture", [ServerPath("/data/a.jpg"), Url("http://host/a.jpg")])
def test_what_the_server_reads_cannot_be_encoded_here(picture: Any) -> None:
    """There are no bytes of it on this side."""
    with pytest.raises(ImageError, match="for the server to read"):
        encode(picture)


@pytest.mark.parametrize(
    "options",
    [
        {"shrink": (0, 5)},
        {"shrink": (5,)},
        {"quality": 0},
        {"quality": 101},
        {"max_pixels": 0},
        {"max_bytes": 0},
    ],
)
def test_upload_refuses_numbers_that_make_no_sense(options: dict[str, Any]) -> None:
    """Before any picture is touched."""
    with pytest.raises(InvalidRequest, match="Upload"):
        Upload(**options)


def test_threads_do_not_disturb_each_other() -> None:
    """Many pictures at once come out as one by one, and the process's warning filters stay as they were."""
    pictures = [saved(noise(60 + n, 50), "JPEG", exif=turned(n % 8 + 1)) for n in range(24)]
    expected = [encode(picture).data for picture in pictures]
    before = list(warnings.filters)
    found: dict[int, bytes] = {}

    def run(work: Callable[[int], bytes], start: int) -> None:
        for number in range(start, len(pictures), 6):
            found[number] = work(number)

    threads = [threading.Thread(target=run, args=(lambda n: encode(pictures[n]).data, start)) for start in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [found[number] for number in range(len(pictures))] == expected
    assert warnings.filters == before
