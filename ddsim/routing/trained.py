"""A trained head as it is kept beside the manifest, and what it says of the catalogue's own items."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ddsim.catalogue import Manifest, Records, Row
from ddsim.deepdetect import Vectors
from ddsim.errors import ConfigError, InvalidRequest
from ddsim.routing.categories import Shares, ordered
from ddsim.routing.head import Head
from ddsim.routing.openset import OpenSet
from ddsim.vectors import vectorfile

#: The head's file, beside the manifest.
FILE = "head.npz"
#: What the manifest's meta calls what is known of it.
META = "head"
#: Where those who have no manifest find the head itself.
FACTS = "head_file"
# A head is trained anew when more of the pictures than this are others.
_STALE = 1 / 20


@dataclass(frozen=True, slots=True, eq=False)  # arrays do not compare to one truth value
class TrainedHead:
    """A head with what it says of items that it was not trained on.

    Attributes:
        head: of all items.
        vids: numbers of the items that it was trained on, shape (n,), ascending.
        held_out: what a head says of each that was trained without it, shape (n, c); NaN where none could be.
        open_set: when a photo shows none of the categories; None where the catalogue does not tell.
    """

    head: Head
    vids: NDArray[np.int64]
    held_out: NDArray[np.float64]
    open_set: OpenSet | None = None
    _places: dict[int, int] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        if self.held_out.shape != (len(self.vids), len(self.head.categories)):
            raise InvalidRequest(f"head: {self.held_out.shape} held out do not fit {len(self.vids)} items")
        object.__setattr__(self, "_places", {vid: place for place, vid in enumerate(self.vids.tolist())})

    def shares_of(self, rows: Sequence[Row], vectors: Vectors) -> list[Shares | None]:
        """What it says of items, by a head that has not seen them; None where there is no such head.

        Args:
            rows: the items, n.
            vectors: their features, shape (n, d).
        """
        fresh = self.head.shares(vectors) if len(vectors) else []
        return [self._held_out(row.vid, now) for row, now in zip(rows, fresh, strict=True)]

    def _held_out(self, vid: int | None, now: Shares) -> Shares | None:
        place = self._places.get(-1 if vid is None else vid)
        if place is None:  # it came later
            return now
        probabilities = self.held_out[place]
        if not np.isfinite(probabilities).all():
            return None
        return ordered(dict(zip(self.head.categories, probabilities.tolist(), strict=True)))

    @property
    def mark(self) -> str:
        """Another one for another head."""
        return hashlib.sha256(self.head.weights.tobytes() + self.head.biases.tobytes()).hexdigest()[:16]


def keep(manifest: Manifest, trained: TrainedHead) -> None:
    """Write it, and note in the manifest of how many items of which categories it is.

    Raises:
        ConfigError: the file cannot be written.
    """
    arrays: dict[str, Any] = {
        "categories": np.array(trained.head.categories),
        "weights": trained.head.weights,
        "biases": trained.head.biases,
        "vids": trained.vids,
        "held_out": trained.held_out.astype(np.float32),
    }
    vectorfile.write_arrays(manifest.folder / FILE, arrays)
    open_set = None if trained.open_set is None else trained.open_set.as_json()
    manifest.set_meta(**{META: {"mark": trained.mark, "sizes": manifest.categories(), "open_set": open_set}})


def facts_of_head(trained: TrainedHead) -> dict[str, Any]:
    """A head as plain values, without what it says of the catalogue's own items."""
    head = trained.head
    return {
        "categories": list(head.categories),
        "weights": _text(head.weights),
        "biases": _text(head.biases),
    }


def _text(values: NDArray[Any]) -> dict[str, Any]:
    text = base64.b64encode(np.ascontiguousarray(values).tobytes()).decode("ascii")
    return {"values": text, "type": values.dtype.str, "shape": list(values.shape)}


def _array(facts: dict[str, Any]) -> NDArray[Any]:
    values: NDArray[Any] = np.frombuffer(base64.b64decode(facts["values"]), np.dtype(facts["type"]))
    shaped: NDArray[Any] = values.reshape(facts["shape"])
    return shaped


def _of_facts(facts: dict[str, Any], open_set: Any) -> TrainedHead:
    head = Head(tuple(facts["categories"]), _array(facts["weights"]), _array(facts["biases"]))
    nobody = np.zeros((0, len(head.categories)))
    strange = None if open_set is None else OpenSet.from_json(open_set)
    return TrainedHead(head, np.zeros(0, np.int64), nobody, strange)


def trained_before(manifest: Records) -> TrainedHead | None:
    """What was kept; None where nothing was.

    Raises:
        ConfigError: the file is damaged.
    """
    known = manifest.get_meta(META)
    if known is None:
        return None
    if not isinstance(manifest, Manifest):
        facts = manifest.get_meta(FACTS)
        return None if facts is None else _of_facts(facts, known["open_set"])
    path = manifest.folder / FILE
    try:
        arrays = vectorfile.read_arrays(path)
        if not arrays:
            return None
        head = Head(tuple(arrays["categories"].tolist()), arrays["weights"], arrays["biases"])
        open_set = None if known["open_set"] is None else OpenSet.from_json(known["open_set"])
        found = TrainedHead(head, arrays["vids"], arrays["held_out"].astype(np.float64), open_set)
    except (vectorfile.Damaged, KeyError, TypeError, InvalidRequest) as error:
        raise ConfigError(f"{path}: the trained head cannot be used: {error}; `ddsim train` makes a new one") from error
    # Written, and the process ended before the note: the note is of the head before, and its line is another's.
    return found if found.mark == known["mark"] else None


def is_stale(manifest: Manifest, trained: TrainedHead | None) -> bool:
    """Whether there is no head, or more than a twentieth of the pictures or any of the categories are others by now."""
    if trained is None:
        return True
    sizes = manifest.categories()
    if set(sizes) != set(trained.head.categories):
        return True
    valid = set(manifest.resolve(trained.vids.tolist()))
    gone, there = len(trained.vids) - len(valid), sum(sizes.values())
    # A large catalogue is trained on some of its items only.
    sampled = len(trained.vids) / max(sum(manifest.get_meta(META)["sizes"].values()), 1)
    added = max(0.0, there - len(valid) / max(sampled, 1e-9))
    return bool(gone + added * sampled > _STALE * max(len(trained.vids), 1))
