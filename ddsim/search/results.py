"""What a search gives back."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, overload

from ddsim.catalogue import product_of
from ddsim.deepdetect import Label
from ddsim.pictures import Picture, thumbnail
from ddsim.routing import RoutedCategory
from ddsim.showing import DataFrame, Shown, Sketch, Tile, Value, clipped, counted, data_frame, percent, plain, several

_LABELS = 10
_CHIPS = 5
_TILES = 24
_PHOTO, _TILE = 180, 100
_COLUMNS = ("rank", "uri", "category", "product", "path", "distance", "score", "also")


@dataclass(frozen=True, slots=True, repr=False)
class Timings(Value):
    """Where the time went, in seconds; for all pictures of the call together.

    Attributes:
        prepare: reading, shrinking and encoding pictures.
        classify: the classification service; 0 where it was not asked.
        search: the similarity service and the index.
        total: all of it.
    """

    prepare: float
    classify: float
    search: float
    total: float


@dataclass(frozen=True, slots=True, repr=False)
class Neighbour(Shown):
    """An item found for a query.

    Attributes:
        uri: the item's name: its path in the catalogue, with ``/`` between the parts.
        distance: as the index gives it; from DeepDetect v0.25.0 it is the squared L2 distance divided by the number of
            values in a vector (checked on a running server).
        score: how similar it is, 0 to 1: the probability that an item at this distance is of the query's category
            (:class:`ddsim.Learned`); 1 for the same picture. Only where nothing was learned yet, as after a run that
            was stopped, it is how close the item is (:attr:`ddsim.Match.closeness`).
        rank: its place, from 1.
        path: its picture in the catalogue's folder; None where pictures are elsewhere, or no catalogue is known.
        also: names of further items with the very same picture, which a search folds into this one.
        listed: the category that a catalogue which is elsewhere has it in.
    """

    uri: str
    distance: float
    score: float
    rank: int = 1
    path: Path | None = None
    also: tuple[str, ...] = ()
    listed: str = ""

    @property
    def category(self) -> str:
        """As the catalogue has it, or else the first part of the uri (``lamp`` of ``lamp/lamp-007.jpg``).

        A catalogue without category folders is one category, called as its folder; empty where that is not known.
        """
        if self.listed:
            return self.listed
        head, slash, _ = self.uri.partition("/")
        if slash:
            return head
        return self.path.absolute().parent.name if self.path is not None else ""

    @property
    def product(self) -> str | None:
        """Which product it shows, as far as its name tells: ``lamp/lamp-007`` of ``lamp/lamp-007-view2.jpg``.

        None where the name has no number. ``ddsim evaluate`` goes by the same names.
        """
        return product_of(self.uri, self.category)

    def to_dict(self) -> dict[str, Any]:
        """Plain values, as in the ``neighbours`` of ``ddsim search --json``."""
        return {name: plain(getattr(self, name)) for name in _COLUMNS}

    def _brief(self) -> str:
        return f"{self.rank}. {clipped(self.uri)!r}, score {percent(self.score)}, distance {self.distance:.4g}"

    def _tile(self) -> Tile:
        picture = partial(thumbnail, self.path, _TILE) if self.path is not None else lambda: None
        return Tile(picture, self.uri.rpartition("/")[2], f"{self.category} {percent(self.score)}", self._brief())

    def _sketch(self) -> Sketch:
        facts = [("category", self.category), ("score", percent(self.score)), ("distance", f"{self.distance:.4g}")]
        if self.also:
            facts.append(("the same picture", several(self.also, len(self.also))))
        return Sketch(f"{self.rank}. {self.uri}", photo=self._tile().picture, facts=facts)


@dataclass(frozen=True, repr=False)
class SearchResult(Shown):
    """What was found for one picture. It is a collection of its neighbours: ``for neighbour in result``.

    Attributes:
        query: what the caller named the picture.
        labels: what the classification service answered, most probable first; empty where it was not asked.
        categories: what the picture may show, most probable first; each says whether it was searched, and why. Where
            their probabilities add up to less than 1, the rest is the probability that the picture shows none of them.
        searched: the categories that were searched; empty means all of them.
        neighbours: nearest first.
        nothing_similar: None, or a sentence that says why even the nearest item is not similar enough. The neighbours
            are listed in both cases.
        timings: where the time went.
        remark: what there is to say about the picture itself, such as that its file is cut short; mostly empty.
        photo: the picture that was searched for, for showing it; None for a vector.
    """

    query: str
    labels: tuple[Label, ...]
    categories: tuple[RoutedCategory, ...]
    searched: tuple[str, ...]
    neighbours: tuple[Neighbour, ...]
    nothing_similar: str | None
    timings: Timings
    remark: str = ""
    photo: Picture | None = field(default=None, repr=False, compare=False)

    def __iter__(self) -> Iterator[Neighbour]:
        return iter(self.neighbours)

    def __len__(self) -> int:
        return len(self.neighbours)

    @overload
    def __getitem__(self, place: int) -> Neighbour: ...

    @overload
    def __getitem__(self, place: slice) -> tuple[Neighbour, ...]: ...

    def __getitem__(self, place: int | slice) -> Neighbour | tuple[Neighbour, ...]:
        return self.neighbours[place]

    def to_dict(self, labels: int | None = _LABELS) -> dict[str, Any]:
        """Plain values, as ``ddsim search --json`` prints them.

        Args:
            labels: how many of the most probable labels are in it; None for all.
        """
        return {
            "query": self.query,
            "remark": self.remark,
            "searched": list(self.searched),
            "nothing_similar": self.nothing_similar,
            "labels": [label.to_dict() for label in self.labels[:labels]],
            "categories": [one.to_dict() for one in self.categories],
            "neighbours": [one.to_dict() for one in self.neighbours],
            "timings": self.timings.to_dict(),
        }

    def to_dataframe(self) -> DataFrame:
        """A row for each neighbour: rank, uri, category, product, path, distance, score, also.

        Raises:
            CapabilityError: pandas is not installed.
        """
        return data_frame((one.to_dict() for one in self.neighbours), _COLUMNS)

    def _shares(self) -> list[tuple[str, float]]:
        """The most probable categories; labels where no category is known."""
        categories = [(one.name, one.probability) for one in self.categories]
        return (categories or [(one.name, one.probability) for one in self.labels])[:_CHIPS]

    def _brief(self) -> str:
        shows = ", ".join(f"{clipped(name, 24)} {percent(share)}" for name, share in self._shares()[:3])
        where = several((clipped(name, 24) for name in self.searched), len(self.searched)) or "all categories"
        found = counted(len(self.neighbours), "neighbour")
        first = f", nearest {self.neighbours[0].uri!r}" if self.neighbours else ""
        nothing = ", nothing similar enough" if self.nothing_similar else ""
        return f"{clipped(self.query)!r} shows {shows or 'nothing known'}; {found} in {where}{clipped(first)}{nothing}"

    def _sketch(self) -> Sketch:
        where = f" in {', '.join(self.searched)}" if self.searched else ""
        notes = [self.remark] if self.remark else []
        if self.nothing_similar:
            notes.append(f"Nothing similar enough: {self.nothing_similar}.")
        return Sketch(
            f"{counted(len(self.neighbours), 'neighbour')} of {self.query}{where}",
            photo=None if self.photo is None else partial(thumbnail, self.photo, _PHOTO),
            chips=[(name, percent(share)) for name, share in self._shares()],
            notes=notes,
            tiles=[one._tile() for one in self.neighbours[:_TILES]],
        )


def without(one: Neighbour, uri: str | None) -> Neighbour | None:
    """A neighbour without this one of its names; None where it has no other."""
    names = [name for name in (one.uri, *one.also) if name != uri]
    if not names or names[0] == one.uri:
        return replace(one, also=tuple(names[1:])) if names else None
    root = None if one.path is None else one.path.parents[one.uri.count("/")]
    return replace(one, uri=names[0], also=tuple(names[1:]), path=None if root is None else root / names[0])


def without_item(found: SearchResult, uri: str, k: int) -> SearchResult:
    """A result of k neighbours at most, without the item that was searched for."""
    others = [one for one in (without(one, uri) for one in found.neighbours) if one is not None][:k]
    ranked = tuple(replace(one, rank=rank) for rank, one in enumerate(others, 1))
    nothing = found.nothing_similar or (None if ranked else "no other item of these categories is indexed")
    return replace(found, neighbours=ranked, nothing_similar=nothing)
