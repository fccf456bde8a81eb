"""The small pictures of a report, read again where they lie when it is drawn."""

from __future__ import annotations

from dataclasses import dataclass

from ddsim.errors import CatalogueUnreachable, ImageError
from ddsim.pictures import thumbnail
from ddsim.sources import Source

_SIDE = 160


@dataclass(frozen=True, slots=True)
class Thumbnails:
    """Gives small pictures of items and queries.

    Attributes:
        items, queries: where they are.
        max_bytes: larger files are not read.
    """

    items: Source
    queries: Source
    max_bytes: int

    def __call__(self, kind: str, uri: str) -> bytes | None:
        """The content of a JPEG file of up to 160 pixels a side; None where the picture cannot be read any more.

        Args:
            kind: ``item`` or ``query``.
            uri: its name in that place.
        """
        source = self.items if kind == "item" else self.queries
        try:
            content = source.read(uri, self.max_bytes)
        except (ImageError, CatalogueUnreachable):
            return None
        return thumbnail(content, _SIDE)
