"""A table of picture addresses as a catalogue: CSV or Parquet with the columns url, category and uri.

Its rows go into a temporary file of SQLite, which the system removes: memory does not grow with them, what has one uri
twice is noticed, and an item's address is found at once.
"""

from __future__ import annotations

import csv
import difflib
import hashlib
import os
import sqlite3
import threading
from collections.abc import Callable, Iterator, Mapping
from itertools import chain
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import unquote, urlsplit

from ddsim.catalogue import Entry, Kind, Survey, Tally
from ddsim.errors import CapabilityError, CatalogueUnreachable, ConfigError, ImageError, install_hint
from ddsim.pictures import shown_url
from ddsim.sources.base import Elsewhere, Stamp
from ddsim.sources.bucket import Bucket
from ddsim.sources.fetching import Fetcher
from ddsim.sources.names import flaw_of

#: Endings of files that are tables.
ENDINGS = (".csv", ".tsv", ".parquet")
_NEEDED = ("url", "category")
_OPTIONAL = ("uri", "version")
_LONGEST_FIELD = 1 << 20
# So many wrong rows are named; more are counted.
_NAMED = 100
_TABLE = """
CREATE TABLE pictures (
    uri TEXT PRIMARY KEY, url TEXT NOT NULL, category TEXT NOT NULL, version TEXT, row INTEGER NOT NULL
) WITHOUT ROWID
"""


class TableSource(Elsewhere):
    """A file with a row for each picture; implements :class:`ddsim.sources.Source`.

    The columns are ``url`` and ``category``, and where wanted ``uri``, by default the category and the last part of the
    url, and ``version``, any text that changes when the picture does; without it each picture's server is asked.

    Args:
        file: CSV in UTF-8, with commas, semicolons or tabs, or Parquet.
        fetcher: fetches http and https.
        bucket: opens a service, by its scheme.
        readers: pictures at a time.
        max_bytes: larger ones are not read.
    """

    def __init__(
        self, file: Path, fetcher: Fetcher, bucket: Callable[[str], Bucket], *, readers: int, max_bytes: int
    ) -> None:
        super().__init__(str(file), readers=readers, max_bytes=max_bytes)
        self._file = file
        self._fetcher = fetcher
        self._open = bucket
        self._buckets: dict[str, Bucket] = {}
        self._lock = threading.RLock()
        self._rows: sqlite3.Connection | None = None
        self._seen: object = None
        self._wrong: dict[str, str] = {}
        self._repeated = Tally()

    def walk(self, survey: Survey) -> Iterator[Entry]:
        """Find the items; those without a version are asked for their etag, several at a time."""
        self._read_again()
        survey.shut |= self._wrong
        if self._repeated.count:
            survey.met[Kind.REPEATED] = self._repeated
        rows = self._pages()
        first = next(rows, None)
        if first is None and not survey.shut:
            raise ConfigError(f"{self._file}: no rows; expected a row for each picture, with url and category")
        if first is not None:
            yield from self._stamped(chain([first], rows), self._stamp, survey)

    def read(self, uri: str, max_bytes: int) -> bytes:
        """Fetch an item."""
        url = self._url(uri)
        if url is None:
            raise ImageError(uri, f"{self._file} has no row with this uri")
        scheme = urlsplit(url).scheme
        return (
            self._bucket(scheme).read(url, max_bytes) if scheme in ("s3", "gs") else self._fetcher.get(url, max_bytes)
        )

    def place(self, uri: str) -> str:
        """Its address."""
        url = self._url(uri)
        return f"{self._file}: {uri}" if url is None else shown_url(url)

    def close(self) -> None:
        """Close connections, and let the rows go."""
        self._fetcher.close()
        with self._lock:
            if self._rows is not None:
                self._rows.close()
                self._rows = None

    def _stamp(self, asked: tuple[str, str | None]) -> Stamp:
        url, version = asked
        if version is not None:
            # Another address may well be another picture of the same version; but some are signed anew at every export.
            return Stamp(0, f"{version}\0{url.partition('?')[0]}")
        scheme = urlsplit(url).scheme
        return self._bucket(scheme).stamp(url) if scheme in ("s3", "gs") else self._fetcher.stamp(url)

    def _bucket(self, scheme: str) -> Bucket:
        with self._lock:
            if scheme not in self._buckets:
                self._buckets[scheme] = self._open(scheme)
            return self._buckets[scheme]

    # The rows

    def _url(self, uri: str) -> str | None:
        with self._lock:
            self._read_again()
            found = self._db().execute("SELECT url FROM pictures WHERE uri = ?", (uri,)).fetchone()
        return None if found is None else str(found[0])

    def _pages(self) -> Iterator[tuple[str, str, tuple[str, str | None]]]:
        """Uri and category of each row, and its url and version."""
        after = ""
        while True:
            with self._lock:
                page = (
                    self._db()
                    .execute(
                        "SELECT uri, category, url, version FROM pictures WHERE uri > ? ORDER BY uri LIMIT 1000",
                        (after,),
                    )
                    .fetchall()
                )
            if not page:
                return
            for uri, category, url, version in page:
                yield uri, category, (url, version)
            after = page[-1][0]

    def _db(self) -> sqlite3.Connection:
        if self._rows is None:
            raise ConfigError(f"{self._file}: it was closed")
        return self._rows

    def _read_again(self) -> None:
        """Read the file where it is another one than was read last.

        Raises:
            ConfigError: it cannot be read, or lacks a column.
        """
        with self._lock:
            try:
                status = os.stat(self._file)
            except OSError as error:
                raise CatalogueUnreachable(f"{self._file}: cannot be read: {error.strerror}") from error
            seen = (status.st_ino, status.st_mtime_ns, status.st_size)
            if seen == self._seen and self._rows is not None:
                return
            rows = sqlite3.connect("", check_same_thread=False)
            try:
                rows.execute(_TABLE)
                wrong, repeated = _Wrong(self._file), Tally()
                for number, row in _read(self._file):
                    self._take(rows, number, row, wrong, repeated)
                rows.commit()
            except BaseException:
                rows.close()
                raise
            if self._rows is not None:
                self._rows.close()
            self._rows, self._seen, self._wrong, self._repeated = rows, seen, wrong.told(), repeated

    def _take(
        self, rows: sqlite3.Connection, number: int, row: Mapping[str, str], wrong: _Wrong, repeated: Tally
    ) -> None:
        url, category = row.get("url", ""), row.get("category", "")
        uri = row.get("uri") or (f"{category}/{_last_part(url)}" if url and category else "")
        flaw = _flaw(uri, category, url)
        if flaw is not None:
            wrong.note(uri, number, flaw)
            return
        told = (url, category, row.get("version") or None)
        if not rows.execute("INSERT OR IGNORE INTO pictures VALUES (?, ?, ?, ?, ?)", (uri, *told, number)).rowcount:
            found = rows.execute("SELECT row, url, category, version FROM pictures WHERE uri = ?", (uri,))
            first, *known = found.fetchone()
            names = ("url", "category", "version")
            others = [name for name, one, other in zip(names, told, known, strict=True) if one != other]
            if others:
                repeated.add(f"row {number} ({uri}; row {first} has another {' and '.join(others)}, and counts)")


class _Wrong:
    """Rows that cannot be used, the first of them by name."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._named: dict[str, str] = {}
        self._more = 0

    def note(self, uri: str, number: int, flaw: str) -> None:
        """One more."""
        if len(self._named) < _NAMED:
            self._named.setdefault(uri or f"row {number}", f"row {number} of {self._file.name}: {flaw}")
        else:
            self._more += 1

    def told(self) -> dict[str, str]:
        """Uri, or number of the row, and what is wrong."""
        more = {f"{self._more} more rows": f"of {self._file.name} cannot be used"} if self._more else {}
        return self._named | more


def _flaw(uri: str, category: str, url: str) -> str | None:
    if not url or not category:
        return f"{'url' if not url else 'category'} is empty"
    if any(0xD800 <= ord(letter) < 0xE000 or letter == "\0" for letter in uri + category + url):
        return "it holds letters that are none"
    if "/" in category or category in (".", ".."):
        return f"category {category!r}: a plain name is needed, without a slash"
    try:
        parts = urlsplit(url)
        usable = parts.scheme in ("http", "https", "s3", "gs") and bool(parts.hostname) and parts.port != 0
        usable = usable and ("@" not in parts.netloc or parts.scheme in ("http", "https"))
    except ValueError:
        usable = False
    if not usable:
        return (
            f"url {shown_url(url)[:100]!r}: expected an address such as https://host/picture.jpg, s3://... or gs://..."
        )
    return flaw_of(uri)


def _last_part(url: str) -> str:
    try:
        parts = urlsplit(url)
        name = unquote(PurePosixPath(parts.path).name) if parts.netloc else ""
    except ValueError:  # no address, which is told
        name = ""
    return name or hashlib.sha256(url.encode("utf-8", "replace")).hexdigest()[:16]


def _read(file: Path) -> Iterator[tuple[int, dict[str, str]]]:
    """Number and columns of each row."""
    if file.suffix.lower() == ".parquet":
        yield from _read_parquet(file)
        return
    try:
        with file.open(encoding="utf-8-sig", newline="") as lines:
            head = lines.readline()
            lines.seek(0)
            csv.field_size_limit(_LONGEST_FIELD)
            reader = csv.reader(lines, delimiter=max(",;\t", key=head.count))
            names = _columns(file, next(reader, []))
            for row in reader:
                if any(row):
                    yield (
                        reader.line_num,
                        {name: value.strip() for name, value in zip(names, row, strict=False) if name},
                    )
    except UnicodeDecodeError as error:
        raise ConfigError(f"{file}: is not UTF-8: save it as CSV UTF-8") from error
    except (OSError, csv.Error) as error:
        raise ConfigError(f"{file}: cannot be read: {error}") from error


def _read_parquet(file: Path) -> Iterator[tuple[int, dict[str, str]]]:
    try:
        from pyarrow import ArrowException, parquet
    except ImportError as error:
        raise CapabilityError(f"{file}: Parquet is read by pyarrow: {install_hint('parquet')}") from error
    try:
        with parquet.ParquetFile(file) as table:
            given = list(table.schema_arrow.names)
            names = dict(zip(given, _columns(file, given), strict=True))
            wanted = [name for name, known in names.items() if known]
            number = 0
            for batch in table.iter_batches(columns=wanted):
                for row in batch.to_pylist():
                    number += 1
                    yield number, {names[name]: "" if one is None else str(one).strip() for name, one in row.items()}
    except (OSError, ArrowException) as error:
        raise ConfigError(f"{file}: cannot be read as Parquet: {error}") from error


def _columns(file: Path, given: list[Any]) -> list[str]:
    """Of each column what it is here; nothing for those that are not needed."""
    known = (*_NEEDED, *_OPTIONAL)
    plain = [str(name).strip().lower() for name in given]
    for name in _NEEDED:
        if name not in plain:
            near = difflib.get_close_matches(name, plain, 1, 0.5)
            hint = f"; did you mean {near[0]!r}?" if near else "."
            there = f"There are {', '.join(map(repr, plain))}" if plain else "There are none in its first line"
            raise ConfigError(
                f"{file}: no column {name!r}{hint} {there}; a table of pictures has url and category, and "
                "uri where names are to be others"
            )
        if plain.count(name) > 1:
            raise ConfigError(f"{file}: the column {name!r} is there twice")
    return [name if name in known else "" for name in plain]
