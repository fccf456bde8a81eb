"""Have a server compute what the cache lacks: vectors and labels, once for each picture and all that they depend on."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial

import numpy as np

from ddsim.config import Settings
from ddsim.deepdetect import Canary, Client, Label, Vectors
from ddsim.errors import DDSimError, ImageError, InvalidResponse
from ddsim.evaluation.pictures import Photo
from ddsim.evaluation.sending import Extraction, Outcome, Work
from ddsim.evaluation.throwaway import borrowed
from ddsim.pictures import Encoded
from ddsim.vectors import Cache, label_key, looks_alike, network_key, requests_to, vector_key

_log = logging.getLogger(__name__)

# Labels below it add less than 0.01 to any category, and would be most of the cache.
_LEAST_PROBABILITY = 1e-5


def extract_vectors(
    work: Work, configurations: Sequence[Settings], photos: Mapping[str, Photo], timed: Sequence[Photo]
) -> dict[str, Outcome]:
    """Have the vectors of configurations in the cache.

    Args:
        work: see there.
        configurations: any; each network is loaded once, whatever the layers.
        photos: by content hash.
        timed: queries to time, the first one for warming up.

    Returns:
        by :func:`~ddsim.vectors.vector_key`. A configuration that fails does not end the others.
    """
    networks: dict[str, dict[str, Settings]] = {}
    for settings in configurations:
        networks.setdefault(network_key(settings), {}).setdefault(vector_key(settings), settings)
    outcomes: dict[str, Outcome] = {}
    for layers in networks.values():
        outcomes |= _network(work, layers, photos, timed)
    return outcomes


def _network(
    work: Work, layers: Mapping[str, Settings], photos: Mapping[str, Photo], timed: Sequence[Photo]
) -> dict[str, Outcome]:
    outcomes = {key: Outcome(key) for key in layers}
    missing = {key: _missing(work.cache, outcome, photos) for key, outcome in outcomes.items()}
    if not timed and not any(missing.values()):
        return outcomes
    first = next(iter(layers.values()))
    try:
        with work.opening(first) as client:
            spec = first.similarity_spec()
            embedded = first.server.embedded
            with borrowed(client, first.similarity, spec, work.patience, embedded=embedded) as there:
                for key, settings in layers.items():
                    layer = settings.similarity.extract_layer
                    features = partial(_features, client, layer=layer)
                    with (
                        _accounted(outcomes[key], missing[key]),
                        Extraction(work, settings, there, features, layer, requests_to(client)) as run,
                    ):
                        missing[key][:] = _recognise(work.cache, outcomes[key], settings, run, photos)
                        for hashes, vectors in run.over(missing[key], outcomes[key]):
                            work.cache.keep_vectors(key, dict(zip(hashes, vectors, strict=True)))
                        _time(outcomes[key], run, timed)
    except DDSimError as error:
        # No connection at all; what happens to one layer alone is accounted for above.
        for key, outcome in outcomes.items():
            with _accounted(outcome, missing[key]):
                raise error
    return outcomes


def extract_labels(work: Work, configurations: Sequence[Settings], photos: Mapping[str, Photo]) -> dict[str, Outcome]:
    """Have the labels of configurations with a classification service in the cache, as :func:`extract_vectors`.

    Returns:
        by :func:`~ddsim.vectors.label_key`.
    """
    outcomes: dict[str, Outcome] = {}
    for settings in configurations:
        key, service, spec = label_key(settings), settings.classification, settings.classification_spec()
        if key is None or service is None or spec is None or key in outcomes:
            continue
        outcome = outcomes[key] = Outcome(key)
        missing = _missing(work.cache, outcome, photos)
        if not missing:
            continue
        with (
            _accounted(outcome, missing),
            work.opening(settings) as client,
            borrowed(client, service, spec, work.patience, embedded=settings.server.embedded) as there,
            Extraction(work, settings, there, partial(_labels, client), None, requests_to(client)) as run,
        ):
            for hashes, labels in run.over(missing, outcome):
                work.cache.keep_labels(key, dict(zip(hashes, labels, strict=True)))
    return outcomes


def _missing(cache: Cache, outcome: Outcome, photos: Mapping[str, Photo]) -> list[Photo]:
    known = cache.known(outcome.key, photos)
    outcome.cached = len(known)
    return [photo for sha256, photo in photos.items() if sha256 not in known]


@contextmanager
def _accounted(outcome: Outcome, missing: Sequence[Photo]) -> Iterator[None]:
    """Turn what goes wrong into the outcome's: a failure where vectors are missing, else nothing but a warning."""
    begun = time.monotonic()
    try:
        yield
    except DDSimError as error:
        if outcome.extracted + len(outcome.unreadable) < len(missing):
            outcome.fail(error)
        else:
            outcome.warnings.append(f"the time of a query is not known: {error}")
    finally:
        outcome.seconds += time.monotonic() - begun


def _features(client: Client, service: str, pictures: Sequence[Encoded], *, layer: str) -> Iterable[Vectors]:
    vectors = client.extract(service, pictures, layer=layer)
    if not np.isfinite(vectors).all():
        raise InvalidResponse(f"layer {layer!r} gives values that are no numbers: is the network as it should be?")
    return vectors


def _labels(client: Client, service: str, pictures: Sequence[Encoded]) -> Iterable[tuple[Label, ...]]:
    found = client.classify(service, pictures, top=None, min_probability=_LEAST_PROBABILITY)
    return [one.labels for one in found]


def _recognise(
    cache: Cache, outcome: Outcome, settings: Settings, run: Extraction[Vectors], photos: Mapping[str, Photo]
) -> list[Photo]:
    """Find out which of the vectors that are kept are those of the server's network; the photos that lack one."""
    canary = Canary(np.stack(run.drawn()))
    if not cache.recognise(outcome.key, looks_alike(settings), canary):
        _log.warning("the server's network was replaced: everything is extracted anew")
    return _missing(cache, outcome, photos)


def _time(outcome: Outcome, run: Extraction[Vectors], timed: Sequence[Photo]) -> None:
    """Time queries; the first one warms up."""
    for place, photo in enumerate(timed):
        try:
            _, seconds = run.alone(photo)
        except ImageError as error:
            _log.info("not timed: %s", error)
            continue
        if place:
            outcome.latencies[photo.sha256] = seconds
