"""What the tests of indexing share: how to index, what was sent for it, and what must hold of an index afterwards."""

from __future__ import annotations

import base64
from collections import Counter
from collections.abc import Callable, Iterable
from functools import partial

import pytest
from homes import Clock
from shop import Sent, Shop, refusal

import ddsim.catalogue.locks
import ddsim.search.holdings
from ddsim import Client, Collection, IndexOptions, IndexReport, Progress, Reply
from ddsim.catalogue.manifest import ItemState
from ddsim.vectors import Patience, backend_for

UNREADABLE = "Service Input Error: Could not read image(s): image could not be read or does not exist: ..."


def index(
    shop: Shop,
    client: Client | None = None,
    *,
    progress: Callable[[Progress], None] = lambda _: None,
    stopping: Callable[[], bool] = lambda: False,
    retry_failed: bool = False,
    rebuild: bool = False,
    audit: bool = False,
    allow_vanished: bool = False,
) -> IndexReport:
    """A run over the shop's catalogue."""
    options = IndexOptions(retry_failed, rebuild, audit, allow_vanished)
    with shop.collection(client) as collection:
        return collection.index(options, progress=progress, stopping=stopping)


def wait_for_nothing(monkeypatch: pytest.MonkeyPatch, clock: Clock | None = None) -> None:
    """Collections wait for servers by this clock, or not at all, and for each other's locks not at all."""
    monkeypatch.setattr(ddsim.catalogue.locks, "_PROBE_S", 0)
    patience = clock.patience() if clock else Patience(seconds=0, busy=0, sleep=lambda _: None)
    monkeypatch.setattr(ddsim.search.holdings, "backend_for", partial(backend_for, patience=patience))


def names(category: str, count: int) -> list[str]:
    """Uris in order."""
    return [f"{category}/{number:02d}.png" for number in range(count)]


def sent_batches(shop: Shop) -> list[list[str]]:
    """The pictures of each call that computed features without searching, by what lies in the catalogue now.

    That is what indexing sends, to either home, and a probe of the service, whose picture is not of the catalogue.
    """
    known = _as_sent(shop)
    calls = [sent for sent in shop.tap.matching("POST", "/predict") if not sent.output.get("search")]
    batches = [[known[data] for data in sent.json["data"] if data in known] for sent in calls]
    return [batch for batch in batches if batch]


def sent_uris(shop: Shop) -> list[str]:
    """All of them, sorted; one that went twice stands there twice."""
    return sorted(uri for batch in sent_batches(shop) for uri in batch)


def _as_sent(shop: Shop) -> dict[str, str]:
    # Pictures of the network's own size go as they are.
    files = [path for path in shop.catalogue.rglob("*") if path.is_file()]
    return {base64.b64encode(path.read_bytes()).decode(): path.relative_to(shop.catalogue).as_posix() for path in files}


def picks(shop: Shop, uris: Iterable[str]) -> Callable[[Sent], bool]:
    """Tells the requests that hold one of these pictures, whatever they ask for."""
    wanted = {base64.b64encode((shop.catalogue / uri).read_bytes()).decode() for uri in uris}
    return lambda sent: sent.path == "/predict" and bool(wanted & set(sent.json["data"]))


def make_unreadable(shop: Shop, uris: Iterable[str]) -> None:
    """Make the server fail at these pictures, in whatever call they come; it fails the whole call then."""
    hit = picks(shop, uris)

    def fault(sent: Sent, _: Callable[[], Reply]) -> Reply | None:
        return refusal(400, 1005, UNREADABLE) if hit(sent) else None

    shop.tap.faults.append(fault)


def quarantined(collection: Collection) -> list[str]:
    """What could not be indexed."""
    return [failure.uri for failure in collection.failures()]


def assert_sound(shop: Shop, good: Iterable[str]) -> None:
    """These items are in the index once each and nothing else is found; each finds itself."""
    expected = sorted(good)
    with shop.collection() as collection:
        counts = collection.manifest.counts()
        assert counts[ItemState.INDEXED] == len(expected)
        assert not any(counts[state] for state in (ItemState.PENDING, ItemState.SENDING, ItemState.ADDED))
        replies = collection.search([shop.catalogue / uri for uri in expected], len(expected) + 1)
        for uri, hits in zip(expected, replies, strict=True):
            assert sorted(found.uri for found in hits.found) == expected
            first = hits.found[0]
            assert (first.uri, first.distance, first.closeness) == (uri, pytest.approx(0, abs=1e-6), pytest.approx(1))
        valid = [f"{row.uri}#{row.vid}" for row in collection.manifest.rows(ItemState.INDEXED, limit=1000)]
        home = collection.manifest.get_meta("home")
    if str(home).startswith("server"):
        rows = Counter(shop.rows())
        assert [rows[name] for name in valid] == [1] * len(expected)
