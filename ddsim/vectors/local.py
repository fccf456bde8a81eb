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
from collections.abc import Callable, Collection, Sequence
from dataclasses import replace

import numpy as np

from ddsim.catalogue import ItemState, Manifest
from ddsim.config import Settings
from ddsim.deepdetect import Client, Vectors, closeness_by, ensure
from ddsim.errors import InvalidRequest, InvalidResponse, ManifestBusy, StateNotWritable
from ddsim.pictures import Picture
from ddsim.vectors.base import HOME, Among, Hits, Patience, Ranking, forgetting, owner_of, search_valid
from ddsim.vectors.canary import canary_of, check_network
from ddsim.vectors.exact import Vids, load_faiss
from ddsim.vectors.extracting import Extracting
from ddsim.vectors.files import Damaged, signature
from ddsim.vectors.keeping import (
    OLDER,
    VECTORS,
    discard,
    folder_of,
    forget_older,
    new_name,
    older_parts,
    restore,
    take_learned,
    tidy,
)
from ddsim.vectors.listing import listed_in
from ddsim.vectors.memory import Memory
from ddsim.vectors.space import Space, signatures
from ddsim.vectors.table import members
from ddsim.vectors.transform import Recipe

_log = logging.getLogger(__name__)

#: What the manifest's meta calls the approximate index; see :class:`ddsim.vectors.approximate.Built`.
APPROXIMATE = "approximate"
#: What the manifest's meta calls :attr:`ddsim.vectors.space.Space.described`.
COMPARED = "compared"


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
        self._recipe = Recipe.of(settings.index)
        self._older = manifest.folder / OLDER
        self._members: dict[frozenset[str], Vids] = {}
        self._loaded: Space | None = None
        self._seen: object = None

    @property
    def home(self) -> str:
        """Which kind of index this is."""
        return f"local {self._metric}"

    # As the protocol says

    def open(self, *, writing: bool) -> None:
        """Bring service, file and manifest into step."""
        load_faiss()
        with self._lock:
            self._writing = writing
            if writing:
                self._client.info()  # only a server that was there is waited for when it ends
            dimension = self._ensured() if writing else self._ensure()
            self._load(dimension)
            if writing:
                self._bring_into_step()
                self._memory = Memory.of(self._settings, self._manifest)
            elif self._is_behind():
                # Or a run has saved meanwhile; the file is read once more when nobody can replace it.
                try:
                    with self._manifest.writing():
                        self._load(dimension)
                        self._bring_into_step()
                except StateNotWritable as error:
                    _log.info("what is not in step stays so: %s", error)
                except ManifestBusy:
                    _log.info("a run is at work: what it adds is found when it has saved it")

    def build(self) -> None:
        """Write what came since the last time."""
        with self._lock:
            if self._index.unsaved:
                self._save()
            self._manifest.indexed()
            self._renew()

    def recover(self) -> None:
        """Wait for the server; nothing that was added is lost."""
        with self._lock:
            self._ahead.drop()
            self._patience.wait_for(self._client, self._service)
            self._manifest.requeue(ItemState.SENDING)
            self._check_dimension(self._ensured())

    def remove(self, vids: Collection[int]) -> None:
        """Remove rows, and note on disk that they are gone."""
        with self._lock:
            if self._index.remove(np.array(sorted(vids), np.int64)):
                self._save()
                self._renew()

    def search(self, pictures: Sequence[Picture], k: int, among: Among = None) -> list[Hits]:
        """Find the nearest items."""
        if k < 1:
            raise InvalidRequest(f"k={k} must be 1 or more")
        queries = self._extract(pictures)
        if not len(queries):
            return []
        with self._lock:
            self._refresh(queries.shape[1])
            self._check_dimension(queries.shape[1])
            return self._nearest_now(queries, k, among)

    def search_vectors(self, vectors: Vectors, k: int, among: Among = None) -> list[Hits]:
        """Find the items nearest to vectors."""
        with self._lock:
            self._refresh(self._index.dimension)
            if vectors.ndim != 2 or vectors.shape[1] != self._index.dimension:
                raise InvalidRequest(
                    f"vectors of {vectors.shape[-1]} values cannot be searched for: those of the index have "
                    f"{self._index.dimension}, as the network gives them"
                )
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
        if not self._writing and self._seen != self._signature():
            self._load(dimension)

    def _nearest(self, queries: Vectors, k: int, among: Among) -> list[Hits]:
        compared = self._index.compared(queries)

        def ask(positions: list[int], wide: int) -> list[Ranking]:
            return [
                Ranking(queries[place], self._index.nearest(compared[place], wide), compared[place])
                for place in positions
            ]

        def within(place: int, only: Collection[str], wide: int) -> Ranking:
            rows = self._index.nearest(compared[place], wide, self._members_of(frozenset(only)))
            return Ranking(queries[place], rows, compared[place])

        found = search_valid(ask, self._manifest, self._scorer, len(queries), k, among, within=within)
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
            return float(np.setdiff1d(self._index.vids, self._valid()).size / stored) if stored else 0.0

    def rebuild(self) -> None:
        """Start with an empty index, in a folder of its own."""
        with self._lock:
            self._writing = True
            name = new_name()
            self._loaded = self._empty(self._ensured(anew=True), name)
            self._loaded.prepare()
            facts = {VECTORS: name, APPROXIMATE: None, **self._facts()}
            self._manifest.requeue(ItemState.SENDING, ItemState.ADDED, ItemState.INDEXED, facts=facts)
            forget_older(self._manifest.folder)
            tidy(self._manifest)
            self._seen = self._signature()
            self._memory = Memory.of(self._settings, self._manifest, recalling=False)

    def discard(self) -> None:
        """Remove the files."""
        discard(self._manifest)

    def settle(self) -> None:
        """Merge what was saved, and build what searches many vectors quickly."""
        with self._lock:
            built = self._index.settle(approximate=self._settings.index.approximate == "auto")
            if built != self._manifest.get_meta(APPROXIMATE):
                self._manifest.set_meta(**{APPROXIMATE: built})
            self._seen = self._signature()

    def close(self) -> None:
        """Let go of the vectors in memory."""
        self._ahead.close()
        with self._lock:
            if self._loaded is not None:
                self._loaded.close()
            self._loaded = None
            if self._memory is not None:
                self._memory.close()
                self._memory = None

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
        self._check_dimension(vectors.shape[1])
        self._index.add(np.array(vids, np.int64), vectors)
        self._manifest.added(vids)

    def _check_dimension(self, dimension: int) -> None:
        if dimension != self._index.dimension:
            raise InvalidResponse(
                f"service {self._service!r} gives vectors of {dimension} values, {self._manifest.folder} holds "
                f"{self._index.dimension}: the network's files were replaced; run `ddsim index --rebuild`, which "
                "sends every picture again"
            )

    def _scorer(self, vector: Vectors) -> Callable[[float], float]:
        return closeness_by(vector) if self._metric == "l2" else lambda far: min(1.0, max(0.0, 1.0 - far))

    # Index and files

    @property
    def _index(self) -> Space:
        if self._loaded is None:
            raise InvalidRequest("this index of vectors is closed, or was not opened: call open() first")
        return self._loaded

    def _valid(self) -> Vids:
        return np.fromiter(self._manifest.vids(), np.int64)

    def _members_of(self, categories: frozenset[str]) -> Vids:
        """The numbers of items of these categories. A run adds some all the time, so it asks each time."""
        if self._writing:
            self._members.clear()
        if categories not in self._members:
            self._members[categories] = members(self._manifest.vids(categories))
        return self._members[categories]

    def _is_behind(self) -> bool:
        """Whether a searcher would do well to put something right."""
        lacking = np.setdiff1d(self._valid(), self._index.vids).size
        older = self._older.exists()
        return bool(lacking or older or self._manifest.counts()[ItemState.SENDING] or self._index.due)

    def _empty(self, dimension: int, name: str | None) -> Space:
        folder = None if name is None else self._manifest.folder / name
        return Space(dimension, self._metric, self._recipe, folder, self._settings.index.precision)

    def _load(self, dimension: int) -> None:
        """Look at the files; what is damaged counts as not there."""
        self._seen = self._signature()
        self._members.clear()
        folder, before = folder_of(self._manifest), self._loaded
        listed = None if folder is None else listed_in(folder)
        kept = dimension if listed is None else listed.dimension
        if before is None or (before.folder, before.dimension) != (folder, kept) or self._older.exists():
            before = self._empty(kept, None if folder is None else folder.name)
        self._loaded = before
        self._loaded.look(approximate=self._settings.index.approximate == "auto")
        if self._older.exists():
            self._load_older()
        self._check_dimension(dimension)

    def _load_older(self) -> None:
        """Hold what an older version kept; whoever may write saves it as it is kept now."""
        try:
            for part in older_parts(self._older, self._metric):
                if part.rows.shape[1] != self._index.dimension:
                    self._loaded = self._empty(part.rows.shape[1], None)
                restore(self._index, part, self._metric)
        except Damaged as error:
            _log.warning("%s cannot be used, it is %s: its pictures have to be sent again", self._older, error)

    def _facts(self) -> dict[str, object]:
        return {HOME: self.home, "dimension": self._index.dimension, COMPARED: self._index.described}

    def _bring_into_step(self) -> None:
        """The caller holds the right to write."""
        manifest = self._manifest
        self._be_ready()
        index = self._index
        manifest.set_meta(**self._facts())
        manifest.requeue(ItemState.SENDING)
        lost = manifest.lost(np.setdiff1d(self._valid(), index.vids).tolist())
        if lost:
            _log.warning("%d pictures were not saved when the last run ended, and have to be sent again", lost)
        manifest.indexed()  # the last use ended between the files and its note
        index.remove(np.setdiff1d(index.vids, self._valid()))
        self._renew()

    def _be_ready(self) -> None:
        """Have a folder for what is to be saved, with nothing in it that nobody needs."""
        folder = folder_of(self._manifest)
        if folder is None:
            self._manifest.set_meta(**{VECTORS: new_name()})
            self._load(self._index.dimension)
            folder = folder_of(self._manifest)
        self._index.prepare()
        if self._older.exists() and folder is not None:
            self._save()
            take_learned(self._manifest.folder, folder)
            self._index.look()
            _log.info("the vectors of an older version of ddsim were taken over from %s", self._older)
        forget_older(self._manifest.folder)
        tidy(self._manifest)

    def _save(self) -> None:
        self._index.save()
        self._seen = self._signature()

    def _renew(self) -> None:
        self._index.renew()
        self._seen = self._signature()
        if self._manifest.get_meta(COMPARED) != self._index.described:
            self._manifest.set_meta(**self._facts())

    def _signature(self) -> object:
        folder = folder_of(self._manifest)
        return folder, signature(self._older), [] if folder is None else signatures(folder)
