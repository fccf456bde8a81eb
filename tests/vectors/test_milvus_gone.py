"""A database that is gone during a run or a search, cut off or killed: typed errors, and the next run goes on."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from forwarding import Way
from homes import Home
from milvus_keeper import Killable
from milvuses import skip_without

from ddsim import DatabaseTrouble

pytestmark = [pytest.mark.usefixtures("loopback"), pytest.mark.long]


@pytest.fixture
def way(milvus_url: str) -> Iterator[Way]:
    """A way to the database that can be cut."""
    with Way(milvus_url) as opened:
        yield opened


@pytest.fixture
def home(tmp_path: Path, way: Way) -> Iterator[Home]:
    """The home in a database behind that way, with seven pictures."""
    made = Home(tmp_path, "milvus", url=way.url)
    made.shop.add(*(f"lamp/{number}.png" for number in range(4)), "bed/0.png", "bed/1.png", "chair/0.png")
    yield made
    made.close()


def test_a_database_gone_during_a_run_is_waited_for(home: Home, way: Way) -> None:
    """Within the time given it is asked again; then the run ends, and the next one does the rest, each item once."""
    with home.run() as (manifest, backend):
        home.add_some(manifest, backend, 3, build=True)
        way.cut()
        rows = manifest.pending(limit=2)
        with pytest.raises(DatabaseTrouble, match="is it running"):
            home.add_rows(manifest, backend, rows)
        with pytest.raises(DatabaseTrouble):
            backend.recover()
        assert 30.0 <= home.clock.now <= 60.0
        way.open()
        backend.recover()
        while home.add_some(manifest, backend, 2):
            pass
        way.cut()
    way.open()
    home.index()
    home.check()


def test_a_database_gone_during_a_search_is_said(home: Home, way: Way) -> None:
    """A search gets a typed error, and the same one works once the database is back."""
    home.index()
    with closing(home.backend()) as backend:
        backend.open(writing=False)
        query = home.shop.catalogue / "bed/0.png"
        assert backend.search([query], 1)[0].found[0].uri == "bed/0.png"
        way.cut()
        with pytest.raises(DatabaseTrouble):
            backend.search([query], 1)
        way.open()
        assert backend.search([query], 1)[0].found[0].uri == "bed/0.png"


def test_a_database_killed_between_batches_has_lost_nothing(tmp_path: Path) -> None:
    """After kill -9 and a new start on the same folders everything it had acknowledged is there, once."""
    skip_without()
    with Killable(tmp_path / "data") as server, closing(Home(tmp_path / "home", "milvus", url=server.url)) as home:
        home.shop.add(*(f"lamp/{number}.png" for number in range(6)))
        with home.run() as (manifest, backend):
            home.add_some(manifest, backend, 2, build=True)
            home.add_some(manifest, backend, 2)
            server.kill()
            with pytest.raises(DatabaseTrouble):
                home.add_rows(manifest, backend, manifest.pending(limit=2))
            server.start()
            backend.recover()
            while home.add_some(manifest, backend, 2):
                pass
            backend.build()
            assert backend.stored() == 6
        home.check()
