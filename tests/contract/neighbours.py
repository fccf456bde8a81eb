"""Users of one server who do not know of each other, and the order in which their calls reach it.

Each user has a folder with a configuration and a state of its own, or shares them, and a connection of its own. The
calls of all pass one gate, which lets one through at a time and draws from a seed whose turn it is.
"""

from __future__ import annotations

import random
import socket
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson
import pytest
import yaml
from shop import picture

from ddsim import (
    Client,
    Collection,
    DDSimError,
    IndexOptions,
    IndexReport,
    Reply,
    Retries,
    Settings,
    Timeout,
    load,
)
from ddsim.deepdetect import HttpTransport, leases
from ddsim.embedded import WOULD_HAVE_DIED
from ddsim.search import connect
from ddsim.vectors import Hits

#: Words of a server that was made to read the name of a row that has none (recordings/wire/23, 47b).
NAMELESS = (b"bad_alloc", b"_M_range_check", b"db_lmdb")
# Whoever waits for a file's lock does not come to the gate: after so long it opens for those who are there.
_GRACE_S = 0.05
_PATIENCE_S = 120.0
_HOST = threading.local()
_REAL_HOST = socket.gethostname()


class Gate:
    """Lets one call through at a time; a seed says whose."""

    def __init__(self, seed: int) -> None:
        self._dice = random.Random(seed)  # noqa: S311  nothing secret
        self._changed = threading.Condition()
        self._actors = 0
        self._waiting: dict[int, threading.Event] = {}
        self._threads: Sequence[threading.Thread] = ()

    def pass_through(self, call: Callable[[], Reply]) -> Reply:
        """Make a call when it is its turn."""
        if threading.get_ident() not in self._known():
            return call()
        event = threading.Event()
        with self._changed:
            self._waiting[threading.get_ident()] = event
            self._changed.notify_all()
        assert event.wait(_PATIENCE_S), "the gate stays closed"
        return call()

    def run(self, *users: Callable[[], Any]) -> list[Any]:
        """Let users work at once, until all are done; what each returned, or the ddsim error that ended it."""
        results: list[Any] = [None] * len(users)
        failures: list[BaseException] = []

        def act(place: int, work: Callable[[], Any]) -> None:
            try:
                results[place] = work()
            except DDSimError as error:
                results[place] = error
            except BaseException as error:  # noqa: BLE001  raised again below
                failures.append(error)
            finally:
                with self._changed:
                    self._actors -= 1
                    self._changed.notify_all()

        threads = [threading.Thread(target=act, args=pair) for pair in enumerate(users)]
        self._actors, self._threads = len(threads), threads
        for thread in threads:
            thread.start()
        self._open()
        for thread in threads:
            thread.join(_PATIENCE_S)
        if failures:
            raise failures[0]
        return results

    def _known(self) -> set[int | None]:
        return {thread.ident for thread in self._threads}

    def _open(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: len(self._waiting) >= self._actors, _GRACE_S)
                if not self._actors:
                    return
                if not self._waiting:
                    continue
                chosen = self._dice.choice(sorted(self._waiting, key=self._place))
                self._waiting.pop(chosen).set()

    def _place(self, ident: int) -> int:
        return next(place for place, thread in enumerate(self._threads) if thread.ident == ident)


class GatedTransport:
    """One user's way to the server. It fails the test at any answer of a row that has no name, or of a death."""

    def __init__(self, url: str, gate: Gate) -> None:
        self._transport = HttpTransport(url)
        self._gate = gate
        self.sent: list[tuple[str, str]] = []

    def exchange(self, method: str, path: str, json: Mapping[str, Any] | None, timeout: Timeout) -> Reply:
        """Make one call when it is its turn."""

        def call() -> Reply:
            self.sent.append((method, path))
            return self._transport.exchange(method, path, json, timeout)

        reply = self._gate.pass_through(call)
        if reply.status == 500:
            assert not any(word in reply.body for word in NAMELESS), f"{method} {path}: {reply.body[:300]!r}"
            assert orjson.loads(reply.body).get("status", {}).get("dd_code") != WOULD_HAVE_DIED, reply.body
        return reply

    def close(self) -> None:
        """Close the connections."""
        self._transport.close()

    @property
    def changed(self) -> list[tuple[str, str]]:
        """The calls that changed something, or may have."""
        return [one for one in self.sent if one[0] != "GET"]


@dataclass
class User:
    """Somebody with a folder on some machine.

    Attributes:
        root: the folder.
        world: the server and its places.
        prefix: how the names of this user's pictures begin.
        settings: what differs from the usual configuration.
        host: the machine's name.
    """

    root: Path
    world: World
    prefix: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    host: str = _REAL_HOST
    config_name: str = "shop.yaml"

    def __post_init__(self) -> None:
        self.root.mkdir(parents=True, exist_ok=True)
        self.catalogue = self.root / f"catalogue-{self.prefix}"
        self.catalogue.mkdir(exist_ok=True)
        self.configure()

    def configure(self, **changes: Any) -> None:
        """Write the configuration."""
        raw = self.world.configuration() | {"catalogue": str(self.catalogue)}
        for key, value in {**self.settings, **changes}.items():
            raw[key] = {**raw[key], **value} if isinstance(value, dict) and isinstance(raw.get(key), dict) else value
        (self.root / self.config_name).write_text(yaml.safe_dump(raw), "utf-8")

    def read(self) -> Settings:
        """The configuration."""
        return load(self.root / self.config_name)

    def draw(self, *numbers: int) -> None:
        """Put pictures into the catalogue, each unlike all others of all users."""
        for number in numbers:
            path = self.catalogue / ("lamp", "bed")[number % 2] / f"{self.prefix}{number:02}.png"
            path.parent.mkdir(exist_ok=True)
            picture(1000 * (1 + sum(map(ord, self.prefix))) + number).save(path)

    @property
    def uris(self) -> list[str]:
        """All its pictures."""
        return sorted(path.relative_to(self.catalogue).as_posix() for path in self.catalogue.glob("*/*.png"))

    def transport(self) -> GatedTransport:
        """One more connection."""
        return GatedTransport(self.world.url, self.world.gate)

    def client(self, transport: GatedTransport | None = None) -> Client:
        """One more client."""
        return connect(self.read(), transport=transport or self.transport(), retries=Retries(sleep=lambda _: None))

    def collection(self, client: Client) -> Collection:
        """Its catalogue under its configuration."""
        return Collection(self.read(), client, self.catalogue)

    # What users do

    def index(self, **options: Any) -> IndexReport:
        """An indexing run."""
        _HOST.name = self.host
        with closing(self.client()) as client, self.collection(client) as collection:
            return collection.index(IndexOptions(**options) if options else None)

    def page(self, searches: int = 6) -> list[list[str]]:
        """A page that answers so many searches, for its pictures in turn; what each found, nearest first."""
        _HOST.name = self.host
        found: list[list[str]] = []
        with closing(self.client()) as client, self.collection(client) as collection:
            for number in range(searches):
                uri = self.uris[number % len(self.uris)]
                (hits,) = collection.search([self.catalogue / uri], 100)
                found.append(self.checked(uri, hits))
        return found

    def checked(self, uri: str, hits: Hits) -> list[str]:
        """The uris of what was found: all this user's, each once, and the picture itself first if it is there."""
        uris = [one.uri for one in hits.found]
        assert set(uris) <= set(self.uris), "another catalogue's pictures"
        assert len(set(uris)) == len(uris), "doubled"
        if uri in uris:
            assert uris[0] == uri
            assert hits.found[0].distance < 1e-3
        return uris

    def assert_whole(self) -> None:
        """Every picture is found exactly once, and first by itself."""
        with closing(self.client()) as client, self.collection(client) as collection:
            replies = collection.search([self.catalogue / uri for uri in self.uris], 100)
            counts = collection.manifest.counts()
        for uri, hits in zip(self.uris, replies, strict=True):
            assert sorted(self.checked(uri, hits)) == self.uris
            assert hits.found[0].uri == uri
        assert sum(counts.values()) == len(self.uris)


@dataclass
class World:
    """A server, and where things are on it.

    Attributes:
        url: the server.
        network: the folder of the tiny network, as the server sees it.
        data: a folder of this test's own there, as the server sees it.
        gate: what all calls pass.
    """

    url: str
    network: str
    data: str
    gate: Gate

    def configuration(self) -> dict[str, Any]:
        """What all users write, as if copied from one place."""
        return {
            "server": {"url": self.url},
            "network": {
                "def": f"{self.network}/deploy.prototxt",
                "weights": f"{self.network}/tiny.caffemodel",
                "corresp": f"{self.network}/corresp.txt",
                "nclasses": 5,
                "width": 32,
                "height": 32,
                "mean": [104.0, 117.0, 123.5],
            },
            "classification": {"repository": f"{self.data}/classes", "create_repository": True},
            "similarity": {
                "extract_layer": "fc1",
                "repository": f"{self.data}/similar",
                "create_repository": True,
            },
            "index": {"batch_size": 4, "checkpoint": 4},
        }

    def services(self) -> dict[str, str]:
        """The services on the server: name -> folder."""
        with Client(self.url) as client:
            return {one.name: one.repository for one in client.info().services if one.repository.startswith(self.data)}

    def clear(self) -> None:
        """Remove what this test made."""
        with Client(self.url) as client:
            for name in self.services():
                client.delete_service(name, destroy_model_files="dir")


def many_machines(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every user is on the machine that its attribute ``host`` names."""
    monkeypatch.setattr(socket, "gethostname", lambda: getattr(_HOST, "name", _REAL_HOST))
    started = leases.started
    monkeypatch.setattr(leases, "started", lambda: f"{started()}-{socket.gethostname()}")
