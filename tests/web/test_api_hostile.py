"""Requests that mean harm, or come from a broken program: each is refused in a sentence, and nothing is harmed."""

from __future__ import annotations

import http.client
import io
import itertools
import json
import os
import struct
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import anyio
import pytest
from PIL import Image
from refusing import assert_refused
from shop import Shop, picture
from starlette.testclient import TestClient
from webshop import NASTY, Served, app_of

from ddsim.web.limits import Limits

OPEN = Callable[..., TestClient]
HUNDRED_MB = 100 * 1024 * 1024
SVG = b'<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg"><script>alert(document.cookie)</script></svg>'
BOUNDARY = "----x"
FORM = {"content-type": f"multipart/form-data; boundary={BOUNDARY}"}


def chunk(kind: bytes, content: bytes) -> bytes:
    """A part of a PNG file with a right checksum."""
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def png(width: int, height: int, *parts: bytes) -> bytes:
    """A black PNG of one bit a pixel: small on disk, whatever its size."""
    pixels = zlib.compressobj(9)
    row = bytes(1 + (width + 7) // 8)
    data = b"".join(pixels.compress(row) for _ in range(height)) + pixels.flush()
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + b"".join(parts) + chunk(b"IDAT", data) + chunk(b"IEND", b"")


def bitmap_of(width: int, height: int) -> bytes:
    """The header of a BMP file, and no pixels."""
    return b"BM" + struct.pack("<IHHIIiiHHIIiiII", 54, 0, 0, 54, 40, width, height, 1, 24, 0, 0, 0, 0, 0, 0)


def part(name: str, content: bytes, more: str = "") -> bytes:
    """A part of a form."""
    head = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"{more}\r\n\r\n'
    return head.encode() + content + b"\r\n"


def end() -> bytes:
    """The end of a form."""
    return f"--{BOUNDARY}--\r\n".encode()


def posted(page: TestClient, data: bytes, **fields: str) -> object:
    """The answer to an upload."""
    return page.post("/api/search", files={"picture": ("p.png", data)}, data=fields)


# Uploads


def test_a_hundred_megabytes(page: TestClient, shop: Shop) -> None:
    """A file far too large is refused by what its sender says of its length."""
    error = assert_refused(posted(page, bytes(HUNDRED_MB)), 413, "too_large", shop)
    assert "20 MB" in error["message"]


def test_a_hundred_megabytes_unannounced(page: TestClient) -> None:
    """Without a length it is refused as soon as too much has come, and not kept anywhere."""

    def body() -> Iterator[bytes]:
        yield part("picture", b"", '; filename="p.png"')[:-2]
        for _ in range(100):
            yield bytes(1024 * 1024)
        yield b"\r\n" + end()

    assert_refused(page.post("/api/search", content=body(), headers=FORM), 413, "too_large")


def test_a_hundred_megabytes_over_the_wire(served: Served) -> None:
    """A client that sends all of it before it listens still hears why."""
    door = http.client.HTTPConnection(served.url.removeprefix("http://"), timeout=30)
    door.request("POST", "/api/search", bytes(HUNDRED_MB), FORM)
    answer = door.getresponse()
    assert (answer.status, json.loads(answer.read())["error"]["code"]) == (413, "too_large")
    door.close()


def test_a_body_without_end(shop: Shop) -> None:
    """Who sends for ever is refused at the limit, and not listened to much longer."""
    answers: list[Any] = []
    more = {"type": "http.request", "body": bytes(1024 * 1024), "more_body": True}
    first = {"type": "http.request", "body": part("picture", b"", '; filename="p.png"')[:-2], "more_body": True}
    messages = itertools.chain([first], itertools.repeat(more, 2000))

    async def receive() -> Any:
        return next(messages)

    async def send(message: Any) -> None:
        answers.append(message)

    headers = [(b"host", b"127.0.0.1"), (b"content-type", FORM["content-type"].encode())]
    scope = {"type": "http", "method": "POST", "path": "/api/search", "query_string": b"", "headers": headers}
    with TestClient(app_of(shop)) as page:
        anyio.run(page.app, scope, receive, send)
    assert answers[0]["status"] == 413
    assert next(messages) is more


def test_a_lie_about_the_length(page: TestClient) -> None:
    """A length that is no number is refused."""
    answer = page.post("/api/search", content=b"x", headers=FORM | {"content-length": "-5"})
    assert_refused(answer, 413, "too_large")


def test_a_little_too_large(shop: Shop, opened: OPEN) -> None:
    """The limit is that of the file itself, to the byte, where the form around it is small."""
    page = opened(shop, Limits(upload_bytes=2000))
    data = png(10, 10)
    assert posted(page, data + bytes(2000 - len(data))).status_code == 200
    assert_refused(posted(page, data + bytes(2001 - len(data))), 413, "too_large")


def test_the_tighter_limit_counts(stock: Shop, tmp_path: Path, opened: OPEN) -> None:
    """The configuration's own limits of uploads hold for the page too."""
    shop = stock.branch(tmp_path)
    shop.configure(upload={"max_pixels": 2000, "max_bytes": 3000})
    page = opened(shop)
    assert_refused(posted(page, png(50, 50)), 413, "too_many_pixels")
    assert_refused(posted(page, bytes(3001)), 413, "too_large")


@pytest.mark.parametrize(
    "bomb",
    [
        pytest.param(png(30_000, 30_000), id="png"),
        pytest.param(bitmap_of(60_000, 60_000), id="bmp"),
        pytest.param(b"GIF89a" + struct.pack("<HHBBB", 65_535, 65_535, 0, 0, 0) + b"\x2c" + bytes(20), id="gif"),
    ],
)
def test_a_pixel_bomb(page: TestClient, bomb: bytes) -> None:
    """A small file of very many pixels is refused by its header; nothing of it is decoded."""
    assert len(bomb) < 1_000_000
    error = assert_refused(posted(page, bomb), 413, "too_many_pixels")
    assert "64 million" in error["message"]


def test_a_text_bomb(page: TestClient) -> None:
    """A PNG whose comment unpacks to a hundred megabytes is no picture."""
    packed = zlib.compress(bytes(HUNDRED_MB), 9)
    bomb = png(8, 8, chunk(b"zTXt", b"Comment\0\0" + packed))
    assert_refused(posted(page, bomb), 415, "not_a_picture")


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(SVG, id="svg"),
        pytest.param(b"\xef\xbb\xbf" + SVG, id="svg with a mark"),
        pytest.param(b"<html><script>alert(1)</script>", id="html"),
        pytest.param(b"%PDF-1.7 ...", id="pdf"),
        pytest.param(b"%!PS-Adobe-3.0 EPSF-3.0\n", id="eps"),
        pytest.param(b"PK\x03\x04" + bytes(100), id="zip"),
        pytest.param(b"\0" * 1000, id="zeros"),
        pytest.param(png(64, 64)[:60], id="cut short"),
        pytest.param(b"\xff\xd8\xff\xe0" + bytes(100), id="a broken jpeg"),
        pytest.param(b"/etc/passwd", id="a path"),
        pytest.param(b"http://127.0.0.1/", id="an address"),
    ],
)
def test_not_a_picture(page: TestClient, shop: Shop, data: bytes) -> None:
    """Other files are refused by what is in them, whatever they are called; markup least of all gets anywhere."""
    before = list((shop.root / ".ddsim").rglob("*.sent"))
    error = assert_refused(posted(page, data), 415, "not_a_picture", shop)
    assert "script" not in error["message"]
    assert list((shop.root / ".ddsim").rglob("*.sent")) == before


# Names


TRAVERSALS = [
    "../../etc/passwd",
    "..%2f..%2fetc%2fpasswd",
    "%2e%2e/%2e%2e/etc/passwd",
    "%2e%2e%2f%2e%2e%2fetc%2fpasswd",
    "..%252f..%252fetc%252fpasswd",
    "..\\..\\etc\\passwd",
    "..%5c..%5cetc%5cpasswd",
    "%c0%ae%c0%ae/%c0%ae%c0%ae/etc/passwd",
    "/etc/passwd",
    "%2fetc%2fpasswd",
    "lamp/../../../../etc/passwd",
    "lamp/..%2f..%2f..%2fetc%2fpasswd",
    "lamp/a0.png%00",
    "%00",
    "lamp%00/a0.png",
    "lamp/./a0.png",
    "lamp//a0.png",
    "./lamp/a0.png",
    "lamp/../lamp/a0.png",
    "lamp\\a0.png",
    "LAMP/A0.PNG",
    "lamp",
    "lamp/",
    "",
    ".",
    "..",
    "~/.ssh/id_rsa",
    "C:%5cWindows%5cwin.ini",
    "file:///etc/passwd",
    "products.csv",
    "%ff%fe",
    "%",
    "%zz",
    "a" * 5000,
    "lamp/a0.png%0d%0aSet-Cookie:x=1",
]


def test_only_known_names_are_served(served: Served) -> None:
    """Whatever stands in an address as it is sent, only the very name of an indexed item gives a picture."""
    door = http.client.HTTPConnection(served.url.removeprefix("http://"), timeout=30)

    def got(path: str) -> tuple[int, bytes, str | None]:
        door.request("GET", path)
        answer = door.getresponse()
        return answer.status, answer.read(), answer.getheader("content-type")

    assert got("/pictures/lamp/a0.png")[0] == 200
    for prefix in ("/pictures/", "/thumbnails/160/", "/thumbnails/../", "/api/products/", "/photos/", "/static/"):
        for name in TRAVERSALS:
            status, body, kind = got(prefix + name)
            assert status in (404, 405), (prefix, name)
            assert kind == "application/json"
            assert b"root:" not in body
            assert b"uri,name" not in body
    door.close()


def test_only_known_names_are_searched(page: TestClient, shop: Shop) -> None:
    """A search for more like an item takes the same names and no others."""
    from urllib.parse import unquote

    for name in {"/etc/passwd", *TRAVERSALS, *map(unquote, TRAVERSALS)} - {""}:
        assert_refused(page.post("/api/search", data={"like": name}), 404, "unknown_item", shop)


def test_only_our_own_tokens(page: TestClient, shop: Shop) -> None:
    """A token is never taken for a path."""
    (shop.root / ".ddsim" / "secret.jpg").write_bytes(b"secret")
    for token in ("../../secret", "../secret", "secret", "a" * 22, "..", "/etc/passwd", "a\0" * 11, "\u0661" * 22):
        assert_refused(page.post("/api/search", data={"photo": token}), 404, "unknown_photo", shop)
        # A client takes dots away before it asks; test_only_known_names_are_served sends them.
        assert token.startswith(".") or page.get(f"/photos/{quote(token, safe='')}").status_code == 404


@pytest.mark.parametrize("size", ["0", "1", "321", "-160", "160.0", "1e2", "99999999", "160%20", "%D9%A1%D9%A6%D9%A0"])
def test_only_our_own_sizes(page: TestClient, size: str) -> None:
    """Nobody can have thumbnails made of sizes of their own."""
    assert_refused(page.get(f"/thumbnails/{size}/lamp/a0.png"), 404, "not_found")


def test_what_took_an_items_place(tmp_path: Path, opened: OPEN) -> None:
    """An item's file that became a link to something secret, a pipe, a folder or markup is not served."""
    shop = Shop(tmp_path)
    secret = tmp_path / "secret.txt"
    secret.write_text("the secret")
    shop.add(*(f"bed/{name}.png" for name in ("link", "pipe", "folder", "markup", "gone", "whole")))
    with shop.search() as search:
        search.index()
    page = opened(shop)
    for name in ("link", "pipe", "folder", "markup", "gone"):
        (shop.catalogue / f"bed/{name}.png").unlink()
    (shop.catalogue / "bed/link.png").symlink_to(secret)
    os.mkfifo(shop.catalogue / "bed/pipe.png")
    (shop.catalogue / "bed/folder.png").mkdir()
    (shop.catalogue / "bed/markup.png").write_bytes(SVG)
    for name in ("link", "pipe", "folder", "markup", "gone"):
        for address in (f"/pictures/bed/{name}.png", f"/thumbnails/320/bed/{name}.png"):
            assert_refused(page.get(address), 404, "unknown_item", shop)
        assert_refused(page.post("/api/search", data={"like": f"bed/{name}.png"}), 404, "unknown_item", shop)
    assert page.get("/pictures/bed/whole.png").status_code == 200


def test_what_is_not_indexed_is_not_served(tmp_path: Path, opened: OPEN) -> None:
    """A file in the catalogue that was put aside, or came later, is no item yet."""
    shop = Shop(tmp_path)
    shop.add("bed/a.png")
    shop.add_bytes("bed/drawing.svg", SVG)
    with shop.search() as search:
        search.index()
    shop.add("bed/later.png")
    shop.add_picture("bed/drawing.svg", picture(7))
    page = opened(shop)
    for name in ("drawing.svg", "later.png"):
        assert_refused(page.get(f"/pictures/bed/{name}"), 404, "unknown_item")


# Words


def test_html_in_names(tmp_path: Path, opened: OPEN) -> None:
    """Names of products, categories, files and uploads are words, never markup, in HTML and in the data within it."""
    script = "</script><script>alert(1)</script>"
    shop = Shop(tmp_path)
    shop.add(f"{NASTY}/a.png", "bed/<i>b.png", "bed/c.png")
    (shop.catalogue / "products.json").write_text(
        json.dumps({"bed/c.png": {"name": script, "price": NASTY, "url": 'https://shop.example/"><script>'}})
    )
    with shop.search() as search:
        search.index()
    page = opened(shop)
    pages = [
        page.get("/"),
        page.get("/", params={"like": NASTY, "category": script, "photo": "'\"><script>"}),
        page.post("/search", data={"like": "bed/<i>b.png", "all": "1"}),
        page.post("/search", files={"picture": (script + NASTY, png(20, 20))}, data={"all": "1"}),
        page.post("/search", data={"like": "bed/c.png", "category": script}),
        page.post("/search", data={script: NASTY}),
    ]
    for answer in pages:
        assert answer.headers["content-type"].startswith("text/html")
        assert "alert(1)</script>" not in answer.text
        assert "<img src=x" not in answer.text
        assert "<i>" not in answer.text
        assert '"><script>' not in answer.text
    assert "&lt;img src=x" in pages[2].text
    assert answer.status_code == 422


def test_markup_stays_data_in_json(page: TestClient) -> None:
    """Product data comes as it is in JSON, which no browser takes for a page; addresses of other kinds are dropped."""
    left_out = page.get("/api/products/lamp/a1.png")
    assert left_out.json()["url"] is None
    assert "javascript" not in left_out.text
    kept = page.get("/api/products/lamp/a2.png")
    assert kept.json()["name"] == NASTY
    assert kept.headers["content-type"] == "application/json"
    assert kept.headers["x-content-type-options"] == "nosniff"


# Forms


@pytest.mark.parametrize(
    ("body", "status"),
    [
        pytest.param(part("picture", png(8, 8), '; filename="p"')[:80], 400, id="cut short in the file"),
        pytest.param(part("picture", png(8, 8), '; filename="p"'), 400, id="without its end"),
        pytest.param(b"", 400, id="empty"),
        pytest.param(end(), 422, id="nothing in it"),
        pytest.param(b"garbage" * 1000, 400, id="garbage"),
        pytest.param(b"--" + b"y" * 70_000, 400, id="another boundary"),
        pytest.param(part("picture", b"x", "; filename=" + '"' * 20_000) + end(), 400, id="a long header"),
        pytest.param(part("like", b"x" * 50_000) + end(), 400, id="a long field"),
        pytest.param(b"".join(part("category", b"x") for _ in range(300)) + end(), 400, id="many fields"),
        pytest.param(b"".join(part("picture", b"x", '; filename="p"') for _ in range(3)) + end(), 400, id="many files"),
        pytest.param(part("photo", b"x", '; filename="p"') + end(), 422, id="a file where none belongs"),
        pytest.param(part("picture", b"x") + end(), 422, id="text where a file belongs"),
        pytest.param(part("like", b"\xff\xfe") + end(), 404, id="no unicode"),
    ],
)
def test_broken_forms(page: TestClient, body: bytes, status: int) -> None:
    """A form that is damaged or not ours is refused."""
    code = "unknown_item" if status == 404 else "bad_request"
    assert_refused(page.post("/api/search", content=body, headers=FORM), status, code)


@pytest.mark.parametrize("kind", ["application/json", "text/plain", "multipart/form-data", "image/png", ""])
def test_other_kinds_of_body(page: TestClient, kind: str) -> None:
    """Only forms are taken, and only with a boundary."""
    answer = page.post("/api/search", content=b'{"like": "lamp/a0.png"}', headers={"content-type": kind})
    assert_refused(answer, 400 if kind.startswith("multipart") else 415, "bad_request")


@pytest.mark.parametrize(
    "fields",
    [
        {"k": "0"},
        {"k": "101"},
        {"k": "-1"},
        {"k": "3.0"},
        {"k": "1e1"},
        {"k": "ten"},
        {"k": "9" * 5000},
        {"k": "\u0663"},
        {"k": ["3", "4"]},
        {"region": "0,0,0,0"},
        {"region": "-0.1,0,0.5,0.5"},
        {"region": "0.6,0,0.5,0.5"},
        {"region": "0,0.6,0.5,0.5"},
        {"region": "0,0,1.5,1"},
        {"region": "nan,0,0.5,0.5"},
        {"region": "0,0,inf,0.5"},
        {"region": "0,0,1"},
        {"region": "0,0,1,1,1"},
        {"region": "a,b,c,d"},
        {"region": "0.1 0.1 0.5 0.5"},
        {"region": "0,0,0.011,0.011"},
        {"all": "perhaps"},
        {"all": "1", "category": "bed"},
        {"sort": "price"},
        {"__proto__": "x"},
        {"photo": "x" * 22},
        {"like": ["lamp/a0.png", "lamp/a1.png"]},
        {"picture": "data:image/png;base64,AAAA"},
    ],
    ids=lambda fields: json.dumps(fields)[:40],
)
def test_fields_out_of_range(page: TestClient, fields: dict[str, str]) -> None:
    """Unknown fields, values that make no sense and contradictions are refused, not guessed at."""
    assert_refused(page.post("/api/search", data={"like": "lamp/a0.png"} | fields), 422, "bad_request")


def test_unknown_categories(page: TestClient) -> None:
    """A category that is not there is said to be not there, with those that are."""
    for name in ("sofa", "../bed", "bed\0", "x" * 3000):
        error = assert_refused(
            page.post("/api/search", data={"like": "lamp/a0.png", "category": name}), 422, "unknown_category"
        )
        assert "bed, lamp" in error["hint"]


@pytest.mark.parametrize("field", ["?like=a&like=b", "?x=1", "?k=1000", "?region=1", "?photo=..%2f..%2fx", "?like=%00"])
def test_odd_addresses_of_the_page(page: TestClient, field: str) -> None:
    """The page is drawn whatever its address asks for; the search is what is refused."""
    assert page.get("/" + field).status_code == 200
    assert page.get("/search" + field).status_code in (404, 422)


@pytest.mark.parametrize("region", ["0,0,1,1", "0,0,1.0005,1.0005", "0.5,0.5,0.5004,0.5"])
def test_rounding_is_forgiven(page: TestClient, region: str) -> None:
    """A box that ends a hair outside the picture is one inside it."""
    answer = page.post("/api/search", data={"like": "lamp/a0.png", "region": region})
    assert answer.status_code == 200
    kept = answer.json()["query"]["region"]
    assert kept == (None if region.startswith("0,0") else [0.5, 0.5, 0.5, 0.5])


# Callers


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "localhost.evil.example:80", "", "[::2]"])
def test_other_hosts(page: TestClient, host: str) -> None:
    """A name that somebody else gave this machine's address reaches nothing."""
    for path in ("/", "/api/catalogue", "/static/app.css", "/nope"):
        assert_refused(page.get(path, headers={"host": host}), 400, "bad_request")


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.1:8000", "localhost:9", "LOCALHOST", "[::1]:8000", "[::1]"])
def test_own_hosts(page: TestClient, host: str) -> None:
    """The names of this machine for itself do, with any port."""
    assert page.get("/api/catalogue", headers={"host": host}).status_code == 200


def test_any_host_where_everybody_is_let_in(shop: Shop, opened: OPEN) -> None:
    """A page that listens for others is reached under any name."""
    assert opened(shop, hosts=None).get("/", headers={"host": "shop.example"}).status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "https://evil.example"},
        {"origin": "null"},
        {"origin": "http://127.0.0.1:9999"},
        {"origin": "http://127.0.0.1.evil.example"},
        {"origin": ""},
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
        {"origin": "http://127.0.0.1", "sec-fetch-site": "cross-site"},
    ],
    ids=str,
)
def test_other_origins(page: TestClient, headers: dict[str, str]) -> None:
    """The page of another site cannot search or upload here; its address is not let in either."""
    for path in ("/api/search", "/search"):
        answer = page.post(path, data={"like": "lamp/a0.png"}, headers=headers)
        assert_refused(answer, 403, "bad_request")
        assert "access-control-allow-origin" not in answer.headers


@pytest.mark.parametrize(
    "headers",
    [{"origin": "http://127.0.0.1"}, {"sec-fetch-site": "same-origin"}, {"sec-fetch-site": "none"}, {}],
    ids=str,
)
def test_own_origin(page: TestClient, headers: dict[str, str]) -> None:
    """The page itself, and programs that are no browsers, are answered."""
    assert page.post("/api/search", data={"like": "lamp/a0.png"}, headers=headers).status_code == 200


def test_an_origin_that_was_let_in(shop: Shop, opened: OPEN) -> None:
    """Another site's page may use the API where it was told to; no other site may."""
    page = opened(shop, origins=["https://shop.example"])
    headers = {"origin": "https://shop.example", "sec-fetch-site": "cross-site"}
    answer = page.post("/api/search", data={"like": "lamp/a0.png"}, headers=headers)
    assert answer.status_code == 200
    assert answer.headers["access-control-allow-origin"] == "https://shop.example"
    assert answer.headers["cross-origin-resource-policy"] == "cross-origin"
    other = page.post("/api/search", data={"like": "lamp/a0.png"}, headers=headers | {"origin": "https://evil.example"})
    assert other.status_code == 403


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "TRACE", "PROPFIND"])
def test_other_methods(page: TestClient, method: str) -> None:
    """Nothing can be changed or removed, and the answer says what an address takes."""
    takes = {
        "/": "GET, HEAD",
        "/api/search": "POST",
        "/pictures/lamp/a0.png": "GET, HEAD",
        "/static/app.css": "GET, HEAD",
    }
    for path, methods in takes.items():
        answer = page.request(method, path)
        assert methods in assert_refused(answer, 405, "method_not_allowed")["hint"]
        assert answer.headers["allow"] == methods
    assert page.request(method, "/search").headers["allow"] == "GET, HEAD, POST"


def test_the_pictures_are_pictures(page: TestClient, photo: bytes) -> None:
    """What is served as a picture is a JPEG that was written here."""
    row = page.get("/api/products/lamp/a0.png").json()
    for address in (row["thumbnail"], row["picture"]):
        answer = page.get(address)
        assert answer.headers["content-type"] == "image/jpeg"
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert Image.open(io.BytesIO(answer.content)).format == "JPEG"
    assert picture(0).format is None


def test_a_large_photo_of_a_phone_is_taken(page: TestClient) -> None:
    """108 million pixels are decoded at a quarter of their sides."""
    photo = io.BytesIO()
    Image.new("RGB", (12000, 9000), "brown").save(photo, "JPEG")
    answer = posted(page, photo.getvalue())
    assert answer.status_code == 200
    assert max(answer.json()["query"]["width"], answer.json()["query"]["height"]) == 1600


def test_the_configuration_raises_the_limit_of_photos(stock: Shop, tmp_path: Path, opened: OPEN) -> None:
    """The page's own limit is web.max_bytes, and whoever meets it is told so."""
    shop = stock.branch(tmp_path)
    data = png(10, 10)
    shop.configure(web={"max_bytes": 1000})
    error = assert_refused(posted(opened(shop), data + bytes(2000)), 413, "too_large")
    assert "web.max_bytes" in error["hint"]
    shop.configure(web={"max_bytes": 30 * 1024 * 1024})
    assert posted(opened(shop), data + bytes(22 * 1024 * 1024)).status_code == 200


def test_search_engines_know_the_start_page_alone(page: TestClient) -> None:
    """They follow no link from product to product, and list no photo that somebody shares."""
    assert "x-robots-tag" not in page.get("/").headers
    for path in (
        "/?like=lamp/a0.png",
        "/search?like=lamp/a0.png",
        "/pictures/lamp/a0.png",
        "/api/catalogue",
        "/nothing",
    ):
        assert page.get(path).headers["x-robots-tag"] == "noindex, nofollow", path
