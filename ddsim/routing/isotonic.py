"""From distances to probabilities: isotonic regression over pairs of pictures. Pure functions over arrays."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import zip_longest

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ddsim.errors import InvalidRequest
from ddsim.metrics import Values
from ddsim.showing import Value

# So many steps tell all that a line can, and take a tenth of a second.
_RUNS = 20_000


@dataclass(frozen=True, slots=True, repr=False)
class Calibration(Value):
    """How probable it is that an item at a distance is of the query's category: a line that never rises.

    Attributes:
        distances: where the line has its corners, ascending from 0.
        probabilities: the line's height at each corner, falling from 1. Between two corners the line is straight, and
            beyond the last one it stays as it is there.
        pairs: how many pairs of pictures it was learned from.
    """

    distances: tuple[float, ...]
    probabilities: tuple[float, ...]
    pairs: int

    def __post_init__(self) -> None:
        corners, heights = np.asarray(self.distances), np.asarray(self.probabilities)
        usable = corners.shape == heights.shape and corners.ndim == 1 and corners[:1].tolist() == [0.0]
        # Spelt so that NaN does not pass.
        if not (usable and np.all(np.diff(corners) > 0) and np.all(np.diff(heights) <= 0) and np.isfinite(corners[-1])):
            raise InvalidRequest("calibration: distances must ascend from 0, and probabilities never rise")
        if not (heights[0] == 1.0 and heights[-1] >= 0.0):
            raise InvalidRequest("calibration: probabilities must begin with 1 and stay within [0, 1]")

    def probability(self, distances: ArrayLike) -> Values:
        """The probability at these distances, an array of any shape; 1 at distance 0, which is the same picture."""
        far = np.asarray(distances, dtype=np.float64)
        return np.asarray(np.interp(far, self.distances, self.probabilities), dtype=np.float64)

    def reach(self, floor: float) -> float:
        """The largest distance at which the probability is not yet under a floor in (0, 1].

        Where it falls that far at no distance seen, it is the largest one seen: nothing is known of what lies beyond.
        """
        if not 0 < floor <= 1:
            raise InvalidRequest(f"calibration: floor={floor} must be above 0 and at most 1")
        last = int((np.asarray(self.probabilities) >= floor).sum()) - 1
        if last + 1 == len(self.distances):
            return self.distances[-1]
        (near, far), (high, low) = self.distances[last : last + 2], self.probabilities[last : last + 2]
        return near + (far - near) * (high - floor) / (high - low)


def calibrate(distances: ArrayLike, same: ArrayLike, *, centred: bool = False) -> Calibration:
    """Learn from pairs how probable one category is at a distance: isotonic regression by pool-adjacent-violators.

    Of all lines that never rise it takes the one with the least squared error: runs of pairs that contradict the order
    are pooled, and every pool gets its share of pairs of one category. Pairs at the same distance are one pool from the
    start. At distance 0 it is 1 whatever was seen, since that is the same picture.

    Args:
        distances: of the pairs, shape (m,); below 0 (rounding) counts as 0.
        same: shape (m,), bool: whether the pair is of one category.
        centred: draw the line from pool to pool, through the middle of each (centred isotonic regression, Oron and
            Flournoy 2017), in place of a step for each pool: it falls all the way, so that what is nearer gets more. n
            pairs without an exception do not make certain: they count as (n + 1) / (n + 2) (Laplace), if the next pool
            has no more. More than 20,000 distances are taken in so many runs of about as many pairs.

    Raises:
        InvalidRequest: there are no pairs, or a distance is not finite.
    """
    far, flags = np.asarray(distances, dtype=np.float64), np.asarray(same, dtype=np.bool_)
    if far.ndim != 1 or not far.size or far.shape != flags.shape or not np.all(np.isfinite(far)):
        raise InvalidRequest(
            f"calibrate: {far.shape} distances and {flags.shape} flags; expected one flag for each distance, one or "
            "more of them, and finite distances"
        )
    seen, numbers = np.unique(np.maximum(far, 0.0), return_inverse=True)
    sizes, hits = np.bincount(numbers), np.bincount(numbers[flags], minlength=len(seen))
    if centred:
        return _through_centres(seen, sizes, hits)
    corners: dict[float, float] = {0.0: 1.0}
    for first, last, good, size in _pooled(hits.tolist(), sizes.tolist()):
        corners.setdefault(float(seen[first]), good / size)
        corners.setdefault(float(seen[last]), good / size)
    return Calibration(tuple(corners), tuple(corners.values()), far.size)


def _through_centres(seen: Values, sizes: NDArray[np.int64], hits: NDArray[np.int64]) -> Calibration:
    pairs = int(sizes.sum())
    if len(seen) > _RUNS:
        starts = np.unique(np.searchsorted(np.cumsum(sizes), np.linspace(0, pairs, _RUNS, endpoint=False), "right"))
        sums = np.add.reduceat(seen * sizes, starts)
        sizes, hits = np.add.reduceat(sizes, starts), np.add.reduceat(hits, starts)
        seen = sums / sizes
    pools = _pooled(hits.tolist(), sizes.tolist())
    corners: dict[float, float] = {0.0: 1.0}
    for (first, last, good, size), following in zip_longest(pools, pools[1:]):
        pool = slice(first, last + 1)
        # Only the first pool can be without any pair that differs.
        share = good / size if good < size else max(1 - 1 / (size + 2), following[2] / following[3] if following else 0)
        corners.setdefault(float(np.average(seen[pool], weights=sizes[pool])), share)
    return Calibration(tuple(corners), tuple(corners.values()), pairs)


def _pooled(hits: list[int], sizes: list[int]) -> list[tuple[int, int, int, int]]:
    """(first, last, hits, size) of the runs in which these shares never rise."""
    pools: list[tuple[int, int, int]] = []
    for number, (good, size) in enumerate(zip(hits, sizes, strict=True)):
        first = number
        while pools and pools[-1][1] * size <= good * pools[-1][2]:
            first, more, others = pools.pop()
            good, size = good + more, size + others
        pools.append((first, good, size))
    lasts = [first - 1 for first, _, _ in pools[1:]] + [len(hits) - 1]
    return [(first, last, good, size) for (first, good, size), last in zip(pools, lasts, strict=True)]
