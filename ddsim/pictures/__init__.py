"""Anything a user calls a picture, made into the bytes that are sent.

A path, bytes, an open file, a PIL image or an array goes in; what a person would see comes out: upright, transparency
on white, the first frame, small enough. Uses Pillow and the errors, nothing else of ddsim; whoever sends or shows a
picture uses it. What is at an address on the web is fetched with limits, and never from this machine's own network.
"""

from ddsim.pictures.addresses import (
    HEADERS,
    MOST_REDIRECTS,
    PORTS,
    causes_of,
    check_length,
    check_status,
    is_address,
    is_public,
    parts_of,
    private_words,
    reason_of,
    shown_url,
    too_long,
    too_often,
)
from ddsim.pictures.encoding import Encoded, Picture, ServerPath, Upload, Url, describe, encode, read_file
from ddsim.pictures.fetching import Fetching, fetch
from ddsim.pictures.remote import read_item
from ddsim.pictures.thumbnails import cut, part_of, thumbnail

__all__ = [
    "HEADERS",
    "MOST_REDIRECTS",
    "PORTS",
    "Encoded",
    "Fetching",
    "Picture",
    "ServerPath",
    "Upload",
    "Url",
    "causes_of",
    "check_length",
    "check_status",
    "cut",
    "describe",
    "encode",
    "fetch",
    "is_address",
    "is_public",
    "part_of",
    "parts_of",
    "private_words",
    "read_file",
    "read_item",
    "reason_of",
    "shown_url",
    "thumbnail",
    "too_long",
    "too_often",
]
