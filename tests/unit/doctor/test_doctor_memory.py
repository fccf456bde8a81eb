"""The doctor compares the memory that the server's container may have with what the configuration needs."""

from __future__ import annotations

import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fake_docker import FakeContainer, FakeDocker, answering
from shop import TINY, Shop

from ddsim.caffe import read_definition
from ddsim.config import Server, Settings
from ddsim.containers import DeepDetectContainer, Engine, EngineError
from ddsim.containers.recipe import IMAGE
from ddsim.doctor import Check, Options, diagnose
from ddsim.doctor.memory import check_memory, memory_needed, values_of

URL = "http://localhost:9000"
DEFINITION = "/opt/models/net/deploy.prototxt"
# 20 million values: 80 MB a picture.
LARGE = """
layer { name: "data" type: "MemoryData" top: "data"
  memory_data_param { batch_size: 1 channels: 3 height: 200 width: 200 } }
layer { name: "conv" type: "Convolution" bottom: "data" top: "conv"
  convolution_param { num_output: 497 kernel_size: 1 } }
layer { name: "relu" type: "ReLU" bottom: "conv" top: "conv" }
"""


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Two services on a server at :data:`URL` with a network that only the server has; 32 pictures a call."""
    return with_batch(elsewhere(Shop(tmp_path).settings), 32)


def elsewhere(settings: Settings, url: str = URL, **changes: Any) -> Settings:
    """The settings for a server at an address, and its networks changed."""
    parts = {
        name: getattr(settings, name).model_copy(update={"definition": DEFINITION, **changes})
        for name in ("similarity", "classification")
    }
    return settings.model_copy(update={"server": Server.at(url), **parts})


def with_batch(settings: Settings, batch_size: int) -> Settings:
    """The settings with another batch."""
    return settings.model_copy(update={"index": settings.index.model_copy(update={"batch_size": batch_size})})


def a_container(memory: str) -> FakeContainer:
    """One that `ddsim up` made for that address, with the large network in it."""
    docker = FakeDocker(IMAGE)
    DeepDetectContainer(engine=Engine(docker), name="shop", port=9000, memory=memory, asked=answering()).start()
    made = docker.containers.get("shop")
    made.files = {DEFINITION: LARGE.encode()}
    return made


def the_check(settings: Settings, container: FakeContainer) -> Check:
    """The one result; the engine's connections are closed."""
    found: list[Check] = []
    check_memory(settings, lambda: Engine(container.docker), found.append)
    (check,) = found
    assert check.name == "memory"
    return check


def no_engine() -> Engine:
    """Stands for a machine without Docker."""
    raise EngineError("no Docker engine answers")


def test_the_estimate_meets_what_was_measured() -> None:
    """Two services of ResNet-50 and calls of 32 pictures took 7.5 GB on a v0.25.0, a third one made it 9.9."""
    resnet50 = 16_461_776  # values of a picture of 224 x 224, as `values_of` counts them
    assert memory_needed([resnet50] * 2, 32) / 1e9 == pytest.approx(7.5, abs=0.05)
    assert memory_needed([resnet50] * 3, 32) / 1e9 == pytest.approx(9.9, abs=0.05)


def test_values_that_are_written_in_place_count_once() -> None:
    """Picture and convolution make 20 million; the rectifier adds none."""
    assert values_of(read_definition(LARGE)) == 200 * 200 * (3 + 497)


def test_a_limit_below_the_need_is_a_warning_with_both_ways_out(settings: Settings) -> None:
    """2.7 GB, two services of 0.3 and 32 pictures of 80 MB make 8.4 GB: 6 GiB hold batches of 19."""
    check = the_check(settings, a_container("6g"))
    assert check.status == "warning"
    assert "container shop may use 6.4 GB" in check.message
    assert "2 services with up to 32 pictures a call come to need some 8.4 GB" in check.message
    assert "batch_size: 19 under index:" in check.hint
    assert "`ddsim up --memory 8g`" in check.hint
    assert the_check(with_batch(settings, 19), a_container("6g")).status == "ok"
    assert the_check(with_batch(settings, 20), a_container("6g")).status == "warning"


def test_the_file_that_compose_read_is_named(settings: Settings) -> None:
    """Its mem_limit is what has to change then."""
    container = a_container("6g")
    container.labels["com.docker.compose.project.config_files"] = "/srv/shop/docker-compose.yml"
    hint = the_check(settings, container).hint
    assert "mem_limit in /srv/shop/docker-compose.yml, or DDSIM_MEMORY=8g" in hint
    assert "ddsim up" not in hint


def test_where_no_batch_fits_only_more_memory_helps(settings: Settings) -> None:
    """Server and services alone take 3.3 GB."""
    check = the_check(settings, a_container("3g"))
    assert check.status == "warning"
    assert "batch_size" not in check.hint
    assert "--memory 8g" in check.hint


def test_a_limit_that_is_enough(settings: Settings) -> None:
    """Both figures are told."""
    check = the_check(settings, a_container("8g"))
    assert check.status == "ok"
    assert "may use 8.6 GB; 2 services with up to 32 pictures a call need some 8.4 GB" in check.message
    assert not check.hint


def test_a_definition_of_this_machine_is_not_copied(settings: Settings) -> None:
    """It counts even where the container does not show its own; the tiny network needs next to nothing."""
    container = a_container("4g")
    container.files.clear()
    local = elsewhere(settings, definition=str(TINY / "deploy.prototxt"))
    assert "need some 3.3 GB" in the_check(local, container).message


def test_a_network_by_name_is_taken_from_the_cache(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where it was made already; nothing is made for this."""
    monkeypatch.setattr("ddsim.doctor.memory.cached_files", lambda _: type("Files", (), {"definition": made}))
    made = tmp_path / "deploy.prototxt"
    container = a_container("4g")
    named = elsewhere(settings, name="efficientnet-lite2")
    container.files.clear()
    assert the_check(named, container).status == "skipped"
    assert not made.exists()
    made.write_text(LARGE, "utf-8")
    assert the_check(named, container).status == "warning"


def foreign(container: FakeContainer) -> None:
    """Somebody else's."""
    container.labels.clear()


def unlimited(container: FakeContainer) -> None:
    """It may use all that there is."""
    container.attrs["HostConfig"]["Memory"] = 0


def stopped(container: FakeContainer) -> None:
    """It does not run."""
    container.status = "exited"


def without_definition(container: FakeContainer) -> None:
    """The file is not there."""
    container.files.clear()


def with_a_link(container: FakeContainer) -> None:
    """The file is a link to another."""
    link = tarfile.TarInfo("deploy.prototxt")
    link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
    container.files[DEFINITION] = link


def with_a_giant(container: FakeContainer) -> None:
    """The file is larger than any definition."""
    container.files[DEFINITION] = b"#" * (5 << 20)


def with_rubbish(container: FakeContainer) -> None:
    """The file is no definition."""
    container.files[DEFINITION] = b"\xff{{{"


@pytest.mark.parametrize(
    ("done", "why"),
    [
        (foreign, "no container of `ddsim up` or its compose file serves http://localhost:9000"),
        (stopped, "no container of `ddsim up`"),
        (unlimited, "container shop has none"),
        (without_definition, "Could not find the file /opt/models/net/deploy.prototxt"),
        (with_a_link, "is not a file"),
        (with_a_giant, "larger than"),
        (with_rubbish, "/opt/models/net/deploy.prototxt: "),
    ],
)
def test_what_cannot_be_compared_is_skipped_with_the_reason(
    settings: Settings, done: Callable[[FakeContainer], None], why: str
) -> None:
    """No container, no limit, no definition: the check says which, and warns of nothing."""
    container = a_container("1g")
    done(container)
    check = the_check(settings, container)
    assert check.status == "skipped"
    assert why in check.message


@pytest.mark.parametrize(
    ("changes", "why"),
    [({"gpu": True}, "on a GPU"), ({"mllib": "torch"}, "names no definition"), ({"definition": None}, "no definition")],
)
def test_networks_of_which_nothing_is_known_are_skipped(settings: Settings, changes: dict[str, Any], why: str) -> None:
    """On a GPU, of Torch, or in a folder of the server."""
    check = the_check(elsewhere(settings, **changes), a_container("1g"))
    assert (check.status, why in check.message) == ("skipped", True)


def test_docker_is_asked_for_this_machine_only(settings: Settings, tmp_path: Path) -> None:
    """Another machine's server is none of its containers, nor is the embedded one; without an engine nothing fails."""
    found: list[Check] = []
    check_memory(elsewhere(settings, "http://gpu-box:9000"), no_engine, found.append)
    check_memory(settings, no_engine, found.append)
    check_memory(Shop(tmp_path).settings, no_engine, found.append)
    assert [one.status for one in found] == ["skipped", "skipped"]
    assert "another machine" in found[0].message
    assert "no Docker engine answers" in found[1].message


def test_the_doctor_looks_at_the_memory(settings: Settings, tmp_path: Path) -> None:
    """Among its other checks, --quick included, as nothing is created for it."""
    shop, container = Shop(tmp_path), a_container("1g")
    found = diagnose(
        settings, shop.client(), shop.tap, Options(quick=True, local=False), engine=lambda: Engine(container.docker)
    )
    assert [one.status for one in found.checks if one.name == "memory"] == ["warning"]
    assert not found.failed
    assert container.docker.closed
