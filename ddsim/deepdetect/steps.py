"""Steps: what a call of the client needs from outside, so that its rules are written once for threads and for tasks.

A plan is a generator. It yields steps and is sent what came of them; what it returns is the call's result. Whoever runs
it, :class:`ddsim.deepdetect.calls.Calls` or :class:`ddsim.deepdetect.tasks.TaskCalls`, does all the waiting there is.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias, TypeVar

_Answer = TypeVar("_Answer")


class Lock(Protocol):
    """A lock that whoever holds it may take again."""

    def acquire(self) -> Any:
        """Wait until it is free and take it; a coroutine where tasks wait for it."""
        ...

    def release(self) -> None:
        """Give it back; this never waits."""
        ...


@dataclass(frozen=True)
class Ask:
    """Send a request, again where that is safe; a :class:`~ddsim.deepdetect.transport.Reply` comes back.

    Attributes:
        method, path, json: see :meth:`ddsim.deepdetect.transport.Transport.exchange`.
        read: seconds to wait for the answer.
        repeatable: whether the call changes nothing, so that it may be sent again after a lost answer.
    """

    method: str
    path: str
    json: Mapping[str, Any] | None
    read: float
    repeatable: bool = False


@dataclass(frozen=True)
class Take:
    """Take a lock. The plan gives it back itself."""

    lock: Lock


@dataclass(frozen=True)
class Work:
    """Do something that takes the processor for a while, such as shrinking a picture; its result comes back."""

    do: Callable[[], Any]


@dataclass(frozen=True)
class Pause:
    """Wait for so many seconds."""

    seconds: float


Step: TypeAlias = Ask | Take | Work | Pause
Plan: TypeAlias = Generator[Step, Any, _Answer]


def holding(lock: Lock, plan: Plan[_Answer]) -> Plan[_Answer]:
    """The plan, with the lock held around it."""
    yield Take(lock)
    try:
        return (yield from plan)
    finally:
        lock.release()
