"""The nearest of many rows, exactly: FAISS' loops over rows as they lie in memory or in a file's map."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from types import ModuleType
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ddsim.deepdetect import Vectors
from ddsim.errors import CapabilityError, install_hint

Metric: TypeAlias = Literal["l2", "cosine"]
Vids: TypeAlias = NDArray[np.int64]
Mask: TypeAlias = NDArray[np.bool_]
#: Rows as they are kept: float32 or float16.
Kept: TypeAlias = NDArray[Any]

# Below so many bytes of rows a thread more costs more than it saves.
_WORTH_A_THREAD = 1 << 25
_THREADS = 8


@dataclass(frozen=True, slots=True, eq=False)  # arrays do not compare to one truth value
class Piece:
    """Rows that lie one after the other.

    Attributes:
        vids: their numbers, shape (n,).
        rows: shape (n, d), float32 or float16.
        mask: which of them count, shape (n,); None for all.
    """

    vids: Vids
    rows: Kept
    mask: Mask | None = None

    def cut(self, rows: int) -> Iterator[Piece]:
        """The same in parts of so many rows at most."""
        for start in range(0, len(self.vids), rows):
            part = slice(start, start + rows)
            yield Piece(self.vids[part], self.rows[part], None if self.mask is None else self.mask[part])


def nearest(query: Vectors, pieces: Sequence[Piece], k: int, metric: Metric) -> tuple[Vids, Vectors]:
    """The nearest rows.

    Args:
        query: shape (d,), float32; of length 1 for ``cosine``, as the rows are.
        pieces: what to search.
        k: how many; fewer come where there are fewer.
        metric: what is near.

    Returns:
        vids, shape (m,), and for ``l2`` the squared distances, for ``cosine`` the products, nearest first; of equally
        near ones the smaller number first.
    """
    size = sum(piece.rows.nbytes for piece in pieces)
    threads = max(1, min(_THREADS, os.cpu_count() or 1, size // _WORTH_A_THREAD))
    if threads == 1:
        found = [_scan(query, pieces, k, metric)]
    else:
        rows = -(-sum(len(piece.vids) for piece in pieces) // threads)
        parts = [part for piece in pieces for part in piece.cut(rows)]
        with ThreadPoolExecutor(threads, thread_name_prefix="ddsim-exact") as pool:
            found = list(pool.map(lambda group: _scan(query, group, k, metric), _shares(parts, threads)))
    vids = np.concatenate([some for some, _ in found])
    values = np.concatenate([some for _, some in found])
    order = np.lexsort((vids, values if metric == "l2" else -values))[:k]
    return vids[order], values[order]


def _shares(pieces: Sequence[Piece], count: int) -> list[list[Piece]]:
    """The pieces in groups of about the same number of rows."""
    groups: list[list[Piece]] = [[] for _ in range(count)]
    sizes = [0] * count
    for piece in sorted(pieces, key=lambda piece: -len(piece.vids)):
        least = sizes.index(min(sizes))
        groups[least].append(piece)
        sizes[least] += len(piece.vids)
    return [group for group in groups if group]


def _scan(query: Vectors, pieces: Sequence[Piece], k: int, metric: Metric) -> tuple[Vids, Vectors]:
    """The k nearest of each of these pieces, in no order."""
    faiss = load_faiss()
    query = np.ascontiguousarray(query, np.float32)
    vids, found = [np.zeros(0, np.int64)], [np.zeros(0, np.float32)]
    for piece in pieces:
        rows = len(piece.vids)
        if not rows:
            continue
        # A heap with the worst on top, which FAISS fills.
        values = np.full(min(k, rows), np.inf if metric == "l2" else -np.inf, np.float32)
        places = np.full(min(k, rows), -1, np.int64)
        bits = None if piece.mask is None else np.packbits(piece.mask, bitorder="little")
        selector = None if bits is None else faiss.IDSelectorBitmap(rows, faiss.swig_ptr(bits))
        holder = _holder(faiss, len(query), piece.rows.dtype, metric)
        # Versions of FAISS differ in what a selector is asked without numbers; with them they are asked for these.
        numbers = None if bits is None else np.arange(rows)
        scanner = holder.get_InvertedListScanner(numbers is None, selector, None)
        scanner.set_query(faiss.swig_ptr(query))
        scanner.set_list(0, 0.0)  # so that a row's number, where none is given, is its place
        codes = np.ascontiguousarray(piece.rows).view(np.uint8).reshape(-1)
        heap = faiss.swig_ptr(values), faiss.swig_ptr(places)
        ids = None if numbers is None else faiss.swig_ptr(numbers)
        scanner.scan_codes(rows, faiss.swig_ptr(codes), ids, *heap, len(values))
        vids.append(piece.vids[places[places >= 0]])
        found.append(values[places >= 0])
    return np.concatenate(vids), np.concatenate(found)


def _holder(faiss: Any, dimension: int, kind: np.dtype[Any], metric: Metric) -> Any:
    """An index with nothing in it: FAISS has its loops over rows of either precision there."""
    measure = faiss.METRIC_L2 if metric == "l2" else faiss.METRIC_INNER_PRODUCT
    flat = faiss.IndexFlat(dimension, measure)
    if kind.itemsize == 4:
        return faiss.IndexIVFFlat(flat, dimension, 1, measure)
    half = faiss.ScalarQuantizer.QT_fp16
    return faiss.IndexIVFScalarQuantizer(flat, dimension, 1, half, measure, False)


def load_faiss() -> ModuleType:
    """FAISS, which only those need who keep vectors here.

    Raises:
        CapabilityError: it is not installed.
    """
    try:
        import faiss
    except ModuleNotFoundError as error:
        raise CapabilityError(
            f"index.backend local needs FAISS, which is not installed: {install_hint('local')}"
        ) from error
    return faiss
