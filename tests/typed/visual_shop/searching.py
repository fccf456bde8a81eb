"""Searches, and what becomes of results."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from typing_extensions import assert_type

import ddsim


def similar(config: str, photo: Path) -> list[str]:
    """Names of what is similar to a photo."""
    with ddsim.ImageSearch.from_config(config) as search:
        assert_type(search, ddsim.ImageSearch)
        result = search.query(photo, k=5, region=(0.25, 0.25, 0.5, 0.5), category=["lamp", "bed"])
        assert_type(result, ddsim.SearchResult)
        assert_type(list(result), list[ddsim.Neighbour])
        assert_type(result[0].score, float)
        assert_type(result[0].product, str | None)
        assert_type(result[:3], tuple[ddsim.Neighbour, ...])
        assert_type(result.to_dict(), dict[str, Any])
        assert_type(search.query_many([photo, b"...", np.zeros((8, 8, 3), np.uint8)]), list[ddsim.SearchResult])
        return [neighbour.uri for neighbour in result]


def contents(search: ddsim.ImageSearch) -> Iterator[str]:
    """Everything that a catalogue holds."""
    assert_type(search.items(), ddsim.Items)
    assert_type(search.items()[0], ddsim.Item)
    assert_type([one.reason for one in search.failures()], list[str])
    uris, vectors = search.vectors("lamp", compared=True)
    assert_type(uris, list[str])
    assert_type(vectors, NDArray[np.float32])
    assert_type(search.query_vector(vectors.mean(axis=0)), ddsim.SearchResult)
    assert_type(search.query_item(uris[0], 3), ddsim.SearchResult)
    assert_type(search.remove(uris), int)
    for group in search.duplicates(0.99):
        assert_type(group, ddsim.Duplicate)
        yield from group.uris
    assert_type(search.explore("map.html", method="umap").save("map.html"), Path)


def indexed(settings: ddsim.Settings) -> ddsim.IndexReport:
    """A run, with a bar and a word when it is half done."""

    def told(progress: ddsim.Progress) -> None:
        if progress.done * 2 > progress.total:
            raise KeyboardInterrupt

    with ddsim.ImageSearch(settings, Path("photos")) as search:
        search.index(progress=ddsim.ProgressBar())
        report = search.index("photos", ddsim.IndexOptions(rebuild=True), progress=told, stopping=lambda: False)
        assert_type(report.audit, ddsim.Audit | None)
        assert_type(report.changes, dict[str, int])
        assert_type(search.train().worth["trained"].accuracy, float)
        return report


def best(configs: list[str]) -> str | None:
    """Which configuration finds better."""
    found = ddsim.evaluate([*configs, ddsim.load("photos")], "photos", progress=ddsim.ProgressBar())
    assert_type(found, ddsim.Evaluation)
    first = found.rows[0]
    return first.name if first.failed is None and first.measures["P@1"].overall.value > 0.5 else None


def caught(search: ddsim.ImageSearch, photo: bytes) -> str:
    """Errors by their kinds."""
    try:
        return str(search.query(photo))
    except ddsim.ImageError as error:
        assert_type(error.reason, str)
        return error.reason
    except ddsim.ApiError as error:
        assert_type(error.status, int)
        return f"{error.status} {error.dd_code} {error.dd_msg}"
    except ddsim.DDSimError as error:
        return str(error)
