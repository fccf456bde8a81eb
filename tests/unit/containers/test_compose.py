"""docker-compose.yml as a text, and the script that it starts servers with; tests/integration brings it up."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from fake_docker import FakeDocker, answering

from ddsim.caffe import write_weights
from ddsim.containers.container import DeepDetectContainer
from ddsim.containers.engine import LABELS, Engine
from ddsim.containers.recipe import GPU_IMAGE, HEALTHCHECK, IMAGE, MEMORY, MODELS, NAME, PORT, START, VOLUME
from ddsim.embedded.network import Network
from ddsim.networks import centre_name, centre_weighted

ROOT = Path(__file__).parents[3]
BUNDLED, DERIVED = "resnet_50/deploy.prototxt", "ddsim/definitions/resnet50.prototxt"
# Written as DeepDetect's own is, with tabs and the name at any place, and what else may look alike.
DEFINITION = """name: "pool5"
layer {
	bottom: "res5c"
	top: "pool5"
	name: "pool5"
	type: "Pooling"
}
layer { name: "pool5_after" bottom: "pool5" top: "fc" }
layer {name:"pool50" bottom: "pool5"}
"""


def compose() -> dict[str, Any]:
    """The file."""
    return dict(yaml.safe_load((ROOT / "docker-compose.yml").read_text("utf-8")))


def default(text: str) -> str:
    """What Compose makes of a text where no variable is set."""
    return re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", text).replace("$$", "$")


SERVICES = compose()["services"]
SERVERS = [name for name in SERVICES if name.startswith("deepdetect")]
PAGES = ("indexer", "page", "balancer")


def test_both_versions_of_compose_can_read_it() -> None:
    """`version` is a thing of v1 that v2 warns of; `name` one of v2 that v1 refuses."""
    assert set(compose()) == {"x-server", "services", "volumes"}


@pytest.mark.parametrize("name", SERVERS)
def test_every_server_is_private_and_comes_back(name: str) -> None:
    """Loopback, limited memory, a restart policy, a health check and a volume: whichever server it is."""
    service = SERVICES[name]
    ports = "8081-8099" if name == "deepdetect-more" else PORT
    assert [default(port) for port in service["ports"]] == [f"127.0.0.1:{ports}:8080"]
    assert default(service["mem_limit"]) == MEMORY
    assert service["restart"] == "unless-stopped"
    assert service["init"] is True
    assert "/info" in service["healthcheck"]["test"][-1]
    (volume,) = service["volumes"]
    assert volume.endswith(f":{MODELS}")
    assert volume.partition(":")[0] in compose()["volumes"]


def test_there_can_be_more_of_what_is_to_be_scaled() -> None:
    """Neither a name nor a port of its own stands in the way of `--scale`; whatever else has a name is one by it."""
    scaled = [name for name, service in SERVICES.items() if "container_name" not in service]
    assert scaled == ["deepdetect-more", "page"]
    assert "ports" not in SERVICES["page"]


def test_port_and_address_are_variables() -> None:
    """So are memory, image, container and volume, under the names that `ddsim up` knows."""
    text = (ROOT / "docker-compose.yml").read_text("utf-8")
    used = set(re.findall(r"\$\{(DDSIM_\w+):-", text))
    assert used >= {
        "DDSIM_PORT",
        "DDSIM_ADDRESS",
        "DDSIM_MEMORY",
        "DDSIM_DEEPDETECT_IMAGE",
        "DDSIM_CONTAINER",
        "DDSIM_VOLUME",
    }
    assert len(re.findall(r"\$\{", text.replace("$${", ""))) == len(re.findall(r"\$\{DDSIM_\w+:-[^}]*\}", text))


def test_only_the_cpu_server_starts_by_itself() -> None:
    """The others want the same port, so each has a profile."""
    assert [name for name, service in SERVICES.items() if "profiles" not in service] == ["deepdetect"]
    assert SERVICES["deepdetect-gpu"]["profiles"] == ["gpu"]
    assert SERVICES["deepdetect-embedded"]["profiles"] == ["embedded"]


def test_the_page_has_no_rights() -> None:
    """Loopback, a user of its own, nothing to write but its state, and the catalogue only to be read."""
    page = SERVICES["web"]
    assert page["profiles"] == ["page"]
    assert [default(port) for port in page["ports"]] == ["127.0.0.1:8000:8000"]
    assert page["read_only"] is True
    assert page["cap_drop"] == ["ALL"]
    assert page["security_opt"] == ["no-new-privileges:true"]
    catalogue, state = page["volumes"]
    assert catalogue.endswith(":/app/catalogue:ro")
    assert state.partition(":")[0] in compose()["volumes"]
    assert default(page["mem_limit"]) == "2g"
    assert page["restart"] == "unless-stopped"
    assert "127.0.0.1:8000" in page["healthcheck"]["test"][-1]
    text = (ROOT / page["build"]["dockerfile"]).read_text("utf-8")
    assert text.rindex("\nUSER 10001") > text.rindex("\nRUN ")


def test_pages_without_state_share_a_database() -> None:
    """One machine indexes and keeps what it knows, the others keep nothing; no port but loopback's, and no rights."""
    assert all(SERVICES[name]["profiles"] == ["pages"] for name in PAGES)
    assert SERVICES["milvus"]["profiles"] == ["milvus", "pages"]
    assert re.fullmatch(r"milvusdb/milvus:v\d+\.\d+\.\d+", default(SERVICES["milvus"]["image"]))
    for name in ("milvus", "balancer"):
        assert all(default(port).startswith("127.0.0.1:") for port in SERVICES[name]["ports"])
    for name in ("indexer", "page"):
        assert SERVICES[name]["read_only"] is True
        assert SERVICES[name]["cap_drop"] == ["ALL"]
        assert "ports" not in SERVICES[name]
        assert SERVICES[name]["build"]["args"]["EXTRAS"] == "milvus,web"
    assert [one for one in SERVICES["page"]["volumes"] if not one.endswith(":ro")] == []
    assert "server page:8000" in (ROOT / "deploy" / "balancer.conf").read_text("utf-8")


@pytest.mark.parametrize(("code", "again"), [(0, False), (1, False), (2, False), (3, True), (137, True)])
def test_an_indexer_is_started_again_only_where_that_may_help(tmp_path: Path, code: int, again: bool) -> None:
    """After a kill, or where no server is there yet; for pictures put aside or wrong use it would never end."""
    if shutil.which("sh") is None:
        pytest.skip("needs a POSIX shell")
    service = SERVICES["indexer"]
    assert service["restart"] == "on-failure"
    stand_in = tmp_path / "ddsim"
    stand_in.write_text(f'#!/bin/sh\n[ "$*" = index ] || exit 99\necho indexing\nexit {code}\n')
    stand_in.chmod(0o755)
    path = f"{tmp_path}{os.pathsep}{os.environ['PATH']}"
    command = [default(part) for part in service["command"]]
    done = subprocess.run(command, env={"PATH": path}, capture_output=True, text=True, timeout=30, check=False)
    assert done.stdout == "indexing\n"
    assert (done.returncode != 0) is again


@pytest.mark.parametrize("name", ["web", "page"])
def test_the_page_takes_options(name: str) -> None:
    """Such as figures and trusted proxies; without any it serves all the same."""
    shell, flag, words = SERVICES[name]["command"]
    assert (shell, flag) == ("sh", "-c")
    assert words.endswith("exec ddsim serve --host 0.0.0.0 --json-logs ${DDSIM_PAGE_OPTIONS:-}")
    assert default(words).rstrip().endswith("--json-logs")


def test_no_two_containers_have_one_name() -> None:
    """Compose v2 refuses that."""
    names = [default(service["container_name"]) for service in SERVICES.values() if "container_name" in service]
    assert "container_name" not in SERVICES["page"]  # of which there may be several
    assert len(set(names)) == len(names) == len(SERVICES) - 2


def test_there_can_be_more_servers() -> None:
    """`--scale` wants no name and a range of ports; otherwise they are what the first one is."""
    one, more = SERVICES["deepdetect"], SERVICES["deepdetect-more"]
    assert more["profiles"] == ["several"]
    assert "container_name" not in more
    assert {key: more[key] for key in ("image", "volumes", "entrypoint")} == {
        key: one[key] for key in ("image", "volumes", "entrypoint")
    }
    assert more["depends_on"] == {"deepdetect": {"condition": "service_healthy"}}


def test_the_embedded_server_has_a_volume_of_its_own() -> None:
    """Its small network stands under ResNet-50's name; the GPU's server shares indexes with the CPU's."""
    volumes = {name: SERVICES[name]["volumes"][0].partition(":")[0] for name in SERVERS}
    assert volumes["deepdetect-gpu"] == volumes["deepdetect"] != volumes["deepdetect-embedded"]


@pytest.mark.parametrize("name", ["deepdetect-embedded", "web"])
def test_what_is_built_from_here(name: str) -> None:
    """The Dockerfile is there, and what it copies is not kept from the engine."""
    build = SERVICES[name]["build"]
    text = (ROOT / build["context"] / build["dockerfile"]).read_text("utf-8")
    assert f"ARG BASE={default(build['args']['BASE'])}\n" in text
    kept = [line[1:] for line in (ROOT / ".dockerignore").read_text("utf-8").splitlines() if line.startswith("!")]
    copied = re.findall(r"^COPY (?:--chown=\S+ )?([\w/.-]+) ", text, re.MULTILINE)
    assert copied
    assert all(path == "." or any(path.startswith(one) for one in kept) for path in copied)
    assert all((ROOT / path).exists() for path in kept)


def test_containers_has_the_same() -> None:
    """`ddsim up` makes the container that docker-compose.yml makes."""
    fake = FakeDocker(IMAGE)
    DeepDetectContainer(IMAGE, name=NAME, port=PORT, volume=VOLUME, engine=Engine(fake), asked=answering()).start()
    (made,) = fake.containers.created
    service = SERVICES["deepdetect"]
    ((address, port),) = made["ports"].values()
    seconds = {key: f"{made['healthcheck'][key] // 10**9}s" for key in ("interval", "timeout", "start_period")}
    assert made["entrypoint"] == [default(part) for part in service["entrypoint"]]
    assert f"{address}:{port}:8080" == default(service["ports"][0])
    assert made["image"] == default(service["image"])
    assert made["name"] == default(service["container_name"])
    assert made["mem_limit"] == default(service["mem_limit"])
    assert made["init"] == service["init"]
    assert made["restart_policy"] == {"Name": service["restart"]}
    assert made["labels"] == service["labels"] == LABELS
    assert made["healthcheck"]["test"] == service["healthcheck"]["test"] == HEALTHCHECK
    assert {**seconds, "retries": made["healthcheck"]["retries"], "test": HEALTHCHECK} == service["healthcheck"]
    volume = compose()["volumes"]["models"]
    assert list(made["volumes"]) == [default(volume["name"])]
    assert volume["labels"] == LABELS
    assert default(SERVICES["deepdetect-gpu"]["image"]) == GPU_IMAGE


def test_the_configuration_points_to_what_is_derived() -> None:
    """configs/resnet50.yaml, the script and the image agree on paths and on the layer's name."""
    raw = yaml.safe_load((ROOT / "configs" / "resnet50.yaml").read_text("utf-8"))
    assert raw["similarity"]["def"] == f"{MODELS}/{DERIVED}"
    assert raw["network"]["def"] == f"{MODELS}/{BUNDLED}"
    assert raw["similarity"]["extract_layer"] == "pool5/7x7_s1"


# The script


class Machine:
    """The script with its folders below another one; in place of the server something that says hello."""

    def __init__(self, folder: Path) -> None:
        self.models = folder / "models"
        self.bundled, self.derived = self.models / BUNDLED, self.models / DERIVED
        self.bundled.parent.mkdir(parents=True)
        server = folder / "start-dede.sh"
        server.write_text("#!/bin/sh\necho started with $*\n")
        server.chmod(0o755)
        script = START.replace(MODELS, str(self.models))
        self.script = script.replace("/opt/deepdetect/start-dede.sh", str(server))
        assert "/opt/" not in self.script

    def start(self) -> str:
        """Run it; what it said before the server came."""
        done = subprocess.run(["/bin/sh", "-c", self.script], capture_output=True, text=True, timeout=30, check=True)
        assert done.stdout == "started with -host 0.0.0.0\n"
        return done.stderr


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    """One with the bundled definition."""
    if shutil.which("sh") is None:
        pytest.skip("needs a POSIX shell")
    machine = Machine(tmp_path)
    machine.bundled.write_text(DEFINITION)
    return machine


def test_only_the_layers_own_name_changes(machine: Machine) -> None:
    """Neither `top:` and `bottom:` nor layers of similar names; the network's own name may."""
    assert machine.start() == ""
    lines = list(zip(DEFINITION.splitlines(), machine.derived.read_text().splitlines(), strict=True))
    assert [pair for pair in lines if pair[0] != pair[1]] == [
        ('name: "pool5"', 'name: "pool5/7x7_s1"'),
        ('\tname: "pool5"', '\tname: "pool5/7x7_s1"'),
    ]
    assert machine.bundled.read_text() == DEFINITION


@pytest.mark.parametrize("layer", ['layer {name:"pool5" top: "pool5"}', 'layer { top: "pool5"   name:   "pool5" }'])
def test_layers_on_one_line(machine: Machine, layer: str) -> None:
    """However it is written."""
    machine.bundled.write_text(layer + "\n")
    assert machine.start() == ""
    assert 'name: "pool5/7x7_s1"' in machine.derived.read_text()
    assert 'top: "pool5"' in machine.derived.read_text()


def test_again_and_again(machine: Machine) -> None:
    """Every start derives the same anew, and leaves nothing else behind."""
    machine.start()
    first = machine.derived.read_text()
    machine.derived.with_suffix(".prototxt.new").write_text("of a start that was killed")
    machine.start()
    assert machine.derived.read_text() == first
    names = sorted(path.name for path in machine.derived.parent.iterdir())
    assert names == ["resnet50-centre-power2.prototxt", "resnet50.prototxt"]


def test_no_bundled_definition(machine: Machine) -> None:
    """The log says so, the server starts, and what was derived before stays."""
    machine.start()
    machine.bundled.unlink()
    assert f"ddsim: no {machine.bundled} in this image or volume" in machine.start()
    assert machine.derived.exists()


def test_no_such_layer(machine: Machine) -> None:
    """The log says so, and the server starts."""
    machine.bundled.write_text('layer { name: "pool6" }\n')
    assert f"{machine.bundled} has no layer pool5" in machine.start()


def test_a_definition_that_has_the_name_already(machine: Machine) -> None:
    """That is what was wanted."""
    machine.bundled.write_text('layer { name: "pool5/7x7_s1" }\n')
    assert machine.start() == ""


def test_a_place_that_cannot_be_written(machine: Machine) -> None:
    """The log says so, and the server starts."""
    (machine.models / "ddsim").write_text("a file where a folder belongs")
    assert f"{machine.derived} could not be written" in machine.start()


def test_the_centre_weighted_definition_gives_what_ddsim_derives(machine: Machine) -> None:
    """The same values, under the layer's name and in the file that `pooling: centre` with `power: 2` asks for."""
    size = "batch_size: 1 channels: 3 height: 7 width: 7"
    machine.bundled.write_text(
        f'layer {{ name: "data" type: "MemoryData" top: "res5c" top: "label" memory_data_param {{ {size} }} }}\n'
        'layer {\n\tbottom: "res5c"\n\ttop: "pool5"\n\tname: "pool5"\n\ttype: "Pooling"\n'
        "\tpooling_param { kernel_size: 7 stride: 1 pool: AVE }\n}\n"
    )
    assert machine.start() == ""
    path = machine.derived.with_name(centre_name(machine.derived.name, 2))
    expected = path.with_name("expected.prototxt")
    expected.write_text(centre_weighted(machine.derived.read_text(), "pool5/7x7_s1", 2))
    weights = path.with_name("none.caffemodel")
    weights.write_bytes(write_weights({"other": [np.zeros(1)]}))
    picture = np.random.default_rng(0).random((1, 3, 7, 7), np.float32)
    found, wanted = (Network(one, weights).forward(picture, "pool5/7x7_s1", 1) for one in (path, expected))
    assert found.shape == (1, 3)
    np.testing.assert_allclose(found, wanted, rtol=1e-6)
