"""Networks by name, as files that every DeepDetect server with Caffe runs, and what is derived from such files.

A pip package brings the weights as PyTorch wrote them; they are read without PyTorch, checked, and written as Caffe
files. Definitions are derived from others where only layers without weights change.
"""

from ddsim.networks.efficientnet import FEATURES
from ddsim.networks.files import (
    CACHE_VARIABLE,
    NetworkFiles,
    cache_folder,
    cached_files,
    centre_file,
    centre_name,
    export,
    export_derived,
    export_file,
    network_files,
    put_right,
    served_files,
)
from ddsim.networks.heads import PROBABILITIES, SCORES, with_head
from ddsim.networks.pooling import centre_weighted
from ddsim.networks.registry import EXTRA, KnownNetwork, known, known_networks

__all__ = [
    "CACHE_VARIABLE",
    "EXTRA",
    "FEATURES",
    "PROBABILITIES",
    "SCORES",
    "KnownNetwork",
    "NetworkFiles",
    "cache_folder",
    "cached_files",
    "centre_file",
    "centre_name",
    "centre_weighted",
    "export",
    "export_derived",
    "export_file",
    "known",
    "known_networks",
    "network_files",
    "put_right",
    "served_files",
    "with_head",
]
