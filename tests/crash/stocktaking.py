"""A small catalogue with bad files in it, its configuration, and how to see that nothing of it was lost."""

from __future__ import annotations

import json
import shutil
import struct
import zlib
from collections import Counter
from pathlib import Path

import numpy as np
import yaml
from PIL import Image

from ddsim import ImageSearch, load
from ddsim.catalogue.manifest import ItemState

TINY = Path(__file__).parents[1] / "contract" / "recordings" / "models" / "tiny"
CATEGORIES = ("bed", "chair", "lamp", "sofa", "table")
PICTURES = 200
#: Four that ddsim cannot read, one that it can and the server cannot.
BAD = ("bed/007.png", "chair/011.png", "lamp/000.png", "sofa/025.png", "table/039.png")
REFUSED = "lamp/000.png"
BATCH, CHECKPOINT = 8, 40
_AT_ONCE = 40
# Between two different pictures it is more than 1.
_NOTHING = 1e-4


def draw(catalogue: Path, *, readable: bool = True) -> None:
    """Two hundred files, no two alike, five of them bad.

    Args:
        catalogue: an empty folder.
        readable: whether REFUSED is a picture, as for a server that cannot read it all the same.
    """
    dice = np.random.default_rng(7)
    for number in range(PICTURES):
        _draw(catalogue / f"{CATEGORIES[number % 5]}/{number // 5:03d}.png", dice)
    (catalogue / BAD[0]).write_bytes(b"")
    (catalogue / BAD[1]).write_bytes(b"notes of a carpenter, no picture")
    (catalogue / BAD[3]).write_bytes((catalogue / BAD[3]).read_bytes()[:200])
    (catalogue / BAD[4]).write_bytes(_huge())
    if not readable:
        (catalogue / REFUSED).write_bytes(b"nothing, either")


def rework(catalogue: Path) -> None:
    """Change some of the good pictures, remove some, add some."""
    dice = np.random.default_rng(8)
    uris = good(catalogue)
    for uri in uris[:60:3]:
        _draw(catalogue / uri, dice)
    for uri in uris[1:60:3]:
        (catalogue / uri).unlink()
    for number in range(20):
        _draw(catalogue / f"sofa/new-{number}.png", dice)


def good(catalogue: Path) -> list[str]:
    """The uris of the good pictures, sorted."""
    files = sorted(path.relative_to(catalogue).as_posix() for path in catalogue.glob("*/*.png"))
    return [uri for uri in files if uri not in BAD]


def _draw(path: Path, dice: np.random.Generator) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    patches = dice.integers(0, 256, (8, 8, 3), dtype=np.uint8)
    Image.fromarray(patches).resize((32, 32), Image.Resampling.NEAREST).save(path)


def configure(folder: Path, catalogue: Path, port: int, backend: str, **index: str) -> Path:
    """Write a configuration over the tiny network, whose files are copied to where the server may read them."""
    models = folder / "models"
    shutil.copytree(TINY, models, dirs_exist_ok=True)
    raw = {
        "server": {"url": f"http://127.0.0.1:{port}"},
        # Pictures are taken away on purpose, more than a tenth of them.
        "catalogue": {"folder": str(catalogue), "vanish_limit": 1.0},
        "state": str(folder / "state"),
        "network": {
            "def": str(models / "deploy.prototxt"),
            "weights": str(models / "tiny.caffemodel"),
            "corresp": str(models / "corresp.txt"),
            "nclasses": 5,
            "width": 32,
            "height": 32,
            "mean": [104.0, 117.0, 123.5],
        },
        "similarity": {
            "service": "crash",
            "repository": str(folder / "index"),
            "create_repository": True,
            "extract_layer": "fc1",
        },
        "index": {"backend": backend, "batch_size": BATCH, "checkpoint": CHECKPOINT, **index},
    }
    config = folder / "crash.yaml"
    config.write_text(yaml.safe_dump(raw), encoding="utf-8")
    return config


def check(config: Path) -> None:
    """Every good picture is in the index exactly once, every bad one is in quarantine, with a reason."""
    with ImageSearch(load(config)) as search:
        collection = search.collection
        uris = good(search.catalogue)
        counts = collection.manifest.counts()
        expected = {ItemState.INDEXED: len(uris), ItemState.QUARANTINED: len(BAD)}
        assert counts == {state: expected.get(state, 0) for state in ItemState}
        assert collection.manifest.categories() == Counter(uri.partition("/")[0] for uri in uris)
        failures = list(collection.failures())
        assert [failure.uri for failure in failures] == sorted(BAD)
        assert all(failure.reason for failure in failures)
        for start in range(0, len(uris), _AT_ONCE):
            asked = uris[start : start + _AT_ONCE]
            pictures = [one for uri in asked if (one := collection.picture_of(uri))]
            for uri, hits in zip(asked, collection.search(pictures, max(PICTURES, len(uris))), strict=True):
                found = [one.uri for one in hits.found]
                assert sorted(found) == uris, f"{uri} does not find everything once"
                assert found[0] == uri, f"{uri} finds {found[:3]}"
                assert hits.found[0].distance < _NOTHING < hits.found[1].distance
        lines = (collection.manifest.folder / "failures.jsonl").read_text(encoding="utf-8").splitlines()
        assert {json.loads(line)["uri"] for line in lines} == set(BAD)


def _huge() -> bytes:
    """A PNG that claims ten thousand million pixels."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    head = struct.pack(">IIBBBBB", 100_000, 100_000, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")
