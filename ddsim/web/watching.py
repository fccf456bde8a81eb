"""What goes on, for machines: figures for Prometheus, and a line of the log for each request."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ddsim.web.fronts import Front

_log = logging.getLogger(__name__)

MEDIA = CONTENT_TYPE_LATEST
_SEARCHES = frozenset({"/api/search", "/search"})
_OTHER_METHOD = 405  # asks for no search
_SECONDS = (0.05, 0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 12.8, 30)


class Figures:
    """The figures of one page.

    Args:
        items: tells how many pictures are indexed.
    """

    def __init__(self, items: Callable[[], int]) -> None:
        self._registry = CollectorRegistry()
        self._searches = Counter(
            "ddsim_searches", "Searches by the status of their answers.", ["status"], registry=self._registry
        )
        self._seconds = Histogram(
            "ddsim_search_seconds",
            "From the first byte of a search to the answer, those that failed left out.",
            buckets=_SECONDS,
            registry=self._registry,
        )
        self._items = items
        self._size = Gauge("ddsim_indexed_items", "Pictures that are indexed.", registry=self._registry)

    def searched(self, status: int, seconds: float) -> None:
        """Count a search."""
        self._searches.labels(str(status)).inc()
        if status < 400:
            self._seconds.observe(seconds)

    def text(self) -> bytes:
        """All figures, as Prometheus reads them."""
        self._size.set(self._items())
        return generate_latest(self._registry)


class Watched:
    """ASGI middleware that counts searches and writes a line of the log for each request.

    Args:
        app: what is watched.
        figures: of the page.
        front: tells below which path it is reached.
    """

    def __init__(self, app: ASGIApp, figures: Figures, front: Front) -> None:
        self._app = app
        self._figures = figures
        self._front = front

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        begun, status = time.perf_counter(), 500

        async def sending(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, sending)
        finally:
            seconds = time.perf_counter() - begun
            inside = self._front.inside(scope)
            path = inside["path"].removeprefix(inside.get("root_path", ""))
            if path in _SEARCHES and status != _OTHER_METHOD:
                self._figures.searched(status, seconds)
            # Without the query: with the token in it anybody sees the photo.
            facts = {"method": scope["method"], "path": path, "status": status, "seconds": round(seconds, 4)}
            _log.info("%s %s %d", scope["method"], path, status, extra=facts)
