"""The indexes that a state folder holds, one for each catalogue and each way to make vectors of it."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

from ddsim.catalogue import Address, Locks, Manifest, Where, look_at, place_named
from ddsim.config import Settings
from ddsim.errors import ConfigError
from ddsim.search.places import found_below, is_anothers, place_of, read_note
from ddsim.vectors import CACHE_FOLDER, HOME

Status: TypeAlias = Literal["used", "old", "empty", "missing", "other"]
_MANIFEST = "manifest.sqlite"


@dataclass(frozen=True)
class State:
    """One index.

    Attributes:
        name: as ``ddsim state prune`` takes it: configuration and folder.
        folder: where it is.
        catalogue: where its catalogue was last; None where nobody knows.
        home: where its vectors are, such as ``local l2``; None where nothing was indexed.
        indexed: how many pictures are; None where its manifest cannot be read.
        bytes: what it takes on disk here.
        changed: when a run worked on it last, in seconds since 1970.
        status: ``used`` by the configuration as it is now; ``old``: of the same configuration with another network or
            preparation; ``empty``: nothing was indexed; ``missing``: its catalogue is not there, gone or not mounted;
            ``other``: of another configuration, which may have the same name.
        on_server: the folder on the server that holds the index itself; None where the vectors are here.
    """

    name: str
    folder: Path
    catalogue: Where | None
    home: str | None
    indexed: int | None
    bytes: int
    changed: float
    status: Status
    on_server: str | None = None


def states(settings: Settings) -> list[State]:
    """What lies in a configuration's state folder, also of other configurations that keep theirs there.

    Nothing is written.
    """
    used = {place_of(settings, catalogue).folder for catalogue in catalogues(settings)}
    return [_state(folder, settings, used) for folder in sorted(_folders(settings.state))]


def remove_state(state: State) -> None:
    """Remove an index from this disk. Pictures stay, and so does what is kept of their vectors in the cache.

    Raises:
        ManifestBusy: a run works on it.
        ConfigError: it cannot be removed.
    """
    try:
        with Locks(state.folder).writing():
            # Without its manifest a folder is nobody's, however far the rest gets.
            for path in state.folder.glob(f"{_MANIFEST}*"):
                path.unlink()
        shutil.rmtree(state.folder)
    except OSError as error:
        raise ConfigError(f"{state.folder}: cannot be removed: {error.strerror or error}") from error


def cache_bytes(settings: Settings) -> int:
    """What the vectors that are kept by content take on disk."""
    return _size(settings.state / CACHE_FOLDER)


def catalogues(settings: Settings) -> Iterator[Where]:
    """The catalogues that a configuration has, or had and that are still there."""
    yield settings.catalogue
    for folder in found_below(settings.state / settings.name, "*/"):
        where = _where(folder)
        if where is not None and _is_there(where):
            yield where


def _folders(root: Path) -> Iterator[Path]:
    for manifest in found_below(root, f"*/*/{_MANIFEST}"):
        yield manifest.parent


def manifests(state: Path) -> Iterator[Path]:
    """The folders of all manifests in a state folder, also of those that are built beside others."""
    for pattern in (f"*/*/{_MANIFEST}", f"*/*/*/{_MANIFEST}"):
        yield from (manifest.parent for manifest in found_below(state, pattern))


def manifest_of(folder: Path) -> Manifest:
    """The manifest in a folder, of whatever settings, to be looked at.

    Raises:
        ConfigError: it cannot be read.
    """
    try:
        with closing(look_at(folder / _MANIFEST)[0]) as db:
            (identity,) = db.execute("SELECT identity FROM about").fetchone()
        return Manifest.look(folder, json.loads(identity))
    except (sqlite3.Error, ValueError, TypeError) as error:
        raise ConfigError(f"{folder}: its manifest cannot be read: {error}") from error


def _state(folder: Path, settings: Settings, used: set[Path]) -> State:
    catalogue = _where(folder)
    home, repository, indexed = _facts(folder)
    status: Status
    if folder.parent.name != settings.name:
        status = "other"
    elif folder in used:
        status = "used"
    elif is_anothers(folder, settings):
        status = "other"
    elif catalogue is not None and not _is_there(catalogue):
        status = "missing"
    else:
        status = "empty" if home is None and not indexed else "old"
    return State(
        name=f"{folder.parent.name}/{folder.name}",
        folder=folder,
        catalogue=catalogue,
        home=home,
        indexed=indexed,
        bytes=_size(folder),
        changed=(folder / _MANIFEST).stat().st_mtime,
        status=status,
        on_server=repository if home and home.startswith("server") else None,
    )


def _where(folder: Path) -> Where | None:
    """Of the catalogue whose state a folder holds."""
    where = read_note(folder).get("path")
    return place_named(str(where)) if where else None


def _is_there(catalogue: Where) -> bool:
    """An address is asked by a run only."""
    return isinstance(catalogue, Address) or os.path.exists(catalogue)


def _facts(folder: Path) -> tuple[str | None, str | None, int | None]:
    """Home, folder on the server and number of pictures, as a manifest of whatever settings has them."""
    try:
        with closing(look_at(folder / _MANIFEST)[0]) as db:
            meta = dict(db.execute("SELECT key, value FROM meta WHERE key IN (?, 'repository')", (HOME,)))
            (count,) = db.execute("SELECT coalesce(sum(items), 0) FROM tally WHERE state = 'indexed'").fetchone()
    except (sqlite3.Error, ConfigError):
        return None, None, None
    home, repository = (str(meta[key]).strip('"') if key in meta else None for key in (HOME, "repository"))
    return home, repository, int(count)


def _size(folder: Path) -> int:
    total = 0
    for path in folder.rglob("*") if os.path.isdir(folder) else ():
        try:
            total += path.stat().st_size if os.path.isfile(path) else 0
        except OSError:
            continue  # removed meanwhile
    return total
