"""What servers have computed, kept from run to run: vectors and labels, by all that they depend on.

One SQLite file, used by whoever indexes and evaluates. Every batch is a transaction, so that a killed run leaves what
it had, and any number of processes and threads may use it at once. What was computed twice meanwhile is the same.

A key says by which files or paths a network is known; whether a server still gives the vectors that are kept under it
is told by the canary that is kept beside them (:class:`ddsim.deepdetect.Canary`). A network that comes under another
key, as when the same files lie on another server, is recognised by it, too.
"""

from __future__ import annotations

import sqlite3
import threading
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from itertools import islice
from pathlib import Path
from typing import TypeVar

import numpy as np
import orjson
import portalocker
from portalocker import LockFlags

from ddsim.catalogue import transaction
from ddsim.deepdetect import Canary, Label, Vectors
from ddsim.errors import ConfigError

# No configuration can be called so, whose folders lie beside it.
FOLDER, FILE = "_cache", "extracted.sqlite"
_LOCK = "in-use.lock"
_VERSION = 2
_WAIT_S = 60.0
_CHUNK = 500  # SQLite builds differ in how many parameters they take; all take 999
_VALUE = np.dtype("<f4")
_Value = TypeVar("_Value")
_TENTHS = 10
_SCHEMA = [
    """
    CREATE TABLE IF NOT EXISTS kept (
        number INTEGER PRIMARY KEY, key TEXT NOT NULL, sha256 TEXT NOT NULL, value BLOB NOT NULL, UNIQUE (key, sha256)
    )
    """,
    """
    CREATE TABLE IF NOT EXISTS networks (
        key TEXT PRIMARY KEY, alike TEXT NOT NULL, canary TEXT NOT NULL, kept_under TEXT NOT NULL
    )
    """,
]


class Cache:
    """A context manager; any thread may use it.

    Args:
        folder: where the file lies; it is made.
        holding: whether nothing that is kept may be let go of meanwhile, in this process or another.

    Raises:
        ConfigError: it cannot be used. Every method may raise it.
    """

    def __init__(self, folder: Path, *, holding: bool = False) -> None:
        self._path = folder / FILE
        self._lock = threading.RLock()
        self._held = ExitStack()
        with self._translated():
            folder.mkdir(parents=True, exist_ok=True)
            if holding:
                self._held.enter_context(self._in_use(LockFlags.SHARED))
            self._db = sqlite3.connect(self._path, timeout=_WAIT_S, isolation_level=None, check_same_thread=False)
            try:
                self._prepare()
            except BaseException:
                self._db.close()
                self._held.close()
                raise

    def __enter__(self) -> Cache:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the file."""
        with self._lock:
            self._db.close()
            self._held.close()

    def known(self, key: str, hashes: Iterable[str]) -> set[str]:
        """Those of these pictures of which something is kept.

        Args:
            key: of all that the value depends on but the picture.
            hashes: of the pictures.
        """
        return {sha256 for sha256, _ in self._kept(key, hashes, "length(value)")}

    def vectors(self, key: str, hashes: Iterable[str]) -> dict[str, Vectors]:
        """Vectors by the picture's hash, shape (d,); those that are not kept are left out."""
        return self._read(key, hashes, lambda value: np.frombuffer(value, _VALUE).astype(np.float32, copy=False))

    def keep_vectors(self, key: str, vectors: Mapping[str, Vectors]) -> None:
        """Keep vectors of shape (d,), by the picture's hash; those that are kept already are replaced."""
        self._keep(key, {sha256: vector.astype(_VALUE).tobytes() for sha256, vector in vectors.items()})

    def labels(self, key: str, hashes: Iterable[str]) -> dict[str, tuple[Label, ...]]:
        """Labels by the picture's hash, most probable first; those that are not kept are left out."""
        return self._read(
            key,
            hashes,
            lambda value: tuple(Label(str(name), float(share)) for name, share in orjson.loads(zlib.decompress(value))),
        )

    def keep_labels(self, key: str, labels: Mapping[str, Iterable[Label]]) -> None:
        """Keep labels, by the picture's hash; those that are kept already are replaced."""
        self._keep(
            key,
            {
                sha256: zlib.compress(orjson.dumps([(label.name, label.probability) for label in some]))
                for sha256, some in labels.items()
            },
        )

    def forget(self, key: str) -> None:
        """Let go of all that is kept under a key."""
        with self._translated(), transaction(self._db):
            self._forget(key)

    def recognise(self, key: str, alike: str, canary: Canary) -> bool:
        """Say which vectors a network gives; what is kept under its key then is its own, and no other network's.

        Args:
            key: of the network's vectors.
            alike: what networks have in common that may be the same one; see
                :func:`~ddsim.vectors.fingerprints.looks_alike`.
            canary: what the server makes of the drawn pictures.

        Returns:
            False where the vectors that were kept under this key turned out to be another network's, and are gone.
        """
        with self._translated(), transaction(self._db):
            found = self._db.execute("SELECT canary FROM networks WHERE key = ?", (key,)).fetchone()
            known = Canary.from_text(found[0]) if found else None
            if known is not None and known.same_as(canary):
                return True
            if known is not None or self._any(key):
                self._forget(key)
            others = self._db.execute(
                "SELECT key, canary FROM networks WHERE alike = ? AND kept_under = key", (alike,)
            ).fetchall()
            same = (other for other, text in others if (one := Canary.from_text(text)) and one.same_as(canary))
            entry = (key, alike, canary.to_text(), next(same, key))
            self._db.execute("INSERT OR REPLACE INTO networks VALUES (?, ?, ?, ?)", entry)
            return known is None

    def trim(self, limit: int) -> None:
        """Let go of what was kept first where there is more than so many bytes; not while somebody holds it.

        Args:
            limit: of the whole file.
        """
        with self._translated():
            if self._bytes() <= limit:
                return
            try:
                with self._in_use(LockFlags.EXCLUSIVE):
                    while self._bytes() > limit and self._let_go():
                        pass
            except portalocker.AlreadyLocked:
                return

    def size(self) -> int:
        """Bytes that are in use of the file."""
        with self._translated():
            return self._bytes()

    def _bytes(self) -> int:
        pages, free, size = (
            int(self._db.execute(f"PRAGMA {name}").fetchone()[0])
            for name in ("page_count", "freelist_count", "page_size")
        )
        return (pages - free) * size

    def _let_go(self) -> bool:
        """Let go of a tenth of all entries; False where there is none."""
        first, last = self._db.execute("SELECT min(number), max(number) FROM kept").fetchone()
        if first is None:
            return False
        with transaction(self._db):
            self._db.execute("DELETE FROM kept WHERE number <= ?", (first + (last - first) // _TENTHS,))
        return True

    def _forget(self, key: str) -> None:
        self._db.execute("DELETE FROM kept WHERE key = ?", (key,))
        # What was recognised as this network stays known, and begins anew under a key of its own.
        self._db.execute("DELETE FROM networks WHERE key = ? OR kept_under = ?", (key, key))

    def _any(self, key: str) -> bool:
        return self._db.execute("SELECT 1 FROM kept WHERE key = ? LIMIT 1", (key,)).fetchone() is not None

    def _kept_under(self, key: str) -> str:
        found = self._db.execute("SELECT kept_under FROM networks WHERE key = ?", (key,)).fetchone()
        return str(found[0]) if found else key

    @contextmanager
    def _in_use(self, kind: LockFlags) -> Iterator[None]:
        """Held shared by whoever needs all that is kept, exclusively by whoever lets go of some."""
        wait = _WAIT_S if kind is LockFlags.SHARED else 0
        path = self._path.parent / _LOCK
        with portalocker.Lock(path, "ab", timeout=wait, flags=kind | LockFlags.NON_BLOCKING):
            yield

    def _kept(self, key: str, hashes: Iterable[str], column: str) -> Iterator[tuple[str, bytes]]:
        wanted = iter(dict.fromkeys(hashes))
        while chunk := list(islice(wanted, _CHUNK)):
            marks = ", ".join("?" * len(chunk))
            with self._translated():
                found = self._db.execute(
                    f"SELECT sha256, {column} FROM kept WHERE key = ? AND sha256 IN ({marks})",  # noqa: S608  two words
                    (self._kept_under(key), *chunk),
                ).fetchall()
            yield from found

    def _read(self, key: str, hashes: Iterable[str], read: Callable[[bytes], _Value]) -> dict[str, _Value]:
        kept = self._kept(key, hashes, "value")
        try:
            return {sha256: read(value) for sha256, value in kept}
        except (zlib.error, ValueError, TypeError) as error:
            raise self._unreadable(error) from error

    def _unreadable(self, error: Exception) -> ConfigError:
        return ConfigError(
            f"{self._path}: the cache cannot be read ({error}): delete it; vectors are then computed again"
        )

    def _keep(self, key: str, values: Mapping[str, bytes]) -> None:
        with self._translated(), transaction(self._db):
            place = self._kept_under(key)
            self._db.executemany(
                "INSERT OR REPLACE INTO kept (key, sha256, value) VALUES (?, ?, ?)",
                [(place, sha256, value) for sha256, value in values.items()],
            )

    def _prepare(self) -> None:
        self._db.execute("PRAGMA journal_mode = WAL")
        # A power cut may take the last batches with it; what is kept can be computed again.
        self._db.execute("PRAGMA synchronous = NORMAL")
        with transaction(self._db):
            (found,) = self._db.execute("PRAGMA user_version").fetchone()
            if found not in (0, _VERSION):
                raise ConfigError(
                    f"{self._path}: written by another version of ddsim: delete it; vectors are then computed again"
                )
            for statement in _SCHEMA:
                self._db.execute(statement)
            self._db.execute(f"PRAGMA user_version = {_VERSION}")

    @contextmanager
    def _translated(self) -> Iterator[None]:
        """One thread at a time, and errors in ddsim's words."""
        try:
            with self._lock:
                yield
        except portalocker.LockException as error:
            if isinstance(error, portalocker.AlreadyLocked):
                raise ConfigError(f"{self._path}: the cache is being cleared by another process: try again") from error
            raise ConfigError(
                f"{self._path}: the cache cannot be locked ({error}); it has to be on a local disk"
            ) from error
        except sqlite3.OperationalError as error:
            raise ConfigError(
                f"{self._path}: the cache cannot be used: {error}; "
                "make sure that there is free space, and the right to write, in its folder"
            ) from error
        except (sqlite3.Error, UnicodeDecodeError) as error:
            # The latter where SQLite's own words quote what is damaged.
            raise self._unreadable(error) from error
        except OSError as error:
            raise ConfigError(
                f"{error.filename}: the cache cannot be made: {error.strerror or error}; "
                "`ddsim evaluate --cache FOLDER` has it elsewhere, and --no-cache does without"
            ) from error
