"""Catalogues in buckets: S3 as moto plays it, Google's storage as a small server does."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any
from urllib.parse import unquote

import pytest
from elsewhere import Storage

import ddsim.sources.bucket
from ddsim.catalogue import Address, Kind, Patterns, Survey
from ddsim.errors import CapabilityError, CatalogueUnreachable, ConfigError, ImageError
from ddsim.sources.bucket import Bucket, BucketSource

LIMIT = 1000
OBJECTS = {
    "pictures/lamp/a.jpg": b"a",
    "pictures/lamp/more/ö.jpg": b"b",
    "pictures/bed/c.jpg": b"c",
    "pictures/bed/": b"",
    "pictures/loose.jpg": b"d",
    "pictures-of-others/x.jpg": b"e",
}
FOUND = [("bed/c.jpg", "bed"), ("lamp/a.jpg", "lamp"), ("lamp/more/ö.jpg", "lamp")]


@pytest.fixture(params=["s3", "gs"])
def made(request: pytest.FixtureRequest) -> Iterator[Callable[[dict[str, bytes]], tuple[BucketSource, Any]]]:
    """Fills bucket ``shop`` of a service and gives its folder ``pictures`` as a source, and what changes it."""
    service = request.getfixturevalue("s3" if request.param == "s3" else "storage")

    def make(objects: dict[str, bytes]) -> tuple[BucketSource, Any]:
        if request.param == "s3":
            client = service(objects)
            bucket = Bucket("s3", endpoint=client.url)

            def put(key: str, content: bytes | None) -> None:
                if content is None:
                    client.delete_object(Bucket="shop", Key=key)
                else:
                    client.put_object(Bucket="shop", Key=key, Body=content)
        else:
            service.objects["shop"] = dict(objects)
            bucket = Bucket("gs", endpoint=service.url, anonymous=True)

            def put(key: str, content: bytes | None) -> None:
                if content is None:
                    del service.objects["shop"][key]
                else:
                    service.objects["shop"][key] = content

        address = Address(f"{request.param}://shop/pictures")
        return BucketSource(address, bucket, Patterns(), readers=4, max_bytes=LIMIT), put

    return make


def test_a_bucket_is_a_catalogue(made: Any) -> None:
    """Keys below the prefix are items, those that stand for folders are none, and loose ones are counted."""
    source, _ = made(OBJECTS)
    survey = Survey()
    assert [(one.uri, one.category) for one in source.walk(survey)] == FOUND
    assert survey.met[Kind.LOOSE].examples == ["loose.jpg"]
    assert source.read("lamp/more/ö.jpg", LIMIT) == b"b"
    assert source.place("lamp/a.jpg").endswith("://shop/pictures/lamp/a.jpg")


def test_it_is_listed_page_by_page(made: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first item comes before the second page is asked for, and none is lost between pages."""
    monkeypatch.setattr(ddsim.sources.bucket, "_PAGE", 3)
    names = [f"lamp/{number:02d}.jpg" for number in range(11)]
    source, put = made({f"pictures/{name}": b"x" for name in names})
    walked = source.walk(Survey())
    assert next(walked).uri == names[0]
    put("pictures/lamp/10.jpg", None)  # what is gone before its page was asked for is not there
    assert [one.uri for one in walked] == names[1:-1]


def test_etags_tell_what_has_changed(made: Any) -> None:
    """Written anew with the same content an object is the same, with another it is not."""
    source, put = made(OBJECTS)
    before = {one.uri: (one.size, one.mtime_ns) for one in source.walk(Survey())}
    put("pictures/lamp/a.jpg", b"a")
    put("pictures/bed/c.jpg", b"d")
    after = {one.uri: (one.size, one.mtime_ns) for one in source.walk(Survey())}
    assert [uri for uri in before if before[uri] != after[uri]] == ["bed/c.jpg"]


def test_what_cannot_be_read(made: Any) -> None:
    """Gone, empty and huge objects are told one by one."""
    source, _ = made(OBJECTS | {"pictures/lamp/empty.jpg": b"", "pictures/lamp/huge.jpg": b"x" * (LIMIT + 1)})
    for name, words in (
        ("gone", "no such object"),
        ("empty", "empty file"),
        ("huge", f"more than the limit of {LIMIT} bytes"),
    ):
        with pytest.raises(ImageError, match=words):
            source.read(f"lamp/{name}.jpg", LIMIT)


def test_odd_names(made: Any) -> None:
    """Keys may hold dots between slashes, or nothing: they are no names of items."""
    source, _ = made({"pictures/lamp/../x.jpg": b"1", "pictures/lamp//y.jpg": b"2", "pictures/lamp/ok.jpg": b"3"})
    survey = Survey()
    assert [one.uri for one in source.walk(survey)] == ["lamp/ok.jpg"]
    assert survey.shut.keys() == {"lamp/../x.jpg", "lamp//y.jpg"}


def test_no_bucket(made: Any) -> None:
    """A bucket that is not there, and a prefix with nothing below it."""
    source, _ = made(OBJECTS)
    gone = Address(source.shown.replace("shop", "gone"))
    with pytest.raises(CatalogueUnreachable, match="there is no bucket 'gone'"):
        list(BucketSource(gone, source._bucket, Patterns(), readers=4, max_bytes=LIMIT).walk(Survey()))
    empty = Address(source.shown + "/none")
    with pytest.raises(ConfigError, match="no pictures"):
        list(BucketSource(empty, source._bucket, Patterns(), readers=4, max_bytes=LIMIT).walk(Survey()))


def test_nobody_there(s3: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A service that is not there cannot be listed or read, and that is not the picture's fault."""
    monkeypatch.setattr("s3fs.S3FileSystem.retries", 1)
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    bucket = Bucket("s3", endpoint="http://127.0.0.1:9")
    source = BucketSource(Address("s3://shop/pictures"), bucket, Patterns(), readers=4, max_bytes=LIMIT)
    with pytest.raises(CatalogueUnreachable, match="cannot be read"):
        list(source.walk(Survey()))
    with pytest.raises(CatalogueUnreachable, match="credentials come from the environment"):
        source.read("lamp/a.jpg", LIMIT)


def test_no_credentials(s3: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is said where they come from."""
    client = s3(OBJECTS)
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    source = BucketSource(
        Address("s3://shop/pictures"), Bucket("s3", endpoint=client.url), Patterns(), readers=4, max_bytes=LIMIT
    )
    with pytest.raises(CatalogueUnreachable, match=r"(?i)unable to locate credentials.*AWS_ACCESS_KEY_ID"):
        list(source.walk(Survey()))


def test_without_the_libraries(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is said what to install."""
    monkeypatch.setitem(ddsim.sources.bucket._MODULES, "s3", "no_such_module")
    with pytest.raises(CapabilityError, match=r"\[remote\]"):
        Bucket("s3")


def test_storage_is_listed_through_its_own_pages(storage: Storage) -> None:
    """The size of a page and the prefix go with each request."""
    storage.objects["shop"] = dict(OBJECTS)
    bucket = Bucket("gs", endpoint=storage.url, anonymous=True)
    source = BucketSource(Address("gs://shop/pictures"), bucket, Patterns(), readers=4, max_bytes=LIMIT)
    with closing(source):
        assert [one.uri for one in source.walk(Survey())] == [uri for uri, _ in FOUND]
    assert all("maxResults=1000" in target and "prefix=pictures/" in unquote(target) for target in storage.asked)
