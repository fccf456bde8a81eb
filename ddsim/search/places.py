"""Which folder of the state belongs to a catalogue: one that is spelled otherwise, or was moved, is the same.

A run leaves two notes of one mark, drawn at random: one in the catalogue, where that can be written, and one in the
state, with the path where the catalogue was. Whoever comes with a path that is unknown looks for the mark.

The note in the state also names the configuration files whose runs left it, by their paths from the state folder, which
stay as they are where a project moves as a whole.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import re
import secrets
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ddsim.catalogue import MARK_FILE, Address, Where
from ddsim.config import Settings
from ddsim.errors import ConfigError
from ddsim.vectors import vector_facts

_log = logging.getLogger(__name__)

#: In a folder of the state: whose it is.
NOTE = "catalogue.json"
#: Every run leaves that file; a folder without it was never indexed into.
FAILURES = "failures.jsonl"
_DIGITS = 12
_MARK = re.compile(r"[0-9a-f]{32}")


@dataclass(frozen=True)
class Place:
    """Where a catalogue's state is.

    Attributes:
        folder: of its manifest.
        known_as: the path that the catalogue had when it was indexed first.
        path: the one it has now, without links; None where it is at an address, which does not move.
    """

    folder: Path
    known_as: str
    path: Path | None

    def identity(self, settings: Settings) -> dict[str, object]:
        """What the manifest is opened with: all that its vectors depend on, and whose they are."""
        return {"catalogue": self.known_as, **_kind(settings)}

    @property
    def was_indexed(self) -> bool:
        """Whether a run ever came to its end here."""
        return os.path.exists(self.folder / FAILURES)

    def take(self, settings: Settings) -> None:
        """Note, as a run, that this is the catalogue's place, so that it is found again wherever it moves.

        Args:
            settings: the run's.

        Raises:
            ConfigError: the state folder cannot be written.
        """
        mark = None if self.path is None else self._mark(self.path)
        path = self.known_as if self.path is None else str(self.path)
        files = sorted({_named(settings), *_other_files(self.folder, settings)} - {""})
        text = json.dumps({"known_as": self.known_as, "path": path, "mark": mark, "configurations": files})
        try:
            _replace(self.folder / NOTE, text)
        except OSError as error:
            raise ConfigError(f"{self.folder / NOTE}: cannot be written: {error.strerror or error}") from error

    def _mark(self, path: Path) -> str | None:
        if not os.path.isdir(path):
            return None  # a table has no place for a mark
        mark = read_mark(path)
        if mark is None or (mark != read_note(self.folder).get("mark") and _others(self.folder, mark, path)):
            mark = _write_mark(path, secrets.token_hex(16))
        return mark


def place_of(settings: Settings, catalogue: Where) -> Place:
    """The place of a catalogue under a configuration, be there anything or not."""
    if isinstance(catalogue, Address):
        folder = settings.state / settings.name / f"{_short(str(catalogue))}-{_short(_kind(settings))}"
        return Place(folder, str(catalogue), None)
    path = Path(os.path.realpath(catalogue))
    home, kind = settings.state / settings.name, _short(_kind(settings))
    first = home / f"{_short(str(path))}-{kind}"
    if not os.path.exists(first / FAILURES):
        for folder in _moved(home, kind, path):
            return Place(folder, str(read_note(folder).get("known_as")), path)
    for number in range(1_000_000):
        known_as = f"{path} ({number + 1})" if number else str(path)
        folder = home / f"{_short(known_as)}-{kind}"
        if not _went_away(read_note(folder), path):
            return Place(folder, known_as, path)
    raise ConfigError(f"{home}: no place for {path} in it")


def read_mark(catalogue: Path) -> str | None:
    """A catalogue's mark; None where it has none that can be read."""
    try:
        with (catalogue / MARK_FILE).open("rb") as file:
            text = file.read(100).decode("ascii").strip()
    except (OSError, UnicodeDecodeError):
        return None
    return text if _MARK.fullmatch(text) else None


def _kind(settings: Settings) -> dict[str, object]:
    """All that the vectors, and an index of them on a server, depend on but the pictures. No address is in it."""
    return {"vectors": vector_facts(settings), "index_type": settings.similarity.index_type}


def found_below(folder: Path, pattern: str) -> list[Path]:
    """What is below a folder of the state, by its name; nothing where there is no such folder.

    Raises:
        ConfigError: it cannot be read.
    """
    try:
        return sorted(folder.glob(pattern))
    except OSError as error:
        raise ConfigError(f"{error.filename or folder}: cannot be read: {error.strerror or error}") from error


def _moved(home: Path, kind: str, path: Path) -> Iterator[Path]:
    """Folders of a catalogue with this one's mark which is no longer where it was. A copy leaves its original there."""
    mark = read_mark(path)
    for note in found_below(home, f"*-{kind}/{NOTE}") if mark else []:
        found = read_note(note.parent)
        if found.get("mark") == mark and (found.get("path") == str(path) or not _is_there(found)):
            yield note.parent


def _others(folder: Path, mark: str, path: Path) -> bool:
    """Whether a mark is that of another catalogue, of which this one is a copy."""
    notes = (read_note(note.parent) for note in found_below(folder.parent, f"*/{NOTE}"))
    return any(note.get("mark") == mark and note.get("path") != str(path) and _is_there(note) for note in notes)


def _went_away(note: Mapping[str, Any], path: Path) -> bool:
    """Whether what was indexed there has moved elsewhere, and this is another catalogue in its place."""
    return bool(note) and note.get("path") != str(path) and _is_there(note)


def _is_there(note: Mapping[str, Any]) -> bool:
    return note.get("mark") is not None and read_mark(Path(str(note.get("path")))) == note["mark"]


def is_anothers(folder: Path, settings: Settings) -> bool:
    """Whether a folder of the state was indexed by another configuration's file, of whatever name, that is still there.

    What older versions indexed says nothing of that.
    """
    return bool(_other_files(folder, settings))


def _other_files(folder: Path, settings: Settings) -> list[str]:
    """The files of other configurations that a folder of the state names, and that are still there."""
    files, own = read_note(folder).get("configurations"), _named(settings)
    named = [one for one in files if isinstance(one, str) and one != own] if isinstance(files, list) else []
    return [one for one in named if os.path.isfile(os.path.join(os.path.realpath(settings.state), one))]


def _named(settings: Settings) -> str:
    """The file of settings, as seen from their state folder; empty where nobody knows it."""
    if settings.file is None:
        return ""
    # A link to a file elsewhere is a configuration of its own: the paths in it begin from where the link is.
    path = os.path.join(os.path.realpath(settings.file.parent), settings.file.name)
    try:
        return os.path.relpath(path, os.path.realpath(settings.state))
    except ValueError:
        return path  # on another drive


def read_note(folder: Path) -> dict[str, Any]:
    """What a folder of the state says of its catalogue; nothing where it says nothing that can be read."""
    try:
        note = json.loads((folder / NOTE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return note if isinstance(note, dict) else {}


def _write_mark(catalogue: Path, mark: str) -> str | None:
    try:
        _replace(catalogue / MARK_FILE, mark + "\n")
    except OSError as error:
        _log.info(
            "%s: no mark can be left there (%s): if it is moved, it counts as another catalogue", catalogue, error
        )
        return None
    return mark


def _replace(path: Path, text: str) -> None:
    draft = path.with_name(f"{path.name}.{secrets.token_hex(4)}")
    try:
        draft.write_text(text, encoding="utf-8", errors="surrogatepass")
        os.replace(draft, path)
    finally:
        with suppress(OSError):
            draft.unlink(missing_ok=True)


def _short(value: object) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:_DIGITS]
