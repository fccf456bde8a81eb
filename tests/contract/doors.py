"""Ways to a server: straight into an engine, or over a socket."""

from __future__ import annotations

import http.client
import json
import socket
from dataclasses import dataclass, field
from typing import Any, Protocol
from urllib.parse import urlsplit

from ddsim.embedded import Engine

# The recorder's words for what became of a connection.
CLOSED, OPEN, RESET = "<<closed by server>>", "<<still open>>", "<<connection reset>>"


@dataclass(frozen=True)
class Seen:
    """An answer as a test compares it; `headers` has lower-case names."""

    status: int
    body: bytes
    reason: str = ""
    headers: dict[str, str] = field(default_factory=dict)

    def json(self) -> Any:
        """The body as JSON; bytes that are not UTF-8 as surrogate escapes."""
        return json.loads(self.body.decode("utf-8", "surrogateescape"))


class Door(Protocol):
    """Sends a request, gives the answer."""

    def request(self, method: str, target: str, headers: dict[str, str], body: bytes | None) -> Seen:
        """One exchange; `target` goes out as it is."""

    def another(self) -> Door:
        """A way of its own to the same server, for another thread."""

    def close(self) -> None:
        """Let go of the connection."""


class EngineDoor:
    """Calls an engine."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def request(self, method: str, target: str, headers: dict[str, str], body: bytes | None) -> Seen:
        """Ask the engine; it knows no headers."""
        answer = self._engine.handle(method, target, body or b"")
        connection = {"connection": "close"} if answer.close else {}
        return Seen(answer.status, answer.body, answer.reason, {"content-type": answer.content_type} | connection)

    def another(self) -> EngineDoor:
        """The same engine."""
        return EngineDoor(self._engine)

    def close(self) -> None:
        """Nothing to close."""


class _Connection(http.client.HTTPConnection):
    def _encode_request(self, request: str) -> bytes:
        return request.encode("utf-8", "surrogateescape")  # raw UTF-8 in the path, as recorded


class SocketDoor:
    """Speaks HTTP to a server, on one kept-alive connection where it lets us."""

    def __init__(self, url: str) -> None:
        self._url = url
        parts = urlsplit(url)
        self.address = (parts.hostname or "localhost", parts.port or 80)
        self._connection = _Connection(*self.address, timeout=60)

    def request(self, method: str, target: str, headers: dict[str, str], body: bytes | None) -> Seen:
        """Send a request, wait for its answer."""
        self._connection.request(method, target, body=body, headers={"Accept-Encoding": "identity"} | headers)
        response = self._connection.getresponse()
        seen = {name.lower(): value for name, value in response.getheaders()}
        return Seen(response.status, response.read(), response.reason, seen)

    def raw(self, request: bytes) -> tuple[bytes, str]:
        """Send bytes on a connection of their own; gives what came back, and what became of the connection."""
        received = bytearray()
        try:
            end = self._raw(request, received)
        except ConnectionResetError:
            end = RESET
        return bytes(received), end

    def _raw(self, request: bytes, received: bytearray) -> str:
        with socket.create_connection(self.address, timeout=10) as connection:
            connection.sendall(request)
            while not _complete(bytes(received)):
                part = connection.recv(65536)
                if not part:
                    return CLOSED
                received += part
            connection.settimeout(0.2)
            try:
                return CLOSED if connection.recv(1) == b"" else OPEN
            except TimeoutError:
                return OPEN

    def another(self) -> SocketDoor:
        """The same server by a connection of its own."""
        return SocketDoor(self._url)

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()


def _complete(received: bytes) -> bool:
    head, separator, body = received.rpartition(b"\r\n\r\n")
    for line in head.split(b"\r\n"):
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            return bool(separator) and len(body) >= int(value)
    return False
