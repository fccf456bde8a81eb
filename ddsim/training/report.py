"""What a training came to, and what it is worth beside the other ways to tell categories."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from ddsim.catalogue import Row
from ddsim.routing import OpenSet, Shares
from ddsim.training.worth import Confusion, Suspect, Worth, by_category, plain, worth_of

#: Who tells categories, in the order in which they are shown.
SOURCES = ("trained", "neighbours", "labels")


@dataclass(frozen=True)
class TrainReport:
    """What a training came to. All measures are of items that were held out.

    Attributes:
        items: how many pictures it was trained on.
        categories: category -> how many of them.
        dimension: length of the features.
        computed: pictures whose features the server computed for this; those of the others were there.
        strength, temperature, folds: see :class:`ddsim.training.Fitted`.
        worth: who tells -> how good that is: ``trained``; ``neighbours``, their vote; ``labels``, those of a
            classification service as the categories file maps them, where the configuration has both.
        by_category: category -> the same.
        confusions: which category is taken for which, the most frequent first.
        suspects: items that may lie in the wrong folder, the least probable first.
        open_set: when a photo shows none of the categories; None where the catalogue does not tell.
        seconds: how long it took.
    """

    items: int
    categories: dict[str, int]
    dimension: int
    computed: int
    strength: float
    temperature: float
    folds: int
    worth: dict[str, Worth]
    by_category: dict[str, dict[str, Worth]]
    confusions: tuple[Confusion, ...]
    suspects: tuple[Suspect, ...]
    open_set: OpenSet | None
    seconds: float

    def as_json(self) -> dict[str, Any]:
        """Plain values; what is not known is None."""
        facts = asdict(self)
        facts["worth"] = {who: plain(worth) for who, worth in self.worth.items()}
        facts["by_category"] = {
            name: {who: plain(worth) for who, worth in ones.items()} for name, ones in self.by_category.items()
        }
        return facts


def measured(told: Mapping[str, Sequence[tuple[Row, Shares]]]) -> tuple[dict[str, Worth], dict[str, dict[str, Worth]]]:
    """What each source is worth, and what it is for each category; sources that told nothing are left out.

    Args:
        told: source -> what it said of which items.
    """
    worth: dict[str, Worth] = {}
    apart: dict[str, dict[str, Worth]] = {}
    for who in SOURCES:
        if pairs := told.get(who):
            shares, categories = [one for _, one in pairs], [row.category for row, _ in pairs]
            worth[who] = worth_of(shares, categories)
            for name, one in by_category(shares, categories).items():
                apart.setdefault(name, {})[who] = one
    return worth, dict(sorted(apart.items()))
