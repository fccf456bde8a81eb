"""What a caller of the client gave, looked at before anything is sent."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from numbers import Integral

import numpy as np
from PIL import Image

from ddsim.errors import InvalidRequest
from ddsim.pictures import Encoded, ServerPath, Url


def check_layer(layer: str) -> None:
    """Refuse what cannot name a layer.

    Raises:
        InvalidRequest: the server takes an empty name for none at all and then answers no predictions (recording 20).
    """
    if not isinstance(layer, str) or not layer or not layer.isprintable():
        raise InvalidRequest(f"layer {layer!r}: name a layer of the network")


def check_list(pictures: object) -> None:
    """Refuse one picture where a list of them belongs: a str would be taken apart into letters, a file into lines.

    Raises:
        InvalidRequest: it is one picture, or none at all.
    """
    one = (str, bytes, bytearray, memoryview, os.PathLike, Image.Image, Encoded, ServerPath, Url, Mapping)
    # An array of names is a list of them, as a column of a table has it.
    names = isinstance(pictures, np.ndarray) and pictures.ndim == 1 and pictures.dtype.kind in "OUS"
    flat = isinstance(pictures, np.ndarray) and pictures.ndim < 4 and not names
    if isinstance(pictures, one) or flat or hasattr(pictures, "read") or not isinstance(pictures, Iterable):
        raise InvalidRequest("give a list of pictures, even for one: [picture]")


def is_whole(number: object) -> bool:
    """Whether it is a whole number, numpy's too; yes and no are none."""
    return isinstance(number, Integral) and not isinstance(number, bool)


def count(name: str, value: int) -> int:
    """A number that JSON and the server take for a count.

    numpy's integers are fine, and cannot be written as JSON; a float where an int is due is a 500/1007.

    Raises:
        InvalidRequest: it is no whole number, below 1, or needs more than 32 bits.
    """
    if not is_whole(value):
        raise InvalidRequest(f"{name}={value!r}: expected a whole number")
    number = int(value)
    if not 1 <= number < 2**31:
        raise InvalidRequest(f"{name}={number} must be 1 or more, and fit into 32 bits")
    return number
