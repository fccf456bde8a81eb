"""Where vectors live and how pictures are sent there, and what has to go together with it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Literal, TypeAlias

from pydantic import Field

from ddsim.config.database import DatabaseSettings
from ddsim.config.values import Size
from ddsim.config.yamlfile import Key

BackendName: TypeAlias = Literal["server", "local", "milvus", "auto"]


class IndexSettings(DatabaseSettings):
    """Where vectors live and how pictures are sent there."""

    backend: BackendName = "server"
    """``server``: DeepDetect's own index; ``local``: ddsim keeps the vectors; ``milvus``: a database does; ``auto``:
    what the server can do."""
    metric: Literal["l2", "cosine"] = "l2"
    """What makes two vectors near: ``l2`` their distance, ``cosine`` the angle between them (``local`` and ``milvus``
    only)."""
    normalisation: Literal["none", "l2", "power"] = "none"
    """Vectors at length 1 before they are compared: ``l2``; after square roots of their values: ``power``
    (``local`` only)."""
    pca: Annotated[int, Field(ge=1, le=65536)] | None = None
    """So many principal components are compared in place of the vectors themselves (``local`` only)."""
    whiten: bool = False
    """Whether all of these components have the same weight (``local`` only)."""
    precision: Literal["float32", "float16"] = "float32"
    """How vectors are kept, on disk and in memory: ``float16`` takes half the room and rounds to three digits
    (``local`` only)."""
    approximate: Literal["auto", "never"] = "never"
    """``auto``: from 50,000 pictures on a search looks at a part of the vectors only, which finds 99 of 100 of the ten
    nearest; ``never``: it always looks at all of them (``local`` only)."""
    batch_size: Annotated[int, Field(ge=1, le=256)] = 32
    """Pictures in one call at most."""
    batch_bytes: Annotated[Size, Field(ge=100_000, le=64_000_000)] = 16_000_000
    """Size of the pictures in one call at most, as they are sent; a single larger one goes alone."""
    threads: Annotated[int, Field(ge=1, le=1024)] | None = None
    """Threads that prepare pictures, and that the embedded server's networks run on; by default one for each core."""
    checkpoint: Annotated[int, Field(ge=1)] = 1000
    """After so many pictures the index is written to disk; if a server dies, so many and a batch are sent again."""
    cache: Annotated[Size, Field(ge=0)] = 4_000_000_000
    """Bytes of disk for vectors by their pictures' content, so that none is computed twice: not after a folder was
    renamed, nor for another catalogue, nor after an evaluation (``local`` only); 0 keeps none."""
    max_tombstones: Annotated[float, Field(gt=0, le=1)] = 0.25
    """Share of the index that may be rows of removed or replaced pictures; above it, a rebuild is advised."""
    unused_days: Annotated[float, Field(ge=1)] | None = 30
    """After so many days in which nobody has used it, a service that ddsim made is removed from the server; whoever
    needs it makes it again. null keeps them all."""


def recipe_rules(index: IndexSettings) -> Iterator[tuple[Key, str]]:
    """What these settings ask of a home of vectors that it cannot do, or of each other: key path and reason."""
    given = {"normalisation": index.normalisation != "none", "pca": index.pca is not None, "whiten": index.whiten}
    given |= {"precision": index.precision != "float32", "approximate": index.approximate != "never"}
    who = "the database" if index.backend == "milvus" else "the server"
    for key in (key for key, used in given.items() if used and index.backend != "local"):
        yield ("index", key), f"{who} compares vectors as they are: write backend: local too, or leave it out"
    if index.whiten and index.pca is None:
        yield ("index", "whiten"), "it weighs principal components: say with pca how many, or leave it out"
