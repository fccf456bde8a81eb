"""Whatever a server answers, the client gives a typed result or a typed error."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from client_side import EXCHANGES, Exchange, as_bytes, kind_of, names, no_call, predictions
from spoiling import Edit, as_json, spoilt, spoilt_json

from ddsim import Classification, Client, Reply, SearchReply, ServerPath, ServiceSpec, Timeout
from ddsim.deepdetect import Info, ServiceInfo, TrainingStatus, differences, mark_of

LAYER = "fc1"
SERVICES = {
    "cls": {"name": "cls", "mllib": "caffe", "type": "supervised", "repository": "/m/cls"},
    "sim": {"name": "sim", "mllib": "caffe", "type": "unsupervised", "repository": "/i/sim"},
    "torch": {"name": "torch", "mllib": "torch", "type": "supervised", "repository": "/m/torch"},
}
_INFO = {"head": {"compile_flags": "USE_CAFFE=ON USE_SIMSEARCH=ON USE_FAISS=ON", "services": list(SERVICES.values())}}
BASES: dict[str, Exchange] = {
    one.where: one
    for one in EXCHANGES
    if not no_call(one) and one.answer is not None and not one.response.get("closed")
}
#: An answer of /train, of which there is no recording: as DeepDetect's documentation has it.
_TRAINING = {
    "status": {"code": 201, "msg": "Created"},
    "head": {"method": "/train", "job": 1, "status": "running", "time": 12.0},
    "body": {"measure": {"train_loss": 0.5, "acc": 0.9}},
}
TRAINING = Exchange("train", {"method": "POST", "path": "/train"}, {"status": 201, "json": _TRAINING}, {})
BASES[TRAINING.where] = TRAINING


class Answering:
    """A transport: describes its services, and gives one spoilt answer to what the exchange is about."""

    def __init__(self, exchange: Exchange, spoil: Callable[[Any], bytes]) -> None:
        self._exchange = exchange
        self._spoil = spoil

    def exchange(self, method: str, path: str, json: Mapping[str, Any] | None, timeout: Timeout) -> Reply:
        """The recorded answer, spoilt, or a plain description."""
        about = self._exchange.request["path"].strip("/").partition("/")[0]
        if path.startswith(f"/{about}") and method == self._exchange.request["method"].replace("POST", method):
            return Reply(self._exchange.response["status"], self._spoil(self._named(json)))
        if path == "/info":
            return Reply(200, as_bytes(_INFO))
        service = path.removeprefix("/services/").partition("?")[0]
        if service not in SERVICES:
            return Reply(404, as_bytes({"status": {"code": 404, "dd_code": 1002, "dd_msg": "Service Not Found"}}))
        return Reply(200, as_bytes({"status": {"code": 200}, "body": SERVICES[service]}))

    def _named(self, sent: Mapping[str, Any] | None) -> Any:
        """The recorded answer with the names that the client sent."""
        payload = self._exchange.payload
        if sent is not None and predictions(self._exchange):
            theirs = names(self._exchange)
            for prediction in payload["body"]["predictions"]:
                prediction["uri"] = sent["ids"][theirs.index(prediction["uri"])]
        return payload

    def close(self) -> None:
        """Nothing is open."""


def check_json(base: str, edits: Sequence[Edit]) -> None:
    """The answer with other values in it."""
    _check(BASES[base], lambda payload: as_json(spoilt_json(payload, edits)))


def check_bytes(base: str, edits: Sequence[Edit]) -> None:
    """The answer's bytes, spoilt."""
    _check(BASES[base], lambda payload: spoilt(as_bytes(payload), edits))


def _check(exchange: Exchange, spoil: Callable[[Any], bytes]) -> None:
    with Client(transport=Answering(exchange, spoil), retries=0, batch_size=1000) as client:
        _ask(exchange, client)


def _ask(exchange: Exchange, client: Client) -> None:
    """Make the call that the exchange stands for, and look at every part of the result."""
    method, head = exchange.request["method"], exchange.request["path"].strip("/").partition("/")[0]
    if head == "info":
        info = client.info()
        assert isinstance(info, Info)
        assert isinstance(info.capabilities.similarity_search, bool)
    elif head == "train":
        status = client.train("cls", ["/data"], parameters={})
        assert isinstance(status, TrainingStatus)
        assert all(isinstance(value, float) for value in status.measures.values())
    elif method == "GET":
        _look_at(client.get_service("cls", labels=True))
    elif method == "DELETE":
        client.delete_service("cls")
    elif head == "services":
        client.create_service(ServiceSpec(name="svc", repository="/r", nclasses=5))
    else:
        _predict(exchange, client)


def _look_at(found: ServiceInfo) -> None:
    assert isinstance(found, ServiceInfo)
    assert all(isinstance(value, float) for value in found.std)
    assert found.nclasses is None or isinstance(found.nclasses, int)
    mark_of(found)
    differences(ServiceSpec(name="cls", repository="/m/cls", nclasses=5, mean=(1.0, 2.0, 3.0), scale=2.0), found)


def _predict(exchange: Exchange, client: Client) -> None:
    pictures = [ServerPath(f"/p/{number}") for number, _ in enumerate(names(exchange))]
    service = "torch" if exchange.service.get("mllib") == "torch" else "sim"
    kind = kind_of(exchange)
    if kind == "classify":
        found = client.classify("torch" if service == "torch" else "cls", pictures)
        assert all(isinstance(one, Classification) for one in found)
        assert all(
            isinstance(label.name, str) and isinstance(label.probability, float)
            for one in found
            for label in one.labels
        )
        assert len(found) == len(pictures)
    elif kind in ("extract", "add"):
        named = {f"item/{number}": picture for number, picture in enumerate(pictures)}
        vectors = (
            client.extract(service, pictures, layer=LAYER)
            if kind == "extract"
            else client.add_to_index(service, named, layer=LAYER)
        )
        assert (vectors.dtype, vectors.ndim, len(vectors)) == (np.float32, 2, len(pictures))
    else:
        replies = client.search_index(service, pictures, layer=LAYER)
        assert len(replies) == len(pictures)
        for reply in replies:
            assert isinstance(reply, SearchReply)
            assert all(isinstance(one.uri, str) and isinstance(one.distance, float) for one in reply.neighbours)
            assert all(0.0 <= one.closeness <= 1.0 for one in reply.neighbours)
