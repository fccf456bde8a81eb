"""The calls that are made to a Milvus.

Every call can be made again without harm, but for the one that adds items: where its answer is lost, the items have to
be removed before they are added again.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from ddsim.deepdetect import Vectors
from ddsim.vectors.milvuslink import Link, Missing

Kind = Literal["FLAT", "HNSW", "DISKANN"]

#: Bytes of a name at most; it is what the database takes.
LONGEST = {"uri": 65_535, "category": 1_024}
#: Rows of one answer at most, as the database has it.
WIDEST = 16_384
VECTOR = "vector"
_PAGE = 1_000
_PAGE_BYTES = 1 << 24
# So many rows an HNSW or DiskANN keeps in view, at least. With 128 of them .984 of the ten nearest were found in a
# category of 15,000 rows whose photos are far from the query, with 512 all of them.
_DEPTH = 512
# Seconds between two looks at an index that is being built, and without a new row until it counts as failed: a segment
# of 512 MB takes minutes.
_GLANCE, _STANDSTILL = 0.2, 1800.0
_FIELDS = ("uri", "category", "sha256")
_BUILD: dict[Kind, dict[str, int]] = {"FLAT": {}, "HNSW": {"M": 16, "efConstruction": 200}, "DISKANN": {}}
_ESCAPES = {"\\": "\\\\", '"': '\\"', "\n": "\\n", "\r": "\\r", "\t": "\\t", "\a": "\\a", "\b": "\\b"}
_ESCAPES |= {"\f": "\\f", "\v": "\\v"}


@dataclass(frozen=True, slots=True)
class Described:
    """A collection: its own name, whatever alias was asked for, what was written on it, and its fields.

    Attributes:
        name: not an alias.
        note: whatever was written on it when it was made.
        fields: name -> kind of values, such as ``INT64``.
        dimension: of the vectors; 0 where it has none.
    """

    name: str
    note: str
    fields: Mapping[str, str]
    dimension: int


def literal(text: str) -> str:
    """A name as an expression holds it: whatever is in it, it stays one name.

    Templates would do the same, and are known to servers from 2.5 on only: older ones read them as part of the
    expression.
    """
    return '"' + "".join(_ESCAPES.get(letter, letter) for letter in text) + '"'


def among(field: str, names: Collection[str]) -> str:
    """The expression of rows with one of these names in a field."""
    return f"{field} in [{', '.join(literal(name) for name in sorted(names))}]"


class Calls(Link):
    """Calls to one database. Any thread may use it; made as a :class:`Link` is."""

    def __enter__(self) -> Calls:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def version(self) -> str:
        """The server's."""
        return str(self.ask("get_server_version", ""))

    # Collections

    def names(self) -> list[str]:
        """Of all collections."""
        return [str(name) for name in self.ask("list_collections", "")]

    def describe(self, name: str) -> Described | None:
        """A collection, by its name or an alias; None where there is none."""
        try:
            found = self.ask("describe_collection", name)
        except Missing:
            return None
        fields = {one["name"]: self.pymilvus.DataType(one["type"]).name for one in found["fields"]}
        sizes = [one["params"].get("dim", 0) for one in found["fields"]]
        return Described(str(found["collection_name"]), str(found["description"]), fields, max(map(int, sizes)))

    def create_items(self, name: str, note: str, dimension: int, metric: str, kind: Kind) -> None:
        """Make a collection for items, ready for searches."""
        types = self.pymilvus.DataType
        schema = self.pymilvus.MilvusClient.create_schema(auto_id=False, description=note)
        schema.add_field("vid", types.INT64, is_primary=True)
        schema.add_field("uri", types.VARCHAR, max_length=LONGEST["uri"])
        schema.add_field("category", types.VARCHAR, max_length=LONGEST["category"], is_partition_key=True)
        schema.add_field("sha256", types.VARCHAR, max_length=64)
        schema.add_field("generation", types.INT64)
        schema.add_field(VECTOR, types.FLOAT_VECTOR, dim=dimension)
        self._create(name, schema, metric, kind)

    def create_notes(self, name: str, note: str) -> None:
        """Make a collection of texts by their keys."""
        types = self.pymilvus.DataType
        schema = self.pymilvus.MilvusClient.create_schema(auto_id=False, description=note)
        schema.add_field("key", types.VARCHAR, max_length=LONGEST["uri"], is_primary=True)
        schema.add_field("mark", types.VARCHAR, max_length=255)
        schema.add_field("text", types.VARCHAR, max_length=65_535)
        # The database knows no collection without vectors.
        schema.add_field(VECTOR, types.FLOAT_VECTOR, dim=2)
        self._create(name, schema, "L2", "FLAT")

    def _create(self, name: str, schema: Any, metric: str, kind: Kind) -> None:
        self.ask("create_collection", name, schema=schema, consistency_level=self.consistency)
        self._index(name, metric, kind)
        self.ask("load_collection", name)

    def index_of(self, name: str) -> tuple[str, Kind] | None:
        """Metric and kind of a collection's index; None where it has none."""
        try:
            found = self.ask("describe_index", name, index_name=VECTOR)
        except Missing:
            return None
        return (found["metric_type"], found["index_type"]) if found else None

    def index_anew(self, name: str, metric: str, kind: Kind) -> None:
        """Give a collection another index; it cannot be searched meanwhile."""
        self.ask("release_collection", name)
        if self.index_of(name) is not None:
            self.ask("drop_index", name, index_name=VECTOR)
        self._index(name, metric, kind)
        self._wait_for_index(name)
        self.ask("load_collection", name)

    def _index(self, name: str, metric: str, kind: Kind) -> None:
        params = self.pymilvus.MilvusClient.prepare_index_params()
        params.add_index(VECTOR, index_name=VECTOR, index_type=kind, metric_type=metric, params=_BUILD[kind])
        self.ask("create_index", name, index_params=params, sync=False)

    def finish_index(self, name: str) -> None:
        """Have the index over all that was added; what came last is compared one by one until then."""
        self.ask("flush", name)
        self._wait_for_index(name)

    def _wait_for_index(self, name: str) -> None:
        """Let the database build it, however long that takes, as long as it gets on.

        Raises:
            DatabaseTrouble: it does not.
        """
        least, waited = math.inf, 0.0
        while pending := int((facts := self.ask("describe_index", name, index_name=VECTOR))["pending_index_rows"]):
            waited = 0.0 if pending < least else waited + _GLANCE
            least = min(least, pending)
            if facts["state"] == "Failed" or waited > _STANDSTILL:
                raise self.trouble(f"does not build the index of {pending} rows ({facts})", "create_index", name)
            self._sleep(_GLANCE)

    def make_ready(self, name: str, metric: str, kind: Kind) -> None:
        """Have a collection ready for searches, with an index where it has none yet; does nothing where it is."""
        if self.index_of(name) is None:
            self._index(name, metric, kind)
        self.ask("load_collection", name)

    def drop(self, name: str) -> None:
        """Remove a collection; does nothing where there is none."""
        self.ask("drop_collection", name)

    def point(self, alias: str, name: str) -> None:
        """Have an alias stand for a collection from now on, for everybody at one moment."""
        there = self.describe(alias)
        if there is None:
            self.ask("create_alias", name, alias=alias)
        elif there.name != name:
            self.ask("alter_alias", name, alias=alias)

    def unpoint(self, alias: str) -> None:
        """Have an alias stand for nothing."""
        self.ask("drop_alias", alias)

    # Rows

    def add(self, name: str, rows: Sequence[Mapping[str, Any]]) -> None:
        """Add items, once: one that is there already would be there twice.

        A Milvus 2.3 that is told to replace items puts them where no search within a category finds them.
        """
        if rows:
            # The client would ask again by itself, unless it is given tries in the place of a time; a connection that
            # is dead ends by itself, too.
            self.once("insert", name, {"data": [dict(row) for row in rows], "timeout": None, "retry_times": 0})

    def put(self, name: str, rows: Sequence[Mapping[str, Any]]) -> None:
        """Write texts; each replaces the one under its key."""
        for start in range(0, len(rows), _PAGE):
            self.ask("upsert", name, data=[dict(row) for row in rows[start : start + _PAGE]])

    def delete(self, name: str, keys: Sequence[int] | Sequence[str]) -> None:
        """Remove rows; those that are not there do not matter."""
        for start in range(0, len(keys), _PAGE):
            self.ask("delete", name, ids=list(keys[start : start + _PAGE]))

    def delete_where(self, name: str, expression: str) -> None:
        """Remove the rows that an expression is true of."""
        self.ask("delete", name, filter=expression)

    def count(self, name: str) -> int:
        """How many rows there are; all that was written before counts."""
        found = self.ask("query", name, filter="", output_fields=["count(*)"], consistency_level="Strong")
        return int(found[0]["count(*)"])

    def get(
        self, name: str, keys: Collection[int] | Collection[str], fields: Sequence[str], level: str = "Strong"
    ) -> list[dict[str, Any]]:
        """Rows by their keys; those that are not there are left out. ``level`` as the database calls it."""
        wanted, found = list(keys), []
        for start in range(0, len(wanted), _PAGE):
            some = wanted[start : start + _PAGE]
            found += self.ask("query", name, ids=some, output_fields=list(fields), consistency_level=level)
        return [dict(row) for row in found]

    def where(self, name: str, expression: str, limit: int, level: str) -> list[dict[str, Any]]:
        """Number, uri, category and hash of rows that an expression is true of, in no order."""
        how = {"filter": expression, "output_fields": ["vid", *_FIELDS], "limit": limit}
        return [dict(row) for row in self.ask("query", name, consistency_level=level, **how)]

    def vids(self, name: str) -> Iterator[int]:
        """The numbers of all rows, ascending; all that was written before counts."""
        for page in self._pages(name, ["vid"], WIDEST):
            yield from (int(row["vid"]) for row in page)

    def vectors(self, name: str, dimension: int, each: int = 1) -> Iterator[tuple[list[int], Vectors]]:
        """Numbers and vectors, shape (n, dimension), of the rows whose numbers can be divided by ``each``."""
        most = max(1, min(WIDEST, _PAGE_BYTES // (4 * dimension)))
        for page in self._pages(name, ["vid", VECTOR], most, f" and vid % {each} == 0" if each > 1 else ""):
            yield [int(row["vid"]) for row in page], np.array([row[VECTOR] for row in page], np.float32)

    def _pages(self, name: str, fields: list[str], most: int, also: str = "") -> Iterator[list[dict[str, Any]]]:
        """Rows by their numbers, ascending; all that was written before counts."""
        how = {"output_fields": fields, "limit": most, "consistency_level": "Strong"}
        last = -1
        while page := sorted(
            self.ask("query", name, filter=f"vid > {last}{also}", **how), key=lambda row: int(row["vid"])
        ):
            yield page
            if len(page) < most:
                return
            last = int(page[-1]["vid"])

    def nearest(
        self,
        name: str,
        queries: Vectors,
        limit: int,
        index: tuple[str, Kind],
        categories: Collection[str] | None = None,
        but: Collection[int] = (),
    ) -> list[list[dict[str, Any]]]:
        """The nearest rows of some vectors.

        Args:
            name: the collection.
            queries: shape (n, d).
            limit: so many for each, :data:`WIDEST` at most.
            index: metric and kind of the collection's.
            categories: only rows of these; None for all.
            but: numbers of rows that are left out.

        Returns:
            for each query its rows with ``vid``, ``distance`` (L2 squared, or the cosine), uri, category and hash.
        """
        metric, kind = index
        depth = max(_DEPTH, 2 * limit)
        deep: dict[Kind, dict[str, int]] = {"FLAT": {}, "HNSW": {"ef": depth}, "DISKANN": {"search_list": depth}}
        wanted = [] if categories is None else [among("category", categories)]
        wanted += [f"vid not in {sorted(but)}"] if but else []
        replies = self.ask(
            "search",
            name,
            data=np.ascontiguousarray(queries, np.float32).tolist(),
            filter=" and ".join(wanted),
            limit=limit,
            output_fields=list(_FIELDS),
            search_params={"metric_type": metric, "params": deep[kind]},
            consistency_level=self.consistency,
        )
        return [
            [{"vid": int(hit["id"]), "distance": float(hit["distance"]), **hit["entity"]} for hit in hits]
            for hits in replies
        ]
