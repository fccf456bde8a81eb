#!/usr/bin/env python3
"""Many people at once on the web page: are all answered, and how soon.

Starts `ddsim serve` on the demonstration in a process of its own (index it first: `ddsim index --config
configs/demo.yaml`), uploads photos to `POST /api/search` from so many clients at the same moment, and tells how many
were answered, how long that took and how much memory the server had at most (on Linux):

    python scripts/bench/web.py                          # 1, 20 and 200 clients; 10,000 searches in a row
    python scripts/bench/web.py --clients 40 --rounds 2 --searches 0

More clients than there is room for get a polite 503. Then memory: what the server has after 100 searches, and after
10,000.

Two sizes of photos: the drawn queries of the demonstration as they are, and enlarged to what cameras give (12
megapixels, with noise, about 5 MB). While they upload, one more client looks at the page and at thumbnails.
"""

from __future__ import annotations

import io
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import requests
from PIL import Image
from report import Report, arguments

ROOT = Path(__file__).parents[2]
CAMERA = (4000, 3000)


def camera_photo(drawn: bytes, seed: int) -> bytes:
    """A drawn query as a camera would give it."""
    image = Image.open(io.BytesIO(drawn)).convert("RGB").resize(CAMERA, Image.Resampling.BICUBIC)
    noise = np.random.default_rng(seed).normal(0, 6, (CAMERA[1], CAMERA[0], 1))
    pixels = np.clip(np.asarray(image) + noise, 0, 255).astype(np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", quality=92)
    return file.getvalue()


@contextmanager
def server(config: Path) -> Iterator[tuple[str, int]]:
    """The page on a free port: its address and process."""
    command = [sys.executable, "-m", "ddsim", "serve", "--config", str(config), "--port", "0"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        yield next(iter(process.stdout or [])).strip(), process.pid
        process.terminate()


def most_memory(pid: int) -> str:
    """What the process had resident at most, in MB."""
    status = Path(f"/proc/{pid}/status")
    if not status.exists():
        return "?"
    line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
    return f"{int(line.split()[1]) / 1024:.0f}"


def memory_now(pid: int) -> float:
    """What the process has resident at this moment, in MB; 0 where nobody tells."""
    status = Path(f"/proc/{pid}/status")
    if not status.exists():
        return 0.0
    line = next(line for line in status.read_text().splitlines() if line.startswith("VmRSS"))
    return int(line.split()[1]) / 1024


def grown(config: Path, photos: list[bytes], searches: int) -> list[object]:
    """MB after 100 searches and after so many, by four clients."""
    with server(config) as (url, pid), ThreadPoolExecutor(4) as threads:

        def search(place: int) -> int:
            data = photos[place % len(photos)]
            return requests.post(f"{url}api/search", files={"picture": ("photo.jpg", data)}, timeout=120).status_code

        statuses = Counter(threads.map(search, range(100)))
        early = memory_now(pid)
        statuses += Counter(threads.map(search, range(searches - 100)))
        late = memory_now(pid)
    answers = ", ".join(f"{count} x {status}" for status, count in sorted(statuses.items()))
    return [searches, answers, early, late, late - early]


def upload(url: str, data: bytes, begin: threading.Barrier) -> tuple[int, float]:
    """Status and seconds of one search."""
    begin.wait()
    begun = time.perf_counter()
    answer = requests.post(f"{url}api/search", files={"picture": ("photo.jpg", data)}, timeout=120)
    return answer.status_code, time.perf_counter() - begun


def look(url: str, ended: threading.Event) -> list[float]:
    """Seconds that somebody waits who looks at the page and thumbnails meanwhile."""
    took: list[float] = []
    thumbnails = [one["thumbnail"] for one in requests.get(f"{url}api/catalogue", timeout=60).json()["examples"]]
    while not ended.wait(0.05):
        for path in ("", *thumbnails[:3]):
            begun = time.perf_counter()
            requests.get(url + path.lstrip("/"), timeout=60).raise_for_status()
            took.append(time.perf_counter() - begun)
    return took


def measure(url: str, photos: list[bytes], clients: int, rounds: int) -> tuple[Counter[int], list[float], float, float]:
    """Statuses, sorted seconds of the answered ones, searches a second, and the slowest look at the page in seconds."""
    statuses: Counter[int] = Counter()
    seconds: list[float] = []
    ended = threading.Event()
    with ThreadPoolExecutor(clients + 1) as threads:
        looking = threads.submit(look, url, ended)
        begun = time.perf_counter()
        for _ in range(rounds):
            begin = threading.Barrier(clients)
            jobs = [threads.submit(upload, url, photos[one % len(photos)], begin) for one in range(clients)]
            for status, took in (job.result() for job in jobs):
                statuses[status] += 1
                if status == 200:
                    seconds.append(took)
        whole = time.perf_counter() - begun
        ended.set()
        return statuses, sorted(seconds), len(seconds) / whole, max(looking.result(), default=0.0)


def main() -> None:
    """Measure, and print the tables."""
    parser = arguments(__doc__)
    parser.add_argument("--config", type=Path, default=ROOT / "configs" / "demo.yaml")
    parser.add_argument("--clients", type=int, nargs="*", default=[1, 20, 200])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--searches", type=int, default=10_000, help="how many for the memory; 0 leaves it out")
    given = parser.parse_args()
    drawn = [path.read_bytes() for path in sorted((ROOT / "demo" / "queries").rglob("*.jpg"))[::7][:20]]
    if not drawn:
        sys.exit("demo/queries is empty: run scripts/demo first")
    photos = {"drawn": drawn, "camera": [camera_photo(data, seed) for seed, data in enumerate(drawn[:5])]}
    report = Report("page", ["starlette", "uvicorn", "onnxruntime"])
    rows = []
    for name, ones in photos.items():
        for clients in given.clients:
            with server(given.config) as (url, pid):
                statuses, seconds, rate, slowest = measure(url, ones, clients, given.rounds)
                size = sum(map(len, ones)) / len(ones) / 1e6
                answers = ", ".join(f"{count} x {status}" for status, count in sorted(statuses.items()))
                middle, late = seconds[len(seconds) // 2], seconds[int(len(seconds) * 0.95)]
                rows.append([name, size, clients, answers, middle, late, seconds[-1], rate, slowest, most_memory(pid)])
    heads = [
        "photos",
        "MB each",
        "clients",
        "answers",
        "median s",
        "95 % s",
        "slowest s",
        "searches/s",
        "slowest look s",
    ]
    report.table([*heads, "server MB"], rows)
    if given.searches:
        report.table(
            ["searches", "answers", "MB after 100", "MB after all", "more MB"],
            [grown(given.config, drawn, given.searches)],
        )
    if given.write:
        report.write()


if __name__ == "__main__":
    main()
