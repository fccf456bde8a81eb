"""Files of labels: a line ``<number> <label>`` for each class, and the other forms that they come in."""

from __future__ import annotations

import codecs
import re
from dataclasses import dataclass

from ddsim.errors import DDSimError

_NUMBERED = re.compile(r"(?P<number>\d{1,9})(?P<gap>[ \t,;:]+)(?P<label>\S.*)")
_SYNSET = re.compile(r"n\d{8}\b")
_MARKS = {codecs.BOM_UTF8: "utf-8", codecs.BOM_UTF16_LE: "utf-16-le", codecs.BOM_UTF16_BE: "utf-16-be"}


class LabelsError(DDSimError, ValueError):
    """A file of labels cannot be read; the message says why."""


@dataclass(frozen=True)
class Labels:
    """What a file of labels says.

    Attributes:
        names: number of the class -> label, without blanks at its ends.
        oddities: what a server would stumble over, in words; empty where it reads the file as it is meant.
    """

    names: dict[int, str]
    oddities: tuple[str, ...]

    def text(self) -> str:
        """The file as a server wants it."""
        return "".join(f"{number} {name}\n" for number, name in sorted(self.names.items()))


def read_labels(content: bytes, classes: int | None = None) -> Labels:
    """Read a file of labels, whatever form it has.

    Args:
        content: of the file: numbered lines as a server wants them; also with a byte order mark, with Windows' ends of
            lines, with tabs, counted from 1, without numbers, or as ImageNet's ``synset_words.txt``.
        classes: how many the network knows; None where nobody says.

    Raises:
        LabelsError: it is empty, is no text, or numbers some lines only, or one number twice.
    """
    text, oddities = _decoded(content)
    lines = [line.strip() for line in text.splitlines()]
    kept = [line for line in lines if line]
    if not kept:
        raise LabelsError("it has no labels")
    if any("\0" in line or line.startswith(("<!DOCTYPE", "<html")) for line in kept[:20]):
        raise LabelsError("it is no text of labels")
    numbered = [_NUMBERED.fullmatch(line) for line in kept]
    if not any(numbered):
        form = "as in synset_words.txt" if _SYNSET.match(kept[0]) else "a label a line"
        return Labels(dict(enumerate(kept)), (*oddities, f"its lines have no numbers ({form})"))
    names: dict[int, str] = {}
    for line, match in zip(kept, numbered, strict=True):
        if match is None:
            raise LabelsError(f"some lines begin with a number, and {line[:60]!r} does not")
        if int(match["number"]) in names:
            raise LabelsError(f"number {match['number']} is there twice")
        names[int(match["number"])] = match["label"]
    if any(match["gap"] != " " for match in numbered if match):
        oddities.append("something else than one blank is behind its numbers")
    if 0 not in names and len(names) == classes and set(names) == set(range(1, len(names) + 1)):
        names = {number - 1: name for number, name in names.items()}
        oddities.append("its numbers begin with 1")
    return Labels(names, tuple(oddities))


def _decoded(content: bytes) -> tuple[str, list[str]]:
    oddities = []
    coding = "utf-8"
    for mark, of_mark in _MARKS.items():
        if content.startswith(mark):
            content, coding = content[len(mark) :], of_mark
            oddities.append("it begins with a byte order mark")
    if b"\r" in content:
        oddities.append("its lines end as on Windows")
    try:
        return content.decode(coding, "surrogateescape"), oddities
    except UnicodeDecodeError as error:
        raise LabelsError("it is no text of labels") from error
