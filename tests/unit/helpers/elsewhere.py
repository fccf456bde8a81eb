"""Places of pictures on this machine's own sockets: a web server with listings, and a service like Google's storage."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from html import escape
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, quote, unquote, urlsplit


@dataclass
class Answered:
    """What a path is answered with."""

    body: bytes = b""
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)


@dataclass
class Web:
    """A web server: files by their paths, folders listed as Apache and nginx do, and whatever a test wants else.

    Attributes:
        files: path, unquoted -> content.
        special: path -> answer, in place of a file.
        faults: method and path -> answer, before all else.
        etags: whether files have etags.
        times: path -> when it was written, as HTTP writes it.
        heads: whether HEAD is answered.
        asked: method and path of each request.
        logins: user and password that came with requests.
    """

    files: dict[str, bytes] = field(default_factory=dict)
    special: dict[str, Answered] = field(default_factory=dict)
    faults: dict[tuple[str, str], Answered] = field(default_factory=dict)
    etags: bool = True
    times: dict[str, str] = field(default_factory=dict)
    heads: bool = True
    asked: list[tuple[str, str]] = field(default_factory=list)
    logins: list[str] = field(default_factory=list)
    url: str = ""

    def answer(self, method: str, target: str) -> Answered:
        """To one request."""
        path = unquote(target.partition("?")[0], errors="surrogateescape")
        self.asked.append((method, path))
        if (method, path) in self.faults:
            return self.faults[method, path]
        if path in self.special:
            return self.special[path]
        if method == "HEAD" and not self.heads:
            return Answered(status=405)
        if path in self.files:
            headers = {"ETag": f'"{hash(self.files[path]):x}"'} if self.etags else {}
            if path in self.times:
                headers["Last-Modified"] = self.times[path]
            return Answered(self.files[path], headers=headers)
        below = {name.removeprefix(path) for name in self.files if path.endswith("/") and name.startswith(path)}
        if below:
            return Answered(self._page(path, below), headers={"Content-Type": "text/html"})
        return Answered(status=404)

    @staticmethod
    def _page(path: str, below: set[str]) -> bytes:
        names = sorted({name.partition("/")[0] + ("/" if "/" in name else "") for name in below})
        links = ["../", "?C=N;O=D", "/elsewhere/", "https://other.example/x.jpg"]
        links += [quote(name, errors="surrogateescape") for name in names]
        rows = "".join(
            f'<tr><td><a href="{escape(link)}">x</a> <a href="{escape(link)}">y</a></td></tr>' for link in links
        )
        return f"<html><title>Index of {escape(path.encode('utf-8', 'replace').decode())}</title>{rows}</html>".encode()

    def count(self, method: str) -> int:
        """How many requests of a method there were for files."""
        return sum(1 for one, path in self.asked if one == method and not path.endswith("/"))


@dataclass
class Storage:
    """A service with the calls of Google's storage that listing and reading need: buckets of objects."""

    objects: dict[str, dict[str, bytes]] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    url: str = ""

    def answer(self, method: str, target: str) -> Answered:
        """To one request."""
        del method
        self.asked.append(target)
        parts = urlsplit(target)
        words = [unquote(word) for word in parts.path.strip("/").split("/")]
        asked = {key: values[0] for key, values in parse_qs(parts.query).items()}
        place = words.index("b")
        bucket, name = words[place + 1], "/".join(words[place + 3 :])
        if bucket not in self.objects:
            return Answered(b'{"error": {"message": "no such bucket", "code": 404}}', 404)
        if not name:
            return self._listed(bucket, asked)
        if name not in self.objects[bucket]:
            return Answered(b'{"error": {"message": "no such object", "code": 404}}', 404)
        content = self.objects[bucket][name]
        if asked.get("alt") == "media" or "/download/" in parts.path:
            return Answered(content)
        return Answered(json.dumps(self._described(bucket, name)).encode())

    def _listed(self, bucket: str, asked: dict[str, str]) -> Answered:
        names = sorted(name for name in self.objects[bucket] if name.startswith(asked.get("prefix", "")))
        start, size = int(asked.get("pageToken", 0)), int(asked.get("maxResults", 1000))
        found: dict[str, Any] = {"items": [self._described(bucket, name) for name in names[start : start + size]]}
        if start + size < len(names):
            found["nextPageToken"] = str(start + size)
        return Answered(json.dumps(found).encode())

    def _described(self, bucket: str, name: str) -> dict[str, Any]:
        content = self.objects[bucket][name]
        return {
            "kind": "storage#object",
            "name": name,
            "bucket": bucket,
            "size": str(len(content)),
            "etag": f"{hash(content):x}",
        }


@contextmanager
def on_a_socket(place: Web | Storage) -> Iterator[str]:
    """Its address while it serves."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _serve(self) -> None:
            login = self.headers.get("Authorization", "").removeprefix("Basic ")
            if login and isinstance(place, Web):
                place.logins.append(base64.b64decode(login).decode())
            answer = place.answer(self.command, self.path)
            self.send_response(answer.status)
            for name, value in {"Content-Length": str(len(answer.body)), **answer.headers}.items():
                self.send_header(name, value)
            self.end_headers()
            if self.command != "HEAD":
                try:
                    self.wfile.write(answer.body)
                except OSError:
                    self.close_connection = True  # who asked has heard enough

        do_GET = do_HEAD = do_POST = _serve  # noqa: N815  the base class's names

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    class Server(ThreadingHTTPServer):
        def handle_error(self, request: Any, client_address: Any) -> None:
            """Whoever asked has heard enough."""

    server = Server(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    place.url = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield place.url
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


Serving = Callable[[Web | Storage], str]
