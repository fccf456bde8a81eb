"""Everything at once for so many minutes, half of them on each home of vectors: what scripts/soak runs."""

from __future__ import annotations

import argparse
import logging
import sys
import tempfile
import traceback
from collections import Counter
from pathlib import Path

from figures import write
from soak import Soak

_BACKENDS = ("server", "local")


def main() -> int:
    """Run it, print what was done, and fail where anything was wrong."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--write", action="store_true", help="put the figures into CONTRIBUTING.md")
    chosen = parser.parse_args()
    logging.getLogger("ddsim").setLevel(logging.CRITICAL)
    counts: Counter[str] = Counter()
    wrong = 0
    for backend in _BACKENDS:
        with tempfile.TemporaryDirectory() as folder, Soak(Path(folder), backend) as soak:
            try:
                soak.run(60 * chosen.minutes / len(_BACKENDS))
                soak.settle()
            except Exception:  # noqa: BLE001  it is what is looked for
                wrong += 1
                print(traceback.format_exc(), flush=True)
            for (actor, how), count in sorted(soak.counts.items()):
                counts[actor] += count
                print(f"{backend:7} {actor:7} {how:20} {count:8,}", flush=True)
    total = sum(counts.values())
    words = ", ".join(f"{count:,} {actor}" for actor, count in counts.most_common())
    print(f"{total:,} actions ({words}), {wrong} of {len(_BACKENDS)} went wrong")
    if chosen.write:
        what = "calls of 16 threads, runs of 2 processes, searches, the page"
        print(write(f"scripts/soak --minutes {chosen.minutes:g}", what, total, total - wrong))
    return int(bool(wrong))


if __name__ == "__main__":
    sys.exit(main())
