"""What a training came to, and what it is worth beside the other ways to tell categories."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ddsim.catalogue import Row
from ddsim.routing import OpenSet, Shares
from ddsim.showing import DataFrame, Shown, Sketch, Table, clipped, counted, data_frame, percent
from ddsim.training.worth import Confusion, Suspect, Worth, by_category, worth_of

_ROWS = 20
#: Who tells categories, in the order in which they are shown.
SOURCES = ("trained", "neighbours", "labels")


@dataclass(frozen=True, repr=False)
class TrainReport(Shown):
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

    def to_dataframe(self) -> DataFrame:
        """A row for each who tells and each category, None for all of them: who, category, items, accuracy and others.

        Raises:
            CapabilityError: pandas is not installed.
        """
        rows: list[dict[str, Any]] = []
        for name, ones in ((None, self.worth), *self.by_category.items()):
            rows += [{"who": who, "category": name, **one.to_dict()} for who, one in ones.items()]
        return data_frame(rows, ("who", "category", "items", "accuracy", "log_loss", "calibration_error"))

    def _brief(self) -> str:
        worth = self.worth.get("trained")
        right = "its worth is unknown" if worth is None else f"right for {percent(worth.accuracy)} held out"
        beside = self.worth.get("neighbours")
        vote = "" if beside is None else f" (the neighbours' vote: {percent(beside.accuracy)})"
        suspects = f", {counted(len(self.suspects), 'suspect')}" if self.suspects else ""
        categories = counted(len(self.categories), "category", "categories")
        return f"trained on {counted(self.items, 'item')} of {categories}, {right}{vote}{suspects}"

    def _sketch(self) -> Sketch:
        told = [self.worth[who] for who in SOURCES if who in self.worth]
        names = [who for who in SOURCES if who in self.worth]
        rows = [
            (who, percent(one.accuracy), f"{one.log_loss:.2f}", f"{one.calibration_error:.3f}", f"{one.items:,}")
            for who, one in zip(names, told, strict=True)
        ]
        confused = [(one.category, one.taken_for, str(one.items)) for one in self.confusions]
        odd = [(one.uri, one.taken_for, percent(one.other)) for one in self.suspects[:_ROWS]]
        more = max(0, len(self.suspects) - _ROWS)
        tables = [
            Table(("who tells", "right", "log loss", "calibration error", "items held out"), rows),
            Table(("category", "taken for", "items"), confused, "most often confused"),
            Table(("item", "looks like", "probability"), odd, "may lie in the wrong folder", more),
        ]
        return Sketch(clipped(self._brief(), 200), tables=[table for table in tables if table.rows])


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
