"""The server in a container: start it, wait for it, read its logs, stop it. The only house that knows Docker.

Uses the client to ask whether the server answers; `ddsim up`, `down`, `status` and `logs` use it, the doctor to know
how much memory a server may have, and so may tests of other people's projects.
"""

from ddsim.containers.container import DeepDetectContainer
from ddsim.containers.engine import Engine
from ddsim.containers.files import MOST, get, put
from ddsim.containers.named import ContainerStatus, down, more, numbered, status
from ddsim.containers.place import EngineError
from ddsim.containers.recipe import MEMORY, MODELS, NAME, PORT, VOLUME
from ddsim.containers.serving import Serving, is_of_this_machine, serving

__all__ = [
    "MEMORY",
    "MODELS",
    "MOST",
    "NAME",
    "PORT",
    "VOLUME",
    "ContainerStatus",
    "DeepDetectContainer",
    "Engine",
    "EngineError",
    "Serving",
    "down",
    "get",
    "is_of_this_machine",
    "more",
    "numbered",
    "put",
    "serving",
    "status",
]
