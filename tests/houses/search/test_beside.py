"""ddsim.search.beside: a rebuild goes on beside the old index, which answers until the new one is whole."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
from homes import four_at_a_time
from shop import Sent, Shop, once, picture, plain
from stock import assert_sound

from ddsim import Collection, ConnectionLost, IndexOptions, Reply
from ddsim.catalogue import ItemState

URIS = [f"lamp/{number:02}.png" for number in range(9)]
REBUILD = IndexOptions(rebuild=True)


class Killed(BaseException):
    """The process ends here; nothing catches it."""


@pytest.fixture(params=["server", "local"])
def shop(request: pytest.FixtureRequest, tmp_path: Path) -> Shop:
    """Nine pictures that are indexed, in either home."""
    made = four_at_a_time(tmp_path, request.param)
    made.add(*URIS)
    with made.collection() as collection:
        collection.index()
    return made


def found(collection: Collection) -> list[str]:
    """What a search shows."""
    (hits,) = collection.search([plain("grey")], 100)
    return sorted(one.uri for one in hits.found)


def test_the_old_index_answers_until_the_new_one_is_whole(shop: Shop) -> None:
    """Somebody who searches all the time finds everything at every moment of a rebuild, and after it."""
    with shop.collection() as reader, shop.collection() as collection:
        assert found(reader) == URIS
        counts: list[list[str]] = []
        report = collection.index(REBUILD, progress=lambda _: counts.append(found(reader)))
        assert (report.indexed, report.sent, report.finished) == (9, 9, True)
        assert len(counts) > 3
        assert all(one == URIS for one in counts)
        assert found(reader) == URIS
    assert_sound(shop, URIS)
    with shop.collection() as collection:
        assert not (collection.manifest.folder / "beside").exists()


def test_the_old_index_goes_once_it_is_replaced(tmp_path: Path) -> None:
    """Of two generations on the server one is left, and one service."""
    shop = four_at_a_time(tmp_path, "server")
    shop.add(*URIS)
    for options in (None, REBUILD):
        with shop.collection() as collection:
            collection.index(options)
    assert len(list(shop.index_folder.rglob("index.faiss"))) == 1
    assert len(shop.client().info().services) == 1
    assert_sound(shop, URIS)


def test_what_changed_since_is_in_the_new_one(shop: Shop) -> None:
    """A rebuild brings the index into step, too: new pictures are in it, vanished ones are not."""
    (shop.catalogue / URIS[0]).unlink()
    shop.add_picture("lamp/99.png", picture(99))
    with shop.collection() as collection:
        collection.index(REBUILD)
    assert_sound(shop, [*URIS[1:], "lamp/99.png"])


def test_a_rebuild_that_is_stopped_is_gone_on_with(shop: Shop) -> None:
    """What it sent is not sent again by the next run, and the old index answers in between."""
    with shop.collection() as collection:
        told: list[object] = []
        report = collection.index(REBUILD, progress=told.append, stopping=lambda: bool(told))
        assert not report.finished
        assert found(collection) == URIS
    with shop.collection() as collection:
        report = collection.index()
        assert (report.finished, report.indexed) == (True, 9)
        assert 0 < report.sent + report.reused < 9
    assert_sound(shop, URIS)


def test_a_rebuild_begins_anew_where_one_was_stopped(shop: Shop) -> None:
    """`--rebuild` sends everything, whatever an unfinished one has sent."""
    for stopping in (lambda: True, None):
        with shop.collection() as collection:
            report = collection.index(REBUILD, stopping=stopping)
    assert (report.finished, report.sent) == (True, 9)
    assert_sound(shop, URIS)


@pytest.mark.parametrize("moment", range(0, 30, 3))
def test_a_rebuild_that_is_killed_loses_nothing(shop: Shop, moment: int) -> None:
    """Wherever the process ends, searches find everything before the next run and after it."""
    left = [moment]

    def killed(_: Sent, __: Callable[[], Reply]) -> Reply | None:
        left[0] -= 1
        if left[0] < 0:
            raise Killed
        return None

    shop.tap.faults.append(killed)
    with shop.collection() as collection, suppress(Killed):
        collection.index(REBUILD)
    shop.tap.faults.clear()
    assert shop.indexed() == URIS
    with shop.collection() as collection:
        assert collection.index().finished
    assert_sound(shop, URIS)


def test_a_replaced_index_is_never_gone_on_with(tmp_path: Path) -> None:
    """The process ended after the new index took its place: the old one is removed by the next run, and that is all."""
    shop = four_at_a_time(tmp_path, "server")
    shop.add(*URIS)
    with shop.collection() as collection:
        collection.index()
        services = {one.name for one in shop.client().info().services}

        def at_the_end(sent: Sent, _: Callable[[], Reply]) -> Reply | None:
            if sent.method == "GET" and sent.path.removeprefix("/services/") in services:
                raise Killed
            return None

        shop.tap.faults.append(at_the_end)
        with pytest.raises(Killed):
            collection.index(REBUILD)
    shop.tap.faults.clear()
    shop.add("lamp/98.png")
    with shop.collection() as collection:
        assert collection.index().sent == 1
        assert collection.manifest.counts()[ItemState.INDEXED] == 10
    assert_sound(shop, [*URIS, "lamp/98.png"])
    assert len(shop.client().info().services) == 1


def test_a_rebuild_survives_a_server_that_dies(tmp_path: Path) -> None:
    """In the middle of it the server ends: both the old index and the unfinished one are found again."""
    shop = four_at_a_time(tmp_path, "server")
    shop.add(*URIS)
    with shop.collection() as collection:
        collection.index()

    def dies(_: Callable[[], Reply]) -> Reply:
        shop.tap.restart()
        raise ConnectionLost("gone", method="POST", path="/predict")

    shop.tap.faults.append(once(lambda sent: sent.indexes, dies))
    with shop.collection() as collection:
        assert collection.index(REBUILD).indexed == 9
    assert_sound(shop, URIS)
