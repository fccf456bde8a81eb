"""ddsim.doctor.conformance: its expectations are those of the recordings, and what each server differs in."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from doors import SocketDoor
from recorded import WIRE, load, names
from world import TINY

from ddsim import Reply, Settings, Timeout
from ddsim import load as load_settings
from ddsim.deepdetect.http import HttpTransport
from ddsim.deepdetect.transport import Transport
from ddsim.deepdetect.wire import decode
from ddsim.doctor import PREFIX, Conformance, conformance
from ddsim.doctor.bench import Bench
from ddsim.doctor.expectations import STEPS
from ddsim.doctor.shapes import itself_first
from ddsim.doctor.steps import Answer, Scene, Step
from ddsim.doctor.traps import TRAPS
from ddsim.embedded import WOULD_HAVE_DIED, EmbeddedServer, EmbeddedTransport, Engine
from ddsim.errors import ConnectionLost

IDS = [step.name for step in STEPS]
TORCH_PROFILES = {"torch-v0.29": Answer(400, 1006), "torch-v0.28": Answer(404, 1000)}


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """The tiny network, to go into a folder whose parents are not there either."""
    files = f"def: {TINY}/deploy.prototxt, weights: {TINY}/tiny.caffemodel, corresp: {TINY}/corresp.txt"
    (tmp_path / "c.yaml").write_text(
        f"server: embedded\nnetwork: {{{files}, nclasses: 5, width: 32, height: 32}}\n"
        "similarity: {repository: a/b/similar, extract_layer: fc1}\n"
    )
    return load_settings(tmp_path / "c.yaml")


@pytest.fixture(autouse=True)
def nothing_left(tmp_path: Path) -> Iterator[None]:
    """Every run leaves the folders as they were, and the network whole."""
    before = sorted(TINY.rglob("*"))
    yield
    assert {path.name for path in tmp_path.rglob("*")} <= {"c.yaml"}
    assert sorted(TINY.rglob("*")) == before


class Careful:
    """A server that must survive every call, and forget every service in the end."""

    def __init__(self, profile: str = "v0.25.0") -> None:
        self._inner = EmbeddedTransport(Engine(profile=profile))
        self.calls: list[tuple[str, str]] = []

    def exchange(self, method: str, path: str, json: Mapping[str, Any] | None, timeout: Timeout) -> Reply:
        """Answer, unless a real server would have died."""
        self.calls.append((method, path))
        reply = self._inner.exchange(method, path, json, timeout)
        if path == "/predict" and json is not None and "ids" in json:
            assert len(json["ids"]) == len(json["data"])
        status = decode(reply.body).get("status", {})
        assert status.get("dd_code") != WOULD_HAVE_DIED, (method, path, json)
        return reply

    def close(self) -> None:
        """Nothing to close."""

    def services(self) -> list[str]:
        """What is still there."""
        head = decode(self.exchange("GET", "/info", None, Timeout(1, 1)).body)["head"]
        return [one["name"] for one in head["services"]]


def run(settings: Settings, transport: Transport) -> Conformance:
    """Make all calls; nothing is waited for."""
    return conformance.run(settings, transport, sleep=lambda _: None)


def differing(found: Conformance) -> dict[str, str]:
    """What differs: name of the call -> how."""
    assert found.left == ()
    return {one.name: one.difference for one in found.differences}


# The expectations


def recorded(step: Step) -> tuple[dict[str, Any], dict[str, Any]]:
    """The request and the response that a step names as its source."""
    scenario, position = step.source
    exchange = load(scenario).exchanges[position]
    return exchange["request"], exchange["response"]


def complete(value: Any) -> Any:
    """A recorded answer with something in the place of vectors that were left out."""
    if isinstance(value, dict):
        if set(value) == {"$omitted_vals"}:
            return [1.0] * value["$omitted_vals"]
        return {key: complete(part) for key, part in value.items()}
    return [complete(part) for part in value] if isinstance(value, list) else value


@pytest.mark.parametrize("step", STEPS, ids=IDS)
def test_expectations_are_recorded(step: Step) -> None:
    """What is expected of a server is what v0.25.0 answered, in status, code and shape."""
    request, response = recorded(step)
    status = response["json"].get("status", {})
    assert step.method == request["method"]
    assert step.answer == Answer(response["status"], status.get("dd_code"))
    assert step.shape(request.get("json", {}), complete(response["json"])) == ""


@pytest.mark.parametrize("step", STEPS, ids=IDS)
def test_calls_are_like_the_recorded_ones(step: Step, settings: Settings) -> None:
    """A step asks the server for the same things as its recording, so that their answers can be compared."""
    scene = Scene(Bench(Careful(), settings.similarity.repository), settings)
    sent, was = step.body(scene) or {}, recorded(step)[0].get("json", {})
    asked, before = (json.get("parameters", {}).get("output", {}) for json in (sent, was))
    assert {key: value for key, value in asked.items() if key != "search_nn"} == {
        key: value for key, value in before.items() if key != "search_nn"
    }
    # A list of one or of many is another thing; how many is not.
    assert [type(json.get("data")) for json in (sent, was)] in ([list, list], [str, str], [type(None)] * 2)
    assert ("extract_layer" in str(sent)) == ("extract_layer" in str(was))
    assert sent.get("mllib") == was.get("mllib")
    assert sent.get("type") == was.get("type")


@pytest.mark.parametrize(
    "step", [step for step in STEPS if step.shape.__name__ != "anything"], ids=lambda step: step.name
)
def test_shapes_can_fail(step: Step) -> None:
    """An empty answer has the shape of none."""
    assert step.shape(recorded(step)[0].get("json", {}), {"status": {"code": 200}}) != ""


@pytest.mark.parametrize("trap", [trap for trap in TRAPS if trap.proven], ids=lambda trap: trap.name)
def test_traps_are_recorded(trap: Any) -> None:
    """The recording that a trap names is there, and ends in a dead server where the trap says so of v0.25.0."""
    folder, _, name = trap.source.removeprefix("recordings/").rpartition("/")
    scenario = (
        load(name, WIRE.parents[0] / folder) if folder == "wire" else load(name, WIRE.parents[0] / "torch" / "wire")
    )
    if folder == "wire":
        assert name in names()
    deaths = scenario.died or any(exchange.get("response", {}).get("closed") for exchange in scenario.exchanges)
    assert deaths or trap.harm != "ends the server"


# The servers


def test_v0_25_0(settings: Settings) -> None:
    """The server that stands in for v0.25.0 answers as v0.25.0 did, without any call that kills, and is left clean."""
    server = Careful()
    found = run(settings, server)
    assert differing(found) == {}
    assert found.untried == ()
    assert server.services() == []
    assert all(PREFIX in path.lower() for method, path in server.calls if method in ("PUT", "DELETE"))


def test_over_http(settings: Settings) -> None:
    """The same over a socket."""
    with EmbeddedServer(Engine()) as server:
        transport = HttpTransport(server.url)
        try:
            assert differing(run(settings, transport)) == {}
        finally:
            transport.close()


def test_no_simsearch(settings: Settings) -> None:
    """A build without similarity search differs where something was to be indexed or found, and nowhere else."""
    server = Careful("no-simsearch")
    found = run(settings, server)
    assert differing(found) == {
        "index and build in one call": "indexed: true is missing",
        "search for what is indexed": "no nns",
        "ask for more than there are": "no nns",
        "nothing of it is indexed": "no nns",
        "index a name once more": "indexed: true is missing",
        "it is there twice": "no nns",
        "the index outlives the service": "no nns",
    }
    assert found.untried == ()
    assert server.services() == []


@pytest.mark.parametrize("profile", TORCH_PROFILES)
def test_torch(profile: str, settings: Settings) -> None:
    """A build without Caffe differs in the first creation; what needs a service is not tried, and said not to be."""
    server = Careful(profile)
    found = run(settings, server)
    assert list(differing(found)) == ["create without a network"]
    assert found.differences[0].got == TORCH_PROFILES[profile]
    assert [one.name for one in found.outcomes if not one.untried] == [step.name for step in STEPS if not step.needs]
    assert server.services() == []


def test_live(live: SocketDoor, live_places: dict[str, str], request: pytest.FixtureRequest, tmp_path: Path) -> None:
    """A real v0.25.0 differs nowhere from what was recorded of one."""
    url, tiny = request.config.getoption("--server"), f"{live_places['/opt/models']}/tiny"
    files = f"def: {tiny}/deploy.prototxt, weights: {tiny}/tiny.caffemodel, corresp: {tiny}/corresp.txt"
    (tmp_path / "c.yaml").write_text(
        f"server: {url}\nnetwork: {{{files}, nclasses: 5, width: 32, height: 32}}\n"
        f"similarity: {{repository: {live_places['/data']}/indexes/doctor, extract_layer: fc1}}\n"
    )
    transport = HttpTransport(url)
    try:
        found = conformance.run(load_settings(tmp_path / "c.yaml"), transport)
    finally:
        transport.close()
    assert differing(found) == {}
    assert found.untried == ()


# When it goes wrong


class Breaking(Careful):
    """Does something else instead of answering a call."""

    def __init__(self, at: int, instead: BaseException) -> None:
        super().__init__()
        self._at, self._instead = at, instead

    def exchange(self, method: str, path: str, json: Mapping[str, Any] | None, timeout: Timeout) -> Reply:
        """Carry it out, and lose the answer of one call."""
        reply = super().exchange(method, path, json, timeout)
        if len(self.calls) == self._at:
            raise self._instead
        return reply


@pytest.mark.parametrize("at", range(1, len(STEPS) + 9, 3))
def test_interrupted(at: int, settings: Settings) -> None:
    """Ctrl-C at any call leaves neither service nor folder, not even while clearing away."""
    server = Breaking(at, KeyboardInterrupt())
    with pytest.raises(KeyboardInterrupt):
        run(settings, server)
    assert server.services() == []


@pytest.mark.parametrize("at", range(5, len(STEPS), 7))
def test_a_lost_answer(at: int, settings: Settings) -> None:
    """After a lost answer nothing more is tried, and all is cleared away."""
    server = Breaking(at, ConnectionLost("gone"))
    found = run(settings, server)
    assert [one.difference for one in found.differences] == ["gone"]
    assert {one.untried for one in found.untried} == {"the server did not answer an earlier call"}
    assert server.services() == []


class Odd(Careful):
    """Answers 500 to the first call that adds to the index."""

    def exchange(self, method: str, path: str, json: Mapping[str, Any] | None, timeout: Timeout) -> Reply:
        """Fail where the index is added to, or touched after that."""
        output = (json or {}).get("parameters", {}).get("output", {})
        if "index" in output:
            assert ("broken", "") not in self.calls, "a broken index was touched"
            self.calls.append(("broken", ""))
            return Reply(500, b'{"status":{"code":500,"dd_code":1007,"dd_msg":"disk full"}}')
        assert not ("search" in output and ("broken", "") in self.calls and ("DELETE", self.similar) not in self.calls)
        return super().exchange(method, path, json, timeout)

    @property
    def similar(self) -> str:
        """The path of the similarity service."""
        return next(path for method, path in self.calls if method == "PUT" and "-similar" in path)


def test_a_broken_index_is_left_alone(settings: Settings) -> None:
    """Where adding failed, no call touches that index again: a real server could die of it."""
    found = run(settings, Odd())
    assert differing(found)["index and build in one call"] == "500/1007 instead of 200: disk full"
    untried = [one.name for one in found.untried]
    assert untried[:2] == ["search for what is indexed", "ask for more than there are"]
    assert "the index outlives the service" not in untried


def test_self_search_is_measured() -> None:
    """A neighbour that is not at distance 0 is told."""
    vals = np.ones(4).tolist()
    answer = {"body": {"predictions": [{"uri": "q", "vals": vals, "nns": [{"uri": "a", "dist": 0.5}]}]}}
    assert "distance 0.5" in itself_first({"ids": ["q"]}, answer)
