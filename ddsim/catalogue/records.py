"""What a manifest knows: its items one by one, in pages and in numbers."""

from __future__ import annotations

import difflib
import json
import random
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing
from enum import Enum
from itertools import groupby
from typing import Any, NamedTuple, TypeVar

from ddsim.catalogue.database import Database, pack, unpack
from ddsim.catalogue.spelling import Names, writings

_LOOKED_AT, _MEANT = 5000, 3
_REMEMBERED = 20_000
_Read = TypeVar("_Read")
_CHUNK = 500  # SQLite builds differ in how many parameters they take; all take 999


class ItemState(str, Enum):
    """How far an item is."""

    PENDING = "pending"
    """To be sent."""
    SENDING = "sending"
    """Being sent, or was when a run ended: whether the index holds it is unknown."""
    ADDED = "added"
    """The index took it and does not find it yet: it has to be built."""
    INDEXED = "indexed"
    """Found by searches."""
    QUARANTINED = "quarantined"
    """Cannot be indexed; left alone until it changes or failed ones are retried."""


_STATES = {state.value: state for state in ItemState}


class Row(NamedTuple):
    """One item as the manifest knows it; a tuple, as a search makes hundreds of them.

    Attributes:
        uri, category: as in :class:`ddsim.catalogue.folder.Item`.
        size, mtime_ns: of the file when it was last compared or read; see :class:`ddsim.catalogue.folder.Entry`.
        sha256: of the file's content, None until it was read.
        state: how far it is.
        error: why it is in quarantine, or was before it got pending.
        tries: how often it failed with this content.
        changed: when the state last changed, in seconds since 1970.
        vid: its number in the index; None while pending or in quarantine.
    """

    uri: str
    category: str
    size: int
    mtime_ns: int
    sha256: str | None
    state: ItemState
    error: str | None
    tries: int
    changed: float
    vid: int | None


class Records:
    """Questions to a manifest; none of them changes it."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._resolved: dict[int, Row] = {}
        self._answered: dict[str, Any] = {}
        self._answered_at: object = None

    def resolve(self, vids: Iterable[int]) -> dict[int, Row]:
        """The items behind numbers of the index.

        Args:
            vids: any numbers.

        Returns:
            The valid ones alone: of items that are indexed or added, under the number they have now.
        """
        wanted, known = set(map(int, vids)), self._resolved  # numpy's integers too
        with self._database.reading() as db:
            self._forget_what_changed(db)
            if len(known) > _REMEMBERED:
                known.clear()
            unknown = [vid for vid in wanted.difference(known) if is_vid(vid)]
            for start in range(0, len(unknown), _CHUNK):
                chunk = unknown[start : start + _CHUNK]
                marks = ", ".join("?" * len(chunk))
                found = db.execute(
                    f"SELECT * FROM items WHERE vid IN ({marks}) AND state <> 'sending'",  # noqa: S608
                    chunk,
                )
                known |= {record[-1]: _row(record) for record in found}
            return {vid: row for vid in wanted if (row := known.get(vid)) is not None}

    def _forget_what_changed(self, db: sqlite3.Connection) -> None:
        """Every search asks the same again; the answers are remembered until any connection changes anything."""
        (others,) = db.execute("PRAGMA data_version").fetchone()
        # What a transaction has changed may yet be undone.
        now = object() if db.in_transaction else (id(db), others, db.total_changes)
        if now != self._answered_at:
            self._resolved.clear()
            self._answered.clear()
            self._answered_at = now

    def _answer(self, question: str, ask: Callable[[sqlite3.Connection], _Read]) -> _Read:
        """What was answered before, or is now. Whoever gives it to others copies what they could change."""
        with self._database.reading() as db:
            self._forget_what_changed(db)
            if question not in self._answered:
                self._answered[question] = ask(db)
            answer: _Read = self._answered[question]
            return answer

    def derived(self, name: str, make: Callable[[], _Read]) -> _Read:
        """What a caller makes of these records; made again once anything in them has changed.

        Args:
            name: what it is.
            make: makes it. What it gives is given to others, too, so nobody may change it.
        """
        return self._answer(f"derived {name}", lambda _: make())

    def get(self, uri: str) -> Row | None:
        """One item, None where there is none of that name."""
        with self._database.reading() as db:
            found = db.execute("SELECT * FROM items WHERE uri = ?", (pack(uri),)).fetchone()
            return _row(found) if found else None

    def find(self, name: str) -> Row | None:
        """One item by a name that a person or a file gives, which may write its letters in another way."""
        return next((row for uri in writings(name) if (row := self.get(uri)) is not None), None)

    def meant(self, name: str) -> str:
        """Words that name the items that may be meant by a name that none has; none where nothing is near."""
        folder = Names(self.categories()).find(name.partition("/")[0])
        some = [row.uri for row in self.rows(category=folder, limit=_LOOKED_AT)]
        near = difflib.get_close_matches(name[:500], some, _MEANT)
        return f"; did you mean {' or '.join(map(repr, near))}?" if near else ""

    def rows(
        self, state: ItemState | None = None, category: str | None = None, after: str = "", limit: int = 500
    ) -> list[Row]:
        """A page of items, sorted by uri.

        Args:
            state: only items in it.
            category: only items of it.
            after: the last uri of the page before.
            limit: how many at most.
        """
        wanted: dict[str, object] = {"uri > ?": pack(after)}
        if state is not None:
            wanted["state = ?"] = state.value
        if category is not None:
            # The plus keeps SQLite from an index that it would have to sort for every page.
            wanted["category = ?" if state else "+category = ?"] = pack(category)
        with self._database.reading() as db:
            found = db.execute(
                f"SELECT * FROM items WHERE {' AND '.join(wanted)} ORDER BY uri LIMIT ?",  # noqa: S608  the keys above
                (*wanted.values(), limit),
            )
            return [_row(record) for record in found]

    def counts(self) -> dict[ItemState, int]:
        """How many items are in each state; every state is in it."""
        return dict(self._answer("counts", _counts))

    def categories(self) -> dict[str, int]:
        """How many indexed items each category has, sorted by name; categories without any are left out."""
        return dict(self._answer("categories", _categories))

    def vids(self, categories: Iterable[str] | None = None) -> Iterator[int]:
        """All valid numbers, ascending; of these categories alone, in any order."""
        sql = "SELECT vid FROM items WHERE vid IS NOT NULL AND state <> 'sending'"
        if categories is None:
            yield from self._stream(f"{sql} ORDER BY vid", _number)
            return
        for category in categories:
            yield from self._stream(f"{sql} AND category = ?", _number, (pack(category),))

    def twins(self) -> Iterator[list[str]]:
        """Items in the index that have the same content, the uris of a group sorted."""
        records = self._stream(
            "SELECT sha256, uri FROM items WHERE state IN ('added', 'indexed') AND sha256 IN (SELECT sha256 FROM items "
            "WHERE state IN ('added', 'indexed') GROUP BY sha256 HAVING count(*) > 1) ORDER BY sha256, uri",
            lambda record: (record[0], unpack(record[1])),
        )
        for _, group in groupby(records, key=lambda record: record[0]):
            yield [uri for _, uri in group]

    def sample(self, n: int, seed: int) -> list[Row]:
        """Some indexed items by chance, each category in proportion and with one at least.

        Args:
            n: how many; fewer than categories gives one each of so many categories.
            seed: the same manifest and seed give the same items.

        Returns:
            Sorted by uri; all indexed items where there are not more than ``n``.
        """
        chance = random.Random(seed)  # noqa: S311  a sample, no secret
        sizes = self.categories()
        rows: list[Row] = []
        for category, quota in _quotas(sizes, n, chance).items():
            chosen = set(chance.sample(range(sizes[category]), quota))
            records = self._stream(
                "SELECT * FROM items WHERE category = ? AND state = 'indexed' ORDER BY uri", _row, (pack(category),)
            )
            rows += [row for position, row in enumerate(records) if position in chosen]
        return sorted(rows, key=lambda row: row.uri)

    def get_meta(self, key: str) -> Any:
        """A fact that was stored under this key, None where there is none."""
        text = self._answer(
            f"meta {key}", lambda db: db.execute("SELECT value FROM meta WHERE key = ?", (key,)).fetchone()
        )
        return json.loads(text[0]) if text else None

    def _stream(
        self, sql: str, read: Callable[[tuple[Any, ...]], _Read], values: tuple[object, ...] = ()
    ) -> Iterator[_Read]:
        """Many records through a connection of their own, which sees the manifest as it is at the beginning.

        Args:
            sql: the question.
            read: makes of a record what is wanted.
            values: for the marks in the question.
        """
        with closing(self._database.connect()) as db, self._database.translated():
            records = db.execute(sql, values)
            while some := records.fetchmany(_CHUNK):
                with self._database.understood():
                    understood = [read(record) for record in some]
                yield from understood


def is_vid(number: int) -> bool:
    """Whether this can be a vid at all; numbers come from other programs, and SQLite raises for larger ones."""
    return 0 < number < 2**63


def _counts(db: sqlite3.Connection) -> dict[ItemState, int]:
    found = db.execute("SELECT state, sum(items) FROM tally GROUP BY state")
    return dict.fromkeys(ItemState, 0) | {ItemState(state): int(count) for state, count in found}


def _categories(db: sqlite3.Connection) -> dict[str, int]:
    found = db.execute("SELECT category, items FROM tally WHERE state = 'indexed' AND items > 0 ORDER BY category")
    return {unpack(category): int(count) for category, count in found}


def _number(record: tuple[Any, ...]) -> int:
    return int(record[0])


def _row(record: tuple[Any, ...]) -> Row:
    uri, category, size, mtime_ns, sha256, state, error, tries, changed, vid = record
    return Row(unpack(uri), unpack(category), size, mtime_ns, sha256, _STATES[state], error, tries, changed, vid)


def _quotas(sizes: Mapping[str, int], n: int, chance: random.Random) -> dict[str, int]:
    """How many of each category to take: one at least, and what is left in proportion by largest remainders."""
    total, left = sum(sizes.values()), n - len(sizes)
    if n >= total:
        return dict(sizes)
    if left <= 0:
        return dict.fromkeys(chance.sample(sorted(sizes), max(n, 0)), 1)
    shares = {category: left * (size - 1) / (total - len(sizes)) for category, size in sizes.items()}
    quotas = {category: 1 + int(share) for category, share in shares.items()}
    largest = sorted(shares, key=lambda category: int(shares[category]) - shares[category])
    for category in largest[: n - sum(quotas.values())]:
        quotas[category] += 1
    return quotas
