"""Whether the collection of a catalogue is there, at the cost of one question: for whoever watches a page."""

from __future__ import annotations

from ddsim.catalogue import Manifest
from ddsim.config import Settings
from ddsim.errors import IndexLost
from ddsim.vectors.milvuscalls import Calls
from ddsim.vectors.milvuslink import Missing
from ddsim.vectors.milvusplace import COLLECTION, alias_of

# Whoever only looks comes again soon, and others wait behind him.
_PATIENCE_S = 5.0


class Glance:
    """Looks at the database that settings name, by a connection of its own. One thread at a time uses it.

    Args:
        settings: the configuration.

    Raises:
        CapabilityError: the database's client is not installed.
    """

    def __init__(self, settings: Settings) -> None:
        timeout = min(settings.index.timeout, _PATIENCE_S)
        self._calls = Calls(settings.index.model_copy(update={"timeout": timeout}))
        self._alias = alias_of(settings)

    def check(self, manifest: Manifest) -> None:
        """Make sure, by one question, that the database answers and has the collection that a search would ask.

        Args:
            manifest: of this machine; empty on one that only searches, where having nothing indexed is no error.

        Raises:
            DatabaseTrouble, Unconnectable: it does not answer, or lets nobody in.
            IndexLost: the collection is gone.
        """
        own = manifest.get_meta(COLLECTION)
        try:
            self._calls.once("describe_collection", str(own or self._alias), {})
        except Missing as error:
            if own:
                raise IndexLost(
                    f"the collection {own!r} of this catalogue is gone from the Milvus at {self._calls.url}: run "
                    "`ddsim index`, which puts every picture there again"
                ) from error

    def close(self) -> None:
        """Let go of the connection."""
        self._calls.close()
