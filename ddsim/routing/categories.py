"""Which categories to search for a photo: what the network says, what the neighbours say, and what a catalogue teaches.

The probabilities of all categories may add up to less than 1: the rest is the probability that the photo shows none of
them.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from ddsim.catalogue import Names
from ddsim.deepdetect import Label
from ddsim.errors import InvalidRequest
from ddsim.showing import Value

Shares = dict[str, float]

# Of the classification service beside the vote, while nothing is known of either.
_EVEN = 0.5
# So much of the probability has to be in what is searched, or everything is.
_LEAST = 0.5
_NAMED = 8


@dataclass(frozen=True, slots=True, repr=False)
class RoutedCategory(Value):
    """A category that a picture may show.

    Attributes:
        name: the category's name.
        probability: how probable it is that the picture shows it, 0 to 1.
        searched: whether it was searched.
        why: the reason why it was searched, or why not, in words for people.
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
        vote: the highest probability that the neighbours' vote gives to a category; 0 where nobody voted.
    """

    categories: tuple[RoutedCategory, ...]
    searched: tuple[str, ...]
    vote: float


@dataclass(frozen=True, slots=True)
class Rules:
    """How categories are chosen.

    Attributes:
        by: who says what the picture shows: ``service``, ``neighbours``, or ``combined``.
        weight: how much the service counts in ``combined``, 0 to 1; None, where it was not learned, counts both sides
            the same.
        share, most: see :func:`choose`.
        everything: whether all categories are searched, without choosing.
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
        neighbours: category -> probability by the neighbours' vote.
        rules: how to choose.
        indexed: the categories that have indexed items.
        forced: the categories to search whatever the probabilities are; None chooses by them.
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
        searched, why, why_not = tuple(forced), "asked for", "another category was asked for"
    elif chosen:
        searched = chosen
        why, why_not = _reasons(chosen, there)
    else:
        searched, why_not = (), ""
        why = _why_all(there, rules)
    categories = []
    for name in dict.fromkeys((*shares, *searched)):
        is_searched = name in searched or (not searched and name in indexed)
        reason = why if is_searched else why_not if name in indexed else "no indexed picture is of this category"
        categories.append(RoutedCategory(name, shares.get(name, 0.0), is_searched, reason))
    return Decision(tuple(categories), searched, max(neighbours.values(), default=0.0))


def _reasons(chosen: Sequence[str], there: Mapping[str, float]) -> tuple[str, str]:
    """Why the chosen categories are searched, and why the others are not."""
    names, total = _joined(chosen), f"{sum(there.values()):.1%}"
    held = f"{sum(there[name] for name in chosen):.1%}"
    if len(chosen) == 1:
        return (
            f"the most probable: {names} has {held}, all indexed categories together have {total}",
            f"only the most probable category is searched: {names}",
        )
    return (
        f"among the most probable: {names} together have {held}, all indexed categories have {total}",
        f"only the most probable categories are searched: {names}",
    )


def _joined(names: Sequence[str]) -> str:
    return " and ".join((", ".join(names[:-1]), names[-1]) if len(names) > 1 else names)


def _why_all(there: Shares, rules: Rules) -> str:
    if rules.everything:
        return "all are searched"
    held = sum(sorted(there.values(), reverse=True)[: rules.most])
    if not held:
        return "no category is probable, so all are searched"
    best = "the most probable one has" if rules.most == 1 else f"the {rules.most} most probable have"
    return f"{best} {held:.1%}, all indexed categories together {sum(there.values()):.1%}, so all are searched"


def by_labels(labels: Iterable[Label], categories: Mapping[str, str]) -> Shares:
    """Category -> probability, most probable first: the labels' probabilities added up.

    Args:
        labels: what the classification service answered.
        categories: label, or its first word alone (in ImageNet the synset's number) -> category. Labels that are not
            in it count for no category.
    """
    shares: Shares = {}
    meant = {name.strip(): category for name, category in categories.items()}
    for label in labels:
        # A file of labels with Windows' ends of lines leaves "\r" at the end of each.
        name = label.name.strip()
        category = meant.get(name) or meant.get(name.partition(" ")[0])
        if category:
            shares[category] = shares.get(category, 0.0) + label.probability
    return ordered(shares)


def unmatched(categories: Mapping[str, str], there: Collection[str], *, neighbours: bool) -> list[str]:
    """What does not go together between labels and categories, a sentence each.

    Args:
        categories: label -> category.
        there: the categories of the catalogue.
        neighbours: whether those have a say in what a photo shows.
    """
    mapped, known = Names(categories.values()), Names(there)
    found = []
    if missing := sorted({name for name in categories.values() if known.find(name) is None}):
        found.append(f"labels stand for categories without a picture: {_listed(missing)}; correct `categories:`")
    if unnamed := sorted(name for name in there if mapped.find(name) is None):
        found.append(
            f"no label stands for these categories: {_listed(unnamed)}; "
            + (
                "photos of them are recognised by their neighbours alone"
                if neighbours
                else "with `routing: {by: service}` no photo is taken for one of them: correct `categories:`, or let "
                "neighbours have a say with `by: combined`"
            )
        )
    return found


def _listed(names: Sequence[str]) -> str:
    more = len(names) - _NAMED
    return ", ".join(names[:_NAMED]) + (f" and {more} more" if more > 0 else "")


def vote(voters: Sequence[tuple[str, float]]) -> Shares:
    """Category -> probability by the nearest items, most probable first.

    Every item votes for its category. Its vote weighs as much as it is probable that the photo is of the item's
    category. All probabilities together add up to that of the nearest item, so where even the nearest item is far away,
    every category has a low probability.

    Args:
        voters: each item's category, and the probability that belongs to its distance (see
            :meth:`.Calibration.probability`), nearest first.
    """
    total = sum(weight for _, weight in voters)
    if not total:
        return {}
    shares: Shares = {}
    for category, weight in voters:
        shares[category] = shares.get(category, 0.0) + weight
    return ordered({category: voters[0][1] * share / total for category, share in shares.items()})


def combine(service: Mapping[str, float], neighbours: Mapping[str, float], weight: float) -> Shares:
    """Mix the probabilities of the classification service and of the neighbours' vote.

    Args:
        service: category -> probability by the labels.
        neighbours: category -> probability by the vote.
        weight: how much the service counts, 0 to 1.

    Raises:
        InvalidRequest: the weight is not within 0 and 1.
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
        most: how many categories at most.

    Returns:
        Most probable first; none, which means all, where so many hold less than half of the share there is: what would
        be hidden is more probable than what would be searched.
    """
    total = sum(shares.values())
    wanted, held = share * total, 0.0
    chosen: list[str] = []
    for category, probability in ordered(shares).items():
        # Probabilities that were added up in another order differ in their last digits.
        if probability <= 0 or len(chosen) == most or (chosen and held >= wanted * (1 - 1e-9)):
            break
        chosen.append(category)
        held += probability
    cut_short = len(chosen) == most and held < min(wanted, _LEAST * total) * (1 - 1e-9)
    return () if cut_short else tuple(chosen)


def ordered(shares: Mapping[str, float]) -> Shares:
    """Most probable first, equally probable ones by name."""
    return dict(sorted(shares.items(), key=lambda entry: (-entry[1], entry[0])))
