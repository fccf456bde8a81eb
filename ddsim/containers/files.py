"""Files into a container, such as a network's into its volume of models."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Sequence
from pathlib import Path

from ddsim.containers.container import NAME
from ddsim.containers.engine import Engine
from ddsim.containers.place import EngineError


def put(engine: Engine, files: Sequence[Path], folder: str, name: str = NAME) -> None:
    """Copy files into a container, such as a network's into its volume of models.

    Args:
        engine: where the container is.
        files: their own names are kept; those that are there already are replaced.
        folder: an absolute path in the container; made if need be.
        name: the container's.

    Raises:
        EngineError: there is no such container, or it refuses.
        OSError: a file cannot be read.
    """
    container = engine.find(name)
    if container is None:
        raise EngineError(f"there is no container {name}: `ddsim up` starts one")
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for file in files:
            archive.add(file, f"{folder.strip('/')}/{file.name}", filter=_for_everybody)
    with engine.words(f"cannot copy into {name}"):
        container.put_archive("/", buffer.getvalue())


def _for_everybody(member: tarfile.TarInfo) -> tarfile.TarInfo:
    """The server may run as any user."""
    member.uid = member.gid = 0
    member.uname = member.gname = ""
    member.mode = 0o644
    return member
