"""One manifest's collection: made, brought into step with the manifest, shown to others, and given up.

What has to outlive this process stands in the manifest's meta, beside what :mod:`ddsim.vectors.milvusplace` has there::

    in_doubt    whether a run began and did not come to its end: rows may be there that nobody knows of
    given_up    collections that others have taken the place of, or are about to, and that are still to be removed
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict
from typing import Any

from ddsim.catalogue import ItemState, Manifest
from ddsim.config import Settings
from ddsim.errors import InvalidRequest, InvalidResponse
from ddsim.showing import counted
from ddsim.vectors.base import HOME
from ddsim.vectors.localkeeping import APPROXIMATE, COMPARED
from ddsim.vectors.milvuscalls import Calls, Described, Kind
from ddsim.vectors.milvusnotes import Notes
from ddsim.vectors.milvusplace import (
    COLLECTION,
    GENERATION,
    OWNER,
    alias_of,
    check_owner,
    is_own,
    mark_of,
    new_generation,
    own_alias,
    products_of,
)
from ddsim.vectors.milvusrecall import ASKED, measure
from ddsim.vectors.milvusrecords import facts_of

_log = logging.getLogger(__name__)

#: How vectors are compared, as settings and as the database call it.
METRICS = {"l2": "L2", "cosine": "COSINE"}
#: From so many items on a search that compares with every one of them takes too long.
MANY = 50_000
# With a larger share of rows that came or went, what searches find is measured again.
_STALE = 0.1
# Of a small index so many pictures fewer are no reason to wait, as where they vanish from a catalogue.
_FEW = 5
_NAMED = 3
# Above every number.
_END = 2**63


class Keeping:
    """The collection of one manifest.

    Args:
        calls: the database.
        settings: the configuration.
        manifest: what is to be in the collection.
        taking_over: whether it may take the place of another manifest's.
        allow_vanished: whether it may do so though much of that is not in it, or pictures cannot be had just now.

    Attributes:
        withheld: why it did not take that place, and what to do; None where it did, or was not to.
    """

    def __init__(
        self,
        calls: Calls,
        settings: Settings,
        manifest: Manifest,
        *,
        taking_over: bool = False,
        allow_vanished: bool = False,
    ) -> None:
        self._calls = calls
        self._settings = settings
        self._manifest = manifest
        self._taking_over = taking_over
        self._allow_vanished = allow_vanished
        self.withheld: str | None = None
        self._metric = METRICS[settings.index.metric]
        self._alias = alias_of(settings)
        self._notes = Notes(calls)
        self._products = Notes(calls, products_of(self._alias))
        self._shown = False

    @property
    def known(self) -> bool:
        """Whether the manifest has a collection: otherwise others' are looked for."""
        return bool(self._manifest.get_meta(COLLECTION))

    @property
    def collection(self) -> str:
        """Its name."""
        name = self._manifest.get_meta(COLLECTION)
        if not name:
            raise InvalidRequest("this index of vectors was not opened for writing: call open(writing=True) first")
        return str(name)

    @property
    def generation(self) -> int:
        """Its number."""
        return int(self._manifest.get_meta(GENERATION))

    def valid(self) -> int:
        """How many of its rows are valid."""
        counts = self._manifest.counts()
        return counts[ItemState.INDEXED] + counts[ItemState.ADDED]

    def check_dimension(self, dimension: int) -> None:
        """Make sure that vectors have the length of those that are kept.

        Raises:
            InvalidResponse: they have not.
        """
        self._check_dimension(dimension, int(self._manifest.get_meta("dimension") or 0))

    def _check_dimension(self, dimension: int, kept: int) -> None:
        if dimension != kept:
            raise InvalidResponse(
                f"service {self._settings.similarity.service!r} gives vectors of {dimension} values, the collection "
                f"{self.collection!r} holds {kept}: the network's files were replaced; run `ddsim index --rebuild`, "
                "which sends every picture again"
            )

    # Into step

    def bring_into_step(self, dimension: int, home: str) -> None:
        """Have the collection, with those rows that the manifest says; the caller holds the right to write.

        Raises:
            ForeignCollection: there is one, and it is somebody else's.
            InvalidResponse: its vectors have another length.
        """
        manifest = self._manifest
        self.own_alias()
        if not self.known:
            # Noted before it is made, so that none is ever forgotten.
            manifest.set_meta(**new_generation(self._settings, manifest), in_doubt=True)
        found = self._calls.describe(self.collection)
        if found is None:
            self._make(dimension)
            lost = manifest.requeue(ItemState.SENDING, ItemState.ADDED, ItemState.INDEXED)
            if lost:
                _log.warning("the collection %r is gone: %d pictures have to be added again", self.collection, lost)
        else:
            self._check(found, dimension)
            self._calls.delete(self.collection, list(self._sent()))
            manifest.requeue(ItemState.SENDING)
            if manifest.get_meta("in_doubt"):
                self._reconcile()
        self._remove_given_up()
        manifest.indexed()  # the last use ended between the answer and its note
        manifest.set_meta(**{HOME: home, COMPARED: "as it is"}, dimension=dimension, in_doubt=True)

    def begin_anew(self, dimension: int, home: str) -> None:
        """Have an empty collection in the place of the one before; the caller holds the right to write."""
        self.own_alias()
        before = [str(self._manifest.get_meta(COLLECTION))] if self.known else []
        facts = new_generation(self._settings, self._manifest)
        facts |= {HOME: home, COMPARED: "as it is", "dimension": dimension, "in_doubt": True, APPROXIMATE: None}
        facts["given_up"] = [*(self._manifest.get_meta("given_up") or ()), *before]
        self._manifest.requeue(ItemState.SENDING, ItemState.ADDED, ItemState.INDEXED, facts=facts)
        self._make(dimension)
        self._remove_given_up()

    def _remove_given_up(self) -> None:
        given_up, left = self._manifest.get_meta("given_up") or (), []
        for name in given_up:
            shown, found = self.own_alias(), self._calls.describe(name)
            if found is not None and not (is_own(found, self._manifest) or self._is_own(shown)):
                left.append(name)  # the last use ended before it took that one's place
                continue
            if shown is not None and shown.name == name:
                self._calls.point(self._alias, self.collection)
            self._drop(name)
        if given_up:
            self._manifest.set_meta(given_up=left)

    def _is_own(self, described: Described | None) -> bool:
        return described is not None and is_own(described, self._manifest)

    def _make(self, dimension: int) -> None:
        facts = {OWNER: self._manifest.get_meta(OWNER), GENERATION: self.generation}
        note = mark_of(self._settings, facts).to_text()
        self._calls.create_items(self.collection, note, dimension, self._metric, self._kind("FLAT"))

    def _check(self, found: Described, dimension: int) -> None:
        """Have a collection that is there searched as the settings say."""
        check_owner(found, self._settings, self._manifest)
        self._check_dimension(dimension, found.dimension)
        index = self._calls.index_of(found.name)
        wanted = self._metric, self._kind(index[1] if index else "FLAT")
        if index in (None, wanted):
            self._calls.make_ready(found.name, *wanted)
        else:
            _log.warning("the database makes another index of %r: searches wait meanwhile", found.name)
            self._calls.index_anew(found.name, *wanted)

    def _kind(self, now: Kind) -> Kind:
        wanted = self._settings.index.index_type
        if wanted != "auto":
            return wanted
        counts = self._manifest.counts()
        many = sum(counts.values()) - counts[ItemState.QUARANTINED] >= MANY
        # One that was made for many serves few as well.
        return "HNSW" if many and now == "FLAT" else now

    def _sent(self) -> Iterator[int]:
        """The numbers of which nobody knows whether the collection has them."""
        after = ""
        while rows := self._manifest.rows(ItemState.SENDING, after=after):
            yield from (row.vid for row in rows if row.vid is not None)
            after = rows[-1].uri

    def _reconcile(self) -> None:
        """Take out what the manifest does not know, and have added again what the collection does not hold."""
        if self._calls.count(self.collection) == self.valid():
            return
        unknown, lost = differences(self._calls.vids(self.collection), self._manifest.vids())
        self._calls.delete(self.collection, unknown)
        if self._manifest.lost(lost):
            _log.warning("%d pictures are not in %r, and have to be added again", len(lost), self.collection)

    # For others

    def own_alias(self) -> Described | None:
        """The collection that others find; see :func:`ddsim.vectors.milvusplace.own_alias`."""
        return own_alias(self._calls, self._settings, self._manifest, taking_over=self._taking_over)

    def publish(self, extra: Mapping[str, object]) -> None:
        """Have the alias stand for this collection, with its facts; another manifest's answers until this is whole."""
        before = self._notes.read(self.collection) or {}
        self._notes.write(self.collection, {**before, **facts_of(self._manifest), **extra})
        shown = self.own_alias()
        taken = shown if shown is not None and not is_own(shown, self._manifest) else None
        if taken is not None:
            if self._is_withheld(taken.name):
                return
            # Noted before, so that it is never forgotten; it is removed once the alias stands for this one.
            given_up = self._manifest.get_meta("given_up") or ()
            self._manifest.set_meta(given_up=[*(one for one in given_up if one != taken.name), taken.name])
        self._calls.point(self._alias, self.collection)
        self._shown = True
        if taken is not None:
            _log.warning("the collection %r of another index is removed: %r has its place", taken.name, self.collection)
            self._remove_given_up()

    def _is_withheld(self, taken: str) -> bool:
        """Whether the name is not taken from that collection now; :attr:`withheld` says why."""
        counts, before = self._manifest.counts(), self.withheld
        waiting = sum(counts[state] for state in (ItemState.PENDING, ItemState.SENDING, ItemState.ADDED))
        if waiting:
            left = counted(waiting, "picture is", "pictures are")
            why = f"{left} still to be sent. Run `ddsim index --take-over` again"
        elif not counts[ItemState.INDEXED]:
            why = "nothing of the catalogue is indexed. Run `ddsim index --take-over` again once something is"
        else:
            why = "" if self._allow_vanished else self._lacking() or self._shrunk(taken)
        if not why:
            self.withheld = None
            return False
        where = f"the name {self._alias!r} in the Milvus at {self._settings.index.url}"
        self.withheld = f"{where} was not taken over, others still find {taken!r} there: {why}"
        if self.withheld != before and not waiting:
            _log.warning("%s", self.withheld)
        return True

    def _lacking(self) -> str:
        """What of the catalogue cannot be had just now, in words; empty where all can."""
        names, after = sorted(self._manifest.get_meta("shut") or ()), ""
        while rows := self._manifest.rows(ItemState.QUARANTINED, after=after):
            names += (row.uri for row in rows if row.size < 0)  # as a run notes what is so in passing
            after = rows[-1].uri
        if not names:
            return ""
        some = ", ".join(names[:_NAMED]) + (", ..." if len(names) > _NAMED else "")
        return (
            f"{len(names)} of the catalogue cannot be had just now ({some}). Run `ddsim index --take-over` again once "
            "they can, or `ddsim index --take-over --allow-vanished` to do without them"
        )

    def _shrunk(self, taken: str) -> str:
        """By how much that collection has more pictures, in words; empty where that is no reason to wait."""
        self._calls.ask("load_collection", taken)
        theirs, own, limit = self._calls.count(taken), self.valid(), self._settings.reference.vanish_limit
        lost = theirs - own
        if lost < _FEW or lost <= limit * theirs:
            return ""
        return (
            f"it holds {theirs} pictures, this index {own} (catalogue.vanish_limit in the configuration is {limit:g}). "
            "Where that is right, run `ddsim index --take-over --allow-vanished`"
        )

    def settle(self) -> None:
        """After a run: see that the collection holds what the manifest says, and note that nothing is in doubt."""
        self._reconcile()
        index = self._calls.index_of(self.collection)
        measured = None if index is None or index[1] == "FLAT" else self._measured(index)
        self._manifest.set_meta(**{APPROXIMATE: measured}, in_doubt=False)

    def _measured(self, index: tuple[str, Kind]) -> Mapping[str, Any]:
        """How much of the nearest searches find, measured again where much has come or gone since."""
        before, rows = self._manifest.get_meta(APPROXIMATE), self.valid()
        if before and before["index"] == index[1] and abs(rows - before["rows"]) <= _STALE * before["rows"]:
            return dict(before)
        asked = [row.vid for row in self._manifest.sample(ASKED, seed=2) if row.vid is not None]
        return asdict(measure(self._calls, self.collection, index, asked))

    def tell(self) -> None:
        """Have others know what there is by now, where they look at this collection."""
        if self._shown:
            before = self._notes.read(self.collection) or {}
            self._notes.write(self.collection, {**before, **facts_of(self._manifest)})

    def publish_products(self, texts: Mapping[str, str], mark: str) -> None:
        """Have these texts for items in the database, and no others."""
        if self._notes.read(self._products_key()) != mark or (texts and not self._products.is_there()):
            self._products.replace_all(texts, mark)
            self._notes.write(self._products_key(), mark)

    def _products_key(self) -> str:
        return f"{self._alias} products"

    def discard(self) -> None:
        """Remove the collection, and the alias where it stands for it."""
        if not self.known:
            return
        found = self._calls.describe(self.collection)
        if found is not None:
            check_owner(found, self._settings, self._manifest)
        shown = self._calls.describe(self._alias)
        if shown is not None and shown.name == self.collection:
            self._calls.unpoint(self._alias)
        elif self._is_own(shown):
            for name in self._manifest.get_meta("given_up") or ():
                self._drop(name)
        self._drop(self.collection)

    def _drop(self, name: str) -> None:
        self._calls.drop(name)
        self._notes.remove(name)


def differences(theirs: Iterable[int], ours: Iterable[int]) -> tuple[list[int], list[int]]:
    """What is in one ascending row of numbers alone, and what is in the other alone; neither is kept whole."""
    left, right = iter(theirs), iter(ours)
    one, other = next(left, _END), next(right, _END)
    only_theirs: list[int] = []
    only_ours: list[int] = []
    while one != _END or other != _END:
        if one == other:
            one, other = next(left, _END), next(right, _END)
        elif one < other:
            only_theirs.append(one)
            one = next(left, _END)
        else:
            only_ours.append(other)
            other = next(right, _END)
    return only_theirs, only_ours
