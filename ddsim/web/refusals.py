"""Everything that can go wrong, as a friendly sentence with what to do next; never a path of this machine's disk."""

from __future__ import annotations

import logging
from collections.abc import Collection
from dataclasses import dataclass, replace
from math import ceil
from typing import Literal

from ddsim.errors import (
    CatalogueUnreachable,
    ConfigError,
    DatabaseTrouble,
    DDSimError,
    ImageError,
    ImageUnavailable,
    IndexBusy,
    IndexLost,
    ManifestBusy,
    ServerBusy,
    ServerTimeout,
    TransportError,
)

_FEW = 10
_log = logging.getLogger(__name__)

Code = Literal[
    "empty",
    "not_a_picture",
    "too_large",
    "too_many_pixels",
    "unknown_photo",
    "unknown_item",
    "item_unavailable",
    "unknown_category",
    "bad_request",
    "not_found",
    "method_not_allowed",
    "nothing_indexed",
    "index_busy",
    "server_down",
    "database_down",
    "server_fault",
    "busy",
    "timeout",
]


@dataclass(frozen=True, slots=True)
class Words:
    """What is said about one kind of trouble.

    Attributes:
        code: for programs.
        status: of HTTP.
        message: what happened, one sentence.
        hint: what to do next.
        retry_after: seconds after which another try makes sense; None where it does not by itself.
    """

    code: Code
    status: int
    message: str
    hint: str
    retry_after: int | None = None


class Refusal(Exception):
    """A request is answered with an error."""

    def __init__(self, words: Words) -> None:
        super().__init__(f"{words.code}: {words.message}")
        self.words = words


NOTHING_INDEXED = Words(
    "nothing_indexed",
    503,
    "There is nothing to search yet: the catalogue is not indexed.",
    "Whoever runs this page runs “ddsim index” with the same configuration; then try again.",
)
INDEX_BUSY = Words(
    "index_busy",
    503,
    "The catalogue is being indexed at this moment.",
    "Try again in a moment.",
    retry_after=5,
)
SERVER_DOWN = Words(
    "server_down",
    503,
    "The server that compares pictures does not answer.",
    "Whoever runs this page starts the DeepDetect server that its configuration names; then try again.",
    retry_after=10,
)
DATABASE_DOWN = Words(
    "database_down",
    503,
    "The database of the catalogue does not answer.",
    "Whoever runs this page starts the Milvus that its configuration names; then try again.",
    retry_after=10,
)
SERVER_FAULT = Words(
    "server_fault",
    503,
    "The server that compares pictures could not do this search.",
    "Try again; if it happens once more, whoever runs this page finds the reason in its log.",
)
BROKEN = Words(
    "server_fault",
    500,
    "Something went wrong here.",
    "Try again; if it happens once more, whoever runs this page finds the reason in its log.",
)
FAULT_HERE = replace(BROKEN, status=503)
"""A full disk, or a state folder that is gone: no fault of the server that compares pictures."""
TOO_SLOW = Words("timeout", 504, "The search took too long and was given up.", "Try again in a moment.", retry_after=5)
BUSY = Words("busy", 503, "Too many people are searching at this moment.", "Try again in a few seconds.", retry_after=3)
EMPTY = Words("empty", 415, "This file is empty.", "Choose it once more, or another one.")
UNKNOWN_PHOTO = Words("unknown_photo", 404, "This photo is not kept here any more.", "Choose the photo once more.")
UNKNOWN_ITEM = Words(
    "unknown_item", 404, "There is no such product in the catalogue.", "Go back to the start and search again."
)
ITEM_UNAVAILABLE = Words(
    "item_unavailable",
    503,
    "The picture of this product cannot be fetched just now.",
    "Try again in a moment; where that does not help, whoever runs this page finds the reason in its log.",
    retry_after=30,
)
NOT_FOUND = Words("not_found", 404, "There is no such page.", "Go to the start page.")


def bad_request(message: str, hint: str = "Correct it and try again.", status: int = 422) -> Refusal:
    """A request that cannot be right."""
    return Refusal(Words("bad_request", status, message, hint))


def too_large(limit: int) -> Refusal:
    """A photo of too many bytes."""
    most = f"{limit / 1024 / 1024:.0f} MB" if limit >= 1024 * 1024 else f"{limit} bytes"
    return Refusal(
        Words(
            "too_large",
            413,
            f"This photo is larger than {most}.",
            "Make it smaller, or take another one. Whoever runs this page may raise web.max_bytes.",
        )
    )


def too_many_pixels(width: int, height: int, limit: int) -> Refusal:
    """A photo of too many pixels."""
    return Refusal(
        Words(
            "too_many_pixels",
            413,
            f"This photo has {width} x {height} pixels, more than {limit / 1e6:.3g} million.",
            "Make it smaller, or take another one. Whoever runs this page may raise upload.max_pixels.",
        )
    )


def not_a_picture(reason: str) -> Refusal:
    """A file that is no photo."""
    return Refusal(
        Words(
            "not_a_picture",
            415,
            f"This file cannot be read as a picture: {reason}.",
            "Choose another file, such as a photo in JPEG.",
        )
    )


def unknown_category(name: str, known: Collection[str]) -> Refusal:
    """A category that the catalogue does not have."""
    return Refusal(
        Words(
            "unknown_category",
            422,
            f"The catalogue has no category {name[:100]!r}.",
            f"Choose one of {', '.join(known)}, or all of them."
            if len(known) <= _FEW
            else f"Choose one of the {len(known)} that /api/catalogue lists, or all of them.",
        )
    )


def words_for_item(error: DDSimError) -> Words:
    """What to say where a catalogue's own picture cannot be read."""
    return ITEM_UNAVAILABLE if isinstance(error, (CatalogueUnreachable, ImageUnavailable)) else UNKNOWN_ITEM


def words_for(error: DDSimError) -> Words:
    """What to say about an error of the library; the details go to the log."""
    if isinstance(error, IndexLost):
        _log.error("%s", error)
        return NOTHING_INDEXED
    if isinstance(error, (IndexBusy, ManifestBusy)):
        _log.info("%s", error)
        return INDEX_BUSY
    if isinstance(error, (ImageError, CatalogueUnreachable)):
        # Only of a catalogue's own picture: uploads are looked at before.
        _log.warning("%s", error)
        return words_for_item(error)
    _log.error("%s: %s", type(error).__name__, error)
    if isinstance(error, ServerTimeout):
        return TOO_SLOW
    if isinstance(error, ServerBusy):
        return BUSY if error.retry_after is None else replace(BUSY, retry_after=ceil(error.retry_after))
    if isinstance(error, ConfigError):
        return FAULT_HERE
    if isinstance(error, DatabaseTrouble):
        return DATABASE_DOWN
    return SERVER_DOWN if isinstance(error, TransportError) else SERVER_FAULT
