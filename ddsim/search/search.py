"""One configured way to search, open: pictures in; categories, neighbours and all that the catalogue holds out."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from types import TracebackType

from ddsim.catalogue import Address, ItemState, Where, place_named
from ddsim.config import Settings, load
from ddsim.deepdetect import Client
from ddsim.errors import InvalidRequest
from ddsim.indexing import IndexReport, Progress
from ddsim.routing import Classifier
from ddsim.search.collection import Collection
from ddsim.search.connection import connect
from ddsim.search.contents import Failures, Items, ItemVectors, items_of, items_with_vectors, names_of
from ddsim.search.duplicates import Duplicates, duplicates_of
from ddsim.search.exploring import CatalogueMap, Method, explored
from ddsim.search.planning import IndexOptions
from ddsim.search.querying import Queries
from ddsim.showing import clipped, counted
from ddsim.training import TrainReport


class ImageSearch(Queries):
    """One configured way to search. Use it as a context manager, or call :meth:`close`.

    Args:
        settings: the configuration, see :func:`ddsim.load`.
        catalogue: where the reference pictures are. None takes the settings' own or, if that was never indexed, the one
            that was indexed last.
        client: a client to use in place of one made from the settings; it is closed with this object.

    Raises:
        ConfigError: the settings' state folder cannot be used.
        InvalidRequest: these are no settings, or no place of a catalogue.
    """

    def __init__(
        self, settings: Settings, catalogue: str | Path | None = None, *, client: Client | None = None
    ) -> None:
        if not isinstance(settings, Settings):
            raise InvalidRequest(
                f"ImageSearch: settings are needed, such as ddsim.load(FILE) gives, not {clipped(repr(settings))}; "
                "ImageSearch.from_config(FILE) reads a configuration itself"
            )
        self.settings = settings
        self._given = _place(catalogue)
        self._closed = False
        self.client = client if client is not None else connect(settings)
        try:
            self.collection = Collection(settings, self.client, self._given)
        except BaseException:
            self.client.close()
            raise
        self._classifier = Classifier(self.client, settings)

    @classmethod
    def from_config(cls, path: str | Path, catalogue: str | Path | None = None) -> ImageSearch:
        """Read a configuration.

        Args:
            path: its file, or the name of one that comes with ddsim, such as ``photos``.
            catalogue: as for the class.

        Raises:
            ConfigError: it is wrong; nothing was sent.
        """
        return cls(load(path), catalogue)

    def __enter__(self) -> ImageSearch:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        if self._closed:
            return f"<ImageSearch: {self.settings.name!r}, closed>"
        holds = counted(self.collection.manifest.counts()[ItemState.INDEXED], "item")
        return f"<ImageSearch: {self.settings.name!r}, {holds} of {clipped(repr(str(self.catalogue)))} indexed>"

    def close(self) -> None:
        """Release manifest and connections; a second time does nothing."""
        self._closed = True
        self.collection.close()
        self.client.close()

    def _check_open(self) -> None:
        if self._closed:
            raise InvalidRequest("this ImageSearch is closed: open another one, or use it inside its `with` block")

    # The index

    def index(
        self,
        folder: str | Path | None = None,
        options: IndexOptions | None = None,
        *,
        progress: Callable[[Progress], None] | None = None,
        stopping: Callable[[], bool] | None = None,
    ) -> IndexReport:
        """Bring the index into step with a catalogue; see :meth:`ddsim.Collection.index`.

        Args:
            folder: the catalogue, with files ``<category>/<picture>``, or its address; None takes the one that was
                given to this object, or else the settings' own. Later queries search this one, but where the run
                raised an error.
            options: what the run does beyond sending what is new or changed.
            progress: told after every batch, by the caller's own thread; see :class:`ddsim.ProgressBar`.
            stopping: asked between batches; once it answers True, the run ends early. None never stops it.

        Raises:
            ConfigError: there is no such folder, or it holds no pictures.
            InvalidRequest: this object is closed, or ``folder`` is no place of a catalogue.
        """
        self._check_open()
        wanted = _place(folder) or self._given or self.settings.catalogue
        if (wanted if isinstance(wanted, Address) else wanted.absolute()) == self.catalogue:
            return self.collection.index(options, progress=progress, stopping=stopping)
        before, self.collection = self.collection, Collection(self.settings, self.client, wanted)
        try:
            report = self.collection.index(options, progress=progress, stopping=stopping)
        except BaseException:
            # A folder that is misspelt, say, must not take away the one that can be searched.
            self.collection.close()
            self.collection = before
            raise
        before.close()
        return report

    def train(self, *, computed: Callable[[int, int], None] | None = None) -> TrainReport:
        """Train a classifier for the catalogue's own categories on what is indexed; see :func:`ddsim.training.train`.

        Queries use it where the settings say ``classification: trained``.

        Args:
            computed: told how many pictures' features were computed, of how many that were not known.

        Raises:
            InvalidRequest: fewer than two categories are indexed, or this object is closed.
            CapabilityError: scikit-learn is not installed.
            ManifestBusy: a run is at work.
        """
        self._check_open()
        return self.collection.train(computed=computed)

    def remove(self, uris: str | Iterable[str]) -> int:
        """Take items out of the index at once. Their files stay, and the next run indexes those that are still there.

        Args:
            uris: the name of an item, or names, as in :meth:`items`.

        Returns:
            how many were removed.

        Raises:
            InvalidRequest: there is no item of some name, which says which may be meant, and nothing was removed; or
                this object is closed.
            ManifestBusy: a run is at work.
        """
        self._check_open()
        return self.collection.remove(names_of(uris))

    # What is in it

    def items(self, category: str | None = None) -> Items:
        """What is indexed, sorted by uri; the server is not asked.

        Args:
            category: only items of it.

        Raises:
            InvalidRequest: no indexed item is of this category, or this object is closed.
        """
        self._check_open()
        return items_of(self.collection, category)

    def failures(self) -> Failures:
        """What could not be indexed, with the reasons; the server is not asked.

        Raises:
            InvalidRequest: this object is closed.
        """
        self._check_open()
        return Failures(self.collection.failures())

    def vectors(self, category: str | None = None, *, compared: bool = False) -> ItemVectors:
        """The vectors of what is indexed, for clustering, plotting and the like: ``uris, vectors = search.vectors()``.

        Args:
            category: only items of it.
            compared: as searches compare them, where the settings normalise, reduce or whiten them (``index.pca`` and
                others). Otherwise as the network gave them, which :meth:`query_vector` takes.

        Returns:
            uris, n of them, and float32 of shape (n, d) in the same order. Of the server's own index, which gives no
            vector back, those that a training or an evaluation has left here.

        Raises:
            InvalidRequest: no indexed item is of this category, or this object is closed.
            ConfigError: nothing is indexed.
            CapabilityError: they are in the server's own index, and not all of them are known here.
            ApiError, TransportError: the server does not answer as it should.
        """
        self._check_open()
        items, vectors = items_with_vectors(self.collection, category, compared=compared)
        return ItemVectors([item.uri for item in items], vectors)

    def duplicates(self, threshold: float = 0.98, *, category: str | None = None) -> Duplicates:
        """Find items that are nearly the same picture: the same photo saved twice, cropped, or in other colours.

        Every item is compared with every other one: of 10,000 that takes seconds, of 100,000 minutes.

        Args:
            threshold: how similar two items are at least, as the cosine of the angle between their vectors as the
                network gave them: above 0, 1 for the same picture. What is near enough depends on the network: begin
                high.
            category: only items of it.

        Raises:
            InvalidRequest: a threshold out of range; and as :meth:`vectors`.
            ConfigError, CapabilityError, ApiError, TransportError: as :meth:`vectors`.
        """
        self._check_open()
        return duplicates_of(self.collection, threshold, category)

    def explore(
        self,
        path: str | Path | None = None,
        *,
        category: str | None = None,
        method: Method = "pca",
        most: int = 5000,
        pictures: int = 600,
    ) -> CatalogueMap:
        """Draw a map of the catalogue on which similar items are near each other, as one HTML page.

        A notebook shows what comes back; elsewhere give ``path``, or call its ``save``.

        Args:
            path: the file to write the page to; None writes none.
            category: only items of it.
            method: how the plane is found: ``pca``, the two directions in which the vectors differ most; or ``umap``,
                which keeps neighbourhoods together and needs the extra ``umap``.
            most: so many items at most, evenly over all of them.
            pictures: so many of them with a small picture, the others as dots; each adds about 3 kB to the page.

        Raises:
            InvalidRequest: another method, ``most`` below 1 or ``pictures`` below 0; and as :meth:`vectors`.
            CapabilityError: UMAP is not installed; and as :meth:`vectors`.
            ConfigError: the file cannot be written; and as :meth:`vectors`.
            ApiError, TransportError: as :meth:`vectors`.
        """
        self._check_open()
        drawn = explored(self.collection, category, method, most, pictures)
        if path is not None:
            drawn.save(path)
        return drawn


def _place(catalogue: object) -> Where | None:
    """Where a catalogue is, as somebody gave it, whatever the current folder is later; None is none.

    Raises:
        InvalidRequest: it is neither text nor a path, or empty.
    """
    if catalogue is None:
        return None
    if not isinstance(catalogue, (str, Path)):
        raise InvalidRequest(
            f"a catalogue is named by a path, or an address as text, not by {clipped(repr(catalogue))}"
        )
    if not str(catalogue).strip():
        raise InvalidRequest("a catalogue is named by an empty text: is a variable not set? None is the settings' own")
    place = place_named(str(catalogue))
    return place if isinstance(place, Address) else place.absolute()
