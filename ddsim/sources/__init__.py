"""Where a catalogue's pictures are: a folder, a bucket, a folder of a web server, or a table of addresses.

Whoever lists or reads a catalogue does it through :class:`Source`. Uses the catalogue's rules, the settings and the
pictures' files; doctor, evaluation, indexing, search and the page read through it. What reads buckets (extra
``remote``) is imported when a catalogue is in one.
"""

from __future__ import annotations

import os
from pathlib import Path

from ddsim.catalogue import Address, Where
from ddsim.config import Settings
from ddsim.sources.base import Source, in_parallel
from ddsim.sources.bucket import Bucket, BucketSource
from ddsim.sources.fetching import Fetcher
from ddsim.sources.folder import FolderSource
from ddsim.sources.table import ENDINGS, TableSource
from ddsim.sources.web import WebSource

__all__ = ["FolderSource", "Source", "in_parallel", "is_table", "source_of"]


def is_table(catalogue: Where) -> bool:
    """Whether this is a table of pictures' addresses."""
    return isinstance(catalogue, Path) and catalogue.suffix.lower() in ENDINGS and not os.path.isdir(catalogue)


def source_of(settings: Settings, catalogue: Where) -> Source:
    """What reads a catalogue; nothing is read yet.

    Args:
        settings: what is passed over, and how addresses are read.
        catalogue: a folder, a table's file, or an address.

    Raises:
        CapabilityError: what reads such a place is not installed.
    """
    reference, max_bytes = settings.reference, settings.upload.max_bytes

    def bucket(scheme: str) -> Bucket:
        return Bucket(scheme, endpoint=reference.endpoint, anonymous=reference.anonymous)

    if isinstance(catalogue, Address) and catalogue.scheme in ("http", "https"):
        return WebSource(
            catalogue,
            settings.patterns(),
            readers=reference.readers,
            max_bytes=max_bytes,
            allow_private=reference.allow_private,
        )
    if isinstance(catalogue, Address):
        return BucketSource(
            catalogue, bucket(catalogue.scheme), settings.patterns(), readers=reference.readers, max_bytes=max_bytes
        )
    if is_table(catalogue):
        fetcher = Fetcher(allow_private=reference.allow_private, pool=reference.readers)
        return TableSource(catalogue, fetcher, bucket, readers=reference.readers, max_bytes=max_bytes)
    return FolderSource(catalogue, settings.patterns(), reference.url_prefix)
