"""What a home of vectors is: what every one of them does, what is put into it and what is found there."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Protocol, TypeAlias

from ddsim.deepdetect import Vectors
from ddsim.pictures import Encoded, Picture

PictureOf: TypeAlias = Callable[[str], "Encoded | None"]
"""The picture of an item, by its uri; None where it cannot be read any more."""

#: What the manifest's meta calls the kind of index that its items are in.
HOME = "home"


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
