"""What a walk through a catalogue's folder met besides its items: counted, with some examples."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import PurePosixPath

from ddsim.catalogue.rules import Kind
from ddsim.showing import Value

_EXAMPLES = 5
# Endings that pictures have, whether or not this installation can read all of them.
_PICTURES = frozenset(
    {
        *("apng", "avif", "bmp", "cr2", "cr3", "dds", "dib", "dng", "gif", "heic", "heif", "icns", "ico"),
        *("j2k", "jfif", "jp2", "jpe", "jpeg", "jpf", "jpg", "jpx", "jxl", "mpo", "nef", "orf", "pbm", "pcx"),
        *("pgm", "png", "pnm", "ppm", "psd", "raf", "rw2", "svg", "tga", "tif", "tiff", "webp"),
    }
)


@dataclass
class Tally:
    """So many of a kind, with the first few names."""

    count: int = 0
    examples: list[str] = field(default_factory=list)

    def add(self, uri: str) -> None:
        """One more."""
        self.count += 1
        if len(self.examples) < _EXAMPLES:
            self.examples.append(uri)


@dataclass(repr=False)
class Survey(Value):
    """Filled by :func:`ddsim.catalogue.folder.walk` as it goes.

    Attributes:
        met: what was met, by kind; kinds that were not met are left out. A folder that is passed over counts once.
        shut: folders, and single files, that cannot be looked at, by uri, with the reason. They are not gone: what is
            known of them stays.
        empty: categories whose folder is there, and has no item in it.
    """

    met: dict[Kind, Tally] = field(default_factory=dict)
    shut: dict[str, str] = field(default_factory=dict)
    empty: list[str] = field(default_factory=list)

    def note(self, kind: Kind, uri: str) -> None:
        """One more of a kind."""
        self.met.setdefault(kind, Tally()).add(uri)

    def to_dict(self) -> dict[str, object]:
        """Plain values: kind -> count and examples."""
        return {kind.value: {"count": one.count, "examples": one.examples} for kind, one in sorted(self.met.items())}


def is_named_like_a_picture(name: str) -> bool:
    """Whether a file's ending is that of a picture."""
    return PurePosixPath(name).suffix[1:].lower() in _PICTURES
