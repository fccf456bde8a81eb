"""The rows of an evaluation: vectors of the cache, searched as a configuration searches them, and scored."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from ddsim.catalogue import same_name
from ddsim.config import Routing, Settings
from ddsim.deepdetect import Vectors
from ddsim.errors import InvalidResponse
from ddsim.evaluation.experiments import Experiment
from ddsim.evaluation.floors import CHANCE, KEY, THUMBNAIL
from ddsim.evaluation.heads import trained_accuracy
from ddsim.evaluation.pictures import Photo, some
from ddsim.evaluation.results import Row
from ddsim.evaluation.scoring import SHOWN, Router, Scores, chance, score
from ddsim.evaluation.searching import Exact, Searcher, searcher
from ddsim.evaluation.sending import Outcome
from ddsim.evaluation.task import Task
from ddsim.routing import Shares, by_labels, learn
from ddsim.vectors import Cache, label_key

#: As an index learns: from so many items, of which the classification service names so many.
LEARN_FROM, NAMED = 1000, 100
# As many rows as a search asks the server for at least, see ddsim.vectors.valid.
_WIDE = 256


class Rows:
    """Makes rows, without their measures: those come when all are there, see :mod:`ddsim.evaluation.comparing`.

    Args:
        task: what is asked.
        cache: holds the vectors.
        seed: of what is chosen by chance.
        told: called with the number of queries done, after each part.
    """

    def __init__(self, task: Task, cache: Cache, seed: int, told: Callable[[int], None]) -> None:
        self._task = task
        self._cache = cache
        self._told = told
        self._places = {photo.uri: place for place, photo in enumerate(task.items)}
        self._sample = [self._places[photo.uri] for photo in some(task.items, LEARN_FROM, seed)]
        self._seen: set[str] = set()
        self._loaded: tuple[str, Vectors, Vectors] | None = None

    def configuration(
        self, experiment: Experiment, settings: Settings, outcome: Outcome, warnings: tuple[str, ...]
    ) -> tuple[Row, Scores]:
        """Score one configuration.

        Args:
            experiment: names it.
            settings: its own.
            outcome: of its extraction, which did not fail.
            warnings: to go with the row.

        Raises:
            ConfigError, InvalidRequest, CapabilityError: its index cannot be made of these vectors.
            InvalidResponse: the server gave vectors of different lengths.
        """
        begun = time.monotonic()
        items, queries = self._vectors(outcome.key)
        hidden = len(self._task.items) - int(self._task.findable.min())
        index = searcher(settings, items, max(_WIDE, int(self._task.relevant.max()) + hidden))
        shares = self._shares(settings)
        router = self._router(index, settings.routing.voters, shares)
        found = score(self._task, queries, index, router, self._told)
        trained = trained_accuracy(self._task, items, queries)
        if trained is not None:
            found.values["accuracy.trained"] = trained
        p50, p95 = _percentiles(self._latencies(index, queries, outcome))
        first = outcome.key not in self._seen
        self._seen.add(outcome.key)
        row = Row(
            name=experiment.name,
            kind="configuration",
            about=experiment.about,
            failed=None,
            measures={},
            dimension=index.dimension,
            index_bytes=index.size,
            latency_p50=p50,
            latency_p95=p95,
            extracted=outcome.extracted if first else 0,
            cached=outcome.cached if first else outcome.cached + outcome.extracted,
            seconds=time.monotonic() - begun + (outcome.seconds if first else 0.0),
            warnings=(*warnings, *outcome.warnings, *index.notes),
        )
        return row, found

    def thumbnail(self) -> tuple[Row, Scores]:
        """The floor that compares pixels."""
        begun = time.monotonic()
        items, queries = self._vectors(KEY)
        index = Exact(items, "l2")
        found = score(self._task, queries, index, self._router(index, Routing().voters, None), self._told)
        about = {"compares": "16 x 16 grey pixels"}
        return _floor(THUMBNAIL, about, time.monotonic() - begun, index), found

    def chance(self) -> tuple[Row, Scores]:
        """The floor that knows nothing."""
        return _floor(CHANCE, {"compares": "nothing"}, 0.0, None), Scores(chance(self._task))

    def _vectors(self, key: str) -> tuple[Vectors, Vectors]:
        """Of items and queries. Those of the last key are at hand, for configurations that share an extraction."""
        if self._loaded is None or self._loaded[0] != key:
            self._loaded = None  # before others are loaded: they may be large
            self._loaded = key, self._stacked(key, self._task.items), self._stacked(key, self._task.queries)
        return self._loaded[1:]

    def _stacked(self, key: str, photos: Sequence[Photo]) -> Vectors:
        found = self._cache.vectors(key, [photo.sha256 for photo in photos])
        lengths = {len(vector) for vector in found.values()}
        if len(lengths) != 1:
            raise InvalidResponse(
                f"the server gave vectors of {' and '.join(map(str, sorted(lengths)))} values: was its network "
                "replaced meanwhile? Run again with --no-cache"
            )
        return np.stack([found[photo.sha256] for photo in photos])

    def _shares(self, settings: Settings) -> dict[str, Shares] | None:
        """Content hash -> category -> probability by the service, of what it was asked about; None without one."""
        key = label_key(settings)
        if key is None or not settings.categories:
            return None
        labels = self._cache.labels(key, [photo.sha256 for photo in (*self._task.items, *self._task.queries)])
        categories = {label: same_name(category) for label, category in settings.categories.items()}
        return {sha256: by_labels(named, categories) for sha256, named in labels.items()}

    def _router(self, index: Searcher, voters: int, shares: Mapping[str, Shares] | None) -> Router:
        items = [self._task.items[place] for place in self._sample]
        named = {place: shares[photo.sha256] for place, photo in enumerate(items) if shares and photo.sha256 in shares}
        learned = learn(index.between(self._sample), [photo.category for photo in items], named, voters=voters)
        service = None if shares is None else [shares[photo.sha256] for photo in self._task.queries]
        return Router(learned, voters, service)

    def _latencies(self, index: Searcher, queries: Vectors, outcome: Outcome) -> list[float]:
        """Seconds of whole queries: what the server took for the vector, and the search."""
        places = {photo.sha256: place for place, photo in enumerate(self._task.queries)}
        timed = [(queries[places[sha256]], took) for sha256, took in outcome.latencies.items() if sha256 in places]
        if timed:
            index.nearest(timed[0][0], SHOWN)  # warms up
        seconds = []
        for vector, took in timed:
            begun = time.perf_counter()
            index.nearest(vector, SHOWN)
            seconds.append(took + time.perf_counter() - begun)
        return seconds


def failed(experiment: Experiment, reason: str, *, by_server: bool = False) -> Row:
    """The row of a configuration that could not be measured."""
    return Row(
        name=experiment.name,
        kind="configuration",
        about=experiment.about,
        failed=reason,
        measures={},
        dimension=None,
        index_bytes=None,
        latency_p50=None,
        latency_p95=None,
        extracted=0,
        cached=0,
        seconds=0.0,
        by_server=by_server,
    )


def _floor(name: str, about: dict[str, str], seconds: float, index: Searcher | None) -> Row:
    return Row(
        name=name,
        kind="floor",
        about=about,
        failed=None,
        measures={},
        dimension=None if index is None else index.dimension,
        index_bytes=None if index is None else index.size,
        latency_p50=None,
        latency_p95=None,
        extracted=0,
        cached=0,
        seconds=seconds,
    )


def _percentiles(seconds: Sequence[float]) -> tuple[float | None, float | None]:
    if not seconds:
        return None, None
    return float(np.quantile(seconds, 0.5)), float(np.quantile(seconds, 0.95))
