"""An index that checks itself: a sample of its items, searched with themselves, must come back first."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from ddsim.catalogue import ItemState, Manifest, Row
from ddsim.pictures import Encoded
from ddsim.showing import Shown, Sketch, clipped, counted
from ddsim.vectors import Backend, Found, Hits, PictureOf

_SAMPLE = 60
_BATCH = 16
# A picture that went through the network in another batch may differ in the last bits (recordings/torch 14); one that
# was prepared otherwise differs by far more (see ddsim.Upload).
_SAME = 1e-5
_NAMED = 5


@dataclass(frozen=True, repr=False)
class Audit(Shown):
    """What an audit found.

    Attributes:
        checked: items that were searched with themselves.
        problems: what is wrong, with its likely cause, one sentence each; empty when all is well.
    """

    checked: int
    problems: tuple[str, ...]

    @property
    def passed(self) -> bool:
        """Whether nothing is wrong."""
        return not self.problems

    def _brief(self) -> str:
        checked = f"{counted(self.checked, 'item')} checked"
        if self.passed:
            return f"{checked}, all found"
        return f"{checked}, {counted(len(self.problems), 'problem')}: {clipped(self.problems[0], 150)}"

    def _sketch(self) -> Sketch:
        return Sketch(f"Audit: {counted(self.checked, 'item')} checked", notes=self.problems or ("all found",))


def audit_index(
    manifest: Manifest, backend: Backend, picture_of: PictureOf, *, sample: int = _SAMPLE, seed: int = 0
) -> Audit:
    """Check an index against its manifest.

    Args:
        manifest: says what should be found.
        backend: open.
        picture_of: an item's picture, prepared as it was for the index; None where it cannot be read any more.
        sample: how many items to search with themselves, of every category some.
        seed: chooses them.

    Raises:
        TransportError, ApiError: the server does not answer.
    """
    counts = manifest.counts()
    count = counts[ItemState.INDEXED]
    problems: list[str] = []
    if not count and counts[ItemState.PENDING]:
        problems.append("the index is empty, and items wait for being sent: run `ddsim index`")
    if backend.stored() < count:
        problems.append(
            f"the manifest says that {count} items are indexed, the index holds {backend.stored()} rows: "
            "it lost some; run `ddsim index --rebuild`"
        )
    checked: list[tuple[Row, Hits]] = []
    for rows, pictures in _batches(manifest.sample(sample, seed), picture_of):
        checked += zip(rows, backend.search(pictures, _NAMED), strict=True)
    problems += _vectors(checked)
    problems += _found(checked, manifest)
    return Audit(len(checked), tuple(problems))


def _batches(rows: Sequence[Row], picture_of: PictureOf) -> Iterator[tuple[list[Row], list[Encoded]]]:
    # A picture that was removed or damaged since is the next plan's business.
    readable = [(row, picture) for row in rows if (picture := picture_of(row.uri)) is not None]
    for start in range(0, len(readable), _BATCH):
        batch = readable[start : start + _BATCH]
        yield [row for row, _ in batch], [picture for _, picture in batch]


def _vectors(checked: Sequence[tuple[Row, Hits]]) -> Iterator[str]:
    """What the vectors themselves give away."""
    lengths = Counter(hits.vector.size for _, hits in checked)
    if len(lengths) > 1:
        yield (
            f"vectors differ in length ({', '.join(map(str, sorted(lengths)))} values): the server gave the vectors of "
            "a whole batch for one picture, or runs several networks under one name"
        )
        return
    if not all(np.isfinite(hits.vector).all() for _, hits in checked):
        yield "vectors hold values that are not finite: check mean, std and scale, and the network's weights"
    different = {row.sha256: hits.vector.tobytes() for row, hits in checked}
    if len(different) > 1 and len(set(different.values())) == 1:
        yield (
            "different pictures have the same vector: extract_layer names a layer that does not depend on the picture, "
            "or the server ran out of memory"
        )


def _found(checked: Sequence[tuple[Row, Hits]], manifest: Manifest) -> Iterator[str]:
    """Who did not find itself first."""
    nothing, far, others = [], [], []
    for row, hits in checked:
        first = hits.found[0] if hits.found else None
        if first is None:
            nothing.append(row.uri)
        elif not _same(first):
            far.append(row.uri)
        elif len(hits.found) == _NAMED and all(map(_same, hits.found)):
            pass  # of so many pictures that are alike any five come back: nothing can be told
        elif not any(_is_twin(row, one.uri, manifest) for one in hits.found if _same(one)):
            others.append(row.uri)
    for uris, what in (
        (nothing, "find nothing at all: the index is empty, or was removed behind ddsim's back"),
        (far, "are not found at distance 0: the index was made with another layer, network or preprocessing"),
        (
            others,
            "find another picture in their place: the index gives wrong names, as when two services share it, or their "
            "files were exchanged for others of the same size and time",
        ),
    ):
        if uris:
            shown = ", ".join(uris[:_NAMED]) + (", ..." if len(uris) > _NAMED else "")
            yield f"{len(uris)} of {len(checked)} items {what}; run `ddsim index --rebuild` ({shown})"


def _same(found: Found) -> bool:
    """Whether it is the same picture, whatever the unit of the distance is."""
    return 1 - found.closeness <= _SAME


def _is_twin(row: Row, uri: str, manifest: Manifest) -> bool:
    """Whether an item is this one, or has the same content."""
    other = row if uri == row.uri else manifest.get(uri)
    return other is not None and other.sha256 == row.sha256
