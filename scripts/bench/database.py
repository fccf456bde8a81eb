#!/usr/bin/env python3
"""What a Milvus costs: adding, searching exactly and by HNSW, filtered and not, at two levels of consistency.

    python scripts/bench/database.py --url http://localhost:19530 [--token root:Milvus] [--items 50000]

It makes collections of its own and removes them again. Vectors are drawn around as many centres as there are
categories.
"""

from __future__ import annotations

import argparse
import secrets
import statistics
import time
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from ddsim.config import IndexSettings
from ddsim.vectors.milvuscalls import Calls, Kind

CATEGORIES, BATCH, SEARCHES, WIDE, K = 20, 256, 30, 256, 10


def main() -> None:
    """Measure, and print a table."""
    options = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    options.add_argument("--url", required=True)
    options.add_argument("--token")
    options.add_argument("--items", type=int, default=50_000)
    options.add_argument("--dimension", type=int, default=256)
    given = options.parse_args()
    dice = np.random.default_rng(0)
    centres = dice.normal(size=(CATEGORIES, given.dimension))
    vectors = (centres[np.arange(given.items) % CATEGORIES] + dice.normal(size=(given.items, given.dimension))).astype(
        np.float32
    )
    queries = (centres[np.arange(SEARCHES) % CATEGORIES] + dice.normal(size=(SEARCHES, given.dimension))).astype(
        np.float32
    )
    exact: list[set[int]] = []
    print(f"{given.items:,} x {given.dimension}; milliseconds a search of {WIDE} rows, median of {SEARCHES}")
    print("| index | adding s | items/s | indexing s | strong | bounded | a category, bounded | recall@10 |")
    for kind in ("FLAT", "HNSW"):
        row = measured(given, kind, vectors, queries, exact)
        print("| " + " | ".join(row) + " |", flush=True)


def measured(
    given: argparse.Namespace,
    kind: Kind,
    vectors: NDArray[np.float32],
    queries: NDArray[np.float32],
    exact: list[set[int]],
) -> list[str]:
    """One line of the table; the exact answers of the first are what the second is measured by."""
    name = f"bench_{secrets.token_hex(6)}"
    levels = [
        Calls(IndexSettings(backend="milvus", url=given.url, token=given.token, consistency=level, timeout=300.0))
        for level in ("strong", "bounded")
    ]
    strong, bounded = levels
    try:
        strong.create_items(name, "bench", given.dimension, "L2", kind)
        begun = time.perf_counter()
        for start in range(0, len(vectors), BATCH):
            rows = [
                {
                    "vid": number + 1,
                    "uri": f"{number % CATEGORIES}/{number}.jpg",
                    "category": str(number % CATEGORIES),
                    "sha256": "0" * 64,
                    "generation": 1,
                    "vector": vectors[number].tolist(),
                }
                for number in range(start, min(start + BATCH, len(vectors)))
            ]
            strong.add(name, rows)
        took = time.perf_counter() - begun
        strong.ask("flush", name)
        begun = time.perf_counter()
        strong.index_anew(name, "L2", kind)
        indexing = time.perf_counter() - begun
        found = [strong.nearest(name, query[np.newaxis], WIDE, ("L2", kind), None)[0] for query in queries]
        nearest = [{hit["vid"] for hit in hits[:K]} for hits in found]
        exact.extend(nearest if not exact else [])
        recall = statistics.mean(len(one & other) / K for one, other in zip(nearest, exact, strict=True))

        def timed(calls: Calls, categories: list[str] | None) -> float:
            return median_ms(lambda query: calls.nearest(name, query, WIDE, ("L2", kind), categories), queries)

        times = [timed(strong, None), timed(bounded, None), timed(bounded, ["3"])]
        adding = [f"{took:.1f}", f"{len(vectors) / took:,.0f}", f"{indexing:.1f}"]
        return [kind, *adding, *(f"{one:.1f}" for one in times), f"{recall:.3f}"]
    finally:
        strong.drop(name)
        for calls in levels:
            calls.close()


def median_ms(search: Callable[[NDArray[np.float32]], object], queries: NDArray[np.float32]) -> float:
    """The median time of single searches."""
    times = []
    for query in queries:
        begun = time.perf_counter()
        search(query[np.newaxis])
        times.append(1000 * (time.perf_counter() - begun))
    return statistics.median(times)


if __name__ == "__main__":
    main()
