"""The pictures that take part in an evaluation: items and queries, with what they show as far as their names tell."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ddsim.catalogue import Entry, Survey, product_of, same_name
from ddsim.errors import ImageError
from ddsim.sources import FolderSource, Source, in_parallel


@dataclass(frozen=True, slots=True)
class Photo:
    """One picture.

    Attributes:
        uri, category, path, size: as in :class:`ddsim.catalogue.folder.Entry`.
        sha256: of the file's content. What has the same content is the same picture, whatever its name.
        product: which product of its category it shows; None where the name does not tell.
        source: where it is read from.
    """

    uri: str
    category: str
    path: Path
    size: int
    sha256: str
    product: str | None
    source: Source = field(default_factory=lambda: FolderSource(Path()), compare=False)

    @property
    def unit(self) -> str:
        """What it is a witness of: pictures of one product are no independent ones."""
        return f"product {self.product}" if self.product is not None else f"picture {self.uri}"


@dataclass(frozen=True, slots=True)
class Folder:
    """The pictures of a folder, ``<category>/<picture>``.

    Attributes:
        source: where they are.
        photos: by uri.
        unreadable: uri -> why not even the file can be read.
    """

    source: Source
    photos: tuple[Photo, ...]
    unreadable: dict[str, str]


def gather(
    source: Source, products: re.Pattern[str], max_bytes: int, told: Callable[[], None] = lambda: None
) -> Folder:
    """Read and hash the pictures of a catalogue, several at a time where they are elsewhere.

    Args:
        source: where they are.
        products: see :func:`ddsim.catalogue.product_pattern`.
        max_bytes: larger files count as unreadable.
        told: called after every file.

    Raises:
        ConfigError: there is no such folder, or nothing in it.
    """
    photos, unreadable = [], {}
    survey = Survey()

    def hashed(entry: Entry) -> tuple[Entry, str | ImageError]:
        try:
            return entry, hashlib.sha256(source.read(entry.uri, max_bytes)).hexdigest()
        except ImageError as error:
            return entry, error

    for entry, sha256 in in_parallel(source.walk(survey), hashed, source.readers or 1):
        if isinstance(sha256, ImageError):
            unreadable[entry.uri] = sha256.reason
        else:
            product = product_of(entry.uri, entry.category, products)
            # Queries and items may come from different systems, and a category is the same for both.
            category = same_name(entry.category)
            photos.append(Photo(entry.uri, category, entry.path, entry.size, sha256, product, source))
        told()
    return Folder(source, tuple(sorted(photos, key=lambda photo: photo.uri)), unreadable | survey.shut)


def sample(photos: Sequence[Photo], most: int | None, seed: int) -> list[Photo]:
    """Some of the pictures by chance, as many of each category at most, in their order.

    Chance goes by names: a smaller sample is part of a larger one, and a picture more or less changes little.
    """
    if most is None:
        return list(photos)
    groups: dict[str, list[Photo]] = {}
    for photo in photos:
        groups.setdefault(photo.category, []).append(photo)
    chosen = {photo.uri for group in groups.values() for photo in sorted(group, key=lambda one: _lot(one, seed))[:most]}
    return [photo for photo in photos if photo.uri in chosen]


def _lot(photo: Photo, seed: int) -> bytes:
    return hashlib.sha256(f"{seed} {photo.uri}".encode("utf-8", "surrogatepass")).digest()


def some(photos: Sequence[Photo], count: int, seed: int) -> list[Photo]:
    """So many pictures by chance, every category in its part; all of them where there are no more."""
    sizes = Counter(photo.category for photo in photos)
    most, left = 0, count
    while left >= len(sizes) > 0:
        # The same number of each, as long as there are that many; what small categories leave goes to the others.
        step = min(min(sizes.values()), left // len(sizes))
        most, left = most + step, left - step * len(sizes)
        sizes = Counter({name: size - step for name, size in sizes.items() if size > step})
    return sample(photos, most, seed) if most else list(photos[:count])
