"""The transport that speaks HTTP: requests underneath, none of its exceptions above."""

from __future__ import annotations

import http.client
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import requests
import urllib3
from requests.auth import AuthBase

from ddsim.deepdetect.address import Credentials
from ddsim.deepdetect.http_deadline import DeadlineAdapter, whole_within
from ddsim.deepdetect.http_endpoint import Endpoint, Meanings, closed, endpoint, explain, written
from ddsim.deepdetect.transport import Reply, Timeout

# Requests that are remembered, by what they go to.
_PATHS = 100
# Bytes: requests itself puts an answer of a megabyte together of a hundred pieces.
_PIECE = 2**20


class HttpTransport:
    """Exchanges over HTTP with one pooled session, for any thread; a process that is forked gets one of its own.

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
        self._endpoint = endpoint(url, credentials, verify)
        self.url = self._endpoint.url
        self._pool = pool
        self._closed = False
        self._known: dict[tuple[str, str, bool], requests.PreparedRequest] = {}
        self._begin()

    def _begin(self) -> None:
        """Have a session without any connection, of this process."""
        session = _Session()
        if self._endpoint.authorization is not None:
            session.auth = _Authorized(self._endpoint.authorization)
        adapter = DeadlineAdapter(pool_connections=1, pool_maxsize=self._pool, max_retries=0)
        session.mount("http://", adapter)
        session.mount("https://", adapter)
        session.trust_env = not self._endpoint.local
        session.headers.update(self._endpoint.headers)
        self._session, self._process = session, os.getpid()

    def exchange(self, method: str, path: str, json: Mapping[str, Any] | None, timeout: Timeout) -> Reply:
        """See :meth:`ddsim.deepdetect.transport.Transport.exchange`.

        Raises:
            InvalidRequest: it is closed.
        """
        if self._closed:
            raise closed(method, path)
        if self._process != os.getpid():
            # A fork shares its parent's connections, where each of them would read what was answered to the other.
            self._begin()
        body, headers = written(method, path, json)
        with _translated(self._endpoint, method, path, timeout), whole_within(timeout.read):
            sent = self._session.send(
                self._prepared(method, path, body, headers),
                timeout=(timeout.connect, timeout.read),
                allow_redirects=False,
                verify=self._endpoint.verify,
                stream=True,
            )
            with sent as answer:
                content = b"".join(answer.iter_content(_PIECE))
                lowered = {name.lower(): value for name, value in answer.headers.items()}
                return Reply(answer.status_code, content, lowered)

    def _prepared(
        self, method: str, path: str, body: bytes | None, headers: Mapping[str, str]
    ) -> requests.PreparedRequest:
        """The request as the session makes it.

        That takes longer than sending it, and but for the body it is the same for every request to one path.
        """
        kind = method, path, body is not None
        known = self._known.get(kind)
        if known is None or len(self._session.cookies):  # what shares requests out to several servers may set some
            prepared = self._session.prepare_request(requests.Request(method, self.url + path, headers))
            if len(self._known) >= _PATHS:
                self._known.clear()
            if "Cookie" not in prepared.headers:
                self._known[kind] = prepared.copy()
        else:
            prepared = known.copy()
        if body is not None:
            prepared.body = body
            prepared.headers["Content-Length"] = str(len(body))
        return prepared

    def close(self) -> None:
        """Close the pooled connections, for good; a second time does nothing."""
        self._closed = True
        self._session.close()


class _Session(requests.Session):
    """One for which a redirection is an answer like any other; requests would read it to look where it leads."""

    def get_redirect_target(self, resp: requests.Response) -> str | None:
        """Nowhere."""
        del resp
        return None


class _Authorized(AuthBase):
    """Sends one Authorization header; as a header of the session a ~/.netrc would replace it."""

    def __init__(self, value: str) -> None:
        self._value = value

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers["Authorization"] = self._value
        return request


@contextmanager
def _translated(target: Endpoint, method: str, path: str, timeout: Timeout) -> Iterator[None]:
    """Let nothing of requests or urllib3 out."""
    try:
        yield
    except _BELOW as error:
        kind, words = explain(error, _MEANINGS, target, timeout)
        raise kind(f"{method} {path}: {words}", method=method, path=path) from error


def _garbled(causes: Sequence[BaseException]) -> bool:
    early = (http.client.RemoteDisconnected, http.client.IncompleteRead)
    spoken = any(isinstance(cause, http.client.HTTPException) for cause in causes)
    return spoken and not any(isinstance(cause, early) for cause in causes)


_BELOW = (requests.RequestException, urllib3.exceptions.HTTPError, http.client.HTTPException, OSError, ValueError)
_MEANINGS = Meanings(
    proxy=(requests.exceptions.ProxyError, urllib3.exceptions.ProxyError),
    refused=(urllib3.exceptions.NewConnectionError,),
    slow=(requests.ConnectTimeout, urllib3.exceptions.ConnectTimeoutError),
    unsent=(
        requests.exceptions.MissingSchema,
        requests.exceptions.InvalidSchema,
        requests.exceptions.InvalidURL,
        requests.exceptions.ProxyError,
        urllib3.exceptions.LocationValueError,
        urllib3.exceptions.ProxySchemeUnsupported,
        UnicodeError,
    ),
    # Another thread closed the transport in this moment.
    dropped=(urllib3.exceptions.ClosedPoolError,),
    late=(requests.ReadTimeout, urllib3.exceptions.ReadTimeoutError),
    compression=(requests.exceptions.ContentDecodingError, urllib3.exceptions.DecodeError),
    cut=(
        requests.ConnectionError,
        requests.exceptions.ChunkedEncodingError,
        urllib3.exceptions.ProtocolError,
        http.client.RemoteDisconnected,
        http.client.IncompleteRead,
    ),
    garbled=_garbled,
)
