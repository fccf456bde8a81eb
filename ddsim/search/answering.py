"""From queries to results: the categories to search, what is near in them, the neighbours' scores and the reasons."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ddsim.deepdetect import Label, Vectors
from ddsim.pictures import Picture
from ddsim.routing import Decision
from ddsim.search.collection import Collection
from ddsim.search.results import Neighbour, SearchResult, Timings
from ddsim.search.router import Router
from ddsim.vectors import Found, Hits, Select


@dataclass(frozen=True)
class Asked:
    """What one call searches for.

    Attributes:
        names: of the queries, as the caller has them.
        labels: of each, by the classification service.
        prepared, classified: seconds that this took.
        photos: of the queries, to be shown; None where there is none.
        remarks: of the pictures.
    """

    names: Sequence[str]
    labels: Sequence[tuple[Label, ...]]
    photos: Sequence[Picture | None]
    remarks: Sequence[str]
    prepared: float = 0.0
    classified: float = 0.0


@dataclass(frozen=True)
class Manner:
    """How a call searches.

    Attributes:
        forced: the categories to search, as the catalogue has them; None where none are named.
        route: whether to search only the categories that the query shows.
        twins: whether items with the very same picture are listed one by one.
    """

    forced: tuple[str, ...] | None
    route: bool
    twins: bool


def answered(
    collection: Collection,
    asked: Asked,
    manner: Manner,
    search: Callable[[Select], list[Hits]],
) -> list[SearchResult]:
    """Search, and make results of what is found.

    Args:
        collection: what is searched.
        asked: the queries.
        manner: of the search.
        search: finds what is near each of the queries, among the categories that are selected.
    """
    settings = collection.settings
    begun = time.perf_counter()
    router = Router(settings, collection, asked.labels, manner.route)
    decisions: dict[int, Decision] = {}

    def choose(position: int, near: Sequence[Found], vector: Vectors) -> tuple[str, ...] | None:
        decisions[position] = router.decide(position, near, vector, manner.forced)
        return decisions[position].searched or None  # None searches all categories

    found = search(Select(choose, manner.forced, settings.routing.voters, fold=not manner.twins))
    took = time.perf_counter() - begun
    timings = Timings(asked.prepared, asked.classified, took, asked.prepared + asked.classified + took)
    return [
        _result(collection, asked, position, hits, decisions[position], router, timings)
        for position, hits in enumerate(found)
    ]


def _result(
    collection: Collection,
    asked: Asked,
    position: int,
    hits: Hits,
    decision: Decision,
    router: Router,
    timings: Timings,
) -> SearchResult:
    folder = collection.source.folder
    # Elsewhere a uri need not tell its category.
    places = [(None, one.category) if folder is None else (folder / one.uri, "") for one in hits.found]
    neighbours = tuple(
        Neighbour(one.uri, one.distance, score, rank, places[rank - 1][0], one.also, places[rank - 1][1])
        for rank, (one, score) in enumerate(zip(hits.found, router.scores(hits.found), strict=True), 1)
    )
    return SearchResult(
        query=asked.names[position],
        labels=asked.labels[position],
        categories=decision.categories,
        searched=decision.searched,
        neighbours=neighbours,
        nothing_similar=router.nothing_similar(position, hits, decision),
        timings=timings,
        remark=asked.remarks[position],
        photo=asked.photos[position],
    )
