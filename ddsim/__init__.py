"""Visual search on a DeepDetect server: a photo goes in, its category and similar reference pictures come out."""

import logging
from importlib import metadata as _metadata

from ddsim.catalogue import Item, scan
from ddsim.config import Settings, load
from ddsim.deepdetect import (
    Capabilities,
    Classification,
    Client,
    Info,
    Label,
    Neighbour,
    Reply,
    Retries,
    SearchReply,
    ServiceInfo,
    ServiceSpec,
    TimeLimits,
    Timeout,
    TrainingStatus,
    Transport,
)
from ddsim.errors import DISTRIBUTION as _DISTRIBUTION
from ddsim.errors import (
    ApiError,
    BadInput,
    BadParameter,
    CapabilityError,
    CatalogueVanished,
    ConfigError,
    ConnectionLost,
    DDSimError,
    ImageError,
    IndexBusy,
    IndexClosed,
    IndexLost,
    IndexNotBuilt,
    Intercepted,
    InvalidRequest,
    InvalidResponse,
    MalformedRequest,
    ManifestBusy,
    NetworkChanged,
    ServerFault,
    ServerTimeout,
    ServerUnreachable,
    ServiceConflict,
    ServiceExists,
    ServiceNotFound,
    StateNotWritable,
    TooLarge,
    TrainPredictConflict,
    TransportError,
    Unconnectable,
    UnknownLibrary,
    UnsafeCall,
)
from ddsim.indexing import Audit, Failure, IndexReport, Progress
from ddsim.pictures import Picture, ServerPath, Upload, Url
from ddsim.routing import Learned, RoutedCategory
from ddsim.search import Collection, ImageSearch, IndexOptions, SearchResult, Timings, connect
from ddsim.training import TrainReport

__all__ = [
    "ApiError",
    "Audit",
    "BadInput",
    "BadParameter",
    "Capabilities",
    "CapabilityError",
    "CatalogueVanished",
    "Classification",
    "Client",
    "Collection",
    "ConfigError",
    "ConnectionLost",
    "DDSimError",
    "Failure",
    "ImageError",
    "ImageSearch",
    "IndexBusy",
    "IndexClosed",
    "IndexLost",
    "IndexNotBuilt",
    "IndexOptions",
    "IndexReport",
    "Info",
    "Intercepted",
    "InvalidRequest",
    "InvalidResponse",
    "Item",
    "Label",
    "Learned",
    "MalformedRequest",
    "ManifestBusy",
    "Neighbour",
    "NetworkChanged",
    "Picture",
    "Progress",
    "Reply",
    "Retries",
    "RoutedCategory",
    "SearchReply",
    "SearchResult",
    "ServerFault",
    "ServerPath",
    "ServerTimeout",
    "ServerUnreachable",
    "ServiceConflict",
    "ServiceExists",
    "ServiceInfo",
    "ServiceNotFound",
    "ServiceSpec",
    "Settings",
    "StateNotWritable",
    "TimeLimits",
    "Timeout",
    "Timings",
    "TooLarge",
    "TrainPredictConflict",
    "TrainReport",
    "TrainingStatus",
    "Transport",
    "TransportError",
    "Unconnectable",
    "UnknownLibrary",
    "UnsafeCall",
    "Upload",
    "Url",
    "__version__",
    "connect",
    "load",
    "scan",
]

try:
    __version__ = _metadata.version(_DISTRIBUTION)
except _metadata.PackageNotFoundError:
    __version__ = "unknown: this is a folder of sources that is not installed"

# Who wants to see the log configures one; a library does not.
logging.getLogger(__name__).addHandler(logging.NullHandler())
