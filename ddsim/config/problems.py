"""What is wrong with a configuration, in words for the person who wrote it."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from pydantic import BaseModel, TypeAdapter, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from ddsim.config.index import IndexSettings
from ddsim.config.reference import CatalogueSettings
from ddsim.config.routing import Routing
from ddsim.config.server import Server
from ddsim.config.services import Classification, Network, Similarity
from ddsim.config.settings import RulesBroken, Settings
from ddsim.config.upload import UploadSettings
from ddsim.config.values import Origin
from ddsim.config.web import Web
from ddsim.config.yamlfile import Document, Key, Problem, is_secret
from ddsim.deepdetect import shown_address
from ddsim.errors import ConfigError

_SECTIONS: dict[str, type[BaseModel]] = {
    "server": Server,
    "catalogue": CatalogueSettings,
    "network": Network,
    "classification": Classification,
    "similarity": Similarity,
    "index": IndexSettings,
    "routing": Routing,
    "upload": UploadSettings,
    "web": Web,
}
_EXPECTED = {
    "bool_type": "true or false",
    "dict_type": "a mapping (key: value)",
    "finite_number": "a finite number",
    "float_type": "a number",
    "greater_than": "more than {gt}",
    "greater_than_equal": "at least {ge}",
    "int_type": "a whole number",
    "less_than_equal": "at most {le}",
    "literal_error": "{expected}",
    "model_type": "a mapping (key: value)",
    "string_too_short": "text",
    "string_type": "text",
    "tuple_type": "a list, such as [first, second]",
}
# What may be written under keys that have a pattern.
_SPELT = {
    "name": "letters, digits, '_', '.' and '-', a letter or digit first, 100 at most",
    "collection": "letters without accents, digits and '_', no digit first, 100 at most",
    "accent": "a colour such as '#0a7d5a'",
}


def problems_in(kind: Any, data: Any, origin: Origin | None, document: Document, prefix: Key = ()) -> list[Problem]:
    """What keeps data from being of a type.

    Args:
        kind: the type.
        data: from the document, or made of it.
        origin: where the paths in it are relative to.
        document: knows lines and spelling.
        prefix: the key that the data stand under.
    """
    try:
        TypeAdapter(kind).validate_python(data, strict=True, context=origin)
    except ValidationError as error:
        return described(error, document, {}, prefix)
    return []


def described(error: ValidationError, document: Document, inherited: dict[Key, Key], prefix: Key = ()) -> list[Problem]:
    """The problems behind pydantic's error.

    Args:
        error: what pydantic said.
        document: knows lines and spelling.
        inherited: key where a value is used -> key where it stands.
        prefix: goes before every key.
    """
    problems = []
    for details in error.errors():
        cause = details.get("ctx", {}).get("error")
        broken = cause.broken if isinstance(cause, RulesBroken) else [((*prefix, *details["loc"]), "")]
        for loc, reason in broken:
            key = (*inherited.get(loc[:2], loc[:2]), *loc[2:])
            problems.append(Problem(key, reason or _message(details, key, document)))
    return problems


def _message(details: ErrorDetails, key: Key, document: Document) -> str:
    kind, value, context = details["type"], details["input"], details.get("ctx", {})
    if kind == "missing":
        description = _keys(key[:-1])[str(key[-1])].description or ""
        return f"missing: {description[:1].lower()}{description[1:].rstrip('.')}"
    if kind == "extra_forbidden":
        return _unknown(key)
    words = str(context["error"]) if kind == "value_error" else details["msg"]
    if kind == "string_pattern_mismatch":
        words = f"expected {_SPELT[str(key[-1])]}"
    elif kind in _EXPECTED:
        words = f"expected {_EXPECTED[kind].format(**context)}"
    if not words.startswith("expected"):
        return words
    text = document.places[key].text if key in document.places else ""
    if is_secret(key):
        return f"{words}; what is given is not shown here. Put it in quotes, or write ${{SOME_VARIABLE}}"
    if (key[:1] == ("server",) or key[-1:] == ("url",)) and isinstance(value, str):
        return f"{shown_address(value)!r:.80} given, {words}"
    source = f" (from {_printable(text)})" if "$" in text else ""
    return f"{_shown(value)}{source} given, {words}{_hint(kind, value, text)}"


def _hint(kind: str, value: Any, text: str) -> str:
    """What to write instead, where YAML reads a value as something else than people do."""
    if kind == "string_type" and isinstance(value, bool | int | float):
        return f": YAML reads {text} as {'true or false' if isinstance(value, bool) else 'a number'}, put it in quotes"
    if kind in ("int_type", "float_type") and isinstance(value, str):
        try:
            number = float(value)
        except ValueError:
            return ""
        return f": YAML reads it as text, write {int(number) if kind == 'int_type' and number.is_integer() else number}"
    return ""


def _shown(value: Any) -> str:
    if value is None:
        return "nothing"
    if isinstance(value, dict | list | tuple):
        return "a mapping" if isinstance(value, dict) else "a list"
    return str(value).lower() if isinstance(value, bool) else repr(value)[:80]


def _unknown(key: Key) -> str:
    name, known = str(key[-1]), _keys(key[:-1])
    homes = [home for home in ((), *((section,) for section in _SECTIONS)) if name in _keys(home)]
    near = difflib.get_close_matches(name, known, 1)
    if homes:
        return f"unknown key here; it belongs {'under ' + homes[0][0] if homes[0] else 'to the top level'}"
    return f"unknown key; did you mean {near[0]}?" if near else f"unknown key; known are {', '.join(sorted(known))}"


def _keys(section: Key) -> dict[str, FieldInfo]:
    if section:
        return fields(_SECTIONS[str(section[0])])
    return {**fields(Settings), "network": FieldInfo(annotation=Network)}


def fields(model: type[BaseModel]) -> dict[str, FieldInfo]:
    """A model's fields by the names that they have in a file."""
    return {field.alias or name: field for name, field in model.model_fields.items()}


def config_error(file: Path, document: Document, problems: Iterable[Problem]) -> ConfigError:
    """One line for each problem, in the file's order; what is said of a key once is not said again."""
    lines: dict[str, int] = {}
    refused = {problem.key for problem in document.problems}
    for problem in problems:
        line = problem.line or _line(problem.key, document)
        if problem.line is None and any(problem.key[:n] in refused for n in range(1, len(problem.key) + 1)):
            # The value could not be read to begin with; what it lacks besides is no news.
            continue
        where = f"{file}:{line}" if line else f"{file}"
        name = "".join(f"[{part}]" if isinstance(part, int) else f".{_printable(part)}" for part in problem.key)
        lines[f"{where}: {name.removeprefix('.')}: {problem.message}" if name else f"{where}: {problem.message}"] = line
    return ConfigError("\n".join(sorted(lines, key=lambda text: lines[text])))


def _printable(text: str) -> str:
    return text if text and text.isprintable() else repr(text)


def _line(key: Key, document: Document) -> int:
    """The line of a key, or of the innermost section around it that is in the file; 0 where there is none."""
    for length in range(len(key), 0, -1):
        if key[:length] in document.places:
            return document.places[key[:length]].line
    return 0
