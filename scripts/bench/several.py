#!/usr/bin/env python3
"""How indexing grows with the number of servers, up to what the client itself can do.

    python scripts/bench/several.py
    python scripts/bench/several.py --rate 150 --servers 1 2 3 4 --items 2000

Each run sends the same small pictures to so many null servers, each of which does ``--rate`` pictures a second, one
request after the other. The last line is servers that take no time: the client's own limit on this machine.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

from bench_index import catalogue, null_server, table

from ddsim.config import Settings
from ddsim.indexing import Progress
from ddsim.search import Collection, IndexOptions, connect


def settings_of(urls: list[str], folder: Path, state: Path) -> Settings:
    """A network of 224 x 224 on these servers, whose vectors have 16 values."""
    return Settings.model_validate(
        {
            "name": "bench",
            "server": {"urls": urls} if len(urls) > 1 else {"url": urls[0]},
            "catalogue": {"folder": str(folder)},
            "state": str(state),
            "similarity": {
                "service": "bench",
                "repository": "/indexes/bench",
                "def": "/models/null/deploy.prototxt",
                "weights": "/models/null/null.caffemodel",
                "nclasses": 2,
                "extract_layer": "d16",
            },
            "index": {"backend": "local", "cache": 0},
        }
    )


def rate_of(folder: Path, servers: int, rate: float | None) -> float:
    """Items a second of a first run over a catalogue, from the first batch that was added to the last one.

    What comes before and after (services, the plan, learning) takes as long however many servers there are.
    """
    options = () if rate is None else ("--rate", str(rate))
    with ExitStack() as stack, tempfile.TemporaryDirectory() as state:
        urls = [stack.enter_context(null_server(*options)) for _ in range(servers)]
        settings = settings_of(urls, folder, Path(state))
        told: list[tuple[float, int]] = []

        def progress(now: Progress) -> None:
            if now.stage == "indexing":
                told.append((time.monotonic(), now.done))

        with connect(settings) as client, Collection(settings, client) as collection:
            report = collection.index(IndexOptions(audit=False), progress=progress)
        if report.failures or report.warnings or len(told) < 3:
            raise SystemExit(f"the run did not do what it should: {report}")
    (began, first), (ended, last) = told[0], told[-1]
    return (last - first) / (ended - began)


def main() -> None:
    """Measure all and print the table."""
    parser = argparse.ArgumentParser(description="How indexing grows with the number of servers.")
    parser.add_argument("--items", type=int, default=2000)
    parser.add_argument("--servers", type=int, nargs="*", default=[1, 2, 3, 4])
    parser.add_argument("--rate", type=float, default=150.0, help="pictures a second of each server")
    given = parser.parse_args()
    rows: list[list[object]] = []
    with tempfile.TemporaryDirectory() as scratch:
        folder = catalogue(Path(scratch), given.items)
        for servers in given.servers:
            rate = rate_of(folder, servers, given.rate)
            rows.append([servers, given.rate, round(rate), rate / (servers * given.rate)])
        rows.append([2, "no limit", round(rate_of(folder, 2, None)), "the client's own limit"])
    table(("servers", "items/s of each", "items/s", "of n times one"), rows)


if __name__ == "__main__":
    main()
