"""The similarity service of one manifest, and the index in it, as far as calls and facts go.

What has to outlive this process stands in the manifest's meta::

    repository     the folder of all generations, on the server, without their number
    generation     which of them, from 1
    incarnation    of the service that holds the index, see :class:`ddsim.deepdetect.services.Mark`
    unbuilt        whether something may have been added since the last build; written before it is
    building       whether a build was begun and not heard to have ended; written before it is sent
    builds         how many builds went well in all
    loading        how often the server was asked to load the index since that went well
    died           how often it was asked before the index was left alone, until it goes well again
    stored_rows    how many rows of pictures this generation may hold; written before they are sent
    dimension      length of the vectors
    owner          for whom the service is made, see :func:`ddsim.vectors.base.owner_of`
"""

from __future__ import annotations

import logging
import secrets
from collections.abc import Mapping, Sequence
from contextlib import suppress

from PIL import Image

from ddsim.catalogue import ItemState, Manifest, note_whereabouts, noted_place, whereabouts
from ddsim.config import Settings
from ddsim.deepdetect import (
    Capabilities,
    Client,
    Ensured,
    Lease,
    ServiceSpec,
    Vectors,
    differences,
    ensure,
    mark_of,
)
from ddsim.errors import (
    ConnectionLost,
    InvalidResponse,
    ServerFault,
    ServiceNotFound,
    StateCopied,
    UnsafeCall,
)
from ddsim.pictures import Picture
from ddsim.vectors.base import owner_of

_log = logging.getLogger(__name__)

# A page of an older version makes its service again while it is asked.
_TRIES = 5
#: Some picture, where the server demands one and its content does not matter.
GREY: Image.Image = Image.new("RGB", (32, 32), (128, 128, 128))


def can_search(capabilities: Capabilities) -> bool:
    """Whether a server's index can serve as a home: it is there, and takes more after it was built."""
    # Annoy's does not: 403/1010 (read in the server's source; no recording).
    return capabilities.similarity_search and capabilities.similarity_engine != "annoy"


class Served:
    """The service and its index.

    Args:
        client: the server.
        settings: the similarity service.
        manifest: keeps the facts.
    """

    def __init__(self, client: Client, settings: Settings, manifest: Manifest) -> None:
        self.index_type = settings.similarity.index_type
        self._client = client
        self._settings = settings
        self._layer = settings.similarity.extract_layer
        self._manifest = manifest
        self._own: str | None = None
        self._lease: Lease | None = None

    # Facts

    @property
    def name(self) -> str:
        """The service: the configured name with a few letters of the index's own, so that no two indexes share one."""
        folder = str(self._manifest.get_meta("repository") or "")
        return f"{self._settings.similarity.service}-{folder.rpartition('/')[2][:6]}"

    @property
    def unbuilt(self) -> bool:
        """Whether the server's memory may hold rows that are not built, which no search survives."""
        return bool(self._manifest.get_meta("unbuilt"))

    @property
    def building(self) -> bool:
        """Whether a build may have been cut short, if the service that it was asked of is gone."""
        noted = self._manifest.get_meta("building")
        # Versions that made no such note sent pictures in the call that builds.
        return self.unbuilt if noted is None else bool(noted)

    @property
    def builds(self) -> int:
        """How many builds went well in all."""
        return int(self._manifest.get_meta("builds") or 0)

    @property
    def repository_drawn(self) -> bool:
        """Whether there is a folder."""
        return bool(self._manifest.get_meta("repository"))

    @property
    def repository(self) -> str:
        """The folder of this generation, on the server."""
        return f"{self._manifest.get_meta('repository')}-g{self._manifest.get_meta('generation')}"

    @property
    def stored(self) -> int:
        """How many rows of pictures this generation may hold."""
        return int(self._manifest.get_meta("stored_rows") or 0)

    def note(self, **facts: object) -> None:
        """Store facts."""
        self._manifest.set_meta(**facts)

    def found_a_place(self) -> bool:
        """Have a folder; drawn once for each manifest, so that no two ever share an index. A copy draws its own.

        Returns:
            whether it was drawn now.

        Raises:
            StateCopied: nobody can tell from here whether this is a copy.
        """
        verdict = whereabouts(self._manifest) if self.repository_drawn else "here"
        if verdict == "unknown":
            raise self._perhaps_copied()
        if verdict == "copied":
            _log.warning(
                "%s is a copy of %s, which keeps its index: this one gets its own, and every picture is sent for it",
                self._manifest.folder,
                noted_place(self._manifest),
            )
        if drawn := verdict == "copied" or not self.repository_drawn:
            folder = f"{self._settings.similarity.repository.rstrip('/')}/{secrets.token_hex(6)}"
            self._begin(repository=folder, generation=1, owner=owner_of(self._settings, self._manifest))
        elif self._manifest.get_meta("owner") is None:
            self.note(owner=owner_of(self._settings, self._manifest))  # of a version that did not
        note_whereabouts(self._manifest)
        return drawn

    def check_whereabouts(self) -> None:
        """Make sure that the index is this manifest's own.

        Raises:
            StateCopied: it is that of another one, or may be.
        """
        verdict = whereabouts(self._manifest) if self.repository_drawn else "here"
        if verdict == "unknown":
            raise self._perhaps_copied()
        if verdict == "copied":
            raise StateCopied(
                f"{self._manifest.folder} is a copy of {noted_place(self._manifest)}, and its index is that one's: run "
                "`ddsim index`, which makes one of its own"
            )

    def _perhaps_copied(self) -> StateCopied:
        return StateCopied(
            f"{self._manifest.folder}: its index on the server was made for {noted_place(self._manifest)}. If that was "
            "moved here, run `ddsim state adopt`; if it is still in use there, `ddsim index --rebuild` makes an index "
            "of this one's own"
        )

    def next_generation(self, **facts: object) -> None:
        """Give up the index: everything is pending, and goes to a folder of its own."""
        self._begin(**({"generation": int(self._manifest.get_meta("generation") or 0) + 1} | facts))

    def _begin(self, **facts: object) -> None:
        clean = {"incarnation": None, "unbuilt": False, "building": False, "loading": 0, "died": 0, "stored_rows": 0}
        self._manifest.requeue(ItemState.SENDING, ItemState.ADDED, ItemState.INDEXED, facts=clean | facts)

    # The lease

    def take_lease(self) -> None:
        """Be the only one that works on this index, on whatever machine.

        Raises:
            ManifestBusy: somebody else does; says who, where and since when.
        """
        self._lease_of_today().take()

    def hold_lease(self) -> None:
        """Be still the only one; raises as :meth:`take_lease`."""
        self._lease_of_today().hold()

    def check_lease(self) -> None:
        """Make sure that nobody else works on it; raises as :meth:`take_lease`."""
        self._lease_of_today().check()

    def release_lease(self) -> None:
        """Let others work on it."""
        if self._lease is not None:
            self._lease.release()

    def _lease_of_today(self) -> Lease:
        if self._lease is None or self._lease.service != self.name:
            self.release_lease()
            owner = owner_of(self._settings, self._manifest)
            self._lease = Lease(self._client, self.name, owner=owner, folder=self._manifest.folder)
        self._lease.repository = self.repository
        return self._lease

    # The service

    def ensure(self, incarnation: str) -> Ensured:
        """Have the service, this incarnation of it or a new one.

        Raises:
            ServiceConflict: it is there and somebody else's.
        """
        return self._ensure(self.spec(), incarnation)

    def _ensure(self, spec: ServiceSpec, incarnation: str) -> Ensured:
        for _ in range(_TRIES):
            try:
                return self._made_sure(spec, incarnation)
            except UnsafeCall:
                if not self._predecessor_removed():
                    raise
        return self._made_sure(spec, incarnation)

    def _predecessor_removed(self) -> bool:
        """Remove what an older version made for this very index under the plain name.

        Two services on one folder would mix up names (recordings/wire/30-sim-two-services-one-repository).
        """
        plain = self._settings.similarity.service
        try:
            found = self._client.get_service(plain)
        except ServiceNotFound:
            return False
        if not found.repository.startswith(f"{self._manifest.get_meta('repository')}-g"):
            return False
        _log.info("service %s of an older version gives way to %s", plain, self.name)
        with suppress(ServiceNotFound):
            self._client.delete_service(plain)
        return True

    def _made_sure(self, spec: ServiceSpec, incarnation: str) -> Ensured:
        return ensure(
            self._client,
            spec,
            layer=self._layer,
            owner=str(self._manifest.get_meta("owner")),
            incarnation=incarnation,
            replace_own=True,
        )

    def ensure_known(self) -> Ensured:
        """Have the service, the incarnation that the manifest knows if it still lives.

        Raises:
            InvalidResponse: its vectors have another length than those in the index.
        """
        ensured = self.ensure(self._manifest.get_meta("incarnation") or "")
        kept = self._manifest.get_meta("dimension")
        if kept not in (None, ensured.dimension):
            raise InvalidResponse(
                f"service {ensured.name!r} gives vectors of {ensured.dimension} values, the index holds {kept}: the "
                "network's files were replaced; run `ddsim index --rebuild`, which sends every picture again"
            )
        return ensured

    def ensure_to_look(self) -> None:
        """Have the service where its incarnation cannot be noted: it holds what was built, and nothing else is added.

        Raises:
            ServiceConflict: it is there and somebody else's.
        """
        self._own = self.ensure(self._own or self._manifest.get_meta("incarnation") or "").incarnation

    def is_there(self) -> bool:
        """Whether the service is the one that the manifest knows, and as configured."""
        incarnation = self._manifest.get_meta("incarnation")
        try:
            found = self._client.get_service(self.name)
        except ServiceNotFound:
            return False
        known = incarnation is not None and mark_of(found).incarnation in (incarnation, self._own)
        return known and not differences(self.spec(), found)

    def check_incarnation(self) -> None:
        """Make sure that what was just done was done to the service that everything before it went to.

        A search for the last item that was added stands for all others only if that is so.

        Raises:
            ConnectionLost: it was not; what was added before may be gone.
        """
        found = mark_of(self._client.get_service(self.name))
        if found.incarnation != self._manifest.get_meta("incarnation"):
            raise ConnectionLost(
                f"service {self.name!r} is another one now: {self._client.why_missing(self.name)}",
                method="POST",
                path="/predict",
            )

    def spec(self) -> ServiceSpec:
        """The service, with this generation's index."""
        place = {"name": self.name, "repository": self.repository, "create_repository": True}
        return self._settings.similarity_spec().model_copy(update=place)

    # The index

    def add(self, pictures: Mapping[str, Picture], build: bool) -> Vectors:
        """Add rows under these names."""
        return self._client.add_to_index(
            self.name, pictures, layer=self._layer, build=build, index_type=self.index_type
        )

    def ask(self, pictures: Sequence[Picture], k: int) -> list[tuple[Vectors, list[tuple[str, float]]]]:
        """The pictures' vectors, and the nearest rows by name and distance, valid or not. Nothing may be unbuilt."""
        return self._client.search_rows(self.name, pictures, layer=self._layer, k=k, index_type=self.index_type)

    def has_rows(self) -> bool:
        """Whether there are rows. Nothing may be unbuilt."""
        ((_, rows),) = self.ask([GREY], 1)
        return bool(rows)

    def remove_index(self, spec: ServiceSpec, dimension: int | None) -> None:
        """Remove the files of an index, as far as the server can, and the service with it. Nothing is searched.

        Args:
            spec: the service with that index.
            dimension: the length of the vectors in it, None where nobody knows.
        """
        # The server removes the files of an index that it has loaded (recordings/wire/07-service-get-delete), and a
        # row that is never built makes it do so without reading a name.
        ensured = self._ensure(spec, "")
        if dimension not in (None, ensured.dimension):
            # The row would be read as one of another length (recordings/wire/39-sim-dimension).
            _log.warning("the old index stays in %s on the server: remove it by hand", spec.repository)
            return
        try:
            self.add({"#0": GREY}, build=False)
        except ServerFault as error:
            if error.status != 500:
                raise
            # A failed load is enough for the removal, and must not be followed by any other call.
            _log.warning("the server's old index cannot be loaded: %s", error)
        self._client.delete_service(self.name, "index", layer=self._layer)
