"""Files of product data as people and spreadsheets write them: their letters, separators and names of items."""

from __future__ import annotations

import codecs
import csv
import io
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path, PurePosixPath
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, HttpUrl, StringConstraints, ValidationError

from ddsim.catalogue.spelling import same_name
from ddsim.showing import counted

#: Where product data is looked for in a catalogue's folder; the first that is there counts.
FILES = ("products.json", "products.csv")
_MOST_BYTES = 64 * 1024 * 1024
_BOMS = {codecs.BOM_UTF8: "utf-8-sig", codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16"}
_WORKBOOKS = (b"PK\x03\x04", b"\xd0\xcf\x11\xe0")
_LOOKED_AT = 1000
_END = "\ufdd0"  # no letter, and never will be
# Excel's own first line, with which it is told what separates columns.
_SEPARATOR = re.compile(r'\s*"?sep=(.)"?\s*', re.IGNORECASE)


def _text(value: object) -> object:
    """Prices may be numbers; an empty cell is none at all."""
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return str(value)
    return None if isinstance(value, str) and not value.strip() else value


Text = Annotated[str, StringConstraints(strip_whitespace=True, max_length=300)]


class Product(BaseModel):
    """What is known of one item besides its picture; nothing here is markup.

    Attributes:
        uri: of the item, as the file writes it.
        name, price: for people, as they are to be shown.
        url: where it is sold; ``http`` or ``https``.
    """

    model_config = ConfigDict(frozen=True, extra="ignore", hide_input_in_errors=True)

    uri: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=4096)]
    name: Annotated[Text | None, BeforeValidator(_text)] = None
    price: Annotated[Text | None, BeforeValidator(_text)] = None
    url: Annotated[HttpUrl | None, BeforeValidator(_text)] = None


@dataclass
class ProductFile:
    """What a file says.

    Attributes:
        products: by the names of their items, made comparable by :func:`key`.
        wrong: which lines are left out, in whole or in part, and why.
        notes: what is worth knowing besides.
    """

    products: dict[str, Product] = field(default_factory=dict)
    wrong: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def key(uri: str) -> str:
    """An item's name as it is compared: with slashes, without ``./`` and blanks around it, letters in one spelling."""
    return same_name(str(PurePosixPath(uri.strip().replace("\\", "/").lstrip("/"))))


def read_products(path: Path) -> ProductFile:
    """Read a file of product data.

    Args:
        path: a CSV file with a line of headings, or a ``.json`` file with a list of objects, one object by uris, or an
            object a line.

    Raises:
        OSError: it cannot be read.
        ValueError: nothing of it makes sense.
    """
    if path.stat().st_size > _MOST_BYTES:
        raise ValueError(f"longer than {_MOST_BYTES // 1024 // 1024} MB")
    found = ProductFile()
    text = _decoded(path.read_bytes(), found.notes)
    twice = 0
    for where, row in _json_rows(text) if path.suffix == ".json" else _csv_rows(text):
        product, reason = _product(row)
        if reason:
            found.wrong.append(f"{where} ({reason})")
        if product is None:
            continue
        name = key(product.uri)
        known = name in found.products
        twice += known
        if known and reason:
            continue  # what is wrong in a line costs no other line
        found.products[name] = product
    if twice:
        lines = counted(twice, "line is of an item that has", "lines are of items that have")
        found.notes.append(f"{lines} one before: the last one counts")
    return found


def _product(row: object) -> tuple[Product | None, str]:
    """The product of a line, without what is wrong in it, and what that is; None where nothing can be used."""
    if isinstance(row, _Unusable):
        return None, row.reason
    try:
        return Product.model_validate(row), ""
    except ValidationError as error:
        reason, wrong = _reason(error, row), {one["loc"][0] for one in error.errors() if one["loc"]}
    if not isinstance(row, dict) or "uri" in wrong:
        return None, reason
    rest = Product.model_validate({name: value for name, value in row.items() if name not in wrong})
    if not (rest.name or rest.price or rest.url):
        return None, reason
    return rest, f"{reason}; the rest of it is used"


def _reason(error: ValidationError, row: object) -> str:
    """What cannot be used, in words for whoever writes such files."""
    if not isinstance(row, dict):
        return "a product is an object with uri, and any of name, price and url"
    first = error.errors(include_url=False, include_input=False)[0]
    name, kind = str(first["loc"][0]), first["type"]
    if name == "uri" and kind in ("missing", "none_required", "string_too_short"):
        return "uri is missing: the name of the picture that it is of"
    if name == "url":
        return "url is not an address such as https://shop.example/lamp"
    if kind == "string_too_long":
        return f"{name} is longer than {first['ctx']['max_length']} characters"
    return f"{name} is not text"


def _decoded(data: bytes, notes: list[str]) -> str:
    if data.startswith(_WORKBOOKS):
        raise ValueError("it is an Excel workbook: save it as “CSV UTF-8”")
    for mark, encoding in _BOMS.items():
        if data.startswith(mark):
            return data.decode(encoding)
    zeros = data[:_LOOKED_AT:2].count(0), data[1:_LOOKED_AT:2].count(0)
    if max(zeros) > len(data[:_LOOKED_AT]) / 8:  # every other byte of most letters of the West is 0 in UTF-16
        return data.decode("utf-16-be" if zeros[0] > zeros[1] else "utf-16-le")
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        text = data.decode("cp1252")
    notes.append("it is not UTF-8, and was read as Windows-1252; where letters are wrong, save it as “CSV UTF-8”")
    return text


@dataclass(frozen=True)
class _Unusable:
    """A line of which nothing can be told for certain, and why."""

    reason: str


def _json_rows(text: str) -> Iterator[tuple[str, Any]]:
    try:
        content = json.loads(text)
    except json.JSONDecodeError as error:
        if not _has_lines(text):
            raise ValueError(f"it is no JSON: {error}") from error
        yield from _json_lines(text)
        return
    if isinstance(content, dict) and isinstance(content.get("uri"), str):
        content = [content]
    if isinstance(content, dict):
        content = [{**row, "uri": uri} if isinstance(row, dict) else row for uri, row in content.items()]
    if not isinstance(content, list):
        raise ValueError("a list of products is expected, or an object of them by their uris")
    for number, row in enumerate(content, 1):
        yield f"number {number}", row


def _has_lines(text: str) -> bool:
    """Whether the first line is an object by itself."""
    try:
        return isinstance(json.loads(text.lstrip().partition("\n")[0]), dict)
    except ValueError:
        return False


def _json_lines(text: str) -> Iterator[tuple[str, Any]]:
    """A product a line, as databases write them out."""
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip():
            try:
                yield f"line {number}", json.loads(line)
            except json.JSONDecodeError as error:
                yield f"line {number}", _Unusable(f"it is no JSON: {error.msg}")


def _csv_rows(text: str) -> Iterator[tuple[str, Any]]:
    lines = io.StringIO(text, newline="")
    separator = ""
    head = ""
    before = 0
    for head in lines:
        before += 1
        if told := _SEPARATOR.fullmatch(head):
            separator = told[1]
        elif head.strip(' \t\r\n,;"'):
            break
    # What spreadsheets write depends on the country.
    separator = separator or max(",;\t", key=head.count)
    headings = [name.strip().lower() for name in next(csv.reader([head], delimiter=separator), [])]
    if "uri" not in headings:
        raise ValueError(f"its first line has no heading uri, but {', '.join(map(repr, headings[:9])) or 'nothing'}")
    # Behind the last line, so that it is part of a cell only where a quote was not closed.
    rows = csv.reader(chain(lines, [_END]), delimiter=separator)
    begins = 1
    for cells in rows:
        if cells and cells[-1].endswith(_END):
            if cells != [_END]:
                lost = "a quote is opened here and closed nowhere: what follows was taken for one cell"
                yield f"line {before + begins}", _Unusable(lost)
        elif any(cell.strip() for cell in cells[len(headings) :]):
            many = f"{len(cells)} cells under {len(headings)} headings"
            yield f"line {before + rows.line_num}", _Unusable(f"{many}: put in quotes what holds a {separator!r}")
        elif any(cell.strip() for cell in cells):
            yield f"line {before + rows.line_num}", dict(zip(headings, cells, strict=False))
        begins = rows.line_num + 1
