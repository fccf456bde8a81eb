"""DeepDetect's own index as a home of vectors.

That index can only grow, gives no list of what it holds, forgets what is not built when the server ends, and answers
nothing defined while something in it is not built (recordings/wire/21, 23, 52). So:

* the name of a row is ``uri#vid``; rows whose vid is not valid any more are tombstones, which searches pass over;
* the service's description carries a word drawn at its creation, its *incarnation*. While the server shows that word,
  what was added and not built is still in its memory; otherwise it is gone;
* a build writes the vectors and then their names. A server that ends in between leaves rows without names, which no
  search survives and nobody can list. So a build is a call of its own, noted in the manifest before it is sent; where
  that note stands and the service is another one, the index is not searched any more;
* an index that was left so, cannot be loaded, or has lost its rows, is given up for a new *generation*, in a folder of
  its own.
"""

from __future__ import annotations

import threading
from collections.abc import Collection, Sequence

from ddsim.catalogue import ItemState, Manifest
from ddsim.config import Settings
from ddsim.deepdetect import Client, Vectors
from ddsim.errors import CapabilityError, IndexBusy, InvalidRequest, ServiceNotFound
from ddsim.pictures import Encoded, Picture
from ddsim.vectors.base import Among, Hits, Prepared
from ddsim.vectors.others import Patience
from ddsim.vectors.served import Served, can_search
from ddsim.vectors.serveradding import Adding
from ddsim.vectors.serverkeeping import Keeping
from ddsim.vectors.serversearch import Searching


class ServerBackend:
    """Keeps vectors in the index of a DeepDetect server; implements :class:`ddsim.vectors.Backend`.

    Args:
        client: the server.
        settings: the similarity service.
        manifest: what is to be in the index.
        patience: how long to wait for a server that is gone, and for a run that is adding.
    """

    def __init__(
        self,
        client: Client,
        settings: Settings,
        manifest: Manifest,
        patience: Patience | None = None,
    ) -> None:
        self._client = client
        self._manifest = manifest
        self._patience = patience or Patience()
        self._lock = threading.RLock()
        self._served = Served(client, settings, manifest)
        self._facts = self._served.facts
        self._adding = Adding(client, self._served, manifest, self._patience)
        self._searching = Searching(client, self._served, manifest, self._patience)
        self._keeping = Keeping(client, settings, manifest, self._served, self._adding, self._searching)

    @property
    def home(self) -> str:
        """Which kind of index this is."""
        return self._keeping.home

    # As the protocol says

    def open(self, *, writing: bool) -> None:
        """Bring service, index and manifest into step."""
        if not can_search(self._client.info().capabilities):
            raise CapabilityError(
                "this server has no index that can grow (official images since v0.28 have none): write "
                "`backend: local` under `index:`, which keeps the vectors here, and run `ddsim index --rebuild`; or "
                "use a server of version v0.25.0"
            )
        with self._lock:
            self._keeping.writing = writing
            if writing:
                self._facts.found_a_place()
                self._patience.outlast(self._client, self._served.name, self._keeping.bring_into_step)
            else:
                self._facts.check_whereabouts()
                self._keeping.is_in_step()

    @property
    def looks_ahead(self) -> int:
        """None: the server's index takes one request after the other."""
        return 0

    def foresee(self, pictures: Sequence[Encoded]) -> None:
        """Nothing is done before its time."""

    def add(self, batch: Sequence[Prepared]) -> Vectors:
        """Add pictures, in one request."""
        with self._lock:
            vectors = self._adding.send({f"{one.uri}#{one.vid}": one.picture for one in batch})
            self._manifest.added([one.vid for one in batch])
        return vectors

    def known(self, sha256: str) -> None:
        """The server's index takes pictures only."""

    def add_known(self, vids: Sequence[int], vectors: Vectors) -> None:
        """Refuse what :meth:`known` never gives.

        Raises:
            InvalidRequest: always.
        """
        raise InvalidRequest(f"{len(vids)} vectors of {vectors.shape[1]} values: the server's index takes pictures")

    def build(self) -> None:
        """Make everything added so far last, and found by searches."""
        with self._lock:
            self._adding.build()

    def recover(self) -> None:
        """Wait for the server, and find out what holds."""
        with self._lock:
            self._patience.wait_for(self._client, self._served.name)
            self._patience.outlast(self._client, self._served.name, self._keeping.bring_into_step)

    def remove(self, vids: Collection[int]) -> None:
        """The server's index removes nothing: the rows are tombstones by what the manifest says."""

    def search(self, pictures: Sequence[Picture], k: int, among: Among = None) -> list[Hits]:
        """Find the nearest items."""
        try:
            return self._searching.found(pictures, k, among)
        except (IndexBusy, ServiceNotFound) as reason:
            # A server that was restarted has forgotten the service; a run that was killed has left things unbuilt.
            with self._lock:
                if self._keeping.writing and isinstance(reason, IndexBusy):
                    raise
                if self._keeping.writing:
                    self._keeping.bring_into_step()
                elif not self._keeping.is_in_step():
                    raise
        return self._searching.found(pictures, k, among)

    def search_vectors(self, vectors: Vectors, k: int, among: Among = None) -> list[Hits]:
        """Refuse: the server's index takes pictures only.

        Raises:
            CapabilityError: always.
        """
        del vectors, k, among
        raise CapabilityError(
            "vectors cannot be searched for, as the server's index takes pictures only: write "
            "`backend: local` under `index:`, which keeps the vectors here, and run `ddsim index --rebuild`"
        )

    def vectors_of(self, vids: Sequence[int]) -> None:
        """The server's index gives none of its vectors back."""

    def features_of(self, vids: Sequence[int]) -> None:
        """Likewise."""

    def stored(self) -> int:
        """How many rows this generation may hold."""
        return self._facts.stored

    def tombstone_share(self) -> float:
        """The share of those rows that are not valid."""
        stored, counts = self.stored(), self._manifest.counts()
        valid = counts[ItemState.INDEXED] + counts[ItemState.ADDED]
        return max(0.0, 1.0 - valid / stored) if stored else 0.0

    def rebuild(self) -> None:
        """Start with an empty index."""
        with self._lock:
            self._keeping.writing = True
            self._keeping.begin_anew()
            self._patience.outlast(self._client, self._served.name, self._keeping.bring_into_step)

    def discard(self) -> None:
        """Remove the service and the files of its index, if they are this manifest's own."""
        with self._lock:
            self._keeping.discard()

    def settle(self) -> None:
        """The server keeps its index in order by itself."""

    def close(self) -> None:
        """Let searches through again, as far as the manifest lets them, and others work on the index."""
        with self._lock:
            self._adding.let_searches_in()
            self._served.release_lease()
