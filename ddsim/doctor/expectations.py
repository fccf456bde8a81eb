"""What a DeepDetect v0.25.0 answers: calls in order, each with the answer that was recorded, and where.

No call here can end a server: ids go with every picture, adding and building go in one call, nothing is built alone,
and no classification service is searched. A call that the server nevertheless answers otherwise may leave an index that
the next call must not touch; who makes the calls looks after that.
The table makes this file long; its order is that of the calls.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ddsim.doctor import shapes
from ddsim.doctor.steps import NAMES, NO_LAYER, NO_PICTURE, Answer, Body, Scene, Step, create, predict, with_data

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
    _post("predict on an unknown service", Answer(404, 1002), (_DATA, 34), predict("none")),
    # Creations.
    Step(
        "create without mllib", "PUT", "/services/{none}", Answer(400, 400), (_CREATE, 10), create("hold", mllib=None)
    ),
    Step(
        "create with an unknown library",
        "PUT",
        "/services/{none}",
        Answer(404, 1000),
        (_CREATE, 12),
        create("hold", mllib="nosuchlib"),
    ),
    Step(
        "create without a network",
        "PUT",
        "/services/{hold}",
        _CREATED,
        ("04-service-repository", 1),
        create("hold"),
        makes="hold",
    ),
    _put("create of an unknown type", Answer(400, 1006), (_CREATE, 27), create("hold", type="nosuch")),
    _put(
        "create with an unknown connector",
        Answer(404, 1004),
        (_CREATE, 25),
        create("hold", parameters__input__connector="nosuch"),
    ),
    _put("create without nclasses", Answer(400, 1006), (_CREATE, 29), create("hold", parameters__mllib__nclasses=None)),
    _put("create with nclasses 5.0", Answer(500, 1007), (_CREATE, 32), create("hold", parameters__mllib__nclasses=5.0)),
    _put(
        "create in a folder that is not there",
        Answer(400, 1006),
        ("04-service-repository", 0),
        create("hold", model__repository="{folder}/nosuch", model__create_repository=None),
    ),
    _put(
        "create with a missing definition",
        Answer(500, 1007),
        ("05-service-explicit-paths", 13),
        create("classes", model__def="{folder}/nosuch.prototxt"),
    ),
    Step(
        "create for classification",
        "PUT",
        "/services/{classes}",
        _CREATED,
        ("05-service-explicit-paths", 9),
        create("classes"),
        needs="hold",
        makes="classes",
    ),
    Step(
        "create once more",
        "PUT",
        "/services/{classes}",
        Answer(409, 1014),
        (_CREATE, 1),
        create("classes"),
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
    _post("classify", _OK, (_CLASSIFY, 1), predict("classes"), shape=shapes.classes, needs="classes"),
    _post(
        "classify, all labels", _OK, (_CLASSIFY, 4), predict("classes", best=-1), shape=shapes.classes, needs="classes"
    ),
    _post(
        "classify a batch", _OK, (_CLASSIFY, 20), predict("classes", 3, best=2), shape=shapes.classes, needs="classes"
    ),
    _post(
        "two pictures with one id",
        _OK,
        ("09-classify-batch", 8),
        predict("classes", 3, ids=("d", "d", "e")),
        shape=shapes.classes,
        needs="classes",
    ),
    _post("best 3.0", Answer(500, 1007), (_CLASSIFY, 9), predict("classes", best=3.0), needs="classes"),
    _post("no data", Answer(400, 1005), (_DATA, 23), with_data("classes", []), needs="classes"),
    _post("data that is no list", Answer(500, 1007), (_DATA, 25), with_data("classes", NO_PICTURE), needs="classes"),
    _post("not a picture", Answer(400, 1005), (_DATA, 4), predict("classes", bad=True), needs="classes"),
    _post(
        "one bad picture in a batch", Answer(400, 1005), (_DATA, 3), predict("classes", 2, bad=True), needs="classes"
    ),
    _post(
        "a layer of a classification service",
        Answer(500, 1007),
        (_CLASSIFY, 42),
        predict("classes", layer=True, best=1),
        needs="classes",
    ),
    _post("classify after it", _OK, (_CLASSIFY, 43), predict("classes", best=1), shape=shapes.classes, needs="classes"),
    # Features.
    Step(
        "create for similarity",
        "PUT",
        "/services/{similar}",
        _CREATED,
        (_EXTRACT, 0),
        create("similar"),
        needs="hold",
        makes="similar",
    ),
    _post("extract", _OK, (_EXTRACT, 3), predict("similar", 2, layer=True), shape=shapes.vectors, needs="similar"),
    _post("extract without a layer", _OK, (_EXTRACT, 9), predict("similar"), shape=shapes.nothing, needs="similar"),
    _post(
        "extract an unknown layer",
        Answer(400, 1006),
        (_EXTRACT, 13),
        predict("similar", layer=NO_LAYER),
        needs="similar",
    ),
    _post("the call after it", Answer(500, 1007), (_EXTRACT, 14), predict("similar", layer=True), needs="similar"),
    _post("and the next", _OK, (_EXTRACT, 15), predict("similar", layer=True), shape=shapes.vectors, needs="similar"),
    # The index.
    _post(
        "search an empty index",
        _OK,
        ("22-sim-search-empty", 1),
        predict("similar", layer=True, search=True),
        shape=shapes.no_neighbours,
        needs="similar",
        index=True,
    ),
    _post(
        "index and build in one call",
        _OK,
        (_SEARCH, 2),
        predict("similar", 3, layer=True, index=True, build_index=True),
        shape=shapes.indexed,
        needs="similar",
        index=True,
    ),
    _post(
        "search for what is indexed",
        _OK,
        (_SEARCH, 4),
        predict("similar", layer=True, search=True),
        shape=shapes.itself_first,
        needs="similar",
        index=True,
        finds=NAMES,
    ),
    _post(
        "ask for more than there are",
        _OK,
        ("35-sim-names", 2),
        predict("similar", layer=True, search=True, search_nn=50),
        shape=shapes.itself_first,
        needs="similar",
        index=True,
        finds=NAMES,
    ),
    _post(
        "search_nn 2.0",
        Answer(500, 1007),
        (_SEARCH, 10),
        predict("similar", layer=True, search=True, search_nn=2.0),
        needs="similar",
        index=True,
    ),
    _post(
        "index a batch with a bad picture",
        Answer(400, 1005),
        ("38-sim-index-errors", 4),
        predict("similar", 2, ids=("good", "bad"), layer=True, bad=True, index=True, build_index=True),
        needs="similar",
        index=True,
    ),
    _post(
        "nothing of it is indexed",
        _OK,
        ("38-sim-index-errors", 5),
        predict("similar", layer=True, search=True, search_nn=50),
        shape=shapes.neighbours,
        needs="similar",
        index=True,
        finds=NAMES,
    ),
    _post(
        "index a name once more",
        _OK,
        (_SEARCH, 19),
        predict("similar", layer=True, index=True, build_index=True),
        shape=shapes.indexed,
        needs="similar",
        index=True,
    ),
    _post(
        "it is there twice",
        _OK,
        (_SEARCH, 20),
        predict("similar", layer=True, search=True, search_nn=10),
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
        create("similar"),
        needs="hold",
        makes="similar",
    ),
    _post(
        "the index outlives the service",
        _OK,
        (_CLEAR, 5),
        predict("similar", layer=True, search=True),
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
        create("similar"),
        needs="hold",
        makes="similar",
    ),
    _post(
        "the index is empty",
        _OK,
        (_CLEAR, 15),
        predict("similar", layer=True, search=True),
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
        create("similar", type="supervised", model__create_repository=None),
    ),
    Step("delete the other one", "DELETE", "/services/{classes}", _OK, (_CREATE, 35), needs="classes"),
)
