"""Catalogues in tables of addresses: CSV and Parquet, and all that can be wrong with them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from elsewhere import Answered, Web

from ddsim.catalogue import Kind, Survey
from ddsim.errors import ConfigError, ImageError
from ddsim.sources.bucket import Bucket
from ddsim.sources.fetching import Fetcher
from ddsim.sources.table import TableSource

LIMIT = 10_000


@pytest.fixture
def table(tmp_path: Path, web: Web) -> Iterator[Callable[..., TableSource]]:
    """Writes a table and opens it; WEB in it stands for the web server."""
    with ExitStack() as stack:

        def make(text: str | bytes, name: str = "products.csv", *, allow_private: bool = True) -> TableSource:
            file = tmp_path / name
            content = text if isinstance(text, bytes) else text.replace("WEB", web.url).encode()
            file.write_bytes(content)
            source = TableSource(
                file,
                Fetcher(allow_private=allow_private),
                lambda scheme: Bucket(scheme, endpoint=web.url, anonymous=True),
                readers=4,
                max_bytes=LIMIT,
            )
            stack.callback(source.close)
            return source

        yield make


def found(source: TableSource, survey: Survey | None = None) -> list[tuple[str, str]]:
    """Uri and category of all items."""
    return [(one.uri, one.category) for one in source.walk(survey or Survey())]


def wrong(source: TableSource) -> dict[str, str]:
    """What is said of rows that cannot be used."""
    survey = Survey()
    found(source, survey)
    return survey.shut


def repeated(source: TableSource) -> list[str]:
    """What is said of rows that are passed over for earlier ones."""
    survey = Survey()
    found(source, survey)
    return survey.met[Kind.REPEATED].examples


def test_rows_are_items(table: Any, web: Web) -> None:
    """Category and uri are the table's own; without a uri it is made of the category and the address."""
    web.files = {"/a.jpg": b"one", "/deep/b.png": b"two"}
    source = table("price;URL;Category;uri\n1;WEB/a.jpg;lamp;lamps/first\n2;WEB/deep/b.png?size=1;bed;\n")
    assert found(source) == [("bed/b.png", "bed"), ("lamps/first", "lamp")]
    assert source.read("lamps/first", LIMIT) == b"one"
    assert source.read("bed/b.png", LIMIT) == b"two"
    assert source.place("bed/b.png") == f"{web.url}/deep/b.png?size=1"
    assert source.digest(next(iter(source.walk(Survey()))).path)
    with pytest.raises(ImageError, match="no row with this uri"):
        source.read("lamp/none", LIMIT)


@pytest.mark.parametrize(
    "text",
    ["url,category\nWEB/a.jpg,lamp\n", "category\turl\nlamp\tWEB/a.jpg\n", "\ufeffcategory;url\nlamp; WEB/a.jpg \n"],
)
def test_what_spreadsheets_write(table: Any, web: Web, text: str) -> None:
    """Commas, semicolons, tabs, a mark at the beginning, blanks around."""
    web.files = {"/a.jpg": b"one"}
    assert found(table(text)) == [("lamp/a.jpg", "lamp")]


def test_parquet(table: Any, web: Web, tmp_path: Path) -> None:
    """The same columns, and others beside them."""
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    web.files = {"/a.jpg": b"one"}
    columns = {"url": [f"{web.url}/a.jpg", None], "category": ["lamp", "bed"], "price": [1.5, 2.5]}
    parquet.write_table(pyarrow.table(columns), tmp_path / "made.parquet")
    source = table((tmp_path / "made.parquet").read_bytes(), "shop.parquet")
    survey = Survey()
    assert found(source, survey) == [("lamp/a.jpg", "lamp")]
    assert survey.shut == {"row 2": "row 2 of shop.parquet: url is empty"}
    with pytest.raises(ConfigError, match="cannot be read as Parquet"):
        found(table(b"url,category\n", "no.parquet"))


def test_a_version_saves_questions(table: Any, web: Web) -> None:
    """What a table says of its pictures is not asked of their servers; another version is another stamp."""
    source = table("url,category,version\nWEB/a.jpg,lamp,1\n")
    (first,) = list(source.walk(Survey()))
    source._file.write_text(source._file.read_text("utf-8").replace(",1\n", ",22\n"), "utf-8")
    (second,) = list(source.walk(Survey()))
    assert web.asked == []
    assert first.mtime_ns != second.mtime_ns


def test_a_table_that_changes_is_read_again(table: Any, web: Web) -> None:
    """Also by a page that is served meanwhile."""
    web.files = {"/a.jpg": b"one", "/b.jpg": b"two"}
    source = table("url,category,uri\nWEB/a.jpg,lamp,lamp/x\n")
    assert source.read("lamp/x", LIMIT) == b"one"
    source._file.write_text(f"url,category,uri\n{web.url}/b.jpg,lamp,lamp/x\n\n", "utf-8")
    assert source.read("lamp/x", LIMIT) == b"two"


@pytest.mark.parametrize(
    ("head", "words"),
    [
        ("urls,category", "no column 'url'; did you mean 'urls'?"),
        ("url,kategorie", "no column 'category'; did you mean 'kategorie'?"),
        ("a,b", "no column 'url'. There are 'a', 'b'; a table"),
        ("url,category,url", "'url' is there twice"),
        ("", "There are none in its first line; a table"),
    ],
)
def test_missing_columns(table: Any, head: str, words: str) -> None:
    """It is said which there are, and which may be meant."""
    with pytest.raises(ConfigError) as caught:
        found(table(f"{head}\n1,2,3\n"))
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("row", "words"),
    [
        (",lamp,", "url is empty"),
        ("http://h/a.jpg,,", "category is empty"),
        ("http://h/a.jpg,a/b,", "a plain name is needed"),
        ("http://h/a.jpg,..,", "a plain name is needed"),
        ("http://h/a.jpg,lamp,../../etc/passwd", ". or .. between slashes"),
        ("http://h/a.jpg,lamp,lamp//x", "empty part"),
        ("file:///etc/passwd,lamp,", "expected an address"),
        ("a.jpg,lamp,", "expected an address"),
        ("http://:80/a.jpg,lamp,", "expected an address"),
        ("http://[::1/a.jpg,lamp,", "expected an address"),
    ],
)
def test_wrong_rows(table: Any, row: str, words: str) -> None:
    """Each is told with its number; the others go on."""
    (told,) = wrong(table(f"url,category,uri,version\n{row},\nhttp://h/b.jpg,lamp,,1\n")).values()
    assert told.startswith("row 2 of products.csv: ")
    assert words in told


def test_uris_that_are_there_twice(table: Any, web: Web) -> None:
    """The first one counts, and it is told where the other is; the very same row again says nothing."""
    web.files = {"/1/a.jpg": b"one", "/2/a.jpg": b"two"}
    source = table("url,category\nWEB/1/a.jpg,lamp\nWEB/1/a.jpg,lamp\nWEB/2/a.jpg,lamp\n")
    assert repeated(source) == ["row 4 (lamp/a.jpg; row 2 has another url, and counts)"]
    assert wrong(source) == {}
    assert source.read("lamp/a.jpg", LIMIT) == b"one"


def test_rows_that_differ_in_category_or_version_alone(table: Any, web: Web) -> None:
    """They are told as those with another url are: the first one counts."""
    web.files = {"/a.jpg": b"one"}
    text = "url,category,uri,version\nWEB/a.jpg,lamp,first,1\nWEB/a.jpg,bed,first,1\nWEB/a.jpg,lamp,second,1\n"
    source = table(text + "WEB/a.jpg,bed,second,2\nWEB/a.jpg,lamp,first,1\n")
    assert repeated(source) == [
        "row 3 (first; row 2 has another category, and counts)",
        "row 5 (second; row 4 has another category and version, and counts)",
    ]
    assert wrong(source) == {}
    assert found(source) == [("first", "lamp"), ("second", "lamp")]


def test_another_url_is_another_picture(table: Any, web: Web) -> None:
    """Under the same version, too; one that is only signed anew is the same, and no server is asked."""
    text = "url,category,uri,version\nWEB/{},lamp,first,1\n"
    stamps = [
        next(iter(table(text.format(name)).walk(Survey()))).mtime_ns for name in ("a.jpg", "b.jpg", "a.jpg?signed=2")
    ]
    assert stamps[0] == stamps[2] != stamps[1]
    assert web.asked == []


def test_passwords_are_shown_nowhere(table: Any, web: Web) -> None:
    """Not those of rows that are wrong, nor of pictures that cannot be had; what is fetched is asked with them."""
    text = "url,category,uri,version\n{},lamp,lamp/a,1\n"
    for url in (
        "http://joe:hunter2@host:99999/x.jpg",
        "http://joe:hunter/2@host/x.jpg",
        "joe:hunter2@host",
        "s3://joe:hunter2@host/x",
    ):
        told = wrong(table(text.format(url)))
        assert "***@host" in told["lamp/a"]
        assert "hunter" not in str(told)
    assert "hunter" not in str(wrong(table("url,category\njoe:hunter2@host,lamp\n")))
    for url in ("http://joe:hunter2@no host/x.jpg", "http://joe:hunter2@127.0.0.1:9/x.jpg"):
        with pytest.raises(ImageError) as caught:
            table(text.format(url)).read("lamp/a", LIMIT)
        assert "hunter" not in str(caught.value)
    source = table(text.format(web.url.replace("//", "//joe:hunter2@") + "/a@2x.jpg"))
    assert source.place("lamp/a") == web.url.replace("//", "//***@") + "/a@2x.jpg"
    with pytest.raises(ImageError, match="404") as caught:
        source.read("lamp/a", LIMIT)
    assert str(caught.value).startswith(source.place("lamp/a"))
    web.files["/a@2x.jpg"] = b"one"
    assert source.read("lamp/a", LIMIT) == b"one"
    assert web.logins == ["joe:hunter2"] * 2


def test_many_wrong_rows_are_counted(table: Any) -> None:
    """A hundred are named."""
    rows = "".join(f"nowhere{number},lamp,lamp/{number}\n" for number in range(150))
    told = wrong(table("url,category,uri\n" + rows))
    assert len(told) == 101
    assert told["50 more rows"] == "of products.csv cannot be used"


def test_pictures_that_cannot_be_had(table: Any, web: Web) -> None:
    """A picture that is gone, and one at a private address, are told; what is known of them stays."""
    web.files = {"/a.jpg": b"one"}
    web.special["/b.jpg"] = Answered(status=410)
    text = "url,category\nWEB/a.jpg,lamp\nWEB/b.jpg,lamp\n"
    assert wrong(table(text)) == {"lamp/b.jpg": "the server there answers 410 Gone"}
    told = wrong(table(text, allow_private=False))
    assert set(told) == {"lamp/a.jpg", "lamp/b.jpg"}
    assert all("of this machine or its own network" in reason for reason in told.values())


@pytest.mark.parametrize(
    ("content", "words"), [(b"url,category\n\xff,lamp\n", "not UTF-8"), (b"url,category\n", "no rows")]
)
def test_files_that_are_no_tables(table: Any, content: bytes, words: str) -> None:
    """They are refused as a whole."""
    with pytest.raises(ConfigError, match=words):
        found(table(content))


def test_a_table_that_is_gone(table: Any) -> None:
    """As a folder that is gone."""
    source = table("url,category\n")
    source._file.unlink()
    with pytest.raises(ConfigError, match="cannot be read"):
        found(source)


def test_a_field_without_end(table: Any) -> None:
    """A quote that is not closed does not swallow a gigabyte."""
    with pytest.raises(ConfigError, match="cannot be read"):
        found(table('url,category\n"' + "x" * (2 << 20)))
