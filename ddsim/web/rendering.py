"""Pictures as the page shows them: upright, fitted into a square, written anew as plain JPEG."""

from __future__ import annotations

import io
from contextlib import nullcontext
from math import ceil

from PIL import Image
from PIL.JpegImagePlugin import JpegImageFile
from PIL.TiffImagePlugin import TiffImageFile

from ddsim.pictures import pixels
from ddsim.web.refusals import too_many_pixels

MEDIA = "image/jpeg"
SIDE = 1600
"""The longest side of any picture that is shown, in pixels."""


def fitted(data: bytes, side: int, most_pixels: int, source: str) -> Image.Image:
    """Decode the content of a picture file.

    Args:
        data: of a format that the library reads; nothing but plain decoders sees it.
        side: neither width nor height of the result is longer; nothing is enlarged.
        most_pixels: pictures with more are refused before anything is decoded.
        source: what to call it in errors.

    Returns:
        an upright L or RGB image without metadata.

    Raises:
        ImageError: it is no picture, or damaged.
        Refusal: too many pixels.
    """
    image = pixels.open_header(data, source)
    if image.width * image.height > most_pixels:
        raise too_many_pixels(image.width, image.height, most_pixels)
    pixels.check_size(image.size, most_pixels, source)
    with pixels.blaming(source, "damaged or cut short"):
        if isinstance(image, JpegImageFile):
            # The decoder halves cheaply and well, to no less than it is asked for.
            share = side / max(image.size)
            image.draft(image.mode, (ceil(image.width * share), ceil(image.height * share)))
        with pixels.quiet() if isinstance(image, TiffImageFile) else nullcontext():
            image.load()
        orientation = pixels.orientation(image)
        upright = image.transpose(pixels.TURNS[orientation]) if orientation in pixels.TURNS else image
        plain = pixels.flatten(upright, source)
        plain.thumbnail((side, side), Image.Resampling.LANCZOS, reducing_gap=3.0)
    return plain


def jpeg(image: Image.Image, quality: int) -> bytes:
    """The content of a JPEG file with these pixels and nothing else."""
    file = io.BytesIO()
    image.save(file, "JPEG", quality=quality, optimize=True)
    return file.getvalue()
