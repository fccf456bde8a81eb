"""A photo in, its categories and neighbours out: ImageSearch, which knows all houses below.

A collection is one catalogue under one configuration, with its manifest and its vectors' home: its holdings, on which
runs of indexing work. The connection is the only place that knows the embedded server; the sheet draws results as a
picture. Commands, page, doctor and other people's code use it.
"""

from ddsim.search.collection import Collection
from ddsim.search.connection import connect, transport_to
from ddsim.search.contents import Failures, Items, ItemVectors
from ddsim.search.current import current_catalogue, was_indexed
from ddsim.search.duplicates import Duplicate, Duplicates
from ddsim.search.exploring import CatalogueMap
from ddsim.search.planning import IndexOptions, Outlook
from ddsim.search.results import Neighbour, SearchResult, Timings, without
from ddsim.search.search import ImageSearch
from ddsim.search.sheet import confusion_sheet, contact_sheet
from ddsim.search.states import State, cache_bytes, catalogues, remove_state, states
from ddsim.search.unused import Unused, remove_from_server, remove_unused, unused_services
from ddsim.search.vanishing import reason_to_stop
from ddsim.search.vectorfiles import write_vectors, writer_for

__all__ = [
    "CatalogueMap",
    "Collection",
    "Duplicate",
    "Duplicates",
    "Failures",
    "ImageSearch",
    "IndexOptions",
    "ItemVectors",
    "Items",
    "Neighbour",
    "Outlook",
    "SearchResult",
    "State",
    "Timings",
    "Unused",
    "cache_bytes",
    "catalogues",
    "confusion_sheet",
    "connect",
    "contact_sheet",
    "current_catalogue",
    "reason_to_stop",
    "remove_from_server",
    "remove_state",
    "remove_unused",
    "states",
    "transport_to",
    "unused_services",
    "was_indexed",
    "without",
    "write_vectors",
    "writer_for",
]
