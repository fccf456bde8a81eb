"""A catalogue's pictures that lie elsewhere: on a CDN, or whatever serves files under one address."""

from __future__ import annotations

import os
from pathlib import Path
from urllib.parse import quote

from ddsim.errors import ImageError
from ddsim.pictures.encoding import read_file
from ddsim.pictures.fetching import Fetching, fetch


def read_item(folder: Path, uri: str, max_bytes: int, prefix: str | None = None) -> bytes:
    """An item's file, from the catalogue's folder or, where it is not there, from an address.

    Args:
        folder: the catalogue's.
        uri: the item's name, as it is indexed.
        max_bytes: more are not read.
        prefix: the address of the folder elsewhere; None for nowhere.

    Raises:
        ImageError: it is in neither place, or too long.
    """
    try:
        return read_file(folder / uri, max_bytes)
    except ImageError:
        if prefix is None:
            raise
    # Whoever writes the configuration says where its pictures are, be it in a network of one's own.
    return fetch(f"{prefix}/{quote(os.fsencode(uri))}", Fetching(max_bytes=max_bytes, allow_private=True))
