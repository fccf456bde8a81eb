"""index, build_index and search of one predict call, with what each does to the index of a real server.

States and answers follow recordings/wire/21-sim-index-search to 52-sim-recreate-same-process.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ddsim.embedded.replies import Json, index_closed, internal, out_of_range, would_have_died
from ddsim.embedded.service import Service
from ddsim.embedded.simsearch import SimilarityError, SimilarityIndex

_DEFAULT_NEIGHBOURS = 10
_NUMBER = re.compile(r"\s*[+-]?(\d|\.\d|inf|nan)", re.IGNORECASE)
#: A stored name is split at ^: uri, four corners of a box, probability, category.
_SEPARATOR = "^"

Vectors = npt.NDArray[np.float32]


def run(service: Service, output: Json, names: Sequence[str], vectors: Vectors) -> list[Json]:
    """Do what a call asks for, in the real server's order: index, build_index, search.

    Args:
        service: locked by the caller.
        output: the call's ``parameters.output``, its types checked.
        names: names to store, one a vector.
        vectors: (n, d).

    Returns:
        for each vector the members to add to its prediction.

    Raises:
        Refusal: see the recordings.
    """
    try:
        return _run(service, output, names, vectors)
    except SimilarityError as problem:
        raise internal(str(problem)) from problem


def _run(service: Service, output: Json, names: Sequence[str], vectors: Vectors) -> list[Json]:
    if output.get("index"):
        index = _opened(service, output, vectors, "index")
        if len(vectors):
            index.add(names, _fitted(vectors, index.dimension))
    if output.get("build_index"):
        _build(service)
    if output.get("search"):
        index = _opened(service, output, vectors, "search")
        return [_neighbours(index, vector, output) for vector in vectors]
    return [{} for _ in vectors]


def _opened(service: Service, output: Json, vectors: Vectors, what: str) -> SimilarityIndex:
    if service.index_broken:
        raise would_have_died(
            "SIGSEGV",
            f"{what} after the index of this service could not be loaded; delete the service, repair index_type "
            "or index.faiss, and create it again",
        )
    if service.index is not None:
        return service.index
    if not service.unsupervised and what == "search":
        raise would_have_died("SIGSEGV", "search on a supervised service; use one of type unsupervised")
    if not len(vectors):
        raise out_of_range(0, 0)
    try:
        service.index = SimilarityIndex.open(
            Path(service.repository),
            vectors.shape[1],
            index_type=output.get("index_type", "Flat"),
            nprobe=output.get("nprobe"),
            train_samples=output.get("train_samples", 100_000),
        )
    except SimilarityError:
        service.index_broken = True
        raise
    return service.index


def _build(service: Service) -> None:
    if service.index_broken:
        raise would_have_died("SIGSEGV", "build_index after the index of this service could not be loaded")
    if service.index is None:
        raise index_closed()
    if not service.index.added_since_open:
        raise would_have_died(
            "SIGSEGV",
            "build_index though nothing was indexed since the index was loaded; build with the last index call",
        )
    service.index.build()


def _fitted(vectors: Vectors, dimension: int) -> Vectors:
    """Vectors of the index's length, as the real server takes them: it does not check.

    Longer ones are cut. Of shorter ones it reads what lies behind them in memory; here that is NaN, near to
    nothing (recordings/wire/39-sim-dimension).
    """
    length = vectors.shape[1]
    if length >= dimension:
        return np.ascontiguousarray(vectors[:, :dimension])
    return np.pad(vectors, ((0, 0), (0, dimension - length)), constant_values=np.nan)


def _neighbours(index: SimilarityIndex, vector: npt.NDArray[np.float32], output: Json) -> Json:
    found = []
    wanted = output.get("search_nn", _DEFAULT_NEIGHBOURS)
    for hit in index.search(_fitted(vector[np.newaxis], index.dimension)[0], wanted, output.get("nprobe")):
        if not hit.built:
            # The real one reads a name that is not there yet (recordings/wire/23-sim-search-unbuilt).
            raise internal("std::bad_alloc")
        # It divides by the length of the query, whatever the index has.
        distance = hit.distance * index.dimension / vector.shape[0]
        if np.isfinite(distance):
            found.append({"uri": _decoded(hit.name), "dist": distance})
    return {"nns": found} if found else {}


def _decoded(name: str) -> str:
    """The uri within a stored name (recordings/wire/34-sim-name-caret, 34b-sim-name-caret-more, 35b-sim-name-empty)."""
    parts = [part for part in name.split(_SEPARATOR) if part]
    if not parts:
        raise out_of_range(0, 0)
    if len(parts) > 1:
        for position in range(1, 7):
            if position >= len(parts):
                raise out_of_range(position, len(parts))
            if position < 6 and not _NUMBER.match(parts[position]):
                raise internal("stod")
    return parts[0]
