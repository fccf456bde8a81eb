"""One case of the matrix: a fault, a call, a client; and what came of it."""

from __future__ import annotations

import itertools
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from typing import Any, Literal

import psutil
from awaited import AT_ONCE, Awaited
from calls import CALLS, PICTURES, Call, Scene, labels
from faulty import FAULTS, FaultyProxy

from ddsim import Client, DDSimError, Retries, TimeLimits
from ddsim.deepdetect.transport import Timeout

#: Short, as most faults are told from a slow server by nothing but time.
PROMISED = Timeout(connect=0.2, read=0.1)
#: What a loaded machine may add to a promise, in seconds: a call that hangs takes longer.
SLACK = 10.0
REFUSED = "refused"
_ALWAYS = 99
Outcome = Literal["right", "error"]


@dataclass(frozen=True)
class Case:
    """What is tried.

    Attributes:
        fault: a name of FAULTS, or REFUSED.
        call: a name of CALLS.
        tasks: whether AsyncClient makes it.
        times: how many exchanges are spoilt.
        first: whether the first exchange of the call is spoilt, not the one that the call is there for.
        tries: how many times the client may try.
    """

    fault: str
    call: str
    tasks: bool
    times: int = 1
    first: bool = False
    tries: int = 2

    def __str__(self) -> str:
        kind = "tasks" if self.tasks else "threads"
        where = "first" if self.first else "main"
        return f"{self.fault}-{self.call}-{kind}-{where}-{self.times}x-{self.tries}"


def cases(*, thorough: bool) -> list[Case]:
    """The matrix: every fault for every call in both clients; thorough: more places and numbers of tries as well."""
    refused = [Case(REFUSED, call, tasks) for call in CALLS for tasks in (False, True)]
    if not thorough:
        # A fault that passes and one that stays; threads and tasks share the rules, so each has one of them.
        pairs = itertools.product(FAULTS, CALLS)
        return refused + [Case(*pair, tasks, 1 if tasks else _ALWAYS) for pair in pairs for tasks in (False, True)]
    every = itertools.product(FAULTS, CALLS, (False, True), (1, _ALWAYS), (False, True), (1, 2, 3))
    return refused + [Case(*one) for one in every]


class Counted:
    """Threads, files and sockets of this process, before and after."""

    def __init__(self) -> None:
        self._process = psutil.Process()
        self._before = self._now()

    def _now(self) -> tuple[int, int]:
        return threading.active_count(), len(os.listdir("/proc/self/fd")) if os.path.exists("/proc/self/fd") else 0

    def check(self) -> None:
        """Whether there are no more than before; a connection's other end takes a moment to notice its end."""
        until(lambda: all(now <= before for now, before in zip(self._now(), self._before, strict=True)), self._words)

    def _words(self) -> str:
        sockets = [f"{one.laddr}-{one.raddr} {one.status}" for one in self._process.net_connections()]
        return f"(threads, files) {self._before} became {self._now()}: {threading.enumerate()} {sockets}"


def until(holds: Callable[[], bool], words: Callable[[], str]) -> None:
    """Wait for something that comes by itself."""
    end = time.monotonic() + SLACK
    while not holds():
        assert time.monotonic() < end, words()
        threading.Event().wait(0.005)


def client_of(url: str, case: Case, promised: Timeout) -> Any:
    """The client of a case; close it."""
    limits = TimeLimits(promised.connect, promised.read, promised.read, promised.read, promised.read)
    retries = Retries(case.tries, first_wait=AT_ONCE.first_wait, longest_wait=AT_ONCE.longest_wait)
    return (Awaited if case.tasks else Client)(url=url, timeout=limits, retries=retries)


def try_out(case: Case, scene: Scene, target: int, wanted: dict[str, Any], promised: Timeout = PROMISED) -> Outcome:
    """Make the call through the proxy, and check all that is promised.

    Args:
        case: what is tried.
        scene: where.
        target: the server's port.
        wanted: call -> what it gives where nothing goes wrong.
        promised: the client's time limits.

    Raises:
        AssertionError: a wrong answer, an error of no type, a broken promise, something doubled or leaked.
    """
    call = CALLS[case.call]
    with _checked(case, scene, target, promised) as (proxy, client):
        began = time.monotonic()
        try:
            assert call.plain(call.make(client, scene)) == wanted[case.call]
            well = True
        except DDSimError:
            well = False
        took = time.monotonic() - began
        requests = max(proxy.arrived, 1) + case.tries
        assert took < requests * (promised.connect + promised.read) + SLACK, f"{took:.1f} s"
        _heal(proxy, case)
        _works_again(client)
        call.check(scene, well, bool(scene.fresh) and client.may_be_unbuilt(scene.fresh))
    return "right" if well else "error"


def cancel(case: Case, scene: Scene, target: int) -> None:
    """Make the call, cancel its task when the fault holds it up, and check the same.

    Raises:
        AssertionError: as for :func:`try_out`.
    """
    call = CALLS[case.call]
    with _checked(case, scene, target, Timeout(SLACK, SLACK)) as (proxy, client):
        client.cancel(lambda asynchronous: call.make(asynchronous, scene), when=proxy.reached)
        _heal(proxy, case)
        _works_again(client)
        call.check(scene, False, bool(scene.fresh) and client.may_be_unbuilt(scene.fresh))


@contextmanager
def _checked(case: Case, scene: Scene, target: int, promised: Timeout = PROMISED) -> Iterator[tuple[FaultyProxy, Any]]:
    """The proxy, ready to strike, and a client behind it; afterwards there is no more of anything than before."""
    CALLS[case.call].ready(scene)
    counted = Counted()
    with FaultyProxy(target) as proxy, closing(client_of(proxy.url, case, promised)) as client:
        _arm(proxy, case, CALLS[case.call])
        yield proxy, client
    scene.remove()
    counted.check()


def _arm(proxy: FaultyProxy, case: Case, call: Call) -> None:
    if case.fault == REFUSED:
        proxy.refuse()
        return
    start = b"" if case.first else call.main.encode()
    proxy.arm(FAULTS[case.fault], lambda line: line.startswith(start), case.times)


def _heal(proxy: FaultyProxy, case: Case) -> None:
    proxy.disarm()
    if case.fault == REFUSED:
        proxy.accept_again()


def _works_again(client: Any) -> None:
    """What a fault left on a connection spoils no later call: each gets the answer to its own question."""
    last: list[DDSimError] = []

    def right() -> bool:
        try:
            assert labels(client.classify("cls", PICTURES[1:], top=1)) == _AGAIN
        except DDSimError as error:
            last[:] = [error]  # a loaded machine answers late
            return False
        return True

    until(right, lambda: f"the client does not recover: {last}")


_AGAIN: list[Any] = []


def furnished(scene: Scene) -> dict[str, Any]:
    """Furnish the scene; what each call gives where nothing goes wrong."""
    scene.furnish()
    wanted: dict[str, Any] = {}
    for name, call in CALLS.items():
        call.ready(scene)
        with suppress(DDSimError):
            wanted[name] = call.plain(call.make(scene.direct, scene))
        scene.remove()
    _AGAIN[:] = labels(scene.direct.classify("cls", PICTURES[1:], top=1))
    return wanted
