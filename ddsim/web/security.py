"""What stands in front of everything: who may ask, how much may come in, and headers on every answer."""

from __future__ import annotations

import logging
from collections.abc import Collection
from urllib.parse import urlsplit

import anyio
from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import RedirectResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ddsim.web.answers import refused
from ddsim.web.fronts import Front, is_among
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
# Every product's page leads to others: a search engine that followed them would search for ever; and the link of an
# upload that somebody shares is for people.
_NO_ROBOTS = "noindex, nofollow"
_SAFE = ("GET", "HEAD", "OPTIONS")
# The page's own script sends it. That of another site must ask first (CORS), and is told no; a browser without
# Sec-Fetch-Site, or one that came without https, shows so that it is on this page, whatever the host is called here.
_SCRIPT = "x-requested-with"
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
        front: what stands before the page.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        hosts: frozenset[str] | None,
        origins: Collection[str],
        upload_bytes: int,
        front: Front,
    ) -> None:
        self._app = app
        self._hosts = hosts
        self._front = front
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
                if not _is_start(scope):
                    headers.setdefault("x-robots-tag", _NO_ROBOTS)
            await send(message)

        try:
            self._check_caller(scope)
            inside = self._front.inside(scope)
            if inside["path"] == inside.get("root_path"):
                # Links are relative: without a slash at the end they would lead to its neighbours.
                answer = RedirectResponse(_with_slash(inside))
                await answer(scope, receive, sending)
                return
            await self._app(inside, await self._bounded(scope, receive), sending)
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
        # The name that came to this server, whatever a proxy says of another: a page that rebinds a name can send such
        # headers, too.
        if self._hosts is not None and not is_among(host, self._hosts):
            raise bad_request(
                "This page is reached under another name.",
                "Use the address that ddsim printed; whoever runs this page allows another with --allow-host.",
                400,
            )
        if scope["method"] in _SAFE or headers.get("origin") in self._origins:
            return
        if not self._is_own(scope, headers, host):
            raise bad_request(
                "Another site's page asked for this.",
                "Search from this page itself; whoever runs it behind a proxy allows its name with --allow-host.",
                403,
            )

    def _is_own(self, scope: Scope, headers: Headers, host: str) -> bool:
        """Whether no page of another site asks."""
        site = headers.get("sec-fetch-site")
        if site is not None:
            # The browser's own judgement, which knows the address that people see: behind a proxy the host may differ.
            return site in ("same-origin", "none")
        origin = headers.get("origin")
        if origin is None or _SCRIPT in headers:
            return True
        name = urlsplit(origin).netloc.lower()
        return name in (host, self._front.host(scope)) or is_among(name, (self._hosts or set()) - LOOPBACK)

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


def _is_start(scope: Scope) -> bool:
    """Whether the start page is asked for, and nothing on it: its path alone ends so, below whatever path it is."""
    return scope["path"].endswith("/") and not scope["query_string"]


def _with_slash(scope: Scope) -> str:
    path: str = scope["path"]
    query = scope["query_string"].decode("latin-1")
    return path.rpartition("/")[2] + "/" + (f"?{query}" if query else "")
