"""ddsim.indexing.run: every good picture is in the index once, every bad one in quarantine, in batches that fit."""

from __future__ import annotations

import itertools
import json
import os
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from homes import HOMES, StrictTap
from PIL import Image
from shop import Shop, picture
from stock import UNREADABLE, assert_sound, index, make_unreadable, names, sent_batches, sent_uris

from ddsim import Progress


def open_shop(root: Path, home: str) -> Shop:
    """A shop with an empty catalogue whose index is kept there; four pictures go in one request."""
    settings, profile = HOMES[home]
    base = {"classification": None, "similarity": {"extract_layer": "fc1"}, "index": {"batch_size": 4, **settings}}
    return Shop(root, base, tap=StrictTap(profile=profile))


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    """One whose index is the server's."""
    return open_shop(tmp_path, "server")


@pytest.fixture(params=["server", "local"])
def either(request: pytest.FixtureRequest, tmp_path: Path) -> Shop:
    """One of either home."""
    return open_shop(tmp_path, request.param)


@pytest.mark.parametrize("count", [1, 4, 13])
def test_every_item_once(either: Shop, count: int) -> None:
    """However many items there are for batches of four, each is sent once and found exactly once, itself first."""
    either.add(*names("lamp", count))
    report = index(either, audit=True)
    assert (report.indexed, report.sent, report.failures, report.dimension) == (count, count, (), 16)
    assert (report.rows, report.tombstones, report.twins, report.finished) == (count, 0.0, 0, True)
    assert report.changes["new"] == count
    assert report.audit is not None
    assert (report.audit.checked, report.audit.problems) == (count, ())
    assert report.seconds > 0
    assert sent_batches(either)[: -(-count // 4)] == [
        names("lamp", count)[start : start + 4] for start in range(0, count, 4)
    ]
    assert_sound(either, names("lamp", count))


def test_it_is_built_at_the_end(shop: Shop) -> None:
    """Below a checkpoint there is one build, after all else, and it brings a row, as a build of nothing kills."""
    shop.add(*names("lamp", 9))
    index(shop)
    assert [sent.builds for sent in shop.tap.sent if sent.indexes] == [False, False, False, True]


def test_it_is_built_at_checkpoints(shop: Shop) -> None:
    """After as many items as configured the index is built, so that a server's death costs no more than those."""
    shop.configure(index={"checkpoint": 8})
    shop.add(*names("lamp", 21))
    index(shop)
    calls = [sent.builds for sent in shop.tap.sent if sent.indexes]
    assert calls == [False, False, True, False, False, True, False, False, True]
    assert_sound(shop, names("lamp", 21))


def test_a_bad_last_batch_is_no_reason_not_to_build(shop: Shop) -> None:
    """Where the batch that was to build holds nothing but bad pictures, what went before is built all the same."""
    uris = names("lamp", 6)
    shop.add(*uris)
    make_unreadable(shop, uris[4:])
    report = index(shop)
    assert (report.indexed, len(report.failures)) == (4, 2)
    assert_sound(shop, uris[:4])


def test_names_come_back_as_they_are(either: Shop) -> None:
    """Spaces, markup, percent signs, emoji, newlines, depth, and what ddsim adds to a name itself survive the way."""
    odd = ["a b.png", "[red]x.png", "100%.png", "椅子 🛋.png", "two\nlines.png", "deep/er/x.png", "-dash.png", "\\.png"]
    uris = [f"lamp/{name}" for name in [*odd, "a#1.png", "a#1.png#7"]]
    either.add(*uris)
    assert not index(either).failures
    assert_sound(either, uris)


def test_equal_pictures_are_both_in_it(either: Shop) -> None:
    """Items of the same content are items of their own; the report counts the groups, and the audit stays green."""
    for uri in ("lamp/a.png", "lamp/b.png", "bed/c.png"):
        either.add_picture(uri, picture(7))
    either.add("bed/other.png")
    report = index(either, audit=True)
    assert (report.indexed, report.sent, report.twins) == (4, 4, 1)
    assert report.audit is not None
    assert report.audit.passed
    assert either.indexed() == ["bed/c.png", "bed/other.png", "lamp/a.png", "lamp/b.png"]
    assert index(either).sent == 0


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


def test_bad_files_are_reported_and_do_not_stop_the_run(either: Shop) -> None:
    """Everything that is no usable picture is listed with its reason, in order; all others are found."""
    bad = spoil(either)
    good = [*names("bed", 3), "lamp/whole.png", *names("table", 5)]
    either.add(*names("bed", 3), *names("table", 5))
    report = index(either)
    assert [failure.uri for failure in report.failures] == sorted(bad)
    for failure in report.failures:
        assert bad[failure.uri] in failure.reason
        assert failure.reason
        assert str(either.root) not in failure.reason
        assert failure.tries == 1
    assert report.indexed == len(good)
    assert sent_uris(either) == sorted(good)
    assert_sound(either, good)


def test_failures_are_listed_in_a_file(shop: Shop) -> None:
    """The report names a file with a JSON object a line for each failure; it is always that of the last run."""
    shop.add("lamp/a.png")
    path = shop.add_bytes("lamp/椅子\n.jpg", b"")
    with open(os.fsencode(shop.catalogue) + b"/lamp/\xff.png", "wb") as file:
        picture(9).save(file, "PNG")
    report = index(shop)
    assert report.failures_file.name == "failures.jsonl"
    lines = [json.loads(line) for line in report.failures_file.read_text("utf-8").splitlines()]
    assert lines == [{"uri": one.uri, "reason": one.reason, "tries": one.tries} for one in report.failures]
    assert [line["uri"] for line in lines] == ["lamp/椅子\n.jpg", "lamp/\udcff.png"]
    path.unlink()
    report = index(shop)
    assert len(report.failures_file.read_text("utf-8").splitlines()) == len(report.failures) == 1


def test_a_name_that_is_not_unicode_is_reported(either: Shop) -> None:
    """An index cannot hold such a name: the file is listed as failed, the others are indexed."""
    either.add("lamp/a.png")
    with open(os.fsencode(either.catalogue) + b"/lamp/\xff.png", "wb") as file:
        picture(9).save(file, "PNG")
    report = index(either)
    assert [failure.uri for failure in report.failures] == ["lamp/\udcff.png"]
    assert "Unicode" in report.failures[0].reason
    assert either.indexed() == ["lamp/a.png"]


@pytest.mark.parametrize("position", [0, 5, 8])
def test_one_picture_that_only_the_server_cannot_read(either: Shop, position: int) -> None:
    """Wherever it lies, it is found by halving and reported with the server's words; all others are indexed once."""
    uris = names("lamp", 9)
    either.add(*uris)
    make_unreadable(either, [uris[position]])
    report = index(either)
    assert [(one.uri, one.reason, one.tries) for one in report.failures] == [(uris[position], UNREADABLE, 1)]
    assert (report.indexed, report.rows) == (8, 8)
    # At worst 4, 2, 2, 1, 1, then the others.
    assert len(sent_batches(either)) <= 7
    either.tap.faults.clear()
    assert_sound(either, [uri for uri in uris if uri != uris[position]])


@pytest.mark.parametrize("bad", [(1, 2), (1, 4), (0, 1, 2, 3, 4, 5, 6, 7), (4, 5, 6, 7, 8)])
def test_several_pictures_that_the_server_cannot_read(shop: Shop, bad: tuple[int, ...]) -> None:
    """Side by side, apart, a whole batch of them, all but the last one: the others are indexed once."""
    uris = names("lamp", 9)
    shop.add(*uris)
    make_unreadable(shop, [uris[position] for position in bad])
    report = index(shop)
    assert [failure.uri for failure in report.failures] == [uris[position] for position in bad]
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
    successes = Counter(uri for batch in sent_batches(shop) for uri in batch if uris[20] not in batch)
    assert set(successes.values()) == {1}


def test_nothing_readable_here(either: Shop) -> None:
    """Without one usable picture all are reported, nothing is sent, and that is no fault of the index."""
    for name in ("a.jpg", "b.jpg"):
        either.add_bytes(f"lamp/{name}", b"no picture")
    report = index(either, audit=True)
    assert (report.indexed, report.sent, len(report.failures), report.finished) == (0, 0, 2, True)
    assert report.audit is not None
    assert report.audit.passed
    assert not either.tap.index_calls
    assert either.indexed() == []


def test_nothing_readable_there(either: Shop) -> None:
    """A server that reads not one of the pictures is asked for each, and all are reported; nothing is built."""
    uris = names("lamp", 6)
    either.add(*uris)
    make_unreadable(either, uris)
    report = index(either)
    assert [failure.uri for failure in report.failures] == uris
    assert (report.indexed, report.rows) == (0, 0)
    assert sum(len(batch) == 1 for batch in sent_batches(either)) == 6
    assert either.indexed() == []


def test_batches_by_count(either: Shop) -> None:
    """No request holds more pictures than configured, and they are not sent one by one either."""
    either.add(*names("lamp", 11))
    index(either)
    assert [len(batch) for batch in sent_batches(either)] == [4, 4, 3]
    calls = [sent.json for sent in either.tap.matching("POST", "/predict") if len(sent.json["data"]) > 1]
    sizes = [call["parameters"]["mllib"]["net"]["test_batch_size"] for call in calls]
    assert sizes == [3, 4, 4, 3]  # the drawn pictures that tell networks apart go first


def test_batches_by_bytes(shop: Shop) -> None:
    """No request holds more bytes than configured, each as much as fits; a single larger picture goes alone."""
    shop.configure(index={"batch_size": 256, "batch_bytes": 100_000}, upload={"shrink": False})
    rng = np.random.default_rng(5)
    for number in range(30):
        side = 200 if number == 17 else 60
        noise = rng.integers(0, 256, (side, side, 3), dtype=np.uint8)
        shop.add_picture(f"lamp/{number:02d}.png", Image.fromarray(noise))
    index(shop)
    sizes = [[len(data) for data in sent.json["data"]] for sent in shop.tap.index_calls]
    assert all(sum(batch) <= 100_000 or len(batch) == 1 for batch in sizes)
    assert ["lamp/17.png"] in sent_batches(shop)
    assert all(sum(batch) + following[0] > 100_000 for batch, following in itertools.pairwise(sizes))
    assert_sound(shop, names("lamp", 30))


def test_progress(either: Shop) -> None:
    """Progress never goes back, never beyond the total, and ends there; failures are counted as they come."""
    spoil(either)
    either.add(*names("bed", 3), *names("table", 9))
    make_unreadable(either, ["table/04.png"])
    seen: list[Progress] = []
    report = index(either, progress=seen.append)
    total = report.indexed + len(report.failures)
    assert [one.done for one in seen] == sorted(one.done for one in seen)
    assert [one.failed for one in seen] == sorted(one.failed for one in seen)
    assert {one.total for one in seen} == {total}
    failed = len(report.failures)
    assert seen[-2:] == [Progress(total, total, failed), Progress(total, total, failed, "learning")]
    assert len(seen) == 5


def test_progress_counts_what_this_run_does(either: Shop) -> None:
    """What was indexed or quarantined before is no part of a later run's total."""
    either.add(*names("lamp", 5))
    either.add_bytes("lamp/bad.jpg", b"")
    index(either)
    either.add(*names("bed", 2))
    seen: list[Progress] = []
    index(either, progress=seen.append)
    assert seen == [Progress(2, 2, 0), Progress(2, 2, 0, "learning")]


def test_an_error_in_the_progress_callback_comes_out(either: Shop) -> None:
    """What a caller's callback raises ends the run and is not swallowed; the next run is sound."""
    either.add(*names("lamp", 9))

    def stop(_: Progress) -> None:
        raise KeyboardInterrupt

    client = either.client()
    with pytest.raises(KeyboardInterrupt):
        index(either, client, progress=stop)
    index(either, client)
    assert_sound(either, names("lamp", 9))
