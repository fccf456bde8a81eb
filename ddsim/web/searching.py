"""One search for all threads of the page, opened anew where the index was made anew."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import TypeVar

from PIL import Image

from ddsim.catalogue import ItemState, Locks, Names, Product, Row, Where
from ddsim.config import Settings
from ddsim.deepdetect import Client, TimeLimits
from ddsim.errors import (
    BadInput,
    CatalogueUnreachable,
    DDSimError,
    ImageError,
    InvalidRequest,
    ServiceNotFound,
    TooLarge,
)
from ddsim.search import Collection, ImageSearch, connect
from ddsim.vectors import HOME, DatabaseRecords, Glance
from ddsim.web.refusals import NOTHING_INDEXED, UNKNOWN_ITEM, Refusal, Words, unknown_category, words_for

T = TypeVar("T")

# Somebody is looking at the page meanwhile.
_PATIENCE = TimeLimits(connect=3.0, info=10.0, create=60.0, predict=20.0)
_RETRIES = 1
# What a run that makes an index anew writes into the manifest.
_FACTS = (HOME, "generation", "incarnation")
# What tells of the photo, of one item's picture, or of how it was asked for, and not of whether others are answered.
_NO_TROUBLE = (ImageError, CatalogueUnreachable, InvalidRequest, BadInput, TooLarge)
# Seconds between two searches that are made to learn whether searches are answered again.
_TRIED_AGAIN_S = 5.0
_GREY = Image.new("RGB", (64, 64), (128, 128, 128))


class Searching:
    """A configured search and its manifest. Any thread may use it.

    Services and index are made ready by the first search, which has them for itself: the library does that once for
    every thread that comes meanwhile, and some of it takes a server's service away for a moment. The same holds when a
    run of another process has made the index anew, which a server that is embedded in this process cannot know.

    Args:
        settings: the configuration.
        catalogue: where the reference pictures are; None as for :class:`ddsim.ImageSearch`.
        client: to use instead of one made from the settings; closed with this object.

    Raises:
        ConfigError: the state folder cannot be used.
        CapabilityError: the embedded server is wanted, and what it needs is not installed.
    """

    def __init__(self, settings: Settings, catalogue: Where | None = None, client: Client | None = None) -> None:
        self.settings = settings
        self._catalogue = catalogue
        self._client = client or connect(settings, timeout=_PATIENCE, retries=_RETRIES)
        self._search = ImageSearch(settings, catalogue, client=self._client)
        # Reading needs no server, and must not wait for one.
        self._collections = [Collection(settings, None, catalogue)]
        self._turn = threading.Condition()
        self._searching = 0
        self._opened: object = None
        self._glance: Glance | None = None
        self._failure: DDSimError | None = None
        self._tried = float("-inf")

    def close(self) -> None:
        """Let go of manifest, database and server."""
        if self._glance is not None:
            self._glance.close()
        for collection in self._collections:
            collection.close()
        self._search.close()

    @property
    def collection(self) -> Collection:
        """The catalogue, for reading."""
        return self._collections[-1]

    def categories(self) -> dict[str, int]:
        """Indexed items of each category; empty where nothing is indexed."""
        found = self.collection.records.categories()
        if not found and self._catalogue is None:
            # Which catalogue is searched where none is named is decided by what was indexed last.
            self._look_again()
            found = self.collection.records.categories()
        return found

    def item(self, uri: str) -> Row:
        """An indexed item.

        Raises:
            Refusal: there is none of that name.
        """
        row = self.collection.records.find(uri)
        if row is None or row.state is not ItemState.INDEXED:
            raise Refusal(UNKNOWN_ITEM)
        return row

    def product(self, name: str) -> Product | None:
        """What the database says of an item besides its picture, by its comparable name, without a manifest."""
        records = self.collection.records
        text = records.product(name) if isinstance(records, DatabaseRecords) else None
        return None if text is None else Product.model_validate_json(text)

    def busy(self) -> bool:
        """Whether an indexing run is at work."""
        return Locks(self.collection.manifest.folder).running()

    def trouble(self) -> Words | None:
        """Why no search would be answered now; None where there is no reason. One thread at a time asks.

        That costs a question to the server, and one to the database where vectors are kept in one. Only after a search
        that failed another one is made now and then, until one is answered.
        """
        try:
            # Before anything is read there, which takes longer where it does not answer.
            self._look_at_database()
            manifest, records = self.collection.manifest, self.collection.records
            if not self.categories() or (records is manifest and not manifest.is_there()):
                return NOTHING_INDEXED
            # Not the list of all services: a server reads that without a lock.
            self._client.get_service(self.settings.similarity.service)
        except ServiceNotFound:
            pass  # the server answers; the next search creates it
        except DDSimError as error:
            return words_for(error)
        failure = self._still_failing()
        return None if failure is None else words_for(failure)

    def _look_at_database(self) -> None:
        manifest, wanted = self.collection.manifest, self.settings.index.backend
        if wanted == "milvus" and str(manifest.get_meta(HOME) or wanted).startswith(wanted):
            if self._glance is None:
                self._glance = Glance(self.settings)
            self._glance.check(manifest)

    def _still_failing(self) -> DDSimError | None:
        """What the last search failed with, where that was not for its photo, and searches still fail."""
        now = time.monotonic()
        if self._failure is not None and now - self._tried >= _TRIED_AGAIN_S:
            self._tried = now
            with suppress(DDSimError):
                self.run(lambda search: search.query(_GREY, 1, labels=True))
        return self._failure

    def check_categories(self, names: tuple[str, ...]) -> None:
        """Refuse a search that would find nothing.

        Raises:
            Refusal: nothing is indexed, or nothing of one of these categories.
        """
        known = self.categories()
        if not known:
            raise Refusal(NOTHING_INDEXED)
        there = Names(known)
        for name in names:
            if there.find(name) is None:
                raise unknown_category(name, known)

    def run(self, work: Callable[[ImageSearch], T]) -> T:
        """Do this with the search.

        Raises:
            what ``work`` raises.
        """
        try:
            result = self._in_turn(work)
        except DDSimError as error:
            if not isinstance(error, _NO_TROUBLE):
                self._failure = error
            raise
        self._failure = None
        return result

    def _in_turn(self, work: Callable[[ImageSearch], T]) -> T:
        with self._turn:
            while self._opened != self._facts() or self._opened is None:
                if not self._searching:
                    return self._alone(work)
                self._turn.wait()
            self._searching += 1
        try:
            return work(self._search)
        finally:
            with self._turn:
                self._searching -= 1
                self._turn.notify_all()

    def _alone(self, work: Callable[[ImageSearch], T]) -> T:
        self._search.collection.close()
        self._search.collection = Collection(self.settings, self._client, self.collection.catalogue)
        result = work(self._search)
        self._opened = self._facts()
        return result

    def _facts(self) -> object:
        records = self.collection.records
        return self.collection.manifest.folder, [records.get_meta(key) for key in _FACTS]

    def _look_again(self) -> None:
        found = Collection(self.settings, None)
        if found.manifest.folder == self.collection.manifest.folder:
            found.close()
        else:
            # The one before stays open: somebody may be reading it.
            self._collections.append(found)
