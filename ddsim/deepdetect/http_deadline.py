"""Connections as ddsim needs them, beneath requests.

Time limits hold for whole exchanges. urllib3's own count anew with every byte that arrives, so that a server which
sends one a second would hold a call for ever; and a large request has the time of a connection only to be sent in.

A connection is not used again after a 500: a search that fails at a name leaves it of no use for others, each search on
it then fails in LMDB, even after a build. The server keeps that state by connection.

Closing closes: urllib3 itself leaves connections to the garbage collector, which comes late where an error was met.
"""

from __future__ import annotations

import http.client
import io
import math
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import urllib3
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection


class _Limit:
    """How long sending a request and reading its answer may take, from the first byte sent."""

    def __init__(self, seconds: float, silence: float) -> None:
        self._seconds = seconds
        self._silence = silence
        self._end: float | None = None

    def left(self) -> float:
        """Seconds that the next byte may take.

        Raises:
            TimeoutError: there are none.
        """
        now = time.monotonic()
        if self._end is None:
            self._end = now + self._seconds
        if now >= self._end:
            raise TimeoutError("timed out")
        return min(self._end - now, self._silence)


_LIMIT: ContextVar[_Limit] = ContextVar("limit")


@contextmanager
def whole_within(seconds: float, silence: float = math.inf) -> Iterator[None]:
    """Whatever is sent inside, through an adapter of this module, has this time altogether, with all that comes of it.

    Args:
        seconds: the time; what is read of an answer later counts as well.
        silence: seconds after which it ends where nothing moves at all.
    """
    token = _LIMIT.set(_Limit(seconds, silence))
    try:
        yield
    finally:
        _LIMIT.reset(token)


class _Reading(io.RawIOBase):
    """Reads a socket until the limit."""

    def __init__(self, sock: socket.socket, stream: io.RawIOBase) -> None:
        self._sock = sock
        self._stream = stream
        self._limit = _LIMIT.get()

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        self._sock.settimeout(self._limit.left())
        count: int | None = self._stream.readinto(buffer)
        return count

    def close(self) -> None:
        self._stream.close()
        super().close()


class _Answer(http.client.HTTPResponse):
    def __init__(self, sock: socket.socket, *args: Any, **options: Any) -> None:
        super().__init__(sock, *args, **options)
        self.fp = io.BufferedReader(_Reading(sock, self.fp.detach()))


class _Limited:
    """A connection that sends until the limit, and is spoilt by a 500."""

    sock: socket.socket | None
    _spoilt = False

    @property
    def is_connected(self) -> bool:
        """Whether the pool may give it out as it is."""
        connected: bool = super().is_connected  # type: ignore[misc]
        return connected and not self._spoilt

    def connect(self) -> None:
        self._spoilt = False
        super().connect()  # type: ignore[misc]

    def getresponse(self) -> Any:
        answer = super().getresponse()  # type: ignore[misc]
        self._spoilt = answer.status == 500
        return answer

    def send(self, data: Any) -> None:
        if self.sock is None:
            self.connect()
        if self.sock is not None:
            self.sock.settimeout(_LIMIT.get().left())
        super().send(data)  # type: ignore[misc]


class _Connection(_Limited, HTTPConnection):
    response_class = _Answer


class _SafeConnection(_Limited, HTTPSConnection):
    response_class = _Answer


class _Pool(urllib3.HTTPConnectionPool):
    ConnectionCls = _Connection


class _SafePool(urllib3.HTTPSConnectionPool):
    ConnectionCls = _SafeConnection


class DeadlineAdapter(HTTPAdapter):
    """What requests uses to connect, with connections that heed :func:`whole_within`."""

    def init_poolmanager(self, *args: Any, **options: Any) -> None:
        """Make connections of this module."""
        super().init_poolmanager(*args, **options)
        self.poolmanager.pool_classes_by_scheme = {"http": _Pool, "https": _SafePool}

    def proxy_manager_for(self, *args: Any, **options: Any) -> Any:
        """Make connections of this module to proxies, too."""
        manager = super().proxy_manager_for(*args, **options)
        manager.pool_classes_by_scheme = {"http": _Pool, "https": _SafePool}
        return manager

    def close(self) -> None:
        """Close all connections that are not at work; those that are, when they are done."""
        for manager in (self.poolmanager, *self.proxy_manager.values()):
            for key in manager.pools.keys():  # noqa: SIM118  it cannot be iterated
                pool = manager.pools.get(key)
                if pool is not None:
                    pool.close()
        super().close()
