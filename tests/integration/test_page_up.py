"""The page of docker-compose.yml on a real engine, beside a server: indexed, searched, and without rights."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.request import urlopen

import pytest
import yaml
from dock import COMPOSE, Composed, tell_story, until

from ddsim.containers.engine import Engine

PICTURES = 6


@pytest.fixture
def page(composed: Composed, engine: Engine, docker_compose_command: str, tmp_path: Path) -> Iterator[tuple[str, Any]]:
    """The page of a project of its own, with a server beside it; (its address, its container)."""
    if not engine.client.images.list("ddsim-web"):
        pytest.skip("image ddsim-web is not here: docker compose --profile page build web")
    story = tell_story(tmp_path, composed.url, pictures=PICTURES)
    settings = yaml.safe_load(story.config.read_text("utf-8"))
    settings |= {"server": {"url": "http://deepdetect:8080"}, "catalogue": "/app/catalogue", "state": "/app/.ddsim"}
    (story.catalogue / "page.yaml").write_text(yaml.safe_dump(settings), "utf-8")
    # The container's user is another one.
    for path in (tmp_path, story.catalogue, *story.catalogue.rglob("*")):
        path.chmod(0o755 if path.is_dir() else 0o644)
    for parent in tmp_path.parents[:2]:
        parent.chmod(0o755)
    with socket.create_server(("127.0.0.1", 0)) as one, socket.create_server(("127.0.0.1", 0)) as other:
        ports = [str(door.getsockname()[1]) for door in (one, other)]
    name = f"ddsim-test-{uuid.uuid4().hex[:8]}"
    environment = os.environ | {
        "DDSIM_CONTAINER": name,
        "DDSIM_VOLUME": name,
        "DDSIM_PORT": ports[0],
        "DDSIM_PAGE_PORT": ports[1],
        "DDSIM_CATALOGUE": str(story.catalogue),
        "DDSIM_PAGE_CONFIG": "/app/catalogue/page.yaml",
    }
    command = [*docker_compose_command.split(), "-f", str(COMPOSE), "-p", name, "--profile", "page"]
    subprocess.run([*command, "up", "-d", "--no-build"], env=environment, check=True, capture_output=True)
    try:
        yield f"http://127.0.0.1:{ports[1]}", engine.client.containers.get(f"{name}-web")
    finally:
        subprocess.run([*command, "down", "--volumes"], env=environment, check=True, capture_output=True)


def _told(url: str) -> dict[str, Any]:
    try:
        with urlopen(f"{url}/api/catalogue", timeout=30) as answer:  # noqa: S310  a URL of this test run
            return dict(json.loads(answer.read()))
    except (URLError, OSError):
        return {}


def test_the_page_beside_its_server(page: tuple[str, Any]) -> None:
    """It indexes the catalogue by itself, answers searches, is healthy, and may write nothing but its state."""
    url, container = page
    until(lambda: _told(url).get("items") == PICTURES and not _told(url)["indexing"], "indexing")
    example = _told(url)["examples"][0]["uri"]
    with urlopen(f"{url}/api/search", data=f"like={example}&all=1".encode(), timeout=60) as answer:  # noqa: S310
        assert len(json.loads(answer.read())["neighbours"]) == PICTURES - 1
    _, *check = container.attrs["Config"]["Healthcheck"]["Test"]
    assert container.exec_run(check).exit_code == 0
    assert container.exec_run(["id", "-u"]).output.strip() == b"10001"
    for place in ("/app/x", "/app/catalogue/x", "/opt/x", "/etc/x"):
        assert container.exec_run(["touch", place]).exit_code != 0, place
    ((binding,),) = container.attrs["NetworkSettings"]["Ports"].values()
    assert binding["HostIp"] == "127.0.0.1"
    container.stop(timeout=20)
    assert container.wait()["StatusCode"] in (0, 130, 143)
