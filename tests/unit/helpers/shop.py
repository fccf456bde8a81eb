"""What the tests of the upper houses share: a drawn shop, an embedded engine behind a tap, and ways to break it."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import yaml
from PIL import Image

from ddsim import (
    Client,
    Collection,
    ConnectionLost,
    ImageSearch,
    Reply,
    Retries,
    Settings,
    Timeout,
    connect,
    load,
)
from ddsim.deepdetect import is_lease
from ddsim.embedded import WOULD_HAVE_DIED, EmbeddedTransport, Engine

TINY = Path(__file__).parents[2] / "contract" / "recordings" / "models" / "tiny"
#: What a server says of which a search reaches a row without a name.
NAMELESS = ("std::bad_alloc", "vector::_M_range_check")
DIMENSIONS = {"pool1": 392, "fc1": 16}
PATIENT = Retries(sleep=lambda _: None)


@dataclass(frozen=True)
class Sent:
    """One request; ``json`` has gone through real JSON."""

    method: str
    path: str
    json: Any = None

    @property
    def ids(self) -> list[str]:
        """Names of the pictures in a prediction."""
        return list(self.json["ids"]) if self.path == "/predict" else []

    @property
    def output(self) -> dict[str, Any]:
        """What a prediction asks for beside the forward pass."""
        return dict(self.json["parameters"]["output"]) if self.path == "/predict" else {}

    @property
    def indexes(self) -> bool:
        """Whether it adds to the index."""
        return bool(self.output.get("index"))

    @property
    def builds(self) -> bool:
        """Whether it builds the index."""
        return bool(self.output.get("build_index"))


Fault = Callable[[Sent, Callable[[], Reply]], Reply | None]


@dataclass
class Tap:
    """The embedded server behind a tap: what is sent can be looked at, and answers can be spoilt.

    A fault gets the request and a way to carry it out; what it returns (or raises) is the answer, None lets the request
    through. Whatever a test does, an answer that stands for a server's death fails it, and so does a search that
    reaches a row without a name.
    """

    engine: Engine = field(default_factory=Engine)
    sent: list[Sent] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)
    closed: bool = False

    def exchange(self, method: str, path: str, json: Mapping[str, Any] | None, timeout: Timeout) -> Reply:
        """Carry out one request, or let a fault answer it."""
        text = None if json is None else orjson.dumps(json)
        sent = Sent(method, path, None if text is None else orjson.loads(text))
        self.sent.append(sent)

        def carry_out() -> Reply:
            return self._carried_out(method, path, json, timeout)

        for fault in list(self.faults):
            reply = fault(sent, carry_out)
            if reply is not None:
                return reply
        return carry_out()

    def _carried_out(self, method: str, path: str, json: Mapping[str, Any] | None, timeout: Timeout) -> Reply:
        reply = EmbeddedTransport(self.engine).exchange(method, path, json, timeout)
        status = orjson.loads(reply.body).get("status", {})
        assert status.get("dd_code") != WOULD_HAVE_DIED, f"{method} {path} {json}: {status['dd_msg']}"
        # In a real server that is undefined behaviour (recordings/wire/23-sim-search-unbuilt, 47b).
        assert status.get("dd_msg") not in NAMELESS, f"{method} {path}: reached a row without a name"
        return reply

    def close(self) -> None:
        """Remember that it was closed."""
        self.closed = True

    def restart(self) -> None:
        """A new server on the same folders: it knows no service any more."""
        self.engine = Engine()

    def matching(self, method: str, path: str = "") -> list[Sent]:
        """The requests with that method whose path begins so."""
        return [sent for sent in self.sent if sent.method == method and sent.path.startswith(path)]

    @property
    def creations(self) -> list[str]:
        """The names of the services that were to be created, without leases."""
        return [
            sent.path.removeprefix("/services/")
            for sent in self.matching("PUT")
            if not is_lease(sent.json["description"])
        ]

    @property
    def index_calls(self) -> list[Sent]:
        """The requests that added pictures to an index; the row that comes with a build is nobody's."""
        return [sent for sent in self.sent if sent.indexes and not sent.builds]

    @property
    def builds(self) -> list[Sent]:
        """The requests that built an index."""
        return [sent for sent in self.sent if sent.builds]


def refusal(status: int, dd_code: int | None = None, dd_msg: str = "no") -> Reply:
    """An answer that says no."""
    code = {} if dd_code is None else {"dd_code": dd_code, "dd_msg": dd_msg}
    return Reply(status, orjson.dumps({"status": {"code": status, "msg": "Refused", **code}}))


def once(matches: Callable[[Sent], bool], answer: Callable[[Callable[[], Reply]], Reply]) -> Fault:
    """Spoil the first request that matches, and no other."""
    spent: list[Sent] = []

    def fault(sent: Sent, carry_out: Callable[[], Reply]) -> Reply | None:
        if spent or not matches(sent):
            return None
        spent.append(sent)
        return answer(carry_out)

    return fault


def lost_reply(carry_out: Callable[[], Reply]) -> Reply:
    """The server does it, and nobody hears."""
    carry_out()
    raise ConnectionLost("the connection ended without an answer", method="POST", path="/predict")


def picture(seed: int, size: tuple[int, int] = (32, 32)) -> Image.Image:
    """Sixteen patches of colour, unlike those of any other seed."""
    patches = np.random.default_rng(seed).integers(0, 256, (4, 4, 3), dtype=np.uint8)
    return Image.fromarray(patches).resize(size, Image.Resampling.NEAREST)


def plain(colour: str, size: tuple[int, int] = (64, 64)) -> Image.Image:
    """One colour and nothing else."""
    return Image.new("RGB", size, colour)


def _without_none(value: Any) -> Any:
    return {key: one for key, one in value.items() if one is not None} if isinstance(value, dict) else value


@dataclass
class Shop:
    """A folder with a catalogue, a configuration over the tiny network, and a server that keeps its index there.

    Attributes:
        root: the folder.
        base: what all its configurations have instead of the usual, see :meth:`configure`.
        tap: the server.
    """

    root: Path
    base: Mapping[str, Any] = field(default_factory=dict)
    tap: Tap = field(default_factory=Tap)
    _seeds: Iterator[int] = field(default_factory=itertools.count)
    _read: tuple[str, Settings] | None = None

    def __post_init__(self) -> None:
        self.catalogue.mkdir(exist_ok=True)
        self.configure()

    @property
    def catalogue(self) -> Path:
        """Where the reference pictures lie."""
        return self.root / "catalogue"

    @property
    def config(self) -> Path:
        """The configuration file."""
        return self.root / "shop.yaml"

    @property
    def settings(self) -> Settings:
        """What the configuration file says."""
        text = self.config.read_text("utf-8")
        if self._read is None or self._read[0] != text:
            self._read = text, load(self.config)
        return self._read[1]

    @property
    def index_folder(self) -> Path:
        """Where the server keeps the index."""
        return Path(self.settings.similarity.repository)

    def configure(self, **changes: Any) -> None:
        """Write the configuration file; a change is merged into its section, None leaves key or section out."""
        raw: dict[str, Any] = {
            "server": "embedded",
            "network": {
                "def": str(TINY / "deploy.prototxt"),
                "weights": str(TINY / "tiny.caffemodel"),
                "corresp": str(TINY / "corresp.txt"),
                "nclasses": 5,
                "width": 32,
                "height": 32,
                "mean": [104.0, 117.0, 123.5],
            },
            "classification": {},
            "similarity": {"extract_layer": "pool1"},
            "index": {"batch_size": 4},
        }
        for key, value in [*self.base.items(), *changes.items()]:
            merge = isinstance(value, dict) and isinstance(raw.get(key), dict)
            raw[key] = {**raw[key], **value} if merge else value
        kept = {key: _without_none(value) for key, value in raw.items() if value is not None}
        self.config.write_text(yaml.safe_dump(kept, allow_unicode=True), "utf-8")

    def branch(self, root: Path) -> Shop:
        """A shop on the same catalogue and index with a server and a configuration of its own; it only looks."""
        for shared in ("catalogue", ".ddsim"):
            (root / shared).symlink_to(self.root / shared)
        return Shop(root, self.base)

    def add(self, *uris: str) -> list[Path]:
        """Put pictures into the catalogue, each unlike the others."""
        return [self.add_picture(uri, picture(next(self._seeds))) for uri in uris]

    def add_picture(self, uri: str, image: Image.Image) -> Path:
        """Put this picture into the catalogue, as PNG whatever its name says."""
        path = self.catalogue / uri
        path.parent.mkdir(parents=True, exist_ok=True)
        image.save(path, "PNG")
        return path

    def add_bytes(self, uri: str, content: bytes) -> Path:
        """Put a file with this content into the catalogue."""
        path = self.catalogue / uri
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        return path

    def add_fifo(self, uri: str) -> None:
        """Put a pipe into the catalogue; opening it would wait for ever."""
        (self.catalogue / uri).parent.mkdir(parents=True, exist_ok=True)
        os.mkfifo(self.catalogue / uri)

    def client(self) -> Client:
        """A client of the shop's server that waits for nothing between tries."""
        return connect(self.settings, transport=self.tap, retries=PATIENT)

    def search(self, catalogue: Path | None = None) -> ImageSearch:
        """A search in the shop."""
        return ImageSearch(self.settings, catalogue, client=self.client())

    def collection(self, client: Client | None = None) -> Collection:
        """The shop's catalogue, as one more user opens it."""
        return Collection(self.settings, client or self.client())

    def indexed(self) -> list[str]:
        """Every item that a search can find, sorted."""
        with self.collection() as collection:
            if not collection.manifest.categories():
                return []
            (hits,) = collection.search([plain("grey")], 1000)
        return sorted(found.uri for found in hits.found)

    def service(self, configured: str = "shop-similar") -> str:
        """A service by the name that ddsim gave it: the configured one, and what it is."""
        names = [one.name for one in self.client().info().services if not is_lease(one.description)]
        found = [name for name in names if name.startswith(f"{configured}-")]
        if len(found) > 1:  # those of other indexes are there, too
            with self.collection() as collection:
                own = str(collection.manifest.get_meta("repository")).rpartition("/")[2][:6]
            found = [name for name in found if name.endswith(own)]
        (one,) = found
        return one

    def rows(self) -> list[str]:
        """The names of all rows of the server's index, tombstones included; ddsim's own search is passed by."""
        similarity = self.settings.similarity
        client = self.client()
        (reply,) = client.search_index(self.service(), [plain("grey")], layer=similarity.extract_layer, k=1000)
        return sorted(neighbour.uri for neighbour in reply.neighbours)
