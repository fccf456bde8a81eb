"""A proxy with real sockets that spoils chosen exchanges, in every way that a network or another proxy may."""

from __future__ import annotations

import itertools
import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

from proxy import message

#: How long a fault that holds an exchange up does so at most, in seconds; the end of the case ends it earlier.
LONGEST = 60.0
# Between two bytes of an answer that drips; the whole of it takes longer than any call may.
_DRIP = 0.02


@dataclass
class Exchange:
    """One request at the proxy.

    Attributes:
        client: the connection that it came on.
        request: its bytes.
        target: the server's port.
        over: set at the end of the case.
    """

    client: socket.socket
    request: bytes
    target: int
    over: threading.Event

    def forward(self) -> bytes:
        """Have the server carry it out; its answer's bytes."""
        with socket.create_connection(("127.0.0.1", self.target), LONGEST) as upstream:
            upstream.sendall(self.request)
            return message(upstream)

    def reset(self) -> None:
        """End the connection by a reset."""
        self.client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
        self.client.close()

    def hold(self) -> None:
        """Do nothing until the case is over."""
        self.over.wait(LONGEST)


Fault = Callable[[Exchange], None]


def page(status: str, *headers: str, body: bytes = b"<html><body><h1>sorry</h1></body></html>") -> bytes:
    """What a proxy says itself."""
    lines = [f"HTTP/1.1 {status}", "Content-Type: text/html", f"Content-Length: {len(body)}", *headers]
    return "\r\n".join([*lines, "", ""]).encode() + body


def saying(answer: bytes) -> Fault:
    """Answers so, and forwards nothing."""
    return lambda exchange: exchange.client.sendall(answer)


def saying_after(answer: bytes) -> Fault:
    """Answers so after the server has done what was asked."""

    def fault(exchange: Exchange) -> None:
        exchange.forward()
        exchange.client.sendall(answer)

    return fault


def _lengthened(answer: bytes, by: int) -> bytes:
    """The answer with a wrong Content-Length."""
    head, _, body = answer.partition(b"\r\n\r\n")
    kept = [line for line in head.split(b"\r\n") if not line.lower().startswith(b"content-length")]
    return b"\r\n".join([*kept, b"Content-Length: %d" % (len(body) + by), b"", b""]) + body


def _reset_before(exchange: Exchange) -> None:
    exchange.reset()


def _reset_after(exchange: Exchange) -> None:
    exchange.forward()
    exchange.reset()


def _closed_before(exchange: Exchange) -> None:
    exchange.client.close()


def _lost(exchange: Exchange) -> None:
    exchange.forward()
    exchange.client.close()


def _late(exchange: Exchange) -> None:
    answer = exchange.forward()
    exchange.hold()
    with suppress(OSError):
        exchange.client.sendall(answer)


def _silent(exchange: Exchange) -> None:
    exchange.hold()


def _truncated(exchange: Exchange) -> None:
    answer = exchange.forward()
    exchange.client.sendall(answer[: len(answer) - 10])
    exchange.client.close()


def _head_alone(exchange: Exchange) -> None:
    exchange.client.sendall(exchange.forward().partition(b"\r\n\r\n")[0][:-5])
    exchange.client.close()


def _too_long(exchange: Exchange) -> None:
    exchange.client.sendall(_lengthened(exchange.forward(), 100))
    exchange.hold()


def _too_short(exchange: Exchange) -> None:
    exchange.client.sendall(_lengthened(exchange.forward(), -10))


def _dripping(exchange: Exchange) -> None:
    answer = exchange.forward()
    for byte in itertools.chain(answer[:-1], itertools.repeat(32)):
        if exchange.over.wait(_DRIP):
            return
        exchange.client.sendall(bytes([byte]))


def _half_open(exchange: Exchange) -> None:
    exchange.client.shutdown(socket.SHUT_WR)
    exchange.hold()


def _twice(exchange: Exchange) -> None:
    exchange.client.sendall(exchange.forward() * 2)


FAULTS: dict[str, Fault] = {
    "reset before": _reset_before,
    "reset after": _reset_after,
    "closed before": _closed_before,
    "reply lost": _lost,
    "too late": _late,
    "silent": _silent,
    "truncated": _truncated,
    "half a head": _head_alone,
    "noise": saying(b"\x00\xff\xfenoise\r\n\r\n" * 9),
    "broken JSON": saying_after(page("200 OK", body=b'{"status": {"code": 200}, "head": {')),
    "other JSON": saying_after(page("200 OK", body=b'["fine", null, 1e999]')),
    "500": saying(page("500 Internal Server Error")),
    "502": saying(page("502 Bad Gateway")),
    "502 after": saying_after(page("502 Bad Gateway")),
    "503": saying(page("503 Service Unavailable", "Retry-After: 0")),
    "504 after": saying_after(page("504 Gateway Timeout")),
    "413": saying(page("413 Request Entity Too Large", "Connection: close")),
    "429": saying(page("429 Too Many Requests")),
    "429 for now": saying(page("429 Too Many Requests", "Retry-After: 0")),
    "429 until a date": saying(page("429 Too Many Requests", "Retry-After: Sun, 06 Nov 1994 08:49:37 GMT")),
    "429 for long": saying(page("429 Too Many Requests", "Retry-After: 3600", "Connection: close")),
    "moved": saying(page("302 Found", "Location: http://127.0.0.1:1/login")),
    "length too long": _too_long,
    "length too short": _too_short,
    "dripping": _dripping,
    "half open": _half_open,
    "answered twice": _twice,
}


class FaultyProxy:
    """Listens on a port of its own; a context manager.

    Attributes:
        port: where it listens.
        arrived: requests so far.
        struck: exchanges that were spoilt.
        reached: set when the first of them was.
    """

    def __init__(self, target: int) -> None:
        self._target = target
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.arrived = self.struck = 0
        self.reached = threading.Event()
        self._fault: Fault | None = None
        self._matches: Callable[[bytes], bool] = lambda _: True
        self._times = 0
        self._lock = threading.Lock()
        self._over = threading.Event()
        self._connections: list[socket.socket] = []
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()

    @property
    def url(self) -> str:
        """Its address."""
        return f"http://127.0.0.1:{self.port}"

    def arm(self, fault: Fault, matches: Callable[[bytes], bool], times: int) -> None:
        """Spoil the next exchanges whose request line matches, so many of them."""
        self._fault, self._matches, self._times = fault, matches, times

    def disarm(self) -> None:
        """Spoil none any more, and end what is held up."""
        with self._lock:
            self._times = 0
            over, self._over = self._over, threading.Event()
        over.set()

    def refuse(self) -> None:
        """Refuse connections from now on."""
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def accept_again(self) -> None:
        """Take connections once more, at the same address."""
        self._listener = socket.create_server(("127.0.0.1", self.port))
        self._begin(self._accept)

    def __enter__(self) -> FaultyProxy:
        return self

    def __exit__(self, *_: object) -> None:
        self.refuse()
        self.disarm()
        for connection in list(self._connections):
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        for thread in list(self._threads):
            thread.join(LONGEST)
            assert not thread.is_alive()

    def _begin(self, work: Callable[..., None], *args: socket.socket) -> None:
        thread = threading.Thread(target=work, args=args, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        listener = self._listener
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            self._connections.append(connection)
            self._begin(self._serve, connection)

    def _serve(self, connection: socket.socket) -> None:
        # Whatever breaks here broke on purpose, or because the client went away.
        with connection, suppress(OSError):
            while request := message(connection):
                with self._lock:
                    self.arrived += 1
                    strikes = self._times > 0 and self._matches(request.partition(b"\r\n")[0])
                    self._times -= strikes
                    self.struck += strikes
                    exchange = Exchange(connection, request, self._target, self._over)
                if strikes and self._fault is not None:
                    self.reached.set()
                    self._fault(exchange)
                else:
                    connection.sendall(exchange.forward())
