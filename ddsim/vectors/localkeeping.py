"""The vectors of one manifest in memory, and how they and the manifest come into step with the files."""

from __future__ import annotations

import logging

import numpy as np

from ddsim.catalogue import ItemState, Manifest
from ddsim.config import Settings
from ddsim.errors import InvalidRequest, InvalidResponse
from ddsim.vectors.base import HOME
from ddsim.vectors.exact import Vids
from ddsim.vectors.files import Damaged, signature
from ddsim.vectors.keeping import (
    OLDER,
    VECTORS,
    folder_of,
    forget_older,
    new_name,
    older_parts,
    restore,
    take_learned,
    tidy,
)
from ddsim.vectors.listing import listed_in
from ddsim.vectors.space import Space, signatures
from ddsim.vectors.table import members
from ddsim.vectors.transform import Recipe

_log = logging.getLogger(__name__)

#: What the manifest's meta calls the approximate index; see :class:`ddsim.vectors.approximate.Built`.
APPROXIMATE = "approximate"
#: What the manifest's meta calls :attr:`ddsim.vectors.space.Space.described`.
COMPARED = "compared"


class Keeping:
    """Holds what is kept, and saves what comes.

    One thread at a time uses it. What changes files or manifest is for whoever holds the manifest's right to write.

    Args:
        settings: the metric, and what is done to vectors before they are compared.
        manifest: what is to be in the index; the files lie in its folder.
        service: what computes the vectors, for messages.
    """

    def __init__(self, settings: Settings, manifest: Manifest, service: str) -> None:
        self._settings = settings.index
        self._manifest = manifest
        self._service = service
        self._recipe = Recipe.of(settings.index)
        self._older = manifest.folder / OLDER
        self._members: dict[frozenset[str], Vids] = {}
        self._loaded: Space | None = None
        self._seen: object = None

    @property
    def home(self) -> str:
        """Which kind of index this is."""
        return f"local {self._settings.metric}"

    @property
    def index(self) -> Space:
        """The vectors.

        Raises:
            InvalidRequest: nothing was loaded.
        """
        if self._loaded is None:
            raise InvalidRequest("this index of vectors is closed, or was not opened: call open() first")
        return self._loaded

    def check_dimension(self, dimension: int) -> None:
        """Make sure that vectors have the length of those that are kept.

        Raises:
            InvalidResponse: they have not.
        """
        if dimension != self.index.dimension:
            raise InvalidResponse(
                f"service {self._service!r} gives vectors of {dimension} values, {self._manifest.folder} holds "
                f"{self.index.dimension}: the network's files were replaced; run `ddsim index --rebuild`, which "
                "sends every picture again"
            )

    def valid(self) -> Vids:
        """The numbers of all items that are valid."""
        return np.fromiter(self._manifest.vids(), np.int64)

    def members_of(self, categories: frozenset[str], *, anew: bool) -> Vids:
        """The numbers of items of these categories: as they were when files were loaded, or asked for ``anew``."""
        if anew:
            self._members.clear()
        if categories not in self._members:
            self._members[categories] = members(self._manifest.vids(categories))
        return self._members[categories]

    # What lies on disk

    def load(self, dimension: int) -> None:
        """Look at the files; what is damaged counts as not there.

        Args:
            dimension: of the service's vectors.

        Raises:
            InvalidResponse: as :meth:`check_dimension`.
            ConfigError: they cannot be read.
        """
        self._seen = self._signature()
        self._members.clear()
        folder, before = folder_of(self._manifest), self._loaded
        listed = None if folder is None else listed_in(folder)
        kept = dimension if listed is None else listed.dimension
        if before is None or (before.folder, before.dimension) != (folder, kept) or self._older.exists():
            before = self._empty(kept, None if folder is None else folder.name)
        self._loaded = before
        self._loaded.look(approximate=self._settings.approximate == "auto")
        if self._older.exists():
            self._load_older()
        self.check_dimension(dimension)

    def refresh(self, dimension: int) -> None:
        """As :meth:`load`, where a run has replaced the files."""
        if self._seen != self._signature():
            self.load(dimension)

    def _empty(self, dimension: int, name: str | None) -> Space:
        folder = None if name is None else self._manifest.folder / name
        return Space(dimension, self._settings.metric, self._recipe, folder, self._settings.precision)

    def _load_older(self) -> None:
        """Hold what an older version kept; whoever may write saves it as it is kept now."""
        metric = self._settings.metric
        try:
            for part in older_parts(self._older, metric):
                if part.rows.shape[1] != self.index.dimension:
                    self._loaded = self._empty(part.rows.shape[1], None)
                restore(self.index, part, metric)
        except Damaged as error:
            _log.warning("%s cannot be used, it is %s: its pictures have to be sent again", self._older, error)

    def _signature(self) -> object:
        folder = folder_of(self._manifest)
        return folder, signature(self._older), [] if folder is None else signatures(folder)

    # Into step

    def is_behind(self) -> bool:
        """Whether a searcher would do well to put something right."""
        lacking = np.setdiff1d(self.valid(), self.index.vids).size
        older = self._older.exists()
        return bool(lacking or older or self._manifest.counts()[ItemState.SENDING] or self.index.due)

    def bring_into_step(self) -> None:
        """Have the manifest say of each item what the files hold of it."""
        manifest = self._manifest
        self._be_ready()
        index = self.index
        manifest.set_meta(**self._facts())
        manifest.requeue(ItemState.SENDING)
        lost = manifest.lost(np.setdiff1d(self.valid(), index.vids).tolist())
        if lost:
            _log.warning("%d pictures were not saved when the last run ended, and have to be sent again", lost)
        manifest.indexed()  # the last use ended between the files and its note
        index.remove(np.setdiff1d(index.vids, self.valid()))
        self.renew()

    def _be_ready(self) -> None:
        """Have a folder for what is to be saved, with nothing in it that nobody needs."""
        folder = folder_of(self._manifest)
        if folder is None:
            self._manifest.set_meta(**{VECTORS: new_name()})
            self.load(self.index.dimension)
            folder = folder_of(self._manifest)
        self.index.prepare()
        if self._older.exists() and folder is not None:
            self.save()
            take_learned(self._manifest.folder, folder)
            self.index.look()
            _log.info("the vectors of an older version of ddsim were taken over from %s", self._older)
        forget_older(self._manifest.folder)
        tidy(self._manifest)

    def begin_anew(self, dimension: int) -> None:
        """Hold nothing, in a folder of its own; everything is pending."""
        name = new_name()
        self._loaded = self._empty(dimension, name)
        self._loaded.prepare()
        facts = {VECTORS: name, APPROXIMATE: None, **self._facts()}
        self._manifest.requeue(ItemState.SENDING, ItemState.ADDED, ItemState.INDEXED, facts=facts)
        forget_older(self._manifest.folder)
        tidy(self._manifest)
        self._seen = self._signature()

    def _facts(self) -> dict[str, object]:
        return {HOME: self.home, "dimension": self.index.dimension, COMPARED: self.index.described}

    # Saving

    def save(self) -> None:
        """Save what was added and removed since."""
        self.index.save()
        self._seen = self._signature()

    def renew(self) -> None:
        """Learn what is due, and note how vectors are compared now."""
        self.index.renew()
        self._seen = self._signature()
        if self._manifest.get_meta(COMPARED) != self.index.described:
            self._manifest.set_meta(**self._facts())

    def settle(self) -> None:
        """Merge what was saved, and build what searches many vectors quickly."""
        built = self.index.settle(approximate=self._settings.approximate == "auto")
        if built != self._manifest.get_meta(APPROXIMATE):
            self._manifest.set_meta(**{APPROXIMATE: built})
        self._seen = self._signature()

    def close(self) -> None:
        """Let go of the vectors in memory."""
        if self._loaded is not None:
            self._loaded.close()
        self._loaded = None
