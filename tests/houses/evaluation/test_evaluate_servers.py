"""Evaluations with servers on sockets: several batches under way at a time, to all of them, whatever becomes of one."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from shop import Shop

import ddsim
from ddsim.embedded import EmbeddedServer, Engine
from ddsim.embedded.replies import Answer
from ddsim.evaluation import Evaluation

SECONDS = 15.0
ITEMS = 24


class Watched(Engine):
    """An engine that counts batches of four pictures, and may do something at each before it answers."""

    def __init__(self, at_batch: Callable[[int], None]) -> None:
        super().__init__()
        self.server = EmbeddedServer(self)
        self.batches = 0
        self._at_batch = at_batch
        self._counting = threading.Lock()

    def handle(self, method: str, target: str, body: bytes) -> Answer:
        """Answer."""
        if target == "/predict" and len(json.loads(body)["data"]) == 4:
            with self._counting:
                self.batches += 1
                number = self.batches
            self._at_batch(number)
        return super().handle(method, target, body)


@pytest.fixture
def starting(loopback: None) -> Iterator[Callable[..., Watched]]:
    """Starts servers, and ends them."""
    started: list[Watched] = []

    def start(at_batch: Callable[[int], None] = lambda _: None) -> Watched:
        started.append(Watched(at_batch))
        started[-1].server.start()
        return started[-1]

    yield start
    for one in started:
        one.server.stop()


def evaluated(root: Path, *engines: Watched) -> Evaluation:
    """An evaluation of a shop with three categories that asks these servers, four pictures a batch."""
    urls = [one.server.url for one in engines]
    base = {
        "server": {"urls": urls} if len(urls) > 1 else {"url": urls[0]},
        "network": {"repository": str(root / "models")},
        "similarity": {"extract_layer": "fc1", "repository": str(root / "similar")},
        "classification": None,
        "index": {"batch_size": 4},
    }
    root.mkdir(exist_ok=True)
    shop = Shop(root, base)
    shop.add(*(f"{('lamp', 'chair', 'bed')[number % 3]}/{number:02d}.png" for number in range(ITEMS)))
    return ddsim.evaluate(shop.settings, cache=root / "cache")


def measures(found: Evaluation) -> dict[str, str]:
    """What does not depend on time."""
    return {row.name: str(row.measures) for row in found.rows}


@pytest.mark.parametrize(("count", "at_once"), [(3, 3), (1, 2)])
def test_batches_are_under_way_at_the_same_time(
    tmp_path: Path, starting: Callable[..., Watched], count: int, at_once: int
) -> None:
    """To each of several servers, and two to a single one; no service stays on any."""
    together = threading.Barrier(at_once)

    def meet(number: int) -> None:
        # Whoever sends one after the other never gets past this.
        if number <= at_once // count:
            together.wait(SECONDS)

    engines = [starting(meet) for _ in range(count)]
    found = evaluated(tmp_path, *engines)
    assert (found.rows[0].failed, found.rows[0].extracted) == (None, ITEMS)
    assert not together.broken
    assert sum(one.batches for one in engines) == ITEMS // 4
    for one in engines:
        with ddsim.Client(one.server.url) as client:
            assert client.info().services == ()


def test_one_of_several_dies(tmp_path: Path, starting: Callable[..., Watched]) -> None:
    """What it was asked for goes to another one, and the same comes out."""

    def die(number: int) -> None:
        if number >= 2:
            raise ConnectionAbortedError("killed")

    expected = evaluated(tmp_path / "one", starting())
    engines = [starting(die), starting()]
    found = evaluated(tmp_path / "two", *engines)
    assert (found.rows[0].failed, found.rows[0].extracted, found.rows[0].warnings) == (None, ITEMS, ())
    assert measures(found) == measures(expected)
    assert engines[1].batches > engines[0].batches
