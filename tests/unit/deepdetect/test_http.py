"""ddsim.deepdetect.http: HTTP with all that can go wrong in it."""

from __future__ import annotations

import gzip
import http.client
import inspect
import os
import socket
import ssl
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx2
import orjson
import pytest
import requests
import urllib3
from awaited import AwaitedTransport

from ddsim import AsyncClient, Client
from ddsim.deepdetect.http import HttpTransport
from ddsim.deepdetect.transport import Timeout
from ddsim.errors import (
    ConnectionLost,
    DDSimError,
    InvalidRequest,
    InvalidResponse,
    ServerTimeout,
    ServerUnreachable,
    TransportError,
)

SHORT = Timeout(connect=2.0, read=0.2)
LONG = Timeout(connect=2.0, read=20.0)


class Server:
    """Accepts connections and lets a script answer each request, with whatever bytes it likes."""

    def __init__(self, answer: Callable[[socket.socket], None]) -> None:
        self.requests: list[bytes] = []
        self.connections = 0
        self._answer = answer
        self._listening = socket.create_server(("127.0.0.1", 0))
        self._connection: socket.socket | None = None
        self.url = f"http://127.0.0.1:{self._listening.getsockname()[1]}"
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def _serve(self) -> None:
        while True:
            connection, _ = self._listening.accept()
            self._connection = connection
            with connection:
                # A connection that ends without a request is the word to stop.
                if not (request := received(connection)):
                    return
                self.connections += 1
                while request:
                    self.requests.append(request)
                    self._answer(connection)
                    request = received(connection)

    def stop(self) -> None:
        """End the thread, whatever the client left open."""
        if self._connection is not None:
            with suppress(OSError):
                self._connection.shutdown(socket.SHUT_RDWR)
        socket.create_connection(self._listening.getsockname()).close()
        self._thread.join()
        self._listening.close()


def received(connection: socket.socket) -> bytes:
    """One whole request; empty where the connection is closed or broken."""
    data = b""
    try:
        while b"\r\n\r\n" not in data or len(data.partition(b"\r\n\r\n")[2]) < length(data):
            part = connection.recv(65536)
            if not part:
                return b""
            data += part
    except OSError:
        return b""
    return data


def length(request: bytes) -> int:
    """How long the body says it is."""
    for line in request.lower().split(b"\r\n"):
        if line.startswith(b"content-length:"):
            return int(line.partition(b":")[2])
    return 0


def http_bytes(body: bytes = b"{}", status: str = "200 OK", *headers: str) -> bytes:
    """An answer as bytes."""
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers]
    return "\r\n".join([*lines, "", ""]).encode() + body


@pytest.fixture(params=[HttpTransport, AwaitedTransport], ids=["threads", "tasks"])
def kind(request: pytest.FixtureRequest) -> Any:
    """Both transports: what is demanded of one is demanded of the other."""
    return request.param


@pytest.fixture
def serving(loopback: None, kind: Any) -> Iterator[Callable[..., tuple[Any, Server]]]:
    """Starts a server that answers these bytes (or does this), and a transport to it."""
    started: list[tuple[Any, Server]] = []

    def start(answer: bytes | Callable[[socket.socket], None]) -> tuple[HttpTransport, Server]:
        script = answer if callable(answer) else lambda connection: connection.sendall(answer)
        server = Server(script)
        started.append((kind(server.url), server))
        return started[-1]

    yield start
    for transport, server in started:
        transport.close()
        server.stop()


def test_a_request_is_plain(serving: Any) -> None:
    """Method, target and JSON arrive as given; the body has its length and no Expect."""
    transport, server = serving(http_bytes(b'{"a":1}', "201 Created", "Server: oatpp/1.3.0"))
    answer = transport.exchange("PUT", "/services/a_b.c-d", {"k": ["é"]}, LONG)
    assert (answer.status, answer.body, answer.headers["server"]) == (201, b'{"a":1}', "oatpp/1.3.0")
    head, _, body = server.requests[0].partition(b"\r\n\r\n")
    assert head.startswith(b"PUT /services/a_b.c-d HTTP/1.1\r\n")
    assert orjson.loads(body) == {"k": ["é"]}
    assert b"expect:" not in head.lower()
    assert b"transfer-encoding:" not in head.lower()


HUGE = [
    http_bytes(b"short").replace(b"Length: 5", b"Length: 1000000000000000"),
    http_bytes(b"short").replace(b"Length: 5", b"Length: 1" + 30 * b"0"),
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n38D7EA4C68000\r\nshort",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + 30 * b"f" + b"\r\nshort",
    http_bytes(b"mov", "302 Found", "Location: /x").replace(b"Length: 3", b"Length: 5"),
]


@pytest.mark.parametrize("answer", HUGE, ids=["length", "longer", "chunk", "larger chunk", "redirection"])
def test_answers_that_are_cut_short_of_what_they_promise(serving: Any, answer: bytes) -> None:
    """Whatever that is, no memory is taken for it, and the error has a name."""

    def end(connection: socket.socket) -> None:
        connection.sendall(answer)
        connection.shutdown(socket.SHUT_WR)

    transport, _ = serving(end)
    with pytest.raises(TransportError):
        transport.exchange("POST", "/predict", {}, LONG)


def test_requests_to_one_path_differ_by_their_bodies_alone(serving: Any) -> None:
    """Each has its own body, and that one's length; what is deleted between them has none."""
    transport, server = serving(http_bytes())
    calls = [("POST", {"k": 1}), ("DELETE", None), ("POST", {"k": [10, 100]}), ("GET", None), ("POST", {})]
    for method, json in calls:
        transport.exchange(method, "/predict", json, LONG)
    sent = [request.partition(b"\r\n\r\n") for request in server.requests]
    assert [head.partition(b" ")[0].decode() for head, *_ in sent] == [method for method, _ in calls]
    assert [orjson.loads(body) if body else None for *_, body in sent] == [json for _, json in calls]
    assert len({head for head, *_ in sent[::4]}) == 2  # their lengths differ
    kept = [{line for line in head.split(b"\r\n") if b"ength" not in line} for head, *_ in sent[::2]]
    assert kept[0] == kept[1] == kept[2]


def test_a_request_without_a_body_has_nothing_of_one_that_had_one(serving: Any) -> None:
    """Neither its type nor its length, whichever of the two went first."""
    transport, server = serving(http_bytes())
    for json in ({"k": 1}, None, {"k": 2}, None):
        transport.exchange("PUT", "/services/a", json, LONG)
    heads, bodies = zip(*(request.split(b"\r\n\r\n", 1) for request in server.requests), strict=True)
    assert bodies == (b'{"k":1}', b"", b'{"k":2}', b"")
    assert [b"application/json" in head for head in heads] == [True, False, True, False]


def test_what_shares_requests_out_is_shown_its_cookie(serving: Any) -> None:
    """From the answer that sets one on, and the newest of that name."""
    cookies = iter(["one", "two", "two"])
    transport, server = serving(
        lambda connection: connection.sendall(
            http_bytes(b"{}", "200 OK", f"Set-Cookie: member={next(cookies)}; Path=/")
        )
    )
    for _ in range(3):
        transport.exchange("POST", "/predict", {"k": 1}, LONG)
    lines = [
        [line for line in request.split(b"\r\n") if line.lower().startswith(b"cookie")] for request in server.requests
    ]
    assert [[line.lower() for line in some] for some in lines] == [[], [b"cookie: member=one"], [b"cookie: member=two"]]


@pytest.mark.parametrize("method", ["GET", "DELETE"])
def test_no_body_goes_with_get_and_delete(serving: Any, method: str) -> None:
    """A server takes such a body for the start of the next request (recording 11)."""
    transport, server = serving(http_bytes())
    transport.exchange(method, "/services/a?clear=index", None, LONG)
    head, _, body = server.requests[0].partition(b"\r\n\r\n")
    assert head.startswith(f"{method} /services/a?clear=index ".encode())
    assert body == b""
    assert b"content-type:" not in head.lower()


def test_headers_are_what_the_server_understands(serving: Any) -> None:
    """Connection says exactly keep-alive, and Accept-Encoding has no q-values (recording 11)."""
    transport, server = serving(http_bytes())
    transport.exchange("GET", "/info", None, LONG)
    headers = dict(line.split(b": ", 1) for line in server.requests[0].split(b"\r\n\r\n")[0].split(b"\r\n")[1:])
    assert headers[b"Connection"] == b"keep-alive"
    assert headers[b"Accept-Encoding"] in (b"identity", b"gzip")


def test_connections_are_kept(serving: Any) -> None:
    """Several exchanges share one connection."""
    transport, server = serving(http_bytes())
    for _ in range(3):
        transport.exchange("GET", "/info", None, LONG)
    assert len(server.requests) == 3
    # The server above takes the next connection only when the one before has ended.


def test_a_forked_process_has_connections_of_its_own(loopback: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """On those of its parent each of the two would read what was answered to the other."""
    server = Server(lambda connection: connection.sendall(http_bytes()))
    transport = HttpTransport(server.url)
    transport.exchange("GET", "/info", None, LONG)
    with monkeypatch.context() as forked:
        forked.setattr(os, "getpid", lambda: -1)
        for _ in range(2):
            transport.exchange("GET", "/info", None, LONG)
    assert (len(server.requests), server.connections) == (3, 2)
    transport.close()
    server.stop()


def test_a_closed_transport_is_refused() -> None:
    """It opens nothing again, and says what is wrong."""
    transport = HttpTransport("http://127.0.0.1:9")
    for _ in range(2):
        transport.close()
    with pytest.raises(InvalidRequest, match="GET /info: this client is closed"):
        transport.exchange("GET", "/info", None, LONG)


@pytest.mark.parametrize("client", [Client, AsyncClient])
@pytest.mark.parametrize("url", [None, 5, b"http://localhost", Path("http://localhost")])
def test_an_address_is_text(client: Any, url: Any) -> None:
    """A variable that is not set is what it mostly is."""
    with pytest.raises(InvalidRequest, match="expected text such as http"):
        client(url)


def test_any_status_is_an_answer(serving: Any) -> None:
    """The transport does not judge: an error of the server, HTML of another one, an empty reason phrase."""
    transport, _ = serving(b"HTTP/1.1 404 \r\nContent-Length: 6\r\nContent-Type: text/html\r\n\r\n<html>")
    assert transport.exchange("GET", "/info", None, LONG).body == b"<html>"


def test_redirects_are_not_followed(serving: Any) -> None:
    """A redirect is an answer like any other: following one would send pictures to strangers."""
    transport, server = serving(http_bytes(b"moved", "302 Found", "Location: /elsewhere"))
    answer = transport.exchange("POST", "/predict", {}, LONG)
    assert (answer.status, answer.body) == (302, b"moved")
    assert len(server.requests) == 1


def test_compressed_answers_are_unpacked(serving: Any) -> None:
    """Gzip in chunks, as the server sends it, comes out as the JSON it was."""
    packed = gzip.compress(b'{"a": 1}')
    chunks = f"{len(packed):x}\r\n".encode() + packed + b"\r\n0\r\n\r\n"
    answer = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Encoding: gzip\r\n\r\n" + chunks
    transport, _ = serving(answer)
    assert transport.exchange("GET", "/info", None, LONG).body == b'{"a": 1}'


def test_nobody_listens(loopback: None, kind: Any, request: pytest.FixtureRequest) -> None:
    """A refused connection is ServerUnreachable, which says where and what to start."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        url = f"http://127.0.0.1:{free.getsockname()[1]}"
    transport = kind(url)
    request.addfinalizer(transport.close)
    with pytest.raises(ServerUnreachable, match=f"/info: no server answers at {url}; start one") as raised:
        transport.exchange("GET", "/info", None, LONG)
    assert (raised.value.method, raised.value.path) == ("GET", "/info")
    assert isinstance(raised.value.__cause__, (requests.ConnectionError, httpx2.ConnectError))


def test_no_answer_in_time(serving: Any) -> None:
    """Silence is ServerTimeout."""
    done = threading.Event()
    transport, _ = serving(lambda _: done.wait(30))
    try:
        with pytest.raises(ServerTimeout, match=r"0\.2 s"):
            transport.exchange("POST", "/predict", {}, SHORT)
    finally:
        done.set()


def test_half_an_answer_in_time(serving: Any) -> None:
    """An answer that stops in the middle is ServerTimeout too."""
    done = threading.Event()

    def stall(connection: socket.socket) -> None:
        connection.sendall(http_bytes(b"x" * 100)[:-50])
        done.wait(30)

    transport, _ = serving(stall)
    try:
        with pytest.raises(ServerTimeout):
            transport.exchange("GET", "/info", None, SHORT)
    finally:
        done.set()


def test_an_answer_that_drips(serving: Any) -> None:
    """However often a byte arrives, the time for the whole answer ends; and for sending, too."""

    def drip(connection: socket.socket) -> None:
        with suppress(OSError):
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n")
            while True:
                connection.sendall(b"x")

    transport, _ = serving(drip)
    with pytest.raises(ServerTimeout, match=r"0\.1 s"):
        transport.exchange("GET", "/info", None, Timeout(connect=0.1, read=0.1))


def test_a_server_that_does_not_read(serving: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Sending has the time of the answer, not that of the connection; a server that reads nothing is ServerTimeout."""
    done = threading.Event()

    def a_byte(connection: socket.socket) -> bytes:
        if connection.recv(1):
            done.wait(30)
        return b""

    monkeypatch.setattr(sys.modules[__name__], "received", a_byte)
    transport, _ = serving(b"")
    try:
        with pytest.raises(ServerTimeout, match=r"0\.2 s"):
            transport.exchange("POST", "/predict", {"data": ["x" * 20_000_000]}, SHORT)
    finally:
        done.set()


def reset(connection: socket.socket) -> None:
    """End the connection by a reset."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
    connection.close()


@pytest.mark.parametrize(
    "answer",
    [
        lambda connection: connection.shutdown(socket.SHUT_RDWR),
        reset,
        lambda connection: (connection.sendall(http_bytes(b"x" * 100)[:-50]), connection.shutdown(socket.SHUT_RDWR)),
        lambda connection: (
            connection.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{"),
            connection.shutdown(socket.SHUT_RDWR),
        ),
    ],
    ids=["closed without a byte", "reset", "body cut", "chunk cut"],
)
def test_connection_lost(serving: Any, answer: Callable[[socket.socket], None]) -> None:
    """What a dying server leaves behind is ConnectionLost: the call may have been carried out."""
    transport, _ = serving(answer)
    with pytest.raises(ConnectionLost) as raised:
        transport.exchange("POST", "/predict", {}, LONG)
    assert (raised.value.method, raised.value.path) == ("POST", "/predict")


@pytest.mark.parametrize(
    "answer",
    [
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"\x00\x01\x02\x03\r\n\r\n",
        b"HTTP/1.1 abc\r\n\r\n",
        b"x" * 70_000,
        b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 4\r\n\r\nnope",
    ],
    ids=lambda answer: repr(answer[:24]),
)
def test_something_else_answers(serving: Any, kind: Any, answer: bytes) -> None:
    """Bytes that are not HTTP, or broken HTTP, are InvalidResponse; what ends before httpx2 can tell is lost."""

    def talk(connection: socket.socket) -> None:
        with suppress(OSError):  # the client may have heard enough before the end
            connection.sendall(answer)
            connection.shutdown(socket.SHUT_WR)

    transport, _ = serving(talk)
    with pytest.raises(InvalidResponse if kind is HttpTransport else (InvalidResponse, ConnectionLost)):
        transport.exchange("GET", "/info", None, LONG)


@pytest.mark.parametrize("answer", [http_bytes(b"{}", "200 OK", *["A: b"] * 200), b"HTTP/3.7 200 OK\r\n\r\n"])
def test_what_no_server_sends(loopback: None, answer: bytes) -> None:
    """More headers than there are, and versions that do not exist, are noise, too; httpx2 minds neither."""
    server = Server(lambda connection: connection.sendall(answer))
    transport = HttpTransport(server.url)
    with pytest.raises(InvalidResponse):
        transport.exchange("GET", "/info", None, LONG)
    transport.close()
    server.stop()


def test_an_earlier_failure_does_not_colour_a_later_one(serving: Any, loopback: None) -> None:
    """A lost answer is not taken for a refused connection, and so repeated, because one is being handled."""
    done = threading.Event()
    transport, _ = serving(lambda _: done.wait(30))
    with socket.create_server(("127.0.0.1", 0)) as free:
        nowhere = HttpTransport(f"http://127.0.0.1:{free.getsockname()[1]}")
    try:
        nowhere.exchange("GET", "/info", None, LONG)
    except ServerUnreachable:
        try:
            with pytest.raises(ServerTimeout):
                transport.exchange("POST", "/predict", {}, SHORT)
        finally:
            done.set()


def test_threads_share_a_transport(loopback: None) -> None:
    """Eight threads at once each get the answer to their own question."""
    with echoing() as url:
        transport = HttpTransport(url)
        found: dict[int, bytes] = {}

        def ask(number: int) -> None:
            found[number] = transport.exchange("POST", "/predict", {"n": number}, LONG).body

        threads = [threading.Thread(target=ask, args=(number,)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        transport.close()
    assert found == {number: b'{"n":%d}' % number for number in range(8)}


@pytest.mark.parametrize(("status", "connections"), [(200, 1), (404, 1), (500, 3)])
def test_a_connection_is_not_used_again_after_a_500(loopback: None, kind: Any, status: int, connections: int) -> None:
    """The server keeps a failed search's state by connection: after a 500 the next call has one of its own."""
    met: set[object] = set()
    with echoing(status, met) as url:
        transport = kind(url)
        for _ in range(3):
            assert transport.exchange("POST", "/predict", {}, LONG).status == status
        transport.close()
    assert len(met) == connections


@contextmanager
def echoing(status: int = 200, met: set[object] | None = None) -> Iterator[str]:
    """A server with a thread a connection, which answers what it was sent, and notes whose connection it was."""
    import http.server

    class Echo(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if met is not None:
                met.add(self.client_address)
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Echo) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.mark.parametrize(
    "url",
    [
        "",
        "localhost",
        "localhost:8080",
        "ftp://localhost",
        "http://",
        "http://:8080",
        "http://localhost:x",
        "http://localhost:99999",
        "http://localhost:0",
        "http://[::1",
        "http://a b",
        "http://localhost/?a=b",
        "http://localhost/#x",
        "http://\udcff",
    ],
)
def test_urls_that_lead_nowhere(url: str) -> None:
    """A url that can never work is refused when it is given, not at the first call."""
    with pytest.raises(InvalidRequest, match="url"):
        HttpTransport(url)


@pytest.mark.parametrize("url", ["http://localhost:8080/", "https://h", "http://[::1]:8080", "http://10.0.0.1/dd/"])
def test_urls_that_are_fine(url: str) -> None:
    """Hosts, ports, brackets and a path before the API's own are fine; a slash at the end is dropped."""
    transport = HttpTransport(url)
    assert transport.url == url.rstrip("/")
    transport.close()


def test_a_password_stays_out_of_messages(monkeypatch: pytest.MonkeyPatch) -> None:
    """The url of an error is shown without the name and password in it."""
    transport = HttpTransport("http://me:secret@dd.example:8080/")

    def fail(*_: Any, **__: Any) -> None:
        raise made(requests.ConnectTimeout)

    monkeypatch.setattr(transport._session, "send", fail)
    with pytest.raises(ServerUnreachable, match=r"http://dd\.example:8080;") as raised:
        transport.exchange("GET", "/info", None, LONG)
    assert "secret" not in str(raised.value)


@pytest.mark.parametrize(
    ("url", "here"),
    [("http://localhost:8080", True), ("http://127.0.0.7", True), ("http://[::1]", True), ("http://dd.example", False)],
)
def test_proxies_are_for_other_machines(url: str, here: bool) -> None:
    """This machine's own server is never asked for through a proxy of the environment."""
    transport = HttpTransport(url)
    assert transport._session.trust_env is not here
    transport.close()


@pytest.mark.parametrize("value", ["\udcff", 2**70, object()], ids=["surrogate", "huge", "object"])
def test_what_json_cannot_hold_is_refused(monkeypatch: pytest.MonkeyPatch, value: Any) -> None:
    """A value that cannot be sent is an InvalidRequest, and nothing is sent."""
    transport = HttpTransport("http://localhost")
    monkeypatch.setattr(transport._session, "send", lambda *_, **__: pytest.fail("it was sent"))
    with pytest.raises(InvalidRequest):
        transport.exchange("POST", "/predict", {"data": [value]}, LONG)


def exceptions_of(module: Any) -> list[type[Exception]]:
    """All exception classes that a module defines, but its warnings."""
    found = [kind for _, kind in inspect.getmembers(module, inspect.isclass) if kind.__module__ == module.__name__]
    return [kind for kind in found if issubclass(kind, Exception) and not issubclass(kind, Warning)]


def made(kind: type[BaseException], cause: BaseException | None = None) -> BaseException:
    """An exception without going through its constructor, whose arguments differ."""
    error = kind.__new__(kind)
    error.args = ("made for a test", *([cause] if cause else []))
    if isinstance(error, http.client.IncompleteRead):  # its text needs what its constructor was given
        vars(error).update(partial=b"", expected=1, length=b"", response=SimpleNamespace(tell=lambda: 0))
    return error


BELOW = exceptions_of(requests.exceptions) + exceptions_of(urllib3.exceptions) + exceptions_of(http.client)
BELOW += [OSError, ConnectionResetError, BrokenPipeError, TimeoutError, socket.gaierror, ssl.SSLError, UnicodeError]


@pytest.mark.parametrize("kind", dict.fromkeys(BELOW), ids=lambda kind: f"{kind.__module__}.{kind.__qualname__}")
def test_nothing_from_below_comes_out(monkeypatch: pytest.MonkeyPatch, kind: type[BaseException]) -> None:
    """Whatever requests, urllib3, http.client or the socket raises, a TransportError comes out, chained from it."""
    transport = HttpTransport("http://dd.example")

    def fail(*_: Any, **__: Any) -> None:
        raise made(kind)

    monkeypatch.setattr(transport._session, "send", fail)
    with pytest.raises(DDSimError) as raised:
        transport.exchange("POST", "/predict", {}, LONG)
    assert isinstance(raised.value, TransportError)
    assert isinstance(raised.value.__cause__, kind)
    assert str(raised.value).startswith("POST /predict: ")


WRAPPED = [
    (requests.ConnectTimeout, urllib3.exceptions.ConnectTimeoutError, ServerUnreachable),
    (requests.ConnectionError, urllib3.exceptions.NewConnectionError, ServerUnreachable),
    (requests.ConnectionError, urllib3.exceptions.NameResolutionError, ServerUnreachable),
    (requests.exceptions.ProxyError, urllib3.exceptions.ProxyError, ServerUnreachable),
    (requests.exceptions.InvalidURL, urllib3.exceptions.LocationParseError, ServerUnreachable),
    (requests.exceptions.InvalidProxyURL, ValueError, ServerUnreachable),
    (requests.exceptions.SSLError, ssl.SSLCertVerificationError, ServerUnreachable),
    (requests.exceptions.SSLError, ssl.SSLEOFError, ConnectionLost),
    (requests.exceptions.SSLError, ssl.SSLError, ConnectionLost),
    (requests.ReadTimeout, urllib3.exceptions.ReadTimeoutError, ServerTimeout),
    (requests.ConnectionError, urllib3.exceptions.ReadTimeoutError, ServerTimeout),
    (requests.ConnectionError, TimeoutError, ServerTimeout),
    (requests.ConnectionError, http.client.RemoteDisconnected, ConnectionLost),
    (requests.ConnectionError, ConnectionResetError, ConnectionLost),
    (requests.ConnectionError, BrokenPipeError, ConnectionLost),
    (requests.exceptions.ChunkedEncodingError, urllib3.exceptions.IncompleteRead, ConnectionLost),
    (requests.exceptions.ChunkedEncodingError, urllib3.exceptions.InvalidChunkLength, ConnectionLost),
    (requests.ConnectionError, OSError, ConnectionLost),
    (requests.ConnectionError, http.client.BadStatusLine, InvalidResponse),
    (requests.ConnectionError, http.client.UnknownProtocol, InvalidResponse),
    (requests.ConnectionError, http.client.LineTooLong, InvalidResponse),
    (requests.exceptions.ContentDecodingError, urllib3.exceptions.DecodeError, InvalidResponse),
]


@pytest.mark.parametrize(("outer", "inner", "expected"), WRAPPED, ids=lambda kind: kind.__name__)
def test_the_cause_decides(
    monkeypatch: pytest.MonkeyPatch, outer: type[BaseException], inner: type[BaseException], expected: type[DDSimError]
) -> None:
    """What lies at the bottom tells whether anything was sent; only then may a change be repeated."""
    transport = HttpTransport("http://dd.example")

    def fail(*_: Any, **__: Any) -> None:
        raise made(outer, made(urllib3.exceptions.ProtocolError, made(inner)))

    monkeypatch.setattr(transport._session, "send", fail)
    with pytest.raises(expected):
        transport.exchange("POST", "/predict", {}, LONG)
