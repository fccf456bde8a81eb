"""Indexes that FAISS has to train before they hold anything: how many pictures that takes."""

from __future__ import annotations

import re

from ddsim.catalogue import ItemState, Manifest
from ddsim.errors import ConfigError

_TRAINED = re.compile(r"(?P<kind>IVF|PCA)(?P<count>\d+),Flat")


def least_pictures(index_type: str) -> int:
    """How many pictures an index of this type needs to be trained; 0 where it is not trained.

    FAISS makes a list of an IVF index of one picture at least, and each dimension of a PCA of one.
    """
    match = _TRAINED.fullmatch(index_type)
    return int(match["count"]) if match else 0


def why_not_trainable(index_type: str, pictures: int, dimension: int | None = None) -> str | None:
    """Why an index of this type cannot be made of so many pictures, with what to do; None where it can.

    Args:
        index_type: as in the configuration.
        pictures: how many there are.
        dimension: the length of their vectors; None where it is not known.
    """
    least = least_pictures(index_type)
    if pictures < least:
        return (
            f"similarity.index_type {index_type} needs at least {least} pictures to be trained, and there are "
            f"{pictures}: write index_type: Flat, which is exact and fast up to some 100,000 pictures, or a smaller "
            "number"
        )
    if index_type.startswith("PCA") and dimension and dimension < least:
        return f"similarity.index_type {index_type} keeps {least} values, and the vectors have {dimension}: write fewer"
    return None


def check_trainable(home: str, manifest: Manifest) -> int:
    """How many pictures the index needs before it can be built first; 0 where it was built, or is not trained.

    Args:
        home: which kind of index it is; see :attr:`ddsim.vectors.Backend.home`.
        manifest: says what is in the index, and what waits.

    Raises:
        ConfigError: there are too few.
    """
    counts = manifest.counts()
    kind, _, index_type = home.partition(" ")
    if kind != "server" or counts[ItemState.INDEXED] or counts[ItemState.ADDED] or not counts[ItemState.PENDING]:
        return 0
    if reason := why_not_trainable(index_type, counts[ItemState.PENDING], manifest.get_meta("dimension")):
        raise ConfigError(reason)
    return least_pictures(index_type)
