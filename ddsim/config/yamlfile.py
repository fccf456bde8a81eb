"""YAML text -> plain data that remembers the line of every key.

Stricter than YAML where YAML surprises: a key stands once, anchors and tags are refused, and a number must read in YAML
as it reads to people (``012`` would be 10, ``1:30`` would be 90). Nothing in a file is ever executed.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

Key = tuple[str | int, ...]

_SECRETS = frozenset({"password", "token"})
_TAG = "tag:yaml.org,2002:"
_TYPED = frozenset({_TAG + kind for kind in ("int", "float", "bool", "null")})
_INDENT = re.compile(rb"[ \t]+")
_ORDINARY_NUMBER = re.compile(r"[-+]?(?:0|[1-9]\d*|(?:\d+\.\d*|\.\d+)(?:[eE][-+]\d+)?|\.(?:inf|nan))", re.IGNORECASE)
# The last branch catches a dollar sign that begins neither a variable nor an escape.
_VARIABLE = re.compile(r"\$(?:(?P<sign>\$)|\{(?P<name>[A-Za-z_]\w*)(?::-(?P<default>[^{}$]*))?\}|(?P<lone>))", re.ASCII)


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong: where (key path and line, None where unknown) and what."""

    key: Key
    message: str
    line: int | None = None


@dataclass(frozen=True)
class Place:
    """Where a value stands, lines counted from 1, and how it is written (empty for lists and mappings)."""

    line: int
    text: str = ""


@dataclass
class Document:
    """A parsed file.

    Attributes:
        data: mappings with text keys, lists, and scalars; None for an empty file.
        places: key path -> where it stands.
        problems: what was wrong on the way; data is then incomplete.
        file: where it was read from; empty for text alone.
        folder: what relative paths in it are relative to.
    """

    data: Any = None
    places: dict[Key, Place] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    file: Path = Path()
    folder: Path = field(default_factory=Path.cwd)


def parse(content: bytes, variables: Mapping[str, str]) -> Document:
    """Read one YAML document; ``${NAME}`` and ``${NAME:-default}`` in its values are taken from ``variables``.

    Variables are filled into values after parsing, so their content cannot add keys or structure. An unquoted value
    gets its type after that: with PORT=80, ``${PORT}`` is a number and ``"${PORT}"`` is text. As in a shell, the
    default also stands in for an empty variable. ``$$`` is a dollar sign.
    """
    document = Document()
    try:
        node = yaml.compose(content, Loader=_Loader)
        if node is not None:
            document.data = _Reader(document, variables).read(node, ())
    except yaml.MarkedYAMLError as error:
        document.problems.append(_syntax_problem(error, content))
    except yaml.YAMLError as error:
        document.problems.append(Problem((), f"cannot be read as YAML: {' '.join(str(error).split())}"))
    except RecursionError:
        document.problems.append(Problem((), "is nested too deeply to be a configuration"))
    return document


class _Loader(yaml.SafeLoader):
    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        # A self-referring alias would never end, and settings that two services share have their own section.
        if self.check_event(yaml.AliasEvent):
            mark = self.peek_event().start_mark  # type: ignore[no-untyped-call]
            raise yaml.composer.ComposerError(None, None, "anchors and aliases are not supported here", mark)
        return super().compose_node(parent, index)


def _syntax_problem(error: yaml.MarkedYAMLError, content: bytes) -> Problem:
    mark = error.problem_mark or error.context_mark
    words = ", ".join(part for part in (error.context, error.problem) if part)
    if mark is None:
        return Problem((), f"cannot be read as YAML: {words}")
    indent = _INDENT.match(content.splitlines()[mark.line]) if mark.line < len(content.splitlines()) else None
    if indent and b"\t" in indent[0]:
        # The parser blames now the tab, now what follows it.
        column = indent[0].index(b"\t") + 1
        return Problem((), f"column {column}: a tab: YAML is indented with spaces, not tabs", mark.line + 1)
    return Problem((), f"column {mark.column + 1}: cannot be read as YAML: {words}", mark.line + 1)


class _Reader:
    def __init__(self, document: Document, variables: Mapping[str, str]) -> None:
        self._document = document
        self._variables = variables
        self._loader = _Loader("")

    def read(self, node: yaml.Node, key: Key) -> Any:
        self._document.places.setdefault(key, Place(_line(node)))
        if isinstance(node, yaml.MappingNode) and node.tag == _TAG + "map":
            return self._mapping(node, key)
        if isinstance(node, yaml.SequenceNode) and node.tag == _TAG + "seq":
            return [self.read(child, (*key, i)) for i, child in enumerate(node.value)]
        if isinstance(node, yaml.ScalarNode):
            return self._scalar(node, key)
        return self._refuse(node, key, f"the tag {node.tag.replace(_TAG, '!!')} is not supported here")

    def _mapping(self, node: yaml.MappingNode, key: Key) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for name, child in node.value:
            if not isinstance(name, yaml.ScalarNode):
                self._refuse(name, key, "a list or mapping cannot be a key")
                continue
            inner: Key = (*key, name.value)
            if name.value in found:
                self._refuse(name, inner, f"stands twice, first on line {self._document.places[inner].line}")
                continue
            # The key's own line: a value may begin on a later one. Keys are text however YAML would type them, so that
            # a label may be called 0 or no.
            self._document.places[inner] = Place(_line(name))
            found[name.value] = self.read(child, inner)
        return found

    def _scalar(self, node: yaml.ScalarNode, key: Key) -> Any:
        place = self._document.places[key]
        self._document.places[key] = Place(place.line, node.value)
        plain = node.style is None
        implied = self._loader.resolve(yaml.ScalarNode, node.value, (plain, not plain))  # type: ignore[no-untyped-call]
        if node.tag not in (implied, _TAG + "str"):
            return self._refuse(node, key, f"the tag {node.tag.replace(_TAG, '!!')} is not supported here")
        text, tag = self._expanded(node, key), node.tag
        if any("\ud800" <= letter <= "\udfff" for letter in text):
            # Escapes such as "\ud800" and variables that are no UTF-8 end up so; neither can be sent to a server.
            return self._refuse(node, key, "is not valid Unicode text")
        if text != node.value and plain:
            tag = self._loader.resolve(yaml.ScalarNode, text, (True, False))  # type: ignore[no-untyped-call]
        if tag not in _TYPED:
            return text
        return self._typed(yaml.ScalarNode(tag, text, node.start_mark, node.end_mark), key)

    def _typed(self, node: yaml.ScalarNode, key: Key) -> Any:
        try:
            value = self._loader.construct_object(node)
            shown = str(value)
        except ValueError:  # no digits after 0x, or more of them than Python converts
            return self._refuse(node, key, f"{_quoted(node, key)} is not a number")
        if node.tag in (_TAG + "int", _TAG + "float") and not _ORDINARY_NUMBER.fullmatch(node.value):
            if is_secret(key):
                return self._refuse(node, key, "YAML reads it as a number: put it in quotes")
            advice = f"write {shown} if that is meant, or quote it for text"
            return self._refuse(node, key, f"YAML reads {node.value} as {shown}: {advice}")
        return value

    def _expanded(self, node: yaml.ScalarNode, key: Key) -> str:
        def fill(match: re.Match[str]) -> str:
            if match["sign"]:
                return "$"
            if match["lone"] is not None:
                words = "a lone $: write ${NAME} or ${NAME:-default} for a variable, $$ for the sign itself"
                self._refuse(node, key, f"{_quoted(node, key)} has {words}")
                return "$"
            value = self._variables.get(match["name"])
            if match["default"] is not None:
                return value or match["default"]
            if value is None:
                words = f"set it, or write ${{{match['name']}:-default}}"
                self._refuse(node, key, f"the environment variable {match['name']} is not set: {words}")
            return value or ""

        return _VARIABLE.sub(fill, node.value)

    def _refuse(self, node: yaml.Node, key: Key, message: str) -> None:
        self._document.problems.append(Problem(key, message, _line(node)))


def is_secret(key: Key) -> bool:
    """Whether what stands under a key may not be shown."""
    return bool(key) and key[-1] in _SECRETS


def _quoted(node: yaml.ScalarNode, key: Key) -> str:
    # An address may hold a password too, and one that cannot be read need not look like an address.
    return "what is given" if is_secret(key) or "server" in key[:1] or "url" in key[-1:] else repr(node.value[:80])


def _line(node: yaml.Node) -> int:
    return int(node.start_mark.line) + 1
