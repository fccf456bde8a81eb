"""pictures: decoding and preprocessing against what a real server gave its network (recordings, wire/63)."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from caffe_writer import blob
from PIL import Image

from ddsim.caffe import BlobError
from ddsim.embedded.pictures import Preprocessing, UndecodablePicture, decode, prepare, read_mean

RECORDINGS = Path(__file__).parents[2] / "contract" / "recordings"


def recorded_inputs() -> list[Any]:
    """Each picture of recording 63 with its parameters and what the network was given, or its first values."""
    found = []
    exchanges = json.loads((RECORDINGS / "wire" / "63-golden-preprocessing.json").read_text("utf-8"))["exchanges"]
    for exchange in exchanges[1:]:
        request, response = exchange["request"]["json"], exchange["response"]
        given = dict(request["parameters"].get("input", {}))
        # An int first makes an array of ints: the recorded server read 117.5 as 0 (recordings/CHECKED.md).
        if response["status"] != 200 or given.get("mean") == [104, 117.5, 123]:
            continue
        vals = response["json"]["body"]["predictions"][0]["vals"]
        first = response.get("first_of_each_channel") if isinstance(vals, dict) else None
        image = request["data"][0]["$image"]
        if first is not None or isinstance(vals, list):
            found.append(pytest.param(image, given, first or vals, id=f"{image}-{json.dumps(given)}"))
    return found


@pytest.mark.parametrize(("image", "given", "expected"), recorded_inputs())
def test_network_is_given_what_the_real_server_gives(image: str, given: dict[str, Any], expected: list[float]) -> None:
    """Decoding, resizing, channel order and mean agree; cubic may differ by one grey level between OpenCV versions."""
    preprocessing = Preprocessing(
        given.get("crop_width", 32),
        given.get("crop_height", 32),
        tuple(given.get("mean", ())),
        rgb=given.get("rgb", False),
        interp=given.get("interp", "cubic"),
        scale=given.get("scale", 1.0),
        std=tuple(given.get("std", ())),
        equalize=given.get("histogram_equalization", False),
    )
    planes = prepare(decode((RECORDINGS / "images" / image).read_bytes()), preprocessing)
    assert planes.shape == (3, 32, 32)
    assert planes.dtype == np.float32
    result = planes[:, 0, 0] if len(expected) == 3 else planes.ravel()
    difference = np.abs(result - np.array(expected))
    # What a mean that is too short leaves out is 0 here; the real server reads some memory, which was about 0.
    assert difference.max() <= (1e-4 if preprocessing.interp in {"linear", "area", "nearest"} else 1.0)
    assert difference.mean() <= 0.05


def test_rgb_swaps_before_the_mean_is_subtracted() -> None:
    """The first number of a mean belongs to the first channel of the result, whichever colour that is."""
    picture = np.full((4, 4, 3), (10, 20, 30), np.uint8)
    planes = prepare(picture, Preprocessing(2, 2, (1.0, 2.0, 3.0), rgb=True))
    assert planes[:, 0, 0].tolist() == [29.0, 18.0, 7.0]


def test_bw_gives_one_channel_and_three_with_rgb() -> None:
    """Grey is one plane; asked to be RGB as well it is three equal ones."""
    picture = np.full((4, 4, 3), (10, 20, 30), np.uint8)
    assert prepare(picture, Preprocessing(2, 3, bw=True)).shape == (1, 3, 2)
    planes = prepare(picture, Preprocessing(2, 3, bw=True, rgb=True, equalize=True))
    assert planes.shape == (3, 3, 2)
    assert np.array_equal(planes[0], planes[2])


def test_scale_and_std_count_for_torch_only() -> None:
    """Torch multiplies, subtracts, divides, in this order; Caffe subtracts."""
    picture = np.full((4, 4, 3), 100, np.uint8)
    preprocessing = Preprocessing(4, 4, (1.0, 2.0, 3.0), scale=0.1, std=(2.0, 4.0, 0.5))
    assert prepare(picture, preprocessing)[:, 0, 0].tolist() == [99.0, 98.0, 97.0]
    assert prepare(picture, preprocessing, honour_scale=True)[:, 0, 0].tolist() == pytest.approx([4.5, 2.0, 14.0])


@pytest.mark.parametrize(("width", "height"), [(0, 5), (5, 0), (-1, -1)])
def test_impossible_size_is_an_error_of_the_picture(width: int, height: int) -> None:
    """OpenCV's refusal to resize does not get out as such."""
    with pytest.raises(UndecodablePicture, match="resized"):
        prepare(np.zeros((4, 4, 3), np.uint8), Preprocessing(width, height))


@pytest.mark.parametrize("data", [b"", b"not a picture", b"\xff\xd8\xff\xe0", b"\x89PNG\r\n\x1a\n"])
def test_bytes_that_are_no_picture_are_refused(data: bytes) -> None:
    """Empty, foreign and headless files are UndecodablePicture."""
    with pytest.raises(UndecodablePicture):
        decode(data)


def test_gif_is_refused() -> None:
    """The recorded server cannot read GIF, whatever the OpenCV at hand can do."""
    with pytest.raises(UndecodablePicture, match="GIF"):
        decode((RECORDINGS / "images" / "anim.gif").read_bytes())


@pytest.mark.parametrize("mode", ["L", "LA", "RGBA", "P", "I;16", "1"])
def test_every_kind_of_png_becomes_three_channels_of_bytes(mode: str) -> None:
    """Grey, alpha, palette, 16 bits and 1 bit all end as blue, green, red bytes."""
    file = io.BytesIO()
    Image.new(mode, (5, 3)).save(file, "PNG")
    picture = decode(file.getvalue())
    assert picture.shape == (3, 5, 3)
    assert picture.dtype == np.uint8


def test_orientation_of_a_photograph_is_applied() -> None:
    """A JPEG that says it lies on its side is turned upright."""
    exif = Image.Exif()
    exif[0x0112] = 6
    file = io.BytesIO()
    Image.new("RGB", (40, 20)).save(file, "JPEG", exif=exif)
    assert decode(file.getvalue()).shape == (40, 20, 3)


def test_cut_off_jpeg_is_read_as_far_as_it_goes() -> None:
    """The real server accepts such a picture (recordings, wire/10); here the rest is grey, the same each time."""
    whole = (RECORDINGS / "images" / "chair1.jpg").read_bytes()
    picture = decode(whole[:-150])
    assert picture.shape == (96, 96, 3)
    assert np.array_equal(picture, decode(whole[:-150]))
    assert np.array_equal(picture[:78], decode(whole)[:78])
    assert (picture[-1, -1] == 128).all()


@pytest.mark.parametrize("legacy", [False, True])
def test_mean_of_one_number_a_channel_is_read(tmp_path: Path, legacy: bool) -> None:
    """A mean file of 1 x 1 pixels is the same as the parameter."""
    path = tmp_path / "mean.binaryproto"
    path.write_bytes(blob(np.array([104, 117, 123]).reshape(1, 3, 1, 1), legacy))
    assert read_mean(path) == (104.0, 117.0, 123.0)


def test_mean_picture_is_subtracted_pixel_by_pixel(tmp_path: Path) -> None:
    """Each pixel has its own mean, channel by channel."""
    path = tmp_path / "mean.binaryproto"
    values = np.arange(3 * 4 * 6, dtype=np.float32).reshape(1, 3, 4, 6)
    path.write_bytes(blob(values, legacy=True))
    planes = prepare(np.full((4, 6, 3), 100, np.uint8), Preprocessing(6, 4, read_mean(path)))
    assert np.array_equal(planes, 100 - values[0])


def test_mean_picture_of_another_size_is_resized(tmp_path: Path) -> None:
    """A mean of twice the size is brought to the size of the input."""
    path = tmp_path / "mean.binaryproto"
    ramp = np.tile(np.arange(8, dtype=np.float32), (3, 8, 1))
    path.write_bytes(blob(ramp))
    planes = prepare(np.full((4, 4, 3), 100, np.uint8), Preprocessing(4, 4, read_mean(path)))
    expected = cv2.resize(ramp[0], (4, 4), interpolation=cv2.INTER_LINEAR)
    assert np.array_equal(planes[2], 100 - expected)


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (b"garbage", "mean.binaryproto: "),
        (blob(np.zeros((2, 3, 4, 4))), "channels x height x width"),
        (None, "cannot be"),
    ],
)
def test_unusable_mean_names_its_file(tmp_path: Path, data: bytes | None, problem: str) -> None:
    """A missing, damaged or unfit mean file is an error with its path."""
    path = tmp_path / "mean.binaryproto"
    if data is not None:
        path.write_bytes(data)
    with pytest.raises(BlobError) as raised:
        read_mean(path)
    assert str(path) in str(raised.value)
    assert problem in str(raised.value)
