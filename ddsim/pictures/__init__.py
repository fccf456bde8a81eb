"""Anything a user calls a picture, made into the bytes that are sent.

A path, bytes, an open file, a PIL image or an array goes in; what a person would see comes out: upright, transparency
on white, the first frame, small enough. Uses Pillow and the errors, nothing else of ddsim; whoever sends or shows a
picture uses it. What is at an address on the web is fetched with limits, and never from this machine's own network.
"""

from ddsim.pictures.encoding import Encoded, Picture, ServerPath, Upload, Url, describe, encode, read_file
from ddsim.pictures.fetching import Fetching, fetch, is_address, is_public
from ddsim.pictures.remote import read_item
from ddsim.pictures.thumbnails import cut, part_of, thumbnail

__all__ = [
    "Encoded",
    "Fetching",
    "Picture",
    "ServerPath",
    "Upload",
    "Url",
    "cut",
    "describe",
    "encode",
    "fetch",
    "is_address",
    "is_public",
    "part_of",
    "read_file",
    "read_item",
    "thumbnail",
]
