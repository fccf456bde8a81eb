"""Where below a manifest's folder a local index lies, and what older versions left there.

Every index has a folder of its own, whose name the manifest knows: whoever replaces the one by the other replaces
vectors, numbers and names at one moment.
"""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import get_args

import numpy as np

from ddsim.catalogue import Manifest
from ddsim.vectors.exact import Metric
from ddsim.vectors.files import Damaged
from ddsim.vectors.learning import LEARNED
from ddsim.vectors.space import Space
from ddsim.vectors.vectorfile import Part, read

#: What the manifest's meta calls the folder.
VECTORS = "vectors"
_PREFIX = "vectors-"
#: The one file in which versions before kept all vectors, and replaced it at every checkpoint.
OLDER = "vectors.npz"


def new_name() -> str:
    """The name of a folder that no index had before."""
    return f"{_PREFIX}{secrets.token_hex(6)}"


def folder_of(manifest: Manifest) -> Path | None:
    """The folder of a manifest's local index; None where it never had one."""
    name = manifest.get_meta(VECTORS)
    return manifest.folder / Path(str(name)).name if name else None


def tidy(manifest: Manifest) -> None:
    """Remove the folders of indexes that another one has taken the place of; the caller holds the right to write."""
    kept = folder_of(manifest)
    for path in manifest.folder.glob(f"{_PREFIX}*"):
        if path != kept:
            # On Windows a file that somebody holds open stays until the next run.
            shutil.rmtree(path, ignore_errors=True)


def discard(manifest: Manifest) -> None:
    """Remove all there is of a manifest's local index."""
    forget_older(manifest.folder)
    for path in manifest.folder.glob(f"{_PREFIX}*"):
        shutil.rmtree(path, ignore_errors=True)


def forget_older(folder: Path) -> None:
    """Remove what older versions kept in a manifest's folder."""
    for name in (OLDER, LEARNED):
        (folder / name).unlink(missing_ok=True)


def take_learned(folder: Path, new: Path) -> None:
    """Let an index go on with what an older version had learned."""
    with suppress(FileNotFoundError):
        os.replace(folder / LEARNED, new / LEARNED)


def older_parts(path: Path, metric: Metric) -> Iterator[Part]:
    """The rows of an older version's file, for this metric.

    Raises:
        Damaged: they are not as they were written, or too little was kept to tell this metric's from them.
        ConfigError: they cannot be read.
    """
    for part in read(path, *get_args(Metric)):
        if part.kind != metric and part.kind != "l2" and part.lengths is None:
            raise Damaged(f"of metric {part.kind}, written by an older version that kept no lengths")
        yield part


def restore(space: Space, part: Part, metric: Metric) -> None:
    """Add rows of an older version's file that an index does not hold yet."""
    new = ~np.isin(part.vids, space.vids)
    lengths = np.ones(len(part.vids), np.float32) if part.lengths is None else part.lengths
    if part.kind == metric:
        space.restore(part.vids[new], part.rows[new], lengths[new])
    else:
        space.add(part.vids[new], part.rows[new] * lengths[new, np.newaxis])
