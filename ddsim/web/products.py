"""Product data: an optional ``products.csv`` or ``products.json`` in the catalogue's folder, read anew when it changes.

A CSV file has a line of headings (``uri``, and any of ``name``, ``price``, ``url``) and one line for each product. A
JSON file has a list of objects with these keys, or one object with uris as its keys. Where both files are there, the
JSON file counts.
"""

from __future__ import annotations

import csv
import logging
import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from ddsim.catalogue import PRODUCT_FILES as FILES
from ddsim.catalogue import ItemState, Manifest, Product, ProductFile, read_products
from ddsim.catalogue import product_key as key
from ddsim.showing import counted

_log = logging.getLogger(__name__)

_TOLD = 5


@dataclass(frozen=True)
class Unmatched:
    """A product of no indexed picture: its uri as the file has it, and a picture that may be meant."""

    uri: str
    near: str | None


@dataclass(frozen=True)
class Matching:
    """How product data and catalogue go together.

    Attributes:
        file: name of the file; None where there is none.
        products: how many of its lines can be used.
        matched: how many of these are of an indexed picture.
        pictures: how many are indexed.
        unmatched: the others.
        left_out: which lines cannot be used, or not all of them, and why.
        notes: what is worth knowing besides.
        problem: why the whole file cannot be read; None where it can.
    """

    file: str | None = None
    products: int = 0
    matched: int = 0
    pictures: int = 0
    unmatched: tuple[Unmatched, ...] = ()
    left_out: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    problem: str | None = None

    @property
    def sentences(self) -> list[str]:
        """What whoever keeps the catalogue should know, with some examples; nothing where all is well."""
        if self.problem:
            return [f"{self.file} cannot be read ({self.problem}): products stay as they were."]
        told = []
        if self.unmatched and self.pictures:
            some = ", ".join(_named(one) for one in self.unmatched[:_TOLD])
            head = f"{len(self.unmatched)} of {counted(self.products, 'product')}"
            told.append(f"{head} {'matches' if self.products == 1 else 'match'} no indexed picture, such as {some}.")
        if self.left_out:
            left = counted(len(self.left_out), "line is left out", "lines are left out")
            told.append(f"{left}, in whole or in part, such as {_together(self.left_out[:_TOLD])}.")
        return [f"{self.file}: {one}" for one in [*told, *(f"{note}." for note in self.notes)]]


class Products:
    """The product data of one catalogue. Any thread may use it.

    Args:
        folder: the catalogue's.
        uris: names of all indexed items.
        elsewhere: what is known of an item by its comparable name, where there is no file here.
    """

    def __init__(
        self,
        folder: Callable[[], Path | None],
        uris: Callable[[], Iterable[str]],
        elsewhere: Callable[[str], Product | None] = lambda _: None,
    ) -> None:
        self._folder = folder
        self._uris = uris
        self._elsewhere = elsewhere
        self._lock = threading.Lock()
        self._seen: dict[Path, object] | None = None
        self._beside: tuple[str, ...] = ()
        self._name: str | None = None
        self._file = ProductFile()
        self._problem: str | None = None

    def get(self, uri: str) -> Product | None:
        """The product behind an item, None where nothing is known of it."""
        file = self._now()
        return self._elsewhere(key(uri)) if self._name is None else file.products.get(key(uri))

    def matching(self) -> Matching:
        """How the file and what is indexed now go together; looks at every name."""
        return self._matched(self._now())

    def _matched(self, file: ProductFile) -> Matching:
        if self._name is None:
            return Matching()
        known = {key(uri): uri for uri in self._uris()}
        missing = [product for name, product in file.products.items() if name not in known]
        near = _Near(known.values() if missing else ())
        return Matching(
            file=self._name,
            products=len(file.products),
            matched=len(file.products) - len(missing),
            pictures=len(known),
            unmatched=tuple(Unmatched(one.uri, near.to(key(one.uri))) for one in missing),
            left_out=tuple(file.wrong),
            notes=(*file.notes, *self._beside),
            problem=self._problem,
        )

    def _now(self) -> ProductFile:
        with self._lock:
            there = self._look()
            if there == self._seen:
                return self._file
            self._seen = there
            path = next(iter(there), None)
            self._name = path.name if path else None
            self._file = self._read(path) if path else ProductFile()
            self._beside = tuple(f"{other.name} is there, too, and does not count" for other in there if other != path)
            for sentence in self._matched(self._file).sentences:
                _log.warning("%s", sentence)
            return self._file

    def _look(self) -> dict[Path, object]:
        """The files that are there, the one that counts first, and what changes when they do."""
        folder = self._folder()
        there: dict[Path, object] = {}
        for path in [] if folder is None else [folder / name for name in FILES]:
            try:
                status = path.stat()
            except OSError:
                continue
            there[path] = status.st_ino, status.st_mtime_ns, status.st_size
        return there

    def _read(self, path: Path) -> ProductFile:
        """Everything in it that can be used; what was read before stays where the whole file cannot."""
        self._problem = None
        try:
            return read_products(path)
        except (OSError, ValueError, RecursionError, csv.Error) as error:
            self._problem = str(error)
            return self._file


class _Near:
    """Finds the one picture that a mistyped name may mean: with letters of another size, ending or folder."""

    def __init__(self, uris: Iterable[str]) -> None:
        self._found: dict[tuple[int, str], str | None] = {}
        for uri in uris:
            for spelling in _spellings(key(uri)):
                self._found[spelling] = None if spelling in self._found else uri

    def to(self, name: str) -> str | None:
        """The nearest one, None where none is near."""
        return next(filter(None, (self._found.get(spelling) for spelling in _spellings(name))), None)


def indexed(manifest: Manifest) -> Iterator[str]:
    """The names of all indexed items."""
    after = ""
    while rows := manifest.rows(ItemState.INDEXED, after=after):
        yield from (row.uri for row in rows)
        after = rows[-1].uri


def _spellings(name: str) -> Iterator[tuple[int, str]]:
    path = PurePosixPath(name.casefold())
    yield from enumerate((str(path), str(path.with_suffix("")), path.name))


def _together(left_out: Iterable[str]) -> str:
    """Lines that are left out for the same reason, with the reason once."""
    places: dict[str, list[str]] = {}
    for line in left_out:
        where, _, reason = line.partition(" (")
        places.setdefault(reason, []).append(where)
    return ", ".join(f"{', '.join(wheres)} ({reason}" for reason, wheres in places.items())


def _named(one: Unmatched) -> str:
    return f"{one.uri!r}, which may mean {one.near!r}" if one.near else repr(one.uri)
