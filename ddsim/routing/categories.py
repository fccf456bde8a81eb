"""Which categories to search for a photo: what the network says, what the neighbours say, and what a catalogue teaches.

Probabilities of categories need not add up to 1: what is missing is the probability that the photo shows none of them.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from ddsim.deepdetect import Label
from ddsim.errors import InvalidRequest

Shares = dict[str, float]

# Of the classification service beside the vote, while nothing is known of either.
_EVEN = 0.5


@dataclass(frozen=True, slots=True)
class RoutedCategory:
    """A category that a picture may show.

    Attributes:
        name: of the category.
        probability: that the picture shows it.
        searched: whether it was searched.
        why: it was, or was not; for people.
    """

    name: str
    probability: float
    searched: bool
    why: str


@dataclass(frozen=True, slots=True)
class Decision:
    """What to search for one picture.

    Attributes:
        categories: most probable first.
        searched: what to search; empty means everything.
        vote: the probability of the most probable category by the vote of the neighbours.
    """

    categories: tuple[RoutedCategory, ...]
    searched: tuple[str, ...]
    vote: float


@dataclass(frozen=True, slots=True)
class Rules:
    """How categories are chosen.

    Attributes:
        by: who says what the picture shows: ``service``, ``neighbours``, or ``combined``.
        weight: of the service in ``combined``; None where it was not learned: both count the same.
        share, most: see :func:`choose`.
        everything: nothing is chosen, all categories are searched.
    """

    by: Literal["combined", "service", "neighbours"] = "combined"
    weight: float | None = None
    share: float = 0.9
    most: int = 3
    everything: bool = False


def decide(
    service: Shares,
    neighbours: Shares,
    rules: Rules,
    indexed: Collection[str],
    forced: Sequence[str] | None = None,
) -> Decision:
    """Decide which categories to search.

    Args:
        service: category -> probability by the labels; empty where there is no classification service.
        neighbours: by the vote.
        rules: see there.
        indexed: the categories that there are.
        forced: to search these, whatever the probabilities are.
    """
    if rules.by == "service":
        shares = service
    elif rules.by == "combined" and service:
        shares = combine(service, neighbours, _EVEN if rules.weight is None else rules.weight)
    else:
        shares = neighbours
    there = {name: probability for name, probability in shares.items() if name in indexed}
    chosen = () if rules.everything else choose(there, rules.share, rules.most)
    if forced is not None:
        searched, why, why_not = tuple(forced), "asked for", "another one was asked for"
    elif chosen:
        held = sum(there[name] for name in chosen) / sum(there.values())
        verb = "holds" if len(chosen) == 1 else "hold"
        searched, why = chosen, f"{' and '.join(chosen)} {verb} {held:.0%} of the probability"
        why_not = why
    else:
        searched, why_not = (), ""
        why = "all are searched" if rules.everything else "nothing to go by, so all are searched"
    categories = []
    for name in dict.fromkeys((*shares, *searched)):
        is_searched = name in searched or (not searched and name in indexed)
        reason = why if is_searched else why_not if name in indexed else "the catalogue has none"
        categories.append(RoutedCategory(name, shares.get(name, 0.0), is_searched, reason))
    return Decision(tuple(categories), searched, max(neighbours.values(), default=0.0))


def by_labels(labels: Iterable[Label], categories: Mapping[str, str]) -> Shares:
    """Category -> probability, most probable first: the labels' probabilities added up.

    Args:
        labels: of the classification service.
        categories: label, or its first word alone (ImageNet's synset) -> category; other labels count for none.
    """
    shares: Shares = {}
    for label in labels:
        category = categories.get(label.name) or categories.get(label.name.partition(" ")[0])
        if category:
            shares[category] = shares.get(category, 0.0) + label.probability
    return ordered(shares)


def vote(voters: Sequence[tuple[str, float]]) -> Shares:
    """Category -> probability by the nearest items, most probable first.

    Every item votes for its category with the probability that the photo is of the same one as it. The sum of all
    probabilities is that of the nearest item: where even that one is far away, no category gets much.

    Args:
        voters: category and probability (:meth:`.Calibration.probability` of the distance), nearest first.
    """
    total = sum(weight for _, weight in voters)
    if not total:
        return {}
    shares: Shares = {}
    for category, weight in voters:
        shares[category] = shares.get(category, 0.0) + weight
    return ordered({category: voters[0][1] * share / total for category, share in shares.items()})


def combine(service: Mapping[str, float], neighbours: Mapping[str, float], weight: float) -> Shares:
    """Both together, as a mixture.

    Args:
        service: by the labels.
        neighbours: by the vote.
        weight: of the service, 0 to 1.
    """
    if not 0 <= weight <= 1:
        raise InvalidRequest(f"routing: weight {weight} must be within 0 and 1")
    names = dict.fromkeys((*neighbours, *service))
    return ordered({name: weight * service.get(name, 0.0) + (1 - weight) * neighbours.get(name, 0.0) for name in names})


def choose(shares: Mapping[str, float], share: float, most: int) -> tuple[str, ...]:
    """The categories to search: the most probable ones that together hold a share of all the probability there is.

    Args:
        shares: category -> probability; those without any are never chosen.
        share: 0 to 1.
        most: no more categories than that.
    """
    wanted, held = share * sum(shares.values()), 0.0
    chosen: list[str] = []
    for category, probability in ordered(shares).items():
        # Probabilities that were added up in another order differ in their last digits.
        if probability <= 0 or len(chosen) == most or (chosen and held >= wanted * (1 - 1e-9)):
            break
        chosen.append(category)
        held += probability
    return tuple(chosen)


def ordered(shares: Mapping[str, float]) -> Shares:
    """Most probable first, equally probable ones by name."""
    return dict(sorted(shares.items(), key=lambda entry: (-entry[1], entry[0])))
