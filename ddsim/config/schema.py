"""What may stand in a configuration's file, as a JSON schema: editors complete and check by it.

It is looser than :func:`ddsim.config.load`, which knows what goes together: a file that loads is never wrong by it.
"""

from __future__ import annotations

import re
from typing import Any

from ddsim.config.services import Network
from ddsim.config.settings import Settings

#: What the file is called beside the configurations that come with ddsim.
SCHEMA = "ddsim.schema.json"
_DIALECT = "http://json-schema.org/draft-07/schema#"
_VARIABLE = {"type": "string", "pattern": r"\$\{"}
_SIZE = {"type": "string", "pattern": r"^\s*\d+(\.\d+)?\s*([kKmMgG][iI]?[bB]?|[bB]?)[bB]?\s*$|\$\{"}
_SIZES = ("batch_bytes", "cache", "max_bytes")
_TEXT = {"type": "string"}
_TRAINED = {"const": "trained", "description": "A classifier that `ddsim train` makes, in the place of a service."}
_MATRIX = {
    "type": "object",
    "description": "Lists of values whose combinations `ddsim evaluate` compares; configs/experiments/ shows how.",
}
# What must stand there wherever the section does; all else has defaults, or comes from other sections.
_REQUIRED = {"Similarity": ["extract_layer"]}


def json_schema() -> dict[str, Any]:
    """The schema, as plain values."""
    whole = Settings.model_json_schema(by_alias=True)
    sections: dict[str, Any] = {**whole["$defs"], "Network": Network.model_json_schema(by_alias=True)}
    sections["Network"].pop("$defs", None)
    keys = {key: _loose(key, value) for key, value in whole["properties"].items() if key != "trained"}
    short = {"catalogue": "CatalogueSettings", "server": "Server", "network": "Network"}
    keys |= {key: _either(keys.get(key, {}), _TEXT, _reference(name)) for key, name in short.items()}
    keys["classification"] = _either(keys["classification"], _TRAINED, _reference("Classification"), {"type": "null"})
    keys["categories"] = _either(keys["categories"], _TEXT, {"type": "object", "additionalProperties": _TEXT})
    for key in ("index", "routing", "upload", "web"):
        keys[key] = _either(keys[key], {"$ref": keys[key]["$ref"]}, {"type": "null"})
    return {
        "$schema": _DIALECT,
        "title": "A configuration of ddsim",
        "description": "One way to search: a server, a network, a catalogue, and what to do with pictures.",
        "type": "object",
        "additionalProperties": False,
        "properties": {**keys, "matrix": _MATRIX},
        "$defs": {name: _section(name, section) for name, section in sorted(sections.items())},
    }


def _section(name: str, section: dict[str, Any]) -> dict[str, Any]:
    properties = {key: _loose(key, value) for key, value in section["properties"].items()}
    told = {"type": "object", "description": _plain(section["description"]), "additionalProperties": False}
    required = {"required": _REQUIRED[name]} if name in _REQUIRED else {}
    return {**told, **required, "properties": properties}


def _loose(key: str, value: dict[str, Any]) -> dict[str, Any]:
    """A key as a file may have it: variables stand for anything, and some values have a short form."""
    kept: dict[str, Any] = {
        name: value[name] for name in ("description", "default") if name in value and value[name] not in ({}, [])
    }
    if "description" in kept:
        kept["description"] = _plain(kept["description"])
    forms = value.get("anyOf") or [{name: part for name, part in value.items() if name not in _OUTSIDE}]
    if "$ref" in forms[0]:
        return {**kept, **forms[0]}
    forms = [{name: part for name, part in form.items() if name not in ("ge", "le", "format")} for form in forms]
    if key in _SIZES:
        forms.append(_SIZE)
    elif key == "gpuid":
        forms.append(forms[0]["items"])
    elif key == "verify":
        forms.append({"const": True})
    if not any(form.get("type") == "string" and "enum" not in form and "pattern" not in form for form in forms):
        forms.append(_VARIABLE)
    return {**kept, **forms[0]} if len(forms) == 1 else {**kept, "anyOf": forms}


_OUTSIDE = ("title", "description", "default")


def _either(value: dict[str, Any], *forms: dict[str, Any]) -> dict[str, Any]:
    kept = {"description": value["description"]} if "description" in value else {}
    return {**kept, "anyOf": list(forms)}


def _reference(name: str) -> dict[str, str]:
    return {"$ref": f"#/$defs/{name}"}


def _plain(text: str) -> str:
    """A docstring without marks of its own, on one line."""
    return re.sub(r"``(.*?)``", r"\1", " ".join(text.split()))
