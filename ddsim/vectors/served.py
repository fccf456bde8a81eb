"""The similarity service of one manifest, and the index in it, as far as calls go."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from contextlib import suppress

from PIL import Image

from ddsim.catalogue import Manifest
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
    UnsafeCall,
)
from ddsim.pictures import Picture
from ddsim.vectors.others import owner_of
from ddsim.vectors.serverfacts import Facts

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

    Attributes:
        facts: what is known of it.
        index_type: how the server searches.
    """

    def __init__(self, client: Client, settings: Settings, manifest: Manifest) -> None:
        self.facts = Facts(settings, manifest)
        self.index_type = settings.similarity.index_type
        self._client = client
        self._settings = settings
        self._layer = settings.similarity.extract_layer
        self._folder = manifest.folder
        self._owner = owner_of(settings, manifest)
        self._own: str | None = None
        self._lease: Lease | None = None

    @property
    def name(self) -> str:
        """The service."""
        return self.facts.service

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
            self._lease = Lease(self._client, self.name, owner=self._owner, folder=self._folder)
        self._lease.repository = self.facts.repository
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
                ensured = self._made_sure(spec, incarnation)
            except UnsafeCall:
                if not self._predecessor_removed():
                    raise
            else:
                if ensured.created:  # it may have been made at the same moment, when neither was there to be seen
                    self._predecessor_removed()
                return ensured
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
        if not found.repository.startswith(self.facts.generations):
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
            owner=self.facts.owner,
            incarnation=incarnation,
            replace_own=True,
        )

    def ensure_known(self) -> Ensured:
        """Have the service, the incarnation that the manifest knows if it still lives.

        Raises:
            InvalidResponse: its vectors have another length than those in the index.
        """
        ensured = self.ensure(self.facts.incarnation or "")
        kept = self.facts.dimension
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
        self._own = self.ensure(self._own or self.facts.incarnation or "").incarnation

    def is_there(self) -> bool:
        """Whether the service is the one that the manifest knows, and as configured."""
        incarnation = self.facts.incarnation
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
        if found.incarnation != self.facts.incarnation:
            raise ConnectionLost(
                f"service {self.name!r} is another one now: {self._client.why_missing(self.name)}",
                method="POST",
                path="/predict",
            )

    def spec(self) -> ServiceSpec:
        """The service, with this generation's index."""
        place = {"name": self.name, "repository": self.facts.repository, "create_repository": True}
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
