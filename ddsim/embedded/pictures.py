"""Pictures as a real server reads them for Caffe: decoded, resized and shifted by OpenCV.

Seen in recordings/wire/63-golden-preprocessing, unless said otherwise.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from ddsim.caffe import BlobError, read_blob

_INTERPOLATION = {
    "nearest": cv2.INTER_NEAREST,
    "linear": cv2.INTER_LINEAR,
    "area": cv2.INTER_AREA,
    "lanczos4": cv2.INTER_LANCZOS4,
}
_GIF = b"GIF8"
_JPEG = b"\xff\xd8\xff"
_END_OF_JPEG = b"\xff\xd9"


class UndecodablePicture(Exception):
    """The bytes are no picture that the real server can read, or cannot be brought to the size asked for."""


@dataclass(frozen=True, eq=False)
class Preprocessing:
    """What becomes of a decoded picture.

    Attributes:
        width, height: in pixels; the aspect ratio is not kept.
        mean: subtracted, for each channel in the order of the result a number or a plane of (height, width). Channels
            without one are left alone, surplus ones are ignored.
        rgb: swap the channels to R, G, B, before anything is subtracted.
        bw: one grey channel, decoded so (see :func:`decode`); together with ``rgb`` three equal ones.
        interp: nearest, linear, area, lanczos4; any other word means cubic.
        scale, std: factor before, divisor after the mean; Caffe ignores both, Torch does not.
        equalize: spread the brightness over its whole range (``histogram_equalization``).
    """

    width: int
    height: int
    mean: tuple[float, ...] | NDArray[np.float32] = ()
    rgb: bool = False
    bw: bool = False
    interp: str = "cubic"
    scale: float = 1.0
    std: tuple[float, ...] = ()
    equalize: bool = False


def decode(data: bytes, grey: bool = False) -> NDArray[np.uint8]:
    """Decode a picture.

    Grey becomes three equal channels, alpha is dropped, 16 bits become 8. The EXIF orientation is applied, as OpenCV
    does in ``imdecode`` and ``imread`` alike: known from OpenCV's source, no recording shows it. A cut-off JPEG is
    accepted (recordings/wire/10-predict-data-errors); what it lacks is grey here, while the recorded server, with
    OpenCV 4.6, repeats the last row it could read.

    Args:
        data: the bytes of a file.
        grey: have the decoder make it grey, as the real server does for ``bw``; its rounding differs from that of a
            conversion afterwards by up to a grey level (recordings/torch/wire/13-input-parameters).

    Returns:
        (height, width, 3), channels B, G, R; (height, width) where grey.

    Raises:
        UndecodablePicture: it is empty, damaged or of an unknown format; or a GIF, which newer OpenCV reads and that of
            the recorded server does not.
    """
    if not data:
        raise UndecodablePicture("it is empty")
    if data.startswith(_GIF):
        raise UndecodablePicture("GIF is not read")
    if data.startswith(_JPEG):
        # Of a cut-off file newer OpenCV gives nothing, or what another picture left in memory; not if it ends properly.
        data += _END_OF_JPEG
    try:
        picture = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_GRAYSCALE if grey else cv2.IMREAD_COLOR)
    except cv2.error as problem:
        raise UndecodablePicture(f"OpenCV cannot read it: {problem.err}") from problem
    if picture is None:
        raise UndecodablePicture("OpenCV cannot read it")
    return _bytes(picture)


def as_decoded(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """What :func:`decode` gives of a file whose pixels, grey or in RGB order, are known."""
    return _bytes(cv2.cvtColor(pixels, cv2.COLOR_GRAY2BGR if pixels.ndim == 2 else cv2.COLOR_RGB2BGR))


def prepare(
    picture: NDArray[np.uint8], preprocessing: Preprocessing, honour_scale: bool = False
) -> NDArray[np.float32]:
    """Bring a picture into the form of a network's input.

    Args:
        picture: as :func:`decode` gives it.
        preprocessing: how.
        honour_scale: apply ``scale`` and ``std``, as Torch does.

    Returns:
        (channels, height, width).

    Raises:
        UndecodablePicture: width or height is not positive, or too large.
    """
    if preprocessing.bw and picture.ndim == 3:
        picture = _bytes(cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY))
    interpolation = _INTERPOLATION.get(preprocessing.interp, cv2.INTER_CUBIC)
    try:
        resized = cv2.resize(picture, (preprocessing.width, preprocessing.height), interpolation=interpolation)
    except cv2.error as problem:
        raise UndecodablePicture(
            f"it cannot be resized to {preprocessing.width} x {preprocessing.height}: {problem.err}"
        ) from problem
    planes = _coloured(_bytes(resized), preprocessing).astype(np.float32)
    if planes.ndim == 2:
        planes = planes[:, :, np.newaxis]
    planes = np.ascontiguousarray(planes.transpose(2, 0, 1))
    if honour_scale:
        planes *= np.float32(preprocessing.scale)
    for plane, mean in zip(planes, preprocessing.mean, strict=False):
        plane -= _fitted(mean, plane.shape)
    if honour_scale:
        for plane, std in zip(planes, preprocessing.std, strict=False):
            plane /= np.float32(std)
    return planes


def read_mean(path: Path) -> tuple[float, ...] | NDArray[np.float32]:
    """Read a ``mean.binaryproto``, which a real server takes from the repository by itself, in place of ``mean``.

    Returns:
        one number a channel where the file holds that, else an array (channels, height, width). Where a mean picture
        has another size than the network's input, ``prepare`` resizes it. The real server instead reads its numbers in
        a row as if it had the right size (known from its source, not recorded), which shifts every line.

    Raises:
        BlobError: the file cannot be read, is damaged, or holds no picture.
    """
    try:
        blob = read_blob(path.read_bytes())
    except OSError as problem:
        raise BlobError(f"{path}: cannot be read: {problem.strerror}") from problem
    except BlobError as problem:
        raise BlobError(f"{path}: {problem}") from problem
    if blob.ndim == 4 and len(blob) == 1:
        blob = blob[0]
    if blob.ndim == 1 or blob.shape[1:] == (1, 1):
        return tuple(float(value) for value in blob.ravel())
    if blob.ndim != 3 or not blob.size:
        raise BlobError(f"{path}: expected a mean of channels x height x width, found {list(blob.shape)}")
    return blob


def _coloured(picture: NDArray[np.uint8], preprocessing: Preprocessing) -> NDArray[np.uint8]:
    if preprocessing.equalize:
        picture = _equalized(picture)
    if preprocessing.rgb:
        swap = cv2.COLOR_GRAY2RGB if picture.ndim == 2 else cv2.COLOR_BGR2RGB
        picture = _bytes(cv2.cvtColor(picture, swap))
    return picture


def _equalized(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Brightness alone is equalized, so that colours keep their balance."""
    if picture.ndim == 2:
        return _bytes(cv2.equalizeHist(picture))
    luma, red, blue = cv2.split(cv2.cvtColor(picture, cv2.COLOR_BGR2YCrCb))
    merged = cv2.merge([cv2.equalizeHist(luma), red, blue])
    return _bytes(cv2.cvtColor(merged, cv2.COLOR_YCrCb2BGR))


def _fitted(mean: float | NDArray[np.float32], shape: tuple[int, ...]) -> NDArray[np.float32]:
    plane = np.asarray(mean, np.float32)
    if plane.ndim == 0 or plane.shape == shape:
        return plane
    return np.asarray(cv2.resize(plane, (shape[1], shape[0]), interpolation=cv2.INTER_LINEAR), np.float32)


def _bytes(picture: object) -> NDArray[np.uint8]:
    """The same array; OpenCV's own annotations say less than it returns."""
    return np.asarray(picture, np.uint8)
