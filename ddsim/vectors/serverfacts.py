"""What is known of the index that one manifest has on the server, and has to outlive this process.

It stands in the manifest's meta::

    repository     the folder of all generations, on the server, without their number
    generation     which of them, from 1
    incarnation    of the service that holds the index, see :class:`ddsim.deepdetect.services.Mark`
    unbuilt        whether something may have been added since the last build; written before it is
    building       whether a build was begun and not heard to have ended; written before it is sent
    builds         how many builds went well in all
    loading        how often the server was asked to load the index since that went well
    died           how often it was asked before the index was left alone, until it goes well again
    stored_rows    how many rows of pictures this generation may hold; written before they are sent
    dimension      length of the vectors
    owner          for whom the service is made, see :func:`ddsim.vectors.others.owner_of`
"""

from __future__ import annotations

import logging
import os
import secrets

from ddsim.catalogue import ItemState, Manifest, note_whereabouts, noted_place, whereabouts
from ddsim.config import Settings
from ddsim.errors import StateCopied
from ddsim.vectors.others import owner_of

_log = logging.getLogger(__name__)


class Facts:
    """These facts, and the place of the index that they begin with.

    Args:
        settings: the similarity service.
        manifest: keeps the facts.
    """

    def __init__(self, settings: Settings, manifest: Manifest) -> None:
        self._settings = settings
        self._manifest = manifest

    @property
    def service(self) -> str:
        """Its name: the configured one with a few letters of the index's own, so that no two indexes share one."""
        folder = str(self._manifest.get_meta("repository") or "")
        return f"{self._settings.similarity.service}-{folder.rpartition('/')[2][:6]}"

    @property
    def repository_drawn(self) -> bool:
        """Whether there is a folder."""
        return bool(self._manifest.get_meta("repository"))

    @property
    def repository(self) -> str:
        """The folder of this generation, on the server."""
        return f"{self.generations}{self._generation}"

    @property
    def generations(self) -> str:
        """What the folders of all generations begin with."""
        return f"{self._drawn()}-g"

    def _drawn(self) -> str:
        """The place that was drawn; that of today where the files of an embedded server have moved with the project."""
        drawn = str(self._manifest.get_meta("repository"))
        # Others' paths are those of another machine.
        if not self._settings.server.embedded or os.path.isdir(f"{drawn}-g{self._generation}"):
            return drawn
        return self._configured(drawn.rpartition("/")[2])

    def _configured(self, name: str) -> str:
        return f"{self._settings.similarity.repository.rstrip('/')}/{name}"

    @property
    def _generation(self) -> object:
        return self._manifest.get_meta("generation")

    @property
    def owner(self) -> str:
        """For whom the service is made."""
        return str(self._manifest.get_meta("owner"))

    @property
    def incarnation(self) -> str | None:
        """Of the service that holds the index; None where none is known to."""
        known: str | None = self._manifest.get_meta("incarnation")
        return known

    @property
    def unbuilt(self) -> bool:
        """Whether the server's memory may hold rows that are not built, which no search survives."""
        return bool(self._manifest.get_meta("unbuilt"))

    @property
    def building(self) -> bool:
        """Whether a build may have been cut short, if the service that it was asked of is gone."""
        noted = self._manifest.get_meta("building")
        # Versions that made no such note sent pictures in the call that builds.
        return self.unbuilt if noted is None else bool(noted)

    @property
    def builds(self) -> int:
        """How many builds went well in all."""
        return int(self._manifest.get_meta("builds") or 0)

    @property
    def loading(self) -> int:
        """How often the server was asked to load the index since that went well."""
        return int(self._manifest.get_meta("loading") or 0)

    @property
    def died(self) -> int:
        """How often it was asked before the index was left alone; 0 where it went well since."""
        return int(self._manifest.get_meta("died") or 0)

    @property
    def stored(self) -> int:
        """How many rows of pictures this generation may hold."""
        return int(self._manifest.get_meta("stored_rows") or 0)

    @property
    def dimension(self) -> int | None:
        """Length of the vectors; None where nobody knows."""
        known: int | None = self._manifest.get_meta("dimension")
        return known

    def note(self, **facts: object) -> None:
        """Store facts."""
        self._manifest.set_meta(**facts)

    def next_generation(self, **facts: object) -> None:
        """Give up the index: everything is pending, and goes to a folder of its own."""
        self._begin(**({"generation": int(self._manifest.get_meta("generation") or 0) + 1} | facts))

    def _begin(self, **facts: object) -> None:
        clean = {"incarnation": None, "unbuilt": False, "building": False, "loading": 0, "died": 0, "stored_rows": 0}
        self._manifest.requeue(ItemState.SENDING, ItemState.ADDED, ItemState.INDEXED, facts=clean | facts)

    # The place

    def found_a_place(self) -> bool:
        """Have a folder; drawn once for each manifest, so that no two ever share an index. A copy draws its own.

        Returns:
            whether it was drawn now.

        Raises:
            StateCopied: nobody can tell from here whether this is a copy.
        """
        verdict = whereabouts(self._manifest) if self.repository_drawn else "here"
        if verdict == "unknown":
            raise self._perhaps_copied()
        if verdict == "copied":
            _log.warning(
                "%s is a copy of %s, which keeps its index: this one gets its own, and every picture is sent for it",
                self._manifest.folder,
                noted_place(self._manifest),
            )
        if drawn := verdict == "copied" or not self.repository_drawn:
            folder = self._configured(secrets.token_hex(6))
            self._begin(repository=folder, generation=1, owner=owner_of(self._settings, self._manifest))
        elif self._manifest.get_meta("repository") != (place := self._drawn()):
            _log.info("the index was moved with its project: it is in %s now", place)
            self.note(repository=place)
        elif self._manifest.get_meta("owner") is None:
            self.note(owner=owner_of(self._settings, self._manifest))  # of a version that did not
        note_whereabouts(self._manifest)
        return drawn

    def check_whereabouts(self) -> None:
        """Make sure that the index is this manifest's own.

        Raises:
            StateCopied: it is that of another one, or may be.
        """
        verdict = whereabouts(self._manifest) if self.repository_drawn else "here"
        if verdict == "unknown":
            raise self._perhaps_copied()
        if verdict == "copied":
            raise StateCopied(
                f"{self._manifest.folder} is a copy of {noted_place(self._manifest)}, and its index is that one's: run "
                "`ddsim index`, which makes one of its own"
            )

    def _perhaps_copied(self) -> StateCopied:
        return StateCopied(
            f"{self._manifest.folder}: its index on the server was made for {noted_place(self._manifest)}. If that was "
            "moved here, run `ddsim state adopt`; if it is still in use there, `ddsim index --rebuild` makes an index "
            "of this one's own"
        )
