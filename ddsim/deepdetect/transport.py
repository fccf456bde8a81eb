"""One exchange with a server: the seam behind which HTTP, the embedded engine and test doubles stand."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from ddsim.showing import Value, clipped


@dataclass(frozen=True)
class Timeout:
    """Time limits of one exchange, in seconds.

    Attributes:
        connect: until a connection stands.
        read: from then on until the whole answer is there; sending the request counts.
    """

    connect: float
    read: float


@dataclass(frozen=True, repr=False)
class Reply(Value):
    """What a server answered.

    Attributes:
        status: HTTP status.
        body: the body's bytes, decompressed.
        headers: their names in lower case.
        values: what the body would say, where a :class:`ValueTransport` has not written it; arrays stand for lists of
            numbers.
    """

    status: int
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)
    values: Mapping[str, Any] | None = None


class Transport(Protocol):
    """Carries one exchange; does not retry, does not judge the status."""

    def exchange(self, method: str, path: str, json: Mapping[str, Any] | None, timeout: Timeout) -> Reply:
        """Send one request and return the answer, whatever its status.

        Args:
            method: GET, PUT, POST or DELETE.
            path: the request target, query included, e.g. ``/services/lamps?clear=index``. Never percent-encoded:
                DeepDetect v0.25.0 does not decode it (checked on a running server).
            json: the body, for POST and PUT; None sends no body at all.
            timeout: time limits.

        Raises:
            ServerUnreachable: no connection could be made; Unconnectable where none ever will this way.
            ServerTimeout: sent, no answer in time.
            ConnectionLost: sent, the connection ended without an answer.
            InvalidResponse: the answer is not HTTP.
        """
        ...

    def close(self) -> None:
        """Release connections; the transport is not used afterwards."""
        ...


class AsyncTransport(Protocol):
    """As :class:`Transport`, for tasks of asyncio."""

    async def exchange(self, method: str, path: str, json: Mapping[str, Any] | None, timeout: Timeout) -> Reply:
        """See :meth:`Transport.exchange`. Where the task is cancelled, nothing of this exchange meets a later one."""
        ...

    async def close(self) -> None:
        """Release connections; the transport is not used afterwards."""
        ...


@dataclass(frozen=True, slots=True, eq=False)
class Decoded:
    """A picture file and what is in it, which a server of the same process need not find out once more.

    Attributes:
        data: the file's content.
        pixels: what decoding gives, uint8: (height, width) of grey, (height, width, 3) in RGB order.
    """

    data: bytes
    pixels: NDArray[np.uint8]

    def __len__(self) -> int:
        return len(self.data)


@runtime_checkable
class ValueTransport(Transport, Protocol):
    """A transport within the process: what both sides have as values is not written as text and read again."""

    def exchange_values(self, method: str, path: str, json: Mapping[str, Any] | None, timeout: Timeout) -> Reply:
        """As :meth:`Transport.exchange`, but elements of ``data`` may be files: bytes, or :class:`Decoded`.

        The answer is the same as to base64 and JSON; where it says yes to a prediction it may come as values.
        """
        ...


def where(transport: object) -> str:
    """Where a transport leads, in a word for people: its address, without secrets, or what kind it is."""
    return clipped(str(getattr(transport, "url", type(transport).__name__)))
