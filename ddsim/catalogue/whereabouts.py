"""Whether a manifest is where its index was made for it, was moved since, or is a copy.

Two manifests must not use one index on a server: neither knows what the other adds, so a search of one would meet rows
of the other that are not built, and a rebuild of one would take the index away from the other. A copy of a state folder
names the index of its original. So a manifest notes where it is: machine, path, and the number that the file system
gave its file, which a copy does not get and a renamed folder keeps.
"""

from __future__ import annotations

import json
import os
import socket
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any, Literal, TypeAlias

from ddsim.catalogue.database import FILE
from ddsim.catalogue.manifest import Manifest

Verdict: TypeAlias = Literal["here", "moved", "copied", "unknown"]
"""``here``: where it was noted; ``moved``: the same one, elsewhere; ``copied``: the other one is still there;
``unknown``: it was noted on another machine, where nobody can look from here."""

_KEY = "whereabouts"


def note_whereabouts(manifest: Manifest) -> None:
    """Note that the index of a manifest is used from here. The caller holds the right to write."""
    now = _now(manifest)
    if manifest.get_meta(_KEY) != now:
        manifest.set_meta(**{_KEY: now})


def whereabouts(manifest: Manifest) -> Verdict:
    """Compare what is noted with where the manifest is; one without a note is here."""
    noted, now = manifest.get_meta(_KEY), _now(manifest)
    if not isinstance(noted, dict) or noted.get("file") == now["file"]:
        return "moved" if noted and noted.get("path") != now["path"] else "here"
    if noted.get("host") != now["host"]:
        return "unknown"
    if noted.get("path") == now["path"]:
        return "here"  # brought back from a backup
    return "copied" if _is_there(noted) else "moved"


def noted_place(manifest: Manifest) -> str:
    """Where its index was made for it, in words."""
    noted = manifest.get_meta(_KEY) or {}
    return f"{noted.get('path')} on {noted.get('host')}"


def _now(manifest: Manifest) -> dict[str, Any]:
    path = os.path.realpath(manifest.folder)
    plain = path.encode("utf-8", "backslashreplace").decode("utf-8")
    try:
        number = (manifest.folder / FILE).stat().st_ino
    except OSError:
        number = 0
    # With the index in it, a note tells whether what is in its place now still uses that one.
    index = manifest.get_meta("repository")
    return {"host": socket.gethostname(), "path": plain, "file": number, "index": index}


def _is_there(noted: dict[str, Any]) -> bool:
    """Whether the manifest that made a note is still there, and still has that index."""
    path = Path(str(noted.get("path"))) / FILE
    try:
        with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as db:
            row = db.execute("SELECT value FROM meta WHERE key = ?", (_KEY,)).fetchone()
        return row is not None and json.loads(row[0]) == noted and path.stat().st_ino == noted.get("file")
    except (sqlite3.Error, OSError, ValueError):
        return False
