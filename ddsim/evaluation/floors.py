"""What a search must beat to be worth its while: chance, and comparing tiny grey thumbnails pixel by pixel."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from PIL import Image

from ddsim.deepdetect import Vectors
from ddsim.errors import ImageError
from ddsim.evaluation.pictures import Photo
from ddsim.pictures import Upload, encode
from ddsim.vectors import Cache

# No configuration can be called so: these have a space.
CHANCE, THUMBNAIL = "pure chance", "grey thumbnail"
KEY = "thumbnail 16 x 16 grey, 1"
_SIDE = 16
_WORKERS = 2
_AT_ONCE = 256


def thumbnail(photo: Photo, limits: Upload) -> Vectors:
    """A picture as 16 x 16 shades of grey, row by row, 0 to 1, shape (256,).

    Raises:
        ImageError: it cannot be read.
    """
    content = photo.source.read(photo.uri, limits.max_bytes)
    shrunk = encode(content, Upload((4 * _SIDE, 4 * _SIDE), 95, limits.max_pixels, limits.max_bytes))
    with Image.open(io.BytesIO(shrunk.data)) as image:
        small = image.convert("L").resize((_SIDE, _SIDE), Image.Resampling.BOX)
    shades: Vectors = np.asarray(small, dtype=np.float32).ravel() / np.float32(255)
    return shades


def keep_thumbnails(
    cache: Cache, photos: Mapping[str, Photo], limits: Upload, told: Callable[[int], None]
) -> dict[str, str]:
    """Have the thumbnails of pictures in the cache.

    Args:
        cache: where they go, under :data:`KEY`.
        photos: by content hash.
        limits: of files and pixels.
        told: called with how many pictures more are done.

    Returns:
        content hash -> why that picture cannot be read.
    """
    known = cache.known(KEY, photos)
    missing = [photo for sha256, photo in photos.items() if sha256 not in known]
    unreadable: dict[str, str] = {}
    with ThreadPoolExecutor(_WORKERS, thread_name_prefix="ddsim-thumbnails") as pool:
        for start in range(0, len(missing), _AT_ONCE):
            part = missing[start : start + _AT_ONCE]
            made: dict[str, Vectors] = {}
            for photo, vector in zip(part, pool.map(lambda one: _tried(one, limits), part), strict=True):
                if isinstance(vector, str):
                    unreadable[photo.sha256] = vector
                else:
                    made[photo.sha256] = vector
            cache.keep_vectors(KEY, made)
            told(len(part))
    return unreadable


def _tried(photo: Photo, limits: Upload) -> Vectors | str:
    try:
        return thumbnail(photo, limits)
    except ImageError as error:
        return error.reason
