"""The server in a container, brought up from docker-compose.yml, or the one that ``--server URL`` names.

Without a Docker engine at hand the tests skip and say why; where ``DDSIM_REQUIRE_DOCKER=1`` is set they fail. The image
is the one that ``DDSIM_DEEPDETECT_IMAGE`` names, else DeepDetect's own; .ci/engine.sh builds one where no registry is
in reach. Nothing is pulled here: that is some GB.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NoReturn

import pytest
from dock import COMPOSE, Composed, Story, answers, image, put, tell_story

from ddsim.containers.engine import Engine, EngineError

HERE = Path(__file__).parent
CONTRACT = HERE.parent / "contract"
# The contract calls and their helpers are those of tests/contract.
sys.path.append(str(CONTRACT))
# Those of the recorded pictures that lay in the recorded server's folder.
FURNITURE = ("bed", "chair", "lamp", "sofa", "table")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """These tests talk to servers."""
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.enable_socket)


def _unable(reason: str) -> NoReturn:
    if os.environ.get("DDSIM_REQUIRE_DOCKER") == "1":
        pytest.fail(f"DDSIM_REQUIRE_DOCKER is set, and {reason}", pytrace=False)
    pytest.skip(reason)


@pytest.fixture(scope="session")
def engine(pytestconfig: pytest.Config) -> Iterator[Engine]:
    """The Docker engine, which has the image."""
    if pytestconfig.getoption("--server", None):
        pytest.skip("needs a container of its own, and --server names a server that runs already")
    try:
        engine = Engine()
    except EngineError as error:
        _unable(str(error))
    if not engine.client.images.list(image()):
        _unable(f"image {image()} is not here: docker pull {image()}, or build one with .ci/engine.sh")
    yield engine
    engine.close()


@pytest.fixture(scope="session")
def docker_compose_command(engine: Engine) -> str:
    """Compose v2 where it is installed, else v1."""
    for command in (["docker", "compose"], ["docker-compose"]):
        if shutil.which(command[0]) and subprocess.run([*command, "version"], capture_output=True).returncode == 0:
            return " ".join(command)
    _unable("neither `docker compose` nor `docker-compose` is installed")


@pytest.fixture(scope="session")
def names(engine: Engine) -> Iterator[dict[str, str]]:
    """A port, a container and a volume that nobody else has, in docker-compose.yml's variables."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = str(free.getsockname()[1])
    word = f"ddsim-test-{uuid.uuid4().hex[:8]}"
    wanted = {"DDSIM_PORT": port, "DDSIM_CONTAINER": word, "DDSIM_VOLUME": word, "DDSIM_ADDRESS": "127.0.0.1"}
    with pytest.MonkeyPatch.context() as patch:
        for name, value in wanted.items():
            patch.setenv(name, value)
        yield wanted


@pytest.fixture(scope="session")
def docker_compose_file(names: dict[str, str]) -> str:
    """The one that people use."""
    return str(COMPOSE)


@pytest.fixture(scope="session")
def docker_compose_project_name(names: dict[str, str]) -> str:
    """One that nobody else has."""
    return names["DDSIM_CONTAINER"]


@pytest.fixture(scope="session")
def docker_setup() -> list[str]:
    """As the README says."""
    return ["up -d"]


@pytest.fixture(scope="session")
def composed(
    engine: Engine, names: dict[str, str], docker_compose_command: str, docker_services: Any
) -> Iterator[Composed]:
    """docker-compose.yml, brought up on a free port; it answers."""
    url = f"http://127.0.0.1:{docker_services.port_for('deepdetect', 8080)}"
    docker_services.wait_until_responsive(lambda: answers(url), timeout=90, pause=0.5)
    name = names["DDSIM_CONTAINER"]
    command = (*docker_compose_command.split(), "-f", str(COMPOSE), "-p", name)
    return Composed(url, name, names["DDSIM_VOLUME"], engine, command)


@pytest.fixture(scope="session")
def server_url(pytestconfig: pytest.Config, request: pytest.FixtureRequest) -> str:
    """The server that ``--server`` names, else the one of docker-compose.yml."""
    named = pytestconfig.getoption("--server", None)
    return str(named).rstrip("/") if named else str(request.getfixturevalue("composed").url)


@pytest.fixture
def story(pytestconfig: pytest.Config, server_url: str, tmp_path: Path) -> Iterator[Story]:
    """A user's folder with services and an index of its own, which are removed afterwards."""
    base = pytestconfig.getoption("--server-config", None)
    told = tell_story(tmp_path, server_url, suffix=f"-{uuid.uuid4().hex[:8]}", base=Path(base) if base else None)
    yield told
    told.forget_services()


@pytest.fixture(scope="session")
def contract_places(pytestconfig: pytest.Config, request: pytest.FixtureRequest) -> dict[str, str]:
    """Where the recordings' network and pictures lie on the server; they are put into a container of our own."""
    if pytestconfig.getoption("--server", None):
        return {
            "/opt/models": pytestconfig.getoption("--server-models"),
            "/data": pytestconfig.getoption("--server-data"),
        }
    container = request.getfixturevalue("composed").container
    put(container, [CONTRACT / "recordings" / "models" / "tiny"], "/tmp/contract/m")  # noqa: S108  in the container
    furniture = [path for path in (CONTRACT / "recordings" / "images").iterdir() if path.name.startswith(FURNITURE)]
    put(container, furniture, "/tmp/contract/d/images")  # noqa: S108
    return {"/opt/models": "/tmp/contract/m", "/data": "/tmp/contract/d"}  # noqa: S108


@pytest.fixture
def removed(engine: Engine) -> Iterator[Callable[[str], str]]:
    """Gives names to containers and volumes that are removed after the test."""
    given: list[str] = []

    def name(prefix: str) -> str:
        given.append(f"{prefix}-{uuid.uuid4().hex[:8]}")
        return given[-1]

    yield name
    for one in given:
        container = engine.find(one)
        if container is not None:
            engine.remove(container, 0)
        engine.remove_volume(one)
