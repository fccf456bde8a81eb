"""A catalogue's pictures into an index: in batches, once each, with a report of what failed and why."""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from ddsim.catalogue import Item
from ddsim.client import Client
from ddsim.errors import BadInput, ImageError, InvalidRequest, ServerFault
from ddsim.images import Encoded, encode
from ddsim.services import ensure
from ddsim.settings import Settings
from ddsim.wire import ServiceSpec, check_uri

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Failure:
    """An item that is not in the index, and why."""

    uri: str
    reason: str


@dataclass(frozen=True, slots=True)
class Progress:
    """How far an indexing run is, in items."""

    done: int
    total: int
    failed: int


@dataclass(frozen=True)
class IndexReport:
    """What an indexing run did.

    Attributes:
        indexed: items in the index now.
        failures: items that are not, in the order met.
        dimension: the length of the vectors.
        seconds: how long it took.
    """

    indexed: int
    failures: tuple[Failure, ...]
    dimension: int
    seconds: float


def index_catalogue(
    client: Client,
    settings: Settings,
    items: Sequence[Item],
    *,
    progress: Callable[[Progress], None] = lambda _: None,
) -> IndexReport:
    """Index all items, from scratch: what the index held before is removed.

    An item that cannot be read, here or on the server, is reported and does not stop the others.

    Args:
        client: the server.
        settings: the similarity service and the batch limits.
        items: what to index.
        progress: called after every batch.

    Raises:
        InvalidRequest: two items have the same uri.
        ImageError: not one of the items can be read.
        ServiceConflict, ApiError, TransportError: the server does not do as it should; what was sent is not searchable.
    """
    begun = time.monotonic()
    twice = [uri for uri, count in Counter(item.uri for item in items).items() if count > 1]
    if twice:
        raise InvalidRequest(f"{twice[0]}: given twice; an index keeps both and tells them apart by nothing")
    dimension = _start_afresh(client, settings.similarity_spec(), settings.similarity.extract_layer)
    run = _Run(client, settings, len(items), progress)
    run.index(items)
    return IndexReport(run.indexed, tuple(run.failures), dimension, time.monotonic() - begun)


def _start_afresh(client: Client, spec: ServiceSpec, layer: str) -> int:
    """The service as configured with an empty index; returns its vectors' length."""
    if not ensure(client, spec, layer=layer).created:
        # Created anew it forgets what somebody indexed and never built, which no search survives (recording 23); and
        # this client forgets what it believed of an index that others may have used since.
        client.delete_service(spec.name)
        ensure(client, spec, layer=layer)
    try:
        client.delete_service(spec.name, "index", layer=layer)
    except ServerFault as error:
        _log.warning("the index of %s cannot be loaded (%s); removing its files", spec.name, error)
        # The client knows it broken now and does not search it again; deleting is safe (recording 46c).
        client.delete_service(spec.name, "index", layer=layer)
        # That says nothing where nothing was removed, so once more, and this time it must load.
        ensure(client, spec, layer=layer)
        client.delete_service(spec.name, "index", layer=layer)
    return ensure(client, spec, layer=layer).dimension or 0


_Prepared = tuple[str, Encoded]


class _Run:
    """One pass over the items.

    The last call must both add and build, for a build of nothing kills the server; so one picture that the server has
    proved to read (``_last``) is kept back for it.
    """

    def __init__(self, client: Client, settings: Settings, total: int, progress: Callable[[Progress], None]) -> None:
        self._client = client
        self._similarity = settings.similarity
        self._limits = settings.index
        self._upload = settings.upload_options()
        self._total = total
        self._progress = progress
        self.indexed = 0
        self.failures: list[Failure] = []

    def index(self, items: Sequence[Item]) -> None:
        prepared = self._prepared(items)
        last = self._readable(prepared)
        if last is None:
            why = self.failures[-1] if self.failures else Failure("catalogue", "there is nothing in it")
            raise ImageError(why.uri, f"{why.reason}; and not one other picture of the catalogue can be read")
        for batch in self._batches(prepared):
            self._add(batch)
            self._tell()
        self._send([last], build=True)
        self._tell()

    def _tell(self) -> None:
        self._progress(Progress(self.indexed + len(self.failures), self._total, len(self.failures)))

    def _prepared(self, items: Sequence[Item]) -> Iterator[_Prepared]:
        for item in items:
            try:
                yield check_uri(item.uri), encode(item.path, self._upload)
            except ImageError as error:
                self._failed(item.uri, error.reason)
            except InvalidRequest as error:
                self._failed(item.uri, str(error))

    def _readable(self, prepared: Iterator[_Prepared]) -> _Prepared | None:
        """The first picture that the server reads."""
        for uri, picture in prepared:
            try:
                self._client.extract(self._similarity.service, [picture], layer=self._similarity.extract_layer)
            except BadInput as error:
                self._failed(uri, error.dd_msg)
            else:
                return uri, picture
        return None

    def _batches(self, prepared: Iterator[_Prepared]) -> Iterator[list[_Prepared]]:
        batch: list[_Prepared] = []
        size = 0
        for uri, picture in prepared:
            full = len(batch) == self._limits.batch_size or size + picture.sent_bytes > self._limits.batch_bytes
            if batch and full:
                yield batch
                batch, size = [], 0
            batch.append((uri, picture))
            size += picture.sent_bytes
        if batch:
            yield batch

    def _add(self, batch: list[_Prepared]) -> None:
        """Index a batch; where the server cannot read some picture, halve until that one is alone."""
        try:
            self._send(batch, build=False)
        except BadInput as error:
            if len(batch) == 1:
                self._failed(batch[0][0], error.dd_msg)
                return
            middle = len(batch) // 2
            self._add(batch[:middle])
            self._add(batch[middle:])

    def _send(self, batch: list[_Prepared], *, build: bool) -> None:
        self._client.add_to_index(
            self._similarity.service,
            dict(batch),
            layer=self._similarity.extract_layer,
            build=build,
            index_type=self._similarity.index_type,
        )
        self.indexed += len(batch)

    def _failed(self, uri: str, reason: str) -> None:
        _log.warning("not indexed: %s: %s", uri, reason)
        self.failures.append(Failure(uri, reason))
