"""The list of the segments that count, in which order: a file of lines, of which the last whole one says so.

A line is appended at every checkpoint, with a checksum; one that was cut, or is not as it was written, is passed over
for the one before.
"""

from __future__ import annotations

import zlib
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, get_args

import orjson

from ddsim.vectors.exact import Metric
from ddsim.vectors.files import Damaged, read
from ddsim.vectors.segments import Entry

#: What the file is called.
LIST = "segments.json"
#: What the names of the segments' files end in.
ENDING = ".seg"
_VERSION = 1


@dataclass(frozen=True, slots=True)
class Listed:
    """What a list says.

    Attributes:
        dimension: how many values a row has.
        metric: rows are kept as they are compared by it.
        key: what the rows are, where that can change.
        segments: in the order in which they were saved.
        last: the largest number that a segment was given.
    """

    dimension: int
    metric: Metric
    key: str = ""
    segments: tuple[Entry, ...] = ()
    last: int = 0


def line_of(listed: Listed) -> bytes:
    """What is appended to the file, so that it says this."""
    content = orjson.dumps(asdict(listed) | {"version": _VERSION})
    return orjson.dumps({"crc": zlib.crc32(content)})[:-1] + b',"list":' + content + b"}\n"


def listed_in(folder: Path) -> Listed | None:
    """What the list in a folder says; None where there is none that can be used.

    Raises:
        ConfigError: it cannot be read.
    """
    with suppress(Damaged):
        return read_list(folder / LIST)[0]
    return None


def read_list(path: Path) -> tuple[Listed | None, int]:
    """What its last whole line says, and where that ends; None of a missing file.

    Raises:
        Damaged: no line is as it was written.
        ConfigError: it cannot be read.
    """
    try:
        with read(path):
            whole = path.read_bytes()
    except FileNotFoundError:
        return None, 0
    why, end = Damaged("empty"), len(whole)
    while end:
        start = whole.rfind(b"\n", 0, end - 1) + 1
        try:
            return _read_line(whole[start:end]), end
        except Damaged as error:
            why, end = error, start
    raise why


def _read_line(line: bytes) -> Listed:
    if not line.endswith(b"\n"):
        raise Damaged("cut")
    try:
        found = orjson.loads(line)
        content = found["list"]
        if zlib.crc32(orjson.dumps(content)) != found["crc"]:
            raise Damaged("not as it was written: the checksum of its list differs")
        return _listed(content)
    except (KeyError, TypeError, ValueError) as error:
        raise Damaged(f"damaged: its list cannot be read ({type(error).__name__}: {error})") from error


def _listed(content: Any) -> Listed:
    """Raises Damaged, KeyError, TypeError or ValueError where it is none."""
    if content["version"] != _VERSION or content["metric"] not in get_args(Metric):
        raise Damaged("of another version of ddsim")
    entries = [Entry(str(one["name"]), int(one["size"]), int(one["crc"])) for one in content["segments"]]
    if any(Path(entry.name).name != entry.name or not entry.name.endswith(ENDING) for entry in entries):
        raise Damaged("damaged: its list names what is no segment")
    return Listed(
        int(content["dimension"]), content["metric"], str(content["key"]), tuple(entries), int(content["last"])
    )
