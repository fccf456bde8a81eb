"""The features of a catalogue's items: the home gives them back, or they are kept beside the manifest."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from ddsim.catalogue import Manifest, Row
from ddsim.deepdetect import Vectors
from ddsim.routing import lot
from ddsim.vectors import Backend, PictureOf, vectorfile

_log = logging.getLogger(__name__)

FILE = "features.npz"
#: So many items, each category its part, are trained on at most: more teach little, and take minutes.
MOST = 20_000
_KIND = "features"


@dataclass(frozen=True, slots=True, eq=False)  # arrays do not compare to one truth value
class Features:
    """Items and their vectors.

    Attributes:
        rows: the items, n.
        vectors: as the network gave them, shape (n, d).
        compared: as searches compare them, shape (n, e).
        computed: how many the server computed for this.
    """

    rows: Sequence[Row]
    vectors: Vectors
    compared: Vectors
    computed: int


def gather(
    manifest: Manifest,
    backend: Backend,
    picture_of: PictureOf,
    *,
    batch_size: int,
    computed: Callable[[int, int], None] | None = None,
) -> Features:
    """Features of the indexed items, or of 20,000 of them; only what is known nowhere is computed.

    Items whose picture cannot be read, or whose features are not finite, are left out.

    Args:
        manifest: of the index; held for writing, since what is computed is kept beside it.
        backend: open.
        picture_of: gives an item's picture.
        batch_size: pictures in one request.
        computed: told after each request how many are done, of how many.

    Raises:
        ApiError, TransportError: the server does not answer; what was computed is kept.
        ConfigError: the file of features cannot be written.
    """
    rows = manifest.sample(MOST, seed=0)
    vids = [row.vid for row in rows if row.vid is not None]
    kept = backend.features_of(vids)
    if kept is None:
        store = _Store(manifest)
        fresh = store.complete(rows, backend, picture_of, batch_size, computed or (lambda _done, _all: None))
        rows = [row for row in rows if row.vid in store.known]
        vectors = store.vectors(rows)
        compared = vectors
    else:
        fresh, vectors = 0, kept
        compared = kept if (searched := backend.vectors_of(vids)) is None else searched
    sound = np.isfinite(vectors).all(axis=1) if len(vectors) else np.zeros(0, np.bool_)
    places = np.flatnonzero(sound)
    return Features([rows[place] for place in places.tolist()], vectors[places], compared[places], fresh)


def features_kept(manifest: Manifest) -> dict[int, Vectors]:
    """What a training computed and kept beside a manifest: the number of an item -> its features, shape (d,)."""
    return _Store(manifest).known


class _Store:
    """Features by vid, in a file beside the manifest."""

    def __init__(self, manifest: Manifest) -> None:
        self._file = manifest.folder / FILE
        self.known: dict[int, Vectors] = {}
        try:
            for _, vids, rows, _ in vectorfile.read(self._file, _KIND):
                self.known.update(zip(vids.tolist(), rows, strict=True))
        except vectorfile.Damaged as error:
            _log.warning("%s cannot be used, it is %s: its pictures are computed again", self._file, error)
            self.known.clear()

    def complete(
        self,
        rows: Sequence[Row],
        backend: Backend,
        picture_of: PictureOf,
        batch_size: int,
        computed: Callable[[int, int], None],
    ) -> int:
        """Have the server compute what is not known; how many that was."""
        valid = {row.vid for row in rows}
        self.known = {vid: vector for vid, vector in self.known.items() if vid in valid}
        # In an order that does not go by category: whoever stops half-way has some of each.
        missing = sorted((row for row in rows if row.vid not in self.known), key=lot)
        done = 0
        try:
            for start in range(0, len(missing), batch_size):
                part = {row.vid: picture_of(row.uri) for row in missing[start : start + batch_size]}
                pictures = {vid: one for vid, one in part.items() if vid is not None and one is not None}
                found = backend.search(list(pictures.values()), 1) if pictures else []
                self.known.update((vid, hits.vector) for vid, hits in zip(pictures, found, strict=True))
                done += len(pictures)
                computed(min(start + batch_size, len(missing)), len(missing))
        finally:
            if done:
                vids = sorted(self.known)
                rows_kept = np.stack([self.known[vid] for vid in vids])
                vectorfile.write(self._file, _KIND, np.array(vids, np.int64), rows_kept)
        return done

    def vectors(self, rows: Sequence[Row]) -> Vectors:
        """Of these items, shape (n, d)."""
        found = [self.known[row.vid] for row in rows if row.vid is not None]
        return np.stack(found) if found else np.zeros((0, 0), np.float32)
