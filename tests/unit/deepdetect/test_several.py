"""Several servers as one client: who is asked, who takes over, who is let in again, and who is refused."""

from __future__ import annotations

import inspect
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from typing import Any

import numpy as np
import pytest
from PIL import Image

from ddsim import Client, Reply, Retries, ServerUnreachable, Timeout
from ddsim.deepdetect import Canary, ServiceSpec, Several, drawn, ensure
from ddsim.deepdetect.members import Member, Members, Pause
from ddsim.errors import (
    BadInput,
    BadParameter,
    ConnectionLost,
    InvalidRequest,
    NetworkChanged,
    ServerBusy,
    ServerFault,
    ServerTimeout,
    ServiceNotFound,
    TransportError,
    Unconnectable,
    UnsafeCall,
)
from ddsim.pictures import Upload

SIMILAR = ServiceSpec(
    name="shop",
    type="unsupervised",
    repository="/opt/models/shop",
    nclasses=2,
    definition="/opt/models/net.prototxt",
    weights="/opt/models/net.caffemodel",
)
GREY = Image.new("RGB", (8, 8), (90, 90, 90))
SECONDS = 30


class Server:
    """Stands for a server: it has services, computes features, and can be down, forget, or run another network."""

    def __init__(self, name: str, wire_answers: Any) -> None:
        self.name = name
        self.answers = wire_answers
        self.services: dict[str, Any] = {}
        self.asked: list[str] = []
        self.down: Exception | None = None
        self.fault: Callable[[str], Reply | None] = lambda _path: None
        self.other_network = False
        self.closed = False

    def exchange(self, method: str, path: str, json: Mapping[str, Any] | None, timeout: Timeout) -> Reply:
        """Answer as a server with this state does."""
        del timeout
        if self.down is not None:
            raise self.down
        self.asked.append(f"{method} {path.partition('?')[0]}")
        answer = self.fault(path)
        if answer is not None:
            return answer
        if path == "/info":
            return self.answers.reply({"head": {"compile_flags": "USE_CAFFE=ON", "services": []}})
        if path == "/predict":
            return self._predicted(dict(json or {}))
        name = path.removeprefix("/services/").partition("?")[0]
        if method == "PUT":
            self.services[name] = self._service(name, dict(json or {}))
            return self.answers.reply(status=201)
        if name not in self.services:
            return self.answers.refusal(404, 1002, "Service Not Found")
        if method == "DELETE":
            del self.services[name]
            return self.answers.reply()
        return self.answers.reply({"status": {}, "body": self.services[name]})

    @staticmethod
    def _service(name: str, body: dict[str, Any]) -> dict[str, Any]:
        kept = {key: body[key] for key in ("description", "mllib", "type", "parameters")}
        return {"name": name, "repository": body["model"]["repository"], **kept}

    def _predicted(self, body: dict[str, Any]) -> Reply:
        if body["service"] not in self.services:
            return self.answers.refusal(404, 1002, "Service Not Found")
        if self.other_network:
            body["data"] = [data[::-1] for data in body["data"]]
        return self.answers.predicted(body)

    @property
    def predictions(self) -> int:
        """How many it answered."""
        return self.asked.count("POST /predict")

    def close(self) -> None:
        """Remember it."""
        self.closed = True


class Three:
    """Three servers and a client to them, which waits for nothing."""

    def __init__(self, wire_answers: Any) -> None:
        self.servers = {name: Server(name, wire_answers) for name in ("one", "two", "three")}
        self.waits: list[float] = []
        clients = {f"http://{name}:8080": Client(transport=server, retries=0) for name, server in self.servers.items()}
        self.client = Several(clients, retries=Retries(tries=2, sleep=self.waits.append))

    def __getitem__(self, name: str) -> Server:
        return self.servers[name]

    def ensure(self, canary: Canary | None = None) -> Any:
        """Have the service on all."""
        return ensure(self.client, SIMILAR, layer="fc1", canary=canary)

    def extract(self, count: int = 1) -> np.ndarray[Any, Any]:
        """Features of grey pictures."""
        return self.client.extract("shop", [GREY] * count, layer="fc1")


@pytest.fixture
def three(wire_answers: Any) -> Iterator[Three]:
    """Three servers."""
    made = Three(wire_answers)
    with closing(made.client):
        yield made
    assert all(server.closed for server in made.servers.values())


def test_every_public_method_is_its_own() -> None:
    """Nothing of Client's own machinery is used, which several servers have not: all that is public is defined anew."""
    public = {name for name, _ in inspect.getmembers(Client) if not name.startswith("_")}
    assert public <= set(vars(Several))


def test_one_server_is_not_several(three: Three) -> None:
    """Two at least are needed; for one there is the plain client."""
    with pytest.raises(InvalidRequest, match="two servers at least"):
        Several({"http://one": three.client.members["http://one:8080"]})


def test_services_are_made_on_each(three: Three) -> None:
    """Each has the service, and the vectors of the drawn pictures were asked of each."""
    made = three.ensure()
    assert (made.name, made.created, made.dimension) == ("shop", True, 4)
    assert [list(server.services) for server in three.servers.values()] == [["shop"]] * 3
    assert not three.ensure().created


def test_calls_are_spread(three: Three) -> None:
    """One after the other, all get the same share."""
    three.ensure()
    before = {name: server.predictions for name, server in three.servers.items()}
    for _ in range(6):
        three.extract()
    assert [server.predictions - before[name] for name, server in three.servers.items()] == [2, 2, 2]


def test_the_least_busy_is_asked(three: Three) -> None:
    """While one works on a large batch, all that comes meanwhile goes to the others."""
    three.ensure()
    working, go_on = threading.Event(), threading.Event()
    held: list[str] = []

    def hold(server: Server) -> Callable[[str], Reply | None]:
        def fault(path: str) -> Reply | None:
            if path == "/predict" and not held:
                held.append(server.name)
                working.set()
                assert go_on.wait(SECONDS)
            return None

        return fault

    for server in three.servers.values():
        server.fault = hold(server)
    thread = threading.Thread(target=three.extract, args=(8,))
    thread.start()
    assert working.wait(SECONDS)
    busy = three[held[0]]
    before = busy.predictions
    for _ in range(6):
        three.extract()
    assert busy.predictions == before
    go_on.set()
    thread.join(SECONDS)


@pytest.mark.parametrize("error", [ConnectionLost("gone"), ServerUnreachable("nobody there"), ServerTimeout("late")])
def test_another_one_takes_over(three: Three, error: TransportError) -> None:
    """What a server that dies was asked for goes to another one, and nothing more goes to the dead one."""
    three.ensure()
    three["one"].down = error
    assert [three.extract().shape for _ in range(6)] == [(1, 4)] * 6
    assert three.client.troubles == {"http://one:8080": str(error)}


def test_a_picture_that_ends_servers_does_not_end_them_all(three: Three) -> None:
    """After the second server that died of it, whoever sent it hears of it; the third one lives."""
    three.ensure()
    for server in three.servers.values():
        server.fault = _dying(server)
    with pytest.raises(ConnectionLost):
        three.extract()
    assert sum(server.down is not None for server in three.servers.values()) == 2


def _dying(server: Server) -> Callable[[str], Reply | None]:
    def fault(path: str) -> Reply | None:
        if path == "/predict":
            server.down = ServerUnreachable("nobody there")
            raise ConnectionLost("gone")
        return None

    return fault


def test_a_fault_that_others_do_not_have_is_the_servers(three: Three) -> None:
    """A server that answers 500 to what another one does is left alone; where both do, the picture is to blame."""
    three.ensure()
    broken = three.servers["one"].answers.refusal(500, 1007, "out of memory")
    three["one"].fault = lambda path: broken if path == "/predict" else None
    assert [three.extract().shape for _ in range(3)] == [(1, 4)] * 3
    assert list(three.client.troubles) == ["http://one:8080"]
    for server in three.servers.values():
        server.fault = lambda path: broken if path == "/predict" else None
    with pytest.raises(ServerFault):
        three.extract()
    assert list(three.client.troubles) == ["http://one:8080"]


def busy(seconds: int) -> Callable[[str], Reply | None]:
    """Takes no predictions, and names the seconds until it does."""
    answer = Reply(429, b"", {"retry-after": str(seconds)})
    return lambda path: answer if path == "/predict" else None


def test_one_that_is_busy_is_left_alone(three: Three) -> None:
    """What one takes no calls for goes to another one without any waiting, and nothing of it counts as tried."""
    three.ensure()
    three["one"].fault = three["two"].fault = busy(20)
    assert [three.extract().shape for _ in range(3)] == [(1, 4)] * 3
    assert sorted(three.client.troubles) == ["http://one:8080", "http://two:8080"]
    assert three.waits == []


def test_all_that_are_busy_are_waited_for(three: Three) -> None:
    """Where none takes calls, the shortest of the times that they name is waited for; then each is named."""
    three.ensure()
    for number, server in enumerate(three.servers.values()):
        server.fault = busy(9 - number)
    with pytest.raises(ServerBusy, match="none of the 3 servers takes calls: http://one:8080: ") as raised:
        three.extract()
    assert raised.value.retry_after == 7.0
    assert len(three.waits) == 1
    assert 7.0 <= three.waits[0] < 8.0


@pytest.mark.parametrize(("status", "code", "kind"), [(400, 1005, BadInput), (400, 1006, BadParameter)])
def test_refusals_are_nobodys_trouble(three: Three, status: int, code: int, kind: type[Exception]) -> None:
    """What is wrong with the call is told at once, and no other server is asked."""
    three.ensure()
    before = sum(server.predictions for server in three.servers.values())
    for server in three.servers.values():
        server.fault = lambda path: server.answers.refusal(status, code) if path == "/predict" else None  # noqa: B023
    with pytest.raises(kind):
        three.extract()
    assert three.client.troubles == {}
    assert sum(server.predictions for server in three.servers.values()) <= before + 2  # a poisoned one is cleared


def test_all_dead_names_each(three: Three) -> None:
    """Nobody there: one error that names all three, after a second try."""
    for name, server in three.servers.items():
        server.down = ServerUnreachable(f"nobody at {name}")
    with pytest.raises(ServerUnreachable) as caught:
        three.client.info()
    told = str(caught.value)
    assert "none of the 3 servers" in told
    assert all(f"http://{name}:8080: nobody at {name}" in told for name in three.servers)
    assert not isinstance(caught.value, Unconnectable)
    assert len(three.waits) == 1


def test_where_waiting_cannot_help_it_is_not_tried(three: Three) -> None:
    """Three wrong names end it at once."""
    for server in three.servers.values():
        server.down = Unconnectable("no such name")
    with pytest.raises(Unconnectable):
        three.client.info()
    assert three.waits == []


def test_one_dead_at_the_start(three: Three) -> None:
    """The others have the service, and it is told who is missing."""
    three["two"].down = ServerUnreachable("nobody there")
    assert three.ensure().dimension == 4
    assert three.client.troubles == {"http://two:8080": "nobody there"}
    assert three.extract().shape == (1, 4)


def test_all_come_back(three: Three) -> None:
    """After all were gone and have forgotten everything, each gets its services anew before it is asked."""
    three.ensure()
    for server in three.servers.values():
        server.down = ServerUnreachable("nobody there")
    with pytest.raises(ServerUnreachable):
        three.extract()
    for server in three.servers.values():
        server.down = None
        server.services.clear()
    assert three.extract().shape == (1, 4)
    assert three.client.troubles == {}
    assert [list(server.services) for server in three.servers.values()] == [["shop"]] * 3


def test_a_server_that_forgot_gets_its_services_back(three: Three) -> None:
    """Restarted between two calls: nobody above hears of it."""
    three.ensure()
    for server in three.servers.values():
        server.services.clear()
    assert three.extract().shape == (1, 4)


def test_what_nobody_made_is_not_found(three: Three) -> None:
    """A service that was never asked for is missing, and no server is blamed."""
    with pytest.raises(ServiceNotFound):
        three.client.get_service("unknown")
    assert three.client.troubles == {}


def test_other_vectors_are_refused_by_name(three: Three) -> None:
    """The one of three that runs another network is named, and so is what is needed."""
    three["two"].other_network = True
    with pytest.raises(NetworkChanged, match=r"^http://two:8080 \(agreement -?0\.\d+\) gives ") as caught:
        three.ensure()
    assert "than http://one:8080 and http://three:8080; an agreement of 0.9999" in str(caught.value)


def test_what_is_kept_tells_who_is_right(three: Three) -> None:
    """Where two of three changed, the canary that is kept says that they are wrong."""
    three.ensure()
    kept = Canary(three.client.extract("shop", drawn(Upload()), layer="fc1"))
    three["one"].other_network = three["two"].other_network = True
    with pytest.raises(
        NetworkChanged, match=r"^http://one:8080 .* and http://two:8080 .* give other .* than http://three:8080;"
    ):
        three.ensure(kept)


def test_a_server_that_comes_back_as_another_stays_out(three: Three) -> None:
    """Its vectors are compared before it is asked again; the others go on."""
    three.ensure()
    three["one"].down = ConnectionLost("gone")
    for _ in range(3):
        three.extract()
    three["one"].down, three["one"].other_network = None, True
    member = next(one for one in three.client._servers.all if one.url == "http://one:8080")
    with pytest.raises(NetworkChanged, match="http://one:8080"):
        three.client._wanted.admit(member)


def test_removed_services_are_not_made_again(three: Three) -> None:
    """A service that was deleted is gone from all, and from what is wanted; one that is nowhere is not found."""
    three.ensure()
    three.client.delete_service("shop")
    assert [list(server.services) for server in three.servers.values()] == [[]] * 3
    with pytest.raises(ServiceNotFound):
        three.extract()
    with pytest.raises(ServiceNotFound):
        three.client.delete_service("shop")


def refusing(three: Three, kind: str) -> Reply:
    """What a server answers that is not, or not yet, what the others are."""
    if kind == "library":
        return three["two"].answers.refusal(404, 1000, "Unknown Library")
    if kind == "files":
        return three["two"].answers.refusal(400, 1006, "no such file")
    return Reply(int(kind), b"<html>an ingress</html>")


@pytest.mark.parametrize("kind", ["library", "files", "400", "401", "403", "404", "503"])
def test_one_that_refuses_a_service_is_left_alone(three: Three, kind: str) -> None:
    """Half upgraded, without the files or with something else on its port: the others go on, and it is named."""
    refused = refusing(three, kind)
    three["two"].fault = lambda _: refused
    assert three.ensure().dimension == 4
    assert [three.extract().shape for _ in range(3)] == [(1, 4)] * 3
    assert list(three.client.troubles) == ["http://two:8080"]


def test_another_ones_service_of_that_name_is_left_alone(three: Three) -> None:
    """One server on which somebody else has it with other settings is not asked; the others are."""
    ensure(three.client.members["http://two:8080"], SIMILAR.model_copy(update={"nclasses": 3}), layer="fc1")
    assert three.ensure().dimension == 4
    assert "nclasses" in three.client.troubles["http://two:8080"]
    assert three["two"].services["shop"]["parameters"]["mllib"]["nclasses"] == 3


def test_what_all_refuse_is_the_callers(three: Three) -> None:
    """One is named, at once and with its own words, also where another one is dead; none of them is left alone."""
    for server in three.servers.values():
        server.fault = lambda path: refusing(three, "files") if path == "/services/shop" else None
    three["one"].down = ServerUnreachable("nobody there")
    with pytest.raises(BadParameter, match=r"^http://two:8080: .*no such file"):
        three.ensure()
    assert list(three.client.troubles) == ["http://one:8080"]
    assert three.waits == []


@pytest.mark.parametrize("status", [401, 404])
def test_where_no_server_is_behind_any_address_each_is_named(three: Three, status: int) -> None:
    """Nobody is waited for, since that does not help: it is said at once what answers there."""
    for server in three.servers.values():
        server.fault = lambda _: refusing(three, str(status))
    for call in (three.ensure, three.client.info):
        with pytest.raises(Unconnectable, match="none of the 3 servers can be used") as caught:
            call()
        assert all(f"http://{name}:8080: " in str(caught.value) for name in three.servers)
        assert str(caught.value).count(f"answered {status}") == 3
    assert three.waits == []


def test_an_address_behind_which_a_server_is_no_more(three: Three) -> None:
    """What a proxy answers in its place is not the picture's fault: other servers are asked, and no more of it."""
    three.ensure()
    refused = refusing(three, "404")
    three["one"].fault = three["two"].fault = lambda _: refused
    assert [three.extract().shape for _ in range(3)] == [(1, 4)] * 3
    assert sorted(three.client.troubles) == ["http://one:8080", "http://two:8080"]


def test_a_call_to_all_goes_past_one_that_refuses(three: Three) -> None:
    """A service is created and removed on the others."""
    refused = refusing(three, "403")
    three["two"].fault = lambda _: refused
    three.client.create_service(SIMILAR)
    assert list(three.client.troubles) == ["http://two:8080"]
    assert [name for name, server in three.servers.items() if server.services] == ["one", "three"]
    three.client.delete_service("shop")
    assert not any(server.services for server in three.servers.values())


def test_indexes_are_refused(three: Three) -> None:
    """Each server would hold a part of the catalogue: nothing is sent."""
    with pytest.raises(UnsafeCall, match="index of its own"):
        three.client.add_to_index("shop", {"a": GREY}, layer="fc1")
    with pytest.raises(UnsafeCall, match="index of its own"):
        three.client.search_index("shop", [GREY], layer="fc1")
    with pytest.raises(UnsafeCall, match="a training belongs to one server"):
        three.client.train("shop", ["/data"], parameters={})
    assert all(not server.asked for server in three.servers.values())


@pytest.mark.parametrize("wrong", ["photo.jpg", b"bytes", GREY])
def test_one_picture_is_no_list(three: Three, wrong: Any) -> None:
    """As with one server, what is no list of pictures is refused."""
    three.ensure()
    with pytest.raises(InvalidRequest, match="list of pictures"):
        three.client.extract("shop", wrong, layer="fc1")


def test_pictures_that_come_once_are_sent_twice(three: Three) -> None:
    """A generator of pictures is still whole for the server that takes over."""
    three.ensure()
    three["one"].down = three["two"].down = ServerUnreachable("nobody there")
    assert three.client.extract("shop", (GREY for _ in range(3)), layer="fc1").shape == (3, 4)


class Clock:
    """Time that stands still."""

    now = 0.0

    def __call__(self) -> float:
        """The time."""
        return self.now


def test_the_dead_are_tried_again_ever_more_rarely(client: Client) -> None:
    """1, 2, 4 seconds, 5 at most; one that worked again begins anew, one that only said so goes on."""
    clock, tried = Clock(), threading.Semaphore(0)
    alive: list[bool] = []

    def admit(_: Member) -> None:
        tried.release()
        if not alive:
            raise ServerUnreachable("still dead")

    members = Members({"a": client, "b": client}, admit, Pause(first=1.0, longest=5.0), clock)
    first = members.all[0]

    def attempt() -> None:
        with members.borrowed(1, ()):
            pass
        assert tried.acquire(timeout=SECONDS)
        for future in list(members._attempts.values()):
            future.result(SECONDS)

    with closing(members):
        members.lose(first, ConnectionLost("gone"))
        members.lose(first, ConnectionLost("gone"))  # two calls that fail together count once
        waited = []
        for _ in range(4):
            waited.append(first.due - clock.now)
            clock.now = first.due
            attempt()
        assert waited == [1.0, 2.0, 4.0, 5.0]
        alive.append(True)
        clock.now = first.due
        attempt()
        assert members.troubles() == {}
        members.lose(first, ConnectionLost("gone"))
        assert first.due - clock.now == 5.0
        clock.now = first.due
        attempt()
        members.proved(first)
        members.lose(first, ConnectionLost("gone"))
        assert first.due - clock.now == 1.0


def test_nobody_waits_for_the_dead(client: Client) -> None:
    """While one is tried again and does not answer, the other is lent at once."""
    asked, go_on = threading.Event(), threading.Event()

    def admit(_: Member) -> None:
        asked.set()
        assert go_on.wait(SECONDS)

    members = Members({"a": client, "b": client}, admit, Pause(first=0.0))
    with closing(members):
        members.lose(members.all[0], ConnectionLost("gone"))
        with members.borrowed(1, ()) as lent:
            assert lent is members.all[1]
        assert asked.wait(SECONDS)
        go_on.set()
