"""How the index on the server and the manifest come into step, and how an index is given up."""

from __future__ import annotations

import logging

from ddsim.catalogue import ItemState, Manifest
from ddsim.config import Settings
from ddsim.deepdetect import Client, Ensured, ServiceSpec
from ddsim.errors import (
    DDSimError,
    IndexBusy,
    IndexLost,
    ManifestBusy,
    ServerFault,
    ServiceNotFound,
    StateCopied,
    StateNotWritable,
    UnsafeCall,
)
from ddsim.vectors.base import HOME
from ddsim.vectors.canary import address_of, check_network, last_address
from ddsim.vectors.others import forgetting
from ddsim.vectors.served import Served
from ddsim.vectors.serveradding import Adding
from ddsim.vectors.serversearch import Searching

_log = logging.getLogger(__name__)

# So many deaths at loading an index are no accident.
_DEATHS = 2


class Keeping:
    """Finds out what the index holds, and has the manifest say so. One thread at a time uses it.

    Args:
        client: the server.
        settings: the similarity service.
        manifest: what is to be in the index.
        served: the index.
        adding: builds what is unbuilt, and keeps searches away.
        searching: hears of the search that makes the server load the index.

    Attributes:
        writing: whether whoever uses it adds pictures, and holds the manifest's right to write all the time.
    """

    def __init__(
        self,
        client: Client,
        settings: Settings,
        manifest: Manifest,
        served: Served,
        adding: Adding,
        searching: Searching,
    ) -> None:
        self.writing = False
        self._client = client
        self._settings = settings
        self._manifest = manifest
        self._served = served
        self._facts = served.facts
        self._adding = adding
        self._searching = searching

    @property
    def home(self) -> str:
        """Which kind of index this is."""
        return f"server {self._served.index_type}"

    def is_in_step(self) -> bool:
        """As a reader: put right what is not right. False if a run is at work that will.

        Raises:
            ManifestBusy: a run is at work, and the service is not there.
        """
        there, counts = self._served.is_there(), self._manifest.counts()
        if there and not self._facts.unbuilt and not counts[ItemState.SENDING] and not counts[ItemState.ADDED]:
            return True
        try:
            with self._manifest.writing(brief=True):
                try:
                    self.bring_into_step()
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

    def bring_into_step(self) -> None:
        """Afterwards the service is there, and nothing is unbuilt; the caller holds the right to write.

        Raises:
            IndexLost: the index cannot be loaded, or is on another server.
            ServerFault: what was added last cannot be built now.
        """
        self._facts.found_a_place()
        self._served.take_lease()
        self._facts.note(**{HOME: self.home})
        self._manifest.requeue(ItemState.SENDING)
        if not self._facts.unbuilt:
            self._manifest.indexed()  # the last use ended between the build and its note
        self._adding.keep_searches_away()
        try:
            with forgetting(self._client, self._served.name):
                while not self._has_index(self._with_nothing_unbuilt()):
                    pass  # a new generation
        finally:
            self._adding.let_searches_in()

    def _with_nothing_unbuilt(self) -> Ensured:
        """The service, with nothing unbuilt in its memory.

        Raises:
            ServerFault: what is in its memory cannot be built, as on a full disk; it is still there.
        """
        ensured = self._served.ensure_known()
        if self._facts.unbuilt and not ensured.created:
            try:
                self._adding.build()
            except UnsafeCall as error:
                _log.warning("what was added last cannot be built (%s) and is added again", error)
                ensured = self._served.ensure("")
            # The build let them in.
            self._adding.keep_searches_away()
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
        self._searching.begins()
        try:
            has_rows = self._served.has_rows()
        except ServerFault as error:
            if error.status != 500 or not self._facts.stored:
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

    def _refuse_elsewhere(self) -> None:
        """Whoever only searches must not give up an index for having asked the wrong server.

        Raises:
            IndexLost: the server is another one than the index is on.
        """
        before, now = last_address(self._manifest), address_of(self._settings)
        if not self.writing and before not in (None, now):
            raise IndexLost(
                f"the index is on the server at {before}, and the one at {now} has none: search on the first, or run "
                "`ddsim index`, which sends every picture to the second"
            )

    # Giving up

    def begin_anew(self) -> None:
        """Give up the index, whatever it is, for an empty one; :meth:`bring_into_step` comes next."""
        if self._facts.found_a_place():
            return
        self._served.take_lease()
        self._adding.keep_searches_away()
        try:
            self._give_up(dimension=None)
        finally:
            self._adding.let_searches_in()

    def discard(self) -> None:
        """Remove the service and the files of its index, if they are this manifest's own."""
        if not self._facts.repository_drawn:
            return
        try:
            self._facts.check_whereabouts()
        except StateCopied as error:
            _log.info("the index of %s stays on the server: %s", self._manifest.folder, error)
            return
        self._served.take_lease()
        try:
            self._remove(self._served.spec(), self._facts.stored > 0, self._facts.dimension)
        finally:
            self._served.release_lease()

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
