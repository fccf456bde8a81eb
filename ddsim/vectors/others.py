"""The others that a home works with: how long it waits for them, what they forgot, and who it is to them."""

from __future__ import annotations

import logging
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TypeVar

from ddsim.catalogue import Manifest
from ddsim.config import Settings
from ddsim.deepdetect import Client
from ddsim.errors import (
    ConnectionLost,
    DatabaseTrouble,
    DDSimError,
    IndexBusy,
    ServerBusy,
    ServerFault,
    ServerUnreachable,
    ServiceNotFound,
    TransportError,
    Unconnectable,
)

_log = logging.getLogger(__name__)

T = TypeVar("T")

# A server that ends so often in a row will not do better the next time.
_TRIES = 4


def owner_of(settings: Settings, manifest: Manifest) -> str:
    """Whom the service of this configuration belongs to, in words that people understand.

    It is shown to others: where two meet on a server, each is told who the other is and where.
    """
    words = f"{settings.name} {manifest.folder.parent.absolute()} on {socket.gethostname()}"
    return words.encode("utf-8", "backslashreplace").decode("utf-8")


@contextmanager
def forgetting(client: Client, service: str) -> Iterator[None]:
    """Turn "no such service" of a service that was there into what it means for whoever added to its index.

    Raises:
        ConnectionLost: what was in its memory is gone; whoever asked has to recover.
    """
    try:
        yield
    except ServiceNotFound as error:
        raise ConnectionLost(
            f"the server has service {service!r} no more: {client.why_missing(service)}",
            method=error.method,
            path=error.path,
        ) from error


@dataclass(frozen=True)
class Patience:
    """How long to wait for others.

    Attributes:
        seconds: for a server that is gone; no new try begins later than this after the first.
        first_wait, longest_wait: seconds between two tries; the wait doubles in between.
        busy: seconds that a search waits for a run that is adding.
        searches: seconds that a run waits for searches under way before it adds.
        gives_way: seconds that a run waits after a build until searches have begun, where some wait.
        sleep, clock: how to wait and to tell the time; tests pass some that take none.
    """

    seconds: float = 120.0
    first_wait: float = 0.5
    longest_wait: float = 10.0
    busy: float = 10.0
    searches: float = 60.0
    gives_way: float = 1.0
    sleep: Callable[[float], None] = time.sleep
    clock: Callable[[], float] = time.monotonic

    def wait_for(self, client: Client, service: str) -> None:
        """Wait until the server answers when it is asked for this service, whether or not it has it.

        Raises:
            TransportError, ServerFault, ServerBusy: the last try's.
        """

        def ask() -> None:
            with suppress(ServiceNotFound):
                client.get_service(service)

        words = "the server does not answer (%s); asking again in %g s"
        self._again(ask, (TransportError, ServerFault, ServerBusy), self.seconds, words)

    def outlast(self, client: Client, service: str, work: Callable[[], T]) -> T:
        """Do some work that can be done again, and once more where the server ends meanwhile and comes back.

        Raises:
            TransportError, ServerFault: it does not come back in time, or ends every time.
        """
        for _ in range(_TRIES - 1):
            try:
                return work()
            except Unconnectable:
                raise
            except (ConnectionLost, ServerUnreachable) as error:
                _log.warning("the server ended meanwhile (%s)", error)
            self.wait_for(client, service)
        return work()

    def outlast_database(self, work: Callable[[], T]) -> T:
        """Do some work that can be done again, and once more while the database does not answer.

        Raises:
            DatabaseTrouble: it does not come back in time.
        """
        return self._again(work, (DatabaseTrouble,), self.seconds, "%s; trying again in %g s")

    def outlast_busy(self, work: Callable[[], T]) -> T:
        """Do some work that can be done again, and once more while the index is being made ready.

        Raises:
            IndexBusy: that takes longer than :attr:`busy`.
        """
        return self._again(work, (IndexBusy,), self.busy)

    def _again(
        self, work: Callable[[], T], passing: tuple[type[DDSimError], ...], seconds: float, words: str | None = None
    ) -> T:
        """Do some work until nothing that passes by itself is in its way; ``words`` go into the log before each wait.

        Raises:
            DDSimError: what is in its way does not pass in that time, or by waiting.
        """
        end, pause = self.clock() + seconds, self.first_wait
        while True:
            try:
                return work()
            except passing as error:
                if isinstance(error, Unconnectable) or self.clock() + pause > end:
                    raise
                if words is not None:
                    _log.warning(words, error, pause)
            self.sleep(pause)
            pause = min(2 * pause, self.longest_wait)
