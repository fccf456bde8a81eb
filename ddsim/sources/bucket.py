"""Buckets of S3 and Google Cloud Storage through fsspec: listed a page at a time, read object by object."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import Any

from ddsim.catalogue import Address, Entry, Patterns, Survey
from ddsim.errors import CapabilityError, CatalogueUnreachable, ImageError, install_hint
from ddsim.pictures import too_long
from ddsim.sources.base import Elsewhere, Stamp
from ddsim.sources.names import Listed, entry, items

_PAGE = 1000
# gcsfs itself gives a class that asks over gRPC first, which neither proxies nor other services understand.
_MODULES = {"s3": "s3fs", "gs": "gcsfs.core"}


class Bucket:
    """The objects of a service, as bytes. Any thread may read.

    Args:
        scheme: ``s3`` or ``gs``.
        endpoint: the service's address, where it is not the usual one.
        anonymous: whether to ask without credentials; otherwise they come from where the service's own tools take them.

    Raises:
        CapabilityError: fsspec is not installed with what speaks to this service.
    """

    def __init__(self, scheme: str, *, endpoint: str | None = None, anonymous: bool = False) -> None:
        self._scheme = scheme
        try:
            self._module = import_module(_MODULES[scheme])
        except ImportError as error:
            raise CapabilityError(
                f"{scheme}:// is read through fsspec and {_MODULES[scheme].partition('.')[0]}: {install_hint('remote')}"
            ) from error
        common: dict[str, Any] = {"use_listings_cache": False, "skip_instance_cache": True}
        if endpoint is not None:
            common["endpoint_url"] = endpoint
        if scheme == "s3":
            self._files = self._module.S3FileSystem(anon=anonymous, **common)
        else:
            # Made when it is asked for the first time: it looks for credentials at once.
            self._files = None
            self._options = {"token": "anon" if anonymous else None, **common}

    def read(self, url: str, max_bytes: int) -> bytes:
        """An object, whole.

        Raises:
            ImageError: there is none, it is empty, longer than ``max_bytes``, or may not be read.
            CatalogueUnreachable: the service cannot be asked.
        """
        with self._told(url):
            try:
                # One byte more than there may be: nobody has to be asked how long it is.
                content: bytes = self._opened().cat_file(_path(url), start=0, end=max_bytes + 1)
            except FileNotFoundError as error:
                raise ImageError(url, "there is no such object") from error
            except PermissionError as error:
                raise ImageError(url, "the credentials do not allow to read it") from error
            except (OSError, ValueError) as error:
                if self._opened().info(_path(url))["size"] == 0:  # which has no first byte to begin with
                    raise ImageError(url, "empty file") from error
                raise
        if not content:
            raise ImageError(url, "empty file")
        if len(content) > max_bytes:
            raise too_long(url, max_bytes)
        return content

    def stamp(self, url: str) -> Stamp:
        """What is said of an object without its content; raises as :meth:`read`."""
        with self._told(url):
            try:
                return _stamp(self._opened().info(_path(url)))
            except FileNotFoundError as error:
                raise ImageError(url, "there is no such object") from error

    def pages(self, address: str) -> Iterator[list[tuple[str, Stamp]]]:
        """Names below an address and their stamps, page by page, in the order of the names.

        Raises:
            CatalogueUnreachable: the bucket is not there, or may not be listed.
        """
        bucket, _, prefix = _path(address).partition("/")
        prefix = f"{prefix}/" if prefix else ""
        listed = self._s3 if self._scheme == "s3" else self._gs
        mark: str | None = None
        while True:
            with self._told(address):
                try:
                    page, mark = listed(bucket, prefix, mark)
                except FileNotFoundError as error:
                    raise CatalogueUnreachable(f"{address}: there is no bucket {bucket!r}") from error
                except PermissionError as error:
                    hint = _credentials(self._scheme)
                    raise CatalogueUnreachable(f"{address}: may not be listed ({_words(error)}); {hint}") from error
            yield [(name.removeprefix(prefix), stamp) for name, stamp in page]
            if mark is None:
                return

    def _s3(self, bucket: str, prefix: str, mark: str | None) -> tuple[list[tuple[str, Stamp]], str | None]:
        more = {} if mark is None else {"ContinuationToken": mark}
        found = self._opened().call_s3("list_objects_v2", Bucket=bucket, Prefix=prefix, MaxKeys=_PAGE, **more)
        return [(one["Key"], _stamp(one)) for one in found.get("Contents", [])], found.get("NextContinuationToken")

    def _gs(self, bucket: str, prefix: str, mark: str | None) -> tuple[list[tuple[str, Stamp]], str | None]:
        more = {} if mark is None else {"pageToken": mark}
        found = self._opened().call("GET", "b/{}/o", bucket, prefix=prefix, maxResults=_PAGE, json_out=True, **more)
        return [(one["name"], _stamp(one)) for one in found.get("items", [])], found.get("nextPageToken")

    def _opened(self) -> Any:
        if self._files is None:
            self._files = self._module.GCSFileSystem(**self._options)
        return self._files

    @contextmanager
    def _told(self, url: str) -> Iterator[None]:
        """Let nothing of the libraries below out."""
        try:
            yield
        except (ImageError, CatalogueUnreachable):
            raise
        except _troubles(self._scheme) as error:
            raise CatalogueUnreachable(
                f"{url}: cannot be read: {_words(error)}; {_credentials(self._scheme)}"
            ) from error


class BucketSource(Elsewhere):
    """A bucket, or a part of it, as a catalogue; implements :class:`ddsim.sources.Source`.

    Args:
        address: such as ``s3://bucket/prefix``.
        bucket: of its service.
        patterns: what of it is passed over.
        readers: objects at a time.
        max_bytes: larger objects are not read.
    """

    def __init__(self, address: Address, bucket: Bucket, patterns: Patterns, *, readers: int, max_bytes: int) -> None:
        super().__init__(address, readers=readers, max_bytes=max_bytes)
        self._address = address
        self._bucket = bucket
        self._patterns = patterns

    def walk(self, survey: Survey) -> Iterator[Entry]:
        """Find the items; a page of the listing is held at a time."""
        now = time.time_ns()
        for uri, category, stamp in items(self._listed, self._address, self._patterns, survey):
            yield entry(uri, category, stamp.size, stamp.number(now))

    def read(self, uri: str, max_bytes: int) -> bytes:
        """Read an item's object."""
        return self._bucket.read(self.place(uri), max_bytes)

    def place(self, uri: str) -> str:
        """Its address."""
        return f"{self._address}/{uri}"

    def close(self) -> None:
        """The connections end with the program: they belong to the service's library."""

    def _listed(self) -> Iterator[Listed[Stamp]]:
        for page in self._bucket.pages(self._address):
            yield from (Listed(name, stamp) for name, stamp in page)


def _path(url: str) -> str:
    return url.partition("://")[2]


def _stamp(found: dict[str, Any]) -> Stamp:
    # The names differ between listings and single objects, and between the services.
    size = found.get("Size", found.get("size", 0))
    mark = found.get("ETag") or found.get("etag") or found.get("LastModified") or found.get("updated")
    return Stamp(int(size), None if mark is None else str(mark))


def _troubles(scheme: str) -> tuple[type[BaseException], ...]:
    """What the libraries raise when a service cannot be asked; they share no root."""
    common: tuple[type[BaseException], ...] = (OSError, ValueError, TimeoutError)
    if scheme == "s3":
        from botocore.exceptions import BotoCoreError, ClientError

        return (*common, BotoCoreError, ClientError)
    from gcsfs.retry import HttpError
    from google.auth.exceptions import GoogleAuthError

    return (*common, HttpError, GoogleAuthError)


def _words(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200]


def _credentials(scheme: str) -> str:
    if scheme == "s3":
        return (
            "credentials come from the environment (AWS_ACCESS_KEY_ID, AWS_PROFILE, ...) or ~/.aws, and public buckets "
            "want catalogue: {folder: ..., anonymous: true}"
        )
    return (
        "credentials come from GOOGLE_APPLICATION_CREDENTIALS or `gcloud auth application-default login`, and public "
        "buckets want catalogue: {folder: ..., anonymous: true}"
    )
