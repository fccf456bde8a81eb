"""What the calls give back: small frozen values with names, no server JSON in them."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ddsim.showing import DataFrame, Shown, Sketch, Table, Value, clipped, counted, data_frame, percent

Vectors = NDArray[np.float32]


_SHOWN = 10


@dataclass(frozen=True, slots=True, repr=False)
class Label(Value):
    """One class of a network.

    Attributes:
        name: as the network's file of labels has it.
        probability: that the picture shows it, in [0, 1].
    """

    name: str
    probability: float


@dataclass(frozen=True, slots=True, repr=False)
class Classification(Shown):
    """The labels of one picture, most probable first; empty where none passed the asked minimum."""

    labels: tuple[Label, ...]

    @property
    def best(self) -> Label | None:
        """The most probable label, None where there is none."""
        return self.labels[0] if self.labels else None

    def to_dataframe(self) -> DataFrame:
        """A row for each label: name, probability.

        Raises:
            CapabilityError: pandas is not installed.
        """
        return data_frame((label.to_dict() for label in self.labels), ("name", "probability"))

    def _brief(self) -> str:
        shown = ", ".join(f"{clipped(one.name, 40)!r} {percent(one.probability)}" for one in self.labels[:3])
        more = f" and {len(self.labels) - 3:,} more" if len(self.labels) > 3 else ""
        return (shown or "no label") + more

    def _sketch(self) -> Sketch:
        rows = [(one.name, percent(one.probability)) for one in self.labels[:_SHOWN]]
        table = Table(("label", "probability"), rows, more=max(0, len(self.labels) - _SHOWN))
        return Sketch(counted(len(self.labels), "label"), tables=[table] if rows else ())


@dataclass(frozen=True, repr=False)
class Ensured(Value):
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


@dataclass(frozen=True, slots=True, repr=False)
class Match(Value):
    """A name that a server's index gave for a picture.

    Attributes:
        uri: as it was given to :meth:`ddsim.Client.add_to_index`.
        distance: as the index gives it; from DeepDetect v0.25.0 it is the squared L2 distance divided by the number of
            values in a vector (checked on a running server).
        closeness: the distance without its unit, in [0, 1], 1 for the same picture: see :func:`closeness_by`. It
            compares distances of one query; what they mean only a search that has learned from its catalogue says
            (:attr:`ddsim.Neighbour.score`).
        rank: its place, from 1.
    """

    uri: str
    distance: float
    closeness: float
    rank: int = 1


@dataclass(frozen=True, slots=True, eq=False, repr=False)  # arrays do not compare to one truth value
class SearchReply(Shown):
    """What the index answered for one picture.

    Attributes:
        vector: the picture's own features, shape (d,), float32; the server sends them along with the neighbours.
        neighbours: nearest first; fewer than asked where the index holds fewer.
    """

    vector: Vectors
    neighbours: tuple[Match, ...]

    @classmethod
    def of(cls, vector: Vectors, rows: Iterable[tuple[str, float]]) -> SearchReply:
        """The reply with this vector and these rows, uri and distance, nearest first."""
        close = closeness_by(vector)
        return cls(vector, tuple(Match(uri, far, close(far), rank) for rank, (uri, far) in enumerate(rows, 1)))

    def to_dataframe(self) -> DataFrame:
        """A row for each neighbour: rank, uri, distance, closeness.

        Raises:
            CapabilityError: pandas is not installed.
        """
        return data_frame((one.to_dict() for one in self.neighbours), ("rank", "uri", "distance", "closeness"))

    def _brief(self) -> str:
        first = f", nearest {clipped(self.neighbours[0].uri)!r}" if self.neighbours else ""
        return f"{counted(len(self.neighbours), 'neighbour')}{first}; vector of {self.vector.size} values"

    def _sketch(self) -> Sketch:
        rows = [(str(one.rank), one.uri, f"{one.distance:.4g}", f"{one.closeness:.4f}") for one in self.neighbours[:50]]
        table = Table(("", "uri", "distance", "closeness"), rows, more=max(0, len(self.neighbours) - 50))
        return Sketch(self._brief(), tables=[table] if rows else ())


def closeness_by(vector: Vectors) -> Callable[[float], float]:
    """What turns distances of DeepDetect's FAISS index from one query into closeness.

    A distance depends on how large a network's features are. Dividing the squared L2 distance by the squared length
    of the query's vector takes the unit away, ``exp(-x)`` brings it into (0, 1] with 1 for the same picture.

    Args:
        vector: the query's features, shape (d,).

    Returns:
        Squared L2 distance divided by the dimension -> closeness.
    """
    energy = float(np.mean(np.square(vector, dtype=np.float64))) if vector.size else 0.0

    if not math.isfinite(energy):
        return lambda _: 0.0
    if energy == 0.0:
        return lambda distance: 1.0 if distance == 0.0 else 0.0
    return lambda distance: math.exp(-max(distance, 0.0) / energy) if math.isfinite(distance) else 0.0
