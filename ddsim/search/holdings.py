"""What is kept of one catalogue under one configuration, and how it is opened."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from ddsim.catalogue import Address, ItemState, Manifest, Records, Where
from ddsim.config import Settings
from ddsim.deepdetect import Client
from ddsim.errors import ImageError, InvalidRequest
from ddsim.indexing import Failure
from ddsim.pictures import Encoded, encode
from ddsim.routing import META as HEAD
from ddsim.routing import Learned, TrainedHead, learned_before, trained_before
from ddsim.search import beside
from ddsim.search.current import current_catalogue
from ddsim.search.places import place_of
from ddsim.showing import clipped, counted
from ddsim.sources import source_of
from ddsim.vectors import HOME, Backend, DatabaseRecords, backend_for, database_records

_Itself = TypeVar("_Itself", bound="Holdings")


class Holdings:
    """The pictures' source, the manifest and the vectors of a catalogue; :class:`ddsim.Collection` works with them.

    Args:
        settings: the configuration.
        client: the configured server; None will do where only the manifest is read.
        catalogue: where the reference pictures are. None takes the settings' own or, if that was never indexed, the one
            that was indexed last.
        folder: where the manifest is kept, instead of its place below the settings' state folder.

    Raises:
        ConfigError: the folder for the manifest cannot be used.
    """

    def __init__(
        self,
        settings: Settings,
        client: Client | None,
        catalogue: Where | None = None,
        *,
        folder: Path | None = None,
    ) -> None:
        self.settings = settings
        found = catalogue if catalogue is not None else current_catalogue(settings)
        self.catalogue = found if isinstance(found, Address) else found.absolute()
        self.source = source_of(settings, self.catalogue)
        self.client = client
        self.place = place_of(settings, self.catalogue)
        self.manifest = Manifest.look(folder or self.place.folder, self.place.identity(settings))
        self._backend: Backend | None = None
        self._opened: object = None
        self._closed = False
        self._opening = threading.Lock()
        self._trained: TrainedHead | None = None
        self._shared: DatabaseRecords | None = None

    def __enter__(self: _Itself) -> _Itself:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        where = f"{self.settings.name!r}, catalogue {clipped(repr(str(self.catalogue)))}"
        if self._closed:
            return f"<{type(self).__name__}: {where}, closed>"
        holds = counted(self.manifest.counts()[ItemState.INDEXED], "item")
        return f"<{type(self).__name__}: {where}, {holds} indexed>"

    def close(self) -> None:
        """Let go of the manifest and the vectors."""
        self._closed = True
        if self._backend is not None:
            self._backend.close()
            self._backend = None
        if self._shared is not None:
            self._shared.close()
            self._shared = None
        self.source.close()
        self.manifest.close()

    @property
    def needed_client(self) -> Client:
        """The configured server.

        Raises:
            InvalidRequest: this was opened without one.
        """
        if self.client is None:
            raise InvalidRequest("this collection was opened without a client: open it with one")
        return self.client

    # The catalogue

    def picture_of(self, uri: str) -> Encoded | None:
        """An item's picture as it is sent; None where it cannot be read.

        Args:
            uri: the item's name.
        """
        upload = self.settings.upload_options()
        try:
            return encode(self.source.read(uri, upload.max_bytes), upload)
        except ImageError:
            return None

    # What is known of it

    @property
    def records(self) -> Records:
        """What is known of what is indexed: by the manifest or, on a machine that has none, by the database.

        Raises:
            CapabilityError: the database's client is needed, and not installed.
        """
        if self.settings.index.backend != "milvus" or self.manifest.get_meta(HOME) is not None:
            return self.manifest
        with self._opening:
            if self._shared is None:
                self._shared = database_records(self.settings)
            return self._shared

    def failures(self) -> Iterator[Failure]:
        """What could not be indexed: folders that could not be read, then items, each sorted by uri."""
        for uri, reason in sorted((self.manifest.get_meta("shut") or {}).items()):
            yield Failure(uri, reason)
        after = ""
        while rows := self.manifest.rows(ItemState.QUARANTINED, after=after):
            yield from (Failure(row.uri, row.error or "", row.tries) for row in rows)
            after = rows[-1].uri

    def learned(self) -> Learned | None:
        """What the last run learned from the catalogue; None where no run did, or the settings have changed since."""
        records = self.records
        return records.derived("learned", lambda: learned_before(records, self.settings))

    def head(self) -> TrainedHead | None:
        """The classifier that was trained last, whether or not the settings ask for it; None where none was.

        Raises:
            ConfigError: its file is damaged.
        """
        records = self.records
        mark = (records.get_meta(HEAD) or {}).get("mark")
        with self._opening:
            if self._trained is None or self._trained.mark != mark:
                self._trained = trained_before(records) if mark else None
            return self._trained

    # The vectors

    def home(self) -> Backend:
        """Where the vectors are, open for searching; it is closed with this object.

        Raises:
            CapabilityError, ServiceConflict, ApiError, TransportError: as :meth:`ddsim.vectors.Backend.open`.
        """
        with self._opening:
            return self._backend_open()

    def _backend_open(self) -> Backend:
        home = self.manifest.get_meta(HOME)
        if self._backend is not None and self._opened != home:
            # A rebuild has put another kind of index in its place.
            self._backend.close()
            self._backend = None
        if self._backend is None:
            # Whoever searches takes the vectors where they are; only a run decides where they should be.
            kind = str(home or "").partition(" ")[0]
            settings = self.settings.with_backend("local") if kind == "local" else self.settings
            backend = backend_for(self.needed_client, settings, self.manifest)
            backend.open(writing=False)
            self._backend, self._opened = backend, self.manifest.get_meta(HOME)
        return self._backend

    @contextmanager
    def writing(
        self, *, rebuild: bool = False, take_over: bool = False, allow_vanished: bool = False
    ) -> Iterator[Backend]:
        """The vectors' home, open for writing; the caller holds the right to write of the manifest.

        Args:
            rebuild: whether it begins empty.
            take_over: whether, in a database, it may take the place of another state folder's.
            allow_vanished: whether it may do so though it holds much less.

        Raises:
            ForeignCollection: the place in a database is another state folder's.
            CapabilityError, ServiceConflict, ApiError, TransportError: as :meth:`ddsim.vectors.Backend.open`.
        """
        client = self.needed_client
        backend = backend_for(
            client,
            self.settings,
            self.manifest,
            rebuilding=rebuild,
            taking_over=take_over,
            allow_vanished=allow_vanished,
        )
        try:
            if rebuild:
                backend.rebuild()
            else:
                backend.open(writing=True)
            yield backend
        finally:
            backend.close()

    # Another index of the same, built to take the place of this one

    def beside(self) -> Holdings:
        """What lies beside this one; whoever asks closes it."""
        return Holdings(self.settings, self.client, self.catalogue, folder=self.manifest.folder / beside.FOLDER)

    @property
    def is_beside(self) -> bool:
        """Whether this one is built to take another's place."""
        return self.manifest.folder.name == beside.FOLDER
