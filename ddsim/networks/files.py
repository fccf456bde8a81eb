"""Known networks, and derived definitions, as Caffe files: in a cache of this user, or wherever they are wanted.

Every file is written beside its place and then moved there, so that processes that make the same one at the same time
each leave a whole file, and nobody reads half of one.
"""

from __future__ import annotations

import hashlib
import logging
import os
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Literal

import platformdirs

from ddsim.caffe import (
    BlobError,
    LabelsError,
    PrototxtError,
    for_server,
    half_precision,
    read_labels,
    read_weights,
    what_else,
    write_weights,
)
from ddsim.errors import ConfigError
from ddsim.networks.efficientnet import FEATURES
from ddsim.networks.layers import prototxt, weights_of
from ddsim.networks.pooling import centre_weighted
from ddsim.networks.registry import KnownNetwork, known

_log = logging.getLogger(__name__)

#: Names the folder of the cache in place of the system's usual one.
CACHE_VARIABLE = "DDSIM_CACHE"
#: Goes up with every change of what is written, so that nobody takes what an older version left behind.
_VERSION = 1
DEFINITION, LABELS = "deploy.prototxt", "corresp.txt"
#: The folder of models on a real server, as its image has it.
SERVED = "/opt/models"
#: The powers for which `export` writes a centre-weighted definition.
_POWERS = (1.0, 2.0)
_KEYS = {"definition": "def", "weights": "weights", "labels": "corresp"}
_ELSEWHERE = f"Set {CACHE_VARIABLE} to a folder that can be: what ddsim makes of networks is kept there"


@dataclass(frozen=True)
class NetworkFiles:
    """A network's files: definition, weights, labels."""

    definition: Path
    weights: Path
    corresp: Path


def cache_folder() -> Path:
    """Where made files are kept: ``DDSIM_CACHE``, or the system's place for a user's caches."""
    return Path(os.environ.get(CACHE_VARIABLE) or platformdirs.user_cache_path("ddsim", appauthor=False))


def cached_files(name: str) -> NetworkFiles:
    """Where the files of a known network are, or will be.

    Raises:
        ConfigError: no network is called so.
    """
    network = known(name)
    return _named(network, cache_folder() / "networks" / f"{name}-{network.sha256[:8]}-{_VERSION}")


def network_files(name: str) -> NetworkFiles:
    """The files of a known network in the cache; made where they are not there yet.

    Raises:
        ConfigError: no network is called so, its package is not installed or another, or the cache cannot be written.
    """
    files = cached_files(name)
    if not all(os.path.isfile(path) for path in (files.definition, files.weights, files.corresp)):
        _write(files.definition.parent, _contents(known(name)), _ELSEWHERE)
    return files


def served_files(name: str) -> tuple[str, str, str]:
    """Where a real server has a known network's definition, weights and labels: below its usual folder of models.

    Raises:
        ConfigError: no network is called so.
    """
    folder = f"{SERVED}/{known(name).name}"
    return f"{folder}/{DEFINITION}", f"{folder}/{name}.caffemodel", f"{folder}/{LABELS}"


def export(name: str, folder: Path) -> list[Path]:
    """Write a known network's files for a real server, with its centre-weighted definitions beside them.

    Returns:
        The files; those of the same names that were there are replaced.

    Raises:
        ConfigError: as :func:`network_files`, for this folder.
    """
    contents = _contents(known(name))
    text = contents[DEFINITION].decode()
    for power in _POWERS:
        derived = centre_weighted(text, FEATURES, power)
        contents[centre_name(DEFINITION, power)] = derived.encode()
    return _write(folder, contents, "Name another folder")


def export_derived(definition: Path, folder: Path, layer: str, power: float) -> Path:
    """Write the centre-weighted definition derived from a file, for a server that has that file and its weights.

    Returns:
        The file, called as :func:`centre_name` has it.

    Raises:
        ConfigError: as :func:`centre_file`, for this folder.
    """
    derived = _derived(definition, _content(definition), layer, power)
    return _write(folder, {centre_name(definition.name, power): derived}, "Name another folder")[0]


def export_file(file: Path, folder: Path) -> tuple[Path, tuple[str, ...]]:
    """Write one file of a network as a real server takes it.

    Args:
        file: a definition, or weights (``.caffemodel``), or labels (``.txt``).
        folder: where to, as ``deploy.prototxt``, ``corresp.txt`` or weights of the same name.

    Returns:
        the file, and what is other in it, in words.

    Raises:
        ConfigError: it cannot be read, is something else than its name says, has what no server runs, or would be
            written over itself.
    """
    content = _content(file)
    try:
        if file.suffix == ".caffemodel":
            name, made, changes = file.name, *_served_weights(content)
        elif file.suffix == ".txt":
            if (other := what_else(content)) is not None:
                raise LabelsError(f"it is {other}")
            labels = read_labels(content)
            name, made, changes = LABELS, labels.text().encode("utf-8", "surrogateescape"), labels.oddities
        else:
            served = for_server(content)
            name, made, changes = DEFINITION, served.text.encode("utf-8", "surrogateescape"), served.changes
    except (PrototxtError, BlobError, LabelsError) as error:
        raise ConfigError(f"{file}: {error}") from error
    if os.path.exists(folder / name) and (folder / name).samefile(file):
        raise ConfigError(f"{file}: would be written over itself: name another folder")
    return _write(folder, {name: made}, "Name another folder")[0], changes


def _served_weights(content: bytes) -> tuple[bytes, tuple[str, ...]]:
    if half_precision(content):
        return write_weights(read_weights(content)), ("numbers of 16 bits (FP16) are written with 32",)
    return content, ()


# The same files are asked for at every start of a service, and reading a definition takes a tenth of a second.
_definition_of = lru_cache(maxsize=16)(for_server)
_labels_of = lru_cache(maxsize=16)(read_labels)


def put_right(path: Path, kind: Literal["definition", "weights", "labels"], classes: int | None = None) -> Path:
    """A file of one's own as the embedded server reads it: itself, or a copy in the cache that is put right.

    Args:
        path: where it is.
        kind: what it should be.
        classes: how many labels the network knows.

    Raises:
        ConfigError: it is not there, is something else, or has what no server runs; the message says what.
    """
    if not os.path.isfile(path):
        raise ConfigError(f"{path}: there is no such file: correct {_KEYS[kind]} in the configuration")
    try:
        content = path.read_bytes() if kind != "weights" else _start(path)
        if (other := what_else(content)) is not None:
            raise PrototxtError(f"it is {other}")
        if kind == "weights":
            return path
        if kind == "labels":
            labels = _labels_of(content, classes)
            made, changes = labels.text(), labels.oddities
        else:
            served = _definition_of(content)
            made, changes = served.text, served.changes
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from error
    except (PrototxtError, LabelsError) as error:
        raise ConfigError(f"{path}: {error}") from error
    if not changes:
        return path
    _log.info("%s: read as it is meant (%s)", path, "; ".join(changes))
    written = made.encode("utf-8", "surrogateescape")
    folder = cache_folder() / "put-right" / hashlib.sha256(written).hexdigest()[:32]
    copy = folder / (LABELS if kind == "labels" else DEFINITION)
    return copy if os.path.isfile(copy) else _write(folder, {copy.name: written}, _ELSEWHERE)[0]


def _start(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(512)


def centre_name(definition: str, power: float) -> str:
    """What the centre-weighted definition beside a definition is called, for paths as well."""
    return f"{definition.removesuffix('.prototxt')}-centre{'' if power == 1 else f'-power{power:g}'}.prototxt"


def centre_file(definition: Path, layer: str, power: float) -> Path:
    """The centre-weighted definition derived from a file, in the cache; made where it is not there yet.

    Raises:
        ConfigError: the file cannot be read, nothing can be derived from it, or the cache cannot be written.
    """
    content = _content(definition)
    key = hashlib.sha256(b"\0".join([content, layer.encode(), repr((power, _VERSION)).encode()])).hexdigest()
    folder = cache_folder() / "definitions"
    path = folder / f"{key[:32]}.prototxt"
    if not os.path.isfile(path):
        _write(folder, {path.name: _derived(definition, content, layer, power)}, _ELSEWHERE)
    return path


def _content(definition: Path) -> bytes:
    try:
        return definition.read_bytes()
    except OSError as error:
        raise ConfigError(f"{definition}: cannot be read: {error.strerror}") from error


def _derived(definition: Path, content: bytes, layer: str, power: float) -> bytes:
    try:
        derived = centre_weighted(content.decode("utf-8", "surrogateescape"), layer, power)
    except PrototxtError as error:
        raise ConfigError(f"{definition}: {error}") from error
    return derived.encode("utf-8", "surrogateescape")


def _named(network: KnownNetwork, folder: Path) -> NetworkFiles:
    return NetworkFiles(folder / DEFINITION, folder / f"{network.name}.caffemodel", folder / LABELS)


def _contents(network: KnownNetwork) -> dict[str, bytes]:
    """File name -> content."""
    layers = network.layers()
    labels = "".join(f"{number} {label}\n" for number, label in enumerate(network.labels))
    return {
        DEFINITION: prototxt(network.name, layers).encode(),
        f"{network.name}.caffemodel": weights_of(layers),
        LABELS: labels.encode(),
    }


def _write(folder: Path, contents: Mapping[str, bytes], hint: str) -> list[Path]:
    """Write whole files into a folder, which is made if need be."""
    written = []
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, content in contents.items():
            _replace(folder / name, content)
            written.append(folder / name)
    except OSError as error:
        raise ConfigError(f"{error.filename or folder}: cannot be written: {error.strerror}. {hint}") from error
    return written


def _replace(path: Path, content: bytes) -> None:
    handle, draft = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        # Files of mkstemp are for their owner alone; a server may run as somebody else.
        os.chmod(draft, 0o644)
        os.replace(draft, path)
    except BaseException:
        with suppress(OSError):
            os.unlink(draft)
        raise
