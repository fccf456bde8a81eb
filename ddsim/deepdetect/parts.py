"""Pictures in requests: prepared, cut into batches within all limits, and into smaller ones where a proxy wants it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import TypeAlias, TypeVar

from ddsim.deepdetect.core import Core
from ddsim.deepdetect.steps import Plan, Work
from ddsim.deepdetect.transport import Decoded
from ddsim.errors import TooLarge
from ddsim.pictures import Picture, ServerPath, Upload, Url, encode

_log = logging.getLogger(__name__)
_Answer = TypeVar("_Answer")
# An element of a request's `data`: base64, a path or a URL; the file itself where the transport carries values.
Data: TypeAlias = str | bytes | Decoded
Named: TypeAlias = tuple[str, Data]
Send: TypeAlias = Callable[[list[str], list[Data]], Plan[list[_Answer]]]


def in_requests(
    core: Core, pictures: Iterable[Picture], upload: Upload | None, send: Send[_Answer]
) -> Plan[list[_Answer]]:
    """The answers of one request after another, in the order of the pictures; no more are prepared than one holds."""
    answers: list[_Answer] = []
    batch = Batch(core)
    for place, picture in enumerate(pictures):
        one = str(place), (yield from prepared(core, picture, upload))
        if not batch.holds(one):
            answers += yield from in_parts(core, batch.empty(), send)
        batch.add(one)
    if batch.named:
        answers += yield from in_parts(core, batch.empty(), send)
    return answers


class Batch:
    """What goes into one request, within all limits; a picture too big for any goes alone."""

    def __init__(self, core: Core) -> None:
        self.named: list[Named] = []
        self._size = 0
        self._core = core

    def holds(self, one: Named) -> bool:
        """Whether there is room for another."""
        room = len(self.named) < self._core.batch_size and self._size + length(one[1]) <= self._core.fitting_bytes
        return room or not self.named

    def add(self, one: Named) -> None:
        """Put it in."""
        self.named.append(one)
        self._size += length(one[1])

    def empty(self) -> list[Named]:
        """Take all out."""
        named, self.named, self._size = self.named, [], 0
        return named


def in_parts(core: Core, batch: Sequence[Named], send: Send[_Answer]) -> Plan[list[_Answer]]:
    """Send a batch; in smaller parts where it is too large for what is on the way, and only such from then on."""
    answers: list[_Answer] = []
    rest = list(batch)
    while rest:
        part = next(cut(core, rest))
        names, data = [name for name, _ in part], [one for _, one in part]
        try:
            answers += yield from send(names, data)
        except TooLarge as error:
            if len(part) == 1:
                raise
            size = sum(map(length, data))
            core.fitting_bytes = min(core.fitting_bytes, max(size // 2, 1))
            _log.warning("smaller requests are sent from now on, as one of %d bytes was too large: %s", size, error)
        else:
            del rest[: len(part)]
    return answers


def cut(core: Core, made: Iterable[Named]) -> Iterator[list[Named]]:
    """Batches within all limits."""
    batch = Batch(core)
    for one in made:
        if not batch.holds(one):
            yield batch.empty()
        batch.add(one)
    if batch.named:
        yield batch.empty()


def prepared(core: Core, picture: Picture, upload: Upload | None) -> Plan[Data]:
    """A picture as it goes into a request."""
    if isinstance(picture, (ServerPath, Url)):
        return picture.data
    data: Data = yield Work(lambda: _encoded(core, picture, upload))
    return data


def _encoded(core: Core, picture: Picture, upload: Upload | None) -> Data:
    wanted = upload if upload is not None else core.upload
    if not core.values:
        return encode(picture, wanted).base64
    encoded = encode(picture, replace(wanted, pixels=True))
    return encoded.data if encoded.pixels is None else Decoded(encoded.data, encoded.pixels)


def length(one: Data) -> int:
    """Batches are the same whatever carries them: bytes count as they would in base64."""
    return len(one) if isinstance(one, str) else (len(one) + 2) // 3 * 4
