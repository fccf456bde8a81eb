"""The page behind real proxies: nginx and Caddy, where they are installed."""

from __future__ import annotations

import io
import os
import re
import shutil
import subprocess
from collections.abc import Callable
from html import unescape
from pathlib import Path
from urllib.parse import urljoin

import pytest
import requests
from PIL import Image
from proxies import balanced, missing, proxied, snippet
from sharing import first_alone
from shop import Shop
from webshop import Served

from ddsim.web.fronts import Front

README = {"nginx": snippet("nginx"), "caddy": snippet("caddy")}
NAKED = "location / { proxy_pass http://127.0.0.1:8000; }"
KEPT = {
    "nginx": "location /visual { proxy_pass http://127.0.0.1:8000; }",
    "caddy": "reverse_proxy /visual* 127.0.0.1:8000 {\nheader_up Host {upstream_hostport}\n}",
}
HOST_PASSED = {
    "nginx": "location / { proxy_pass http://127.0.0.1:8000; proxy_set_header Host shop.example; }",
    "caddy": "reverse_proxy 127.0.0.1:8000 {\nheader_up Host shop.example\n}",
}
KINDS = pytest.mark.parametrize("kind", first_alone(["nginx", "caddy"]))


def links(html: str) -> set[str]:
    """Everything that a page refers to on its own server."""
    found = map(unescape, re.findall(r'(?:href|src|action)="([^"#]+)"', html))
    return {one for one in found if not one.startswith("https:")}


def assert_whole(page: str) -> None:
    """Everything that the page and its search refer to is there, and a search like a browser's is answered."""
    session = requests.Session()
    session.trust_env = False
    origin = "/".join(page.split("/")[:3])
    start = session.get(page, timeout=60)
    assert start.status_code == 200
    assert session.head(page, timeout=60).headers["content-length"] == str(len(start.content))
    found = session.post(
        urljoin(page, "api/search"),
        data={"like": "lamp/a0.png"},
        headers={"origin": origin, "x-requested-with": "XMLHttpRequest"},
        timeout=60,
    )
    assert found.status_code == 200, found.text
    cards = found.json()["neighbours"]
    drawn = session.get(urljoin(page, "search?like=lamp/a0.png"), timeout=60)
    addresses = links(start.text) | links(drawn.text) | {found.json()["link"]}
    addresses |= {address for card in cards for address in (card["thumbnail"], card["picture"])}
    assert len(addresses) > 20
    for address in addresses:
        url = urljoin(drawn.url, address)
        assert url.startswith(page)
        answer = session.get(url, timeout=60) if not url.endswith("/search") else drawn
        assert answer.status_code == 200, url


@KINDS
def test_the_readmes_proxies(served: Served, tmp_path: Path, kind: str) -> None:
    """Behind the README's nginx and Caddy everything is found below the path, with and without scripts."""
    with proxied(kind, README[kind], tmp_path, served.url) as outside:
        page = f"{outside}/visual/"
        assert requests.get(page[:-1], timeout=60).url == page
        assert_whole(page)
        file = io.BytesIO()
        Image.frombytes("RGB", (1600, 1100), os.urandom(1600 * 1100 * 3)).save(file, "PNG")
        form = {"picture": ("photo.png", file.getvalue())}
        answer = requests.post(f"{page}search", files=form, headers={"origin": outside}, timeout=60)
        assert answer.status_code == 200
        assert f"curl -F picture=@photo.jpg -F k=5 {page}api/search" in requests.get(f"{page}docs", timeout=60).text


def test_nginx_as_it_comes(served: Served, tmp_path: Path) -> None:
    """With nothing but proxy_pass, nginx calls the page by another name: its own searches are answered all the same."""
    with proxied("nginx", NAKED, tmp_path, served.url) as outside:
        assert_whole(f"{outside}/")
        form = {"like": "lamp/a0.png"}
        for headers in ({"origin": "http://evil.example"}, {"sec-fetch-site": "cross-site"}):
            assert requests.post(f"{outside}/api/search", form, headers=headers, timeout=60).status_code == 403


@KINDS
def test_a_path_that_is_kept(shop: object, serving: Callable[..., Served], tmp_path: Path, kind: str) -> None:
    """A proxy may pass the whole path on where the page is told of it, and the slash at its end may be left out."""
    served = serving(shop, front=Front("/visual"))
    with proxied(kind, KEPT[kind], tmp_path, served.url) as outside:
        assert requests.get(f"{outside}/visual?like=x", timeout=60).url == f"{outside}/visual/?like=x"
        assert_whole(f"{outside}/visual/")


@KINDS
def test_a_host_that_is_passed_on(shop: object, serving: Callable[..., Served], tmp_path: Path, kind: str) -> None:
    """A proxy may call the page by the name that people use where that is allowed; where not, it is told how to."""
    with proxied(kind, HOST_PASSED[kind], tmp_path, serving(shop).url) as outside:
        refused = requests.get(outside, timeout=60)
        assert refused.status_code == 400
        assert "--allow-host" in refused.json()["error"]["hint"]


def test_a_login_before_the_page(served: Served, tmp_path: Path) -> None:
    """The README's Caddy asks for a password, keeps figures to itself, and lets who has one search."""
    site = snippet("caddyfile")
    program = shutil.which("caddy")
    if program is None:
        missing("there is no caddy: apt-get install caddy")
    command = [program, "hash-password", "--plaintext", "secret"]
    hashed = subprocess.run(
        command, capture_output=True, text=True, check=True, env=os.environ | {"HOME": str(tmp_path)}
    )
    inside = site.replace("HASH", hashed.stdout.strip()).strip().removeprefix("visual.example {").removesuffix("}")
    with proxied("caddy", inside, tmp_path, served.url) as url:
        assert requests.get(f"{url}/", timeout=60).status_code == 401
        session = requests.Session()
        session.auth = ("shop", "secret")
        assert session.get(f"{url}/", timeout=60).status_code == 200
        assert session.get(f"{url}/metrics", timeout=60).status_code == 403
        headers = {"origin": url, "sec-fetch-site": "same-origin"}
        found = session.post(f"{url}/api/search", data={"like": "lamp/a0.png"}, headers=headers, timeout=60)
        assert found.json()["neighbours"]


def test_visitors_behind_a_proxy_are_told_apart(serving: Callable[..., Served], shop: Shop, tmp_path: Path) -> None:
    """The balancer of Compose spreads them over the pages, though all come from one address."""
    pages = [serving(shop, metrics=True) for _ in range(2)]
    with balanced(tmp_path, [page.url for page in pages]) as url:
        for visitor in range(40):
            requests.get(f"{url}/search?like=nobody", headers={"x-forwarded-for": f"203.0.113.{visitor}"}, timeout=60)
    figures = [requests.get(f"{page.url}/metrics", timeout=60).text for page in pages]
    asked = [float(found) for text in figures for found in re.findall(r'searches_total{status="404"} (.*)', text)]
    assert len(asked) == 2
    assert sum(asked) == 40
