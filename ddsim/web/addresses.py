"""Addresses of pictures, and links that repeat a search.

All are relative to the page's address: below which path that is, only a proxy before it may know.
"""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import quote, urlencode

from ddsim.catalogue import Row

Region = tuple[float, float, float, float]

_VERSION_CHARS = 16


def version(sha256: str | None) -> str:
    """The part of a content hash that stands in addresses."""
    return (sha256 or "")[:_VERSION_CHARS]


def picture(row: Row) -> str:
    """The address of an item's picture."""
    return f"pictures/{quote(row.uri)}?v={version(row.sha256)}"


def thumbnail(row: Row, size: int) -> str:
    """The address of an item's thumbnail."""
    return f"thumbnails/{size}/{quote(row.uri)}?v={version(row.sha256)}"


def photo(token: str) -> str:
    """The address of a kept upload."""
    return f"photos/{token}"


def link(
    *,
    token: str | None = None,
    like: str | None = None,
    categories: Sequence[str] = (),
    everything: bool = False,
    region: Region | None = None,
) -> str:
    """The address of the page that repeats a search."""
    pairs = [("photo", token)] if token else [("like", like or "")]
    pairs += [("category", name) for name in categories]
    pairs += [("all", "1")] if everything else []
    pairs += [("region", ",".join(f"{part:g}" for part in region))] if region else []
    return "./?" + urlencode(pairs, safe="/,")
