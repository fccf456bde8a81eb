"""The transport that speaks HTTP: requests underneath, none of its exceptions above."""

from __future__ import annotations

import http.client
import ipaddress
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

import orjson
import requests
import urllib3
from requests.adapters import HTTPAdapter

from ddsim.errors import (
    ConnectionLost,
    InvalidRequest,
    InvalidResponse,
    ServerTimeout,
    ServerUnreachable,
    TransportError,
)
from ddsim.transport import Reply, Timeout


class HttpTransport:
    """Exchanges over HTTP with one pooled session; safe to use from several threads.

    Args:
        url: where the server is, e.g. ``http://localhost:8080``.
        pool: connections kept open.
    """

    def __init__(self, url: str, *, pool: int = 8) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
            raise InvalidRequest(f"server url {url!r}: expected something like http://localhost:8080")
        self.url = url.rstrip("/")
        self._session = requests.Session()
        adapter = HTTPAdapter(pool_connections=1, pool_maxsize=pool, max_retries=0)
        self._session.mount("http://", adapter)
        self._session.mount("https://", adapter)
        here = _is_loopback(parts.hostname)
        # A proxy from the environment would be asked for this machine's own server.
        self._session.trust_env = not here
        # Only the bare word counts for the server (recording 11). Compressing costs more than loopback saves.
        self._session.headers.update({"Accept-Encoding": "identity" if here else "gzip", "Connection": "keep-alive"})

    def exchange(self, method: str, path: str, json: Mapping[str, Any] | None, timeout: Timeout) -> Reply:
        """See :meth:`ddsim.transport.Transport.exchange`."""
        # GET and DELETE must not carry a body: the server takes it for the start of the next request (recording 11).
        body = None if json is None else orjson.dumps(json)
        headers = {} if body is None else {"Content-Type": "application/json"}
        with _translated(self.url, method, path, timeout):
            answer = self._session.request(
                method,
                self.url + path,
                data=body,
                headers=headers,
                timeout=(timeout.connect, timeout.read),
                allow_redirects=False,
            )
            lowered = {name.lower(): value for name, value in answer.headers.items()}
            return Reply(answer.status_code, answer.content, lowered)

    def close(self) -> None:
        """Close the pooled connections."""
        self._session.close()


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


@contextmanager
def _translated(url: str, method: str, path: str, timeout: Timeout) -> Iterator[None]:
    """Let nothing of requests or urllib3 out."""
    call = f"{method} {path}"
    try:
        yield
    except (requests.RequestException, urllib3.exceptions.HTTPError, OSError, UnicodeError) as error:
        kind, words = _explain(error, url, timeout)
        raise kind(f"{call}: {words}", method=method, path=path) from error


def _explain(error: BaseException, url: str, timeout: Timeout) -> tuple[type[TransportError], str]:
    start = f"no server answers at {url}; start one (docker compose up, or ddsim server) or correct the url"
    causes = list(_causes(error))
    if any(isinstance(cause, (requests.ConnectTimeout, urllib3.exceptions.ConnectTimeoutError)) for cause in causes):
        return ServerUnreachable, f"no connection within {timeout.connect:g} s: {start}"
    if any(isinstance(cause, (requests.exceptions.SSLError, requests.exceptions.ProxyError)) for cause in causes):
        return ServerUnreachable, f"no connection to {url}: {error}"
    if any(isinstance(cause, urllib3.exceptions.NewConnectionError) for cause in causes):
        return ServerUnreachable, start
    if any(isinstance(cause, (TimeoutError, urllib3.exceptions.ReadTimeoutError)) for cause in causes):
        return ServerTimeout, f"no answer within {timeout.read:g} s; the server may still be working on it"
    if any(isinstance(cause, http.client.RemoteDisconnected) for cause in causes):
        return ConnectionLost, _LOST
    if any(isinstance(cause, (http.client.BadStatusLine, http.client.LineTooLong)) for cause in causes):
        return InvalidResponse, f"what answers at {url} does not speak HTTP"
    if any(isinstance(cause, requests.exceptions.ContentDecodingError) for cause in causes):
        return InvalidResponse, "the answer's compression is broken"
    if any(isinstance(cause, _CUT) for cause in causes):
        return ConnectionLost, _LOST
    return InvalidResponse, f"{type(error).__name__}: {error}"


_LOST = "the connection ended without an answer: the server died or was stopped (its log says why)"
_CUT = (requests.ConnectionError, requests.exceptions.ChunkedEncodingError, urllib3.exceptions.ProtocolError, OSError)


def _causes(error: BaseException) -> Iterator[BaseException]:
    """The error and all that it wraps: requests and urllib3 hide the cause in ``args`` and ``reason``."""
    seen: set[int] = set()
    waiting: list[object] = [error]
    while waiting:
        current = waiting.pop()
        if not isinstance(current, BaseException) or id(current) in seen:
            continue
        seen.add(id(current))
        yield current
        waiting += [*current.args, getattr(current, "reason", None), current.__cause__, current.__context__]
