"""What a collection holds: its items, those that failed, and their vectors."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ddsim.catalogue import Item, ItemState, Row
from ddsim.deepdetect import Vectors
from ddsim.errors import CapabilityError, InvalidRequest
from ddsim.indexing import Failure
from ddsim.pictures import thumbnail
from ddsim.search.collection import Collection
from ddsim.showing import DataFrame, Listing, Sketch, Table, Tile, clipped, counted, data_frame, several
from ddsim.training import features_kept
from ddsim.vectors import kept_by_content

_TILES, _TILE = 12, 100
_ROWS = 20


class Items(Listing[Item]):
    """The items that are indexed, sorted by uri: a sequence of :class:`ddsim.Item`.

    Args:
        rows: what is in it.
    """

    columns = ("uri", "category", "path")

    def to_dict(self) -> dict[str, Any]:
        """The items' names, as ``ddsim catalogue list --json`` prints them."""
        return {"indexed": [item.uri for item in self]}

    def _counts(self) -> Counter[str]:
        return Counter(item.category for item in self)

    def _brief(self) -> str:
        counts = self._counts()
        shown = several((f"{clipped(name, 24)} {count:,}" for name, count in counts.items()), len(counts))
        return f"{counted(len(self), 'item')} indexed" + (f": {shown}" if shown else "")

    def _sketch(self) -> Sketch:
        counts = self._counts().most_common()
        step = max(1, len(self) // _TILES)
        some = [self[place] for place in range(0, len(self), step)][:_TILES]
        rows = [(name, f"{count:,}") for name, count in counts[:_ROWS]]
        return Sketch(
            f"{counted(len(self), 'item')} indexed",
            tiles=[tile_of(item) for item in some],
            tables=[Table(("category", "items"), rows, more=max(0, len(counts) - _ROWS))] if rows else (),
        )


class Failures(Listing[Failure]):
    """What could not be indexed: folders that cannot be read, then items; a sequence of :class:`ddsim.Failure`.

    Args:
        rows: what is in it.
    """

    columns = ("uri", "reason", "tries")

    def to_dict(self) -> dict[str, Any]:
        """As ``ddsim catalogue failures --json`` prints them."""
        return {"failed": [one.to_dict() for one in self]}

    def _brief(self) -> str:
        if not self:
            return "none"
        return f"{len(self):,}, such as {clipped(self[0].uri)!r}: {clipped(self[0].reason)}"

    def _sketch(self) -> Sketch:
        rows = [(one.uri, one.reason, str(one.tries)) for one in self[:_ROWS]]
        table = Table(("item", "reason", "tries"), rows, more=max(0, len(self) - _ROWS))
        title = f"{len(self):,} could not be indexed" if self else "Nothing failed"
        return Sketch(title, tables=[table] if rows else ())


class ItemVectors(NamedTuple):
    """The vectors of items: ``uris, vectors = search.vectors()``.

    Attributes:
        uris: names of the items, n.
        vectors: theirs, float32, shape (n, d), in the same order.
    """

    uris: list[str]
    vectors: Vectors

    def __repr__(self) -> str:
        return f"<ItemVectors: {counted(len(self.uris), 'item')}, float32 {self.vectors.shape}>"

    def to_dict(self) -> dict[str, Any]:
        """The names and the values as plain lists, which JSON has, too."""
        return {"uris": list(self.uris), "vectors": self.vectors.tolist()}

    def to_dataframe(self) -> DataFrame:
        """A row for each item: its uri, then the values in columns 0 to d - 1.

        Raises:
            CapabilityError: pandas is not installed.
        """
        frame = data_frame(({"uri": uri} for uri in self.uris), ["uri"])
        values = data_frame(map(dict, map(enumerate, self.vectors.tolist())), range(self.vectors.shape[1]))
        return frame.join(values)


def tile_of(item: Item, note: str = "") -> Tile:
    """An item as a small picture."""
    return Tile(partial(thumbnail, item.path, _TILE), item.uri.rpartition("/")[2], note or item.category, item.uri)


def items_of(collection: Collection, category: str | None) -> Items:
    """The items that are indexed, of one category or of all."""
    return Items(_item(row, collection.source.folder) for row in _rows(collection, category))


def _item(row: Row, folder: Path | None) -> Item:
    return Item(row.uri, row.category, Path(row.uri) if folder is None else folder / row.uri)


def indexed_item(collection: Collection, uri: str) -> Row:
    """The item of that name.

    Raises:
        InvalidRequest: none is indexed; says which may be meant.
    """
    row = collection.records.find(_as_name(uri))
    if row is None or row.state is not ItemState.INDEXED:
        collection.check()
        why = f": it failed, {row.error}" if row is not None and row.error else ""
        meant = "" if row is not None else collection.records.meant(uri)
        raise InvalidRequest(f"no item {clipped(uri, 200)!r} is indexed{why or meant}")
    return row


def items_with_vectors(
    collection: Collection, category: str | None, *, compared: bool = False
) -> tuple[list[Item], Vectors]:
    """Items and their vectors, shape (n, d), in the same order; see :meth:`ddsim.ImageSearch.vectors`."""
    collection.check()
    rows = list(_rows(collection, category))
    home, vids = collection.home(), [row.vid or 0 for row in rows]
    kept = home.vectors_of(vids) if compared else home.features_of(vids)
    if kept is None:
        kept = _kept_elsewhere(collection, rows)
    return [_item(row, collection.source.folder) for row in rows], kept


def vector_of(collection: Collection, row: Row) -> Vectors | None:
    """One item's vector as the network gave it, shape (d,); None where its home gives none back."""
    found = collection.home().features_of([row.vid or 0])
    return None if found is None else found[0]


def _kept_elsewhere(collection: Collection, rows: Sequence[Row]) -> Vectors:
    """Vectors that an index of the server's does not give back, where a training or an evaluation left all of them."""
    by_vid = features_kept(collection.manifest)
    lacking = [row.sha256 for row in rows if row.vid not in by_vid and row.sha256 is not None]
    by_content = kept_by_content(collection.settings, collection.manifest, lacking) if lacking else {}
    found = [by_vid[row.vid] if row.vid in by_vid else by_content.get(row.sha256 or "") for row in rows]
    whole = [vector for vector in found if vector is not None]
    if len(whole) < len(rows):
        raise CapabilityError(
            f"the vectors are in the server's own index, which gives none of them back, and of {len(rows)} items "
            f"{len(whole)} are kept here: write `backend: local` under `index:` and run `ddsim index --rebuild`, or "
            "`ddsim train`, which computes and keeps those of up to 20,000 items"
        )
    return np.stack(whole)


def _rows(collection: Collection, category: str | None) -> Iterator[Row]:
    (named,) = (None,) if category is None else collection.check((_as_name(category),))
    after = ""
    while rows := collection.records.rows(ItemState.INDEXED, category=named, after=after):
        yield from rows
        after = rows[-1].uri


def names_of(uris: str | Iterable[str]) -> list[str]:
    """One name or several, as a list without doubles.

    Raises:
        InvalidRequest: one of them is not text.
    """
    one = isinstance(uris, (str, bytes)) or not isinstance(uris, Iterable)
    return list(dict.fromkeys(_as_name(name) for name in ([uris] if one else uris)))


def _as_name(name: object) -> str:
    """A name that somebody gives.

    Raises:
        InvalidRequest: it is not text.
    """
    if not isinstance(name, str):
        example = "'lamp' or 'lamp/lamp-001.jpg'"
        raise InvalidRequest(f"categories and items are named by text, such as {example}, not {clipped(repr(name))}")
    return name
