"""Draws the demo catalogue: furniture in five categories, one reference picture and two queries of every product.

    OUT/catalogue/<category>/<product>.jpg      the reference, in a studio
    OUT/queries/<category>/<product>-view2.jpg  the same product in a room
    OUT/queries/<category>/<product>-view3.jpg  and in another one

The pictures are the same on every run. A stamp file says what OUT holds, so that a second run has nothing to do.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from demo_drawing import CATEGORIES, SIZE, draw

VERSION = 1
VIEWS = (1, 2, 3)
# What scripts/demo searches for: category, product, view.
ONE_QUERY = ("lamp", 7, 2)
STAMP = ".demo-catalogue.json"
_QUALITY = 90


def product_name(category: str, product: int) -> str:
    """Return the name that a product's files begin with, such as "chair-017"."""
    return f"{category}-{product:03d}"


def picture_path(out: Path, category: str, product: int, view: int) -> Path:
    """Return where a view is written: view 1 into the catalogue, the others among the queries."""
    name = product_name(category, product)
    if view == 1:
        return out / "catalogue" / category / f"{name}.jpg"
    return out / "queries" / category / f"{name}-view{view}.jpg"


def write_picture(task: tuple[Path, str, int, int]) -> None:
    """Draw one view and write it; it appears under its name only when it is whole."""
    out, category, product, view = task
    path = picture_path(out, category, product, view)
    part = path.with_suffix(".part")
    draw(category, product, view).save(part, format="JPEG", quality=_QUALITY)
    os.replace(part, path)


def _tasks(out: Path, products: int, queries: bool) -> Iterator[tuple[Path, str, int, int]]:
    for product in range(products):
        for category in CATEGORIES:
            for view in VIEWS:
                if queries or view == 1 or (category, product, view) == ONE_QUERY:
                    yield out, category, product, view


def make(
    out: Path,
    products: int = 60,
    processes: int | None = None,
    *,
    queries: bool = True,
    progress: Callable[[int, int], None] = lambda _done, _all: None,
) -> int:
    """Draw what OUT lacks of a catalogue.

    Args:
        out: The folder to fill; made where it is missing.
        products: How many products each category gets.
        processes: How many to draw with; by default one for each core.
        queries: Whether all queries are wanted, or one alone; those that are there stay.
        progress: Told after every picture how many are drawn, and of how many.

    Returns:
        How many pictures were drawn: 0 if OUT was complete already.
    """
    stamp = out / STAMP
    content = {"version": VERSION, "products": products, "views": len(VIEWS), "size": SIZE, "quality": _QUALITY}
    before = json.loads(stamp.read_text("utf-8")) if stamp.is_file() else {}
    tasks = [task for task in _tasks(out, products, queries) if before != content or not picture_path(*task).is_file()]
    if not tasks:
        return 0
    for category in CATEGORIES:
        for folder in ("catalogue", "queries"):
            (out / folder / category).mkdir(parents=True, exist_ok=True)
    stamp.unlink(missing_ok=True)
    _remove_others(out, products, before.get("products", 0))
    if processes == 1:
        for done, task in enumerate(tasks, 1):
            write_picture(task)
            progress(done, len(tasks))
    else:
        # Threads inside numpy would only get in each other's way; it reads the limit when a fresh process imports it.
        os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
        fresh = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(processes, mp_context=fresh) as pool:  # says so when one of its processes dies
            for done, _ in enumerate(pool.map(write_picture, tasks, chunksize=8), 1):
                progress(done, len(tasks))
    stamp.write_text(json.dumps(content, indent=1) + "\n", "utf-8")
    return len(tasks)


def _remove_others(out: Path, products: int, before: int) -> None:
    """Remove the products that an earlier, larger catalogue had; nothing else in the folder is touched."""
    for product in range(products, before):
        for category in CATEGORIES:
            for view in VIEWS:
                picture_path(out, category, product, view).unlink(missing_ok=True)


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description="Draw the demo catalogue of furniture.")
    parser.add_argument("out", type=Path, help="folder for catalogue/ and queries/")
    parser.add_argument("--products", type=int, default=60, help="products of each category (default: 60)")
    parser.add_argument("--one-query", action="store_true", help="draw the one that scripts/demo searches for")
    options = parser.parse_args()
    if options.products < 1:
        parser.error(f"--products {options.products}: at least one is needed")
    total = options.products * len(CATEGORIES)
    queries = 1 if options.one_query else 2 * total
    print(f"demo catalogue: {len(CATEGORIES)} categories x {options.products} products -> {options.out}")
    started = time.monotonic()
    drawn = make(options.out, options.products, queries=not options.one_query, progress=_show)
    what = f"{total} references, {queries} {'query' if queries == 1 else 'queries'}"
    begun = f"drew {drawn} pictures in {time.monotonic() - started:.0f} s" if drawn else "complete already"
    print(f"{begun}: {what}")


def _show(done: int, count: int) -> None:
    """Say on a terminal, in place, how far it is; elsewhere now and then on a line of its own."""
    if sys.stderr.isatty():
        print(f"\r  {done} of {count}", end="\n" if done == count else "", file=sys.stderr, flush=True)
    elif done % 100 == 0:
        print(f"  {done} of {count}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
