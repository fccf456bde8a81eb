"""A run: the plan, what is sent, what is learned of it and the check at the end; in place or beside the old index."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

from ddsim.catalogue import Change, ItemState, Survey
from ddsim.errors import CatalogueVanished, ConfigError, InvalidRequest
from ddsim.indexing import IndexReport, Progress, Run, audit_index
from ddsim.routing import META as HEAD
from ddsim.routing import Classifier, Learned, Sample, is_due, is_stale, learn_from
from ddsim.search import beside
from ddsim.search.current import note_current
from ddsim.search.holdings import Holdings
from ddsim.search.places import FAILURES
from ddsim.search.planning import IndexOptions, outlook, outlook_of, planned
from ddsim.search.reporting import Outcome, report_of, withheld_by
from ddsim.search.sharing import hand_on_owner, share
from ddsim.search.unused import remove_unused
from ddsim.training import train
from ddsim.vectors import COMPARED, HOME, Backend, check_trainable, check_unworked, working_on

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Listeners:
    """Who hears of a run while it goes on.

    Attributes:
        progress: told after every batch; None for nobody.
        stopping: asked between batches; once it answers True, the run ends early. None never stops it.
    """

    progress: Callable[[Progress], None] | None = None
    stopping: Callable[[], bool] | None = None


def index(held: Holdings, options: IndexOptions, listeners: Listeners) -> IndexReport:
    """Bring the index into step with the catalogue; see :meth:`ddsim.Collection.index`."""
    check_take_over(held, options)
    with held.manifest.writing():
        if beside.is_begun(held.manifest) or (options.rebuild and held.manifest.counts()[ItemState.INDEXED]):
            report = _index_beside(held, options, listeners)
        else:
            report = _index(held, options, listeners)
    if report.finished and not held.settings.server.embedded:  # that one ends with this process
        remove_unused(held.needed_client, held.settings)
    return report


def check_take_over(held: Holdings, options: IndexOptions) -> None:
    """Make sure that there can be something to take over, where that is asked for.

    Raises:
        InvalidRequest: there cannot.
    """
    if options.take_over and held.settings.index.backend != "milvus":
        raise InvalidRequest(
            "there is nothing to take over: only an index in a database has a name that another state folder can hold, "
            f"and this configuration has index.backend {held.settings.index.backend}: leave it out"
        )


def _index_beside(held: Holdings, options: IndexOptions, listeners: Listeners) -> IndexReport:
    if reason := outlook(held, options).stop:
        raise CatalogueVanished(f"{held.catalogue}: {reason}")
    client, settings = held.needed_client, held.settings
    with held.beside() as found:
        replaced = beside.is_replaced(found.manifest)
        if replaced:
            _share(held, options)
        if options.rebuild or replaced:
            beside.throw_away(client, settings, found.manifest)
            if not options.rebuild:
                return _index(held, options, listeners)
    with working_on(client, settings, held.manifest) as going_on, held.beside() as new, new.manifest.writing():

        def told(state: Progress) -> None:
            going_on()
            if listeners.progress is not None:
                listeners.progress(state)

        hand_on_owner(held.manifest, new.manifest)
        report = _index(new, replace(options, allow_vanished=True), replace(listeners, progress=told))
        if report.finished:
            beside.take_place(held.manifest, new.manifest)
            if withheld := _share(held, options):
                report = replace(report, withheld=withheld, warnings=(*report.warnings, withheld))
    if report.finished:
        with held.beside() as old:
            beside.throw_away(client, settings, old.manifest)
    return replace(report, failures_file=held.manifest.folder / FAILURES)


def _index(held: Holdings, options: IndexOptions, listeners: Listeners) -> IndexReport:
    begun = time.monotonic()
    survey = Survey()
    changes, gone = _planned(held, options, survey)
    before = None if options.rebuild else _compared(held)
    allowed = {"take_over": options.take_over, "allow_vanished": options.allow_vanished}
    with held.writing(rebuild=options.rebuild, **allowed) as backend:
        backend.remove(gone)
        _publish(held, backend)
        sample = Sample(held.manifest)
        run = _run(held, backend, sample, listeners)
        if gone or run.total:
            held.manifest.set_meta(due=True)
        finished = run.run()
        if finished:
            backend.settle()
        learned = _learn(held, backend, sample, run) if finished else None
        checked = None
        if options.audit and finished:
            run.tell("checking")
            checked = audit_index(held.manifest, backend, held.picture_of)
        after = _compared(held)
        anew = after if before not in (None, after) else None
        _publish(held, backend)
        outcome = Outcome(changes, survey, checked, learned, anew, finished, time.monotonic() - begun)
        return report_of(held, backend, run, outcome)


def _planned(held: Holdings, options: IndexOptions, survey: Survey) -> tuple[dict[Change, int], list[int]]:
    """Take what the catalogue holds into the manifest: what changed, and the numbers of what is gone from the index.

    Raises:
        CatalogueVanished: too much of it is gone; nothing was changed.
    """
    with planned(held, options, survey) as plan:
        would = outlook_of(held, plan, survey, options)
        if would.stop:
            raise CatalogueVanished(f"{held.catalogue}: {would.stop}")
        check_unworked(held.needed_client, held.settings, held.manifest)
        gone = held.manifest.apply(plan)
        if plan.recategorised:
            held.manifest.set_meta(due=True)
    held.manifest.set_meta(shut=survey.shut)
    if not held.is_beside:
        held.place.take(held.settings)
        note_current(held.manifest.folder.parent, held.catalogue)
    return would.changes, gone


def _run(held: Holdings, backend: Backend, sample: Sample, listeners: Listeners) -> Run:
    return Run(
        held.manifest,
        backend,
        held.source,
        limits=held.settings.index,
        upload=held.settings.upload_options(),
        progress=listeners.progress,
        stopping=listeners.stopping,
        seen=sample.take,
        # Kept while the run goes on: one that is stopped or killed leaves what the next one learns from.
        built=sample.settle if backend.vectors_of(()) is None else None,
        least=check_trainable(backend.home, held.manifest),
    )


def _learn(held: Holdings, backend: Backend, sample: Sample, run: Run) -> Learned | None:
    manifest, settings = held.manifest, held.settings
    if settings.trained and len(manifest.categories()) < 2:
        manifest.set_meta(**{HEAD: None})  # what told categories apart that are no more
    elif settings.trained:
        try:
            head = held.head()
        except ConfigError as error:
            _log.warning("%s; it is trained anew", error)
            head = None
        if is_stale(manifest, head):
            run.tell("learning")
            train(manifest, backend, settings, held.picture_of)
    if held.client is None or not is_due(manifest, settings):
        return held.learned()
    run.tell("learning")
    return learn_from(manifest, backend, settings, sample, Classifier(held.client, settings), held.picture_of)


def _compared(held: Holdings) -> str | None:
    """How what is indexed is compared, in a few words; None where nothing is, or the server does it."""
    home, how = held.manifest.get_meta(HOME), held.manifest.get_meta(COMPARED)
    return f"{home}, {how}" if how and held.manifest.counts()[ItemState.INDEXED] else None


def _share(held: Holdings, options: IndexOptions) -> str | None:
    """Have others who search without this manifest find what it holds by now; why they do not, where they do not."""
    with held.writing(take_over=options.take_over, allow_vanished=options.allow_vanished) as backend:
        _publish(held, backend)
        return withheld_by(backend)


def _publish(held: Holdings, backend: Backend) -> None:
    if not held.is_beside:
        share(backend, held.manifest, held.source.folder, held.settings)
