"""Whether the server's container may have the memory that the configured services need."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path

from ddsim.caffe import Definition, PrototxtError, layer_shapes, read_definition
from ddsim.config import Classification, Settings, Similarity
from ddsim.containers import MOST, Engine, EngineError, Serving, get, is_of_this_machine, serving
from ddsim.doctor.checks import Check, Note
from ddsim.errors import ConfigError
from ddsim.networks import cached_files
from ddsim.showing import counted

_SERVER, _SERVICE, _VALUE = 2_700_000_000, 300_000_000, 4
_NAME = "memory"


class _Unknown(Exception):
    """Why nothing can be said, in words. Stays in this file."""


def memory_needed(values: Sequence[int], batch_size: int) -> int:
    """Bytes that a v0.25.0 for processors comes to need: itself, its services, and what their largest calls fill.

    Fitted to what such a server was seen to take: 7.5 GB with two services of ResNet-50 (16.5 million values a picture)
    and calls of 32 pictures, 9.9 GB with a third one. A service keeps the outputs of all its layers, with 4 bytes a
    value, for as many pictures as its largest call had. Weights much larger than ResNet-50's are not in it.

    Args:
        values: for each service, how many values its layers give for one picture, see :func:`values_of`.
        batch_size: pictures in the largest call.
    """
    return _SERVER + sum(_SERVICE + _VALUE * each * batch_size for each in values)


def values_of(definition: Definition) -> int:
    """How many values all layers give for one picture.

    What a layer writes in place of what it takes counts once, and nothing behind a layer of an unknown type.

    Raises:
        PrototxtError: a number in the definition is none.
    """
    total = 0
    for layer, found in zip(definition.layers, layer_shapes(definition)[1:], strict=True):
        new = set(layer.texts("top")) - set(layer.texts("bottom"))
        total += len(new) * math.prod(found.shape) if found.shape is not None else 0
    return math.prod(definition.input_shape) + total


def check_memory(settings: Settings, engine: Callable[[], Engine], note: Note) -> None:
    """Compare the limit of the server's container with what the configuration needs; nothing for the embedded server.

    Args:
        settings: of one server.
        engine: gives the Docker engine; not asked where no container of this machine can be the server.
        note: takes the result, ``skipped`` where there is no container, limit or definition to go by.
    """
    if settings.server.url is None:
        return
    try:
        note(_compared(settings, settings.server.url, engine))
    except (_Unknown, EngineError) as error:
        note(Check(_NAME, "skipped", f"not compared with a container's limit: {error}"))


def _compared(settings: Settings, url: str, engine: Callable[[], Engine]) -> Check:
    parts = [part for part in (settings.similarity, settings.classification) if part is not None]
    if any(part.gpu for part in parts):
        raise _Unknown("what a server on a GPU needs is not known")
    if not is_of_this_machine(url):
        raise _Unknown("the server is on another machine, as its address says")
    with closing(engine()) as docker:
        container = serving(docker, url)
        if container is None:
            raise _Unknown(f"no container of `ddsim up` or its compose file serves {url}")
        if container.limit is None:
            raise _Unknown(f"container {container.name} has none")
        values = [_values(part, docker, container.name) for part in parts]
    batch = settings.index.batch_size
    need = memory_needed(values, batch)
    services = f"{counted(len(values), 'service')} with up to {counted(batch, 'picture')} a call"
    if need <= container.limit:
        message = f"container {container.name} may use {_gb(container.limit)}; {services} need some {_gb(need)}"
        return Check(_NAME, "ok", message)
    message = (
        f"container {container.name} may use {_gb(container.limit)}, and {services} come to need some {_gb(need)}: "
        "the system ends the server then"
    )
    return Check(_NAME, "warning", message, f"{_smaller(values, container.limit)}{_larger(container, need)}")


def _smaller(values: Sequence[int], limit: int) -> str:
    """The largest batch that fits, where any does."""
    alone = memory_needed(values, 0)
    fits = (limit - alone) // (memory_needed(values, 1) - alone)
    return f"write batch_size: {fits} under index: in the configuration, or " if fits >= 1 else ""


def _larger(container: Serving, need: int) -> str:
    """How the container gets enough, in Docker's units, in which a g is 2**30 bytes."""
    size = f"{-(-need // (1 << 30))}g"
    if container.compose is None:
        return f"give the container more: `ddsim down`, then `ddsim up --memory {size}` with the options it had"
    return f"give the container more: mem_limit in {container.compose}, or DDSIM_MEMORY={size}, then start it again"


def _values(part: Similarity | Classification, engine: Engine, container: str) -> int:
    """Of the network of a service.

    Raises:
        _Unknown: its definition cannot be had.
        EngineError: it cannot be had out of the container.
    """
    if part.mllib != "caffe" or part.definition is None:
        raise _Unknown(f"the configuration names no definition of the network of service {part.service}")
    try:
        content = _here(part, part.definition) or get(engine, part.definition, container)
        return values_of(read_definition(content.decode("utf-8", "surrogateescape")))
    except PrototxtError as error:
        raise _Unknown(f"{part.definition}: {error}") from error


def _here(part: Similarity | Classification, definition: str) -> bytes | None:
    """The definition as far as this machine has it: the file, or that of a known network in the cache."""
    paths = [Path(definition)]
    if part.name is not None:
        paths.append(_cached(part.name))
    for path in paths:
        try:
            if os.path.isfile(path) and path.stat().st_size <= MOST:
                return path.read_bytes()
        except OSError:
            continue  # whoever may not read it here may have it from the container
    return None


def _cached(name: str) -> Path:
    try:
        return cached_files(name).definition
    except ConfigError as error:
        raise _Unknown(str(error)) from error


def _gb(size: int) -> str:
    return f"{size / 1e9:.1f} GB"
