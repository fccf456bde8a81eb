"""A catalogue: a folder of reference pictures, ``<category>/<picture>``, as items.

A folder of pictures without category folders is a catalogue of one category, named after the folder.
"""

from __future__ import annotations

import logging
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ddsim.catalogue.rules import Kind, Patterns, Rules, is_own
from ddsim.catalogue.survey import Survey, is_named_like_a_picture
from ddsim.errors import ConfigError, InvalidRequest
from ddsim.showing import Value

_log = logging.getLogger(__name__)
_EVERYTHING = Patterns()


@dataclass(frozen=True, slots=True, repr=False)
class Item(Value):
    """One reference picture.

    Attributes:
        uri: its path relative to the catalogue, with ``/`` between the parts; the name the index keeps.
        category: the first part of the uri; the folder's name where there are no category folders.
        path: where it is; of one that is no file here, its uri.
    """

    uri: str
    category: str
    path: Path


@dataclass(frozen=True, slots=True)
class Entry:
    """One reference picture as it was found.

    Attributes:
        uri, category, path: as :class:`Item`; of one that is no file here, the path is its uri.
        size: in bytes; -1 where there is no file to read, such as behind a broken link or in place of a pipe.
        mtime_ns: when it was last written, in nanoseconds since 1970; 0 where ``size`` is -1. Of one that is no file
            here, a number that stands for its etag.
    """

    uri: str
    category: str
    path: Path
    size: int
    mtime_ns: int


def named_folder(given: str | os.PathLike[str]) -> Path:
    """The folder that somebody names. A path of no letters would be the current folder, whichever that is.

    Raises:
        InvalidRequest: it is neither text nor a path, or empty.
    """
    if not isinstance(given, (str, os.PathLike)):
        raise InvalidRequest(f"a folder is named by a path, not by {given!r}")
    if not os.fspath(given).strip():
        raise InvalidRequest("a folder is named by an empty text: is a variable not set?")
    return Path(given)


def scan(root: str | os.PathLike[str], patterns: Patterns = _EVERYTHING) -> list[Item]:
    """List the items of a catalogue, sorted by uri.

    Which files are items is told at :func:`ddsim.catalogue.walk`. Folders that cannot be read are logged as warnings.

    Args:
        root: the catalogue's folder.
        patterns: what is passed over beside the usual, such as :meth:`ddsim.Settings.patterns` has it.

    Raises:
        ConfigError: there is no such folder, it cannot be read, or there is no item.
        InvalidRequest: it is named by an empty text.
    """
    survey, folder = Survey(), named_folder(root)
    items = [Item(entry.uri, entry.category, entry.path) for entry in walk(folder, patterns, survey)]
    for uri, reason in survey.shut.items():
        _log.warning("%s: left out: %s", folder / uri, reason)
    return sorted(items, key=lambda item: item.uri)


def walk(root: Path, patterns: Patterns = _EVERYTHING, survey: Survey | None = None) -> Iterator[Entry]:
    """Find the items of a catalogue one by one; what is in the same folder comes in the order of its names.

    Every file in a category's folder, at any depth, is an item whatever its name: one that is no picture shows up as a
    failure instead of being passed over in silence, and so does one that cannot even be looked at. Passed over, and
    counted, are hidden files, the litter of machines, what patterns name, and what lies beside the category folders.
    Links are followed, to folders too, but never in circles. Where there is no category folder, but pictures, the
    folder itself is the one category.

    Args:
        root: the catalogue's folder.
        patterns: what is passed over beside the usual.
        survey: takes what was met besides items, and the folders that cannot be read; complete when the walk is.

    Raises:
        ConfigError: there is no such folder, it cannot be read, or there is no item. An empty catalogue is an error as
            it may be a disk that is not there, and an index should not be emptied for that.
    """
    survey = Survey() if survey is None else survey
    found = False
    try:
        names, here = _names(str(root)), _identity(os.stat(root))
    except (FileNotFoundError, NotADirectoryError, ValueError) as error:
        raise ConfigError(
            f"{root}: no such folder; a catalogue is a folder of category folders with pictures in them"
        ) from error
    except OSError as error:
        raise ConfigError(f"{error.filename or root}: cannot be read: {_reason(error)}") from error
    walked = _Walk(Rules(root, patterns), survey, here)
    if walked.is_single(root, names):
        yield from walked.single(root)
        return
    for category in names:
        before = len(survey.shut)
        full = False
        for entry in walked.category(root, category):
            full = True
            yield entry
        if not full and len(survey.shut) == before and walked.entered:
            survey.empty.append(category)
        found = found or full
    if not found and not survey.shut:
        raise ConfigError(f"{root}: no pictures; expected files such as {root / 'lamp' / 'lamp-001.jpg'}")


def pictures_below(folder: Path) -> list[Path]:
    """The files that are named like pictures, at any depth of a folder that is no catalogue, sorted.

    Hidden files and the litter of machines are passed over, and links to folders are not followed.

    Raises:
        ConfigError: the folder, or one below it, cannot be read.
    """
    rules, found = Rules(folder, _EVERYTHING), []

    def stop(error: OSError) -> None:
        raise ConfigError(f"{error.filename or folder}: cannot be read: {_reason(error)}") from error

    for place, folders, files in os.walk(folder, onerror=stop):
        folders[:] = [name for name in folders if rules.folder(name, name) is None]
        found += [
            Path(place, name) for name in files if is_named_like_a_picture(name) and rules.file(name, name) is None
        ]
    return sorted(found)


class _Walk:
    """One walk through a catalogue.

    Attributes:
        entered: whether the last category was a folder that is not passed over.
    """

    def __init__(self, rules: Rules, survey: Survey, root: tuple[int, int]) -> None:
        self._rules = rules
        self._survey = survey
        self._root = root
        self._linked: set[tuple[int, int]] = set()
        self.entered = False

    def category(self, root: Path, name: str) -> Iterator[Entry]:
        """The items of a category; what is no folder is told."""
        path = os.path.join(root, name)
        self.entered = os.path.isdir(path)
        if not self.entered and os.path.islink(path) and not is_named_like_a_picture(name):
            if self._rules.folder(name, name) is None and not os.path.exists(path):
                self._survey.shut[name] = f"a broken link: {os.readlink(path)} is not there (is it mounted?)"
            return
        if not self.entered:
            kind = self._rules.file(name, name)
            if not is_own(name):
                self._survey.note(kind or Kind.LOOSE, name)
            return
        self._linked.clear()
        self.entered = self._is_entered(name, path, name, (self._root,))
        if self.entered:
            yield from self._below(path, name, name, (self._root,))

    def is_single(self, root: Path, names: list[str]) -> bool:
        """Whether there is no category folder, not even behind a broken link, but something named like a picture."""
        pictures = False
        for name in names:
            path = os.path.join(root, name)
            lost = os.path.islink(path) and not os.path.exists(path) and not is_named_like_a_picture(name)
            if (lost or os.path.isdir(path)) and self._rules.folder(name, name) is None:
                return False
            pictures = pictures or (is_named_like_a_picture(name) and self._rules.file(name, name) is None)
        return pictures

    def single(self, root: Path) -> Iterator[Entry]:
        """The items of a folder that is a category itself."""
        yield from self._below(str(root), root.absolute().name or "pictures", "", ())

    def _below(self, folder: str, category: str, prefix: str, above: tuple[tuple[int, int], ...]) -> Iterator[Entry]:
        try:
            names = _names(folder)
            above = (*above, _identity(os.stat(folder)))
        except OSError as error:
            self._survey.shut[prefix] = f"this folder cannot be read: {_reason(error)}"
            return
        refused: dict[str, str] = {}
        for name in names:
            path, uri = os.path.join(folder, name), f"{prefix}/{name}" if prefix else name
            try:
                status = os.stat(path)
            except OSError as error:
                if not isinstance(error, FileNotFoundError) and not os.path.islink(path):
                    refused[uri] = f"it cannot be looked at: {_reason(error)}"
                elif self._is_item(name, uri):
                    # Whoever opens the file to index it will meet the same reason, and report it.
                    yield Entry(uri, category, Path(path), -1, 0)
                continue
            if stat.S_ISDIR(status.st_mode):
                if self._is_entered(name, path, uri, above):
                    yield from self._below(path, category, uri, above)
            elif self._is_item(name, uri):
                regular = stat.S_ISREG(status.st_mode)
                size, time = (status.st_size, status.st_mtime_ns) if regular else (-1, 0)
                yield Entry(uri, category, Path(path), size, time)
        if len(refused) == len(names) > 1:
            # As where a folder may be listed and nothing else.
            refused = {prefix: next(iter(refused.values())).replace("it cannot", "what is in this folder cannot")}
        self._survey.shut |= refused

    def _is_item(self, name: str, uri: str) -> bool:
        kind = self._rules.file(name, uri)
        if kind is None and not is_own(name):
            if not is_named_like_a_picture(name):
                self._survey.note(Kind.ODD, uri)
            return True
        if kind is not None:
            self._survey.note(kind, uri)
        return False

    def _is_entered(self, name: str, path: str, uri: str, above: tuple[tuple[int, int], ...]) -> bool:
        kind = self._rules.folder(name, uri)
        identity = _identity(os.stat(path))
        if kind is None and identity in above:
            kind = Kind.CIRCLES
        elif kind is None and os.path.islink(path) and "/" in uri:
            # A folder that is linked twice in a category is followed once: links that lead to one another would
            # otherwise multiply without end.
            kind = Kind.CIRCLES if identity in self._linked else None
            self._linked.add(identity)
            if kind is None:
                self._survey.note(Kind.LINKS, uri)
        if kind is not None:
            self._survey.note(kind, uri)
        return kind is None


def _names(folder: str) -> list[str]:
    # Names alone: a hundred thousand of them in one folder are some megabytes, scandir's own entries many times that.
    with os.scandir(folder) as entries:
        return sorted(entry.name for entry in entries)


def _identity(status: os.stat_result) -> tuple[int, int]:
    return status.st_dev, status.st_ino


def _reason(error: OSError) -> str:
    return (error.strerror or str(error)).lower()
