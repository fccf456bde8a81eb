"""The page as its owner wants it: title, logo, colour, names and language; and results page by page."""

from __future__ import annotations

import re
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any, get_args

import pytest
from refusing import assert_refused
from shop import Shop
from starlette.testclient import TestClient

from ddsim.errors import ConfigError
from ddsim.web.appearance import Appearance, contrast, readable
from ddsim.web.fronts import Front
from ddsim.web.limits import Limits
from ddsim.web.refusals import Code, Words
from ddsim.web.texts import Texts, languages

OPEN = Callable[..., TestClient]
LIKE = {"like": "lamp/a0.png", "all": "1"}
STATIC = Path(__file__).parents[2] / "ddsim" / "web" / "static"
TEMPLATES = STATIC.parent / "templates"


def styled(shop: Shop, **web: Any) -> Shop:
    """The shop with that in its configuration's `web`."""
    shop.configure(web={key: str(value) if isinstance(value, Path) else value for key, value in web.items()})
    return shop


# Page by page


def test_page_by_page(page: TestClient) -> None:
    """Asked for later ones, the API goes on where it stopped, and says whether there are others."""
    whole = page.post("/api/search", data=LIKE).json()["neighbours"]
    assert len(whole) == 11
    got: list[dict[str, Any]] = []
    for start, more in ((0, True), (4, True), (8, False)):
        answer = page.post("/api/search", data=LIKE | {"k": "4", "start": str(start)}).json()
        assert answer["more"] is more
        got += answer["neighbours"]
    assert got == whole
    after = page.post("/api/search", data=LIKE | {"start": "50"}).json()
    assert (after["neighbours"], after["more"]) == ([], False)


@pytest.mark.parametrize("start", ["-1", "1.5", "901", "9" * 20, "x"])
def test_starts_that_make_no_sense(page: TestClient, start: str) -> None:
    """They are refused, and so is going on without end."""
    assert_refused(page.post("/api/search", data=LIKE | {"start": start}), 422, "bad_request")


def test_the_last_page_that_is_given(shop: Shop, opened: OPEN) -> None:
    """Where no later one may be asked for, none is promised."""
    page = opened(shop, Limits(deepest=3))
    assert page.post("/api/search", data=LIKE | {"k": "3"}).json()["more"] is True
    assert page.post("/api/search", data=LIKE | {"k": "3", "start": "3"}).json()["more"] is False


def test_an_empty_file_is_called_empty(page: TestClient) -> None:
    """It is not called a damaged picture."""
    error = assert_refused(page.post("/api/search", files={"picture": ("a.jpg", b"")}), 415, "empty")
    assert error["message"] == "This file is empty."


# The owner's look


def test_a_title_and_names_for_people(shop: Shop, opened: OPEN) -> None:
    """The configuration says what page and categories are called; addresses and the API keep the real names."""
    page = opened(styled(shop, title="Chez <Nous>", categories={"lamp": "Lamps & lights"}))
    told = page.get("/api/catalogue").json()
    assert told["title"] == "Chez <Nous>"
    assert told["categories"][1] == {"name": "lamp", "label": "Lamps & lights", "count": 6}
    card = page.get("/api/products/lamp/a0.png").json()
    assert (card["category"], card["label"]) == ("lamp", "Lamps & lights")
    drawn = page.get("/search", params=LIKE).text
    assert "<title>Chez &lt;Nous&gt;" in drawn
    assert ">Lamps &amp; lights</span></a>" in drawn
    assert "category=lamp" in drawn


def test_underscores_are_blanks_to_people(shop: Shop) -> None:
    """Without a name of its own a category is read as it is written, but for underscores."""
    assert Appearance(shop.settings).called("windsor_chair") == "windsor chair"


@pytest.mark.parametrize(
    ("name", "data", "media"),
    [("logo.svg", b"<svg xmlns='http://www.w3.org/2000/svg'/>", "image/svg+xml"), ("logo.PNG", b"png", "image/png")],
)
def test_a_logo(shop: Shop, opened: OPEN, tmp_path: Path, name: str, data: bytes, media: str) -> None:
    """The owner's picture stands beside the title; a script in it does not run."""
    (tmp_path / name).write_bytes(data)
    page = opened(styled(shop, logo=tmp_path / name))
    assert '<img src="logo"' in page.get("/").text
    answer = page.get("/logo")
    assert (answer.content, answer.headers["content-type"]) == (data, media)
    assert "default-src 'none'" in answer.headers["content-security-policy"]


def test_logos_that_cannot_be(shop: Shop, tmp_path: Path) -> None:
    """A logo that is not there, too large or no picture is told when the page starts."""
    (tmp_path / "large.png").write_bytes(bytes(1024 * 1024 + 1))
    (tmp_path / "logo.html").write_text("<script>")
    for name, words in (("none.png", "cannot be read"), ("large.png", "larger than 1 MB"), ("logo.html", "none of")):
        with pytest.raises(ConfigError, match=words):
            Appearance(styled(shop, logo=tmp_path / name).settings)


def test_no_logo(page: TestClient) -> None:
    """Without one the page's own mark is shown."""
    assert_refused(page.get("/logo"), 404, "not_found")
    assert 'src="static/mark.svg"' in page.get("/").text


@pytest.mark.parametrize("colour", ["#000000", "#ffffff", "#ffff00", "#0000ff", "#808080", "#ff0000", "#0a6b4f"])
def test_an_accent_can_be_read(shop: Shop, opened: OPEN, colour: str) -> None:
    """Whatever the owner's colour, its letters and the letters on it have the contrast that small ones need."""
    page = opened(styled(shop, accent=colour))
    assert 'href="accent.css"' in page.get("/").text
    answer = page.get("/accent.css")
    assert answer.headers["content-type"].startswith("text/css")
    rules = [dict(re.findall(r"--([a-z-]+): (#\w+);", rule)) for rule in answer.text.split("@media")]
    for rule, grounds in zip(rules, (("#f6f2ec", "#fffdfa"), ("#161412", "#211e1b")), strict=True):
        for ground in (*grounds, rule["on-accent"]):
            assert contrast(rule["accent"], ground) >= 4.5
        assert contrast(rule["accent-deep"], rule["on-accent"]) >= 4.5
        assert contrast(rule["accent"], rule["tint"]) >= 3


def test_a_colour_that_can_be_read_stays() -> None:
    """Nothing is changed without need."""
    assert readable("#0a6b4f", "#f6f2ec") == "#0a6b4f"


# Languages


def test_german(shop: Shop, opened: OPEN) -> None:
    """The page speaks the configured language, errors included; the API speaks English."""
    page = opened(styled(shop, language="de"))
    start, drawn = page.get("/").text, page.get("/search", params=LIKE).text
    assert '<html lang="de">' in start
    assert "Foto auswählen" in start
    assert "12 Bilder zum Durchsuchen" in start
    assert "Mehr davon" in drawn
    refused = page.get("/search", params={"like": "nobody"})
    assert "Dieses Produkt gibt es im Katalog nicht." in refused.text
    assert "Zum Anfang" in refused.text
    assert page.post("/api/search", data={"like": "nobody"}).json()["error"]["message"].startswith("There is no")


class _Words(HTMLParser):
    """Collects what people read of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.words: list[str] = []
        self._inside: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._inside.append(tag)
        self.words += [value or "" for name, value in attrs if name in ("aria-label", "title", "alt")]

    def handle_endtag(self, tag: str) -> None:
        while self._inside and self._inside.pop() != tag:
            pass

    def handle_data(self, data: str) -> None:
        if not {"script", "style"} & set(self._inside):
            self.words.append(data)


def test_no_english_is_left_in_german(shop: Shop, opened: OPEN) -> None:
    """No text of the English page is found in the German one, but where both are the same word."""
    english, german = Texts("en").words, Texts("de").words
    differing = {text for key, text in english.items() if text and text != german[key] and "{" not in text}
    page = opened(styled(shop, language="de"))
    for address in ("/", "/search?like=lamp/a0.png&all=1", "/search?like=nobody"):
        reader = _Words()
        reader.feed(page.get(address).text)
        assert {word.strip() for word in reader.words} & differing == set(), address


def test_every_language_has_every_text() -> None:
    """With the same places to fill in; and words for every error but in English, which the API speaks."""
    english = Texts("en").words
    for language in languages():
        texts = Texts(language)
        assert texts.words.keys() == english.keys()
        for key, text in texts.words.items():
            assert set(re.findall(r"{\w+}", text)) == set(re.findall(r"{\w+}", english[key])), key
        if language != "en":
            assert texts.errors.keys() == set(get_args(Code))
            assert all(len(pair) == 2 for pair in texts.errors.values())


def test_every_text_is_used_and_every_used_one_is_there() -> None:
    """Templates and scripts name texts that exist, and none is left over."""
    sources = "".join(path.read_text("utf-8") for path in (*STATIC.glob("*.js"), *TEMPLATES.iterdir()))
    used = set(re.findall(r"\bt\(\s*[\"'](\w+)[\"']", sources)) | set(
        re.findall(r"words\(\"\w+\", \"(\w+)\"\)", sources)
    )
    there = {re.sub("_(one|other|message|hint)$", "", key) for key in Texts("en").words}
    assert {re.sub("_(message|hint)$", "", key) for key in used} == there


def test_an_error_without_words_of_its_own_is_told_in_english() -> None:
    """Rather than not at all."""
    words = Words("busy", 503, "Busy.", "Wait.")
    assert Texts("en").error(words) == {"code": "busy", "message": "Busy.", "hint": "Wait."}
    assert Texts("de").error(words)["message"] == "Gerade suchen zu viele."


def test_the_description_has_the_mark_of_the_page(page: TestClient) -> None:
    """Without it browsers ask for /favicon.ico, which is another site's behind a proxy."""
    (icon,) = re.findall(r'<link rel="icon" href="([^"]+)"', page.get("/docs").text)
    assert page.get(f"/{icon}").status_code == 200


@pytest.mark.parametrize(
    ("language", "words"), [("en", "There is no such page."), ("de", "Diese Seite gibt es nicht.")]
)
def test_an_address_where_there_is_nothing(shop: Shop, opened: OPEN, language: str, words: str) -> None:
    """People read a sentence and get a link to the start, from below any path; programs get JSON."""
    page = opened(styled(shop, language=language), front=Front("/visual"))
    answer = page.get("/visual/no/such", headers={"accept": "text/html,*/*;q=0.8"})
    assert answer.status_code == 404
    assert words in answer.text
    for address in re.findall(r'(?:href|src)="([^"]+)"', answer.text):
        assert page.get(address).status_code == 200, address
    assert_refused(page.get("/visual/no/such"), 404, "not_found")
