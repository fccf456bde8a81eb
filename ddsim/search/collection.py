"""One catalogue under one configuration: its manifest, its vectors, and what is done with them."""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from ddsim.catalogue import (
    Address,
    Change,
    ItemState,
    Manifest,
    Names,
    Plan,
    Records,
    Survey,
    Where,
    choices,
    note_whereabouts,
    noted_place,
    place_named,
    whereabouts,
)
from ddsim.config import Settings
from ddsim.deepdetect import Client, Vectors
from ddsim.errors import CatalogueVanished, ConfigError, ImageError, IndexLost, InvalidRequest, StateCopied
from ddsim.indexing import Audit, Failure, IndexReport, Progress, Run, audit_index
from ddsim.pictures import Encoded, Picture, encode
from ddsim.routing import META as HEAD
from ddsim.routing import (
    Classifier,
    Learned,
    Sample,
    TrainedHead,
    is_due,
    is_stale,
    learn_from,
    learned_before,
    trained_before,
    unmatched,
)
from ddsim.search import beside
from ddsim.search.connection import away
from ddsim.search.places import FAILURES, place_of
from ddsim.search.sharing import hand_on_owner, share
from ddsim.search.unused import remove_unused
from ddsim.search.vanishing import reason_to_stop
from ddsim.showing import Value, clipped, counted
from ddsim.sources import source_of
from ddsim.training import TrainReport, train
from ddsim.vectors import (
    APPROXIMATE,
    COMPARED,
    HOME,
    Among,
    Backend,
    DatabaseRecords,
    Hits,
    Select,
    backend_for,
    check_trainable,
    check_unworked,
    database_records,
    working_on,
)

_log = logging.getLogger(__name__)

_CURRENT = "current"


@dataclass(frozen=True)
class IndexOptions:
    """What an indexing run does beyond sending what is new or changed.

    Attributes:
        retry_failed: try the pictures again that could not be indexed before.
        rebuild: start with an empty index and send everything again.
        audit: check the index afterwards.
        allow_vanished: go on however much of the catalogue is gone.

    Raises:
        InvalidRequest: one of them is neither True nor False.
    """

    retry_failed: bool = False
    rebuild: bool = False
    audit: bool = True
    allow_vanished: bool = False

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if not isinstance(value, bool):
                raise InvalidRequest(f"IndexOptions: {name}={value!r} must be True or False")


@dataclass(frozen=True, repr=False)
class Outlook(Value):
    """What a run would do.

    Attributes:
        changes: how many items became what since the last run.
        survey: what was met in the folder besides items.
        stop: why the run would stop before anything is sent; None where it would not.
    """

    changes: dict[Change, int]
    survey: Survey
    stop: str | None


class Collection:
    """One catalogue under one configuration. Use it as a context manager, or call :meth:`close`.

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
        self._client = client
        self._place = place_of(settings, self.catalogue)
        self.manifest = Manifest.look(folder or self._place.folder, self._place.identity(settings))
        self._backend: Backend | None = None
        self._opened: object = None
        self._closed = False
        self._opening = threading.Lock()
        self._trained: TrainedHead | None = None
        self._shared: DatabaseRecords | None = None

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

    def __enter__(self) -> Collection:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        where = f"{self.settings.name!r}, catalogue {clipped(repr(str(self.catalogue)))}"
        if self._closed:
            return f"<Collection: {where}, closed>"
        return f"<Collection: {where}, {counted(self.manifest.counts()[ItemState.INDEXED], 'item')} indexed>"

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

    # Indexing

    def changes(self, options: IndexOptions | None = None) -> dict[Change, int]:
        """Count what a run would do, without doing it.

        Args:
            options: of the run; see :class:`IndexOptions`.

        Raises:
            ConfigError: there is no catalogue.
        """
        return self.outlook(options).changes

    def outlook(self, options: IndexOptions | None = None) -> Outlook:
        """Look at what a run would do, without doing it.

        Args:
            options: of the run; see :class:`IndexOptions`.

        Raises:
            ConfigError: there is no catalogue.
        """
        options = options or IndexOptions()
        survey = Survey()
        with self._plan(options, survey) as plan:
            return Outlook(dict(plan.counts), survey, self._stop(plan, survey, options))

    def _plan(self, options: IndexOptions, survey: Survey) -> Plan:
        entries = self.source.walk(survey)
        return self.manifest.plan(entries, self.source.digest, retry_failed=options.retry_failed, shut=survey.shut)

    def _stop(self, plan: Plan, survey: Survey, options: IndexOptions) -> str | None:
        if options.allow_vanished:
            return None
        limit = self.settings.reference.vanish_limit
        return reason_to_stop(self.manifest, plan.lost, survey, limit, rebuild=options.rebuild)

    def index(
        self,
        options: IndexOptions | None = None,
        *,
        progress: Callable[[Progress], None] | None = None,
        stopping: Callable[[], bool] | None = None,
    ) -> IndexReport:
        """Bring the index into step with the catalogue's folder.

        A rebuild goes on beside the old index, which answers until the new one is whole. A run that finds an unfinished
        rebuild goes on with that. Only what is new or changed is sent. Items whose files are gone are no longer found.
        Items that cannot be indexed are put aside with the reason, and stay there until they change or are retried.

        Args:
            options: see :class:`IndexOptions`.
            progress: told after every batch.
            stopping: asked between batches; once it answers True, the run ends early, and what was sent can be
                searched.

        Raises:
            ConfigError: there is no catalogue, or the settings do not fit what is indexed.
            CatalogueVanished: too much of the catalogue is gone; nothing was changed.
            ManifestBusy: another run is at work; the message says which one.
            ServiceConflict, CapabilityError, ApiError, TransportError: the server cannot be used, or fails. What was
                written to the index so far stays; the next run does the rest.
        """
        options = options or IndexOptions()
        with self.manifest.writing():
            if beside.is_begun(self.manifest) or (options.rebuild and self.manifest.counts()[ItemState.INDEXED]):
                report = self._index_beside(options, progress, stopping)
            else:
                report = self._index(options, progress, stopping)
        if report.finished and not self.settings.server.embedded:  # that one ends with this process
            remove_unused(self._needed_client(), self.settings)
        return report

    def _index_beside(
        self,
        options: IndexOptions,
        progress: Callable[[Progress], None] | None,
        stopping: Callable[[], bool] | None,
    ) -> IndexReport:
        if reason := self.outlook(options).stop:
            raise CatalogueVanished(f"{self.catalogue}: {reason}")
        folder = self.manifest.folder / beside.FOLDER
        with Collection(self.settings, self._client, self.catalogue, folder=folder) as found:
            if beside.is_replaced(found.manifest):
                self._share()
            if options.rebuild or beside.is_replaced(found.manifest):
                beside.throw_away(self._needed_client(), self.settings, found.manifest)
                if not options.rebuild:
                    return self._index(options, progress, stopping)
        client = self._needed_client()
        with (
            working_on(client, self.settings, self.manifest) as going_on,
            Collection(self.settings, client, self.catalogue, folder=folder) as new,
            new.manifest.writing(),
        ):

            def told(state: Progress) -> None:
                going_on()
                if progress is not None:
                    progress(state)

            hand_on_owner(self.manifest, new.manifest)
            report = new._index(replace(options, allow_vanished=True), told, stopping)
            if report.finished:
                beside.take_place(self.manifest, new.manifest)
                self._share()
        if report.finished:
            with Collection(self.settings, client, self.catalogue, folder=folder) as old:
                beside.throw_away(client, self.settings, old.manifest)
        return replace(report, failures_file=self.manifest.folder / FAILURES)

    def _index(
        self,
        options: IndexOptions,
        progress: Callable[[Progress], None] | None,
        stopping: Callable[[], bool] | None,
    ) -> IndexReport:
        begun = time.monotonic()
        survey = Survey()
        with self._plan(options, survey) as plan:
            changes = dict(plan.counts)
            if reason := self._stop(plan, survey, options):
                raise CatalogueVanished(f"{self.catalogue}: {reason}")
            check_unworked(self._needed_client(), self.settings, self.manifest)
            gone = self.manifest.apply(plan)
        self.manifest.set_meta(shut=survey.shut)
        if not self._is_beside:
            self._place.take()
            (self.manifest.folder.parent / _CURRENT).write_text(str(self.catalogue), encoding="utf-8")
        before = None if options.rebuild else self._compared()
        with self._writing(options.rebuild) as backend:
            backend.remove(gone)
            if not self._is_beside:
                share(backend, self.manifest, self.source.folder, self.settings)
            sample = Sample(self.manifest)
            run = Run(
                self.manifest,
                backend,
                self.source,
                limits=self.settings.index,
                upload=self.settings.upload_options(),
                progress=progress,
                stopping=stopping,
                seen=sample.take,
                # Kept while the run goes on: one that is stopped or killed leaves what the next one learns from.
                built=sample.settle if backend.vectors_of(()) is None else None,
                least=check_trainable(backend.home, self.manifest),
            )
            if gone or run.total:
                self.manifest.set_meta(due=True)
            finished = run.run()
            if finished:
                backend.settle()
            learned = self._learn(backend, sample, run) if finished else None
            checked = None
            if options.audit and finished:
                run.tell("checking")
                checked = self._audit(backend)
            after = self._compared()
            anew = after if before not in (None, after) else None
            if not self._is_beside:
                share(backend, self.manifest, self.source.folder, self.settings)
            took = time.monotonic() - begun
            return self._report(backend, run, changes, survey, checked, learned, anew, finished, took)

    @property
    def _is_beside(self) -> bool:
        """Whether this one is built to take another's place."""
        return self.manifest.folder.name == beside.FOLDER

    def _share(self) -> None:
        """Have others who search without this manifest find what it holds by now."""
        with self._writing(rebuild=False) as backend:
            share(backend, self.manifest, self.source.folder, self.settings)

    def _compared(self) -> str | None:
        """How what is indexed is compared, in a few words; None where nothing is, or the server does it."""
        home, how = self.manifest.get_meta(HOME), self.manifest.get_meta(COMPARED)
        return f"{home}, {how}" if how and self.manifest.counts()[ItemState.INDEXED] else None

    def _learn(self, backend: Backend, sample: Sample, run: Run) -> Learned | None:
        if self.settings.trained and len(self.manifest.categories()) < 2:
            self.manifest.set_meta(**{HEAD: None})  # what told categories apart that are no more
        elif self.settings.trained:
            try:
                head = self.head()
            except ConfigError as error:
                _log.warning("%s; it is trained anew", error)
                head = None
            if is_stale(self.manifest, head):
                run.tell("learning")
                train(self.manifest, backend, self.settings, self.picture_of)
        if self._client is None or not is_due(self.manifest, self.settings):
            return self.learned()
        run.tell("learning")
        classifier = Classifier(self._client, self.settings)
        return learn_from(self.manifest, backend, self.settings, sample, classifier, self.picture_of)

    @contextmanager
    def _writing(self, rebuild: bool) -> Iterator[Backend]:
        backend = self._make_backend(self.settings, rebuilding=rebuild)
        try:
            if rebuild:
                backend.rebuild()
            else:
                backend.open(writing=True)
            yield backend
        finally:
            backend.close()

    def _report(
        self,
        backend: Backend,
        run: Run,
        changes: dict[Change, int],
        survey: Survey,
        checked: Audit | None,
        learned: Learned | None,
        compared_anew: str | None,
        finished: bool,
        took: float,
    ) -> IndexReport:
        failures = tuple(self.failures())
        path = self.manifest.folder / FAILURES
        lines = (json.dumps({"uri": one.uri, "reason": one.reason, "tries": one.tries}) for one in failures)
        path.write_text("".join(line + "\n" for line in lines), encoding="utf-8")
        counts = self.manifest.counts()
        return IndexReport(
            indexed=counts[ItemState.INDEXED],
            sent=run.indexed - run.reused,
            reused=run.reused,
            changes={change.value: count for change, count in changes.items()},
            survey=survey,
            failures=failures,
            failures_file=path,
            twins=sum(1 for _ in self.manifest.twins()),
            home=backend.home,
            rows=backend.stored(),
            tombstones=backend.tombstone_share(),
            dimension=int(self.manifest.get_meta("dimension") or 0),
            compared_anew=compared_anew,
            audit=checked,
            learned=learned,
            finished=finished,
            seconds=took,
            warnings=(*run.warnings, *self._unmapped(), *away(self._client)),
            approximate=self.manifest.get_meta(APPROXIMATE),
        )

    def train(self, *, computed: Callable[[int, int], None] | None = None) -> TrainReport:
        """Train a classifier on what is indexed; see :func:`ddsim.training.train`.

        Raises:
            ManifestBusy: a run is at work.
        """
        self.check()
        with self.manifest.writing(), self._writing(rebuild=False) as backend:
            return train(self.manifest, backend, self.settings, self.picture_of, computed=computed)

    def trained(self) -> TrainedHead | None:
        """The classifier of these settings; None where they ask for none, or there is only one category.

        Raises:
            ConfigError: there is none yet, or its file is damaged.
        """
        if not self.settings.trained:
            return None
        head = self.head()
        if head is None and len(self.records.categories()) > 1:
            raise ConfigError(
                "classification: trained, and no classifier was trained on this catalogue yet: run `ddsim train`"
            )
        return head

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

    def _unmapped(self) -> Iterator[str]:
        if self.settings.classification and self.settings.categories:
            yield from unmatched(self.settings.categories, self.manifest.categories())

    def audit(self) -> Audit:
        """Check the index; see :func:`ddsim.indexing.audit.audit`."""
        return self._audit(self.home())

    def _audit(self, backend: Backend) -> Audit:
        return audit_index(self.manifest, backend, self.picture_of)

    def adopt(self) -> bool:
        """Take the index on the server for this manifest's own, wherever it was made; the server is not asked.

        Returns:
            whether it was noted as made elsewhere.

        Raises:
            ManifestBusy: a run is at work.
            StateCopied: the one that it was made for is still there, on this machine.
        """
        verdict = whereabouts(self.manifest)
        if verdict == "here":
            return False
        if verdict == "copied":
            raise StateCopied(
                f"{self.manifest.folder} was not moved: it is a copy of {noted_place(self.manifest)}, which is still "
                "there and keeps its index: run `ddsim index`, which makes one of this one's own"
            )
        with self.manifest.writing():
            note_whereabouts(self.manifest)
        return True

    # Looking

    def search(self, pictures: Sequence[Picture], k: int, *, among: Among = None) -> list[Hits]:
        """Find the nearest items; see :meth:`ddsim.vectors.Backend.search`.

        Raises:
            ConfigError: nothing is indexed.
            InvalidRequest: a category is named that no indexed item is of.
            IndexLost: the server's index turns out to be gone.
        """
        among = self._named(among)
        # More than there are would only be looked for longer, in the server's index by rows of which it has no number.
        k = min(k, max(1, self.records.counts()[ItemState.INDEXED]))
        hits = self.home().search(pictures, k, among)
        if pictures and not self.records.categories():
            raise IndexLost(
                "the server's index is gone: were its files removed, or the Docker volume that held them, or did the "
                "server end while it wrote them? Run `ddsim index`, which sends every picture again"
            )
        return hits

    def search_vectors(self, vectors: Vectors, k: int, *, among: Among = None) -> list[Hits]:
        """Find the items nearest to vectors; see :meth:`ddsim.vectors.Backend.search_vectors`.

        Raises:
            ConfigError: nothing is indexed.
            InvalidRequest: a category is named that no indexed item is of, or the vectors have another length.
            CapabilityError: the vectors' home takes pictures only.
        """
        return self.home().search_vectors(vectors, k, self._named(among))

    def _named(self, among: Among) -> Among:
        """The same with categories as the catalogue has them."""
        wanted = among.likely if isinstance(among, Select) else among
        named = self.check((wanted,) if isinstance(wanted, str) else wanted)
        return among if wanted is None or isinstance(among, Select) else named

    def check(self, categories: Iterable[str] | None = None) -> tuple[str, ...]:
        """Make sure that there is something to search; the server is not asked.

        Args:
            categories: those that must have indexed items.

        Returns:
            their names as the catalogue has them.

        Raises:
            ConfigError: nothing is indexed.
            InvalidRequest: a category is named that no indexed item is of.
        """
        known = self.records.categories()
        if not known:
            raise ConfigError(
                f"nothing of {self.catalogue} is indexed under the configuration {self.settings.name!r}: "
                "run `ddsim index` for it first"
            )
        names = Names(known)
        found: list[str] = []
        for category in categories or ():
            meant = names.find(category)
            if meant is None:
                raise InvalidRequest(f"no category {category!r} is indexed; {choices(category, known)}")
            found.append(meant)
        return tuple(found)

    def learned(self) -> Learned | None:
        """What the last run learned from the catalogue; None where no run did, or the settings have changed since."""
        records = self.records
        return records.derived("learned", lambda: learned_before(records, self.settings))

    def failures(self) -> Iterator[Failure]:
        """What could not be indexed: folders that could not be read, then items, each sorted by uri."""
        for uri, reason in sorted((self.manifest.get_meta("shut") or {}).items()):
            yield Failure(uri, reason)
        after = ""
        while rows := self.manifest.rows(ItemState.QUARANTINED, after=after):
            yield from (Failure(row.uri, row.error or "", row.tries) for row in rows)
            after = rows[-1].uri

    def remove(self, uris: Sequence[str]) -> int:
        """Take items out of the index. Their files stay, and the next run indexes them again if they are still there.

        Args:
            uris: names of the items.

        Returns:
            how many of these items were in the manifest.

        Raises:
            InvalidRequest: there is no item of some name; nothing was removed.
            ManifestBusy: a run is at work.
        """
        with self.manifest.writing():
            rows = [self.manifest.find(uri) for uri in uris]
            if unknown := [uri for uri, row in zip(uris, rows, strict=True) if row is None]:
                more = f", nor {len(unknown) - 1} more of those that were named" if len(unknown) > 1 else ""
                meant = self.manifest.meant(unknown[0])
                raise InvalidRequest(f"not in the catalogue: {unknown[0]!r}{more}; nothing was removed{meant}")
            vids = [row.vid for row in rows if row is not None and row.vid is not None]
            count = self.manifest.remove(row.uri for row in rows if row is not None)
            if vids:
                with self._writing(rebuild=False) as backend:
                    backend.remove(vids)
        return count

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
            backend = self._make_backend(settings)
            backend.open(writing=False)
            self._backend, self._opened = backend, self.manifest.get_meta(HOME)
        return self._backend

    def _make_backend(self, settings: Settings, *, rebuilding: bool = False) -> Backend:
        return backend_for(self._needed_client(), settings, self.manifest, rebuilding=rebuilding)

    def _needed_client(self) -> Client:
        if self._client is None:
            raise InvalidRequest("this collection was opened without a client: open it with one")
        return self._client


def was_indexed(settings: Settings) -> bool:
    """Whether anything was ever indexed under this configuration, whatever the catalogue."""
    return (settings.state / settings.name / _CURRENT).exists()


def current_catalogue(settings: Settings) -> Where:
    """The catalogue to search in where none is named: the settings' own or, if that was never indexed, the last one."""
    if place_of(settings, settings.catalogue).was_indexed:
        return settings.catalogue
    try:
        return place_named((settings.state / settings.name / _CURRENT).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError):
        return settings.catalogue
