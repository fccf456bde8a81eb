"""Where a server is and what lies on the way, and what a failure there means, whichever HTTP library met it."""

from __future__ import annotations

import ipaddress
import os
import socket
import ssl
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias
from urllib.parse import urlsplit

import orjson
import requests.utils
from pydantic import SecretStr

from ddsim.deepdetect.address import Credentials, shown_address, split_address
from ddsim.deepdetect.proxies import Proxy, named_proxy
from ddsim.deepdetect.transport import Timeout
from ddsim.errors import (
    ConnectionLost,
    InvalidRequest,
    InvalidResponse,
    ServerTimeout,
    ServerUnreachable,
    TransportError,
    Unconnectable,
)
from ddsim.pictures import causes_of

_CERTIFICATES = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE", "SSL_CERT_DIR")
_TRUST = (
    "write server: {url: ..., verify: FILE} with the server's certificate or that of the authority which signed it, or "
    "name it in the environment variable SSL_CERT_FILE"
)
# OpenSSL's words where the other side does not encrypt at all.
_NO_ENCRYPTION = frozenset({"WRONG_VERSION_NUMBER", "HTTP_REQUEST", "UNKNOWN_PROTOCOL", "RECORD_LAYER_FAILURE"})
_LOST = "the connection ended without an answer: the server died or was stopped (its log says why)"
_TLS = (ssl.SSLError, requests.exceptions.SSLError)
_Kinds: TypeAlias = tuple[type[BaseException], ...]


@dataclass(frozen=True)
class Endpoint:
    """A server's address as a transport needs it.

    Attributes:
        url: without user and password.
        local: whether it is this machine.
        authorization: the value of the header of that name, None for none.
        proxy: that the environment names for this address; never for this machine.
        proxy_address: the same with its password.
        verify: what certificates are checked against: a path, or True for what requests brings along.
    """

    url: str
    local: bool
    authorization: str | None = field(repr=False)
    proxy: Proxy | None
    proxy_address: str | None = field(repr=False)
    verify: str | bool

    @property
    def headers(self) -> dict[str, str]:
        """What goes with every request."""
        # Only the bare word counts for the server (recording 11). Compressing costs more than loopback saves.
        return {"Accept-Encoding": "identity" if self.local else "gzip", "Connection": "keep-alive"}


def endpoint(url: str, credentials: Credentials | None, verify: str | None) -> Endpoint:
    """Read an address and what the environment says of it; see :class:`ddsim.deepdetect.http.HttpTransport`.

    Raises:
        InvalidRequest: the url cannot be right, or there is no such file of certificates.
    """
    address, host, written = _checked(url)
    here = _is_loopback(host)
    # A proxy from the environment would be asked for this machine's own server.
    chosen = None if here else requests.utils.select_proxy(address, requests.utils.get_environ_proxies(address))
    return Endpoint(
        url=address,
        local=here,
        authorization=(credentials or written).header() or (None if here else _from_netrc(address)),
        proxy=named_proxy(chosen, urlsplit(address).scheme) if chosen else None,
        proxy_address=chosen,
        verify=_certificates(verify) if address.startswith("https:") else True,
    )


def _checked(url: str) -> tuple[str, str, Credentials]:
    """The url without user and password, its host, and those two."""
    if not isinstance(url, str):
        raise InvalidRequest(f"server url {url!r}: expected text such as http://localhost:8080; is a variable not set?")
    try:
        address, credentials = split_address(url)
        parts = urlsplit(address)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:  # a port that is none, or a bracket left open
        usable = False
    if not usable or parts.query or parts.fragment or " " in url or not url.isprintable():
        raise InvalidRequest(f"server url {shown_address(url)!r}: expected something like http://localhost:8080")
    return address.rstrip("/"), parts.hostname or "", credentials


def _from_netrc(address: str) -> str | None:
    found = requests.utils.get_netrc_auth(address)
    return Credentials(found[0], SecretStr(found[1])).header() if found else None


def _certificates(named: str | None) -> str | bool:
    variable = next((name for name in _CERTIFICATES if os.environ.get(name)), None)
    path = named or (os.environ[variable] if variable else None)
    if path is not None and not os.path.exists(path):
        where = "server.verify" if named else f"the environment variable {variable}"
        raise InvalidRequest(f"no such file of certificates: {path}, which {where} names")
    return path or True


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def closed(method: str, path: str) -> InvalidRequest:
    """What is said to whoever uses a client after its end."""
    return InvalidRequest(f"{method} {path}: this client is closed: open another one, or use it in its block")


def written(method: str, path: str, json: Mapping[str, Any] | None) -> tuple[bytes | None, dict[str, str]]:
    """The body of a request and the headers that go with it.

    GET and DELETE must not carry a body: the server takes it for the start of the next request (recording 11).

    Raises:
        InvalidRequest: it cannot be written as JSON.
    """
    if json is None:
        return None, {}
    try:
        return orjson.dumps(json), {"Content-Type": "application/json"}
    except orjson.JSONEncodeError as error:
        raise InvalidRequest(f"{method} {path}: the request cannot be written as JSON: {error}") from error


@dataclass(frozen=True)
class Meanings:
    """Which exceptions of an HTTP library mean what.

    Attributes:
        proxy: a proxy on the way failed.
        refused: nobody accepts connections.
        slow: no connection in time.
        unsent: the request could not even be sent, and never will be.
        dropped: the connection was dropped on this side before anything was sent; there are others.
        late: no answer in time.
        compression: the body cannot be unpacked.
        cut: the connection ended too early.
        garbled: whether it says that what was answered is not HTTP.
    """

    proxy: _Kinds
    refused: _Kinds
    slow: _Kinds
    unsent: _Kinds
    dropped: _Kinds
    late: _Kinds
    compression: _Kinds
    cut: _Kinds
    garbled: Callable[[Sequence[BaseException]], bool]


def explain(
    error: BaseException, meanings: Meanings, target: Endpoint, timeout: Timeout
) -> tuple[type[TransportError], str]:
    """What an error of the libraries below means. Only where nothing can have been sent is it ServerUnreachable."""
    causes = list(causes_of(error))
    return _before_sending(error, causes, meanings, target, timeout) or _after_sending(
        error, causes, meanings, timeout, target
    )


def _before_sending(
    error: BaseException, causes: Sequence[BaseException], meanings: Meanings, target: Endpoint, timeout: Timeout
) -> tuple[type[TransportError], str] | None:
    url, start = target.url, "start one with `ddsim up` (in Docker) or `ddsim server`, or correct the url"
    if target.proxy is not None and _any(causes, (*meanings.refused, *meanings.slow, *meanings.proxy)):
        return Unconnectable, target.proxy.words(url, _reason(causes))
    if _any(causes, (socket.gaierror,)):
        return Unconnectable, f"the name in {url} leads nowhere ({_reason(causes)}): correct the url, or the network"
    if untrusted := next((cause for cause in causes if isinstance(cause, ssl.SSLCertVerificationError)), None):
        words = getattr(untrusted, "verify_message", "") or _reason(causes)
        return Unconnectable, f"the certificate of {url} is not trusted ({words}): {_TRUST}"
    if any(getattr(cause, "reason", None) in _NO_ENCRYPTION for cause in causes if isinstance(cause, ssl.SSLError)):
        return Unconnectable, f"what answers at {url} speaks no https: write http:// in the server's address"
    if _any(causes, meanings.unsent):
        return Unconnectable, f"no connection to {url}: {error}"
    if _any(causes, _TLS):
        return None
    if _any(causes, meanings.refused):
        return ServerUnreachable, f"no server answers at {url}; {start}"
    if _any(causes, meanings.slow):
        return ServerUnreachable, f"no connection within {timeout.connect:g} s: no server answers at {url}; {start}"
    if _any(causes, meanings.dropped):
        return ServerUnreachable, f"the connection to {url} was dropped before anything was sent"
    return None


def _after_sending(
    error: BaseException, causes: Sequence[BaseException], meanings: Meanings, timeout: Timeout, target: Endpoint
) -> tuple[type[TransportError], str]:
    url = target.url
    if _any(causes, _TLS):
        # It may break during the handshake and long after it; nothing tells which.
        return ConnectionLost, f"the encryption with {url} failed (is it https at all?): {error}"
    if _any(causes, (TimeoutError, *meanings.late)):
        return ServerTimeout, f"no answer within {timeout.read:g} s; the server may still be working on it"
    if _any(causes, meanings.compression):
        return InvalidResponse, "the answer's compression is broken"
    if meanings.garbled(causes):
        return InvalidResponse, f"what answers at {url} does not speak HTTP"
    # The libraries' own errors are OSErrors, too.
    if _any(causes, meanings.cut) or any(
        type(one).__module__ == "builtins" and isinstance(one, OSError) for one in causes
    ):
        return ConnectionLost, _LOST
    return InvalidResponse, f"{type(error).__name__}: {error}"


def _any(causes: Sequence[BaseException], kinds: _Kinds) -> bool:
    return any(isinstance(cause, kinds) for cause in causes)


def _reason(causes: Sequence[BaseException]) -> str:
    """What lies at the bottom, in the system's words."""
    for cause in reversed(causes):
        if isinstance(cause, OSError) and not isinstance(cause, requests.RequestException):
            # asyncio writes words of its own over the system's.
            plain = isinstance(cause, ConnectionError) and cause.errno
            return os.strerror(cause.errno) if plain and cause.errno else cause.strerror or str(cause)
    return str(causes[-1])
