#!/usr/bin/env python3
"""What indexing costs on the client's side: time and memory, against a server that takes no time.

    python scripts/bench/bench_index.py
    python scripts/bench/bench_index.py --items 10000 100000 --wide 20000 --folder bench-data

makes catalogues of small pictures (all different, in 20 categories) and of photos, starts the null server, and measures
each thing in a process of its own. ``--folder`` keeps the pictures for the next time. README.md beside this file shows
what came out, and what the columns mean.
"""

from __future__ import annotations

import argparse
import io
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

_HERE = Path(__file__).resolve().parent
_CATEGORIES = 20
_PHOTOS = 400


def make_small(folder: Path, count: int) -> None:
    """32 x 32 pixels of noise, one picture a category; a comment makes every file another one."""
    random = np.random.default_rng(0)
    for category in range(_CATEGORIES):
        noise = Image.fromarray(random.integers(0, 256, (32, 32, 3), np.uint8))
        file = io.BytesIO()
        noise.save(file, "JPEG", quality=50)
        start, rest = file.getvalue()[:2], file.getvalue()[2:]
        place = folder / f"category-{category:02d}"
        place.mkdir(parents=True)
        for number in range(category, count, _CATEGORIES):
            comment = b"\xff\xfe\x00\x0a" + number.to_bytes(8, "big")
            (place / f"picture-{number:06d}.jpg").write_bytes(start + comment + rest)


def make_photos(folder: Path, count: int = _PHOTOS) -> None:
    """300 x 200 pixels, soft shapes with some grain: they decode and compress like photos."""
    random = np.random.default_rng(1)
    place = folder / "photo"
    place.mkdir(parents=True)
    for number in range(count):
        shapes = sum(
            np.asarray(Image.fromarray(random.integers(0, 256, (rows, rows, 3), np.uint8)).resize((300, 200)), float)
            / 3
            for rows in (4, 12, 40)
        )
        grain = random.normal(0, 4, (200, 300, 3))
        photo = Image.fromarray(np.clip(shapes + grain, 0, 255).astype(np.uint8))
        photo.save(place / f"photo-{number:04d}.jpg", "JPEG", quality=90)


def catalogue(root: Path, count: int) -> Path:
    """A catalogue of so many small pictures, made where it is not there."""
    folder = root / f"small-{count}"
    if not folder.is_dir():
        make_small(folder, count)
    return folder


def photos(root: Path) -> Path:
    """The catalogue of photos."""
    folder = root / "photos"
    if not folder.is_dir():
        make_photos(folder)
    return folder


@contextmanager
def null_server(*options: str) -> Iterator[str]:
    """Its url."""
    command = [sys.executable, str(_HERE / "null_server.py"), *options]
    server = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    with server:
        if server.stdin is None or server.stdout is None:
            raise SystemExit("the null server has no pipes")
        yield server.stdout.readline().strip()
        server.stdin.close()


def measure(what: str, **options: object) -> dict[str, Any]:
    """What ``measure.py`` says."""
    audit = [] if options.pop("audit", True) else ["--no-audit"]
    words = [word for name, value in options.items() for word in (f"--{name}", str(value))] + audit
    done = subprocess.run(
        [sys.executable, str(_HERE / "measure.py"), what, *words], stdout=subprocess.PIPE, check=True, text=True
    )
    measured: dict[str, Any] = json.loads(done.stdout)
    return measured


def table(heads: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Print Markdown."""
    shown = [[f"{cell:.2f}" if isinstance(cell, float) else str(cell) for cell in row] for row in rows]
    widths = [max(len(row[column]) for row in [list(heads), *shown]) for column in range(len(heads))]
    for row in [list(heads), ["-" * (width - 1) + ":" for width in widths], *shown]:
        print("| " + " | ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)) + " |")
    print(flush=True)


Figures = dict[str, Any]


def index(folder: Path, backend: str, size: int, given: argparse.Namespace) -> tuple[Figures, Figures, Figures]:
    """Index a catalogue twice and search it; what the first run, the second run and the search took."""
    with tempfile.TemporaryDirectory(dir=given.scratch) as state, null_server() as url:
        common = {"url": url, "state": state, "backend": backend, "dimension": size, "checkpoint": given.checkpoint}
        first = measure("run", folder=folder, audit=given.audit, **common)
        second = measure("run", folder=folder, audit=given.audit, **common)
        query = measure("search", folder=folder, queries=photos(given.root), **common)
    if first["indexed"] != first["to send"] or second["to send"] or first["audit"] or second["audit"]:
        raise SystemExit(f"the run did not do what it should: {first}, {second}")
    return first, second, query


def print_index(found: Sequence[tuple[str, tuple[Figures, Figures, Figures]]]) -> None:
    """Print what :func:`index` measured."""
    rows: list[list[object]] = []
    for name, (first, second, _) in found:
        rate = round(first["indexed"] / first["run s"])
        memory = [round(first[key]) for key in ("begin MB", "10k MB", "peak MB")]
        rows.append([name, first["plan s"], first["run s"], rate, *memory, second["run s"], round(second["peak MB"])])
    memory_heads = ("MB at first", "MB at 10k", "MB at most")
    table(("items, values", "plan s", "run s", "items/s", *memory_heads, "again s", "again MB"), rows)
    rows = []
    for name, (first, _, _) in found:
        client = first["run s"] - first["HTTP s"]
        http = first["HTTP s"] - first["server s"]
        each = 1e3 * client / first["indexed"]
        saves = [first[key] for key in ("saves", "save s", "last save s")]
        rows.append([name, first["calls"], first["server s"], http, client, each, *saves])
    table(("items, values", "calls", "server s", "HTTP s", "client s", "client ms/item", "saves", "s", "last s"), rows)
    heads = ("query ms", "server ms", "HTTP ms", "client ms", "calls", "first query ms")
    table(("items, values", *heads), [[name, *(query[head] for head in heads)] for name, (_, _, query) in found])


def main() -> None:
    """Measure all and print the tables."""
    parser = argparse.ArgumentParser(description="What indexing costs on the client's side.")
    parser.add_argument("--items", type=int, nargs="*", default=[10_000, 100_000])
    parser.add_argument("--wide", type=int, nargs="*", default=[20_000], help="catalogues with 2048 values, local")
    parser.add_argument("--folder", type=Path, help="keep the pictures here")
    parser.add_argument("--checkpoint", type=int, default=1000, help="items between builds")
    parser.add_argument("--audit", action=argparse.BooleanOptionalAction, default=True)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        given.scratch, given.root = scratch, given.folder or Path(scratch)
        wanted = [(count, backend, 16) for backend in ("server", "local") for count in given.items]
        wanted += [(count, "local", 2048) for count in given.wide]
        found = [
            (f"{count}, {size}, {backend}", index(catalogue(given.root, count), backend, size, given))
            for count, backend, size in wanted
        ]
        print_index(found)
        for what, options in (("prepare", {"folder": photos(given.root)}), ("parse", {})):
            measured = measure(what, **options)
            table([what, *measured], [["", *measured.values()]])


if __name__ == "__main__":
    main()
