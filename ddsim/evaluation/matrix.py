"""The ``matrix:`` of a configuration file: which values each axis takes, read and checked.

::

    matrix:
      model: [../resnet50.yaml, ../vgg16.yaml]     other files, networks that ddsim knows by name, or mappings that
                                                   override network
      layer: [pool5, relu7]                        similarity.extract_layer
      preprocessing: [{name: small, width: 112}]   mappings of keys of network and upload, see _NETWORK and _UPLOAD
      metric: [l2, cosine]                         index.metric
      normalisation: [none, l2, power]             index.normalisation
      pca: [none, 64, 128]                         index.pca
      whiten: [false, true]                        index.whiten
      index_type: [Flat, "IVF16,Flat"]             similarity.index_type

      recipe: [{name: plain}, {pooling: centre}]   mappings of keys of similarity and index, see _RECIPE

The mappings of ``model``, ``preprocessing`` and ``recipe`` may have a ``name``.
"""

from __future__ import annotations

import difflib
import itertools
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePath
from typing import Annotated, Any, Literal

from pydantic import Field

from ddsim.config import (
    MATRIX,
    Document,
    IndexType,
    Key,
    Network,
    Origin,
    Problem,
    Settings,
    UploadSettings,
    Word,
    config_error,
    fields,
    load,
    name_of,
    plain,
    problems_in,
    read,
    settle,
)
from ddsim.errors import ConfigError
from ddsim.networks import known_networks

#: More combinations than this are a mistake rather than a plan.
MOST = 200
_NETWORK = ("width", "height", "mean", "std", "scale", "rgb")
_UPLOAD = ("shrink", "quality")
#: Which section each key of a recipe belongs to.
_RECIPE = {
    "extract_layer": "similarity",
    "pooling": "similarity",
    "power": "similarity",
    **dict.fromkeys(("metric", "normalisation", "pca", "whiten", "precision", "approximate"), "index"),
}
_PCA = Annotated[int, Field(ge=1, le=65536)] | None
_KINDS: dict[str, Any] = {
    "model": Word,
    "layer": Word,
    "preprocessing": dict[str, Any],
    "metric": Literal["l2", "cosine"],
    "normalisation": Literal["none", "l2", "power"],
    "pca": _PCA,
    "whiten": bool,
    "index_type": IndexType,
    "recipe": dict[str, Any],
}
AXES = tuple(_KINDS)
#: What the server's own index does, of the keys of section ``index`` that a matrix can set.
SERVERS: dict[str, Any] = {
    "metric": "l2",
    "normalisation": "none",
    "pca": None,
    "whiten": False,
    "precision": "float32",
    "approximate": "never",
}


@dataclass(frozen=True)
class Choice:
    """One value of one axis.

    Attributes:
        axis: of :data:`AXES`.
        text: for tables.
        slug: for names; says what it is without the axis beside it, or nothing where that is no loss.
        network, upload, similarity, index: what it overrides in the sections of these names.
        value: the value of the other axes.
        base: a whole configuration to begin with, as :func:`ddsim.config.loading.plain` gives it.
        problem: why that one cannot be had.
    """

    axis: str
    text: str
    slug: str
    network: dict[str, Any]
    upload: dict[str, Any]
    similarity: dict[str, Any] = field(default_factory=dict)
    index: dict[str, Any] = field(default_factory=dict)
    value: Any = None
    base: dict[str, Any] | None = None
    problem: str | None = None

    @property
    def needs_local(self) -> bool:
        """Whether the server's own index cannot do this."""
        return any(value != SERVERS[key] for key, value in self.index.items())


def combinations(file: Path, document: Document) -> list[tuple[Choice, ...]]:
    """Every combination that a file's matrix describes, a choice of each axis in the order of :data:`AXES`.

    Raises:
        ConfigError: the matrix is wrong; the message has a line for each problem.
    """
    reader = _Reader(file, document)
    lists = reader.read()
    if document.problems or reader.problems:
        raise config_error(file, document, document.problems + reader.problems)
    return list(itertools.product(*lists))


class _Reader:
    def __init__(self, file: Path, document: Document) -> None:
        self._file = file
        self._document = document
        embedded = document.data.get("server") == "embedded"
        # Other configurations are found beside this one, wherever what it says of pictures is relative to.
        self._origin = Origin(Path(os.path.abspath(file)).parent, embedded)
        self.problems: list[Problem] = []

    def read(self) -> list[list[Choice]]:
        matrix = self._document.data[MATRIX]
        if not isinstance(matrix, dict) or not matrix:
            self._refuse((MATRIX,), f"expected axes, each with a list of values: {', '.join(AXES)}")
            return []
        for axis in matrix.keys() - AXES:
            near = difflib.get_close_matches(axis, AXES, 1)
            self._refuse((MATRIX, axis), f"unknown axis; {f'did you mean {near[0]}?' if near else _known(AXES)}")
        lists = [self._axis(axis, matrix[axis]) for axis in AXES if axis in matrix]
        count = 1
        for choices in lists:
            count *= len(choices)
        if count > MOST:
            self._refuse((MATRIX,), f"makes {count} configurations, {MOST} at most are compared: shorten the lists")
        return lists

    def _axis(self, axis: str, values: Any) -> list[Choice]:
        key = (MATRIX, axis)
        if not isinstance(values, list) or not values:
            self._refuse(key, "expected a list of values, such as [a, b], with at least one")
            return []
        for place, value in enumerate(values):
            if value in values[:place]:
                self._refuse((*key, place), "stands in this list twice")
        choices = (self._choice(axis, value, (*key, place)) for place, value in enumerate(values))
        return [choice for choice in choices if choice is not None]

    def _choice(self, axis: str, value: Any, key: Key) -> Choice | None:
        if axis == "model" and isinstance(value, dict):
            return self._named(axis, value, key, tuple(fields(Network)))
        if axis == "pca" and value == "none":
            value = None
        problems = problems_in(_KINDS[axis], value, self._origin, self._document, key)
        self.problems += problems
        if problems:
            return None
        if axis == "model":
            return self._file_choice(value, key)
        if axis == "preprocessing":
            return self._named(axis, value, key, _NETWORK + _UPLOAD)
        if axis == "recipe":
            return self._recipe(value, key)
        text, section = _text(value), {axis: value}
        similar, index = (section, {}) if axis == "index_type" else ({}, section)
        if axis == "layer":
            similar, index = {"extract_layer": value}, {}
        return Choice(axis, text, _slug(axis, text), {}, {}, similar, index, value)

    def _file_choice(self, name: str, key: Key) -> Choice | None:
        if name in {network.name for network in known_networks()}:
            return Choice("model", name, name_of(name), {"name": name}, {})
        file = self._origin.folder / os.path.expanduser(name)
        label, base, problem = file.stem, None, None
        if not os.path.isfile(file):
            self._refuse(key, f"no such configuration file: {file}")
            return None
        try:
            settings = self._loaded(file, name)
            label, base = settings.name, plain(settings)
        except ConfigError as error:
            problem = str(error)
        return Choice("model", label, name_of(label), {}, {}, base=base, problem=problem)

    def _loaded(self, file: Path, name: str) -> Settings:
        """A configuration beside this one; its relative paths begin beside this one's, wherever those do."""
        document = read(file)
        if MATRIX in document.data:
            return load(file)  # which says what is wrong with that
        folder = os.path.abspath(self._document.folder / os.path.expanduser(name))
        document.folder = Path(folder).parent
        return settle(document.data, document.file, document)

    def _named(self, axis: str, value: dict[str, Any], key: Key, known: Sequence[str]) -> Choice | None:
        """A mapping that overrides settings, and may have a name."""
        given = {name: item for name, item in value.items() if name != "name"}
        for name in given.keys() - set(known):
            self._refuse((*key, name), f"unknown key; {_known(sorted((*known, 'name')))}")
        upload = {name: item for name, item in given.items() if axis == "preprocessing" and name in _UPLOAD}
        network = {name: item for name, item in given.items() if name in known and name not in upload}
        for kind, part in ((Network, network), (UploadSettings, upload)):
            self.problems += problems_in(kind, part, self._origin, self._document, key)
        if not given:
            self._refuse(key, f"overrides nothing; {_known(known)}")
        text = value.get("name") or (_described(axis, given) or f"{axis} {int(key[-1]) + 1}")
        self.problems += problems_in(Word, text, None, self._document, (*key, "name"))
        return Choice(axis, str(text), name_of(str(text)), network, upload)

    def _recipe(self, value: dict[str, Any], key: Key) -> Choice:
        """A mapping of how vectors are made and compared; what it does not say is as the file has it."""
        given = {name: item for name, item in value.items() if name != "name"}
        for name in given.keys() - _RECIPE.keys():
            self._refuse((*key, name), f"unknown key; {_known(sorted((*_RECIPE, 'name')))}")
        text = value.get("name") or _described("recipe", given) or "as it is"
        self.problems += problems_in(Word, text, None, self._document, (*key, "name"))
        parts = {
            section: {name: item for name, item in given.items() if _RECIPE.get(name) == section}
            for section in ("similarity", "index")
        }
        return Choice("recipe", str(text), name_of(str(text)), {}, {}, parts["similarity"], parts["index"])

    def _refuse(self, key: Key, message: str) -> None:
        self.problems.append(Problem(key, message))


def _described(axis: str, given: dict[str, Any]) -> str:
    """What a mapping without a name is called."""
    if axis == "model":
        return PurePath(str(given.get("weights") or given.get("template") or "")).stem
    return ", ".join(f"{name} {_text(item)}" for name, item in given.items())


def _text(value: Any) -> str:
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return " ".join(map(_text, value)) if isinstance(value, list) else str(value)


def _slug(axis: str, text: str) -> str:
    if axis == "normalisation":
        return f"norm-{text}"
    if axis == "pca":
        return "no-pca" if text == "none" else f"pca{text}"
    if axis == "whiten":
        return "whitened" if text == "yes" else ""
    return name_of(text)


def _known(names: Sequence[str]) -> str:
    return f"known are {', '.join(names)}"
