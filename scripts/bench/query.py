#!/usr/bin/env python3
"""What ddsim adds to a query: its time beyond that of the server, picture decoding apart.

    python scripts/bench/query.py                        # 10,000 items of 2048 values
    python scripts/bench/query.py --items 100000 --values 256

Pictures are prepared beforehand. Each query is timed, and beside it the same request sent again over a kept-alive
connection of ``http.client``, with the answer read and thrown away. From both the null server's own time, which it
tells, is taken off; what is left of the difference is ddsim's: JSON, HTTP beyond the bare exchange, the manifest, the
vote, the results. With the vectors kept by ddsim that includes searching them.

The null server looks through all rows on this machine, 80 MB of them, before it answers, and what the client had in
the processor's caches is gone by then. A server elsewhere leaves them alone: for ``server, elsewhere`` all queries are
asked once before any is timed, and the null server answers as it did then.
"""

from __future__ import annotations

import argparse
import http.client
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import orjson
from bench_index import catalogue, null_server, photos
from measure import TimedTransport, client_of, settings_of
from report import Report, arguments

from ddsim.catalogue import walk
from ddsim.deepdetect import Reply, Timeout
from ddsim.pictures import encode
from ddsim.search import ImageSearch, IndexOptions

_WARM = 20


class Remembering(TimedTransport):
    """Keeps the last request."""

    last: tuple[str, str, bytes] = ("", "", b"")

    def exchange(self, method: str, path: str, json: Mapping[str, Any] | None, timeout: Timeout) -> Reply:
        """See :class:`TimedTransport`."""
        self.last = method, path, orjson.dumps(json)
        return super().exchange(method, path, json, timeout)


def bare(connection: http.client.HTTPConnection, request: tuple[str, str, bytes]) -> float:
    """Seconds of a request beyond the server's own."""
    method, path, body = request
    begun = time.perf_counter()
    connection.request(method, path, body, {"Content-Type": "application/json"})
    answer = connection.getresponse()
    answer.read()
    return time.perf_counter() - begun - float(answer.headers["X-Seconds"])


def added(options: argparse.Namespace, queries: Path, rounds: int, *, twice: bool) -> np.ndarray:
    """(query, server, bare exchange, added; in ms, and the processor's ms of this thread) of each query."""
    transport = Remembering(options.url)
    rows = []
    with ImageSearch(settings_of(options), client=client_of(options, transport)) as search:
        search.index(options=IndexOptions(audit=False))
        upload = search.settings.upload_options()
        pictures = [encode(entry.path, upload) for entry, _ in zip(walk(queries), range(_WARM + rounds), strict=False)]
        for picture in pictures if twice else ():
            search.query(picture)
        connection = http.client.HTTPConnection(options.url.removeprefix("http://"))
        for picture in pictures:
            before, begun, worked = transport.server_seconds, time.perf_counter(), time.thread_time()
            search.query(picture)
            took, worked = time.perf_counter() - begun, time.thread_time() - worked
            server = transport.server_seconds - before
            beside = bare(connection, transport.last)
            rows.append((took, server, beside, took - server - beside, worked))
        connection.close()
    return 1000 * np.array(rows[_WARM:])


def main() -> None:
    """Measure each, and print the table."""
    parser = arguments(__doc__)
    parser.add_argument("--items", type=int, default=10_000)
    parser.add_argument("--values", type=int, default=2048)
    parser.add_argument("--rounds", type=int, default=200, help="queries that count")
    given = parser.parse_args()
    report = Report("query", ["orjson", "requests", "faiss-cpu"])
    rows = []
    with tempfile.TemporaryDirectory() as scratch:
        for home in ("server, elsewhere", "server", "local"):
            elsewhere, backend = "elsewhere" in home, home.partition(",")[0]
            with null_server(*(["--remember"] if elsewhere else [])) as url:
                options = argparse.Namespace(
                    url=url,
                    state=Path(scratch, home),
                    folder=catalogue(Path(scratch), given.items),
                    backend=backend,
                    dimension=given.values,
                    checkpoint=1000,
                )
                found = added(options, photos(Path(scratch)), given.rounds, twice=elsewhere)
            middle, late = np.median(found, axis=0), np.quantile(found, 0.95, axis=0)
            name = f"{given.items} x {given.values}, {home}"
            rows.append([name, *(float(middle[place]) for place in (0, 1, 2, 3)), float(late[3]), float(middle[4])])
    heads = ["items x values, index", "query ms", "server ms", "bare exchange ms", "added p50 ms", "added p95 ms"]
    report.table([*heads, "of the processor ms"], rows)
    if given.write:
        report.write()


if __name__ == "__main__":
    main()
