"""Configurations to be compared: those of several files, and all that a ``matrix:`` in a file stands for."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ddsim.config import MATRIX, NAMED, Document, Settings, name_of, plain, read, settle
from ddsim.errors import ConfigError, InvalidRequest
from ddsim.evaluation.matrix import Choice, combinations

_ALWAYS = ("model", "layer", "metric")
_NAME_LENGTH = 96
_SERVICES = ("classification", "similarity")


@dataclass(frozen=True)
class Experiment:
    """One configuration to be compared with others.

    Attributes:
        name: unique among those that were made together.
        about: what tells it from the others: model, layer, metric, and whatever else differs -> value.
        settings: complete; ``ddsim.config.loading.dump`` writes them out. None where there is a problem.
        problem: why there are no settings, in the words of the ConfigError; None where there are.
    """

    name: str
    about: dict[str, str]
    settings: Settings | None
    problem: str | None


def read_experiments(configs: Sequence[Path | Settings]) -> list[Experiment]:
    """The configurations of these files, in their order, each matrix expanded to every combination of its values.

    A combination that does not go together, and a file whose settings are wrong, are experiments with a problem.

    Args:
        configs: configuration files, or settings that were read already.

    Raises:
        InvalidRequest: no file.
        ConfigError: a file cannot be read, its matrix is wrong, or there are no experiments but those with a problem.
    """
    if not configs:
        raise InvalidRequest("no configuration to evaluate: name at least one file")
    taken: set[str] = set()
    found: list[Experiment] = []
    for config in configs:
        if isinstance(config, Settings):
            found.append(_of_settings(config, taken))
            continue
        document = read(config)
        expand = _expanded if MATRIX in document.data else _single
        found += expand(document.file, document, taken)
    if all(one.settings is None for one in found):
        raise ConfigError("\n".join(dict.fromkeys(str(one.problem) for one in found)))
    return _told_apart(found)


def _single(file: Path, document: Document, taken: set[str]) -> list[Experiment]:
    name = name_of(str(document.data.get("name") or file.stem))
    try:
        settings = settle(document.data, file, document)
    except ConfigError as error:
        return [Experiment(_unique(name, taken), {"model": name}, None, str(error))]
    return [_of_settings(settings, taken)]


def _of_settings(settings: Settings, taken: set[str]) -> Experiment:
    return Experiment(_unique(settings.name, taken), _facts(settings, settings.name), settings, None)


def _expanded(file: Path, document: Document, taken: set[str]) -> list[Experiment]:
    chosen = combinations(file, document)
    own = {key: value for key, value in document.data.items() if key != MATRIX}
    several = {one.axis for choices in chosen for one in choices if one not in chosen[0]}
    return [_combined(file, document, own, choices, several, taken) for choices in chosen]


def _combined(
    file: Path, document: Document, own: dict[str, Any], choices: Sequence[Choice], several: set[str], taken: set[str]
) -> Experiment:
    """One combination. ``several``: the axes with more than one value, of which names are made."""
    model = next((one for one in choices if one.axis == "model"), None)
    parts = [str(own["name"])] if own.get("name") else []
    parts += [one.slug for one in choices if one.axis in several or (one is model and not parts)]
    if not (own.get("name") or model):
        parts.insert(0, file.stem)
    name = _unique(name_of("-".join(part for part in parts if part)), taken)
    chosen = {one.axis: one.text for one in choices}
    chosen.setdefault("model", name_of(str(own.get("name") or file.stem)))
    if model and model.problem:
        return Experiment(name, chosen, None, model.problem)
    try:
        settings = settle(_raw(own, choices), file, document)
        _check(settings, choices, file)
        settings = _renamed(settings, name, file, document)
    except ConfigError as error:
        return Experiment(name, chosen, None, str(error))
    return Experiment(name, _facts(settings, chosen["model"]) | chosen, settings, None)


def _raw(own: dict[str, Any], choices: Sequence[Choice]) -> dict[str, Any]:
    """A file's content with these choices made."""
    base = next((one.base for one in choices if one.base is not None), None)
    raw = copy.deepcopy(own if base is None else base)
    if isinstance(raw.get("network"), str):
        raw["network"] = {"name": raw["network"]}
    if base is not None:
        for key, value in copy.deepcopy({key: value for key, value in own.items() if key != "name"}).items():
            _lay_over(raw, key, value)
    for one in choices:
        _override_network(raw, one.network)
        for section in ("upload", "similarity", "index"):
            _section(raw, section).update(getattr(one, section))
    index = own.get("index")
    says = isinstance(index, dict) and "backend" in index
    if any(one.needs_local for one in choices) and not says:
        _section(raw, "index")["backend"] = "local"
    return raw


def _lay_over(raw: dict[str, Any], key: str, value: Any) -> None:
    """Have a section of the matrix file in a whole configuration: its keys, where both are mappings."""
    if key == "network" and isinstance(value, dict | str):
        _override_network(raw, {"name": value} if isinstance(value, str) else value)
    elif isinstance(value, dict) and isinstance(raw.get(key), dict) and key not in ("categories", "server"):
        raw[key].update(value)
    elif value is not None:
        raw[key] = value


def _override_network(raw: dict[str, Any], changes: dict[str, Any]) -> None:
    """Set keys of the network for both services, whatever they say themselves."""
    parts = [_section(raw, "network"), *(raw[part] for part in _SERVICES if isinstance(raw.get(part), dict))]
    if "name" in changes:
        # A name stands for more than itself; what another network was made of does not belong to this one.
        for part in parts:
            for key in NAMED:
                part.pop(key, None)
    for part in parts:
        part.update({key: value for key, value in changes.items() if part is parts[0] or key in part})


def _section(raw: dict[str, Any], name: str) -> dict[str, Any]:
    if raw.get(name) is None:
        raw[name] = {}
    # What is no mapping is reported when settings are made of it.
    return raw[name] if isinstance(raw[name], dict) else {}


def _check(settings: Settings, choices: Sequence[Choice], file: Path) -> None:
    kind = next((one.value for one in choices if one.axis == "index_type"), "Flat")
    if kind != "Flat" and settings.index.backend in ("local", "milvus"):
        raise ConfigError(
            f"{file}: index_type {kind} is for the server's index, and with backend: {settings.index.backend} "
            "vectors are kept elsewhere: leave one of both out"
        )


def _renamed(settings: Settings, name: str, file: Path, document: Document) -> Settings:
    """The same under another name, with services and folders of its own, so that both can be used side by side."""
    if name == settings.name:
        return settings
    raw = plain(settings) | {"name": name}
    for part, purpose in (("classification", "classes"), ("similarity", "similar")):
        if service := raw.get(part):
            service["service"] = f"{name}-{purpose}"
            if service["create_repository"]:
                service["repository"] = f"{service['repository'].rstrip('/')}-{name}"
    return settle(raw, file, document)


def _facts(settings: Settings, model: str) -> dict[str, str]:
    index, similarity = settings.index, settings.similarity
    return {
        "model": model,
        "layer": similarity.extract_layer,
        "pooling": similarity.pooling if similarity.power == 1 else f"{similarity.pooling}, power {similarity.power:g}",
        "metric": index.metric,
        "normalisation": index.normalisation,
        "pca": "none" if index.pca is None else str(index.pca),
        "whiten": "yes" if index.whiten else "no",
        "precision": index.precision,
        "approximate": index.approximate,
        "index_type": similarity.index_type,
    }


def _unique(name: str, taken: set[str]) -> str:
    """A name that no other has, be it in capitals: servers do not tell them apart."""
    found, number = name[:_NAME_LENGTH], 1
    while found.lower() in taken:
        number += 1
        found = f"{name[:_NAME_LENGTH]}-{number}"
    taken.add(found.lower())
    return found


def _told_apart(found: Sequence[Experiment]) -> list[Experiment]:
    """Leave out of ``about`` what all have in common, but for what everybody wants to read."""
    whole = [one.about for one in found if one.settings is not None]
    keys = {key for about in whole for key in about}
    telling = {key for key in keys if len({about.get(key) for about in whole}) > 1} | set(_ALWAYS)
    return [
        one
        if one.settings is None
        else replace(one, about={key: one.about[key] for key in one.about if key in telling})
        for one in found
    ]
