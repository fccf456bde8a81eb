"""The folder of a local index: segments, and the list that says which of them count, in which order.

A checkpoint writes one more segment and a line more of the list, of which the last whole line counts: whenever a
process ends, the list is that of some checkpoint. Both are put on disk, but where checkpoints follow each other within
a second, together with those that come then: a machine that ends may take such a checkpoint with it. A segment that is
torn is known by its checksum, and what it held is sent again.

Files that the list does not name are of a checkpoint or a merge that did not come to its end; whoever writes next
removes them. What a merge replaces is removed when what takes its place is on disk. Readers keep the maps of files that
are removed meanwhile, so they see one checkpoint until they look again.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from ddsim.errors import ConfigError
from ddsim.vectors.exact import Metric
from ddsim.vectors.files import UNFINISHED, Damaged, read, written
from ddsim.vectors.files import replace as replace_file
from ddsim.vectors.files import sync as sync_files
from ddsim.vectors.listing import ENDING, LIST, Listed, line_of, listed_in, read_list
from ddsim.vectors.segments import Entry, Segment, open_segment, write_segment
from ddsim.vectors.table import Unsaved

_log = logging.getLogger(__name__)

# A run may merge what a reader is about to open; the next list names what took its place.
_TRIES = 10
# A list whose lines are longer together is begun anew.
_LONGEST = 1 << 20
# A disk may take a tenth of a second each time, and a run that need not ask a server has thousands of rows in one.
_APART_S = 1.0


class Store:
    """One folder. Any number may read it; whoever writes holds the manifest's right to write.

    Args:
        folder: it is made when something is written.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._listed: Listed | None = None
        self._opened: dict[str, Segment] = {}
        self._end = 0  # of the list's last whole line; 0 where there is none
        self._unsynced: set[str] = set()
        self._synced_at = -math.inf

    @property
    def listed(self) -> Listed | None:
        """The list as it was looked at or written last; None where there is none."""
        return self._listed

    @property
    def segments(self) -> list[Segment]:
        """What it names, but for what is damaged."""
        entries = self._listed.segments if self._listed else ()
        return [self._opened[entry.name] for entry in entries if entry.name in self._opened]

    def look(self) -> None:
        """Read the list, and the segments that were not there before. What is damaged counts as not there.

        Raises:
            ConfigError: they cannot be read.
        """
        for _ in range(_TRIES):
            try:
                self._listed, self._end = read_list(self.folder / LIST)
            except Damaged as error:
                _log.warning("%s cannot be used, it is %s: its pictures have to be sent again", self.folder, error)
                self._listed, self._end = None, 0
            before, self._opened = self._opened, {}
            missing = [entry for entry in self._entries() if not self._open(entry, before.get(entry.name))]
            if not missing or not self._is_replaced():
                break
        for entry in missing:
            _log.warning("%s is gone: its pictures have to be sent again", self.folder / entry.name)

    def _entries(self) -> tuple[Entry, ...]:
        return self._listed.segments if self._listed else ()

    def _is_replaced(self) -> bool:
        with suppress(Damaged):
            return read_list(self.folder / LIST)[0] != self._listed
        return False

    def _open(self, entry: Entry, before: Segment | None) -> bool:
        """False where there is no such file."""
        try:
            with read(self.folder / entry.name):
                same = before is not None and before.entry == entry
                self._opened[entry.name] = before if before and same else open_segment(self.folder, entry)
        except FileNotFoundError:
            return False
        except Damaged as error:
            path = self.folder / entry.name
            _log.warning("%s cannot be used, it is %s: its pictures have to be sent again", path, error)
        return True

    # Writing

    def begin(self, dimension: int, metric: Metric, key: str = "") -> None:
        """Have a list that names nothing; what it named goes.

        Raises:
            ConfigError: it cannot be written. So do all below.
        """
        with written(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)
            sync_files(self.folder.parent)
        self._commit(Listed(dimension, metric, key, (), self._listed.last if self._listed else 0))
        self.tidy()

    def heal(self) -> None:
        """Have the list name only what can be read, and remove all else."""
        whole = [entry for entry in self._entries() if entry.name in self._opened]
        if len(whole) < len(self._entries()):
            self.commit(whole)
        self.tidy()

    def append(self, unsaved: Unsaved) -> Segment:
        """Save rows, and which are gone, as one more segment."""
        entry = self.write(unsaved, self.reserve(), sync=False)
        self._unsynced.add(entry.name)
        self.commit((*self._entries(), entry), sync=time.monotonic() - self._synced_at >= _APART_S)
        return self._opened[entry.name]

    def reserve(self) -> str:
        """A file's name that no segment had before."""
        listed = self._needed()
        self._listed = replace(listed, last=listed.last + 1)
        return f"{self._listed.last:08d}{ENDING}"

    def write(self, unsaved: Unsaved, name: str, *, sync: bool = True) -> Entry:
        """Write a segment that the list does not name yet."""
        path, dimension = self.folder / name, self._needed().dimension
        parts = (unsaved.rows,)
        return write_segment(path, unsaved.gone, unsaved.vids, unsaved.lengths, dimension, parts, sync=sync)

    def sync(self) -> None:
        """Put on disk what was not yet."""
        if self._unsynced:
            self.commit(self._entries())

    def commit(self, entries: Iterable[Entry], metric: Metric | None = None, *, sync: bool = True) -> None:
        """Have the list name these segments, put both on disk, and remove what it names no more."""
        listed, before = self._needed(), {entry.name for entry in self._entries()}
        after = replace(listed, segments=tuple(entries), metric=metric or listed.metric)
        with written(self.folder):
            new = [entry for entry in after.segments if entry.name not in self._opened]
            self._opened |= {entry.name: open_segment(self.folder, entry, trusted=True) for entry in new}
        try:
            self._commit(after, sync=sync)
        except BaseException:
            # The list may be in its place already.
            self._listed = listed_in(self.folder) or listed
            self.drop({entry.name for entry in new} - {entry.name for entry in self._entries()})
            raise
        self.drop(before - {entry.name for entry in after.segments})

    def drop(self, names: Iterable[str]) -> None:
        """Let go of segments that the list does not name."""
        for name in names:
            self._opened.pop(name, None)
            self._unsynced.discard(name)
            # Windows keeps files that somebody has mapped; the next to write removes them.
            with suppress(OSError):
                (self.folder / name).unlink(missing_ok=True)

    def tidy(self) -> None:
        """Remove what the list does not name: a checkpoint or a merge did not come to its end."""
        if not self.folder.is_dir():
            return
        named = {entry.name for entry in self._entries()}
        for path in self.folder.iterdir():
            if (path.suffix == ENDING and path.name not in named) or path.suffix == UNFINISHED:
                with suppress(OSError):
                    path.unlink()
                if self._listed and path.exists() and path.stem.isdigit():
                    self._listed = replace(self._listed, last=max(self._listed.last, int(path.stem)))

    def _needed(self) -> Listed:
        if self._listed is None:
            raise RuntimeError("nothing was begun here")
        return self._listed

    def _commit(self, listed: Listed, *, sync: bool = True) -> None:
        line, path = line_of(listed), self.folder / LIST
        if not self._end or self._end > _LONGEST:
            self._sync(self.folder)
            replace_file(path, lambda file: file.write(line))
            self._end = 0
        else:
            self._append(path, line, sync=sync)
        self._end += len(line)
        self._listed = listed

    def _sync(self, *paths: Path) -> None:
        with written(self.folder):
            sync_files(*paths, *(self.folder / name for name in self._unsynced))
        self._unsynced.clear()
        self._synced_at = time.monotonic()

    def _append(self, path: Path, line: bytes, *, sync: bool) -> None:
        """One line more after the last one that is whole."""
        with written(path), path.open("rb+") as file:
            file.truncate(self._end)
            file.seek(self._end)
            try:
                file.write(line)
                file.flush()
                if sync:
                    self._sync(path, self.folder)
            except (OSError, ConfigError):
                with suppress(OSError):
                    file.truncate(self._end)
                raise


def save_all(store: Store, parts: Iterable[Unsaved], metric: Metric) -> None:
    """Have a store hold these rows and nothing else, from one moment on.

    Args:
        store: begun.
        parts: rows, one segment each.
        metric: they are kept as they are compared by it.

    Raises:
        ConfigError: they cannot be written; the store is as it was.
    """
    entries: list[Entry] = []
    try:
        for part in parts:
            entries.append(store.write(part, store.reserve()))
        store.commit(entries, metric)
    except BaseException:
        named = {entry.name for entry in store.listed.segments} if store.listed else set()
        store.drop(entry.name for entry in entries if entry.name not in named)
        raise
