"""Where the Docker engine is looked for: as the docker command does, contexts included."""

from __future__ import annotations

import hashlib
import json
import socket
from pathlib import Path
from typing import Any

import docker
import pytest
import trustme

from ddsim.containers import Engine, EngineError
from ddsim.containers.place import Place, find_place

COLIMA = "unix:///Users/me/.colima/default/docker.sock"


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home without Docker's configuration; the folder for that."""
    for variable in ("DOCKER_HOST", "DOCKER_CONTEXT", "DOCKER_CONFIG", "XDG_RUNTIME_DIR"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    folder = tmp_path / ".docker"
    folder.mkdir()
    return folder


def key(name: str) -> str:
    """What the folder of a context is called."""
    return hashlib.sha256(name.encode()).hexdigest()


def add_context(folder: Path, name: str, endpoint: Any) -> None:
    """As `docker context create` does."""
    file = folder / "contexts" / "meta" / key(name) / "meta.json"
    file.parent.mkdir(parents=True)
    file.write_text(json.dumps({"Name": name, "Metadata": {}, "Endpoints": {"docker": endpoint}}), "utf-8")


def use(folder: Path, name: str) -> None:
    """As `docker context use` does."""
    (folder / "config.json").write_text(json.dumps({"auths": {}, "currentContext": name}), "utf-8")


def test_without_anything_it_is_this_machines_own(home: Path) -> None:
    """So it is with a context of the name default, and without a configuration at all."""
    assert find_place() == Place("unix:///var/run/docker.sock")
    use(home, "default")
    assert find_place() == Place("unix:///var/run/docker.sock")


def test_up_takes_the_context_that_docker_uses(home: Path) -> None:
    """Colima, Docker Desktop and rootless engines all make one."""
    add_context(home, "colima", {"Host": COLIMA, "SkipTLSVerify": False})
    use(home, "colima")
    place = find_place()
    assert (place.url, place.context, place.certificates) == (COLIMA, "colima", None)
    assert place.words == f"{COLIMA} (Docker's context 'colima', which currentContext in {home}/config.json names)"


def test_docker_context_counts_before_the_configuration(home: Path) -> None:
    """It counts without a config.json, too, and DOCKER_CONFIG names another folder."""
    add_context(home, "rootless", {"Host": "unix:///run/user/1000/docker.sock"})
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DOCKER_CONTEXT", "rootless")
        assert find_place().url == "unix:///run/user/1000/docker.sock"
        use(home, "colima")
        assert find_place().url == "unix:///run/user/1000/docker.sock"
        other = home.parent / "other"
        add_context(other, "rootless", {"Host": "tcp://there:2375"})
        patch.setenv("DOCKER_CONFIG", str(other))
        assert find_place().url == "tcp://there:2375"
        patch.setenv("DOCKER_HOST", "tcp://named:2375")
        assert find_place() == Place("tcp://named:2375", "DOCKER_HOST")


@pytest.mark.parametrize("variable", [True, False])
def test_a_context_that_is_not_there_is_told(home: Path, monkeypatch: pytest.MonkeyPatch, variable: bool) -> None:
    """This machine's own engine is not quietly taken for it."""
    if variable:
        monkeypatch.setenv("DOCKER_CONTEXT", "colima")
    else:
        use(home, "colima")
    named = "DOCKER_CONTEXT" if variable else "currentContext in "
    with pytest.raises(EngineError, match=rf"context 'colima', which {named}.* is not there: `docker context ls`"):
        Engine()


@pytest.mark.parametrize("endpoint", [{}, {"Host": ""}, [], "tcp://there"])
def test_a_context_without_an_engine_is_told(home: Path, endpoint: Any) -> None:
    """As Kubernetes' contexts had none."""
    add_context(home, "odd", endpoint)
    use(home, "odd")
    with pytest.raises(EngineError, match=r"context 'odd'.* has no engine"):
        find_place()


def test_a_damaged_configuration_is_told(home: Path) -> None:
    """With its file's name."""
    (home / "config.json").write_text("{", "utf-8")
    with pytest.raises(EngineError, match=r"config\.json cannot be read"):
        find_place()


def test_nobody_at_a_contexts_socket(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The message says where it was looked for and why there, and which other socket there is."""
    add_context(home, "colima", {"Host": "unix:///nowhere/docker.sock"})
    use(home, "colima")
    with socket.socket(socket.AF_UNIX) as listening:
        monkeypatch.setenv("XDG_RUNTIME_DIR", str(home))
        monkeypatch.chdir(home)  # a socket's path must be short
        listening.bind("docker.sock")
        with pytest.raises(EngineError, match=r"at unix:///nowhere/docker\.sock \(Docker's context 'colima'") as raised:
            Engine()
    assert f"(one may be at unix://{home}/docker.sock)" in str(raised.value)


def test_the_certificates_of_a_context_are_used(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An engine on another machine wants them; its own is checked unless the context says otherwise."""
    add_context(home, "remote", {"Host": "tcp://engine.example:2376", "SkipTLSVerify": False})
    use(home, "remote")
    folder = home / "contexts" / "tls" / key("remote") / "docker"
    folder.mkdir(parents=True)
    authority = trustme.CA()
    mine = authority.issue_cert("me.example")
    authority.cert_pem.write_to_path(str(folder / "ca.pem"))
    mine.cert_chain_pems[0].write_to_path(str(folder / "cert.pem"))
    mine.private_key_pem.write_to_path(str(folder / "key.pem"))
    made: dict[str, Any] = {}
    monkeypatch.setattr(docker, "DockerClient", lambda **options: made.update(options) or object())
    Engine()
    assert (made["base_url"], made["use_ssh_client"]) == ("tcp://engine.example:2376", False)
    assert made["tls"].ca_cert == str(folder / "ca.pem")
    assert made["tls"].cert == (str(folder / "cert.pem"), str(folder / "key.pem"))
    assert made["tls"].verify is True


def test_a_context_over_ssh_uses_the_ssh_command(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As docker itself does, with the keys and names of ~/.ssh."""
    add_context(home, "box", {"Host": "ssh://me@box"})
    use(home, "box")
    made: dict[str, Any] = {}
    monkeypatch.setattr(docker, "DockerClient", lambda **options: made.update(options) or object())
    Engine()
    assert made == {"base_url": "ssh://me@box", "tls": False, "use_ssh_client": True}
