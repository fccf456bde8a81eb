"""Indexing with the libraries alone: the least that a client written with them does for each picture.

A file is read, hashed and encoded, two at a time; batches are sent over one connection while the next ones are made
ready; the vectors go into a file, and a row for each picture with its vector into SQLite. There is no plan, no look at
what is sent or answered, nothing can be taken up again, and nothing is found in what comes out.
"""

from __future__ import annotations

import base64
import hashlib
import http.client
import os
import sqlite3
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import orjson

from ddsim.pictures import Encoded, Upload, encode

_TABLES = """
CREATE TABLE items (uri TEXT PRIMARY KEY, sha256 TEXT, size INTEGER, mtime_ns INTEGER, state TEXT) WITHOUT ROWID;
CREATE TABLE kept (sha256 TEXT PRIMARY KEY, vector BLOB) WITHOUT ROWID;
"""
_Row = tuple[str, str, int, int]


def client_seconds(
    url: str, template: Mapping[str, Any], paths: Sequence[Path], upload: Upload, batch: int, scratch: Path
) -> float:
    """The processor's seconds of such a run in this process, beyond decoding, shrinking and encoding.

    Args:
        url: the server.
        template: the body of a prediction, to which pictures and their names come.
        paths: the pictures.
        upload: how they are encoded.
        batch: pictures a request.
        scratch: an empty folder.
    """
    took: list[float] = []

    def ready(path: Path) -> tuple[_Row, Encoded]:
        data = path.read_bytes()
        status = os.stat(path)
        row = str(path), hashlib.sha256(data).hexdigest(), status.st_size, status.st_mtime_ns
        begun = time.thread_time()
        picture = encode(data, upload)
        took.append(time.thread_time() - begun)
        return row, picture

    address = url.removeprefix("http://")
    with (
        closing(http.client.HTTPConnection(address)) as connection,
        closing(sqlite3.connect(scratch / "bare.sqlite", isolation_level=None)) as notes,
        (scratch / "vectors").open("wb") as vectors,
        ThreadPoolExecutor(2) as makers,
        ThreadPoolExecutor(1) as sender,
    ):

        def send(pictures: Sequence[Encoded]) -> bytes:
            data = [base64.b64encode(picture.data).decode() for picture in pictures]
            body = orjson.dumps({**template, "data": data, "ids": [str(number) for number in range(len(data))]})
            connection.request("POST", "/predict", body, {"Content-Type": "application/json"})
            return connection.getresponse().read()

        def take(rows: Sequence[_Row], answer: Future[bytes]) -> None:
            predictions = orjson.loads(answer.result())["body"]["predictions"]
            values = np.array([one["vals"] for one in predictions], dtype=np.float32)
            vectors.write(values.tobytes())
            notes.execute("BEGIN")
            notes.executemany("INSERT INTO items VALUES (?, ?, ?, ?, 'indexed')", rows)
            notes.executemany(
                "INSERT OR REPLACE INTO kept VALUES (?, ?)",
                [(row[1], value.tobytes()) for row, value in zip(rows, values, strict=True)],
            )
            notes.execute("COMMIT")

        notes.execute("PRAGMA journal_mode = WAL")
        notes.execute("PRAGMA synchronous = NORMAL")
        notes.executescript(_TABLES)
        begun = time.process_time()
        under_way: tuple[Sequence[_Row], Future[bytes]] | None = None
        made = makers.map(ready, paths)
        while some := list(islice(made, batch)):
            answer = sender.submit(send, [picture for _, picture in some])
            if under_way is not None:
                take(*under_way)
            under_way = [row for row, _ in some], answer
        if under_way is not None:
            take(*under_way)
        return time.process_time() - begun - sum(took)
