"""The truth about a catalogue: which pictures are in the index, under which number, and which are not and why.

The server's index can only grow: nothing in it is ever deleted or replaced. So every insertion gets a number of its
own, the *vid*, and the manifest knows the valid one of each item. What the index holds under any other number is a
tombstone that no result may show.

An item's state::

    pending ──begin──> sending ──added──> added ──indexed──> indexed
       ^                  │                  │                  │
       └────requeue───────┴──────────────────┴──────────────────┘       any ──quarantine──> quarantined

``sending`` is written before the request is: whatever happens then, nobody takes the item for indexed or untouched.
"""

from __future__ import annotations

import json
import os
import sqlite3
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, closing, contextmanager
from pathlib import Path
from types import TracebackType

from ddsim.catalogue.database import FILE, Database, fit, pack, transaction
from ddsim.catalogue.folder import Entry
from ddsim.catalogue.locks import Locks
from ddsim.catalogue.plan import Plan
from ddsim.catalogue.records import ItemState, Records, Row, is_vid
from ddsim.errors import IndexBusy, InvalidRequest

_RESERVED = 1024
_POLL_S = 0.02

__all__ = ["ItemState", "Manifest", "Row"]


class Manifest(Records):
    """The manifest of one catalogue under one configuration. A context manager; any thread may use it.

    Reading needs no permission. Whoever changes anything holds :meth:`writing` meanwhile, from before the plan is made.
    Every method raises ``ConfigError`` when the file cannot be used or is damaged, ``ManifestBusy`` when another
    process keeps it locked for ten seconds, and ``InvalidRequest`` when the manifest is closed.
    """

    def __init__(self, database: Database, folder: Path) -> None:
        super().__init__(database)
        self.folder = folder
        self._locks = Locks(folder)
        self._last = self._reserved = 0

    @classmethod
    def open(cls, folder: Path, identity: Mapping[str, object]) -> Manifest:
        """Open a manifest, and make it where there is none.

        Args:
            folder: where it is kept, with its locks; made where it is missing.
            identity: what the index depends on, of plain values; stored at first and compared ever after.

        Raises:
            ConfigError: the folder cannot be written, the file is damaged or no manifest, it is of a newer ddsim, or
                its identity is another one.
        """
        return cls(Database(folder, identity), folder)

    @classmethod
    def look(cls, folder: Path, identity: Mapping[str, object]) -> Manifest:
        """Open a manifest for looking at it: that needs no right to write, and leaves nothing behind.

        Where there is none it is empty. :meth:`writing` makes it one that can be written.

        Raises:
            ConfigError: the file is damaged or no manifest, it is of a newer ddsim, or its identity is another one.
        """
        return cls(Database(folder, identity, looking=True), folder)

    def is_there(self) -> bool:
        """Whether its file is: somebody may have removed the state folder since it was opened."""
        return os.path.isfile(self._database.path)

    def close(self) -> None:
        """Close the file; a second time does nothing."""
        self._database.close()

    def __enter__(self) -> Manifest:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # Locks.

    def writing(self, *, brief: bool = False) -> AbstractContextManager[None]:
        """The exclusive right to a run; the operating system takes it back when the process ends, however it ends.

        Args:
            brief: it is held for a moment only, so that others wait for its end.

        Raises:
            ManifestBusy: another run has it; says who.
            StateNotWritable: the folder cannot be written.
        """
        self._database.make_writable()
        return self._locks.writing(brief=brief)

    def running(self) -> bool:
        """Whether some run holds the right to write at this moment."""
        return self._locks.running()

    def adding(self, wait_s: float = 60.0) -> AbstractContextManager[None]:
        """Keeps searches away; held from before the first :meth:`begin` to after :meth:`indexed`.

        Args:
            wait_s: how long to wait for searches under way, in seconds.

        Raises:
            IndexBusy: a search takes longer than that.
        """
        return self._locks.adding(wait_s)

    @contextmanager
    def searching(self, wait_s: float = 5.0) -> Iterator[None]:
        """The right to one search of the server's index, which must hold nothing unbuilt meanwhile.

        Args:
            wait_s: how long to wait for a run that is adding, in seconds.

        Raises:
            IndexBusy: a run is adding for longer than that, or one was interrupted and left pictures unbuilt.
        """
        end = time.monotonic() + wait_s
        while True:
            with self._locks.searching(max(0.0, end - time.monotonic())):
                if not self._is_unbuilt():
                    yield
                    return
                if not self._locks.running():
                    raise IndexBusy("an interrupted run left pictures unbuilt: run `ddsim index` to finish it")
            # A run is about to add: once this search is out of its way, the next one waits for its build.
            if time.monotonic() >= end:
                raise IndexBusy("an indexing run is adding pictures; try again in a moment")
            time.sleep(_POLL_S)

    def give_way(self, wait_s: float = 1.0) -> None:
        """Let searches begin that wait for the end of additions, before more is added.

        Args:
            wait_s: so many seconds at most.
        """
        self._locks.give_way(wait_s)

    def _is_unbuilt(self) -> bool:
        with self._database.reading() as db:
            return bool(db.execute("SELECT 1 FROM items WHERE state IN ('sending', 'added') LIMIT 1").fetchone())

    # What is to be done.

    def plan(
        self,
        entries: Iterable[Entry],
        hash_file: Callable[[Path], str],
        *,
        retry_failed: bool = False,
        shut: Iterable[str] = (),
        anew: bool = False,
        readers: int = 1,
    ) -> Plan:
        """Compare the catalogue's folder with the manifest; changes nothing.

        Args:
            entries: what is in the folder, such as :func:`ddsim.catalogue.folder.walk`; read once, not kept.
            hash_file: the SHA-256 of a file in hexadecimal; asked only for items that were read before and whose size
                or time differ. An ``OSError`` or ``ImageError`` of it makes the item a changed one.
            retry_failed: whether to try again what is in quarantine.
            shut: what cannot be looked at, by uri; what is known of it, and below it, stays. Read after the entries,
                so that it may be :attr:`.Survey.shut` of the walk that finds them.
            anew: whether what is of another category now is added anew, as an index wants that keeps the category
                beside the vector; otherwise only the manifest learns of it.
            readers: how many files are read at a time.

        Returns:
            The plan, to be closed by the caller.
        """
        plan = Plan(self._database, retry_failed=retry_failed)
        try:
            plan.fill(entries, hash_file, shut, anew=anew, readers=readers)
        except BaseException:
            plan.close()
            raise
        return plan

    def apply(self, plan: Plan) -> list[int]:
        """Carry out a plan of this manifest, in one transaction; a second time does nothing.

        New and changed items are pending, vanished ones forgotten, touched ones have their new size and time.

        Returns:
            The vids that are valid no more, for indexes that can remove.
        """
        return plan.apply()

    def pending(self, after: str = "", limit: int = 500) -> list[Row]:
        """The next items to be sent.

        Args:
            after: the last uri of the page before.
            limit: how many at most.

        Returns:
            Sorted by uri; empty at the end.
        """
        return self.rows(ItemState.PENDING, after=after, limit=limit)

    # What happens to items.

    def begin(self, items: Sequence[tuple[str, str, int, int]]) -> list[int]:
        """Note what is about to be sent, before it is; what an item was before, it is no more.

        Args:
            items: uri, SHA-256, size and time of what was read, each uri once.

        Returns:
            A new vid for each. Of two calls the later one's are larger, whatever happened in between.

        Raises:
            InvalidRequest: a uri comes twice, or is not in the manifest; nothing was changed.
        """
        uris = {pack(uri) for uri, *_ in items}
        if len(uris) < len(items):
            raise InvalidRequest("an item stands twice in a batch")
        with self._database.lock:
            vids = self._take(len(items))
            now = time.time()
            with self._database.writing(durable=False) as db:
                found = db.executemany(
                    "UPDATE items SET state = 'sending', error = NULL, vid = ?, sha256 = ?, size = ?, mtime_ns = ?, "
                    "changed = ? WHERE uri = ?",
                    (
                        (vid, sha256, fit(size), fit(mtime_ns), now, pack(uri))
                        for vid, (uri, sha256, size, mtime_ns) in zip(vids, items, strict=True)
                    ),
                )
                if found.rowcount < len(items):
                    raise InvalidRequest(f"a batch holds items that are not in {self._database.path}: plan anew")
        return vids

    def added(self, vids: Iterable[int]) -> int:
        """Note that the index took these.

        Returns:
            How many of them are valid still; others changed or vanished meanwhile.
        """
        now = time.time()
        with self._database.writing(durable=False) as db:
            return db.executemany(
                "UPDATE items SET state = 'added', changed = ? WHERE vid = ? AND +state = 'sending'",
                [(now, int(vid)) for vid in vids if is_vid(vid)],
            ).rowcount

    def indexed(self) -> int:
        """Note that the index was built: all that was added is found now. Returns how many."""
        with self._database.writing() as db:
            return db.execute(
                "UPDATE items SET state = 'indexed', changed = ? WHERE state = 'added'", (time.time(),)
            ).rowcount

    def quarantine(
        self, uri: str, reason: str, *, sha256: str | None = None, size: int | None = None, mtime_ns: int | None = None
    ) -> None:
        """Put an item aside that cannot be indexed, with the reason.

        Args:
            uri: the item.
            reason: for people.
            sha256: of what was read, where anything was.
            size: likewise.
            mtime_ns: likewise.

        Raises:
            InvalidRequest: there is no such item.
        """
        # Reasons quote file names, whose bytes may be no Unicode.
        words = reason.encode("utf-8", "backslashreplace").decode("utf-8")
        stat = [None if value is None else fit(value) for value in (size, mtime_ns)]
        with self._database.writing(durable=False) as db:
            found = db.execute(
                "UPDATE items SET state = 'quarantined', vid = NULL, error = ?, tries = tries + 1, changed = ?, "
                "sha256 = coalesce(?, sha256), size = coalesce(?, size), mtime_ns = coalesce(?, mtime_ns) "
                "WHERE uri = ?",
                (words, time.time(), sha256, *stat, pack(uri)),
            )
            if not found.rowcount:
                raise InvalidRequest(f"no item {uri!r} in {self._database.path}")

    def requeue(self, *states: ItemState, facts: Mapping[str, object] | None = None) -> int:
        """Make all items in these states pending; their vids are valid no more.

        Args:
            states: which ones.
            facts: what :meth:`set_meta` is to store in the same transaction.

        Returns:
            How many items it changed.
        """
        now = time.time()
        with self._database.writing() as db:
            _store(db, facts or {})
            return db.executemany(
                "UPDATE items SET state = 'pending', vid = NULL, changed = ? WHERE state = ?",
                [(now, state.value) for state in set(states) - {ItemState.PENDING}],
            ).rowcount

    def lost(self, vids: Iterable[int]) -> int:
        """Make the items of these vids pending again, as the index turned out not to hold them. Returns how many."""
        now = time.time()
        with self._database.writing() as db:
            return db.executemany(
                "UPDATE items SET state = 'pending', vid = NULL, changed = ? WHERE vid = ?",
                ((now, int(vid)) for vid in vids if is_vid(vid)),
            ).rowcount

    def remove(self, uris: Iterable[str]) -> int:
        """Forget items: no result shows them, until a plan finds their files as new ones. Returns how many."""
        with self._database.writing() as db:
            return db.executemany("DELETE FROM items WHERE uri = ?", ((pack(uri),) for uri in uris)).rowcount

    def exchange(self, other: Manifest, **facts: object) -> None:
        """Take another manifest's items and facts and give it this one's, at one moment for whoever reads either.

        Args:
            other: the other one.
            facts: what it is to know besides.

        Raises:
            ManifestBusy, ConfigError: nothing was changed.
        """
        with closing(self._database.connect()) as db, self._database.translated():
            db.execute("ATTACH ? AS other", (str(other.folder / FILE),))
            with transaction(db):
                for table in ("items", "meta"):
                    db.execute(f"CREATE TEMP TABLE old_{table} AS SELECT * FROM main.{table}")  # noqa: S608
                    db.execute(f"DELETE FROM main.{table}")  # noqa: S608
                    db.execute(f"INSERT INTO main.{table} SELECT * FROM other.{table}")  # noqa: S608
                    db.execute(f"DELETE FROM other.{table}")  # noqa: S608
                    db.execute(f"INSERT INTO other.{table} SELECT * FROM temp.old_{table}")  # noqa: S608
                # No number that either gave out may be given out again.
                db.execute("UPDATE main.about SET last_vid = max(last_vid, (SELECT last_vid FROM other.about))")
                db.execute("UPDATE other.about SET last_vid = (SELECT last_vid FROM main.about)")
                db.executemany("INSERT OR REPLACE INTO other.meta VALUES (?, ?)", _packed(facts))

    def set_meta(self, **facts: object) -> None:
        """Store facts, such as the index's generation: plain values, each under its key."""
        with self._database.writing() as db:
            _store(db, facts)

    def _take(self, count: int) -> list[int]:
        """So many new vids.

        A block of them is reserved and synchronised with the disk before the first is used; what is left of it when the
        process ends stays unused. That keeps them unique when a power cut undoes later commits. The clock, in
        microseconds, is their lower bound; that keeps them unique when the manifest is deleted while the index is not,
        or comes back from a backup: nobody inserts a million pictures a second.
        """
        with self._database.reading() as db:
            (reserved,) = db.execute("SELECT last_vid FROM about").fetchone()
        if reserved != self._reserved or self._last + count > reserved:
            last = max(reserved, time.time_ns() // 1000)
            reserved = last + max(count, _RESERVED)
            with self._database.writing() as db:
                db.execute("UPDATE about SET last_vid = ?", (reserved,))
            self._last, self._reserved = last, reserved
        self._last += count
        return list(range(self._last - count + 1, self._last + 1))


def _store(db: sqlite3.Connection, facts: Mapping[str, object]) -> None:
    db.executemany("INSERT OR REPLACE INTO meta VALUES (?, ?)", _packed(facts))


def _packed(facts: Mapping[str, object]) -> list[tuple[str, str]]:
    return [(key, json.dumps(fact)) for key, fact in facts.items()]
