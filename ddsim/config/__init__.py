"""YAML to strict typed settings, with errors that name file, line and key.

Uses the errors, what DeepDetect and pictures allow as values, and what networks say of themselves; every house above
takes its settings from here. It reads files and environment variables, and talks to no server.
"""

from ddsim.config.advice import advice
from ddsim.config.filling import NAMED
from ddsim.config.index import BackendName, IndexSettings
from ddsim.config.loading import MATRIX, dump, load, name_of, plain, read, settle, shareable
from ddsim.config.problems import config_error, fields, problems_in
from ddsim.config.reference import CatalogueSettings
from ddsim.config.routing import Routing
from ddsim.config.schema import SCHEMA, json_schema
from ddsim.config.server import Server
from ddsim.config.services import Classification, Network, Service, Similarity
from ddsim.config.settings import Settings
from ddsim.config.shipping import CONFIGS, located, shipped, write_shipped
from ddsim.config.upload import UploadSettings
from ddsim.config.values import IndexType, Origin, Word
from ddsim.config.yamlfile import Document, Key, Problem

__all__ = [
    "CONFIGS",
    "MATRIX",
    "NAMED",
    "SCHEMA",
    "BackendName",
    "CatalogueSettings",
    "Classification",
    "Document",
    "IndexSettings",
    "IndexType",
    "Key",
    "Network",
    "Origin",
    "Problem",
    "Routing",
    "Server",
    "Service",
    "Settings",
    "Similarity",
    "UploadSettings",
    "Word",
    "advice",
    "config_error",
    "dump",
    "fields",
    "json_schema",
    "load",
    "located",
    "name_of",
    "plain",
    "problems_in",
    "read",
    "settle",
    "shareable",
    "shipped",
    "write_shipped",
]
