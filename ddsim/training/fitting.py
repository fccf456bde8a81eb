"""Fits a linear classifier to features: multinomial logistic regression, calibrated on folds that it did not see."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ddsim.deepdetect import Vectors
from ddsim.errors import CapabilityError, InvalidRequest, install_hint
from ddsim.routing import Head, softmax

_Float64 = NDArray[np.float64]

# From much to hardly any regularisation; for vectors of length 1 or about.
_STRENGTHS = (0.1, 1.0, 10.0, 100.0)
_FOLDS = 5
_STEPS = 1000
# What varies less than this beside the rest is rounding.
_LEAST = 1e-12


@dataclass(frozen=True, slots=True, eq=False)  # arrays do not compare to one truth value
class Fitted:
    """A head, and what it says of pictures that it was not trained on.

    Attributes:
        head: trained on all of them.
        held_out: shape (n, c): each item's probabilities by a head that was trained without its fold; NaN for an item
            that no fold could do without, since it is the only one of its category.
        strength: how little it was regularised (scikit-learn's C), as cross-validation chose it.
        temperature: by which all logits were divided, so that probabilities are as often right as they say.
        folds: into how many parts the items were split; 0 where there were too few to hold any out.
    """

    head: Head
    held_out: _Float64
    strength: float
    temperature: float
    folds: int


def fit(
    vectors: Vectors, categories: Sequence[str], groups: Sequence[object] | None = None, *, seed: int = 0
) -> Fitted:
    """Train a head on items whose category is known. The same items give the same head.

    Categories count the same however many items they have. How much is regularised, and the temperature, are chosen by
    cross-validation.

    Args:
        vectors: shape (n, d).
        categories: theirs, n.
        groups: what belongs together is held out together, such as equal content; by default every item is on its own.
        seed: of the folds.

    Raises:
        CapabilityError: scikit-learn is not installed.
        InvalidRequest: fewer than two categories, or shapes that do not fit.
    """
    rows, scale = scaled(vectors)
    if len(rows) != len(categories) or (groups is not None and len(groups) != len(categories)):
        raise InvalidRequest(f"train: {len(rows)} vectors and {len(categories)} categories do not fit")
    names = tuple(sorted(set(categories)))
    if len(names) < 2:
        raise InvalidRequest(
            f"train: there is nothing to tell apart, all {len(categories)} pictures are of "
            f"{f'the category {names[0]!r}' if names else 'no category'}"
        )
    rows, span = _spanned(rows)
    targets = np.array([names.index(category) for category in categories])
    folds = folds_of(targets, list(range(len(targets))) if groups is None else groups, seed)
    if folds.max() < 1:
        # Every category has one picture: nothing can be held out, so nothing is known of what the head is worth.
        head = solve(rows, targets, len(names), 1.0).head(names, 1.0, scale, span)
        return Fitted(head, np.full((len(rows), len(names)), np.nan), 1.0, 1.0, 0)
    known = folds >= 0
    logits = {strength: _held_out(rows, targets, folds, len(names), strength) for strength in _STRENGTHS}
    tempered = {strength: best_temperature(found[known], targets[known]) for strength, found in logits.items()}
    losses = {s: log_loss(logits[s][known] / tempered[s], targets[known]) for s in _STRENGTHS}
    # Of equally good ones the most regularised, since it came first.
    strength = min(_STRENGTHS, key=lambda one: (round(losses[one], 6), one))
    temperature = tempered[strength]
    held_out = np.full((len(rows), len(names)), np.nan)
    held_out[known] = softmax(logits[strength][known] / temperature)
    head = solve(rows, targets, len(names), strength).head(names, temperature, scale, span)
    return Fitted(head, held_out, strength, temperature, int(folds.max()) + 1)


def scaled(vectors: Vectors) -> tuple[_Float64, float]:
    """Vectors divided by their mean length, and that length (1 where all are zeros).

    One number for all of them: that can go into a layer's weights, each vector's own length cannot.
    """
    rows = np.asarray(vectors, dtype=np.float64)
    scale = float(np.linalg.norm(rows, axis=1).mean()) if rows.size else 1.0
    return rows / (scale or 1.0), scale or 1.0


def _spanned(rows: _Float64) -> tuple[_Float64, _Float64 | None]:
    """The rows in a basis of what they span, shape (n, m), and that basis, shape (m, d); None where d is no larger.

    Weights that are regularised by their length lie in that span, so training there comes to the same, sooner.
    """
    if rows.shape[1] <= rows.shape[0]:
        return rows, None
    values, vectors = np.linalg.eigh(rows @ rows.T)
    kept = values > max(values[-1] * _LEAST, np.finfo(np.float64).tiny)
    if not kept.any():
        return rows, None
    lengths = np.sqrt(values[kept])
    return vectors[:, kept] * lengths, (vectors[:, kept] / lengths).T @ rows


def folds_of(targets: NDArray[np.int64], groups: Sequence[object], seed: int) -> NDArray[np.int64]:
    """Which fold holds each item out, as even as can be within each category; shape (n,).

    -1 for items of a category that is one group alone: without it nobody could know the category.
    """
    rng = np.random.default_rng(seed)
    folds = np.full(len(targets), -1, np.int64)
    members: dict[int, dict[object, list[int]]] = {}
    for position, (target, group) in enumerate(zip(targets.tolist(), groups, strict=True)):
        members.setdefault(target, {}).setdefault(group, []).append(position)
    for target in sorted(members):
        parts = list(members[target].values())
        if len(parts) < 2:
            continue
        for place, number in enumerate(rng.permutation(len(parts)).tolist()):
            folds[parts[number]] = place % min(_FOLDS, len(parts))
    return folds


def best_temperature(logits: _Float64, targets: NDArray[np.int64]) -> float:
    """By which logits are divided for the least log loss; within 1/16 and 16."""
    optimize = _scipy_optimize()
    found = optimize.minimize_scalar(
        lambda power: log_loss(logits / 2.0**power, targets), bounds=(-4.0, 4.0), method="bounded"
    )
    return float(2.0**found.x)


def log_loss(logits: _Float64, targets: NDArray[np.int64]) -> float:
    """The mean of minus the logarithm of the right category's probability."""
    shifted = logits - logits.max(axis=1, keepdims=True)
    right = shifted[np.arange(len(targets)), targets]
    return float(np.mean(np.log(np.exp(shifted).sum(axis=1)) - right))


@dataclass(frozen=True, slots=True, eq=False)  # arrays do not compare to one truth value
class Solution:
    """A head before it is calibrated: weights, shape (c, d), and biases (c,), both float64."""

    weights: _Float64
    biases: _Float64

    def logits(self, rows: _Float64) -> _Float64:
        """Of scaled vectors, shape (n, c)."""
        found: _Float64 = rows @ self.weights.T + self.biases
        return found

    def probabilities(self, rows: _Float64, temperature: float) -> _Float64:
        """Likewise, calibrated."""
        return softmax(self.logits(rows) / temperature)

    def head(self, names: tuple[str, ...], temperature: float, scale: float, span: _Float64 | None) -> Head:
        """With temperature and scale in the weights, so that it takes vectors as the network gives them.

        Args:
            names: of the categories.
            temperature: see :class:`Fitted`.
            scale: by which vectors were divided.
            span: what :func:`_spanned` gave.
        """
        weights = self.weights if span is None else self.weights @ span
        weights, biases = weights / (temperature * scale), self.biases / temperature
        return Head(names, weights.astype(np.float32), biases.astype(np.float32))


def solve(rows: _Float64, targets: NDArray[np.int64], categories: int, strength: float) -> Solution:
    """Multinomial logistic regression in which categories count the same.

    Args:
        rows: scaled vectors, shape (n, d).
        targets: their categories' numbers, shape (n,); every category has items.
        categories: how many there are, at least 2.
        strength: how little to regularise, scikit-learn's C.
    """
    model = linear_model().LogisticRegression(C=strength, class_weight="balanced", max_iter=_STEPS)
    with warnings.catch_warnings():
        # One that is not quite at its best after so many steps is as good; what it is worth is measured anyway.
        warnings.simplefilter("ignore")
        model.fit(rows, targets)
    if categories > 2:
        return Solution(model.coef_, model.intercept_)
    # Of two, scikit-learn gives the second against the first.
    return Solution(
        np.concatenate((-model.coef_, model.coef_)) / 2, np.concatenate((-model.intercept_, model.intercept_)) / 2
    )


def _held_out(
    rows: _Float64, targets: NDArray[np.int64], folds: NDArray[np.int64], categories: int, strength: float
) -> _Float64:
    """Each item's logits by a head that was trained without its fold, shape (n, c)."""
    logits = np.full((len(rows), categories), np.nan)
    for fold in range(int(folds.max()) + 1):
        held = folds == fold
        logits[held] = solve(rows[~held], targets[~held], categories, strength).logits(rows[held])
    return logits


def linear_model() -> Any:
    """scikit-learn's linear models.

    Raises:
        CapabilityError: it is not installed.
    """
    try:
        from sklearn import linear_model
    except ModuleNotFoundError as error:
        raise CapabilityError(
            f"training needs scikit-learn, which is not installed: {install_hint('train')}"
        ) from error
    return linear_model


def _scipy_optimize() -> Any:
    from scipy import optimize  # comes with scikit-learn

    return optimize
