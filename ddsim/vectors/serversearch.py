"""Searches of the index on the server."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from ddsim.catalogue import Manifest
from ddsim.deepdetect import Client, closeness_by
from ddsim.errors import IndexBusy, ServerFault
from ddsim.pictures import Picture
from ddsim.vectors.base import Among, Hits
from ddsim.vectors.others import Patience
from ddsim.vectors.served import Served
from ddsim.vectors.valid import Ranking, search_valid

_log = logging.getLogger(__name__)


class Searching:
    """Finds what is near, while nothing is unbuilt. Any thread may use it.

    Args:
        client: the server.
        served: the index.
        manifest: knows the valid rows.
        patience: how long to wait for a run that is adding.
    """

    def __init__(self, client: Client, served: Served, manifest: Manifest, patience: Patience) -> None:
        self._client = client
        self._served = served
        self._facts = served.facts
        self._manifest = manifest
        self._patience = patience
        self._failed_after = self._facts.builds

    def begins(self) -> None:
        """Note that a search begins, also one made by others.

        Should it fail, one build more tells that the index is there after all.
        """
        self._failed_after = self._facts.builds

    def found(self, pictures: Sequence[Picture], k: int, among: Among) -> list[Hits]:
        """The nearest items.

        Raises:
            IndexBusy: pictures are being added, or what was added is not built.
            ServerFault: the server cannot search, with what may help.
        """

        def ask(positions: list[int], wide: int) -> list[Ranking]:
            found = self._served.ask([pictures[position] for position in positions], wide)
            return [Ranking(vector, [(_vid(name), far) for name, far in rows]) for vector, rows in found]

        with self._manifest.searching(self._patience.busy):
            if self._facts.unbuilt:
                raise IndexBusy("an interrupted run left pictures unbuilt: run `ddsim index` to finish it")
            builds, failed = self._facts.builds, self._client.index_failed(self._served.name)
            if failed and builds != self._failed_after:
                self._client.index_was_built(self._served.name)
            elif not failed:
                self.begins()
            try:
                hits = search_valid(ask, self._manifest, closeness_by, len(pictures), k, among)
            except ServerFault as error:
                raise _explained(error) from error
            short = next((hit for hit in hits if len(hit.found) < k), None)
            if short is not None:
                self._explain(short, k)
        return hits

    def _explain(self, hits: Hits, k: int) -> None:
        """Too few are found only where there are too few; anything else is said.

        Raises:
            IndexBusy: the service is another one by now.
        """
        found, sizes = sum(1 + len(one.also) for one in hits.found), self._manifest.categories()
        there = sum(size for category, size in sizes.items() if hits.categories is None or category in hits.categories)
        if found >= min(k, there):
            return
        if not self._served.is_there():
            raise IndexBusy(f"service {self._served.name!r} was replaced by another one; try again")
        if self._served.index_type == "Flat":  # the others search a part of the index only
            _log.warning(
                "the index gave %d items where the manifest has %d: run `ddsim index --audit`", found, min(k, there)
            )


def _explained(error: ServerFault) -> ServerFault:
    """A search that failed though nothing is unbuilt, with what may help."""
    if error.status != 500:
        return error
    return ServerFault(
        error.status,
        error.dd_code,
        error.dd_msg,
        method=error.method,
        path=error.path,
        hint="where this stays so, rows of the server's index have lost their names: run `ddsim index --rebuild`",
    )


def _vid(name: str) -> int:
    """The number in a row's name, 0 (which is nobody's) where there is none."""
    digits = name.rpartition("#")[2]
    return int(digits) if digits.isascii() and digits.isdecimal() and len(digits) < 20 else 0
