"""Learning from an index what its distances mean, once a run has changed it; kept in the manifest, with the index.

In the manifest's meta::

    learned   :class:`ddsim.calibration.Learned`, and under which settings
    named     what the classification service said about some items, by vid, and which service it was
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

import numpy as np

from ddsim.calibration import Learned, learn, pairwise
from ddsim.classifier import Classifier
from ddsim.errors import ApiError
from ddsim.images import Picture
from ddsim.manifest import ItemState, Manifest, Row
from ddsim.results import Vectors
from ddsim.routing import Shares, by_labels
from ddsim.sampling import SIZE, Sample, lot
from ddsim.settings import Settings
from ddsim.vectors.base import Backend, PictureOf

_log = logging.getLogger(__name__)

# Each costs a forward pass of the classification service; the right share of so many is known within 0.1.
_NAMED = 100


def learned_before(manifest: Manifest, settings: Settings) -> Learned | None:
    """What the last run has learned; None where none did, or under settings of another meaning."""
    kept = manifest.get_meta("learned")
    if not kept or kept["of"] != _key(settings):
        return None
    return Learned.from_json(kept["learned"])


def learn_from(
    manifest: Manifest,
    backend: Backend,
    settings: Settings,
    sample: Sample,
    classifier: Classifier,
    picture_of: PictureOf,
) -> Learned:
    """Learn from what is indexed, and keep it in the manifest.

    Args:
        manifest: of the index; held for writing.
        backend: open.
        settings: of both.
        sample: saw what the run added.
        classifier: names some items.
        picture_of: gives their pictures.

    Raises:
        ApiError, TransportError: the server does not answer. What was learned before stays.
    """
    rows, vectors = _vectors(manifest, backend, sample, picture_of)
    service = _named(manifest, settings, classifier, rows, picture_of)
    learned = learn(
        pairwise(vectors, settings.index.metric),
        [row.category for row in rows],
        {position: service[row.vid] for position, row in enumerate(rows) if row.vid in service},
        voters=settings.routing.voters,
    )
    manifest.set_meta(learned={"of": _key(settings), "learned": learned.as_json()})
    return learned


def _key(settings: Settings) -> dict[str, Any]:
    """What it would be another without."""
    return {
        "metric": settings.index.metric,
        "voters": settings.routing.voters,
        "service": _service(settings),
    }


def _service(settings: Settings) -> Any:
    network = settings.classification
    return None if network is None else [network.model_dump(mode="json"), settings.categories]


def _vectors(
    manifest: Manifest, backend: Backend, sample: Sample, picture_of: PictureOf
) -> tuple[Sequence[Row], Vectors]:
    rows = manifest.sample(SIZE, seed=0)
    kept = backend.vectors_of([row.vid for row in rows if row.vid is not None])
    if kept is not None:
        return rows, kept
    rows, vectors = sample.settle()
    missing = _missing(manifest, rows)
    pictures = [(row, picture) for row in missing if (picture := picture_of(row.uri)) is not None]
    if not pictures:
        return rows, vectors
    # A run that was killed took with it what it had seen.
    more = [hits.vector for hits in backend.search([picture for _, picture in pictures], 1)]
    sample.keep([row for row, _ in pictures], np.stack(more))
    return sample.settle()


def _missing(manifest: Manifest, rows: Sequence[Row]) -> list[Row]:
    """Items of those categories of which less than half of their part is in the sample."""
    sizes = manifest.categories()
    have: dict[str, int] = {}
    for row in rows:
        have[row.category] = have.get(row.category, 0) + 1
    wanted: list[Row] = []
    for category, size in sizes.items():
        part = (min(size, SIZE // len(sizes)) + 1) // 2
        if have.get(category, 0) < part:
            wanted += manifest.rows(ItemState.INDEXED, category, limit=part)
    there = {row.uri for row in rows}
    return [row for row in wanted if row.uri not in there]


def _named(
    manifest: Manifest, settings: Settings, classifier: Classifier, rows: Sequence[Row], picture_of: PictureOf
) -> dict[int | None, Shares]:
    """What the classification service makes of some items: vid -> shares of categories."""
    if not classifier.there or settings.routing.by != "combined" or len({row.category for row in rows}) < 2:
        return {}
    kept = manifest.get_meta("named") or {}
    known: dict[str, Shares] = kept["shares"] if kept.get("of") == _service(settings) else {}
    groups: dict[str, list[Row]] = {}
    for row in sorted(rows, key=lot):
        groups.setdefault(row.category, []).append(row)
    part = max(1, _NAMED // len(groups))
    chosen = [row for group in groups.values() for row in group[:part]][:_NAMED]
    asked: list[tuple[str, Picture]] = []
    for row in chosen:
        if str(row.vid) not in known and (picture := picture_of(row.uri)) is not None:
            asked.append((str(row.vid), picture))
    try:
        labels = classifier.labels([picture for _, picture in asked]) if asked else []
    except ApiError as error:
        # The pictures are indexed and found; whoever searches is told by the same call what is wrong.
        _log.warning("the classification service does not work, so nothing is known of how good it is: %s", error)
        return {}
    found = {vid: by_labels(ones, settings.categories) for (vid, _), ones in zip(asked, labels, strict=True)}
    shares = {str(row.vid): (found | known)[str(row.vid)] for row in chosen if str(row.vid) in found | known}
    manifest.set_meta(named={"of": _service(settings), "shares": shares})
    return {row.vid: shares[str(row.vid)] for row in chosen if str(row.vid) in shares}
