"""What a DeepDetect v0.25.0 answers: calls in order, each with the answer that was recorded, and where.

No call here can end a server: ids go with every picture, adding and building go in one call, nothing is built alone,
and no classification service is searched. A call that the server nevertheless answers otherwise may leave an index that
the next call must not touch; who makes the calls looks after that.
The table makes this file long; its order is that of the calls.
"""

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
_NO_LAYER = "ddsim-doctor-no-such-layer"
_NO_PICTURE = "bm90IGFuIGltYWdl"


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


def _create(service: Service, **changes: Any) -> Callable[[Scene], Body]:
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


def _predict(
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
            data[-1] = _NO_PICTURE
        network: dict[str, Any] = {"net": {"test_batch_size": count}}
        if layer:
            network["extract_layer"] = scene.settings.similarity.extract_layer if layer is True else layer
        names = list(ids or NAMES[:count])
        parameters = {"mllib": network, "output": output}
        return {"service": scene.name(service), "ids": names, "parameters": parameters, "data": data}

    return body


def _with_data(service: Service, data: object) -> Callable[[Scene], Body]:
    def body(scene: Scene) -> Body:
        return {"service": scene.name(service), "data": data}

    return body


_CREATE = "03-service-create-errors"
_CLASSIFY = "08-classify"
_DATA = "10-predict-data-errors"
_EXTRACT = "20-sim-extract"
_SEARCH = "21-sim-index-search"
_CLEAR = "07b-delete-and-recreate"
_OK, _CREATED = Answer(200), Answer(201)


def _put(name: str, answer: Answer, source: tuple[str, int], body: Callable[[Scene], Body], **rest: Any) -> Step:
    """A creation that is refused."""
    return Step(name, "PUT", "/services/{none}", answer, source, body, needs="hold", **rest)


def _post(name: str, answer: Answer, source: tuple[str, int], body: Callable[[Scene], Body], **rest: Any) -> Step:
    return Step(name, "POST", "/predict", answer, source, body, **rest)


STEPS: tuple[Step, ...] = (
    # What the server is.
    Step("info", "GET", "/info", _OK, ("01-info", 0), shape=shapes.info),
    Step("a query value of the wrong type", "GET", "/info?status=flase", Answer(400, 400), ("01-info", 2)),
    # A service that is not there.
    Step("ask for an unknown service", "GET", "/services/{none}", Answer(404, 1002), ("07-service-get-delete", 5)),
    Step("delete an unknown service", "DELETE", "/services/{none}", Answer(404), ("07-service-get-delete", 8)),
    _post("predict on an unknown service", Answer(404, 1002), (_DATA, 34), _predict("none")),
    # Creations.
    Step(
        "create without mllib", "PUT", "/services/{none}", Answer(400, 400), (_CREATE, 10), _create("hold", mllib=None)
    ),
    Step(
        "create with an unknown library",
        "PUT",
        "/services/{none}",
        Answer(404, 1000),
        (_CREATE, 12),
        _create("hold", mllib="nosuchlib"),
    ),
    Step(
        "create without a network",
        "PUT",
        "/services/{hold}",
        _CREATED,
        ("04-service-repository", 1),
        _create("hold"),
        makes="hold",
    ),
    _put("create of an unknown type", Answer(400, 1006), (_CREATE, 27), _create("hold", type="nosuch")),
    _put(
        "create with an unknown connector",
        Answer(404, 1004),
        (_CREATE, 25),
        _create("hold", parameters__input__connector="nosuch"),
    ),
    _put(
        "create without nclasses", Answer(400, 1006), (_CREATE, 29), _create("hold", parameters__mllib__nclasses=None)
    ),
    _put(
        "create with nclasses 5.0", Answer(500, 1007), (_CREATE, 32), _create("hold", parameters__mllib__nclasses=5.0)
    ),
    _put(
        "create in a folder that is not there",
        Answer(400, 1006),
        ("04-service-repository", 0),
        _create("hold", model__repository="{folder}/nosuch", model__create_repository=None),
    ),
    _put(
        "create with a missing definition",
        Answer(500, 1007),
        ("05-service-explicit-paths", 13),
        _create("classes", model__def="{folder}/nosuch.prototxt"),
    ),
    Step(
        "create for classification",
        "PUT",
        "/services/{classes}",
        _CREATED,
        ("05-service-explicit-paths", 9),
        _create("classes"),
        needs="hold",
        makes="classes",
    ),
    Step(
        "create once more",
        "PUT",
        "/services/{classes}",
        Answer(409, 1014),
        (_CREATE, 1),
        _create("classes"),
        needs="classes",
    ),
    Step(
        "ask for a service",
        "GET",
        "/services/{classes}",
        _OK,
        ("07-service-get-delete", 1),
        shape=shapes.service,
        needs="classes",
    ),
    Step(
        "names in capitals",
        "GET",
        "/services/{CLASSES}",
        _OK,
        ("02-service-create", 5),
        shape=shapes.service,
        needs="classes",
    ),
    # Labels.
    _post("classify", _OK, (_CLASSIFY, 1), _predict("classes"), shape=shapes.classes, needs="classes"),
    _post(
        "classify, all labels", _OK, (_CLASSIFY, 4), _predict("classes", best=-1), shape=shapes.classes, needs="classes"
    ),
    _post(
        "classify a batch", _OK, (_CLASSIFY, 20), _predict("classes", 3, best=2), shape=shapes.classes, needs="classes"
    ),
    _post(
        "two pictures with one id",
        _OK,
        ("09-classify-batch", 8),
        _predict("classes", 3, ids=("d", "d", "e")),
        shape=shapes.classes,
        needs="classes",
    ),
    _post("best 3.0", Answer(500, 1007), (_CLASSIFY, 9), _predict("classes", best=3.0), needs="classes"),
    _post("no data", Answer(400, 1005), (_DATA, 23), _with_data("classes", []), needs="classes"),
    _post("data that is no list", Answer(500, 1007), (_DATA, 25), _with_data("classes", _NO_PICTURE), needs="classes"),
    _post("not a picture", Answer(400, 1005), (_DATA, 4), _predict("classes", bad=True), needs="classes"),
    _post(
        "one bad picture in a batch", Answer(400, 1005), (_DATA, 3), _predict("classes", 2, bad=True), needs="classes"
    ),
    _post(
        "a layer of a classification service",
        Answer(500, 1007),
        (_CLASSIFY, 42),
        _predict("classes", layer=True, best=1),
        needs="classes",
    ),
    _post(
        "classify after it", _OK, (_CLASSIFY, 43), _predict("classes", best=1), shape=shapes.classes, needs="classes"
    ),
    # Features.
    Step(
        "create for similarity",
        "PUT",
        "/services/{similar}",
        _CREATED,
        (_EXTRACT, 0),
        _create("similar"),
        needs="hold",
        makes="similar",
    ),
    _post("extract", _OK, (_EXTRACT, 3), _predict("similar", 2, layer=True), shape=shapes.vectors, needs="similar"),
    _post("extract without a layer", _OK, (_EXTRACT, 9), _predict("similar"), shape=shapes.nothing, needs="similar"),
    _post(
        "extract an unknown layer",
        Answer(400, 1006),
        (_EXTRACT, 13),
        _predict("similar", layer=_NO_LAYER),
        needs="similar",
    ),
    _post("the call after it", Answer(500, 1007), (_EXTRACT, 14), _predict("similar", layer=True), needs="similar"),
    _post("and the next", _OK, (_EXTRACT, 15), _predict("similar", layer=True), shape=shapes.vectors, needs="similar"),
    # The index.
    _post(
        "search an empty index",
        _OK,
        ("22-sim-search-empty", 1),
        _predict("similar", layer=True, search=True),
        shape=shapes.no_neighbours,
        needs="similar",
        index=True,
    ),
    _post(
        "index and build in one call",
        _OK,
        (_SEARCH, 2),
        _predict("similar", 3, layer=True, index=True, build_index=True),
        shape=shapes.indexed,
        needs="similar",
        index=True,
    ),
    _post(
        "search for what is indexed",
        _OK,
        (_SEARCH, 4),
        _predict("similar", layer=True, search=True),
        shape=shapes.itself_first,
        needs="similar",
        index=True,
        finds=NAMES,
    ),
    _post(
        "ask for more than there are",
        _OK,
        ("35-sim-names", 2),
        _predict("similar", layer=True, search=True, search_nn=50),
        shape=shapes.itself_first,
        needs="similar",
        index=True,
        finds=NAMES,
    ),
    _post(
        "search_nn 2.0",
        Answer(500, 1007),
        (_SEARCH, 10),
        _predict("similar", layer=True, search=True, search_nn=2.0),
        needs="similar",
        index=True,
    ),
    _post(
        "index a batch with a bad picture",
        Answer(400, 1005),
        ("38-sim-index-errors", 4),
        _predict("similar", 2, ids=("good", "bad"), layer=True, bad=True, index=True, build_index=True),
        needs="similar",
        index=True,
    ),
    _post(
        "nothing of it is indexed",
        _OK,
        ("38-sim-index-errors", 5),
        _predict("similar", layer=True, search=True, search_nn=50),
        shape=shapes.neighbours,
        needs="similar",
        index=True,
        finds=NAMES,
    ),
    _post(
        "index a name once more",
        _OK,
        (_SEARCH, 19),
        _predict("similar", layer=True, index=True, build_index=True),
        shape=shapes.indexed,
        needs="similar",
        index=True,
    ),
    _post(
        "it is there twice",
        _OK,
        (_SEARCH, 20),
        _predict("similar", layer=True, search=True, search_nn=10),
        shape=shapes.itself_first,
        needs="similar",
        index=True,
        finds=(*NAMES, NAMES[0]),
    ),
    # The end of a service, and of its files.
    Step("delete", "DELETE", "/services/{similar}", _OK, (_CLEAR, 2), needs="similar"),
    Step("it is gone", "GET", "/services/{similar}", Answer(404, 1002), ("07-service-get-delete", 12)),
    Step(
        "create on the same folder",
        "PUT",
        "/services/{similar}",
        _CREATED,
        (_CLEAR, 4),
        _create("similar"),
        needs="hold",
        makes="similar",
    ),
    _post(
        "the index outlives the service",
        _OK,
        (_CLEAR, 5),
        _predict("similar", layer=True, search=True),
        shape=shapes.itself_first,
        needs="similar",
        index=True,
        finds=(*NAMES, NAMES[0]),
    ),
    Step(
        "clear=1",
        "DELETE",
        "/services/{similar}?clear=1",
        Answer(500, 1007),
        ("07-service-get-delete", 29),
        needs="similar",
    ),
    Step(
        "clear=index",
        "DELETE",
        "/services/{similar}?clear=index",
        _OK,
        (_CLEAR, 12),
        needs="similar",
    ),
    Step(
        "create after it",
        "PUT",
        "/services/{similar}",
        _CREATED,
        (_CLEAR, 14),
        _create("similar"),
        needs="hold",
        makes="similar",
    ),
    _post(
        "the index is empty",
        _OK,
        (_CLEAR, 15),
        _predict("similar", layer=True, search=True),
        shape=shapes.no_neighbours,
        needs="similar",
        index=True,
    ),
    Step(
        "clear=dir",
        "DELETE",
        "/services/{similar}?clear=dir",
        _OK,
        ("07c-delete-explicit-paths", 9),
        needs="similar",
    ),
    _put(
        "the folder is gone",
        Answer(400, 1006),
        (_CREATE, 43),
        _create("similar", type="supervised", model__create_repository=None),
    ),
    Step("delete the other one", "DELETE", "/services/{classes}", _OK, (_CREATE, 35), needs="classes"),
)
