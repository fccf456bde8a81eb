"""ddsim.indexing.run under faults: whatever fails, dies or is stopped, the rest is indexed, or the next run does it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from homes import Clock, StrictTap, four_at_a_time
from shop import Sent, Shop, lost_reply, once, refusal
from stock import assert_sound, index, names, picks, quarantined, sent_batches, wait_for_nothing

from ddsim import (
    ConnectionLost,
    Progress,
    Reply,
    ServerBusy,
    ServerFault,
    ServerUnreachable,
    ServiceConflict,
    TransportError,
)
from ddsim.deepdetect.services import ensure


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody waits for a server."""
    wait_for_nothing(monkeypatch)


def brings(shop: Shop) -> Callable[[Sent], bool]:
    """Tells the requests that bring pictures of the catalogue."""
    return picks(shop, [path.relative_to(shop.catalogue).as_posix() for path in shop.catalogue.rglob("*.png")])


def down(_: Callable[[], Reply]) -> Reply:
    """Nobody is there."""
    raise ServerUnreachable("no server", method="POST", path="/predict")


def lost(_: Callable[[], Reply]) -> Reply:
    """No answer, and nothing was done."""
    raise ConnectionLost("gone", method="POST", path="/predict")


# One fault


FAULTS: dict[str, Callable[[Callable[[], Reply]], Reply]] = {
    "answer lost": lost_reply,
    "request lost": lost,
    "500": lambda _: refusal(500, 1007),
    "504 after the work": lambda carry_out: (carry_out(), refusal(504))[1],
}


@pytest.mark.parametrize("build", [True, False])
@pytest.mark.parametrize("fault", FAULTS)
def test_one_fault_is_survived(shop: Shop, fault: str, build: bool) -> None:
    """Whether the server did it or not, at a build or before: the run goes on, and each item is found exactly once."""
    shop.add(*names("lamp", 9))
    shop.tap.faults.append(once(lambda sent: sent.indexes and sent.builds == build, FAULTS[fault]))
    report = index(shop)
    assert (report.indexed, report.failures, report.finished) == (9, (), True)
    assert_sound(shop, names("lamp", 9))


@pytest.mark.parametrize("fault", FAULTS)
def test_one_fault_is_survived_at_home(tmp_path: Path, fault: str) -> None:
    """The same where ddsim keeps the vectors."""
    shop = four_at_a_time(tmp_path, "local")
    shop.add(*names("lamp", 9))
    hit = brings(shop)
    spoilt: list[Sent] = []

    # Asking for features is repeated by the client unless the server says 500, so the fault has to outlast that.
    def long_fault(sent: Sent, carry_out: Callable[[], Reply]) -> Reply | None:
        if not hit(sent) or len(spoilt) == (1 if fault == "500" else 3):
            return None
        spoilt.append(sent)
        return FAULTS[fault](carry_out)

    shop.tap.faults.append(long_fault)
    report = index(shop)
    assert (report.indexed, report.failures, report.finished) == (9, (), True)
    assert_sound(shop, names("lamp", 9))


def test_a_call_that_adds_is_not_repeated(shop: Shop) -> None:
    """After a lost answer no row of the same name is sent again: what is sent anew has numbers of its own."""
    shop.add(*names("lamp", 9))
    shop.tap.faults.append(once(lambda sent: sent.indexes, lost_reply))
    index(shop)
    sent = Counter(name for call in shop.tap.index_calls for name in call.ids)
    assert set(sent.values()) == {1}


def test_a_connection_that_never_stood_is_tried_again(shop: Shop) -> None:
    """Where nothing was sent, the call is repeated as it is."""
    shop.add(*names("lamp", 9))
    shop.tap.faults.append(once(lambda sent: sent.indexes, down))
    index(shop)
    assert [len(call.ids) for call in shop.tap.index_calls] == [4, 4, 4, 1]
    assert_sound(shop, names("lamp", 9))


def test_a_call_that_was_refused_for_now_is_sent_again(either: Shop) -> None:
    """429 says that nothing was done, so that adding is repeated as well, with pictures of the same numbers."""
    uris = names("lamp", 9)
    either.add(*uris)
    either.tap.faults.append(once(brings(either), lambda _: refusal(429)))
    report = index(either)
    assert (report.indexed, report.failures, report.finished) == (9, (), True)
    assert [len(batch) for batch in sent_batches(either)] == [4, 4, 4, 1]
    assert_sound(either, uris)


def test_a_server_that_is_busy_for_long_ends_the_run(either: Shop) -> None:
    """No picture is blamed where a server takes no calls: the run says so, and the next one does the rest."""
    uris = names("lamp", 9)
    either.add(*uris)
    hit, busy = picks(either, [uris[8]]), [True]
    either.tap.faults.append(lambda sent, _: refusal(429) if busy and hit(sent) else None)
    with pytest.raises(ServerBusy):
        index(either)
    with either.collection() as collection:
        assert quarantined(collection) == []
    busy.clear()
    report = index(either)
    assert (report.failures, report.finished) == ((), True)
    assert_sound(either, uris)


@pytest.mark.parametrize("position", [0, 8])
def test_a_server_that_restarts_during_the_run(either: Shop, position: int) -> None:
    """Its services are gone, and so is what it had not built: all of it is done again in the same run."""
    uris = names("lamp", 9)
    either.add(*uris)
    hit = picks(either, [uris[position]])

    def restarts(carry_out: Callable[[], Reply]) -> Reply:
        either.tap.restart()
        return carry_out()

    either.tap.faults.append(once(hit, restarts))
    report = index(either)
    assert (report.indexed, report.failures, report.finished) == (9, (), True)
    assert_sound(either, uris)


def test_what_was_built_is_not_sent_again(shop: Shop) -> None:
    """A server that dies costs what was not built, and no more."""
    shop.configure(index={"checkpoint": 4})
    uris = names("lamp", 16)
    shop.add(*uris)

    def dies(_: Callable[[], Reply]) -> Reply:
        shop.tap.restart()
        raise ConnectionLost("gone", method="POST", path="/predict")

    shop.tap.faults.append(once(picks(shop, [uris[9]]), dies))
    index(shop)
    again = Counter(uri for batch in sent_batches(shop) for uri in batch)
    assert [uri for uri, times in again.items() if times > 1] == uris[8:12]
    assert_sound(shop, uris)


# The size of batches


def test_batches_shrink_at_faults_and_grow_back(shop: Shop) -> None:
    """After a fault batches are half as large, and double again after four good ones in a row, up to the setting."""
    shop.configure(index={"batch_size": 16})
    uris = names("lamp", 99)
    shop.add(*uris)
    shop.tap.faults.append(once(lambda sent: sent.indexes, lambda _: refusal(500, 1007)))
    index(shop)
    sizes = [len(call.ids) for call in shop.tap.index_calls]
    assert sizes == [16, 8, 8, 8, 8, 16, 16, 16, 16, 3]
    assert_sound(shop, uris)


def test_a_server_that_takes_small_batches_only(either: Shop) -> None:
    """A server that fails at more than two pictures at a time is given no more than it takes; nothing is put aside."""
    uris = names("lamp", 13)
    either.add(*uris)
    hit = brings(either)
    either.tap.faults.append(lambda sent, _: refusal(500, 1007) if hit(sent) and len(sent.json["data"]) > 2 else None)
    report = index(either)
    assert (report.indexed, report.failures) == (13, ())
    either.tap.faults.clear()
    assert_sound(either, uris)


# Poison


@pytest.mark.parametrize(("position", "way"), [(0, "dies"), (5, "500"), (8, "dies")])
def test_a_poison_picture(either: Shop, position: int, way: str) -> None:
    """A picture that kills or fails the server in whatever batch it is ends in quarantine, all others in the index."""
    uris = names("lamp", 9)
    either.add(*uris)
    poison(either, [uris[position]], way)
    report = index(either)
    assert [failure.uri for failure in report.failures] == [uris[position]]
    assert "the server failed at it 2 times" in report.failures[0].reason
    assert report.indexed == 8
    either.tap.faults.clear()
    assert_sound(either, [uri for uri in uris if uri != uris[position]])
    assert index(either).sent == 0


def poison(shop: Shop, uris: list[str], way: str) -> None:
    """Make the server die of these pictures, or fail."""
    hit = picks(shop, uris)

    def fault(sent: Sent, _: Callable[[], Reply]) -> Reply | None:
        if not hit(sent):
            return None
        if way == "500":
            return refusal(500, 1007)
        shop.tap.restart()
        raise ConnectionLost("gone", method="POST", path="/predict")

    shop.tap.faults.append(fault)


def test_several_poison_pictures_side_by_side(shop: Shop) -> None:
    """Two in a row, at the beginning of a large batch, are both found out in one run."""
    shop.configure(index={"batch_size": 16})
    uris = names("lamp", 20)
    shop.add(*uris)
    poison(shop, uris[:2], "500")
    report = index(shop)
    assert [failure.uri for failure in report.failures] == uris[:2]
    shop.tap.faults.clear()
    assert_sound(shop, uris[2:])


def test_poison_in_the_largest_batch(shop: Shop) -> None:
    """Halving the largest batch that can be configured down to the culprit is not taken for a broken server."""
    shop.configure(index={"batch_size": 256})
    uris = names("lamp", 130)
    shop.add(*uris)
    poison(shop, uris[:1], "500")
    report = index(shop)
    assert [failure.uri for failure in report.failures] == uris[:1]
    assert report.indexed == 129


# A server that stays away


def test_a_server_that_fails_for_good(either: Shop) -> None:
    """The run ends with the server's error before it has put good pictures aside, and the next one does all."""
    uris = names("lamp", 40)
    either.add(*uris)
    hit = brings(either)
    either.tap.faults.append(lambda sent, _: refusal(500, 1007, "out of memory") if hit(sent) else None)
    with pytest.raises(ServerFault, match="out of memory"):
        index(either)
    assert len(sent_batches(either)) < 30
    either.tap.faults.clear()
    with either.collection() as collection:
        assert quarantined(collection) == []
    report = index(either)
    assert (report.indexed, report.sent) == (40, 40)
    assert_sound(either, uris)


def test_a_server_that_goes_away_for_good(either: Shop) -> None:
    """The run ends with that error; what was built holds, and the next run does the rest."""
    either.configure(index={"checkpoint": 4})
    uris = names("lamp", 16)
    either.add(*uris)
    hit = picks(either, [uris[9]])
    tap = either.tap
    assert isinstance(tap, StrictTap)

    def dies(sent: Sent, _: Callable[[], Reply]) -> Reply | None:
        if not hit(sent):
            return None
        tap.down = True
        raise ConnectionLost("gone", method="POST", path="/predict")

    tap.faults.append(dies)
    with pytest.raises(TransportError):
        index(either)
    tap.faults.clear()
    tap.down = False
    tap.restart()
    assert set(uris[:8]) <= set(either.indexed())
    tap.sent.clear()
    report = index(either)
    assert (report.indexed, report.failures) == (16, ())
    assert not set(uris[:8]) & {uri for batch in sent_batches(either) for uri in batch}
    assert_sound(either, uris)


def test_a_server_that_comes_back(either: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that is away for less than the patience lasts is waited for, and the run goes on."""
    uris = names("lamp", 9)
    either.add(*uris)
    tap = either.tap
    assert isinstance(tap, StrictTap)
    clock = Clock(tap, back_at=20.0)
    wait_for_nothing(monkeypatch, clock)

    def dies(_: Callable[[], Reply]) -> Reply:
        tap.restart()
        tap.down = True
        raise ConnectionLost("gone", method="POST", path="/predict")

    tap.faults.append(once(picks(either, [uris[5]]), dies))
    report = index(either)
    assert clock.now >= 20.0
    assert (report.indexed, report.failures) == (9, ())
    assert_sound(either, uris)


@pytest.mark.parametrize("restarted", [True, False])
def test_a_run_that_died_before_the_build(shop: Shop, restarted: bool) -> None:
    """What was sent and never built is found after the next run, which sends it again only if the server forgot it."""
    uris = names("lamp", 9)
    shop.add(*uris)

    def dies(sent: Sent, _: Callable[[], Reply]) -> Reply | None:
        if sent.builds:
            raise KeyboardInterrupt
        return None

    shop.tap.faults.append(dies)
    with pytest.raises(KeyboardInterrupt):
        index(shop)
    shop.tap.faults.clear()
    if restarted:
        shop.tap.restart()
    shop.tap.sent.clear()
    assert index(shop).indexed == 9
    sent = sorted(uri for batch in sent_batches(shop) for uri in batch)
    assert sent == (uris if restarted else [])
    assert_sound(shop, uris)


def test_what_a_client_believes_may_be_outdated(shop: Shop) -> None:
    """Since a client used the index, the server was restarted and others created the service: told, not mixed up."""
    shop.add(*names("lamp", 3))
    client = shop.client()
    index(shop, client)
    name = shop.service()
    shop.tap.restart()
    ensure(shop.client(), shop.settings.similarity_spec().model_copy(update={"name": name}), layer="fc1")
    with pytest.raises(ServiceConflict):
        index(shop, client)
    shop.client().delete_service(name)
    index(shop, client)
    assert_sound(shop, names("lamp", 3))


def test_damaged_index_files_are_replaced(shop: Shop) -> None:
    """An index file that the server cannot load does not stand in the way of a new index."""
    shop.add(*names("lamp", 3))
    index(shop)
    (file,) = shop.index_folder.rglob("index.faiss")
    file.write_bytes(b"no index")
    shop.tap.restart()
    report = index(shop)
    assert (report.indexed, report.sent) == (3, 3)
    assert_sound(shop, names("lamp", 3))


# Stopping


@pytest.mark.parametrize("after", [0, 2])
def test_stopping(either: Shop, after: int) -> None:
    """A run that is told to stop makes what it sent searchable and says that it is not finished; the next one is."""
    uris = names("lamp", 14)
    either.add(*uris)
    told: list[Progress] = []
    report = index(either, progress=told.append, stopping=lambda: len(told) >= after, audit=True)
    assert (report.finished, report.indexed, report.audit) == (False, 4 * after, None)
    assert len(told) == after
    assert either.indexed() == uris[: 4 * after]
    either.tap.sent.clear()
    report = index(either)
    assert (report.finished, report.indexed, report.sent) == (True, 14, 14 - 4 * after)
    assert report.changes["waiting"] == 14 - 4 * after
    assert [uri for batch in sent_batches(either) for uri in batch] == uris[4 * after :]
    assert_sound(either, uris)
