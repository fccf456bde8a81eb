"""A folder that a web server lists: the links of its pages, read as they come."""

from __future__ import annotations

import codecs
import hashlib
import time
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import quote, unquote, urljoin, urlsplit

from ddsim.catalogue import Address, Entry, Patterns, Survey
from ddsim.errors import CatalogueUnreachable, ImageError
from ddsim.sources.base import in_parallel
from ddsim.sources.fetching import Fetcher
from ddsim.sources.names import Listed, entry, items

# A listing of a million names is some hundred megabytes; it is read as it comes.
_LONGEST_LISTING = 1 << 30
_DEEPEST = 20


class WebSource:
    """An ``https://`` folder whose server lists what is in it; implements :class:`ddsim.sources.Source`.

    Args:
        address: of the folder.
        patterns: what of it is passed over.
        readers: files at a time.
        max_bytes: larger files are not read.
        allow_private: whether redirects may lead to addresses that are not public.
    """

    def __init__(
        self, address: Address, patterns: Patterns, *, readers: int, max_bytes: int, allow_private: bool = False
    ) -> None:
        self._address = address
        self._root = f"{address}/"
        self._patterns = patterns
        self._readers = readers
        self._max_bytes = max_bytes
        # Whoever wrote the configuration knows where that host is.
        trusted = frozenset({urlsplit(address).hostname or ""})
        self._fetcher = Fetcher(allow_private=allow_private, trusted=trusted, pool=readers)

    @property
    def shown(self) -> str:
        """Its address."""
        return self._address

    @property
    def folder(self) -> None:
        """None: the pictures are elsewhere."""
        return None

    @property
    def readers(self) -> int:
        """So many at a time."""
        return self._readers

    def walk(self, survey: Survey) -> Iterator[Entry]:
        """Find the items; each is asked for its etag, several at a time."""
        now = time.time_ns()

        def stamped(found: tuple[str, str, str]) -> Entry | tuple[str, str]:
            uri, category, url = found
            try:
                stamp = self._fetcher.stamp(url)
            except ImageError as error:
                return uri, error.reason
            return entry(uri, category, stamp.size, stamp.number(now))

        found = items(lambda: self._listed(survey), self._address, self._patterns, survey)
        for one in in_parallel(found, stamped, self._readers):
            if isinstance(one, Entry):
                yield one
            else:
                uri, survey.shut[uri] = one

    def digest(self, path: Path) -> str:
        """Of an item's content."""
        return hashlib.sha256(self.read(path.as_posix(), self._max_bytes)).hexdigest()

    def read(self, uri: str, max_bytes: int) -> bytes:
        """Fetch an item."""
        return self._fetcher.get(self._url(uri), max_bytes)

    def place(self, uri: str) -> str:
        """Its address."""
        return self._url(uri)

    def close(self) -> None:
        """Close the connections."""
        self._fetcher.close()

    def _url(self, uri: str) -> str:
        return self._root + quote(uri, errors="surrogateescape")

    def _listed(self, survey: Survey) -> Iterator[Listed[str]]:
        yield from self._below(self._root, "", survey, 0)

    def _below(self, url: str, prefix: str, survey: Survey, depth: int) -> Iterator[Listed[str]]:
        folders: list[str] = []
        try:
            for link in self._links(url):
                name = unquote(link.removeprefix(url), errors="surrogateescape")
                if name.endswith("/"):
                    folders.append(name)
                else:
                    yield Listed(prefix + name, link)
        except ImageError as error:
            if not prefix:
                raise CatalogueUnreachable(f"{self._address}: cannot be listed: {error.reason}") from error
            survey.shut[prefix.rstrip("/")] = f"this folder cannot be listed: {error.reason}"
        for name in folders if depth < _DEEPEST else ():
            yield from self._below(url + quote(name, errors="surrogateescape"), prefix + name, survey, depth + 1)

    def _links(self, url: str) -> Iterator[str]:
        """The addresses right below a folder that its page links to, each once in a row."""
        page, last = _Page(), None
        text = codecs.getincrementaldecoder("utf-8")("surrogateescape")
        for chunk in self._fetcher.chunks(url, _LONGEST_LISTING):
            page.feed(text.decode(chunk))
            for link in page.taken():
                whole = _joined(url, link)
                below = whole.removeprefix(url)
                # Links up, to elsewhere, and those by which a page sorts itself.
                if whole.startswith(url) and below and "/" not in below.rstrip("/") and whole != last:
                    last = whole
                    yield whole


def _joined(url: str, link: str) -> str:
    """Where a link leads, without what follows ? and #; nowhere where it is none."""
    try:
        return urljoin(url, link).partition("#")[0].partition("?")[0]
    except ValueError:
        return ""


class _Page(HTMLParser):
    """Collects the links of a page that comes in pieces."""

    def __init__(self) -> None:
        super().__init__()
        self._links: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Take a link."""
        if tag == "a":
            self._links += [value for name, value in attrs if name == "href" and value]

    def taken(self) -> list[str]:
        """The links since the last time."""
        links, self._links = self._links, []
        return links
