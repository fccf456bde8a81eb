"""What the tests of the homes for vectors share: a shop with a manifest, and a plain indexing run over a backend."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from milvus_keeper import TOKEN
from PIL import Image
from shop import Sent, Shop, Tap

from ddsim import ConnectionLost, Reply, ServerUnreachable, Timeout, TransportError
from ddsim.catalogue.folder import walk
from ddsim.catalogue.manifest import ItemState, Manifest, Row
from ddsim.deepdetect.results import Vectors
from ddsim.embedded import Engine
from ddsim.pictures.encoding import encode
from ddsim.vectors import Backend, Hits, Patience, Prepared, backend_for

#: Name of a home -> what its configuration says, and the server that it stands before.
HOMES: dict[str, tuple[Mapping[str, Any], str]] = {
    "server": ({"backend": "server"}, "v0.25.0"),
    "local": ({"backend": "local"}, "no-simsearch"),
    "local cosine": ({"backend": "local", "metric": "cosine"}, "no-simsearch"),
}
#: Homes in a database, which the fixture ``milvus_url`` starts.
DATABASES: dict[str, tuple[Mapping[str, Any], str]] = {
    "milvus": ({"backend": "milvus"}, "no-simsearch"),
    "milvus cosine": ({"backend": "milvus", "metric": "cosine"}, "no-simsearch"),
}


class Killed(BaseException):
    """The process ends here; nothing catches it."""


@dataclass
class StrictTap(Tap):
    """As a tap of a server that can be another one and be down.

    Attributes:
        profile: which server it is, also after a restart.
        down: while true nothing answers.
    """

    profile: str = "v0.25.0"
    down: bool = False

    def __post_init__(self) -> None:
        self.restart()

    def restart(self) -> None:
        """A new server on the same folders."""
        self.engine = Engine(profile=self.profile)

    def exchange(self, method: str, path: str, json: Mapping[str, Any] | None, timeout: Timeout) -> Reply:
        """Carry out one request."""
        if self.down:
            raise ServerUnreachable("nobody there", method=method, path=path)
        return super().exchange(method, path, json, timeout)


@dataclass
class Clock:
    """Time that passes only by waiting; a server that is down comes back after a while."""

    tap: StrictTap
    now: float = 0.0
    back_at: float = float("inf")

    def sleep(self, seconds: float) -> None:
        """Let time pass."""
        self.now += seconds
        if self.now >= self.back_at:
            self.tap.down = False

    def patience(self) -> Patience:
        """Waits by this clock."""
        return Patience(seconds=60.0, busy=0.0, searches=0.0, gives_way=0.0, sleep=self.sleep, clock=lambda: self.now)


@dataclass
class Home:
    """A shop whose index is kept in one home, with its manifest.

    Attributes:
        root: a folder.
        name: of :data:`HOMES`, or of :data:`DATABASES`.
        layer: of the tiny network; fc1 gives 16 values, pool1 392.
        url: of the database, for those homes.
    """

    root: Path
    name: str
    layer: str = "fc1"
    url: str | None = None
    shop: Shop = field(init=False)
    tap: StrictTap = field(init=False)
    clock: Clock = field(init=False)
    _opened: list[Manifest] = field(default_factory=list)

    def __post_init__(self) -> None:
        index, profile = (HOMES | DATABASES)[self.name]
        if self.url is not None:
            # Nobody else's, so that tests can run side by side.
            index = {**index, "url": self.url, "token": TOKEN, "collection": f"test_{secrets.token_hex(6)}"}
        self.root.mkdir(parents=True, exist_ok=True)
        self.tap = StrictTap(profile=profile)
        base = {"similarity": {"extract_layer": self.layer}, "index": {"batch_size": 4, **index}}
        self.shop = Shop(self.root, base, tap=self.tap)
        self.clock = Clock(self.tap)

    # Pieces

    def manifest(self) -> Manifest:
        """The manifest as one more user opens it; closed with :meth:`close`."""
        manifest = Manifest.open(self.root / "state" / "manifest", {"catalogue": "shop"})
        self._opened.append(manifest)
        return manifest

    def backend(
        self, manifest: Manifest | None = None, *, rebuilding: bool = False, patience: Patience | None = None
    ) -> Backend:
        """The backend as one more user makes it, not opened."""
        return backend_for(
            self.shop.client(),
            self.shop.settings,
            manifest or self.manifest(),
            patience=patience or self.clock.patience(),
            rebuilding=rebuilding,
        )

    def close(self) -> None:
        """Let go of all manifests, and of what is in a database."""
        if self.url is not None:
            with closing(self.backend(rebuilding=True)) as backend:
                backend.discard()
        for manifest in self._opened:
            manifest.close()

    # A run

    def plan(self, manifest: Manifest, backend: Backend) -> None:
        """Bring the manifest up to the folder."""
        with manifest.plan(walk(self.shop.catalogue), _digest) as plan:
            backend.remove(manifest.apply(plan))

    @contextmanager
    def run(self) -> Iterator[tuple[Manifest, Backend]]:
        """An indexing run, opened and planned; what comes next is up to the test."""
        manifest = self.manifest()
        with manifest.writing(), closing(self.backend(manifest)) as backend:
            backend.open(writing=True)
            self.plan(manifest, backend)
            yield manifest, backend
        manifest.close()

    def index(self, *, batch: int = 3, every: int = 2) -> None:
        """A whole run: everything pending is added, with a build every so many batches and at the end."""
        with self.run() as (manifest, backend):
            done = 0
            while not done or manifest.pending(limit=1):
                while self.add_some(manifest, backend, batch, build=(done + 1) % every == 0):
                    done += 1
                    assert done < 1000, "it never ends"
                done += 1
                self.carefully(backend, backend.build)

    def add_some(self, manifest: Manifest, backend: Backend, batch: int, *, build: bool = False) -> list[str]:
        """One batch of what is pending; returns its uris, none at the end."""
        rows = manifest.pending(limit=batch)
        if rows:
            self.carefully(backend, lambda: self.add_rows(manifest, backend, rows, build=build))
        return [row.uri for row in rows]

    def add_rows(self, manifest: Manifest, backend: Backend, rows: Sequence[Row], *, build: bool = False) -> Vectors:
        """One batch of these, and a build after it."""
        vectors = backend.add(self.begin(manifest, rows))
        if build:
            backend.build()
        return vectors

    def begin(self, manifest: Manifest, rows: Sequence[Row]) -> list[Prepared]:
        """Read these items and note that they are about to be sent."""
        paths = [self.shop.catalogue / row.uri for row in rows]
        items = [(row.uri, _digest(path), row.size, row.mtime_ns) for row, path in zip(rows, paths, strict=True)]
        vids = manifest.begin(items)
        return [Prepared(row.uri, vid, encode(path)) for row, vid, path in zip(rows, vids, paths, strict=True)]

    @staticmethod
    def carefully(backend: Backend, call: Callable[[], object]) -> None:
        """Make a call that may lose its answer, as whoever runs a backend has to."""
        try:
            call()
        except TransportError:
            backend.recover()

    # What must hold

    @property
    def uris(self) -> list[str]:
        """The catalogue's items."""
        return sorted(entry.uri for entry in walk(self.shop.catalogue))

    def search(self, image: Path | Image.Image, k: int = 1000, category: str | None = None) -> Hits:
        """Ask as somebody who has just come."""
        with closing(self.backend()) as backend:
            backend.open(writing=False)
            (hits,) = backend.search([image], k, category)
        return hits

    def vectors(self, *paths: Path) -> np.ndarray[Any, np.dtype[np.float64]]:
        """What the network makes of pictures, computed past all indexes."""
        service = self.shop.service()
        found = self.shop.client().extract(service, list(paths), layer=self.layer)
        return found.astype(np.float64)

    def distances(self, query: Path) -> dict[str, float]:
        """Of every item of the catalogue to this picture, by numpy."""
        own, *rest = self.vectors(query, *(self.shop.catalogue / uri for uri in self.uris))
        others = np.array(rest)
        if "cosine" in self.name:
            norms = np.linalg.norm(others, axis=1) * np.linalg.norm(own)
            values = 1.0 - others @ own / norms
        else:
            values = np.mean((others - own) ** 2, axis=1)
        return dict(zip(self.uris, values.tolist(), strict=True))

    def check_neighbours(self, query: Path, k: int, category: str | None = None) -> None:
        """What is found for a picture is what numpy finds: as many, no nearer, each item once, of that category."""
        every = {uri: value for uri, value in self.distances(query).items() if category in (None, uri.split("/")[0])}
        hits = self.search(query, k, category)
        uris = [found.uri for found in hits.found]
        assert len(uris) == len(set(uris)) == min(k, len(every))
        assert {found.category for found in hits.found} <= {category or found.category for found in hits.found}
        # By distance alone: which of two equal ones comes first, or at all, is open.
        expected = sorted(every.values())[:k]
        assert [found.distance for found in hits.found] == pytest.approx(expected, rel=1e-4, abs=1e-5)
        assert [every[uri] for uri in uris] == pytest.approx(expected, rel=1e-4, abs=1e-5)

    def check(self) -> None:
        """Every item of the catalogue is indexed, is found exactly once, and first where it is asked for."""
        manifest = self.manifest()
        counts = manifest.counts()
        assert counts == dict.fromkeys(ItemState, 0) | {ItemState.INDEXED: len(self.uris)}
        with closing(self.backend(manifest)) as backend:
            backend.open(writing=False)
            replies = backend.search([self.shop.catalogue / uri for uri in self.uris], 1000)
        for uri, hits in zip(self.uris, replies, strict=True):
            assert sorted(found.uri for found in hits.found) == self.uris
            own = next(found for found in hits.found if found.uri == uri)
            assert own.distance <= hits.found[0].distance + 1e-6
            row = manifest.get(uri)
            assert row is not None
            assert row.vid == own.vid
        manifest.close()


class Blow:
    """A fault that falls at one call, and at no other.

    Args:
        home: whose server.
        moment: how many calls go well before.
        victim: ``server`` restarts and the answer is lost, ``client`` is killed.
        carried_out: whether the server still does what the call asks for.
    """

    def __init__(self, home: Home, moment: int, victim: str, carried_out: bool) -> None:
        self.home, self.left, self.victim, self.carried_out = home, moment, victim, carried_out
        self.fell = False

    def __call__(self, sent: Sent, carry_out: Callable[[], Reply]) -> Reply | None:
        """Count calls; at the chosen one, end the server or the process."""
        self.left -= 1
        if self.fell or self.left >= 0:
            return None
        self.fell = True
        if self.carried_out:
            carry_out()
        if self.victim == "client":
            raise Killed
        self.home.tap.restart()
        raise ConnectionLost("gone", method=sent.method, path=sent.path)


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def four_at_a_time(root: Path, home: str) -> Shop:
    """A shop with an empty catalogue, before a server for this home; four pictures go in one request."""
    settings, profile = HOMES[home]
    base = {"classification": None, "similarity": {"extract_layer": "fc1"}, "index": {"batch_size": 4, **settings}}
    return Shop(root, base, tap=StrictTap(profile=profile))
