"""Where vectors live: what every home of them does, and how the valid rows are found among all that it stores."""

from __future__ import annotations

import logging
import math
import socket
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol, TypeAlias, TypeVar

from ddsim.catalogue import Manifest, Records, Row
from ddsim.config import Settings
from ddsim.deepdetect import Client, Vectors
from ddsim.errors import (
    ConnectionLost,
    DatabaseTrouble,
    IndexBusy,
    InvalidRequest,
    ServerBusy,
    ServerFault,
    ServerUnreachable,
    ServiceNotFound,
    TransportError,
    Unconnectable,
)
from ddsim.pictures import Encoded, Picture

_log = logging.getLogger(__name__)

T = TypeVar("T")
PictureOf: TypeAlias = Callable[[str], "Encoded | None"]
"""The picture of an item, by its uri; None where it cannot be read any more."""

#: What the manifest's meta calls the kind of index that its items are in.
HOME = "home"
# A row more in an answer costs next to nothing, another call costs a forward pass.
_WIDE = 256
# Where the index filters by itself, another call costs less than looking up hundreds of items that nobody is shown.
_NARROW = 64
_WIDER = 4
_WIDEST_AT_ONCE = 10_000
# A server that ends so often in a row will not do better the next time.
_TRIES = 4


@dataclass(frozen=True, slots=True)
class Prepared:
    """A picture about to be added: its uri, the number that the manifest gave it, and what is sent.

    ``sha256`` of its file's content, where known, lets its vector be found again under another name.
    """

    uri: str
    vid: int
    picture: Encoded
    sha256: str | None = None


@dataclass(frozen=True, slots=True)
class Found:
    """An item that was found.

    Attributes:
        vid: its number in the index.
        uri, category: as the manifest has them.
        distance: L2: squared, divided by the vector's length (the server's own index);
            cosine: 1 minus the cosine of the angle.
        closeness: the distance without its unit, in [0, 1], 1 for the same picture.
        also: uris of further items with the same content, where these were folded into this one.
    """

    vid: int
    uri: str
    category: str
    distance: float
    closeness: float
    also: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Select:
    """Chooses the categories to search when it is known what is near.

    Attributes:
        choose: given a query's position, the items nearest to it, of all categories, and its own vector as the network
            gave it; None chooses all.
        likely: what it will choose, where that is known before: the first answer then is wide enough for it.
        sees: so many items it is given, where there are as many, however many rows are not valid any more.
        fold: whether items of the same content are found as one, see :attr:`Found.also`, and give one voice to a
            category in ``choose``.
    """

    choose: Callable[[int, Sequence[Found], Vectors], Collection[str] | None]
    likely: Collection[str] | None = None
    sees: int = 1
    fold: bool = False


Among: TypeAlias = str | Collection[str] | Select | None
"""What to search: items of this category or these, of those that are chosen when it is known what is near, or all."""


@dataclass(frozen=True, slots=True, eq=False)  # arrays do not compare to one truth value
class Hits:
    """What was found for one picture.

    Attributes:
        vector: the picture's own features, shape (d,), float32, as the network gave them.
        found: nearest first, each item once.
        apart: how far the first of them is from the picture, both as the network gave them; None where they are
            compared so anyway. What principal components leave out of a vector is what tells a strange one.
        categories: what the search was restricted to; None for all.
    """

    vector: Vectors
    found: tuple[Found, ...]
    categories: frozenset[str] | None = None
    apart: float | None = None


class Backend(Protocol):
    """One home of one manifest's vectors.

    It keeps index and manifest in step. A row of the index counts only where the manifest says that its vid is valid,
    so an item whose vid is no longer valid is found no more from that moment on, whatever the index still holds.

    Whoever adds holds :meth:`.Manifest.writing` from before :meth:`open` to after :meth:`close`, and not
    :meth:`.Manifest.adding`, which the backend takes as it needs it. After a ``TransportError`` of
    :meth:`add` or :meth:`build` call :meth:`recover`; items whose fate is unknown are pending afterwards. After any
    other error nothing of that call counts: the same items may be given again, or put aside.
    """

    @property
    def home(self) -> str:
        """Which kind of index this is, in a word or two: ``server Flat``, ``local cosine``."""
        ...

    def open(self, *, writing: bool) -> None:
        """Bring service, index and manifest into step, after whatever ended the last use.

        Nothing is unbuilt afterwards. Items of which nobody can say that the index holds them are pending.

        Args:
            writing: whether the caller holds the manifest's right to write. Without it that right is taken where
                something is to be put right, for that long.

        Raises:
            CapabilityError: the server, or this installation, cannot do this.
            ServiceConflict: the service exists and is somebody else's.
            ManifestBusy: something is to be put right, and a run of another process is at work.
            InvalidResponse: the network gives vectors of another length than those that are kept.
            ApiError, TransportError: as the client raises.
        """
        ...

    @property
    def looks_ahead(self) -> int:
        """How many batches it wants to hear of by :meth:`foresee` beside the one that is added next; 0 for none."""
        ...

    def foresee(self, pictures: Sequence[Encoded]) -> Future[Vectors] | None:
        """Be told which pictures a later call of :meth:`add` will bring, a batch at a time.

        A home that keeps vectors itself asks for their features at once, so that no server waits.

        Returns:
            what is done when :meth:`add` need not wait for them; None where nothing is asked for.
        """
        ...

    def add(self, batch: Sequence[Prepared]) -> Vectors:
        """Add pictures, in one request, and note in the manifest what became of them.

        Args:
            batch: at least one; their items are ``sending``.

        Returns:
            Their vectors, float32, shape (n, d), as the network gave them.

        Raises:
            BadInput: the server cannot read one of the pictures.
            TransportError: see above; also where the server turns out to have been restarted.
            ApiError, InvalidRequest, IndexBusy: nothing of it counts.
        """
        ...

    def known(self, sha256: str) -> Vectors | None:
        """The vector, shape (d,), of a picture with this content that can be added without asking the server.

        None where there is none, or where the index takes pictures only. Any thread may call it.
        """
        ...

    def add_known(self, vids: Sequence[int], vectors: Vectors) -> None:
        """Add rows whose vectors :meth:`known` gave, shape (n, d), and note so; their items are ``sending``."""
        ...

    def build(self) -> None:
        """Make everything added so far last, and found by searches; does nothing where nothing is unbuilt.

        Raises as :meth:`add` does.
        """
        ...

    def recover(self) -> None:
        """After a lost answer: wait for the server, and find out what holds.

        Raises:
            TransportError: the server does not come back in time.
        """
        ...

    def remove(self, vids: Collection[int]) -> None:
        """Let go of rows that are not valid any more, where the index can."""
        ...

    def search(self, pictures: Sequence[Picture], k: int, among: Among = None) -> list[Hits]:
        """Find the nearest items.

        Args:
            pictures: the queries.
            k: how many items for each; fewer come back only where there are fewer.
            among: only items of some categories.

        Raises:
            IndexBusy: pictures are being added.
            InvalidRequest: ``k`` below 1.
        """
        ...

    def search_vectors(self, vectors: Vectors, k: int, among: Among = None) -> list[Hits]:
        """Find the items nearest to vectors.

        Args:
            vectors: as the network gives them, float32, shape (n, d).
            k: as in :meth:`search`.
            among: likewise.

        Raises:
            CapabilityError: the index takes pictures only.
            InvalidRequest: ``k`` below 1, or vectors of another length than the index's.
        """
        ...

    def vectors_of(self, vids: Sequence[int]) -> Vectors | None:
        """The vectors of valid items as they are searched, shape (n, d); None where the index gives none back."""
        ...

    def features_of(self, vids: Sequence[int]) -> Vectors | None:
        """The vectors of valid items as the network gave them, but for rounding; otherwise as above."""
        ...

    def stored(self) -> int:
        """How many rows the index holds, valid or not; where answers were lost, as many as it may hold."""
        ...

    def tombstone_share(self) -> float:
        """The share of those rows that are not valid, 0 to 1."""
        ...

    def rebuild(self) -> None:
        """Start with an empty index: everything is pending.

        Takes the place of :meth:`open`, and raises as it does; the caller holds the manifest's right to write.
        """
        ...

    def discard(self) -> None:
        """Remove the index, as far as its home can: nobody uses the manifest any more.

        What the server cannot remove is named in the log.
        """
        ...

    def settle(self) -> None:
        """After a run that added or removed all it should: do what makes searches quick and the index small.

        May take long; does nothing where nothing is to be done. Everything is built, and the caller holds the
        manifest's right to write. What is lost by dying here is only this work.
        """
        ...

    def close(self) -> None:
        """Let go of memory and locks. What was added and not built may have to be added again."""
        ...


@dataclass(frozen=True, slots=True, eq=False)
class Ranking:
    """What an index gave for one picture.

    Attributes:
        vector: the picture's own features, as the network gave them.
        rows: vid and distance, nearest first.
        compared: the vector as it was compared, where that is another one.
    """

    vector: Vectors
    rows: Sequence[tuple[int, float]]
    compared: Vectors | None = None


Within: TypeAlias = Callable[[int, Collection[str], int], Ranking]
"""For a query's position, some categories and a number: the nearest rows of items of these, so many."""


def search_valid(
    ask: Callable[[list[int], int], Sequence[Ranking]],
    manifest: Records,
    scorer: Callable[[Vectors], Callable[[float], float]],
    queries: int,
    k: int,
    among: Among = None,
    *,
    within: Within | None = None,
) -> list[Hits]:
    """Ask for more rows than wanted, and for more again until enough of them are valid or there are none left.

    Args:
        ask: gives the nearest rows of these queries (by position), so many for each; fewer where the index has fewer.
        manifest: knows the valid ones.
        scorer: for a query's vector, what gives a distance its score.
        queries: how many there are.
        k: items wanted for each query.
        among: only items of some categories.
        within: gives the nearest rows of a query among items of some categories, so many; fewer where there are fewer.
            For indexes that can filter: whoever cannot is asked for all that is near, which is filtered here.

    Raises:
        InvalidRequest: ``k`` below 1.
    """
    if k < 1:
        raise InvalidRequest(f"k={k} must be 1 or more")
    if isinstance(among, str):
        among = (among,)
    select = among if isinstance(among, Select) else Select(lambda _position, _near, _vector: among, among)
    search = _Search(manifest, scorer, k, select, within)
    if within is not None and among is not None and not isinstance(among, Select):
        return [search.narrowed(within, position, frozenset(among)) for position in range(queries)]
    hits: dict[int, Hits] = {}
    narrow = max(_NARROW, 4 * k, 2 * select.sees)
    waiting, wide = list(range(queries)), narrow if within else _wide(manifest, k, select.likely)
    while waiting:
        hits |= search.take(waiting, ask(waiting, wide), wide)
        waiting = [position for position in waiting if position not in hits]
        wide *= _WIDER
    return [hits[position] for position in range(queries)]


class _Search:
    """One search for several queries: what was chosen for them, and what of an answer is of use."""

    def __init__(
        self,
        manifest: Records,
        scorer: Callable[[Vectors], Callable[[float], float]],
        k: int,
        select: Select,
        within: Within | None,
    ) -> None:
        self._manifest = manifest
        self._scorer = scorer
        self._k = k
        self._select = select
        self._within = within
        self._chosen: dict[int, Collection[str] | None] = {}

    def take(self, positions: Sequence[int], rankings: Sequence[Ranking], wide: int) -> dict[int, Hits]:
        """The hits of those queries for which an answer of so many rows was enough."""
        rows = self._manifest.resolve({vid for ranking in rankings for vid, _ in ranking.rows})
        hits: dict[int, Hits] = {}
        for position, ranking in zip(positions, rankings, strict=True):
            valid, exhausted, score = _valid(ranking, rows), len(ranking.rows) < wide, self._score(ranking)
            if position not in self._chosen:
                near = _one_each(valid, self._select.sees) if self._select.fold else valid
                if len(near) < self._select.sees and not exhausted:
                    continue
                seen = [_found(one, score) for one in near[: self._select.sees]]
                self._chosen[position] = self._select.choose(position, seen, ranking.vector)
            only = self._chosen[position]
            kept = self._kept(valid, score, only)
            if len(kept) == self._k or exhausted:
                hits[position] = Hits(ranking.vector, kept, None if only is None else frozenset(only))
            elif self._within is not None and only is not None:
                hits[position] = self.narrowed(self._within, position, frozenset(only))
        return hits

    def narrowed(self, within: Within, position: int, only: frozenset[str]) -> Hits:
        """The hits of one query among items of some categories, asked for by themselves."""
        wide = max(_NARROW, 4 * self._k)
        while True:
            ranking = within(position, only, wide)
            valid = _valid(ranking, self._manifest.resolve(vid for vid, _ in ranking.rows))
            kept = self._kept(valid, self._score(ranking), only)
            if len(kept) == self._k or len(ranking.rows) < wide:
                return Hits(ranking.vector, kept, only)
            wide *= _WIDER

    def _score(self, ranking: Ranking) -> Callable[[float], float]:
        return self._scorer(ranking.vector if ranking.compared is None else ranking.compared)

    def _kept(
        self, valid: Sequence[_Valid], score: Callable[[float], float], only: Collection[str] | None
    ) -> tuple[Found, ...]:
        kept = [one for one in valid if only is None or one[0].category in only]
        groups = _folded(kept) if self._select.fold else [[one] for one in kept[: self._k]]
        return tuple(_found(first, score, others) for first, *others in groups[: self._k])


def _wide(manifest: Records, k: int, likely: Collection[str] | None) -> int:
    """So many rows that one answer will do; what is likely is not near, it lies as if it were anywhere."""
    least = max(_WIDE, 4 * k)
    if likely is None:
        return least
    sizes = manifest.categories()
    share = sum(sizes.get(category, 0) for category in set(likely)) / max(sum(sizes.values()), 1)
    return max(least, min(_WIDEST_AT_ONCE, math.ceil(2 * k / share))) if share else least


# An answer has hundreds of rows, of which a few are shown: what the others would need is not computed for them.
_Valid: TypeAlias = tuple[Row, int, float]
"""An item that an index gave, its number and its distance."""


def _valid(ranking: Ranking, rows: Mapping[int, Row]) -> list[_Valid]:
    found: dict[int, _Valid] = {}
    for vid, distance in ranking.rows:
        row = rows.get(vid)
        if row is not None and vid not in found and math.isfinite(distance):
            found[vid] = row, vid, distance
    return list(found.values())


def _found(one: _Valid, score: Callable[[float], float], others: Sequence[_Valid] = ()) -> Found:
    row, vid, distance = one
    return Found(vid, row.uri, row.category, distance, score(distance), tuple(other.uri for other, _, _ in others))


def _one_each(valid: Sequence[_Valid], most: int) -> list[_Valid]:
    """The nearest item of each content in each category, so many: the same picture once more says nothing new."""
    first: dict[tuple[object, str], _Valid] = {}
    for one in valid:
        row, vid, _ = one
        first.setdefault((row.sha256 or vid, row.category), one)
        if len(first) == most:
            break
    return list(first.values())


def _folded(valid: Sequence[_Valid]) -> list[list[_Valid]]:
    """Items of the same content together, at the place of the nearest."""
    groups: dict[object, list[_Valid]] = {}
    for one in valid:
        row, vid, _ = one
        groups.setdefault(row.sha256 or vid, []).append(one)
    return list(groups.values())


def owner_of(settings: Settings, manifest: Manifest) -> str:
    """Whom the service of this configuration belongs to, in words that people understand.

    It is shown to others: where two meet on a server, each is told who the other is and where.
    """
    words = f"{settings.name} {manifest.folder.parent.absolute()} on {socket.gethostname()}"
    return words.encode("utf-8", "backslashreplace").decode("utf-8")


@contextmanager
def forgetting(client: Client, service: str) -> Iterator[None]:
    """Turn "no such service" of a service that was there into what it means for whoever added to its index.

    Raises:
        ConnectionLost: what was in its memory is gone; whoever asked has to recover.
    """
    try:
        yield
    except ServiceNotFound as error:
        raise ConnectionLost(
            f"the server has service {service!r} no more: {client.why_missing(service)}",
            method=error.method,
            path=error.path,
        ) from error


@dataclass(frozen=True)
class Patience:
    """How long to wait for others.

    Attributes:
        seconds: for a server that is gone; no new try begins later than this after the first.
        first_wait, longest_wait: seconds between two tries; the wait doubles in between.
        busy: seconds that a search waits for a run that is adding.
        searches: seconds that a run waits for searches under way before it adds.
        gives_way: seconds that a run waits after a build until searches have begun, where some wait.
        sleep, clock: how to wait and to tell the time; tests pass some that take none.
    """

    seconds: float = 120.0
    first_wait: float = 0.5
    longest_wait: float = 10.0
    busy: float = 10.0
    searches: float = 60.0
    gives_way: float = 1.0
    sleep: Callable[[float], None] = time.sleep
    clock: Callable[[], float] = time.monotonic

    def wait_for(self, client: Client, service: str) -> None:
        """Wait until the server answers when it is asked for this service, whether or not it has it.

        Raises:
            TransportError, ServerFault, ServerBusy: the last try's.
        """
        end, pause = self.clock() + self.seconds, self.first_wait
        while True:
            try:
                client.get_service(service)
                return
            except ServiceNotFound:
                return
            except (TransportError, ServerFault, ServerBusy) as error:
                if isinstance(error, Unconnectable) or self.clock() + pause > end:
                    raise
                _log.warning("the server does not answer (%s); asking again in %g s", error, pause)
            self.sleep(pause)
            pause = min(2 * pause, self.longest_wait)

    def outlast(self, client: Client, service: str, work: Callable[[], T]) -> T:
        """Do some work that can be done again, and once more where the server ends meanwhile and comes back.

        Raises:
            TransportError, ServerFault: it does not come back in time, or ends every time.
        """
        for _ in range(_TRIES - 1):
            try:
                return work()
            except Unconnectable:
                raise
            except (ConnectionLost, ServerUnreachable) as error:
                _log.warning("the server ended meanwhile (%s)", error)
            self.wait_for(client, service)
        return work()

    def outlast_database(self, work: Callable[[], T]) -> T:
        """Do some work that can be done again, and once more while the database does not answer.

        Raises:
            DatabaseTrouble: it does not come back in time.
        """
        end, pause = self.clock() + self.seconds, self.first_wait
        while True:
            try:
                return work()
            except DatabaseTrouble as error:
                if self.clock() + pause > end:
                    raise
                _log.warning("%s; trying again in %g s", error, pause)
            self.sleep(pause)
            pause = min(2 * pause, self.longest_wait)

    def outlast_busy(self, work: Callable[[], T]) -> T:
        """Do some work that can be done again, and once more while the index is being made ready.

        Raises:
            IndexBusy: that takes longer than :attr:`busy`.
        """
        end, pause = self.clock() + self.busy, self.first_wait
        while True:
            try:
                return work()
            except IndexBusy:
                if self.clock() + pause > end:
                    raise
            self.sleep(pause)
            pause = min(2 * pause, self.longest_wait)
