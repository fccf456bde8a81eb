"""What a network says of itself: a known name stands for all its files, and a definition tells sizes and labels."""

from __future__ import annotations

import difflib
import math
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from ddsim.caffe import PrototxtError, layer_shapes, read_definition
from ddsim.config.values import Origin, resolved
from ddsim.config.yamlfile import Key, Problem
from ddsim.errors import ConfigError
from ddsim.networks import NetworkFiles, cached_files, known, network_files, served_files

_FILES = ("def", "weights", "corresp")
# So many names are told, and so like the one that is given: pool5 is told for pool5/7x7_s1.
_NEAR, _ALIKE = 3, 0.5
#: The keys that a known network's name stands for.
NAMED = (*_FILES, "nclasses", "width", "height", "mean")


@dataclass(frozen=True)
class _Facts:
    """What a definition says: the input's width and height, values of its last layer (None: unknown), its layers."""

    width: int
    height: int
    nclasses: int | None
    layers: tuple[str, ...]


@dataclass
class Filling:
    """Fills in what services leave out, and collects what is wrong.

    Attributes:
        origin: where the settings come from.
        problems: a known network that cannot be had, and settings that the definition contradicts.
    """

    origin: Origin
    problems: list[Problem] = field(default_factory=list)

    def fill(self, part: dict[str, Any], places: dict[str, Key]) -> None:
        """Fill in one service.

        Args:
            part: its settings as they stand in a file; it is changed.
            places: key -> where it stands, for those that come from another section.
        """
        if isinstance(name := part.get("name"), str):
            self._by_name(part, name, places["name"])
        definition = part.get("def")
        if not (self.origin.embedded and isinstance(definition, str) and definition) or part.get("mllib") == "torch":
            return
        facts = _facts(resolved(self.origin.folder, definition))
        if facts is None:
            return  # told when a service is made of it
        self._by_definition(part, "width", facts.width, places)
        self._by_definition(part, "height", facts.height, places)
        if facts.nclasses is not None:
            self._by_definition(part, "nclasses", facts.nclasses, places)
        layer = part.get("extract_layer")
        if isinstance(layer, str) and layer not in facts.layers:
            near = sorted(difflib.get_close_matches(layer, facts.layers, _NEAR, _ALIKE), key=facts.layers.index)
            meant = f"did you mean {' or '.join(near)}? " if near else ""
            words = f"the network has no layer {layer!r}; {meant}`ddsim network layers {definition}` lists them"
            self.problems.append(Problem(places["extract_layer"], words))

    def _by_name(self, part: dict[str, Any], name: str, place: Key) -> None:
        try:
            network = known(name)
            files = _strings(network_files(name)) if self.origin.embedded else served_files(name)
        except ConfigError as error:
            self.problems.append(Problem(place, str(error)))
            return
        stands_for = {
            **dict(zip(_FILES, files, strict=True)),
            "nclasses": len(network.labels),
            "width": network.side,
            "height": network.side,
            "mean": list(network.mean),
        }
        for key, value in stands_for.items():
            part.setdefault(key, value)

    def _by_definition(self, part: dict[str, Any], key: str, value: int, places: dict[str, Key]) -> None:
        given = part.setdefault(key, value)
        if isinstance(given, int) and given != value:
            message = f"{given} given, where the network's own definition comes to {value}: leave it out"
            self.problems.append(Problem(places[key], message))


def leave_to_name(part: dict[str, Any], embedded: bool) -> None:
    """Take out of a service's complete settings the files that its network's name stands for."""
    files = _strings(cached_files(part["name"])) if embedded else served_files(part["name"])
    for key, value in zip(_FILES, files, strict=True):
        if part.get(key) == value:
            del part[key]


def _strings(files: NetworkFiles) -> tuple[str, str, str]:
    return str(files.definition), str(files.weights), str(files.corresp)


def _facts(path: Path) -> _Facts | None:
    """What a definition says; None where it cannot be read."""
    try:
        return _read(path.read_bytes())
    except (OSError, PrototxtError):
        return None


@cache
def _read(content: bytes) -> _Facts:
    definition = read_definition(content.decode("utf-8", "surrogateescape"))
    _, height, width = definition.input_shape
    last = layer_shapes(definition)[-1].shape
    return _Facts(width, height, None if last is None else math.prod(last), definition.names)
