"""What :mod:`ddsim.pictures.encoding` needs of Pillow: file content or array -> plain grey or RGB pixels.

Everything that Pillow raises becomes an ImageError here, and nothing that it warns about gets out.
"""

from __future__ import annotations

import io
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFile
from PIL.BmpImagePlugin import BmpImageFile
from PIL.GifImagePlugin import GifImageFile
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile
from PIL.TiffImagePlugin import TiffImageFile
from PIL.WebPImagePlugin import WebPImageFile

from ddsim.errors import ImageError, install_hint

try:  # Pillow reads AVIF since 11.3, and only where it was built with it.
    from PIL.AvifImagePlugin import SUPPORTED as AVIF
    from PIL.AvifImagePlugin import AvifImageFile
except ImportError:
    AVIF = False

try:  # The extra heic.
    from pillow_heif.as_plugin import HeifImageFile

    HEIC = True
except ImportError:
    HEIC = False

FORMATS = "JPEG, PNG, WebP, GIF, BMP, TIFF" + (", AVIF" if AVIF else "") + (", HEIC" if HEIC else "")

UPRIGHT = 1
TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""EXIF orientation -> what makes the picture upright; 5 to 8 swap its sides."""

_ORIENTATION_TAG = 0x0112
_ORIENTATION_ENTRIES = (b"\x01\x12\x00\x03", b"\x12\x01\x03\x00")  # tag and type, in both byte orders
_PNG_END = b"\0\0\0\0IEND\xae\x42\x60\x82"
# Cameras and scanners of 10, 12 or 14 bits are saved in 16 as they are: a picture that is all but black.
_LITTLE_OF_16_BITS = 0x1000
STRETCHED = (
    "16 bits a pixel of which only the lower 12 or fewer are used: stretched, so that the largest value is white"
)
_BLANKS = 64
_HEIC = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx")
_BRANDS_END = 128
_METADATA = threading.Lock()


@contextmanager
def blaming(source: str, reason: str) -> Iterator[None]:
    """Turn whatever Pillow raises into an ImageError with that reason and Pillow's own words.

    Its decoders promise no set of exceptions: damaged files give OSError, SyntaxError, ValueError, TypeError, KeyError,
    IndexError, AssertionError, RuntimeError, struct.error, zlib.error, OverflowError or MemoryError. Hence Exception.
    """
    try:
        yield
    except ImageError:
        raise
    except Image.DecompressionBombError as error:
        raise ImageError(source, f"too many pixels ({error})") from error
    except Exception as error:
        words = "not enough memory" if isinstance(error, MemoryError) else str(error) or type(error).__name__
        raise ImageError(source, f"{reason} ({words})") from error


@contextmanager
def quiet() -> Iterator[None]:
    """Keep Pillow's warnings about odd metadata to itself, also where warnings are errors.

    catch_warnings swaps process-wide state, so one thread at a time is let in. Meant for headers and metadata: decoding
    under it would queue the threads up.
    """
    with _METADATA, warnings.catch_warnings():
        warnings.filterwarnings("ignore", module=r"PIL\.")
        yield


def without_blanks(data: bytes) -> bytes:
    """A picture file without the blank lines in front that scripts leave there; every viewer passes over them."""
    if data[:1] not in (b"\r", b"\n", b" ", b"\t"):
        return data
    found = data[:_BLANKS].lstrip(b"\r\n \t") + data[_BLANKS:]
    return found if _decoder(found) is not None else data


def open_header(data: bytes, source: str) -> ImageFile.ImageFile:
    """Read the header of a picture file, which tells its size; no pixel is decoded.

    The decoder is chosen here and not by Image.open, whose check against pixel bombs warns, obeys a process-wide limit
    and does not tell the size.

    Raises:
        ImageError: for another kind of file, or a damaged header.
    """
    decoder = _decoder(data)
    if decoder is None:
        raise ImageError(source, _not_a_picture(data))
    with blaming(source, f"damaged or cut short {decoder.format}"), quiet():
        if decoder is PngImageFile:
            # Pillow decodes without looking at the checksums of the pixels and at the end of the file; the server's
            # libpng looks, and the whole batch would fail.
            PngImageFile(io.BytesIO(data)).verify()
            if _PNG_END not in data:
                raise ImageError(source, "cut short PNG (its end is missing)")
        return decoder(io.BytesIO(data))


def _decoder(data: bytes) -> type[ImageFile.ImageFile] | None:
    if data.startswith(b"\xff\xd8\xff"):
        return JpegImageFile  # also MPO: its first picture
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        return PngImageFile
    if data.startswith(b"RIFF") and data[8:12] == b"WEBP":
        return WebPImageFile
    if data.startswith((b"GIF87a", b"GIF89a")):
        return GifImageFile
    if data.startswith(b"BM"):
        return BmpImageFile
    if data.startswith((b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")):
        return TiffImageFile
    if AVIF and _is_avif(data):
        return AvifImageFile
    if HEIC and _is_heic(data):
        return HeifImageFile
    return None


def _is_avif(data: bytes) -> bool:
    return data[4:12] in (b"ftypavif", b"ftypavis")


def _is_heic(data: bytes) -> bool:
    # What phones write: the kind stands first, or behind a more general one.
    if data[4:8] != b"ftyp" or _is_avif(data):
        return False
    end = min(int.from_bytes(data[:4], "big"), _BRANDS_END)
    return any(data[start : start + 4] in _HEIC for start in range(8, end, 4))


def _not_a_picture(data: bytes) -> str:
    if _is_heic(data):
        return f"HEIC, which is read with the extra heic: {install_hint('heic')}; or save it as one of {FORMATS}"
    if _is_avif(data):
        return f"AVIF, which the Pillow that is installed does not read; save it as one of {FORMATS}"
    if data[4:8] == b"ftyp":
        return f"a film, or a picture of a kind that is not read here; save it as one of {FORMATS}"
    start = data[:64].lstrip(b"\xef\xbb\xbf\r\n\t ")
    guess = "text such as HTML or SVG" if start.startswith(b"<") else "a PDF" if start.startswith(b"%PDF") else ""
    return f"not a picture of a kind that is read here ({FORMATS})" + (f"; it looks like {guess}" if guess else "")


def check_size(size: tuple[int, int], limit: int, source: str, decoded: tuple[int, int] | None = None) -> None:
    """Refuse pictures without pixels or with more than ``limit`` of them to decode.

    Args:
        size: (width, height) of the picture.
        limit: so many pixels may be decoded.
        source: what to call it.
        decoded: what is decoded of it, where that is not all.

    Raises:
        ImageError: naming width and height.
    """
    width, height = size
    if width < 1 or height < 1:
        raise ImageError(source, f"no pixels in it: {width} x {height}")
    least = decoded or size
    if least[0] * least[1] > limit:
        small = f" ({least[0]} x {least[1]} decoded as small as can be)" if least != size else ""
        raise ImageError(
            source, f"{width} x {height} pixels{small}, more than the limit of {limit} (upload.max_pixels)"
        )


def orientation(image: Image.Image) -> int:
    """EXIF orientation of a loaded picture: UPRIGHT or a key of TURNS; 0 where other readers may find another one.

    Before loading, asking a PNG would decode it, and a damaged one would seem whole afterwards.
    """
    try:
        with quiet():
            value = image.getexif().get(_ORIENTATION_TAG)
    except Exception:  # noqa: BLE001 - broken metadata may raise anything and is no reason to refuse whole pixels
        return 0
    if isinstance(value, int):
        return value if value in TURNS else UPRIGHT
    exif = image.info.get("exif", b"")
    overlooked = isinstance(exif, bytes) and any(entry in exif for entry in _ORIENTATION_ENTRIES)
    return 0 if value is not None or overlooked else UPRIGHT


def same_at_server(image: Image.Image, data: bytes) -> bool:
    """Whether OpenCV, the server's reader, finds in this file the pixels that Pillow finds, orientation aside."""
    if image.mode not in ("L", "RGB"):
        return False
    if isinstance(image, JpegImageFile):
        return "mpoffset" not in image.info  # several pictures in one file: only the first would be of use
    if isinstance(image, PngImageFile):
        eight_bits = data[24] == 8
        return eight_bits and "transparency" not in image.info and getattr(image, "n_frames", 1) == 1
    return False


def colours_lost(image: Image.Image, data: bytes) -> bool:
    """Whether nothing but black is left of a PNG with 16-bit colours: Pillow takes the upper 8 bits of them."""
    if not isinstance(image, PngImageFile) or data[24] != 16 or image.mode not in ("RGB", "RGBA"):
        return False
    largest = int(np.asarray(image)[:, :, :3].max())
    return 0 < largest < _LITTLE_OF_16_BITS >> 8


def flatten(image: Image.Image, source: str) -> tuple[Image.Image, str]:
    """The picture as a new L or RGB image, alpha on white, without metadata.

    Returns:
        it, and what is to be said about it: nothing, or :data:`STRETCHED`.

    Raises:
        ImageError: numbers without a clear black and white.
    """
    if image.mode in ("I", "F") or image.mode.startswith("I;16"):
        levels, stretched = _to_8_bits(image, source)
        return Image.fromarray(levels), STRETCHED if stretched else ""
    if image.mode == "La":
        image = image.convert("LA")
    if image.has_transparency_data:
        white = Image.new("RGBA", image.size, "white")
        plain = Image.alpha_composite(white, image.convert("RGBA")).convert("RGB")
    else:
        plain = image.convert("L" if image.mode in ("1", "L") else "RGB")
    plain.info = {}
    return plain, ""


def _to_8_bits(image: Image.Image, source: str) -> tuple[NDArray[np.uint8], bool]:
    """The grey levels of a picture in 8 bits, and whether they were stretched."""
    values: NDArray[Any] = np.asarray(image)
    if image.mode.startswith("I;16") or (image.mode == "I" and image.format == "PNG"):
        return _from_16_bits(values, image.info.get("transparency"))
    # Pillow's "I" and "F" have no fixed range: files have 0 to 65535 and 0 to 1, Image.convert() makes 0 to 255.
    low, high = values.min(), values.max()
    if low >= 0 and image.mode == "F" and high <= 1:
        return _rounded(values * 255), False
    if low >= 0 and high <= 255:
        return _rounded(values), False
    if low >= 0 and image.mode == "I" and high <= 0xFFFF:
        return _from_16_bits(values)
    raise ImageError(source, f"grey levels from {low} to {high} have no clear black and white; convert it to 8 bits")


def _from_16_bits(values: NDArray[Any], hidden: object = None) -> tuple[NDArray[np.uint8], bool]:
    """Values from 0 to 65535 in 8 bits, and whether they were stretched; the ``hidden`` one becomes white."""
    shown = values[values != hidden] if isinstance(hidden, int) else values
    largest = int(shown.max()) if shown.size else 0
    if not 0 < largest < _LITTLE_OF_16_BITS:
        levels, stretched = _upper_half(values), False
    else:
        levels, stretched = _rounded(np.minimum(values, largest) * (255 / largest)), True
    return (np.where(values == hidden, np.uint8(255), levels) if isinstance(hidden, int) else levels), stretched


def _upper_half(values: NDArray[Any]) -> NDArray[np.uint8]:
    # As OpenCV and Pillow take 16-bit pictures: the upper 8 bits, which is right for full-range data.
    upper: NDArray[np.uint8] = np.right_shift(values, 8).astype(np.uint8)
    return upper


def _opacity(array: NDArray[Any], stretched: bool) -> NDArray[np.uint8]:
    """The fourth channel of 16 bits in 8: of the colours' range where they use a small one, and it no more."""
    alpha, largest = array[:, :, 3], int(array.max())
    return _rounded(alpha * (255 / largest)) if stretched and largest < _LITTLE_OF_16_BITS else _upper_half(alpha)


def _rounded(values: NDArray[Any]) -> NDArray[np.uint8]:
    levels: NDArray[np.uint8] = np.rint(values).astype(np.uint8)
    return levels


def from_array(array: NDArray[Any], source: str) -> tuple[Image.Image, str]:
    """An image of a height x width [x 1, 3 or 4] array: uint8, bool, uint16, or floats from 0 to 1.

    Returns:
        it, and what is to be said about it: nothing, or :data:`STRETCHED`.

    Raises:
        ImageError: another shape or type, or numbers without a clear black and white.
    """
    if array.ndim not in (2, 3) or (array.ndim == 3 and array.shape[2] not in (1, 3, 4)):
        raise ImageError(source, "an array must be height x width, or height x width x 1, 3 (RGB) or 4 (RGBA)")
    check_size((array.shape[1], array.shape[0]), array.size, source)
    stretched = False
    if array.ndim == 3 and array.shape[2] == 1:
        array = array[:, :, 0]
    if array.dtype == np.bool_:
        array = array * np.uint8(255)
    elif array.dtype.kind == "f":
        # Written so that NaN fails too.
        if not (array.min() >= 0 and array.max() <= 1):
            raise ImageError(source, "floats must lie within 0 and 1; for 0 to 255 give array.round().astype('uint8')")
        array = _rounded(array * 255)
    elif array.dtype.kind == "u" and array.dtype.itemsize == 2:
        colours, stretched = _from_16_bits(array[:, :, :3] if array.ndim == 3 else array)
        array = np.dstack([colours, _opacity(array, stretched)]) if array.shape[2:] == (4,) else colours
    elif array.dtype != np.uint8:
        raise ImageError(source, "no clear black and white; give uint8, bool, uint16 or floats from 0 to 1")
    return Image.fromarray(np.ascontiguousarray(array)), STRETCHED if stretched else ""
