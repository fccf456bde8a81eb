"""Looking at a manifest's file without the right to write: another user's, on a read-only disk, or on a full one.

SQLite reads a file with a write-ahead log through two more files beside it, which it makes where they are missing and
removes again. Where that cannot be, the file is read as one that nobody changes: while nobody writes there is no log,
and the file alone holds everything.
"""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path
from urllib.parse import quote

from ddsim.errors import ConfigError, StateNotWritable

_WAIT_S = 10.0
_ROOM = 256 * 1024


def look_at(path: Path) -> tuple[sqlite3.Connection, object]:
    """Open a manifest's file for reading; makes no file that stays.

    Args:
        path: the file, which is there.

    Returns:
        The connection, and the file's signature where it is read without locks: with another signature it has to be
        opened anew. None where SQLite's locks see to that.

    Raises:
        StateNotWritable: the disk is full, and a run was stopped there in the middle: the file alone is not all.
        ConfigError: a run was killed there, and what it left can be read by those alone who may write.
    """
    log = Path(f"{path}-wal")
    begun = log.exists() and log.stat().st_size > 0
    room = _has_room(path.parent)
    try:
        if room or begun:
            return _opened(path, "mode=rw"), None
    except sqlite3.DatabaseError as error:
        if begun and not room:
            raise StateNotWritable(
                f"{path}: there is no free space on this disk, and without some what the last run left there cannot be "
                f"read ({error}): make room and try again; nothing is lost"
            ) from error
        if not isinstance(error, sqlite3.OperationalError) or "locked" in str(error):
            raise
        if begun:
            raise ConfigError(
                f"{path}: a run was stopped there in the middle, and only somebody who may write there can put that "
                f"right ({error}): run `ddsim index` as the owner of the folder"
            ) from error
    before = signature(path)
    return _opened(path, "mode=ro&immutable=1"), before


def _has_room(folder: Path) -> bool:
    """Whether SQLite's files beside the manifest would fit; begun and not finished, they would stay."""
    try:
        found = os.statvfs(folder)
    except (AttributeError, OSError):  # Windows has no such call
        return True
    return found.f_bavail * found.f_frsize >= _ROOM


def signature(path: Path) -> object:
    """Differs when the file was changed, is being changed, or has come into being."""
    found = []
    for one in (path, Path(f"{path}-wal")):
        try:
            status = one.stat()
            found.append((status.st_ino, status.st_size, status.st_mtime_ns))
        except OSError:
            found.append((0, 0, 0))
    return tuple(found)


def _opened(path: Path, how: str) -> sqlite3.Connection:
    address = f"file:{quote(str(path.absolute()), safe='/', errors='surrogateescape')}?{how}"
    connection = sqlite3.connect(address, timeout=_WAIT_S, isolation_level=None, check_same_thread=False, uri=True)
    try:
        connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
        connection.execute("PRAGMA temp_store = FILE")
    except BaseException:
        connection.close()
        raise
    return connection
