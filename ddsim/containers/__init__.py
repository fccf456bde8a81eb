"""The server in a container: start it, wait for it, read its logs, stop it. The only house that knows Docker.

Uses the client to ask whether the server answers; `ddsim up`, `down`, `status` and `logs` use it, and so may tests of
other people's projects.
"""

from ddsim.containers.container import (
    MEMORY,
    MODELS,
    NAME,
    PORT,
    VOLUME,
    ContainerStatus,
    DeepDetectContainer,
    down,
    more,
    numbered,
    status,
)
from ddsim.containers.engine import Engine
from ddsim.containers.files import put
from ddsim.containers.place import EngineError

__all__ = [
    "MEMORY",
    "MODELS",
    "NAME",
    "PORT",
    "VOLUME",
    "ContainerStatus",
    "DeepDetectContainer",
    "Engine",
    "EngineError",
    "down",
    "more",
    "numbered",
    "put",
    "status",
]
