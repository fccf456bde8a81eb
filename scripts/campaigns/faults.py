"""The whole matrix of faults, in several processes, with its figures: what scripts/faults runs."""

from __future__ import annotations

import argparse
import logging
import multiprocessing
import sys
import tempfile
import traceback
from collections import Counter
from pathlib import Path
from urllib.parse import urlsplit

from calls import Scene
from figures import write
from matrix import CALLS, Case, cases, furnished, try_out

from ddsim import Client
from ddsim.embedded import EmbeddedServer, Engine


def run(part: list[Case]) -> list[tuple[Case, str]]:
    """The outcome of each case, or the trace of what went wrong."""
    logging.getLogger("ddsim").setLevel(logging.CRITICAL)
    outcomes: list[tuple[Case, str]] = []
    with (
        tempfile.TemporaryDirectory() as folder,
        EmbeddedServer(Engine()) as server,
        Client(server.url) as direct,
    ):
        scene = Scene(direct, Path(folder))
        wanted = furnished(scene)
        for case in part:
            try:
                outcomes.append((case, try_out(case, scene, urlsplit(server.url).port or 0, wanted)))
            except Exception:  # noqa: BLE001  it is what is looked for
                outcomes.append((case, traceback.format_exc()))
    return outcomes


def main() -> int:
    """Run them, print the figures, and fail where a case did."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--small", action="store_true", help="the matrix that the tests run")
    parser.add_argument("--processes", type=int, default=8, help="most of the time is waiting (default: 8)")
    parser.add_argument("--write", action="store_true", help="put the figures into CONTRIBUTING.md")
    chosen = parser.parse_args()
    tried = cases(thorough=not chosen.small)
    parts = [tried[first :: 8 * chosen.processes] for first in range(8 * chosen.processes)]
    with multiprocessing.get_context("spawn").Pool(chosen.processes) as pool:
        outcomes = [one for part in pool.imap_unordered(run, parts) for one in part]
    counts = Counter(outcome for _, outcome in outcomes if outcome in ("right", "error"))
    for case, trace in outcomes:
        if trace not in counts:
            print(f"\n{case}\n{trace}")
    survived = sum(counts.values())
    print(f"{len(tried)} cases of {len(CALLS)} calls: {counts['right']} right answers, {counts['error']} typed errors")
    if chosen.write and not chosen.small:
        print(write("scripts/faults", "faults x calls x clients x places x tries", len(tried), survived))
    return int(survived < len(tried))


if __name__ == "__main__":
    sys.exit(main())
