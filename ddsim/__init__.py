"""Visual search on a DeepDetect server: a photo goes in, its category and similar reference pictures come out."""

import logging as _logging
import typing as _typing
from importlib import import_module as _import_module
from importlib import metadata as _metadata

from ddsim.errors import DISTRIBUTION as _DISTRIBUTION
from ddsim.errors import (
    ApiError,
    BadInput,
    BadParameter,
    CapabilityError,
    CatalogueUnreachable,
    CatalogueVanished,
    ConfigError,
    ConnectionLost,
    DatabaseTrouble,
    DDSimError,
    ForeignCollection,
    ImageError,
    ImageUnavailable,
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
    ServerBusy,
    ServerFault,
    ServerTimeout,
    ServerUnreachable,
    ServiceConflict,
    ServiceExists,
    ServiceNotFound,
    StateCopied,
    StateNotWritable,
    TooLarge,
    TrainPredictConflict,
    TransportError,
    Unconnectable,
    UnknownLibrary,
    UnsafeCall,
)

if _typing.TYPE_CHECKING:
    from ddsim.catalogue import Item, scan
    from ddsim.config import Settings, load
    from ddsim.deepdetect import (
        AsyncClient,
        AsyncTransport,
        Capabilities,
        Classification,
        Client,
        Info,
        Label,
        Match,
        Reply,
        Retries,
        SearchReply,
        ServiceInfo,
        ServiceSpec,
        ThreadedTransport,
        TimeLimits,
        Timeout,
        TrainingStatus,
        Transport,
    )
    from ddsim.evaluation import Evaluation, evaluate
    from ddsim.indexing import Audit, Failure, IndexReport, Progress
    from ddsim.pictures import Picture, ServerPath, Upload, Url
    from ddsim.routing import Learned, RoutedCategory
    from ddsim.search import (
        CatalogueMap,
        Collection,
        Duplicate,
        Duplicates,
        Failures,
        ImageSearch,
        IndexOptions,
        Items,
        ItemVectors,
        Neighbour,
        SearchResult,
        Timings,
        connect,
    )
    from ddsim.showing import ProgressBar
    from ddsim.training import TrainReport

__all__ = [
    "ApiError",
    "AsyncClient",
    "AsyncTransport",
    "Audit",
    "BadInput",
    "BadParameter",
    "Capabilities",
    "CapabilityError",
    "CatalogueMap",
    "CatalogueUnreachable",
    "CatalogueVanished",
    "Classification",
    "Client",
    "Collection",
    "ConfigError",
    "ConnectionLost",
    "DDSimError",
    "DatabaseTrouble",
    "Duplicate",
    "Duplicates",
    "Evaluation",
    "Failure",
    "Failures",
    "ForeignCollection",
    "ImageError",
    "ImageSearch",
    "ImageUnavailable",
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
    "ItemVectors",
    "Items",
    "Label",
    "Learned",
    "MalformedRequest",
    "ManifestBusy",
    "Match",
    "Neighbour",
    "NetworkChanged",
    "Picture",
    "Progress",
    "ProgressBar",
    "Reply",
    "Retries",
    "RoutedCategory",
    "SearchReply",
    "SearchResult",
    "ServerBusy",
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
    "StateCopied",
    "StateNotWritable",
    "ThreadedTransport",
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
    "evaluate",
    "load",
    "scan",
]

# Imported when they are asked for: a command that only prints its version, or completes a word, needs none of them, and
# one that is started without the libraries below can say so in a sentence.
_HOUSES = {
    "catalogue": "Item scan",
    "config": "Settings load",
    "deepdetect": (
        "AsyncClient AsyncTransport Capabilities Classification Client Info Label Match Reply Retries SearchReply "
        "ServiceInfo ServiceSpec ThreadedTransport TimeLimits Timeout TrainingStatus Transport"
    ),
    "evaluation": "Evaluation evaluate",
    "indexing": "Audit Failure IndexReport Progress",
    "pictures": "Picture ServerPath Upload Url",
    "routing": "Learned RoutedCategory",
    "search": (
        "CatalogueMap Collection Duplicate Duplicates Failures ImageSearch IndexOptions ItemVectors Items Neighbour "
        "SearchResult Timings connect"
    ),
    "showing": "ProgressBar",
    "training": "TrainReport",
}
_HOUSE_OF = {name: house for house, names in _HOUSES.items() for name in names.split()}


if not _typing.TYPE_CHECKING:  # or no name would be wrong for type checkers

    def __getattr__(name: str) -> object:
        if name not in _HOUSE_OF:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        value: object = getattr(_import_module(f"{__name__}.{_HOUSE_OF[name]}"), name)
        globals()[name] = value
        return value

    def __dir__() -> list[str]:
        return sorted({*globals(), *__all__})


try:
    __version__ = _metadata.version(_DISTRIBUTION)
except _metadata.PackageNotFoundError:
    __version__ = "unknown: this is a folder of sources that is not installed"

# Who wants to see the log configures one; a library does not.
_logging.getLogger(__name__).addHandler(_logging.NullHandler())
