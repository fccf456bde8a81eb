"""A folder that a web server lists: the links of its pages, read as they come."""

from __future__ import annotations

import codecs
from collections.abc import Iterator
from html.parser import HTMLParser
from urllib.parse import quote, unquote, urljoin, urlsplit

from ddsim.catalogue import Address, Entry, Patterns, Survey, is_named_like_a_picture
from ddsim.errors import CatalogueUnreachable, ImageError
from ddsim.pictures import shown_url
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
        self._fetcher = Fetcher(allow_private=allow_private, trusted=trusted, own=self._root, pool=readers)

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
        flaw = None
        try:
            with self._fetcher.opened(url, _LONGEST_LISTING) as (address, chunks):
                listing = _Listing(url, address, is_root=not prefix)
                for name, is_folder in listing.names(chunks):
                    if "/" in name:
                        shut = prefix + name.replace("/", "%2F")
                        survey.shut[shut] = "its name has a slash in it: give it another name"
                    elif is_folder:
                        folders.append(name)
                    else:
                        yield Listed(prefix + name, self._url(prefix + name))
                flaw = listing.flaw()
                folders = folders if flaw is None else []
        except ImageError as error:
            if not prefix:
                raise CatalogueUnreachable(f"{self.shown}: cannot be listed: {error.reason}") from error
            flaw = f"this folder cannot be listed: {error.reason}"
        if flaw is not None and not prefix:
            raise CatalogueUnreachable(f"{self.shown}: {flaw}; write the address of a folder that lists its pictures")
        if flaw is not None:
            survey.shut[prefix.rstrip("/")] = flaw
        for name in folders if depth < _DEEPEST else ():
            below = f"{url}{quote(name, errors='surrogateescape')}/"
            yield from self._below(below, f"{prefix}{name}/", survey, depth + 1)


class _Listing:
    """A folder's page: the names that its links give to what is right in the folder.

    Links are compared part by part without quotes, for servers quote as they like, but a quoted slash is none. Nothing
    else of them is used: whatever a link says, what is asked for lies below the catalogue's own address.

    A redirect may lead to a login page, whose links are no names: of a page elsewhere, or other than the index, only
    names of pictures and of folders are taken, and nothing but a picture shows that it lists the folder at all. At the
    root, which may hold nothing but folders, these do so too, unless it is a page that lies elsewhere.

    Args:
        asked: the folder's address.
        address: the one that answered, after all redirects.
        is_root: whether it is the catalogue's own; a folder below it may have moved along with it.
    """

    def __init__(self, asked: str, address: str, *, is_root: bool) -> None:
        self._address = address
        self._host = _host(address)
        expected, parts = _names(asked)[:-1], _names(address)
        # Some servers take the last slash away.
        self._folder = parts if parts[-1:] == expected[-1:] else parts[:-1]
        self._moved = self._folder[-1:] != expected[-1:]
        if is_root:
            self._moved = (self._host, self._folder) != (_host(asked), expected)
        is_page = self._folder != parts and parts[-1:] != [""] and not parts[-1].lower().startswith("index.")
        self._doubted = self._moved or is_page
        self._folders_tell = not self._doubted or (is_root and not (self._moved and is_page))
        self._empty = True
        self._outside: str | None = None

    def names(self, chunks: Iterator[bytes]) -> Iterator[tuple[str, bool]]:
        """Each name once in a row, and whether it is a folder's."""
        page, last = _Page(), None
        text = codecs.getincrementaldecoder("utf-8")("surrogateescape")
        for chunk in chunks:
            page.feed(text.decode(chunk))
            for link in page.taken():
                found = self._name(link)
                if found is None or found == last:
                    continue
                last, (name, is_folder) = found, found
                if is_folder or not self._doubted or is_named_like_a_picture(name):
                    self._empty = self._empty and is_folder and not self._folders_tell
                    yield found

    def flaw(self) -> str | None:
        """Why there was no name that tells; None where there was one, or nothing is wrong with that."""
        if not self._empty:
            return None
        if self._doubted:
            return f"it redirects to {shown_url(self._address)}, where no picture is listed"
        if self._outside is not None:
            return f"none of its links leads to what is right in it, but for instance to {shown_url(self._outside)}"
        return None

    def _name(self, link: str) -> tuple[str, bool] | None:
        """What is right in the folder; None for links up, to elsewhere, and those by which a page sorts itself."""
        try:
            whole = urljoin(self._address, link)
            host, parts = _host(whole), _names(whole)
        except ValueError:
            return None
        count = len(self._folder)
        if host == self._host and parts[:count] == self._folder and parts[count + 1 :] in ([], [""]):
            name, is_folder = (parts[count] if parts[count:] else ""), len(parts) > count + 1
            return None if name in ("", ".", "..") else (name, is_folder)
        if host[0] and parts and is_named_like_a_picture(parts[-1]):
            self._outside = self._outside or whole
        return None


def _host(address: str) -> tuple[str, int | None]:
    """Host and port, whatever the scheme; what stands before a server may take TLS away."""
    parts = urlsplit(address)
    return parts.hostname or "", None if parts.port in (80, 443) else parts.port


def _names(address: str) -> list[str]:
    """The parts of an address's path, each without its quotes; the last is empty where it ends in a slash."""
    return [unquote(part, errors="surrogateescape") for part in urlsplit(address).path.split("/")[1:]]


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
