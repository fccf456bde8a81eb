"""A Milvus as a home of vectors: the database keeps, filters and finds them, and the server computes them.

Rows are found from the moment that the database has acknowledged them. Whoever has the manifest goes by it, as with any
home. Everybody else goes by the database alone, see :mod:`ddsim.vectors.milvusrecords`; so what may be in it and not in
the manifest is taken out before anything else is done, and so is what is not valid any more.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np

from ddsim.catalogue import ItemState, Manifest, Row
from ddsim.config import Settings
from ddsim.deepdetect import Client, Vectors, ensure
from ddsim.errors import BadInput, InvalidRequest
from ddsim.vectors.base import Among, Hits
from ddsim.vectors.canary import canary_of, check_kept, check_network
from ddsim.vectors.extracting import Extracting, check_length
from ddsim.vectors.memory import Memory
from ddsim.vectors.milvuscalls import LONGEST, VECTOR, Calls
from ddsim.vectors.milvuskeeping import Keeping
from ddsim.vectors.milvusrecords import DatabaseRecords
from ddsim.vectors.milvussearch import Searching
from ddsim.vectors.others import Patience, forgetting, owner_of
from ddsim.vectors.valid import check_k


class MilvusBackend(Extracting):
    """Keeps vectors in a Milvus; implements :class:`ddsim.vectors.Backend`.

    Distances are those of the other homes: L2 squared and divided by the vectors' length, or 1 minus the cosine.

    Args:
        client: the server.
        settings: the similarity service, the database and the metric.
        manifest: what is to be in the index; empty on machines that only search.
        patience: how long to wait for a server or a database that is gone.
        taking_over: whether the collection may take the place of another manifest's.
        allow_vanished: whether it may do so though much of that is not in it, or pictures cannot be had just now.
    """

    def __init__(
        self,
        client: Client,
        settings: Settings,
        manifest: Manifest,
        patience: Patience | None = None,
        *,
        taking_over: bool = False,
        allow_vanished: bool = False,
    ) -> None:
        super().__init__(client, settings, manifest, patience)
        self._calls = Calls(settings.index, self._patience.sleep)
        self._keeping = Keeping(self._calls, settings, manifest, taking_over=taking_over, allow_vanished=allow_vanished)
        self._records = DatabaseRecords(self._calls, settings)
        self._searching = Searching(self._calls, self._keeping, self._records, manifest, self._metric, self._patience)

    @property
    def home(self) -> str:
        """Which kind of index this is."""
        return f"milvus {self._metric}"

    @property
    def withheld(self) -> str | None:
        """Why the collection did not take the place of another manifest's, and what to do; None otherwise."""
        return self._keeping.withheld

    # As the protocol says

    def open(self, *, writing: bool) -> None:
        """Bring service, collection and manifest into step."""
        with self._lock:
            self._writing = writing
            if writing:
                self._client.info()  # only a server that was there is waited for when it ends
                dimension = self._ensured()
                self._patience.outlast_database(lambda: self._keeping.bring_into_step(dimension, self.home))
                self._memory = Memory.of(self._settings, self._manifest)
            else:
                self._ensure()

    def build(self) -> None:
        """Note that what was added lasts: the database has acknowledged it. Other machines hear of it, too."""
        with self._lock:
            if self._manifest.indexed():
                self._keeping.tell()

    def recover(self) -> None:
        """Wait for server and database, and take out of it what nobody knows the fate of."""
        with self._lock:
            self._ahead.drop()
            self._patience.wait_for(self._client, self._service)
            dimension = self._ensured()
            self._patience.outlast_database(lambda: self._keeping.bring_into_step(dimension, self.home))

    def remove(self, vids: Collection[int]) -> None:
        """Remove rows."""
        with self._lock:
            self._calls.delete(self._keeping.collection, sorted(vids))

    def _found(self, features: Vectors, k: int, among: Among) -> list[Hits]:
        return self._searching.found(features, k, among)

    def search_vectors(self, vectors: Vectors, k: int, among: Among = None) -> list[Hits]:
        """Find the items nearest to vectors."""
        check_k(k)
        check_length(vectors, self._searching.dimension)
        return self._searching.found(vectors, k, among)

    def stored(self) -> int:
        """How many rows there are."""
        name = self._searching.collection
        return 0 if name is None else self._searching.outlast_rebuild(lambda: self._calls.count(name))

    def tombstone_share(self) -> float:
        """The share of them that is not valid: none, once what is not valid was removed."""
        stored = self.stored()
        return max(0.0, 1.0 - self._keeping.valid() / stored) if stored and self._keeping.known else 0.0

    def rebuild(self) -> None:
        """Start with an empty collection, of a generation of its own."""
        with self._lock:
            self._writing = True
            dimension = self._ensured(anew=True)
            self._patience.outlast_database(lambda: self._keeping.begin_anew(dimension, self.home))
            self._memory = Memory.of(self._settings, self._manifest, recalling=False)

    def discard(self) -> None:
        """Remove the collection."""
        self._keeping.discard()

    def settle(self) -> None:
        """Make sure that collection and manifest agree, and note that nothing is in doubt."""
        with self._lock:
            self._keeping.settle()

    def publish(self, **extra: object) -> None:
        """Have everybody who asks this database find what the manifest holds, from now on.

        Args:
            extra: what they need besides the manifest's facts.
        """
        with self._lock:
            self._keeping.publish(extra)

    def publish_products(self, texts: Mapping[str, str], mark: str) -> None:
        """Have the database give these texts for items by their comparable names; ``mark`` is another for others."""
        with self._lock:
            self._keeping.publish_products(texts, mark)

    def close(self) -> None:
        """Let go of connections and threads."""
        super().close()
        with self._lock:
            self._calls.close()

    def vectors_of(self, vids: Sequence[int]) -> Vectors:
        """The vectors of these numbers, which are compared as the network gave them."""
        return self.features_of(vids)

    def features_of(self, vids: Sequence[int]) -> Vectors:
        """The vectors of these numbers as the network gave them."""
        return self._searching.outlast_rebuild(lambda: self._features_of(list(vids)))

    def _features_of(self, wanted: list[int]) -> Vectors:
        name = self._searching.collection
        if not wanted or name is None:
            return np.zeros((0, self._searching.dimension), np.float32)
        rows = {int(row["vid"]): row[VECTOR] for row in self._calls.get(name, set(wanted), ["vid", VECTOR])}
        missing = [vid for vid in wanted if vid not in rows]
        if missing:
            raise InvalidRequest(f"no vector of number {missing[0]} in {name!r}")
        return np.array([rows[vid] for vid in wanted], np.float32)

    # The service

    def _ensure(self, *, anew: bool = False) -> int:
        """Have the service, with the network of the vectors that are kept; the length of its vectors."""
        owner = owner_of(self._settings, self._manifest)
        noted = self._writing or self._keeping.known  # by this machine; else the database alone knows what is kept
        with forgetting(self._client, self._service):
            kept = None if anew else canary_of(self._manifest if noted else self._records)
            ensured = ensure(self._client, self._spec, layer=self._layer, owner=owner, canary=kept)
            if noted:
                check_network(self._client, self._settings, self._manifest, ensured, noting=self._writing, anew=anew)
            else:
                check_kept(self._client, self._settings, self._records, ensured)
        return ensured.dimension or 0

    # Rows

    def _put(self, vids: Sequence[int], vectors: Vectors) -> None:
        self._keeping.check_dimension(vectors.shape[1])
        rows = {row.vid: row for row in self._sending()}
        name, generation = self._keeping.collection, self._keeping.generation
        found: list[dict[str, Any]] = []
        for vid, vector in zip(vids, vectors, strict=True):
            row = rows.get(vid)
            if row is None:
                continue  # changed or vanished meanwhile
            check_row(row, vector, name)
            facts = {"uri": row.uri, "category": row.category, "sha256": row.sha256 or "", "generation": generation}
            found.append({"vid": vid, **facts, VECTOR: vector.tolist()})
        self._calls.add(name, found)
        self._manifest.added(vids)

    def _sending(self) -> list[Row]:
        found: list[Row] = []
        while page := self._manifest.rows(ItemState.SENDING, after=found[-1].uri if found else ""):
            found += page
        return found


def check_row(row: Row, vector: Vectors, collection: str) -> None:
    """Make sure that the database can keep a row.

    Raises:
        BadInput: it cannot.
    """
    reason = ""
    for name, most in LONGEST.items():
        size = len(str(getattr(row, name)).encode("utf-8", "surrogatepass"))
        if size > most:
            reason = f"its {name} has {size} bytes, and the database takes {most}: give it a shorter name"
    if not np.isfinite(vector).all():
        reason = "the network gives a vector with values that are not finite, which the database does not take"
    if reason:
        raise BadInput(400, 1005, reason, method="insert", path=collection)
