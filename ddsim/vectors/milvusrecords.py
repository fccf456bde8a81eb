"""What machines without a manifest know of a catalogue: everything that a search shows, from the database."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Any, TypeVar

from ddsim.catalogue import ItemState, Manifest, Records, Row, writings
from ddsim.config import Settings
from ddsim.errors import CapabilityError, ForeignCollection, IndexLost
from ddsim.vectors.canary import KEPT as CANARY
from ddsim.vectors.fingerprints import vector_key
from ddsim.vectors.milvuscalls import Calls, among
from ddsim.vectors.milvuslink import Missing
from ddsim.vectors.milvusnotes import Notes
from ddsim.vectors.milvusplace import GENERATION, Mark, alias_of, products_of

_Made = TypeVar("_Made")
#: How long a searching machine goes by what it heard last of the alias and its facts, in seconds.
FRESH_S = 2.0
_SEEN = 50_000
_EXAMPLES = 100
# What of a manifest's meta others need: what was learned, by which network, and how vectors are compared.
_META = ("home", "dimension", "compared", "learned", "head", GENERATION, CANARY)


def facts_of(manifest: Manifest) -> dict[str, Any]:
    """What is written beside a collection for those who search without its manifest."""
    examples = manifest.sample(_EXAMPLES, seed=1)
    return {
        "meta": {key: manifest.get_meta(key) for key in _META},
        "categories": manifest.categories(),
        "examples": [[row.vid, row.uri, row.category, row.sha256] for row in examples],
    }


def row_of(found: Mapping[str, Any]) -> Row:
    """An item as the database has it; what only a run needs to know of its file is not there."""
    sha256 = found["sha256"] or None
    return Row(found["uri"], found["category"], 0, 0, sha256, ItemState.INDEXED, None, 0, 0.0, int(found["vid"]))


@dataclass
class _Heard:
    """What the database said last, and when."""

    at: float
    collection: str | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)


class DatabaseRecords(Records):
    """A manifest's answers, from the database alone. Any thread may use it.

    Args:
        calls: the database.
        settings: the configuration.
        clock: tells the time.
    """

    def __init__(self, calls: Calls, settings: Settings, clock: Callable[[], float] = time.monotonic) -> None:
        self._calls = calls
        self._settings = settings
        self._clock = clock
        self._notes = Notes(calls)
        self._products = Notes(calls, products_of(alias_of(settings)))
        self._lock = threading.RLock()
        self._heard: _Heard | None = None
        self._seen: OrderedDict[int, tuple[float, Row]] = OrderedDict()
        self._named: dict[str, int] = {}

    def __enter__(self) -> DatabaseRecords:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the connection."""
        self._calls.close()

    def version(self) -> str:
        """Of the database's server."""
        return self._calls.version()

    # Where it is

    @property
    def collection(self) -> str | None:
        """The collection that answers now; None where nothing is indexed.

        Raises:
            ForeignCollection: it is somebody else's, or of another network.
        """
        return self._now().collection

    def forget(self) -> None:
        """Ask again at the next occasion: what was said last turned out to be old."""
        with self._lock:
            self._heard = None
            self._seen.clear()
            self._named.clear()

    def outlast_rebuild(
        self, work: Callable[[], _Made], doubtful: Callable[[_Made], bool] = lambda _made: False
    ) -> _Made:
        """Do some work on the collection that answers, and once more where another has taken its place meanwhile.

        Args:
            work: raises Missing where the collection is gone.
            doubtful: whether what it gave may be the last word of one that is being removed.

        Raises:
            IndexLost: it is gone, and none has taken its place.
        """
        with suppress(Missing):
            made = work()
            if not doubtful(made):
                return made
        self.forget()
        try:
            return work()
        except Missing as error:
            raise IndexLost(
                f"the collection of this catalogue is gone from the Milvus at {self._calls.url}: run `ddsim index`, "
                "which puts every picture there again"
            ) from error

    def remember(self, rows: Iterable[Row]) -> None:
        """Keep items that were just found: they are asked for by number, and by name where they are shown."""
        with self._lock:
            for row in rows:
                if row.vid is not None:
                    self._seen[row.vid] = (self._clock(), row)
                    self._seen.move_to_end(row.vid)
                    self._named[row.uri] = row.vid
            while len(self._seen) > _SEEN:
                _, (_, row) = self._seen.popitem(last=False)
                self._named.pop(row.uri, None)

    def _remembered(self, vid: int | None) -> Row | None:
        at, row = self._seen.get(vid or 0, (0.0, None))
        return row if row is not None and self._clock() - at <= FRESH_S else None

    def _now(self) -> _Heard:
        with self._lock:
            heard = self._heard
            if heard is None or self._clock() - heard.at > FRESH_S:
                heard = self._heard = self._ask(heard)
            return heard

    def _ask(self, before: _Heard | None) -> _Heard:
        heard = self._hear(before)
        # Facts go with their collection, whose place another took between the two questions.
        return self._hear(None) if heard.collection is not None and not heard.facts else heard

    def _hear(self, before: _Heard | None) -> _Heard:
        alias = alias_of(self._settings)
        found = self._calls.describe(alias)
        if found is None:
            return _Heard(self._clock())
        mark = Mark.of(found)
        if mark is None or mark.vectors != vector_key(self._settings) or found.name == alias:
            raise ForeignCollection(
                f"the collection {found.name!r} in the Milvus at {self._calls.url} is none that this configuration "
                f"made (it says {found.note[:200]!r}): write another `collection` under `index:`"
            )
        same = before is not None and before.collection == found.name
        facts = self._notes.read(found.name, sure=not same)
        return _Heard(self._clock(), found.name, facts or {})

    # What a manifest is asked

    def resolve(self, vids: Iterable[int]) -> dict[int, Row]:
        """The items behind numbers of the collection."""
        wanted = {int(vid) for vid in vids}
        with self._lock:
            found = {vid: row for vid in wanted if (row := self._remembered(vid)) is not None}
        if more := wanted - found.keys():
            rows = self._rows(lambda name: self._calls.get(name, more, ["vid", "uri", "category", "sha256"]))
            found |= {row.vid: row for row in rows if row.vid is not None}
        return found

    def get(self, uri: str) -> Row | None:
        """One item, None where there is none of that name."""
        with self._lock:
            row = self._remembered(self._named.get(uri))
        return self._first([uri]) if row is None else row

    def find(self, name: str) -> Row | None:
        """One item by a name that a person or a file gives."""
        return self._first(list(writings(name)))

    def _first(self, uris: list[str]) -> Row | None:
        # What is no Unicode is no name that could be stored.
        named = [uri for uri in uris if uri.encode("utf-8", "replace").decode() == uri and "\0" not in uri]
        if not named:
            return None
        # An answer at once will mostly do: what is shown has just been found.
        for level in ("Bounded", self._calls.consistency):
            ask = partial(self._calls.where, expression=among("uri", named), limit=len(named), level=level)
            found = {row.uri: row for row in self._rows(ask)}
            if found:
                self.remember(found.values())
                return next(found[uri] for uri in uris if uri in found)
        return None

    def _rows(self, ask: Callable[[str], list[dict[str, Any]]]) -> list[Row]:
        """Rows of the collection that answers; none where nothing is indexed.

        Raises:
            IndexLost: it is gone, and none has taken its place.
        """

        def rows() -> list[Row]:
            name = self.collection
            return [] if name is None else [row_of(found) for found in ask(name)]

        return self.outlast_rebuild(rows)

    def meant(self, name: str) -> str:
        """Nothing: names that are near cannot be asked for here."""
        del name
        return ""

    def counts(self) -> dict[ItemState, int]:
        """How many items are in each state; here all of them are indexed."""
        return dict.fromkeys(ItemState, 0) | {ItemState.INDEXED: sum(self.categories().values())}

    def categories(self) -> dict[str, int]:
        """How many indexed items each category has, as of the last checkpoint."""
        found: Mapping[str, int] = self._now().facts.get("categories", {})
        return dict(found)

    def sample(self, n: int, seed: int) -> list[Row]:
        """Some of the items that the last run chose, spread over them; ``seed`` changes nothing here."""
        del seed
        rows = [
            Row(uri, category, 0, 0, sha256, ItemState.INDEXED, None, 0, 0.0, vid)
            for vid, uri, category, sha256 in self._now().facts.get("examples", ())
        ]
        step = max(1, len(rows) // max(n, 1))
        return rows[::step][:n]

    def derived(self, name: str, make: Callable[[], _Made]) -> _Made:  # noqa: ARG002  as of a manifest
        """What a caller makes of these records, made again each time."""
        return make()

    def get_meta(self, key: str) -> Any:
        """A fact that the last run noted."""
        facts = self._now().facts
        return facts.get("meta", {}).get(key, facts.get(key))

    def product(self, key: str) -> str | None:
        """What is known of an item besides its picture, as text, by its comparable name."""
        return self._products.texts([key]).get(key)

    # What only the manifest has

    def rows(
        self, state: ItemState | None = None, category: str | None = None, after: str = "", limit: int = 500
    ) -> list[Row]:
        """Refuse, but for what is never here: a database has no order.

        Raises:
            CapabilityError: a list of indexed items is wanted.
        """
        del category, after, limit
        if state not in (None, ItemState.INDEXED):
            return []
        raise self._elsewhere("a list of all items")

    def vids(self, categories: Iterable[str] | None = None) -> Iterator[int]:
        """Refuse.

        Raises:
            CapabilityError: always.
        """
        del categories
        raise self._elsewhere("a list of all numbers")

    def twins(self) -> Iterator[list[str]]:
        """Refuse.

        Raises:
            CapabilityError: always.
        """
        raise self._elsewhere("a list of equal pictures")

    @staticmethod
    def _elsewhere(what: str) -> CapabilityError:
        return CapabilityError(f"{what} is kept by the machine that indexes, and this one has no manifest: ask there")
