"""Vectors kept by ddsim itself, in a FAISS index in memory and one file beside the manifest.

The server only computes vectors, so any server will do. Every row bears its vid; rows that are not valid any more are
really removed. The file is replaced as a whole, so it is always that of some build.
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Collection, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ddsim.client import Client
from ddsim.errors import CapabilityError, InvalidRequest, InvalidResponse, ManifestBusy, ServiceNotFound
from ddsim.images import Picture
from ddsim.manifest import ItemState, Manifest
from ddsim.results import Vectors, similarity_score
from ddsim.services import ensure
from ddsim.settings import Settings
from ddsim.vectors.base import HOME, Hits, Patience, Prepared, Ranking, forgetting, search_valid
from ddsim.vectors.vectorfile import Damaged, read, write

_log = logging.getLogger(__name__)

FILE = "vectors.npz"
Vids = NDArray[np.int64]


class LocalBackend:
    """Keeps vectors here and has the server compute them; implements :class:`ddsim.vectors.Backend`.

    Distances are exact. With ``cosine`` the vectors are kept at length 1.

    Args:
        client: the server.
        settings: the similarity service and the metric.
        manifest: what is to be in the index; the file lies in its folder.
        patience: how long to wait for a server that is gone.
    """

    def __init__(
        self, client: Client, settings: Settings, manifest: Manifest, patience: Patience | None = None
    ) -> None:
        self._client = client
        self._settings = settings
        self._similarity = settings.similarity
        self._metric = settings.index.metric
        self._manifest = manifest
        self._patience = patience or Patience()
        self._file = manifest.folder / FILE
        folder = str(manifest.folder.absolute()).encode("utf-8", "backslashreplace").decode()
        self._owner = f"{settings.name} {folder}"
        self._lock = threading.RLock()
        self._writing = False
        self._index: Any = None
        self._unsaved = False
        self._seen: object = None

    @property
    def home(self) -> str:
        """Which kind of index this is."""
        return f"local {self._metric}"

    # As the protocol says.

    def open(self, *, writing: bool) -> None:
        """Bring service, file and manifest into step."""
        _faiss()
        with self._lock:
            self._writing = writing
            dimension = self._ensure()
            # Before the file: a run that is at work may replace it, and never notes what the file does not hold.
            valid = self._valid()
            self._load(dimension)
            if writing:
                self._bring_into_step()
            elif np.setdiff1d(valid, self._vids()).size or self._manifest.counts()[ItemState.SENDING]:
                try:
                    with self._manifest.writing():
                        self._load(dimension)
                        self._bring_into_step()
                except ManifestBusy:
                    _log.info("a run is at work: what it adds is found when it has saved it")

    def add(self, batch: Sequence[Prepared], *, build: bool) -> Vectors:
        """Add pictures."""
        with self._lock:
            with forgetting(self._similarity.service):
                vectors = self._client.extract(
                    self._similarity.service, [one.picture for one in batch], layer=self._similarity.extract_layer
                )
            self._check_dimension(vectors.shape[1])
            vids = np.array([one.vid for one in batch], np.int64)
            self._index.add_with_ids(self._as_kept(vectors), vids)
            self._unsaved = True
            self._manifest.added([one.vid for one in batch])
            if build:
                self.build()
        return vectors

    def build(self) -> None:
        """Write the file."""
        with self._lock:
            if self._unsaved:
                self._save()
            self._manifest.indexed()

    def recover(self) -> None:
        """Wait for the server; nothing that was added is lost."""
        with self._lock:
            self._patience.wait_for(self._client, self._similarity.service)
            self._manifest.requeue(ItemState.SENDING)
            self._check_dimension(self._ensure())

    def remove(self, vids: Collection[int]) -> None:
        """Remove rows, from the file too."""
        with self._lock:
            if self._drop(np.array(sorted(vids), np.int64)):
                self._save()

    def search(self, pictures: Sequence[Picture], k: int, category: str | None = None) -> list[Hits]:
        """Find the nearest items."""
        if k < 1:
            raise InvalidRequest(f"k={k} must be 1 or more")
        queries = self._extract(pictures)
        if not len(queries):
            return []

        def ask(positions: list[int], wide: int) -> list[Ranking]:
            return [Ranking(queries[position], self._nearest(queries[position], wide)) for position in positions]

        with self._lock:
            self._check_dimension(queries.shape[1])
            if not self._writing and self._seen != _signature(self._file):
                self._load(queries.shape[1])
            return search_valid(ask, self._manifest.resolve, self._score, len(queries), k, category)

    def stored(self) -> int:
        """How many vectors there are."""
        with self._lock:
            return int(self._index.ntotal) if self._index is not None else 0

    def tombstone_share(self) -> float:
        """The share of them that is not valid: nothing, once what is not valid was removed."""
        with self._lock:
            stored = self.stored()
            return float(np.setdiff1d(self._vids(), self._valid()).size / stored) if stored else 0.0

    def rebuild(self) -> None:
        """Start with an empty index."""
        _faiss()
        with self._lock:
            self._writing = True
            dimension = self._ensure()
            self._manifest.requeue(ItemState.SENDING, ItemState.ADDED, ItemState.INDEXED, facts={HOME: self.home})
            self._index = self._empty(dimension)
            self._save()

    def close(self) -> None:
        """Let go of the vectors in memory."""
        with self._lock:
            self._index = None

    def get_vectors(self, vids: Sequence[int]) -> Vectors:
        """The kept vectors of these numbers, float32, shape (n, d).

        Raises:
            InvalidRequest: one of them is not there.
        """
        with self._lock:
            rows = {int(vid): row for row, vid in enumerate(self._vids())}
            missing = [vid for vid in vids if vid not in rows]
            if missing:
                raise InvalidRequest(f"no vector of number {missing[0]} in {self._file}")
            return self._matrix()[[rows[vid] for vid in vids]]

    # Service and vectors.

    def _ensure(self) -> int:
        """Have the service; the length of its vectors."""
        with forgetting(self._similarity.service):
            ensured = ensure(
                self._client,
                self._settings.similarity_spec(),
                layer=self._similarity.extract_layer,
                owner=self._owner,
                replace_own=True,
            )
        return ensured.dimension or 0

    def _extract(self, pictures: Sequence[Picture]) -> Vectors:
        layer, service = self._similarity.extract_layer, self._similarity.service
        try:
            return self._client.extract(service, pictures, layer=layer)
        except ServiceNotFound:
            # A server that was restarted has forgotten it.
            self._ensure()
            return self._client.extract(service, pictures, layer=layer)

    def _check_dimension(self, dimension: int) -> None:
        if dimension != self._index.d:
            raise InvalidResponse(
                f"service {self._similarity.service!r} gives vectors of {dimension} values, {self._file} holds "
                f"{self._index.d}: the network's files were replaced; run `ddsim index --rebuild`, which sends every "
                "picture again"
            )

    def _as_kept(self, vectors: Vectors) -> Vectors:
        if self._metric == "l2":
            return np.ascontiguousarray(vectors, np.float32)
        lengths = np.linalg.norm(vectors.astype(np.float64), axis=1, keepdims=True)
        # A vector of nothing but zeros has no direction, and is at a right angle to all others.
        unit: Vectors = np.zeros_like(vectors, np.float32)
        np.divide(vectors, lengths, out=unit, where=lengths > 0, casting="same_kind")
        return unit

    def _score(self, distance: float, vector: Vectors) -> float:
        return similarity_score(distance, vector) if self._metric == "l2" else min(1.0, max(0.0, 1.0 - distance))

    # The index in memory.

    def _empty(self, dimension: int) -> Any:
        faiss: Any = _faiss()
        flat = faiss.IndexFlatL2(dimension) if self._metric == "l2" else faiss.IndexFlatIP(dimension)
        return faiss.IndexIDMap2(flat)

    def _vids(self) -> Vids:
        found: Vids = _faiss().vector_to_array(self._index.id_map)
        return found

    def _matrix(self) -> Vectors:
        """All rows, as they lie in FAISS' memory: not to be kept."""
        faiss: Any = _faiss()
        rows, dimension = self._index.ntotal, self._index.d
        if not rows:
            return np.zeros((0, dimension), np.float32)
        flat = faiss.downcast_index(self._index.index)
        matrix: Vectors = faiss.rev_swig_ptr(flat.get_xb(), rows * dimension).reshape(rows, dimension)
        return matrix

    def _drop(self, vids: Vids) -> int:
        return int(self._index.remove_ids(vids)) if vids.size else 0

    def _nearest(self, query: Vectors, wide: int) -> list[tuple[int, float]]:
        if not self._index.ntotal:
            return []
        # One at a time: for many at once FAISS computes L2 in a way that loses digits.
        values, vids = self._index.search(self._as_kept(query[np.newaxis]), min(wide, self._index.ntotal))
        distances = values[0] / self._index.d if self._metric == "l2" else np.maximum(0.0, 1.0 - values[0])
        return [(int(vid), float(distance)) for vid, distance in zip(vids[0], distances, strict=True) if vid >= 0]

    # The file.

    def _valid(self) -> Vids:
        return np.fromiter(self._manifest.vids(), np.int64)

    def _load(self, dimension: int) -> None:
        """Read the file; one that is damaged counts as none."""
        self._seen = _signature(self._file)
        index: Any = None
        try:
            for vids, rows in read(self._file, self._metric):
                index = self._empty(rows.shape[1]) if index is None else index
                index.add_with_ids(rows, vids)
        except Damaged as error:
            _log.warning("%s cannot be used, it is %s: its pictures have to be sent again", self._file, error)
            index = None
        self._index = self._empty(dimension) if index is None else index
        self._check_dimension(dimension)

    def _bring_into_step(self) -> None:
        """The caller holds the right to write."""
        manifest = self._manifest
        manifest.set_meta(**{HOME: self.home})
        manifest.requeue(ItemState.SENDING)
        vids = self._vids()
        lost = manifest.lost(np.setdiff1d(self._valid(), vids).tolist())
        if lost:
            _log.warning("%d pictures were not saved when the last run ended, and have to be sent again", lost)
        manifest.indexed()  # the last use ended between the file and its note
        self._unsaved = self._drop(np.setdiff1d(vids, self._valid())) > 0

    def _save(self) -> None:
        write(self._file, self._metric, self._vids(), self._matrix())
        self._unsaved = False
        self._seen = _signature(self._file)


def _signature(path: Path) -> object:
    """Differs when the file was replaced."""
    try:
        status = os.stat(path)
    except OSError:
        return None
    return status.st_ino, status.st_mtime_ns, status.st_size


def _faiss() -> ModuleType:
    try:
        import faiss
    except ModuleNotFoundError as error:
        raise CapabilityError(
            "index.backend local needs FAISS, which is not installed: pip install 'ddsim[local]'"
        ) from error
    return faiss
