"""A picture in; its labels, categories and the most similar items of a catalogue out."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType

import numpy as np

from ddsim.catalogue import spelled
from ddsim.config import Settings, load
from ddsim.deepdetect import Client, Label, Neighbour, Vectors
from ddsim.errors import InvalidRequest
from ddsim.indexing import IndexReport, Progress
from ddsim.pictures import Encoded, Picture, describe, encode
from ddsim.routing import Classifier, Decision, RoutedCategory, Rules, Shares, TrainedHead, by_labels, decide, vote
from ddsim.search.collection import Collection, IndexOptions
from ddsim.search.connection import connect
from ddsim.training import TrainReport
from ddsim.vectors import Found, Hits, Select

# The score of a picture's search for itself is 1, or a little less after rounding.
_SAME = 0.9999


@dataclass(frozen=True, slots=True)
class Timings:
    """Where the time went, in seconds; for all pictures of the call together.

    Attributes:
        prepare: reading, shrinking and encoding pictures.
        classify: the classification service; 0 where it was not asked.
        search: the similarity service and the index.
        total: all of it.
    """

    prepare: float
    classify: float
    search: float
    total: float


@dataclass(frozen=True)
class SearchResult:
    """What was found for one picture.

    Attributes:
        query: what the caller named the picture.
        labels: what the classification service answered, most probable first; empty where it was not asked.
        categories: what the picture may show, most probable first; each says whether it was searched, and why. Where
            their probabilities add up to less than 1, the rest is the probability that the picture shows none of them.
        searched: the categories that were searched; empty means all of them.
        neighbours: nearest first.
        nothing_similar: None, or a sentence that says why even the nearest item is not similar enough. The neighbours
            are listed in both cases.
        timings: where the time went.
        remark: what there is to say about the picture itself, such as that its file is cut short; mostly empty.
    """

    query: str
    labels: tuple[Label, ...]
    categories: tuple[RoutedCategory, ...]
    searched: tuple[str, ...]
    neighbours: tuple[Neighbour, ...]
    nothing_similar: str | None
    timings: Timings
    remark: str = ""


class ImageSearch:
    """One configured way to search. Use it as a context manager, or call :meth:`close`.

    Args:
        settings: the configuration, see :func:`ddsim.load`.
        catalogue: the folder of reference pictures. None takes the settings' own or, if that was never indexed, the one
            that was indexed last.
        client: a client to use in place of one made from the settings; it is closed with this object.

    Raises:
        ConfigError: the settings' state folder cannot be used.
    """

    def __init__(self, settings: Settings, catalogue: Path | None = None, *, client: Client | None = None) -> None:
        self.settings = settings
        self._given = catalogue
        self.client = client if client is not None else connect(settings)
        try:
            self.collection = Collection(settings, self.client, catalogue)
        except BaseException:
            self.client.close()
            raise
        self._classifier = Classifier(self.client, settings)

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
        progress: Callable[[Progress], None] | None = None,
        stopping: Callable[[], bool] | None = None,
    ) -> IndexReport:
        """Bring the index into step with a catalogue; see :meth:`ddsim.search.collection.Collection.index`.

        Args:
            folder: the catalogue, with files ``<category>/<picture>``; None takes the one that was given to this
                object, or else the settings' own. Later queries search this one.
            options: what the run does beyond sending what is new or changed.
            progress: told after every batch.
            stopping: asked between batches; once it answers True, the run ends early. None never stops it.

        Raises:
            ConfigError: there is no such folder, or it holds no pictures.
        """
        wanted = Path(folder) if folder is not None else self._given or self.settings.catalogue
        if wanted.absolute() != self.catalogue:
            self.collection.close()
            self.collection = Collection(self.settings, self.client, wanted)
        return self.collection.index(options, progress=progress, stopping=stopping)

    def train(self, *, computed: Callable[[int, int], None] | None = None) -> TrainReport:
        """Train a classifier for the catalogue's own categories on what is indexed; see :func:`ddsim.training.train`.

        Queries use it where the settings say ``classification: trained``.

        Args:
            computed: told how many pictures' features were computed, of how many that were not known.

        Raises:
            InvalidRequest: fewer than two categories are indexed.
            CapabilityError: scikit-learn is not installed.
            ManifestBusy: a run is at work.
        """
        return self.collection.train(computed=computed)

    def query(
        self,
        picture: Picture,
        k: int = 10,
        *,
        category: str | Iterable[str] | None = None,
        route: bool = True,
        labels: bool = False,
        twins: bool = False,
    ) -> SearchResult:
        """Find the most similar items.

        Args:
            picture: see :data:`ddsim.Picture`.
            k: how many; fewer come back only where the searched categories hold fewer.
            category: search this category, or these, whatever the picture shows.
            route: False searches all categories where none is given.
            labels: ask the classification service for its labels even where they decide nothing: where the catalogue
                has taught that its own pictures know better, or where the settings go by neighbours alone.
            twins: list items with the very same picture one by one; otherwise the nearest of them is listed, and the
                others are in its ``also``.

        Raises:
            ImageError: the picture cannot be read.
            InvalidRequest: ``k`` below 1, or a category that is not indexed.
            ConfigError: nothing is indexed.
            IndexBusy: an indexing run is adding pictures at this moment.
            ApiError, TransportError: the server does not answer as it should.
        """
        return self.query_many([picture], k, category=category, route=route, labels=labels, twins=twins)[0]

    def query_many(
        self,
        pictures: Iterable[Picture],
        k: int = 10,
        *,
        category: str | Iterable[str] | None = None,
        route: bool = True,
        labels: bool = False,
        twins: bool = False,
    ) -> list[SearchResult]:
        """Find the most similar items for each of some pictures, in batches; see :meth:`query`.

        Raises:
            ImageError: one of them cannot be read; nothing was sent.
        """
        if k < 1:
            raise InvalidRequest(f"query: k={k} must be 1 or more")
        if isinstance(pictures, (str, bytes)):
            raise InvalidRequest("query_many: one picture is given, expected several; query() takes one")
        pictures = list(pictures)
        forced = None if category is None else (category,) if isinstance(category, str) else tuple(category)
        if forced == ():
            raise InvalidRequest(
                "query: category is an empty list; leave it out to search the categories that the picture shows"
            )
        named = self.collection.check(forced)  # before the classification service is asked
        forced = None if forced is None else tuple(dict.fromkeys(named))
        if not pictures:
            return []
        begun = time.perf_counter()
        names, upload = [describe(picture) for picture in pictures], self.settings.upload_options()
        prepared = [encode(picture, upload) for picture in pictures]
        ready = time.perf_counter()
        told = self._classifier.labels(prepared) if labels or self._labels_count() else [()] * len(prepared)
        classified = time.perf_counter()
        router = _Router(self.settings, self.collection, told, route)
        found = self._found(prepared, k, forced, router, twins)
        done = time.perf_counter()
        timings = Timings(ready - begun, classified - ready, done - classified, done - begun)
        return [
            replace(
                self._result(position, name, ones, hits, decision, router, timings), remark=prepared[position].remark
            )
            for position, (name, ones, (hits, decision)) in enumerate(zip(names, told, found, strict=True))
        ]

    def _labels_count(self) -> bool:
        """Whether the classification service's labels have a part in choosing categories."""
        by, learned = self.settings.routing.by, self.collection.learned()
        return by == "service" or (by == "combined" and not (learned is not None and learned.weight == 0.0))

    def _found(
        self, prepared: Sequence[Encoded], k: int, forced: tuple[str, ...] | None, router: _Router, twins: bool
    ) -> list[tuple[Hits, Decision]]:
        decisions: dict[int, Decision] = {}

        def choose(position: int, near: Sequence[Found], vector: Vectors) -> tuple[str, ...] | None:
            decisions[position] = router.decide(position, near, vector, forced)
            return decisions[position].searched or None  # None searches all categories

        select = Select(choose, forced, self.settings.routing.voters, fold=not twins)
        hits = self.collection.search(prepared, k, among=select)
        return [(one, decisions[position]) for position, one in enumerate(hits)]

    def _result(
        self,
        position: int,
        name: str,
        labels: tuple[Label, ...],
        hits: Hits,
        decision: Decision,
        router: _Router,
        timings: Timings,
    ) -> SearchResult:
        neighbours = tuple(
            Neighbour(one.uri, one.distance, score, rank, self.catalogue / one.uri, one.also)
            for rank, (one, score) in enumerate(zip(hits.found, router.probabilities(hits.found), strict=True), 1)
        )
        return SearchResult(
            query=name,
            labels=labels,
            categories=decision.categories,
            searched=decision.searched,
            neighbours=neighbours,
            nothing_similar=router.nothing_similar(position, hits, decision),
            timings=timings,
        )


class _Router:
    """Decides what to search for the pictures of one call, and what to think of what was found."""

    def __init__(
        self, settings: Settings, collection: Collection, labels: Sequence[tuple[Label, ...]], route: bool
    ) -> None:
        routing = settings.routing
        self._learned = collection.learned()
        self._sizes = collection.manifest.categories()
        categories = spelled(settings.categories, self._sizes)
        self._service = [by_labels(ones, categories) for ones in labels]
        self._trained = collection.trained()
        self._told: dict[int, Shares] = {}
        self._voters = routing.voters
        weight = self._learned.weight if self._learned else None
        by = "neighbours" if routing.by == "none" else routing.by
        self._rules = Rules(by, weight, routing.share, routing.most, not route or routing.by == "none")

    def probabilities(self, found: Sequence[Found]) -> list[float]:
        """The probability that each item is of the query's category; its score where nothing was learned yet."""
        if self._learned is None or self._learned.line is None:
            return [one.score for one in found]
        return [float(value) for value in self._learned.line.probability([one.distance for one in found])]

    def decide(self, position: int, near: Sequence[Found], vector: Vectors, forced: tuple[str, ...] | None) -> Decision:
        """What to search for one picture, given what is nearest to it and its features."""
        voters = near[: self._voters]
        voted = vote([(one.category, share) for one, share in zip(voters, self.probabilities(voters), strict=True)])
        told = self._service[position]
        if self._trained is not None:
            told = self._trained.head.shares(vector[np.newaxis])[0]
            if forced is None:
                self._told[position] = told
        return decide(told, voted, self._rules, self._sizes, forced)

    def nothing_similar(self, position: int, hits: Hits, decision: Decision) -> str | None:
        """None, or a sentence that says why nothing is similar enough."""
        if not hits.found:
            return "nothing of these categories is indexed"
        learned, first = self._learned, hits.found[0]
        if learned is None or first.score >= _SAME:
            return None
        nearest = first.distance if hits.apart is None else hits.apart
        if self._trained is not None and position in self._told:
            why = _unlike(self._trained, nearest, self._told[position])
            if why is not None:
                return why
        if learned.reach is not None and nearest > learned.reach:
            far, near = _told_apart(nearest, learned.reach, 4)
            before = "" if hits.apart is None else " before vectors are reduced"
            return (
                f"the nearest picture is at distance {far}{before}; 99 of 100 of the catalogue's own pictures have "
                f"another one at distance {near} or less"
            )
        most = max((one.probability for one in decision.categories), default=0.0)
        believed = max(most, decision.vote)
        if learned.floor is not None and believed < learned.floor:
            low, high = _told_apart(100 * believed, 100 * learned.floor, 3)
            return (
                f"no category is more probable than {low}%; 99 of 100 of the catalogue's own pictures have a category "
                f"with {high}% or more"
            )
        return None


def _told_apart(one: float, other: float, digits: int) -> tuple[str, str]:
    """Two different numbers with so many digits that they also read differently."""
    while f"{one:.{digits}g}" == f"{other:.{digits}g}" and digits < 17:
        digits += 1
    return f"{one:.{digits}g}", f"{other:.{digits}g}"


def _unlike(trained: TrainedHead, nearest: float, told: Shares) -> str | None:
    """A sentence why the photo shows none of the catalogue's categories, or None."""
    name, probability = next(iter(told.items()))
    if trained.open_set is None or trained.open_set.strangeness(nearest, probability, len(told)) <= 0:
        return None
    return (
        f"the photo is unlike the catalogue: its nearest item is at distance {nearest:.4g}, and the most probable "
        f"category, {name}, has {probability:.0%}; of the catalogue's own pictures, each taken for a photo, "
        f"{trained.open_set.false_alarms:.0%} are as far away and as unclear"
    )
