"""What in a catalogue's folder is passed over: litter of machines, hidden files, and what patterns name.

Patterns are those of gitignore. They come from the configuration and, after those, from a file ``.ddsimignore`` in the
catalogue; the last one that matches decides, and one with ``!`` before it takes even litter for pictures.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from pathspec import GitIgnoreSpec

from ddsim.catalogue.spelling import same_name
from ddsim.errors import ConfigError

IGNORE_FILE = ".ddsimignore"
#: By its content a catalogue is recognised wherever it moves.
MARK_FILE = ".ddsim-catalogue"
_MOST_BYTES = 1_000_000
# Names, in small letters, of what file managers, network storage, synchronisers and file systems leave behind.
_LITTER = frozenset(
    {
        *("@eadir", "@sharebin", "@tmp", "#recycle", "@recycle", "#snapshot", "@recently-snapshot", ".@__thumb"),
        *("$recycle.bin", "recycler", "system volume information", "found.000", "lost+found", ".snapshot", "~snapshot"),
        *(".snapshots", ".zfs", ".trash", ".trashes", ".dtrash", "network trash folder", "temporary items"),
        *("__macosx", ".appledouble", ".appledb", ".appledesktop", ".ds_store", "icon\r", ".stversions", ".stfolder"),
        *(".sync", ".dropbox.cache", ".tmp.drivedownload", ".thumbnails", ".thumbs", "@__thumb", ".git", ".svn"),
        *("thumbs.db", "ehthumbs.db", "ehthumbs_vista.db", "desktop.ini", "picasa.ini", ".picasa.ini"),
        *("zbthumbnail.info", "pspbrwse.jbf"),
    }
)
_LITTER_PATTERN = re.compile(r"\.trash-\d+|\.fuse_hidden.*|\.nfs[0-9a-f]+|\._.*|.*@syno(resource|eastream)")
# ddsim's own, and described where they are read.
_OWN = frozenset({"failures.jsonl", "products.csv", "products.json", IGNORE_FILE, MARK_FILE})


class Kind(str, Enum):
    """What is told of a folder besides its items."""

    LITTER = "litter"
    """Of machines: thumbnails, waste baskets, snapshots; passed over."""
    HIDDEN = "hidden"
    """The name begins with a dot; passed over."""
    EXCLUDED = "excluded"
    """By a pattern; passed over."""
    LOOSE = "loose"
    """Files beside the category folders, which have no category; passed over."""
    CIRCLES = "circles"
    """Links to folders that lead back to where they are, or that were followed before; passed over."""
    LINKS = "links"
    """Links to folders below a category; they were followed."""
    ODD = "odd"
    """Files whose ending is of no picture; they are items all the same."""
    REPEATED = "repeated"
    """Rows of a table whose uri an earlier row has with another url, category or version; passed over."""


def compiled(patterns: Sequence[str]) -> GitIgnoreSpec:
    """Patterns, ready for use.

    Raises:
        ValueError: one of them is none.
    """
    return GitIgnoreSpec.from_lines([same_name(pattern) for pattern in patterns])


@dataclass(frozen=True)
class Patterns:
    """What a configuration says about the files of a catalogue, each in the syntax of gitignore.

    Attributes:
        exclude: passed over.
        include: where there are any, files that match none of them are passed over.
    """

    exclude: tuple[str, ...] = ()
    include: tuple[str, ...] = ()


class Rules:
    """Tells what is passed over in one catalogue.

    Args:
        root: the catalogue's folder, which may have a file ``.ddsimignore``; None for one that is no folder here.
        patterns: of the configuration.

    Raises:
        ConfigError: a pattern is none, or the file cannot be read.
    """

    def __init__(self, root: Path | None, patterns: Patterns) -> None:
        file = None if root is None else root / IGNORE_FILE
        lines = [] if file is None else _lines(file)
        try:
            self._exclude = compiled([*patterns.exclude, *lines])
            self._include = compiled(patterns.include) if patterns.include else None
        except ValueError as error:
            where = "" if file is None else f"{file}, or "
            raise ConfigError(f"{where}catalogue.exclude of the configuration: {error}") from error
        self._excludes = bool(patterns.exclude or lines)

    def folder(self, name: str, uri: str) -> Kind | None:
        """Why a folder is passed over; None where it is not."""
        return self._kind(name, f"{uri}/")

    def file(self, name: str, uri: str) -> Kind | None:
        """Why a file is passed over; None where it is not."""
        kind = self._kind(name, uri)
        if kind is None and self._include is not None and not self._include.match_file(same_name(uri)):
            return Kind.EXCLUDED
        return kind

    def _kind(self, name: str, uri: str) -> Kind | None:
        if self._excludes:
            decided = self._exclude.check_file(same_name(uri)).include
            if decided is not None:
                return Kind.EXCLUDED if decided else None
        small = name.lower()
        if small in _LITTER or _LITTER_PATTERN.fullmatch(small):
            return Kind.LITTER
        return Kind.HIDDEN if name.startswith(".") else None


def is_own(name: str) -> bool:
    """Whether a file of this name is read or written by ddsim itself."""
    return name.lower() in _OWN


def _lines(path: Path) -> list[str]:
    try:
        with path.open("rb") as file:
            content = file.read(_MOST_BYTES + 1)
        if len(content) > _MOST_BYTES:
            raise ConfigError(f"{path}: longer than {_MOST_BYTES} bytes, which is no list of patterns")
        return content.decode("utf-8-sig").splitlines()
    except FileNotFoundError:
        return []
    except (OSError, UnicodeDecodeError) as error:
        reason = (error.strerror or str(error)) if isinstance(error, OSError) else "it is not UTF-8"
        raise ConfigError(f"{path}: cannot be read: {reason}") from error
