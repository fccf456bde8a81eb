"""ddsim.containers and `ddsim up`, `down`, `status`, `logs` on a real engine."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable
from pathlib import Path

import pytest
from dock import Composed, answers, image, run_in, tell_story
from terminal import error, run

from ddsim import Client
from ddsim.containers.container import DeepDetectContainer
from ddsim.containers.engine import Engine, EngineError
from ddsim.containers.named import status


@pytest.fixture
def free_port() -> int:
    """A port that nobody has at the moment."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return int(taken.getsockname()[1])


def test_a_container_in_python(engine: Engine) -> None:
    """It answers inside the `with`, and nothing of it is left behind."""
    volumes = {one.name for one in engine.client.volumes.list()}
    with DeepDetectContainer(image(), engine=engine) as server, Client(server.url) as client:
        assert client.info().version.startswith("v0.")
        assert status(engine, server.name).url == server.url
    assert status(engine, server.name).state == "absent"
    assert {one.name for one in engine.client.volumes.list()} == volumes


def test_two_containers_at_once(engine: Engine) -> None:
    """Each has a name and a port of its own."""
    with DeepDetectContainer(image(), engine=engine) as one, DeepDetectContainer(image(), engine=engine) as other:
        assert one.url != other.url
        assert answers(one.url)
        assert answers(other.url)


def test_an_index_outlives_its_container(
    engine: Engine, removed: Callable[[str], str], tmp_path: Path, free_port: int
) -> None:
    """With a named volume a second container finds what the first one indexed."""
    volume = removed("ddsim-test")
    with DeepDetectContainer(image(), engine=engine, volume=volume, port=free_port) as server:
        story = tell_story(tmp_path, server.url)
        story.index()
    with DeepDetectContainer(image(), engine=engine, volume=volume, port=free_port):
        assert story.index()["sent"] == 0
        story.assert_each_finds_itself()


def test_a_container_that_does_not_come_up(engine: Engine) -> None:
    """The error has what the container printed, and the container is gone."""
    # An image without the server.
    broken = engine.client.containers.create(
        image(), entrypoint=["/bin/sh", "-c", "exec rm /opt/deepdetect/start-dede.sh"], user="root"
    )
    tag = "ddsim-test-broken"
    try:
        broken.start()
        broken.wait()
        broken.commit(tag, conf={"User": "dd"})
        with pytest.raises(EngineError, match=r"ended( with exit code 12[67])? before its server") as raised:
            DeepDetectContainer(tag, engine=engine).start()
        assert "start-dede.sh" in raised.value.logs
        assert "start-dede.sh" in str(raised.value)
        assert not [one for one in engine.client.containers.list(all=True) if tag in str(one.attrs["Config"]["Image"])]
    finally:
        broken.remove(force=True, v=True)
        engine.client.images.remove(tag)


def test_an_image_that_cannot_be_pulled(engine: Engine) -> None:
    """The error names the image and the variable that names another."""
    with pytest.raises(EngineError, match=r"image nobody\.invalid/x:1 cannot be pulled: .*DDSIM_DEEPDETECT_IMAGE"):
        DeepDetectContainer("nobody.invalid/x:1", engine=engine).start()


def test_a_port_that_is_taken(engine: Engine, composed: Composed) -> None:
    """The error says by which container, and where it is none, that it is another program."""
    port = int(composed.url.rpartition(":")[2])
    with pytest.raises(EngineError, match=f"taken by container {composed.name}"):
        DeepDetectContainer(image(), engine=engine, port=port).start()
    with (
        socket.create_server(("127.0.0.1", 0)) as other,
        pytest.raises(EngineError, match="taken by another program"),
    ):
        DeepDetectContainer(image(), engine=engine, port=other.getsockname()[1]).start()


def test_the_commands(
    engine: Engine, removed: Callable[[str], str], free_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`up` starts a server, again changes nothing; `status` and `logs` tell of it; `down` keeps the volume."""
    name = removed("ddsim-test")
    monkeypatch.setenv("DDSIM_CONTAINER", name)
    monkeypatch.setenv("DDSIM_VOLUME", name)
    monkeypatch.setenv("DDSIM_DEEPDETECT_IMAGE", image())
    assert run("status").exit_code == 3
    up = run("up", "--port", free_port)
    assert up.exit_code == 0, up.output
    assert up.stdout.startswith(f"started: DeepDetect v0.25.0 at http://127.0.0.1:{free_port}\n")
    assert run("up", "--port", free_port).stdout.startswith("runs already: ")
    told = run("status", "--json")
    assert told.exit_code == 0
    assert json.loads(told.stdout)["url"] == f"http://127.0.0.1:{free_port}"
    assert run("logs", "-n", 5).exit_code == 0
    run_in(engine.client.containers.get(name), "echo kept >/opt/models/kept")
    assert f"removed: container {name}" in run("down").stdout
    assert "kept" in run_in_volume(engine, name)
    assert f"removed: volume {name}" in run("down", "--volumes").stdout
    assert "nothing to remove" in run("down", "--volumes").stdout
    assert "ddsim up" in error(run("logs"), 3)


def run_in_volume(engine: Engine, volume: str) -> str:
    """The files of a volume."""
    lister = engine.client.containers.create(
        image(), ["-c", "ls /v"], entrypoint="/bin/sh", volumes={volume: {"bind": "/v", "mode": "ro"}}
    )
    lister.start()
    lister.wait()
    listed = str(lister.logs().decode())
    lister.remove(v=True)
    return listed


def test_down_ends_what_compose_started(composed: Composed) -> None:
    """`ddsim status` and `ddsim down` know the container of docker-compose.yml, which Compose makes anew."""
    assert status(composed.engine, composed.name).volume == composed.volume
    assert f"removed: container {composed.name}" in run("down", "--name", composed.name).stdout
    composed.run("up", "-d")
