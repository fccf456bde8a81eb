"""Configuration files: YAML -> :class:`Settings`, one file for one way to search, and back.

Whatever is wrong with a file is a :class:`~ddsim.errors.ConfigError` with a line for each problem: file, line, key,
what stands there and what was expected.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from ddsim.config.filling import NAMED, Filling, leave_to_name
from ddsim.config.problems import config_error, described, fields, problems_in
from ddsim.config.services import Network
from ddsim.config.settings import Settings
from ddsim.config.shipping import located, shipped
from ddsim.config.values import Categories, Origin
from ddsim.config.yamlfile import Document, Key, Problem, parse
from ddsim.errors import ConfigError

__all__ = ["MATRIX", "Settings", "dump", "load", "name_of", "plain", "read", "settle"]

#: The key of a file that describes several configurations; :mod:`ddsim.evaluation.experiments` reads those.
MATRIX = "matrix"
_MODELS = Path(__file__).resolve().parents[1] / "embedded" / "models"
_EMBEDDED: dict[str, Any] = {"url": None}
#: What stands for the classifier that `ddsim train` makes, in the place of a service.
_TRAINED = "trained"
# What stands in the place of a secret where settings are written down.
_VARIABLES = {"password": "DDSIM_SERVER_PASSWORD", "token": "DDSIM_SERVER_TOKEN"}
_DATABASE_TOKEN = "DDSIM_MILVUS_TOKEN"  # noqa: S105  the name of a variable


def load(path: str | os.PathLike[str]) -> Settings:
    """Read a configuration.

    Args:
        path: its file, or a name; see :func:`ddsim.config.shipping.located`.

    Raises:
        ConfigError: the file cannot be read, or is wrong; the message has a line for each problem.
    """
    document = read(path)
    if MATRIX in document.data:
        several = "this file describes several configurations: `ddsim evaluate` compares them and writes out the best"
        raise config_error(document.file, document, [Problem((MATRIX,), several)])
    return settle(document.data, document.file, document)


def read(path: str | os.PathLike[str]) -> Document:
    """A configuration as its file has it; the path, or name, is as for :func:`load`.

    Raises:
        ConfigError: it cannot be read, or holds no mapping.
    """
    if not isinstance(path, (str, os.PathLike)):
        raise ConfigError(f"a configuration is named by its file, or by the name of one, not by {path!r}")
    file, folder = located(path)
    document = _parsed(file)
    document.file, document.folder = file, folder
    if not isinstance(document.data, dict):
        found = "is empty" if document.data is None else "holds no mapping (key: value)"
        raise ConfigError(f"{file}: {found}; `ddsim config init` writes commented configurations to begin with")
    return document


def settle(raw: dict[str, Any], file: Path, document: Document) -> Settings:
    """Make settings of a file's content.

    Args:
        raw: the content, or one made of it; it is changed.
        file: whence the settings have their name.
        document: knows lines and spelling, and where relative paths begin.

    Raises:
        ConfigError: the content is wrong; the message has a line for each problem.
    """
    short = _complete(raw, file.stem)
    origin = Origin(document.folder, embedded=raw["server"] == _EMBEDDED)
    filling = Filling(origin)
    inherited = _complete_services(raw, filling) | short
    if any(problem.key[-1] in ("name", "extract_layer") for problem in filling.problems):
        # Without the network or layer that was meant much else would seem to be missing or wrong.
        raise config_error(file, document, document.problems + filling.problems)
    problems = document.problems + filling.problems + _read_categories(raw, Path(os.path.abspath(file)).parent)
    # On its own too: what both services override would go unchecked otherwise.
    problems += problems_in(Network, raw.pop("network"), origin, document, ("network",))
    settings: Settings | None = None
    try:
        settings = Settings.model_validate(raw, context=origin)
    except ValidationError as error:
        problems += described(error, document, inherited)
    if problems or settings is None:
        raise config_error(file, document, problems)
    # Where one that comes with ddsim would lie here: that of the installation is everybody's.
    return settings.read_from(document.folder / file.name) if document.file.name else settings


def dump(settings: Settings) -> str:
    """The settings as YAML with nothing left to defaults; loading it gives equal settings, from any folder.

    A password or token is not in it: variables of the environment stand in their places.
    """
    return yaml.dump(shareable(settings), Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=1000)


def shareable(settings: Settings) -> dict[str, Any]:
    """What :func:`dump` writes, as plain values."""
    raw: dict[str, Any] = _escaped(plain(settings))
    if isinstance(raw["server"], dict):
        raw["server"] |= {key: "${" + name + "}" for key, name in _VARIABLES.items() if key in raw["server"]}
    if "token" in raw["index"]:
        raw["index"]["token"] = f"${{{_DATABASE_TOKEN}}}"
    return raw


def plain(settings: Settings) -> dict[str, Any]:
    """The settings as a file would hold them, with nothing left to defaults; :func:`settle` makes them of it again.

    The files of a network that has a name are left to the name: where they are is different on every machine.

    Not for other eyes: it holds the server's password, and the database's token.
    """
    raw = settings.model_dump(mode="json", by_alias=True, exclude_none=True)
    server = settings.server
    secrets = {key: found.get_secret_value() for key in _VARIABLES if (found := getattr(server, key)) is not None}
    raw["server"] = "embedded" if server.embedded else raw["server"] | secrets
    if not server.embedded:
        del raw["server"]["url" if server.urls else "urls"]
    if settings.index.token is not None:
        raw["index"]["token"] = settings.index.token.get_secret_value()
    if raw.pop("trained"):
        raw["classification"] = _TRAINED
    for part in ("classification", "similarity"):
        if isinstance(raw.get(part), dict):
            if "name" in raw[part]:
                leave_to_name(raw[part], settings.server.embedded)
            raw[part] = {"service": raw[part].pop("service"), **raw[part]}
    return raw


class _Dumper(yaml.SafeDumper):
    """Quotes text with line breaks beyond ASCII in it, which YAML would fold into spaces."""


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    breaks = any(char in text for char in "\x85\u2028\u2029")
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style='"' if breaks else None)


_Dumper.add_representer(str, _text)


def _parsed(file: Path) -> Document:
    try:
        content = file.read_bytes()
    except FileNotFoundError as error:
        known, hint = shipped(), ""
        if file.name in known:
            hint = f"; it comes with ddsim: `--config {file.stem}` takes it, and `ddsim config init` writes it"
        elif not file.suffix:
            hint = f"; by their names there are {', '.join(Path(name).stem for name in known)}"
        raise ConfigError(f"{file}: no such file{hint}") from error
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise ConfigError(f"{file}: cannot be read: {reason}") from error
    document = parse(content, {**os.environ, "DDSIM_MODELS": str(_MODELS)})
    # Nothing more can be said about a file that is no YAML, and nothing right about paths on a server unknown.
    if any(problem.key[:1] in ((), ("server",)) for problem in document.problems):
        raise config_error(file, document, document.problems)
    return document


def _complete(raw: dict[str, Any], stem: str) -> dict[Key, Key]:
    """Bring what has a short form into its long one, and name what needs a name; return where the short ones stand."""
    for section in ("server", "network", "similarity", "index", "routing", "upload", "categories"):
        # A section whose keys are all commented out reads as nothing.
        raw[section] = {} if raw.get(section) is None else raw[section]
    if isinstance(raw["network"], str):
        raw["network"] = {"name": raw["network"]}
    if raw.get("classification") == _TRAINED:
        del raw["classification"]
        raw["trained"] = True
    elif "classification" in raw and raw["classification"] is None:
        raw["classification"] = {}
    if isinstance(raw["server"], str):
        raw["server"] = dict(_EMBEDDED) if raw["server"] == "embedded" else {"url": raw["server"]}
    elif raw["server"] == _EMBEDDED:
        # A key with nothing behind it must not pass for the word that says so.
        raw["server"] = {"url": ""}
    for key, default in (("name", name_of(stem)), ("catalogue", "catalogue"), ("state", ".ddsim")):
        raw.setdefault(key, default)
    if isinstance(raw["catalogue"], dict):
        raw["catalogue"].setdefault("folder", "catalogue")
        return {}
    raw["catalogue"] = {"folder": raw["catalogue"]}
    return {("catalogue", "folder"): ("catalogue",)}


def _complete_services(raw: dict[str, Any], filling: Filling) -> dict[Key, Key]:
    """Fill in the defaults that follow from other settings; return which service keys come from ``network``."""
    inherited: dict[Key, Key] = {}
    for section, purpose in (("classification", "classes"), ("similarity", "similar")):
        part = raw.get(section)
        if isinstance(part, dict):
            if isinstance(raw["network"], dict):
                inherited |= _inherit(section, part, raw["network"])
            keys = (*fields(Network), "extract_layer")
            filling.fill(part, {key: inherited.get((section, key), (section, key)) for key in keys})
            _complete_service(part, purpose, raw)
    if isinstance(raw["index"], dict) and isinstance(raw["similarity"], dict):
        several = isinstance(raw["server"], dict) and raw["server"].get("urls") is not None
        torch = raw["similarity"].get("mllib") == "torch"
        raw["index"].setdefault("backend", "local" if torch or several else "server")
    return inherited


def _inherit(section: str, part: dict[str, Any], network: dict[str, Any]) -> dict[Key, Key]:
    keys = [key for key in fields(Network) if key not in part and (key in network or key != "repository")]
    if "name" in part:
        # A network of its own: what the other one is made of does not belong to it.
        keys = [key for key in keys if key not in NAMED]
    part.update({key: network[key] for key in keys if key in network})
    return {(section, key): ("network", key) for key in keys}


def _complete_service(part: dict[str, Any], purpose: str, raw: dict[str, Any]) -> None:
    name = name_of(str(raw["name"]))
    files_named = bool((part.get("def") or part.get("template")) and part.get("weights"))
    part.setdefault("service", f"{name}-{purpose}")
    part.setdefault("create_repository", files_named)
    if raw["server"] == _EMBEDDED and files_named and isinstance(raw["state"], str):
        # Only here does the server see ddsim's own folders.
        part.setdefault("repository", f"{raw['state']}/{name}/{purpose}")


def name_of(stem: str) -> str:
    """Some text as a name for settings."""
    return re.sub(r"[^A-Za-z0-9_.-]+", "-", stem).strip("-._")[:100] or "search"


def _read_categories(raw: dict[str, Any], folder: Path) -> list[Problem]:
    """Put the content of a categories file in the place of its name; return what is wrong with it."""
    if not isinstance(raw["categories"], str):
        return []
    file = folder / os.path.expanduser(raw["categories"])
    raw["categories"] = {}
    try:
        document = _parsed(file)
        if problems := document.problems + problems_in(Categories, document.data, None, document):
            raise config_error(file, document, problems)
    except ConfigError as error:
        return [Problem(("categories",), line) for line in str(error).splitlines()]
    raw["categories"] = document.data
    return []


def _escaped(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _escaped(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_escaped(item) for item in value]
    return value.replace("$", "$$") if isinstance(value, str) else value
