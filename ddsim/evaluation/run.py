"""An evaluation from end to end: pictures -> vectors -> searches -> measures -> who wins."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path

from ddsim.catalogue import Where, product_pattern
from ddsim.config import Settings
from ddsim.deepdetect import Client
from ddsim.errors import ConfigError, DDSimError, InvalidRequest, TransportError
from ddsim.evaluation.comparing import Groups, disagreements, ranked
from ddsim.evaluation.concluding import concluded
from ddsim.evaluation.experiments import Experiment
from ddsim.evaluation.extraction import extract_labels, extract_vectors
from ddsim.evaluation.floors import KEY, keep_thumbnails
from ddsim.evaluation.leaving_out import refused, warning
from ddsim.evaluation.options import Options, Step
from ddsim.evaluation.pictures import Folder, Photo, gather, sample, some
from ddsim.evaluation.primary import primary_measure
from ddsim.evaluation.results import Evaluation, Row, spread_by
from ddsim.evaluation.rows import NAMED, Rows, failed
from ddsim.evaluation.scoring import Scores
from ddsim.evaluation.sending import Outcome, Stopped, Work
from ddsim.evaluation.task import Task
from ddsim.evaluation.thumbnails import Thumbnails
from ddsim.pictures import Upload
from ddsim.search import connect
from ddsim.sources import source_of
from ddsim.vectors import Cache, Patience, label_key, vector_key

# Categories named in a sentence at most.
_NAMED = 5


def evaluate_experiments(
    experiments: Sequence[Experiment],
    catalogue: Where,
    queries: Where | None = None,
    *,
    options: Options | None = None,
    cache: Path,
    progress: Callable[[Step], None] | None = None,
    stopping: Callable[[], bool] | None = None,
    opening: Callable[[Settings], Client] = connect,
    patience: Patience | None = None,
) -> Evaluation | None:
    """Measure configurations on the same labelled pictures, and compare them.

    Servers only compute vectors and labels, on services of their own names, which are removed afterwards; no index of
    any configuration is touched.

    Args:
        experiments: see :func:`ddsim.evaluation.read_experiments`.
        catalogue: the items, ``<category>/<picture>``.
        queries: likewise; None takes every item for a query for all others (leave-one-out).
        options: see there.
        cache: folder for what was computed, which later evaluations find there. One that was stopped or killed goes on
            where it was.
        progress: told often.
        stopping: asked after every batch; once it answers True, there is no result.
        opening: connects to the server of a configuration.
        patience: how long to wait for a server that is gone.

    Returns:
        What was found; None where it was stopped. A configuration that fails is a row that says why.

    Raises:
        ConfigError: there is no such folder, no picture in it can be used, or the cache cannot be used.
        InvalidRequest: there is no experiment, or the product pattern is not a regular expression.
    """
    if not experiments:
        raise InvalidRequest("evaluate: no configuration given")
    stopping = stopping or (lambda: False)
    run = _Run(experiments, options or Options(), progress or (lambda _: None), stopping)
    with Cache(cache, holding=True) as kept:
        work = Work(kept, opening, patience or Patience(), run.told, stopping)
        try:
            return run.run(work, catalogue, queries)
        except Stopped:
            return None


class _Run:
    def __init__(
        self,
        experiments: Sequence[Experiment],
        options: Options,
        progress: Callable[[Step], None],
        stopping: Callable[[], bool],
    ) -> None:
        self._experiments = experiments
        self._settings = [one.settings for one in experiments if one.settings is not None]
        self._options = options
        self._progress = progress
        self._stopping = stopping
        self._step = Step("", 0, None)
        uploads = [settings.upload for settings in self._settings]
        # The widest of all: each configuration keeps its own limits when it prepares pictures.
        self._limits = Upload(
            max_pixels=max((one.max_pixels for one in uploads), default=Upload().max_pixels),
            max_bytes=max((one.max_bytes for one in uploads), default=Upload().max_bytes),
        )

    def run(self, work: Work, catalogue: Where, queries: Where | None) -> Evaluation:
        items, asked = self._gather(catalogue, queries)
        chosen = sample(asked.photos, self._options.limit, self._options.seed)
        photos = {photo.sha256: photo for photo in (*items.photos, *chosen)}
        vectors = self._vectors(work, photos, chosen)
        labels = self._labels(work, items.photos, chosen)
        self._begin("thumbnails", len(photos) - len(work.cache.known(KEY, photos)))
        reasons = keep_thumbnails(work.cache, photos, self._limits, self.told)
        for outcome in (*vectors.values(), *labels.values()):
            reasons |= refused(outcome, len(photos))
        task = Task(
            [photo for photo in items.photos if photo.sha256 not in reasons],
            [photo for photo in chosen if photo.sha256 not in reasons],
        )
        if not (task.items and task.queries):
            raise ConfigError(f"{queries if task.items else catalogue}: it holds no picture that can be used")
        if not task.relevant.any():
            own = ", ".join(sorted({photo.category for photo in chosen})[:_NAMED])
            raise ConfigError(
                f"{queries or catalogue}: of no query's category ({own}) is there another picture in {catalogue}, so "
                "there is nothing right to find"
            )
        left_out = items.unreadable | asked.unreadable
        left_out |= {photo.uri: reasons[photo.sha256] for photo in (*items.photos, *chosen) if photo.sha256 in reasons}
        rows, scores = self._rows(task, work.cache, vectors, labels, warning(left_out))
        thumbnails = Thumbnails(items.source, asked.source, self._limits.max_bytes)
        return replace(self._compared(task, rows, scores, catalogue, queries), thumbnails=thumbnails)

    def told(self, count: int) -> None:
        """Be told of so many more that are done."""
        done = self._step.done + count
        total = self._step.total
        # What was to be had from the cache may have to be computed after all.
        self._step = replace(self._step, done=done, total=None if total is None else max(total, done))
        self._progress(self._step)

    def _begin(self, what: str, total: int | None) -> None:
        self._step = Step(what, 0, total)
        self.told(0)

    # What the servers say

    def _gather(self, catalogue: Where, queries: Where | None) -> tuple[Folder, Folder]:
        pattern = product_pattern(self._options.products)

        def told() -> None:
            self.told(1)
            if self._stopping():
                raise Stopped

        self._begin("reading", None)

        def gathered(place: Where) -> Folder:
            return gather(source_of(self._settings[0], place), pattern, self._limits.max_bytes, told)

        items = gathered(catalogue)
        return items, items if queries is None else gathered(queries)

    def _vectors(self, work: Work, photos: Mapping[str, Photo], queries: Sequence[Photo]) -> dict[str, Outcome]:
        keys = {vector_key(settings) for settings in self._settings}
        self._begin("extracting", sum(len(photos) - len(work.cache.known(key, photos)) for key in keys))
        count = min(self._options.timing_queries + 1, len(queries)) if self._options.timing_queries else 0
        timed = random.Random(self._options.seed).sample(list(queries), count)  # noqa: S311  a sample, no secret
        return extract_vectors(work, self._settings, photos, timed)

    def _labels(self, work: Work, items: Sequence[Photo], queries: Sequence[Photo]) -> dict[str, Outcome]:
        photos = {photo.sha256: photo for photo in (*some(items, NAMED, self._options.seed), *queries)}
        keys = {key for settings in self._settings if (key := label_key(settings)) is not None}
        self._begin("classifying", sum(len(photos) - len(work.cache.known(key, photos)) for key in keys))
        return extract_labels(work, self._settings, photos)

    # Rows

    def _rows(
        self,
        task: Task,
        cache: Cache,
        vectors: Mapping[str, Outcome],
        labels: Mapping[str, Outcome],
        warnings: tuple[str, ...],
    ) -> tuple[list[Row], dict[str, Scores]]:
        self._begin("searching", (len(self._settings) + 1) * len(task.queries))
        maker = Rows(task, cache, self._options.seed, self.told)
        rows: list[Row] = []
        scores: dict[str, Scores] = {}
        # Those that share an extraction one after the other, so that it is loaded once.
        for one in sorted(self._experiments, key=lambda one: vector_key(one.settings) if one.settings else ""):
            if self._stopping():
                raise Stopped
            if one.settings is None:
                rows.append(failed(one, one.problem or "it has no settings"))
                continue
            own = [vectors[vector_key(one.settings)], *filter(None, [labels.get(label_key(one.settings) or "")])]
            broken = next((outcome for outcome in own if outcome.failed is not None), None)
            if broken is not None:
                rows.append(failed(one, broken.failed or "", by_server=broken.by_server))
                continue
            try:
                row, scores[one.name] = maker.configuration(one, one.settings, own[0], warnings)
            except DDSimError as error:
                row = failed(one, str(error), by_server=isinstance(error, TransportError))
            rows.append(row)
        places = {one.name: place for place, one in enumerate(self._experiments)}
        rows.sort(key=lambda row: places[row.name])
        for row, found in (maker.thumbnail(), maker.chance()):
            rows.append(row)
            scores[row.name] = found
        return rows, scores

    def _compared(
        self,
        task: Task,
        rows: Sequence[Row],
        scores: Mapping[str, Scores],
        catalogue: Where,
        queries: Where | None,
    ) -> Evaluation:
        self._begin("comparing", 1)
        groups, primary = Groups(task, self._options.seed), primary_measure(task)
        values = {name: found.values for name, found in scores.items()}
        measures = groups.measures(values)
        complete = ranked([replace(row, measures=measures.get(row.name, {})) for row in rows], primary.name)
        measured = [row for row in complete if row.failed is None]
        decisive = {row.name: values[row.name][primary.name] for row in measured}
        comparisons = groups.comparisons(primary.name, decisive)
        alive = [row.name for row in measured if row.kind == "configuration"]
        joint = groups.joint({name: decisive[name] for name in alive})
        self.told(1)
        return Evaluation(
            when=datetime.now(timezone.utc).isoformat(timespec="seconds"),
            catalogue=str(catalogue),
            queries=None if queries is None else str(queries),
            items=len(task.items),
            asked=len(task.queries),
            categories=groups.counts,
            products=self._options.products if task.same_product.any() else None,
            primary=primary.name,
            rows=tuple(complete),
            comparisons=tuple(comparisons),
            disagreements=disagreements(task, alive, scores, self._options.disagreements, spread_by(primary.name)),
            conclusion=concluded(complete, comparisons, primary, joint),
        )
