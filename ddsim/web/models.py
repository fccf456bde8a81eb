"""What the API answers, for its description in OpenAPI."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

from ddsim.web.refusals import Code


class _Answer(BaseModel):
    model_config = ConfigDict(use_attribute_docstrings=True)


class Problem(_Answer):
    """Why a request was not answered."""

    code: Code
    """For programs."""
    message: str
    """What happened, one sentence for people."""
    hint: str
    """What to do next."""


class Refused(_Answer):
    """The answer to a request that was refused."""

    error: Problem


class Card(_Answer):
    """An item of the catalogue."""

    uri: str
    """Its name in the catalogue."""
    category: str
    label: str
    """The category as people call it."""
    name: str
    """From the product data, or else the picture's file name."""
    price: str | None
    """From the product data."""
    url: str | None
    """From the product data; http or https."""
    thumbnail: str
    """Address of a small picture, relative to the page's; what is there may be kept for good."""
    width: int
    """Of the small picture, in pixels."""
    height: int
    picture: str
    """Address of the picture, relative to the page's; what is there may be kept for good."""


class Neighbour(Card):
    """An item that was found."""

    also: list[str]
    """Names of further items with the very same picture."""
    rank: int
    """Its place, from 1."""
    distance: float
    """What the index says; smaller is nearer."""
    score: float
    """The probability that the item is of the photo's category, from 0 to 1."""


class Routed(_Answer):
    """A category that the photo may show."""

    name: str
    probability: float
    searched: bool
    why: str
    """It was searched, or was not."""


class Query(_Answer):
    """What was searched for."""

    name: str
    """Of the file, or of the item."""
    photo: str | None
    """Token of the upload, to search for it again."""
    like: str | None
    """The item's uri, where it was one."""
    url: str
    """Address of the picture, relative to the page's; it is upright, and width and height are its pixels."""
    width: int
    height: int
    region: tuple[float, float, float, float] | None
    """Left, top, width and height of the part that was searched for, as fractions of the picture."""


class Timings(_Answer):
    """Where the time went, in seconds."""

    prepare: float
    classify: float
    search: float
    total: float


class Found(_Answer):
    """The answer to a search."""

    query: Query
    categories: list[Routed]
    """Most probable first."""
    searched: list[str]
    """Names of categories; none where all were searched."""
    all: bool
    """Whether all categories were searched."""
    neighbours: list[Neighbour]
    """Nearest first. An item that was itself the query is left out."""
    more: bool
    """Whether there are others after these: ask for them with start."""
    nothing_similar: str | None
    """Why even the nearest is not similar enough, None where it is."""
    timings: Timings
    link: str
    """Address of the page that repeats this search, relative to the page's."""


class CategoryCount(_Answer):
    """A category of the catalogue."""

    name: str
    label: str
    """As people call it."""
    count: int
    """Of its items."""


class Catalogue(_Answer):
    """What there is to search."""

    name: str
    """Of the configuration."""
    title: str
    """Of the page."""
    categories: list[CategoryCount]
    items: int
    indexed: bool
    """Whether anything is."""
    indexing: bool
    """Whether an indexing run is at work."""
    examples: list[Card]
    """Some items to begin with, of every category."""


class Health(_Answer):
    """Searches are answered."""

    status: str
    name: str
    items: int
    indexing: bool


class SearchForm(_Answer):
    """A search: one of picture, photo and like, and how to search."""

    picture: str = ""
    """A picture file."""
    photo: str = ""
    """Token of an earlier upload."""
    like: str = ""
    """uri of an item, for more like it."""
    category: list[str] = []
    """Search these, whatever the picture shows."""
    all: bool = False
    """Search all categories."""
    k: int = 24
    """How many results, 1 to 100."""
    start: int = 0
    """How many of the best to leave out, 0 to 900: for those after what is shown already."""
    region: str = ""
    """x,y,w,h of the part to search for, as fractions of the upright picture from 0 to 1."""
