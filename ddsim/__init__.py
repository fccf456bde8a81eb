"""Visual search on a DeepDetect server: a photo goes in, its category and similar reference pictures come out."""

import logging

from ddsim.catalogue.folder import Item, scan
from ddsim.config.loading import load
from ddsim.config.settings import Settings
from ddsim.deepdetect.calls import TimeLimits
from ddsim.deepdetect.client import Client
from ddsim.deepdetect.results import Classification, Label, Neighbour, SearchReply
from ddsim.deepdetect.transport import Reply, Retries, Timeout, Transport
from ddsim.deepdetect.wire import Capabilities, Info, ServiceInfo, ServiceSpec
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
from ddsim.indexing.audit import Audit
from ddsim.indexing.run import Failure, IndexReport, Progress
from ddsim.pictures.encoding import Picture, ServerPath, Upload, Url
from ddsim.routing.calibration import Learned
from ddsim.routing.categories import RoutedCategory
from ddsim.search.collection import Collection, IndexOptions
from ddsim.search.connection import connect
from ddsim.search.search import ImageSearch, SearchResult, Timings

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
