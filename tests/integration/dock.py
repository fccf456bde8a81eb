"""What the integration tests share: a configuration for the server at hand, a catalogue, ways to treat a container."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import tarfile
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import yaml
from shop import picture

from ddsim import Client, DDSimError, ImageSearch, ServiceNotFound, load
from ddsim.containers.engine import Engine
from ddsim.containers.recipe import IMAGE

ROOT = Path(__file__).parents[2]
COMPOSE = ROOT / "docker-compose.yml"
CATEGORIES = ("bed", "chair", "lamp")
#: Seconds after which a test gives up waiting, however slow the machine.
PATIENCE = 90.0
#: What differs from configs/resnet50.yaml where the small network of the demo stands in ResNet-50's place.
DEMO_NETWORK = {"nclasses": 5, "width": 112, "height": 112, "mean": [103.94, 116.78, 123.68]}
DEMO_CATEGORIES = {name: name for name in ("chair", "lamp", "table", "bed", "sofa")}


def image() -> str:
    """The image that docker-compose.yml would take."""
    return os.environ.get("DDSIM_DEEPDETECT_IMAGE") or IMAGE


@dataclass(frozen=True)
class Composed:
    """What docker-compose.yml started.

    Attributes:
        url: the server.
        name: the container's name.
        volume: its volume.
        engine: the engine.
        compose: the command line up to the subcommand.
    """

    url: str
    name: str
    volume: str
    engine: Engine
    compose: tuple[str, ...]

    @property
    def container(self) -> Any:
        """The container as it is now."""
        return self.engine.client.containers.get(self.name)

    def run(self, *arguments: str) -> str:
        """A subcommand of Compose, which must succeed; what it printed."""
        done = subprocess.run([*self.compose, *arguments], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout + done.stderr


def is_embedded(url: str) -> bool:
    """Whether ddsim's embedded server answers there: it says so in a header, as its answers are DeepDetect's."""
    with urlopen(f"{url}/info", timeout=30) as answer:  # noqa: S310  a URL of this test run
        return str(answer.headers["Server"]).startswith("ddsim-embedded")


@dataclass(frozen=True)
class Story:
    """One user's folder: a catalogue of pictures, a configuration, and the commands run there."""

    folder: Path
    config: Path
    catalogue: Path

    def command(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """`python -m ddsim...` in a process of its own."""
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "NO_COLOR": "1", "DDSIM_CONFIG": str(self.config)}
        return subprocess.run(
            [sys.executable, "-m", *arguments],
            cwd=self.folder,
            env=environment,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )

    def index(self) -> dict[str, Any]:
        """`python -m ddsim.index`, which must succeed; its report."""
        done = self.command("ddsim.index", "--json")
        assert done.returncode == 0, done.stderr
        return dict(json.loads(done.stdout))

    def search(self) -> ImageSearch:
        """The same by the library; close it."""
        return ImageSearch.from_config(self.config)

    def uris(self) -> list[str]:
        """All pictures of the catalogue."""
        return sorted(path.relative_to(self.catalogue).as_posix() for path in self.catalogue.glob("*/*"))

    def assert_each_finds_itself(self) -> None:
        """Every picture is found exactly once, and first by itself."""
        uris = self.uris()
        with self.search() as search:
            for uri in uris:
                category = uri.partition("/")[0]
                found = search.query(self.catalogue / uri, k=len(uris), category=category).neighbours
                assert found[0].uri == uri
                assert found[0].distance < 1e-3
                assert sorted(one.uri for one in found) == [one for one in uris if one.startswith(f"{category}/")]

    def forget_services(self) -> None:
        """Remove services and index of this configuration from the server."""
        settings = load(self.config)
        with Client(settings.server.url or "") as client:
            for section in (settings.similarity, settings.classification):
                if section is not None:
                    with suppress(ServiceNotFound):
                        client.delete_service(section.service, destroy_model_files="dir")


def tell_story(folder: Path, url: str, *, suffix: str = "", pictures: int = 24, base: Path | None = None) -> Story:
    """Draw a catalogue and write the configuration that configs/resnet50.yaml comes to on this server.

    Args:
        folder: an empty one.
        url: the server.
        suffix: added to the names of services and repositories, so that tests keep out of each other's way.
        pictures: how many.
        base: another configuration instead, for a server that was not started by docker-compose.yml.
    """
    catalogue = folder / "catalogue"
    for number in range(pictures):
        path = catalogue / CATEGORIES[number % len(CATEGORIES)] / f"{number:03d}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        picture(number, (64, 64)).save(path)
    base = base or ROOT / "configs" / "resnet50.yaml"
    raw = yaml.safe_load(base.read_text("utf-8"))
    raw["server"] = {"url": url}
    raw["catalogue"], raw["state"] = str(catalogue), str(folder / "state")
    raw["index"]["batch_size"] = 4
    if base.name == "resnet50.yaml" and is_embedded(url):
        raw["network"].update(DEMO_NETWORK)
        raw["categories"] = DEMO_CATEGORIES
    elif isinstance(raw.get("categories"), str):
        raw["categories"] = str((base.parent / raw["categories"]).resolve())
    for section in ("classification", "similarity"):
        raw[section]["service"] += suffix
        raw[section]["repository"] += suffix
    config = folder / "story.yaml"
    config.write_text(yaml.safe_dump(raw), "utf-8")
    return Story(folder, config, catalogue)


def until(holds: Callable[[], bool], what: str) -> None:
    """Wait for something to become true."""
    deadline = time.monotonic() + PATIENCE
    while not holds():
        assert time.monotonic() < deadline, f"{what} did not happen within {PATIENCE:g} s"
        time.sleep(0.2)


def answers(url: str) -> bool:
    """Whether a server answers there."""
    try:
        with Client(url, retries=0, timeout=5) as client:
            client.info()
    except DDSimError:
        return False
    return True


def run_in(container: Any, command: str) -> str:
    """Run a shell command in a container as its own user; what it printed."""
    code, output = container.exec_run(["/bin/sh", "-c", command])
    assert code == 0, output
    return str(output.decode())


def kill_server(container: Any) -> None:
    """End the server with kill -9, as a fault of its own would; Docker's `kill` counts as meant, without a restart."""
    container.exec_run(["/bin/sh", "-c", "kill -9 $(cat /proc/1/task/1/children)"])


def put(container: Any, paths: Iterable[Path], target: str) -> None:
    """Copy files and folders into a folder of a container, where they belong to the server's user."""
    user = int(run_in(container, f"mkdir -p {target} && id -u"))

    def owned(entry: tarfile.TarInfo) -> tarfile.TarInfo:
        entry.uid = entry.gid = user
        return entry

    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        for path in paths:
            archive.add(path, arcname=path.name, filter=owned)
    assert container.put_archive(target, packed.getvalue())
