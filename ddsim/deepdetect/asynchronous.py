"""AsyncClient: the same calls as :class:`ddsim.Client`, by the same rules, for services that run in asyncio."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from types import TracebackType
from typing import Any, Literal

from ddsim.deepdetect import administering, indexing, labelling, training
from ddsim.deepdetect.calls import TimeLimits, limits_of
from ddsim.deepdetect.core import Core
from ddsim.deepdetect.described import Info, ServiceInfo
from ddsim.deepdetect.results import Classification, SearchReply, Vectors
from ddsim.deepdetect.retries import Retries, retries_of
from ddsim.deepdetect.specs import ServiceSpec
from ddsim.deepdetect.tasks import TaskCalls, TaskLock
from ddsim.deepdetect.training import TrainingStatus
from ddsim.deepdetect.transport import AsyncTransport, Reply, Timeout, Transport, ValueTransport, where
from ddsim.errors import CapabilityError, install_hint
from ddsim.pictures import Picture, Upload


class AsyncClient:
    """A DeepDetect server, as typed calls to await. For the tasks of one event loop; use it with ``async with``.

    Arguments, results and errors are those of :class:`ddsim.Client`. Pictures are prepared in threads. A call whose
    task is cancelled closes its connection; what it had sent may still be carried out by the server, as after a lost
    answer, and is never sent again.

    Args:
        url, timeout, retries, upload, batch_size, batch_bytes: see :class:`ddsim.Client`.
        transport: what carries the calls instead of HTTP to ``url``; one for threads goes into
            :class:`ThreadedTransport`.

    Raises:
        InvalidRequest: an argument cannot be right.
        CapabilityError: httpx2 is not installed (extra ``async``).
    """

    def __init__(
        self,
        url: str = "http://localhost:8080",
        *,
        timeout: float | TimeLimits | None = None,
        retries: int | Retries | None = None,
        transport: AsyncTransport | None = None,
        upload: Upload | None = None,
        batch_size: int = 32,
        batch_bytes: int = 16 * 1024 * 1024,
    ) -> None:
        self._transport = transport if transport is not None else _http(url)
        limits = limits_of(timeout)
        self._calls = TaskCalls(self._transport, limits, retries_of(retries))
        values = isinstance(self._transport, ThreadedTransport) and self._transport.values
        self._core = Core(TaskLock, limits, upload or Upload(), batch_size, batch_bytes, values)

    def __repr__(self) -> str:
        return f"<AsyncClient: {where(self._transport)}>"

    async def __aenter__(self) -> AsyncClient:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Release the connections."""
        await self._transport.close()

    async def info(self) -> Info:
        """Ask what the server is; see :meth:`ddsim.Client.info`."""
        return await self._calls.run(self._core.info())

    async def create_service(self, spec: ServiceSpec) -> None:
        """Create a service; see :meth:`ddsim.Client.create_service`."""
        await self._calls.run(administering.create_service(self._core, spec))

    async def get_service(self, name: str, *, labels: bool = False) -> ServiceInfo:
        """Describe a service; see :meth:`ddsim.Client.get_service`."""
        return await self._calls.run(self._core.service(name, labels=labels))

    async def why_missing(self, service: str) -> str:
        """Why a service is not there any more, in words; see :meth:`ddsim.Client.why_missing`."""
        return await self._calls.run(administering.why_missing(self._core, service))

    async def delete_service(
        self,
        name: str,
        clear: Literal["index"] | None = None,
        *,
        layer: str | None = None,
        destroy_model_files: Literal["lib", "full", "dir"] | None = None,
    ) -> None:
        """Remove a service from the server's memory; see :meth:`ddsim.Client.delete_service`."""
        await self._calls.run(administering.delete_service(self._core, name, clear, layer, destroy_model_files))

    async def train(self, service: str, data: Sequence[str], *, parameters: Mapping[str, Any]) -> TrainingStatus:
        """Start a training of the server's own; see :meth:`ddsim.Client.train`."""
        return await self._calls.run(training.start(self._core, service, data, parameters))

    async def training_status(self, service: str, job: int) -> TrainingStatus:
        """Ask how a training is doing; see :meth:`ddsim.Client.training_status`."""
        return await self._calls.run(training.status(self._core, service, job))

    async def wait(
        self,
        service: str,
        job: int,
        *,
        seconds: float = 86_400.0,
        pause: float = 10.0,
        progress: Callable[[TrainingStatus], None] | None = None,
    ) -> TrainingStatus:
        """Ask again and again until a training has ended; see :meth:`ddsim.Client.wait`."""
        asked = partial(training.status, self._core, service, job)
        return await self._calls.run(training.wait(asked, seconds=seconds, pause=pause, told=progress))

    async def classify(
        self,
        service: str,
        pictures: Iterable[Picture],
        *,
        top: int | None = 5,
        min_probability: float = 0.0,
        upload: Upload | None = None,
    ) -> list[Classification]:
        """Label pictures; see :meth:`ddsim.Client.classify`."""
        plan = labelling.classify(self._core, service, pictures, top, min_probability, upload)
        return await self._calls.run(plan)

    async def extract(
        self, service: str, pictures: Iterable[Picture], *, layer: str, upload: Upload | None = None
    ) -> Vectors:
        """Compute features, float32, shape (n, d); see :meth:`ddsim.Client.extract`."""
        return await self._calls.run(labelling.extract(self._core, service, pictures, layer, upload))

    async def add_to_index(
        self,
        service: str,
        pictures: Mapping[str, Picture],
        *,
        layer: str,
        build: bool = True,
        index_type: str = "Flat",
        upload: Upload | None = None,
    ) -> Vectors:
        """Add pictures to a service's index, in one request; see :meth:`ddsim.Client.add_to_index`.

        Where the task is cancelled meanwhile, the pictures may or may not be in the index: searches are refused until
        something is added with ``build=True``, as after a lost answer.
        """
        plan = indexing.add_to_index(self._core, service, pictures, layer, build, index_type, upload)
        return await self._calls.run(plan)

    def may_be_unbuilt(self, service: str) -> bool:
        """Whether something may be in a service's index that was not built since; the server is not asked."""
        return self._core.guard(service).unbuilt

    def index_failed(self, service: str) -> bool:
        """Whether a service's index failed at its first use; see :meth:`ddsim.Client.index_failed`."""
        return self._core.guard(service).engine == "broken"

    def index_was_built(self, service: str) -> None:
        """Be told that others have built a service's index; see :meth:`ddsim.Client.index_was_built`."""
        self._core.guard(service).built_by_others()

    async def search_index(
        self,
        service: str,
        pictures: Iterable[Picture],
        *,
        layer: str,
        k: int = 10,
        index_type: str = "Flat",
        upload: Upload | None = None,
    ) -> list[SearchReply]:
        """Find the nearest pictures of a service's index; see :meth:`ddsim.Client.search_index`."""
        plan = indexing.search_index(self._core, service, pictures, layer, k, index_type, upload)
        return await self._calls.run(plan)

    async def search_rows(
        self,
        service: str,
        pictures: Iterable[Picture],
        *,
        layer: str,
        k: int = 10,
        index_type: str = "Flat",
        upload: Upload | None = None,
    ) -> list[tuple[Vectors, list[tuple[str, float]]]]:
        """As :meth:`search_index`, names and distances alone; see :meth:`ddsim.Client.search_rows`."""
        plan = indexing.search_rows(self._core, service, pictures, layer, k, index_type, upload)
        return await self._calls.run(plan)


class ThreadedTransport:
    """A transport for threads, as tasks can use it: each exchange in a thread of its own.

    Args:
        transport: such as the embedded server's.

    Attributes:
        values: whether it carries values, see :class:`ddsim.deepdetect.transport.ValueTransport`.
    """

    def __init__(self, transport: Transport) -> None:
        self._transport = transport
        self.values = isinstance(transport, ValueTransport)
        self._exchange = transport.exchange_values if isinstance(transport, ValueTransport) else transport.exchange

    def __repr__(self) -> str:
        return f"<ThreadedTransport: {where(self._transport)}>"

    async def exchange(self, method: str, path: str, json: Mapping[str, Any] | None, timeout: Timeout) -> Reply:
        """See :meth:`ddsim.deepdetect.transport.AsyncTransport.exchange`; a cancelled one goes on in its thread."""
        return await asyncio.to_thread(self._exchange, method, path, json, timeout)

    async def close(self) -> None:
        """Close the transport for threads."""
        await asyncio.to_thread(self._transport.close)


def _http(url: str) -> AsyncTransport:
    try:
        from ddsim.deepdetect.http_async import AsyncHttpTransport
    except ImportError as error:
        raise CapabilityError(f"AsyncClient needs httpx2, which is not installed: {install_hint('async')}") from error
    return AsyncHttpTransport(url)
