"""Searching: for pictures, parts of them, items and vectors."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ddsim.catalogue import Where
from ddsim.config import Settings
from ddsim.deepdetect import Client, Vectors, check_list, is_whole
from ddsim.errors import InvalidRequest
from ddsim.pictures import Encoded, Picture, describe, encode, part_of
from ddsim.routing import Classifier
from ddsim.search.answering import Asked, Manner, answered
from ddsim.search.collection import Collection
from ddsim.search.contents import indexed_item, names_of, vector_of
from ddsim.search.results import SearchResult, without_item


class Queries:
    """The ways to search; :class:`ddsim.ImageSearch` has them."""

    settings: Settings
    collection: Collection
    client: Client
    _classifier: Classifier

    @property
    def catalogue(self) -> Where:
        """Where the reference pictures are."""
        return self.collection.catalogue

    def query(
        self,
        picture: Picture,
        k: int = 10,
        *,
        region: Sequence[float] | None = None,
        category: str | Iterable[str] | None = None,
        route: bool = True,
        labels: bool = False,
        twins: bool = False,
    ) -> SearchResult:
        """Find the most similar items.

        Args:
            picture: see :data:`ddsim.Picture`.
            k: how many; fewer come back only where the searched categories hold fewer.
            region: search for this part of the picture: left, top, width and height as fractions of the upright
                picture, from 0 to 1, such as ``(0.25, 0.25, 0.5, 0.5)`` for its middle.
            category: search this category, or these, whatever the picture shows.
            route: False searches all categories where none is given.
            labels: ask the classification service for its labels even where they decide nothing: where the catalogue
                has taught that its own pictures know better, or where the settings go by neighbours alone.
            twins: list items with the very same picture one by one; otherwise the nearest of them is listed, and the
                others are in its ``also``.

        Raises:
            ImageError: the picture cannot be read.
            InvalidRequest: ``k`` below 1, a category that is not indexed, or a region that is not inside the picture;
                or this object is closed.
            ConfigError: nothing is indexed.
            IndexBusy: an indexing run is adding pictures at this moment.
            ApiError, TransportError: the server does not answer as it should.
        """
        self._check_open()
        name = describe(picture)
        wanted = picture if region is None else part_of(picture, region, self.settings.upload_options())
        (found,) = self._query([wanted], [name], k, category, route, labels, twins)
        return found

    def query_many(
        self,
        pictures: Iterable[Picture],
        k: int = 10,
        *,
        category: str | Iterable[str] | None = None,
        route: bool = True,
        labels: bool = False,
        twins: bool = False,
    ) -> list[SearchResult]:
        """Find the most similar items for each of some pictures, in batches.

        Args:
            pictures: the queries; see :data:`ddsim.Picture`.
            k: as in :meth:`query`, and so are the others.
            category: likewise.
            route: likewise.
            labels: likewise.
            twins: likewise.

        Raises:
            ImageError: one of them cannot be read; nothing was sent.
            InvalidRequest, ConfigError, IndexBusy, ApiError, TransportError: as :meth:`query`.
        """
        self._check_open()
        check_list(pictures)
        pictures = list(pictures)
        return self._query(pictures, [describe(one) for one in pictures], k, category, route, labels, twins)

    def query_vector(
        self,
        vector: ArrayLike,
        k: int = 10,
        *,
        category: str | Iterable[str] | None = None,
        route: bool = True,
        twins: bool = False,
    ) -> SearchResult:
        """Find the items that are most similar to a vector, such as the mean of some items' vectors.

        Args:
            vector: shape (d,), as the network gives it and :meth:`ImageSearch.vectors` has it: not yet normalised or
                reduced.
            k: as in :meth:`query`, and so are the others.
            category: likewise.
            route: likewise; the classification service has no voice, as it sees pictures only.
            twins: likewise.

        Raises:
            InvalidRequest: it has another length than the index's vectors, or values that are not finite or too large
                for distances; and as :meth:`query`.
            CapabilityError: the vectors are in the server's own index, which takes pictures only.
            ConfigError, ApiError, TransportError: as :meth:`query`.
        """
        self._check_open()
        values = _one_vector(vector)
        found = self._query_vector(values, "<vector>", None, k, category, route, twins)
        if not found.neighbours and _is_endless(values):
            raise InvalidRequest(
                "query_vector: the vector's values are so large that its distances do not fit into 32 bits: give them "
                "in the size of those that vectors() has"
            )
        return found

    def query_item(
        self,
        uri: str,
        k: int = 10,
        *,
        category: str | Iterable[str] | None = None,
        route: bool = True,
        twins: bool = False,
    ) -> SearchResult:
        """Find the items that are most similar to one of the catalogue, which is left out itself.

        Where ddsim keeps the vectors, the item's own is taken and the network has nothing to do; otherwise its picture
        is searched for.

        Args:
            uri: the item's name, as in :meth:`ImageSearch.items`.
            k: as in :meth:`query`, and so are the others.
            category: likewise.
            route: likewise.
            twins: likewise.

        Raises:
            InvalidRequest: no item of that name is indexed; and as :meth:`query`.
            ImageError: the item's picture is needed and cannot be read.
            ConfigError, ApiError, TransportError: as :meth:`query`.
        """
        self._check_open()
        _check_k(k)
        row = indexed_item(self.collection, uri)
        source = self.collection.source
        path = None if source.folder is None else source.folder / row.uri
        vector = vector_of(self.collection, row)
        if vector is None:
            picture = source.read(row.uri, self.settings.upload.max_bytes)
            (found,) = self._query([picture], [row.uri], k + 1, category, route, False, twins)
        else:
            found = self._query_vector(vector, row.uri, path, k + 1, category, route, twins)
        return without_item(found, row.uri, k)

    # Underneath

    def _check_open(self) -> None:
        raise NotImplementedError

    def _query(
        self,
        pictures: Sequence[Picture],
        names: Sequence[str],
        k: int,
        category: str | Iterable[str] | None,
        route: bool,
        labels: bool,
        twins: bool,
    ) -> list[SearchResult]:
        _check_k(k)
        forced = self._forced(category)  # before the classification service is asked
        if not pictures:
            return []
        begun = time.perf_counter()
        upload = self.settings.upload_options()
        prepared: list[Encoded] = [encode(picture, upload) for picture in pictures]
        ready = time.perf_counter()
        told = self._classifier.labels(prepared) if labels or self._labels_count() else [()] * len(prepared)
        classified = time.perf_counter() - ready
        asked = Asked(names, told, prepared, [one.remark for one in prepared], ready - begun, classified)
        return answered(
            self.collection,
            asked,
            Manner(forced, route, twins),
            lambda select: self.collection.search(prepared, k, among=select),
        )

    def _query_vector(
        self,
        vector: Vectors,
        name: str,
        photo: Path | None,
        k: int,
        category: str | Iterable[str] | None,
        route: bool,
        twins: bool,
    ) -> SearchResult:
        _check_k(k)
        asked = Asked([name], [()], [photo], [""])
        (found,) = answered(
            self.collection,
            asked,
            Manner(self._forced(category), route, twins),
            lambda select: self.collection.search_vectors(vector[np.newaxis], k, among=select),
        )
        return found

    def _forced(self, category: str | Iterable[str] | None) -> tuple[str, ...] | None:
        """The categories that are asked for, as the catalogue has them."""
        forced = None if category is None else tuple(names_of(category))
        if forced == ():
            raise InvalidRequest(
                "query: category is an empty list; leave it out to search the categories that the picture shows"
            )
        named = self.collection.check(forced)
        return None if forced is None else tuple(dict.fromkeys(named))

    def _labels_count(self) -> bool:
        """Whether the classification service's labels have a part in choosing categories."""
        by, learned = self.settings.routing.by, self.collection.learned()
        return by == "service" or (by == "combined" and not (learned is not None and learned.weight == 0.0))


_NO_NUMBERS = {"c": "complex numbers", "m": "times", "M": "dates"}


def _check_k(k: int) -> None:
    if not is_whole(k):
        raise InvalidRequest(f"query: k={k!r} must be a whole number")
    if k < 1:
        raise InvalidRequest(f"query: k={k} must be 1 or more")


def _one_vector(vector: ArrayLike) -> Vectors:
    given = _array(vector)
    if given.dtype.kind in _NO_NUMBERS:
        words = _NO_NUMBERS[given.dtype.kind]
        raise InvalidRequest(f"query_vector: the vector's values are {words}, plain numbers are needed")
    with np.errstate(over="ignore"):  # what is too large is told below
        values: Vectors = _array(given, np.float32)
    if values.ndim != 1 or not values.size:
        raise InvalidRequest(f"query_vector: one vector of shape (d,) is needed, this has shape {values.shape}")
    if not np.isfinite(values).all():
        raise InvalidRequest("query_vector: the vector holds values that are not finite (NaN or infinite)")
    return values


def _array(values: ArrayLike, kind: type[np.float32] | None = None) -> NDArray[Any]:
    try:
        return np.asarray(values, kind)
    except (TypeError, ValueError, OverflowError) as error:
        raise InvalidRequest(f"query_vector: no vector of numbers: {error}") from error


def _is_endless(vector: Vectors) -> bool:
    """Whether even its own length, squared as in distances, is beyond what 32 bits hold."""
    with np.errstate(over="ignore"):
        return not np.isfinite(vector @ vector)
