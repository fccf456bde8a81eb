"""Plans carried out in asyncio: the same rules as for threads, with waiting that other tasks need not wait for."""

from __future__ import annotations

import asyncio
from typing import Any, TypeVar

from ddsim.deepdetect.calls import TimeLimits
from ddsim.deepdetect.retries import Retries
from ddsim.deepdetect.steps import Ask, Plan, Step, Take, Work
from ddsim.deepdetect.transport import AsyncTransport, Reply, Timeout

_Answer = TypeVar("_Answer")


class TaskLock:
    """A lock for tasks that the one which holds it may take again, as threads may with RLock."""

    def __init__(self) -> None:
        self._lock = asyncio.Lock()
        self._owner: asyncio.Task[Any] | None = None
        self._depth = 0

    async def acquire(self) -> None:
        """Wait until no other task has it, and take it."""
        task = asyncio.current_task()
        if self._owner is not task:
            await self._lock.acquire()
            self._owner = task
        self._depth += 1

    def release(self) -> None:
        """Give it back, as often as it was taken."""
        self._depth -= 1
        if not self._depth:
            self._owner = None
            self._lock.release()


class TaskCalls:
    """Carries out plans in the task that asks for it.

    Args:
        transport: carries the requests.
        limits: seconds for each kind of call.
        retries: when to try again; how it waits in between is asyncio's affair.
    """

    def __init__(self, transport: AsyncTransport, limits: TimeLimits, retries: Retries) -> None:
        self.transport = transport
        self.limits = limits
        self.retries = retries

    async def run(self, plan: Plan[_Answer]) -> _Answer:
        """Carry a plan out: what it returns, or the error that it ends with, a cancellation included."""
        try:
            step = next(plan)
            while True:
                try:
                    outcome = await self._done(step)
                except BaseException as error:  # noqa: BLE001  even cancellation: the plan gives back locks, raises it
                    step = plan.throw(error)
                else:
                    step = plan.send(outcome)
        except StopIteration as end:
            answer: _Answer = end.value
            return answer
        finally:
            plan.close()

    async def _done(self, step: Step) -> Any:
        if isinstance(step, Ask):
            return await self._asked(step)
        if isinstance(step, Take):
            return await step.lock.acquire()
        if isinstance(step, Work):
            return await asyncio.to_thread(step.do)
        return await asyncio.sleep(step.seconds)

    async def _asked(self, ask: Ask) -> Reply:
        timeout = Timeout(self.limits.connect, ask.read)

        async def exchange() -> Reply:
            return await self.transport.exchange(ask.method, ask.path, ask.json, timeout)

        return await self.retries.run_in_task(exchange, repeatable=ask.repeatable)
