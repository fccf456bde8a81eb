"""What is to be said about pictures that are indexed all the same."""

from __future__ import annotations

from collections.abc import Sequence

from ddsim.indexing.preparing import Ready
from ddsim.showing import counted

_NAMED = 3


class Remarks:
    """Counts pictures by what was remarked about them; a hundred thousand of them make one sentence."""

    def __init__(self) -> None:
        self._counts: dict[str, int] = {}
        self._named: dict[str, list[str]] = {}

    def take(self, batch: Sequence[Ready]) -> None:
        """Note what was remarked about these."""
        for ready in batch:
            if remark := ready.picture.remark:
                self._counts[remark] = self._counts.get(remark, 0) + 1
                named = self._named.setdefault(remark, [])
                if len(named) < _NAMED:
                    named.append(ready.row.uri)

    def sentences(self) -> list[str]:
        """One for each kind of remark: how many, the first ones, and what it is."""
        found = []
        for remark, count in self._counts.items():
            pictures = counted(count, "picture")
            more = ", ..." if count > _NAMED else ""
            found.append(f"{pictures} ({', '.join(self._named[remark])}{more}): {remark}")
        return found
