"""Request bodies, read as DeepDetect's JSON parser and its typed container read them."""

from __future__ import annotations

import json
import re
from typing import Any, cast

from ddsim.deepdetect.transport import Decoded
from ddsim.embedded.replies import Json, malformed, would_have_died, wrong_type

_INT32 = range(-(2**31), 2**31)
_INT64 = range(-(2**63), 2**63)
_UINT64_MAX = 2**64 - 1
_SURROGATE_ESCAPE = re.compile(rb"\\u[dD][89a-fA-F]")
_ESCAPE = re.compile(rb"\\(?:u([0-9a-fA-F]{4})|.)", re.DOTALL)
_HIGH, _LOW = range(0xD800, 0xDC00), range(0xDC00, 0xE000)


def parse(body: bytes) -> Any:
    """A JSON value; bytes that are not UTF-8 become surrogate escapes, of equal keys the first one counts.

    NaN and Infinity are accepted, a byte order mark, trailing commas and raw control characters are not
    (recordings/wire/10c-json-edges).

    Raises:
        Refusal: 400 without dd_code.
    """
    if _SURROGATE_ESCAPE.search(body):
        body = _spell_out_surrogates(body)
    try:
        return json.loads(body.decode("utf-8", "surrogateescape"), object_pairs_hook=_first_of_equal_keys)
    except (ValueError, RecursionError):
        raise malformed() from None


def _first_of_equal_keys(pairs: list[tuple[str, Any]]) -> Json:
    return dict(reversed(pairs)) if len({key for key, _ in pairs}) < len(pairs) else dict(pairs)


def _spell_out_surrogates(body: bytes) -> bytes:
    r"""Replace escapes of surrogates by the bytes that the real server makes of them.

    A pair is one character; a lone low one, ``\udcff``, becomes the three bytes ED B3 BF; a lone high one is an error
    (recordings/wire/10c-json-edges). Python's parser would keep lone ones as characters of their own, which
    could not be told from bytes that are not UTF-8.
    """
    out: list[bytes] = []
    position = 0
    high: int | None = None
    for match in _ESCAPE.finditer(body):
        if high is not None and match.start() != position:
            raise malformed()
        code = int(match[1], 16) if match[1] else 0
        if high is not None:
            if code not in _LOW:
                raise malformed()
            out.append(chr(0x10000 + ((high - 0xD800) << 10) + (code - 0xDC00)).encode())
            high, position = None, match.end()
        elif code in _HIGH or code in _LOW:
            out.append(body[position : match.start()])
            position = match.end()
            high = code if code in _HIGH else None
            if high is None:
                out.append(chr(code).encode("utf-8", "surrogatepass"))
    if high is not None:
        raise malformed()
    return b"".join(out) + body[position:]


def container(value: Json) -> Json:
    """The request as DeepDetect's typed container holds it.

    Null and empty arrays are absent, strings end at the first NUL, the first element decides an array's type.

    Raises:
        Refusal: 400 without dd_code for a type the container lacks; 500 for an array of mixed types, which ends a
            server built as the official images are (without NDEBUG) and gives nonsense or 400 in one built
            otherwise (recordings/CHECKED.md).
    """
    converted = {key: _converted(part) for key, part in value.items()}
    return {key: part for key, part in converted.items() if part is not None}


def _converted(value: Any) -> Any:
    if isinstance(value, str):
        return value.split("\0", 1)[0] if "\0" in value else value
    if isinstance(value, dict):
        return container(value)
    if isinstance(value, list):
        return _array(value) if value else None
    if _is_int(value) and value not in _INT64:
        if value <= _UINT64_MAX and value > 0:
            raise malformed()
        return float(value)
    return value


def _array(values: list[Any]) -> list[Any]:
    first = values[0]
    if first is None or isinstance(first, list) or (_is_int(first) and first not in _INT32):
        raise malformed()
    if isinstance(first, float):
        fits = all(isinstance(value, float) or _is_int(value) for value in values)
    elif _is_int(first):
        fits = all(_is_int(value) and value in _INT32 for value in values)
    else:
        fits = all(isinstance(value, type(first)) for value in values)
    if not fits:
        raise would_have_died(
            "SIGABRT",
            "an array of mixed types, which builds without NDEBUG (the official images) do not survive; "
            "write all of its elements as one type, e.g. 104.0 beside 117.5",
        )
    if isinstance(first, float):
        return [float(value) for value in values]
    return [_converted(value) for value in values]


def _is_int(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def section(value: Json, *keys: str) -> Json:
    """The object at that path; empty where it is missing or no object, which the real server ignores as well."""
    for key in keys:
        part = value.get(key)
        if not isinstance(part, dict):
            return {}
        value = part
    return value


def an_int(value: Json, key: str, default: int) -> int:
    """A 32-bit integer; 500/1007 for anything else, ``5.0`` and ``true`` included."""
    found = value.get(key, default)
    if not _is_int(found) or found not in _INT32:
        raise wrong_type()
    return cast(int, found)


def a_bool(value: Json, key: str, default: bool) -> bool:
    """A boolean; 500/1007 for anything else."""
    found = value.get(key, default)
    if not isinstance(found, bool):
        raise wrong_type()
    return found


def a_string(value: Json, key: str, default: str) -> str:
    """A string; 500/1007 for anything else."""
    found = value.get(key, default)
    if not isinstance(found, str):
        raise wrong_type()
    return found


def a_number(value: Json, key: str, default: float) -> float:
    """A number; 500/1007 for anything else."""
    found = value.get(key, default)
    if isinstance(found, bool) or not isinstance(found, (int, float)):
        raise wrong_type()
    return float(found)


def pictures(value: Json) -> list[str | bytes | Decoded] | None:
    """The ``data`` of a call, None where absent: strings; within the process, files as they are.

    Raises:
        Refusal: 500/1007 for anything else.
    """
    found = value.get("data")
    if isinstance(found, list) and isinstance(found[0], (bytes, Decoded)):
        return found
    return cast("list[str | bytes | Decoded] | None", strings(value, "data"))


def strings(value: Json, key: str) -> list[str] | None:
    """A list of strings, None where absent; 500/1007 for anything else."""
    found = value.get(key)
    if found is None:
        return None
    if not isinstance(found, list) or not isinstance(found[0], str):
        raise wrong_type()
    return found
