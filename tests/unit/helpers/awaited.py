"""An AsyncClient whose calls wait, so that what is demanded of Client can be demanded of it by the same tests."""

from __future__ import annotations

import asyncio
import inspect
import threading
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

from ddsim import AsyncClient, Reply, Retries, ThreadedTransport
from ddsim.deepdetect.http_async import AsyncHttpTransport

#: Waits for nothing between tries: asyncio does the waiting, and none of it is wanted.
AT_ONCE = Retries(first_wait=0.0, longest_wait=0.0)


class Awaited:
    """Each call in an event loop of this object's; close it.

    Args:
        transport: one for threads; HTTP where there is none.
        options: of AsyncClient.
    """

    def __init__(self, transport: Any = None, **options: Any) -> None:
        self._loop = asyncio.new_event_loop()
        behind = None if transport is None else ThreadedTransport(transport)
        self._client = AsyncClient(transport=behind, **({"retries": AT_ONCE} | options))

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._client, name)
        if not inspect.iscoroutinefunction(found):
            return found
        return lambda *args, **options: self._loop.run_until_complete(found(*args, **options))

    def cancel(self, call: Callable[[AsyncClient], Awaitable[Any]], *, when: threading.Event) -> None:
        """Make a call in a task, and cancel it when the event is set."""

        async def made() -> None:
            task = asyncio.ensure_future(call(self._client))
            await asyncio.to_thread(when.wait)
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
            assert task.cancelled()

        self._loop.run_until_complete(made())

    def close(self) -> None:
        """Close the client, its threads and its loop."""
        self._loop.run_until_complete(self._client.close())
        self._loop.run_until_complete(self._loop.shutdown_default_executor())
        self._loop.close()


class AwaitedTransport:
    """An AsyncHttpTransport whose exchanges wait."""

    def __init__(self, url: str, **options: Any) -> None:
        self._loop = asyncio.new_event_loop()
        self._transport = AsyncHttpTransport(url, **options)
        self.url = self._transport.url

    def exchange(self, *args: Any) -> Reply:
        """One exchange."""
        return self._loop.run_until_complete(self._transport.exchange(*args))

    def close(self) -> None:
        """Close the transport and its loop."""
        self._loop.run_until_complete(self._transport.close())
        self._loop.close()
