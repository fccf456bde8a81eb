"""The SQLite file of a manifest: opened safely, its errors in ddsim's words, its transactions."""

from __future__ import annotations

import json
import os
import sqlite3
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

from ddsim.catalogue.locks import busy
from ddsim.catalogue.looking import look_at, signature
from ddsim.errors import ConfigError, DDSimError, InvalidRequest, StateNotWritable

FILE = "manifest.sqlite"
_APPLICATION = 0x64647369  # "ddsi", which tells our files from other SQLite files
_VERSION = 1
_WAIT_S = 10.0
# Connections in the middle of a transaction when their process forked this one: closing them would undo the parent's.
_INHERITED: list[sqlite3.Connection] = []


def _counting(name: str, event: str, *sides: Literal["new", "old"]) -> str:
    """A trigger that keeps the tally: counting a large catalogue after every batch would take longer than the batch."""
    steps = []
    for side in sides:
        place, sign = f"{side}.category, {side}.state", "+" if side == "new" else "-"
        steps.append(f"INSERT OR IGNORE INTO tally VALUES ({place}, 0)")  # noqa: S608  nothing but the words below
        steps.append(f"UPDATE tally SET items = items {sign} 1 WHERE (category, state) = ({place})")  # noqa: S608
    return f"CREATE TRIGGER items_{name} AFTER {event} ON items BEGIN {'; '.join(steps)}; END"


# Names are kept as bytes (see pack), whose order is that of the code points, as Python sorts text.
_SCHEMA = f"""
CREATE TABLE about (identity TEXT NOT NULL, last_vid INTEGER NOT NULL);
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE items (
    uri BLOB PRIMARY KEY,
    category BLOB NOT NULL,
    size INTEGER NOT NULL,
    mtime_ns INTEGER NOT NULL,
    sha256 TEXT,
    state TEXT NOT NULL CHECK (state IN ('pending', 'sending', 'added', 'indexed', 'quarantined')),
    error TEXT,
    tries INTEGER NOT NULL,
    changed REAL NOT NULL,
    vid INTEGER,
    CHECK ((vid IS NULL) = (state IN ('pending', 'quarantined')))
) WITHOUT ROWID;
CREATE INDEX items_state ON items (state);
CREATE INDEX items_category ON items (category, state);
CREATE UNIQUE INDEX items_vid ON items (vid) WHERE vid IS NOT NULL;
CREATE TABLE tally (
    category BLOB, state TEXT, items INTEGER NOT NULL, PRIMARY KEY (category, state)
) WITHOUT ROWID;
{_counting("entered", "INSERT", "new")};
{_counting("left", "DELETE", "old")};
{_counting("moved", "UPDATE OF category, state", "new", "old")};
PRAGMA application_id = {_APPLICATION};
PRAGMA user_version = {_VERSION};
"""


def pack(text: str) -> bytes:
    """A name as it is stored; file names may hold bytes that are no Unicode, which SQLite's text cannot."""
    return text.encode("utf-8", "surrogatepass")


def unpack(stored: bytes) -> str:
    """The name behind :func:`pack`."""
    return stored.decode("utf-8", "surrogatepass")


def fit(number: int) -> int:
    """A size or time as SQLite holds it, in 64 bits: some file systems know times past the year 2262."""
    return (number + 2**63) % 2**64 - 2**63


class Database:
    """One manifest file.

    Every method may be called from any thread; ``connection`` is used with ``lock`` held.

    Durability: a commit survives the end of the process in any case, ``kill -9`` included, for its bytes are with the
    operating system. A power cut may undo the last commits unless they are synchronised with the disk, which costs
    milliseconds. The manifest then is an older one, and true to the index still, under one condition: no vid that was
    given out is given out again, or a stale row of the index would pass for a valid one. So the steps of every batch
    are not synchronised, but the reservation of the vids they use is (:meth:`.Manifest.begin`), and so is
    whatever happens once a run.

    Args:
        folder: where the file is.
        identity: see :meth:`.Manifest.open`.
        looking: whether nothing is to be written: neither folder nor file is made then. The first :meth:`writing`, or
            :meth:`make_writable`, ends that.

    Attributes:
        path: the file.
        lock: guards ``connection``.
        connection: for short statements; what takes long opens its own with :meth:`connect`.
    """

    def __init__(self, folder: Path, identity: Mapping[str, object], *, looking: bool = False) -> None:
        self.path = folder / FILE
        self.lock = threading.RLock()
        self._identity = json.dumps(identity, sort_keys=True, default=str)
        self._closed = False
        self._looking = looking
        self._seen: object = None
        self._process = os.getpid()
        if not looking:
            self._make_folder()
        self.connection = self._shared()
        try:
            with self.translated():
                self._prepare()
        except BaseException:
            self.connection.close()
            raise

    def make_writable(self) -> None:
        """Be ready for writing, where it was opened for looking only; makes folder and file where they are missing.

        Raises:
            StateNotWritable: that cannot be.
        """
        with self.lock, self.translated():
            if not self._looking or self._closed:
                return
            self._be_of_this_process()
            self._make_folder()
            before, self._looking = self.connection, False
            try:
                self.connection = self.connect()
                self._prepare()
            except BaseException:
                if self.connection is not before:
                    self.connection.close()
                self.connection, self._looking = before, True
                raise
            self._seen = None
            before.close()

    def _make_folder(self) -> None:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            reason = error.strerror or error
            raise StateNotWritable(f"{self.path.parent}: the state folder cannot be made: {reason}") from error

    def connect(self) -> sqlite3.Connection:
        """A connection of the caller's own, to be closed by it; statements commit by themselves."""
        if self._closed:
            raise InvalidRequest(f"{self.path}: the manifest is closed")
        with self.translated():
            if self._looking:
                return self._look()[0]
            connection = sqlite3.connect(self.path, timeout=_WAIT_S, isolation_level=None, check_same_thread=False)
            try:
                connection.execute("PRAGMA journal_mode = WAL")
                connection.execute("PRAGMA synchronous = FULL")
                # Otherwise the log keeps the size of the largest transaction ever.
                connection.execute(f"PRAGMA journal_size_limit = {2**24}")
                # Temporary tables are as large as the catalogue: on disk, past some megabytes of cache.
                connection.execute("PRAGMA temp_store = FILE")
            except BaseException:
                connection.close()
                raise
            return connection

    def _shared(self) -> sqlite3.Connection:
        if not self._looking:
            return self.connect()
        with self.translated():
            connection, self._seen = self._look()
        return connection

    def _look(self) -> tuple[sqlite3.Connection, object]:
        """A connection, and the signature with which it has to be opened anew; see :func:`look_at`."""
        seen = signature(self.path)
        try:
            there = self.path.exists()
        except OSError as error:
            raise ConfigError(f"{self.path}: cannot be read: {(error.strerror or str(error)).lower()}") from error
        if there:
            connection, unlocked = look_at(self.path)
            if connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
                return connection, unlocked
            connection.close()  # a first run is making the file at this moment
        # Nothing was ever indexed: as good as an empty manifest.
        connection = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
        _create(connection, self._identity)
        return connection, seen

    def close(self) -> None:
        """Close the shared connection; a second time does nothing."""
        with self.lock:
            if not self._closed:
                self._closed = True
                self._let_go()

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """The shared connection for a short query; what is made of its records is made inside the block."""
        with self.lock, self.translated():
            self._be_of_this_process()
            if self._seen is not None and not self._closed and self._seen != signature(self.path):
                # What is looked at without locks has changed, or has come into being.
                before, self.connection = self.connection, self._shared()
                before.close()
            with self.understood():
                yield self.connection

    def _be_of_this_process(self) -> None:
        """Have a connection of this process, where it was forked from the one that opened it.

        With a connection goes SQLite's knowledge of the locks that its process holds, which a fork does not. So it is
        closed before another one is opened, which would otherwise rely on them: the parent would take itself for the
        last user, and remove the log that this process writes.
        """
        if self._process != os.getpid() and not self._closed:
            self._let_go()
            self.connection, self._process = self._shared(), os.getpid()

    def _let_go(self) -> None:
        if self._process != os.getpid() and self.connection.in_transaction:
            _INHERITED.append(self.connection)
        else:
            self.connection.close()

    @contextmanager
    def understood(self) -> Iterator[None]:
        """Turns what raises where a record is not as ddsim writes them into a word of that."""
        try:
            yield
        except DDSimError:
            raise
        except (ValueError, LookupError, TypeError, AttributeError) as error:
            raise self._corrupt(f"it holds what makes no sense: {error}") from error

    @contextmanager
    def writing(self, *, durable: bool = True) -> Iterator[sqlite3.Connection]:
        """The shared connection in a transaction, undone when the block raises.

        Args:
            durable: whether the commit has to survive a power cut.
        """
        self.make_writable()
        with self.lock, self.translated():
            self._be_of_this_process()
            # The setting cannot be changed inside a transaction, and a second block inside the first is never opened.
            self.connection.execute(f"PRAGMA synchronous = {'FULL' if durable else 'NORMAL'}")
            with transaction(self.connection):
                yield self.connection

    @contextmanager
    def translated(self) -> Iterator[None]:
        """Turns what SQLite raises into ddsim's errors."""
        try:
            yield
        except sqlite3.ProgrammingError as error:
            raise InvalidRequest(f"{self.path}: the manifest is closed, or used wrongly ({error})") from error
        except sqlite3.OperationalError as error:
            if "locked" in str(error):  # the code is an attribute from Python 3.11 on only
                raise busy(self.path.parent) from error
            words = (
                f"{self.path}: the manifest cannot be used: {error}; "
                "make sure that there is free space, and the right to write, there and in the temporary folder"
            )
            if os.path.isdir(self.path.parent) and not os.access(self.path.parent, os.W_OK):
                words = f"{self.path.parent}: the state folder cannot be written, which only searching does not need"
            unwritable = any(word in str(error) for word in ("readonly", "unable to open", "full", "disk I/O"))
            raise (StateNotWritable if unwritable else ConfigError)(words) from error
        except (sqlite3.Error, UnicodeDecodeError) as error:
            # The latter where SQLite's own words quote what is damaged.
            raise self._corrupt(str(error)) from error

    def _corrupt(self, reason: str) -> ConfigError:
        return ConfigError(
            f"{self.path}: not a manifest that can be read ({reason}). Restore it from a backup, or delete the folder "
            f"{self.path.parent} and index again: that sends every picture of the catalogue once more; no picture is "
            "lost"
        )

    def _prepare(self) -> None:
        if self._pragma("user_version") == 0 and not self._looking:
            _create(self.connection, self._identity)
        found = self._pragma("user_version")
        if self._pragma("application_id") != _APPLICATION:
            raise self._corrupt("it is some other program's file")
        if found > _VERSION:
            raise ConfigError(
                f"{self.path}: written by a newer ddsim (layout {found}, this one knows up to {_VERSION}): "
                "update ddsim, or give another state folder"
            )
        about = self.connection.execute("SELECT identity FROM about").fetchone()
        if about is None:
            raise self._corrupt("it does not say what it belongs to")
        (stored,) = about
        if stored != self._identity:
            raise ConfigError(
                f"{self.path}: belongs to another catalogue or configuration ({_difference(stored, self._identity)}); "
                f"was the folder copied or renamed? Move it away, or delete it to index again"
            )

    def _pragma(self, name: str) -> int:
        return int(self.connection.execute(f"PRAGMA {name}").fetchone()[0])


def _create(connection: sqlite3.Connection, identity: str) -> None:
    with transaction(connection):
        if connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
            return  # somebody else was faster, or it is no manifest
        for statement in _SCHEMA.split(";\n"):
            connection.execute(statement)
        connection.execute("INSERT INTO about VALUES (?, ?)", (identity, 0))


@contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """All or nothing: commits at the end, undoes everything when the block raises."""
    try:
        connection.execute("BEGIN IMMEDIATE")
        yield
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:  # not where it never began, or a full disk has undone it
            connection.execute("ROLLBACK")
        raise


def _difference(stored: str, identity: str) -> str:
    try:
        old, new = json.loads(stored), json.loads(identity)
        keys = sorted(key for key in old.keys() | new.keys() if old.get(key) != new.get(key))
        return "; ".join(f"{key}: stored {old.get(key)!r}, now {new.get(key)!r}" for key in keys)
    except (ValueError, TypeError, AttributeError):
        return "its identity cannot be read"
