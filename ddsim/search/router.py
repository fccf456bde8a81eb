"""What to search for a photo, and what to think of what was found: by the settings' rules and what was learned."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ddsim.catalogue import spelled
from ddsim.config import Settings
from ddsim.deepdetect import Label, Vectors
from ddsim.routing import Decision, Rules, Shares, TrainedHead, by_labels, decide, vote
from ddsim.search.collection import Collection
from ddsim.vectors import Found, Hits

# The closeness of a picture to itself is 1, or a little less after rounding.
_SAME = 0.9999


class Router:
    """Decides what to search for the pictures of one call, and what to think of what was found."""

    def __init__(
        self, settings: Settings, collection: Collection, labels: Sequence[tuple[Label, ...]], route: bool
    ) -> None:
        routing = settings.routing
        self._learned = collection.learned()
        records = collection.records
        self._sizes = records.categories()
        categories = records.derived("spelled", lambda: spelled(settings.categories, records.categories()))
        self._service = [by_labels(ones, categories) for ones in labels]
        self._trained = collection.trained()
        self._told: dict[int, Shares] = {}
        self._voters = routing.voters
        weight = self._learned.weight if self._learned else None
        by = "neighbours" if routing.by == "none" else routing.by
        self._rules = Rules(by, weight, routing.share, routing.most, not route or routing.by == "none")

    def scores(self, found: Sequence[Found]) -> list[float]:
        """The probability that each item that is shown is of the query's category, nearest first.

        Where nothing was learned yet it is how close each one is.
        """
        learned = self._learned
        known = learned and learned.scores([one.distance for one in found], sum(self._sizes.values()))
        return known or [one.closeness for one in found]

    def _weights(self, found: Sequence[Found]) -> list[float]:
        if self._learned is None or self._learned.line is None:
            return [one.closeness for one in found]
        return [float(value) for value in self._learned.line.probability([one.distance for one in found])]

    def decide(self, position: int, near: Sequence[Found], vector: Vectors, forced: tuple[str, ...] | None) -> Decision:
        """What to search for one picture, given what is nearest to it and its features."""
        voters = near[: self._voters]
        voted = vote([(one.category, share) for one, share in zip(voters, self._weights(voters), strict=True)])
        told = self._service[position]
        if self._trained is not None:
            told = self._trained.head.shares(vector[np.newaxis])[0]
            if forced is None:
                self._told[position] = told
        return decide(told, voted, self._rules, self._sizes, forced)

    def nothing_similar(self, position: int, hits: Hits, decision: Decision) -> str | None:
        """None, or a sentence that says why nothing is similar enough."""
        if not hits.found:
            return "nothing of these categories is indexed"
        learned, first = self._learned, hits.found[0]
        if learned is None or first.closeness >= _SAME:
            return None
        nearest = first.distance if hits.apart is None else hits.apart
        if self._trained is not None and position in self._told:
            why = _unlike(self._trained, nearest, self._told[position])
            if why is not None:
                return why
        if learned.reach is not None and nearest > learned.reach:
            far, near = _told_apart(nearest, learned.reach, 4)
            before = "" if hits.apart is None else " before vectors are reduced"
            return (
                f"the nearest picture is at distance {far}{before}; 99 of 100 of the catalogue's own pictures have "
                f"another one at distance {near} or less"
            )
        most = max((one.probability for one in decision.categories), default=0.0)
        believed = max(most, decision.vote)
        if learned.floor is not None and believed < learned.floor:
            low, high = _told_apart(100 * believed, 100 * learned.floor, 3)
            return (
                f"no category is more probable than {low}%; 99 of 100 of the catalogue's own pictures have a category "
                f"with {high}% or more"
            )
        return None


def _told_apart(one: float, other: float, digits: int) -> tuple[str, str]:
    """Two different numbers with so many digits that they also read differently."""
    while f"{one:.{digits}g}" == f"{other:.{digits}g}" and digits < 17:
        digits += 1
    return f"{one:.{digits}g}", f"{other:.{digits}g}"


def _unlike(trained: TrainedHead, nearest: float, told: Shares) -> str | None:
    """A sentence why the photo shows none of the catalogue's categories, or None."""
    name, probability = next(iter(told.items()))
    if trained.open_set is None or trained.open_set.strangeness(nearest, probability, len(told)) <= 0:
        return None
    return (
        f"the photo is unlike the catalogue: its nearest item is at distance {nearest:.4g}, and the most probable "
        f"category, {name}, has {probability:.0%}; of the catalogue's own pictures, each taken for a photo, "
        f"{trained.open_set.false_alarms:.0%} are as far away and as unclear"
    )
