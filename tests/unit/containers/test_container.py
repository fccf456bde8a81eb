"""Containers, on a Docker client that is none; tests/integration has a real one."""

from __future__ import annotations

import pickle
import socket
import sys
from collections.abc import Callable
from typing import Any

import docker
import pytest
from docker.errors import DockerException
from fake_docker import Clock, FakeDocker, answering, never, refused

from ddsim import Info, InvalidRequest
from ddsim.containers.container import DeepDetectContainer
from ddsim.containers.engine import LABELS, Engine, EngineError, PortTaken
from ddsim.containers.named import down, status
from ddsim.containers.recipe import GPU_IMAGE, IMAGE, MODELS

TAKEN = "driver failed programming external connectivity: Bind for 127.0.0.1:9000 failed: port is already allocated"
TAKEN_OUTSIDE = "Error starting userland proxy: listen tcp4 127.0.0.1:9000: bind: address already in use"


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> FakeDocker:
    """An engine that has the images."""
    monkeypatch.delenv("DDSIM_DEEPDETECT_IMAGE", raising=False)
    monkeypatch.delenv("DDSIM_DEEPDETECT_GPU_IMAGE", raising=False)
    return FakeDocker(IMAGE, GPU_IMAGE)


@pytest.fixture
def clock() -> Clock:
    """Time."""
    return Clock()


@pytest.fixture
def make(fake: FakeDocker, clock: Clock) -> Callable[..., DeepDetectContainer]:
    """Makes containers on that engine, with a port that is not looked for, and without waiting."""

    def container(**options: Any) -> DeepDetectContainer:
        given = {"port": 9000, "asked": answering(), **options}
        return DeepDetectContainer(engine=Engine(fake), clock=clock, sleep=clock.sleep, **given)

    return container


Make = Callable[..., DeepDetectContainer]


def test_inside_the_with_a_server_answers(fake: FakeDocker, clock: Clock, make: Make) -> None:
    """It is asked until it answers, and its container is stopped and removed at the end."""
    with make(asked=answering(after=3)) as server:
        assert server.url == "http://127.0.0.1:9000"
        (container,) = fake.containers.list()
        assert container.name == server.name
        assert clock.now > 0
    assert container.stopped_within == 10
    assert fake.containers.all == {}
    server.stop()


def test_an_engine_of_its_own_is_closed(fake: FakeDocker, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that was given is not: it may serve others."""
    monkeypatch.setenv("DOCKER_HOST", "tcp://there:2375")
    monkeypatch.setattr(docker, "from_env", lambda: fake)
    with DeepDetectContainer(port=9000, engine=Engine(fake), asked=answering()):
        pass
    assert not fake.closed
    with DeepDetectContainer(port=9000, asked=answering()):
        pass
    assert fake.closed


def test_what_is_created(fake: FakeDocker, make: Make) -> None:
    """The port is this machine's alone, memory is limited, a server that ends is started again."""
    with make(memory="2g", volume="shelf", name="mine"):
        (made,) = fake.containers.created
        assert made["image"] == IMAGE
        assert made["name"] == "mine"
        assert made["ports"] == {"8080/tcp": ("127.0.0.1", 9000)}
        assert made["mem_limit"] == "2g"
        assert made["restart_policy"] == {"Name": "unless-stopped"}
        assert made["volumes"] == {"shelf": {"bind": MODELS, "mode": "rw"}}
        assert made["labels"] == LABELS
        assert fake.volumes.all["shelf"].attrs["Labels"] == LABELS
    assert "shelf" in fake.volumes.all


def test_without_a_name_every_container_has_its_own(make: Make) -> None:
    """Two of them never meet."""
    assert make().name != make().name


def test_which_image(fake: FakeDocker, make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """The argument counts before the variable, and that before v0.25.0; with GPUs it is the image for them."""
    assert make().image == IMAGE
    assert make(gpu=True).image == GPU_IMAGE
    monkeypatch.setenv("DDSIM_DEEPDETECT_IMAGE", "mirror/cpu:1")
    monkeypatch.setenv("DDSIM_DEEPDETECT_GPU_IMAGE", "mirror/gpu:1")
    assert make().image == "mirror/cpu:1"
    assert make(gpu=True).image == "mirror/gpu:1"
    assert make(image="own:2").image == "own:2"


def test_gpus(fake: FakeDocker, make: Make) -> None:
    """All of them are asked for."""
    with make(gpu=True):
        (request,) = fake.containers.created[0]["device_requests"]
    assert request == {
        "Driver": "",
        "Count": -1,
        "DeviceIDs": [],
        "Capabilities": [["gpu"]],
        "Options": {},
    }


def test_an_existing_volume_is_kept_as_it_is(fake: FakeDocker, make: Make) -> None:
    """Compose may have made it."""
    fake.volumes.create("shelf", labels=None)
    with make(volume="shelf"):
        pass
    assert fake.volumes.all["shelf"].attrs["Labels"] is None


@pytest.mark.parametrize(
    ("address", "url"),
    [
        ("0.0.0.0", "http://127.0.0.1:9000"),  # noqa: S104
        ("::", "http://[::1]:9000"),
        ("::1", "http://[::1]:9000"),
        ("192.168.1.7", "http://192.168.1.7:9000"),
    ],
)
def test_urls(make: Make, address: str, url: str) -> None:
    """What listens everywhere is reached on this machine; IPv6 has its brackets."""
    assert make(address=address).url == url
    assert make(address=address).is_private == (address == "::1")


@pytest.mark.parametrize("address", ["localhost", "", "1.2.3", "[::1]"])
def test_an_address_that_is_none(make: Make, address: str) -> None:
    """It is refused before anything is made."""
    with pytest.raises(InvalidRequest, match="an IP address is needed"):
        make(address=address)


# Waiting


def test_a_server_that_never_answers(fake: FakeDocker, clock: Clock, make: Make) -> None:
    """After the time it is given the error says why, with its last lines, and the container is gone."""
    fake.output = b"".join(b"line %d\n" % number for number in range(100))
    with pytest.raises(EngineError, match=r"did not answer within 7 s \(no JSON\)") as raised:
        make(asked=never, wait=7.0).start()
    assert 7 <= clock.now < 9
    assert raised.value.logs.splitlines()[-1] == "line 99"
    assert str(raised.value).endswith("\n  | line 99")
    assert "line 12" not in str(raised.value)
    assert fake.containers.all == {}


def test_a_server_that_ends(fake: FakeDocker, clock: Clock, make: Make) -> None:
    """Nobody waits for it any longer; the exit code is told."""
    fake.fate = [{"Status": "running"}, {"Status": "running"}, {"Status": "exited", "ExitCode": 127}]
    fake.output = b"start-dede.sh: not found\n"
    with pytest.raises(EngineError, match="ended with exit code 127 before its server answered") as raised:
        make(asked=never).start()
    assert "start-dede.sh: not found" in str(raised.value)
    assert clock.now < 2
    assert fake.containers.all == {}


def test_a_server_that_is_started_again_and_again(fake: FakeDocker, make: Make) -> None:
    """A restart while it starts counts as its end: the policy would go on for ever."""
    fake.fate = [{"Status": "running"}, {"Status": "restarting", "ExitCode": 134, "RestartCount": 1}]
    with pytest.raises(EngineError, match="ended with exit code 134"):
        make(asked=never).start()


def test_a_server_that_wants_too_much_memory(fake: FakeDocker, make: Make) -> None:
    """The error says so and how to give it more."""
    fake.fate = [{"Status": "running"}, {"Status": "exited", "ExitCode": 137, "OOMKilled": True}]
    with pytest.raises(EngineError, match=r"more memory than it may use \(--memory, or DDSIM_MEMORY\)"):
        make(asked=never).start()


def test_a_container_that_somebody_removes(fake: FakeDocker, make: Make) -> None:
    """That it is gone is said, and stopping it is no error."""

    def vanish(url: str) -> Info:
        fake.containers.all.clear()
        return never(url)

    with pytest.raises(EngineError, match="is gone"):
        make(asked=vanish).start()


def test_waiting_again(fake: FakeDocker, make: Make) -> None:
    """Restarts that lie behind do not count for a later wait."""
    with make() as server:
        (container,) = fake.containers.list()
        container.fate.append({"Status": "running", "RestartCount": 5})
        server.wait()


def test_ctrl_c_while_waiting(fake: FakeDocker, make: Make) -> None:
    """Nothing is left behind."""

    def interrupt(url: str) -> Info:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        make(asked=interrupt).start()
    assert fake.containers.all == {}


def test_logs_cannot_move_the_cursor(fake: FakeDocker, make: Make) -> None:
    """Escape sequences of a log are shown as such in an error; its attribute keeps the words."""
    fake.output = b"\x1b[2Jall gone \xff\n"
    with pytest.raises(EngineError) as raised:
        make(asked=never, wait=0.0).start()
    assert "\\x1b[2Jall gone \\xff" in str(raised.value)
    assert raised.value.logs.startswith("\x1b[2J")
    assert pickle.loads(pickle.dumps(raised.value)).logs == raised.value.logs  # noqa: S301


# Ports


def test_a_free_port_is_taken(make: Make, loopback: None) -> None:
    """Without a port each container gets one that nobody listens on."""
    with make(port=None) as server:
        port = int(server.url.rpartition(":")[2])
    with socket.create_server(("127.0.0.1", port)):
        pass


def test_another_free_port_is_tried(fake: FakeDocker, make: Make, loopback: None) -> None:
    """Somebody may be quicker: then it is the next one, and the container that could not start is gone."""
    fake.start_errors.extend([refused(TAKEN), refused(TAKEN_OUTSIDE)])
    with make(port=None) as server:
        assert [made["name"] for made in fake.containers.created] == [server.name] * 3
        assert list(fake.containers.all) == [server.name]


def test_free_ports_are_not_tried_for_ever(fake: FakeDocker, make: Make, loopback: None) -> None:
    """After some tries the error says so."""
    fake.start_errors.extend(refused(TAKEN) for _ in range(100))
    with pytest.raises(PortTaken):
        make(port=None).start()
    assert fake.containers.all == {}


@pytest.mark.parametrize(
    ("words", "asked", "by"),
    [
        (TAKEN, answering(), r"container other \(ddsim-other:1\)"),
        (TAKEN_OUTSIDE, answering(), r"a DeepDetect server v0\.25\.0 outside Docker"),
        (TAKEN_OUTSIDE, never, "another program"),
    ],
)
def test_a_port_that_is_taken(fake: FakeDocker, make: Make, words: str, asked: Callable[[str], Info], by: str) -> None:
    """The error names the port, who has it, and how to choose another."""
    if "other:1" in by:
        other = fake.containers.create(
            "ddsim-other:1", name="other", ports={"8080/tcp": ("127.0.0.1", 9000)}, labels={}
        )
        other.start()
    fake.start_errors.append(refused(words))
    with pytest.raises(PortTaken, match=rf"127\.0\.0\.1:9000 is taken by {by}.*DDSIM_PORT"):
        make(asked=asked).start()
    assert set(fake.containers.all) <= {"other"}


def test_another_start_error(fake: FakeDocker, make: Make) -> None:
    """The engine's own words."""
    fake.start_errors.append(refused("could not select device driver with capabilities: [[gpu]]"))
    with pytest.raises(EngineError, match="cannot be started: could not select device driver") as raised:
        make().start()
    assert not isinstance(raised.value, PortTaken)
    assert fake.containers.all == {}


def test_what_cannot_be_created(fake: FakeDocker, make: Make) -> None:
    """Both the engine's refusals and those of the SDK itself are told."""
    for error in (
        refused("Minimum memory limit allowed is 6MB"),
        DockerException("memory (4x) should specify the units"),
    ):
        fake.create_error = error
        with pytest.raises(EngineError, match=r"cannot be made: .*memory"):
            make().start()


# Images and the engine


def test_an_image_that_is_not_here(fake: FakeDocker, clock: Clock) -> None:
    """It is pulled, and who asked to be told is told before."""
    told: list[str] = []
    engine = Engine(fake, pulling=told.append)
    DeepDetectContainer("new:1", port=9000, engine=engine, asked=answering(), clock=clock, sleep=clock.sleep).start()
    assert fake.images.pulled == told == ["new:1"]


@pytest.mark.parametrize("error", [refused("dial tcp: lookup new.invalid: no such host"), OSError("no such host")])
def test_an_image_that_cannot_be_pulled(fake: FakeDocker, make: Make, error: Exception) -> None:
    """The error names the image, the engine's reason, and what names another."""
    fake.images.pull_error = error
    with pytest.raises(EngineError, match=r"image new:1 cannot be pulled: .*no such host.*DDSIM_DEEPDETECT_IMAGE"):
        make(image="new:1").start()
    assert fake.containers.created == []


def test_no_sdk(monkeypatch: pytest.MonkeyPatch) -> None:
    """What to install is said."""
    monkeypatch.setitem(sys.modules, "docker", None)
    with pytest.raises(EngineError, match=r"pip install '\.\[docker\]'"):
        Engine()


def test_no_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where none listens, the error says where it was looked for."""
    monkeypatch.setenv("DOCKER_HOST", "unix:///nowhere/docker.sock")
    with pytest.raises(EngineError, match=r"no Docker engine answers at unix:///nowhere/docker.sock"):
        Engine()


@pytest.mark.parametrize(
    ("cause", "said"),
    [
        (PermissionError(13, "Permission denied"), "refuses this user"),
        (ConnectionRefusedError(111, "Connection refused"), "no Docker engine answers at tcp://there:2375"),
    ],
)
def test_an_engine_that_cannot_be_used(monkeypatch: pytest.MonkeyPatch, cause: OSError, said: str) -> None:
    """The SDK hides the reason in what its exceptions come from."""

    def from_env() -> None:
        raise DockerException("Error while fetching server API version") from cause

    monkeypatch.setenv("DOCKER_HOST", "tcp://there:2375")
    monkeypatch.setattr(docker, "from_env", from_env)
    with pytest.raises(EngineError, match=said):
        Engine()


def test_nonsense_in_docker_host(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the SDK says of it is passed on."""
    monkeypatch.setenv("DOCKER_HOST", "gopher://there")
    with pytest.raises(EngineError, match=r"cannot use Docker: .*gopher"):
        Engine()


def test_an_engine_that_ends_meanwhile(fake: FakeDocker, make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """A lost connection is an EngineError as well."""
    monkeypatch.setenv("DOCKER_HOST", "tcp://there:2375")
    fake.create_error = ConnectionResetError("reset")
    with pytest.raises(EngineError, match="no Docker engine answers"):
        make().start()


# Up, status and down


def test_up_keeps_what_runs(fake: FakeDocker, make: Make) -> None:
    """A second `up` with the same settings makes nothing."""
    assert make(name="ddsim", volume="shelf").up()
    assert not make(name="ddsim", volume="shelf").up()
    assert len(fake.containers.created) == 1


@pytest.mark.parametrize("change", [{"port": 9001}, {"image": GPU_IMAGE}, {"volume": "other"}])
def test_up_does_not_touch_what_runs_otherwise(fake: FakeDocker, make: Make, change: dict[str, Any]) -> None:
    """The error shows both, and what to do."""
    make(name="ddsim", volume="shelf").up()
    with pytest.raises(EngineError, match=r"otherwise than wanted: .* instead of .*`ddsim down`") as raised:
        make(**{"name": "ddsim", "volume": "shelf", **change}).up()
    assert str(next(iter(change.values()))) in str(raised.value)
    assert len(fake.containers.created) == 1


def test_up_makes_anew_what_was_stopped(fake: FakeDocker, make: Make) -> None:
    """A stopped container holds nothing of worth: models and indexes are in the volume."""
    make(name="ddsim").up()
    fake.containers.all["ddsim"].status = "exited"
    assert make(name="ddsim").up()
    assert fake.containers.all["ddsim"].status == "running"


def test_strangers_are_left_alone(fake: FakeDocker, make: Make) -> None:
    """A container or volume of that name that ddsim did not make is neither used nor removed."""
    fake.containers.create("db:1", name="ddsim", ports={}, labels={"of": "somebody"})
    fake.volumes.create("ddsim_models", labels={"of": "somebody"})
    for touch in (
        lambda: make(name="ddsim").up(),
        lambda: down(Engine(fake), "ddsim"),
        lambda: status(Engine(fake), "ddsim"),
        lambda: down(Engine(fake), "none", "ddsim_models"),
    ):
        with pytest.raises(EngineError, match="not made by ddsim"):
            touch()
    assert list(fake.containers.all) == ["ddsim"]
    assert list(fake.volumes.all) == ["ddsim_models"]


def test_down(fake: FakeDocker, make: Make) -> None:
    """The volume stays unless it is named; what is not there is no error."""
    make(name="ddsim", volume="shelf").up()
    engine = Engine(fake)
    assert down(engine, "ddsim") == ["container ddsim"]
    assert down(engine, "ddsim", "shelf") == ["volume shelf"]
    assert down(engine, "ddsim", "shelf") == []


def test_a_volume_in_use(fake: FakeDocker) -> None:
    """The engine's refusal is told."""
    fake.volumes.create("shelf", labels=LABELS)
    fake.volumes.remove_error = refused("volume is in use - [0af3]")
    with pytest.raises(EngineError, match="volume shelf cannot be removed: volume is in use"):
        down(Engine(fake), "ddsim", "shelf")


def test_status(fake: FakeDocker, make: Make) -> None:
    """What it is made of, where it is, what it answers."""
    engine = Engine(fake)
    assert status(engine, "ddsim", answering()).state == "absent"
    make(name="ddsim", volume="shelf").up()
    found = status(engine, "ddsim", answering())
    assert (found.state, found.image, found.url) == ("running", IMAGE, "http://127.0.0.1:9000")
    assert (found.version, found.volume, found.restarts) == ("v0.25.0", "shelf", 0)
    assert status(engine, "ddsim", never).version is None


def test_status_of_what_is_stopped(fake: FakeDocker, make: Make) -> None:
    """Somebody else may listen there by now: it is not asked."""
    make(name="ddsim").up()
    fake.containers.all["ddsim"].status = "exited"
    assert status(Engine(fake), "ddsim", answering()).version is None
