"""Sending a catalogue's pictures: every item exactly once in the index, whatever happens on the way.

The manifest says what is to be done and what holds; the vectors' home does it. Both a run and the server can be killed
at any point: the next run finds out what holds and does the rest.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from functools import partial

import numpy as np

from ddsim.catalogue import ItemState, Manifest, Row
from ddsim.config import IndexSettings
from ddsim.deepdetect import Vectors
from ddsim.errors import BadInput, ServerFault, TooLarge, TransportError
from ddsim.indexing.batches import BatchSize, cut, foreseen
from ddsim.indexing.preparing import Known, Ready, Unreadable, cores, prepare, prepare_ahead
from ddsim.indexing.remarks import Remarks
from ddsim.indexing.report import Progress, Stage
from ddsim.indexing.suspects import Suspect, Suspects
from ddsim.pictures import Upload
from ddsim.sources import Source
from ddsim.vectors import Backend, Prepared

_log = logging.getLogger(__name__)
_TRIES_ALONE = 2
# Searches wait while something is unbuilt, so builds are not far apart. Each writes the whole index: the longer that
# takes, the rarer they are.
_STRIDE_S = 3.0
_STRIDE_BUILDS = 5.0
_BUILDS = 3
_KNOWN_AT_ONCE = 256


class Run:
    """Sends all that is pending.

    Args:
        manifest: what is to be done; held for writing.
        backend: the vectors' home, open.
        source: where the catalogue's pictures are.
        limits: batch sizes, and how many pictures there are between two builds at most.
        upload: how pictures are prepared.
        progress: told after every batch.
        stopping: asked between batches; once it is true, what was sent is made searchable and the run ends.
        seen: told the numbers and vectors of every batch that was added.
        clock: seconds, for building in strides of time.
        built: told whenever the index was built.
        least: so many pictures the index needs before it can be built; a run that is told to stop goes on until then.

    Attributes:
        total: how many items it set out to send.
        failed: those of them that cannot be indexed.
        reused: items whose vectors were known, and that were not sent.
    """

    def __init__(
        self,
        manifest: Manifest,
        backend: Backend,
        source: Source,
        *,
        limits: IndexSettings,
        upload: Upload,
        progress: Callable[[Progress], None] | None = None,
        stopping: Callable[[], bool] | None = None,
        seen: Callable[[Sequence[int], Vectors], None] | None = None,
        built: Callable[[], object] | None = None,
        least: int = 0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._manifest = manifest
        self._backend = backend
        self._limits = limits
        self._make = partial(prepare, source=source, upload=upload, known=backend.known)
        # Who waits for a network has time for others.
        self._threads = limits.threads if source.readers is None else max(source.readers, limits.threads or cores())
        self._progress = progress or (lambda _: None)
        self._stopping = stopping or (lambda: False)
        self._seen = seen or (lambda _vids, _vectors: None)
        self._clock = clock
        self._built = built or (lambda: None)
        self._least = least
        counts = manifest.counts()
        self.total = counts[ItemState.PENDING]
        self._indexed_before = counts[ItemState.INDEXED]
        self._size = BatchSize(limits.batch_size)
        self._unbuilt = self._builds_failed = 0
        self._stride, self._built_at = _STRIDE_S, clock()
        self._told: Progress | None = None
        self._suspects = Suspects()
        self._remarks = Remarks()
        self._known: list[Known] = []
        self.failed = self.reused = 0

    @property
    def indexed(self) -> int:
        """Items that are in the index since this run."""
        return self._manifest.counts()[ItemState.INDEXED] - self._indexed_before

    @property
    def warnings(self) -> list[str]:
        """What is to be said about pictures that this run added, a sentence for each kind."""
        return self._remarks.sentences()

    def run(self) -> bool:
        """Send, build and settle everything.

        Returns:
            whether all is done; False after a stop.

        Raises:
            TransportError, ApiError: the server is not to be had, or fails again and again. What was built holds.
        """
        while True:
            # Recovery can make items pending again behind the point where the pass is.
            if self._manifest.counts()[ItemState.PENDING] and not self._stops():
                self._send_pending()
            self._build()
            counts = self._manifest.counts()
            if not counts[ItemState.ADDED] and (self._stops() or not counts[ItemState.PENDING]):
                return not counts[ItemState.PENDING]

    def _send_pending(self) -> None:
        # Nothing else refers to the inner one, so that it is closed with the outer, whatever happens.
        whole = cut(self._readable(), self._size, self._limits.batch_bytes)
        with closing(foreseen(whole, self._backend.foresee, self._backend.looks_ahead)) as batches:
            for batch in batches:
                self._send(batch)
                if self._is_build_due():
                    self._build()
                self.tell()
                if self._stops():
                    break
        # Those stay pending where all else failed, too.
        self._blame(self._suspects.judged())
        self.tell()

    # Building

    def _is_build_due(self) -> bool:
        if self._unbuilt < max(1, self._least):
            return False
        return self._unbuilt >= self._limits.checkpoint or self._clock() - self._built_at >= self._stride

    def _stops(self) -> bool:
        return self._unbuilt >= self._least and self._stopping()

    def _build(self) -> None:
        """Build what was added and not built; what is lost where that fails is pending again.

        Raises:
            ServerFault, TransportError: it fails again and again.
        """
        begun = self._clock()
        try:
            self._backend.build()
            self._builds_failed = self._least = 0
            self._built()
        except (ServerFault, TransportError) as error:
            self._builds_failed += 1
            if self._builds_failed == _BUILDS:
                raise
            _log.warning("the server failed at a build: %s", error)
            self._find_out(error)
        self._unbuilt, self._built_at = self._manifest.counts()[ItemState.ADDED], self._clock()
        self._stride = max(_STRIDE_S, _STRIDE_BUILDS * (self._built_at - begun))

    def tell(self, stage: Stage = "indexing") -> None:
        """Tell the listener how far the run is, where that has changed."""
        left = self._manifest.counts()[ItemState.PENDING]
        now = Progress(self.total - left, self.total, self.failed, stage)
        if now != self._told:
            self._told = now
            self._progress(now)

    # What to send

    def _readable(self) -> Iterator[Ready]:
        self._known.clear()  # a pass that was broken off left them pending
        # Several servers may want another batch at the same moment.
        at_once = 2 + self._backend.looks_ahead // 2
        ahead = prepare_ahead(
            self._pending(),
            self._make,
            count=at_once * self._limits.batch_size,
            size=at_once * self._limits.batch_bytes,
            threads=self._threads,
        )
        for item in ahead:
            if isinstance(item, Unreadable):
                self._quarantine(item, f"{item.reason}; the next run tries again" if item.passing else item.reason)
            elif isinstance(item, Known):
                self._known.append(item)
                if len(self._known) >= _KNOWN_AT_ONCE:
                    self._add_known()
                    if self._stopping():
                        return
            else:
                yield item
        self._add_known()

    def _pending(self) -> Iterator[Row]:
        after = ""
        while rows := self._manifest.pending(after):
            yield from rows
            after = rows[-1].uri

    def _add_known(self) -> None:
        """Add what need not be sent."""
        batch, self._known = self._known, []
        if not batch:
            return
        vids = self._manifest.begin([(one.row.uri, one.sha256, one.row.size, one.row.mtime_ns) for one in batch])
        vectors = np.stack([one.vector for one in batch])
        self._backend.add_known(vids, vectors)
        self._seen(vids, vectors)
        self.reused += len(batch)
        self._unbuilt += len(batch)
        if self._is_build_due():
            self._build()
        self.tell()

    # Sending

    def _send(self, batch: Sequence[Ready]) -> None:
        """Send a batch; halve it where it fails, until the culprit is alone."""
        for tries in range(1, _TRIES_ALONE + 1):
            try:
                self._add(batch)
                return
            except (BadInput, TooLarge) as error:
                # The server could not read one of them (recording 38), or one alone is too large: nothing counts.
                self._manifest.requeue(ItemState.SENDING)
                if len(batch) == 1:
                    self._quarantine(batch[0], error.dd_msg if isinstance(error, BadInput) else str(error))
                    return
            except (ServerFault, TransportError) as error:
                self._faulted(error, len(batch))
                if len(batch) == 1 and tries == _TRIES_ALONE:
                    self._suspects.note(batch[0], error)
                    return
            if len(batch) > 1:
                break
        middle = len(batch) // 2
        self._send(batch[:middle])
        self._send(batch[middle:])

    def _add(self, batch: Sequence[Ready]) -> None:
        # The numbers are written down before anything is sent: a row of a number that is not an item's current one is
        # found by nobody, so whatever a lost answer leaves in the index does no harm.
        vids = self._manifest.begin(
            [(ready.row.uri, ready.sha256, ready.row.size, ready.row.mtime_ns) for ready in batch]
        )
        prepared = [
            Prepared(ready.row.uri, vid, ready.picture, ready.sha256) for ready, vid in zip(batch, vids, strict=True)
        ]
        self._seen(vids, self._backend.add(prepared))
        self._unbuilt += len(batch)
        self._remarks.take(batch)
        self._blame(self._suspects.convicted())
        self._size.grow()

    def _faulted(self, error: ServerFault | TransportError, count: int) -> None:
        """Take smaller batches from now on, and find out what holds."""
        _log.warning("the server failed at a batch of %d: %s", count, error)
        self._size.shrink(count)
        self._find_out(error)
        self._unbuilt = self._manifest.counts()[ItemState.ADDED]

    def _find_out(self, error: ServerFault | TransportError) -> None:
        if isinstance(error, TransportError):
            self._backend.recover()
        self._manifest.requeue(ItemState.SENDING)

    def _blame(self, found: Iterable[Suspect]) -> None:
        for item, error in found:
            self._quarantine(item, f"the server failed at it {_TRIES_ALONE} times: {error}")

    def _quarantine(self, item: Ready | Unreadable, reason: str) -> None:
        _log.warning("not indexed: %s: %s", item.row.uri, reason)
        row = item.row
        if isinstance(item, Unreadable) and item.passing:
            self._manifest.quarantine(row.uri, reason, size=-1, mtime_ns=0)  # as a file that cannot be looked at
        else:
            self._manifest.quarantine(row.uri, reason, sha256=item.sha256, size=row.size, mtime_ns=row.mtime_ns)
        self.failed += 1
