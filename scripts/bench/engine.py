#!/usr/bin/env python3
"""What the embedded server makes of a processor: ratios, each of things that were timed in turns in one run.

    python scripts/bench/engine.py                      # all of it, about five minutes
    python scripts/bench/engine.py forward              # one of: memory forward indexing large query

needs the extras ``embedded`` and ``photos``, and OpenCV 4 for the comparison with its DNN module (the ``test`` group).
README.md beside this file shows what came out.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from io import BytesIO
from pathlib import Path

import cv2
import numpy as np
from PIL import Image
from report import Report, arguments
from zoo import networks

from ddsim.caffe import Message, parse, read_definition, read_weights, to_text
from ddsim.config import Settings, load
from ddsim.embedded.graph import Graph
from ddsim.embedded.network import Network
from ddsim.embedded.runtime import cores
from ddsim.indexing import Progress
from ddsim.networks import network_files
from ddsim.search import ImageSearch, IndexOptions

LAYER = "pool5/7x7_s1"
CONFIG = """
server: embedded
catalogue: {catalogue}
state: {state}
network: efficientnet-lite0
similarity: {{extract_layer: pool5/7x7_s1}}
routing: {{by: neighbours}}
upload: {{shrink: {shrink}}}
index: {{backend: local, metric: cosine, batch_size: {batch}}}
"""


_CLOCKS: list[Callable[[], float]] = [time.perf_counter]


def now() -> float:
    """Seconds by the clock that was chosen."""
    return _CLOCKS[-1]()


def timed(work: Callable[[], object]) -> float:
    """Seconds that it takes."""
    begun = now()
    work()
    return now() - begun


def in_turns(works: Sequence[Callable[[], object]], rounds: int) -> list[float]:
    """The median seconds of each, after one round that does not count."""
    seconds = [[timed(work) for work in works] for _ in range(rounds + 1)][1:]
    return [statistics.median(column) for column in zip(*seconds, strict=True)]


def opencv(files: tuple[Path, Path], winograd: bool = True) -> cv2.dnn.Net:
    """A network as the embedded server ran it before ONNX Runtime did: by OpenCV's DNN module, fusion off.

    Args:
        files: definition and weights.
        winograd: let it take Winograd's way of convolving, which multiplies less than half as often for kernels of
            3 x 3 and rounds otherwise; ONNX Runtime has none.
    """
    net = parse(files[0].read_text("utf-8"))
    head, *layers = net.messages("layer")
    sizes = head.messages("memory_data_param")[0]
    shape = Message([("dim", "1"), *(("dim", sizes.text(key)) for key in ("channels", "height", "width"))])
    text = to_text(Message([("input", '"data"'), ("input_shape", shape), *(("layer", layer) for layer in layers)]))
    found = cv2.dnn.readNetFromCaffe(
        np.frombuffer(text.encode(), np.uint8), np.frombuffer(files[1].read_bytes(), np.uint8)
    )
    found.enableFusion(False)
    found.enableWinograd(winograd)
    return found


def work(files: tuple[Path, Path], layer: str) -> float:
    """GFLOP that a picture takes up to a layer: a multiplication and an addition are two."""
    weights = read_weights(files[1].read_bytes())
    return 2e-9 * Graph(read_definition(files[0].read_text("utf-8")), weights).work(layer)


def matrix_product() -> float:
    """Seconds that NumPy takes for a GFLOP of a product of matrices, with all cores: about as fast as they can be."""
    size = 1536
    one = np.random.default_rng(5).random((size, size), np.float32)
    return min(timed(lambda: one @ one) for _ in range(5)) / (2e-9 * size**3)


def in_passes(net: cv2.dnn.Net, pictures: np.ndarray, layer: str) -> np.ndarray:
    """What OpenCV makes of pictures, eight at a time, as the embedded server had it: larger passes were slower."""
    parts = []
    for start in range(0, len(pictures), 8):
        net.setInput(pictures[start : start + 8])
        parts.append(net.forward(layer).reshape(len(pictures[start : start + 8]), -1).copy())
    return np.concatenate(parts)


def forward(report: Report, rounds: int) -> None:
    """Forward passes, the same weights and pictures."""
    rows, bounds = [], []
    with tempfile.TemporaryDirectory() as folder:
        for name, files, layer in networks(Path(folder)):
            ours, theirs, plain = Network(*files), opencv(files), opencv(files, winograd=False)
            pictures = np.random.default_rng(1).normal(0, 50, (16, *ours.input_shape)).astype(np.float32)
            for batch in (1, 16):
                given = pictures[:batch]
                ways = [
                    partial(in_passes, theirs, given, layer),
                    partial(in_passes, plain, given, layer),
                    partial(ours.forward, given, layer, 16),
                ]
                one, _, other = (way() for way in ways)
                cosines = (one * other).sum(1) / np.linalg.norm(one, axis=1) / np.linalg.norm(other, axis=1)
                slow, exact, fast = (1000 * seconds / batch for seconds in in_turns(ways, rounds))
                rows.append([name, batch, slow, exact, fast, slow / fast, exact / fast, f"{cosines.min():.6f}"])
            flop, unit = work(files, layer), 1000 * matrix_product()
            bounds.append([name, flop, flop * unit, fast, f"{flop * unit / fast:.0%}", slow / (flop * unit)])
    ways_of = ["OpenCV ms", "without Winograd ms", "ONNX Runtime ms"]
    report.table(["network", "batch", *ways_of, "times as fast", "... without Winograd", "least cosine"], rows)
    report.say("Batch 16 beside as much work as a product of matrices by NumPy, which is about what the cores can do:")
    report.table(
        ["network", "GFLOP", "in matrix products ms", "ONNX Runtime ms", "of what can be", "OpenCV / matrix products"],
        bounds,
    )


def photo(random: np.random.Generator, width: int, height: int) -> bytes:
    """Soft shapes with some grain: it decodes and compresses like a photo."""
    shapes = sum(
        np.asarray(Image.fromarray(random.integers(0, 256, (rows, rows, 3), np.uint8)).resize((width, height)), float)
        / 3
        for rows in (4, 12, 40)
    )
    grain = random.normal(0, 4, (height, width, 3))
    file = BytesIO()
    Image.fromarray(np.clip(shapes + grain, 0, 255).astype(np.uint8)).save(file, "JPEG", quality=90)
    return file.getvalue()


def make_catalogue(folder: Path, count: int, sides: tuple[int, int], kinds: int = 100) -> Path:
    """So many photos in five categories, each side between these numbers of pixels; all different as files."""
    random = np.random.default_rng(2)
    drawn = [
        photo(random, *(int(side) for side in random.integers(sides[0], sides[1] + 1, 2)))
        for _ in range(min(count, kinds))
    ]
    for number in range(count):
        data = drawn[number % len(drawn)]
        place = folder / f"category-{number % 5}"
        place.mkdir(parents=True, exist_ok=True)
        # A comment behind the first two bytes makes every file another one.
        comment = b"\xff\xfe\x00\x0a" + number.to_bytes(8, "big")
        (place / f"photo-{number:06d}.jpg").write_bytes(data[:2] + comment + data[2:])
    return folder


def settings_for(root: Path, catalogue: Path, shrink: bool, batch: int = 32) -> Settings:
    """The embedded server, EfficientNet-Lite0, vectors kept by ddsim."""
    path = root / f"shrink-{shrink}.yaml"
    path.write_text(
        CONFIG.format(catalogue=catalogue, state=root / f"state-{shrink}", shrink=str(shrink).lower(), batch=batch)
    )
    return load(path)


@dataclass(frozen=True)
class Sent:
    """One run, from its call until all was sent: what it learns afterwards it learns once.

    Attributes:
        rate: items a second.
        worked: the processor's seconds of this process.
    """

    rate: float
    worked: float


def sending(search: ImageSearch) -> Sent:
    """Index a catalogue anew."""
    last = [(0, 0.0, 0.0)]

    def note(progress: Progress) -> None:
        if progress.stage == "indexing":
            last[0] = progress.done, now(), time.process_time()

    begun, worked = now(), time.process_time()
    search.index(options=IndexOptions(rebuild=True, audit=False), progress=note)
    done, ended, until = last[0]
    return Sent(done / (ended - begun), until - worked)


def ready_blobs(seconds: float) -> float:
    """Pictures a second that ONNX Runtime alone makes of blobs that are ready, with all cores."""
    files = network_files("efficientnet-lite0")
    network = Network(files.definition, files.weights)
    blobs = np.random.default_rng(3).normal(0, 50, (16, *network.input_shape)).astype(np.float32)
    network.forward(blobs, LAYER, 16)
    done, begun = 0, now()
    while now() < begun + seconds:
        network.forward(blobs, LAYER, 16)
        done += len(blobs)
    return done / (now() - begun)


def indexing(report: Report, rounds: int, count: int) -> None:
    """Whole runs over photos of 300 to 600 pixels, beside ONNX Runtime alone."""
    rows = []
    with tempfile.TemporaryDirectory() as root:
        catalogue = make_catalogue(Path(root, "catalogue"), count, (300, 600))
        for shrink in (True, False):
            with ImageSearch(settings_for(Path(root), catalogue, shrink)) as search:
                turns = [(ready_blobs(3), sending(search).rate) for _ in range(rounds)]
            alone, whole = (statistics.median(column) for column in zip(*turns, strict=True))
            ratio = statistics.median(one / other for other, one in turns)
            rows.append(["yes" if shrink else "no", alone, whole, ratio])
    report.table(["shrunk before", "blobs alone, pictures/s", "run, pictures/s", "share"], rows)


def decoded(paths: Sequence[Path], side: int) -> float:
    """Pictures a second that Pillow's decoder alone makes of files, with all cores."""

    def decode(path: Path) -> None:
        with Image.open(path) as image:
            if side:
                image.draft("RGB", (side, side))
            image.load()

    with ThreadPoolExecutor(cores()) as pool:
        return len(paths) / timed(lambda: list(pool.map(decode, paths)))


def large(report: Report, rounds: int, count: int) -> None:
    """Runs over JPEGs of 12 megapixels, beside the decoder alone."""
    rows = []
    with tempfile.TemporaryDirectory() as root:
        catalogue = make_catalogue(Path(root, "catalogue"), count, (3464, 3464), kinds=8)
        paths = sorted(catalogue.rglob("*.jpg"))
        for shrink in (True, False):
            with ImageSearch(settings_for(Path(root), catalogue, shrink, batch=4)) as search:
                turns = [(decoded(paths, 448 if shrink else 0), sending(search).rate) for _ in range(rounds)]
            alone, whole = (statistics.median(column) for column in zip(*turns, strict=True))
            ratio = statistics.median(one / other for other, one in turns)
            rows.append(["yes" if shrink else "no", alone, whole, ratio])
    report.table(["shrunk before", "decoder alone, pictures/s", "run, pictures/s", "share"], rows)


def decode(data: bytes) -> None:
    """Decode a picture file."""
    Image.open(BytesIO(data)).load()


def query(report: Report, rounds: int) -> None:
    """A query among 1,000 items, beside its decoding and one forward pass; shrinking comes on top of decoding."""
    files = network_files("efficientnet-lite0")
    network = Network(files.definition, files.weights)
    blob = np.random.default_rng(4).normal(0, 50, (1, *network.input_shape)).astype(np.float32)
    rows = []
    with tempfile.TemporaryDirectory() as root:
        catalogue = make_catalogue(Path(root, "catalogue"), 1000, (300, 600))
        photos = [path.read_bytes() for path in sorted(catalogue.rglob("*.jpg"))[: 10 * rounds]]
        for shrink in (True, False):
            with ImageSearch(settings_for(Path(root), catalogue, shrink)) as search:
                search.index(options=IndexOptions(audit=False))
                seconds = [
                    (
                        timed(partial(search.query, data)),
                        timed(partial(decode, data)),
                        timed(lambda: network.forward(blob, LAYER, 1)),
                    )
                    for data in photos
                ]
            whole, decoding, passing = (1000 * statistics.median(column) for column in zip(*seconds, strict=True))
            beyond = 1000 * statistics.median(one - two - three for one, two, three in seconds)
            rows.append(["yes" if shrink else "no", whole, decoding, passing, beyond])
    report.table(["shrunk before", "query ms", "decoding ms", "forward pass ms", "beyond both ms"], rows)


def resident() -> float:
    """This process' memory in MB."""
    for line in Path("/proc/self/status").read_text("ascii").splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    raise SystemExit("memory is only measured on Linux")


def memory(report: Report) -> None:
    """What a second service on the same network takes."""
    from ddsim.embedded.networks import Networks

    with tempfile.TemporaryDirectory() as folder:
        name, files, layer = list(networks(Path(folder)))[-1]
        held, loaded, rows = Networks(), [], []
        before = resident()
        for number in (1, 2, 3):
            loaded.append(held.caffe(*files))
            for _ in range(2):  # the first pass finds out how much memory one takes
                loaded[-1].forward(np.zeros((16, *loaded[-1].input_shape), np.float32), layer, 16)
            rows.append([number, resident() - before])
        weights = files[1].stat().st_size / 1024**2
    report.say(f"{name}, {weights:.0f} MB of weights:")
    report.table(["services", "MB more"], rows)


def main() -> None:
    """Run the command line."""
    parser = arguments(__doc__)
    parser.add_argument("what", nargs="*", help="memory, forward, indexing, large, query; by default all")
    parser.add_argument("--rounds", type=int, default=5, help="how often each thing is timed")
    parser.add_argument("--photos", type=int, default=1200, help="photos of 300 to 600 pixels")
    parser.add_argument(
        "--cpu",
        action="store_true",
        help="count the seconds of all cores that this process had, not the clock's: where others use the machine, too",
    )
    parser.add_argument("--large", type=int, default=40, help="photos of 12 megapixels")
    given = parser.parse_args()
    if given.cpu:
        _CLOCKS.append(time.process_time)
    parts: dict[str, tuple[str, Callable[[Report], None]]] = {
        # First, while nothing is free in the process that it could take.
        "memory": ("Memory", memory),
        "forward": ("Forward passes", lambda report: forward(report, given.rounds)),
        "indexing": ("Runs, photos of 300 to 600 pixels", lambda report: indexing(report, given.rounds, given.photos)),
        "large": ("Runs, photos of 12 megapixels", lambda report: large(report, given.rounds, given.large)),
        "query": ("Queries among 1,000 items", lambda report: query(report, given.rounds)),
    }
    if unknown := set(given.what) - parts.keys():
        sys.exit(f"nothing here is called {', '.join(sorted(unknown))}: there are {', '.join(parts)}")
    report = Report("engine", ["onnxruntime", "opencv-python-headless", "pillow"])
    if given.cpu:
        report.say("Seconds are those of all cores that the process had, not the clock's.")
    for name, (title, part) in parts.items():
        if not given.what or name in given.what:
            report.say(f"{title}:")
            part(report)
    if given.write:
        report.write()


if __name__ == "__main__":
    main()
