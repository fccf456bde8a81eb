"""Pictures as the page shows them: upright, fitted into a square, written anew as plain JPEG."""

from __future__ import annotations

import io
from contextlib import nullcontext
from math import ceil

from PIL import Image
from PIL.TiffImagePlugin import TiffImageFile

from ddsim.pictures import jpegs, pixels
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
    data = pixels.without_blanks(data)
    image = pixels.open_header(data, source)
    full, share = image.size, side / max(*image.size, 1)
    # The decoder halves cheaply and well, to no less than it is asked for.
    least = ceil(full[0] * share), ceil(full[1] * share)
    jpegs.reduce(image, least)
    decoded = full if jpegs.held_whole(image, data) else image.size
    if decoded[0] * decoded[1] > most_pixels:
        raise too_many_pixels(*full, most_pixels)
    pixels.check_size(full, most_pixels, source, decoded)
    with pixels.blaming(source, "damaged or cut short"):
        with pixels.quiet() if isinstance(image, TiffImageFile) else nullcontext():
            loaded, _ = jpegs.load(image, data, least)
        orientation = pixels.orientation(loaded)
        upright = loaded.transpose(pixels.TURNS[orientation]) if orientation in pixels.TURNS else loaded
        plain, _ = pixels.flatten(upright, source)
        plain.thumbnail((side, side), Image.Resampling.LANCZOS, reducing_gap=3.0)
    return plain


def jpeg(image: Image.Image, quality: int) -> bytes:
    """The content of a JPEG file with these pixels and nothing else."""
    file = io.BytesIO()
    image.save(file, "JPEG", quality=quality, optimize=True)
    return file.getvalue()
