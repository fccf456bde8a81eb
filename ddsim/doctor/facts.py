"""What decides about a server's traps: facts of the server and of the configuration, and questions to them."""

from __future__ import annotations

import re
from dataclasses import dataclass

from ddsim.config import Settings
from ddsim.deepdetect import Capabilities, Info
from ddsim.vectors import can_search

_VERSION = re.compile(r"v?(\d+)\.(\d+)")


@dataclass(frozen=True)
class Facts:
    """What decides whether a trap applies, and whether the work-around is on.

    Attributes:
        version: major and minor; None where the server does not say.
        capabilities: what the server was built with.
        settings: the configuration in use.
    """

    version: tuple[int, int] | None
    capabilities: Capabilities
    settings: Settings

    @property
    def grows(self) -> bool:
        """Whether the server has an index as v0.25.0 has it."""
        return can_search(self.capabilities)


def facts_of(info: Info, settings: Settings) -> Facts:
    """The facts of a server. Its version is the output of git describe and may be empty."""
    match = _VERSION.match(info.version)
    return Facts((int(match[1]), int(match[2])) if match else None, info.capabilities, settings)


def always(_: Facts) -> bool:
    """Whatever the server."""
    return True


def caffe(facts: Facts) -> bool:
    """It has Caffe."""
    return facts.capabilities.caffe


def torch(facts: Facts) -> bool:
    """It has Torch."""
    return facts.capabilities.torch


def grows(facts: Facts) -> bool:
    """Its index grows as that of v0.25.0 does."""
    return facts.grows


def caffe_index(facts: Facts) -> bool:
    """Such an index, of Caffe's features."""
    return facts.grows and facts.capabilities.caffe


def without_search(facts: Facts) -> bool:
    """It was built without similarity search."""
    return not facts.capabilities.similarity_search


def annoy(facts: Facts) -> bool:
    """Its index is Annoy's."""
    return facts.capabilities.similarity_engine == "annoy"


def old_torch(facts: Facts) -> bool:
    """Its Torch is from before v0.29, or of unknown age."""
    return facts.capabilities.torch and (facts.version is None or facts.version < (0, 29))


def without_caffe(facts: Facts) -> bool:
    """It was built without Caffe."""
    return not facts.capabilities.caffe


def not_on_the_server(facts: Facts) -> bool:
    """The configuration may keep the index elsewhere."""
    return facts.settings.index.backend != "server"


def runs_torch(facts: Facts) -> bool:
    """The configuration runs its network on Torch."""
    return facts.settings.similarity.mllib == "torch"


def exact(facts: Facts) -> bool:
    """The index needs no training, wherever it is."""
    return not_on_the_server(facts) or not facts.settings.similarity.index_type.startswith("IVF")
