#!/usr/bin/env python3
"""Indexing beside what is there without ddsim: pictures a second, from files to vectors.

    python scripts/bench/indexing.py                              # null server, slow server, embedded server
    python scripts/bench/indexing.py --url http://gpu:8080 --config resnet50    # and a real one
    python scripts/bench/indexing.py --photos 50 --large 8        # small

Beside a whole run stand

* the ceiling: the requests of that run, prepared beforehand, sent again over one kept-alive connection;
* the way of the server's own Python client and its image search: one picture a call, the original file as base64, a new
  connection each time;
* ONNX Runtime alone on blobs that are ready, for the embedded server.

Runs send pictures at the network's size, as they do by default, while the server's own client sends files as they are.
So there is a run of the embedded server without a socket, as ``server: {url: embedded}`` has it, that sends them as
they are, too: no connection is there that smaller pictures would relieve.

The slow server is the null server with so many milliseconds a picture in which it does nothing, as one with a GPU is
slow without taking this machine's cores. ``client ms`` is the processor's time of the run beyond decoding, shrinking
and encoding, a picture; ``libraries ms`` is that of a loop of the libraries alone, see ``bare.py``, in turns with it.
"""

from __future__ import annotations

import argparse
import base64
import http.client
import math
import statistics
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest.mock import patch

import orjson
import requests
from bare import client_seconds
from bench_index import null_server
from engine import LAYER, Sent, make_catalogue, ready_blobs, sending, settings_for
from report import Report, arguments

from ddsim.config import Settings, load
from ddsim.deepdetect import HttpTransport, Reply, Timeout
from ddsim.embedded import EmbeddedServer, Engine
from ddsim.indexing import preparing
from ddsim.networks import network_files
from ddsim.pictures import Encoded, Picture, Upload, encode
from ddsim.search import ImageSearch
from ddsim.search.connection import connect

_CONFIG = """
server: {{url: {url}}}
catalogue: {catalogue}
state: {state}
network: {network}
similarity: {{service: bench, repository: {repository}, create_repository: true, extract_layer: {layer}}}
routing: {{by: neighbours}}
index: {{backend: local, batch_size: {batch}}}
"""
_FILES = "{{def: {definition}, weights: {weights}, nclasses: 1000, width: 224, height: 224, mean: [127, 127, 127]}}"


_NONE = math.nan


@dataclass
class Server:
    """One that is measured: its name, address, and the settings that use it."""

    name: str
    url: str
    settings: Settings


class Recorder(HttpTransport):
    """HTTP that keeps the predictions' requests, several of which may be under way as in any run."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self.sent: list[Mapping[str, Any]] = []

    def exchange(self, method: str, path: str, json: Mapping[str, Any] | None, timeout: Timeout) -> Reply:
        """See :meth:`ddsim.deepdetect.transport.Transport.exchange`."""
        if path == "/predict" and json is not None:
            self.sent.append(json)
        return super().exchange(method, path, json, timeout)


def settings(root: Path, catalogue: Path, url: str, batch: int, layer: str, name: str) -> Settings:
    """The null server's network or, of a layer that it does not know, EfficientNet-Lite0."""
    files = network_files("efficientnet-lite0")
    path = root / f"{name}.yaml"
    path.write_text(
        _CONFIG.format(
            url=url,
            catalogue=catalogue,
            state=root / f"state-{name}",
            network=_FILES.format(definition=files.definition, weights=files.weights)
            .replace("{{", "{")
            .replace("}}", "}"),
            repository=root / f"repository-{name}",
            layer=layer,
            batch=batch,
        ),
        "utf-8",
    )
    return load(path)


@contextmanager
def servers(root: Path, catalogue: Path, batch: int, given: argparse.Namespace) -> Iterator[list[Server]]:
    """All that are to be measured."""
    with (
        null_server() as null,
        null_server("--rate", str(1000 / given.slow)) as slow,
        EmbeddedServer(Engine()) as embedded,
    ):
        found = [
            Server("null", null, settings(root, catalogue, null, batch, "d1280", "null")),
            Server(f"{given.slow:g} ms a picture", slow, settings(root, catalogue, slow, batch, "d1280", "slow")),
            Server("embedded", embedded.url, settings(root, catalogue, embedded.url, batch, LAYER, "embedded")),
        ]
        if given.url:
            real = load(given.config)
            place = {"server": real.server.model_copy(update={"url": given.url}), "state": root / "state-real"}
            index = real.index.model_copy(update={"backend": "local", "batch_size": batch})
            found.append(Server("real", given.url, real.model_copy(update={**place, "index": index})))
        yield found


@dataclass
class Run:
    """A whole run.

    Attributes:
        sent: what it took.
        prepared: the processor's seconds of it for decoding, shrinking and encoding.
        bodies: the requests it made.
    """

    sent: Sent
    prepared: float
    bodies: list[bytes]


def run(server: Server, catalogue: Path) -> Run:
    """A whole run, and the requests it made."""
    recorder = Recorder(server.url)
    client = connect(server.settings, transport=recorder)
    took: list[float] = []

    def timed(picture: Picture, upload: Upload) -> Encoded:
        begun = time.thread_time()
        try:
            return encode(picture, upload)
        finally:
            took.append(time.thread_time() - begun)

    with ImageSearch(server.settings, catalogue, client=client) as search:
        search.index()
        recorder.sent.clear()
        with patch.object(preparing, "encode", timed):
            sent = sending(search)
        return Run(sent, sum(took), [orjson.dumps(one) for one in recorder.sent])


def replayed(server: Server, bodies: Sequence[bytes], pictures: int) -> float:
    """Pictures a second of the same requests on a kept-alive connection."""
    connection = http.client.HTTPConnection(server.url.removeprefix("http://"))
    begun = time.perf_counter()
    for body in bodies:
        connection.request("POST", "/predict", body, {"Content-Type": "application/json"})
        answer = connection.getresponse()
        if answer.status != 200:
            raise SystemExit(f"{server.name}: {answer.status} {answer.read(200)!r}")
        orjson.loads(answer.read())
    took = time.perf_counter() - begun
    connection.close()
    return pictures / took


def one_by_one(server: Server, service: str, layer: str, paths: Sequence[Path]) -> float:
    """Pictures a second as the server's own Python client sends them: nothing is kept between two calls."""
    begun = time.perf_counter()
    for path in paths:
        body = {
            "service": service,
            "parameters": {"input": {}, "mllib": {"extract_layer": layer}, "output": {}},
            "data": [base64.b64encode(path.read_bytes()).decode()],
            "ids": [path.name],
        }
        requests.post(f"{server.url}/predict", json=body, timeout=2000).raise_for_status()
    return len(paths) / (time.perf_counter() - begun)


def libraries(server: Server, body: bytes, paths: Sequence[Path], batch: int) -> float:
    """Milliseconds of processor's time a picture of the libraries alone, for requests like this one."""
    template = {key: value for key, value in orjson.loads(body).items() if key not in ("data", "ids")}
    upload = server.settings.upload_options()
    with tempfile.TemporaryDirectory() as scratch:
        seconds = client_seconds(server.url, template, paths, upload, batch, Path(scratch))
    return 1000 * seconds / len(paths)


def _turn(rate: float, ceiling: float, demo: float, alone: float, beyond: float, bare: float) -> tuple[float, ...]:
    return rate, ceiling, demo, alone, rate / ceiling, rate / demo, rate / alone, beyond, bare


def _middle(turns: Sequence[Sequence[float]]) -> list[object]:
    """The medians, a dash where there is none."""
    middle = [statistics.median(column) for column in zip(*turns, strict=True)]
    return ["-" if math.isnan(value) else value for value in middle]


def measure(size: str, count: int, sides: tuple[int, int], batch: int, given: argparse.Namespace) -> list[list[object]]:
    """A row for each server."""
    rows: list[list[object]] = []
    with tempfile.TemporaryDirectory() as scratch:
        root = Path(scratch)
        catalogue = make_catalogue(root / "catalogue", count, sides, kinds=10)
        paths = sorted(catalogue.rglob("*.jpg"))
        with servers(root, catalogue, batch, given) as found:
            for server in found:
                turns, inside = [], []
                for _ in range(given.rounds):
                    whole = run(server, catalogue)
                    rate = whole.sent.rate
                    service = orjson.loads(whole.bodies[0])["service"]
                    layer = server.settings.similarity.extract_layer
                    ceiling = replayed(server, whole.bodies, count)
                    demo = one_by_one(server, service, layer, paths[: max(10, count // 5)])
                    if server.name != "embedded":
                        beyond = (whole.sent.worked - whole.prepared) / count
                        bare = libraries(server, whole.bodies[0], paths, batch)
                        turns.append(_turn(rate, ceiling, demo, _NONE, 1000 * beyond, bare))
                        continue
                    # It works in this process, too, so the client's part cannot be told.
                    alone = ready_blobs(2)
                    turns.append(_turn(rate, ceiling, demo, alone, _NONE, _NONE))
                    with ImageSearch(settings_for(root, catalogue, shrink=False, batch=batch)) as search:
                        inside.append(_turn(sending(search).rate, _NONE, demo, alone, _NONE, _NONE))
                rows.append([size, server.name, *_middle(turns)])
                if inside:
                    rows.append([size, "embedded, no socket, files as they are", *_middle(inside)])
    return rows


def main() -> None:
    """Measure both sizes, and print the table."""
    parser = arguments(__doc__)
    parser.add_argument("--photos", type=int, default=1000, help="photos of 600 pixels")
    parser.add_argument("--large", type=int, default=40, help="photos of 12 megapixels")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--slow", type=float, default=20.0, help="milliseconds a picture of the slow server")
    parser.add_argument("--url", help="a real server")
    parser.add_argument(
        "--config", type=Path, default=Path("configs/resnet50.yaml"), help="what to ask the real one for"
    )
    given = parser.parse_args()
    report = Report("indexing", ["onnxruntime", "pillow", "requests"])
    rows = measure("600 pixels", given.photos, (600, 600), 32, given)
    rows += measure("12 megapixels", given.large, (3464, 3464), 8, given)
    heads = ["photos", "server", "run /s", "(a) replay /s", "(b) one a call /s", "(c) ORT alone /s"]
    report.table([*heads, "run/(a)", "run/(b)", "run/(c)", "client ms", "libraries ms"], rows)
    if given.write:
        report.write()


if __name__ == "__main__":
    main()
