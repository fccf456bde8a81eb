"""What is special about JPEGs: they can be decoded small, and one that is cut short is whole up to that place."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from dataclasses import dataclass

from PIL import Image, ImageChops, ImageFile
from PIL.JpegImagePlugin import JpegImageFile

from ddsim.pictures import pixels

#: So much of a picture's rows has to be there.
ENOUGH = 0.9
NO_END = "the end of the file is missing, its pixels are all there"
CUT_SHORT = "cut short: up to a tenth of the rows, at the bottom, is missing and grey"

_END = b"\xff\xd9"
# Read as pixels these bits make something else than the grey which a decoder puts where nothing comes.
_OTHERWISE = b"\xa5\x3c\x96\x69" * 16
_AFTER_PIXELS = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")
_START_OF_SCAN = 0xDA
_COEFFICIENTS = 64


def reduce(image: ImageFile.ImageFile, least: tuple[int, int] | None) -> bool:
    """Have a JPEG decoded at a half, a quarter or an eighth of its size, which costs that much less memory.

    Args:
        image: not loaded yet; of other kinds nothing changes.
        least: (width, height) that it has to have at least; None leaves its size.

    Returns:
        whether its size is another one now.
    """
    full = image.size
    if least is not None and isinstance(image, JpegImageFile):
        image.draft(image.mode, least)
    return image.size != full


def held_whole(image: ImageFile.ImageFile, data: bytes) -> bool:
    """Whether the decoder holds all of a picture in memory, however small it gives it.

    So it is with a JPEG that comes in several scans, as progressive ones do: 3 bytes a pixel, as many as its full size.
    """
    if not isinstance(image, JpegImageFile):
        return True
    first = next(_scans(data), None)
    return bool(image.info.get("progressive")) or first is None or len(first.components) < image.layers


def load(image: Image.Image, data: bytes, least: tuple[int, int] | None) -> tuple[Image.Image, str]:
    """Decode a picture, also a JPEG of which the end is missing but nine tenths of the rows are there.

    Pillow's own switch for that counts for the whole process and does not say how much was missing.

    Args:
        image: opened, and reduced to ``least``.
        data: the content of its file; empty where there is none.
        least: as for :func:`reduce`.

    Returns:
        the picture, and what is to be said about it: nothing, :data:`NO_END` or :data:`CUT_SHORT`.

    Raises:
        OSError: and whatever else Pillow raises: it is damaged, or too little of it is there.
    """
    try:
        image.load()
    except OSError:
        if not data or not isinstance(image, JpegImageFile) or not _all_scans_begun(data, image.layers):
            raise
        there = data.rstrip(b"\xff")
        whole = _decoded(there + _END, least)
        rows = min(_rows_alike(whole, _decoded(there + more + _END, least)) for more in _continuations(there))
        if rows < ENOUGH * whole.height:
            raise
        return whole, NO_END if rows == whole.height else CUT_SHORT
    return image, ""


def _continuations(data: bytes) -> Iterator[bytes]:
    """What may come after the end of the data: where the picture depends on that, the data did not reach."""
    yield _OTHERWISE
    last, number = max((data.rfind(bytes((0xFF, 0xD0 + number))), number) for number in range(8))
    if last >= 0:
        # Between restart marks a decoder passes over what does not belong there.
        yield bytes((0xFF, 0xD0 + (number + 1) % 8)) + _OTHERWISE


def _rows_alike(one: Image.Image, other: Image.Image) -> int:
    box = ImageChops.difference(one, other).getbbox()
    return one.height if box is None else box[1]


def _decoded(data: bytes, least: tuple[int, int] | None) -> JpegImageFile:
    with pixels.quiet():
        image = JpegImageFile(io.BytesIO(data))
    reduce(image, least)
    image.load()
    return image


@dataclass(frozen=True)
class _Scan:
    """One pass over a picture: which components it brings, which of their 64 coefficients, and how exact (0: fully)."""

    components: bytes
    first: int
    last: int
    missing_bits: int


def _all_scans_begun(data: bytes, components: int) -> bool:
    """Whether every coefficient of every component is there, or was about to be when the file ended."""
    exact = {
        (component, place)
        for scan in _scans(data)
        if scan.missing_bits == 0
        for component in scan.components
        for place in range(scan.first, min(scan.last, _COEFFICIENTS - 1) + 1)
    }
    return len(exact) >= components * _COEFFICIENTS


def _scans(data: bytes) -> Iterator[_Scan]:
    place = 2
    while (place := data.find(b"\xff", place)) >= 0 and place + 4 <= len(data):
        marker = data[place + 1]
        if marker == 0xFF:
            place += 1
            continue
        if marker == 0xD9:
            return
        if marker in (0x00, 0x01) or 0xD0 <= marker <= 0xD8:
            place += 2
            continue
        length = int.from_bytes(data[place + 2 : place + 4], "big")
        content = data[place + 4 : place + 2 + length]
        place += 2 + length
        if marker != _START_OF_SCAN or len(content) < 4 or len(content) < 4 + 2 * content[0]:
            continue
        count = content[0]
        first, last, exactness = content[1 + 2 * count : 4 + 2 * count]
        yield _Scan(content[1 : 1 + 2 * count : 2], first, last, exactness & 15)
        after = _AFTER_PIXELS.search(data, place)
        if after is None:
            return
        place = after.start()
