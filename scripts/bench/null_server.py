#!/usr/bin/env python3
"""A DeepDetect server whose network takes no time, so that what is left to measure is the client.

    python scripts/bench/null_server.py [--rate 150] [--remember]

prints its address and serves until its standard input ends. It knows what an indexing run and a search need: ``/info``,
services with their description, features, index and search. A layer named ``d16`` gives 16 values, drawn from the
picture's bytes: equal pictures have equal vectors, others have not. Every answer's header ``X-Seconds`` tells how long
the server itself took, so that it can be subtracted. With ``--rate`` it does so many pictures a second, one request
after the other, as a server does whose network takes its time. With ``--remember`` a search that comes once more is
answered as it was: then the server does not sweep this machine's caches, which one elsewhere cannot either.
"""

from __future__ import annotations

import argparse
import hashlib
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray

Matrix = NDArray[np.float32]

_FLAGS = "USE_CAFFE=ON USE_SIMSEARCH=ON USE_FAISS=ON USE_ANNOY=OFF USE_TORCH=OFF"


class Rows:
    """An index: names and vectors in memory, searched one by one."""

    def __init__(self) -> None:
        self.names: list[str] = []
        self._matrix: Matrix = np.zeros((0, 0), np.float32)
        self._squares: Matrix = np.zeros(0, np.float32)

    def add(self, names: list[str], vectors: Matrix) -> None:
        """Append; ``vectors`` has shape (n, d)."""
        count, total = len(self.names), len(self.names) + len(names)
        if total > len(self._matrix):
            larger = np.zeros((2 * total, vectors.shape[1]), np.float32)
            if count:
                larger[:count] = self._matrix[:count]
            self._matrix = larger
        self._matrix[count:total] = vectors
        self._squares = np.append(self._squares, np.square(vectors).sum(axis=1))
        self.names += names

    def nearest(self, query: Matrix, k: int) -> list[dict[str, Any]]:
        """The k nearest, as DeepDetect answers them: squared L2 divided by the dimension."""
        if not self.names:
            return []
        products = self._matrix[: len(self.names)] @ query
        distances = np.maximum(self._squares - 2 * products + query @ query, 0) / len(query)
        chosen = np.argpartition(distances, min(k, len(distances)) - 1)[:k]
        order = chosen[np.argsort(distances[chosen], kind="stable")]
        return [{"uri": self.names[row], "dist": float(distances[row])} for row in order]


class Services:
    """What the server knows. One call at a time."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._services: dict[str, dict[str, Any]] = {}
        self._indexes: dict[str, Rows] = {}
        self.rate: float | None = None

    def answer(self, method: str, path: str, body: Any) -> tuple[int, dict[str, Any]]:
        """Status and JSON."""
        with self._lock:
            if path == "/info":
                services = list(self._services.values())
                return 200, {"head": {"version": "null", "compile_flags": _FLAGS, "services": services}}
            if path == "/predict":
                return self._predict(body)
            return self._service(method, path.removeprefix("/services/"), body)

    def _service(self, method: str, target: str, body: Any) -> tuple[int, dict[str, Any]]:
        name, _, query = target.partition("?")
        if method == "PUT":
            parameters = body["parameters"]
            self._services[name] = {
                "name": name,
                "description": body["description"],
                "mllib": body["mllib"],
                "type": body["type"],
                "repository": body["model"]["repository"],
                "parameters": parameters,
            }
            return 201, _status(201, "Created")
        if name not in self._services:
            return 404, _status(404, "Not Found", 1002, "Service Not Found")
        if method == "DELETE":
            service = self._services.pop(name)
            if query:
                self._indexes.pop(service["repository"], None)
            return 200, _status(200, "OK")
        return 200, _status(200, "OK") | {"body": self._services[name]}

    def _predict(self, body: Any) -> tuple[int, dict[str, Any]]:
        service = self._services.get(body["service"])
        if service is None:
            return 404, _status(404, "Not Found", 1002, "Service Not Found")
        if self.rate is not None:
            time.sleep(len(body["data"]) / self.rate)
        output = body["parameters"]["output"]
        names, vectors = body["ids"], _vectors(body["data"], body["parameters"]["mllib"]["extract_layer"])
        # Single floats, written with the digits of doubles as DeepDetect does.
        predictions = [
            {"uri": name, "vals": vector} for name, vector in zip(names, vectors.astype(np.float64), strict=True)
        ]
        rows = self._indexes.setdefault(service["repository"], Rows())
        if output.get("index"):
            rows.add(names, vectors)
        if output.get("search"):
            for prediction, vector in zip(predictions, vectors, strict=True):
                prediction["nns"] = rows.nearest(vector, output["search_nn"])
        return 200, _status(200, "OK") | {"body": {"predictions": predictions}}


def _vectors(data: list[str], layer: str) -> Matrix:
    """Shape (n, d), from -0.5 to 0.5."""
    size = int(layer.removeprefix("d"))
    drawn = [np.frombuffer(hashlib.shake_128(text.encode()).digest(2 * size), "<u2") for text in data]
    vectors: Matrix = np.stack(drawn).astype(np.float32) / np.float32(65536) - np.float32(0.5)
    return vectors


def _status(code: int, words: str, dd_code: int | None = None, dd_words: str = "") -> dict[str, Any]:
    status: dict[str, Any] = {"code": code, "msg": words}
    if dd_code is not None:
        status |= {"dd_code": dd_code, "dd_msg": dd_words}
    return {"status": status}


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1
    services = Services()
    remembered: dict[bytes, tuple[int, bytes]] | None = None

    def _serve(self) -> None:
        raw = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        begun = time.perf_counter()
        code, content = self._answer(raw)
        took = time.perf_counter() - begun
        self.send_response_only(code)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.send_header("X-Seconds", f"{took:.6f}")
        self.end_headers()
        self.wfile.write(content)
        self.wfile.flush()

    def _answer(self, raw: bytes) -> tuple[int, bytes]:
        known = self.remembered
        if known is not None and raw in known:
            return known[raw]
        body: Any = orjson.loads(raw) if raw else None
        code, payload = self.services.answer(self.command, self.path, body)
        answer = code, orjson.dumps(payload, option=orjson.OPT_SERIALIZE_NUMPY)
        if known is not None and self.path == "/predict" and body["parameters"]["output"].get("search"):
            known[raw] = answer
        return answer

    do_GET = do_PUT = do_POST = do_DELETE = _serve  # noqa: N815 - the base class's names


def main() -> None:
    """Serve until standard input ends, which it does when whoever started this is gone."""
    parser = argparse.ArgumentParser(description="A DeepDetect server whose network takes no time.")
    parser.add_argument("--rate", type=float, help="pictures a second at most")
    parser.add_argument("--remember", action="store_true", help="answer a search that comes once more as before")
    given = parser.parse_args()
    _Handler.services.rate = given.rate
    _Handler.remembered = {} if given.remember else None
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    print(f"http://127.0.0.1:{server.server_address[1]}", flush=True)
    sys.stdin.read()
    server.shutdown()


if __name__ == "__main__":
    main()
