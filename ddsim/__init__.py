"""Visual search on a DeepDetect server: a photo goes in, its category and similar reference pictures come out."""

import logging

from ddsim.audit import Audit
from ddsim.calibration import Learned
from ddsim.calls import TimeLimits
from ddsim.catalogue import Item, scan
from ddsim.client import Client
from ddsim.collection import Collection, IndexOptions
from ddsim.config import load
from ddsim.connection import connect
from ddsim.errors import (
    ApiError,
    BadInput,
    BadParameter,
    CapabilityError,
    ConfigError,
    ConnectionLost,
    DDSimError,
    ImageError,
    IndexBusy,
    IndexClosed,
    IndexLost,
    IndexNotBuilt,
    InvalidRequest,
    InvalidResponse,
    MalformedRequest,
    ManifestBusy,
    ServerFault,
    ServerTimeout,
    ServerUnreachable,
    ServiceConflict,
    ServiceExists,
    ServiceNotFound,
    TrainPredictConflict,
    TransportError,
    UnknownLibrary,
    UnsafeCall,
)
from ddsim.images import Picture, ServerPath, Upload, Url
from ddsim.indexing import Failure, IndexReport, Progress
from ddsim.results import Classification, Label, Neighbour, SearchReply
from ddsim.routing import RoutedCategory
from ddsim.search import ImageSearch, SearchResult, Timings
from ddsim.settings import Settings
from ddsim.transport import Reply, Retries, Timeout, Transport
from ddsim.wire import Capabilities, Info, ServiceInfo, ServiceSpec

__all__ = [
    "ApiError",
    "Audit",
    "BadInput",
    "BadParameter",
    "Capabilities",
    "CapabilityError",
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
    "InvalidRequest",
    "InvalidResponse",
    "Item",
    "Label",
    "Learned",
    "MalformedRequest",
    "ManifestBusy",
    "Neighbour",
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
    "TimeLimits",
    "Timeout",
    "Timings",
    "TrainPredictConflict",
    "Transport",
    "TransportError",
    "UnknownLibrary",
    "UnsafeCall",
    "Upload",
    "Url",
    "connect",
    "load",
    "scan",
]

# Who wants to see the log configures one; a library does not.
logging.getLogger(__name__).addHandler(logging.NullHandler())
