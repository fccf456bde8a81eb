"""Where a process is killed, drawn from a seed."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Literal

from proxy import STAGES
from zygote import POINTS

Victim = Literal["index", "server", "both"]

#: How many calls of each a run between two kills makes at most, about.
_CALLS = {"begin": 8, "added": 8, "set_meta": 14, "fsync": 16, "replace": 4, "write": 24, "decode": 60, "unlink": 8}
_CALLS |= {"write_segment": 3, "commit": 4, "drop": 4, "collect": 3}
_CALLS |= {"once": 60, "add": 8, "build": 3, "indexed": 3, "quarantine": 3, "requeue": 2}


@dataclass(frozen=True)
class Point:
    """One kill.

    Attributes:
        victim: who dies.
        place: a stage of an exchange, or a function of the victim (``module:name``).
        n: at the n-th exchange, or call, since the run began.
        when: before or after the function.
        stopped: SIGSTOP first, SIGKILL when the exchange has come to its stage.
        slow: the server starts again only when the client has seen the connection end.
    """

    victim: Victim
    place: str
    n: int
    when: Literal["before", "after"] = "before"
    stopped: bool = False
    slow: bool = False

    @property
    def in_exchange(self) -> bool:
        """Whether the proxy sees it come."""
        return self.place in STAGES


def draw_point(dice: random.Random, backend: str) -> Point:
    """The next point."""
    kind = dice.choices(("exchange", "index", "server"), (6, 3, 2))[0]
    if kind == "exchange":
        return draw_exchange(dice)
    places = [place for place in POINTS[kind] if _happens(place, kind, backend)]
    place = dice.choice(places)
    calls = _CALLS.get(place.rpartition(".")[2].rpartition(":")[2], 1)
    return Point(kind, place, dice.randint(1, calls), dice.choice(("before", "after")))


def draw_exchange(dice: random.Random) -> Point:
    """The next point, between the processes."""
    victim: Victim = dice.choice(("index", "server", "server", "both"))
    stopped = dice.random() < 0.25
    stages = STAGES
    if stopped:
        # A stopped server answers nothing; a stopped indexer reads nothing, which shows only once it is answered.
        stages = STAGES[:3] if victim != "index" else STAGES[2:]
    return Point(victim, dice.choice(stages), dice.randint(1, 14), stopped=stopped, slow=dice.random() < 0.5)


def _happens(place: str, kind: str, backend: str) -> bool:
    if kind == "server":
        return backend == "server" or place.endswith("decode")
    if place.startswith("ddsim.vectors.milvus"):
        return backend == "milvus"
    return backend == "local" or not place.startswith(("ddsim.vectors.", "os:"))
