"""The properties of tests/properties for so many minutes, with their figures: what scripts/fuzz runs."""

from __future__ import annotations

import argparse
import itertools
import json
import logging
import multiprocessing
import sys
import time
import traceback
from collections import Counter, deque
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from figures import write
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from properties import PROPERTIES
from spoiling import EDITS, Edit, plain

FINDINGS = Path(__file__).parents[2] / "tests" / "properties" / "findings.json"
_ROUND = 200


class Round:
    """Some examples of one property.

    Attributes:
        tried, read: how many, and how many of them gave a result.
        found: what went wrong, made as small as it gets; None where nothing did.
    """

    def __init__(self, name: str, number: int) -> None:
        self.name = name
        self.tried = self.read = 0
        self.found: dict[str, Any] | None = None
        self.trace = ""
        self._last: tuple[str, list[Edit]] = "", []
        tried = PROPERTIES[name]
        drawn = given(base=st.sampled_from(tried.bases), edits=EDITS)(self._one)
        options = settings(
            max_examples=max(int(_ROUND * tried.share), 1),
            deadline=None,
            database=None,
            suppress_health_check=list(HealthCheck),
            phases=[Phase.generate, Phase.shrink],
        )
        try:
            seed(number)(options(drawn))()
        except BaseException as error:
            if isinstance(error, KeyboardInterrupt):
                raise
            self.trace = traceback.format_exc()
            base, edits = self._last
            self.found = {"property": name, "base": base, "edits": plain(edits), "was": type(error).__name__}

    def _one(self, base: str, edits: list[Edit]) -> None:
        # Hypothesis plays the smallest failure last.
        self._last = base, edits
        self.tried += 1
        self.read += PROPERTIES[self.name].holds(base, edits)


def run(order: tuple[str, int]) -> Round:
    """One round, in a process of its own."""
    logging.getLogger("ddsim").setLevel(logging.CRITICAL)
    return Round(*order)


def rounds(names: list[str], first: int, processes: int, end: float) -> Iterator[Round]:
    """Property after property, each time with another seed, until the time is over."""
    orders = ((name, number) for number in itertools.count(first) for name in names)
    # A round may leave memory and threads behind, of libraries that were fed with nonsense.
    with multiprocessing.get_context("spawn").Pool(processes, maxtasksperchild=50) as pool:
        waiting = deque(pool.apply_async(run, (next(orders),)) for _ in range(2 * processes))
        while waiting:
            yield waiting.popleft().get()
            if time.monotonic() < end:
                waiting.append(pool.apply_async(run, (next(orders),)))


def main() -> int:
    """Run them, print the figures, keep what was found, and fail where anything was."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--seed", type=int, default=int(time.time()) % 10**6)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--only", action="append", choices=sorted(PROPERTIES), help="one property; may be repeated")
    parser.add_argument("--write", action="store_true", help="put the figures into CONTRIBUTING.md")
    chosen = parser.parse_args()
    tried: Counter[str] = Counter()
    read: Counter[str] = Counter()
    found: dict[str, dict[str, Any]] = {}
    end = time.monotonic() + 60 * chosen.minutes
    for done in rounds(chosen.only or list(PROPERTIES), chosen.seed, chosen.processes, end):
        tried[done.name] += done.tried
        read[done.name] += done.read
        if done.found is not None and (key := f"{done.name} {done.found['was']}") not in found:
            found[key] = done.found
            print(f"\n{done.trace}\n{done.found}", flush=True)
    for name in PROPERTIES:
        print(f"{name:12} {tried[name]:8,} tried, {read[name]:8,} read, {tried[name] - read[name]:8,} refused")
    total = sum(tried.values())
    print(f"{total:,} cases from seed {chosen.seed}, {len(found)} findings")
    if found:
        kept = json.loads(FINDINGS.read_text(encoding="utf-8"))
        FINDINGS.write_text(json.dumps([*kept, *found.values()], indent=1) + "\n", encoding="utf-8")
        print(f"kept as tests in {FINDINGS}")
    if chosen.write:
        print(
            write(f"scripts/fuzz --minutes {chosen.minutes:g}", "spoilt replies and files", total, total - len(found))
        )
    return int(bool(found))


if __name__ == "__main__":
    sys.exit(main())
