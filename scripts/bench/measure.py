#!/usr/bin/env python3
"""One measurement in a process of its own, as JSON on standard output; ``bench_index.py`` calls it.

python scripts/bench/measure.py run|search|prepare|parse [options]
"""

from __future__ import annotations

import argparse
import json
import resource
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import orjson

from ddsim.catalogue import Change, walk
from ddsim.config import Settings
from ddsim.deepdetect import Client, HttpTransport, Reply, Timeout, wire
from ddsim.indexing import Progress
from ddsim.pictures import Upload, encode
from ddsim.search import Collection, ImageSearch, IndexOptions

_EARLY = 10_000


class TimedTransport:
    """HTTP, with the seconds that exchanges took, and those of them that the null server took itself."""

    def __init__(self, url: str) -> None:
        self._http = HttpTransport(url)
        self.calls, self.seconds, self.server_seconds = 0, 0.0, 0.0

    def exchange(self, method: str, path: str, json: Mapping[str, Any] | None, timeout: Timeout) -> Reply:
        """See :meth:`ddsim.deepdetect.transport.Transport.exchange`."""
        begun = time.perf_counter()
        reply = self._http.exchange(method, path, json, timeout)
        self.seconds += time.perf_counter() - begun
        self.server_seconds += float(reply.headers["x-seconds"])
        self.calls += 1
        return reply

    def close(self) -> None:
        """Close the connections."""
        self._http.close()


class Memory:
    """This process' memory in MB: the peak while at most 10,000 items were done, and the peak of all."""

    def __init__(self) -> None:
        self.begin = self.early = peak_mb()

    def look(self, progress: Progress) -> None:
        """Called after every batch."""
        if progress.done <= _EARLY:
            self.early = peak_mb()


def peak_mb() -> float:
    """The most that was resident so far, in MB."""
    try:
        # What a process forks from counts for ru_maxrss, too.
        lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) * 1024 / 1e6
    except OSError:
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak / 1e6 if sys.platform == "darwin" else peak * 1024 / 1e6


def settings_of(given: argparse.Namespace) -> Settings:
    """A network of 224 x 224 whose vectors have ``given.dimension`` values."""
    return Settings.model_validate(
        {
            "name": "bench",
            "server": {"url": given.url},
            "catalogue": {"folder": given.folder},
            "state": given.state,
            "similarity": {
                "service": "bench",
                "repository": "/indexes/bench",
                "def": "/models/null/deploy.prototxt",
                "weights": "/models/null/null.caffemodel",
                "nclasses": 2,
                "extract_layer": f"d{given.dimension}",
            },
            "index": {"backend": given.backend, "checkpoint": given.checkpoint},
        }
    )


def client_of(given: argparse.Namespace, transport: TimedTransport) -> Client:
    """As ``ddsim.search.connection.connect`` makes it."""
    settings = settings_of(given)
    limits = settings.index
    return Client(
        transport=transport,
        upload=settings.upload_options(),
        batch_size=limits.batch_size,
        batch_bytes=limits.batch_bytes,
    )


def run(given: argparse.Namespace) -> dict[str, Any]:
    """Plan, run and report."""
    saving = Stopwatch()
    saving.watch_local_files()
    memory, transport = Memory(), TimedTransport(given.url)
    with client_of(given, transport) as client, Collection(settings_of(given), client) as collection:
        begun = time.perf_counter()
        changes = collection.changes()
        planned = time.perf_counter()
        report = collection.index(IndexOptions(audit=given.audit), progress=memory.look)
        ended = time.perf_counter()
    return {
        "to send": changes[Change.NEW],
        "indexed": report.indexed,
        "sent": report.sent,
        "audit": None if report.audit is None else list(report.audit.problems),
        "plan s": planned - begun,
        "run s": ended - planned,
        "HTTP s": transport.seconds,
        "server s": transport.server_seconds,
        "calls": transport.calls,
        "begin MB": memory.begin,
        "10k MB": memory.early,
        "peak MB": peak_mb(),
        "saves": saving.count,
        "save s": saving.seconds,
        "last save s": saving.last,
    }


class Stopwatch:
    """How often the local index was written, and how long that took."""

    def __init__(self) -> None:
        self.count, self.seconds, self.last = 0, 0.0, 0.0

    def watch_local_files(self) -> None:
        """Time every write of the local index's file from now on."""
        from ddsim.vectors.space import Space

        Space.save = self.timed(Space.save)

    def timed(self, call: Callable[..., None]) -> Callable[..., None]:
        """The same call, timed."""

        def timed(*args: Any) -> None:
            begun = time.perf_counter()
            call(*args)
            self.last = time.perf_counter() - begun
            self.seconds += self.last
            self.count += 1

        return timed


def search(given: argparse.Namespace) -> dict[str, Any]:
    """Milliseconds of a query, after some to warm up: in all, in HTTP and in the server."""
    transport = TimedTransport(given.url)
    pictures = [entry.path for entry, _ in zip(walk(given.queries), range(60), strict=False)]
    rows: list[tuple[float, ...]] = []
    with ImageSearch(settings_of(given), client=client_of(given, transport)) as searching:
        for picture in pictures:
            before = transport.seconds, transport.server_seconds, transport.calls
            begun = time.perf_counter()
            searching.query(picture)
            took = time.perf_counter() - begun
            after = transport.seconds, transport.server_seconds, transport.calls
            rows.append((took, *(late - early for late, early in zip(after, before, strict=True))))
    total, http, server, calls = np.median(np.array(rows[10:]), axis=0)
    return {
        "query ms": 1e3 * total,
        "server ms": 1e3 * server,
        "HTTP ms": 1e3 * (http - server),
        "client ms": 1e3 * (total - http),
        "calls": calls,
        "first query ms": 1e3 * rows[0][0],
    }


def prepare(given: argparse.Namespace) -> dict[str, Any]:
    """Milliseconds to read, decode, shrink and encode a picture, on one core."""
    upload = Upload(shrink=(224, 224))
    paths = [entry.path for entry in walk(given.folder)]
    times, sent = [], 0
    for path in paths:
        begun = time.perf_counter()
        sent += len(encode(path, upload).base64)
        times.append(time.perf_counter() - begun)
    size = sum(path.stat().st_size for path in paths)
    return {"ms": 1e3 * float(np.median(times)), "file kB": size / len(paths) / 1e3, "sent kB": sent / len(paths) / 1e3}


def parse(given: argparse.Namespace) -> dict[str, Any]:
    """Milliseconds to read an answer with 64 vectors of 2048 values."""
    del given
    vectors = np.random.default_rng(0).normal(size=(64, 2048)).astype(np.float32)
    ids = [str(number) for number in range(len(vectors))]
    predictions = [{"uri": name, "vals": vector.tolist()} for name, vector in zip(ids, vectors, strict=True)]
    content = orjson.dumps({"status": {"code": 200}, "body": {"predictions": predictions}})

    def timed(decode: Callable[[bytes], Any]) -> float:
        times = []
        for _ in range(20):
            begun = time.perf_counter()
            found = wire.parse_vectors(wire.parse_predictions(decode(content), ids))
            times.append(time.perf_counter() - begun)
        if not (found == vectors).all():
            raise SystemExit("the answer was read wrongly")
        return 1e3 * float(np.median(times))

    return {"MB": len(content) / 1e6, "orjson ms": timed(wire.decode), "standard library ms": timed(json.loads)}


def main() -> None:
    """Measure one thing."""
    parser = argparse.ArgumentParser(description="One measurement, as JSON.")
    parser.add_argument("what", choices=["run", "search", "prepare", "parse"])
    parser.add_argument("--url")
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--queries", type=Path)
    parser.add_argument("--state", type=Path)
    parser.add_argument("--backend", default="server")
    parser.add_argument("--dimension", type=int, default=16)
    parser.add_argument("--checkpoint", type=int, default=1000)
    parser.add_argument("--audit", action=argparse.BooleanOptionalAction, default=True)
    given = parser.parse_args()
    measured = {"run": run, "search": search, "prepare": prepare, "parse": parse}[given.what](given)
    print(json.dumps(measured))


if __name__ == "__main__":
    main()
