"""Pictures sent to one service, in batches, for a value of each: what fails is halved until the culprit is alone.

To servers elsewhere several batches are under way at a time, as an indexing run sends them.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from ddsim.catalogue import ItemState, Row
from ddsim.config import Settings
from ddsim.deepdetect import Client, drawn
from ddsim.errors import BadInput, DDSimError, InvalidResponse, ServerFault, ServerUnreachable, TooLarge, TransportError
from ddsim.evaluation.pictures import Photo
from ddsim.evaluation.throwaway import Throwaway
from ddsim.indexing import BatchSize, Ready, Unreadable, cut, foreseen, prepare, prepare_ahead
from ddsim.pictures import Encoded, encode
from ddsim.vectors import Ahead, Cache, Patience

_log = logging.getLogger(__name__)
_Value = TypeVar("_Value")

# A picture at which a server fails so often, alone, is left out.
_TRIES_ALONE = 3
# So many failures in a row, and it is not the pictures: halving a batch of 256 down to the culprit takes 8 and those 3.
_FAILURES_IN_A_ROW = 12


class Stopped(Exception):
    """The caller asked for an early end."""


@dataclass
class Outcome:
    """What became of one extraction.

    Attributes:
        key: under which the cache holds it.
        extracted, cached: how many pictures the server worked on, and how many were known.
        unreadable: content hash -> why that picture has no vector.
        seconds: how long it took.
        latencies: content hash -> seconds from a picture in memory to its vector, for some queries.
        warnings: what else is to be said.
        failed: why there is nothing; None where there is.
        by_server: whether that was the server's doing.
    """

    key: str
    extracted: int = 0
    cached: int = 0
    unreadable: dict[str, str] = field(default_factory=dict)
    seconds: float = 0.0
    latencies: dict[str, float] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)
    failed: str | None = None
    by_server: bool = False

    def fail(self, error: DDSimError) -> None:
        """Note why it failed."""
        self.failed = str(error)
        self.by_server = isinstance(error, (TransportError, ServerFault))


@dataclass(frozen=True)
class Work:
    """What all extractions of an evaluation share.

    Attributes:
        cache: where results go.
        opening: connects to the server of a configuration.
        patience: how long to wait for one that is gone.
        done: told how many pictures more have been seen to.
        stopping: asked after every batch; once true, :class:`Stopped` is raised.
    """

    cache: Cache
    opening: Callable[[Settings], Client]
    patience: Patience
    done: Callable[[int], None] = lambda _: None
    stopping: Callable[[], bool] = lambda: False


class Extraction(Generic[_Value]):
    """One run over pictures with one service; a context, at whose end nothing is under way any more.

    Args:
        work: see there.
        settings: limits of batches, and how pictures are prepared.
        there: the service.
        compute: gives a value a picture, by the service's name.
        layer: see :meth:`Throwaway.ask`.
        requests: how many are under way at a time.
    """

    def __init__(
        self,
        work: Work,
        settings: Settings,
        there: Throwaway,
        compute: Callable[[str, Sequence[Encoded]], Iterable[_Value]],
        layer: str | None,
        requests: int = 1,
    ) -> None:
        self._work = work
        self._limits = settings.index
        self._upload = settings.upload_options()
        self._there = there
        self._compute = compute
        self._layer = layer
        self._requests = requests
        self._ahead = Ahead(self._asked, requests)
        self._failures = 0

    def __enter__(self) -> Extraction[_Value]:
        return self

    def __exit__(self, *_: object) -> None:
        # A service that is removed while it predicts may take the server with it.
        self._ahead.close()

    def over(self, photos: Sequence[Photo], outcome: Outcome) -> Iterator[tuple[list[str], list[_Value]]]:
        """Content hashes and their values, a batch at a time; what cannot be read goes to the outcome.

        Raises:
            ApiError, TransportError: the server is not to be had, or fails again and again.
            Stopped: so it was asked.
        """
        if photos:
            # A configuration that cannot work says so before pictures are prepared.
            self._there.ask(lambda _: None, self._layer)
        batches = cut(self._readable(photos, outcome), BatchSize(self._limits.batch_size), self._limits.batch_bytes)
        for batch in foreseen(batches, self._ahead.foresee, self._requests - 1):
            for part, values in self._send(batch, outcome):
                outcome.extracted += len(part)
                yield [ready.sha256 for ready in part], values
                self._work.done(len(part))
            if self._work.stopping():
                raise Stopped

    def alone(self, photo: Photo) -> tuple[_Value, float]:
        """The value of one picture as a query asks for it, and the seconds from the picture in memory to it.

        Raises:
            ImageError: it cannot be read any more.
        """
        content = photo.source.read(photo.uri, self._upload.max_bytes)
        begun = time.perf_counter()
        prepared = encode(content, self._upload)
        (value,) = self._asked([prepared])
        return value, time.perf_counter() - begun

    def drawn(self) -> list[_Value]:
        """The values of the pictures that tell networks apart; see :class:`ddsim.deepdetect.Canary`.

        Raises:
            ApiError, TransportError: as :meth:`over`.
        """
        pictures = drawn(self._upload)
        while True:
            try:
                return self._asked(pictures)
            except ServerUnreachable:
                raise  # nothing has begun that would be worth waiting for
            except TransportError as error:
                self._failed(error)

    def _asked(self, pictures: Sequence[Encoded]) -> list[_Value]:
        return list(self._there.ask(lambda name: self._compute(name, pictures), self._layer))

    def _readable(self, photos: Sequence[Photo], outcome: Outcome) -> Iterator[Ready]:
        # Several servers may want another batch at the same moment.
        at_once = 2 + (self._requests - 1) // 2
        ahead = prepare_ahead(
            map(_row, photos, range(len(photos))),
            lambda row: prepare(row, photos[row.vid or 0].source, self._upload),
            count=at_once * self._limits.batch_size,
            size=at_once * self._limits.batch_bytes,
            threads=self._limits.threads,
        )
        for ready in ahead:
            photo = photos[ready.row.vid or 0]
            if isinstance(ready, Unreadable) or ready.sha256 != photo.sha256:
                reason = ready.reason if isinstance(ready, Unreadable) else "it was changed during the evaluation"
                outcome.unreadable[photo.sha256] = reason
                self._work.done(1)
            else:
                yield ready

    def _send(self, batch: list[Ready], outcome: Outcome) -> Iterator[tuple[list[Ready], list[_Value]]]:
        """Send a batch; halve it where it fails, until the culprit is alone."""
        pictures = [ready.picture for ready in batch]
        for tries in range(1, _TRIES_ALONE + 1):
            try:
                values = self._ahead.take(pictures)
            except (BadInput, TooLarge) as error:
                if len(batch) == 1:
                    reason = error.dd_msg if isinstance(error, BadInput) else str(error)
                    self._leave_out(batch[0], reason, outcome)
                    return
            except (ServerFault, TransportError) as error:
                self._failed(error)
                if len(batch) == 1 and tries == _TRIES_ALONE:
                    self._leave_out(batch[0], f"the server failed at it {tries} times: {error}", outcome)
                    return
            else:
                self._failures = 0
                yield batch, values
                return
            if len(batch) > 1:
                break
        middle = len(batch) // 2
        yield from self._send(batch[:middle], outcome)
        yield from self._send(batch[middle:], outcome)

    def _failed(self, error: ServerFault | TransportError) -> None:
        _log.warning("the server failed at a batch: %s", error)
        self._failures += 1
        if self._failures >= _FAILURES_IN_A_ROW or isinstance(error, InvalidResponse):
            raise error
        if isinstance(error, TransportError):
            self._there.recover()
            self._ahead.drop()  # it was asked of a server that was gone

    def _leave_out(self, ready: Ready, reason: str, outcome: Outcome) -> None:
        outcome.unreadable[ready.sha256] = reason
        self._work.done(1)


def _row(photo: Photo, place: int) -> Row:
    """As the preparing of pictures for an index wants it."""
    return Row(photo.uri, photo.category, photo.size, 0, photo.sha256, ItemState.PENDING, None, 0, 0.0, place)
