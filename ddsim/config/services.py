"""The networks on the server: what both services share, each of them, and what has to go together with it."""

from __future__ import annotations

import posixpath
from collections.abc import Collection, Iterator
from pathlib import PurePosixPath
from typing import Annotated, Any, Literal

from pydantic import Field

from ddsim.config.part import Part
from ddsim.config.values import Channels, DeviceIds, IndexType, Pixels, ServerPath, ServiceName, Word
from ddsim.config.yamlfile import Key
from ddsim.deepdetect import ServiceSpec
from ddsim.errors import UnsafeCall


class _Network(Part):
    name: Word | None = None
    """A network that ddsim knows, such as efficientnet-lite2: stands for its files, its labels and what it takes."""
    mllib: Literal["caffe", "torch"] = "caffe"
    """The server's library for networks."""
    create_repository: bool = False
    """Whether the server makes the repository; by default where definition and weights are named."""
    definition: ServerPath | None = Field(default=None, alias="def")
    """The network's definition (deploy.prototxt); without it the server looks for one in the repository."""
    weights: ServerPath | None = None
    """The network's weights (.caffemodel); without them the server looks for some in the repository."""
    corresp: ServerPath | None = None
    """The network's labels, a line each; without them the server looks for some in the repository."""
    template: Word | None = None
    """Name of a network definition that comes with the server, instead of ``def``."""
    templates: ServerPath | None = None
    """The server's folder of templates, where it is not at its usual place."""
    width: Pixels = 224
    """Width of the network's input, in pixels."""
    height: Pixels = 224
    """Height of the network's input, in pixels."""
    mean: Channels = ()
    """Subtracted from every pixel, a number a channel: blue, green, red for Caffe networks; none when empty."""
    std: Channels = ()
    """Every pixel is divided by it, as ``mean``; Torch only."""
    scale: Annotated[float, Field(gt=0)] | None = None
    """Every pixel is multiplied by it first; Torch only."""
    rgb: bool = False
    """Whether the network wants red, green, blue; Caffe networks want blue, green, red."""
    gpu: bool = False
    """Whether the server computes on a GPU."""
    gpuid: DeviceIds = ()
    """Which GPUs, -1 for all of them."""


class Network(_Network):
    """What both services run; each of them may override any of it."""

    repository: ServerPath | None = None
    """The folder that the service writes into, as the server sees it."""
    nclasses: Annotated[int, Field(ge=1)] | None = None
    """How many labels the network knows."""


_NOT_SENT = {"service", "name", "gpuid", "extract_layer", "index_type", "pooling", "power"}


class Service(_Network):
    """A network on the server under a name."""

    service: ServiceName
    """The service's name on the server."""
    repository: ServerPath
    """The folder that the service writes into, as the server sees it."""
    nclasses: Annotated[int, Field(ge=1)]
    """How many labels the network knows."""

    def spec(self, type_: Literal["supervised", "unsupervised"]) -> ServiceSpec:
        """This service as the client creates it."""
        return ServiceSpec(
            name=self.service,
            type=type_,
            gpuid=self.gpuid[0] if len(self.gpuid) == 1 else self.gpuid or None,
            **self.model_dump(exclude=_NOT_SENT),
        )

    def facts(self, exclude: Collection[str] = ()) -> dict[str, Any]:
        """What its answers depend on, as JSON, without some of it.

        A network's name is left out, as its files count. What did not exist in older versions counts only where it
        changes something, so that what they indexed is still known.
        """
        found = self.model_dump(mode="json", exclude={"name", *exclude})
        if found.get("pooling") == "plain":
            del found["pooling"], found["power"]
        return found


class Classification(Service):
    """The service that names what a picture shows."""


class Similarity(Service):
    """The service that turns pictures into vectors and, on the server's own index, finds similar ones."""

    extract_layer: Word
    """The layer whose values describe a picture, such as pool5/7x7_s1; on Torch ``last`` or ``final``."""
    pooling: Literal["plain", "centre"] = "plain"
    """``centre``: the middle of a photo counts most; for layers that average a map of the network, or give it."""
    power: Annotated[float, Field(ge=1, le=10)] = 1.0
    """With ``pooling: centre`` the map's values are raised to it first, and the root is taken after."""
    index_type: IndexType = "Flat"
    """FAISS index of the server. Flat is exact; IVF answers nothing where pictures are fewer than its lists."""


def service_rules(name: str, service: Service, spec: ServiceSpec) -> Iterator[tuple[Key, str]]:
    """What of a service's settings does not go together, by the section's name: key path and reason."""
    try:
        spec.body()
    except UnsafeCall as error:
        yield (name, "repository"), str(error)
    if service.gpuid and not service.gpu:
        # Read in the server's source; no recording, for want of a GPU.
        yield (name, "gpuid"), "a server that is told a GPU uses it, whatever gpu says: add gpu: true or leave it out"
    if service.mllib == "caffe":
        # recordings/wire/63: the values come out the same with and without.
        if service.scale not in (None, 1.0):
            yield (name, "scale"), "a Caffe server ignores it: leave it out"
        if service.std:
            yield (name, "std"), "a Caffe server ignores it: leave it out"
    if service.template and service.definition:
        yield (name, "template"), "def is given too: leave one of them out"


def own_folder_rules(similarity: Similarity, classification: Classification | None) -> Iterator[tuple[Key, str]]:
    """What keeps a Caffe server's index from a folder of its own: key path and reason."""
    why = "what clears the index could take the network with it"
    if not (similarity.weights and (similarity.definition or similarity.template)):
        missing = "weights" if not similarity.weights else "def"
        yield (
            ("similarity", missing),
            f"missing: name both def and weights, so that the index can have a repository of its own, or {why}",
        )
    inside = {"def": similarity.definition, "weights": similarity.weights, "corresp": similarity.corresp}
    if classification:
        inside["classification.repository"] = classification.repository
    repository = PurePosixPath(posixpath.normpath(similarity.repository))
    for key, path in inside.items():
        if path and PurePosixPath(posixpath.normpath(path)).is_relative_to(repository):
            holds = f"{similarity.repository} holds {key} ({path})"
            yield ("similarity", "repository"), f"{holds}: give similarity a repository of its own, or {why}"
            return
