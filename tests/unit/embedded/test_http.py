"""The embedded server's socket door."""

from __future__ import annotations

import gzip
import http.client
import json
import socket
import threading
import zlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from ddsim.embedded import Answer, EmbeddedServer, Engine, serve
from ddsim.embedded import http as door

pytestmark = pytest.mark.enable_socket


class Echo(Engine):
    """Answers with what it was asked; a body of ``wait`` waits until it is let go."""

    def __init__(self) -> None:
        super().__init__()
        self.waiting = threading.Event()
        self.let_go = threading.Event()

    def handle(self, method: str, target: str, body: bytes = b"") -> Answer:
        """Method, target, length of the body, and its beginning."""
        if body == b"wait":
            self.waiting.set()
            self.let_go.wait(30)
        if target == "/close":
            return Answer(404, b"{}", "Not Found", close=True)
        return Answer(200, json.dumps([method, target, len(body)]).encode() + body[:50])


@pytest.fixture
def echo() -> Echo:
    """The engine behind the server."""
    return Echo()


@pytest.fixture
def server(echo: Echo) -> Iterator[EmbeddedServer]:
    """A server that echoes."""
    with EmbeddedServer(echo) as server:
        yield server
        echo.let_go.set()


@pytest.fixture
def connection(server: EmbeddedServer) -> Iterator[http.client.HTTPConnection]:
    """A kept-alive connection to it."""
    connection = _connect(server)
    yield connection
    connection.close()


def _connect(server: EmbeddedServer) -> http.client.HTTPConnection:
    host, port = server.url.removeprefix("http://").split(":")
    return http.client.HTTPConnection(host, int(port), timeout=10)


def _ask(
    connection: http.client.HTTPConnection,
    method: str = "GET",
    target: str = "/info",
    body: bytes | None = None,
    **headers: str,
) -> tuple[http.client.HTTPResponse, bytes]:
    connection.request(method, target, body, {name.replace("_", "-"): value for name, value in headers.items()})
    response = connection.getresponse()
    return response, response.read()


def test_listens_on_loopback_unless_told_otherwise(server: EmbeddedServer) -> None:
    """Without a host, nobody else on the network can reach it."""
    assert server.url.startswith("http://127.0.0.1:")


def test_connection_is_kept_for_the_next_request(connection: http.client.HTTPConnection) -> None:
    """Two requests go over one connection."""
    _, first = _ask(connection)
    used = connection.sock
    response, second = _ask(connection)
    assert first == second
    assert connection.sock is used
    assert response.headers["Connection"] == "keep-alive"
    assert response.headers["Server"] == "ddsim-embedded"


def test_body_of_get_does_not_reach_into_the_next_request(connection: http.client.HTTPConnection) -> None:
    """A body that nobody wants is read away."""
    _ask(connection, "GET", "/info", b'{"a":1}')
    response, body = _ask(connection, "GET", "/services/x")
    assert response.status == 200
    assert json.loads(body) == ["GET", "/services/x", 0]


def test_answers_that_close_end_the_connection(connection: http.client.HTTPConnection) -> None:
    """Errors of the HTTP layer close, with their reason phrase."""
    response, _ = _ask(connection, "GET", "/close")
    assert (response.status, response.reason, response.headers["Connection"]) == (404, "Not Found", "close")
    assert connection.sock is None


def test_reason_phrase_is_empty_where_the_engine_gives_none(connection: http.client.HTTPConnection) -> None:
    """As a real server's are."""
    response, _ = _ask(connection)
    assert response.reason == ""


@pytest.mark.parametrize("target", ["/services/a%20b?clear=%31", "/services/café/\udcff", "/a/b/c/?x"])
def test_target_comes_through_undecoded(server: EmbeddedServer, target: str) -> None:
    """Neither percent escapes nor bytes are touched."""
    raw = target.encode("utf-8", "surrogateescape")
    received = _exchange(server, b"GET " + raw + b" HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    assert json.loads(received.rpartition(b"\r\n\r\n")[2])[1] == target


def _exchange(server: EmbeddedServer, request: bytes) -> bytes:
    """Send bytes; gives all that comes until the server closes."""
    host, port = server.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=10) as connection:
        connection.sendall(request)
        received = b""
        while part := connection.recv(65536):
            received += part
        return received


@pytest.mark.parametrize(
    ("accepted", "encoding"),
    [
        ("gzip", "gzip"),
        ("deflate", "deflate"),
        ("gzip, deflate", "deflate"),
        ("gzip, deflate, br", "deflate"),
        ("gzip;q=1.0", None),
        ("identity", None),
        ("", None),
    ],
)
def test_answers_are_compressed_for_bare_tokens_only(
    connection: http.client.HTTPConnection, accepted: str, encoding: str | None
) -> None:
    """With a quality value nothing matches; of both, deflate is taken."""
    response, body = _ask(connection, Accept_Encoding=accepted)
    assert response.headers["Content-Encoding"] == encoding
    unpack = {"gzip": gzip.decompress, "deflate": zlib.decompress}.get(encoding or "", bytes)
    assert json.loads(unpack(body)) == ["GET", "/info", 0]


@pytest.mark.parametrize(("encoding", "pack"), [("gzip", gzip.compress), ("deflate", zlib.compress)])
def test_compressed_bodies_are_unpacked(connection: http.client.HTTPConnection, encoding: str, pack: object) -> None:
    """The engine gets what was packed."""
    packed = gzip.compress(b"x" * 1000) if pack is gzip.compress else zlib.compress(b"x" * 1000)
    _, body = _ask(connection, "POST", "/predict", packed, Content_Encoding=encoding)
    assert body.startswith(b'["POST", "/predict", 1000]')


@pytest.mark.parametrize(
    ("encoding", "body", "status"), [("br", b"{}", 500), ("gzip", b"not packed", 500), ("gzip", b"bomb", 413)]
)
def test_bodies_that_cannot_be_unpacked_are_refused(
    connection: http.client.HTTPConnection, monkeypatch: pytest.MonkeyPatch, encoding: str, body: bytes, status: int
) -> None:
    """Unknown encodings, damage, and more than the limit once unpacked."""
    monkeypatch.setattr(door, "MAX_BODY_BYTES", 1000)
    sent = gzip.compress(bytes(100_000)) if body == b"bomb" else body
    response, answer = _ask(connection, "POST", "/predict", sent, Content_Encoding=encoding)
    assert response.status == status
    assert json.loads(answer)["status"]["code"] == status


def test_too_long_body_is_refused_and_the_client_sees_it(
    connection: http.client.HTTPConnection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The refusal arrives, although the body was not kept."""
    monkeypatch.setattr(door, "MAX_BODY_BYTES", 1000)
    response, _ = _ask(connection, "POST", "/predict", bytes(500_000))
    assert response.status == 413
    assert response.headers["Connection"] == "close"


def test_chunked_bodies_are_put_together(server: EmbeddedServer) -> None:
    """Chunks, an extension and a trailer."""
    body = b"3;x=y\r\nabc\r\n2\r\nde\r\n0\r\nTrailer: z\r\n\r\n"
    head = b"POST /predict HTTP/1.1\r\nHost: x\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n"
    assert _exchange(server, head + body).endswith(b'["POST", "/predict", 5]abcde')


@pytest.mark.parametrize("body", [b"zz\r\n", b"-5\r\n"])
def test_damaged_chunks_are_refused(server: EmbeddedServer, body: bytes) -> None:
    """A length that is none ends the connection with an answer."""
    head = b"POST /predict HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
    assert _exchange(server, head + body).startswith((b"HTTP/1.1 400 ", b"HTTP/1.1 413 "))


@pytest.mark.parametrize(("target", "status"), [("/predict", b"500"), ("/nope", b"200")])
def test_post_without_length_is_an_error_where_the_route_exists(
    server: EmbeddedServer, target: str, status: bytes
) -> None:
    """Unknown routes are left to the engine, which answers 404."""
    request = f"POST {target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode()
    assert _exchange(server, request).split()[1] == status


@pytest.mark.parametrize(
    ("origin", "status"), [("http://evil.example", 403), ("null", 403), ("http://127.0.0.1:1", 403), (None, 200)]
)
def test_pages_of_other_sites_are_refused(
    connection: http.client.HTTPConnection, origin: str | None, status: int
) -> None:
    """A page in a browser cannot make services on the machine it is read on."""
    headers = {} if origin is None else {"Origin": origin}
    response, _ = _ask(connection, "POST", "/services/x", b"{}", **headers)
    assert response.status == status


def test_unknown_methods_reach_the_engine(connection: http.client.HTTPConnection) -> None:
    """It answers them as unknown routes."""
    _, body = _ask(connection, "BREW", "/pot")
    assert json.loads(body) == ["BREW", "/pot", 0]


def test_head_gets_no_body(connection: http.client.HTTPConnection) -> None:
    """As HTTP wants it."""
    response, body = _ask(connection, "HEAD")
    assert (response.status, body) == (200, b"")


def test_garbage_is_answered_in_json(server: EmbeddedServer) -> None:
    """What is no HTTP gets the real server's 404, never a page of HTML."""
    received = _exchange(server, b"garbage\r\n\r\n")
    assert json.loads(received.rpartition(b"\r\n\r\n")[2])["status"]["code"] == 404


def test_slow_call_does_not_hold_up_others(echo: Echo, server: EmbeddedServer) -> None:
    """While one connection waits for its answer another is served."""
    slow, quick = _connect(server), _connect(server)
    with ThreadPoolExecutor(1) as pool:
        pending = pool.submit(_ask, slow, "POST", "/predict", b"wait")
        assert echo.waiting.wait(10)
        response, _ = _ask(quick)
        assert response.status == 200
        assert not pending.done()
        echo.let_go.set()
        assert pending.result(timeout=10)[0].status == 200
    slow.close()
    quick.close()


def test_stop_lets_running_calls_finish(echo: Echo) -> None:
    """The answer of a call at work arrives, then the connection ends."""
    server = EmbeddedServer(echo)
    server.start()
    connection = _connect(server)
    with ThreadPoolExecutor(2) as pool:
        pending = pool.submit(_ask, connection, "POST", "/predict", b"wait")
        assert echo.waiting.wait(10)
        stopping = pool.submit(server.stop)
        echo.let_go.set()
        assert pending.result(timeout=10)[0].status == 200
        stopping.result(timeout=10)
    connection.close()


def test_stop_ends_idle_connections_and_frees_the_port(server: EmbeddedServer) -> None:
    """Kept-alive connections do not keep a stopped server; stopping twice is no error."""
    connection = _connect(server)
    _ask(connection)
    server.stop()
    server.stop()
    assert connection.sock.recv(1) == b""
    connection.close()
    again = _connect(server)
    with pytest.raises(ConnectionRefusedError):
        again.connect()
    again.close()


def test_server_that_never_started_can_be_stopped(echo: Echo) -> None:
    """The socket is closed all the same."""
    server = EmbeddedServer(echo)
    server.stop()
    connection = _connect(server)
    with pytest.raises(ConnectionRefusedError):
        connection.connect()


def test_taken_port_is_an_error(server: EmbeddedServer, echo: Echo) -> None:
    """Nothing is served at another place than asked for."""
    port = int(server.url.rpartition(":")[2])
    with pytest.raises(OSError, match=r"[Aa]ddress already in use"):
        EmbeddedServer(echo, port=port)


def test_serve_ends_quietly_when_interrupted(echo: Echo, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C stops the server and returns."""
    used: list[EmbeddedServer] = []

    def interrupted(self: EmbeddedServer) -> None:
        used.append(self)
        raise KeyboardInterrupt

    monkeypatch.setattr(EmbeddedServer, "wait", interrupted)
    serve(echo, port=0)
    connection = _connect(used[0])
    with pytest.raises(ConnectionRefusedError):
        connection.connect()


def test_client_that_goes_away_leaves_the_server_well(echo: Echo, server: EmbeddedServer) -> None:
    """A connection that ends amid its answer harms nobody else."""
    gone = _connect(server)
    gone.request("POST", "/predict", b"wait")
    assert echo.waiting.wait(10)
    gone.close()
    echo.let_go.set()
    other = _connect(server)
    assert _ask(other)[0].status == 200
    other.close()
