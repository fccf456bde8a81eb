"""What the tests of indexing share: how to index, and what must hold of an index afterwards."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterable

from rooms import Sent, Shop, Tap, refusal

from ddsim import (
    Client,
    IndexReport,
    Reply,
    scan,
)
from ddsim.indexing import index_catalogue

UNREADABLE = "Service Input Error: Could not read image(s): image could not be read or does not exist: ..."


def index(shop: Shop, client: Client | None = None) -> IndexReport:
    """Index the shop's catalogue."""
    return index_catalogue(client or shop.client(), shop.settings, scan(shop.catalogue))


def names(category: str, count: int) -> list[str]:
    """Uris in order."""
    return [f"{category}/{number:02d}.png" for number in range(count)]


def make_unreadable(shop: Shop, uris: Iterable[str]) -> None:
    """Make the server fail at these pictures, in whatever call they come; it fails the whole call then."""
    bad = {base64.b64encode((shop.catalogue / uri).read_bytes()).decode() for uri in uris}

    def fault(sent: Sent, _: Callable[[], Reply]) -> Reply | None:
        hit = sent.path == "/predict" and bad & set(sent.json["data"])
        return refusal(400, 1005, UNREADABLE) if hit else None

    shop.tap.faults.append(fault)


def assert_sound(shop: Shop, good: Iterable[str]) -> None:
    """These items are in the index once each and nothing else is; each finds itself at distance 0."""
    expected = sorted(good)
    assert shop.indexed() == expected
    found = shop.nearest([shop.catalogue / uri for uri in expected], 1)
    assert [[(one.uri, one.distance, one.score) for one in nearest] for nearest in found] == [
        [(uri, 0.0, 1.0)] for uri in expected
    ]


def assert_built_once_at_the_end(tap: Tap) -> None:
    """Only the last call builds, it brings something new, and nothing was searched in between."""
    calls = tap.index_calls
    assert [sent.builds for sent in calls] == [False] * (len(calls) - 1) + [True]
    assert calls[-1].ids
    first, last = tap.sent.index(calls[0]), tap.sent.index(calls[-1])
    assert not any(sent.output.get("search") for sent in tap.sent[first:last])
    assert not any(sent.builds and not sent.indexes for sent in tap.sent)
