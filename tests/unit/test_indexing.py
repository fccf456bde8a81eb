"""ddsim.indexing: every good picture is in the index once, every bad one in the report."""

from __future__ import annotations

import itertools
import os
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from rooms import Shop, picture
from stock import UNREADABLE, assert_built_once_at_the_end, assert_sound, index, make_unreadable, names

from ddsim import (
    ImageError,
    InvalidRequest,
    Progress,
    scan,
)
from ddsim.indexing import index_catalogue


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    """A shop with an empty catalogue; four pictures go in one request."""
    return Shop(tmp_path, {"classification": None})


@pytest.mark.parametrize("count", [1, 2, 4, 5, 6, 13])
def test_every_item_once(shop: Shop, count: int) -> None:
    """However many items there are for batches of four, each is found exactly once, itself first."""
    shop.add(*names("lamp", count))
    report = index(shop)
    assert (report.indexed, report.failures, report.dimension) == (count, (), 392)
    assert report.seconds > 0
    assert_built_once_at_the_end(shop.tap)
    assert_sound(shop, names("lamp", count))


def test_names_come_back_as_they_are(shop: Shop) -> None:
    """Spaces, markup, percent signs, emoji, newlines and depth survive the way through the index."""
    odd = ["a b.png", "[red]x.png", "100%.png", "椅子 🛋.png", "two\nlines.png", "deep/er/x.png", "-dash.png", "\\.png"]
    uris = [f"lamp/{name}" for name in odd]
    shop.add(*uris)
    assert not index(shop).failures
    assert_sound(shop, uris)


def test_equal_pictures_are_both_in_it(shop: Shop) -> None:
    """Two items of the same content are two items."""
    for uri in ("lamp/a.png", "lamp/b.png", "bed/c.png"):
        shop.add_picture(uri, picture(7))
    index(shop)
    assert shop.indexed() == ["bed/c.png", "lamp/a.png", "lamp/b.png"]


def spoil(shop: Shop) -> dict[str, str]:
    """Fill the catalogue with what is no usable picture; uri -> part of the reason."""
    whole = shop.add("lamp/whole.png")[0].read_bytes()
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    jpeg = shop.root / "photo.jpg"
    Image.fromarray(noise).save(jpeg, "JPEG")
    shop.add_bytes("lamp/a-zero.jpg", b"")
    shop.add_bytes("lamp/b-cut.png", whole[: len(whole) // 2])
    shop.add_bytes("lamp/c-cut.jpg", jpeg.read_bytes()[:900])
    shop.add_bytes("lamp/d-text.jpg", b"these are words and no picture")
    shop.add_picture("lamp/e^caret.png", picture(40))
    (shop.catalogue / "lamp" / "folder.jpg").mkdir()
    shop.add_fifo("lamp/f-pipe.jpg")
    (shop.catalogue / "lamp" / "g-broken.jpg").symlink_to("nowhere.jpg")
    bomb = b"\x89PNG\r\n\x1a\n" + b"\0\0\0\rIHDR" + (60000).to_bytes(4, "big") * 2 + b"\x08\2\0\0\0" + bytes(4)
    shop.add_bytes("lamp/h-bomb.png", bomb)
    return {
        "lamp/a-zero.jpg": "empty, 0 bytes",
        "lamp/b-cut.png": "cut short",
        "lamp/c-cut.jpg": "cut short",
        "lamp/d-text.jpg": "not a picture",
        "lamp/e^caret.png": "rename the picture",
        "lamp/f-pipe.jpg": "not a regular file",
        "lamp/g-broken.jpg": "no such file",
        "lamp/h-bomb.png": "",
    }


def test_bad_files_are_reported_and_do_not_stop_the_run(shop: Shop) -> None:
    """Everything that is no usable picture is listed with its reason, in order; all others are found."""
    bad = spoil(shop)
    good = [*names("bed", 3), "lamp/whole.png", *names("table", 5)]
    shop.add(*names("bed", 3), *names("table", 5))
    report = index(shop)
    assert [failure.uri for failure in report.failures] == sorted(bad)
    for failure in report.failures:
        assert bad[failure.uri] in failure.reason
        assert failure.reason
        assert str(shop.root) not in failure.reason
    assert report.indexed == len(good)
    assert_built_once_at_the_end(shop.tap)
    assert_sound(shop, good)


def test_a_name_that_is_not_unicode_is_reported(shop: Shop) -> None:
    """An index cannot hold such a name: the file is listed as failed, the others are indexed."""
    shop.add("lamp/a.png")
    with open(os.fsencode(shop.catalogue) + b"/lamp/\xff.png", "wb") as file:
        picture(9).save(file, "PNG")
    report = index(shop)
    assert [failure.uri for failure in report.failures] == ["lamp/\udcff.png"]
    assert "Unicode" in report.failures[0].reason
    assert shop.indexed() == ["lamp/a.png"]


@pytest.mark.parametrize("position", [0, 1, 4, 5, 8])
def test_one_picture_that_only_the_server_cannot_read(shop: Shop, position: int) -> None:
    """Wherever it lies, it is found by halving and reported; all others are indexed, none twice."""
    uris = names("lamp", 9)
    shop.add(*uris)
    make_unreadable(shop, [uris[position]])
    report = index(shop)
    assert [(failure.uri, failure.reason) for failure in report.failures] == [(uris[position], UNREADABLE)]
    assert report.indexed == 8
    assert_built_once_at_the_end(shop.tap)
    # 8 pictures after the one kept back, in batches of 4: at worst 4, 2, 2, 1, 1, then the others.
    assert len(shop.tap.index_calls) <= 7
    shop.tap.faults.clear()
    assert_sound(shop, [uri for uri in uris if uri != uris[position]])


@pytest.mark.parametrize("bad", [(1, 2), (1, 4), (0, 1), (5, 6, 7, 8), (0, 1, 2, 3, 4, 5, 6, 7), (8,)])
def test_several_pictures_that_the_server_cannot_read(shop: Shop, bad: tuple[int, ...]) -> None:
    """Side by side, apart, a whole batch of them, all but the last one: the others are indexed once."""
    uris = names("lamp", 9)
    shop.add(*uris)
    make_unreadable(shop, [uris[position] for position in bad])
    report = index(shop)
    assert [failure.uri for failure in report.failures] == [uris[position] for position in bad]
    assert_built_once_at_the_end(shop.tap)
    shop.tap.faults.clear()
    assert_sound(shop, [uri for position, uri in enumerate(uris) if position not in bad])


def test_halving_is_cheap(shop: Shop) -> None:
    """One bad picture among 32 costs ten requests more, and nobody is sent to the index twice with success."""
    shop.configure(index={"batch_size": 32})
    uris = names("lamp", 33)
    shop.add(*uris)
    make_unreadable(shop, [uris[20]])
    index(shop)
    assert len(shop.tap.index_calls) == 1 + 2 * 5 + 1
    successes = Counter(uri for sent in shop.tap.index_calls for uri in sent.ids if uris[20] not in sent.ids)
    assert set(successes.values()) == {1}


def test_nothing_readable_here(shop: Shop) -> None:
    """Without one usable picture there is nothing to index, which is an error with a picture and its reason."""
    for name in ("a.jpg", "b.jpg"):
        shop.add_bytes(f"lamp/{name}", b"no picture")
    with pytest.raises(ImageError, match="not one other picture of the catalogue can be read") as caught:
        index(shop)
    assert caught.value.source in ("lamp/a.jpg", "lamp/b.jpg")
    assert not shop.tap.index_calls
    assert shop.indexed() == []


def test_nothing_readable_there(shop: Shop) -> None:
    """A server that reads not one of the pictures is asked once for each, and no index is built."""
    uris = names("lamp", 6)
    shop.add(*uris)
    make_unreadable(shop, uris)
    with pytest.raises(ImageError, match="Could not read image"):
        index(shop)
    assert not shop.tap.index_calls


def test_batches_by_count(shop: Shop) -> None:
    """No request holds more pictures than configured, and they are not sent one by one either."""
    shop.add(*names("lamp", 11))
    index(shop)
    assert [len(sent.ids) for sent in shop.tap.index_calls] == [4, 4, 2, 1]
    forward = [sent.json["parameters"]["mllib"]["net"]["test_batch_size"] for sent in shop.tap.index_calls]
    assert forward == [4, 4, 2, 1]


def test_batches_by_bytes(shop: Shop) -> None:
    """No request holds more bytes than configured, each as much as fits; a single larger picture goes alone."""
    shop.configure(index={"batch_size": 256, "batch_bytes": 100_000}, upload={"shrink": False})
    rng = np.random.default_rng(5)
    for number in range(30):
        side = 200 if number == 17 else 60
        noise = rng.integers(0, 256, (side, side, 3), dtype=np.uint8)
        shop.add_picture(f"lamp/{number:02d}.png", Image.fromarray(noise))
    index(shop)
    calls = shop.tap.index_calls[:-1]
    sizes = [[len(data) for data in sent.json["data"]] for sent in calls]
    assert all(sum(batch) <= 100_000 or len(batch) == 1 for batch in sizes)
    assert ["lamp/17.png"] in [sent.ids for sent in calls]
    assert all(sum(batch) + following[0] > 100_000 for batch, following in itertools.pairwise(sizes))
    assert_sound(shop, names("lamp", 30))


def test_progress(shop: Shop) -> None:
    """Progress never goes back, never beyond the total, and ends there; failures are counted as they come."""
    spoil(shop)
    shop.add(*names("bed", 3), *names("table", 9))
    make_unreadable(shop, ["table/04.png"])
    seen: list[Progress] = []
    report = index_catalogue(shop.client(), shop.settings, scan(shop.catalogue), progress=seen.append)
    total = report.indexed + len(report.failures)
    assert [one.done for one in seen] == sorted(one.done for one in seen)
    assert [one.failed for one in seen] == sorted(one.failed for one in seen)
    assert {one.total for one in seen} == {total}
    assert seen[-1] == Progress(total, total, len(report.failures))
    assert len(seen) >= len(shop.tap.index_calls) / 2


def test_an_error_in_the_progress_callback_comes_out(shop: Shop) -> None:
    """What a caller's callback raises ends the run and is not swallowed; the next run is sound."""
    shop.add(*names("lamp", 9))

    def stop(_: Progress) -> None:
        raise KeyboardInterrupt

    client = shop.client()
    with pytest.raises(KeyboardInterrupt):
        index_catalogue(client, shop.settings, scan(shop.catalogue), progress=stop)
    index(shop, client)
    assert_sound(shop, names("lamp", 9))


def test_an_item_given_twice(shop: Shop) -> None:
    """Two items of one name would be one in a request and two in the index: refused before anything is sent."""
    shop.add(*names("lamp", 3))
    items = scan(shop.catalogue)
    with pytest.raises(InvalidRequest, match=r"lamp/01\.png"):
        index_catalogue(shop.client(), shop.settings, [*items, items[1]])
    assert not shop.tap.sent


def test_no_items(shop: Shop) -> None:
    """Nothing to index is an error, not an empty build, which would kill a server."""
    with pytest.raises(ImageError, match="there is nothing in it"):
        index_catalogue(shop.client(), shop.settings, [])
    assert not shop.tap.index_calls


def test_another_layer(shop: Shop) -> None:
    """The configured layer is what is indexed; after a change of layer the same client indexes anew."""
    shop.add(*names("lamp", 3))
    client = shop.client()
    assert index(shop, client).dimension == 392
    shop.configure(similarity={"extract_layer": "fc1"})
    assert index(shop, client).dimension == 16
    assert_sound(shop, names("lamp", 3))
