"""What a client remembers of each service, so that no call it makes can kill the server or mix up an index.

The rules come from tests/contract/recordings: the files named below end in a dead server, a wrong answer, or both.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Literal

from ddsim.deepdetect.described import ServiceInfo
from ddsim.deepdetect.steps import Lock
from ddsim.errors import BadParameter, InvalidRequest, InvalidResponse, ServerFault, UnsafeCall

# What a search says that finds a row whose name is not there: of reading it, or of the connection that read it before.
_NAMELESS = ("bad_alloc", "_M_range_check", "db_lmdb")


@dataclass
class Guard:
    """One service as one client knows it. Hold ``lock`` around each call that its index takes part in.

    Attributes:
        name: the service.
        lock: held around predictions. A Caffe service works on one call at a time anyway; on Torch,
            index and search are not synchronised by the server.
        info: what the server said of the service, None until asked.
        stale: whether the service may be another one since; it is asked about again before the next use.
        layer: the layer that the index is made of, None until its first use.
        dimension: the length of its vectors, None until seen.
        repository: where that index lies; its files outlive the service.
        unbuilt: whether something may be indexed and not built.
        engine: whether the server has loaded the service's index; ``broken`` after a failure at the first use.
        proven: layers whose features have been had: calls for them need not wait for one another.
        together: whether pictures may go through a Torch network together when features are asked for; None until seen,
            and then nothing goes to an index so. Torch before v0.29 mixes their features up.
    """

    name: str
    lock: Lock = field(default_factory=threading.RLock)
    info: ServiceInfo | None = None
    stale: bool = False
    layer: str | None = None
    dimension: int | None = None
    repository: str | None = None
    unbuilt: bool = False
    engine: Literal["unknown", "loaded", "broken"] = "unknown"
    together: bool | None = None
    proven: set[str] = field(default_factory=set)

    def forget(self, *, index_too: bool = False) -> None:
        """Start anew: the service was created, deleted, or lost in a restart.

        Args:
            index_too: the files of its index are gone with it; else the next service on that repository loads them.
        """
        # info itself stays: another thread may be looking at it.
        self.stale = True
        if index_too:
            self.layer = self.dimension = self.repository = None
        self.unbuilt = False
        self.engine = "unknown"
        self.together = None
        self.proven.clear()

    def doubt(self) -> None:
        """No answer came: perhaps the server is being replaced. What is unbuilt or broken may still be so."""
        self.stale = True
        self.proven.clear()
        if self.engine == "loaded":
            self.engine = "unknown"

    def failed(self, error: ServerFault, *, searching: bool) -> None:
        """Draw the conclusion from a server's fault at a call to the index."""
        # A proxy's 502 to 504 says nothing of the server.
        if error.status != 500 or self.engine != "unknown":
            return
        # A search that meets a row without a name fails as well (23, 47b), but with an index that is loaded: once
        # others have built, it answers. The words only let a call through here, they forbid none.
        if not (searching and any(word in error.dd_msg for word in _NAMELESS)):
            self.engine = "broken"

    def built_by_others(self) -> None:
        """Use the index again: a build that went well since shows that the server has it."""
        if self.engine == "broken":
            self.engine = "unknown"

    def seen(self, info: ServiceInfo) -> None:
        """Note what the server says of the service now."""
        # ddsim's description holds a word drawn at each creation, so that a service made anew can be told.
        if self.engine == "broken" and self.info is not None and info.description != self.info.description:
            self.forget()
            self.stale = False
        self.info = info

    @property
    def is_torch(self) -> bool:
        """Whether the service runs on Torch."""
        return self.info is not None and self.info.mllib == "torch"

    def check_features(self) -> None:
        """Refuse features from a service that has none.

        Raises:
            InvalidRequest: it is a Caffe service of type supervised, which gives none.
        """
        if self.info and self.info.type == "supervised" and not self.is_torch:
            raise InvalidRequest(
                f"service {self.name!r} classifies and gives no features: use a service of type 'unsupervised'"
            )

    def check_index(self, layer: str) -> None:
        """Refuse a call to the service's index that would be unsafe.

        Raises:
            UnsafeCall: the service is of type supervised (29: the server dies), its index is made of another layer (39:
                wrong distances for good), or its index failed to load (46, 47: the server dies at the next call).
        """
        if self.info and self.info.type == "supervised" and not self.is_torch:
            raise UnsafeCall(
                f"service {self.name!r} classifies: a server dies of a search there; use a similarity service"
            )
        if self.layer is not None and layer != self.layer and self.is_same_index():
            raise UnsafeCall(
                f"the index of service {self.name!r} is made of layer {self.layer!r}, not {layer!r}: "
                "use another service with a repository of its own for another layer"
            )
        if self.engine == "broken":
            raise UnsafeCall(
                f"the index of service {self.name!r} failed to load and the server may die of the next use: "
                "delete the service, repair or remove its index files, and create it again"
            )

    def check_search(self, layer: str) -> None:
        """As :meth:`check_index`, and refuse to search what is not built.

        Raises:
            UnsafeCall: something was indexed and not built, or may have been (23, 24: 500 or worse).
        """
        self.check_index(layer)
        if self.unbuilt:
            raise UnsafeCall(
                f"service {self.name!r} holds pictures that are indexed and not built: "
                "add something with build=True before searching"
            )

    @contextmanager
    def claimed(self, layer: str) -> Iterator[None]:
        """Note which layer the index is made of, around a call to it.

        The first call decides that for good, a search of an empty index as well, and also one whose answer is lost.
        """
        before = self.layer, self.dimension, self.repository
        if not self.is_same_index():
            self.dimension = None
        self.layer, self.repository = layer, self.info.repository if self.info else None
        try:
            yield
        except BadParameter:
            # Refused before the index was reached: there may be no such layer.
            self.layer, self.dimension, self.repository = before
            raise

    def used(self, dimension: int) -> None:
        """Note a successful use of the index.

        Raises:
            InvalidResponse: the vectors have another length than before.
        """
        self.engine = "loaded"
        if self.dimension not in (None, dimension):
            raise InvalidResponse(
                f"service {self.name!r} now gives vectors of {dimension} values, its index holds {self.dimension}: "
                "it was replaced under the same name; index anew in a repository of its own"
            )
        self.dimension = dimension

    def is_same_index(self) -> bool:
        """Whether the service still has the index that ``layer`` and ``dimension`` are those of."""
        return self.info is None or self.info.repository == self.repository
