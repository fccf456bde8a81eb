"""Calls that a server of v0.25.0 was seen to answer, as something to write down: what is sent, and what is expected."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

from PIL import Image

from ddsim.config import Settings
from ddsim.doctor import shapes
from ddsim.doctor.bench import Bench
from ddsim.doctor.shapes import Shape
from ddsim.pictures import encode

Service = Literal["hold", "classes", "similar", "none"]
Body: TypeAlias = dict[str, Any] | None

#: What the trial index holds: names that a careless server would change or cut.
NAMES = ("plain/chair#1.jpg", "café 椅子.jpg", "two  spaces & %20+.jpg")
#: What no network calls a layer, and base64 of what is no picture.
NO_LAYER = "ddsim-doctor-no-such-layer"
NO_PICTURE = "bm90IGFuIGltYWdl"


@dataclass
class Scene:
    """What the calls are made of.

    Attributes:
        bench: where services go.
        settings: name the network.
        pictures: base64, each unlike the others.
    """

    bench: Bench
    settings: Settings
    pictures: tuple[str, ...] = field(default_factory=lambda: tuple(_picture(seed) for seed in range(len(NAMES))))

    def name(self, service: Service) -> str:
        """The name of a service on the server."""
        return self.bench.name if service == "hold" else f"{self.bench.name}-{service}"

    def creation(self, service: Service) -> dict[str, Any]:
        """What creates a service."""
        if service == "hold":
            return self.bench.holder().body()
        wanted = self.settings.similarity.spec("supervised" if service == "classes" else "unsupervised")
        return self.bench.spec(wanted, service).body()


def _picture(seed: int) -> str:
    """Sixteen patches of colour."""
    colours = bytes(
        part for i in range(16) for part in ((i * 37 + seed * 91) % 256, (i * 101 + seed * 53) % 256, i * 7)
    )
    image = Image.frombytes("RGB", (4, 4), colours)
    return encode(image.resize((64, 64), Image.Resampling.NEAREST)).base64


@dataclass(frozen=True)
class Answer:
    """HTTP status and dd_code, None where there is none."""

    status: int
    dd_code: int | None = None

    def __str__(self) -> str:
        return f"{self.status}" if self.dd_code is None else f"{self.status}/{self.dd_code}"


@dataclass(frozen=True)
class Step:
    """One call and the answer to expect.

    Attributes:
        name: what it shows.
        method, path: the call; words in braces stand for services.
        body: makes its JSON.
        answer: status and code as recorded.
        source: the recording, and the position in it.
        shape: looks at the answer's JSON.
        needs: the service that must be there.
        makes: the service that is there after the expected answer.
        index: whether it touches an index.
        finds: names that the neighbours must have, in any order.
    """

    name: str
    method: Literal["GET", "PUT", "POST", "DELETE"]
    path: str
    answer: Answer
    source: tuple[str, int]
    body: Callable[[Scene], Body] = lambda _: None
    shape: Shape = shapes.anything
    needs: Service | None = None
    makes: Service | None = None
    index: bool = False
    finds: tuple[str, ...] | None = None


def create(service: Service, **changes: Any) -> Callable[[Scene], Body]:
    """The creation of a service with keys changed, dotted ones inside; None takes a key out."""

    def body(scene: Scene) -> Body:
        whole = scene.creation(service)
        for key, value in changes.items():
            place: dict[str, Any] = whole
            *folders, last = key.split("__")
            for folder in folders:
                place = place[folder]
            place[last] = value.format(folder=scene.bench.folder) if isinstance(value, str) else value
            if value is None:
                del place[last]
        return whole

    return body


def predict(
    service: Service,
    count: int = 1,
    *,
    ids: tuple[str, ...] | None = None,
    layer: bool | str = False,
    bad: bool = False,
    **output: Any,
) -> Callable[[Scene], Body]:
    """A prediction of the first pictures, the last of them one that is none where ``bad``; an id goes with each."""

    def body(scene: Scene) -> Body:
        data = list(scene.pictures[:count])
        if bad:
            data[-1] = NO_PICTURE
        network: dict[str, Any] = {"net": {"test_batch_size": count}}
        if layer:
            network["extract_layer"] = scene.settings.similarity.extract_layer if layer is True else layer
        names = list(ids or NAMES[:count])
        parameters = {"mllib": network, "output": output}
        return {"service": scene.name(service), "ids": names, "parameters": parameters, "data": data}

    return body


def with_data(service: Service, data: object) -> Callable[[Scene], Body]:
    """A prediction of whatever stands where pictures should."""

    def body(scene: Scene) -> Body:
        return {"service": scene.name(service), "data": data}

    return body
