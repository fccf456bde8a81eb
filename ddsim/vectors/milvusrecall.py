"""How many of the nearest a database finds by an index that does not look at every vector: measured, not believed."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ddsim.deepdetect import Vectors
from ddsim.vectors.milvuscalls import VECTOR, Calls, Kind

#: So many of the catalogue's own vectors are searched for.
ASKED = 200
_NEAREST = 10
# No more than that is read to compare with: of larger collections every second row, every third, and so on.
_BYTES = 1 << 32


@dataclass(frozen=True, slots=True)
class Recall:
    """What was measured.

    Attributes:
        rows: how many rows the collection had.
        index: the kind of its index.
        recall: of the rows nearer than the tenth that is found, the share that is found too, 0 to 1.
        seconds: how long it took.
    """

    rows: int
    index: Kind
    recall: float
    seconds: float


def measure(calls: Calls, name: str, index: tuple[str, Kind], asked: Sequence[int]) -> Recall:
    """Search for some of a collection's own vectors, and compare with all others.

    Args:
        calls: the database.
        name: the collection.
        index: metric and kind of its index.
        asked: numbers of the rows that are searched for.
    """
    begun = time.monotonic()
    metric, kind = index
    calls.finish_index(name)
    rows = calls.count(name)
    found_rows = calls.get(name, asked, ["vid", VECTOR])
    vids = [int(row["vid"]) for row in found_rows]
    queries = np.array([row[VECTOR] for row in found_rows], np.float32)
    hits = calls.nearest(name, queries, _NEAREST + 1, index, None) if vids else []
    others = [[hit for hit in one if hit["vid"] != vid][:_NEAREST] for vid, one in zip(vids, hits, strict=True)]
    # By the database's own numbers the nearest is the smallest, or the largest; of equally near ones any will do.
    sign = -1.0 if metric == "COSINE" else 1.0
    reach = np.array([sign * one[-1]["distance"] if one else -math.inf for one in others])
    reach -= 1e-5 * np.abs(reach) + 1e-6
    known = [{hit["vid"] for hit in one} | {vid} for vid, one in zip(vids, others, strict=True)]
    near = seen = 0
    dimension = queries.shape[1] if vids else 1
    for numbers, vectors in calls.vectors(name, dimension, math.ceil(rows * 4 * dimension / _BYTES)):
        for place, other in np.argwhere(_far(queries, vectors, metric) < reach[:, np.newaxis]).tolist():
            if numbers[other] != vids[place]:
                near += 1
                seen += numbers[other] in known[place]
    return Recall(rows, kind, seen / near if near else 1.0, time.monotonic() - begun)


def _far(queries: Vectors, vectors: Vectors, metric: str) -> NDArray[np.float64]:
    """Distances as the database has them, shape (queries, vectors): L2 squared, or the cosine with a minus."""
    left, right = queries.astype(np.float64), vectors.astype(np.float64)
    if metric == "COSINE":
        lengths = np.linalg.norm(left, axis=1)[:, np.newaxis] * np.linalg.norm(right, axis=1)
        far: NDArray[np.float64] = -(left @ right.T) / np.maximum(lengths, np.finfo(np.float64).tiny)
    else:
        far = (left**2).sum(axis=1)[:, np.newaxis] + (right**2).sum(axis=1) - 2 * left @ right.T
    return far
