#!/usr/bin/env python3
"""How a local index grows: time and memory at a thousand items, ten thousand, a hundred thousand, a million.

    python scripts/bench/growth.py                       # 1,000 to 1,000,000 items of 256 values, ten minutes
    python scripts/bench/growth.py --items 1000 10000    # half a minute
    python scripts/bench/growth.py --write               # also puts the tables into README.md beside this file

No pictures are decoded and no network runs: items are made up, and their vectors are handed to the home as a run hands
over those it knows by their content. Everything else is what a run does: plan, manifest, segments, checkpoints, merges,
and the approximate index at the end. The vectors are those of a mixture, as a network's are: 2,000 clusters in 48
dimensions, brought to so many values by one random layer with a ReLU, with noise; queries are drawn anew from the same
clusters. Each size is measured in two processes of its own, one that adds and one that searches.

The exponent is the slope of the line through the points where both axes are logarithms: 1 means twice the time for
twice the items. What a thing costs at any size, such as a process' start, makes it smaller.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
from bench_index import null_server
from measure import Stopwatch, TimedTransport, client_of, peak_mb, settings_of
from numpy.typing import NDArray

from ddsim.catalogue import Manifest
from ddsim.catalogue.folder import Entry
from ddsim.config import Settings
from ddsim.vectors import LocalBackend
from ddsim.vectors.space import Space

Rows = NDArray[np.float32]

_README = Path(__file__).with_name("README.md")
_BEGIN, _END = "<!-- growth.py writes from here -->", "<!-- to here -->"
_CLUSTERS, _LATENT, _A_CATEGORY = 2000, 48, 5000
_BATCH = 256
_QUERIES, _EXACT = 200, 60
# What should hold at a million items of 256 values.
_LIMITS = {
    "adding s": 30.0,
    "checkpoint s": 0.1,
    "query ms": 10.0,
    "exact ms": 100.0,
    "MB": 1200.0,
}


class Mixture:
    """Vectors as a network gives them, drawn in any number."""

    def __init__(self, dimension: int, seed: int) -> None:
        fixed = np.random.default_rng(0)
        self._centres = fixed.normal(size=(_CLUSTERS, _LATENT)).astype(np.float32)
        self._layer = fixed.normal(size=(_LATENT, dimension)).astype(np.float32) / np.float32(_LATENT**0.5)
        self._dice = np.random.default_rng(seed)

    def draw(self, count: int) -> Rows:
        """Shape (count, dimension)."""
        places = self._dice.integers(0, _CLUSTERS, count)
        spread = self._dice.standard_normal((count, _LATENT), np.float32)
        noise = self._dice.standard_normal((count, self._layer.shape[1]), np.float32)
        inner = self._centres[places] + np.float32(0.5) * spread
        return np.maximum(inner @ self._layer + np.float32(0.1) * noise, 0)


def entries(count: int) -> Iterator[Entry]:
    """Made-up pictures in categories, sorted as a folder is read."""
    for number in range(count):
        category = f"category-{number // _A_CATEGORY:03d}"
        uri = f"{category}/picture-{number:07d}.jpg"
        yield Entry(uri, category, Path(uri), 10_000, 1_700_000_000_000_000_000)


def settings_for(given: argparse.Namespace, approximate: str) -> Settings:
    """A local index of the given precision."""
    settings = settings_of(given)
    wanted = {"precision": given.precision, "approximate": approximate, "cache": 0}
    return settings.model_copy(update={"index": settings.index.model_copy(update=wanted)})


class Filling:
    """A run that adds vectors; what its parts take."""

    def __init__(self, manifest: Manifest, backend: LocalBackend, mixture: Mixture, checkpoint: int) -> None:
        self._manifest, self._backend, self._mixture, self._checkpoint = manifest, backend, mixture, checkpoint
        self.run_s = 0.0
        self.builds: list[float] = []

    def fill(self, count: int) -> None:
        """Add so many items that are pending."""
        done, after = 0, ""
        while done < count:
            size = min(_BATCH, count - done, self._checkpoint - done % self._checkpoint)
            begun = time.perf_counter()
            rows = self._manifest.pending(after, size)
            after = rows[-1].uri
            vids = self._manifest.begin([(row.uri, f"{done:064x}", row.size, row.mtime_ns) for row in rows])
            self.run_s += time.perf_counter() - begun
            vectors = self._mixture.draw(len(rows))
            begun = time.perf_counter()
            self._backend.add_known(vids, vectors)
            self.run_s += time.perf_counter() - begun
            done += len(rows)
            if done % self._checkpoint == 0 or done == count:
                begun = time.perf_counter()
                self._backend.build()
                self.builds.append(time.perf_counter() - begun)
                self.run_s += self.builds[-1]


def fill(given: argparse.Namespace) -> dict[str, Any]:
    """Index so many items, then a thousand more, in this process."""
    mixture, adding = Mixture(given.dimension, seed=1), Stopwatch()
    for name in ("add", "save"):
        setattr(Space, name, adding.timed(getattr(Space, name)))
    with (
        client_of(given, TimedTransport(given.url)) as client,
        closing(Manifest.open(given.state / "manifest", {"bench": "growth"})) as manifest,
        closing(LocalBackend(client, settings_for(given, "auto"), manifest)) as backend,
    ):
        begun = time.perf_counter()
        with manifest.plan(entries(given.count), _no_hash) as plan:
            manifest.apply(plan)
        planned = time.perf_counter() - begun
        with manifest.writing():
            backend.open(writing=True)
            filling = Filling(manifest, backend, mixture, given.checkpoint)
            filling.fill(given.count)
            added = adding.seconds
            begun = time.perf_counter()
            backend.settle()
            settled = time.perf_counter() - begun
            with manifest.plan(entries(given.count + 5 * given.checkpoint), _no_hash) as plan:
                manifest.apply(plan)
            more = Filling(manifest, backend, mixture, given.checkpoint)
            more.fill(5 * given.checkpoint)
        built = manifest.get_meta("approximate") or {}
    return {
        "plan s": planned,
        "run s": filling.run_s + settled,
        "adding s": added,
        "settle s": settled,
        "checkpoint s": float(np.median(more.builds)),
        "slowest s": max(filling.builds),
        "adding MB": peak_mb(),
        "measured recall": built.get("recall"),
    }


def _no_hash(path: Path) -> str:
    raise RuntimeError(f"{path} was never read")


def search(given: argparse.Namespace) -> dict[str, Any]:
    """Open the index in this process, search it as the settings say, then exactly."""
    queries = Mixture(given.dimension, seed=2).draw(_QUERIES)
    found: dict[str, list[tuple[str, ...]]] = {}
    times: dict[str, list[float]] = {}
    peak = 0.0
    with client_of(given, TimedTransport(given.url)) as client:
        for approximate, count in (("auto", _QUERIES), ("never", _EXACT)):
            with (
                closing(Manifest.open(given.state / "manifest", {"bench": "growth"})) as manifest,
                closing(LocalBackend(client, settings_for(given, approximate), manifest)) as backend,
            ):
                backend.open(writing=False)
                found[approximate], times[approximate] = [], []
                for query in queries[:count]:
                    begun = time.perf_counter()
                    (hits,) = backend.search_vectors(query[np.newaxis], 10)
                    times[approximate].append(time.perf_counter() - begun)
                    found[approximate].append(tuple(one.uri for one in hits.found))
            peak = peak or peak_mb()
    right = [len(set(a) & set(b)) / 10 for a, b in zip(found["auto"], found["never"], strict=False)]
    return {
        "query ms": 1e3 * float(np.median(times["auto"])),
        "exact ms": 1e3 * float(np.median(times["never"])),
        "recall@10": float(np.mean(right)),
        "searching MB": peak,
    }


def measure(count: int, given: argparse.Namespace, url: str, state: Path) -> dict[str, Any]:
    """Both, each in a process of its own."""
    found: dict[str, Any] = {"items": count}
    for what in ("fill", "search"):
        words = [what, "--count", count, "--url", url, "--state", state, "--dimension", given.dimension]
        words += ["--precision", given.precision]
        done = subprocess.run(
            [sys.executable, __file__, *map(str, words)], stdout=subprocess.PIPE, check=True, text=True
        )
        found |= json.loads(done.stdout)
    found["MB"] = max(found["adding MB"], found["searching MB"])
    return found


def exponent(rows: Sequence[dict[str, Any]], name: str) -> float:
    """The slope of the line through the points' logarithms."""
    items, values = np.log([row["items"] for row in rows]), np.log([max(row[name], 1e-6) for row in rows])
    return float(np.polyfit(items, values, 1)[0]) if len(rows) > 1 else float("nan")


def report(rows: Sequence[dict[str, Any]], given: argparse.Namespace) -> str:
    """Both tables, in Markdown."""
    names = ["plan s", "run s", "adding s", "settle s", "checkpoint s", "slowest s", "query ms", "exact ms", "MB"]
    lines = [
        f"{time.strftime('%Y-%m-%d')}, {os.cpu_count()} cores (load {os.getloadavg()[0]:.1f} at the end), "
        f"{given.dimension} values, {given.precision}, checkpoints of 1000.",
        "",
        "| items | " + " | ".join([*names, "recall@10"]) + " |",
        "| " + " | ".join(["---:"] * (len(names) + 2)) + " |",
    ]
    for row in rows:
        cells = [f"{row[name]:.3g}" if row[name] < 100 else f"{row[name]:.0f}" for name in names]
        lines.append(f"| {row['items']} | " + " | ".join(cells) + f" | {row['recall@10']:.3f} |")
    slopes = " | ".join(f"{exponent(rows, name):.2f}" for name in names)
    lines += [f"| exponent | {slopes} | |", ""]
    last = rows[-1]
    if last["items"] == 1_000_000 and given.dimension == 256:
        lines += ["| a million items | measured | at most |", "| --- | ---: | ---: |"]
        lines += [f"| {name} | {last[name]:.3g} | {limit:g} |" for name, limit in _LIMITS.items()]
        lines += [f"| recall@10 | {last['recall@10']:.3f} | at least 0.99 |", ""]
    return "\n".join(lines)


def main() -> None:
    """Measure all, or one thing in this process."""
    parser = argparse.ArgumentParser(description="How a local index grows.")
    parser.add_argument("what", nargs="?", choices=["all", "fill", "search"], default="all")
    parser.add_argument("--items", type=int, nargs="*", default=[1000, 10_000, 100_000, 1_000_000])
    parser.add_argument("--dimension", type=int, default=256)
    parser.add_argument("--precision", choices=["float32", "float16"], default="float16")
    parser.add_argument("--write", action="store_true", help="put the tables into README.md")
    parser.add_argument("--count", type=int)
    parser.add_argument("--url")
    parser.add_argument("--state", type=Path)
    given = parser.parse_args()
    given.folder, given.backend, given.checkpoint = Path("catalogue"), "local", 1000
    if given.what != "all":
        print(json.dumps({"fill": fill, "search": search}[given.what](given)))
        return
    rows = []
    with tempfile.TemporaryDirectory() as scratch, null_server() as url:
        for count in given.items:
            state = Path(scratch) / str(count)
            rows.append(measure(count, given, url, state))
            shutil.rmtree(state)
            print(json.dumps(rows[-1]), file=sys.stderr, flush=True)
    text = report(rows, given)
    print(text)
    if given.write:
        before, _, rest = _README.read_text(encoding="utf-8").partition(_BEGIN)
        _README.write_text(f"{before}{_BEGIN}\n\n{text}\n{_END}{rest.partition(_END)[2]}", encoding="utf-8")


if __name__ == "__main__":
    main()
