"""The transport that speaks HTTP: requests underneath, none of its exceptions above."""

from __future__ import annotations

import http.client
import ipaddress
import os
import socket
import ssl
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

import orjson
import requests
import urllib3
from requests.adapters import HTTPAdapter
from requests.auth import AuthBase

from ddsim.deepdetect.address import Credentials, shown_address, split_address
from ddsim.deepdetect.proxies import Proxy, named_proxy
from ddsim.deepdetect.transport import Reply, Timeout
from ddsim.errors import (
    ConnectionLost,
    InvalidRequest,
    InvalidResponse,
    ServerTimeout,
    ServerUnreachable,
    TransportError,
    Unconnectable,
)


class HttpTransport:
    """Exchanges over HTTP with one pooled session; safe to use from several threads.

    Args:
        url: where the server is, e.g. ``http://localhost:8080``. A user and password in it go into a header, and
            nowhere else.
        pool: connections kept open.
        credentials: what the server wants to see; those in the url count where none are given.
        verify: a file or folder of certificates that the server's is checked against; by default what the environment
            variables REQUESTS_CA_BUNDLE, CURL_CA_BUNDLE, SSL_CERT_FILE or SSL_CERT_DIR name, else the usual ones.

    Raises:
        InvalidRequest: the url cannot be right, or there is no such file of certificates.

    Attributes:
        url: the address without user and password.
    """

    def __init__(
        self, url: str, *, pool: int = 8, credentials: Credentials | None = None, verify: str | None = None
    ) -> None:
        self.url, host, written = _checked(url)
        self._session = requests.Session()
        secret = (credentials or written).header()
        if secret is not None:
            self._session.auth = _Authorized(secret)
        adapter = HTTPAdapter(pool_connections=1, pool_maxsize=pool, max_retries=0)
        self._session.mount("http://", adapter)
        self._session.mount("https://", adapter)
        here = _is_loopback(host)
        # A proxy from the environment would be asked for this machine's own server.
        self._session.trust_env = not here
        self._proxy = None if here else _environment_proxy(self.url)
        self._verify = _certificates(verify) if self.url.startswith("https:") else True
        # Only the bare word counts for the server (recording 11). Compressing costs more than loopback saves.
        self._session.headers.update({"Accept-Encoding": "identity" if here else "gzip", "Connection": "keep-alive"})

    def exchange(self, method: str, path: str, json: Mapping[str, Any] | None, timeout: Timeout) -> Reply:
        """See :meth:`ddsim.deepdetect.transport.Transport.exchange`."""
        # GET and DELETE must not carry a body: the server takes it for the start of the next request (recording 11).
        try:
            body = None if json is None else orjson.dumps(json)
        except orjson.JSONEncodeError as error:
            raise InvalidRequest(f"{method} {path}: the request cannot be written as JSON: {error}") from error
        headers = {} if body is None else {"Content-Type": "application/json"}
        with _translated(self.url, self._proxy, method, path, timeout):
            answer = self._session.request(
                method,
                self.url + path,
                data=body,
                headers=headers,
                timeout=(timeout.connect, timeout.read),
                allow_redirects=False,
                verify=self._verify,
            )
            if answer.status_code == 500:
                # A search that fails at a name leaves its connection of no use for others: each search on it then fails
                # in LMDB, even after a build. The server keeps that state by connection, so none is used again.
                self._session.close()
            lowered = {name.lower(): value for name, value in answer.headers.items()}
            return Reply(answer.status_code, answer.content, lowered)

    def close(self) -> None:
        """Close the pooled connections."""
        self._session.close()


class _Authorized(AuthBase):
    """Sends one Authorization header; as a header of the session a ~/.netrc would replace it."""

    def __init__(self, value: str) -> None:
        self._value = value

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers["Authorization"] = self._value
        return request


def _checked(url: str) -> tuple[str, str, Credentials]:
    """The url without user and password, its host, and those two."""
    try:
        address, credentials = split_address(url)
        parts = urlsplit(address)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:  # a port that is none, or a bracket left open
        usable = False
    if not usable or parts.query or parts.fragment or " " in url or not url.isprintable():
        raise InvalidRequest(f"server url {shown_address(url)!r}: expected something like http://localhost:8080")
    return address.rstrip("/"), parts.hostname or "", credentials


def _certificates(named: str | None) -> str | bool:
    """What certificates are checked against: a path, or True for what requests brings along."""
    variable = next((name for name in _CERTIFICATES if os.environ.get(name)), None)
    path = named or (os.environ[variable] if variable else None)
    if path is not None and not os.path.exists(path):
        where = "server.verify" if named else f"the environment variable {variable}"
        raise InvalidRequest(f"no such file of certificates: {path}, which {where} names")
    return path or True


def _environment_proxy(url: str) -> Proxy | None:
    """The proxy through which the environment has this address reached."""
    chosen = requests.utils.select_proxy(url, requests.utils.get_environ_proxies(url))
    return named_proxy(chosen, urlsplit(url).scheme) if chosen else None


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


@contextmanager
def _translated(url: str, proxy: Proxy | None, method: str, path: str, timeout: Timeout) -> Iterator[None]:
    """Let nothing of requests or urllib3 out."""
    call = f"{method} {path}"
    try:
        yield
    except _BELOW as error:
        kind, words = _explain(error, url, proxy, timeout)
        raise kind(f"{call}: {words}", method=method, path=path) from error


_BELOW = (requests.RequestException, urllib3.exceptions.HTTPError, http.client.HTTPException, OSError, ValueError)
_UNSENT = (
    requests.exceptions.MissingSchema,
    requests.exceptions.InvalidSchema,
    requests.exceptions.InvalidURL,
    requests.exceptions.ProxyError,
    # Another thread dropped all idle connections in this moment; there are new ones at the next try.
    urllib3.exceptions.ClosedPoolError,
    urllib3.exceptions.LocationValueError,
    urllib3.exceptions.ProxySchemeUnsupported,
    UnicodeError,
)
_UNCONNECTED = (
    requests.ConnectTimeout,
    urllib3.exceptions.ConnectTimeoutError,
    urllib3.exceptions.NewConnectionError,
)
_TRUST = (
    "write server: {url: ..., verify: FILE} with the server's certificate or that of the authority which signed it, or "
    "name it in the environment variable SSL_CERT_FILE"
)
# OpenSSL's words where the other side does not encrypt at all.
_NO_ENCRYPTION = frozenset({"WRONG_VERSION_NUMBER", "HTTP_REQUEST", "UNKNOWN_PROTOCOL", "RECORD_LAYER_FAILURE"})
_CERTIFICATES = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE", "SSL_CERT_DIR")
_CUT = (
    requests.ConnectionError,
    requests.exceptions.ChunkedEncodingError,
    urllib3.exceptions.ProtocolError,
    http.client.RemoteDisconnected,
    http.client.IncompleteRead,
)
_LOST = "the connection ended without an answer: the server died or was stopped (its log says why)"


def _explain(error: BaseException, url: str, proxy: Proxy | None, timeout: Timeout) -> tuple[type[TransportError], str]:
    """What an error of the libraries below means. Only where nothing can have been sent is it ServerUnreachable."""
    causes = list(_causes(error))

    def caused_by(*kinds: type[BaseException]) -> bool:
        return any(isinstance(cause, kinds) for cause in causes)

    if proxy is not None and caused_by(*_UNCONNECTED, requests.exceptions.ProxyError, urllib3.exceptions.ProxyError):
        return Unconnectable, proxy.words(url, _reason(causes))
    start = f"no server answers at {url}; start one (docker compose up, or ddsim server) or correct the url"
    if caused_by(urllib3.exceptions.NameResolutionError, socket.gaierror):
        return Unconnectable, f"the name in {url} leads nowhere ({_reason(causes)}): correct the url, or the network"
    if caused_by(urllib3.exceptions.NewConnectionError):
        return ServerUnreachable, start
    if caused_by(*_UNCONNECTED):
        return ServerUnreachable, f"no connection within {timeout.connect:g} s: {start}"
    if untrusted := next((cause for cause in causes if isinstance(cause, ssl.SSLCertVerificationError)), None):
        words = getattr(untrusted, "verify_message", "") or _reason(causes)
        return Unconnectable, f"the certificate of {url} is not trusted ({words}): {_TRUST}"
    if caused_by(*_UNSENT):
        return Unconnectable, f"no connection to {url}: {error}"
    if any(getattr(cause, "reason", None) in _NO_ENCRYPTION for cause in causes if isinstance(cause, ssl.SSLError)):
        return Unconnectable, f"what answers at {url} speaks no https: write http:// in the server's address"
    if caused_by(ssl.SSLError, requests.exceptions.SSLError):
        # It may break during the handshake and long after it; nothing tells which.
        return ConnectionLost, f"the encryption with {url} failed (is it https at all?): {error}"
    if caused_by(TimeoutError, requests.ReadTimeout, urllib3.exceptions.ReadTimeoutError):
        return ServerTimeout, f"no answer within {timeout.read:g} s; the server may still be working on it"
    if caused_by(requests.exceptions.ContentDecodingError, urllib3.exceptions.DecodeError):
        return InvalidResponse, "the answer's compression is broken"
    if caused_by(http.client.HTTPException) and not caused_by(
        http.client.RemoteDisconnected, http.client.IncompleteRead
    ):
        return InvalidResponse, f"what answers at {url} does not speak HTTP"
    # A RequestException is an OSError, too.
    if caused_by(*_CUT) or any(type(cause).__module__ == "builtins" and isinstance(cause, OSError) for cause in causes):
        return ConnectionLost, _LOST
    return InvalidResponse, f"{type(error).__name__}: {error}"


def _reason(causes: Sequence[BaseException]) -> str:
    """What lies at the bottom, in the system's words."""
    for cause in reversed(causes):
        if isinstance(cause, OSError) and not isinstance(cause, requests.RequestException):
            return cause.strerror or str(cause)
    return str(causes[-1])


def _causes(error: BaseException) -> Iterator[BaseException]:
    """The error and all that it wraps: requests and urllib3 hide the cause in ``args`` and ``reason``.

    Not its ``__context__``: that may be an earlier failure which the caller is handling just now.
    """
    seen: set[int] = set()
    waiting: list[object] = [error]
    while waiting:
        current = waiting.pop()
        if not isinstance(current, BaseException) or id(current) in seen:
            continue
        seen.add(id(current))
        yield current
        waiting += [*current.args, getattr(current, "reason", None), current.__cause__]
