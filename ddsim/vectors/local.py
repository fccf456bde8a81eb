"""Vectors kept by ddsim itself, in a folder beside the manifest.

The server only computes vectors, so any server will do. What a checkpoint costs depends on what came since the last one
alone (:mod:`ddsim.vectors.store`), and what is on disk is always that of some build. Rows that are not valid any more
are found by nobody, and leave the disk when their segment is written again.

It holds vectors as the network gave them (for ``cosine`` at length 1, the lengths beside). What the settings do to
them before they are compared is learned from them, see :class:`ddsim.vectors.space.Space`; under other such settings,
and another metric, nothing is sent again.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Sequence
from dataclasses import replace

import numpy as np

from ddsim.catalogue import ItemState, Manifest
from ddsim.config import Settings
from ddsim.deepdetect import Client, Vectors, ensure
from ddsim.errors import ManifestBusy, StateNotWritable
from ddsim.vectors.base import Among, Hits
from ddsim.vectors.canary import canary_of, check_network
from ddsim.vectors.exact import load_faiss
from ddsim.vectors.extracting import Extracting, check_length
from ddsim.vectors.keeping import discard, folder_of
from ddsim.vectors.localkeeping import Keeping
from ddsim.vectors.memory import Memory
from ddsim.vectors.others import Patience, forgetting, owner_of
from ddsim.vectors.space import Space
from ddsim.vectors.valid import Ranking, scorer_of, search_valid

_log = logging.getLogger(__name__)


class LocalBackend(Extracting):
    """Keeps vectors here and has the server compute them; implements :class:`ddsim.vectors.Backend`.

    Distances are exact: those between vectors as they are compared, where the settings normalise or reduce them.

    Args:
        client: the server.
        settings: the similarity service and the metric.
        manifest: what is to be in the index; the file lies in its folder.
        patience: how long to wait for a server that is gone.
    """

    def __init__(
        self, client: Client, settings: Settings, manifest: Manifest, patience: Patience | None = None
    ) -> None:
        super().__init__(client, settings, manifest, patience)
        self._keeping = Keeping(settings, manifest, self._service)

    @property
    def home(self) -> str:
        """Which kind of index this is."""
        return self._keeping.home

    # As the protocol says

    def open(self, *, writing: bool) -> None:
        """Bring service, file and manifest into step."""
        load_faiss()
        with self._lock:
            self._writing = writing
            if writing:
                self._client.info()  # only a server that was there is waited for when it ends
            dimension = self._ensured() if writing else self._ensure()
            self._keeping.load(dimension)
            if writing:
                self._keeping.bring_into_step()
                self._memory = Memory.of(self._settings, self._manifest)
            elif self._keeping.is_behind():
                # Or a run has saved meanwhile; the file is read once more when nobody can replace it.
                try:
                    with self._manifest.writing(brief=True):
                        self._keeping.load(dimension)
                        self._keeping.bring_into_step()
                except StateNotWritable as error:
                    _log.info("what is not in step stays so: %s", error)
                except ManifestBusy:
                    _log.info("a run is at work: what it adds is found when it has saved it")

    def build(self) -> None:
        """Write what came since the last time."""
        with self._lock:
            if self._index.unsaved:
                self._keeping.save()
            self._manifest.indexed()
            self._keeping.renew()

    def recover(self) -> None:
        """Wait for the server; nothing that was added is lost."""
        with self._lock:
            self._ahead.drop()
            self._patience.wait_for(self._client, self._service)
            self._manifest.requeue(ItemState.SENDING)
            self._keeping.check_dimension(self._ensured())

    def remove(self, vids: Collection[int]) -> None:
        """Remove rows, and note on disk that they are gone."""
        with self._lock:
            if self._index.remove(np.array(sorted(vids), np.int64)):
                self._keeping.save()
                self._keeping.renew()

    def _found(self, features: Vectors, k: int, among: Among) -> list[Hits]:
        with self._lock:
            self._refresh(features.shape[1])
            self._keeping.check_dimension(features.shape[1])
            return self._nearest_now(features, k, among)

    def search_vectors(self, vectors: Vectors, k: int, among: Among = None) -> list[Hits]:
        """Find the items nearest to vectors."""
        with self._lock:
            self._refresh(self._index.dimension)
            check_length(vectors, self._index.dimension)
            return self._nearest_now(vectors, k, among)

    def _nearest_now(self, queries: Vectors, k: int, among: Among) -> list[Hits]:
        """As :meth:`_nearest`, of vectors and names that belong together.

        A rebuild replaces both at one moment, which may come between the look at the one and at the other.
        """
        while True:
            folder = folder_of(self._manifest)
            self._refresh(self._index.dimension)
            found = self._nearest(queries, k, among)
            if self._writing or folder_of(self._manifest) == folder:
                return found

    def _refresh(self, dimension: int) -> None:
        """Read the files again where a run has replaced them."""
        if not self._writing:
            self._keeping.refresh(dimension)

    def _nearest(self, queries: Vectors, k: int, among: Among) -> list[Hits]:
        compared = self._index.compared(queries)

        def ask(positions: list[int], wide: int) -> list[Ranking]:
            return [
                Ranking(queries[place], self._index.nearest(compared[place], wide), compared[place])
                for place in positions
            ]

        def within(place: int, only: Collection[str], wide: int) -> Ranking:
            rows = self._index.nearest(
                compared[place], wide, self._keeping.members_of(frozenset(only), anew=self._writing)
            )
            return Ranking(queries[place], rows, compared[place])

        found = search_valid(ask, self._manifest, scorer_of(self._metric), len(queries), k, among, within=within)
        return [self._completed(hits) for hits in found]

    def _completed(self, hits: Hits) -> Hits:
        """With how far the first is apart, where vectors are not compared as they are."""
        return replace(hits, apart=self._index.apart(hits.vector, hits.found[0].vid)) if hits.found else hits

    def stored(self) -> int:
        """How many vectors there are."""
        with self._lock:
            return len(self._index)

    def tombstone_share(self) -> float:
        """The share of them that is not valid: none, once what is not valid was removed."""
        with self._lock:
            stored = len(self._index)
            return float(np.setdiff1d(self._index.vids, self._keeping.valid()).size / stored) if stored else 0.0

    def rebuild(self) -> None:
        """Start with an empty index, in a folder of its own."""
        with self._lock:
            self._writing = True
            self._keeping.begin_anew(self._ensured(anew=True))
            self._memory = Memory.of(self._settings, self._manifest, recalling=False)

    def discard(self) -> None:
        """Remove the files."""
        discard(self._manifest)

    def settle(self) -> None:
        """Merge what was saved, and build what searches many vectors quickly."""
        with self._lock:
            self._keeping.settle()

    def close(self) -> None:
        """Let go of the vectors in memory."""
        super().close()
        with self._lock:
            self._keeping.close()

    def vectors_of(self, vids: Sequence[int]) -> Vectors:
        """The vectors of these numbers as they are compared; see :meth:`ddsim.vectors.space.Space.compared_rows`."""
        with self._lock:
            self._refresh(self._index.dimension)
            return self._index.compared_rows(vids)

    def features_of(self, vids: Sequence[int]) -> Vectors:
        """The vectors of these numbers as the network gave them."""
        with self._lock:
            self._refresh(self._index.dimension)
            return self._index.added_rows(vids)

    @property
    def _index(self) -> Space:
        return self._keeping.index

    # Service and vectors

    def _ensure(self, *, anew: bool = False) -> int:
        """Have the service, with the network of the vectors that are kept; the length of its vectors."""
        owner = owner_of(self._settings, self._manifest)
        with forgetting(self._client, self._service):
            # Whoever agrees on it shares it; the owner is who made it.
            kept = None if anew else canary_of(self._manifest)
            ensured = ensure(self._client, self._spec, layer=self._layer, owner=owner, canary=kept)
            check_network(self._client, self._settings, self._manifest, ensured, noting=self._writing, anew=anew)
        return ensured.dimension or 0

    def _put(self, vids: Sequence[int], vectors: Vectors) -> None:
        self._keeping.check_dimension(vectors.shape[1])
        self._index.add(np.array(vids, np.int64), vectors)
        self._manifest.added(vids)
