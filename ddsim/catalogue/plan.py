# ruff: noqa: S608  statements are put together of constants; values are bound
"""What an indexing run has to do: a catalogue's folder compared with its manifest.

A plan is made in temporary tables of SQLite, on disk, so that its memory does not grow with the catalogue.
"""

from __future__ import annotations

import time
import weakref
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from enum import Enum
from functools import partial
from pathlib import Path
from types import TracebackType

from ddsim.catalogue.database import Database, fit, pack, transaction, unpack
from ddsim.catalogue.folder import Entry
from ddsim.errors import ImageError, ImageUnavailable

_PAGE = 500
_TABLE = """
CREATE TEMP TABLE plan (
    uri BLOB PRIMARY KEY,
    category BLOB NOT NULL,
    path BLOB NOT NULL,
    size INTEGER NOT NULL,
    mtime_ns INTEGER NOT NULL,
    change TEXT,
    sha256 TEXT
) WITHOUT ROWID
"""
_ENTER = "INSERT OR REPLACE INTO plan (uri, category, path, size, mtime_ns) VALUES (?, ?, ?, ?, ?)"
# Size and time decide where they are the same. Otherwise the content does, but for what is sent anyway (waiting) and
# what has no content to compare; NULL stands for "look at the content".
_COMPARE = """
UPDATE plan SET change = coalesce((
    SELECT CASE
        WHEN items.state IN ('pending', 'sending') THEN 'waiting'
        WHEN :anew AND items.category <> plan.category AND items.state <> 'quarantined' THEN 'changed'
        WHEN items.size = plan.size AND items.mtime_ns = plan.mtime_ns THEN CASE
            WHEN items.state = 'quarantined' THEN 'failed'
            WHEN items.category <> plan.category THEN 'touched'
            ELSE 'unchanged'
        END
        WHEN items.sha256 IS NULL OR plan.size < 0 THEN 'changed'
        WHEN items.state = 'quarantined' AND items.size < 0 THEN 'changed'
        ELSE 'unknown'
    END
    FROM main.items WHERE items.uri = plan.uri
), 'new')
"""
_UNKNOWN = """
SELECT plan.uri, plan.path, items.sha256, items.state FROM plan CROSS JOIN main.items USING (uri)
WHERE plan.change = 'unknown' AND plan.uri > ? ORDER BY plan.uri LIMIT ?
"""
# What cannot be looked at, and what lies below it, stays as it is. What was to be sent gets the size of a file that
# cannot be read, so that it is tried anew once it can be.
_KEEP = """
INSERT OR IGNORE INTO plan SELECT
    uri, category, x'',
    CASE WHEN state IN ('pending', 'sending') THEN -1 ELSE size END,
    CASE WHEN state IN ('pending', 'sending') THEN 0 ELSE mtime_ns END,
    CASE state
        WHEN 'pending' THEN 'waiting' WHEN 'sending' THEN 'waiting' WHEN 'quarantined' THEN 'failed' ELSE 'unchanged'
    END,
    NULL
FROM main.items WHERE uri = ? OR (uri > ? AND uri < ?)
"""
_VANISHED = """
INSERT INTO plan SELECT uri, category, x'', size, mtime_ns, 'vanished', NULL FROM main.items
WHERE NOT EXISTS (SELECT 1 FROM plan WHERE plan.uri = items.uri)
"""
# A file that was moved keeps its size and time; one new file stands for one that is gone, however many have the same.
_LOST = """
SELECT coalesce(sum(max(gone.items - coalesce(come.items, 0), 0)), 0)
FROM (
    SELECT plan.size, plan.mtime_ns, count(*) AS items FROM plan JOIN main.items USING (uri)
    WHERE plan.change = 'vanished' AND items.state IN ('added', 'indexed') GROUP BY plan.size, plan.mtime_ns
) AS gone
LEFT JOIN (
    SELECT size, mtime_ns, count(*) AS items FROM plan WHERE change = 'new' GROUP BY size, mtime_ns
) AS come USING (size, mtime_ns)
"""
_AS_FOUND = "(SELECT category, size, mtime_ns FROM plan WHERE plan.uri = items.uri)"
_RECATEGORISED = """
SELECT count(*) FROM plan JOIN main.items USING (uri) WHERE plan.change = 'touched' AND plan.category <> items.category
"""
_MOVED = f"(items.category, items.size, items.mtime_ns) <> {_AS_FOUND}"
_THOSE = "items.uri IN (SELECT uri FROM plan WHERE change = '{}')"
_RESENT = f"({_THOSE.format('changed')} OR {_THOSE.format('waiting')} AND {_MOVED})"
_FREED = f"SELECT vid FROM main.items WHERE vid IS NOT NULL AND ({_THOSE.format('vanished')} OR {_RESENT})"
_APPLY = [
    f"DELETE FROM main.items WHERE {_THOSE.format('vanished')}",
    f"""
    UPDATE main.items SET state = 'pending', vid = NULL, error = NULL, tries = 0, changed = :now,
        sha256 = (SELECT sha256 FROM plan WHERE plan.uri = items.uri), (category, size, mtime_ns) = {_AS_FOUND}
    WHERE {_RESENT}
    """,
    f"""
    UPDATE main.items SET (category, size, mtime_ns) = {_AS_FOUND}
    WHERE ({_THOSE.format("touched")} OR {_THOSE.format("failed")}) AND {_MOVED}
    """,
    """
    INSERT OR IGNORE INTO main.items
    SELECT uri, category, size, mtime_ns, NULL, 'pending', NULL, 0, :now, NULL FROM plan WHERE change = 'new'
    """,
]
_RETRY = f"""
UPDATE main.items SET state = 'pending', changed = :now WHERE state = 'quarantined' AND {_THOSE.format("failed")}
"""


class Change(str, Enum):
    """What became of an item since the last run."""

    NEW = "new"
    """Not in the manifest."""
    CHANGED = "changed"
    """Its content is another one, or cannot be read any more."""
    TOUCHED = "touched"
    """Size, time or category differ, the content does not: nothing is sent."""
    UNCHANGED = "unchanged"
    """In the index as it is, or sent and not built."""
    WAITING = "waiting"
    """Left to do by an earlier run."""
    FAILED = "failed"
    """In quarantine, and the same file as then: skipped unless failed ones are retried."""
    VANISHED = "vanished"
    """In the manifest, and no longer in the folder."""


class Plan:
    """What a run has to do. A context manager; holds temporary files until closed.

    Attributes:
        counts: items by what became of them; every :class:`Change` is in it.
        retry_failed: whether items in quarantine are tried again.
        lost: how many items in the index vanished, but for those that seem to be there under another name.
        recategorised: how many that stay in the index are of another category now.
        unavailable: items whose content was to be compared and cannot be had just now, with the reason: they stay as
            they are.
    """

    def __init__(self, database: Database, *, retry_failed: bool) -> None:
        self.retry_failed = retry_failed
        self.counts: dict[Change, int] = dict.fromkeys(Change, 0)
        self.lost = self.recategorised = 0
        self.unavailable: dict[str, str] = {}
        self._database = database
        self._connection = database.connect()
        self._applied = False
        self._close = weakref.finalize(self, self._connection.close)

    @property
    def total(self) -> int:
        """Items in the folder."""
        return sum(self.counts.values()) - self.counts[Change.VANISHED]

    @property
    def to_send(self) -> int:
        """Items that a run would send."""
        failed = self.counts[Change.FAILED] if self.retry_failed else 0
        return self.counts[Change.NEW] + self.counts[Change.CHANGED] + self.counts[Change.WAITING] + failed

    def uris(self, change: Change) -> Iterator[str]:
        """The items that this became of, in order; also after the plan was applied.

        Raises:
            InvalidRequest: the plan is closed.
        """
        last = b""
        while page := self._query(
            "SELECT uri FROM plan WHERE change = ? AND uri > ? ORDER BY uri LIMIT ?", change, last
        ):
            yield from map(unpack, page)
            last = page[-1]

    def close(self) -> None:
        """Let go of the temporary files."""
        self._close()

    def __enter__(self) -> Plan:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def fill(
        self,
        entries: Iterable[Entry],
        hash_file: Callable[[Path], str],
        shut: Iterable[str],
        *,
        anew: bool,
        readers: int,
    ) -> None:
        """Compare; called once, by :meth:`ddsim.catalogue.manifest.Manifest.plan`."""
        db = self._connection
        with self._database.translated():
            db.execute(_TABLE)
            db.execute("BEGIN")
            db.executemany(_ENTER, map(_row, entries))
            db.execute("COMMIT")
            db.execute(_COMPARE, {"anew": anew})
            self._look_inside(hash_file, readers)
            # Known only now: the entries were not looked for before they were taken.
            db.executemany(_KEEP, ((pack(uri), pack(f"{uri}/"), pack(f"{uri}0")) for uri in shut))
            db.execute(_VANISHED)
            (self.lost,) = db.execute(_LOST).fetchone()
            (self.recategorised,) = db.execute(_RECATEGORISED).fetchone()
            found = db.execute("SELECT change, count(*) FROM plan GROUP BY change")
            self.counts.update({Change(change): count for change, count in found})

    def apply(self) -> list[int]:
        """Carry it out; called by :meth:`ddsim.catalogue.manifest.Manifest.apply`, which says more."""
        if self._applied:
            return []
        now = {"now": time.time()}
        with self._database.translated(), transaction(self._connection):
            freed = [vid for (vid,) in self._connection.execute(_FREED)]
            for statement in _APPLY:
                self._connection.execute(statement, now)
            if self.retry_failed:
                self._connection.execute(_RETRY, now)
        self._applied = True
        return freed

    def _look_inside(self, hash_file: Callable[[Path], str], readers: int) -> None:
        """Tell the touched from the changed by their content."""
        last = b""
        pool = ThreadPoolExecutor(readers, thread_name_prefix="ddsim-plan")
        try:
            while page := self._connection.execute(_UNKNOWN, (last, _PAGE)).fetchall():
                found = []
                contents = pool.map(partial(_content, hash_file), [Path(unpack(path)) for _, path, _, _ in page])
                for (uri, _, known, state), content in zip(page, contents, strict=True):
                    change = Change.CHANGED
                    if isinstance(content, ImageUnavailable) and state != "quarantined":
                        self.unavailable[unpack(uri)], change = content.reason, Change.UNCHANGED
                    elif content == known:
                        change = Change.FAILED if state == "quarantined" else Change.TOUCHED
                    found.append((change.value, content if isinstance(content, str) else None, uri))
                self._connection.executemany("UPDATE plan SET change = ?, sha256 = ? WHERE uri = ?", found)
                last = page[-1][0]
        finally:
            pool.shutdown(cancel_futures=True)

    def _query(self, sql: str, change: Change, last: bytes) -> list[bytes]:
        with self._database.translated():
            return [uri for (uri,) in self._connection.execute(sql, (change.value, last, _PAGE))]


def _row(entry: Entry) -> tuple[bytes, bytes, bytes, int, int]:
    return pack(entry.uri), pack(entry.category), pack(str(entry.path)), fit(entry.size), fit(entry.mtime_ns)


def _content(hash_file: Callable[[Path], str], path: Path) -> str | ImageUnavailable | None:
    try:
        return hash_file(path)
    except ImageUnavailable as error:
        return error
    except (OSError, ImageError):
        # As changed as can be: whoever opens it to send it will meet the reason and report it.
        return None
