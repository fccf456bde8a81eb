"""What a run tells while it goes on, and at its end."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias

from ddsim.catalogue import Survey
from ddsim.indexing.audit import Audit
from ddsim.routing import Learned
from ddsim.showing import DataFrame, Shown, Sketch, Table, Value, counted, data_frame, plain

#: What a run does: it sends, then learns from the index, then checks it.
Stage: TypeAlias = Literal["indexing", "learning", "checking"]
_ROWS = 20
_FAILED = ("uri", "reason", "tries")


@dataclass(frozen=True, slots=True, repr=False)
class Progress(Value):
    """How far a run is, in items.

    Attributes:
        done: sent or failed in this run.
        total: what this run set out to do.
        failed: of those done, the ones that cannot be indexed.
        stage: what it does now: once all is sent, it learns from the index and checks it.
    """

    done: int
    total: int
    failed: int
    stage: Stage = "indexing"


@dataclass(frozen=True, slots=True, repr=False)
class Failure(Value):
    """An item that is not in the index because it cannot be.

    Attributes:
        uri: its name.
        reason: why, in words for people.
        tries: how often it was tried with this content.
    """

    uri: str
    reason: str
    tries: int = 1


@dataclass(frozen=True, repr=False)
class IndexReport(Shown):
    """What an indexing run did, and what holds now.

    Attributes:
        indexed: items in the index.
        sent: items that this run sent and added to it.
        reused: items that it added without sending them, as their content was known under another name, from another
            catalogue or an evaluation.
        changes: what the run found: new, changed, touched, unchanged, waiting, failed, vanished -> how many items.
        survey: what was met in the folder besides items.
        failures: folders that cannot be read, and items in quarantine, by uri.
        failures_file: the same, a JSON object a line.
        twins: groups of items with the same content; each of them is indexed.
        home: where the vectors are, e.g. ``server Flat``.
        rows: rows of the index, tombstones included.
        tombstones: their share, 0 to 1: rows of removed and replaced pictures that no search shows.
        dimension: the length of the vectors.
        compared_anew: how vectors are compared now, where this run changed that for pictures indexed before: under
            other settings, or since components were learned from more or fewer pictures. Their distances are others
            then, and nothing of them was sent again. None where all is as before.
        audit: what checking the index gave; None where it was not checked.
        learned: what the catalogue's own distances taught; see :mod:`ddsim.routing.calibration`.
        finished: False after a run that was told to stop.
        seconds: how long it took.
        warnings: what was indexed and should be looked at, a sentence for each kind.
        approximate: where searches look at a part of the vectors only (``index.approximate``): how many ``rows`` it was
            built over, its ``lists``, how many ``probes`` of them a search looks through, and its ``recall``, the share
            of the ten nearest that is found so. Where a database searches so: its ``rows``, the kind of its ``index``,
            and ``recall``. None where all vectors are compared.
        withheld: why the name in a database is still another state folder's, though the run was told to take it over,
            and what to do; one of the ``warnings``, too. None where it was taken, or was not to be.
    """

    indexed: int
    sent: int
    reused: int
    changes: dict[str, int]
    survey: Survey
    failures: tuple[Failure, ...]
    failures_file: Path
    twins: int
    home: str
    rows: int
    tombstones: float
    dimension: int
    compared_anew: str | None
    audit: Audit | None
    learned: Learned | None
    finished: bool
    seconds: float
    warnings: tuple[str, ...] = ()
    approximate: Mapping[str, Any] | None = None
    withheld: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """Plain values, as ``ddsim index --json`` prints them."""
        facts = {
            "home": self.home,
            "indexed": self.indexed,
            "sent": self.sent,
            "reused": self.reused,
            "changes": self.changes,
            "met": self.survey,
            "unreadable": self.survey.shut,
            "twins": self.twins,
            "rows": self.rows,
            "tombstones": self.tombstones,
            "dimension": self.dimension,
            "compared_anew": self.compared_anew,
            "approximate": self.approximate,
            "seconds": round(self.seconds, 3),
            "finished": self.finished,
            "warnings": self.warnings,
            "withheld": self.withheld,
            "failed": self.failures,
            "learned": self.learned,
            "audit": self.audit,
        }
        return {name: plain(value) for name, value in facts.items()}

    def to_dataframe(self) -> DataFrame:
        """A row for each that could not be indexed: uri, reason, tries.

        Raises:
            CapabilityError: pandas is not installed.
        """
        return data_frame((one.to_dict() for one in self.failures), _FAILED)

    def _brief(self) -> str:
        failed = f", {len(self.failures):,} failed" if self.failures else ""
        checked = "" if self.audit is None else ", audit passed" if self.audit.passed else ", AUDIT FAILED"
        stopped = "" if self.finished else ", stopped before its end"
        return (
            f"{counted(self.indexed, 'item')} indexed ({self.home}, {self.dimension} values each), "
            f"{self.sent:,} sent in {self.seconds:.1f} s{failed}{checked}{stopped}"
        )

    def _sketch(self) -> Sketch:
        notes = list(self.warnings) + (list(self.audit.problems) if self.audit else [])
        if not self.finished:
            notes.append("The run was stopped; the next one does the rest.")
        facts = [
            ("vectors", f"{self.home}, {self.dimension} values each"),
            ("sent", f"{self.sent:,} in {self.seconds:.1f} s"),
            ("found", ", ".join(f"{count:,} {word}" for word, count in self.changes.items() if count)),
            ("audit", "" if self.audit is None else f"{counted(self.audit.checked, 'item')} checked"),
            ("learned", "" if self.learned is None else f"from {counted(self.learned.items, 'item')}"),
            ("searched", "" if self.approximate is None else f"{self.approximate['recall']:.1%} of the ten nearest"),
            ("same content", counted(self.twins, "group") if self.twins else ""),
        ]
        rows = [(one.uri, one.reason, str(one.tries)) for one in self.failures[:_ROWS]]
        table = Table(_FAILED, rows, "could not be indexed", max(0, len(self.failures) - _ROWS))
        return Sketch(
            f"{counted(self.indexed, 'item')} indexed",
            facts=[(name, value) for name, value in facts if value],
            notes=notes,
            tables=[table] if rows else (),
        )
