"""Files into a container, on a Docker client that is none."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

import pytest
from fake_docker import FakeDocker, answering

from ddsim.containers import DeepDetectContainer, Engine, EngineError, get, put
from ddsim.containers.recipe import IMAGE


def test_files_go_into_a_folder_for_everybody(tmp_path: Path) -> None:
    """By their own names, owned by root and readable by all, whoever the server runs as."""
    docker = FakeDocker(IMAGE)
    DeepDetectContainer(engine=Engine(docker), name="ddsim", port=9000, asked=answering()).start()
    file = tmp_path / "deploy.prototxt"
    file.write_text("name: 'net'", "utf-8")
    file.chmod(0o600)
    put(Engine(docker), [file], "/opt/models/ddsim/trained/shop", "ddsim")
    ((path, data),) = docker.containers.get("ddsim").archives
    assert path == "/"
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        (member,) = archive.getmembers()
        assert (member.name, member.mode, member.uid) == ("opt/models/ddsim/trained/shop/deploy.prototxt", 0o644, 0)
        content = archive.extractfile(member)
        assert content is not None
        assert content.read() == b"name: 'net'"


def test_no_container_to_copy_into(tmp_path: Path) -> None:
    """The error names it, and what starts one."""
    with pytest.raises(EngineError, match=r"no container ddsim: `ddsim up`"):
        put(Engine(FakeDocker()), [], "/opt/models/x", "ddsim")


def test_a_file_comes_out_as_it_is() -> None:
    """However many pieces the engine sends it in."""
    docker = FakeDocker(IMAGE)
    DeepDetectContainer(engine=Engine(docker), name="ddsim", port=9000, asked=answering()).start()
    content = bytes(range(256)) * 100
    docker.containers.get("ddsim").files["/opt/models/net.prototxt"] = content
    assert get(Engine(docker), "/opt/models/net.prototxt", "ddsim") == content
    with pytest.raises(EngineError, match=r"larger than 20000 bytes"):
        get(Engine(docker), "/opt/models/net.prototxt", "ddsim", most=20000)


def test_no_container_to_copy_out_of() -> None:
    """The error names it, and what starts one."""
    with pytest.raises(EngineError, match=r"no container ddsim: `ddsim up`"):
        get(Engine(FakeDocker()), "/opt/models/x", "ddsim")
