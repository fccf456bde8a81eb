"""One catalogue under one configuration: what people and the other files of this house do with it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from ddsim.catalogue import Change, ItemState, Names, choices, note_whereabouts, noted_place, whereabouts
from ddsim.deepdetect import Vectors
from ddsim.errors import ConfigError, IndexLost, InvalidRequest, StateCopied
from ddsim.indexing import Audit, IndexReport, Progress, audit_index
from ddsim.pictures import Picture
from ddsim.routing import TrainedHead
from ddsim.search.holdings import Holdings
from ddsim.search.planning import IndexOptions, Outlook, outlook
from ddsim.search.runs import Listeners, check_take_over, index
from ddsim.search.sharing import show
from ddsim.training import TrainReport, train
from ddsim.vectors import Among, Hits, Select


class Collection(Holdings):
    """One catalogue under one configuration. Use it as a context manager, or call :meth:`close`.

    Args:
        settings: the configuration.
        client: the configured server; None will do where only the manifest is read.
        catalogue: where the reference pictures are. None takes the settings' own or, if that was never indexed, the one
            that was indexed last.
        folder: where the manifest is kept, instead of its place below the settings' state folder.

    Raises:
        ConfigError: the folder for the manifest cannot be used.
    """

    # Indexing

    def changes(self, options: IndexOptions | None = None) -> dict[Change, int]:
        """Count what a run would do, without doing it.

        Args:
            options: of the run; see :class:`IndexOptions`.

        Raises:
            ConfigError: there is no catalogue.
        """
        return self.outlook(options).changes

    def outlook(self, options: IndexOptions | None = None) -> Outlook:
        """Look at what a run would do, without doing it.

        Args:
            options: of the run; see :class:`IndexOptions`.

        Raises:
            ConfigError: there is no catalogue.
            InvalidRequest: it is to take over what only an index in a database has.
        """
        options = options or IndexOptions()
        check_take_over(self, options)
        return outlook(self, options)

    def index(
        self,
        options: IndexOptions | None = None,
        *,
        progress: Callable[[Progress], None] | None = None,
        stopping: Callable[[], bool] | None = None,
    ) -> IndexReport:
        """Bring the index into step with the catalogue's folder.

        A rebuild goes on beside the old index, which answers until the new one is whole. A run that finds an unfinished
        rebuild goes on with that. Only what is new or changed is sent. Items whose files are gone are no longer found.
        Items that cannot be indexed are put aside with the reason, and stay there until they change or are retried.

        Args:
            options: see :class:`IndexOptions`.
            progress: told after every batch.
            stopping: asked between batches; once it answers True, the run ends early, and what was sent can be
                searched.

        Raises:
            ConfigError: there is no catalogue, or the settings do not fit what is indexed.
            CatalogueVanished: too much of the catalogue is gone; nothing was changed.
            ForeignCollection: its place in a database is another state folder's, and it was not told to take over.
            ManifestBusy: another run is at work; the message says which one.
            ServiceConflict, CapabilityError, ApiError, TransportError: the server cannot be used, or fails. What was
                written to the index so far stays; the next run does the rest.
        """
        return index(self, options or IndexOptions(), Listeners(progress, stopping))

    def remove(self, uris: Sequence[str]) -> int:
        """Take items out of the index. Their files stay, and the next run indexes them again if they are still there.

        Args:
            uris: names of the items.

        Returns:
            how many of these items were in the manifest.

        Raises:
            InvalidRequest: there is no item of some name; nothing was removed.
            ManifestBusy: a run is at work.
        """
        with self.manifest.writing():
            rows = [self.manifest.find(uri) for uri in uris]
            if unknown := [uri for uri, row in zip(uris, rows, strict=True) if row is None]:
                more = f", nor {len(unknown) - 1} more of those that were named" if len(unknown) > 1 else ""
                meant = self.manifest.meant(unknown[0])
                raise InvalidRequest(f"not in the catalogue: {unknown[0]!r}{more}; nothing was removed{meant}")
            vids = [row.vid for row in rows if row is not None and row.vid is not None]
            count = self.manifest.remove(row.uri for row in rows if row is not None)
            if vids:
                with self.writing() as backend:
                    backend.remove(vids)
                    show(backend, self.manifest, self.settings)
        return count

    def audit(self) -> Audit:
        """Check the index; see :func:`ddsim.indexing.audit.audit`."""
        return audit_index(self.manifest, self.home(), self.picture_of)

    def adopt(self) -> bool:
        """Take the index on the server for this manifest's own, wherever it was made; the server is not asked.

        Returns:
            whether it was noted as made elsewhere.

        Raises:
            ManifestBusy: a run is at work.
            StateCopied: the one that it was made for is still there, on this machine.
        """
        verdict = whereabouts(self.manifest)
        if verdict == "here":
            return False
        if verdict == "copied":
            raise StateCopied(
                f"{self.manifest.folder} was not moved: it is a copy of {noted_place(self.manifest)}, which is still "
                "there and keeps its index: run `ddsim index`, which makes one of this one's own"
            )
        with self.manifest.writing():
            note_whereabouts(self.manifest)
        return True

    # Training

    def train(self, *, computed: Callable[[int, int], None] | None = None) -> TrainReport:
        """Train a classifier on what is indexed; see :func:`ddsim.training.train`.

        Raises:
            ManifestBusy: a run is at work.
        """
        self.check()
        with self.manifest.writing(), self.writing() as backend:
            report = train(self.manifest, backend, self.settings, self.picture_of, computed=computed)
            show(backend, self.manifest, self.settings)
            return report

    def trained(self) -> TrainedHead | None:
        """The classifier of these settings; None where they ask for none, or there is only one category.

        Raises:
            ConfigError: there is none yet, or its file is damaged.
        """
        if not self.settings.trained:
            return None
        head = self.head()
        if head is None and len(self.records.categories()) > 1:
            raise ConfigError(
                "classification: trained, and no classifier was trained on this catalogue yet: run `ddsim train`"
            )
        return head

    # Looking

    def search(self, pictures: Sequence[Picture], k: int, *, among: Among = None) -> list[Hits]:
        """Find the nearest items; see :meth:`ddsim.vectors.Backend.search`.

        Raises:
            ConfigError: nothing is indexed.
            InvalidRequest: a category is named that no indexed item is of.
            IndexLost: the server's index turns out to be gone.
        """
        among = self._named(among)
        # More than there are would only be looked for longer, in the server's index by rows of which it has no number.
        k = min(k, max(1, self.records.counts()[ItemState.INDEXED]))
        hits = self.home().search(pictures, k, among)
        if pictures and not self.records.categories():
            raise IndexLost(
                "the server's index is gone: were its files removed, or the Docker volume that held them, or did the "
                "server end while it wrote them? Run `ddsim index`, which sends every picture again"
            )
        return hits

    def search_vectors(self, vectors: Vectors, k: int, *, among: Among = None) -> list[Hits]:
        """Find the items nearest to vectors; see :meth:`ddsim.vectors.Backend.search_vectors`.

        Raises:
            ConfigError: nothing is indexed.
            InvalidRequest: a category is named that no indexed item is of, or the vectors have another length.
            CapabilityError: the vectors' home takes pictures only.
        """
        return self.home().search_vectors(vectors, k, self._named(among))

    def _named(self, among: Among) -> Among:
        """The same with categories as the catalogue has them."""
        wanted = among.likely if isinstance(among, Select) else among
        named = self.check((wanted,) if isinstance(wanted, str) else wanted)
        return among if wanted is None or isinstance(among, Select) else named

    def check(self, categories: Iterable[str] | None = None) -> tuple[str, ...]:
        """Make sure that there is something to search; the server is not asked.

        Args:
            categories: those that must have indexed items.

        Returns:
            their names as the catalogue has them.

        Raises:
            ConfigError: nothing is indexed.
            InvalidRequest: a category is named that no indexed item is of.
        """
        known = self.records.categories()
        if not known:
            raise ConfigError(
                f"nothing of {self.catalogue} is indexed under the configuration {self.settings.name!r}: "
                "run `ddsim index` for it first"
            )
        if categories is None:
            return ()
        names = self.records.derived("names", lambda: Names(self.records.categories()))
        found: list[str] = []
        for category in categories:
            meant = names.find(category)
            if meant is None:
                raise InvalidRequest(f"no category {category!r} is indexed; {choices(category, known)}")
            found.append(meant)
        return tuple(found)
