"""A search as the page and the API answer it."""

from __future__ import annotations

import threading
from dataclasses import asdict
from pathlib import PurePosixPath
from typing import Any

from PIL import Image

from ddsim.catalogue import Row
from ddsim.errors import CatalogueUnreachable, DDSimError, ImageError, InvalidRequest
from ddsim.pictures import Picture, cut
from ddsim.search import SearchResult, without
from ddsim.web import addresses
from ddsim.web.addresses import Region
from ddsim.web.appearance import Appearance
from ddsim.web.forms import Wanted
from ddsim.web.limits import Limits
from ddsim.web.pictures import Pictures
from ddsim.web.products import Products
from ddsim.web.refusals import UNKNOWN_PHOTO, Refusal, bad_request, words_for
from ddsim.web.rendering import SIDE, fitted
from ddsim.web.searching import Searching
from ddsim.web.uploads import Photos

THUMBNAIL = 320
"""Which size of thumbnail answers name, in pixels."""
EXAMPLES = 12


class Answering:
    """Puts searches, kept uploads and product data together. Any thread may use it; every method may block.

    Args:
        searching: the search.
        photos: the kept uploads.
        products: what is known of items.
        pictures: of items.
        appearance: what categories and the page are called.
        limits: of uploads.
    """

    def __init__(
        self,
        searching: Searching,
        photos: Photos,
        products: Products,
        pictures: Pictures,
        appearance: Appearance,
        limits: Limits,
    ) -> None:
        self.searching = searching
        self.photos = photos
        self.products = products
        self.pictures = pictures
        self.appearance = appearance
        self.limits = limits
        self._lock = threading.Lock()
        self._examples: tuple[object, list[dict[str, Any]]] = (None, [])

    def search(self, wanted: Wanted) -> dict[str, Any]:
        """Search, and say what was found in plain values; see :class:`ddsim.web.models.Found`.

        Raises:
            Refusal: for whatever reason not.
        """
        if wanted.empty:
            raise bad_request("No picture is given.", "Choose a photo, or a product of the catalogue.")
        try:
            self.searching.check_categories(wanted.categories)
            query, picture = self._like(wanted) if wanted.like is not None else self._photo(wanted)
            result = self.searching.run(
                # One more than wanted tells whether there are others; what is searched for is itself the most similar.
                lambda search: search.query(
                    picture,
                    wanted.start + wanted.k + 1 + (wanted.like is not None),
                    category=wanted.categories or None,
                    route=not wanted.everything,
                    labels=True,
                )
            )
            return self._answer(query, wanted, result)
        except DDSimError as error:
            raise Refusal(words_for(error)) from error

    def catalogue(self) -> dict[str, Any]:
        """What there is to search; see :class:`ddsim.web.models.Catalogue`."""
        categories = self.searching.categories()
        return self._catalogue(categories, self._example_cards(categories))

    def unknown_catalogue(self) -> dict[str, Any]:
        """The same where nobody can tell what there is: the page's own names, and no items."""
        return self._catalogue({}, [])

    def _catalogue(self, categories: dict[str, int], examples: list[dict[str, Any]]) -> dict[str, Any]:
        return {
            "name": self.searching.settings.name,
            "title": self.appearance.title,
            "categories": [
                {"name": name, "label": self.appearance.called(name), "count": count}
                for name, count in categories.items()
            ],
            "items": sum(categories.values()),
            "indexed": bool(categories),
            "indexing": self.searching.busy(),
            "examples": examples,
        }

    def health(self) -> dict[str, Any]:
        """Whether a search would be answered; see :class:`ddsim.web.models.Health`.

        Raises:
            Refusal: it would not.
            ConfigError: no upload can be kept.
        """
        trouble = self.searching.trouble()
        if trouble is not None:
            raise Refusal(trouble)
        self.photos.check()
        return {
            "status": "ok",
            "name": self.searching.settings.name,
            "items": sum(self.searching.categories().values()),
            "indexing": self.searching.busy(),
        }

    def card(self, row: Row) -> dict[str, Any]:
        """What is shown of an item; see :class:`ddsim.web.models.Card`."""
        product = self.products.get(row.uri)
        width, height = self.pictures.shape(row, self.searching.collection.source)
        return {
            "uri": row.uri,
            "category": row.category,
            "label": self.appearance.called(row.category),
            "name": (product and product.name) or PurePosixPath(row.uri).stem,
            "price": product and product.price,
            "url": str(product.url) if product and product.url else None,
            "thumbnail": addresses.thumbnail(row, THUMBNAIL),
            "width": width,
            "height": height,
            "picture": addresses.picture(row),
        }

    def _photo(self, wanted: Wanted) -> tuple[dict[str, Any], Picture]:
        photo = self.photos.keep(wanted.data) if wanted.data is not None else self.photos.get(wanted.photo or "")
        picture: Picture = photo.sent
        if wanted.region:
            try:
                with Image.open(photo.shown) as image:
                    picture = _part(image, wanted.region)
            except OSError as error:
                raise Refusal(UNKNOWN_PHOTO) from error
        query = {"name": wanted.name or "photo", "photo": photo.token, "like": None}
        query["url"] = addresses.photo(photo.token)
        return query | {"width": photo.size[0], "height": photo.size[1]}, picture

    def _like(self, wanted: Wanted) -> tuple[dict[str, Any], Picture]:
        row = self.searching.item(wanted.like or "")
        upload = self.searching.settings.upload
        try:
            data = self.searching.collection.source.read(row.uri, upload.max_bytes)
            image = fitted(data, SIDE, upload.max_pixels, row.uri)
        except (ImageError, CatalogueUnreachable) as error:
            raise Refusal(words_for(error)) from error
        picture: Picture = _part(image, wanted.region) if wanted.region else data
        card = self.card(row)
        query = {"name": card["name"], "photo": None, "like": card["uri"], "url": card["picture"]}
        return query | {"width": image.width, "height": image.height}, picture

    def _answer(self, query: dict[str, Any], wanted: Wanted, result: SearchResult) -> dict[str, Any]:
        others = [one for one in (without(one, query["like"]) for one in result.neighbours) if one is not None]
        cards: list[dict[str, Any]] = []
        for rank, one in enumerate(others[wanted.start : wanted.start + wanted.k], wanted.start + 1):
            row = self.searching.collection.records.get(one.uri)
            if row is not None:
                found = {"rank": rank, "distance": one.distance, "score": one.score, "also": list(one.also)}
                cards.append(found | self.card(row))
        return {
            "query": query | {"region": list(wanted.region) if wanted.region else None},
            "categories": [asdict(one) for one in result.categories],
            "searched": list(result.searched),
            "all": not result.searched,
            "neighbours": cards,
            "more": len(others) > wanted.start + wanted.k <= self.limits.deepest,
            "nothing_similar": result.nothing_similar,
            "timings": asdict(result.timings),
            "link": addresses.link(
                token=query["photo"],
                like=query["like"],
                categories=wanted.categories,
                everything=wanted.everything,
                region=wanted.region,
            ),
        }

    def _example_cards(self, categories: dict[str, int]) -> list[dict[str, Any]]:
        stamp = self.searching.collection.manifest.folder, categories
        with self._lock:
            if self._examples[0] != stamp:
                rows = self.searching.collection.records.sample(EXAMPLES, seed=1)
                self._examples = stamp, [self.card(row) for row in rows]
            return self._examples[1]


def _part(image: Image.Image, region: Region) -> Image.Image:
    try:
        return cut(image, region, "the photo")
    except InvalidRequest as error:
        raise bad_request("The region is too small to see anything in it.", "Draw a larger box.") from error
