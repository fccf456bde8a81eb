"""A linear classifier on features: what a photo shows, told from the vector that a search computes anyway."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ddsim.deepdetect import Vectors
from ddsim.errors import InvalidRequest
from ddsim.routing.categories import Shares, ordered


@dataclass(frozen=True, slots=True, eq=False)  # arrays do not compare to one truth value
class Head:
    """Weights and biases over features; calibrated, so that its probabilities can be taken at their word.

    It is a plain inner product and a softmax, so that a network that ends with it says the same.

    Attributes:
        categories: in the order of the rows.
        weights: shape (c, d), float32.
        biases: shape (c,), float32.
    """

    categories: tuple[str, ...]
    weights: NDArray[np.float32]
    biases: NDArray[np.float32]

    def __post_init__(self) -> None:
        count = len(self.categories)
        shapes = self.weights.ndim == 2 and self.weights.shape[0] == count and self.biases.shape == (count,)
        if count < 2 or len(set(self.categories)) != count or not shapes:
            raise InvalidRequest(
                f"head: weights {self.weights.shape} and biases {self.biases.shape} do not fit {count} categories"
            )
        if not (np.isfinite(self.weights).all() and np.isfinite(self.biases).all()):
            raise InvalidRequest("head: weights and biases must be finite")

    @property
    def dimension(self) -> int:
        """Length of the vectors that it takes."""
        return int(self.weights.shape[1])

    def probabilities(self, vectors: Vectors) -> NDArray[np.float64]:
        """The probability of each category.

        Args:
            vectors: as the network gave them, shape (n, d).

        Returns:
            Shape (n, c); rows add up to 1.

        Raises:
            InvalidRequest: the vectors are of another length.
        """
        if vectors.ndim != 2 or vectors.shape[1] != self.dimension:
            raise InvalidRequest(f"head: vectors {vectors.shape} given, expected (n, {self.dimension})")
        return softmax(vectors.astype(np.float64) @ self.weights.T.astype(np.float64) + self.biases)

    def shares(self, vectors: Vectors) -> list[Shares]:
        """The same for each vector as category -> probability, most probable first."""
        return [ordered(dict(zip(self.categories, row, strict=True))) for row in self.probabilities(vectors).tolist()]


def softmax(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    """Probabilities of logits, shape (n, c), whatever their size."""
    grown = np.exp(logits - logits.max(axis=1, keepdims=True))
    shares: NDArray[np.float64] = grown / grown.sum(axis=1, keepdims=True)
    return shares
