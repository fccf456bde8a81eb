"""Where the reference pictures are, and which of the files there are some."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from ddsim.config.part import Part
from ddsim.config.values import PatternList, Place, Url, UrlPrefix


class CatalogueSettings(Part):
    """The reference pictures, and which of the files there are some."""

    folder: Place
    """Folder of the reference pictures, ``<category>/<picture>``; or where else they are: ``s3://bucket/folder``,
    ``gs://``, ``https://`` with a listing, or a table (.csv, .parquet) with the columns url and category."""
    endpoint: Url | None = None
    """Address of a service like S3 or Google's that is another one, such as MinIO's."""
    anonymous: bool = False
    """Whether buckets are read without credentials."""
    allow_private: bool = False
    """Whether addresses that a table or a redirect names may be of this machine or a private network."""
    readers: Annotated[int, Field(ge=1, le=256)] = 16
    """So many pictures are read at a time, where they are not on this machine."""
    exclude: PatternList = ()
    """Patterns in gitignore's syntax: what they match is passed over. A file .ddsimignore in the folder adds more."""
    include: PatternList = ()
    """Patterns in gitignore's syntax: where there are any, files that match none of them are passed over."""
    url_prefix: UrlPrefix | None = None
    """Where the page takes pictures from that are not in the folder, such as https://cdn.example/catalogue: the address
    of a picture is this, a slash and its name."""
    vanish_limit: Annotated[float, Field(ge=0, le=1)] = 0.1
    """A run that would lose a larger share of the catalogue stops, as a disk may not be there; 1 lets all go."""
