"""Protobuf's text format, in which ``deploy.prototxt`` is written: read into a tree, and written out again.

Only the syntax is known here, not Caffe's schema: what a field means is the business of whoever reads the tree.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from ddsim.errors import DDSimError

_GAP = re.compile(r"(?:\s+|#[^\n]*)*")
_TOKEN = re.compile(
    r"""(?:(?P<text>"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*')       # a quoted string
         | (?P<word>[\w.+-]+)                                      # a key, a number, true, an enumeration's name
         | (?P<mark>[{}<>:\[\],;])
         | (?P<end>\Z))""",
    re.VERBOSE,
)
_CLOSER = {"{": "}", "<": ">"}
#: Deep enough for any network; keeps writing, which recurses, away from Python's own limit.
_DEEPEST = 100


class PrototxtError(DDSimError, ValueError):
    """A definition cannot be read or used; the message says where and why."""


@dataclass
class Message:
    """The fields between two braces, in their order.

    Attributes:
        fields: (key, value); a value is a nested message or a scalar as it was written, quotes included.
    """

    fields: list[tuple[str, str | Message]] = field(default_factory=list)

    def messages(self, key: str) -> list[Message]:
        """All nested messages of that key."""
        return [value for name, value in self.fields if name == key and isinstance(value, Message)]

    def texts(self, key: str) -> list[str]:
        """All scalars of that key, without their quotes."""
        return [_unquoted(value) for name, value in self.fields if name == key and isinstance(value, str)]

    def text(self, key: str, default: str = "") -> str:
        """The last scalar of that key, as protobuf takes it where a field is given twice."""
        return [default, *self.texts(key)][-1]

    def integers(self, key: str) -> list[int]:
        """All scalars of that key as integers.

        Raises:
            PrototxtError: one of them is none.
        """
        try:
            return [int(value, 0) for value in self.texts(key)]
        except ValueError:
            raise PrototxtError(f"{key}: expected integers, found {self.texts(key)}") from None

    def floats(self, key: str) -> list[float]:
        """All scalars of that key as numbers.

        Raises:
            PrototxtError: one of them is none.
        """
        try:
            return [float(value.rstrip("fF")) for value in self.texts(key)]
        except ValueError:
            raise PrototxtError(f"{key}: expected numbers, found {self.texts(key)}") from None


def parse(text: str) -> Message:
    """Read a definition.

    Raises:
        PrototxtError: naming the line that cannot be read.
    """
    reader = _Reader(text.removeprefix("\ufeff"))
    opened = [(Message(), "")]
    while reader.kind != "end":
        message, closer = opened[-1]
        if reader.piece in {",", ";"}:
            reader.step()
        elif reader.piece in {"}", ">"}:
            if reader.piece != closer:
                raise reader.error(f"{reader.piece!r} closes nothing")
            opened.pop()
            reader.step()
        else:
            child = reader.field(message)
            if child is not None:
                opened.append(child)
            if len(opened) > _DEEPEST:
                raise reader.error(f"more than {_DEEPEST} messages within one another")
    if len(opened) > 1:
        raise reader.error(f"the file ends before {len(opened) - 1} closing brace(s)")
    return opened[0][0]


def to_text(message: Message) -> str:
    """The message as protobuf's text, one field a line."""
    lines = []
    for key, value in message.fields:
        if isinstance(value, Message):
            lines.append(f"{key} {{\n{to_text(value)}}}\n")
        else:
            lines.append(f"{key}: {value}\n")
    return "".join(lines)


def quoted(text: str) -> str:
    """A string as the format writes it."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


class _Reader:
    """Walks over the tokens.

    Attributes:
        kind: ``word``, ``text`` (quoted), ``mark`` or ``end``.
        piece: the token it stands on, as written.
    """

    def __init__(self, text: str) -> None:
        self._text = text
        self._position = 0
        self.kind, self.piece, self._start = "", "", 0
        self.step()

    def step(self) -> None:
        gap = _GAP.match(self._text, self._position)
        self._start = gap.end() if gap else self._position
        match = _TOKEN.match(self._text, self._start)
        if match is None or match.lastgroup is None:
            raise self.error(f"cannot read {self._text[self._start : self._start + 30]!r}")
        self.kind, self.piece, self._position = match.lastgroup, match[0], match.end()

    def error(self, problem: str) -> PrototxtError:
        return PrototxtError(f"line {self._text.count(chr(10), 0, self._start) + 1}: {problem}")

    def field(self, message: Message) -> tuple[Message, str] | None:
        """Read one field into ``message``; where it is a nested message, its beginning: that message and its closer."""
        if self.kind != "word":
            raise self.error(f"expected a key, found {self.piece!r}")
        key = self.piece
        self.step()
        colon = self.piece == ":"
        if colon:
            self.step()
        if self.piece in _CLOSER:
            child = Message()
            message.fields.append((key, child))
            closer = _CLOSER[self.piece]
            self.step()
            return child, closer
        if not colon:
            raise self.error(f"expected ':' or '{{' after {key!r}, found {self.piece or 'the end'!r}")
        message.fields.extend((key, value) for value in self._values(key))
        return None

    def _values(self, key: str) -> list[str]:
        """The scalar after a colon, or all of a list in brackets."""
        if self.piece != "[":
            return [self._value(key)]
        values = []
        self.step()
        while self.piece != "]":
            values.append(self._value(key))
            if self.piece == ",":
                self.step()
        self.step()
        return values

    def _value(self, key: str) -> str:
        kind, value = self.kind, self.piece
        if kind not in {"word", "text"}:
            raise self.error(f"expected a value for {key!r}, found {value or 'the end'!r}")
        self.step()
        while kind == "text" and self.kind == "text":
            value += " " + self.piece  # strings side by side are one string
            self.step()
        return value


def _unquoted(scalar: str) -> str:
    if scalar[0] not in "\"'":
        return scalar
    parts = re.findall(r'"((?:[^"\\]|\\.)*)"|\'((?:[^\'\\]|\\.)*)\'', scalar)
    return re.sub(r"\\(.)", r"\1", "".join(one or other for one, other in parts))
