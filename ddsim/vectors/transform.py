"""Vectors as they are compared: normalised, reduced to fewer values, whitened.

What a network gives is seldom best compared as it is. Large values drown the others, so they are normalised; many
values say the same, so principal components (PCA) keep what differs in fewer; and a few common patterns, which tell
little, outweigh the rest, so whitening gives every component the same weight.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from ddsim.config import IndexSettings
from ddsim.deepdetect import Vectors
from ddsim.errors import ConfigError

_Float64 = NDArray[np.float64]

# A row more teaches little where there are thousands, and the time grows with each: 20,000 rows of 2,048 values take
# seconds. Where vectors are longer than that, so many rows make a matrix of their size.
_LEARN_FROM = 20_000
_LONG = 4096
_ROWS_AT_ONCE = 4096
# Components that hardly vary are noise, and would be blown up without bounds: relative to the largest variance.
_LEAST_VARIANCE = 1e-6
# Vectors that differ by less, relative to their squared length, are of one picture, but for rounding.
_SAME_VARIANCE = 1e-10


@dataclass(frozen=True, slots=True)
class Recipe:
    """What is done to vectors before they are compared, in this order.

    Attributes:
        normalisation: ``l2`` brings each vector to length 1; ``power`` takes the square root of every value, with its
            sign, and then brings to length 1 (Perronnin, Sánchez and Mensink, Improving the Fisher Kernel for
            Large-Scale Image Classification, ECCV 2010).
        pca: how many principal components are kept; None for the vector as it is.
        whiten: whether each component is divided by its standard deviation; only with ``pca``.
    """

    normalisation: Literal["none", "l2", "power"] = "none"
    pca: int | None = None
    whiten: bool = False

    def __post_init__(self) -> None:
        if self.pca is not None and self.pca < 1:
            raise ConfigError(f"pca: {self.pca} given, expected at least 1")
        if self.whiten and self.pca is None:
            raise ConfigError("whiten: it weighs principal components, so it needs pca, a number of them")

    @classmethod
    def of(cls, index: IndexSettings) -> Recipe:
        """The recipe of these settings.

        With the metric ``cosine`` only a vector's direction counts, so vectors are of length 1 when components are
        learned from them, and ``l2`` without components changes nothing.
        """
        normalisation = index.normalisation
        if index.metric == "cosine" and normalisation != "power":
            normalisation = "none" if index.pca is None else "l2"
        return cls(normalisation, index.pca, index.whiten)

    @property
    def trivial(self) -> bool:
        """Whether vectors stay as they are."""
        return self == Recipe()

    @property
    def ends_in_length_one(self) -> bool:
        """Whether what comes out has length 1.

        What was normalised before the components were taken is so again afterwards, and so is what was whitened
        (Jégou and Chum, Negative Evidences and Co-occurrences in Image Retrieval: the Benefit of PCA and Whitening,
        ECCV 2012). Components alone leave distances as they are, as far as they can.
        """
        return self.normalisation != "none" or self.whiten

    def check(self, dimension: int) -> None:
        """See whether vectors of this length will do.

        Raises:
            ConfigError: they have fewer values than components are wanted.
        """
        if self.pca is not None and self.pca > dimension:
            raise ConfigError(f"pca: {self.pca} components are wanted of vectors of {dimension} values: write fewer")


@dataclass(frozen=True, slots=True, eq=False)  # arrays do not compare to one truth value
class Transform:
    """A recipe with what it learned from the vectors of a catalogue.

    Attributes:
        recipe: what it does.
        inputs: length of the vectors that it takes.
        rows: how many vectors it was made for; it learned from 20,000 of them at most, of very long ones from fewer.
            Fewer than there are to be components give as many components as they are; where none differs from any
            other there is nothing to learn, and they are compared by all their values.
        mean: subtracted after normalising, shape (inputs,); empty without components.
        components: one in a row, most variance first, shape (pca or fewer, inputs), divided by their standard
            deviations when whitening; empty without components.
    """

    recipe: Recipe
    inputs: int
    rows: int
    mean: _Float64 = field(default_factory=lambda: np.zeros(0))
    components: _Float64 = field(default_factory=lambda: np.zeros((0, 0)))

    @classmethod
    def fit(cls, recipe: Recipe, rows: Vectors, count: int | None = None) -> Transform:
        """Learn from vectors.

        Args:
            recipe: what to do.
            rows: shape (n, d).
            count: how many there are, where ``rows`` are those alone that :meth:`sampled` names.

        Raises:
            ConfigError: the recipe wants more components than vectors have values, or no vector is one of numbers.
        """
        dimension = rows.shape[1]
        if count is None:
            count, rows = len(rows), rows[cls.sampled(len(rows), dimension)]
        recipe.check(dimension)
        if recipe.pca is None:
            return cls(recipe, dimension, count)
        # A network gone wrong gives values that are none. They are for the audit to find; nothing is learned of them.
        sample = rows[np.isfinite(rows).all(axis=1)]
        if not len(sample):
            raise ConfigError(f"pca: nothing can be learned from {count} pictures whose vectors are no finite numbers")
        values = _normalised(sample.astype(np.float64), recipe.normalisation)
        same = _SAME_VARIANCE * np.square(values).sum(axis=1).mean()
        mean = values.mean(axis=0)
        values -= mean
        components, variances = _principal(values, min(recipe.pca, len(sample)))
        if variances[0] <= same:
            return cls(recipe, dimension, count)
        if recipe.whiten:
            components /= np.sqrt(variances + _LEAST_VARIANCE * variances[0])[:, np.newaxis]
        return cls(recipe, dimension, count, mean, components)

    @staticmethod
    def sampled(count: int, dimension: int) -> Any:
        """Which of so many rows are learned from."""
        return _evenly(count, _LEARN_FROM if dimension <= _LONG else _LONG)

    @property
    def dimension(self) -> int:
        """Length of the vectors that come out."""
        return len(self.components) or self.inputs

    @property
    def described(self) -> str:
        """What it does, in a few words; others where it learned something else."""
        words: list[str] = [] if self.recipe.normalisation == "none" else [self.recipe.normalisation]
        if self.recipe.pca is not None:
            learned = [f"pca {self.dimension}", *(["whitened"] if self.recipe.whiten else [])]
            words += learned if len(self.components) else ["no pca, as all are alike,"]
            words += [f"of {self.rows} rows, {zlib.crc32(self.components.tobytes()):08x}"]
        return " ".join(words) or "as it is"

    def apply(self, rows: Vectors) -> Vectors:
        """Vectors as they are compared.

        Args:
            rows: shape (n, inputs).

        Returns:
            float32, shape (n, dimension); a vector of nothing but zeros stays so where it is brought to length 1.
        """
        if self.recipe.trivial:
            return np.ascontiguousarray(rows, np.float32)
        found = np.empty((len(rows), self.dimension), np.float32)
        for start in range(0, len(rows), _ROWS_AT_ONCE):
            part = slice(start, start + _ROWS_AT_ONCE)
            with np.errstate(invalid="ignore"):  # what is not finite stays so, and is never near anything
                found[part] = self._applied(rows[part].astype(np.float64))
        return found

    def _applied(self, values: _Float64) -> _Float64:
        values = _normalised(values, self.recipe.normalisation)
        if len(self.components):
            values = (values - self.mean) @ self.components.T
        return _of_length_one(values) if self.recipe.ends_in_length_one else values

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """Everything as arrays for ``numpy.savez``."""
        recipe = np.array(json.dumps(asdict(self.recipe)))
        sizes = np.array([self.inputs, self.rows], np.int64)
        return {"recipe": recipe, "sizes": sizes, "mean": self.mean, "components": self.components}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> Transform:
        """What :meth:`to_arrays` gave.

        Raises:
            ValueError: the arrays are others.
        """
        try:
            recipe = Recipe(**json.loads(str(arrays["recipe"])))
            inputs, rows = arrays["sizes"].tolist()
            found = cls(recipe, inputs, rows, arrays["mean"], arrays["components"])
        except (KeyError, TypeError) as error:
            raise ValueError(f"these arrays hold no transform: {error}") from error
        count = min(len(found.components), recipe.pca or 0)
        shapes = ((inputs,), (count, inputs)) if count else ((0,), (0, 0))
        if (found.mean.shape, found.components.shape) != shapes:
            raise ValueError(f"these arrays hold no transform: mean and components should be of shapes {shapes}")
        return found


def _evenly(count: int, most: int) -> Any:
    """Which of so many rows to learn from: all, or some of them at even distances."""
    return slice(None) if count <= most else np.linspace(0, count - 1, most).astype(np.int64)


def _normalised(values: _Float64, normalisation: str) -> _Float64:
    if normalisation == "none":
        return values
    if normalisation == "power":
        values = np.sign(values) * np.sqrt(np.abs(values))
    return _of_length_one(values)


def _of_length_one(values: _Float64) -> _Float64:
    lengths = np.linalg.norm(values, axis=1, keepdims=True)
    unit: _Float64 = np.divide(values, lengths, out=np.zeros_like(values), where=lengths != 0)
    return unit


def _principal(values: _Float64, count: int) -> tuple[_Float64, _Float64]:
    """The first principal components of centred vectors (n, d): shape (count, d), and their variances (count,)."""
    rows, dimension = values.shape
    # Both matrices have the same eigenvalues, and the smaller one is soon done.
    if rows < dimension:
        variances, ends = np.linalg.eigh(values @ values.T)
        # Orthogonal already but for rounding; this brings them to length 1, also those without any variance.
        vectors, _ = np.linalg.qr(values.T @ ends[:, ::-1][:, :count])
    else:
        variances, ends = np.linalg.eigh(values.T @ values)
        vectors = ends[:, ::-1][:, :count]
    return np.ascontiguousarray(vectors.T), np.maximum(variances[::-1][:count], 0.0) / max(rows - 1, 1)
