"""What the calls give back: small frozen values with names, no server JSON in them."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

Vectors = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Label:
    """One class of a network, as its label file names it, with its probability in [0, 1]."""

    name: str
    probability: float


@dataclass(frozen=True, slots=True)
class Classification:
    """The labels of one picture, most probable first; empty where none passed the asked minimum."""

    labels: tuple[Label, ...]

    @property
    def best(self) -> Label | None:
        """The most probable label, None where there is none."""
        return self.labels[0] if self.labels else None


@dataclass(frozen=True)
class Ensured:
    """A service that is as configured and has answered a prediction.

    Attributes:
        name: the service.
        created: whether it had to be created.
        dimension: the length of its features; None for a classification service.
        incarnation: see :class:`ddsim.deepdetect.services.Mark`.
        replaced: whether it took the place of one of the same owner, which was deleted: the server knew that one, so it
            had not been restarted.
    """

    name: str
    created: bool
    dimension: int | None
    incarnation: str | None = None
    replaced: bool = False


@dataclass(frozen=True, slots=True)
class Neighbour:
    """An item found for a query.

    Attributes:
        uri: the item's name in the index.
        distance: as the index gives it; from DeepDetect v0.25.0 it is the squared L2 distance divided by the number of
            values in a vector (checked on a running server).
        score: in [0, 1], larger is more similar, 1 for the same picture. From a search it is the probability that an
            item at this distance is of the query's category (:class:`ddsim.Learned`), from a client alone
            :func:`similarity_score`.
        rank: its place, from 1.
        path: its picture in the catalogue; None from a client, which knows no catalogue.
        also: names of further items with the very same picture, which a search folds into this one.
    """

    uri: str
    distance: float
    score: float
    rank: int = 1
    path: Path | None = None
    also: tuple[str, ...] = ()

    @property
    def category(self) -> str:
        """The first part of the uri (``lamp`` of ``lamp/lamp-007.jpg``).

        A catalogue without category folders is one category, called as its folder; empty where that is not known.
        """
        head, slash, _ = self.uri.partition("/")
        if slash:
            return head
        return self.path.absolute().parent.name if self.path is not None else ""


@dataclass(frozen=True, slots=True, eq=False)  # arrays do not compare to one truth value
class SearchReply:
    """What the index answered for one picture.

    Attributes:
        vector: the picture's own features, shape (d,), float32; the server sends them along with the neighbours.
        neighbours: nearest first; fewer than asked where the index holds fewer.
    """

    vector: Vectors
    neighbours: tuple[Neighbour, ...]


def similarity_scorer(vector: Vectors) -> Callable[[float], float]:
    """What turns distances of DeepDetect's FAISS index from one query into scores.

    A distance depends on how large a network's features are. Dividing the squared L2 distance by the squared length
    of the query's vector takes the unit away, ``exp(-x)`` brings it into (0, 1] with 1 for the same picture.

    Args:
        vector: the query's features, shape (d,).

    Returns:
        Squared L2 distance divided by the dimension -> score.
    """
    energy = float(np.mean(np.square(vector, dtype=np.float64))) if vector.size else 0.0

    def score(distance: float) -> float:
        if not math.isfinite(distance) or not math.isfinite(energy):
            return 0.0
        if energy == 0.0:
            return 1.0 if distance == 0.0 else 0.0
        return math.exp(-max(distance, 0.0) / energy)

    return score


def similarity_score(distance: float, vector: Vectors) -> float:
    """One distance's score; see :func:`similarity_scorer`."""
    return similarity_scorer(vector)(distance)
