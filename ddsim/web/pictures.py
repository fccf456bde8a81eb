"""The catalogue's pictures for the page: of indexed items only, written anew, small ones kept on disk."""

from __future__ import annotations

import hashlib
import logging
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from PIL import ExifTags, Image
from PIL.JpegImagePlugin import JpegImageFile

from ddsim.catalogue import Row
from ddsim.config import Settings
from ddsim.errors import CatalogueUnreachable, ConfigError, ImageError
from ddsim.pictures import pixels
from ddsim.sources import Source
from ddsim.web.addresses import version
from ddsim.web.files import make_folder, write
from ddsim.web.refusals import UNKNOWN_ITEM, Refusal, words_for_item
from ddsim.web.rendering import SIDE, fitted, jpeg

_log = logging.getLogger(__name__)

SIZES = (160, 320, 640)
"""Sides of thumbnails, in pixels: of the square that they fit into."""
SHAPE_SIDE = 320
_SIDEWAYS = (5, 6, 7, 8)
_QUALITY, _THUMBNAIL_QUALITY = 88, 82


@dataclass(frozen=True, slots=True)
class Rendered:
    """A JPEG and which content of the item's file it was made of."""

    data: bytes
    version: str


class Pictures:
    """Makes the pictures of items. Any thread may use it.

    Args:
        folder: where thumbnails are kept; made where it is missing.
        settings: tell which files are too large.

    Raises:
        ConfigError: the folder cannot be made.
    """

    def __init__(self, folder: Path, settings: Settings) -> None:
        self._folder = folder
        self._limits = settings.upload
        make_folder(folder)

    def shape(self, row: Row, source: Source) -> tuple[int, int]:
        """Width and height of an item's picture when it is fitted into a square of 320 pixels; square if unknown.

        A picture that is not on this machine is not fetched for that: its shape is known once it was shown.
        """
        folder = source.folder
        return _shape(self._place(version(row.sha256), SHAPE_SIDE) if folder is None else folder / row.uri, row.sha256)

    def picture(self, row: Row, source: Source) -> Rendered:
        """An item's picture, at most 1600 pixels a side.

        Args:
            row: the item, as the manifest knows it; no other name ever gets here.
            source: where it is read from.

        Raises:
            Refusal: its file is gone, no picture any more, or cannot be fetched just now.
        """
        data, found = self._read(row, source)
        return Rendered(self._made(data, row, SIDE, _QUALITY), found)

    def thumbnail(self, row: Row, source: Source, size: int) -> Rendered:
        """An item's picture within a square of one of :data:`SIZES`; raises as :meth:`picture` does."""
        try:
            return Rendered(self._place(version(row.sha256), size).read_bytes(), version(row.sha256))
        except OSError:
            pass  # not made yet
        data, found = self._read(row, source)
        made = self._made(data, row, size, _THUMBNAIL_QUALITY)
        place = self._place(found, size)
        try:
            write(place, made)
        except ConfigError as error:  # a full disk: it is made anew the next time
            _log.warning("%s", error)
        return Rendered(made, found)

    def _read(self, row: Row, source: Source) -> tuple[bytes, str]:
        try:
            data = source.read(row.uri, self._limits.max_bytes)
        except (ImageError, CatalogueUnreachable) as error:
            _log.warning("%s cannot be shown: %s", row.uri, error)
            raise Refusal(words_for_item(error)) from error
        # The file may be another one since it was indexed, and thumbnails are kept by content.
        return data, version(hashlib.sha256(data).hexdigest())

    def _made(self, data: bytes, row: Row, side: int, quality: int) -> bytes:
        try:
            return jpeg(fitted(data, side, self._limits.max_pixels, row.uri), quality)
        except ImageError as error:
            raise Refusal(UNKNOWN_ITEM) from error

    def _place(self, content: str, size: int) -> Path:
        return self._folder / content[:2] / f"{content}-{size}.jpg"


@lru_cache(maxsize=20_000)
def _shape(path: Path, sha256: str | None) -> tuple[int, int]:
    """From the file's header alone: who shows a page of results needs it of all of them at once.

    Args:
        path: of the file.
        sha256: of its content; another content is another entry of the cache.
    """
    del sha256
    try:
        with pixels.blaming(str(path), "damaged"), pixels.quiet(), Image.open(path) as image:
            width, height = image.size
            # Asking a PNG would decode it.
            turned = isinstance(image, JpegImageFile) and image.getexif().get(ExifTags.Base.Orientation, 1) in _SIDEWAYS
    except ImageError:
        return SHAPE_SIDE, SHAPE_SIDE
    if turned:
        width, height = height, width
    share = SHAPE_SIDE / max(width, height)
    return max(1, round(width * share)), max(1, round(height * share))
