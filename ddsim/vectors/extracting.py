"""What homes share that keep vectors outside the server: it computes them, and gives them back."""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections.abc import Sequence
from concurrent.futures import Future

from ddsim.catalogue import Manifest
from ddsim.config import Settings
from ddsim.deepdetect import Client, ServiceSpec, Vectors, shared
from ddsim.errors import InvalidRequest, ServiceNotFound
from ddsim.pictures import Encoded, Picture
from ddsim.vectors.ahead import Ahead, requests_to
from ddsim.vectors.base import Among, Hits, Prepared
from ddsim.vectors.memory import Memory
from ddsim.vectors.others import Patience, forgetting
from ddsim.vectors.valid import check_k


class Extracting(ABC):
    """The part of a :class:`ddsim.vectors.Backend` that has features computed and hands them to the home.

    Args:
        client: the server.
        settings: the similarity service and the metric.
        manifest: what is to be in the index.
        patience: how long to wait for what is gone.
    """

    def __init__(self, client: Client, settings: Settings, manifest: Manifest, patience: Patience | None) -> None:
        self._client = client
        self._settings = settings
        self._spec = local_spec(settings)
        self._service = self._spec.name
        self._layer = settings.similarity.extract_layer
        self._metric = settings.index.metric
        self._manifest = manifest
        self._patience = patience or Patience()
        self._lock = threading.RLock()
        self._writing = False
        self._requests = requests_to(client)
        self._ahead = Ahead(self._asked, self._requests)
        self._memory: Memory | None = None

    @abstractmethod
    def _ensure(self, *, anew: bool = False) -> int:
        """Have the service, with the network of the vectors that are kept; the length of its vectors."""

    @abstractmethod
    def _put(self, vids: Sequence[int], vectors: Vectors) -> None:
        """Keep rows, and note in the manifest that they were added."""

    @abstractmethod
    def _found(self, features: Vectors, k: int, among: Among) -> list[Hits]:
        """The items nearest to what the service gave, shape (n, d), of at least one picture."""

    @property
    def looks_ahead(self) -> int:
        """As many as there are requests under way beside the next one; none where there may be one at a time only."""
        return self._requests - 1

    def foresee(self, pictures: Sequence[Encoded]) -> Future[Vectors]:
        """Ask for their features."""
        return self._ahead.foresee(pictures)

    def add(self, batch: Sequence[Prepared]) -> Vectors:
        """Add pictures."""
        with self._lock:
            vectors = self._ahead.take([one.picture for one in batch])
            self._put([one.vid for one in batch], vectors)
            if self._memory is not None:
                hashed = zip(batch, vectors, strict=True)
                self._memory.keep({one.sha256: vector for one, vector in hashed if one.sha256 is not None})
        return vectors

    def known(self, sha256: str) -> Vectors | None:
        """The vector of a picture with this content, computed before under whatever name, or for an evaluation."""
        memory = self._memory
        return None if memory is None else memory.recall(sha256)

    def add_known(self, vids: Sequence[int], vectors: Vectors) -> None:
        """Add rows whose vectors :meth:`known` gave."""
        with self._lock:
            self._put(vids, vectors)

    def search(self, pictures: Sequence[Picture], k: int, among: Among = None) -> list[Hits]:
        """Find the nearest items."""
        check_k(k)
        features = self._extract(pictures)
        return self._found(features, k, among) if len(features) else []

    def close(self) -> None:
        """Let go of what is under way, and of what was computed before."""
        self._ahead.close()
        with self._lock:
            if self._memory is not None:
                self._memory.close()
                self._memory = None

    def _ensured(self, *, anew: bool = False) -> int:
        """As :meth:`_ensure`, for whoever has the time to wait for the server."""
        return self._patience.outlast(self._client, self._service, lambda: self._ensure(anew=anew))

    def _asked(self, pictures: Sequence[Picture]) -> Vectors:
        with forgetting(self._client, self._service):
            return self._client.extract(self._service, pictures, layer=self._layer)

    def _extract(self, pictures: Sequence[Picture]) -> Vectors:
        try:
            return self._client.extract(self._service, pictures, layer=self._layer)
        except ServiceNotFound:
            # A server that was restarted has forgotten it. One thread creates it, the others find it there.
            with self._lock:
                self._ensure()
            return self._client.extract(self._service, pictures, layer=self._layer)


def check_length(vectors: Vectors, dimension: int) -> None:
    """Make sure that vectors somebody searches for are such as the index has.

    Raises:
        InvalidRequest: they are not of the shape (n, dimension).
    """
    if vectors.ndim != 2 or vectors.shape[1] != dimension:
        raise InvalidRequest(
            f"vectors of {vectors.shape[-1]} values cannot be searched for: those of the index have {dimension}, as "
            "the network gives them"
        )


def local_spec(settings: Settings) -> ServiceSpec:
    """The service that computes the vectors; all who agree on it share it."""
    spec = shared(settings.similarity_spec())
    if not (spec.definition and spec.weights):
        return spec  # the network lies in the folder
    # No two similarity services may have the same one (recordings/wire/30-sim-two-services-same-repository).
    return spec.model_copy(
        update={"repository": f"{spec.repository.rstrip('/')}/{spec.name}", "create_repository": True}
    )
