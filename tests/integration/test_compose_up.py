"""docker-compose.yml on a real engine, from `up` to the loss of its volume."""

from __future__ import annotations

import json
import socket
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from dock import Composed, Story, answers, kill_server, run_in, tell_story, until
from shop import picture

from ddsim import Client, DDSimError, ServiceSpec, load
from ddsim.containers.named import status
from ddsim.indexing import Progress


def test_what_is_up(composed: Composed) -> None:
    """The port is bound to this machine alone, memory is limited, the server's user owns the volume."""
    attributes = composed.container.attrs
    ((binding,),) = attributes["NetworkSettings"]["Ports"].values()
    assert binding["HostIp"] == "127.0.0.1"
    assert attributes["HostConfig"]["Memory"] == 8 * 2**30
    assert attributes["HostConfig"]["RestartPolicy"]["Name"] == "unless-stopped"
    assert run_in(composed.container, "id -un; stat -c %U /opt/models /opt/models/ddsim").split() == ["dd"] * 3
    assert composed.volume in [mount.get("Name") for mount in attributes["Mounts"]]


def test_the_health_check_passes(composed: Composed) -> None:
    """The command that the health check runs is in the image and succeeds."""
    _, *command = composed.container.attrs["Config"]["Healthcheck"]["Test"]
    code, output = composed.container.exec_run(command)
    assert code == 0, output


def test_only_the_name_of_one_layer_is_derived(composed: Composed) -> None:
    """The second definition differs from the bundled one in a single line, the pooling layer's own name."""
    bundled = run_in(composed.container, "cat /opt/models/resnet_50/deploy.prototxt").splitlines()
    derived = run_in(composed.container, "cat /opt/models/ddsim/definitions/resnet50.prototxt").splitlines()
    assert len(bundled) == len(derived)
    pairs = [(one.split(), other.split()) for one, other in zip(bundled, derived, strict=True) if one != other]
    assert pairs == [(["name:", '"pool5"'], ["name:", '"pool5/7x7_s1"'])]
    assert run_in(composed.container, "ls /opt/models/ddsim/definitions").split() == ["resnet50.prototxt"]


def test_the_derived_layer_gives_the_bundled_ones_values(composed: Composed, tmp_path: Path) -> None:
    """Both definitions give the same vectors, the one by `pool5`, the other by `pool5/7x7_s1`."""
    settings = load(tell_story(tmp_path, composed.url).config)
    spec = settings.similarity_spec()
    other = spec.model_copy(
        update={
            "name": "bundled",
            "repository": "/opt/models/ddsim/bundled",
            "definition": "/opt/models/resnet_50/deploy.prototxt",
        }
    )
    vectors = []
    with Client(composed.url) as client:
        for one, layer in ((spec, "pool5/7x7_s1"), (other, "pool5")):
            assert isinstance(one, ServiceSpec)
            client.create_service(one)
            vectors.append(client.extract(one.name, [picture(1), picture(2)], layer=layer))
            client.delete_service(one.name, destroy_model_files="dir")
    np.testing.assert_array_equal(vectors[0], vectors[1])
    assert vectors[0].shape[0] == 2
    assert not np.array_equal(vectors[0][0], vectors[0][1])


def test_the_users_two_commands(composed: Composed, tmp_path: Path) -> None:
    """Right after `up`, `python -m ddsim.index` indexes a folder as configs/resnet50.yaml says, and search finds."""
    story = tell_story(tmp_path, composed.url)
    composed.run("up", "-d", "--force-recreate")
    assert story.index()["indexed"] == 24
    found = story.command("ddsim", "search", "--json", "-k", "3", str(story.catalogue / "lamp" / "002.png"))
    assert found.returncode == 0, found.stderr
    first = json.loads(found.stdout)["neighbours"][0]
    assert first["uri"] == "lamp/002.png"
    assert first["score"] > 0.999
    services = status(composed.engine, composed.name).services
    assert any(name.startswith("resnet50-pool5-") for name in services)
    story.forget_services()


def test_a_restart_of_the_container(composed: Composed, story: Story) -> None:
    """The server forgets its services; ddsim creates them again and finds the index where it was."""
    story.index()
    composed.container.restart(timeout=10)
    until(lambda: answers(composed.url), "an answer after the restart")
    assert status(composed.engine, composed.name).services == ()
    story.assert_each_finds_itself()
    assert story.index()["sent"] == 0


def test_the_server_killed_while_it_indexes(composed: Composed, story: Story) -> None:
    """It comes back by its restart policy, and the next run, if this one gives up, does the rest."""
    before = status(composed.engine, composed.name).restarts
    killed: list[int] = []

    def kill_in_the_middle(progress: Progress) -> None:
        if progress.done >= 8 and not killed:
            killed.append(progress.done)
            kill_server(composed.container)

    # Whether this run waits for the server or gives up is not the point here.
    with suppress(DDSimError), story.search() as search:
        search.index(story.catalogue, progress=kill_in_the_middle)
    until(lambda: answers(composed.url), "an answer after the kill")
    assert killed
    assert status(composed.engine, composed.name).restarts == before + 1
    assert story.index()["indexed"] == 24
    story.assert_each_finds_itself()


def test_the_volume_removed(composed: Composed, story: Story) -> None:
    """Search says that the index is gone and what to do, and the next indexing builds it again."""
    story.index()
    composed.run("down", "-v")
    assert composed.volume not in [one.name for one in composed.engine.client.volumes.list()]
    composed.run("up", "-d")
    until(lambda: answers(composed.url), "an answer of the new container")
    lost = story.command("ddsim", "search", str(story.catalogue / "lamp" / "002.png"))
    assert lost.returncode == 3, lost.stdout
    assert "ddsim index" in lost.stderr
    assert "Traceback" not in lost.stderr
    assert story.index()["sent"] == 24
    story.assert_each_finds_itself()


def test_down_ends_the_server_in_time(composed: Composed) -> None:
    """Signals reach the server: it ends by itself, long before Docker would kill it."""
    container = composed.container
    container.stop(timeout=60)
    assert container.wait()["StatusCode"] in (0, 130, 143)
    container.start()
    until(lambda: answers(composed.url), "an answer after the start")


def test_no_bundled_network(composed: Composed) -> None:
    """Without it the log says so, and the server starts nevertheless."""
    container = composed.container
    run_in(container, "mv /opt/models/resnet_50 /opt/models/elsewhere")
    try:
        container.restart(timeout=10)
        until(lambda: answers(composed.url), "an answer after the restart")
        assert b"no /opt/models/resnet_50/deploy.prototxt" in container.logs(tail=10)
    finally:
        run_in(container, "mv /opt/models/elsewhere /opt/models/resnet_50")


def test_the_embedded_server_by_its_profile(composed: Composed, monkeypatch: pytest.MonkeyPatch) -> None:
    """Named, it starts alone, on a volume of its own, and ends alone."""
    if not composed.engine.client.images.list("ddsim-embedded"):
        pytest.skip("image ddsim-embedded is not here: docker compose --profile embedded build deepdetect-embedded")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    before = composed.container.id
    monkeypatch.setenv("DDSIM_PORT", str(port))
    embedded = ("--profile", "embedded")
    composed.run(*embedded, "up", "-d", "deepdetect-embedded")
    until(lambda: answers(f"http://127.0.0.1:{port}"), "an answer of the embedded server")
    assert status(composed.engine, f"{composed.name}-embedded").volume == f"{composed.volume}_embedded"
    composed.run(*embedded, "rm", "--stop", "--force", "-v", "deepdetect-embedded")
    assert composed.container.id == before


@pytest.mark.parametrize("profile", ["gpu", "embedded"])
def test_profiles_are_valid(composed: Composed, profile: str) -> None:
    """Compose accepts the file with each profile, and what it adds has its own container."""
    shown = composed.run("--profile", profile, "config")
    assert f"{composed.name}-{profile}" in shown
