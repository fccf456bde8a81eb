"""Files into a container, such as a network's into its volume of models, and out of it."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

from ddsim.containers.engine import Engine
from ddsim.containers.place import EngineError
from ddsim.containers.recipe import NAME

#: Bytes; definitions have some ten thousand.
MOST = 4 << 20


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


def get(engine: Engine, path: str, name: str = NAME, *, most: int = MOST) -> bytes:
    """The content of a small file of a container, such as a network's definition.

    Args:
        engine: where the container is.
        path: an absolute path in the container.
        name: the container's.
        most: bytes, of the file and what is packed around it; nothing more is read.

    Raises:
        EngineError: there is no such container or file, it is a folder or a link, or larger.
    """
    container = engine.find(name)
    if container is None:
        raise EngineError(f"there is no container {name}: `ddsim up` starts one")
    packed = bytearray()
    with engine.words(f"cannot copy {path} out of {name}"):
        pieces, _ = container.get_archive(path)
        with closing(pieces):
            for piece in pieces:
                packed += piece
                if len(packed) > most:
                    raise EngineError(f"{path} in {name} is larger than {most} bytes, so it was not read")
    try:
        with tarfile.open(fileobj=io.BytesIO(packed), mode="r:") as archive:
            member = archive.next()
            content = archive.extractfile(member) if member is not None and member.isreg() else None
            if content is None:
                raise EngineError(f"{path} in {name} is not a file")
            return content.read(most)
    except tarfile.TarError as error:
        raise EngineError(f"{path} in {name}: Docker's copy of it cannot be read: {error}") from error


def _for_everybody(member: tarfile.TarInfo) -> tarfile.TarInfo:
    """The server may run as any user."""
    member.uid = member.gid = 0
    member.uname = member.gname = ""
    member.mode = 0o644
    return member
