"""Who wins, in a sentence or two, from the comparisons of all rows."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import combinations

import numpy as np

from ddsim.evaluation.bootstrap import FEWEST, Interval
from ddsim.evaluation.primary import Primary
from ddsim.evaluation.results import Comparison, Row
from ddsim.showing import counted

#: Rows named in a sentence.
_NAMED = 3


def concluded(rows: Sequence[Row], comparisons: Iterable[Comparison], primary: Primary, joint: float = 1.0) -> str:
    """Who wins; nobody does where the intervals do not say so.

    Which row is first is known only after all were measured, and of many equal ones some lead by luck. So a lead counts
    where it is larger than ``joint`` margins: then all pairs may be looked at.

    Args:
        rows: as :func:`ddsim.evaluation.comparing.ranked` gives them.
        comparisons: of them all.
        primary: the measure.
        joint: see :meth:`ddsim.evaluation.intervals.Draws.joint`.
    """
    alive = [row for row in rows if row.kind == "configuration" and row.failed is None]
    if not alive:
        return "No configuration could be measured."
    if primary.blind:
        return primary.blind
    pairs = _Pairs(comparisons, joint)
    floors = [row.name for row in rows if row.kind == "floor"]
    sentences = _too_few(alive, floors, pairs, primary) if pairs.few else _verdict(alive, floors, pairs, primary)
    return " ".join([*sentences, primary.why]).strip()


class _Pairs:
    """What is known of each two rows over all queries.

    Attributes:
        few: how many queries there are where they are too few to tell anything; else 0.
    """

    def __init__(self, comparisons: Iterable[Comparison], joint: float) -> None:
        self._known = {(one.a, one.b): one.difference for one in comparisons if one.category is None}
        self._joint = joint
        self.few = max((found.n for found in self._known.values() if np.isnan(found.low)), default=0)

    def lead(self, a: str, b: str) -> Interval:
        """How much larger a is than b."""
        if (b, a) in self._known:
            return self._known[b, a]
        turned = self._known[a, b]
        return Interval(-turned.value, -turned.high, -turned.low, turned.n, turned.excluded)

    def beats(self, a: str, b: str) -> bool:
        """Whether that is more than luck, whichever pairs are looked at."""
        lead = self.lead(a, b)
        return lead.sign > 0 and lead.value > self._joint * lead.margin


def _verdict(alive: Sequence[Row], floors: Sequence[str], pairs: _Pairs, primary: Primary) -> list[str]:
    best = alive[0].name
    tied = [row for row in alive if row.name == best or not pairs.beats(best, row.name)]
    behind = [row.name for row in alive if row not in tied]
    sentences = []
    if len(alive) == 1:
        sentences.append(_alone(alive[0], primary))
    elif len(tied) == 1:
        sentences.append(f"{best} wins by {primary.name}: it beats {_beaten(best, behind, pairs)}.")
    else:
        sentences.append(f"{_some(tied)} cannot be told apart by {primary.name}{_exceptions(tied, pairs)}.")
        sentences += _shortest(tied, pairs)
        if behind:
            sentences.append(f"{best} beats {_beaten(best, behind, pairs)}.")
    for floor in floors:
        if not pairs.beats(best, floor):
            how = "is not better than" if pairs.lead(best, floor).sign < 0 else "cannot be told from"
            sentences.append(f"{best} {how} {floor}, which it has to beat to be of any use.")
    if len(alive) > 2:
        count = len(alive) * (len(alive) - 1) // 2
        sentences.append(f"Of {count} pairs of configurations, leads count here that hold for all of them at once.")
    return sentences


def _too_few(alive: Sequence[Row], floors: Sequence[str], pairs: _Pairs, primary: Primary) -> list[str]:
    few = f"{counted(pairs.few, 'query is', 'queries are')} too few"
    sentences = []
    if len(alive) > 1:
        sentences.append(f"{_some(alive)} cannot be told apart by {primary.name}: {few}.")
        sentences += [f"Nor can they be told from {_listed(floors)}."] if floors else []
    else:
        sentences.append(_alone(alive[0], primary))
        sentences += [f"{few} to tell it from {_listed(floors)}."] if floors else []
    return [*sentences, f"It takes {FEWEST} at least, each of another product or picture."]


def _alone(row: Row, primary: Primary) -> str:
    mean = row.measures[primary.name].overall
    return f"{row.name} reaches {_amount(mean)} % {primary.name}, with nothing to compare it with."


def _exceptions(tied: Sequence[Row], pairs: _Pairs) -> str:
    """Who beats whom of rows that only the best cannot be told from."""
    found = [(a.name, b.name) for a, b in combinations(tied, 2) if pairs.beats(a.name, b.name)]
    shown = [f"{a} beats {b} by {_amount(pairs.lead(a, b))}" for a, b in found[:_NAMED]]
    more = [f"{len(found) - _NAMED} more pairs can"] if len(found) > _NAMED else []
    return f", except that {_listed([*shown, *more])}" if found else ""


def _shortest(tied: Sequence[Row], pairs: _Pairs) -> list[str]:
    """Which of equally good rows costs least, where that tells them apart."""
    good = [row for row in tied if not any(pairs.beats(other.name, row.name) for other in tied if other is not row)]
    lengths = [row.dimension or 0 for row in good]
    least = min(lengths)
    short = [row.name for row, length in zip(good, lengths, strict=True) if length == least]
    those = "these" if len(good) == len(tied) else "those that none of them beats"
    return [f"Of {those} {short[0]} has the shortest vectors, {least} values."] if len(short) == 1 else []


def _beaten(best: str, behind: Sequence[str], pairs: _Pairs) -> str:
    shown = [f"{name} by {_amount(pairs.lead(best, name))}" for name in behind[:_NAMED]]
    more = len(behind) - len(shown)
    return _listed(shown + ([f"{more} more by at least as much"] if more else []))


def _some(rows: Sequence[Row]) -> str:
    more = [f"{len(rows) - _NAMED} more"] if len(rows) > _NAMED else []
    return _listed([*(row.name for row in rows[:_NAMED]), *more])


def _amount(given: Interval) -> str:
    margin = "" if np.isnan(given.margin) else f" ± {100 * given.margin:.1f}"
    return f"{100 * given.value:.1f}{margin}"


def _listed(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
