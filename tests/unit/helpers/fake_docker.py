"""A Docker client that is none: what ddsim asks of the SDK, in memory, with the SDK's own errors."""

from __future__ import annotations

import io
import tarfile
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from docker.errors import APIError, ImageNotFound, NotFound
from docker.utils import parse_bytes

from ddsim import Info, InvalidResponse, ServerUnreachable


def refused(explanation: str) -> APIError:
    """What the engine answers with a status of 500."""
    return APIError("500 Server Error", explanation=explanation)


@dataclass
class FakeContainer:
    """A container; ``fate`` holds what its state becomes with each look at it, the last one for good."""

    docker: FakeDocker
    name: str
    attrs: dict[str, Any]
    labels: dict[str, str]
    status: str = "created"
    fate: deque[dict[str, Any]] = field(default_factory=deque)
    output: bytes = b""
    stopped_within: int | None = None
    archives: list[tuple[str, bytes]] = field(default_factory=list)
    files: dict[str, tarfile.TarInfo | bytes] = field(default_factory=dict)

    def put_archive(self, path: str, data: bytes) -> bool:
        """Remember what was copied where to."""
        self._must_be_there()
        self.archives.append((path, data))
        return True

    def get_archive(self, path: str) -> tuple[Iterator[bytes], dict[str, Any]]:
        """A file of ``files`` as an archive, in pieces; what is no file is there as its entry alone."""
        self._must_be_there()
        if path not in self.files:
            raise NotFound("404", explanation=f"Could not find the file {path} in container {self.name}")
        found, name = self.files[path], path.rpartition("/")[2]
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w") as archive:
            if isinstance(found, bytes):
                member = tarfile.TarInfo(name)
                member.size = len(found)
                archive.addfile(member, io.BytesIO(found))
            else:
                archive.addfile(found)
        packed = buffer.getvalue()
        return (packed[start : start + 4096] for start in range(0, len(packed), 4096)), {"name": name}

    @property
    def ports(self) -> dict[str, Any]:
        """Published ports, as the engine lists them."""
        return dict(self.attrs["NetworkSettings"]["Ports"])

    def start(self) -> None:
        """Run, or raise the next of the engine's start errors."""
        if self.docker.start_errors:
            raise self.docker.start_errors.popleft()
        self._become({"Status": "running"})

    def reload(self) -> None:
        """Look at it anew."""
        self._must_be_there()
        if self.fate:
            self._become(self.fate.popleft())

    def _must_be_there(self) -> None:
        if self.docker.containers.all.get(self.name) is not self:
            raise NotFound("404", explanation=f"No such container: {self.name}")

    def _become(self, state: dict[str, Any]) -> None:
        self.attrs["RestartCount"] = state.get("RestartCount", self.attrs["RestartCount"])
        self.attrs["State"] = {"ExitCode": 0, "OOMKilled": False, **state}
        self.status = state["Status"]

    def logs(self, *, tail: int, stream: bool, follow: bool) -> Iterator[bytes]:
        """The last lines of the output, in pieces."""
        assert stream
        lines = self.output.splitlines(keepends=True)
        yield from lines[len(lines) - tail :] if tail < len(lines) else lines
        if follow and self.docker.interrupt_followers:
            raise KeyboardInterrupt

    def stop(self, *, timeout: int) -> None:
        """Remember how long it was given."""
        self._must_be_there()
        self.stopped_within = timeout

    def remove(self, *, v: bool, force: bool) -> None:
        """Go, with the volumes that have no name."""
        assert v
        assert force
        del self.docker.containers.all[self.name]


@dataclass
class Containers:
    """``client.containers``."""

    docker: FakeDocker
    all: dict[str, FakeContainer] = field(default_factory=dict)
    created: list[dict[str, Any]] = field(default_factory=list)

    def get(self, name: str) -> FakeContainer:
        """One by its name."""
        if name not in self.all:
            raise NotFound("404", explanation=f"No such container: {name}")
        return self.all[name]

    def list(self) -> list[FakeContainer]:
        """Those that run."""
        return [one for one in self.all.values() if one.status == "running"]

    def create(self, image: str, *, name: str, **options: Any) -> FakeContainer:
        """Make one."""
        if self.docker.create_error is not None:
            raise self.docker.create_error
        self.created.append({"image": image, "name": name, **options})
        bound = {key: [{"HostIp": ip, "HostPort": str(port)}] for key, (ip, port) in options["ports"].items()}
        mounts = [{"Name": volume, "Destination": how["bind"]} for volume, how in options.get("volumes", {}).items()]
        attributes = {
            "Config": {"Image": image},
            "HostConfig": {"Memory": parse_bytes(options.get("mem_limit", 0))},
            "NetworkSettings": {"Ports": bound},
            "Mounts": mounts,
            "RestartCount": 0,
            "State": {"Status": "created"},
        }
        made = FakeContainer(self.docker, name, attributes, dict(options["labels"]))
        made.fate, made.output = deque(self.docker.fate), self.docker.output
        self.all[name] = made
        return made


@dataclass
class Images:
    """``client.images``."""

    here: set[str]
    pulled: list[str] = field(default_factory=list)
    pull_error: Exception | None = None

    def get(self, image: str) -> str:
        """One that is here."""
        if image not in self.here:
            raise ImageNotFound("404", explanation=f"No such image: {image}")
        return image

    def pull(self, image: str) -> None:
        """Get one."""
        if self.pull_error is not None:
            raise self.pull_error
        self.pulled.append(image)


@dataclass
class FakeVolume:
    """A volume."""

    volumes: Volumes
    name: str
    attrs: dict[str, Any]

    def remove(self) -> None:
        """Go."""
        if self.volumes.remove_error is not None:
            raise self.volumes.remove_error
        del self.volumes.all[self.name]


@dataclass
class Volumes:
    """``client.volumes``."""

    all: dict[str, FakeVolume] = field(default_factory=dict)
    remove_error: Exception | None = None

    def get(self, name: str) -> FakeVolume:
        """One by its name."""
        if name not in self.all:
            raise NotFound("404", explanation=f"get {name}: no such volume")
        return self.all[name]

    def create(self, name: str, *, labels: dict[str, str] | None) -> FakeVolume:
        """Make one."""
        self.all[name] = FakeVolume(self, name, {"Labels": labels})
        return self.all[name]


class FakeDocker:
    """``docker.DockerClient``.

    Attributes:
        fate: what becomes of containers made from now on, see :class:`FakeContainer`; ``output`` what they print.
        start_errors: raised by the next starts; ``create_error`` by every creation.
        interrupt_followers: whether Ctrl-C comes after the last line of a log that is followed.
    """

    def __init__(self, *images: str) -> None:
        self.images = Images(set(images))
        self.containers = Containers(self)
        self.volumes = Volumes()
        self.fate: list[dict[str, Any]] = []
        self.output = b""
        self.start_errors: deque[Exception] = deque()
        self.create_error: Exception | None = None
        self.interrupt_followers = False
        self.closed = False

    def close(self) -> None:
        """Remember that."""
        self.closed = True


def answering(after: int = 0, version: str = "v0.25.0") -> Callable[[str], Info]:
    """Stands for asking a server, which answers once it was asked so often in vain."""
    left = [after]

    def asked(url: str) -> Info:
        if left[0] > 0:
            left[0] -= 1
            raise ServerUnreachable("nobody listens", method="GET", path="/info")
        return Info(version=version)

    return asked


def never(url: str) -> Info:
    """A server that does not answer as it should."""
    raise InvalidResponse("no JSON", method="GET", path="/info")


class Clock:
    """Time that passes by sleeping only."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        """Seconds."""
        return self.now

    def sleep(self, seconds: float) -> None:
        """Let it pass."""
        self.now += seconds
