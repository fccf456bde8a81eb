"""Catalogues at https:// addresses: listings read link by link, etags in the place of times."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from html import escape
from pathlib import Path
from urllib.parse import quote

import pytest
from elsewhere import Answered, Serving, Web

from ddsim.catalogue import Address, Kind, Patterns, Survey
from ddsim.errors import CatalogueUnreachable, ConfigError, ImageError
from ddsim.sources.hosts import MOST
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


def page_of(links: Iterable[str]) -> Answered:
    """A listing of these links."""
    return Answered("".join(f'<a href="{escape(link)}">x</a>' for link in links).encode())


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
    assert "lamp/..%2Fe.jpg" in survey.shut
    assert {path for _, path in web.asked} == {"/shop/", "/shop/lamp/", "/shop/lamp/f.jpg"}


@pytest.mark.parametrize(
    "quoted", [lambda name: quote(name, safe="()!'~,$&+=:@;"), quote, lambda name: name.replace("%", "%25")]
)
def test_links_may_be_absolute_and_quoted_in_any_way(web: Web, source: WebSource, quoted: Callable[[str], str]) -> None:
    """As servers write them: with the host, from its root on, with signs quoted or as they are."""
    names = ["sofa (old)", "a+b", "a&b", "x;y", "it's~ö", "100%25"]
    host = web.url.partition(":")[2]
    for start in (f"{web.url}/shop/", f"{host}/shop/", "/shop/", "/sh%6Fp/"):
        web.special["/shop/"] = page_of(f"{start}{quoted(name)}/" for name in names)
        for name in names:
            link = f"{start}{quoted(name)}/{quoted(name)}.jpg"
            web.special[f"/shop/{name}/"], web.files[f"/shop/{name}/{name}.jpg"] = page_of([link]), b"x"
        survey = Survey()
        assert uris(source, survey) == [(f"{name}/{name}.jpg", name) for name in names]
        assert survey.shut == {}
    assert [source.read(f"{name}/{name}.jpg", LIMIT) for name in names] == [b"x"] * len(names)


def test_names_with_a_slash_in_them(web: Web, source: WebSource) -> None:
    """Such a name is no path of two parts, nor one that leads out: it is told."""
    web.special["/shop/"] = page_of(["lamp/", "%2e%2e/", "%2E/", "a%2Fb/", "..%2f..%2fetc/"])
    web.special["/shop/lamp/"] = page_of(["a.jpg", "b%2Fc.jpg", "%2e%2e"])
    web.files["/shop/lamp/a.jpg"] = b"a"
    survey = Survey()
    assert uris(source, survey) == [("lamp/a.jpg", "lamp")]
    assert survey.shut.keys() == {"a%2Fb", "..%2F..%2Fetc", "lamp/b%2Fc.jpg"}
    assert {path for _, path in web.asked} == {"/shop/", "/shop/lamp/", "/shop/lamp/a.jpg"}


def test_links_are_resolved_where_a_redirect_has_led(web: Web, source: WebSource) -> None:
    """Relative and absolute ones; what is read is asked for at the catalogue's own address."""
    usual = web.answer

    def moved(method: str, target: str) -> Answered:
        if target.startswith("/shop/"):
            return Answered(status=302, headers={"Location": target.replace("/shop/", "/new%20shop/index/")})
        return usual(method, target)

    web.answer = moved  # type: ignore[method-assign]
    web.special["/new shop/index/"] = page_of(["/new%20shop/index/lamp/", "bed/", "/shop/sofa/"])
    web.special["/new shop/index/lamp/"] = page_of(["/new%20shop/index/lamp/a.jpg"])
    web.files = {"/new shop/index/lamp/a.jpg": b"a", "/new shop/index/bed/b.jpg": b"b"}
    assert uris(source) == [("lamp/a.jpg", "lamp"), ("bed/b.jpg", "bed")]
    assert source.read("lamp/a.jpg", LIMIT) == b"a"


def test_a_server_that_takes_the_last_slash_away(web: Web, source: WebSource) -> None:
    """Its absolute links are those of the folder all the same."""
    web.special["/shop/"] = Answered(status=301, headers={"Location": "/shop"})
    web.special["/shop"] = page_of(["/shop/lamp/", "/"])
    web.files["/shop/lamp/a.jpg"] = b"a"
    assert uris(source) == [("lamp/a.jpg", "lamp")]


def test_a_folder_whose_links_lead_elsewhere(web: Web, source: WebSource) -> None:
    """It is told, and what is known of it stays; an empty folder is empty."""
    web.special["/shop/"] = page_of(["lamp/", "bed/", "sofa/"])
    web.special["/shop/lamp/"] = page_of(["../", "/data/lamp/a.jpg", "/data/lamp/b.jpg"])
    web.special["/shop/bed/"] = page_of(["../", "/", "?C=N", "https://server.example/about"])
    web.special["/shop/sofa/"] = Answered(status=302, headers={"Location": "/login"})
    web.special["/login"] = Answered(b"<form>")
    survey = Survey()
    assert uris(source, survey) == []
    assert survey.shut.keys() == {"lamp", "sofa"}
    assert "but for instance to" in survey.shut["lamp"]
    assert "/data/lamp/a.jpg" in survey.shut["lamp"]
    assert f"redirects to {web.url}/login" in survey.shut["sofa"]


def test_a_root_that_leads_elsewhere(web: Web, source: WebSource) -> None:
    """It is said where it was sent, and where its links lead."""
    web.special["/shop/"] = Answered(status=302, headers={"Location": "/login?next=shop"})
    web.special["/login"] = Answered(b"<form>")
    with pytest.raises(CatalogueUnreachable, match=rf"it redirects to {web.url}/login\?next=shop, where no"):
        uris(source)
    web.special["/shop/"] = page_of(["../", "https://cdn.example/lamp/a.jpg"])
    with pytest.raises(CatalogueUnreachable, match=r"but for instance to https://cdn\.example/lamp/a\.jpg"):
        uris(source)


LOGIN = ["/", "/home", "/reset", "/help.html", "login?lost=1", "https://other.example/logo.png"]


@pytest.mark.parametrize("links", [LOGIN, [*LOGIN, "/reset/", "/home/"]])
@pytest.mark.parametrize("place", ["/login", "/shop/login", "/accounts/sign-in/form"])
def test_the_links_of_a_login_page_are_no_names(web: Web, source: WebSource, place: str, links: list[str]) -> None:
    """A folder that was sent there is told, and nothing in it becomes an item or is looked into."""
    web.special["/shop/"] = page_of(["lamp/", "secret/"])
    web.special["/shop/secret/"] = Answered(status=302, headers={"Location": place})
    web.special[place] = page_of(links)
    web.files["/shop/lamp/a.jpg"] = b"a"
    web.special["/shop/lamp/"] = page_of(["a.jpg"])
    survey = Survey()
    assert uris(source, survey) == [("lamp/a.jpg", "lamp")]
    assert survey.shut == {"secret": f"it redirects to {web.url}{place}, where no picture is listed"}
    assert {path for _, path in web.asked} == {"/shop/", "/shop/lamp/", "/shop/lamp/a.jpg", "/shop/secret/", place}


def test_a_login_page_within_the_folder(web: Web, source: WebSource) -> None:
    """It is no listing either, though its links lead to what would be right in the folder."""
    web.special["/shop/"] = page_of(["secret/"])
    web.special["/shop/secret/"] = Answered(status=302, headers={"Location": "/shop/secret/login"})
    web.special["/shop/secret/login"] = page_of(["home", "reset/"])
    survey = Survey()
    assert uris(source, survey) == []
    assert "redirects to" in survey.shut["secret"]


@pytest.mark.parametrize("links", [LOGIN, [*LOGIN, "/reset/", "/home/"]])
def test_a_root_that_is_sent_to_a_login_page(web: Web, source: WebSource, links: list[str]) -> None:
    """The redirect is what is said, not that all pictures are gone."""
    web.special["/shop/"] = Answered(status=302, headers={"Location": "/login"})
    web.special["/login"] = page_of(links)
    with pytest.raises(CatalogueUnreachable, match=rf"it redirects to {web.url}/login, where no picture is listed"):
        uris(source)


def test_the_root_of_a_host_that_is_sent_to_a_login_page(web: Web) -> None:
    """The page lies in the folder then, and is none all the same."""
    web.special["/"] = Answered(status=302, headers={"Location": "/login"})
    web.special["/login"] = page_of(LOGIN)
    with (
        closing(WebSource(Address(web.url), Patterns(), readers=4, max_bytes=LIMIT)) as source,
        pytest.raises(CatalogueUnreachable, match=rf"it redirects to {web.url}/login, where no picture is listed"),
    ):
        uris(source)


def test_folders_that_are_sent_to_their_listing(web: Web, source: WebSource) -> None:
    """An index page has all names, any other page and a folder of another name those of pictures and of folders."""
    for old, new in (("", "index.html"), ("lamp/", "lamp/INDEX.htm"), ("bed/", "Beds/"), ("sofa/", "sofa/all.php")):
        web.special[f"/shop/{old}"] = Answered(status=302, headers={"Location": f"/shop/{new}"})
    web.special["/shop/index.html"] = page_of(["lamp/", "bed/", "sofa/"])
    web.special["/shop/lamp/INDEX.htm"] = page_of(["a"])
    web.special["/shop/Beds/"] = page_of(["b.jpg", "old/", "about"])
    web.special["/shop/bed/old/"] = page_of(["c.jpg"])
    web.special["/shop/sofa/all.php"] = page_of(["d.jpg", "/home"])
    web.files = {f"/shop/{uri}": b"x" for uri in ("lamp/a", "bed/b.jpg", "bed/old/c.jpg", "sofa/d.jpg")}
    survey = Survey()
    assert [uri for uri, _ in uris(source, survey)] == ["lamp/a", "bed/b.jpg", "bed/old/c.jpg", "sofa/d.jpg"]
    assert survey.shut == {}


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


def test_a_server_that_is_gone_ends_the_run(loopback: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not each picture is tried: it is said that what is indexed stays."""
    monkeypatch.setattr("urllib3.util.retry.time.sleep", lambda _: None)
    with closing(WebSource(Address("http://127.0.0.1:9/shop"), Patterns(), readers=4, max_bytes=LIMIT)) as source:
        for number in range(MOST):
            with pytest.raises(ImageError, match="refused"):
                source.read(f"lamp/{number}.jpg", LIMIT)
        for ask in (lambda: source.read("lamp/x.jpg", LIMIT), lambda: uris(source)):
            with pytest.raises(CatalogueUnreachable, match="did not answer 20 times in a row; what is indexed stays"):
                ask()


def test_users_and_passwords_of_netrc(
    web: Web, serving: Serving, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They go to the catalogue's own server, and nowhere else: neither to another port nor to another name."""
    (tmp_path / "netrc").write_text(
        "machine 127.0.0.1 login joe password hunter2\nmachine localhost login a password b\n"
    )
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    other = Web(files={"/b.jpg": b"b"})
    serving(other)
    web.files = {"/shop/lamp/a.jpg": b"a"}
    web.special["/shop/lamp/b.jpg"] = Answered(status=302, headers={"Location": f"{other.url}/b.jpg"})
    with closing(WebSource(Address(f"{web.url}/shop"), Patterns(), readers=4, max_bytes=LIMIT)) as source:
        assert uris(source) == [("lamp/a.jpg", "lamp")]
        assert source.read("lamp/b.jpg", LIMIT) == b"b"
    assert web.logins == ["joe:hunter2"] * len(web.asked)
    assert other.logins == []


def test_a_server_that_wants_a_login(web: Web, source: WebSource, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is said where to write it."""
    monkeypatch.setenv("NETRC", "/nonexistent")
    web.special["/shop/"] = Answered(status=401)
    with pytest.raises(CatalogueUnreachable, match=r"401 Unauthorized: .*no right `machine 127\.0\.0\.1 login USER"):
        uris(source)
