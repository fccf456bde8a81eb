"""Many small segments made into few large ones, in a thread of its own while a run goes on.

Sixteen segments of about a size become one, so each row is written again once whenever there are sixteen times as many,
and there are never more than some dozens of files. What a merge writes counts when the list names it; a process that
ends before leaves a file that nobody reads.
"""

from __future__ import annotations

import logging
import math
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from ddsim.errors import ConfigError
from ddsim.vectors.exact import Kept, Mask, Vids
from ddsim.vectors.segments import TYPES, Entry, Precision, Segment, write_segment
from ddsim.vectors.store import Store
from ddsim.vectors.table import Table

_log = logging.getLogger(__name__)

#: So many neighbouring segments of about a size become one.
FEW = 16
_SMALLEST = 4096
# Dead rows take room and time; what a segment costs to write again it should be worth.
_MOSTLY_ALIVE = 0.25
_SETTLED = 0.1
_ROWS_AT_ONCE = 4096


class _Stopped(Exception):
    """Nobody waits for the merge any more."""


@dataclass(eq=False)
class _Job:
    """A merge under way: which neighbouring segments, the rows that count of each, and what came of it."""

    segments: Sequence[Segment]
    alive: Sequence[Mask]
    earlier: Sequence[Segment]
    name: str
    entry: Entry | None = None
    error: ConfigError | None = None


class Merging:
    """Merges the segments of one store, one merge at a time. All but the merge itself is for the writer's thread.

    Args:
        store: whose segments.
        precision: of what is written.
    """

    def __init__(self, store: Store, precision: Precision) -> None:
        self._store = store
        self._precision = precision
        self._job: _Job | None = None
        self._thread: threading.Thread | None = None
        self._stop = threading.Event()
        self._failed = False

    def begin(self, table: Table, *, settling: bool = False) -> bool:
        """Begin a merge where one is due and none is under way. Returns whether one is under way.

        Args:
            table: holds the store's segments.
            settling: whether fewer dead rows are worth it, too.
        """
        if self._job is not None:
            return True
        segments = self._store.segments
        chosen = None if self._failed else choose(segments, table.dead, _SETTLED if settling else _MOSTLY_ALIVE)
        if chosen is None or len(segments) != len(self._store.listed.segments if self._store.listed else ()):
            return False
        alive = table.alive
        merged = segments[chosen]
        self._job = _Job(
            merged, [alive[one.entry.name].copy() for one in merged], segments[: chosen.start], self._store.reserve()
        )
        self._thread = threading.Thread(target=self._work, args=(self._job,), name="ddsim-merge")
        self._thread.start()
        return True

    def collect(self, *, wait: bool = False) -> bool:
        """Have the list name what a merge that has ended wrote. Returns whether it did."""
        job, thread = self._job, self._thread
        if job is None or thread is None or (thread.is_alive() and not wait):
            return False
        thread.join()
        self._job = self._thread = None
        if job.error is not None:
            self._failed = True
            _log.warning("segments were not merged, which takes room and time, and nothing else: %s", job.error)
        if job.entry is None:
            return False
        names = {segment.entry.name for segment in job.segments}
        entries = list(self._store.listed.segments if self._store.listed else ())
        place = next(number for number, entry in enumerate(entries) if entry.name in names)
        kept = [entry for entry in entries if entry.name not in names]
        kept.insert(place, job.entry)
        self._store.commit(kept)
        return True

    def close(self) -> None:
        """Give up what is under way."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join()
        if self._job is not None and self._job.entry is not None:
            self._store.drop([self._job.entry.name])
        self._job = self._thread = None

    def _work(self, job: _Job) -> None:
        try:
            job.entry = self._merge(job)
        except ConfigError as error:
            job.error = error
        except _Stopped:
            pass

    def _merge(self, job: _Job) -> Entry:
        vids = np.concatenate([one.vids[alive] for one, alive in zip(job.segments, job.alive, strict=True)])
        lengths = np.concatenate([one.lengths[alive] for one, alive in zip(job.segments, job.alive, strict=True)])
        order = np.argsort(vids, kind="stable")
        path, dimension = self._store.folder / job.name, job.segments[0].rows.shape[1]
        rows = self._rows(job, order)
        return write_segment(path, _still_gone(job), vids[order], lengths[order], dimension, rows)

    def _rows(self, job: _Job, order: Vids) -> Iterator[Kept]:
        """The rows of all segments that count, in this order of them, in parts."""
        kind = TYPES[self._precision]
        places = [np.flatnonzero(alive) for alive in job.alive]
        ends = np.cumsum([len(some) for some in places])
        yield np.zeros((0, job.segments[0].rows.shape[1]), kind)
        for start in range(0, len(order), _ROWS_AT_ONCE):
            if self._stop.is_set():
                raise _Stopped
            wanted = order[start : start + _ROWS_AT_ONCE]
            owners = np.searchsorted(ends, wanted, side="right")
            part = np.empty((len(wanted), job.segments[0].rows.shape[1]), kind)
            for owner in np.unique(owners).tolist():
                own = owners == owner
                first = int(ends[owner]) - len(places[owner])
                part[own] = job.segments[owner].rows[places[owner][wanted[own] - first]]
            yield part


def choose(segments: Sequence[Segment], dead: dict[str, float], most: float) -> slice | None:
    """Which neighbouring segments to merge next; None where none are due.

    Args:
        segments: in their order.
        dead: the share of a segment's rows that do not count any more, by its file's name.
        most: a segment with a larger share is written again.
    """
    sizes = [_size(segment) for segment in segments]
    for size in sorted(set(sizes)):
        start = len(sizes)
        while start and sizes[start - 1] <= size:
            start -= 1
        if len(sizes) - start >= FEW:
            return slice(start, len(sizes))
    for number, segment in enumerate(segments):
        if dead.get(segment.entry.name, 0.0) > most:
            return slice(number, number + 1)
    return None


def _size(segment: Segment) -> int:
    """Which power of sixteen its rows are of."""
    return max(0, math.ceil(math.log(max(len(segment.vids), 1) / _SMALLEST, FEW)))


def _still_gone(job: _Job) -> Vids:
    """What its segments say is gone from earlier ones, as far as it is still there."""
    gone = np.unique(np.concatenate([segment.gone for segment in job.segments]))
    there = [np.intersect1d(gone, segment.vids) for segment in job.earlier] if len(gone) else []
    return np.unique(np.concatenate(there)) if there else np.zeros(0, np.int64)
