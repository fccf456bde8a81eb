"""The vectors of what is indexed as a file for other programs: NumPy's archive, or Parquet."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from ddsim.errors import CapabilityError, ConfigError, InvalidRequest, install_hint
from ddsim.search.contents import ItemVectors


def write_vectors(found: ItemVectors, file: Path) -> None:
    """Write names and vectors; the file's ending says in which form.

    ``.npz``: ``uris``, text, and ``vectors``, float32 of shape (n, d); ``numpy.load`` reads it. ``.parquet``: the
    columns ``uri``, text, and ``vector``, a list of d float32.

    Args:
        found: of :meth:`ddsim.ImageSearch.vectors`.
        file: where to; one that is there is replaced.

    Raises:
        InvalidRequest: the ending is another one.
        CapabilityError: Parquet is wanted, and pyarrow is not installed.
        ConfigError: it cannot be written.
    """
    write = writer_for(file)
    try:
        write(found, file)
    except OSError as error:
        raise ConfigError(f"{file}: cannot be written: {error.strerror or error}") from error


def writer_for(file: Path) -> Callable[[ItemVectors, Path], None]:
    """What writes files of this ending.

    Raises:
        InvalidRequest, CapabilityError: see :func:`write_vectors`.
    """
    if file.suffix == ".npz":
        return _write_npz
    if file.suffix == ".parquet":
        try:
            import pyarrow  # noqa: F401
        except ImportError as error:
            raise CapabilityError(
                f"{file}: Parquet needs pyarrow, which is not installed: {install_hint('parquet')}; "
                ".npz needs nothing more"
            ) from error
        return _write_parquet
    raise InvalidRequest(f"{file}: vectors are written as .npz or .parquet: give the file one of these endings")


def _write_npz(found: ItemVectors, file: Path) -> None:
    with file.open("wb") as target:
        np.savez(target, uris=np.asarray(found.uris, dtype=str), vectors=found.vectors)


def _write_parquet(found: ItemVectors, file: Path) -> None:
    import pyarrow
    from pyarrow import parquet

    values = pyarrow.array(np.ascontiguousarray(found.vectors, np.float32).ravel())
    vectors = pyarrow.FixedSizeListArray.from_arrays(values, found.vectors.shape[1])
    parquet.write_table(pyarrow.table({"uri": pyarrow.array(found.uris, pyarrow.string()), "vector": vectors}), file)
