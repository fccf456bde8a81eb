"""Anything a user calls a picture -> the bytes that are sent to the server.

What comes out is a JPEG or PNG with the pixels that a person sees: turned upright by its EXIF orientation, alpha
flattened on white, first frame, 8 bits, grey or RGB. CMYK and LAB are converted by Pillow's plain formulas, and colour
profiles in a file are ignored, as the server's reader ignores them: wide-gamut pictures stay a little pale. SVG, PDF
and PostScript are no pictures here; nothing but plain decoders ever sees a stranger's file.
"""

from __future__ import annotations

import base64
import inspect
import io
import os
import re
import stat
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from numbers import Integral
from typing import Any, BinaryIO, TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from PIL.TiffImagePlugin import TiffImageFile

from ddsim.errors import ImageError, InvalidRequest
from ddsim.pictures import jpegs, pixels
from ddsim.showing import Value

_ACCEPTED = "give a path, the bytes of a picture file, an open binary file, a PIL image or a numpy array"
_DARK = "16-bit colours of which only the lower 12 bits or fewer are used, a black picture; save it with 8 bits"
_LOSSY = ("JPEG", "WEBP", "AVIF", "HEIF")
# Pictures wait in batches until they are sent: 3 MB each at most.
_KEPT_PIXELS = 1 << 20
_LONGEST_SIDE = 1 << 20  # OpenCV, the server's reader, refuses longer ones


@dataclass(frozen=True, slots=True, repr=False)
class ServerPath(Value):
    """A picture that the server reads from its own disk.

    Attributes:
        path: of the file, as the server sees it.

    Raises:
        InvalidRequest: for a path that the server would take for something else: a URL, a directory (the server
            would take all its pictures for one) or an LMDB database.
    """

    path: str

    def __post_init__(self) -> None:
        path = self.path
        if not isinstance(path, str) or not path or "\0" in path:
            raise InvalidRequest(f"ServerPath({path!r}): a non-empty str without NUL is needed")
        if path.startswith(("http://", "https://", "file://")):
            raise InvalidRequest(f"ServerPath({path!r}): that is a URL; use ddsim.Url, or give the path alone")
        if path.endswith("/"):
            raise InvalidRequest(f"ServerPath({path!r}): that is a directory; name one picture at a time")
        if ".lmdb" in path:
            raise InvalidRequest(
                f"ServerPath({path!r}): the server takes any path with .lmdb for a database; rename it"
            )

    @property
    def data(self) -> str:
        """What stands in the request."""
        return self.path


@dataclass(frozen=True, slots=True, repr=False)
class Url(Value):
    """A picture that the server fetches by itself.

    Attributes:
        url: its address, which must work from where *the server* is.

    Raises:
        InvalidRequest: it does not start with ``http://`` or ``https://`` in lower case. DeepDetect v0.25.0 takes
            anything else for a path or for data, and fails on every ``file://`` (checked on a running server).
    """

    url: str

    def __post_init__(self) -> None:
        if (
            not isinstance(self.url, str)
            or not re.match(r"https?://[^/\s]", self.url)
            or re.search(r"[\s\0]", self.url)
        ):
            raise InvalidRequest(
                f"Url({self.url!r}): http:// or https:// (lower case) and a host are needed, no spaces"
            )

    @property
    def data(self) -> str:
        """What stands in the request."""
        return self.url


@dataclass(frozen=True, slots=True, repr=False)
class Encoded(Value):
    """A picture as it is sent; a call that takes pictures takes it too, and does not prepare it again.

    Attributes:
        data: the bytes of a JPEG or PNG file.
        media: ``image/jpeg`` or ``image/png``.
        size: (width, height) of what is sent.
        original_size: (width, height) before shrinking, upright.
        remark: what whoever gave it should know, such as that the file is cut short; mostly empty.
        pixels: what the server will make of ``data``, where that was asked for and is known: uint8, (height, width) of
            grey or (height, width, 3) in RGB order.
    """

    data: bytes = field(repr=False)
    media: str
    size: tuple[int, int]
    original_size: tuple[int, int]
    remark: str = ""
    pixels: NDArray[np.uint8] | None = field(default=None, repr=False, compare=False)

    @property
    def base64(self) -> str:
        """The bytes as the server wants them: standard alphabet, padded, one line, no ``data:`` in front."""
        return base64.b64encode(self.data).decode("ascii")

    @property
    def sent_bytes(self) -> int:
        """Length of :attr:`base64`, without making it."""
        return (len(self.data) + 2) // 3 * 4


Picture: TypeAlias = (
    str
    | os.PathLike[str]
    | bytes
    | bytearray
    | memoryview
    | BinaryIO
    | Image.Image
    | NDArray[Any]
    | Encoded
    | ServerPath
    | Url
)
"""What every call takes for a picture.

A str is always the path of a local file, never base64 and never a URL. Bytes are the content of a picture file. A file
object is read from where it stands and stays open. A PIL image is taken at the frame it stands at. An array is height x
width [x 1, 3 or 4] in RGB(A) order: uint8, bool, uint16, or floats from 0 to 1. Where the largest of 16-bit grey levels
is below a sixteenth of their range, as with 12-bit cameras, it becomes white.
"""


@dataclass(frozen=True, slots=True)
class Upload:
    """How pictures are prepared for sending.

    Shrinking averages what the server's own resize skips, so vectors change: the cosine to the original's is 0.9995
    with SqueezeNet and 0.991 with MobileNet v2 on photos of 300 x 200, 0.997 and 0.957 on noisy ones of 1800 x 1200,
    which go from 530 to 23 kB. P@1 and P@5 stay within 0.025 of the originals', shrunk queries on original pictures
    included; but the same picture has a distance of 0 only where catalogue and queries are prepared alike. PNG or JPEG,
    and whole or partial decoding, are within 0.003; twice the size takes off a third of the change for three times the
    bytes (scripts/bench/upload.py, two ImageNet networks, 8 classes of 36 photos).

    Attributes:
        shrink: (width, height) of the network's input in pixels; pictures are brought to exactly that, as the server
            would do. A shorter side stays. That holds for small files too, or else two files of one picture would get
            different vectors. None sends every picture at its own size.
        quality: of the JPEGs that are written, 1 to 100. They keep full colour resolution (4:4:4).
        max_pixels: pictures of which more would be decoded are refused before that. Shrunk JPEGs are decoded at down to
            an eighth of their sides, so that those of today's phones are within it.
        max_bytes: files with more are refused before they are read.
        pixels: keep those of files that are sent as they are, where they are few, see :attr:`Encoded.pixels`: for a
            server in this process, which need not decode the file once more.

    Raises:
        InvalidRequest: for numbers that make no sense.
    """

    shrink: tuple[int, int] | None = None
    quality: int = 95
    max_pixels: int = 64_000_000
    max_bytes: int = 64 * 1024 * 1024
    pixels: bool = False

    def __post_init__(self) -> None:
        pair = isinstance(self.shrink, (tuple, list)) and len(self.shrink) == 2
        if self.shrink is not None and not (pair and all(map(_positive, self.shrink))):
            raise InvalidRequest(f"Upload(shrink={self.shrink!r}): width and height, each at least 1, are needed")
        if not (_positive(self.quality) and self.quality <= 100):
            raise InvalidRequest(f"Upload(quality={self.quality!r}): 1 to 100 is needed")
        if not (_positive(self.max_pixels) and _positive(self.max_bytes)):
            raise InvalidRequest("Upload: max_pixels and max_bytes must be whole numbers, at least 1")


def _positive(number: object) -> bool:
    return isinstance(number, Integral) and not isinstance(number, bool) and int(number) >= 1


_AS_IT_IS = Upload()


def encode(picture: Picture, upload: Upload = _AS_IT_IS) -> Encoded:
    """Prepare one picture for sending.

    A JPEG or PNG that the server would see as we do goes out byte for byte, once decoding it has proved it whole.
    Everything else is written anew: as JPEG where the source is lossy already or is shrunk, otherwise as PNG.

    Args:
        picture: see :data:`Picture`; all but :class:`ServerPath` and :class:`Url`, which have no bytes here.
        upload: size, quality and limits.

    Raises:
        ImageError: the picture cannot be used; it names the picture and the reason, and is chained from the cause.
    """
    if isinstance(picture, Encoded):
        return picture
    source = describe(picture)
    if isinstance(picture, np.ndarray):
        image, remark = pixels.from_array(picture, source)
        return _encode(image, upload, source, remark)
    if isinstance(picture, Image.Image):
        return _encode(picture, upload, source)
    return _encode_file(_read(picture, source, upload.max_bytes), upload, source)


def read_file(path: str | os.PathLike[str], max_bytes: int) -> bytes:
    """Read a picture file whole, without looking at what is in it.

    Raises:
        ImageError: no regular file, unreadable, empty, or longer than ``max_bytes``.
    """
    return _read(path, describe(path), max_bytes)


def describe(picture: object) -> str:
    """Name a picture for an error message: its path, or words such as ``<bytes, 1234 bytes>``."""
    if isinstance(picture, (ServerPath, Url)):
        return _shorten(picture.data)
    if isinstance(picture, (str, os.PathLike)):
        return _shorten(os.fsdecode(picture)) or "<empty path>"
    if isinstance(picture, (bytes, bytearray)):
        return f"<{type(picture).__name__}, {len(picture)} bytes>"
    if isinstance(picture, np.ndarray):
        return f"<array {'x'.join(map(str, picture.shape))} {picture.dtype}>"
    if isinstance(picture, Image.Image):
        return f"<image {picture.width}x{picture.height} {picture.mode}>"
    if isinstance(picture, Encoded):
        return f"<{picture.media} {picture.size[0]}x{picture.size[1]}, {len(picture.data)} bytes>"
    name = getattr(picture, "name", None)
    return f"<{type(picture).__name__}{' ' + _shorten(name) if isinstance(name, str) else ''}>"


def _shorten(text: str) -> str:
    # A str with base64 in it may be megabytes long; an error message is for reading.
    return text if len(text) <= 300 else f"{text[:200]}... ({len(text)} characters)"


def _encode_file(data: bytes, upload: Upload, source: str) -> Encoded:
    data = pixels.without_blanks(data)
    image = pixels.open_header(data, source)
    full = image.size
    # Asked for a square, so that it does not matter whether the picture is turned afterwards; of twice the size, so
    # that the filter that shrinks it has something to filter.
    least = (2 * max(upload.shrink),) * 2 if upload.shrink else None
    reduced = jpegs.reduce(image, least)
    pixels.check_size(full, upload.max_pixels, source, full if jpegs.held_whole(image, data) else image.size)
    with _blaming(image, source):
        # The end of a TIFF's pixels brings more metadata, and the warnings about it.
        with pixels.quiet() if isinstance(image, TiffImageFile) else nullcontext():
            whole, remark = jpegs.load(image, data, least)
        if pixels.colours_lost(whole, data):
            raise ImageError(source, _DARK)
        orientation = pixels.orientation(whole)
        fits = max(full) <= _LONGEST_SIDE and _target(full, upload) == full
        as_seen = not remark and orientation == pixels.UPRIGHT and pixels.same_at_server(whole, data)
        if fits and as_seen and not reduced:
            kept = np.asarray(whole) if upload.pixels and full[0] * full[1] <= _KEPT_PIXELS else None
            return Encoded(data, f"image/{str(image.format).lower()}", full, full, pixels=kept)
    return _encode(whole, upload, source, remark, full if reduced else None)


def _encode(
    image: Image.Image, upload: Upload, source: str, remark: str = "", full: tuple[int, int] | None = None
) -> Encoded:
    """Write a picture anew; ``full`` is its size where it was decoded at less."""
    if full is None:
        pixels.check_size(image.size, upload.max_pixels, source)
    with _blaming(image, source):
        image.load()
        full = full or image.size
        orientation = pixels.orientation(image)
        if orientation >= 5:
            full = (full[1], full[0])
        size = _target(full, upload)
        if max(size) > _LONGEST_SIDE:
            raise ImageError(source, f"{size[0]} x {size[1]} pixels; no side may be longer than {_LONGEST_SIDE}")
        lossy = size != full or image.format in _LOSSY
        if orientation in pixels.TURNS:
            image = image.transpose(pixels.TURNS[orientation])
        plain, said = pixels.flatten(image, source)
        if plain.size != size:
            plain = plain.resize(size, Image.Resampling.LANCZOS, reducing_gap=3.0)
        return Encoded(*_write(plain, upload.quality if lossy else None), size, full, remark or said)


def _target(full: tuple[int, int], upload: Upload) -> tuple[int, int]:
    """The size at which a picture of this size is sent."""
    return full if upload.shrink is None else (min(full[0], upload.shrink[0]), min(full[1], upload.shrink[1]))


def _blaming(image: Image.Image, source: str) -> AbstractContextManager[None]:
    return pixels.blaming(source, f"damaged or cut short {image.format or 'picture'}")


def _write(image: Image.Image, quality: int | None) -> tuple[bytes, str]:
    """File content and media type: a JPEG of that quality, a PNG where it is None."""
    file = io.BytesIO()
    if quality is None:
        image.save(file, "PNG", compress_level=1)
        return file.getvalue(), "image/png"
    image.save(file, "JPEG", quality=quality, subsampling=0)
    return file.getvalue(), "image/jpeg"


def _read(picture: object, source: str, limit: int) -> bytes:
    """The content of a picture file, whatever holds it."""
    if isinstance(picture, (ServerPath, Url)):
        raise ImageError(source, "is for the server to read; there are no bytes of it here")
    if isinstance(picture, (str, os.PathLike)):
        data = _read_path(os.fsdecode(picture), source, limit)
    elif isinstance(picture, (bytes, bytearray, memoryview)):
        with pixels.blaming(source, "cannot be read"):
            data = bytes(picture)
    elif hasattr(picture, "read"):
        data = _read_file(picture, source, limit)
    else:
        raise ImageError(source, f"not a picture; {_ACCEPTED}")
    if len(data) > limit:
        raise ImageError(source, f"more than the limit of {limit} bytes")
    if not data:
        raise ImageError(source, "empty, 0 bytes")
    return data


def _read_path(path: str, source: str, limit: int) -> bytes:
    if re.match("https?://", path, re.IGNORECASE):
        raise ImageError(source, "a str is the path of a local file; wrap it in ddsim.Url for the server to fetch it")
    if path[:5].lower() == "data:":
        raise ImageError(source, f"a str is the path of a local file, not a data: URI; {_ACCEPTED}")
    try:
        status = os.stat(path)
        # Before it is opened: opening a FIFO waits for a writer, and opening a device can do anything.
        if stat.S_ISDIR(status.st_mode):
            raise ImageError(source, "a directory, not a picture")
        if not stat.S_ISREG(status.st_mode):
            raise ImageError(source, "not a regular file")
        if status.st_size > limit:
            raise ImageError(source, f"{status.st_size} bytes, more than the limit of {limit}")
        # Without a buffer, which costs more calls of the system than this: while others work, each is a wait for them.
        with open(path, "rb", buffering=0) as file:
            # Memory for all that is asked for is taken beforehand; only a file that grows at this moment has more.
            data = file.read(status.st_size + 1)
            if len(data) == status.st_size:
                return data
            while len(data) <= limit and (more := file.read(limit + 1 - len(data))):
                data += more
            return data
    except ImageError:
        raise
    except (OSError, ValueError) as error:
        reason = (getattr(error, "strerror", None) or str(error)).lower()
        if len(path) >= 100 and re.fullmatch(r"[A-Za-z0-9+/=_\s-]+", path):
            reason += f"; it looks like base64, but a str is the path of a local file: {_ACCEPTED}"
        raise ImageError(source, reason) from error


def _read_file(file: Any, source: str, limit: int) -> bytes:
    chunks: list[bytes] = []
    wanted = limit + 1
    with pixels.blaming(source, "cannot be read"):
        while wanted > 0:
            # Raw streams may give less than they are asked for; only b"" is the end.
            chunk = file.read(wanted)
            if inspect.iscoroutine(chunk):  # as an UploadFile of FastAPI gives it
                chunk.close()
                raise ImageError(source, "read() has to be awaited: await it, and give what it returns")
            if not isinstance(chunk, (bytes, bytearray)):
                raise ImageError(source, f"read() gave {type(chunk).__name__}, not bytes; open the file with mode 'rb'")
            if not chunk:
                break
            chunks.append(bytes(chunk))
            wanted -= len(chunk)
    return b"".join(chunks)
