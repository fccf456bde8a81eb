"""Files fetched over HTTP for somebody else: from no private address, through no open end, and no more than is wanted.

A table of addresses may come from anywhere. What it names is fetched by this machine, which reaches more than its
author does: its own network, or the addresses where clouds keep credentials. So the address that a connection really
has is looked at, after all names were resolved and before anything is sent, at every redirect anew.
"""

from __future__ import annotations

import ipaddress
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urljoin

import requests
import urllib3

from ddsim.deepdetect import DeadlineAdapter, whole_within
from ddsim.errors import ImageError
from ddsim.pictures import (
    HEADERS,
    MOST_REDIRECTS,
    check_length,
    check_status,
    is_public,
    parts_of,
    private_words,
    reason_of,
    too_long,
    too_often,
)
from ddsim.sources.base import Stamp

_CHUNK = 1 << 16
# Seconds until a connection stands, and for which one may be silent.
_CONNECT, _SILENCE = 5.0, 30.0
# Whoever asks for more patience is asked again all the same, and then given up: somebody waits for the others.
_LONGEST_PAUSE = 30.0
_WITHOUT_HEAD = (403, 405, 501)


class Refused(Exception):
    """A connection leads where nothing may be fetched from; stays in this package."""


class Fetcher:
    """Fetches over HTTP. Any thread may use it.

    Args:
        allow_private: whether addresses that are not public may be reached.
        trusted: hosts that may be reached wherever they are.
        pool: connections kept open to one host.
        seconds: how long one file may take, redirects and new tries included, however slowly its bytes drip.
    """

    def __init__(
        self,
        *,
        allow_private: bool = False,
        trusted: frozenset[str] = frozenset(),
        pool: int = 16,
        seconds: float = 300.0,
    ) -> None:
        self._allow_private = allow_private
        self._trusted = trusted
        self._pool = pool
        self._seconds = seconds
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
        size = 0
        with self._answered("GET", url) as answer:
            check_length(url, answer.headers.get("Content-Length"), max_bytes)
            for chunk in answer.iter_content(_CHUNK):
                size += len(chunk)
                if size > max_bytes:
                    raise too_long(url, max_bytes)
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
            with self._followed(method, url) as answer:
                if method == "HEAD" and answer.status_code in _WITHOUT_HEAD:
                    raise _NoAnswerToHead
                check_status(url, answer.status_code, answer.reason)
                yield answer
        except ImageError:
            raise
        except Refused as refused:
            raise ImageError(url, str(refused)) from refused
        except (requests.RequestException, urllib3.exceptions.HTTPError, OSError, ValueError) as error:
            raise ImageError(url, reason_of(error)) from error

    def _followed(self, method: str, url: str) -> requests.Response:
        """The answer at the end of all redirects."""
        asked = url
        with whole_within(self._seconds, _SILENCE):
            for _ in range(MOST_REDIRECTS + 1):
                parts_of(url, asked)
                answer = self._session().request(
                    method, asked, stream=True, allow_redirects=False, timeout=(_CONNECT, _SILENCE)
                )
                if not answer.is_redirect:
                    return answer
                asked = urljoin(asked, answer.headers["Location"])
                answer.close()
        raise too_often(url)

    def _session(self) -> requests.Session:
        process, session = getattr(self._threads, "session", (0, None))
        if session is None or process != os.getpid():  # a fork must not read from its parent's connections
            session = self._opened()
            self._threads.session = os.getpid(), session
            self._sessions.append(session)
        return session

    def _opened(self) -> requests.Session:
        session = requests.Session()
        # Through a proxy nobody can tell which address is reached in the end.
        session.trust_env = self._allow_private
        session.verify = os.environ.get("REQUESTS_CA_BUNDLE") or os.environ.get("SSL_CERT_FILE") or True
        session.headers.update(HEADERS)
        adapter = _Adapter(None if self._allow_private else self._check_peer, self._pool)
        session.mount("http://", adapter)
        session.mount("https://", adapter)
        return session

    def _check_peer(self, host: str, peer: str) -> None:
        if host not in self._trusted and not is_public(ipaddress.ip_address(peer.partition("%")[0])):
            raise Refused(
                f"{private_words(host, peer)}: write catalogue: {{folder: ..., allow_private: true}} if pictures may "
                "be fetched from there"
            )


class _NoAnswerToHead(Exception):
    pass


class _Again(urllib3.Retry):
    """When to try again; a pause that a server asks for has an end."""

    def get_retry_after(self, response: Any) -> float | None:
        """See urllib3; seconds."""
        wanted = super().get_retry_after(response)
        return None if wanted is None else min(wanted, _LONGEST_PAUSE)


class _Adapter(DeadlineAdapter):
    """Has each connection looked at before it is used; what fails in passing is tried again."""

    def __init__(self, check: Callable[[str, str], None] | None, pool: int) -> None:
        self._check = check
        again = _Again(
            total=3, backoff_factor=0.3, status_forcelist=(429, 502, 503, 504), redirect=False, raise_on_status=False
        )
        super().__init__(pool_connections=pool, pool_maxsize=pool, max_retries=again)

    def init_poolmanager(self, *args: Any, **options: Any) -> None:
        """Make the connections ones that are checked."""
        super().init_poolmanager(*args, **options)
        if self._check is not None:
            pools = self.poolmanager.pool_classes_by_scheme
            self.poolmanager.pool_classes_by_scheme = {
                scheme: _checked(pool, self._check) for scheme, pool in pools.items()
            }


def _checked(pool: Any, check: Callable[[str, str], None]) -> Any:
    """A kind of pool whose connections are looked at."""

    class Checked(pool.ConnectionCls):  # type: ignore[misc]
        def _new_conn(self) -> Any:
            connection = super()._new_conn()
            try:
                check(self.host, connection.getpeername()[0])
            except BaseException:
                connection.close()
                raise
            return connection

    return type("Checked", (pool,), {"ConnectionCls": Checked})


def _stamp(answer: requests.Response) -> Stamp:
    length = answer.headers.get("Content-Length", "")
    mark = answer.headers.get("ETag") or answer.headers.get("Last-Modified")
    return Stamp(int(length) if length.isdecimal() else 0, mark)
