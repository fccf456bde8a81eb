"""How long a connection may say nothing: uvicorn by itself waits for ever for a request that was begun."""

from __future__ import annotations

import asyncio
from typing import Any

from uvicorn.protocols.http.auto import AutoHTTPProtocol

_SECONDS = 30.0


def impatient(seconds: float = _SECONDS) -> type[asyncio.Protocol]:
    """The protocol of uvicorn for connections that are closed when no whole head of a request comes.

    Args:
        seconds: how long at least; twice that at most. While a request is answered it does not count.
    """

    class Impatient(AutoHTTPProtocol):  # type: ignore[misc,valid-type]  # which of two classes depends on what is there
        def connection_made(self, transport: asyncio.Transport) -> None:
            """Somebody has connected."""
            super().connection_made(transport)
            self._waited: object = None
            self._look()

        def connection_lost(self, exc: Exception | None) -> None:
            """The connection has ended."""
            self._timer.cancel()
            super().connection_lost(exc)

        def _look(self) -> None:
            cycle: Any = self.cycle  # of the last request whose head has come
            waits = (cycle,) if cycle is None or cycle.response_complete else None
            if waits is not None and waits == self._waited:
                self.transport.close()
                return
            self._waited = waits
            self._timer = asyncio.get_running_loop().call_later(seconds, self._look)

    return Impatient
