"""DeepDetect's answers: JSON, and what predictions say.

Every claim about the server here rests on tests/contract/recordings.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from operator import itemgetter
from typing import Any

import numpy as np
import orjson

from ddsim.deepdetect.results import Classification, Label, Vectors
from ddsim.errors import InvalidResponse

# Digits of the largest number of 64 bits.
_LONGEST = 20


def decode(body: bytes) -> Any:
    """Parse an answer.

    orjson is five times faster on feature vectors; it refuses bare NaN and Infinity and bytes that are not UTF-8, all
    of which a server can send (recordings 10, torch 12c), so those few answers take the standard library.

    Raises:
        ValueError: not JSON.
    """
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        try:
            return json.loads(body.decode("utf-8", "surrogateescape"), parse_int=_bounded)
        except RecursionError as error:
            raise ValueError("it nests too deep") from error


def _bounded(digits: str) -> int | float:
    """As orjson reads it: what 64 bits cannot hold is a float, so that later arithmetic cannot overflow."""
    number = int(digits) if len(digits) <= _LONGEST else float(digits)
    return number if -(2**63) <= number < 2**64 else float(digits)


def parse_predictions(payload: Any, ids: Iterable[str]) -> list[Mapping[str, Any]]:
    """The raw predictions in the order of ``ids``, joined by ``uri``: servers answer batches in any order.

    Raises:
        InvalidResponse: the uris answered are not exactly the ids asked.
    """
    found = _as_list(member(payload, "body").get("predictions"))
    by_uri: dict[str, Mapping[str, Any]] = {}
    for prediction in found:
        if not isinstance(prediction, Mapping) or not isinstance(prediction.get("uri"), str):
            raise InvalidResponse("the server answered a prediction without a uri")
        by_uri[prediction["uri"]] = prediction
    wanted = list(ids)
    if len(found) != len(wanted) or by_uri.keys() != set(wanted):
        missing = [uri for uri in wanted if uri not in by_uri]
        raise InvalidResponse(
            f"the server answered {len(found)} predictions for {len(wanted)} pictures"
            + (f"; first one missing: {missing[0]!r}" if missing else "; some bear names that were not sent")
        )
    return [by_uri[uri] for uri in wanted]


def parse_classification(prediction: Mapping[str, Any]) -> Classification:
    """The labels of one prediction, most probable first."""
    try:
        labels = [Label(str(entry["cat"]), float(entry["prob"])) for entry in _as_list(prediction.get("classes"))]
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise InvalidResponse(f"the server answered classes that cannot be read: {error!r}") from error
    return Classification(tuple(sorted(labels, key=lambda label: -label.probability)))


def parse_vectors(predictions: list[Mapping[str, Any]]) -> Vectors:
    """The feature vectors of predictions, shape (n, d), float32.

    Raises:
        InvalidResponse: vectors are missing or differ in length.
    """
    lists = [prediction.get("vals") for prediction in predictions]
    if not all(isinstance(vals, (list, np.ndarray)) and len(vals) for vals in lists):
        raise InvalidResponse("the server answered predictions without features")
    lengths = {len(vals) for vals in lists if vals is not None}
    if len(lengths) != 1:
        raise InvalidResponse(f"the server answered feature vectors of different lengths: {sorted(lengths)}")
    try:
        # The type is found out first: asked for floats at once, numpy would take null, words and booleans for some.
        vectors = np.array(lists)
    except ValueError as error:
        raise InvalidResponse(f"the server answered features that are not numbers: {error}") from error
    if vectors.ndim != 2 or vectors.dtype.kind not in "fiu":
        raise InvalidResponse(f"the server answered features that are not numbers but {vectors.dtype}")
    with np.errstate(over="ignore"):
        return vectors.astype(np.float32)


def parse_rows(prediction: Mapping[str, Any]) -> list[tuple[str, float]]:
    """The neighbours of one prediction, uri and distance, nearest first. An empty index leaves ``nns`` out."""
    try:
        found = [(str(entry["uri"]), float(entry["dist"])) for entry in _as_list(prediction.get("nns"))]
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise InvalidResponse(f"the server answered neighbours that cannot be read: {error!r}") from error
    found.sort(key=itemgetter(1))
    return found


def member(payload: Any, key: str) -> Mapping[str, Any]:
    """A part of an answer that is an object.

    Raises:
        InvalidResponse: there is none.
    """
    member = payload.get(key) if isinstance(payload, Mapping) else None
    if not isinstance(member, Mapping):
        raise InvalidResponse(f"the answer has no {key!r} object: is this a DeepDetect server?")
    return member


def _as_list(value: Any) -> list[Any]:
    # Servers before v0.10 sent an object where there was one entry only.
    return [] if value is None else value if isinstance(value, list) else [value]
