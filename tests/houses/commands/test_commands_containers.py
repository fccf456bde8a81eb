"""`ddsim up`, `down`, `status` and `logs` on a Docker client that is none; tests/integration has a real one."""

from __future__ import annotations

import json

import docker
import pytest
from fake_docker import FakeDocker, answering, never, refused
from terminal import error, error_line, run

from ddsim.commands import containers as commands
from ddsim.containers import container, named
from ddsim.containers.recipe import IMAGE

UP = "DeepDetect v0.25.0 at http://127.0.0.1:8080\n"


@pytest.fixture(autouse=True)
def fake(monkeypatch: pytest.MonkeyPatch) -> FakeDocker:
    """The engine that the commands find; servers answer at once."""
    fake = FakeDocker(IMAGE)
    for name in ("IMAGE", "GPU_IMAGE"):
        monkeypatch.delenv(f"DDSIM_DEEPDETECT_{name}", raising=False)
    for name in ("CONTAINER", "VOLUME", "PORT", "ADDRESS", "MEMORY"):
        monkeypatch.delenv(f"DDSIM_{name}", raising=False)
    monkeypatch.setenv("DOCKER_HOST", "tcp://127.0.0.1:1")
    monkeypatch.setattr(docker, "from_env", lambda: fake)
    for module in (container, named):
        monkeypatch.setattr(module, "ask", answering())
    return fake


def test_a_server_from_up_to_down(fake: FakeDocker) -> None:
    """`up`, `up` again, `status`, `down`, `down` again: each says what is so."""
    assert run("status").stdout == "no container ddsim: `ddsim up` makes one\n"
    up = run("up")
    assert up.exit_code == 0, up.output
    assert up.stdout.startswith(f"started: {UP}")
    assert "volume ddsim_models" in up.stdout
    assert up.stderr == ""
    assert run("up").stdout.startswith(f"runs already: {UP}")
    status = run("status")
    assert status.exit_code == 0
    assert status.stdout.startswith(UP)
    assert run("down").stdout == "removed: container ddsim\n"
    assert "ddsim_models" in fake.volumes.all
    assert run("down", "--volumes").stdout == "removed: volume ddsim_models\n"
    assert run("down", "--volumes").stdout == "nothing to remove\n"
    assert fake.closed


def test_a_volume_that_is_named_and_not_removed(fake: FakeDocker, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever names one wants something of it; the environment may name it for other commands."""
    assert run("up").exit_code == 0
    assert "add --volumes" in error_line(run("down", "--volume", "ddsim_models"), 2)
    monkeypatch.setenv("DDSIM_VOLUME", "ddsim_models")
    assert run("down").stdout == "removed: container ddsim\n"
    assert run("down", "--volume", "ddsim_models", "--volumes").stdout == "removed: volume ddsim_models\n"


def test_ports_that_there_are_not(fake: FakeDocker) -> None:
    """Several servers whose ports would go beyond the last one are wrong use, and none is started."""
    assert "ports end at 65535" in error_line(run("up", "--port", "65534", "--servers", "3"), 2)
    assert not fake.containers.created


def test_options_and_variables_of_up(fake: FakeDocker, monkeypatch: pytest.MonkeyPatch) -> None:
    """The variables are those of docker-compose.yml; options come first."""
    for name, value in {"PORT": "9000", "CONTAINER": "mine", "VOLUME": "shelf", "MEMORY": "2g"}.items():
        monkeypatch.setenv(f"DDSIM_{name}", value)
    monkeypatch.setenv("DDSIM_DEEPDETECT_IMAGE", "mirror:1")
    assert run("up", "--memory", "3g").exit_code == 0
    (made,) = fake.containers.created
    assert (made["image"], made["name"], made["mem_limit"]) == ("mirror:1", "mine", "3g")
    assert made["ports"] == {"8080/tcp": ("127.0.0.1", 9000)}
    assert list(made["volumes"]) == ["shelf"]


def test_up_tells_of_a_pull(fake: FakeDocker) -> None:
    """It takes a while; results stay alone on standard output."""
    up = run("up", "--image", "new:1", "--json")
    assert "pulling new:1" in up.stderr
    assert json.loads(up.stdout)["image"] == "new:1"


@pytest.mark.parametrize(("address", "warned"), [("0.0.0.0", True), ("127.0.0.1", False)])  # noqa: S104
def test_the_warning_is_for_others(address: str, warned: bool) -> None:
    """Whoever listens to more than this machine is warned."""
    up = run("up", "--address", address)
    assert up.exit_code == 0
    assert ("no login" in up.stderr) == warned


def test_json(fake: FakeDocker) -> None:
    """Every command that answers something has it for machines."""
    absent = run("status", "--json")
    assert absent.exit_code == 3
    assert json.loads(absent.stdout)["state"] == "absent"
    up, status = run("up", "--json"), run("status", "--json")
    assert json.loads(up.stdout) == json.loads(status.stdout)
    assert json.loads(status.stdout) == {
        "name": "ddsim",
        "state": "running",
        "image": IMAGE,
        "url": "http://127.0.0.1:8080",
        "version": "v0.25.0",
        "services": [],
        "restarts": 0,
        "volume": "ddsim_models",
        "answers": True,
    }
    assert json.loads(run("down", "--json").stdout) == {"removed": ["container ddsim"]}


def test_a_server_that_does_not_answer(fake: FakeDocker, monkeypatch: pytest.MonkeyPatch) -> None:
    """`status` says so with exit code 3, and how often it ended."""
    run("up")
    fake.containers.all["ddsim"].attrs["RestartCount"] = 4
    for module in (container, named):
        monkeypatch.setattr(module, "ask", never)
    status = run("status")
    assert status.exit_code == 3
    assert status.stdout.startswith("does not answer at http://127.0.0.1:8080\n")
    assert "restarted 4 times" in status.stdout


def test_a_server_that_does_not_come_up(fake: FakeDocker, monkeypatch: pytest.MonkeyPatch) -> None:
    """Exit code 3 and the container's last lines."""
    for module in (container, named):
        monkeypatch.setattr(module, "ask", never)
    fake.output = b"[red]no such option[/]\n"
    text = error(run("up", "--wait", 0), 3)
    assert "did not answer within 0 s" in text
    assert text.endswith("\n  | [red]no such option[/]\n")


def test_what_the_engine_refuses(fake: FakeDocker) -> None:
    """One line and exit code 3: no image, a port that is taken, another container of that name."""
    fake.images.pull_error = refused("no such host")
    assert "image new:1 cannot be pulled" in error(run("up", "--image", "new:1"), 3)
    fake.start_errors.append(refused("Bind for 127.0.0.1:8080 failed: port is already allocated"))
    assert "127.0.0.1:8080 is taken by" in error_line(run("up"), 3)
    fake.containers.create("db:1", name="ddsim", ports={}, labels={})
    for arguments in (("up",), ("down",), ("status",), ("logs",)):
        assert "was not made by ddsim" in error_line(run(*arguments), 3)


def test_no_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each command says where it looked."""
    monkeypatch.setenv("DOCKER_HOST", "unix:///nowhere/docker.sock")
    for name in ("up", "down", "status", "logs"):
        assert "no Docker engine answers at unix:///nowhere/docker.sock" in error_line(run(name), 3)


@pytest.mark.parametrize("arguments", [("--port", "0"), ("--port", "65536"), ("--address", "here"), ("--wait", "-1")])
def test_wrong_use(fake: FakeDocker, arguments: tuple[str, str]) -> None:
    """Exit code 2, and nothing was made."""
    assert run("up", *arguments).exit_code == 2
    assert fake.containers.created == []


def test_logs(fake: FakeDocker) -> None:
    """The last lines as they are, without what would move the cursor or look like markup."""
    fake.output = b"first\n[bold]second[/]\n\x1b[2Jthird \xff\nno end"
    run("up")
    assert run("logs", "-n", 3).stdout == "[bold]second[/]\n\\x1b[2Jthird \\xff\nno end\n"
    assert run("logs", "-n", 0).stdout == ""
    assert run("logs").stdout.startswith("first\n")


def test_following_logs(fake: FakeDocker) -> None:
    """Until Ctrl-C, with exit code 130; what was said stays."""
    fake.output, fake.interrupt_followers = b"listening\n", True
    run("up")
    followed = run("logs", "--follow")
    assert followed.exit_code == 130
    assert followed.stdout == "listening\n"


def test_logs_of_nobody() -> None:
    """There is no container: exit code 3, and what makes one."""
    assert "`ddsim up`" in error_line(run("logs"), 3)


@pytest.mark.parametrize("name", ["up", "down", "status", "logs"])
def test_help_has_examples(name: str) -> None:
    """And exit codes."""
    text = run(name, "--help").stdout
    assert "Examples:" in text
    assert "Exit codes:" in text
    assert getattr(commands, name).__doc__.split("\n")[0] in text


def test_several_servers(fake: FakeDocker) -> None:
    """Three of them on ports one after the other, and what a configuration says to use them; down removes all."""
    up = run("up", "--servers", "3", "--port", "9000")
    assert up.exit_code == 0, up.output
    urls = "http://127.0.0.1:9000, http://127.0.0.1:9001, http://127.0.0.1:9002"
    assert up.stdout.endswith(f"in a configuration: server: {{urls: [{urls}]}}\n")
    assert [one["url"] for one in json.loads(run("status", "--json").stdout)["servers"]] == urls.split(", ")
    assert run("up", "--servers", "3", "--port", "9000").stdout.count("runs already: ") == 3
    assert run("down").stdout == "removed: container ddsim, container ddsim-2, container ddsim-3\n"
    assert run("down").stdout == "nothing to remove\n"
