"""Pictures to vectors, once each: prepared ahead, sent in batches, put aside where they are bad, checked afterwards.

Uses the vectors' homes, the manifest and pictures; a collection of the search house starts its runs.
"""

from ddsim.indexing.audit import Audit, audit_index
from ddsim.indexing.batches import BatchSize, cut, foreseen
from ddsim.indexing.preparing import Ready, Unreadable, prepare, prepare_ahead
from ddsim.indexing.report import Failure, IndexReport, Progress
from ddsim.indexing.run import Run

__all__ = [
    "Audit",
    "BatchSize",
    "Failure",
    "IndexReport",
    "Progress",
    "Ready",
    "Run",
    "Unreadable",
    "audit_index",
    "cut",
    "foreseen",
    "prepare",
    "prepare_ahead",
]
