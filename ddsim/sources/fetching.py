"""Files fetched over HTTP for somebody else: from no private address, through no open end, and no more than is wanted.

A table of addresses may come from anywhere. What it names is fetched by this machine, which reaches more than its
author does: its own network, or the addresses where clouds keep credentials. So the address that a connection really
has is looked at, after all names were resolved and before anything is sent, at every redirect anew.
"""

from __future__ import annotations

import ipaddress
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urljoin, urlsplit

import requests
import urllib3
from requests.adapters import HTTPAdapter

from ddsim.errors import ImageError
from ddsim.pictures import is_public
from ddsim.sources.base import Stamp

_REDIRECTS = 5
_CHUNK = 1 << 16
# How long one file may take, however slowly its bytes drip.
_SECONDS = 300.0
_WITHOUT_HEAD = (403, 405, 501)


class Refused(Exception):
    """A connection leads where nothing may be fetched from; stays in this package."""


class Fetcher:
    """Fetches over HTTP. Any thread may use it.

    Args:
        allow_private: whether addresses that are not public may be reached.
        trusted: hosts that may be reached wherever they are.
        pool: connections kept open to one host.
        clock: seconds.
    """

    def __init__(
        self,
        *,
        allow_private: bool = False,
        trusted: frozenset[str] = frozenset(),
        pool: int = 16,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._allow_private = allow_private
        self._trusted = trusted
        self._pool = pool
        self._clock = clock
        self._threads = threading.local()
        self._sessions: list[requests.Session] = []

    def get(self, url: str, max_bytes: int) -> bytes:
        """A file, whole.

        Raises:
            ImageError: it cannot be had, is empty, or longer than ``max_bytes``.
        """
        content = b"".join(self.chunks(url, max_bytes))
        if not content:
            raise ImageError(url, "empty file")
        return content

    def chunks(self, url: str, max_bytes: int) -> Iterator[bytes]:
        """A file, piece by piece; raises as :meth:`get`."""
        begun, size = self._clock(), 0
        with self._answered("GET", url) as answer:
            length = answer.headers.get("Content-Length", "")
            if length.isdecimal() and int(length) > max_bytes:
                raise _too_long(url, max_bytes)
            for chunk in answer.iter_content(_CHUNK):
                size += len(chunk)
                if size > max_bytes:
                    raise _too_long(url, max_bytes)
                if self._clock() - begun > _SECONDS:
                    raise ImageError(url, f"not complete after {_SECONDS:g} s")
                yield chunk

    def stamp(self, url: str) -> Stamp:
        """What is said of a file without its content.

        Raises:
            ImageError: it cannot be had.
        """
        try:
            with self._answered("HEAD", url) as answer:
                return _stamp(answer)
        except _NoAnswerToHead:
            with self._answered("GET", url) as answer:
                return _stamp(answer)

    def close(self) -> None:
        """Close the connections."""
        for session in self._sessions:
            session.close()

    @contextmanager
    def _answered(self, method: str, url: str) -> Iterator[requests.Response]:
        """The answer after all redirects, its content not read yet."""
        try:
            with self._redirected(method, url) as answer:
                if method == "HEAD" and answer.status_code in _WITHOUT_HEAD:
                    raise _NoAnswerToHead
                if answer.status_code != 200:
                    raise ImageError(url, f"{answer.status_code} {answer.reason or ''}".strip())
                yield answer
        except ImageError:
            raise
        except Refused as refused:
            raise ImageError(url, str(refused)) from refused
        except (requests.RequestException, urllib3.exceptions.HTTPError, OSError, ValueError) as error:
            raise _unhad(url, error) from error

    @contextmanager
    def _redirected(self, method: str, url: str) -> Iterator[requests.Response]:
        here = url
        for _ in range(_REDIRECTS + 1):
            _check(here, url)
            answer = self._session().request(method, here, stream=True, allow_redirects=False, timeout=(5, 30))
            with answer:
                if not answer.is_redirect:
                    yield answer
                    return
                here = urljoin(here, answer.headers["Location"])
        raise Refused(f"more than {_REDIRECTS} redirects")

    def _session(self) -> requests.Session:
        session = getattr(self._threads, "session", None)
        if session is None:
            session = self._threads.session = self._opened()
            self._sessions.append(session)
        return session

    def _opened(self) -> requests.Session:
        session = requests.Session()
        # Through a proxy nobody can tell which address is reached in the end.
        session.trust_env = self._allow_private
        session.verify = os.environ.get("REQUESTS_CA_BUNDLE") or os.environ.get("SSL_CERT_FILE") or True
        # What is compressed could be a thousand times as long as it says.
        session.headers.update({"Accept-Encoding": "identity", "User-Agent": "ddsim"})
        adapter = _Adapter(None if self._allow_private else self._check_peer, self._pool)
        session.mount("http://", adapter)
        session.mount("https://", adapter)
        return session

    def _check_peer(self, host: str, peer: str) -> None:
        if host not in self._trusted and not is_public(ipaddress.ip_address(peer.partition("%")[0])):
            raise Refused(
                f"{host} is at {peer}, which is no public address: write catalogue: {{folder: ..., allow_private: "
                "true} if pictures may be fetched from this machine's own networks"
            )


class _NoAnswerToHead(Exception):
    pass


class _Adapter(HTTPAdapter):
    """Has each connection looked at before it is used; what fails in passing is tried again."""

    def __init__(self, check: Callable[[str, str], None] | None, pool: int) -> None:
        self._check = check
        again = urllib3.Retry(
            total=3, backoff_factor=0.3, status_forcelist=(429, 502, 503, 504), redirect=False, raise_on_status=False
        )
        super().__init__(pool_connections=pool, pool_maxsize=pool, max_retries=again)

    def init_poolmanager(self, *args: Any, **options: Any) -> None:
        """Make the connections ones that are checked."""
        super().init_poolmanager(*args, **options)
        if self._check is not None:
            self.poolmanager.pool_classes_by_scheme = _checked_pools(self._check)


def _checked_pools(check: Callable[[str, str], None]) -> dict[str, Any]:
    def checked(kind: Any) -> Any:
        class Checked(kind):  # type: ignore[misc]
            def _new_conn(self) -> Any:
                connection = super()._new_conn()
                try:
                    check(self.host, connection.getpeername()[0])
                except BaseException:
                    connection.close()
                    raise
                return connection

        return Checked

    plain = type("Plain", (urllib3.HTTPConnectionPool,), {"ConnectionCls": checked(urllib3.connection.HTTPConnection)})
    secure = type(
        "Secure", (urllib3.HTTPSConnectionPool,), {"ConnectionCls": checked(urllib3.connection.HTTPSConnection)}
    )
    return {"http": plain, "https": secure}


def _check(url: str, first: str) -> None:
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise Refused(f"only http:// and https:// are fetched, not {parts.scheme or 'this'}:")
    if parts.scheme == "http" and first.startswith("https:"):
        raise Refused("it redirects from https:// to http://")


def _stamp(answer: requests.Response) -> Stamp:
    length = answer.headers.get("Content-Length", "")
    mark = answer.headers.get("ETag") or answer.headers.get("Last-Modified")
    return Stamp(int(length) if length.isdecimal() else 0, mark)


def _too_long(url: str, max_bytes: int) -> ImageError:
    return ImageError(url, f"longer than {max_bytes} bytes (upload.max_bytes)")


def _unhad(url: str, error: Exception) -> ImageError:
    if isinstance(error, (requests.Timeout, urllib3.exceptions.TimeoutError)):
        return ImageError(url, "no answer in time")
    if isinstance(error, requests.exceptions.ChunkedEncodingError):
        return ImageError(url, "the connection broke off before the end of the file")
    # The libraries wrap what the system says several times.
    cause: BaseException | None = error
    while cause is not None and not getattr(cause, "strerror", None):
        cause = cause.__cause__ or cause.__context__
    words = str(getattr(cause, "strerror", type(error).__name__))
    return ImageError(url, f"cannot be fetched: {words.lower()}")
