"""Pictures at which the server failed when it had nothing else: are they to blame, or is it the server?"""

from __future__ import annotations

from typing import TypeAlias

from ddsim.errors import ServerFault, TransportError
from ddsim.indexing.preparing import Ready

Suspect: TypeAlias = tuple[Ready, ServerFault | TransportError]
# So many one after the other are not all to blame: it is the server.
_MOST = 6


class Suspects:
    """Who is to blame is decided by what comes next: once another picture goes through, they are."""

    def __init__(self) -> None:
        self._noted: list[Suspect] = []
        self._worked = False

    def note(self, item: Ready, error: ServerFault | TransportError) -> None:
        """Note that the server failed at an item alone.

        Raises:
            ServerFault, TransportError: there are too many of them.
        """
        self._noted.append((item, error))
        if len(self._noted) > _MOST:
            raise error

    def convicted(self) -> list[Suspect]:
        """Those who are to blame, now that others went through."""
        self._worked = True
        return self._taken()

    def judged(self) -> list[Suspect]:
        """Those who are to blame where no other item came after them.

        Raises:
            ServerFault, TransportError: there are several, and nothing else ever went through: it is the server.
        """
        if len(self._noted) > 1 and not self._worked:
            raise self._noted[-1][1]
        return self._taken()

    def _taken(self) -> list[Suspect]:
        found, self._noted = self._noted, []
        return found
