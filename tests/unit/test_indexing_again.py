"""ddsim.indexing, run again: after changes, faults, restarts and deaths the index is as if nothing had been."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import orjson
import pytest
from rooms import Sent, Shop, lost_reply, once, refusal
from stock import assert_sound, index, names

from ddsim import (
    CapabilityError,
    ConnectionLost,
    Reply,
    ServerFault,
    ServerUnreachable,
    ServiceConflict,
    ServiceNotFound,
)
from ddsim.services import ensure


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    """A shop with an empty catalogue; four pictures go in one request."""
    return Shop(tmp_path, {"classification": None})


@pytest.mark.parametrize("same_client", [True, False])
@pytest.mark.parametrize("restarted", [True, False])
def test_twice_makes_no_duplicates(shop: Shop, same_client: bool, restarted: bool) -> None:
    """Indexing again replaces: what was removed from the catalogue is gone, nothing is there twice."""
    client = shop.client()
    shop.add(*names("lamp", 6))
    index(shop, client)
    (shop.catalogue / "lamp" / "02.png").unlink()
    shop.add("bed/new.png")
    if restarted:
        shop.tap.restart()
    report = index(shop, client if same_client else shop.client())
    assert report.indexed == 6
    assert_sound(shop, ["bed/new.png", *(uri for uri in names("lamp", 6) if uri != "lamp/02.png")])


def test_what_a_client_believes_may_be_outdated(shop: Shop) -> None:
    """Since a client used the index, the server was restarted and others created the service: no duplicates."""
    shop.add(*names("lamp", 3))
    client = shop.client()
    index(shop, client)
    shop.tap.restart()
    ensure(shop.client(), shop.settings.similarity_spec(), layer="pool1")
    index(shop, client)
    assert_sound(shop, names("lamp", 3))


@pytest.mark.parametrize("same_client", [True, False])
def test_leftovers_of_a_run_that_died(shop: Shop, same_client: bool) -> None:
    """What an earlier run indexed and never built makes searches fail; the next run starts afresh and heals it."""
    shop.add(*names("lamp", 9))
    client = shop.client()
    index(shop, client)
    shop.add("bed/left-over.png")

    def dies(sent: Sent, _: Callable[[], Reply]) -> Reply | None:
        if sent.builds:
            raise ConnectionLost("gone", method="POST", path="/predict")
        return None

    shop.tap.faults.append(dies)
    with pytest.raises(ConnectionLost):
        index(shop, client)
    shop.tap.faults.clear()
    (shop.catalogue / "bed" / "left-over.png").unlink()
    report = index(shop, client if same_client else shop.client())
    assert report.indexed == 9
    assert_sound(shop, names("lamp", 9))


@pytest.mark.parametrize("same_client", [True, False])
@pytest.mark.parametrize("build", [True, False])
def test_an_answer_that_is_lost(shop: Shop, same_client: bool, build: bool) -> None:
    """A call that adds is never repeated when its answer is lost; the run ends, and the next one is sound."""
    shop.add(*names("lamp", 9))
    client = shop.client()
    shop.tap.faults.append(once(lambda sent: sent.indexes and sent.builds == build, lost_reply))
    with pytest.raises(ConnectionLost):
        index(shop, client)
    sent = Counter(uri for call in shop.tap.index_calls for uri in call.ids)
    assert set(sent.values()) == {1}
    index(shop, client if same_client else shop.client())
    assert_sound(shop, names("lamp", 9))


@pytest.mark.parametrize(("status", "dd_code"), [(500, 1007), (503, None), (504, None)])
def test_a_server_fault_ends_the_run(shop: Shop, status: int, dd_code: int | None) -> None:
    """A fault is no bad picture: nothing is halved, nothing repeated; the same client heals it in the next run."""
    shop.add(*names("lamp", 9))
    client = shop.client()
    shop.tap.faults.append(once(lambda sent: sent.indexes, lambda _: refusal(status, dd_code)))
    with pytest.raises(ServerFault):
        index(shop, client)
    assert len(shop.tap.index_calls) == 1
    index(shop, client)
    assert_sound(shop, names("lamp", 9))


def test_a_connection_that_never_stood_is_tried_again(shop: Shop) -> None:
    """Where nothing was sent, the call is repeated and the run goes on."""

    def refused(_: Callable[[], Reply]) -> Reply:
        raise ServerUnreachable("no server", method="POST", path="/predict")

    shop.add(*names("lamp", 9))
    shop.tap.faults.append(once(lambda sent: sent.indexes, refused))
    assert index(shop).indexed == 9
    assert_sound(shop, names("lamp", 9))


def test_a_server_that_restarts_during_the_run(shop: Shop) -> None:
    """Its services are gone: the run ends with that error, and the next one is sound."""
    shop.add(*names("lamp", 9))
    client = shop.client()

    def restarts(carry_out: Callable[[], Reply]) -> Reply:
        shop.tap.restart()
        return carry_out()

    shop.tap.faults.append(once(lambda sent: sent.indexes and "lamp/05.png" in sent.ids, restarts))
    with pytest.raises(ServiceNotFound, match="a server forgets its services when it restarts"):
        index(shop, client)
    index(shop, client)
    assert_sound(shop, names("lamp", 9))


def test_damaged_index_files_are_replaced(shop: Shop) -> None:
    """An index file that the server cannot load does not stand in the way of a new index."""
    shop.add(*names("lamp", 3))
    index(shop)
    (shop.index_folder / "index.faiss").write_bytes(b"no index")
    shop.tap.restart()
    assert index(shop).indexed == 3
    assert_sound(shop, names("lamp", 3))


def test_a_service_with_other_settings_is_left_alone(shop: Shop) -> None:
    """A conflict is told before anything of the existing index is touched."""
    shop.add(*names("lamp", 3))
    index(shop)
    shop.configure(network={"mean": [1.0, 2.0, 3.0]})
    shop.tap.sent.clear()
    with pytest.raises(ServiceConflict, match="mean"):
        index(shop)
    assert {sent.method for sent in shop.tap.sent} == {"GET"}
    shop.configure()
    assert_sound(shop, names("lamp", 3))


def test_a_server_without_similarity_search(shop: Shop) -> None:
    """A server that would ignore the index silently is refused, with what to do."""

    def built_without(sent: Sent, carry_out: Callable[[], Reply]) -> Reply | None:
        if sent.path != "/info":
            return None
        answer = orjson.loads(carry_out().body)
        answer["head"]["compile_flags"] = answer["head"]["compile_flags"].replace("SEARCH=ON", "SEARCH=OFF")
        return Reply(200, orjson.dumps(answer))

    shop.add(*names("lamp", 3))
    shop.tap.faults.append(built_without)
    with pytest.raises(CapabilityError, match=r"v0\.25\.0"):
        index(shop)
    assert not shop.tap.index_calls
