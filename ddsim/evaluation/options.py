"""How an evaluation is to be made, and what it tells of how far it is."""

from __future__ import annotations

from dataclasses import dataclass, field

from ddsim.catalogue import PRODUCTS
from ddsim.deepdetect import is_whole
from ddsim.errors import InvalidRequest
from ddsim.showing import Value


@dataclass(frozen=True)
class Options:
    """How to evaluate.

    Attributes:
        products: regular expression with a group ``product``, looked for in uris; what shows the same product of the
            same category has the same text there.
        seed: of every choice by chance, so that the same evaluation gives the same numbers.
        limit: how many queries of each category at most.
        timing_queries: how many queries to time; 0 leaves latency out.
        disagreements: how many queries to show.

    Raises:
        InvalidRequest: for numbers that make no sense.
    """

    products: str = field(default=PRODUCTS, repr=False)  # which is long
    seed: int = 0
    limit: int | None = None
    timing_queries: int = 20
    disagreements: int = 12

    def __post_init__(self) -> None:
        for name in ("limit", "seed", "timing_queries", "disagreements"):
            value = getattr(self, name)
            if not is_whole(value) and not (name == "limit" and value is None):
                raise InvalidRequest(f"evaluate: {name}={value!r} must be a whole number")
        if (self.limit is not None and self.limit < 1) or min(self.seed, self.timing_queries, self.disagreements) < 0:
            raise InvalidRequest("evaluate: limit must be 1 or more, and the other numbers not below 0")


@dataclass(frozen=True, slots=True, repr=False)
class Step(Value):
    """How far an evaluation is.

    Attributes:
        stage: what it does now.
        done, total: of that; ``total`` None where it is not known.
    """

    stage: str
    done: int
    total: int | None
