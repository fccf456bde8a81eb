"""The embedded server without a socket: a transport straight into the engine."""

from __future__ import annotations

import json as stdlib_json
from collections.abc import Mapping
from typing import Any

import orjson

from ddsim.deepdetect.transport import Decoded, Reply, Timeout
from ddsim.embedded.engine import Engine
from ddsim.errors import ServerUnreachable


class EmbeddedTransport:
    """Carries exchanges to an engine of the same process: a :class:`ddsim.deepdetect.transport.ValueTransport`.

    Time limits do not apply: a call takes as long as the engine does.
    """

    def __init__(self, engine: Engine | None = None) -> None:
        self._engine: Engine | None = engine if engine is not None else Engine()

    def exchange(
        self,
        method: str,
        path: str,
        json: Mapping[str, Any] | None,
        timeout: Timeout,  # noqa: ARG002 - part of the protocol
    ) -> Reply:
        """Answer one request; the arguments are those of the protocol.

        Raises:
            ServerUnreachable: after :meth:`close`.
        """
        answer = self._running(method, path).handle(method, path, b"" if json is None else _dumped(json))
        return Reply(answer.status, answer.body, {"content-type": answer.content_type})

    def exchange_values(self, method: str, path: str, json: Mapping[str, Any] | None, timeout: Timeout) -> Reply:
        """The same without base64, and with vectors as arrays; see :class:`ddsim.deepdetect.transport.ValueTransport`.

        Raises:
            ServerUnreachable: after :meth:`close`.
        """
        if json is None or not any(isinstance(one, (bytes, Decoded)) for one in json.get("data", ())):
            return self.exchange(method, path, json, timeout)
        rest = {key: value for key, value in json.items() if key != "data"}
        answer = self._running(method, path).handle(method, path, _dumped(rest), json["data"])
        return Reply(answer.status, answer.body, {"content-type": answer.content_type}, answer.values)

    def _running(self, method: str, path: str) -> Engine:
        if self._engine is None:
            raise ServerUnreachable("the embedded server is closed; make a new one", method=method, path=path)
        return self._engine

    def close(self) -> None:
        """Let go of the engine: its services are gone, as after the end of a real server."""
        self._engine = None


def _dumped(json: Mapping[str, Any]) -> bytes:
    try:
        return orjson.dumps(json)
    except orjson.JSONEncodeError:
        # A name that is not UTF-8: escaped, as clients of the real server send it.
        return stdlib_json.dumps(json).encode()
