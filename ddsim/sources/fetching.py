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
from urllib.parse import urljoin, urlsplit

import requests
import urllib3
from requests.utils import get_environ_proxies, get_netrc_auth, select_proxy

from ddsim.deepdetect import DeadlineAdapter, whole_within
from ddsim.errors import CatalogueUnreachable, ImageError, ImageUnavailable
from ddsim.pictures import (
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
from ddsim.sources.base import Stamp
from ddsim.sources.hosts import MOST, Hosts

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
        own: the address of a catalogue; user and password for its host are taken from ~/.netrc, and without that host
            nothing can be read.
        pool: connections kept open to one host.
        seconds: how long one file may take, redirects and new tries included, however slowly its bytes drip.
    """

    def __init__(
        self,
        *,
        allow_private: bool = False,
        trusted: frozenset[str] = frozenset(),
        own: str | None = None,
        pool: int = 16,
        seconds: float = 300.0,
    ) -> None:
        self._allow_private = allow_private
        self._trusted = trusted
        self._pool = pool
        self._seconds = seconds
        self._own = own
        self._login = None if own is None else get_netrc_auth(own)
        self._hosts = Hosts()
        self._threads = threading.local()
        self._sessions: list[requests.Session] = []

    def get(self, url: str, max_bytes: int) -> bytes:
        """A file, whole.

        Raises:
            ImageError: there is none, it is empty, or longer than ``max_bytes``.
            ImageUnavailable: it cannot be had just now.
            CatalogueUnreachable: nothing can be had any more.
        """
        with self._answered("GET", url) as answer:
            check_length(url, answer.headers.get("Content-Length"), max_bytes)
            content = b"".join(_pieces(answer, url, max_bytes))
        if not content:
            raise ImageError(shown_url(url), "empty file")
        # By its beginning, too: what programs give is often called a page.
        if "text/html" in answer.headers.get("Content-Type", "").lower() and content.lstrip().startswith(b"<"):
            raise ImageUnavailable(shown_url(url), "a web page comes in the place of the picture")
        return content

    @contextmanager
    def opened(self, url: str, max_bytes: int) -> Iterator[tuple[str, Iterator[bytes]]]:
        """The address that a file has after all redirects, and its pieces; raises as :meth:`get`."""
        with self._answered("GET", url) as answer:
            check_length(url, answer.headers.get("Content-Length"), max_bytes)
            yield answer.url, _pieces(answer, url, max_bytes)

    def stamp(self, url: str) -> Stamp:
        """What is said of a file without its content; raises as :meth:`get`."""
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
                check_status(url, answer.status_code, self._with_hint(answer))
                yield answer
        except (CatalogueUnreachable, ImageError):
            raise
        except Refused as refused:
            raise ImageError(shown_url(url), str(refused)) from refused
        except (requests.RequestException, urllib3.exceptions.HTTPError, OSError, ValueError) as error:
            kind = ImageError if isinstance(error, ValueError) else ImageUnavailable
            raise kind(shown_url(url), reason_of(error) + self._unused_proxy(url, error)) from error

    def _followed(self, method: str, url: str) -> requests.Response:
        """The answer at the end of all redirects."""
        asked = url
        with whole_within(self._seconds, _SILENCE):
            for _ in range(MOST_REDIRECTS + 1):
                answer = self._asked(method, url, asked)
                if not answer.is_redirect:
                    return answer
                asked = urljoin(asked, answer.headers["Location"])
                answer.close()
        raise too_often(url)

    def _asked(self, method: str, url: str, asked: str) -> requests.Response:
        """One answer, maybe a redirect.

        Args:
            method: of HTTP.
            url: what was asked for at first.
            asked: that, or where it has led.
        """
        host = parts_of(url, asked).netloc.rpartition("@")[2].lower()
        if not self._hosts.may_be_asked(host):
            raise self._silent(url, asked, host)
        login = self._login if self._is_own(asked) else None
        try:
            answer = self._session().request(
                method, asked, auth=login, stream=True, allow_redirects=False, timeout=(_CONNECT, _SILENCE)
            )
        except requests.exceptions.SSLError:  # somebody is there
            raise
        except (requests.ConnectionError, requests.Timeout):
            self._hosts.did_not_answer(host)
            raise
        self._hosts.answered(host)
        return answer

    def _is_own(self, address: str) -> bool:
        """Whether an address is of the catalogue's own server, be it that this has moved from http to https."""
        if self._own is None:
            return False
        own, other = _server(self._own), _server(address)
        return own == other or (own[0], own[2], other) == ("http", 80, ("https", own[1], 443))

    def _silent(self, url: str, asked: str, host: str) -> CatalogueUnreachable | ImageUnavailable:
        silence = f"{host} did not answer {MOST} times in a row"
        if self._is_own(asked):
            return CatalogueUnreachable(
                f"{url}: cannot be read: {silence}; what is indexed stays as it is: run again once it answers"
            )
        return ImageUnavailable(shown_url(url), f"{silence}, and is not asked for now")

    def _with_hint(self, answer: requests.Response) -> str:
        if answer.status_code != 401 or not self._is_own(answer.url):
            return answer.reason
        entry = f"machine {urlsplit(answer.url).hostname} login USER password PASSWORD"
        return f"{answer.reason}: user and password are taken from ~/.netrc, and there is no right `{entry}` in it"

    def _unused_proxy(self, url: str, error: BaseException) -> str:
        """What to say of a proxy where it might have led to an address that cannot be reached without one."""
        is_unreached = isinstance(error, requests.ConnectionError) and not isinstance(
            error, requests.exceptions.SSLError
        )
        if self._allow_private or not is_unreached or select_proxy(url, get_environ_proxies(url)) is None:
            return ""
        return (
            "; the proxy that the environment names is not used, for nobody could tell which address it reaches: write "
            "catalogue: {folder: ..., allow_private: true} if it may be"
        )

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


def _server(address: str) -> tuple[str, str | None, int | None]:
    parts = urlsplit(address)
    return parts.scheme, parts.hostname, parts.port or PORTS.get(parts.scheme)


def _pieces(answer: requests.Response, url: str, max_bytes: int) -> Iterator[bytes]:
    size = 0
    for chunk in answer.iter_content(_CHUNK):
        size += len(chunk)
        if size > max_bytes:
            raise too_long(url, max_bytes)
        yield chunk


def _stamp(answer: requests.Response) -> Stamp:
    length = answer.headers.get("Content-Length", "")
    mark = answer.headers.get("ETag") or answer.headers.get("Last-Modified")
    return Stamp(int(length) if length.isdecimal() else 0, mark)
