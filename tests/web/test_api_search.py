"""`POST /api/search` and its companions: what is found, and how it is said."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from shop import Shop, picture
from starlette.testclient import TestClient

from ddsim.web.limits import Limits

OPEN = Callable[..., TestClient]


def file_of(shop: Shop, uri: str) -> bytes:
    """The content of an item's file."""
    return (shop.catalogue / uri).read_bytes()


def upload(page: TestClient, data: bytes, name: str = "photo.png", **fields: Any) -> Any:
    """The JSON of a search for an upload."""
    answer = page.post("/api/search", files={"picture": (name, data)}, data=fields)
    assert answer.status_code == 200, answer.text
    return answer.json()


def search(page: TestClient, **fields: Any) -> Any:
    """The JSON of a search for something known."""
    answer = page.post("/api/search", data=fields)
    assert answer.status_code == 200, answer.text
    return answer.json()


def uris(answer: Any) -> list[str]:
    """What was found."""
    return [one["uri"] for one in answer["neighbours"]]


def test_an_upload_finds_its_item_first(page: TestClient, shop: Shop) -> None:
    """The same picture as an item's has that item first, at no distance."""
    answer = upload(page, file_of(shop, "bed/a3.png"), all="1")
    assert uris(answer)[0] == "bed/a3.png"
    assert answer["neighbours"][0]["distance"] == 0.0
    assert [one["rank"] for one in answer["neighbours"]] == list(range(1, 13))


def test_what_is_said_of_the_query(page: TestClient, shop: Shop) -> None:
    """The answer tells the file's name without folders, the kept photo and its pixels."""
    query = upload(page, file_of(shop, "bed/a3.png"), "C:\\fakepath\\my bed.png")["query"]
    assert query["name"] == "my bed.png"
    assert (query["width"], query["height"]) == (32, 32)
    assert query["url"] == f"photos/{query['photo']}"
    assert (query["like"], query["region"]) == (None, None)


def test_the_photo_decides_unless_told_otherwise(page: TestClient, photo: bytes) -> None:
    """Categories are chosen by the photo, forced by name, or all searched."""
    routed = upload(page, photo)
    assert {one["name"] for one in routed["categories"] if one["searched"]} == set(routed["searched"])
    forced = upload(page, photo, category="lamp")
    assert forced["searched"] == ["lamp"]
    assert {one["category"] for one in forced["neighbours"]} == {"lamp"}
    assert forced["all"] is False
    everything = upload(page, photo, all="1")
    assert everything["searched"] == []
    assert everything["all"] is True
    assert len(everything["neighbours"]) == 12


def test_several_categories(page: TestClient, photo: bytes) -> None:
    """The field may be given again."""
    assert len(upload(page, photo, category=["bed", "lamp"])["neighbours"]) == 12


def test_so_many_results(page: TestClient, photo: bytes) -> None:
    """There are k results."""
    assert len(upload(page, photo, all="1", k="5")["neighbours"]) == 5


def test_the_link_repeats_the_search(page: TestClient, photo: bytes) -> None:
    """Searching for the kept photo gives what the upload gave, region and all."""
    for fields in ({}, {"category": "bed"}, {"all": "1"}, {"region": "0.12345,0.2,0.5,0.6"}):
        first = upload(page, photo, **fields)
        again = search(page, photo=first["query"]["photo"], **fields)
        for answer in (first, again):
            del answer["timings"]
            del answer["query"]["name"]
        assert again == first
        assert page.get(first["link"]).status_code == 200
    assert first["link"].endswith("&region=0.1235%2C0.2%2C0.5%2C0.6") or first["link"].endswith(
        "&region=0.1235,0.2,0.5,0.6"
    )


def test_more_like_an_item(page: TestClient) -> None:
    """An item as the query finds others, and never itself."""
    answer = search(page, like="lamp/a0.png", all="1")
    assert len(uris(answer)) == 11
    assert "lamp/a0.png" not in uris(answer)
    assert answer["neighbours"][0]["rank"] == 1
    assert answer["query"]["name"] == "Tall lamp"
    assert answer["link"] == "./?like=lamp/a0.png&all=1"
    assert page.get(answer["query"]["url"]).headers["content-type"] == "image/jpeg"


def test_more_like_an_item_gives_as_many(page: TestClient) -> None:
    """That the query itself is left out costs no result."""
    assert len(uris(search(page, like="lamp/a0.png", all="1", k="4"))) == 4


def test_a_region_is_searched_alone(page: TestClient, shop: Shop) -> None:
    """Of two items side by side the box on one of them finds that one."""
    both = Image.new("RGB", (64, 32))
    for place, uri in ((0, "bed/a2.png"), (32, "lamp/a4.png")):
        both.paste(Image.open(shop.catalogue / uri), (place, 0))
    file = io.BytesIO()
    both.save(file, "PNG")
    left = upload(page, file.getvalue(), all="1", region="0,0,0.5,1")
    right = search(page, photo=left["query"]["photo"], all="1", region="0.5,0,0.5,1")
    assert uris(left)[0] == "bed/a2.png"
    assert uris(right)[0] == "lamp/a4.png"
    assert right["query"]["region"] == [0.5, 0.0, 0.5, 1.0]


def test_a_region_of_an_item(page: TestClient) -> None:
    """Items have regions too."""
    assert len(uris(search(page, like="bed/a1.png", all="1", region="0,0,0.5,0.5"))) == 11


def test_the_region_is_of_the_upright_picture(page: TestClient, shop: Shop) -> None:
    """A camera's note that the picture lies on its side counts before the box does."""
    both = Image.new("RGB", (32, 64))
    both.paste(Image.open(shop.catalogue / "bed/a2.png"), (0, 0))
    both.paste(Image.open(shop.catalogue / "lamp/a4.png"), (0, 32))
    exif = Image.Exif()
    exif[0x0112] = 6  # turn it a quarter clockwise to see it
    lying, file = both.transpose(Image.Transpose.ROTATE_90), io.BytesIO()
    lying.save(file, "PNG", exif=exif)
    answer = upload(page, file.getvalue(), all="1", region="0,0.5,1,0.5")
    assert (answer["query"]["width"], answer["query"]["height"]) == (32, 64)
    assert uris(answer)[0] == "lamp/a4.png"


def test_the_kept_photo_is_written_anew(page: TestClient, shop: Shop, draw: Any) -> None:
    """What a browser gets back is a JPEG without the camera's notes, never the bytes that came."""
    exif = Image.Exif()
    exif[0x010E] = "secret place"
    file = io.BytesIO()
    draw(1, (40, 30)).save(file, "JPEG", exif=exif)
    data = file.getvalue() + b"<script>alert(1)</script>"
    answer = page.get(upload(page, data)["query"]["url"])
    assert answer.headers["content-type"] == "image/jpeg"
    assert "private" in answer.headers["cache-control"]
    assert b"secret" not in answer.content
    assert b"<script" not in answer.content
    assert Image.open(io.BytesIO(answer.content)).size == (40, 30)


def test_large_photos_are_kept_small(page: TestClient, draw: Any) -> None:
    """No side of a kept photo is longer than 1600 pixels."""
    file = io.BytesIO()
    draw(1, (3200, 800)).save(file, "JPEG")
    query = upload(page, file.getvalue())["query"]
    assert (query["width"], query["height"]) == (1600, 400)


def test_tokens_tell_nothing(page: TestClient, photo: bytes) -> None:
    """The same photo twice has two names."""
    assert upload(page, photo)["query"]["photo"] != upload(page, photo)["query"]["photo"]


def test_old_photos_are_let_go(tmp_path: Path, stock: Shop, opened: OPEN, photo: bytes) -> None:
    """Only so many uploads are kept: the oldest one goes."""
    shop = stock.branch(tmp_path)
    shop.configure(state="own", similarity={"extract_layer": "pool1"})
    with shop.search() as found:
        found.index()
    page = opened(shop, Limits(photos=2))
    tokens = [upload(page, photo)["query"]["photo"] for _ in range(3)]
    assert [page.get(f"/photos/{token}").status_code for token in tokens][1:] == [200, 200]
    gone = page.post("/api/search", data={"photo": tokens[0]})
    assert (gone.status_code, gone.json()["error"]["code"]) == (404, "unknown_photo")
    assert len(list((tmp_path / "own").rglob("*.sent"))) == 2


def test_photos_grow_old(shop: Shop, opened: OPEN, photo: bytes) -> None:
    """An upload is kept for so long, and not found afterwards."""
    page = opened(shop, Limits(photos_seconds=-1.0))
    assert page.get(upload(page, photo)["query"]["url"]).status_code == 404


def test_product_data_is_shown(page: TestClient) -> None:
    """Name, price and address of a product come with the item; without them its file is its name."""
    card = page.get("/api/products/lamp/a0.png").json()
    assert (card["name"], card["price"]) == ("Tall lamp", "49.90 EUR")
    assert card["url"] == "https://shop.example/lamp?id=1&b=2"
    bare = page.get("/api/products/lamp/a5.png").json()
    assert (bare["name"], bare["price"], bare["url"]) == ("a5", None, None)
    assert card.keys() == bare.keys()


def test_the_catalogue_is_told(page: TestClient) -> None:
    """Categories with counts, and examples of each."""
    told = page.get("/api/catalogue").json()
    assert told["categories"] == [{"name": name, "label": name, "count": 6} for name in ("bed", "lamp")]
    assert (told["items"], told["indexed"], told["indexing"]) == (12, True, False)
    assert {one["category"] for one in told["examples"]} == {"bed", "lamp"}
    assert all(page.get(one["thumbnail"]).status_code == 200 for one in told["examples"])


def test_health(page: TestClient) -> None:
    """All well is said with the number of items."""
    answer = page.get("/healthz")
    assert (answer.status_code, answer.json()["status"], answer.json()["items"]) == (200, "ok", 12)


def test_answers_are_as_described(page: TestClient, photo: bytes) -> None:
    """What OpenAPI promises is what comes."""
    from ddsim.web import models

    models.Found.model_validate(upload(page, photo), strict=False, extra="forbid")
    models.Catalogue.model_validate(page.get("/api/catalogue").json(), extra="forbid")
    models.Health.model_validate(page.get("/healthz").json(), extra="forbid")
    models.Card.model_validate(page.get("/api/products/lamp/a0.png").json(), extra="forbid")
    models.Refused.model_validate(page.get("/api/products/nobody").json(), extra="forbid")
    schema = page.get("/openapi.json").json()
    body = schema["paths"]["/api/search"]["post"]["requestBody"]["content"]["multipart/form-data"]
    assert set(body["schema"]["properties"]) == {"picture", "photo", "like", "category", "all", "k", "start", "region"}


def test_the_page_and_its_documents(page: TestClient) -> None:
    """Page and description are HTML, need nothing from elsewhere, and carry the policy that says so."""
    for path in ("/", "/docs"):
        answer = page.get(path)
        assert (answer.status_code, answer.headers["content-type"]) == (200, "text/html; charset=utf-8")
        assert "default-src 'none'" in answer.headers["content-security-policy"]
        assert "http://" not in answer.text.replace("http://127.0.0.1", "").replace("http://www.w3.org", "")
    assert "/api/search" in page.get("/docs").text


def test_without_javascript(page: TestClient, photo: bytes) -> None:
    """A plain form, and a plain link, get a page with the results in it."""
    posted = page.post("/search", files={"picture": ("p.png", photo)}, data={"all": "1"})
    linked = page.get("/search", params={"like": "lamp/a0.png", "all": "1"})
    for answer in (posted, linked):
        assert answer.status_code == 200
        assert "thumbnails/320/bed/a0.png" in answer.text
    refused = page.post("/search", data={"like": "nobody"})
    assert refused.status_code == 404
    assert "There is no such product" in refused.text


def test_no_file_chosen(page: TestClient) -> None:
    """A browser sends an empty file where none was chosen; that is none."""
    answer = page.post("/api/search", files={"picture": ("", b"")}, data={"like": "lamp/a0.png"})
    assert answer.status_code in (200, 422)
    missing = page.post("/api/search", data={"k": "3"})
    assert missing.json()["error"]["message"] == "No picture is given."


@pytest.mark.parametrize("size", [160, 320, 640])
def test_thumbnails(page: TestClient, shop: Shop, size: int) -> None:
    """They fit into their square, are kept for good under their content's name, and asked for again cost nothing."""
    row = page.get("/api/products/bed/a1.png").json()
    address = row["thumbnail"].replace("/320/", f"/{size}/")
    answer = page.get(address)
    assert Image.open(io.BytesIO(answer.content)).size == (32, 32)
    assert "immutable" in answer.headers["cache-control"]
    assert "immutable" not in page.get(address.partition("?")[0] + "?v=other").headers["cache-control"]
    again = page.get(address, headers={"if-none-match": answer.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")


def red(data: bytes) -> bool:
    """Whether a picture is of that colour."""
    value = np.asarray(Image.open(io.BytesIO(data)).convert("RGB")).mean(axis=(0, 1))
    return bool(value[0] > 240 and value[1:].max() < 15)


def test_a_changed_file_is_not_kept_under_its_old_name(tmp_path: Path, opened: OPEN) -> None:
    """A picture that was replaced and not indexed again is shown as it is, and not for good."""
    shop = Shop(tmp_path)
    shop.add("bed/a.png", "bed/b.png")
    with shop.search() as found:
        found.index()
    page = opened(shop)
    address = page.get("/api/products/bed/a.png").json()["thumbnail"]
    shop.add_picture("bed/a.png", Image.new("RGB", (32, 32), "red"))
    answer = page.get(address)
    assert "immutable" not in answer.headers["cache-control"]
    assert red(answer.content)
    shop.add_picture("bed/a.png", picture(0))
    assert not red(page.get(address).content)


def test_odd_names(tmp_path: Path, opened: OPEN) -> None:
    """Items may be called nearly anything; their pictures are served and their names are written safely."""
    names = ["bed/ä #1?%2e.png", "bed/50% <b>.png", "bed/'\".png", "bed/a&b=c+d;e.png"]
    shop = Shop(tmp_path)
    for number, name in enumerate(names):
        shop.add_picture(name, picture(number))
    with shop.search() as found:
        found.index()
    page = opened(shop)
    answer = search(page, like=names[0], all="1")
    assert len(answer["neighbours"]) == 3
    for one in answer["neighbours"]:
        assert page.get(one["thumbnail"]).status_code == 200, one
        assert page.get(one["picture"]).status_code == 200, one
    for link in (answer["link"], search(page, like=names[3], all="1")["link"]):
        assert page.get(link).status_code == 200
        assert page.get("/search" + link[2:]).status_code == 200
