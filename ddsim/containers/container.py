"""DeepDetect in a Docker container: started, waited for, looked at, stopped.

``docker-compose.yml`` and this module make the same container of the same image (name, volume, labels, start), so that
``ddsim down`` also ends what Compose started, and both find the same indexes. It needs an engine on this machine, and
the Docker SDK (extra ``docker``).
"""

from __future__ import annotations

import ipaddress
import os
import secrets
import socket
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from itertools import takewhile
from types import TracebackType
from typing import Any

from ddsim.containers.engine import LABELS, Engine, PortTaken
from ddsim.containers.place import EngineError
from ddsim.deepdetect import Client, Info, TimeLimits
from ddsim.errors import DDSimError, InvalidRequest

# The last release that was verified to have Caffe, similarity search and the bundled ResNet-50.
IMAGE = "docker.jolibrain.com/deepdetect_cpu:v0.25.0"
GPU_IMAGE = "docker.jolibrain.com/deepdetect_gpu:v0.25.0"
NAME, VOLUME, MEMORY, PORT = "ddsim", "ddsim_models", "8g", 8080
MODELS = "/opt/models"
HEALTHCHECK = ["CMD", "curl", "--fail", "--silent", "--output", "/dev/null", "http://127.0.0.1:8080/info"]
# The reasons for this script stand in docker-compose.yml, which has the same.
START = r"""bundled=/opt/models/resnet_50/deploy.prototxt
derived=/opt/models/ddsim/definitions/resnet50.prototxt
if [ ! -r "$bundled" ]; then
  echo "ddsim: no $bundled in this image or volume, so $derived was not derived from it" >&2
elif ! { mkdir -p "${derived%/*}" &&
  sed -E 's#(^|[[:space:]{])name:[[:space:]]*"pool5"#\1name: "pool5/7x7_s1"#' "$bundled" >"$derived.new" &&
  mv -f "$derived.new" "$derived"; }; then
  echo "ddsim: $derived could not be written, so configurations that use it will not work" >&2
elif ! grep -q 'name: "pool5/7x7_s1"' "$derived"; then
  echo "ddsim: $bundled has no layer pool5, so $derived has no layer pool5/7x7_s1" >&2
fi
centred="${derived%.prototxt}-centre-power2.prototxt"
if grep -q 'name: "pool5/7x7_s1"' "$derived" 2>/dev/null && grep -q 'bottom:[[:space:]]*"res5c"' "$derived"; then
  {
    sed 's#name: "pool5/7x7_s1"#name: "pool5/7x7_s1/plain"#' "$derived"
    echo 'layer { name: "pool5/7x7_s1/power" type: "Power" bottom: "res5c" top: "pool5/7x7_s1/power"'
    echo '  power_param { power: 2 } }'
    echo 'layer { name: "pool5/7x7_s1/windows" type: "Pooling" bottom: "pool5/7x7_s1/power" top: "pool5/7x7_s1/windows"'
    echo '  pooling_param { pool: AVE kernel_h: 4 kernel_w: 4 stride: 1 } }'
    echo 'layer { name: "pool5/7x7_s1/centre" type: "Pooling" bottom: "pool5/7x7_s1/windows" top: "pool5/7x7_s1/centre"'
    echo '  pooling_param { pool: AVE kernel_h: 4 kernel_w: 4 stride: 1 } }'
    echo 'layer { name: "pool5/7x7_s1" type: "Power" bottom: "pool5/7x7_s1/centre" top: "pool5/7x7_s1/root"'
    echo '  power_param { power: 0.5 } }'
  } >"$centred.new" && mv -f "$centred.new" "$centred" ||
    echo "ddsim: $centred could not be written, so pooling: centre will not work" >&2
fi
exec /opt/deepdetect/start-dede.sh -host 0.0.0.0
"""
_SECOND = 1_000_000_000
_LINES = 30
_TRIES = 5


@dataclass(frozen=True)
class ContainerStatus:
    """What there is to say of a server's container.

    Attributes:
        name: the container's name.
        state: Docker's word, such as ``running``, ``restarting`` or ``exited``; ``absent`` where there is none.
        image: what it was made of.
        url: where the server is reached; None while no port is bound.
        version: the server's version; None where it does not answer.
        services: names of the services it has.
        restarts: how often it ended and was started again by its restart policy.
        volume: the volume with its models and indexes.
    """

    name: str
    state: str
    image: str = ""
    url: str | None = None
    version: str | None = None
    services: tuple[str, ...] = ()
    restarts: int = 0
    volume: str | None = None


def ask(url: str) -> Info:
    """What the server there says of itself, asked once."""
    with Client(url, retries=0, timeout=TimeLimits(connect=2.0, info=5.0)) as client:
        return client.info()


class DeepDetectContainer:
    """A DeepDetect server in a container; a context manager that starts it, and removes it at the end.

    ::

        with DeepDetectContainer() as server, Client(server.url) as client:
            print(client.info().version)

    Args:
        image: by default what ``DDSIM_DEEPDETECT_IMAGE`` names, else DeepDetect v0.25.0. Pulled where it is not here.
        name: the container's name; by default one that nobody has.
        address: where to listen: this machine alone unless told otherwise, as the server has no login.
        port: by default a free one. It stays the same when the server restarts.
        volume: a named volume for models and indexes, which outlives the container. Without one they go with it.
        memory: how much it may use, in Docker's words; a process that wants more is ended by the system.
        gpu: use all NVIDIA GPUs; the default image is the one for them then.
        wait: seconds until it must answer.
        engine: by default the one of the environment.
        clock: gives seconds, ``sleep`` waits for some, ``asked`` asks a server what it is: for tests.
        sleep: see there.
        asked: see there.

    Raises:
        EngineError: see :class:`ddsim.containers.engine.Engine`.
        InvalidRequest: ``address`` is not an IP address.
    """

    def __init__(
        self,
        image: str | None = None,
        *,
        name: str | None = None,
        address: str = "127.0.0.1",
        port: int | None = None,
        volume: str | None = None,
        memory: str = MEMORY,
        gpu: bool = False,
        wait: float = 120.0,
        engine: Engine | None = None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
        asked: Callable[[str], Info] | None = None,
    ) -> None:
        variable, default = ("DDSIM_DEEPDETECT_GPU_IMAGE", GPU_IMAGE) if gpu else ("DDSIM_DEEPDETECT_IMAGE", IMAGE)
        self.image = image or os.environ.get(variable) or default
        self.name = name or f"ddsim-{secrets.token_hex(4)}"
        _ip(address)
        self._address, self._port, self._volume = address, port, volume
        self._memory, self._gpu, self._seconds = memory, gpu, wait
        self._engine, self._owns_engine = (engine, False) if engine is not None else (Engine(), True)
        self._clock, self._sleep, self._asked = clock, sleep, asked or ask
        self._container: Any = None
        self._bound = port or 0

    def __enter__(self) -> DeepDetectContainer:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self.stop()
        finally:
            if self._owns_engine:
                self._engine.close()

    @property
    def url(self) -> str:
        """Where the server is, once it was started."""
        return _url(self._address, self._bound)

    @property
    def is_private(self) -> bool:
        """Whether only this machine reaches the server, which has no login."""
        return _ip(self._address).is_loopback

    def start(self) -> None:
        """Make the container and wait until the server answers. What does not come up is removed again.

        Raises:
            PortTaken: something else listens there.
            EngineError: no image, no such container, or it ended or did not answer in time; with its last lines.
        """
        self._engine.need_image(self.image)
        if self._volume is not None:
            self._engine.need_volume(self._volume)
        try:
            for tries_left in reversed(range(_TRIES)):
                try:
                    self._create_and_run()
                    break
                except PortTaken as error:
                    self.stop()
                    if self._port is not None:
                        raise PortTaken(self._taken()) from error
                    if not tries_left:
                        raise
            self.wait()
        except BaseException:
            self.stop()
            raise

    def up(self) -> bool:
        """Like :meth:`start`, but keep a container of this name that runs as wanted; whether one was made.

        Raises:
            EngineError: one of this name runs otherwise, or see :meth:`start`.
        """
        found = self._engine.find(self.name)
        if found is None or found.status not in ("running", "restarting"):
            if found is not None:
                self._engine.remove(found)
            self.start()
            return True
        wanted = (self.image, _url(self._address, self._port or 0), self._volume)
        has = (found.attrs["Config"]["Image"], _published(found), _volume_of(found))
        if wanted != has:
            words = "image {} at {} with volume {}"
            raise EngineError(
                f"container {self.name} runs already, otherwise than wanted: {words.format(*has)} instead of "
                f"{words.format(*wanted)}. `ddsim down` removes it and keeps the volume; or choose another --name"
            )
        self._container = found
        self.wait()
        return False

    def wait(self) -> None:
        """Wait until the server answers, from its first start or a restart on.

        Raises:
            EngineError: it ended, or did not answer in time; with its last lines.
        """
        deadline = self._clock() + self._seconds
        with self._engine.words(f"container {self.name} is gone"):
            self._container.reload()
        restarts = self._container.attrs["RestartCount"]
        while True:
            try:
                self._asked(self.url)
                return
            except DDSimError as error:
                problem = error
            with self._engine.words(f"container {self.name} is gone"):
                self._container.reload()
            attributes = self._container.attrs
            if attributes["State"]["Status"] in ("exited", "dead") or attributes["RestartCount"] > restarts:
                raise EngineError(f"container {self.name} {_ending(attributes)}", logs=self.logs())
            if self._clock() >= deadline:
                text = f"the server in container {self.name} did not answer within {self._seconds:g} s ({problem})"
                raise EngineError(text, logs=self.logs()) from problem
            self._sleep(0.5)

    def logs(self, lines: int = _LINES) -> str:
        """The last lines that the server printed."""
        return "".join(self._engine.logs(self._container, lines))

    def stop(self) -> None:
        """Stop the server and remove its container; a named volume stays. Further calls do nothing."""
        container, self._container = self._container, None
        if container is not None:
            self._engine.remove(container)

    def _create_and_run(self) -> None:
        self._bound = self._port or _free_port(self._address)
        options: dict[str, Any] = {}
        if self._volume is not None:
            options["volumes"] = {self._volume: {"bind": MODELS, "mode": "rw"}}
        if self._gpu:
            options["device_requests"] = self._engine.gpus()
        with self._engine.words(f"container {self.name} cannot be made"):
            self._container = self._engine.client.containers.create(
                self.image,
                name=self.name,
                entrypoint=["/bin/sh", "-c", START],
                ports={f"{PORT}/tcp": (self._address, self._bound)},
                mem_limit=self._memory,
                init=True,
                labels=LABELS,
                restart_policy={"Name": "unless-stopped"},
                healthcheck={
                    "test": HEALTHCHECK,
                    "interval": 30 * _SECOND,
                    "timeout": 30 * _SECOND,
                    "retries": 3,
                    "start_period": 60 * _SECOND,
                },
                **options,
            )
        self._engine.run(self._container, self.url)

    def _taken(self) -> str:
        by = self._engine.publisher(self._bound)
        if by is None:
            try:
                by = f"a DeepDetect server {self._asked(self.url).version} outside Docker, such as `ddsim server`"
            except DDSimError:
                by = "another program"
        return (
            f"{self._address}:{self._bound} is taken by {by}: stop it, or choose another port (--port, or DDSIM_PORT)"
        )


def status(engine: Engine, name: str = NAME, asked: Callable[[str], Info] | None = None) -> ContainerStatus:
    """What the container of that name is and whether its server answers.

    Raises:
        EngineError: see :meth:`Engine.find`.
    """
    container = engine.find(name)
    if container is None:
        return ContainerStatus(name, "absent")
    url, info = _published(container), None
    if url is not None and container.status == "running":
        with suppress(DDSimError):
            info = (asked or ask)(url)
    return ContainerStatus(
        name,
        container.status,
        container.attrs["Config"]["Image"],
        url,
        info.version if info is not None else None,
        tuple(service.name for service in info.services) if info is not None else (),
        container.attrs["RestartCount"],
        _volume_of(container),
    )


def numbered(name: str, number: int) -> str:
    """The container of the first, second, ... of several servers that share a name."""
    return name if number == 1 else f"{name}-{number}"


def more(engine: Engine, name: str) -> list[str]:
    """The names of the second server and those after it, as far as there are any."""
    return list(takewhile(lambda one: engine.find(one) is not None, (numbered(name, n) for n in range(2, 100))))


def down(engine: Engine, name: str = NAME, volume: str | None = None) -> list[str]:
    """Stop and remove the containers of that name, and a volume where one is named; what was removed, in words.

    Raises:
        EngineError: see :meth:`Engine.find` and :meth:`Engine.remove_volume`.
    """
    removed = []
    for one in (name, *more(engine, name)):
        container = engine.find(one)
        if container is not None:
            engine.remove(container)
            removed.append(f"container {one}")
    if volume is not None and engine.remove_volume(volume):
        removed.append(f"volume {volume}")
    return removed


def _ending(attributes: dict[str, Any]) -> str:
    state = attributes["State"]
    if state.get("OOMKilled"):
        return "was ended by the system as it wanted more memory than it may use (--memory, or DDSIM_MEMORY)"
    code = f" with exit code {state['ExitCode']}" if state["ExitCode"] else ""
    return f"ended{code} before its server answered"


def _url(address: str, port: int) -> str:
    """How this machine reaches what listens there."""
    ip = _ip(address)
    if ip.is_unspecified:
        return f"http://127.0.0.1:{port}" if ip.version == 4 else f"http://[::1]:{port}"
    return f"http://{ip}:{port}" if ip.version == 4 else f"http://[{ip}]:{port}"


def _ip(address: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    try:
        return ipaddress.ip_address(address)
    except ValueError as error:
        raise InvalidRequest(f"address {address!r}: an IP address is needed, such as 127.0.0.1") from error


def _published(container: Any) -> str | None:
    for one in container.ports.get(f"{PORT}/tcp") or ():
        return _url(one["HostIp"] or "127.0.0.1", int(one["HostPort"]))
    return None


def _volume_of(container: Any) -> str | None:
    mounts = container.attrs.get("Mounts", ())
    return next((mount.get("Name") for mount in mounts if mount.get("Destination") == MODELS), None)


def _free_port(address: str) -> int:
    ip = _ip(address)
    with socket.create_server((address, 0), family=socket.AF_INET if ip.version == 4 else socket.AF_INET6) as taken:
        return int(taken.getsockname()[1])
