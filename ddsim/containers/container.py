"""DeepDetect in a Docker container: started, waited for, looked at, stopped.

``docker-compose.yml`` and this house make the same container of the same image (name, volume, labels, start), so that
``ddsim down`` also ends what Compose started, and both find the same indexes. It needs an engine on this machine, and
the Docker SDK (extra ``docker``).
"""

from __future__ import annotations

import os
import secrets
import time
from collections.abc import Callable
from types import TracebackType
from typing import Any

from ddsim.containers.bindings import free_port, ip_of, published, url_of, volume_of
from ddsim.containers.engine import LABELS, Engine, PortTaken
from ddsim.containers.place import EngineError
from ddsim.containers.recipe import GPU_IMAGE, HEALTHCHECK, IMAGE, MEMORY, MODELS, PORT, START
from ddsim.deepdetect import Client, Info, TimeLimits
from ddsim.errors import DDSimError

_SECOND = 1_000_000_000
_LINES = 30
_TRIES = 5


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
        ip_of(address)
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
        return url_of(self._address, self._bound)

    @property
    def is_private(self) -> bool:
        """Whether only this machine reaches the server, which has no login."""
        return ip_of(self._address).is_loopback

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
        wanted = (self.image, url_of(self._address, self._port or 0), self._volume)
        has = (found.attrs["Config"]["Image"], published(found), volume_of(found))
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
        self._bound = self._port or free_port(self._address)
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


def _ending(attributes: dict[str, Any]) -> str:
    state = attributes["State"]
    if state.get("OOMKilled"):
        return "was ended by the system as it wanted more memory than it may use (--memory, or DDSIM_MEMORY)"
    code = f" with exit code {state['ExitCode']}" if state["ExitCode"] else ""
    return f"ended{code} before its server answered"
