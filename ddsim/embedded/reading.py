"""The ``data`` of a predict call: what each string means, its uri, and its pixels."""

from __future__ import annotations

import base64
import binascii
import os
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ddsim.deepdetect.transport import Decoded
from ddsim.embedded import payload, pictures
from ddsim.embedded.payload import strings
from ddsim.embedded.replies import Json, Refusal, bad_input, out_of_range, would_have_died
from ddsim.embedded.repository import Allowed

_BASE64 = re.compile(r"[A-Za-z0-9+/=]*")
_SHOWN_BYTES = 200


@dataclass(frozen=True)
class Names:
    """What a call's pictures are called.

    Attributes:
        ids: become the predictions' uri.
        index_uris, meta_uris: become the names in the index, in this order of precedence.
    """

    ids: list[str] | None
    index_uris: list[str] | None
    meta_uris: list[str] | None


@dataclass(frozen=True)
class Item:
    """One picture of a call: the name in the answer, the name in the index, the prepared pixels (C, H, W)."""

    uri: str
    stored: str
    pixels: npt.NDArray[np.float32]


@dataclass(frozen=True)
class _Found:
    uri: str
    pixels: npt.NDArray[np.float32]


def read_data(request: Json) -> tuple[list[str | bytes | Decoded], Names]:
    """The call's data strings and names.

    Raises:
        Refusal: 400/1005 where something is missing or of another type; 500 for fewer names than data, which ends a
            real server (recordings/wire/28-ids-too-few, 37b-sim-index-uris-too-few).
    """
    try:
        data = payload.pictures(request)
        names = Names(*(strings(request, key) for key in ("ids", "index_uris", "meta_uris")))
    except Refusal:
        raise bad_input("missing data") from None
    if data is None:
        raise bad_input("missing data")
    return data, names


@dataclass(frozen=True)
class Reader:
    """What becomes of pictures, and which of them may be read.

    Attributes:
        preprocessing: what to make of them.
        allowed: tells whether this server may read a path.
        honour_scale: whether ``scale`` and ``std`` count, as with Torch.
    """

    preprocessing: pictures.Preprocessing
    allowed: Allowed
    honour_scale: bool = False

    def pixels(self, data: bytes | Decoded) -> npt.NDArray[np.float32]:
        """A picture's pixels, prepared.

        Raises:
            UndecodablePicture: it cannot be read.
        """
        # A std of 0 gives infinities, which the real server sends on (recordings/torch/wire/12c-not-finite).
        with np.errstate(divide="ignore", invalid="ignore"):
            return pictures.prepare(self._decoded(data), self.preprocessing, self.honour_scale)

    def _decoded(self, data: bytes | Decoded) -> npt.NDArray[np.uint8]:
        if isinstance(data, bytes):
            return pictures.decode(data, self.preprocessing.bw)
        if self.preprocessing.bw:
            return pictures.decode(data.data, grey=True)
        return pictures.as_decoded(data.pixels)


def read_items(data: list[str | bytes | Decoded], names: Names, reader: Reader, threads: int = 1) -> list[Item]:
    """Read and prepare all pictures, in the order of the request.

    Args:
        data: paths, base64, or files as they are.
        names: what to call them.
        reader: what to make of them.
        threads: how many are read at a time.

    Raises:
        Refusal: 400/1005 where any of them cannot be read: then none counts.
    """
    found = [picture for one in _read_all(data, reader, threads) for picture in one]
    if not found:
        raise bad_input("no image could be found")
    for key in ("ids", "index_uris", "meta_uris"):
        given = getattr(names, key)
        if given is not None and len(given) < len(data):
            raise would_have_died(
                "SIGABRT", f"{len(given)} {key} for {len(data)} data; send one for each element of data, or none at all"
            )
        if given is not None and len(given) < len(found):
            raise out_of_range(len(given), len(given))
    items = []
    for i, picture in enumerate(found):
        uri = names.ids[i] if names.ids else picture.uri
        stored = names.index_uris or names.meta_uris
        items.append(Item(uri, stored[i] if stored else uri, picture.pixels))
    return items


def _read_all(data: list[str | bytes | Decoded], reader: Reader, threads: int) -> list[list[_Found]]:
    def read(place: int) -> list[_Found]:
        return list(_read_one(place, data[place], reader))

    places = range(len(data))
    if threads == 1 or len(data) == 1:
        return [read(place) for place in places]
    with ThreadPoolExecutor(min(threads, len(data)), thread_name_prefix="ddsim-read") as pool:
        return list(pool.map(read, places))


def _read_one(position: int, text: str | bytes | Decoded, reader: Reader) -> Iterator[_Found]:
    if not isinstance(text, str):
        yield _Found(str(position), _pixels(text, reader, text))
        return
    if text.startswith(("http://", "https://")):
        raise _unreadable(text, " (the embedded server fetches no URLs: send the picture itself)")
    path = Path(text) if _is_path(text, reader.allowed) else None
    if path is not None and ".lmdb" in text:
        raise bad_input("LMDB databases are not in the embedded server")
    if path is not None and os.path.isdir(path):
        yield from _read_directory(path, reader)
        return
    raw = path.read_bytes() if path is not None else _raw_bytes(text)
    yield _Found(text if path is not None else str(position), _pixels(raw, reader, text))


def _pixels(raw: bytes | Decoded, reader: Reader, given: str | bytes | Decoded) -> npt.NDArray[np.float32]:
    if not raw:
        raise bad_input("Could not read image(s): the picture is empty")
    try:
        return reader.pixels(raw)
    except pictures.UndecodablePicture:
        if isinstance(given, str):
            raise _unreadable(given) from None
        file = given if isinstance(given, bytes) else given.data
        raise _unreadable(base64.b64encode(file).decode()) from None


def _is_path(text: str, allowed: Allowed) -> bool:
    if not text or len(text) > 4096 or text.startswith("file://"):
        return False
    path = Path(text)
    try:
        return (os.path.isfile(path) or os.path.isdir(path)) and allowed(path)
    except (OSError, ValueError):
        return False


def _raw_bytes(text: str) -> bytes:
    if len(text) % 4 == 0 and _BASE64.fullmatch(text):
        try:
            return base64.b64decode(text)
        except binascii.Error:
            return b"not a picture"
    return text.encode("utf-8", "surrogateescape")


def _read_directory(path: Path, reader: Reader) -> Iterator[_Found]:
    """Every readable file; with subdirectories, their files.

    The real server's uris shift where a file cannot be read; here each stays with its picture.
    """
    entries = sorted(os.scandir(path), key=lambda entry: entry.name)
    folders = [entry.path for entry in entries if entry.is_dir()]
    files = [entry.path for entry in entries if entry.is_file()]
    if folders:
        files = [entry.path for folder in folders for entry in sorted(os.scandir(folder), key=lambda e: e.name)]
    readable = []
    for file in files:
        try:
            pixels = reader.pixels(Path(file).read_bytes())
        except (pictures.UndecodablePicture, OSError):
            continue
        readable.append(_Found(file, pixels))
    yield from [_Found(str(path), readable[0].pixels)] if len(readable) == 1 else readable


def _unreadable(text: str, remark: str = "") -> Refusal:
    raw = text.encode("utf-8", "surrogateescape")
    shown = raw if len(raw) <= _SHOWN_BYTES else raw[: _SHOWN_BYTES - 3] + b"..."
    said = shown.decode("utf-8", "surrogateescape")
    return bad_input(f"Could not read image(s): image could not be read or does not exist: {said}{remark}")
