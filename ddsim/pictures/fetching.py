"""A picture at an address on the web, fetched by ddsim itself.

Nothing but http and https is spoken, no proxy is used, and nothing of this machine's own network is asked, unless that
is allowed: an address could come from somebody else. A name is resolved once, and the connection goes to the very
address that was looked at, so that a name server cannot give another one in between. Each redirect is looked at anew.
"""

from __future__ import annotations

import http.client
import ipaddress
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from urllib.parse import SplitResult, quote, urljoin

from ddsim.errors import ImageError, ImageUnavailable
from ddsim.pictures.addresses import (
    HEADERS,
    MOST_REDIRECTS,
    PORTS,
    check_length,
    check_status,
    is_public,
    parts_of,
    private_words,
    reason_of,
    shown_url,
    too_long,
    too_often,
)

_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_BLOCK = 65536


@dataclass(frozen=True)
class Fetching:
    """What may be fetched.

    Attributes:
        max_bytes: a picture with more is given up.
        seconds: for one picture, redirects and all; a name server may take longer by itself.
        allow_private: whether addresses of this machine and its own network may be asked.
    """

    max_bytes: int = 64 * 1024 * 1024
    seconds: float = 20.0
    allow_private: bool = False


_USUAL = Fetching()


def fetch(url: str, fetching: Fetching = _USUAL) -> bytes:
    """Fetch the content of a picture's file.

    Args:
        url: its address.
        fetching: what may be fetched.

    Returns:
        The bytes as they came; whether they are a picture is for others to say.

    Raises:
        ImageUnavailable: nothing usable comes, or not in time, and another time may help.
        ImageError: the address cannot be right, may not be asked, or has no picture.
    """
    deadline = _Deadline(fetching.seconds)
    asked = url
    try:
        for _ in range(MOST_REDIRECTS + 1):
            with _answer(_without_login(url, asked), url, fetching, deadline) as answer:
                if answer.status not in _REDIRECTS:
                    content = _content(answer, url, fetching.max_bytes)
                    if deadline.passed:
                        raise ImageUnavailable(url, deadline.words)  # what is without a length seems whole
                    return content
                asked = urljoin(asked, answer.getheader("Location") or "")
    except ImageError:
        raise
    except (OSError, ValueError, http.client.HTTPException) as error:
        # Whoever waits too long closes the connection, and then it may fail with any of these.
        late = deadline.passed or isinstance(error, TimeoutError)
        kind = ImageUnavailable if late or isinstance(error, (OSError, http.client.HTTPException)) else ImageError
        raise kind(url, deadline.words if late else reason_of(error)) from error
    finally:
        deadline.over()
    raise too_often(url)


class _Deadline:
    """Ends a connection when its time is over, however slowly it gives something."""

    def __init__(self, seconds: float) -> None:
        self.passed = False
        self.words = f"it did not come within {seconds:g} seconds"
        self._watched: socket.socket | None = None
        self._timer = threading.Timer(seconds, self._end)
        self._timer.daemon = True
        self._timer.start()

    def watch(self, connection: socket.socket) -> None:
        """This is the connection."""
        self._watched = connection
        if self.passed:
            self._end()

    def over(self) -> None:
        """Nothing is waited for any more."""
        self._timer.cancel()

    def _end(self) -> None:
        self.passed = True
        if self._watched is not None:
            with suppress(OSError):
                self._watched.shutdown(socket.SHUT_RDWR)


def _without_login(url: str, asked: str) -> SplitResult:
    """The parts of an address, or of what it redirects to."""
    parts = parts_of(url, asked)
    if parts.username is not None or parts.password is not None:
        reason = "has a user name or password in it, which is not sent: download the picture yourself"
        raise ImageError(shown_url(url), reason)
    return parts


@contextmanager
def _answer(
    parts: SplitResult, url: str, fetching: Fetching, deadline: _Deadline
) -> Iterator[http.client.HTTPResponse]:
    host = str(parts.hostname)
    port = parts.port or PORTS[parts.scheme]
    connection = http.client.HTTPConnection(host, port)
    try:
        connection.sock = _connected(parts, host, port, url, fetching, deadline)
        path = quote(parts.path or "/", safe="/%:@!$&'()*+,;=~-._") + (f"?{_query(parts)}" if parts.query else "")
        named = f"[{host}]" if ":" in host else host.encode("idna").decode("ascii")
        default = port == PORTS[parts.scheme]
        headers = {
            "Host": named if default else f"{named}:{port}",
            "Accept": "image/*",
            "Connection": "close",
        } | HEADERS
        connection.request("GET", path, headers=headers)
        with connection.getresponse() as answer:
            yield answer
    finally:
        connection.close()


def _query(parts: SplitResult) -> str:
    return quote(parts.query, safe="/%:@!$&'()*+,;=~-._?")


def _connected(
    parts: SplitResult, host: str, port: int, url: str, fetching: Fetching, deadline: _Deadline
) -> socket.socket:
    """A connection to an address that was looked at, encrypted where https is asked for."""
    raw = _first_that_answers(_resolved(host, port, url, fetching.allow_private), fetching.seconds)
    deadline.watch(raw)
    if parts.scheme == "http":
        return raw
    try:
        # The certificate is checked against the name, though the connection goes to the address.
        door = ssl.create_default_context().wrap_socket(raw, server_hostname=host, do_handshake_on_connect=False)
    except BaseException:
        raw.close()
        raise
    deadline.watch(door)
    try:
        door.do_handshake()
    except BaseException:
        door.close()
        raise
    return door


def _first_that_answers(addresses: list[tuple[str, int]], seconds: float) -> socket.socket:
    for last, address in enumerate(addresses, 1 - len(addresses)):
        try:
            return socket.create_connection(address, seconds)
        except OSError:
            if not last:
                raise
    raise OSError("it has no address")


def _resolved(host: str, port: int, url: str, allow_private: bool) -> list[tuple[str, int]]:
    """The addresses behind a name; one that may not be asked spoils all."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (socket.gaierror, UnicodeError) as error:
        kind = ImageUnavailable if isinstance(error, socket.gaierror) else ImageError
        raise kind(url, f"the name {host} leads nowhere ({reason_of(error)})") from error
    addresses = list(dict.fromkeys(str(one[4][0]) for one in found))
    for address in addresses:
        if not allow_private and not is_public(ipaddress.ip_address(address)):
            raise ImageError(url, f"{private_words(host, address)}; --allow-private lets it be asked")
    return [(address, port) for address in addresses]


def _content(answer: http.client.HTTPResponse, url: str, limit: int) -> bytes:
    check_status(url, answer.status, answer.reason)
    kind = answer.headers.get_content_type()
    if kind == "text/html":
        raise ImageUnavailable(url, "is a web page, not a picture: give the address of the picture itself")
    if (packed := answer.getheader("Content-Encoding", "identity")) not in ("identity", ""):
        raise ImageError(url, f"comes packed as {packed[:20]}, though it was asked for as it is")
    told = check_length(url, answer.getheader("Content-Length"), limit)
    data = bytearray()
    while block := answer.read(_BLOCK):
        data += block
        if len(data) > limit:
            raise too_long(url, limit)
    if told is not None and len(data) < told:
        raise http.client.IncompleteRead(b"")
    return bytes(data)
