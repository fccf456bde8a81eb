"""Ways to spoil files and JSON: a few edits, each a plain value, so that a finding can be written down and replayed."""

from __future__ import annotations

import copy
import json
from collections.abc import Sequence
from dataclasses import astuple, dataclass
from typing import Any

from hypothesis import strategies as st

#: What stands in the way of readers: of numbers, of text formats, of nesting.
TOKENS = [
    b"\x00", b"\xff", b"\xff\xff\xff\xff\xff\xff\xff\xff\x7f", b"\x80", b"\xef\xbb\xbf", b"\t", b"\r", b"\n", b" ",
    b": ", b"- ", b"? ", b"{", b"}", b"[", b"]", b"(", b'"', b"'", b"\\", b",", b";", b"#", b"&a ", b"*a",
    b"!!python/object ", b"|", b">", b"%", b"@", b"---\n", b"<<: ", b"${X}", b"$", b"null", b"true", b"-1", b"0",
    b"1e999", b"nan", b".inf", b"9" * 30, b"9" * 5000, b"0x", b"\xf0\x9f\x92\xa1", b"\xed\xa0\x80", b"layer {",
    b"top: 'x'", b"dim: 4294967296", b"num_output: 1000000000", b"{" * 200, b"[" * 200, b"- " * 200,
]  # fmt: skip
#: Values that no field expects.
VALUES: list[Any] = [
    None, True, False, -1, 0, 1, 2**31, 2**63, 2**64, 10**400, 0.5, -0.0, 1e308, float("nan"), float("inf"), "", " ",
    "0", "\0", "\ud800", "x" * 10_000, "\u00e9\u202e", [], {}, [[]], [None], [1, "a"], [[1, 2], [3]], {"code": "200"},
    {"a": {}}, {"code": -5}, {"code": True}, {"code": 2**70}, {"code": 1e999}, ["1", 2.5], [1e999],
]  # fmt: skip
_SPAN = 16


@dataclass(frozen=True)
class Edit:
    """One change.

    Attributes:
        kind: which, a number.
        where: 0 to 1, from the beginning to the end.
        what: which byte, token or value; or how long a piece.
    """

    kind: int
    where: float
    what: int


EDITS = st.lists(
    st.builds(Edit, st.integers(0, 9), st.floats(0, 1, exclude_max=True), st.integers(0, 2**16 - 1)),
    min_size=1,
    max_size=4,
)


def spoilt(data: bytes, edits: Sequence[Edit]) -> bytes:
    """The bytes with these edits, one after another."""
    for edit in edits:
        place, size = int(edit.where * len(data)), 1 + edit.what % _SPAN
        before, after = data[:place], data[place:]
        if edit.kind in (0, 1) and after:
            data = before + bytes([after[0] ^ (1 << edit.what % 8)]) + after[1:]
        elif edit.kind == 2 and after:
            data = before + bytes([edit.what % 256]) + after[1:]
        elif edit.kind == 3:
            data = before
        elif edit.kind == 4:
            data = before + after[size:]
        elif edit.kind == 5:
            data = before + bytes(size) + after[size:]
        elif edit.kind == 6:
            other = edit.what * 31 % (len(data) + 1)
            data = before + data[other : other + size] + after
        elif edit.kind == 7:
            data = before + TOKENS[edit.what % len(TOKENS)] + after[size:]
        else:
            data = before + TOKENS[edit.what % len(TOKENS)] + after
    return data


def spoilt_json(value: Any, edits: Sequence[Edit]) -> Any:
    """The value with these edits."""
    value = copy.deepcopy(value)
    for edit in edits:
        places = list(_places(value))
        if not places:
            return copy.deepcopy(VALUES[edit.what % len(VALUES)])
        holder, key = places[int(edit.where * len(places))]
        if edit.kind < 5:
            holder[key] = copy.deepcopy(VALUES[edit.what % len(VALUES)])
        elif edit.kind == 5:
            del holder[key]
        elif edit.kind == 6:
            other, its_key = places[edit.what % len(places)]
            holder[key] = copy.deepcopy(other[its_key])
        elif edit.kind == 7 and isinstance(holder, list):
            holder.insert(key, copy.deepcopy(holder[key]))
        elif edit.kind == 8:
            holder[key] = [holder[key]]
        else:
            holder[key] = str(holder[key])[:200]
    return value


def _places(value: Any) -> Any:
    keys = value.keys() if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ()
    for key in keys:
        yield value, key
        yield from _places(value[key])


def as_json(value: Any) -> bytes:
    """JSON as a careless server would write it: NaN, infinities and broken letters as they are."""
    return json.dumps(value, ensure_ascii=False).encode("utf-8", "surrogatepass")


def plain(edits: Sequence[Edit]) -> list[list[float]]:
    """The edits as JSON can hold them."""
    return [list(astuple(edit)) for edit in edits]


def of_plain(kept: Sequence[Sequence[float]]) -> list[Edit]:
    """What :func:`plain` gave."""
    return [Edit(int(kind), where, int(what)) for kind, where, what in kept]
