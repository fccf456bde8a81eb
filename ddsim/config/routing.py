"""Which categories are searched for a photo."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from ddsim.config.part import Part


class Routing(Part):
    """Which categories are searched for a photo."""

    by: Literal["combined", "service", "neighbours", "none"] = "combined"
    """Who says what a photo shows: the classification ``service``, the vote of the nearest ``neighbours``, both of them
    ``combined``, or ``none``: all categories are searched. Without a classification service the neighbours decide."""
    share: Annotated[float, Field(gt=0, le=1)] = 0.9
    """The most probable categories that together hold this share of the probability are searched."""
    most: Annotated[int, Field(ge=1)] = 3
    """No more categories than that."""
    voters: Annotated[int, Field(ge=1, le=100)] = 15
    """How many of the nearest neighbours vote."""
