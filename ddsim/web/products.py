"""Product data: an optional ``products.csv`` or ``products.json`` in the catalogue's folder, read anew when it changes.

A CSV file has a line of headings (``uri``, and any of ``name``, ``price``, ``url``) and one line for each product. A
JSON file has a list of objects with these keys, or one object with uris as its keys. Where both files are there, the
JSON file counts.
"""

from __future__ import annotations

import csv
import io
import json
import logging
import threading
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, HttpUrl, StringConstraints, ValidationError

_log = logging.getLogger(__name__)

FILES = ("products.json", "products.csv")
_MOST_BYTES = 64 * 1024 * 1024
_TOLD = 5


def _text(value: object) -> object:
    """Prices may be numbers; an empty cell is none at all."""
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return str(value)
    return None if isinstance(value, str) and not value.strip() else value


Text = Annotated[str, StringConstraints(strip_whitespace=True, max_length=300)]


class Product(BaseModel):
    """What is known of one item besides its picture; nothing here is markup.

    Attributes:
        uri: of the item.
        name, price: for people, as they are to be shown.
        url: where it is sold; ``http`` or ``https``.
    """

    model_config = ConfigDict(frozen=True, extra="ignore", hide_input_in_errors=True)

    uri: Annotated[str, StringConstraints(min_length=1, max_length=4096)]
    name: Annotated[Text | None, BeforeValidator(_text)] = None
    price: Annotated[Text | None, BeforeValidator(_text)] = None
    url: Annotated[HttpUrl | None, BeforeValidator(_text)] = None


class Products:
    """The product data of one catalogue. Any thread may use it.

    Args:
        folder: the catalogue's.
        is_known: whether an item of that name is indexed; the log tells of those that are not.
    """

    def __init__(self, folder: Callable[[], Path], is_known: Callable[[str], bool]) -> None:
        self._folder = folder
        self._is_known = is_known
        self._lock = threading.Lock()
        self._seen: object = None
        self._products: dict[str, Product] = {}

    def get(self, uri: str) -> Product | None:
        """The product behind an item, None where nothing is known of it."""
        with self._lock:
            path, seen = self._file()
            if seen != self._seen:
                self._seen = seen
                self._products = self._read(path) if path else {}
        return self._products.get(uri)

    def _file(self) -> tuple[Path | None, object]:
        for name in FILES:
            path = self._folder() / name
            try:
                status = path.stat()
            except OSError:
                continue
            return path, (path, status.st_ino, status.st_mtime_ns, status.st_size)
        return None, None

    def _read(self, path: Path) -> dict[str, Product]:
        """Everything in it that can be used; what was read before stays where the whole file cannot."""
        try:
            if path.stat().st_size > _MOST_BYTES:
                raise ValueError(f"longer than {_MOST_BYTES} bytes")
            text = path.read_bytes().decode("utf-8-sig")
            rows = list(_json_rows(text) if path.suffix == ".json" else _csv_rows(text))
        except (OSError, ValueError, RecursionError, csv.Error) as error:
            _log.error("%s cannot be read (%s): products stay as they were", path, error)
            return self._products
        found, wrong = _validated(rows)
        _tell("%s: %d lines are left out, such as %s", path, wrong)
        unknown = [repr(uri) for uri in found if not self._is_known(uri)]
        _tell("%s: %d products are of no indexed item, such as %s", path, unknown)
        return found


def _validated(rows: Iterable[Any]) -> tuple[dict[str, Product], list[str]]:
    found: dict[str, Product] = {}
    wrong: list[str] = []
    for number, row in enumerate(rows, 1):
        try:
            product = Product.model_validate(row)
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            wrong.append(f"number {number} ({'.'.join(map(str, first['loc']))}: {first['msg']})")
            continue
        found[product.uri] = product
    return found, wrong


def _json_rows(text: str) -> Iterator[Any]:
    content = json.loads(text)
    if isinstance(content, dict):
        yield from ({**row, "uri": uri} if isinstance(row, dict) else row for uri, row in content.items())
    elif isinstance(content, list):
        yield from content
    else:
        raise ValueError("a list of products is expected, or an object of them by their uris")


def _csv_rows(text: str) -> Iterator[Any]:
    head = text.partition("\n")[0]
    # What spreadsheets write depends on the country.
    separator = max(",;\t", key=head.count)
    reader = csv.DictReader(io.StringIO(text, newline=""), delimiter=separator)
    headings = [(name or "").strip().lower() for name in reader.fieldnames or ()]
    if "uri" not in headings:
        raise ValueError("its first line has no heading uri")
    reader.fieldnames = headings
    yield from reader


def _tell(words: str, path: Path, ones: list[str]) -> None:
    if ones:
        _log.warning(words, path, len(ones), ", ".join(ones[:_TOLD]))
