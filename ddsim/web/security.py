"""What stands in front of everything: who may ask, how much may come in, and headers on every answer."""

from __future__ import annotations

import logging
from collections.abc import Collection
from urllib.parse import urlsplit

import anyio
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ddsim.web.answers import refused
from ddsim.web.refusals import BROKEN, Refusal, bad_request, too_large

_log = logging.getLogger(__name__)

LOOPBACK = frozenset({"127.0.0.1", "localhost", "[::1]"})
"""Names under which a page is reached that listens on this machine alone."""
_POLICY = (
    "default-src 'none'; img-src 'self' blob: data:; style-src 'self'; script-src 'self'; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
_HEADERS = {
    "content-security-policy": _POLICY,
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    # Not no-referrer: browsers then post forms with an Origin of null.
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "geolocation=(), microphone=()",
}
_SAFE = ("GET", "HEAD", "OPTIONS")
# Of a form besides the file in it.
_ROOM_BYTES = 64 * 1024
# A client that is answered while it still sends may lose the answer, so what is too large is read on, for a while.
_SWALLOWED_BYTES, _SWALLOWED_SECONDS = 256 * 1024 * 1024, 10.0


class Guarded:
    """ASGI middleware around the whole application.

    Args:
        app: what is guarded.
        hosts: names that requests may be addressed to, None for any. A page of another site can give its own name this
            machine's address and read the answers (DNS rebinding), but it cannot make a browser send another name.
        origins: other sites (``https://shop.example``) whose pages may use the API.
        upload_bytes: of one photo.
    """

    def __init__(
        self, app: ASGIApp, *, hosts: Collection[str] | None, origins: Collection[str], upload_bytes: int
    ) -> None:
        self._app = app
        self._hosts = hosts
        self._origins = frozenset(origins)
        self._upload_bytes = upload_bytes
        self._headers = dict(_HEADERS)
        if self._origins:
            self._headers["cross-origin-resource-policy"] = "cross-origin"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        begun = False

        async def sending(message: Message) -> None:
            nonlocal begun
            if message["type"] == "http.response.start":
                begun = True
                headers = MutableHeaders(scope=message)
                for name, value in self._headers.items():
                    headers.setdefault(name, value)
                headers.setdefault("cache-control", "no-store")
            await send(message)

        try:
            self._check_caller(scope)
            await self._app(scope, await self._bounded(scope, receive), sending)
        except Refusal as refusal:
            await refused(refusal.words)(scope, receive, sending)
        except Exception:
            _log.exception("%s %s failed", scope["method"], scope["path"])
            if begun:
                raise
            await refused(BROKEN)(scope, receive, sending)

    def _check_caller(self, scope: Scope) -> None:
        headers = Headers(scope=scope)
        host = headers.get("host", "").lower()
        if self._hosts is not None and _without_port(host) not in self._hosts:
            raise bad_request("This page is reached under another name.", "Use the address that ddsim printed.", 400)
        if scope["method"] in _SAFE or headers.get("origin") in self._origins:
            return
        origin, site = headers.get("origin"), headers.get("sec-fetch-site")
        foreign = origin is not None and urlsplit(origin).netloc.lower() != host
        if foreign or site not in (None, "same-origin", "none"):
            raise bad_request("Another site's page asked for this.", "Search from this page itself.", 403)

    async def _bounded(self, scope: Scope, receive: Receive) -> Receive:
        most = self._upload_bytes + _ROOM_BYTES
        headers = Headers(scope=scope)
        length = headers.get("content-length", "0")
        if not (length.isascii() and length.isdecimal()) or int(length) > most:
            if "expect" not in headers:  # who asks first has not begun to send
                await _swallow(receive)
            raise too_large(self._upload_bytes)
        got = 0

        async def counting() -> Message:
            nonlocal got
            message = await receive()
            got += len(message.get("body", b""))
            if got > most:
                if message.get("more_body", False):
                    await _swallow(receive)
                raise too_large(self._upload_bytes)
            return message

        return counting


async def _swallow(receive: Receive) -> None:
    got = 0
    with anyio.move_on_after(_SWALLOWED_SECONDS):
        while got < _SWALLOWED_BYTES:
            message = await receive()
            got += len(message.get("body", b""))
            if message["type"] == "http.disconnect" or not message.get("more_body", False):
                return


def _without_port(host: str) -> str:
    name, colon, port = host.rpartition(":")
    return name if colon and (port.isdecimal() or not port) else host
