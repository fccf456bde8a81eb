"""Contact sheets: one picture that shows a query, what it seems to show, and its neighbours in order."""

from __future__ import annotations

import io
import logging
import os
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from ddsim.errors import ImageError
from ddsim.pictures import Encoded, Picture, Upload, encode
from ddsim.search.results import Neighbour, SearchResult
from ddsim.showing import counted
from ddsim.sources import FolderSource, Source
from ddsim.training import TrainReport

_log = logging.getLogger(__name__)

_PAPER, _CARD, _INK, _SOFT, _LINE = "#f4f1ec", "#ffffff", "#2b2a28", "#85807a", "#e2ddd5"
_ACCENT, _TRACK = "#c8643c", "#ece7df"
_MARGIN, _GAP, _PHOTO, _TILE, _CAPTION, _COLUMNS, _TOP = 36, 18, 320, 180, 52, 5, 84
_NAME, _BAR, _STEP, _BARS = 40, 32, 46, 3
_LEFT = _MARGIN + _PHOTO + 2 * _GAP
_WIDTH = _LEFT + _COLUMNS * (_TILE + _GAP) - _GAP + _MARGIN
_WIDE_FONTS = ("NotoSansCJK-Regular.ttc", "DejaVuSans.ttf", "Arial Unicode.ttf", "arial.ttf")
# Twice the size of the largest card, so that the last filter has something to filter. Sides are shrunk one by one, so
# the proportions are those of Encoded.original_size.
_PREVIEW = Upload(shrink=(2 * _PHOTO, 2 * _PHOTO))


@dataclass(frozen=True)
class _Box:
    left: int
    top: int
    width: int
    height: int

    @property
    def bottom(self) -> int:
        return self.top + self.height


def contact_sheet(result: SearchResult, picture: Picture, catalogue: Path | Source) -> Image.Image:
    """Draw a search result.

    Args:
        result: what was found.
        picture: the query itself.
        catalogue: where the neighbours' pictures are; one that cannot be read any more is drawn as an empty card.

    Returns:
        an RGB image, about 1400 pixels wide and as high as the neighbours need.

    Raises:
        ImageError: the query cannot be read.
    """
    query = encode(picture, _PREVIEW)
    shares = _shares(result)
    rows = -(-len(result.neighbours) // _COLUMNS)
    bars = _TOP + _PHOTO + _NAME
    bottoms = (bars + _STEP * len(shares) - (_STEP - _BAR), _TOP + rows * (_TILE + _CAPTION + _GAP) - _GAP)
    sheet = Image.new("RGB", (_WIDTH, max(bottoms) + _MARGIN), _PAPER)
    draw = ImageDraw.Draw(sheet)
    _heading(draw, result)
    _card(sheet, _Box(_MARGIN, _TOP, _PHOTO, _PHOTO), query)
    _text(draw, (_MARGIN, _TOP + _PHOTO + 8), os.path.basename(result.query) or result.query, 14, _SOFT, _PHOTO)
    for place, (name, share) in enumerate(shares):
        _bar(draw, _Box(_MARGIN, bars + _STEP * place, _PHOTO, _BAR), name, share)
    for place, neighbour in enumerate(result.neighbours):
        row, column = divmod(place, _COLUMNS)
        box = _Box(_LEFT + column * (_TILE + _GAP), _TOP + row * (_TILE + _CAPTION + _GAP), _TILE, _TILE)
        _card(sheet, box, _reference(catalogue, neighbour.uri))
        _caption(draw, box, place + 1, neighbour)
    return sheet


def confusion_sheet(report: TrainReport, catalogue: Path | Source) -> Image.Image:
    """Draw which categories are most often taken for which others: a row for each, with its clearest examples.

    Args:
        report: of a training.
        catalogue: where the items' pictures are; one that cannot be read any more is drawn as an empty card.

    Returns:
        an RGB image; where nothing was confused it says so.
    """
    rows = max(len(report.confusions), 1)
    step = _TILE + _CAPTION + _GAP
    sheet = Image.new("RGB", (_LEFT + 3 * (_TILE + _GAP) - _GAP + _MARGIN, _TOP + rows * step - _GAP + _MARGIN), _PAPER)
    draw = ImageDraw.Draw(sheet)
    head = "Most often confused" if report.confusions else "Nothing was confused"
    _text(draw, (_MARGIN, 28), head, 26, _INK, sheet.width - 2 * _MARGIN)
    for place, one in enumerate(report.confusions):
        top = _TOP + place * step
        many = counted(one.items, "picture")
        lines = ((one.category, 20, _INK), (f"taken for {one.taken_for}", 20, _ACCENT), (many, 16, _SOFT))
        for line, (words, size, colour) in enumerate(lines):
            _text(draw, (_MARGIN, top + 8 + 30 * line), words, size, colour, _PHOTO)
        for column, uri in enumerate(one.examples):
            box = _Box(_LEFT + column * (_TILE + _GAP), top, _TILE, _TILE)
            _card(sheet, box, _reference(catalogue, uri))
            _text(draw, (box.left, box.bottom + 8), uri.rpartition("/")[2], 14, _INK, box.width)
    return sheet


def _shares(result: SearchResult) -> list[tuple[str, float]]:
    """The most probable categories; labels where no category is known."""
    labels = [(label.name, label.probability) for label in result.labels]
    return ([(one.name, one.probability) for one in result.categories] or labels)[:_BARS]


def _heading(draw: ImageDraw.ImageDraw, result: SearchResult) -> None:
    _text(draw, (_MARGIN, 28), "Query", 26, _INK, _PHOTO)
    count = len(result.neighbours)
    head = f"{count} most similar" if count > 1 else "Most similar" if count else "Nothing similar was found"
    if count and result.nothing_similar:
        head = "Nothing similar enough; the nearest"
    where = f" in {', '.join(result.searched)}" if result.searched else ""
    legend = "score 100%: the same picture" if count else ""
    room = _WIDTH - _MARGIN - _LEFT
    if legend:
        draw.text((_WIDTH - _MARGIN, 37), legend, font=_font(14), fill=_SOFT, anchor="ra")
        room -= round(draw.textlength(legend, font=_font(14))) + _GAP
    _text(draw, (_LEFT, 28), head + where, 26, _INK, room)


def _bar(draw: ImageDraw.ImageDraw, box: _Box, name: str, share: float) -> None:
    right = box.left + box.width
    percent = f"{share:.1%}"
    draw.text((right, box.top), percent, font=_font(18), fill=_SOFT, anchor="ra")
    _text(draw, (box.left, box.top), name, 18, _INK, box.width - round(draw.textlength(percent, font=_font(18))) - _GAP)
    for length, colour in ((box.width, _TRACK), (round(box.width * min(share, 1.0)), _ACCENT)):
        # Shorter than its height a bar is no bar.
        if length >= 6:
            draw.rounded_rectangle((box.left, box.bottom - 6, box.left + length - 1, box.bottom), 3, fill=colour)


def _caption(draw: ImageDraw.ImageDraw, box: _Box, rank: int, neighbour: Neighbour) -> None:
    """Rank, name and score on one line, category and distance on the next."""
    top, right = box.bottom + 8, box.left + box.width
    number, score = str(rank), _percent(neighbour.score)
    begin = box.left + round(draw.textlength(number, font=_font(16))) + 8
    end = right - round(draw.textlength(score, font=_font(16))) - 8
    draw.text((box.left, top), number, font=_font(16), fill=_ACCENT)
    draw.text((right, top), score, font=_font(16), fill=_INK, anchor="ra")
    _text(draw, (begin, top + 2), neighbour.uri.rpartition("/")[2], 14, _INK, end - begin)
    distance = f"distance {neighbour.distance:.4g}"
    draw.text((right, top + 25), distance, font=_font(13), fill=_SOFT, anchor="ra")
    room = box.width - round(draw.textlength(distance, font=_font(13))) - 8
    _text(draw, (box.left, top + 25), neighbour.category, 13, _SOFT, room)


def _percent(score: float) -> str:
    # 100% is for the same picture alone, whatever rounding says.
    return "100%" if score >= 1.0 else f"{min(score, 0.999):.1%}"


def _card(sheet: Image.Image, box: _Box, picture: Encoded | None) -> None:
    """A white card with the picture fitted into it, its corners round."""
    card = Image.new("RGB", (box.width, box.height), _CARD)
    if picture is None:
        middle = (box.width // 2, box.height // 2)
        ImageDraw.Draw(card).text(middle, "picture missing", font=_font(14), fill=_SOFT, anchor="mm")
    else:
        fitted = _fitted(picture, box.width, box.height)
        card.paste(fitted, ((box.width - fitted.width) // 2, (box.height - fitted.height) // 2))
    sheet.paste(card, (box.left, box.top), _corners(card.size))
    outline = (box.left, box.top, box.left + box.width - 1, box.top + box.height - 1)
    ImageDraw.Draw(sheet).rounded_rectangle(outline, 10, outline=_LINE)


@lru_cache(maxsize=4)
def _corners(size: tuple[int, int]) -> Image.Image:
    """A mask of this size with smooth round corners."""
    big = Image.new("L", (size[0] * 4, size[1] * 4), 0)
    ImageDraw.Draw(big).rounded_rectangle((0, 0, big.width - 1, big.height - 1), 40, fill=255)
    return big.resize(size, Image.Resampling.LANCZOS)


def _fitted(picture: Encoded, width: int, height: int) -> Image.Image:
    """The picture in its own proportions, as large as fits."""
    wide, high = picture.original_size
    factor = min(width / wide, height / high)
    size = (max(1, round(wide * factor)), max(1, round(high * factor)))
    with Image.open(io.BytesIO(picture.data)) as image:
        fitted: Image.Image = image.convert("RGB").resize(size, Image.Resampling.LANCZOS)
        return fitted


def _reference(catalogue: Path | Source, uri: str) -> Encoded | None:
    source = FolderSource(catalogue) if isinstance(catalogue, Path) else catalogue
    try:
        return encode(source.read(uri, _PREVIEW.max_bytes), _PREVIEW)
    except ImageError as error:
        _log.warning("the sheet lacks a picture: %s", error)
        return None


@lru_cache(maxsize=32)
def _font(size: int, plain: bool = True) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """Pillow's own font, which knows ASCII only; for other text whichever of the common fonts is installed."""
    for name in () if plain else _WIDE_FONTS:
        try:
            return ImageFont.truetype(name, size)
        except OSError:
            continue
    return ImageFont.load_default(size)


def _text(draw: ImageDraw.ImageDraw, at: tuple[int, int], text: str, size: int, fill: str, width: int) -> None:
    """Text on one line, cut with an ellipsis to fit the width."""
    font = _font(size, text.isascii())
    # Line breaks in a name would start a new line, and halves of characters cannot be drawn.
    shown = "".join(letter if letter.isprintable() else "?" for letter in text)
    if draw.textlength(shown, font=font) > width:
        fits, too_long = 0, len(shown)
        while too_long - fits > 1:
            middle = (fits + too_long) // 2
            if draw.textlength(shown[:middle] + "…", font=font) <= width:
                fits = middle
            else:
                too_long = middle
        shown = shown[:fits] + "…"
    draw.text(at, shown, font=font, fill=fill)
