"""What is added to the index on the server and built there, while searches stay away."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack

from ddsim.catalogue import Manifest
from ddsim.deepdetect import Client, Vectors
from ddsim.errors import ApiError, DDSimError, ServerUnreachable, ServiceNotFound, TransportError
from ddsim.pictures import Picture
from ddsim.vectors.others import Patience, forgetting
from ddsim.vectors.served import GREY, Served

# Bears no valid vid: a row for those builds that have nothing else to add, as a build of nothing kills the server
# (recordings/wire/26-sim-build-after-reload).
_NOBODY = "#0"


class Adding:
    """Adds rows, and notes before each call what it may leave behind. One thread at a time uses it.

    Args:
        client: the server.
        served: the index; its lease is held.
        manifest: keeps searches away.
        patience: how long to wait for searches under way.
    """

    def __init__(self, client: Client, served: Served, manifest: Manifest, patience: Patience) -> None:
        self._client = client
        self._served = served
        self._facts = served.facts
        self._manifest = manifest
        self._patience = patience
        self._no_searches: ExitStack | None = None

    def send(self, pictures: Mapping[str, Picture], *, build: bool = False) -> Vectors:
        """Add rows under these names.

        Raises as :meth:`ddsim.vectors.Backend.add`; where nothing can have been added, nothing is noted as such.
        """
        served, facts = self._served, self._facts
        served.hold_lease()
        self.keep_searches_away()
        before = {"unbuilt": facts.unbuilt, "stored_rows": facts.stored, "building": facts.building}
        # A build's own row is nobody's picture, and no reason to clear anything out.
        stored = facts.stored + (0 if build else len(pictures))
        facts.note(unbuilt=True, stored_rows=stored, building=build or facts.building)
        with forgetting(self._client, served.name):
            try:
                vectors = served.add(pictures, build)
            except ServiceNotFound:
                raise
            except DDSimError as error:
                # What was too large for one request may have been added in part.
                partly = self._client.may_be_unbuilt(served.name) and not before["unbuilt"]
                if not partly and not _in_doubt(error, build):
                    facts.note(**before)
                    if not facts.unbuilt:
                        self.let_searches_in()
                raise
            served.check_incarnation()
        return vectors

    def build(self) -> None:
        """Build what is unbuilt, and let searches see it; raises as :meth:`send`."""
        if self._facts.unbuilt:
            self.send({_NOBODY: GREY}, build=True)
            self._note_built()
            self._manifest.give_way(self._patience.gives_way)

    def _note_built(self) -> None:
        # Whoever is killed before the next line builds once more; after it, what is added is known to be built.
        self._facts.note(unbuilt=False, building=False, builds=self._facts.builds + 1)
        self._manifest.indexed()
        self.let_searches_in()

    def keep_searches_away(self) -> None:
        """Wait for searches under way, and have others wait until they are let in.

        Raises:
            IndexBusy: searches do not end in time.
        """
        if self._no_searches is None:
            held = ExitStack()
            held.enter_context(self._manifest.adding(self._patience.searches))
            self._no_searches = held

    def let_searches_in(self) -> None:
        """End this; where something is unbuilt still, its note in the manifest keeps them away."""
        if self._no_searches is not None:
            self._no_searches.close()
            self._no_searches = None


def _in_doubt(error: DDSimError, build: bool) -> bool:
    """Whether a call to the index that failed so may have added something (recordings/wire/38-sim-index-errors)."""
    if isinstance(error, ApiError):
        return error.status > 500 or (error.status == 500 and build)
    return isinstance(error, TransportError) and not isinstance(error, ServerUnreachable)
