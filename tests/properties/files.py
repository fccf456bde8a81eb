"""Whatever a file holds, its reader gives a result or one of the errors that it names."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from spoiling import Edit, spoilt
from torch_writer import state_dict

from ddsim import Client, Label, Reply, ServiceSpec, Timeout
from ddsim.caffe import (
    for_server,
    half_precision,
    layer_shapes,
    parse,
    read_blob,
    read_definition,
    read_labels,
    read_shapes,
    read_weights,
    to_text,
)
from ddsim.catalogue import Manifest
from ddsim.catalogue.folder import Entry
from ddsim.config import load
from ddsim.config.loading import dump
from ddsim.deepdetect import Canary
from ddsim.deepdetect.wire import decode
from ddsim.embedded import EmbeddedTransport, Engine
from ddsim.evaluation.experiments import read_experiments
from ddsim.networks.torchfile import read_tensors
from ddsim.vectors.cache import FILE as CACHE_FILE
from ddsim.vectors.cache import Cache
from ddsim.vectors.shelf import Shelf
from ddsim.vectors.vectorfile import Damaged, read, read_arrays, write
from ddsim.web.products import Products

ROOT = Path(__file__).parents[2]
TINY = ROOT / "tests" / "contract" / "recordings" / "models" / "tiny"
CONFIGS = ROOT / "configs"
_IDENTITY = {"catalogue": "shop"}
_MANIFEST = "manifest.sqlite"

# What Caffe's definitions of before 2014 look like, with layers that take parameters of all kinds.
_OLD_DEFINITION = b"""name: "old"
input: "data" input_dim: 1 input_dim: 3 input_dim: 32 input_dim: 32
layers { name: "c" type: CONVOLUTION bottom: "data" top: "c" blobs_lr: 1
  convolution_param { num_output: 4 kernel_h: 3 kernel_w: 5 pad: 1 stride: 2 group: 1 } }
layers { name: "r" type: RELU bottom: "c" top: "c" }
layers { name: "p" type: POOLING bottom: "c" top: "p" pooling_param { pool: MAX kernel_size: 2 stride: 2 } }
layers { name: "n" type: LRN bottom: "p" top: "n" lrn_param { local_size: 5 alpha: 0.0001 beta: 0.75 } }
layers { name: "d" type: DROPOUT bottom: "n" top: "n" dropout_param { dropout_ratio: 0.5 } }
layers { name: "k" type: CONCAT bottom: "n" bottom: "p" top: "k" }
layers { name: "f" type: INNER_PRODUCT bottom: "k" top: "f" inner_product_param { num_output: 5 } }
layers { name: "prob" type: SOFTMAX bottom: "f" top: "prob" }
"""
_PRODUCTS = b"""uri;name;price;url
lamp/a.jpg;Desk lamp "\xc3\x89clair";19,90 \xe2\x82\xac;https://shop.example/lamps/a
bed/b.jpg;"Bed; wide";"399";
"""


@contextmanager
def folder() -> Iterator[Path]:
    """One of its own, and gone afterwards."""
    with tempfile.TemporaryDirectory() as name:
        yield Path(name)


def _bytes_of(*paths: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in paths}


# Text


def check_yaml(base: str, edits: Sequence[Edit]) -> None:
    """A configuration; what can be read, written and read again is the same."""
    with folder() as place:
        shutil.copytree(CONFIGS / "categories", place / "categories")
        file = place / base
        file.write_bytes(spoilt(YAML[base], edits))
        if base in _EXPERIMENTS:
            read_experiments([file])
            return
        settings = load(file)
        again = place / "again.yaml"
        again.write_text(dump(settings), encoding="utf-8")
        assert dump(load(again)) == dump(settings)


_EXPERIMENTS = [path.name for path in (CONFIGS / "experiments").glob("demo*.yaml")]
YAML = _bytes_of(*CONFIGS.glob("*.yaml"), *(CONFIGS / "experiments").glob("demo*.yaml"))


def check_prototxt(base: str, edits: Sequence[Edit]) -> None:
    """A definition; what can be read is written in a way that reads the same."""
    content = spoilt(PROTOTXT[base], edits)
    text = content.decode("utf-8", "replace")
    tree = parse(text)
    assert parse(to_text(tree)) == tree
    definition = read_definition(text)
    layer_shapes(definition)
    for_server(content)


PROTOTXT = {"tiny": (TINY / "deploy.prototxt").read_bytes(), "old": _OLD_DEFINITION}


def check_labels(base: str, edits: Sequence[Edit]) -> None:
    """A file of labels."""
    assert all(isinstance(name, str) for name in read_labels(spoilt(LABELS[base], edits)).names.values())


LABELS = {"tiny": (TINY / "corresp.txt").read_bytes(), "names": b"lamp\nbed\nchair\n"}


def check_products(base: str, edits: Sequence[Edit]) -> None:
    """A file of products: it is told what is wrong with it, and nothing is raised at all."""
    with folder() as place:
        (place / base).write_bytes(spoilt(PRODUCTS[base], edits))
        products = Products(lambda: place, lambda: ["lamp/a.jpg", "bed/b.jpg"])
        assert products.matching().file == base
        products.get("lamp/a.jpg")
        assert all(isinstance(sentence, str) for sentence in products.matching().sentences)


_AS_JSON = [{"uri": "lamp/a.jpg", "name": "Lamp", "price": 19.9, "url": "https://shop.example/a"}, {"uri": "bed/b.jpg"}]
PRODUCTS = {"products.csv": _PRODUCTS, "products.json": json.dumps(_AS_JSON, indent=1).encode()}


# Networks


def check_caffemodel(base: str, edits: Sequence[Edit]) -> None:
    """Weights: as many numbers as their shapes say."""
    data = spoilt(CAFFEMODEL[base], edits)
    if base == "mean.binaryproto":
        read_blob(data)
        return
    shapes, weights = read_shapes(data), read_weights(data)
    assert {name: [blob.shape for blob in blobs] for name, blobs in weights.items()} == shapes
    half_precision(data)


CAFFEMODEL = {"tiny.caffemodel": (TINY / "tiny.caffemodel").read_bytes()}
CAFFEMODEL["mean.binaryproto"] = b"\x3a\x04\x0a\x02\x02\x03\x2a\x18" + np.arange(6, dtype="<f4").tobytes()


def check_torchfile(base: str, edits: Sequence[Edit]) -> None:
    """Tensors in PyTorch's legacy format; reading all their numbers stays within the file."""
    for tensor in read_tensors(spoilt(TORCHFILE[base], edits)).values():
        tensor.sum()


TORCHFILE = {
    "two": state_dict({"a.weight": np.arange(12).reshape(3, 4), "b": np.float32(2)}),
    "one": state_dict({"conv": np.ones((2, 1, 3, 3))}),
}


def check_embedded(base: str, edits: Sequence[Edit]) -> None:
    """A service of the embedded server on spoilt files: it answers in JSON, whatever it thinks of them."""
    with folder() as place:
        for file in (*TINY.glob("*.prototxt"), *TINY.glob("*.caffemodel"), TINY / "corresp.txt"):
            content = file.read_bytes()
            (place / file.name).write_bytes(spoilt(content, edits) if file.name == base else content)
        transport = EmbeddedTransport(Engine())
        with Client(transport=_Plain(transport), retries=0) as client:
            client.create_service(ServiceSpec(name="cls", repository=str(place), nclasses=5, width=32, height=32))
            client.classify("cls", [Image.new("RGB", (32, 32), (9, 99, 199))])


class _Plain:
    """Nothing but JSON comes out of the server; labels that are no UTF-8 come out as the real one gives them."""

    def __init__(self, inner: EmbeddedTransport) -> None:
        self._inner = inner

    def exchange(self, method: str, path: str, body: Any, timeout: Timeout) -> Reply:
        reply = self._inner.exchange(method, path, body, timeout)
        decode(reply.body)
        return reply

    def close(self) -> None:
        self._inner.close()


EMBEDDED = ["deploy.prototxt", "tiny.caffemodel", "corresp.txt"]


# What ddsim itself writes


def check_manifest(base: str, edits: Sequence[Edit]) -> None:
    """A manifest whose bytes were changed by a disk."""
    with folder() as place:
        (place / _MANIFEST).write_bytes(spoilt(_manifest(), edits))
        with (Manifest.open if base == "opened" else Manifest.look)(place, _IDENTITY) as manifest:
            manifest.counts()
            manifest.categories()
            list(manifest.vids())
            list(manifest.twins())
            manifest.resolve(range(50))
            manifest.rows()
            manifest.sample(5, 1)
            manifest.get_meta("calibration")
            manifest.find("lamp/3.jpg")
            if base == "opened":
                _work_on(manifest)


def _work_on(manifest: Manifest) -> None:
    with manifest.writing():
        entries = [Entry(f"lamp/{number}.jpg", "lamp", Path("x"), 100 + number, 7) for number in range(30)]
        with manifest.plan(entries, lambda _: "0" * 64) as plan:
            manifest.apply(plan)
        if rows := manifest.pending(limit=2):
            vids = manifest.begin([(row.uri, "f" * 64, row.size, row.mtime_ns) for row in rows])
            manifest.added(vids)
            manifest.indexed()


MANIFEST = ["opened", "looked at"]


@cache
def _manifest() -> bytes:
    with folder() as place:
        with Manifest.open(place, _IDENTITY) as manifest, manifest.writing():
            entries = [Entry(f"lamp/{number}.jpg", "lamp", Path("x"), 100, number) for number in range(20)]
            with manifest.plan(entries, lambda _: "0" * 64) as plan:
                manifest.apply(plan)
            rows = manifest.pending(limit=15)
            vids = manifest.begin(
                [(row.uri, f"{place:064x}", row.size, row.mtime_ns) for place, row in enumerate(rows)]
            )
            manifest.added(vids)
            manifest.indexed()
            manifest.set_meta(calibration={"a": [1.5, 2.5]})
        return (place / _MANIFEST).read_bytes()


def check_cache(base: str, edits: Sequence[Edit]) -> None:
    """The file of kept vectors and labels."""
    hashes = [f"{number:064x}" for number in range(10)]
    with folder() as place:
        (place / CACHE_FILE).write_bytes(spoilt(_cache(), edits))
        with Cache(place, holding=base == "held") as kept:
            kept.known("network", hashes)
            assert all(vector.ndim == 1 for vector in kept.vectors("network", hashes).values())
            kept.labels("labels", hashes)
            kept.keep_vectors("network", {hashes[0]: np.ones(3, np.float32)})
            kept.recognise("network", "alike", Canary(np.ones((3, 4), np.float32)))
            kept.size()
            kept.trim(2**14)


CACHE = ["held", "not held"]


@cache
def _cache() -> bytes:
    with folder() as place:
        with Cache(place) as kept:
            kept.keep_vectors("network", {f"{number:064x}": np.full(4, number, np.float32) for number in range(10)})
            kept.keep_labels("labels", {f"{number:064x}": [Label("lamp", 0.5)] for number in range(10)})
            kept.recognise("network", "alike", Canary(np.zeros((3, 4), np.float32)))
        return (place / CACHE_FILE).read_bytes()


def check_vectors(base: str, edits: Sequence[Edit]) -> None:
    """The file of a local index: it is read as it was written, or called damaged."""
    with folder() as place:
        file = place / "vectors.npz"
        write(file, "cosine", np.arange(6, dtype=np.int64), _ROWS, np.ones(6, np.float32))
        whole = file.read_bytes()
        changed = spoilt(whole, edits)
        file.write_bytes(changed)
        with suppress(Damaged):
            if base == "arrays":
                read_arrays(file)
                return
            found = list(read(file, "l2", "cosine"))
            assert np.array_equal(np.concatenate([part.rows for part in found]), _ROWS)


def check_store(base: str, edits: Sequence[Edit]) -> None:
    """The folder of a local index: what is damaged counts as not there, and no row is another than it was."""
    with folder() as place:
        _fill(place)
        file = next(place.glob(base))
        file.write_bytes(spoilt(file.read_bytes(), edits))
        with closing(Shelf(place, _ROWS.shape[1], "l2")) as shelf:
            shelf.look()
            vids = shelf.table.vids
            assert np.array_equal(shelf.table.rows_of(vids), _ROWS[vids])
            shelf.prepare()
            shelf.save()


def _fill(place: Path) -> None:
    with closing(Shelf(place, _ROWS.shape[1], "l2")) as shelf:
        shelf.look()
        shelf.prepare()
        shelf.table.add(np.arange(6, dtype=np.int64), _ROWS)
        shelf.save()


STORE = ["segments.json", "*.seg"]
_ROWS = np.arange(24, dtype=np.float32).reshape(6, 4)
VECTORS = ["arrays", "rows"]
