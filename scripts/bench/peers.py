#!/usr/bin/env python3
"""ddsim beside what people would use: pictures a second from files to searchable, a query, memory. One run, one table.

    python -m venv peers && peers/bin/pip install imagededup hnswlib faiss-cpu qdrant-client chromadb
    python scripts/bench/peers.py --python peers/bin/python

Nothing is downloaded but packages, so imagededup runs a network of about the same work with random weights:
EfficientNet-B0 (0.39 GMAC) where ddsim's EfficientNet-Lite0 has 0.40. Each system works in a process of its own. Those
that store vectors only (FAISS, hnswlib, Qdrant's and Chroma's local modes) take vectors that are ready, compared with
ddsim's own home of vectors in a table of theirs. What is not installed is said so.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

_ROWS, _VALUES, _QUERIES = 20_000, 256, 100


def peak_mb() -> float:
    """The most that was resident so far."""
    lines = Path("/proc/self/status").read_text("ascii").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1024


def median_ms(ask: Callable[[int], object], count: int) -> float:
    """Of so many queries, after a few that do not count."""
    took = []
    for place in range(count + 5):
        begun = time.perf_counter()
        ask(place)
        took.append(time.perf_counter() - begun)
    return 1000 * sorted(took[5:])[count // 2]


# From files to searchable


def ddsim_pictures(folder: Path) -> dict[str, Any]:
    """The embedded server."""
    from engine import settings_for

    from ddsim.search import ImageSearch, IndexOptions

    with tempfile.TemporaryDirectory() as root, ImageSearch(settings_for(Path(root), folder, True)) as search:
        begun = time.perf_counter()
        report = search.index(options=IndexOptions(audit=False))
        took = time.perf_counter() - begun
        paths = sorted(folder.rglob("*.jpg"))
        ms = median_ms(lambda place: search.query(paths[place % len(paths)]), 30)
    return {"system": "ddsim, embedded server", "versions": ["onnxruntime"], "rate": report.indexed / took, "ms": ms}


def imagededup_pictures(folder: Path) -> dict[str, Any]:
    """The encoder of imagededup, and hnswlib to search, as it has no index of its own."""
    import torch

    if torch.version.cuda is None:
        # A torchvision built for CUDA has none of its operators beside such a torch; classifiers need none.
        torch.library.register_fake = lambda *_, **_options: lambda function: function
    import hnswlib
    import numpy as np
    import torchvision
    from imagededup.methods import CNN
    from imagededup.utils import CustomModel

    network = torchvision.models.efficientnet_b0(weights=None).eval()
    network.classifier = torch.nn.Identity()
    normal = torchvision.transforms.Compose(
        [torchvision.transforms.Resize((224, 224)), torchvision.transforms.ToTensor()]
    )
    encoder = CNN(verbose=False, model_config=CustomModel("efficientnet_b0", network, normal))
    begun = time.perf_counter()
    found = encoder.encode_images(image_dir=folder, recursive=True)
    vectors = np.stack([np.ravel(vector) for vector in found.values()])
    index = hnswlib.Index("l2", vectors.shape[1])
    index.init_index(len(vectors))
    index.add_items(vectors)
    took = time.perf_counter() - begun
    paths = sorted(folder.rglob("*.jpg"))

    def ask(place: int) -> object:
        return index.knn_query(encoder.encode_image(image_file=paths[place % len(paths)]), 10)

    packages = ["imagededup", "torch", "torchvision", "hnswlib"]
    return {"system": "imagededup + hnswlib", "versions": packages, "rate": len(found) / took, "ms": median_ms(ask, 30)}


# Vectors that are ready


def vectors() -> tuple[Any, Any]:
    """Those that are stored, and queries near some of them."""
    import numpy as np

    random = np.random.default_rng(0)
    rows = random.normal(size=(_ROWS, _VALUES)).astype(np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    return rows, rows[:_QUERIES] + random.normal(0, 0.01, (_QUERIES, _VALUES)).astype(np.float32)


def stored(system: str, packages: list[str], add: Callable[[Any], object], ask: Callable[[Any], int]) -> dict[str, Any]:
    """One store, measured; ``ask`` gives the nearest row's number."""
    rows, queries = vectors()
    before, begun = peak_mb(), time.perf_counter()
    add(rows)
    took = time.perf_counter() - begun
    right = sum(ask(query) == place for place, query in enumerate(queries)) / _QUERIES
    ms = median_ms(lambda place: ask(queries[place % _QUERIES]), _QUERIES)
    return {"system": system, "versions": packages, "rate": _ROWS / took, "ms": ms, "right": right, "base": before}


def ddsim_vectors(_: Path) -> dict[str, Any]:
    """Ddsim's own home, without its manifest."""
    import numpy as np

    from ddsim.vectors.table import Table

    index = Table(_VALUES, "cosine")
    return stored(
        "ddsim, exact (FAISS)",
        ["faiss-cpu"],
        lambda rows: index.add(np.arange(1, _ROWS + 1), rows),
        lambda query: index.nearest(query, 10)[0][0] - 1,
    )


def faiss_vectors(_: Path) -> dict[str, Any]:
    """FAISS by itself."""
    import faiss

    index = faiss.IndexFlatIP(_VALUES)
    return stored("FAISS Flat", ["faiss-cpu"], index.add, lambda query: int(index.search(query[None], 10)[1][0, 0]))


def hnswlib_vectors(_: Path) -> dict[str, Any]:
    """hnswlib, as its README begins."""
    import hnswlib

    index = hnswlib.Index("cosine", _VALUES)
    index.init_index(_ROWS, ef_construction=200, M=16)
    index.set_ef(50)
    return stored("hnswlib", ["hnswlib"], index.add_items, lambda query: int(index.knn_query(query, 10)[0][0, 0]))


def qdrant_vectors(_: Path) -> dict[str, Any]:
    """Qdrant's local mode."""
    from qdrant_client import QdrantClient, models

    client = QdrantClient(":memory:")
    client.create_collection("all", models.VectorParams(size=_VALUES, distance=models.Distance.COSINE))
    return stored(
        "Qdrant, local mode",
        ["qdrant-client"],
        lambda rows: client.upload_collection("all", vectors=rows, ids=list(range(_ROWS))),
        lambda query: client.query_points("all", query=query.tolist(), limit=10).points[0].id,
    )


def chroma_vectors(_: Path) -> dict[str, Any]:
    """Chroma in memory."""
    import chromadb
    from chromadb.config import Settings

    client = chromadb.EphemeralClient(Settings(anonymized_telemetry=False))
    found = client.create_collection("all", metadata={"hnsw:space": "cosine"})

    def add(rows: Any) -> None:
        for start in range(0, _ROWS, 5000):
            part = rows[start : start + 5000]
            found.add(ids=[str(start + place) for place in range(len(part))], embeddings=part)

    return stored(
        "Chroma, in memory",
        ["chromadb"],
        add,
        lambda query: int(found.query(query_embeddings=[query], n_results=10)["ids"][0][0]),
    )


PICTURES = {"ddsim": ddsim_pictures, "imagededup": imagededup_pictures}
STORES = {
    "ddsim-vectors": ddsim_vectors,
    "faiss": faiss_vectors,
    "hnswlib": hnswlib_vectors,
    "qdrant": qdrant_vectors,
    "chroma": chroma_vectors,
}


def one(name: str, folder: Path) -> None:
    """Measure one system, and print JSON."""
    try:
        found = (PICTURES | STORES)[name](folder)
        found["versions"] = " ".join(f"{package} {version(package)}" for package in found["versions"])
        print(json.dumps(found | {"MB": peak_mb()}))
    except ImportError as error:
        print(json.dumps({"missing": f"{name}: not measured, {error}"}))


def main() -> None:
    """Measure all, and print the tables."""
    from engine import make_catalogue
    from report import Report, arguments

    parser = arguments(__doc__)
    parser.add_argument("--python", default=sys.executable, help="the Python that has the peers")
    parser.add_argument("--photos", type=int, default=300)
    given = parser.parse_args()
    report = Report("peers", ["pillow", "numpy"])
    with tempfile.TemporaryDirectory() as scratch:
        folder = make_catalogue(Path(scratch, "catalogue"), given.photos, (300, 600))

        def measured(name: str) -> dict[str, Any]:
            python = sys.executable if name.startswith("ddsim") else given.python
            done = subprocess.run([python, __file__, name, str(folder)], stdout=subprocess.PIPE, text=True, check=True)
            found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
            return found

        tables = [[measured(name) for name in group] for group in (PICTURES, STORES)]
    pictures, stores = ([one for one in table if "missing" not in one] for table in tables)
    report.say(f"{given.photos} photos of 300 to 600 pixels; a query begins with its file:")
    report.table(
        ["system", "versions", "pictures/s", "query p50 ms", "MB at most"],
        [[row["system"], row["versions"], row["rate"], row["ms"], round(row["MB"])] for row in pictures],
    )
    report.say(f"{_ROWS} vectors of {_VALUES} values, the 10 nearest; `right` is how often the nearest one was found:")
    report.table(
        ["store", "versions", "rows/s", "query p50 ms", "right", "MB more"],
        [
            [r["system"], r["versions"], round(r["rate"]), r["ms"], r["right"], round(r["MB"] - r["base"])]
            for r in stores
        ],
    )
    for row in (row for table in tables for row in table if "missing" in row):
        report.say(row["missing"])
    if given.write:
        report.write()


if __name__ == "__main__":
    if len(sys.argv) == 3 and sys.argv[1] in PICTURES | STORES:
        one(sys.argv[1], Path(sys.argv[2]))
    else:
        main()
