"""Small pictures, and parts of pictures."""

from __future__ import annotations

import io
import math
from collections.abc import Sequence

from PIL import Image

from ddsim.errors import ImageError, InvalidRequest
from ddsim.pictures.encoding import Picture, Upload, describe, encode

_QUALITY = 80
# Of the sides of a part: what is smaller shows nothing.
_LEAST = 8
# Fractions that were rounded somewhere may end a little outside.
_OUTSIDE = 1.001


def thumbnail(picture: Picture, side: int) -> bytes | None:
    """A small picture in its own proportions, upright.

    Args:
        picture: anything that :func:`encode` takes.
        side: neither width nor height is longer, in pixels.

    Returns:
        the content of a JPEG file; None where the picture cannot be read.
    """
    try:
        # Twice the size, so that the last filter has something to filter; both sides are shrunk on their own.
        prepared = encode(picture, Upload(shrink=(2 * side, 2 * side)))
    except ImageError:
        return None
    wide, high = prepared.original_size
    factor = min(1.0, side / max(wide, high))
    size = (max(1, round(wide * factor)), max(1, round(high * factor)))
    file = io.BytesIO()
    with Image.open(io.BytesIO(prepared.data)) as image:
        image.convert("RGB").resize(size, Image.Resampling.LANCZOS).save(file, "JPEG", quality=_QUALITY)
    return file.getvalue()


def part_of(picture: Picture, region: Sequence[float], upload: Upload) -> Image.Image:
    """A part of a picture.

    Args:
        picture: anything that :func:`encode` takes.
        region: left, top, width and height as fractions of the upright picture, from 0 to 1.
        upload: limits of what is read.

    Raises:
        InvalidRequest: the region is not inside the picture, or less than 8 pixels wide or high.
        ImageError: the picture cannot be read.
    """
    x, y, width, height = _checked(region)
    whole = encode(picture, Upload(max_pixels=upload.max_pixels, max_bytes=upload.max_bytes))
    with Image.open(io.BytesIO(whole.data)) as image:
        return cut(image, (x, y, width, height), describe(picture))


def cut(image: Image.Image, region: tuple[float, float, float, float], source: str) -> Image.Image:
    """A part of an upright image, by fractions that lie inside it.

    Raises:
        InvalidRequest: it is less than 8 pixels wide or high.
    """
    x, y, width, height = region
    left, top = round(x * image.width), round(y * image.height)
    right, bottom = round((x + width) * image.width), round((y + height) * image.height)
    if right - left < _LEAST or bottom - top < _LEAST:
        raise InvalidRequest(
            f"{source}: the region {region} is {max(right - left, 0)} x {max(bottom - top, 0)} pixels of it, too small "
            f"to show anything: at least {_LEAST} x {_LEAST} are needed"
        )
    return image.crop((left, top, right, bottom))


def _checked(region: Sequence[float]) -> tuple[float, float, float, float]:
    wrong = InvalidRequest(
        f"region={region!r}: left, top, width and height as fractions of the picture are needed, from 0 to 1 and "
        "inside it, such as (0.25, 0.25, 0.5, 0.5)"
    )
    try:
        numbers = [float(part) for part in region]
    except (TypeError, ValueError) as error:
        raise wrong from error
    if len(numbers) != 4 or not all(map(math.isfinite, numbers)):
        raise wrong
    x, y, width, height = numbers
    if min(x, y) < 0 or min(width, height) <= 0 or x + width > _OUTSIDE or y + height > _OUTSIDE:
        raise wrong
    return x, y, min(width, 1 - x), min(height, 1 - y)
