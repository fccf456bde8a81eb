"""One exchange with a server: the seam behind which HTTP, the embedded engine and test doubles stand."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol


@dataclass(frozen=True)
class Timeout:
    """Time limits of one exchange, in seconds.

    Attributes:
        connect: until a connection stands.
        read: until the answer begins, and between its parts.
    """

    connect: float
    read: float


@dataclass(frozen=True)
class Reply:
    """What a server answered: HTTP status, the body's bytes (decompressed), headers with lower-case names."""

    status: int
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)


class Transport(Protocol):
    """Carries one exchange; does not retry, does not judge the status."""

    def exchange(self, method: str, path: str, json: Mapping[str, Any] | None, timeout: Timeout) -> Reply:
        """Send one request and return the answer, whatever its status.

        Args:
            method: GET, PUT, POST or DELETE.
            path: the request target, query included, e.g. ``/services/lamps?clear=index``. Never percent-encoded: a
                DeepDetect server does not decode it (tests/contract/recordings, 12).
            json: the body, for POST and PUT; None sends no body at all.
            timeout: time limits.

        Raises:
            ServerUnreachable: no connection could be made.
            ServerTimeout: sent, no answer in time.
            ConnectionLost: sent, the connection ended without an answer.
            InvalidResponse: the answer is not HTTP.
        """
        ...

    def close(self) -> None:
        """Release connections; the transport is not used afterwards."""
        ...
