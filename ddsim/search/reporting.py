"""What a run reports at its end, and the file of what could not be indexed."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass

from ddsim.catalogue import Change, ItemState, Survey
from ddsim.indexing import Audit, IndexReport, Run
from ddsim.routing import Learned, unmatched
from ddsim.search.connection import away
from ddsim.search.holdings import Holdings
from ddsim.search.places import FAILURES
from ddsim.vectors import APPROXIMATE, Backend, MilvusBackend


@dataclass(frozen=True)
class Outcome:
    """What came of a run besides what is in the index; see :class:`ddsim.IndexReport`."""

    changes: dict[Change, int]
    survey: Survey
    audit: Audit | None
    learned: Learned | None
    compared_anew: str | None
    finished: bool
    seconds: float


def report_of(held: Holdings, backend: Backend, run: Run, outcome: Outcome) -> IndexReport:
    """What a run did and what holds now; its failures are written down beside the manifest."""
    manifest, withheld = held.manifest, withheld_by(backend)
    failures = tuple(held.failures())
    path = manifest.folder / FAILURES
    lines = (json.dumps({"uri": one.uri, "reason": one.reason, "tries": one.tries}) for one in failures)
    path.write_text("".join(line + "\n" for line in lines), encoding="utf-8")
    return IndexReport(
        indexed=manifest.counts()[ItemState.INDEXED],
        sent=run.indexed - run.reused,
        reused=run.reused,
        changes={change.value: count for change, count in outcome.changes.items()},
        survey=outcome.survey,
        failures=failures,
        failures_file=path,
        twins=sum(1 for _ in manifest.twins()),
        home=backend.home,
        rows=backend.stored(),
        tombstones=backend.tombstone_share(),
        dimension=int(manifest.get_meta("dimension") or 0),
        compared_anew=outcome.compared_anew,
        audit=outcome.audit,
        learned=outcome.learned,
        finished=outcome.finished,
        seconds=outcome.seconds,
        warnings=(*run.warnings, *_unmapped(held), *away(held.client), *([withheld] if withheld else [])),
        approximate=manifest.get_meta(APPROXIMATE),
        withheld=withheld,
    )


def withheld_by(backend: Backend) -> str | None:
    """Why an index did not take the place in a database that it was told to; None where there is nothing to say."""
    return backend.withheld if isinstance(backend, MilvusBackend) else None


def _unmapped(held: Holdings) -> Iterator[str]:
    if held.settings.classification and held.settings.categories:
        yield from unmatched(
            held.settings.categories, held.manifest.categories(), neighbours=held.settings.routing.by != "service"
        )
