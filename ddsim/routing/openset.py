"""Whether a photo shows anything of a catalogue's categories at all, told from two signs together.

Far from every item, and no category sure: either sign alone is weak. A photo of something else may lie near an odd
item, and a linear classifier is sure of many things it has never seen.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ddsim.showing import Value

_LEAST_DISTANCE = 1e-9
_LEAST_PROBABILITY = 1e-6


@dataclass(frozen=True, slots=True, repr=False)
class OpenSet(Value):
    """A line through the two signs, and where on it something else begins.

    Attributes:
        constant, by_distance, by_odds: of the line over the two signs; see :func:`signs`.
        limit: a photo above it shows none of the categories.
        false_alarms: share of the catalogue's own items, held out, that are above it.
        caught: share of the items of a category that are above it when all of that category is left out; the mean over
            categories.
    """

    constant: float
    by_distance: float
    by_odds: float
    limit: float
    false_alarms: float
    caught: float

    def strangeness(self, nearest: ArrayLike, most: ArrayLike, categories: int) -> NDArray[np.float64]:
        """How much photos are unlike all that is there; above 0 they show none of the categories.

        Args:
            nearest: distance of each photo to the nearest item, shape (n,).
            most: the probability of its most probable category, shape (n,).
            categories: how many there are.
        """
        far, odds = np.moveaxis(signs(nearest, most, categories), -1, 0)
        values: NDArray[np.float64] = self.constant + self.by_distance * far + self.by_odds * odds - self.limit
        return values

    def as_json(self) -> dict[str, float]:
        """Plain values."""
        return asdict(self)

    @classmethod
    def from_json(cls, plain: Mapping[str, Any]) -> OpenSet:
        """Of what :meth:`as_json` gave."""
        return cls(**plain)


def signs(nearest: ArrayLike, most: ArrayLike, categories: int) -> NDArray[np.float64]:
    """Both signs on scales on which a line can add them up, shape (n, 2).

    They are the logarithm of the distance, and by how much the log-odds of the most probable category are above those
    of chance: among few categories the best of them has much probability without any merit.
    """
    far = np.log(np.maximum(np.asarray(nearest, dtype=np.float64), _LEAST_DISTANCE))
    sure = np.clip(np.asarray(most, dtype=np.float64), _LEAST_PROBABILITY, 1 - _LEAST_PROBABILITY)
    return np.stack([far, np.log(sure / (1 - sure) * max(categories - 1, 1))], axis=-1)
