"""A connection to a Milvus: made when it is needed, asked again where it fails, its errors in ddsim's words."""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Callable, Mapping
from types import ModuleType
from typing import Any

from tenacity import Retrying, retry_if_exception_type, stop_after_attempt, wait_random_exponential

from ddsim.config import IndexSettings
from ddsim.errors import CapabilityError, DatabaseTrouble, DDSimError, IndexBusy, Unconnectable, install_hint

_TRIES = 4
# A database that is back is met at once: by default all of a process' connections wait up to two minutes.
_OPTIONS = {
    "grpc.use_local_subchannel_pool": 1,
    "grpc.initial_reconnect_backoff_ms": 200,
    "grpc.max_reconnect_backoff_ms": 2000,
}
_MISSING, _NOT_LOADED = 100, 101


class Missing(DDSimError):
    """There is no such collection. Stays in this house."""


def load_pymilvus() -> ModuleType:
    """The database's client, which only those need who keep vectors there.

    Raises:
        CapabilityError: it is not installed.
    """
    try:
        import pymilvus
    except ModuleNotFoundError as error:
        raise CapabilityError(
            f"index.backend milvus needs pymilvus, which is not installed: {install_hint('milvus')}"
        ) from error
    # It logs every failed call with its trace; the errors below say what is to be said.
    logging.getLogger("pymilvus").setLevel(logging.CRITICAL)
    found: ModuleType = pymilvus
    return found


class Link:
    """A way to one database. Any thread may use it.

    Args:
        index: says where it is, and what a search is sure to see.
        sleep: how to wait between tries; tests pass one that does not.

    Raises:
        CapabilityError: pymilvus is not installed.
    """

    def __init__(self, index: IndexSettings, sleep: Callable[[float], None] = time.sleep) -> None:
        self.pymilvus: Any = load_pymilvus()
        self.url = index.url or ""
        self._token = index.token.get_secret_value() if index.token else ""
        self._timeout = index.timeout
        self.consistency = index.consistency.capitalize()
        self._client: Any = None
        self._sleep = sleep
        self._again = Retrying(
            stop=stop_after_attempt(_TRIES),
            wait=wait_random_exponential(multiplier=0.2, max=3.0),
            retry=retry_if_exception_type(DatabaseTrouble),
            reraise=True,
            sleep=sleep,
        )

    def close(self) -> None:
        """Let go of the connection."""
        client, self._client = self._client, None
        if client is not None:
            client.close()

    def ask(self, call: str, name: str, **arguments: Any) -> Any:
        """Make a call, again where the database does not answer."""
        return self._again(self.once, call, name, arguments)

    def once(self, call: str, name: str, arguments: Mapping[str, Any]) -> Any:
        """Make a call, once."""
        import grpc

        try:
            if self._client is None:
                self._client = self.pymilvus.MilvusClient(
                    uri=self.url, token=self._token, timeout=self._timeout, dedicated=True, grpc_options=_OPTIONS
                )
            named = (name,) if name else ()
            return getattr(self._client, call)(*named, **{"timeout": self._timeout, **arguments})
        except (self.pymilvus.MilvusException, grpc.RpcError, grpc.FutureTimeoutError, ValueError) as error:
            raise self._translated(error, call, name) from error

    def _translated(self, error: Exception, call: str, name: str) -> DDSimError:
        words = str(getattr(error, "message", "") or error).splitlines()[0][:300]
        code = getattr(error, "code", None)
        why = f"{words} {error.__cause__ or error.__context__ or ''}"
        if code == _MISSING or "can't find collection" in words or "collection not found" in words:
            return Missing(f"no collection {name!r}")
        if code == _NOT_LOADED:
            return IndexBusy(f"the database makes collection {name!r} ready; try again in a moment")
        if re.search(r"UNAUTHENTICATED|auth check|PERMISSION_DENIED|permission deny", why):
            told = "refuses what index.token gives: correct it" if self._token else "wants a token: write index.token"
            return self._unusable(f"{told}, `user:password` or a key", call, name)
        if "database not found" in why:
            return self._unusable("has no database of the name that ends index.url: correct it", call, name)
        if "UNIMPLEMENTED" in why:
            return self._unusable(f"is none, or one older than 2.3: it does not know {call}", call, name)
        return self.trouble(f"does not answer {call} as it should ({words})", call, name)

    def _unusable(self, what: str, call: str, name: str) -> Unconnectable:
        """What waiting does not help against."""
        return Unconnectable(f"the Milvus at {self.url} {what}", method=call, path=name)

    def trouble(self, what: str, call: str, name: str) -> DatabaseTrouble:
        """What may be over when it is asked again; ``what`` goes on after the database's address."""
        return DatabaseTrouble(
            f"the Milvus at {self.url} {what}: is it running there (19530 is its usual port), by http or https, and "
            "can it be reached from here? What is stored there stays; put that right and try again",
            method=call,
            path=name,
        )
