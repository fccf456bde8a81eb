"""ddsim.AsyncClient: what only tasks bring with them: cancellation, tasks beside each other, and locks of their own."""

from __future__ import annotations

import asyncio
import inspect
import sys
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from awaited import AT_ONCE

import ddsim
from ddsim import (
    AsyncClient,
    CapabilityError,
    Client,
    InvalidRequest,
    Reply,
    ServerTimeout,
    ServerUnreachable,
    ThreadedTransport,
    UnsafeCall,
)
from ddsim.deepdetect.tasks import TaskLock
from ddsim.deepdetect.transport import Timeout

Body = Callable[[AsyncClient], Awaitable[Any]]


class Gate:
    """Passes exchanges on to a transport for threads; predictions wait at it until it opens."""

    def __init__(self, transport: Any) -> None:
        self.inner = ThreadedTransport(transport)
        self.arrived = asyncio.Event()
        self.open = asyncio.Event()
        self.under_way = self.most = 0
        self.closed = False

    async def exchange(self, method: str, path: str, json: Any, timeout: Timeout) -> Reply:
        """Wait if it is a prediction, then pass it on."""
        if path != "/predict":
            return await self.inner.exchange(method, path, json, timeout)
        self.under_way += 1
        self.most = max(self.most, self.under_way)
        self.arrived.set()
        try:
            await self.open.wait()
            return await self.inner.exchange(method, path, json, timeout)
        finally:
            self.under_way -= 1

    async def close(self) -> None:
        """Remember it."""
        self.closed = True


def signature(method: Any) -> list[Any]:
    """What a method takes."""
    return [(one.name, one.kind, one.default, one.annotation) for one in inspect.signature(method).parameters.values()]


def test_both_clients_have_the_same_calls() -> None:
    """Each public method of Client is one of AsyncClient's, and takes the same; only the transport differs."""
    names = {name for name, _ in inspect.getmembers(Client, inspect.isfunction) if not name.startswith("_")}
    assert names == {name for name, _ in inspect.getmembers(AsyncClient, inspect.isfunction) if name[0] != "_"}
    for name in names:
        assert signature(getattr(Client, name)) == signature(getattr(AsyncClient, name))
    made = [one[:3] for one in signature(Client.__init__)]
    assert made == [one[:3] for one in signature(AsyncClient.__init__)]


def test_async_with_closes(transport: Any) -> None:
    """At the end of the block the transport is closed, and one for threads with it."""

    async def use() -> None:
        async with AsyncClient(transport=ThreadedTransport(transport)) as client:
            assert (await client.info()).capabilities.caffe

    asyncio.run(use())
    assert transport.closed


def test_a_closed_client_is_refused() -> None:
    """After its block a client sends nothing, and says so."""

    async def use() -> None:
        async with AsyncClient("http://127.0.0.1:9") as client:
            pass
        await client.info()

    with pytest.raises(InvalidRequest, match="GET /info: this client is closed"):
        asyncio.run(use())


def test_a_client_of_another_event_loop_is_refused(loopback: None) -> None:
    """Its connections ended with its loop; sometimes that would show, and sometimes not."""
    client = AsyncClient("http://127.0.0.1:9", retries=0)
    with pytest.raises(ServerUnreachable):
        asyncio.run(client.info())
    with pytest.raises(InvalidRequest, match="GET /info: this client is for another event loop"):
        asyncio.run(client.info())
    asyncio.run(client.close())
    with pytest.raises(InvalidRequest, match="this client is closed"):
        asyncio.run(client.info())


def test_tasks_get_their_own_results(transport: Any, draw: Any, as_sent: Any) -> None:
    """Eight tasks share a client, and each gets what it asked for; one Caffe service has one call at a time."""

    async def use() -> None:
        gate = Gate(transport)
        gate.open.set()
        async with AsyncClient(transport=gate) as client:
            found = await asyncio.gather(
                *[client.search_index("sim", [draw(seed)], layer="fc1", k=1) for seed in range(8)]
            )
        assert [one[0].neighbours[0].uri for one in found] == [f"near/{as_sent(draw(s))[-20:]}" for s in range(8)]
        assert gate.most == 1

    asyncio.run(use())


def test_features_that_are_proven_go_side_by_side(transport: Any, draw: Any) -> None:
    """Once a layer has been had, calls for it wait for nobody."""

    async def use() -> None:
        gate = Gate(transport)
        gate.open.set()
        async with AsyncClient(transport=gate) as client:
            await client.extract("sim", [draw(0)], layer="fc1")
            gate.open.clear()
            calls = [asyncio.ensure_future(client.extract("sim", [draw(seed)], layer="fc1")) for seed in range(4)]
            while gate.under_way < 4:
                await asyncio.sleep(0)
            gate.open.set()
            await asyncio.gather(*calls)

    asyncio.run(use())


def test_a_cancelled_call_gives_its_locks_back(transport: Any, draw: Any) -> None:
    """The next call on the service goes on at once, and asks anew what the service is."""

    async def use() -> None:
        gate = Gate(transport)
        async with AsyncClient(transport=gate) as client:
            call = asyncio.ensure_future(client.search_index("sim", [draw(1)], layer="fc1"))
            await gate.arrived.wait()
            call.cancel()
            with pytest.raises(asyncio.CancelledError):
                await call
            asked = len(transport.sent)
            gate.open.set()
            await client.search_index("sim", [draw(2)], layer="fc1")
            assert transport.sent[asked].path == "/services/sim"

    asyncio.run(use())


def test_a_call_cancelled_while_it_waits_for_another(transport: Any, draw: Any) -> None:
    """Sends nothing, and the other goes on."""

    async def use() -> None:
        gate = Gate(transport)
        async with AsyncClient(transport=gate) as client:
            first = asyncio.ensure_future(client.search_index("sim", [draw(1)], layer="fc1"))
            await gate.arrived.wait()
            second = asyncio.ensure_future(client.search_index("sim", [draw(2)], layer="fc1"))
            while not client._core.guard("sim").lock._lock._waiters:  # type: ignore[attr-defined]
                await asyncio.sleep(0)
            second.cancel()
            gate.open.set()
            assert len(await first) == 1
            with pytest.raises(asyncio.CancelledError):
                await second
            assert len(transport.predicts) == 1

    asyncio.run(use())


def test_what_a_cancelled_index_call_leaves(transport: Any, draw: Any) -> None:
    """Nobody knows whether its pictures are in: nothing is sent again, and no search until something is built."""

    async def use() -> None:
        gate = Gate(transport)
        async with AsyncClient(transport=gate, retries=AT_ONCE) as client:
            adding = asyncio.ensure_future(client.add_to_index("sim", {"a": draw(1)}, layer="fc1"))
            await gate.arrived.wait()
            adding.cancel()
            with pytest.raises(asyncio.CancelledError):
                await adding
            assert client.may_be_unbuilt("sim")
            with pytest.raises(UnsafeCall, match="not built"):
                await client.search_index("sim", [draw(2)], layer="fc1")
            assert transport.predicts == []
            gate.open.set()
            await client.add_to_index("sim", {"b": draw(3)}, layer="fc1")
            assert await client.search_index("sim", [draw(2)], layer="fc1")

    asyncio.run(use())


def test_waiting_for_a_training_lets_others_work(transport: Any, wire_answers: Any) -> None:
    """Between two questions other tasks have their turn, and a cancelled wait ends there."""
    running = wire_answers.reply({"status": {"code": 200}, "head": {"job": 1, "status": "running"}})
    transport._described = lambda _: running

    async def use() -> None:
        async with AsyncClient(transport=ThreadedTransport(transport)) as client:
            told = asyncio.Event()
            waiting = asyncio.ensure_future(client.wait("cls", 1, pause=1000.0, progress=lambda _: told.set()))
            await told.wait()
            waiting.cancel()
            with pytest.raises(asyncio.CancelledError):
                await waiting

    asyncio.run(use())


def test_retries_are_bounded(transport: Any) -> None:
    """As for threads: so many tries, then the last error."""
    transport._described = lambda _: (_ for _ in ()).throw(ServerTimeout("slow"))

    async def use() -> None:
        async with AsyncClient(transport=ThreadedTransport(transport), retries=AT_ONCE) as client:
            with pytest.raises(ServerTimeout):
                await client.info()

    asyncio.run(use())
    assert len(transport.sent) == AT_ONCE.tries


def test_a_lock_is_its_tasks() -> None:
    """Whoever holds it may take it again; others get it when it was given back as often."""

    async def use() -> None:
        lock = TaskLock()
        await lock.acquire()
        await lock.acquire()
        other = asyncio.ensure_future(lock.acquire())
        await asyncio.sleep(0)
        lock.release()
        await asyncio.sleep(0)
        assert not other.done()
        lock.release()
        await other
        lock.release()

    asyncio.run(use())


def test_without_httpx2(monkeypatch: pytest.MonkeyPatch) -> None:
    """The error names the extra; with a transport of one's own nothing is missing."""
    monkeypatch.setitem(sys.modules, "httpx2", None)
    monkeypatch.delitem(sys.modules, "ddsim.deepdetect.http_async", raising=False)
    monkeypatch.delattr(ddsim.deepdetect, "http_async", raising=False)
    with pytest.raises(CapabilityError, match=r"\[async\]"):
        AsyncClient()
