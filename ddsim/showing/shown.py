"""What results have in common: a short repr and plain values; those with more to see also HTML, and rich's way."""

from __future__ import annotations

from dataclasses import Field, fields, is_dataclass
from typing import TYPE_CHECKING, Any

from ddsim.showing.brief import value_in_brief
from ddsim.showing.html import drawn
from ddsim.showing.plain import plain
from ddsim.showing.sketch import Sketch
from ddsim.showing.terminal import rendered

if TYPE_CHECKING:
    from rich.console import Group

_WIDTH = 120
_LINES = 3


def _fields(value: object) -> tuple[Field[Any], ...]:
    return fields(value) if is_dataclass(value) else ()


class Value:
    """A dataclass whose repr is a line, however long what it holds is."""

    __slots__ = ()

    def __repr__(self) -> str:
        said = ", ".join(f"{one.name}={value_in_brief(getattr(self, one.name))}" for one in _fields(self) if one.repr)
        text = f"{type(self).__name__}({said})"
        return text if len(text) <= _LINES * _WIDTH else f"{text[: _LINES * _WIDTH - 4]}...)"

    def to_dict(self) -> dict[str, Any]:
        """The same as plain values, which JSON has, too: paths as text, what is not finite as None."""
        return {one.name: plain(getattr(self, one.name)) for one in _fields(self)}


class Shown(Value):
    """A result with more to see: :meth:`_brief` is its repr, :meth:`_sketch` what notebooks and terminals draw."""

    __slots__ = ()

    def _brief(self) -> str:
        raise NotImplementedError

    def _sketch(self) -> Sketch:
        return Sketch(f"{type(self).__name__}: {self._brief()}")

    def __repr__(self) -> str:
        return f"<{type(self).__name__}: {self._brief()}>"

    def _repr_html_(self) -> str:
        return drawn(self._sketch())

    def __rich__(self) -> Group:
        return rendered(self._sketch())
