"""The transport that speaks HTTP in asyncio: httpx2 underneath, none of its exceptions above.

httpx2 rather than httpx, whose pool loses connections to cancelled requests, and rather than aiohttp, which by itself
sends a PUT or DELETE again after a lost answer: a service would be created twice.
"""

from __future__ import annotations

import asyncio
import os
import ssl
from collections.abc import Mapping, Sequence
from typing import Any

import anyio
import httpx2
import requests.utils

from ddsim.deepdetect.address import Credentials
from ddsim.deepdetect.http_endpoint import Endpoint, Meanings, closed, endpoint, explain, written
from ddsim.deepdetect.transport import Reply, Timeout
from ddsim.errors import InvalidRequest


class AsyncHttpTransport:
    """Exchanges over HTTP with one pool of connections, for the tasks of one event loop.

    A task that is cancelled during an exchange closes its connection: no other request meets what was left on it.

    Args:
        url, pool, credentials, verify: see :class:`ddsim.deepdetect.http.HttpTransport`.

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
        self._loop: asyncio.AbstractEventLoop | None = None
        self._closed = False
        secret = self._endpoint.authorization
        self._client = httpx2.AsyncClient(
            headers=self._endpoint.headers | ({} if secret is None else {"Authorization": secret}),
            verify=_trusted(self._endpoint),
            # What the environment says has been read, by the rules that count for the other client, too.
            trust_env=False,
            proxy=self._endpoint.proxy_address,
            follow_redirects=False,
            limits=httpx2.Limits(max_connections=None, max_keepalive_connections=pool),
        )

    async def exchange(self, method: str, path: str, json: Mapping[str, Any] | None, timeout: Timeout) -> Reply:
        """See :meth:`ddsim.deepdetect.transport.AsyncTransport.exchange`.

        Raises:
            InvalidRequest: it is closed, or of another event loop.
        """
        if self._closed:
            raise closed(method, path)
        loop = asyncio.get_running_loop()
        self._loop = self._loop or loop
        if loop is not self._loop:
            # Its connections ended with their loop, or still belong to it.
            raise InvalidRequest(f"{method} {path}: this client is for another event loop: open one for each")
        body, headers = written(method, path, json)
        limits = httpx2.Timeout(timeout.read, connect=timeout.connect)
        try:
            # httpx2 counts anew with every byte that arrives.
            with anyio.fail_after(timeout.connect + timeout.read):
                async with self._client.stream(
                    method, self.url + path, content=body, headers=headers, timeout=limits
                ) as answer:
                    content = await answer.aread()
                    if answer.status_code == 500:
                        # A search that fails at a name leaves its connection of no use for others: see http_deadline.
                        await answer.extensions["network_stream"].aclose()
        except _BELOW as error:
            kind, words = explain(error, _MEANINGS, self._endpoint, timeout)
            raise kind(f"{method} {path}: {words}", method=method, path=path) from error
        return Reply(answer.status_code, content, {name.lower(): value for name, value in answer.headers.items()})

    async def close(self) -> None:
        """Close the pooled connections, for good; those of another event loop ended with it."""
        self._closed = True
        if self._loop in (None, asyncio.get_running_loop()):
            await self._client.aclose()


def _trusted(target: Endpoint) -> ssl.SSLContext | bool:
    if not target.url.startswith("https:"):
        return False
    path = target.verify if isinstance(target.verify, str) else requests.utils.DEFAULT_CA_BUNDLE_PATH
    folder = os.path.isdir(path)
    return ssl.create_default_context(cafile=None if folder else path, capath=path if folder else None)


def _garbled(causes: Sequence[BaseException]) -> bool:
    # One class for both; only the words tell an answer that breaks off from one that is no HTTP.
    spoken = [str(cause) for cause in causes if isinstance(cause, httpx2.RemoteProtocolError)]
    return bool(spoken) and not any("closed" in words or "disconnected" in words for words in spoken)


_BELOW = (httpx2.HTTPError, httpx2.InvalidURL, httpx2.StreamError, OSError, ValueError)
_MEANINGS = Meanings(
    proxy=(httpx2.ProxyError,),
    refused=(httpx2.ConnectError,),
    slow=(httpx2.ConnectTimeout,),
    unsent=(httpx2.InvalidURL, httpx2.UnsupportedProtocol, httpx2.LocalProtocolError, httpx2.ProxyError, UnicodeError),
    dropped=(),
    late=(httpx2.TimeoutException,),
    compression=(httpx2.DecodingError,),
    cut=(httpx2.NetworkError, httpx2.RemoteProtocolError),
    garbled=_garbled,
)
