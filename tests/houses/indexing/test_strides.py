"""ddsim.indexing.run: how far builds are apart, and that searches get in between them."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from homes import Home
from shop import plain

from ddsim.catalogue import ItemState
from ddsim.indexing import Run
from ddsim.sources import FolderSource
from ddsim.vectors import Patience


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Home]:
    """Twelve pictures and nothing indexed, before a server with an index; four go in one request."""
    made = Home(tmp_path, "server")
    made.shop.add(*(f"lamp/{number:02}.png" for number in range(12)))
    yield made
    made.close()


@pytest.mark.parametrize(("seconds", "builds"), [(0.0, 1), (2.0, 2), (3.0, 3)])
def test_builds_come_in_strides_of_time(home: Home, seconds: float, builds: int) -> None:
    """Far below a checkpoint the index is built all the same, once three seconds have passed since the last build."""
    now = 0.0

    def batch_done(_: object) -> None:
        nonlocal now
        now += seconds

    with home.run() as (manifest, backend):
        settings = home.shop.settings
        run = Run(
            manifest,
            backend,
            FolderSource(home.shop.catalogue),
            limits=settings.index,
            upload=settings.upload_options(),
            seen=lambda batch, _: batch_done(batch),
            clock=lambda: now,
        )
        assert run.run()
    assert len(home.tap.builds) == builds
    home.check()


def test_slow_builds_are_rare(home: Home) -> None:
    """Each writes the whole index: where that takes two seconds, there are ten between two of them."""
    ticks = itertools.count(step=2.0)
    with home.run() as (manifest, backend):
        settings = home.shop.settings
        run = Run(
            manifest,
            backend,
            FolderSource(home.shop.catalogue),
            limits=settings.index.model_copy(update={"batch_size": 1}),
            upload=settings.upload_options(),
            clock=lambda: next(ticks),
        )
        assert run.run()
    # Two seconds go by at each look at the clock: once a batch, and twice at a build.
    assert len(home.tap.builds) == 3
    home.check()


def test_searches_get_in_during_a_run(home: Home) -> None:
    """Somebody who searches without end beside a run is answered while it runs, and is never refused."""
    home.index()
    home.shop.add(*(f"bed/{number:02}.png" for number in range(40)))
    patience = Patience(sleep=home.clock.sleep, clock=lambda: home.clock.now, busy=60.0)
    begun, ended, found = threading.Event(), threading.Event(), list[int]()

    def search() -> None:
        with closing(home.backend(patience=patience)) as reader:
            reader.open(writing=False)
            while not ended.is_set():
                found.append(len(reader.search([plain("grey")], 100)[0].found))
                begun.set()

    with home.run() as (manifest, _), closing(home.backend(manifest, patience=patience)) as backend:
        backend.open(writing=True)
        thread = threading.Thread(target=search)
        thread.start()
        assert begun.wait(60.0)
        settings = home.shop.settings
        limits = settings.index.model_copy(update={"checkpoint": 4})
        run = Run(manifest, backend, FolderSource(home.shop.catalogue), limits=limits, upload=settings.upload_options())
        assert run.run()
        ended.set()
        thread.join()
        assert manifest.counts()[ItemState.INDEXED] == 52
    assert set(found) & set(range(13, 52))
    assert found == sorted(found)
