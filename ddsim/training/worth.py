"""What a way to tell categories is worth: how often it is right, how sure it is when it is not, and where it errs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ddsim.routing import Shares
from ddsim.showing import Value

# What a category that got no probability is taken to have had, so that one such item does not decide the log loss.
_LEAST = 1e-3
_BINS = 10
# An item whose own category gets less than this, held out, may lie in the wrong folder.
_SUSPECT = 0.05
_EXAMPLES = 3
_CONFUSIONS = 10


@dataclass(frozen=True, slots=True, repr=False)
class Worth(Value):
    """Measured on items whose category is known.

    Attributes:
        items: how many.
        accuracy: share of them whose own category was the most probable.
        log_loss: mean of minus the logarithm of the own category's probability.
        calibration_error: how far the probability of the most probable category is from how often it is right, over
            ten ranges of probability, weighted by their items (expected calibration error).
    """

    items: int
    accuracy: float
    log_loss: float
    calibration_error: float


@dataclass(frozen=True, slots=True, repr=False)
class Confusion(Value):
    """Items of one category that were taken for another: how many, and the uris of the clearest ones."""

    category: str
    taken_for: str
    items: int
    examples: tuple[str, ...]


@dataclass(frozen=True, slots=True, repr=False)
class Suspect(Value):
    """An item that looks as if it were in the wrong folder.

    Attributes:
        uri, category: of the item.
        probability: what its own category got.
        taken_for, other: the most probable category, and its probability.
    """

    uri: str
    category: str
    probability: float
    taken_for: str
    other: float


def worth_of(told: Sequence[Shares], categories: Sequence[str]) -> Worth:
    """Measure probabilities against what the items are.

    Args:
        told: category -> probability of each item, most probable first; an empty one is wrong, and sure of nothing.
        categories: theirs.
    """
    if not told:
        return Worth(0, float("nan"), float("nan"), float("nan"))
    best = [next(iter(shares.items()), ("", 0.0)) for shares in told]
    right = np.array([name == own for (name, _), own in zip(best, categories, strict=True)], dtype=np.float64)
    sure = np.array([probability for _, probability in best])
    own_share = np.array([shares.get(own, 0.0) for shares, own in zip(told, categories, strict=True)])
    loss = float(-np.log(np.clip(own_share, _LEAST, 1.0)).mean())
    return Worth(len(told), float(right.mean()), loss, calibration_error(sure, right))


def calibration_error(sure: NDArray[np.float64], right: NDArray[np.float64]) -> float:
    """The expected calibration error; see :class:`Worth`.

    Args:
        sure: probabilities, shape (n,).
        right: 1 where what had it was so, else 0; shape (n,).
    """
    bins = np.minimum((sure * _BINS).astype(np.int64), _BINS - 1)
    sizes = np.bincount(bins, minlength=_BINS)
    gaps = np.abs(np.bincount(bins, weights=sure, minlength=_BINS) - np.bincount(bins, weights=right, minlength=_BINS))
    return float(gaps.sum() / max(sizes.sum(), 1))


def by_category(told: Sequence[Shares], categories: Sequence[str]) -> dict[str, Worth]:
    """The same for the items of each category."""
    found: dict[str, Worth] = {}
    for name in sorted(set(categories)):
        own = [position for position, category in enumerate(categories) if category == name]
        found[name] = worth_of([told[position] for position in own], [name] * len(own))
    return found


def confusions(told: Sequence[Shares], categories: Sequence[str], uris: Sequence[str]) -> tuple[Confusion, ...]:
    """Which category is taken for which other one, the most frequent first; ten at most."""
    pairs: dict[tuple[str, str], list[tuple[float, str]]] = {}
    for shares, own, uri in zip(told, categories, uris, strict=True):
        name, probability = next(iter(shares.items()), ("", 0.0))
        if name and name != own:
            pairs.setdefault((own, name), []).append((-probability, uri))
    ranked = sorted(pairs.items(), key=lambda entry: (-len(entry[1]), entry[0]))
    return tuple(
        Confusion(own, other, len(ones), tuple(uri for _, uri in sorted(ones)[:_EXAMPLES]))
        for (own, other), ones in ranked[:_CONFUSIONS]
    )


def suspects(told: Sequence[Shares], categories: Sequence[str], uris: Sequence[str]) -> tuple[Suspect, ...]:
    """Items whose own category got less than 5 %, the least probable first."""
    found = []
    for shares, own, uri in zip(told, categories, uris, strict=True):
        name, probability = next(iter(shares.items()), ("", 0.0))
        if name and shares.get(own, 0.0) < _SUSPECT:
            found.append(Suspect(uri, own, shares.get(own, 0.0), name, probability))
    return tuple(sorted(found, key=lambda one: (one.probability, one.uri)))
