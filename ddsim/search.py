"""A picture in; its labels, categories and the most similar items of a catalogue out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from ddsim.client import Client
from ddsim.collection import Collection, IndexOptions
from ddsim.config import load
from ddsim.connection import connect
from ddsim.errors import InvalidRequest, ServiceNotFound
from ddsim.images import Encoded, Picture, describe, encode
from ddsim.indexing import IndexReport, Progress
from ddsim.results import Label, Neighbour
from ddsim.services import ensure
from ddsim.settings import Settings


@dataclass(frozen=True)
class SearchResult:
    """What was found for one picture.

    Attributes:
        query: what the caller named the picture.
        labels: of the classification service, most probable first; empty without such a service.
        categories: category -> probability, most probable first: the labels' probabilities added up by the settings'
            ``categories``. Labels that these do not name count for none.
        neighbours: nearest first.
        category: what the search was restricted to, None for all.
    """

    query: str
    labels: tuple[Label, ...]
    categories: dict[str, float]
    neighbours: tuple[Neighbour, ...]
    category: str | None = None


class ImageSearch:
    """One configured way to search. Use it as a context manager, or call :meth:`close`.

    Args:
        settings: see :func:`ddsim.load`.
        catalogue: the folder of reference pictures; None takes the settings' own, or where that was never indexed the
            one that was indexed last.
        client: to use instead of one made from the settings; it is closed with this object.

    Raises:
        ConfigError: the settings' state folder cannot be used.
    """

    def __init__(self, settings: Settings, catalogue: Path | None = None, *, client: Client | None = None) -> None:
        self.settings = settings
        self.client = client if client is not None else connect(settings)
        try:
            self.collection = Collection(settings, self.client, catalogue)
        except BaseException:
            self.client.close()
            raise
        self._classifies = False

    @classmethod
    def from_config(cls, path: str | Path, catalogue: str | Path | None = None) -> ImageSearch:
        """Read a configuration file.

        Raises:
            ConfigError: it is wrong; nothing was sent.
        """
        return cls(load(path), Path(catalogue) if catalogue is not None else None)

    def __enter__(self) -> ImageSearch:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Release manifest and connections."""
        self.collection.close()
        self.client.close()

    @property
    def catalogue(self) -> Path:
        """The folder of reference pictures."""
        return self.collection.catalogue

    def index(
        self,
        folder: str | Path | None = None,
        options: IndexOptions | None = None,
        *,
        progress: Callable[[Progress], None] = lambda _: None,
        stopping: Callable[[], bool] = lambda: False,
    ) -> IndexReport:
        """Bring the index into step with a catalogue; see :meth:`ddsim.collection.Collection.index`.

        Args:
            folder: ``<category>/<picture>``; None takes the settings' catalogue. Later queries search it.
            options: what to do besides the ordinary.
            progress: told after every batch.
            stopping: asked between batches; once it is true the run ends early.

        Raises:
            ConfigError: no such folder, or nothing in it.
        """
        wanted = Path(folder) if folder is not None else self.settings.catalogue
        if wanted.absolute() != self.catalogue:
            self.collection.close()
            self.collection = Collection(self.settings, self.client, wanted)
        return self.collection.index(options, progress=progress, stopping=stopping)

    def query(self, picture: Picture, k: int = 10, *, category: str | None = None) -> SearchResult:
        """Find the most similar items.

        Args:
            picture: see :data:`ddsim.Picture`.
            k: how many.
            category: search this category only; fewer than ``k`` come back only where it holds fewer.

        Raises:
            ImageError: the picture cannot be read.
            InvalidRequest: ``k`` below 1, or a category that is not indexed.
            ConfigError: nothing is indexed.
            IndexBusy: an indexing run is adding pictures at this moment.
        """
        if k < 1:
            raise InvalidRequest(f"query: k={k} must be 1 or more")
        name, prepared = describe(picture), encode(picture, self.settings.upload_options())
        (hits,) = self.collection.search([prepared], k, category=category)
        labels = self._labels(prepared)
        return SearchResult(
            query=name,
            labels=labels,
            categories=self._categories(labels),
            neighbours=tuple(Neighbour(one.uri, one.distance, one.score) for one in hits.found),
            category=category,
        )

    def _labels(self, prepared: Encoded) -> tuple[Label, ...]:
        spec = self.settings.classification_spec()
        if spec is None:
            return ()
        if not self._classifies:
            ensure(self.client, spec)
            self._classifies = True
        try:
            return self.client.classify(spec.name, [prepared], top=None)[0].labels
        except ServiceNotFound:
            # A server that was restarted since has forgotten its services.
            ensure(self.client, spec)
            return self.client.classify(spec.name, [prepared], top=None)[0].labels

    def _categories(self, labels: tuple[Label, ...]) -> dict[str, float]:
        shares: dict[str, float] = {}
        for label in labels:
            # ImageNet's labels begin with their synset, which is shorter to write down than the whole.
            known = self.settings.categories
            category = known.get(label.name) or known.get(label.name.partition(" ")[0])
            if category:
                shares[category] = shares.get(category, 0.0) + label.probability
        return dict(sorted(shares.items(), key=lambda entry: -entry[1]))
