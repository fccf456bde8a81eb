"""Indexing with two requests under way: for vectors that ddsim keeps, on a server that may be asked twice at a time."""

from __future__ import annotations

import base64
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from homes import HOMES, StrictTap
from shop import Sent, Shop, once
from stock import assert_sound, index, make_unreadable, names, wait_for_nothing

from ddsim import ConnectionLost, Reply, Timeout
from ddsim.deepdetect.transport import Decoded

SECONDS = 30


@dataclass
class TwiceTap(StrictTap):
    """A tap that takes values and may be asked twice at a time, as a server can."""

    def exchange_values(self, method: str, path: str, json: Mapping[str, Any] | None, timeout: Timeout) -> Reply:
        """Carry out one request."""
        if json is not None and "data" in json:
            files = [one.data if isinstance(one, Decoded) else one for one in json["data"]]
            data = [base64.b64encode(one).decode() if isinstance(one, bytes) else one for one in files]
            json = {**json, "data": data}
        return self.exchange(method, path, json, timeout)


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    """A shop that keeps its vectors itself; four pictures go in one request."""
    settings, profile = HOMES["local"]
    base = {"classification": None, "similarity": {"extract_layer": "fc1"}, "index": {"batch_size": 4, **settings}}
    return Shop(tmp_path, base, tap=TwiceTap(profile=profile))


def of_batches(sent: Sent) -> bool:
    """Whether it asks for the features of a batch, and not of one picture to try the service."""
    return sent.path == "/predict" and len((sent.json or {}).get("data", ())) > 1


def test_the_next_batch_is_sent_before_the_last_has_been_answered(shop: Shop) -> None:
    """Once the first of all has told that the service is as it should be."""
    both = threading.Barrier(2)
    met: list[int] = []

    def meeting(sent: Sent, _: Callable[[], Reply]) -> None:
        if of_batches(sent) and len([one for one in shop.tap.sent if of_batches(one)]) in (2, 3):
            met.append(both.wait(SECONDS))

    shop.add(*names("lamp", 16))
    shop.tap.faults.append(meeting)
    index(shop)
    assert sorted(met) == [0, 1]
    assert_sound(shop, names("lamp", 16))


def test_bad_pictures_are_found_as_ever(shop: Shop) -> None:
    """A batch that fails is halved until the culprit is alone; all others are in the index once."""
    shop.add(*names("lamp", 21))
    bad = names("lamp", 21)[9:11]
    make_unreadable(shop, bad)
    assert [failure.uri for failure in index(shop).failures] == bad
    assert_sound(shop, [name for name in names("lamp", 21) if name not in bad])


@pytest.mark.parametrize("moment", [1, 2, 3])
def test_a_server_that_restarts_is_asked_again(shop: Shop, moment: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever was under way then, everything is in the index once in the end."""
    wait_for_nothing(monkeypatch)
    shop.add(*names("lamp", 18))
    seen: list[Sent] = []

    def dies(sent: Sent) -> bool:
        if of_batches(sent):
            seen.append(sent)
        return of_batches(sent) and len(seen) == moment

    def restarted(_: Callable[[], Reply]) -> Reply:
        shop.tap.restart()
        raise ConnectionLost("the server is gone")

    shop.tap.faults.append(once(dies, restarted))
    report = index(shop)
    assert (report.indexed, report.failures) == (18, ())
    assert_sound(shop, names("lamp", 18))
