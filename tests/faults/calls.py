"""The calls of a client: how each is made ready, made, judged, and what it may have left behind."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from ddsim import Client, ServiceNotFound, ServiceSpec

MODEL = Path(__file__).parents[1] / "contract" / "recordings" / "models" / "tiny"
LAYER = "fc1"
_NUMBERS = itertools.count()


def drawn(seed: int) -> Image.Image:
    """A picture unlike those of other seeds."""
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (32, 32, 3), dtype=np.uint8))


PICTURES = [drawn(1), drawn(2)]
ADDED = {"new/a": drawn(3), "new/b": drawn(4)}


@dataclass
class Scene:
    """A server with services, seen without the proxy.

    Attributes:
        direct: a client of its own.
        folder: for repositories.
        fresh: the service that the call is about to change.
        models: where the server finds the network.
    """

    direct: Client
    folder: Path
    fresh: str = ""
    models: Path = MODEL

    def furnish(self) -> None:
        """The services that nobody changes."""
        labels = self.similarity("cls").model_copy(
            update={"type": "supervised", "corresp": str(self.models / "corresp.txt")}
        )
        self.direct.create_service(labels)
        self.direct.create_service(self.similarity("sim"))
        self.direct.add_to_index("sim", {f"old/{seed}": drawn(seed) for seed in range(10, 14)}, layer=LAYER)

    def similarity(self, name: str) -> ServiceSpec:
        """A similarity service with a repository of its own."""
        return ServiceSpec(
            name=name,
            type="unsupervised",
            repository=str(self.folder / name),
            create_repository=True,
            definition=str(self.models / "deploy.prototxt"),
            weights=str(self.models / "tiny.caffemodel"),
            nclasses=5,
            width=32,
            height=32,
        )

    def new(self, *, there: bool, filled: bool = False) -> None:
        """A service for one case."""
        self.fresh = f"case-{next(_NUMBERS)}"
        if there:
            self.direct.create_service(self.similarity(self.fresh))
        if filled:
            self.direct.add_to_index(self.fresh, {"old/0": drawn(0)}, layer=LAYER)

    def is_there(self) -> bool:
        """Whether the service of the case exists."""
        try:
            self.direct.get_service(self.fresh)
        except ServiceNotFound:
            return False
        return True

    def remove(self) -> None:
        """Take the service of the case away."""
        if self.fresh and self.is_there():
            self.direct.delete_service(self.fresh)
        self.fresh = ""

    def found(self) -> list[str]:
        """What is in the index of the case, after one more build by somebody else."""
        with Client(self.direct._transport.url) as other:  # type: ignore[attr-defined]
            other.add_to_index(self.fresh, {"later": drawn(5)}, layer=LAYER)
            (reply,) = other.search_index(self.fresh, [drawn(5)], layer=LAYER, k=50)
        return sorted(one.uri for one in reply.neighbours if one.uri != "later")


@dataclass(frozen=True)
class Call:
    """One call of the client.

    Attributes:
        main: how the line of the request begins that it is there for.
        make: makes it.
        plain: its result as something to compare.
        ready: prepares the scene.
        check: looks at what it left, given the plain result (None where it failed), and whether the client holds
            something for unbuilt.
    """

    main: str
    make: Callable[[Any, Scene], Any]
    plain: Callable[[Any], Any] = lambda result: result
    ready: Callable[[Scene], None] = lambda _: None
    check: Callable[[Scene, bool, bool], None] = lambda *_: None


def _created(scene: Scene, well: bool, unbuilt: bool) -> None:
    assert not well or scene.is_there()


def _deleted(scene: Scene, well: bool, unbuilt: bool) -> None:
    assert not well or not scene.is_there()


def _added(scene: Scene, well: bool, unbuilt: bool) -> None:
    found = scene.found()
    assert len(found) == len(set(found)), f"doubled: {found}"
    if well:
        assert found == sorted(ADDED)
    elif not unbuilt:
        assert found == [], "the client believes that nothing of it was done"


def numbers(vectors: Any) -> Any:
    """Vectors as something to compare."""
    return np.round(vectors, 3).tolist()


def neighbours(replies: Any) -> Any:
    """Replies to searches as something to compare."""
    return [[(one.uri, round(one.distance, 2)) for one in reply.neighbours] for reply in replies]


def labels(found: Any) -> Any:
    """Classifications as something to compare."""
    return [[(label.name, round(label.probability, 3)) for label in one.labels] for one in found]


CALLS: dict[str, Call] = {
    "info": Call("GET /info", lambda client, _: client.info(), lambda info: info.capabilities.model_dump()),
    "get_service": Call(
        "GET /services/cls", lambda client, _: client.get_service("cls", labels=True), lambda one: sorted(one.labels)
    ),
    "create_service": Call(
        "PUT /services/case",
        lambda client, scene: client.create_service(scene.similarity(scene.fresh)),
        ready=lambda scene: scene.new(there=False),
        check=_created,
    ),
    "delete_service": Call(
        "DELETE /services/case",
        lambda client, scene: client.delete_service(scene.fresh),
        ready=lambda scene: scene.new(there=True),
        check=_deleted,
    ),
    "clear": Call(
        "DELETE /services/case",
        lambda client, scene: client.delete_service(scene.fresh, clear="index", layer=LAYER),
        ready=lambda scene: scene.new(there=True, filled=True),
        check=_deleted,
    ),
    "classify": Call("POST /predict", lambda client, _: client.classify("cls", PICTURES, top=2), labels),
    "extract": Call("POST /predict", lambda client, _: client.extract("sim", PICTURES, layer=LAYER), numbers),
    "add_to_index": Call(
        "POST /predict",
        lambda client, scene: client.add_to_index(scene.fresh, ADDED, layer=LAYER),
        numbers,
        ready=lambda scene: scene.new(there=True),
        check=_added,
    ),
    "search_index": Call(
        "POST /predict", lambda client, _: client.search_index("sim", PICTURES, layer=LAYER, k=3), neighbours
    ),
    # A server without training says no to both; so may a fault.
    "train": Call("POST /train", lambda client, _: client.train("cls", ["/nowhere"], parameters={})),
    "training_status": Call("GET /train", lambda client, _: client.training_status("cls", 1)),
}
