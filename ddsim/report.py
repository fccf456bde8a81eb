"""Contact sheets: one picture that shows a query, what it was taken for, and its neighbours in order."""

from __future__ import annotations

import io
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from ddsim.errors import ImageError
from ddsim.images import Encoded, Picture, Upload, encode
from ddsim.results import Neighbour
from ddsim.search import SearchResult

_log = logging.getLogger(__name__)

_PAPER, _CARD, _INK, _SOFT, _LINE = "#f4f1ec", "#ffffff", "#2b2a28", "#85807a", "#e2ddd5"
_ACCENT, _TRACK = "#c8643c", "#ece7df"
_MARGIN, _GAP, _PHOTO, _TILE, _CAPTION, _COLUMNS, _TOP = 36, 16, 320, 180, 62, 5, 84
_PREVIEW = Upload(shrink=None)


@dataclass(frozen=True)
class _Box:
    left: int
    top: int
    width: int
    height: int


def contact_sheet(result: SearchResult, picture: Picture, catalogue: Path) -> Image.Image:
    """Draw a search result.

    Args:
        result: what was found.
        picture: the query itself.
        catalogue: where the neighbours' pictures lie; one that cannot be read any more is drawn as an empty card.

    Returns:
        an RGB image, about 1400 pixels wide and as high as the neighbours need.

    Raises:
        ImageError: the query cannot be read.
    """
    rows = max(2, -(-len(result.neighbours) // _COLUMNS))
    left = _MARGIN + _PHOTO + 2 * _GAP
    tile = _TILE + _CAPTION
    width = left + _COLUMNS * (_TILE + _GAP) - _GAP + _MARGIN
    sheet = Image.new("RGB", (width, _TOP + rows * (tile + _GAP) - _GAP + _MARGIN), _PAPER)
    draw = ImageDraw.Draw(sheet)
    _text(draw, (_MARGIN, 28), "Query", 26, _INK, _PHOTO)
    _text(draw, (left, 28), _headline(result), 26, _INK, width - left - _MARGIN)
    _card(sheet, _Box(_MARGIN, _TOP, _PHOTO, _PHOTO), _opened(encode(picture, _PREVIEW)))
    _bars(draw, result, _TOP + _PHOTO + 24)
    for place, neighbour in enumerate(result.neighbours):
        row, column = divmod(place, _COLUMNS)
        box = _Box(left + column * (_TILE + _GAP), _TOP + row * (tile + _GAP), _TILE, _TILE)
        _card(sheet, box, _reference(catalogue, neighbour))
        _caption(draw, box, place + 1, neighbour)
    if not result.neighbours:
        _text(draw, (left, _TOP + 40), "Nothing was found.", 20, _SOFT, width - left - _MARGIN)
    return sheet


def _headline(result: SearchResult) -> str:
    count = len(result.neighbours)
    within = f" in {result.category}" if result.category else ""
    return f"{count} most similar{within}" if count != 1 else f"The most similar{within}"


def _bars(draw: ImageDraw.ImageDraw, result: SearchResult, top: int) -> None:
    """The categories with their probabilities; the labels themselves where no category is known."""
    shares: Sequence[tuple[str, float]] = list(result.categories.items()) or [
        (label.name, label.probability) for label in result.labels
    ]
    for name, share in shares[:4]:
        percent = f"{share:.1%}"
        _text(draw, (_MARGIN, top), name, 18, _INK, _PHOTO - 80)
        draw.text((_MARGIN + _PHOTO, top), percent, font=_font(18), fill=_SOFT, anchor="ra")
        track = (_MARGIN, top + 26, _MARGIN + _PHOTO, top + 32)
        draw.rounded_rectangle(track, 3, fill=_TRACK)
        if share > 0.01:
            draw.rounded_rectangle(
                (*track[:2], _MARGIN + max(6, round(_PHOTO * min(share, 1.0))), track[3]), 3, _ACCENT
            )
        top += 46


def _caption(draw: ImageDraw.ImageDraw, box: _Box, rank: int, neighbour: Neighbour) -> None:
    top = box.top + box.height + 6
    draw.text((box.left, top), str(rank), font=_font(17), fill=_ACCENT)
    draw.text((box.left + box.width, top), f"{neighbour.score:.0%}", font=_font(17), fill=_INK, anchor="ra")
    _text(draw, (box.left, top + 22), neighbour.uri.rpartition("/")[2], 14, _INK, box.width)
    kind = f"{neighbour.category}   " if neighbour.category else ""
    _text(draw, (box.left, top + 40), f"{kind}distance {neighbour.distance:.4g}", 13, _SOFT, box.width)


def _card(sheet: Image.Image, box: _Box, picture: Image.Image | None) -> None:
    """A white card with the picture fitted into it, its corners round."""
    card = Image.new("RGB", (box.width, box.height), _CARD)
    if picture is None:
        draw = ImageDraw.Draw(card)
        draw.text((box.width // 2, box.height // 2), "picture missing", font=_font(14), fill=_SOFT, anchor="mm")
    else:
        picture.thumbnail((box.width, box.height), Image.Resampling.LANCZOS)
        card.paste(picture, ((box.width - picture.width) // 2, (box.height - picture.height) // 2))
    big = Image.new("L", (box.width * 4, box.height * 4), 0)
    ImageDraw.Draw(big).rounded_rectangle((0, 0, big.width - 1, big.height - 1), 40, fill=255)
    sheet.paste(card, (box.left, box.top), big.resize(card.size, Image.Resampling.LANCZOS))
    outline = (box.left, box.top, box.left + box.width - 1, box.top + box.height - 1)
    ImageDraw.Draw(sheet).rounded_rectangle(outline, 10, outline=_LINE)


def _reference(catalogue: Path, neighbour: Neighbour) -> Image.Image | None:
    # The uri comes from the server: it names a file of the catalogue or none at all.
    path = (catalogue / neighbour.uri).resolve()
    if not path.is_relative_to(catalogue.resolve()):
        return None
    try:
        return _opened(encode(path, _PREVIEW))
    except ImageError as error:
        _log.warning("the sheet lacks a picture: %s", error)
        return None


def _opened(encoded: Encoded) -> Image.Image:
    with Image.open(io.BytesIO(encoded.data)) as image:
        plain: Image.Image = image.convert("RGB")
        return plain


def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)


def _text(draw: ImageDraw.ImageDraw, at: tuple[int, int], text: str, size: int, fill: str, width: int) -> None:
    """Text on one line, cut with an ellipsis to fit the width."""
    font = _font(size)
    shown = text
    while len(shown) > 1 and draw.textlength(shown, font=font) > width:
        shown = shown.removesuffix("…")[:-1] + "…"
    draw.text(at, shown, font=font, fill=fill)
