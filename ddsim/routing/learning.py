"""Learning from an index what its distances mean, once a run has changed it; kept in the manifest, with the index.

In the manifest's meta::

    learned   :class:`ddsim.routing.calibration.Learned`, how distances came about, and of which service its weight is
    due       whether the index has changed since
    named     what the classification service said about some items, by vid, and which service it was
    head      of the classifier that was trained on the catalogue, see :mod:`ddsim.routing.trained`
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from ddsim.catalogue import ItemState, Manifest, Records, Row, spelled
from ddsim.config import Settings
from ddsim.deepdetect import Vectors
from ddsim.errors import ApiError, ServiceConflict
from ddsim.pictures import Picture
from ddsim.routing.calibration import Learned, learn, pairwise
from ddsim.routing.categories import Shares, by_labels
from ddsim.routing.classifier import Classifier
from ddsim.routing.sampling import SIZE, Sample, lot
from ddsim.routing.trained import META, trained_before
from ddsim.vectors import Backend, PictureOf, label_facts

_log = logging.getLogger(__name__)

# Each costs a forward pass of the classification service; the right share of so many is known within 0.1.
_NAMED = 100


def learned_before(manifest: Records, settings: Settings) -> Learned | None:
    """What the last run learned; None where no run did, or where distances mean something else under today's settings.

    What was learned about a classification service is left out where the settings now name another one.
    """
    kept = manifest.get_meta("learned")
    if not kept or kept["of"] != _distances(manifest, settings):
        return None
    learned = Learned.from_json(kept["learned"])
    return learned if _is_of(kept["service"], manifest, settings) else replace(learned, weight=None, classified=0)


def named_before(manifest: Manifest, settings: Settings) -> dict[int | None, Shares]:
    """What the classification service said about some items, by vid; nothing where it is another one by now."""
    kept = manifest.get_meta("named") or {}
    if not _wants_service(manifest, settings) or not _is_of(kept.get("of"), manifest, settings):
        return {}
    return {int(vid): shares for vid, shares in kept["shares"].items()}


def is_due(manifest: Manifest, settings: Settings) -> bool:
    """Whether there is something under these settings that the last run did not learn."""
    learned = learned_before(manifest, settings)
    if manifest.get_meta("due") or learned is None:
        return True
    if learned.shown is None and learned.line is not None and len(manifest.categories()) > 1:
        return True  # of a version that learned less
    # Also where an older version noted the same service by its paths, which machines elsewhere do not have.
    wanted = _service(manifest, settings)
    return bool(_wants_service(manifest, settings) and manifest.get_meta("learned")["service"] != wanted)


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
        manifest: the manifest of the index; the caller holds its right to write.
        backend: the index, open.
        settings: the configuration of both.
        sample: the items whose vectors the run has kept aside.
        classifier: the classification service, which is asked about some items.
        picture_of: gives an item's picture.

    Raises:
        ApiError, TransportError: the server does not answer. What was learned before stays.
    """
    rows, vectors = _comparable(*_vectors(manifest, settings, backend, sample, picture_of))
    reduced = settings.index.pca or settings.index.normalisation != "none"
    unreduced = backend.features_of([row.vid for row in rows if row.vid is not None]) if reduced else None
    if settings.trained:
        service, heard = _told(manifest, backend, rows, vectors), True
    else:
        service, heard = _named(manifest, settings, classifier, rows, picture_of)
    learned = learn(
        pairwise(vectors, settings.index.metric),
        [row.category for row in rows],
        {position: service[row.vid] for position, row in enumerate(rows) if row.vid in service},
        voters=settings.routing.voters,
        apart=None if unreduced is None else pairwise(unreduced, settings.index.metric),
    )
    kept = {
        "of": _distances(manifest, settings),
        "service": _service(manifest, settings) if heard else None,
        "learned": learned.as_json(),
    }
    manifest.set_meta(learned=kept, due=False)
    return learned


def _distances(manifest: Records, settings: Settings) -> dict[str, Any]:
    """What distances, and the votes by them, depend on, beside what makes it another manifest."""
    compared = settings.index.model_dump(mode="json", include={"metric", "normalisation", "pca", "whiten"})
    # PCA is learned from the vectors, and learned again when they are others.
    facts = {**compared, "as": manifest.get_meta("compared"), "voters": settings.routing.voters}
    # Older versions measured how far is too far among reduced vectors, which says little of strange ones.
    return facts | ({"reach": "unreduced"} if compared["pca"] or compared["normalisation"] != "none" else {})


def _service(manifest: Records, settings: Settings) -> Any:
    """What the word of the classifier or classification service depends on; None where there is none."""
    if settings.trained:
        return (manifest.get_meta(META) or {}).get("mark")
    labels = label_facts(settings)
    return [labels, settings.categories] if labels and settings.categories else None


def _is_of(noted: Any, manifest: Records, settings: Settings) -> bool:
    """Whether a note is of the classifier or classification service that the settings name."""
    if noted == _service(manifest, settings):
        return True
    network = settings.classification
    # Older versions noted where the network's files lie.
    return network is not None and noted == [network.facts(), settings.categories]


def _wants_service(manifest: Manifest, settings: Settings) -> bool:
    """Whether a search weighs the service's word against the neighbours'."""
    return settings.routing.by == "combined" and _service(manifest, settings) is not None


def _comparable(rows: Sequence[Row], vectors: Vectors) -> tuple[Sequence[Row], Vectors]:
    """One item of each content: the same picture once more is no other one, however near it is."""
    first: dict[str | None, int] = {}
    for position in np.flatnonzero(np.isfinite(vectors).all(axis=1)).tolist():  # a network can overflow
        first.setdefault(rows[position].sha256, position)
    kept = list(first.values())
    return [rows[position] for position in kept], vectors[kept]


def _vectors(
    manifest: Manifest, settings: Settings, backend: Backend, sample: Sample, picture_of: PictureOf
) -> tuple[Sequence[Row], Vectors]:
    rows = manifest.sample(SIZE, seed=0)
    kept = backend.vectors_of([row.vid for row in rows if row.vid is not None])
    if kept is not None:
        return rows, kept
    rows, vectors = sample.settle()
    missing = _missing(manifest, rows)
    # A run that was killed took with it what it had seen.
    for start in range(0, len(missing), settings.index.batch_size):
        part = missing[start : start + settings.index.batch_size]
        pictures = [(row, picture) for row in part if (picture := picture_of(row.uri)) is not None]
        if pictures:
            more = [hits.vector for hits in backend.search([picture for _, picture in pictures], 1)]
            sample.keep([row for row, _ in pictures], np.stack(more))
    return sample.settle() if missing else (rows, vectors)


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


def _told(manifest: Manifest, backend: Backend, rows: Sequence[Row], vectors: Vectors) -> dict[int | None, Shares]:
    """What the trained classifier says of items that it was not trained on: vid -> shares of categories."""
    trained = trained_before(manifest)
    if trained is None:
        return {}
    features = backend.features_of([row.vid for row in rows if row.vid is not None])
    told = trained.shares_of(rows, vectors if features is None else features)
    return {row.vid: shares for row, shares in zip(rows, told, strict=True) if shares is not None}


def _named(
    manifest: Manifest, settings: Settings, classifier: Classifier, rows: Sequence[Row], picture_of: PictureOf
) -> tuple[dict[int | None, Shares], bool]:
    """What the classification service makes of some items: vid -> shares of categories; and whether that is all."""
    if not _wants_service(manifest, settings):
        return {}, False
    if len({row.category for row in rows}) < 2:
        return {}, True
    kept = manifest.get_meta("named") or {}
    known: dict[str, Shares] = kept["shares"] if _is_of(kept.get("of"), manifest, settings) else {}
    groups: dict[str, list[Row]] = {}
    for row in sorted(rows, key=lot):
        groups.setdefault(row.category, []).append(row)
    part = max(1, _NAMED // len(groups))
    chosen = [row for group in groups.values() for row in group[:part]][:_NAMED]
    asked: list[tuple[str, Picture]] = []
    for row in chosen:
        if str(row.vid) not in known and (picture := picture_of(row.uri)) is not None:
            asked.append((str(row.vid), picture))
    heard = True
    try:
        labels = classifier.labels([picture for _, picture in asked]) if asked else []
    except (ApiError, ServiceConflict) as error:
        # The pictures are indexed and found; whoever searches is told by the same call what is wrong.
        _log.warning("the classification service does not work; the next run asks it again: %s", error)
        heard, asked, labels = False, [], []
    categories = spelled(settings.categories, groups)
    found = {vid: by_labels(ones, categories) for (vid, _), ones in zip(asked, labels, strict=True)}
    shares = {str(row.vid): (found | known)[str(row.vid)] for row in chosen if str(row.vid) in found | known}
    manifest.set_meta(named={"of": _service(manifest, settings), "shares": shares})
    return {row.vid: shares[str(row.vid)] for row in chosen if str(row.vid) in shares}, heard
