"""Transfer learning: a classifier for the catalogue's own categories, trained on the features that indexing computed.

Uses the vectors' homes, the manifest and the heads of the routing house; ImageSearch and `ddsim train` use it. Needs
the extra ``train`` (scikit-learn) where something is trained; whoever only searches does not.
"""

from ddsim.training.features import Features, features_kept, gather
from ddsim.training.fitting import Fitted, fit
from ddsim.training.network import NetworkSource, source_of, write_network
from ddsim.training.report import SOURCES, TrainReport
from ddsim.training.run import train
from ddsim.training.worth import Confusion, Suspect, Worth

__all__ = [
    "SOURCES",
    "Confusion",
    "Features",
    "Fitted",
    "NetworkSource",
    "Suspect",
    "TrainReport",
    "Worth",
    "features_kept",
    "fit",
    "gather",
    "source_of",
    "train",
    "write_network",
]
