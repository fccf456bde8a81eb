"""Where the Docker engine is: what the ``docker`` command would take, contexts (Colima, Desktop, rootless) included.

The SDK reads contexts since 7.2, but none where there is no config.json, and it quietly takes this machine's own engine
where the one that is named is not there.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ddsim.errors import DDSimError
from ddsim.showing import printable

SOCKET = "unix:///var/run/docker.sock"
_DEFAULT = "default"
# Where engines listen that are no service of the whole machine: rootless, Docker Desktop, Colima, Rancher Desktop.
_ELSEWHERE = (
    "$XDG_RUNTIME_DIR/docker.sock",
    "~/.docker/run/docker.sock",
    "~/.docker/desktop/docker.sock",
    "~/.colima/default/docker.sock",
    "~/.rd/docker.sock",
)


class EngineError(DDSimError):
    """The Docker engine cannot be used, or a container did not do what it should.

    Attributes:
        logs: the container's last lines, empty where there was none.
    """

    def __init__(self, message: str, *, logs: str = "") -> None:
        lines = [printable(line) for line in logs.splitlines()]
        super().__init__("\n  | ".join([f"{message}. Its last lines:", *lines]) if lines else message)
        self.logs = logs


@dataclass(frozen=True)
class Place:
    """Where an engine is, and who says so.

    Attributes:
        url: as Docker writes it: ``unix://``, ``tcp://``, ``ssh://`` or ``npipe://``.
        named: by what, in words; empty where nothing names one.
        context: of Docker; None where it is not taken from one.
        certificates: folder with ca.pem, cert.pem and key.pem of the context; None where it has none.
        verify: whether the engine's certificate is checked.
    """

    url: str
    named: str = ""
    context: str | None = None
    certificates: Path | None = None
    verify: bool = True

    @property
    def words(self) -> str:
        """The address, and who names it."""
        return f"{self.url} ({self.named})" if self.named else self.url

    def tls(self, sdk: Any) -> Any:
        """The SDK's configuration for these certificates; None without any."""
        if self.certificates is None:
            return None
        files = {part: self.certificates / f"{part}.pem" for part in ("ca", "cert", "key")}
        there = {part: str(file) for part, file in files.items() if os.path.isfile(file)}
        pair = (there["cert"], there["key"]) if {"cert", "key"} <= there.keys() else None
        return sdk.tls.TLSConfig(client_cert=pair, ca_cert=there.get("ca"), verify=self.verify)


def find_place() -> Place:
    """Where the engine is: ``DOCKER_HOST``, else the context of ``DOCKER_CONTEXT`` or of Docker's configuration.

    Raises:
        EngineError: the context is not there, or cannot be read.
    """
    if host := os.environ.get("DOCKER_HOST"):
        return Place(host, "DOCKER_HOST")
    folder = Path(os.environ.get("DOCKER_CONFIG") or Path.home() / ".docker")
    name, named = os.environ.get("DOCKER_CONTEXT"), "DOCKER_CONTEXT"
    if not name:
        config = folder / "config.json"
        name = _read(config).get("currentContext") if os.path.isfile(config) else None
        named = f"currentContext in {config}"
    if not name or name == _DEFAULT:
        return Place(SOCKET)
    return _of_context(folder, str(name), named)


def _of_context(folder: Path, name: str, named: str) -> Place:
    key = hashlib.sha256(name.encode("utf-8", "surrogateescape")).hexdigest()
    file = folder / "contexts" / "meta" / key / "meta.json"
    if not os.path.isfile(file):
        raise EngineError(
            f"Docker's context {name!r}, which {named} names, is not there: `docker context ls` shows those that are, "
            "`docker context use NAME` takes one, DOCKER_HOST names an engine without any"
        )
    endpoints = _read(file).get("Endpoints")
    endpoint = endpoints.get("docker") if isinstance(endpoints, dict) else None
    if not isinstance(endpoint, dict) or not endpoint.get("Host"):
        raise EngineError(f"Docker's context {name!r}, which {named} names, has no engine: see {file}")
    certificates = folder / "contexts" / "tls" / key / "docker"
    return Place(
        str(endpoint["Host"]),
        f"Docker's context {name!r}, which {named} names",
        name,
        certificates if os.path.isdir(certificates) else None,
        not endpoint.get("SkipTLSVerify", False),
    )


def _read(file: Path) -> dict[str, Any]:
    try:
        found = json.loads(file.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise EngineError(f"Docker's configuration {file} cannot be read: {error}") from error
    return found if isinstance(found, dict) else {}


def other_sockets(place: Place) -> Iterator[str]:
    """Sockets of engines on this machine that nobody has named."""
    for path in map(os.path.expanduser, map(os.path.expandvars, _ELSEWHERE)):
        if os.path.exists(path) and f"unix://{path}" != place.url:
            yield f"unix://{path}"
