#!/usr/bin/env python3
"""What renaming every folder of a catalogue costs, whose vectors ddsim keeps: nothing of it should be sent again.

    python scripts/bench/rename.py                     # 10,000 pictures, vectors of 2048 values, a minute or two
    python scripts/bench/rename.py --items 1000

Against the null server of this folder, like ``bench_index.py``: how long the first run took and how often it asked the
server, and the same of the run after the renaming.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from bench_index import catalogue, measure, null_server, table


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description="What renaming every folder of a catalogue costs.")
    parser.add_argument("--items", type=int, default=10_000)
    parser.add_argument("--dimension", type=int, default=2048)
    given = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory() as scratch, null_server() as url:
        folder = catalogue(Path(scratch), given.items)
        state = Path(scratch) / "state"
        options = {"folder": folder, "url": url, "state": state, "backend": "local", "dimension": given.dimension}
        for name in ("first run", "after renaming"):
            found = measure("run", audit=False, **options)
            rows.append([name, found["to send"], found["sent"], found["calls"], found["run s"], found["server s"]])
            for place in folder.iterdir():
                if place.is_dir():
                    place.rename(place.with_name(f"renamed-{place.name}"))
        cache = sum(file.stat().st_size for file in (state / "_cache").iterdir()) / 1e6
    table(("", "new", "sent", "calls", "run s", "server s"), rows)
    print(f"{cache:.0f} MB of vectors kept by content")


if __name__ == "__main__":
    main()
