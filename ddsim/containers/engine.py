"""The Docker engine: the few things that are asked of it, and its refusals in plain words.

The one place that imports the Docker SDK (extra ``docker``), and only when an engine is asked for.
"""

from __future__ import annotations

import logging
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from ddsim.containers.place import EngineError, Place, find_place, other_sockets
from ddsim.errors import install_hint

_log = logging.getLogger(__name__)

# What is ddsim's own, whether it was made by docker-compose.yml or by this module, and may be removed by it.
LABELS = {"ddsim.server": "true"}


class PortTaken(EngineError):
    """Something else listens on the port that a container was to have."""


class Engine:
    """The Docker engine that the ``docker`` command would use, with its refusals in plain words.

    ``DOCKER_HOST`` names it, or a context (``DOCKER_CONTEXT``, ``docker context use``), else it is this machine's.

    Args:
        client: a ``docker.DockerClient``; by default one is made from the environment.
        pulling: told the name of an image before it is pulled, which can take minutes.

    Raises:
        EngineError: the SDK is not installed, no engine answers, or it refuses this user.
    """

    def __init__(self, client: Any = None, *, pulling: Callable[[str], None] | None = None) -> None:
        self._sdk = _sdk()
        self._pulling = pulling
        self._place = Place("an engine of one's own")
        if client is None:
            self._place = find_place()
            with self.words("cannot use Docker"):
                _knock(self._place)
                client = self._connected(self._place)
        self.client = client

    def _connected(self, place: Place) -> Any:
        if place.context is None:
            return self._sdk.from_env()
        # Without the command, ssh needs a library that the SDK does not bring along.
        return self._sdk.DockerClient(
            base_url=place.url, tls=place.tls(self._sdk) or False, use_ssh_client=place.url.startswith("ssh://")
        )

    @contextmanager
    def words(self, doing: str) -> Iterator[None]:
        """Turn what the SDK raises into an :class:`EngineError` that begins with ``doing``."""
        try:
            yield
        except self._sdk.errors.APIError as error:
            raise EngineError(f"{doing}: {_text(error)}") from error
        except (self._sdk.errors.DockerException, OSError) as error:
            raise EngineError(_unreachable(error, self._place) or f"{doing}: {error}") from error

    def close(self) -> None:
        """Close the connections."""
        self.client.close()

    def need_image(self, image: str) -> None:
        """Have an image, pulling it where it is not here yet.

        Raises:
            EngineError: it cannot be pulled.
        """
        with self.words(f"cannot look for image {image}"):
            try:
                self.client.images.get(image)
            except self._sdk.errors.ImageNotFound:
                _log.info("image %s is not here", image)
            else:
                return
        if self._pulling is not None:
            self._pulling(image)
        try:
            self.client.images.pull(image)
        except (self._sdk.errors.DockerException, OSError) as error:
            raise EngineError(
                f"image {image} cannot be pulled: {_text(error)}. Is a registry in reach? `docker pull {image}` shows "
                "more; DDSIM_DEEPDETECT_IMAGE, or --image, names another image"
            ) from error

    def need_volume(self, volume: str) -> None:
        """Have a volume, marked as ddsim's where it is made now."""
        with self.words(f"cannot make volume {volume}"):
            try:
                self.client.volumes.get(volume)
            except self._sdk.errors.NotFound:
                self.client.volumes.create(volume, labels=LABELS)

    def find(self, name: str) -> Any | None:
        """The container of that name, made by ddsim or its compose file; None where there is none.

        Raises:
            EngineError: a container of that name is somebody else's.
        """
        with self.words(f"cannot look for container {name}"):
            try:
                container = self.client.containers.get(name)
            except self._sdk.errors.NotFound:
                return None
        if not LABELS.items() <= container.labels.items():
            raise EngineError(
                f"container {name} was not made by ddsim, so it is left alone: choose another name (--name, or "
                "DDSIM_CONTAINER)"
            )
        return container

    def run(self, container: Any, port: str) -> None:
        """Start a created container.

        Raises:
            PortTaken: somebody listens where its port belongs.
        """
        try:
            with self.words(f"container {container.name} cannot be started"):
                container.start()
        except EngineError as error:
            if "already allocated" in str(error) or "address already in use" in str(error):
                raise PortTaken(f"{port} is taken") from error
            raise

    def gpus(self) -> list[Any]:
        """What asks for all NVIDIA GPUs when a container is created."""
        return [self._sdk.types.DeviceRequest(count=-1, capabilities=[["gpu"]])]

    def logs(self, container: Any, lines: int, follow: bool = False) -> Iterator[str]:
        """What a container printed, in pieces as they come.

        Args:
            container: from :meth:`find`.
            lines: how many of the last ones to begin with.
            follow: go on with what it prints from now on, until it ends.
        """
        with self.words(f"the log of {container.name} cannot be read"):
            for piece in container.logs(tail=lines, stream=True, follow=follow):
                yield piece.decode("utf-8", "backslashreplace")

    def publisher(self, port: int) -> str | None:
        """The running container that has this port of the machine, in words; None where there is none."""
        for container in self.running():
            bound = [one for pair in container.ports.values() for one in pair or ()]
            if any(one.get("HostPort") == str(port) for one in bound):
                return f"container {container.name} ({container.attrs['Config']['Image']})"
        return None

    def running(self) -> list[Any]:
        """All containers that run, other people's included."""
        with self.words("cannot list containers"):
            return list(self.client.containers.list())

    def remove(self, container: Any, seconds: int = 10) -> None:
        """Stop a container, which gives its calls under way a chance to end, and remove it; its volume stays."""
        with self.words(f"container {container.name} cannot be removed"), suppress(self._sdk.errors.NotFound):
            container.stop(timeout=seconds)
            # v: the volumes without a name that the image asks for; the one with a name stays.
            container.remove(v=True, force=True)

    def remove_volume(self, volume: str) -> bool:
        """Remove a volume, with every index in it; False where there is none.

        Raises:
            EngineError: it was not made by ddsim or its compose file, or is in use.
        """
        with self.words(f"volume {volume} cannot be removed"):
            try:
                found = self.client.volumes.get(volume)
            except self._sdk.errors.NotFound:
                return False
            if not LABELS.items() <= (found.attrs.get("Labels") or {}).items():
                raise EngineError(
                    f"volume {volume} was not made by ddsim, so it is left alone: docker volume rm {volume}"
                )
            found.remove()
        return True


def _sdk() -> Any:
    try:
        import docker
    except ImportError as error:
        raise EngineError(f"the Docker SDK for Python is not installed: {install_hint('docker')}") from error
    return docker


def _knock(place: Place) -> None:
    """Raise what connecting raises. The SDK would, too, but leave a socket open that warns of it later."""
    kind, _, path = place.url.partition("://")
    if kind == "unix" and hasattr(socket, "AF_UNIX"):
        with socket.socket(socket.AF_UNIX) as door:
            door.connect(path)


def _text(error: BaseException) -> str:
    """The engine's own words where there are any."""
    return str(getattr(error, "explanation", None) or error)


def _unreachable(error: BaseException, place: Place) -> str | None:
    """What to do where there was no connection to an engine; None for all other errors."""
    link: BaseException | None = error
    found = None
    while link is not None:
        if isinstance(link, PermissionError):
            return (
                f"the Docker engine at {place.words} refuses this user: run as one who may use it (on Linux: root, or "
                "a member of the group docker after a new login)"
            )
        if isinstance(link, OSError):
            found = link
        link = link.__cause__ or link.__context__
    if found is None:
        return None
    others = [f"one may be at {url}" for url in other_sockets(place)]
    return (
        f"no Docker engine answers at {place.words}: is it installed and started? DOCKER_HOST names another"
        f"{' (' + ', '.join(others) + ')' if others else ''}, and so does a context (`docker context ls`); "
        "`ddsim server` and configs/demo.yaml do without Docker"
    )
