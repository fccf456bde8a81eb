#!/usr/bin/env python3
"""What shrinking pictures before upload does to their vectors, their size and the time they take.

The server resizes every picture to the network's input by itself, with OpenCV's bicubic filter, which does not average
what it leaves out. A picture that was shrunk well before is therefore not quite the same to the network as its
original. This script measures how far apart the two are, and whether it matters for finding pictures of the same class:

    python scripts/bench/upload.py --photos photos --model models/squeezenet_v1.1 --layer pool10 --mean 104 117 123

``--photos`` holds one folder a class, with JPEGs in it; ``--model`` holds deploy.prototxt and one .caffemodel.
``--camera`` first blows the photos up six times and adds sensor noise, a stand-in for pictures straight from a camera:
small photos hardly show the effect, and the noise makes it larger than real pictures would.

One row is one way to prepare pictures (``shipped`` is ddsim's own, the other shrinking rows change one thing in it):

- cosine between the vectors of prepared and original picture: mean, and the lowest of the best 95 %
- all: P@1 and P@5 (neighbours of the same class, the picture itself left out), all pictures prepared
- mixed: the same with the originals in the catalogue and prepared pictures as queries
- kB and ms for one picture, preparing on one core
"""

from __future__ import annotations

import argparse
import io
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ddsim.embedded.network import Network
from ddsim.embedded.pictures import Preprocessing, decode, prepare
from ddsim.pictures import Upload, encode

Vectors = NDArray[np.float32]
Write = Callable[[Image.Image], bytes]
Prepare = Callable[[bytes], bytes]


def jpeg(image: Image.Image, quality: int = 95, subsampling: int = 0) -> bytes:
    """A JPEG file, 4:4:4 unless said otherwise."""
    file = io.BytesIO()
    image.save(file, "JPEG", quality=quality, subsampling=subsampling)
    return file.getvalue()


def png(image: Image.Image) -> bytes:
    """A PNG file."""
    file = io.BytesIO()
    image.save(file, "PNG", compress_level=1)
    return file.getvalue()


def shrunk(data: bytes, width: int, height: int, *, draft: int = 2, write: Write = jpeg) -> bytes:
    """Shrunk with antialiasing; before, the decoder may halve down to ``draft`` times the size (0: it may not)."""
    image = Image.open(io.BytesIO(data))
    full = image.size
    if draft:
        image.draft(image.mode, (draft * max(width, height),) * 2)
    size = (min(full[0], width), min(full[1], height))
    return data if size == full else write(image.convert("RGB").resize(size, Image.Resampling.LANCZOS, reducing_gap=3))


def picked(data: bytes, width: int, height: int) -> bytes:
    """Shrunk as the server shrinks: a bicubic filter that does not average what it leaves out."""
    return png(Image.fromarray(cv2.resize(decode(data)[:, :, ::-1], (width, height), interpolation=cv2.INTER_CUBIC)))


def camera(data: bytes, seed: int) -> bytes:
    """Six times as large, with the noise of a sensor and the compression of a camera."""
    image = Image.open(io.BytesIO(data)).convert("RGB")
    large = np.asarray(image.resize((image.width * 6, image.height * 6), Image.Resampling.BICUBIC), np.float32)
    noisy = large + np.random.default_rng(seed).normal(0, 6, large.shape)
    return jpeg(Image.fromarray(noisy.clip(0, 255).astype(np.uint8)), 90, 2)


def variants(width: int, height: int) -> dict[str, Prepare]:
    """Name -> way to prepare a picture."""
    upload = Upload(shrink=(width, height))
    return {
        "shipped": lambda data: encode(data, upload).data,
        "always shrunk": lambda data: shrunk(data, width, height),
        "- as PNG": lambda data: shrunk(data, width, height, write=png),
        "- as JPEG 90 4:2:0": lambda data: shrunk(data, width, height, write=lambda image: jpeg(image, 90, 2)),
        "- draft to 1x": lambda data: shrunk(data, width, height, draft=1),
        "- without draft": lambda data: shrunk(data, width, height, draft=0),
        "- to twice the size": lambda data: shrunk(data, 2 * width, 2 * height),
        "- without antialiasing": lambda data: picked(data, width, height),
        "own size, JPEG again": lambda data: jpeg(Image.open(io.BytesIO(data)).convert("RGB")),
    }


def vectors(network: Network, layer: str, mean: tuple[float, ...], files: list[bytes]) -> Vectors:
    """(n, d), each of length 1."""
    _, height, width = network.input_shape
    preprocessing = Preprocessing(width, height, mean)
    rows = [network.forward(prepare(decode(file), preprocessing)[None], layer, 1)[0] for file in files]
    stacked = np.stack(rows)
    return np.asarray(stacked / np.linalg.norm(stacked, axis=1, keepdims=True), np.float32)


def precision(queries: Vectors, catalogue: Vectors, labels: NDArray[np.str_], k: int) -> float:
    """Share of the k nearest that are of the query's class, without the query itself."""
    similarity = queries @ catalogue.T
    np.fill_diagonal(similarity, -np.inf)
    nearest = np.argsort(-similarity, axis=1, kind="stable")[:, :k]
    return float((labels[nearest] == labels[:, None]).mean())


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description="What shrinking before upload does to vectors.")
    parser.add_argument("--photos", type=Path, required=True, help="folder with one folder of JPEGs a class")
    parser.add_argument("--model", type=Path, required=True, help="folder with deploy.prototxt and a .caffemodel")
    parser.add_argument("--layer", required=True)
    parser.add_argument("--mean", type=float, nargs="*", default=[])
    parser.add_argument("--every", type=int, default=1, help="take every n-th photo only")
    parser.add_argument("--camera", action="store_true", help="blow the photos up first")
    given = parser.parse_args()

    cv2.setNumThreads(1)
    names = sorted(given.photos.glob("*/*.jpg"))[:: given.every]
    labels = np.array([name.parent.name for name in names])
    originals = [name.read_bytes() for name in names]
    if given.camera:
        originals = [camera(data, seed) for seed, data in enumerate(originals)]
    network = Network(given.model / "deploy.prototxt", next(given.model.glob("*.caffemodel")))
    _, height, width = network.input_shape
    reference = vectors(network, given.layer, tuple(given.mean), originals)

    kilobytes = np.mean([len(data) for data in originals]) / 1000
    print(f"{given.model.name} {given.layer}, {len(names)} photos, {width} x {height}, {kilobytes:.1f} kB each")
    print(f"{'':24}   cosine   95 %   all P@1   P@5   mixed P@1   P@5       kB     ms")
    print(f"{'original':24} {precision(reference, reference, labels, 1):>25.3f} ", end="")
    print(f"{precision(reference, reference, labels, 5):.3f}")
    for name, way in variants(width, height).items():
        start = time.perf_counter()
        files = [way(data) for data in originals]
        milliseconds = (time.perf_counter() - start) / len(files) * 1000
        found = vectors(network, given.layer, tuple(given.mean), files)
        cosines = np.sum(found * reference, axis=1)
        shares = [precision(found, where, labels, k) for where in (found, reference) for k in (1, 5)]
        kilobytes = np.mean([len(file) for file in files]) / 1000
        print(
            f"{name:24} {cosines.mean():8.4f} {np.quantile(cosines, 0.05):.4f} {shares[0]:9.3f} {shares[1]:.3f}"
            f" {shares[2]:11.3f} {shares[3]:.3f} {kilobytes:8.1f} {milliseconds:6.1f}",
            flush=True,
        )


if __name__ == "__main__":
    main()
