"""A catalogue as a map: items near each other are alike. One HTML page that needs nothing else."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ddsim.catalogue import Item
from ddsim.deepdetect import Vectors, is_whole
from ddsim.errors import CapabilityError, InvalidRequest, install_hint
from ddsim.pictures import thumbnail
from ddsim.search.collection import Collection
from ddsim.search.contents import items_with_vectors
from ddsim.showing import Listing, Sketch, Table, Value, counted, data_uri, filled, save_page

if TYPE_CHECKING:
    pass

Method: TypeAlias = Literal["pca", "umap"]
_SIDE = 64
# Hues as far from each other as they can be, however many there are.
_TURN = 137.508
_NEIGHBOURS = 15


@dataclass(frozen=True, slots=True, repr=False)
class Place(Value):
    """Where an item is on a map.

    Attributes:
        uri, category: of the item.
        x, y: from 0 to 1, from the left and from the top.
    """

    uri: str
    category: str
    x: float
    y: float


class CatalogueMap(Listing[Place]):
    """A map of a catalogue: a sequence of :class:`ddsim.search.exploring.Place`; notebooks show it as it is.

    Args:
        places: where items are.
        items: the same, with their pictures.
        method: how places were found, ``pca`` or ``umap``.
        pictures: so many places have their picture, the others are dots.
        left_out: how many items are not on it.
    """

    columns = ("uri", "category", "x", "y")

    def __init__(
        self, places: Sequence[Place], items: Sequence[Item], method: Method, pictures: int, left_out: int
    ) -> None:
        super().__init__(places)
        self.method = method
        self._items = tuple(items)
        self._pictures = pictures
        self._left_out = left_out
        self._page: str | None = None

    @property
    def html(self) -> str:
        """The page, whole: no file beside it, no network. It is drawn once."""
        if self._page is None:
            self._page = _drawn(self, self._items, self._pictures, self._left_out)
        return self._page

    def save(self, path: str | PathLike[str]) -> Path:
        """Write the page into a file, to be opened in a browser.

        Args:
            path: of the file; one that is there is replaced.

        Returns:
            the same path.

        Raises:
            ConfigError: it cannot be written.
        """
        return save_page(self.html, path)

    def to_dict(self) -> dict[str, Any]:
        """Plain values: how places were found, and where items are."""
        return {"method": self.method, "places": [place.to_dict() for place in self]}

    def _brief(self) -> str:
        return f"{counted(len(self), 'item')} by {self.method}; save(FILE) writes the page"

    def _sketch(self) -> Sketch:
        rows = [(place.uri, f"{place.x:.3f}", f"{place.y:.3f}") for place in self[:10]]
        table = Table(("item", "x", "y"), rows, more=max(0, len(self) - 10))
        return Sketch(f"Map of {counted(len(self), 'item')} by {self.method}", tables=[table] if rows else ())

    def _repr_html_(self) -> str:
        # In a frame of its own, so that its styles and its script stay there.
        style = "width:100%;height:640px;border:1px solid rgba(128,128,128,.35);border-radius:8px"
        sandbox = "allow-scripts"
        return f'<iframe sandbox="{sandbox}" style="{style}" title="map" srcdoc="{escape(self.html)}"></iframe>'


def explored(collection: Collection, category: str | None, method: Method, most: int, pictures: int) -> CatalogueMap:
    """The map of a collection; see :meth:`ddsim.ImageSearch.explore`."""
    _check(method, most, pictures)  # before anything is loaded
    items, vectors = items_with_vectors(collection, category, compared=True)
    count = len(items)
    chosen = [number * count // most for number in range(most)] if count > most else list(range(count))
    return mapped(
        [items[place] for place in chosen], vectors[chosen], method, pictures=pictures, left_out=count - len(chosen)
    )


def _check(method: str, most: int, pictures: int) -> None:
    if method not in ("pca", "umap"):
        raise InvalidRequest(f"explore: method={method!r}: use 'pca' or 'umap'")
    whole = all(map(is_whole, (most, pictures)))
    if not whole or most < 1 or pictures < 0:
        raise InvalidRequest(
            f"explore: most={most!r} and pictures={pictures!r} must be whole numbers, 1 or more and 0 or more"
        )


def mapped(
    items: Sequence[Item], vectors: Vectors, method: Method, *, pictures: int, left_out: int = 0
) -> CatalogueMap:
    """Find places in the plane for items, so that those with similar vectors are near.

    Args:
        items: n.
        vectors: theirs, shape (n, d).
        method: ``pca``, the two directions in which they differ most, or ``umap``.
        pictures: see :class:`CatalogueMap`.
        left_out: likewise.

    Raises:
        CapabilityError: UMAP is not installed.
    """
    sound = np.flatnonzero(np.isfinite(vectors).all(axis=1)).tolist() if len(vectors) else []
    plane = (_by_pca if method == "pca" else _by_umap)(vectors[sound])
    kept = [items[place] for place in sound]
    places = [Place(item.uri, item.category, *_spot(spot)) for item, spot in zip(kept, _within(plane), strict=True)]
    return CatalogueMap(places, kept, method, pictures, left_out + len(items) - len(kept))


def _spot(spot: NDArray[np.float64]) -> tuple[float, float]:
    return round(float(spot[0]), 4), round(float(spot[1]), 4)


def _within(plane: NDArray[np.float64]) -> NDArray[np.float64]:
    """The same from 0 to 1."""
    if not len(plane):
        return plane
    low, high = plane.min(axis=0), plane.max(axis=0)
    scaled: NDArray[np.float64] = (plane - low) / np.where(high > low, high - low, 1.0)
    return np.where(high > low, scaled, 0.5)


def _by_pca(vectors: Vectors) -> NDArray[np.float64]:
    count = len(vectors)
    plane = np.zeros((count, 2))
    if count < 2:
        return plane
    centred = vectors.astype(np.float64) - vectors.mean(axis=0, dtype=np.float64)
    # Of the smaller of both matrices that have the same components.
    if count < centred.shape[1]:
        values, found = np.linalg.eigh(centred @ centred.T)
        best = found[:, ::-1][:, :2] * np.sqrt(np.maximum(values[::-1][:2], 0.0))
    else:
        _, axes = np.linalg.eigh(centred.T @ centred)
        best = centred @ axes[:, ::-1][:, :2]
    plane[:, : best.shape[1]] = best
    return plane


def _by_umap(vectors: Vectors) -> NDArray[np.float64]:
    try:
        from umap import UMAP
    except ModuleNotFoundError as error:
        raise CapabilityError(
            f"explore(method='umap') needs UMAP, which is not installed: {install_hint('umap')}"
        ) from error
    if len(vectors) <= _NEIGHBOURS:
        return _by_pca(vectors)  # too few to have neighbourhoods
    made = UMAP(n_components=2, n_neighbors=_NEIGHBOURS, metric="cosine", random_state=0, n_jobs=1)
    plane: NDArray[np.float64] = np.asarray(made.fit_transform(vectors), dtype=np.float64)
    return plane


def _drawn(places: Sequence[Place], items: Sequence[Item], pictures: int, left_out: int) -> str:
    hues = {name: round(place * _TURN % 360) for place, name in enumerate(sorted({one.category for one in places}))}
    with_picture = set(range(len(places))) if len(places) <= pictures else _spread(len(places), pictures)
    drawn = [_point(one, items[number], hues, picture=number in with_picture) for number, one in enumerate(places)]
    return filled(
        "ddsim.search",
        "map.html.jinja",
        points=drawn,
        categories=[{"name": name, "hue": hue, "number": number} for number, (name, hue) in enumerate(hues.items())],
        count=len(places),
        left_out=left_out,
        dots=len(places) - len(with_picture),
    )


def _spread(count: int, pictures: int) -> set[int]:
    """So many places, evenly over all of them."""
    return {number * count // pictures for number in range(pictures)}


def _point(place: Place, item: Item, hues: Mapping[str, int], *, picture: bool) -> dict[str, Any]:
    return {
        "uri": place.uri,
        "category": place.category,
        "number": list(hues).index(place.category),
        "hue": hues[place.category],
        "left": f"{100 * place.x:.2f}",
        "top": f"{100 * place.y:.2f}",
        "data": data_uri(thumbnail(item.path, _SIDE) if picture else None),
    }
