"""A network that ends with a trained head: Caffe files that run as an ordinary classification service."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ddsim.caffe import BlobError, PrototxtError
from ddsim.config import Settings
from ddsim.errors import ConfigError, InvalidRequest
from ddsim.networks import centre_weighted, network_files, with_head
from ddsim.routing import Head


@dataclass(frozen=True)
class NetworkSource:
    """The files of the network that the features come from, where this program can read them."""

    definition: Path
    weights: Path


def source_of(settings: Settings) -> NetworkSource | None:
    """The network's files here: the embedded server's own, or those of a network that has a name.

    None where only the server has them, and for Torch, whose networks are no Caffe files.

    Raises:
        ConfigError: the named network's package is not installed.
    """
    similarity = settings.similarity
    if similarity.mllib != "caffe":
        return None
    if settings.server.embedded:
        if similarity.definition is None or similarity.weights is None:
            return None
        return NetworkSource(Path(similarity.definition), Path(similarity.weights))
    if similarity.name is None:
        return None
    files = network_files(similarity.name)
    return NetworkSource(files.definition, files.weights)


def write_network(settings: Settings, head: Head, folder: Path, source: NetworkSource) -> list[Path]:
    """Write ``deploy.prototxt``, ``trained.caffemodel`` and ``corresp.txt``.

    The network is the one that the features come from, up to their layer, centre-weighted pooling included; its weights
    are its own, with the head's at the end.

    Args:
        settings: name the layer and the pooling.
        head: trained on these features.
        folder: where to; made if need be.
        source: the network's files.

    Raises:
        ConfigError: the files cannot be read or used, or the folder cannot be written.
        InvalidRequest: a category's name does not fit on a line.
    """
    if broken := [name for name in head.categories if len(name.splitlines()) != 1]:
        raise InvalidRequest(f"the category {broken[0]!r} does not fit on a line of corresp.txt: rename its folder")
    similarity = settings.similarity
    try:
        text = source.definition.read_bytes().decode("utf-8", "surrogateescape")
        if similarity.pooling == "centre":
            text = centre_weighted(text, similarity.extract_layer, similarity.power)
        definition, weights = with_head(
            text, source.weights.read_bytes(), similarity.extract_layer, head.weights, head.biases
        )
    except (PrototxtError, BlobError) as error:
        raise ConfigError(f"{source.definition}, {source.weights}: {error}") from error
    except OSError as error:
        raise ConfigError(f"{error.filename}: cannot be read: {error.strerror or error}") from error
    labels = "".join(f"{number} {name}\n" for number, name in enumerate(head.categories))
    contents = {
        "deploy.prototxt": definition.encode("utf-8", "surrogateescape"),
        "trained.caffemodel": weights,
        "corresp.txt": labels.encode("utf-8", "surrogateescape"),
    }
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, content in contents.items():
            (folder / name).write_bytes(content)
    except OSError as error:
        raise ConfigError(f"{error.filename or folder}: cannot be written: {error.strerror or error}") from error
    return [folder / name for name in contents]
