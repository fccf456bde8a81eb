"""Pictures cut into batches: as many as go through, and some of them asked for before it is their turn."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from typing import Any

from ddsim.indexing.preparing import Ready
from ddsim.pictures import Encoded

_GROW_AFTER = 4


class BatchSize:
    """How many pictures go into a batch: fewer after a failure, more again when some in a row went well.

    Args:
        most: where it begins, and what it is at most.

    Attributes:
        now: what it is.
    """

    def __init__(self, most: int) -> None:
        self.now = self._most = most
        self._good_in_a_row = 0

    def shrink(self, count: int) -> None:
        """Hear that a batch of so many failed."""
        self.now, self._good_in_a_row = max(1, min(self.now, count) // 2), 0

    def grow(self) -> None:
        """Hear that a batch went well."""
        self._good_in_a_row += 1
        if self.now < self._most and self._good_in_a_row >= _GROW_AFTER:
            self.now, self._good_in_a_row = min(2 * self.now, self._most), 0


def cut(pictures: Iterable[Ready], size: BatchSize, most_bytes: int) -> Generator[list[Ready], None, None]:
    """Batches of so many pictures and bytes at most; a picture that is larger goes alone."""
    batch: list[Ready] = []
    taken = 0
    for ready in pictures:
        full = len(batch) >= size.now or taken + ready.picture.sent_bytes > most_bytes
        if batch and full:
            yield batch
            batch, taken = [], 0
        batch.append(ready)
        taken += ready.picture.sent_bytes
    if batch:
        yield batch


def foreseen(
    batches: Iterable[list[Ready]], foresee: Callable[[Sequence[Encoded]], Future[Any] | None], ahead: int
) -> Generator[list[Ready], None, None]:
    """The batches, each of which is asked for while some before it are still to be answered.

    Of several servers one may be slow or gone: what the others have answered comes meanwhile.

    Args:
        batches: taken as they are asked for.
        foresee: asks for the pictures of one.
        ahead: how many are asked for beside the next one; 0 for none before its time.
    """
    held: list[tuple[list[Ready], Future[Any] | None]] = []
    for batch in batches:
        held.append((batch, foresee([ready.picture for ready in batch]) if ahead else None))
        if len(held) > ahead:
            yield held.pop(_first_done([future for _, future in held]))[0]
    while held:
        yield held.pop(_first_done([future for _, future in held]))[0]


def _first_done(requests: Sequence[Future[Any] | None]) -> int:
    """The place of the first of some requests that has ended; waits for one. Where none is under way, the first."""
    under_way = [one for one in requests if one is not None]
    if len(under_way) == len(requests):
        wait(under_way, return_when=FIRST_COMPLETED)
    return next((place for place, one in enumerate(requests) if one is None or one.done()), 0)
