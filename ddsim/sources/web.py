"""A folder that a web server lists: the links of its pages, read as they come."""

from __future__ import annotations

import codecs
from collections.abc import Iterator
from html.parser import HTMLParser
from urllib.parse import quote, unquote, urljoin, urlsplit

from ddsim.catalogue import Address, Entry, Patterns, Survey
from ddsim.errors import CatalogueUnreachable, ImageError
from ddsim.sources.base import Elsewhere
from ddsim.sources.fetching import Fetcher
from ddsim.sources.names import Listed, items

# A listing of a million names is some hundred megabytes; it is read as it comes.
_LONGEST_LISTING = 1 << 30
_DEEPEST = 20


class WebSource(Elsewhere):
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
        super().__init__(address, readers=readers, max_bytes=max_bytes)
        self._root = f"{address}/"
        self._patterns = patterns
        # Whoever wrote the configuration knows where that host is.
        trusted = frozenset({urlsplit(address).hostname or ""})
        self._fetcher = Fetcher(allow_private=allow_private, trusted=trusted, pool=readers)

    def walk(self, survey: Survey) -> Iterator[Entry]:
        """Find the items; each is asked for its etag, several at a time."""
        found = items(lambda: self._listed(survey), self.shown, self._patterns, survey)
        yield from self._stamped(found, self._fetcher.stamp, survey)

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
                raise CatalogueUnreachable(f"{self.shown}: cannot be listed: {error.reason}") from error
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
