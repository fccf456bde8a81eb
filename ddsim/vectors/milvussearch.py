"""Searches of a collection: by the manifest where there is one, and by the database alone everywhere else."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection
from typing import Any, TypeVar

import numpy as np

from ddsim.catalogue import Manifest, Records
from ddsim.deepdetect import Vectors
from ddsim.errors import ConfigError, IndexBusy, IndexLost
from ddsim.vectors.base import Among, Hits
from ddsim.vectors.exact import Metric
from ddsim.vectors.milvuscalls import WIDEST, Calls, Kind
from ddsim.vectors.milvuskeeping import METRICS, Keeping
from ddsim.vectors.milvuslink import Missing
from ddsim.vectors.milvusrecords import FRESH_S, DatabaseRecords, row_of
from ddsim.vectors.others import Patience
from ddsim.vectors.valid import Ranking, scorer_of, search_valid

_Made = TypeVar("_Made")


class Searching:
    """Finds what is near in whichever collection answers now. Any thread may use it.

    Args:
        keeping: knows the manifest's collection.
        records: know everybody else's.
        manifest: of this machine; empty on one that only searches.
        metric: what makes two vectors near.
        patience: how long to wait for a collection that is made ready.
    """

    def __init__(
        self,
        calls: Calls,
        keeping: Keeping,
        records: DatabaseRecords,
        manifest: Manifest,
        metric: Metric,
        patience: Patience,
    ) -> None:
        self._calls = calls
        self._keeping = keeping
        self._records = records
        self._manifest = manifest
        self._metric = metric
        self._patience = patience
        self._kinds: dict[str, tuple[float, Kind]] = {}

    @property
    def collection(self) -> str | None:
        """The one that answers now; None where nothing is indexed."""
        return self._keeping.collection if self._keeping.known else self._records.collection

    @property
    def dimension(self) -> int:
        """Length of its vectors, 0 where nothing is indexed."""
        known = self._manifest if self._keeping.known else self._records
        return int(known.get_meta("dimension") or 0)

    def found(self, queries: Vectors, k: int, among: Among) -> list[Hits]:
        """The nearest items of vectors, shape (n, d).

        Raises:
            IndexLost: the collection is gone.
            ForeignCollection: it is gone, and another manifest's has taken its place.
            IndexBusy: it is being made ready, for longer than patience lasts.
            ConfigError: it compares in another way than the settings say.
        """

        def doubtful(hits: list[Hits]) -> bool:
            # A collection whose place another has taken answers without rows while it is removed.
            found = self._keeping.known or any(one.found for one in hits)
            return not found and bool(self._records.categories())

        return self.outlast_rebuild(
            lambda: self._patience.outlast_busy(lambda: self._found(queries, k, among)), doubtful
        )

    def outlast_rebuild(
        self, work: Callable[[], _Made], doubtful: Callable[[_Made], bool] = lambda _made: False
    ) -> _Made:
        """Do some work on the collection that answers; see :meth:`DatabaseRecords.outlast_rebuild`.

        Raises:
            IndexLost: it is gone.
            ForeignCollection: it is gone, and another manifest's has taken its place.
        """
        try:
            return self._records.outlast_rebuild(work, doubtful)
        except IndexLost:
            if self._keeping.known:
                self._keeping.own_alias()
            raise

    def _found(self, queries: Vectors, k: int, among: Among) -> list[Hits]:
        name = self.collection
        if name is None:
            return [Hits(query, ()) for query in queries]
        known, kind = self._keeping.known, self._kind(name)
        records = self._manifest if known else self._records

        def nearest(positions: list[int], wide: int, only: Collection[str] | None) -> list[Ranking]:
            if only is not None and not only:
                return [Ranking(queries[place], ()) for place in positions]
            # What is wider than the database answers comes back short, as if there were no more.
            most = min(wide, WIDEST)
            found = self._calls.nearest(name, queries[positions], most, (METRICS[self._metric], kind), only)
            if kind != "FLAT":
                enough = min(most, _size(records, only))
                for place, hits in zip(positions, found, strict=True):
                    self._complete(hits, queries[place], enough, name, kind, only)
            if not known:
                self._records.remember(row_of(hit) for hits in found for hit in hits)
            return [
                Ranking(queries[place], [(hit["vid"], self._distance(hit["distance"], queries[place])) for hit in hits])
                for place, hits in zip(positions, found, strict=True)
            ]

        def ask(positions: list[int], wide: int) -> list[Ranking]:
            return nearest(positions, wide, None)

        def within(position: int, only: Collection[str], wide: int) -> Ranking:
            return nearest([position], wide, only)[0]

        return search_valid(ask, records, scorer_of(self._metric), len(queries), k, among, within=within)

    def _complete(
        self,
        hits: list[dict[str, Any]],
        query: Vectors,
        enough: int,
        name: str,
        kind: Kind,
        only: Collection[str] | None,
    ) -> None:
        """Add what is there and was not found: an index that does not look at every row may pass some by."""
        index = METRICS[self._metric], kind
        while len(hits) < enough:
            but = [hit["vid"] for hit in hits]
            (more,) = self._calls.nearest(name, query[np.newaxis], enough - len(hits), index, only, but)
            if not more:
                return
            hits += more
            hits.sort(key=lambda hit: self._distance(hit["distance"], query))

    def _kind(self, name: str) -> Kind:
        """How a collection is searched.

        Raises:
            ConfigError: it compares in another way than the settings say.
            Missing: it is gone.
        """
        at, kept = self._kinds.get(name, (0.0, None))
        if kept is not None and time.monotonic() - at <= FRESH_S:
            return kept
        found = self._calls.index_of(name)
        if found is None:
            if self._calls.describe(name) is None:
                raise Missing(f"no collection {name!r}")
            raise IndexBusy(f"the database makes collection {name!r} ready; try again in a moment")
        metric, kind = found
        if metric != METRICS[self._metric]:
            raise ConfigError(
                f"index.metric: the collection {name!r} compares by {metric}, the configuration says {self._metric}: "
                "change it back, or run `ddsim index`, which changes the collection and sends nothing"
            )
        self._kinds[name] = time.monotonic(), kind
        return kind

    def _distance(self, value: float, query: Vectors) -> float:
        return value / query.size if self._metric == "l2" else max(0.0, 1.0 - value)


def _size(records: Records, only: Collection[str] | None) -> int:
    """How many items there are of these categories, or at all."""
    sizes = records.categories()
    return sum(sizes.values()) if only is None else sum(sizes.get(category, 0) for category in set(only))
