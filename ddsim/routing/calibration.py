"""What a catalogue teaches about its own index: what a distance means, when to trust a category, and whom.

Every item is a query for all others once (leave-one-out). The catalogue's own folders say which category each item
is of, so nothing else has to be labelled.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ddsim.deepdetect import Vectors
from ddsim.errors import InvalidRequest
from ddsim.metrics import Values, matches
from ddsim.routing.categories import Shares, combine, vote
from ddsim.routing.isotonic import Calibration, calibrate
from ddsim.showing import Shown, Sketch, counted, percent, plain

# One picture in so many of the catalogue's own may be told that nothing is similar to it.
_FALSE_ALARM = 0.01
# Fewer items than this have no distribution to speak of: nothing is ruled out by it.
_FEW = 20
_WEIGHTS = np.linspace(0.0, 1.0, 21)
# So many neighbours are shown, as a rule.
_SHOWN = 10
# What a category that got no probability at all is taken to have, so that one such item does not decide everything.
_LEAST = 0.01


@dataclass(frozen=True, slots=True, repr=False)
class Learned(Shown):
    """What was learned from a catalogue.

    Attributes:
        line: distance -> probability that an item at this distance is of the query's category, of all pairs of items;
            votes are weighed by it. In a catalogue with one category it is the share of all pairs that are farther
            apart. None where there are fewer than two items.
        reach: a distance. Where even the nearest item is farther away, nothing is similar: only 1 in 100 of the
            catalogue's own items is farther than this from all others. Where vectors are reduced to be compared, it is
            between the vectors as the network gave them. None where there are too few items to tell.
        floor: a probability. Where no category reaches it, the photo shows none of them: of the items whose category
            was told right, only 1 in 100 had less. None where there are too few items, or only one category.
        weight: how much the classification service counts beside the neighbours' vote, 0 to 1; see
            :func:`best_weight`. None where no item was classified.
        items: how many items all this was learned from.
        classified: how many of them the classification service has seen.
        shown: as ``line``, of those pairs alone that a search shows, with the distance as :func:`drawn_out` gives it.
            None where there is one category alone, and of what older versions learned.
    """

    line: Calibration | None
    reach: float | None
    floor: float | None
    weight: float | None
    items: int
    classified: int
    shown: Calibration | None = None

    def scores(self, distances: Sequence[float], indexed: int) -> list[float] | None:
        """The probability that each item that is shown is of the query's category.

        Args:
            distances: of what is shown, nearest first.
            indexed: how many items are searched.

        Returns:
            one for each, 0 to 1, none above the one before; None where nothing was learned.
        """
        far = np.asarray(distances, dtype=np.float64)
        if self.shown is not None:
            found = self.shown.probability(drawn_out(far, self.items / max(indexed, 1)))
        elif self.line is not None:
            found = self.line.probability(far)
        else:
            return None
        return [float(value) for value in found]

    def to_dict(self) -> dict[str, Any]:
        """Plain values, as in the ``learned`` of ``ddsim index --json``: all but the lines, which are long."""
        lines = ("line", "shown")
        return {one.name: plain(getattr(self, one.name)) for one in fields(self) if one.name not in lines}

    def _facts(self) -> list[tuple[str, str]]:
        weight = "" if self.weight is None else f"{percent(self.weight)}, the neighbours' vote the rest"
        facts = [
            ("learned from", counted(self.items, "item")),
            ("the classification service counts", weight),
            ("nothing is similar beyond", "" if self.reach is None else f"distance {self.reach:.4g}"),
            ("nothing is recognised below", "" if self.floor is None else percent(self.floor)),
        ]
        return [(name, value) for name, value in facts if value]

    def _brief(self) -> str:
        return ", ".join(f"{name} {value}" for name, value in self._facts())

    def _sketch(self) -> Sketch:
        return Sketch("What distances mean in this catalogue", facts=self._facts())

    def as_json(self) -> dict[str, Any]:
        """The same as plain values, which JSON can hold."""
        return asdict(self)

    @classmethod
    def from_json(cls, plain: Mapping[str, Any]) -> Learned:
        """Make it again.

        Args:
            plain: what :meth:`as_json` gave.
        """
        lines = {"line": _line_of(plain["line"]), "shown": _line_of(plain.get("shown"))}
        return cls(**{**plain, **lines})


def drawn_out(distances: Values, share: float) -> Values:
    """Distances of what is shown, longer for what comes later: times the square root of the rank.

    An item at one distance is the more probably of the query's category, the fewer are nearer: where much is near, near
    means less. Of the roots that were tried on photos and drawings with four networks this one is right most often.

    Args:
        distances: nearest first along the last axis.
        share: of what is searched, how much was learned from. Among a sample of it a rank is as much smaller.
    """
    ranks = np.arange(1, distances.shape[-1] + 1) * min(share, 1.0)
    return np.asarray(distances * np.sqrt(np.maximum(ranks, 1.0)), dtype=np.float64)


def _line_of(plain: Mapping[str, Any] | None) -> Calibration | None:
    if plain is None:
        return None
    return Calibration(tuple(plain["distances"]), tuple(plain["probabilities"]), plain["pairs"])


def pairwise(vectors: Vectors, metric: Literal["l2", "cosine"]) -> NDArray[np.float64]:
    """The distances between vectors as an index of this metric gives them, the diagonal NaN.

    Args:
        vectors: shape (n, d).
        metric: ``l2``: squared and divided by d; ``cosine``: 1 minus the cosine.
    """
    rows = np.asarray(vectors, dtype=np.float64)
    products = rows @ rows.T
    squares = np.diag(products).copy()
    distances: NDArray[np.float64]
    if metric == "l2":
        distances = np.maximum(squares[:, None] + squares[None, :] - 2 * products, 0.0) / max(rows.shape[1], 1)
    else:
        lengths = np.sqrt(np.outer(squares, squares))
        cosines = np.divide(products, lengths, out=np.zeros_like(products), where=lengths > 0)
        distances = np.maximum(1.0 - cosines, 0.0)
    np.fill_diagonal(distances, np.nan)
    return distances


def learn(
    distances: ArrayLike,
    categories: Sequence[str],
    service: Mapping[int, Shares] | None = None,
    *,
    voters: int = 15,
    apart: ArrayLike | None = None,
) -> Learned:
    """Learn from items with known categories.

    Args:
        distances: between all items, shape (n, n), NaN on the diagonal.
        categories: the category of each item.
        service: item's position -> category -> probability by the classification service; for some items or for all.
        voters: how many nearest items vote.
        apart: the distances between all items' vectors as the network gave them, where these are compared otherwise.

    Raises:
        InvalidRequest: the shapes do not fit.
    """
    far = np.asarray(distances, dtype=np.float64)
    count = len(categories)
    if far.shape != (count, count) or voters < 1:
        raise InvalidRequest(
            f"learn: {count} items need distances of shape ({count}, {count}), got {far.shape}; "
            f"voters={voters} must be 1 or more"
        )
    service = service or {}
    if count < 2:
        return Learned(None, None, None, None, count, len(service))
    line = _line(far, categories)
    unreduced = far if apart is None else np.asarray(apart, dtype=np.float64)
    nearest = unreduced[np.arange(count), np.nanargmin(far, axis=1)]
    reach = float(np.quantile(nearest, 1 - _FALSE_ALARM, method="higher")) if count >= _FEW else None
    voted = leave_one_out_votes(far, categories, line, voters)
    weight = best_weight(categories, voted, service)
    if len(set(categories)) == 1:
        return Learned(line, reach, None, weight, count, len(service))
    return Learned(line, reach, _floor(categories, voted), weight, count, len(service), _shown(far, categories))


def leave_one_out_votes(
    distances: NDArray[np.float64], categories: Sequence[str], line: Calibration, voters: int
) -> list[Shares]:
    """Each item's categories by the vote of the others; see :func:`ddsim.routing.categories.vote`."""
    order = np.argsort(distances, axis=1, kind="stable")[:, : min(voters, len(categories) - 1)]  # NaN comes last
    weights = line.probability(np.take_along_axis(distances, order, axis=1))
    return [
        vote([(categories[other], float(weight)) for other, weight in zip(others, row, strict=True)])
        for others, row in zip(order.tolist(), weights, strict=True)
    ]


def best_weight(categories: Sequence[str], voted: Sequence[Shares], service: Mapping[int, Shares]) -> float | None:
    """How much the service should count.

    It is the weight that makes the right categories most probable. Where several weights are equally good within one
    standard error, it is the one nearest to one half, so that neither the service nor the neighbours are ignored
    because of a few lucky items.

    Args:
        categories: the category of each item.
        voted: category -> probability by the neighbours' vote, for each item.
        service: see :func:`learn`.
    """
    if not service:
        return None
    likelihoods = np.log(
        [
            [
                max(combine(shares, voted[position], float(weight)).get(categories[position], 0.0), _LEAST)
                for position, shares in service.items()
            ]
            for weight in _WEIGHTS
        ]
    )
    behind = likelihoods[int(np.argmax(likelihoods.mean(axis=1)))] - likelihoods
    error = behind.std(axis=1) / np.sqrt(behind.shape[1])
    as_good = _WEIGHTS[behind.mean(axis=1) <= error]
    return float(as_good[np.argmin(np.abs(as_good - 0.5))])


def _line(far: Values, categories: Sequence[str]) -> Calibration:
    upper = np.triu_indices(len(categories), 1)
    pairs = far[upper]
    if len(set(categories)) > 1:
        return calibrate(pairs, matches(categories, categories)[upper], centred=True)
    # With nothing of another category to be told from, all that can be said is how near is near in this catalogue.
    steps = np.linspace(0.0, 1.0, min(len(pairs), 200) + 1)[1:]
    corners: dict[float, float] = {0.0: 1.0}
    for distance, share in zip(np.quantile(np.maximum(pairs, 0.0), steps), steps, strict=True):
        if distance > 0:  # of equal ones the last one counts: they are not farther
            # As if one more pair were farther than all: those that were seen are not the farthest there can be.
            corners[float(distance)] = float(1 - share * len(pairs) / (len(pairs) + 1))
    return Calibration(tuple(corners), tuple(corners.values()), len(pairs))


def _shown(far: Values, categories: Sequence[str]) -> Calibration:
    """What distances mean among the items that a search shows: every item is a query for all others once."""
    order = np.argsort(far, axis=1, kind="stable")[:, : min(_SHOWN, len(categories) - 1)]  # NaN comes last
    names = np.asarray(categories)
    near = np.maximum(np.take_along_axis(far, order, axis=1), 0.0)
    return calibrate(drawn_out(near, 1.0).ravel(), (names[order] == names[:, np.newaxis]).ravel(), centred=True)


def _floor(categories: Sequence[str], voted: Sequence[Shares]) -> float | None:
    right = [
        next(iter(shares.values()))
        for category, shares in zip(categories, voted, strict=True)
        if next(iter(shares), None) == category
    ]
    return float(np.quantile(right, _FALSE_ALARM, method="lower")) if len(right) >= _FEW else None
