"""What a client remembers of each service, so that no call it makes can kill the server or mix up an index.

The rules come from tests/contract/recordings: the files named below end in a dead server, a wrong answer, or both.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import Literal

from ddsim.errors import InvalidRequest, InvalidResponse, UnsafeCall
from ddsim.wire import ServiceInfo


@dataclass
class Guard:
    """One service as one client knows it. Hold ``lock`` around each call that its index takes part in.

    Attributes:
        name: the service.
        lock: held around predictions. A Caffe service works on one call at a time anyway (recording 50); on Torch,
            index and search are not synchronised by the server.
        info: what the server said of the service, None until asked.
        layer: the layer that this service's index is made of, None until its first use.
        dimension: the length of its vectors, None until seen.
        unbuilt: whether something may be indexed and not built.
        engine: whether the server has loaded the service's index; ``broken`` after a failure at the first use.
    """

    name: str
    lock: threading.RLock = field(default_factory=threading.RLock)
    info: ServiceInfo | None = None
    layer: str | None = None
    dimension: int | None = None
    unbuilt: bool = False
    engine: Literal["unknown", "loaded", "broken"] = "unknown"

    def forget(self) -> None:
        """Start anew: the service was created, deleted, or lost in a restart."""
        self.info = self.layer = self.dimension = None
        self.unbuilt = False
        self.engine = "unknown"

    @property
    def is_torch(self) -> bool:
        """Whether the service runs on Torch."""
        return self.info is not None and self.info.mllib == "torch"

    def check_features(self) -> None:
        """Refuse features from a service that has none.

        Raises:
            InvalidRequest: a Caffe service of type supervised answers 500 (recordings 08, 20).
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
        if self.layer is not None and layer != self.layer:
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

    def used(self, layer: str, dimension: int) -> None:
        """Note a successful use of the index.

        Raises:
            InvalidResponse: the vectors have another length than before.
        """
        self.engine = "loaded"
        self.layer = layer
        if self.dimension not in (None, dimension):
            raise InvalidResponse(
                f"service {self.name!r} now gives vectors of {dimension} values, its index holds {self.dimension}: "
                "it was replaced under the same name; index anew in a repository of its own"
            )
        self.dimension = dimension
