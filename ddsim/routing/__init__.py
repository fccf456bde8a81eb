"""Which categories a photo may show, and what a distance means.

The classification service's labels and the vote of the neighbours become probabilities of categories; distances become
scores, learned from the catalogue's own pictures. Uses the vectors' homes, the manifest and the client; indexing learns
with it, search and evaluation decide with it.
"""

from ddsim.routing.calibration import Learned, learn, leave_one_out_votes, pairwise
from ddsim.routing.categories import (
    Decision,
    RoutedCategory,
    Rules,
    Shares,
    by_labels,
    combine,
    decide,
    ordered,
    unmatched,
    vote,
)
from ddsim.routing.classifier import Classifier
from ddsim.routing.head import Head, softmax
from ddsim.routing.learning import is_due, learn_from, learned_before, named_before
from ddsim.routing.openset import OpenSet, signs
from ddsim.routing.sampling import Sample, lot
from ddsim.routing.trained import FACTS as HEAD_FACTS
from ddsim.routing.trained import META, TrainedHead, facts_of_head, is_stale, keep, trained_before

__all__ = [
    "HEAD_FACTS",
    "META",
    "Classifier",
    "Decision",
    "Head",
    "Learned",
    "OpenSet",
    "RoutedCategory",
    "Rules",
    "Sample",
    "Shares",
    "TrainedHead",
    "by_labels",
    "combine",
    "decide",
    "facts_of_head",
    "is_due",
    "is_stale",
    "keep",
    "learn",
    "learn_from",
    "learned_before",
    "leave_one_out_votes",
    "lot",
    "named_before",
    "ordered",
    "pairwise",
    "signs",
    "softmax",
    "trained_before",
    "unmatched",
    "vote",
]
