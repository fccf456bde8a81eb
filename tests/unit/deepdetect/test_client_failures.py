"""ddsim.deepdetect.client: lost answers, unknown layers, and services that change under a client."""

from __future__ import annotations

import io
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from client_calls import index, search, spec

from ddsim import Client, Retries
from ddsim.errors import (
    ApiError,
    BadInput,
    BadParameter,
    CapabilityError,
    ConnectionLost,
    DDSimError,
    InvalidResponse,
    ServerTimeout,
    ServerUnreachable,
    ServiceNotFound,
    UnsafeCall,
)

LOST = [ConnectionLost("gone"), ServerTimeout("slow"), InvalidResponse("noise")]


# A service that changes under a client


def test_a_service_replaced_while_pictures_are_read(transport: Any, draw: Any) -> None:
    """A similarity service that became a classification service in the middle of a search is not searched (29)."""
    client = Client(transport=transport, retries=0)
    search(client, draw)

    def pictures() -> Iterator[Any]:
        client.delete_service("sim")
        transport.services["sim"] = {"name": "sim", "mllib": "caffe", "type": "supervised"}
        client.create_service(spec(name="sim"))
        yield draw(1)

    with pytest.raises(UnsafeCall, match="classifies"):
        client.search_index("sim", pictures(), layer="fc1")
    assert len(transport.predicts) == 1


def test_a_service_replaced_while_pictures_are_added(transport: Any, draw: Any) -> None:
    """As for a search: the check is made when nothing can come in between any more."""
    client = Client(transport=transport, retries=0)

    class Slow(io.BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            """Take long enough for someone to replace the service."""
            client.delete_service("sim")
            replaced(transport)
            client.create_service(spec(name="sim"))
            return super().read(size)

    picture = Slow()
    draw(1).save(picture, "PNG")
    picture.seek(0)
    with pytest.raises(UnsafeCall, match="classifies"):
        client.add_to_index("sim", {"a": picture}, layer="fc1")
    assert transport.predicts == []


def test_a_service_created_after_a_restart(transport: Any, draw: Any, client: Client) -> None:
    """Nothing that was remembered of the one before is held for or against it."""
    index(client, draw, build=False)
    client.create_service(spec(name="sim", type="unsupervised", repository="/i/sim"))
    search(client, draw)
    replaced(transport)
    client.create_service(spec(name="sim"))
    with pytest.raises(UnsafeCall, match="classifies"):
        search(client, draw)


def test_a_question_that_failed_is_asked_again(transport: Any, draw: Any) -> None:
    """What was known of a service before a doubt is not used after a failed question about it."""
    client = Client(transport=transport, retries=0)
    search(client, draw)
    transport.script.append(ConnectionLost("gone"))
    with pytest.raises(ConnectionLost):
        search(client, draw)
    del transport.services["sim"]
    with pytest.raises(ServiceNotFound):
        search(client, draw)
    replaced(transport)
    with pytest.raises(UnsafeCall, match="classifies"):
        search(client, draw)


def replaced(transport: Any) -> None:
    """Another server answers from now on, where `sim` classifies."""
    transport.services["sim"] = {"name": "sim", "mllib": "caffe", "type": "supervised"}


def rebuilt(transport: Any) -> None:
    """Another server answers from now on, without similarity search."""
    transport.compile_flags = "USE_SIMSEARCH=OFF"


@pytest.mark.parametrize(("change", "error"), [(replaced, UnsafeCall), (rebuilt, CapabilityError)])
def test_a_lost_answer_asks_again(transport: Any, draw: Any, change: Any, error: Any) -> None:
    """After a lost connection the server may be another one: service and capabilities are asked for anew."""
    client = Client(transport=transport, retries=0)
    search(client, draw)
    transport.script.append(ConnectionLost("gone"))
    with pytest.raises(ConnectionLost):
        search(client, draw)
    change(transport)
    with pytest.raises(error):
        search(client, draw)
    assert len(transport.predicts) == 2


def test_a_restarted_server(client: Client, transport: Any, draw: Any, wire_answers: Any) -> None:
    """A service that is gone is ServiceNotFound, and nothing old is held against its successor."""
    index(client, draw, build=False)
    transport.script.append(wire_answers.refusal(404, 1002))
    with pytest.raises(ServiceNotFound):
        index(client, draw, "b")
    search(client, draw)


def test_another_network_under_the_same_name(client: Client, transport: Any, draw: Any, wire_answers: Any) -> None:
    """Vectors of another length than the index holds are an error, not a result."""
    search(client, draw)
    entry = {"uri": "0", "vals": [1.0, 2.0], "nns": [{"uri": "a", "dist": 0.0}]}
    transport.script.append(wire_answers.reply({"status": {}, "body": {"predictions": [entry]}}))
    with pytest.raises(InvalidResponse, match="2 values, its index holds 4"):
        search(client, draw)


# Repeating


@pytest.mark.parametrize("build", [True, False])
@pytest.mark.parametrize("lost", [*LOST, 502, 503, 504], ids=repr)
def test_index_calls_are_never_repeated(
    client: Client, transport: Any, draw: Any, wire_answers: Any, lost: Any, build: bool
) -> None:
    """Indexing twice stores twice. Until something is built, nobody knows what is in, so nothing is searched."""
    transport.script.append(wire_answers.refusal(lost) if isinstance(lost, int) else lost)
    with pytest.raises(DDSimError):
        index(client, draw, build=build)
    assert len(transport.predicts) == 1
    with pytest.raises(UnsafeCall, match="build=True"):
        search(client, draw)
    assert len(transport.predicts) == 1
    index(client, draw, "b")
    search(client, draw)


@pytest.mark.parametrize("lost", [*LOST[:2], 502, 503, 504], ids=repr)
def test_what_changes_nothing_is_repeated(
    client: Client, transport: Any, draw: Any, wire_answers: Any, lost: Any
) -> None:
    """Searches, features and labels are asked for again after a lost answer."""
    outcome = wire_answers.refusal(lost) if isinstance(lost, int) else lost
    for number, call in enumerate(
        (
            lambda: search(client, draw),
            lambda: client.extract("sim", [draw()], layer="fc1"),
            lambda: client.classify("cls", [draw()]),
        ),
        start=1,
    ):
        transport.script.append(outcome)
        call()
        assert len(transport.predicts) == 2 * number


def test_what_was_never_sent_is_repeated(client: Client, transport: Any, draw: Any) -> None:
    """A server that cannot be reached has indexed nothing."""
    transport.script += [ServerUnreachable("x"), ServerUnreachable("x")]
    index(client, draw)
    assert len(transport.predicts) == 3


def test_an_unreachable_server_leaves_nothing_unbuilt(transport: Any, draw: Any) -> None:
    """After giving up, searching is as safe as before."""
    client = Client(transport=transport, retries=0)
    transport.script.append(ServerUnreachable("x"))
    with pytest.raises(ServerUnreachable):
        index(client, draw)
    search(client, draw)


def test_tries_and_waits_are_bounded(transport: Any, draw: Any) -> None:
    """A server that stays away is given up after the allowed tries, with a wait between each two."""
    waits: list[float] = []
    transport.script += [ConnectionLost("gone")] * 9
    client = Client(transport=transport, retries=Retries(tries=4, sleep=waits.append))
    with pytest.raises(ConnectionLost):
        search(client, draw)
    assert (len(transport.predicts), len(waits)) == (4, 3)


def test_retries_switched_off(transport: Any, draw: Any) -> None:
    """retries=0 tries once."""
    transport.script.append(ConnectionLost("gone"))
    with pytest.raises(ConnectionLost):
        search(Client(transport=transport, retries=0), draw)
    assert len(transport.predicts) == 1


@pytest.mark.parametrize(
    ("answer", "build", "searchable"),
    [
        ((400, 1005), True, True),
        ((400, 1005), False, True),
        ((400, None), True, True),
        ((403, 1010), True, True),
        ((409, 1008), False, True),
        ((500, 1007), False, True),
        ((500, 1007), True, False),
        ((500, 500), True, False),
    ],
)
def test_what_a_refused_index_call_leaves(
    client: Client, transport: Any, draw: Any, wire_answers: Any, answer: Any, build: bool, searchable: bool
) -> None:
    """A refusal before the index is reached indexed nothing; a failed build may have left something in (38)."""
    search(client, draw)
    transport.script.append(wire_answers.refusal(*answer))
    with pytest.raises(ApiError):
        index(client, draw, build=build)
    if searchable:
        search(client, draw)
    else:
        with pytest.raises(UnsafeCall, match="build=True"):
            search(client, draw)


def test_a_refused_build_does_not_build_what_was_there(
    client: Client, transport: Any, draw: Any, wire_answers: Any
) -> None:
    """What was indexed before stays unbuilt when the building call is refused."""
    index(client, draw, build=False)
    transport.script.append(wire_answers.refusal(400, 1005))
    with pytest.raises(BadInput):
        index(client, draw, "b")
    with pytest.raises(UnsafeCall, match="build=True"):
        search(client, draw)


# Unknown layers


def test_the_poisoned_call_is_absorbed(client: Client, transport: Any, draw: Any, wire_answers: Any) -> None:
    """After an unknown layer Caffe fails once more, whatever is asked (recording 20): a call of no use takes it."""
    transport.script += [wire_answers.refusal(400, 1006, "unknown extract layer x"), wire_answers.refusal(500, 1007)]
    with pytest.raises(BadParameter, match="unknown extract layer x"):
        client.extract("sim", [draw()], layer="x")
    sacrifice = transport.predicts[-1]
    assert len(transport.predicts) == 2
    assert sacrifice["parameters"].get("output", {}) == {}
    assert "extract_layer" not in sacrifice["parameters"]["mllib"]
    client.extract("sim", [draw()], layer="fc1")
    index(client, draw)


@pytest.mark.parametrize("call", [index, search])
def test_the_poisoned_call_breaks_no_index(
    client: Client, transport: Any, draw: Any, wire_answers: Any, call: Any
) -> None:
    """The failure that is expected is not taken for a failure of the index, and nothing of the wrong layer sticks."""
    transport.script += [wire_answers.refusal(400, 1006), wire_answers.refusal(500, 1007)]
    with pytest.raises(BadParameter):
        call(client, draw, layer="x")
    call(client, draw, layer="fc1")
    search(client, draw)


@pytest.mark.parametrize("outcome", [ConnectionLost("gone"), 500, 400, 200])
def test_whatever_becomes_of_the_poisoned_call(transport: Any, draw: Any, wire_answers: Any, outcome: Any) -> None:
    """The caller hears of the unknown layer, not of the sacrifice."""
    client = Client(transport=transport, retries=0)
    answer = wire_answers.refusal(outcome) if isinstance(outcome, int) else outcome
    transport.script += [wire_answers.refusal(400, 1006, "unknown extract layer x"), answer]
    with pytest.raises(BadParameter, match="unknown extract layer"):
        client.extract("sim", [draw()], layer="x")


def test_nobody_gets_between_the_unknown_layer_and_its_sacrifice(transport: Any, draw: Any, wire_answers: Any) -> None:
    """Another thread's call on the service waits until the poison is gone."""
    client = Client(transport=transport, retries=0)
    free: list[bool] = []

    def sacrifice(_: Any) -> Any:
        lock = client._core.guard("sim").lock
        other = threading.Thread(target=lambda: free.append(lock.acquire(blocking=False)))
        other.start()
        other.join()
        return wire_answers.refusal(500, 1007)

    transport.script += [wire_answers.refusal(400, 1006), sacrifice]
    with pytest.raises(BadParameter):
        client.extract("sim", [draw()], layer="x")
    assert free == [False]


def test_torch_is_not_poisoned(client: Client, transport: Any, draw: Any, wire_answers: Any) -> None:
    """Torch forgets an unknown layer at once (recording torch 09)."""
    transport.script.append(wire_answers.refusal(400, 1006))
    with pytest.raises(BadParameter):
        client.extract("torch", [draw()], layer="x")
    assert len(transport.predicts) == 1


def test_wrong_parameters_of_a_classification_are_not_poison(
    client: Client, transport: Any, draw: Any, wire_answers: Any
) -> None:
    """Only a layer can be unknown; other refusals send nothing after them."""
    transport.script.append(wire_answers.refusal(400, 1006, "no deploy file"))
    with pytest.raises(BadParameter):
        client.classify("cls", [draw()])
    assert len(transport.predicts) == 1


# Threads


def test_threads_get_their_own_results(transport: Any, draw: Any, as_sent: Any) -> None:
    """Eight threads share a client, and each gets what it asked for."""
    client = Client(transport=transport)
    found: dict[int, Any] = {}
    failed: list[BaseException] = []

    def ask(seed: int) -> None:
        try:
            found[seed] = search(client, lambda _: draw(seed))[0].neighbours[0].uri
        except BaseException as error:  # noqa: BLE001  reported below
            failed.append(error)

    threads = [threading.Thread(target=ask, args=(seed,)) for seed in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failed
    assert found == {seed: f"near/{as_sent(draw(seed))[-20:]}" for seed in range(8)}
