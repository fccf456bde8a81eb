"""Photos that were uploaded, kept for a while so that a link can repeat the search; shown only written anew."""

from __future__ import annotations

import logging
import os
import re
import secrets
import shutil
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from ddsim.errors import ConfigError, ImageError
from ddsim.pictures import Upload, encode
from ddsim.web.files import make_folder, write
from ddsim.web.limits import Limits
from ddsim.web.refusals import UNKNOWN_PHOTO, Refusal, not_a_picture
from ddsim.web.rendering import SIDE, fitted, jpeg

_log = logging.getLogger(__name__)

_QUALITY = 88
_TOKEN = re.compile(r"[A-Za-z0-9_-]{22}")
_SHOWN, _SENT = ".jpg", ".sent"
# Bytes; about what one upload takes.
_ROOM = 2**20


@dataclass(frozen=True, slots=True)
class Photo:
    """A kept upload.

    Attributes:
        token: its name, which nobody can guess.
        shown: file of the picture as the page shows it, a JPEG of at most 1600 pixels a side.
        sent: file of the picture as it is sent to the server where all of it is searched for.
        size: (width, height) of what is shown.
    """

    token: str
    shown: Path
    sent: Path
    size: tuple[int, int]


class Photos:
    """The kept uploads, in one folder. Any thread may use it, and more than one process.

    Args:
        folder: where; made where it is missing.
        upload: how pictures are prepared for the server.
        limits: what is taken and what is kept.
        clock: seconds since 1970.

    Raises:
        ConfigError: the folder cannot be made.
    """

    def __init__(self, folder: Path, upload: Upload, limits: Limits, clock: Callable[[], float] = time.time) -> None:
        self._folder = folder
        self._upload = upload
        self._limits = limits
        self._clock = clock
        self._lock = threading.Lock()
        make_folder(folder)

    def keep(self, data: bytes) -> Photo:
        """Look at an upload and keep it.

        What the server is sent is kept beside what is shown: so the link of a search gives the very same result.

        Args:
            data: what came.

        Raises:
            Refusal: it is no picture, or has too many pixels.
            ConfigError: it cannot be written.
        """
        try:
            image = fitted(data, SIDE, self._limits.upload_pixels, "upload")
            sent = encode(data, self._upload)
        except ImageError as error:
            raise not_a_picture(error.reason) from error
        token = secrets.token_urlsafe(16)
        photo = Photo(token, self._folder / (token + _SHOWN), self._folder / (token + _SENT), image.size)
        write(photo.sent, sent.data)
        write(photo.shown, jpeg(image, _QUALITY))
        self._tidy()
        return photo

    def check(self) -> None:
        """See whether an upload could be kept.

        Raises:
            ConfigError: its folder cannot be made or written, or the disk is full.
        """
        make_folder(self._folder)
        if not os.access(self._folder, os.W_OK):
            raise ConfigError(f"{self._folder}: uploads cannot be kept there: it may not be written")
        if self._is_full():
            raise ConfigError(f"{self._folder}: uploads cannot be kept there: the disk is full")

    def _is_full(self) -> bool:
        try:
            room = shutil.disk_usage(self._folder)
        except OSError:
            return False
        return room.total > 0 and room.free < _ROOM  # some file systems do not tell

    def get(self, token: str) -> Photo:
        """The upload of that name.

        Raises:
            Refusal: there is none, or not any more.
        """
        # Before any path is made of it.
        if not _TOKEN.fullmatch(token):
            raise Refusal(UNKNOWN_PHOTO)
        shown = self._folder / (token + _SHOWN)
        try:
            if shown.stat().st_mtime < self._clock() - self._limits.photos_seconds:
                raise Refusal(UNKNOWN_PHOTO)
            with Image.open(shown) as image:
                return Photo(token, shown, shown.with_suffix(_SENT), image.size)
        except OSError as error:
            raise Refusal(UNKNOWN_PHOTO) from error

    def _tidy(self) -> None:
        """Let go of the oldest ones, until number, bytes and age are within the limits."""
        with self._lock:
            kept: list[tuple[float, int, Path]] = []
            for path in self._folder.iterdir():
                with suppress(OSError):  # another process tidies as well
                    status = path.stat()
                    kept.append((status.st_mtime, status.st_size, path))
            kept.sort(key=lambda one: one[0], reverse=True)
            oldest, room = self._clock() - self._limits.photos_seconds, self._limits.photos_bytes
            for files, (changed, size, path) in enumerate(kept, 1):
                room -= size
                # A photo is two files, and the newest one stays whatever its size.
                if files > 2 and (changed < oldest or room < 0 or files > 2 * self._limits.photos):
                    with suppress(OSError):
                        os.unlink(path)
