"""Catalogues at https:// addresses: listings read link by link, etags in the place of times."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

import pytest
from elsewhere import Answered, Web

from ddsim.catalogue import Address, Kind, Patterns, Survey
from ddsim.errors import CatalogueUnreachable, ConfigError, ImageError
from ddsim.sources.web import WebSource

LIMIT = 10_000


@pytest.fixture
def source(web: Web) -> Iterator[WebSource]:
    """The folder /shop of the server."""
    with closing(WebSource(Address(f"{web.url}/shop"), Patterns(("*.tmp",)), readers=4, max_bytes=LIMIT)) as made:
        yield made


def uris(source: WebSource, survey: Survey | None = None) -> list[tuple[str, str]]:
    """Uri and category of all items."""
    return [(one.uri, one.category) for one in source.walk(survey or Survey())]


def test_a_listing_is_a_catalogue(web: Web, source: WebSource) -> None:
    """Folders are categories at any depth; what lies beside them, is hidden or excluded is passed over and counted."""
    for name in (
        "lamp/a.jpg",
        "lamp/more/b.png",
        "bed/ö ä+%.jpg",
        "loose.jpg",
        "bed/.hidden",
        "bed/x.tmp",
        "lamp/c.txt",
    ):
        web.files[f"/shop/{name}"] = name.encode()
    survey = Survey()
    assert sorted(uris(source, survey)) == [
        ("bed/ö ä+%.jpg", "bed"),
        ("lamp/a.jpg", "lamp"),
        ("lamp/c.txt", "lamp"),
        ("lamp/more/b.png", "lamp"),
    ]
    assert {kind: tally.count for kind, tally in survey.met.items()} == {
        Kind.LOOSE: 1,
        Kind.HIDDEN: 1,
        Kind.EXCLUDED: 1,
        Kind.ODD: 1,
    }
    assert source.read("bed/ö ä+%.jpg", LIMIT) == "bed/ö ä+%.jpg".encode()
    assert source.place("lamp/a.jpg") == f"{web.url}/shop/lamp/a.jpg"


def test_without_folders_all_are_of_one_category(web: Web, source: WebSource) -> None:
    """It is called as the folder is."""
    web.files = {"/shop/a.jpg": b"a", "/shop/b.jpg": b"b"}
    assert uris(source) == [("a.jpg", "shop"), ("b.jpg", "shop")]


def test_names_that_are_no_utf8(web: Web, source: WebSource) -> None:
    """They are read as they are on disks, and found again."""
    web.files = {"/shop/lamp/\udcff.jpg": b"latin"}
    assert uris(source) == [("lamp/\udcff.jpg", "lamp")]
    assert source.read("lamp/\udcff.jpg", LIMIT) == b"latin"


def test_etags_tell_what_has_changed(web: Web, source: WebSource) -> None:
    """The same etag gives the same stamp; where there is neither etag nor time, the content has to decide."""
    web.files = {"/shop/lamp/a.jpg": b"one"}
    (first,), (again,) = list(source.walk(Survey())), list(source.walk(Survey()))
    assert (first.size, first.mtime_ns) == (again.size, again.mtime_ns)
    web.files = {"/shop/lamp/a.jpg": b"two"}
    (changed,) = list(source.walk(Survey()))
    assert changed.mtime_ns != first.mtime_ns
    web.etags = False
    (one,), (two,) = list(source.walk(Survey())), list(source.walk(Survey()))
    assert one.mtime_ns != two.mtime_ns
    assert source.digest(one.path) == source.digest(two.path)


def test_what_cannot_be_looked_at_is_told_and_kept(web: Web, source: WebSource) -> None:
    """A picture or a folder that the server fails at is no gone one."""
    web.files = {"/shop/lamp/a.jpg": b"a", "/shop/lamp/b.jpg": b"b", "/shop/bed/c.jpg": b"c"}
    web.special["/shop/lamp/b.jpg"] = Answered(status=500)
    web.special["/shop/bed/"] = Answered(status=403)
    survey = Survey()
    assert uris(source, survey) == [("lamp/a.jpg", "lamp")]
    assert survey.shut.keys() == {"lamp/b.jpg", "bed"}
    assert "403" in survey.shut["bed"]


def test_links_elsewhere_are_not_followed(web: Web, source: WebSource) -> None:
    """Up, out, with dots, to other hosts: no request goes there."""
    links = ["../x.jpg", "/a.jpg", "//other.example/b.jpg", "lamp/%2e%2e/c.jpg", "lamp/", "javascript:alert(1)"]
    links += ["lamp/../../d.jpg", "http://[", ""]
    page = "".join(f'<a href="{link}">x</a><a>y</a>' for link in links).encode()
    web.special["/shop/"] = Answered(page)
    web.special["/shop/lamp/"] = Answered(b'<a href="%2e%2e%2fe.jpg">1</a><a href="f.jpg">2</a>')
    web.files["/shop/lamp/f.jpg"] = b"f"
    survey = Survey()
    assert uris(source, survey) == [("lamp/f.jpg", "lamp")]
    assert "lamp/../e.jpg" in survey.shut
    assert {path for _, path in web.asked} == {"/shop/", "/shop/lamp/", "/shop/lamp/f.jpg"}


def test_a_circle_of_folders_ends(web: Web, source: WebSource) -> None:
    """A server that lists a folder in itself for ever is asked so deep and no deeper."""

    def answer(method: str, target: str) -> Answered:
        web.asked.append((method, target))
        return Answered(b'<a href="on/">on</a><a href="x.jpg">x</a>')

    web.answer = answer  # type: ignore[method-assign]
    assert 0 < len(uris(source)) < 30


def test_pages_come_in_pieces(web: Web, source: WebSource) -> None:
    """Letters and links may be cut anywhere."""
    names = [f"ö{number:05d}.jpg" for number in range(2000)]
    web.files = {f"/shop/lamp/{name}": b"x" for name in names}
    assert [uri for uri, _ in uris(source)] == [f"lamp/{name}" for name in names]


def test_nobody_there(web: Web, source: WebSource) -> None:
    """A server that has no such folder, and a folder with nothing in it."""
    with pytest.raises(CatalogueUnreachable, match=r"cannot be listed: .* 404"):
        uris(source)
    web.special["/shop/"] = Answered(b"<html></html>")
    with pytest.raises(ConfigError, match="no pictures"):
        uris(source)
    with pytest.raises(ImageError, match="404"):
        source.read("lamp/none.jpg", LIMIT)
