"""The embedded server's socket door: DeepDetect's HTTP behaviour over the standard library's server.

One thread a connection, as the real server has it. The standard library's server was preferred to an ASGI one because
it passes the request line on as it came (raw UTF-8 in service names, nothing decoded), sends reason phrases as told,
and needs nothing installed. Like the real server it has neither authentication nor TLS: it is meant for loopback.
"""

from __future__ import annotations

import gzip
import logging
import socket
import sys
import threading
import zlib
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any

from ddsim.embedded import routes
from ddsim.embedded.engine import MAX_BODY_BYTES, Engine
from ddsim.embedded.replies import Answer, http_error, no_mapping

_DECODER = "[oatpp::web::protocol::http::incoming::SimpleBodyDecoder::"
_NO_LENGTH = _DECODER + "decode()]: Error. Invalid Request."
_UNKNOWN_ENCODING = _DECODER + "getStreamProcessor()]: Error. Unsupported Content-Encoding. '{}'."
#: A body that is refused is read away up to this length, so that the client gets to see the refusal.
_DRAINED = 4 * MAX_BODY_BYTES
_STOP_SECONDS = 10.0
_POLL_SECONDS = 0.05
_CHUNK = 1 << 16

_log = logging.getLogger(__name__)


class EmbeddedServer:
    """Serves an engine on a socket, in threads of its own; a context manager.

    Args:
        engine: answers the requests; by default one that reads no files named in ``data``, as others may ask.
        host: address to listen on. Anything but loopback lets everyone on the network use and delete services.
        port: 0 takes a free one.

    Raises:
        OSError: the address cannot be had.
    """

    def __init__(self, engine: Engine | None = None, host: str = "127.0.0.1", port: int = 0) -> None:
        self._server = _Server(engine if engine is not None else Engine(allow_paths=False), host, port)
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(_POLL_SECONDS,), name="ddsim-embedded", daemon=True
        )
        self._stopped = False

    @property
    def url(self) -> str:
        """Where it listens, e.g. ``http://127.0.0.1:40321``."""
        host, port = self._server.server_address[:2]
        return f"http://[{host!s}]:{port}" if ":" in str(host) else f"http://{host!s}:{port}"

    def start(self) -> None:
        """Begin to answer; connections made since the constructor wait until then."""
        self._thread.start()

    def stop(self) -> None:
        """Stop listening, let running calls finish, close all connections. Further calls do nothing."""
        if self._stopped:
            return
        self._stopped = True
        if self._thread.is_alive():
            self._server.shutdown()
            self._thread.join()
        self._server.server_close()
        self._server.end_connections()

    def wait(self) -> None:
        """Return when the server was stopped, or raise what interrupts the waiting (KeyboardInterrupt)."""
        while self._thread.is_alive():
            self._thread.join(0.5)

    def __enter__(self) -> EmbeddedServer:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()


def serve(engine: Engine | None = None, host: str = "127.0.0.1", port: int = 8080) -> None:
    """Serve until interrupted (KeyboardInterrupt ends it without an error); the arguments are those of the server.

    Raises:
        OSError: the address cannot be had.
    """
    with EmbeddedServer(engine, host, port) as server:
        try:
            server.wait()
        except KeyboardInterrupt:
            return


class _Server(ThreadingHTTPServer):
    request_queue_size = 128

    def __init__(self, engine: Engine, host: str, port: int) -> None:
        self.engine = engine
        self._open: dict[socket.socket, threading.Thread] = {}
        self._guard = threading.Lock()
        if ":" in host:
            self.address_family = socket.AF_INET6
        super().__init__((host, port), _Handler)

    def process_request(self, request: Any, client_address: Any) -> None:
        """Answer a connection in a thread that can be found again when the server ends."""
        thread = threading.Thread(target=self._answer, args=(request, client_address), daemon=True)
        with self._guard:
            self._open[request] = thread
        thread.start()

    def service_actions(self) -> None:
        """Called by the loop that waits for connections."""
        self.engine.release_idle()

    def _answer(self, request: Any, client_address: Any) -> None:
        try:
            self.process_request_thread(request, client_address)
        finally:
            with self._guard:
                self._open.pop(request, None)

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ARG002 - the base class's signature
        """Log what ended a connection, but for clients that went away in the middle of an answer."""
        if not isinstance(sys.exc_info()[1], OSError):
            _log.exception("a connection from %s ended with an error", client_address)

    def end_connections(self) -> None:
        """Close the reading side of every connection, so that its thread ends after the answer it is at."""
        with self._guard:
            connections = dict(self._open)
        for connection in connections:
            try:
                connection.shutdown(socket.SHUT_RD)
            except OSError:
                continue  # closed by its own thread meanwhile
        for thread in connections.values():
            thread.join(_STOP_SECONDS)


class _BadBody(Exception):
    def __init__(self, answer: Answer) -> None:
        super().__init__(answer.status)
        self.answer = answer


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1

    def __getattr__(self, name: str) -> Any:
        # The base class looks for do_<METHOD>; unknown methods are answered like unknown routes.
        if name.startswith("do_"):
            return self._serve
        raise AttributeError(name)

    def _serve(self) -> None:
        target = self.path.encode("iso-8859-1").decode("utf-8", "surrogateescape")
        try:
            body = self._body(target)
            if self._is_from_another_site():
                answer = http_error(403, "the embedded server answers no pages of other sites")
            else:
                answer = self.server.engine.handle(self.command, target, body)
        except _BadBody as bad:
            answer = bad.answer
        self._send(answer)

    def _is_from_another_site(self) -> bool:
        """Whether a page from elsewhere asks, by its browser's word: it could make folders on this machine."""
        origin = self.headers.get("Origin")
        return origin is not None and origin.partition("://")[2] != self.headers.get("Host")

    def _body(self, target: str) -> bytes:
        raw = self._raw_body(target)
        encoding = self.headers.get("Content-Encoding", "").strip().lower()
        if not raw or encoding in ("", "identity"):
            return raw
        if encoding not in ("gzip", "deflate"):
            raise _BadBody(http_error(500, _UNKNOWN_ENCODING.format(encoding)))
        # A limit on the unpacked length too: a few kB can unpack to anything.
        unpacker = zlib.decompressobj(zlib.MAX_WBITS + 32)
        try:
            unpacked = unpacker.decompress(raw, MAX_BODY_BYTES + 1)
        except zlib.error as problem:
            raise _BadBody(http_error(500, f"the {encoding} body cannot be unpacked: {problem}")) from problem
        if len(unpacked) > MAX_BODY_BYTES:
            raise _BadBody(_too_long())
        return unpacked

    def _raw_body(self, target: str) -> bytes:
        if "chunked" in self.headers.get("Transfer-Encoding", "").lower():
            return self._chunked_body()
        length = self.headers.get("Content-Length")
        if length is None:
            if self.command in ("PUT", "POST") and routes.find(self.command, target) is not None:
                raise _BadBody(http_error(500, _NO_LENGTH))
            return b""
        if not length.strip().isdecimal():
            raise _BadBody(http_error(400, f"Content-Length is no number: {length}"))
        size = int(length)
        if size > MAX_BODY_BYTES:
            self._drain(min(size, _DRAINED))
            raise _BadBody(_too_long())
        return self.rfile.read(size)

    def _chunked_body(self) -> bytes:
        parts, total = [], 0
        while True:
            line = self.rfile.readline(_CHUNK).split(b";", 1)[0].strip()
            try:
                size = int(line, 16)
            except ValueError:
                raise _BadBody(http_error(400, "a chunk's length is no number")) from None
            if size == 0:
                break
            total += size
            if size < 0 or total > MAX_BODY_BYTES:
                raise _BadBody(_too_long())
            parts.append(self.rfile.read(size))
            self.rfile.readline(_CHUNK)
        while self.rfile.readline(_CHUNK).strip():
            pass  # trailers
        return b"".join(parts)

    def _drain(self, size: int) -> None:
        while size > 0:
            part = self.rfile.read(min(size, _CHUNK))
            if not part:
                return
            size -= len(part)

    def _send(self, answer: Answer) -> None:
        if answer.close or self.headers.get("Connection", "keep-alive").lower() != "keep-alive":
            self.close_connection = True
        encoding = _chosen_encoding(self.headers.get("Accept-Encoding", ""))
        body = _packed(answer.body, encoding)
        self.send_response(answer.status, answer.reason)
        if encoding:
            self.send_header("Content-Encoding", encoding)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Connection", "close" if self.close_connection else "keep-alive")
        self.send_header("Content-Type", answer.content_type)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)
        self.wfile.flush()

    def send_response(self, code: int, message: str | None = None) -> None:
        """Status line and Server header; no Date, as the real server sends none."""
        self.send_response_only(code, message)
        self.send_header("Server", "ddsim-embedded")

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """What the standard library cannot parse is an unknown route to the real server; never an HTML page."""
        self.close_connection = True
        self.request_version = self.protocol_version
        answer = no_mapping("", "") if code == 400 else http_error(code, explain or message or "not acceptable")
        self.send_response(answer.status, answer.reason)
        for name, value in (("Content-Length", str(len(answer.body))), ("Connection", "close")):
            self.send_header(name, value)
        self.send_header("Content-Type", answer.content_type)
        self.end_headers()
        self.wfile.write(answer.body)
        self.wfile.flush()

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class's name
        """Log nothing: library code never prints."""


def _too_long() -> Answer:
    return http_error(413, f"the embedded server takes at most {MAX_BODY_BYTES} bytes")


def _chosen_encoding(accepted: str) -> str:
    """``deflate`` before ``gzip``, and only bare tokens count (recordings/wire/11-http-layer)."""
    tokens = {token.strip() for token in accepted.split(",")}
    return next((name for name in ("deflate", "gzip") if name in tokens), "")


def _packed(body: bytes, encoding: str) -> bytes:
    if encoding == "deflate":
        return zlib.compress(body, 1)
    return gzip.compress(body, 1) if encoding == "gzip" else body
