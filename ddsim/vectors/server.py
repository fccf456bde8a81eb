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

import logging
import threading
from collections.abc import Collection, Mapping, Sequence
from contextlib import ExitStack

from ddsim.catalogue import ItemState, Manifest
from ddsim.config import Settings
from ddsim.deepdetect import Client, Ensured, ServiceSpec, Vectors, closeness_by
from ddsim.errors import (
    ApiError,
    CapabilityError,
    DDSimError,
    IndexBusy,
    IndexLost,
    InvalidRequest,
    ManifestBusy,
    ServerFault,
    ServerUnreachable,
    ServiceNotFound,
    StateCopied,
    StateNotWritable,
    TransportError,
    UnsafeCall,
)
from ddsim.pictures import Encoded, Picture
from ddsim.vectors.base import HOME, Among, Hits, Patience, Prepared, Ranking, forgetting, search_valid
from ddsim.vectors.canary import address_of, check_network, last_address
from ddsim.vectors.served import GREY, Served, can_search

_log = logging.getLogger(__name__)

# Bears no valid vid: a row for those builds that have nothing else to add, as a build of nothing kills the server
# (recordings/wire/26-sim-build-after-reload).
_NOBODY = "#0"
# So many deaths at loading an index are no accident.
_DEATHS = 2


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
        self._settings = settings
        self._manifest = manifest
        self._served = Served(client, settings, manifest)
        self._facts = self._served.facts
        self._patience = patience or Patience()
        self._lock = threading.RLock()
        self._writing = False
        self._no_searches: ExitStack | None = None
        self._failed_after = self._facts.builds

    @property
    def home(self) -> str:
        """Which kind of index this is."""
        return f"server {self._served.index_type}"

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
            self._writing = writing
            if writing:
                self._facts.found_a_place()
                self._patience.outlast(self._client, self._served.name, self._bring_into_step)
            else:
                self._facts.check_whereabouts()
                self._is_in_step()

    @property
    def looks_ahead(self) -> int:
        """None: the server's index takes one request after the other."""
        return 0

    def foresee(self, pictures: Sequence[Encoded]) -> None:
        """Nothing is done before its time."""

    def add(self, batch: Sequence[Prepared]) -> Vectors:
        """Add pictures, in one request."""
        with self._lock:
            vectors = self._send({f"{one.uri}#{one.vid}": one.picture for one in batch})
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
            if self._facts.unbuilt:
                self._send({_NOBODY: GREY}, build=True)
                self._note_built()
                self._manifest.give_way(self._patience.gives_way)

    def recover(self) -> None:
        """Wait for the server, and find out what holds."""
        with self._lock:
            self._patience.wait_for(self._client, self._served.name)
            self._patience.outlast(self._client, self._served.name, self._bring_into_step)

    def remove(self, vids: Collection[int]) -> None:
        """The server's index removes nothing: the rows are tombstones by what the manifest says."""

    def search(self, pictures: Sequence[Picture], k: int, among: Among = None) -> list[Hits]:
        """Find the nearest items."""
        try:
            return self._search(pictures, k, among)
        except (IndexBusy, ServiceNotFound) as reason:
            # A server that was restarted has forgotten the service; a run that was killed has left things unbuilt.
            with self._lock:
                if self._writing and isinstance(reason, IndexBusy):
                    raise
                if self._writing:
                    self._bring_into_step()
                elif not self._is_in_step():
                    raise
        return self._search(pictures, k, among)

    def search_vectors(self, vectors: Vectors, k: int, among: Among = None) -> list[Hits]:
        """Refuse: the server's index takes pictures only.

        Raises:
            CapabilityError: always.
        """
        del k, among
        raise CapabilityError(
            f"{len(vectors)} vectors cannot be searched for, as the server's index takes pictures only: write "
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
            self._writing = True
            if not self._facts.found_a_place():
                self._served.take_lease()
                self._keep_searches_away()
                try:
                    self._give_up(dimension=None)
                finally:
                    self._let_searches_in()
            self._patience.outlast(self._client, self._served.name, self._bring_into_step)

    def discard(self) -> None:
        """Remove the service and the files of its index, if they are this manifest's own."""
        with self._lock:
            served = self._served
            if not self._facts.repository_drawn:
                return
            try:
                self._facts.check_whereabouts()
            except StateCopied as error:
                _log.info("the index of %s stays on the server: %s", self._manifest.folder, error)
                return
            served.take_lease()
            try:
                self._remove(served.spec(), self._facts.stored > 0, self._facts.dimension)
            finally:
                served.release_lease()

    def settle(self) -> None:
        """The server keeps its index in order by itself."""

    def close(self) -> None:
        """Let searches through again, as far as the manifest lets them, and others work on the index."""
        with self._lock:
            self._let_searches_in()
            self._served.release_lease()

    # Adding

    def _send(self, pictures: Mapping[str, Picture], build: bool = False) -> Vectors:
        served = self._served
        served.hold_lease()
        self._keep_searches_away()
        before = {"unbuilt": self._facts.unbuilt, "stored_rows": self._facts.stored, "building": self._facts.building}
        # A build's own row is nobody's picture, and no reason to clear anything out.
        stored = self._facts.stored + (0 if build else len(pictures))
        self._facts.note(unbuilt=True, stored_rows=stored, building=build or self._facts.building)
        with forgetting(self._client, served.name):
            try:
                vectors = served.add(pictures, build)
            except ServiceNotFound:
                raise
            except DDSimError as error:
                # What was too large for one request may have been added in part.
                partly = self._client.may_be_unbuilt(served.name) and not before["unbuilt"]
                if not partly and not _in_doubt(error, build):
                    self._facts.note(**before)
                    if not self._facts.unbuilt:
                        self._let_searches_in()
                raise
            served.check_incarnation()
        return vectors

    def _note_built(self) -> None:
        # Whoever is killed before the next line builds once more; after it, what is added is known to be built.
        self._facts.note(unbuilt=False, building=False, builds=self._facts.builds + 1)
        self._manifest.indexed()
        self._let_searches_in()

    def _keep_searches_away(self) -> None:
        if self._no_searches is None:
            held = ExitStack()
            held.enter_context(self._manifest.adding(self._patience.searches))
            self._no_searches = held

    def _let_searches_in(self) -> None:
        # Where something is unbuilt still, its note in the manifest keeps them away.
        if self._no_searches is not None:
            self._no_searches.close()
            self._no_searches = None

    # Into step

    def _is_in_step(self) -> bool:
        """As a reader: put right what is not right. False if a run is at work that will.

        Raises:
            ManifestBusy: a run is at work, and the service is not there.
        """
        there, counts = self._served.is_there(), self._manifest.counts()
        if there and not self._facts.unbuilt and not counts[ItemState.SENDING] and not counts[ItemState.ADDED]:
            return True
        try:
            with self._manifest.writing():
                try:
                    self._bring_into_step()
                finally:
                    self._served.release_lease()
        except ManifestBusy:
            if there:
                return False
            raise
        except StateNotWritable:
            if self._facts.unbuilt or counts[ItemState.SENDING] or counts[ItemState.ADDED]:
                raise IndexBusy(
                    "an interrupted run left pictures unbuilt: run `ddsim index` as somebody who may write there"
                ) from None
            if self._manifest.running():
                raise IndexBusy("an indexing run is at work; try again in a moment") from None
            self._served.ensure_to_look()
        return True

    def _bring_into_step(self) -> None:
        """The caller holds the right to write. Afterwards the service is there, and nothing is unbuilt."""
        self._facts.found_a_place()
        self._served.take_lease()
        self._facts.note(**{HOME: self.home})
        self._manifest.requeue(ItemState.SENDING)
        if not self._facts.unbuilt:
            self._manifest.indexed()  # the last use ended between the build and its note
        self._keep_searches_away()
        try:
            with forgetting(self._client, self._served.name):
                while not self._has_index(self._with_nothing_unbuilt()):
                    pass  # a new generation
        finally:
            self._let_searches_in()

    def _with_nothing_unbuilt(self) -> Ensured:
        """The service, with nothing unbuilt in its memory.

        Raises:
            ServerFault: what is in its memory cannot be built, as on a full disk; it is still there.
        """
        ensured = self._served.ensure_known()
        if self._facts.unbuilt and not ensured.created:
            try:
                self.build()
            except UnsafeCall as error:
                _log.warning("what was added last cannot be built (%s) and is added again", error)
                ensured = self._served.ensure("")
            # The build let them in.
            self._keep_searches_away()
        if ensured.created and self._facts.building:
            self._refuse_elsewhere()
            _log.warning(
                "the server ended while it wrote its index, which may hold rows without names now: it is not used any "
                "more, and every picture has to be sent again"
            )
            self._give_up()
            ensured = self._served.ensure("")
        return ensured

    def _has_index(self, ensured: Ensured) -> bool:
        """Look at what the service's index holds, and bring the manifest into step; False if it had to be given up.

        Nothing unbuilt is in the server's memory and no build was cut short, so this search, which makes the server
        load the index, is safe as far as ddsim knows.

        Raises:
            IndexLost: the server died of it, again and again.
        """
        self._count_deaths(ensured)
        # Nothing was built since, or it would be given up: what was added was in a memory that is gone.
        self._manifest.requeue(ItemState.ADDED)
        self._failed_after = self._facts.builds
        try:
            has_rows = self._served.has_rows()
        except ServerFault as error:
            if error.status != 500 or not self.stored():
                raise
            _log.warning("the server's index cannot be loaded (%s): every picture has to be sent again", error)
            self._give_up()
            return False
        if not has_rows and self._manifest.counts()[ItemState.INDEXED]:
            self._refuse_elsewhere()
            _log.warning("the server's index is empty, its files were removed: every picture has to be sent again")
            self._facts.next_generation()
            return False
        check_network(self._client, self._settings, self._manifest, ensured, noting=True)
        self._facts.note(incarnation=ensured.incarnation, unbuilt=False, loading=0, died=0, dimension=ensured.dimension)
        return True

    def _count_deaths(self, ensured: Ensured) -> None:
        """Note that the index is about to be loaded, which nobody takes back where the server dies of it."""
        # A run that was killed while it waited leaves the service there; a server that died does not.
        died = ensured.created and not ensured.replaced
        deaths = self._facts.loading if died else 0
        if deaths < _DEATHS:
            self._facts.note(loading=deaths + 1)
            return
        self._facts.note(loading=0, died=deaths)
        raise IndexLost(
            f"the server ended {deaths} times while it loaded its index in {self._facts.repository}: its log says "
            "why. If it does not lack memory, the index is damaged: run `ddsim index --rebuild`, which does not touch "
            "it and sends every picture again"
        )

    def _give_up(self, **facts: object) -> None:
        """Begin a new generation, and remove the index of the old one as far as the server can."""
        served = self._served
        old, holds, dimension = served.spec(), self._facts.stored > 0, self._facts.dimension
        self._facts.next_generation(**facts)
        if holds:
            self._remove(old, holds, dimension)

    def _remove(self, old: ServiceSpec, holds: bool, dimension: int | None) -> None:
        """Remove a service, with its index where it holds one."""
        try:
            if holds:
                self._served.remove_index(old, dimension)
            else:
                self._client.delete_service(old.name)
        except ServiceNotFound:
            pass
        except DDSimError as error:
            # Whatever this clears away for is done. A server that is gone is met again at the next step.
            _log.warning("the old index stays in %s on the server (%s): remove it by hand", old.repository, error)

    def _refuse_elsewhere(self) -> None:
        """Whoever only searches must not give up an index for having asked the wrong server.

        Raises:
            IndexLost: the server is another one than the index is on.
        """
        before, now = last_address(self._manifest), address_of(self._settings)
        if not self._writing and before not in (None, now):
            raise IndexLost(
                f"the index is on the server at {before}, and the one at {now} has none: search on the first, or run "
                "`ddsim index`, which sends every picture to the second"
            )

    # Searching

    def _search(self, pictures: Sequence[Picture], k: int, among: Among) -> list[Hits]:
        def ask(positions: list[int], wide: int) -> list[Ranking]:
            found = self._served.ask([pictures[position] for position in positions], wide)
            return [Ranking(vector, [(_vid(name), far) for name, far in rows]) for vector, rows in found]

        with self._manifest.searching(self._patience.busy):
            if self._facts.unbuilt:
                raise IndexBusy("an interrupted run left pictures unbuilt: run `ddsim index` to finish it")
            builds, failed = self._facts.builds, self._client.index_failed(self._served.name)
            if failed and builds != self._failed_after:
                self._client.index_was_built(self._served.name)
            elif not failed:
                # Should this search fail, one build more tells that the index is there after all.
                self._failed_after = builds
            try:
                hits = search_valid(ask, self._manifest, closeness_by, len(pictures), k, among)
            except ServerFault as error:
                raise _explained(error) from error
            short = next((hit for hit in hits if len(hit.found) < k), None)
            if short is not None:
                self._explain(short, k)
        return hits

    def _explain(self, hits: Hits, k: int) -> None:
        """Too few are found only where there are too few; anything else is said.

        Raises:
            IndexBusy: the service is another one by now.
        """
        found, sizes = sum(1 + len(one.also) for one in hits.found), self._manifest.categories()
        there = sum(size for category, size in sizes.items() if hits.categories is None or category in hits.categories)
        if found >= min(k, there):
            return
        if not self._served.is_there():
            raise IndexBusy(f"service {self._served.name!r} was replaced by another one; try again")
        if self._served.index_type == "Flat":  # the others search a part of the index only
            _log.warning(
                "the index gave %d items where the manifest has %d: run `ddsim index --audit`", found, min(k, there)
            )


def _in_doubt(error: DDSimError, build: bool) -> bool:
    """Whether a call to the index that failed so may have added something (recordings/wire/38-sim-index-errors)."""
    if isinstance(error, ApiError):
        return error.status > 500 or (error.status == 500 and build)
    return isinstance(error, TransportError) and not isinstance(error, ServerUnreachable)


def _explained(error: ServerFault) -> ServerFault:
    """A search that failed though nothing is unbuilt, with what may help."""
    if error.status != 500:
        return error
    return ServerFault(
        error.status,
        error.dd_code,
        error.dd_msg,
        method=error.method,
        path=error.path,
        hint="where this stays so, rows of the server's index have lost their names: run `ddsim index --rebuild`",
    )


def _vid(name: str) -> int:
    """The number in a row's name, 0 (which is nobody's) where there is none."""
    digits = name.rpartition("#")[2]
    return int(digits) if digits.isascii() and digits.isdecimal() and len(digits) < 20 else 0
