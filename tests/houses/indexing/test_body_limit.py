"""Behind a proxy that takes small requests only: whatever sends pictures sends them in smaller parts."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

import numpy as np
import orjson
import pytest
from PIL import Image
from shop import PATIENT, Sent, Shop, picture
from stock import index, wait_for_nothing

from ddsim import Client, Collection, Reply, Settings, TooLarge, connect
from ddsim.catalogue import ItemState
from ddsim.doctor import Options as Looking
from ddsim.doctor import diagnose
from ddsim.evaluation import Options, evaluate_experiments, read_experiments
from ddsim.vectors import Patience

NGINX = b"<html>\r\n<head><title>413 Request Entity Too Large</title></head>\r\n</html>\r\n"
LIMIT = 20_000
HOMES = ["server", "local"]


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Shop:
    """A shop with 20 pictures of three kilobytes, all of which would go in one request."""
    shop = Shop(tmp_path, {"categories": {"n00000002": "lamp", "n00000004": "bed"}, "index": {"batch_size": 64}})
    for seed, uri in enumerate(f"{category}/{number:02d}.png" for category in ("bed", "lamp") for number in range(10)):
        noise = np.random.default_rng(seed).integers(0, 256, (32, 32, 3), dtype=np.uint8)
        shop.add_picture(uri, Image.fromarray(noise))
    shop.tap.faults.append(limited(LIMIT))
    wait_for_nothing(monkeypatch)
    return shop


def limited(most: int) -> Callable[[Sent, Callable[[], Reply]], Reply | None]:
    """A proxy that takes no larger request."""

    def fault(sent: Sent, _carry_out: Callable[[], Reply]) -> Reply | None:
        size = 0 if sent.json is None else len(orjson.dumps(sent.json))
        return Reply(413, NGINX, {"content-type": "text/html"}) if size > most else None

    return fault


def refused_by(shop: Shop) -> list[Sent]:
    """The requests that were too large."""
    return [sent for sent in shop.tap.sent if sent.json is not None and len(orjson.dumps(sent.json)) > LIMIT]


@pytest.mark.parametrize("home", HOMES)
def test_indexing_and_learning_go_in_smaller_requests(shop: Shop, home: str, caplog: pytest.LogCaptureFixture) -> None:
    """Every picture is in the index once, no row was sent twice, and scores were learned: a 413 is an answer."""
    shop.configure(index={"batch_size": 64, "backend": home})
    with caplog.at_level(logging.WARNING):
        report = index(shop, audit=True)
    assert (report.indexed, report.rows, report.tombstones, report.failures) == (20, 20, 0.0, ())
    assert report.learned is not None
    assert report.learned.classified == 20
    assert report.audit is not None
    assert report.audit.passed
    assert "index.batch_bytes" in caplog.text
    assert len(shop.indexed()) == 20


def test_what_was_learned_about_the_way_holds_for_later_requests(shop: Shop) -> None:
    """Only the first ones are too large."""
    index(shop)
    refused = refused_by(shop)
    passed = [sent for sent in shop.tap.sent if len(sent.ids) > 1 and sent not in refused]
    assert 1 <= len(refused) <= 6
    assert passed


@pytest.mark.parametrize("home", HOMES)
def test_many_searches_go_in_smaller_requests(shop: Shop, home: str) -> None:
    """Each photo gets its own answer."""
    shop.configure(index={"batch_size": 64, "backend": home})
    index(shop)
    wanted = sorted(path.relative_to(shop.catalogue).as_posix() for path in shop.catalogue.rglob("*.png"))
    with shop.search() as search:
        found = search.query_many([shop.catalogue / uri for uri in wanted], 1, route=False)
    assert [result.neighbours[0].uri for result in found] == wanted


def test_evaluating_goes_in_smaller_requests(shop: Shop) -> None:
    """All pictures have vectors and labels."""

    def opening(settings: Settings) -> Client:
        return connect(settings, transport=shop.tap, retries=PATIENT)

    found = evaluate_experiments(
        read_experiments([shop.config]),
        shop.catalogue,
        options=Options(timing_queries=0),
        cache=shop.root / "cache",
        opening=opening,
        patience=Patience(seconds=0, sleep=lambda _: None),
    )
    assert found is not None
    assert refused_by(shop)
    assert all(row.failed is None for row in found.rows)


def test_the_doctor_works_behind_it(shop: Shop) -> None:
    """Its trials are small."""
    found = diagnose(shop.settings, shop.client(), shop.tap, Looking(), sleep=lambda _: None)
    assert [check for check in found.checks if check.status == "failed"] == []


@pytest.mark.parametrize("home", HOMES)
def test_a_picture_too_large_for_the_proxy_is_put_aside(shop: Shop, home: str) -> None:
    """All others are indexed; its reason names the settings."""
    shop.configure(index={"batch_size": 64, "backend": home}, upload={"shrink": False})
    shop.tap.faults[:] = [limited(500_000)]
    noise = np.random.default_rng(99).integers(0, 256, (600, 600, 3), dtype=np.uint8)
    shop.add_picture("lamp/large.png", Image.fromarray(noise))
    report = index(shop)
    assert report.indexed == 20
    (failure,) = report.failures
    assert failure.uri == "lamp/large.png"
    assert "413 Request Entity Too Large" in failure.reason
    assert "index.batch_bytes" in failure.reason


def test_a_bad_picture_in_a_later_part_leaves_nothing_unbuilt(shop: Shop) -> None:
    """What the first parts added is built before anybody searches it; everything is found once."""
    spoilt: list[Sent] = []

    def fault(sent: Sent, _carry_out: Callable[[], Reply]) -> Reply | None:
        if sent.indexes and any("lamp/05" in name for name in sent.ids):
            spoilt.append(sent)
            return Reply(400, b'{"status":{"code":400,"msg":"no","dd_code":1005,"dd_msg":"not readable"}}')
        return None

    shop.tap.faults.append(fault)
    report = index(shop)
    assert spoilt
    assert (report.indexed, [one.uri for one in report.failures]) == (19, ["lamp/05.png"])
    assert len(shop.indexed()) == 19
    with Collection(shop.settings, None) as collection:
        assert collection.manifest.counts()[ItemState.SENDING] == 0


def test_a_client_says_that_one_picture_is_too_large(shop: Shop) -> None:
    """There is nothing to halve."""
    index(shop)
    shop.tap.faults[:] = [limited(300)]
    with shop.client() as client, pytest.raises(TooLarge, match=r"index\.batch_bytes"):
        client.extract(shop.service(), [picture(1)], layer="pool1")
