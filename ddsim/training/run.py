"""From a catalogue's features to a head that is kept beside the manifest."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from ddsim.catalogue import Manifest, Row
from ddsim.config import Settings
from ddsim.deepdetect import Vectors
from ddsim.errors import InvalidRequest
from ddsim.routing import (
    OpenSet,
    Shares,
    TrainedHead,
    keep,
    learn,
    leave_one_out_votes,
    named_before,
    ordered,
    pairwise,
)
from ddsim.training.features import Features, gather
from ddsim.training.fitting import Fitted, fit
from ddsim.training.openset import learn_open_set
from ddsim.training.report import TrainReport, measured
from ddsim.training.worth import confusions, suspects
from ddsim.vectors import Backend, PictureOf

# The distances between so many items fit into memory; those between all of a large catalogue would not.
_COMPARED = 2000


def train(
    manifest: Manifest,
    backend: Backend,
    settings: Settings,
    picture_of: PictureOf,
    *,
    computed: Callable[[int, int], None] | None = None,
) -> TrainReport:
    """Train a head on what is indexed, and keep it.

    Args:
        manifest: of the index; held for writing.
        backend: open.
        settings: of both.
        picture_of: gives an item's picture.
        computed: told how many pictures' features were computed, of how many that are missing.

    Raises:
        InvalidRequest: there are fewer than two categories.
        CapabilityError: scikit-learn is not installed.
        ApiError, TransportError: features are missing and the server does not compute them.
        ConfigError: nothing can be kept.
    """
    begun = time.monotonic()
    if len(manifest.categories()) < 2:
        names = ", ".join(manifest.categories()) or "none"
        raise InvalidRequest(
            f"there is nothing to tell apart: a classifier needs pictures of two categories, indexed are: {names}"
        )
    features = gather(manifest, backend, picture_of, batch_size=settings.index.batch_size, computed=computed)
    rows, categories = features.rows, [row.category for row in features.rows]
    # Equal pictures are held out together, or one would tell what the other is.
    fitted = fit(features.vectors, categories, [row.sha256 or row.uri for row in rows])
    some = _evenly(len(rows))
    distances = _distances(features.compared, rows, some, settings)
    # What components leave out of a vector is what tells a strange one.
    unreduced = _distances(features.vectors, rows, some, settings)
    open_set = _open_set(features, some, fitted, unreduced)
    keep(manifest, _trained(rows, fitted, open_set))
    told = _held_out(rows, fitted)
    labels = named_before(manifest, settings)
    worth, apart = measured(
        {
            "trained": told,
            "neighbours": _voted([rows[place] for place in some], distances, settings),
            "labels": [(row, labels[row.vid]) for row in rows if row.vid in labels],
        }
    )
    shares, own, uris = [one for _, one in told], [row.category for row, _ in told], [row.uri for row, _ in told]
    return TrainReport(
        items=len(rows),
        categories={name: categories.count(name) for name in fitted.head.categories},
        dimension=fitted.head.dimension,
        computed=features.computed,
        strength=fitted.strength,
        temperature=fitted.temperature,
        folds=fitted.folds,
        worth=worth,
        by_category=apart,
        confusions=confusions(shares, own, uris),
        suspects=suspects(shares, own, uris),
        open_set=open_set,
        seconds=time.monotonic() - begun,
    )


def _evenly(count: int) -> NDArray[np.int64]:
    """Which of so many items are compared with each other: all, or some at even distances."""
    return np.unique(np.linspace(0, count - 1, min(count, _COMPARED)).astype(np.int64))


def _distances(
    vectors: Vectors, rows: Sequence[Row], some: NDArray[np.int64], settings: Settings
) -> NDArray[np.float64]:
    """Between those items; NaN between equal pictures."""
    distances = pairwise(vectors[some], settings.index.metric)
    content = [rows[place].sha256 or rows[place].uri for place in some]
    numbers = np.unique(content, return_inverse=True)[1]
    distances[numbers[:, np.newaxis] == numbers] = np.nan
    return distances


def _open_set(
    features: Features, some: NDArray[np.int64], fitted: Fitted, distances: NDArray[np.float64]
) -> OpenSet | None:
    chosen = [features.rows[place].category for place in some]
    if set(chosen) != set(fitted.head.categories):
        return None
    part = Fitted(fitted.head, fitted.held_out[some], fitted.strength, fitted.temperature, fitted.folds)
    return learn_open_set(features.vectors[some], chosen, part, distances)


def _trained(rows: Sequence[Row], fitted: Fitted, open_set: OpenSet | None) -> TrainedHead:
    vids = np.array([row.vid for row in rows], np.int64)
    order = np.argsort(vids)
    return TrainedHead(fitted.head, vids[order], fitted.held_out[order], open_set)


def _held_out(rows: Sequence[Row], fitted: Fitted) -> list[tuple[Row, Shares]]:
    """What heads say of items that they were not trained on."""
    names = fitted.head.categories
    known = np.flatnonzero(np.isfinite(fitted.held_out).all(axis=1)).tolist()
    return [(rows[place], ordered(dict(zip(names, fitted.held_out[place].tolist(), strict=True)))) for place in known]


def _voted(rows: Sequence[Row], distances: NDArray[np.float64], settings: Settings) -> list[tuple[Row, Shares]]:
    """What the other items say of each, by the line that they teach."""
    # Equal pictures have no distance between them; one of them will do.
    alone = np.unique([row.sha256 or row.uri for row in rows], return_index=True)[1]
    rows, distances = [rows[place] for place in alone], distances[np.ix_(alone, alone)]
    categories, voters = [row.category for row in rows], settings.routing.voters
    line = learn(distances, categories, voters=voters).line
    if line is None:
        return []
    return list(zip(rows, leave_one_out_votes(distances, categories, line, voters), strict=True))
