"""Rows under their numbers: those of the segments on disk, and those that came since and are still to be saved."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from ddsim.deepdetect import Vectors
from ddsim.errors import InvalidRequest, InvalidResponse
from ddsim.vectors.exact import Kept, Mask, Metric, Piece, Vids, nearest
from ddsim.vectors.segments import TYPES, Precision, Segment

_ROWS_AT_ONCE = 4096
# Where fewer than one row in so many counts, these are copied out and searched; otherwise the others are stepped over.
_SPARSE = 4
_NOTHING = np.zeros(0, np.int64)


@dataclass(eq=False)
class Block:
    """Rows that came together; ``name`` is that of their segment, None where they are not on disk yet."""

    vids: Vids
    lengths: Vectors
    rows: Kept
    name: str | None = None
    alive: Mask = field(init=False)
    dead: int = 0

    def __post_init__(self) -> None:
        self.alive = np.ones(len(self.vids), np.bool_)

    def places(self, vids: Vids) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """Which of these numbers (ascending) are here and count, and where; both of shape (m,)."""
        if not len(self.vids) or not len(vids):
            return np.zeros(0, np.intp), np.zeros(0, np.intp)
        first, last = np.searchsorted(vids, (self.vids[0], self.vids[-1] + 1)).tolist()
        wanted = vids[first:last]
        places = np.minimum(np.searchsorted(self.vids, wanted), len(self.vids) - 1)
        found = np.flatnonzero((self.vids[places] == wanted) & self.alive[places])
        return found + first, places[found]

    def kill(self, vids: Vids) -> int:
        """Have rows count no more; numbers (ascending) that are not here do not matter. Returns how many did."""
        _, places = self.places(vids)
        self.alive[places] = False
        self.dead += len(places)
        return len(places)


@dataclass(frozen=True, eq=False)
class Unsaved:
    """What a table holds that its segments do not: see :class:`ddsim.vectors.segments.Segment` for the arrays."""

    gone: Vids
    vids: Vids
    lengths: Vectors
    rows: Kept


class Table:
    """Vectors under their vids.

    With ``cosine`` they are kept at length 1; a vector of nothing but zeros stays so, at a right angle to all others.

    Args:
        dimension: their length.
        metric: what makes two of them near.
        precision: how values that are added are kept; those of segments stay as they are.

    Attributes:
        version: another number whenever rows came or went.
    """

    def __init__(self, dimension: int, metric: Metric, precision: Precision = "float32") -> None:
        self.dimension = dimension
        self.metric = metric
        self.precision = precision
        self.version = 0
        self._type = TYPES[precision]
        self._blocks: list[Block] = []
        self._gone: list[Vids] = []

    def __len__(self) -> int:
        return sum(len(block.vids) - block.dead for block in self._blocks)

    @property
    def vids(self) -> Vids:
        """The numbers of all rows, ascending."""
        parts = [block.vids[block.alive] if block.dead else block.vids for block in self._blocks]
        found = np.concatenate(parts) if parts else _NOTHING
        return found if np.all(found[:-1] < found[1:]) else np.sort(found)

    @property
    def dead(self) -> dict[str, float]:
        """The share of rows that do not count any more, for each segment that has some."""
        return {block.name: block.dead / len(block.vids) for block in self._blocks if block.name and block.dead}

    @property
    def alive(self) -> dict[str, Mask]:
        """Which rows of each segment count."""
        return {block.name: block.alive for block in self._blocks if block.name}

    # Adding and removing

    def load(self, segments: Sequence[Segment]) -> None:
        """Hold the rows of these segments; what is not saved stays."""
        unsaved = [block for block in self._blocks if block.name is None]
        self._blocks = []
        for segment in segments:
            for block in self._blocks if len(segment.gone) else ():
                block.kill(segment.gone)
            self._blocks.append(Block(segment.vids, segment.lengths, segment.rows, segment.entry.name))
        for gone in self._gone:
            for block in self._blocks:
                block.kill(gone)
        self._blocks += unsaved
        self.version += 1

    def add(self, vids: Vids, vectors: Vectors) -> None:
        """Add rows; one that has such a number already is replaced.

        Args:
            vids: shape (n,).
            vectors: shape (n, d).

        Raises:
            InvalidResponse: they hold values that are too large to be kept at this precision; nothing was added.
        """
        self.restore(vids, *self.as_kept(vectors))

    def restore(self, vids: Vids, rows: Kept, lengths: Vectors) -> None:
        """Add rows that were kept before, and what they were divided by."""
        kept = narrowed(rows, self.precision)
        order = np.argsort(vids, kind="stable")
        vids = vids[order].astype(np.int64)
        # New numbers are larger than all before, and looking each batch up among all rows would take longer and longer.
        last = max((int(block.vids[-1]) for block in self._blocks if len(block.vids)), default=-1)
        if len(vids) and vids[0] <= last:
            self.remove(vids)
        self._blocks.append(Block(vids, lengths[order].astype(np.float32), kept[order]))
        self.version += 1

    def remove(self, vids: Vids) -> int:
        """Remove rows; numbers that are not there do not matter. Returns how many there were."""
        if not vids.size:
            return 0
        vids, count = np.sort(vids), 0
        for block in self._blocks:
            if block.name is not None:
                found, _ = block.places(vids)
                if len(found):
                    self._gone.append(vids[found])
            count += block.kill(vids)
        self.version += 1
        return count

    # Saving

    @property
    def unsaved(self) -> bool:
        """Whether there is something that the segments do not hold."""
        return bool(self._gone) or any(block.name is None for block in self._blocks)

    def to_save(self) -> Unsaved:
        """What the segments do not hold."""
        new = [block for block in self._blocks if block.name is None]
        vids = np.concatenate([block.vids[block.alive] for block in new] or [_NOTHING])
        order = np.argsort(vids, kind="stable")
        lengths = np.concatenate([block.lengths[block.alive] for block in new] or [np.zeros(0, np.float32)])
        empty = np.zeros((0, self.dimension), self._type)
        rows = np.concatenate([block.rows[block.alive] for block in new] or [empty])
        gone = np.unique(np.concatenate(self._gone)) if self._gone else _NOTHING
        return Unsaved(gone, vids[order], lengths[order], rows[order])

    def saved(self, segment: Segment) -> None:
        """Know that what :meth:`to_save` gave is on disk now."""
        self._blocks = [block for block in self._blocks if block.name is not None]
        self._blocks.append(Block(segment.vids, segment.lengths, segment.rows, segment.entry.name))
        self._gone.clear()

    def emptied(self) -> None:
        """Hold nothing any more that is not on disk."""
        self._blocks = [block for block in self._blocks if block.name is not None]
        self._gone.clear()

    # Looking

    def nearest(self, query: Vectors, k: int, only: Vids | None = None) -> list[tuple[int, float]]:
        """The nearest rows, exactly.

        Args:
            query: shape (d,).
            k: how many; fewer come where there are fewer.
            only: search these numbers alone, ascending; those that are not there do not matter.

        Returns:
            vid and distance, nearest first: L2 squared and divided by d, or 1 minus the cosine.
        """
        ((wanted,), _) = self.as_kept(query[np.newaxis])
        vids, values = nearest(wanted, list(self._pieces(only)), k, self.metric)
        if self.metric == "l2":
            return list(zip(vids.tolist(), (values / self.dimension).tolist(), strict=True))
        return self._by_angle(vids, values)

    def _by_angle(self, vids: Vids, values: Vectors) -> list[tuple[int, float]]:
        if self._type.itemsize < 4:
            # Rounded to 16 bits a row is not quite of length 1 any more, which would make even itself seem apart.
            lengths = np.linalg.norm(self.rows_of(vids).astype(np.float64), axis=1)
            values = np.divide(values, lengths, out=np.zeros(len(values)), where=lengths > 0)
            order = np.argsort(-values, kind="stable")
            vids, values = vids[order], values[order]
        return list(zip(vids.tolist(), np.clip(1.0 - values, 0.0, None).tolist(), strict=True))

    def _pieces(self, only: Vids | None) -> Iterator[Piece]:
        picked: list[tuple[Vids, Kept]] = []
        for block in self._blocks:
            places = None if only is None else block.places(only)[1]
            if places is None:
                yield Piece(block.vids, block.rows, block.alive if block.dead else None)
            elif len(places) == len(block.vids):
                yield Piece(block.vids, block.rows)
            elif len(places) * _SPARSE > len(block.vids):
                mask = np.zeros(len(block.vids), np.bool_)
                mask[places] = True
                yield Piece(block.vids, block.rows, mask)
            elif len(places):
                picked.append((block.vids[places], block.rows[places]))
        for kind in {rows.dtype for _, rows in picked}:
            same = [(vids, rows) for vids, rows in picked if rows.dtype == kind]
            yield Piece(np.concatenate([vids for vids, _ in same]), np.concatenate([rows for _, rows in same]))

    def rows_of(self, vids: Vids | Sequence[int]) -> Vectors:
        """The rows of these numbers as they are kept, float32, shape (n, dimension), in the order of the numbers.

        Raises:
            InvalidRequest: one of them is not there.
        """
        return self._looked_up(vids)[0]

    def added_rows(self, vids: Vids | Sequence[int]) -> Vectors:
        """The same as they were added, but for rounding."""
        rows, lengths = self._looked_up(vids)
        return rows * lengths[:, np.newaxis]

    def _looked_up(self, vids: Vids | Sequence[int]) -> tuple[Vectors, Vectors]:
        wanted = np.asarray(vids, np.int64)
        order = np.argsort(wanted, kind="stable")
        ordered, there = wanted[order], np.zeros(len(wanted), np.bool_)
        rows, lengths = np.empty((len(wanted), self.dimension), np.float32), np.empty(len(wanted), np.float32)
        for block in self._blocks:
            found, places = block.places(ordered)
            there[found] = True
            rows[order[found]], lengths[order[found]] = block.rows[places], block.lengths[places]
        if not there.all():
            missing = int(ordered[~there][0])
            raise InvalidRequest(f"no vector of number {missing} among those that are kept")
        return rows, lengths

    def parts(self) -> Iterator[tuple[Vids, Vectors, Vectors]]:
        """All rows in parts: their numbers, the rows as they are kept, float32, and what they were divided by."""
        for block in self._blocks:
            places = np.flatnonzero(block.alive)
            for start in range(0, len(places), _ROWS_AT_ONCE):
                some = places[start : start + _ROWS_AT_ONCE]
                yield block.vids[some], block.rows[some].astype(np.float32), block.lengths[some]

    def as_kept(self, vectors: Vectors) -> tuple[Vectors, Vectors]:
        """Vectors as they are compared, float32, shape (n, d), and what each was divided by, shape (n,)."""
        if self.metric == "l2":
            return np.ascontiguousarray(vectors, np.float32), np.ones(len(vectors), np.float32)
        lengths = np.linalg.norm(vectors.astype(np.float64), axis=1, keepdims=True)
        unit: Vectors = np.zeros_like(vectors, np.float32)
        np.divide(vectors, lengths, out=unit, where=lengths > 0, casting="same_kind")
        return unit, lengths[:, 0].astype(np.float32)


def narrowed(rows: Kept, precision: Precision) -> Kept:
    """Rows with their values at this precision.

    Raises:
        InvalidResponse: they hold values that are too large for it.
    """
    kind = TYPES[precision]
    if kind.itemsize == 4:
        return rows.astype(kind, copy=False)
    with np.errstate(over="ignore"):
        kept = rows.astype(kind, copy=False)
    if np.isinf(kept).any() and np.isfinite(rows[np.isinf(kept)]).any():
        raise InvalidResponse(
            f"the network gives values up to {np.nanmax(np.abs(rows)):.6g}, and index.precision: float16 holds "
            "none beyond 65504: write float32, or metric: cosine, which keeps vectors at length 1"
        )
    return kept


def members(vids: Iterable[int]) -> Vids:
    """Numbers as an array, ascending."""
    return np.unique(np.fromiter(vids, np.int64))
