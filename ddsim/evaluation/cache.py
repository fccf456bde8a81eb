"""What servers have computed, kept from run to run: vectors and labels, by all that they depend on.

One SQLite file. Every batch is a transaction, so that a killed run leaves what it had, and several processes may use it
at once. What was computed twice meanwhile is the same.
"""

from __future__ import annotations

import sqlite3
import zlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from itertools import islice
from pathlib import Path

import numpy as np
import orjson

from ddsim.catalogue import transaction
from ddsim.deepdetect import Label, Vectors
from ddsim.errors import ConfigError

FILE = "extracted.sqlite"
_VERSION = 1
_WAIT_S = 60.0
_CHUNK = 500  # SQLite builds differ in how many parameters they take; all take 999
_VALUE = np.dtype("<f4")
_SCHEMA = """
CREATE TABLE IF NOT EXISTS kept (
    key TEXT NOT NULL, sha256 TEXT NOT NULL, value BLOB NOT NULL, PRIMARY KEY (key, sha256)
)
"""


class Cache:
    """Use it as a context manager, from one thread.

    Args:
        folder: where the file lies; it is made.

    Raises:
        ConfigError: it cannot be used. Every method may raise it.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / FILE
        with self._translated():
            folder.mkdir(parents=True, exist_ok=True)
            self._db = sqlite3.connect(self._path, timeout=_WAIT_S, isolation_level=None)
            try:
                self._prepare()
            except BaseException:
                self._db.close()
                raise

    def __enter__(self) -> Cache:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the file."""
        self._db.close()

    def known(self, key: str, hashes: Iterable[str]) -> set[str]:
        """Those of these pictures of which something is kept.

        Args:
            key: of all that the value depends on but the picture.
            hashes: of the pictures.
        """
        return {sha256 for sha256, _ in self._kept(key, hashes, "length(value)")}

    def vectors(self, key: str, hashes: Iterable[str]) -> dict[str, Vectors]:
        """Vectors by the picture's hash, shape (d,); those that are not kept are left out."""
        return {
            sha256: np.frombuffer(value, _VALUE).astype(np.float32, copy=False)
            for sha256, value in self._kept(key, hashes, "value")
        }

    def keep_vectors(self, key: str, vectors: Mapping[str, Vectors]) -> None:
        """Keep vectors of shape (d,), by the picture's hash; those that are kept already are replaced."""
        self._keep(key, {sha256: vector.astype(_VALUE).tobytes() for sha256, vector in vectors.items()})

    def labels(self, key: str, hashes: Iterable[str]) -> dict[str, tuple[Label, ...]]:
        """Labels by the picture's hash, most probable first; those that are not kept are left out."""
        return {
            sha256: tuple(Label(name, probability) for name, probability in orjson.loads(zlib.decompress(value)))
            for sha256, value in self._kept(key, hashes, "value")
        }

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
            self._db.execute("DELETE FROM kept WHERE key = ?", (key,))

    def _kept(self, key: str, hashes: Iterable[str], column: str) -> Iterator[tuple[str, bytes]]:
        wanted = iter(dict.fromkeys(hashes))
        while chunk := list(islice(wanted, _CHUNK)):
            marks = ", ".join("?" * len(chunk))
            with self._translated():
                yield from self._db.execute(
                    f"SELECT sha256, {column} FROM kept WHERE key = ? AND sha256 IN ({marks})",  # noqa: S608  two words
                    (key, *chunk),
                ).fetchall()

    def _keep(self, key: str, values: Mapping[str, bytes]) -> None:
        with self._translated(), transaction(self._db):
            self._db.executemany(
                "INSERT OR REPLACE INTO kept VALUES (?, ?, ?)",
                [(key, sha256, value) for sha256, value in values.items()],
            )

    def _prepare(self) -> None:
        self._db.execute("PRAGMA journal_mode = WAL")
        # A power cut may take the last batches with it; what is kept can be computed again.
        self._db.execute("PRAGMA synchronous = NORMAL")
        with transaction(self._db):
            (found,) = self._db.execute("PRAGMA user_version").fetchone()
            if found not in (0, _VERSION):
                raise ConfigError(
                    f"{self._path}: written by another version of ddsim: delete it, or name another --cache"
                )
            self._db.execute(_SCHEMA)
            self._db.execute(f"PRAGMA user_version = {_VERSION}")

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.OperationalError as error:
            raise ConfigError(
                f"{self._path}: the cache cannot be used: {error}; "
                "make sure that there is free space, and the right to write, in its folder"
            ) from error
        except sqlite3.Error as error:
            raise ConfigError(
                f"{self._path}: the cache cannot be read ({error}): delete it; vectors are then computed again"
            ) from error
        except OSError as error:
            raise ConfigError(f"{error.filename}: the cache cannot be made: {error.strerror or error}") from error
