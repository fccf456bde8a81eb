"""A picture in; its labels, categories and the most similar items of a catalogue out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from ddsim.catalogue import scan
from ddsim.client import Client
from ddsim.config import load
from ddsim.connection import connect
from ddsim.errors import ConfigError, InvalidRequest, ServiceNotFound
from ddsim.images import Encoded, Picture, describe, encode
from ddsim.indexing import IndexReport, Progress, index_catalogue
from ddsim.results import Classification, Label, Neighbour
from ddsim.services import ensure
from ddsim.settings import Settings

_WIDE = 64


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
        client: to use instead of one made from the settings; it is closed with this object.
    """

    def __init__(self, settings: Settings, *, client: Client | None = None) -> None:
        if settings.index.backend == "local":
            raise ConfigError("index.backend: 'local' is not available in this version; expected server or auto")
        self.settings = settings
        self.client = client if client is not None else connect(settings)
        self._ready = False

    @classmethod
    def from_config(cls, path: str | Path) -> ImageSearch:
        """Read a configuration file.

        Raises:
            ConfigError: it is wrong; nothing was sent.
        """
        return cls(load(path))

    def __enter__(self) -> ImageSearch:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Release the connections."""
        self.client.close()

    def index(
        self, folder: str | Path | None = None, *, progress: Callable[[Progress], None] = lambda _: None
    ) -> IndexReport:
        """Index a catalogue from scratch.

        Args:
            folder: ``<category>/<picture>``; None takes the settings' catalogue.
            progress: called after every batch.

        Raises:
            ConfigError: no such folder, or nothing in it.
            ImageError: not one picture can be read.
        """
        items = scan(Path(folder) if folder is not None else self.settings.catalogue)
        return index_catalogue(self.client, self.settings, items, progress=progress)

    def query(self, picture: Picture, k: int = 10, *, category: str | None = None) -> SearchResult:
        """Find the most similar items.

        Args:
            picture: see :data:`ddsim.Picture`.
            k: how many.
            category: search this category only; fewer than ``k`` come back only where it holds fewer.

        Raises:
            ImageError: the picture cannot be read.
            InvalidRequest: ``k`` below 1.
        """
        if k < 1:
            raise InvalidRequest(f"query: k={k} must be 1 or more")
        prepared = encode(picture, self.settings.upload_options())
        name = describe(picture)
        try:
            self._ensure()
            return self._query(name, prepared, k, category)
        except ServiceNotFound:
            # A server that was restarted since has forgotten its services.
            self._ready = False
            self._ensure()
            return self._query(name, prepared, k, category)

    def _query(self, name: str, prepared: Encoded, k: int, category: str | None) -> SearchResult:
        labels = self._labels(prepared)
        return SearchResult(
            query=name,
            labels=labels,
            categories=self._categories(labels),
            neighbours=self._neighbours(prepared, k, category),
            category=category,
        )

    def _ensure(self) -> None:
        """Make the services be there: a server forgets them when it restarts."""
        if self._ready:
            return
        ensure(self.client, self.settings.similarity_spec(), layer=self.settings.similarity.extract_layer)
        spec = self.settings.classification_spec()
        if spec is not None:
            ensure(self.client, spec)
        self._ready = True

    def _labels(self, prepared: Encoded) -> tuple[Label, ...]:
        if self.settings.classification is None:
            return ()
        found: list[Classification] = self.client.classify(self.settings.classification.service, [prepared], top=None)
        return found[0].labels

    def _categories(self, labels: tuple[Label, ...]) -> dict[str, float]:
        shares: dict[str, float] = {}
        for label in labels:
            # ImageNet's labels begin with their synset, which is shorter to write down than the whole.
            known = self.settings.categories
            category = known.get(label.name) or known.get(label.name.partition(" ")[0])
            if category:
                shares[category] = shares.get(category, 0.0) + label.probability
        return dict(sorted(shares.items(), key=lambda entry: -entry[1]))

    def _neighbours(self, prepared: Encoded, k: int, category: str | None) -> tuple[Neighbour, ...]:
        """Ask wide: one neighbour more costs next to nothing, another call costs a forward pass."""
        wide = k if category is None else max(_WIDE, 8 * k)
        while True:
            (reply,) = self.client.search_index(
                self.settings.similarity.service,
                [prepared],
                layer=self.settings.similarity.extract_layer,
                k=wide,
                index_type=self.settings.similarity.index_type,
            )
            found = [one for one in reply.neighbours if category in (None, one.category)]
            if len(found) >= k or len(reply.neighbours) < wide:
                return tuple(found[:k])
            wide *= 4
