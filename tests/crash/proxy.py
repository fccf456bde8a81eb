"""A TCP proxy between ddsim and the server, which knows where requests and answers begin and end."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Protocol

#: Where in an exchange a blow can fall, in order.
STAGES = ("arrived", "half sent", "sent", "answered", "half answered", "delivered")
_DEADLY = b'"dd_code":1900'  # the embedded server's word for "a real one would have died of this"
_SECONDS = 120.0


class Blow(Protocol):
    """What happens at a point."""

    def begin(self) -> None:
        """When the request has arrived."""

    def fall(self) -> bool:
        """At the stage; whether the exchange is cut."""

    def end(self) -> None:
        """When its connections are closed."""


@dataclass
class _Armed:
    stage: str
    n: int
    blow: Blow
    arrived: int = 0


class Proxy:
    """Listens on a port of its own for as long as it is open; a context manager.

    Attributes:
        port: where it listens.
        target: the server's port.
        deadly: answers that say that a real server would have died.
    """

    def __init__(self, target: int) -> None:
        self.target = target
        self.port = 0
        self.deadly: list[bytes] = []
        self._lock = threading.Lock()
        self._armed: _Armed | None = None
        self._listener: socket.socket | None = None
        self._threads: list[threading.Thread] = []
        self._connections: set[socket.socket] = set()
        self.open_door()

    def __enter__(self) -> Proxy:
        return self

    def __exit__(self, *_: object) -> None:
        self.close_door()
        with self._lock:
            for connection in self._connections:
                with suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(_SECONDS)

    def open_door(self) -> None:
        """Listen, on the same port as before."""
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", self.port))
        listener.listen(16)
        self.port = listener.getsockname()[1]
        self._listener = listener
        self._begin(self._accept, listener)

    def close_door(self) -> None:
        """Refuse connections, as a machine does whose server is dead."""
        listener, self._listener = self._listener, None
        if listener is not None:
            with suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)
            listener.close()

    def arm(self, stage: str, n: int, blow: Blow) -> None:
        """Let a blow fall at a stage of the n-th request from now on."""
        with self._lock:
            self._armed = _Armed(stage, n, blow)

    def disarm(self) -> None:
        """Let none fall."""
        with self._lock:
            self._armed = None

    # Connections

    def _begin(self, work: Callable[[socket.socket], None], connection: socket.socket) -> None:
        thread = threading.Thread(target=work, args=(connection,), daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            self._begin(self._serve, connection)

    def _serve(self, client: socket.socket) -> None:
        _hurry(client)
        blow: Blow | None = None
        upstream: socket.socket | None = None
        with self._lock:
            self._connections.add(client)
        try:
            while request := message(client):
                if upstream is None:
                    upstream = socket.create_connection(("127.0.0.1", self.target), _SECONDS)
                    _hurry(upstream)
                armed = self._next()
                blow = armed.blow if armed else None
                if not self._exchange(client, upstream, request, armed):
                    return
                if blow is not None:
                    blow.end()
                blow = None
        except OSError:
            return  # one of the two is dead: so is the connection
        finally:
            with self._lock:
                self._connections.discard(client)
            for connection in (client, upstream):
                if connection is not None:
                    connection.close()
            if blow is not None:
                blow.end()

    def _next(self) -> _Armed | None:
        with self._lock:
            if self._armed is None:
                return None
            self._armed.arrived += 1
            if self._armed.arrived < self._armed.n:
                return None
            armed, self._armed = self._armed, None
            return armed

    def _exchange(self, client: socket.socket, upstream: socket.socket, request: bytes, armed: _Armed | None) -> bool:
        """One request and its answer; False when it was cut."""

        def passed(stage: str) -> bool:
            return armed is None or armed.stage != stage or not armed.blow.fall()

        if armed is not None:
            armed.blow.begin()
        if not passed("arrived"):
            return False
        half = len(request) // 2
        upstream.sendall(request[:half])
        if not passed("half sent"):
            return False
        upstream.sendall(request[half:])
        if not passed("sent"):
            return False
        answer = message(upstream)
        if _DEADLY in answer:
            self.deadly.append(answer)
        if not answer or not passed("answered"):
            return False
        half = len(answer) // 2
        client.sendall(answer[:half])
        if not passed("half answered"):
            return False
        client.sendall(answer[half:])
        return passed("delivered")


def _hurry(connection: socket.socket) -> None:
    """Messages go in two parts; the second is not to wait until the first is acknowledged."""
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


def message(connection: socket.socket) -> bytes:
    """One HTTP message, head and body; nothing at the connection's end, be it in the middle of one."""
    data = b""
    while b"\r\n\r\n" not in data:
        part = connection.recv(1 << 16)
        if not part:
            return b""
        data += part
    head, _, body = data.partition(b"\r\n\r\n")
    length = 0
    for line in head.split(b"\r\n")[1:]:
        name, _, value = line.partition(b":")
        if name.strip().lower() == b"content-length":
            length = int(value)
    parts, held = [head, b"\r\n\r\n", body], len(body)
    while held < length:
        part = connection.recv(1 << 16)
        if not part:
            return b""
        parts.append(part)
        held += len(part)
    return b"".join(parts)
