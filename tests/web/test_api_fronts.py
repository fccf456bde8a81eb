"""Under which name and path the page is reached, whose word about that counts, and HEAD."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from refusing import assert_refused
from shop import Shop
from starlette.testclient import TestClient
from webshop import ADDRESS, app_of

from ddsim.errors import ConfigError
from ddsim.web.fronts import Front, checked_host
from ddsim.web.security import LOOPBACK

OPEN = Callable[..., TestClient]
FORM = {"like": "lamp/a0.png", "k": "1"}
TOLD = {
    "x-forwarded-host": "shop.example",
    "x-forwarded-proto": "https",
    "x-forwarded-prefix": "/visual/",
}
HERE = "curl -F picture=@photo.jpg -F k=5 "


def asked_from(shop: Shop, peer: str, front: Front | None = None) -> TestClient:
    """The page as somebody at that address reaches it."""
    return TestClient(app_of(shop, front=front), base_url=ADDRESS, client=(peer, 1234))


@pytest.mark.parametrize("peer", ["127.0.0.1", "127.3.2.1", "::1", "::ffff:127.0.0.1"])
def test_a_proxy_on_this_machine_is_believed(shop: Shop, peer: str) -> None:
    """What it says of name, scheme and path stands in the addresses that are shown."""
    assert f"{HERE}https://shop.example/visual/api/search" in asked_from(shop, peer).get("/docs", headers=TOLD).text


@pytest.mark.parametrize("peer", ["192.0.2.1", "testclient", "2001:db8::1"])
def test_nobody_else_is_believed(shop: Shop, peer: str) -> None:
    """From elsewhere the same headers change nothing."""
    answer = asked_from(shop, peer).get("/docs", headers=TOLD)
    assert f"{HERE}{ADDRESS}/api/search" in answer.text
    refused = asked_from(shop, peer).post("/api/search", data=FORM, headers=TOLD | {"origin": "https://shop.example"})
    assert_refused(refused, 403, "bad_request")


def test_a_proxy_elsewhere_is_believed_where_it_is_trusted(shop: Shop) -> None:
    """Named proxies count in place of this machine's own."""
    front = Front(proxies=["192.0.2.0/24"])
    assert "https://shop.example/visual/" in asked_from(shop, "192.0.2.7", front).get("/docs", headers=TOLD).text
    assert "shop.example" not in asked_from(shop, "127.0.0.1", front).get("/docs", headers=TOLD).text


def test_the_nearest_proxys_word_counts(shop: Shop) -> None:
    """What a browser sends of such headers itself stands before what the proxy adds."""
    headers = {"x-forwarded-host": "evil.example, shop.example"}
    assert "http://shop.example/api" in asked_from(shop, "127.0.0.1").get("/docs", headers=headers).text


@pytest.mark.parametrize(
    "headers",
    [
        {"x-forwarded-host": "<script>"},
        {"x-forwarded-host": "a/b"},
        {"x-forwarded-proto": "javascript"},
        {"x-forwarded-prefix": "//evil.example"},
        {"x-forwarded-prefix": "visual"},
        {"x-forwarded-prefix": "/a b"},
        {"x-forwarded-prefix": "/a?b"},
        {"x-forwarded-prefix": ""},
    ],
    ids=str,
)
def test_headers_that_make_no_sense(shop: Shop, headers: dict[str, str]) -> None:
    """They count as left out."""
    assert f"{HERE}{ADDRESS}/api/search" in asked_from(shop, "127.0.0.1").get("/docs", headers=headers).text


def test_a_name_given_to_this_machine_by_another_site(shop: Shop) -> None:
    """A page that rebinds its own name can send a proxy's headers as well: the real name is what counts."""
    headers = {"host": "evil.example", "x-forwarded-host": "localhost", "sec-fetch-site": "same-origin"}
    page = asked_from(shop, "127.0.0.1")
    assert_refused(page.get("/", headers=headers), 400, "bad_request")
    assert_refused(page.post("/api/search", data=FORM, headers=headers), 400, "bad_request")


@pytest.mark.parametrize(
    "headers",
    [
        {"x-forwarded-host": "shop.example"},
        {"sec-fetch-site": "same-origin"},
        {"x-requested-with": "XMLHttpRequest"},
        {"host": "shop.example"},
        {"host": "shop.example:8443"},
        {},
    ],
    ids=str,
)
def test_searches_behind_a_proxy_are_its_own(shop: Shop, headers: dict[str, str]) -> None:
    """The browser's origin need not be the name by which the proxy calls the page."""
    app = app_of(shop, hosts=LOOPBACK | ({"shop.example"} if "host" in headers or not headers else set()))
    page = TestClient(app, base_url=ADDRESS, client=("127.0.0.1", 1))
    assert page.post("/api/search", data=FORM, headers=headers | {"origin": "https://shop.example"}).status_code == 200


def test_another_site_cannot_ask_for_the_scripts_header(page: TestClient) -> None:
    """The header that only the page's own script sends is not granted to others."""
    asked = {"origin": "https://evil.example", "access-control-request-method": "POST"}
    answer = page.options("/api/search", headers=asked | {"access-control-request-headers": "x-requested-with"})
    assert answer.status_code >= 400
    assert "access-control-allow-origin" not in answer.headers


@pytest.mark.parametrize("taken_away", [True, False])
def test_a_root_path_taken_away_or_not(shop: Shop, taken_away: bool) -> None:
    """The page works below its path whether a proxy passes that on or not."""
    page = asked_from(shop, "192.0.2.1", Front("/shop/visual/"))
    root = "" if taken_away else "/shop/visual"
    for path in ("/", "/docs", "/static/app.js", "/api/catalogue", "/thumbnails/160/lamp/a0.png", "/healthz"):
        assert page.get(root + path).status_code == 200, path
    assert page.post(f"{root}/api/search", data=FORM).status_code == 200
    assert f"{ADDRESS}/shop/visual/api/search" in page.get(f"{root}/docs").text
    assert page.get(f"{root}/nothing").status_code == 404
    assert page.get("/shop/visuals/docs").status_code == 404


def test_the_slash_at_the_end(shop: Shop) -> None:
    """Without it relative links would lead astray: the browser is sent on, below the same path."""
    page = asked_from(shop, "127.0.0.1", Front("/shop/visual"))
    answer = page.get("/shop/visual?like=a%20b", follow_redirects=False)
    assert (answer.status_code, answer.headers["location"]) == (307, "visual/?like=a%20b")
    assert "content-security-policy" in answer.headers


def test_a_prefix_named_like_a_path_of_the_page(shop: Shop) -> None:
    """A proxy may show the page below /search, if it takes that away."""
    page = asked_from(shop, "127.0.0.1")
    headers = {"x-forwarded-prefix": "/search"}
    assert page.get("/search", params={"like": "lamp/a0.png"}, headers=headers).status_code == 200
    assert f"{ADDRESS}/search/api/search" in page.get("/docs", headers=headers).text


@pytest.mark.parametrize("root", ["visual", "//evil.example", "/a b", "/a/../b?", "/api", "/search/x", "/static"])
def test_root_paths_that_cannot_be(root: str) -> None:
    """They are refused when the page is started."""
    with pytest.raises(ConfigError, match="root path"):
        Front(root)


@pytest.mark.parametrize("name", ["https://shop.example", "shop.example/x", "*", ""])
def test_hosts_that_cannot_be(name: str) -> None:
    """What is no host's name is refused when the page is started."""
    with pytest.raises(ConfigError, match=r"shop\.example"):
        checked_host(name)


def test_networks_that_cannot_be() -> None:
    """So are proxies without an address."""
    with pytest.raises(ConfigError, match="no address or network"):
        Front(proxies=["nginx"])


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/?like=lamp/a0.png",
        "/search?like=lamp/a0.png",
        "/docs",
        "/openapi.json",
        "/healthz",
        "/api/catalogue",
        "/api/products/lamp/a0.png",
        "/pictures/lamp/a0.png",
        "/thumbnails/160/lamp/a0.png",
        "/static/app.css",
        "/nothing",
        "/photos/nobody",
    ],
)
def test_head_wherever_get_is(page: TestClient, path: str) -> None:
    """Uptime checks ask with HEAD: status and headers are those of GET, without the body."""
    got, head = page.get(path), page.head(path)
    assert head.status_code == got.status_code
    assert head.content == b""
    for name in ("content-type", "content-length", "cache-control", "content-security-policy"):
        # How long a search took is written in the page, and as many digits.
        if name != "content-length" or not path.startswith("/search"):
            assert head.headers.get(name) == got.headers.get(name), name


def test_head_over_a_wire(serving: Callable[..., object], shop: Shop) -> None:
    """No body follows on the connection either, which goes on to be used."""
    import requests

    served = serving(shop)
    with requests.Session() as session:
        for _ in range(2):
            answer = session.head(f"{served.url}/static/app.css", timeout=60)  # type: ignore[attr-defined]
            assert (answer.status_code, answer.content) == (200, b"")
            assert int(answer.headers["content-length"]) > 1000
        assert session.get(f"{served.url}/healthz", timeout=60).json()["status"] == "ok"  # type: ignore[attr-defined]
