"""Recorded exchanges as the client has them: the call that stands for a request, and what the answer should become."""

from __future__ import annotations

import functools
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import numpy as np

from ddsim import Client, Reply, ServerPath, ServiceSpec, errors
from ddsim.errors import ApiError, ConnectionLost, DDSimError, InvalidRequest, InvalidResponse

RECORDINGS = Path(__file__).parent / "recordings"

# What no call of the client sends, and why. Its answers are read all the same, by `checked`, as any other answer is.
NO_CALL = {
    "train": "training is not what ddsim is for",
    "chain": "chains can kill the server (15b), and ddsim needs none",
    "resources": "video sources are not pictures",
    "stream": "a stub of the server that does nothing",
    "route": "there is no such route; the client makes no such path",
    "build": "a build without anything new kills the server (26, 52), so the client builds only while adding",
    "binarized": "it changes the features before they are indexed, so the client never asks for it",
    "left out": "the recording leaves the body out, as it is compressed or long",
}
KINDS: dict[tuple[int, int | None], type[ApiError]] = {
    (400, None): errors.MalformedRequest,
    (400, 400): errors.MalformedRequest,
    (400, 1005): errors.BadInput,
    (400, 1006): errors.BadParameter,
    (403, 1010): errors.IndexClosed,
    (404, 1000): errors.UnknownLibrary,
    (404, 1002): errors.ServiceNotFound,
    (409, 1014): errors.ServiceExists,
    (500, None): errors.ServerFault,
    (500, 500): errors.ServerFault,
    (500, 1007): errors.ServerFault,
    # What is no error of its own is the root of all refusals.
    (404, None): ApiError,
    (404, 1003): ApiError,
    (404, 1004): ApiError,
    (404, 1009): ApiError,
}


@dataclass(frozen=True)
class Exchange:
    """One recorded request and its answer; ``service`` is what the service in it was created as."""

    where: str
    request: dict[str, Any]
    response: dict[str, Any]
    service: dict[str, Any]

    @property
    def body(self) -> dict[str, Any]:
        """The request's JSON object; empty where there was none."""
        body = self.request.get("json")
        if body is None and "raw" in self.request:
            try:
                body = json.loads(self.request["raw"])
            except ValueError:
                body = None
        return body if isinstance(body, dict) else {}

    @property
    def query(self) -> dict[str, str]:
        """The words after the question mark."""
        return dict(parse_qsl(self.request.get("query", ""), keep_blank_values=True))

    @property
    def payload(self) -> Any:
        """The answer's JSON, with numbers in place of the features that were left out."""
        return restored(self.response.get("json"))

    @property
    def answer(self) -> bytes | None:
        """The answer's bytes; None where the recording leaves them out."""
        if "json" in self.response:
            return as_bytes(self.payload)
        text = self.response.get("text")
        return None if text is None else text.encode("utf-8", "surrogateescape")

    @property
    def output(self) -> dict[str, Any]:
        """The flags of a prediction."""
        return part(self.body, "parameters", "output")


def part(value: Any, *keys: str) -> dict[str, Any]:
    """An object inside of others, empty where it is none."""
    for key in keys:
        value = value.get(key) if isinstance(value, dict) else None
    return value if isinstance(value, dict) else {}


def restored(value: Any, number: int = 0) -> Any:
    """JSON with features in place of what says how many were left out, different ones for each prediction."""
    if isinstance(value, dict):
        if set(value) == {"$omitted_vals"}:
            return [(number + column) % 13 / 4 for column in range(value["$omitted_vals"])]
        return {key: restored(inner, number) for key, inner in value.items()}
    return [restored(inner, row) for row, inner in enumerate(value)] if isinstance(value, list) else value


def as_bytes(payload: Any) -> bytes:
    """JSON as the server writes it: bare NaN and Infinity, and bytes that are no UTF-8 as they were."""
    return json.dumps(payload, ensure_ascii=False).encode("utf-8", "surrogateescape")


@functools.cache
def files() -> list[tuple[str, dict[str, Any]]]:
    """(name, content) of all recordings, of v0.25.0 and of Torch."""
    found = [*sorted(RECORDINGS.glob("wire/*.json")), *sorted(RECORDINGS.glob("torch/wire/*.json"))]
    names = [path.relative_to(RECORDINGS).as_posix().replace("wire/", "").removesuffix(".json") for path in found]
    return [(name, json.loads(path.read_text(encoding="utf-8"))) for name, path in zip(names, found, strict=True)]


def exchanges() -> Iterator[Exchange]:
    """Every request that was answered, or that the server died of."""
    for name, recording in files():
        services: dict[str, dict[str, Any]] = {}
        for number, entry in enumerate(recording["exchanges"]):
            if "request" not in entry:
                continue
            request, body = entry["request"], entry["request"].get("json")
            path = request["path"].strip("/").lower()
            if request["method"] in ("PUT", "POST") and isinstance(body, dict) and path.startswith("services/"):
                services[path.removeprefix("services/")] = body
            asked = str(body.get("service", "")).lower() if isinstance(body, dict) else ""
            yield Exchange(f"{name}#{number}", request, entry["response"], services.get(asked, {}))


EXCHANGES = list(exchanges())


def no_call(exchange: Exchange) -> str:
    """Which reason of NO_CALL keeps the client from making this request; empty for none."""
    method, path = exchange.request["method"], exchange.request["path"].strip("/")
    head = path.partition("/")[0]
    if not exchange.response.get("closed") and exchange.answer is None:
        return "left out"
    if head in ("train", "chain", "resources", "stream"):
        return head
    made = {"info": ("GET",), "services": ("GET", "PUT", "POST", "DELETE"), "predict": ("POST",)}
    if method not in made.get(head, ()) or path.count("/") != (head == "services"):
        return "route"
    if {"binarized", "bool_binarized", "string_binarized"} & set(exchange.output):
        return "binarized"
    builds = head == "predict" and exchange.output.get("build_index") and not exchange.output.get("index")
    return "build" if builds else ""


# What the client makes of an answer, as a plain value, and what it should make of it

Plain = Any


def read(exchange: Exchange, client: Client, transport: Any) -> Plain:
    """Make the call that stands for the recorded request, and give its result as plain values."""
    method, head = exchange.request["method"], exchange.request["path"].strip("/").partition("/")[0]
    outcome: Any = ConnectionLost("gone") if exchange.response.get("closed") else None
    reply = None if outcome else Reply(exchange.response["status"], exchange.answer or b"")
    if method == "GET":
        described = transport._described
        transport._described = lambda path: reply if reply and path.startswith(f"/{head}") else described(path)
        if head == "info":
            return client.info().model_dump(mode="json", exclude_unset=True)
        labels = "labels" in exchange.query
        return client.get_service("svc", labels=labels).model_dump(mode="json", exclude_unset=True)
    if head == "services":
        return change(exchange, client, transport, outcome or reply)
    transport.script.append(outcome or functools.partial(renamed, exchange))
    return predict(exchange, client)


def change(exchange: Exchange, client: Client, transport: Any, answer: Any) -> None:
    """Create or delete a service."""
    if exchange.request["method"] != "DELETE":
        transport.script.append(answer)
        client.create_service(spec_of(exchange.body) or ServiceSpec(name="svc", repository="/r", nclasses=5))
        return
    word = exchange.query.get("clear")
    if word == "index":
        transport.script += [transport._healthy, answer]
        client.delete_service("sim", clear="index", layer="fc1")
        return
    transport.script.append(answer)
    client.delete_service("sim", destroy_model_files=word if word in ("lib", "full", "dir") else None)


def spec_of(body: dict[str, Any]) -> ServiceSpec | None:
    """The service that such a body creates; None where the client would send another one, or none."""
    model = part(body, "model")
    picture, network = part(body, "parameters", "input"), part(body, "parameters", "mllib")
    settings = {
        "name": "svc",
        **{key: body[key] for key in ("mllib", "type", "description") if key in body},
        **{
            key: model[key]
            for key in ("repository", "create_repository", "weights", "corresp", "templates")
            if key in model
        },
        **({"definition": model["def"]} if "def" in model else {}),
        **{key: picture[key] for key in ("width", "height", "mean", "std", "scale", "rgb") if key in picture},
        **{key: network[key] for key in ("nclasses", "template", "gpu", "gpuid") if key in network},
    }
    try:
        spec = ServiceSpec(**settings)
        return spec if spec.body() == body else None
    except InvalidRequest:
        return None


def kind_of(exchange: Exchange) -> str:
    """Which prediction the recorded one is."""
    if exchange.output.get("search"):
        return "search"
    if exchange.output.get("index"):
        return "add"
    layer = part(exchange.body, "parameters", "mllib").get("extract_layer")
    return "extract" if layer or exchange.service.get("type") == "unsupervised" else "classify"


def predict(exchange: Exchange, client: Client) -> Plain:
    """Make the prediction."""
    pictures = [ServerPath(f"/p/{number}") for number, _ in enumerate(names(exchange))]
    service = "torch" if exchange.service.get("mllib") == "torch" else "sim"
    kind = kind_of(exchange)
    if kind == "classify":
        found = client.classify("torch" if service == "torch" else "cls", pictures)
        return [[(label.name, label.probability) for label in one.labels] for one in found]
    if kind == "extract":
        return client.extract(service, pictures, layer="fc1")
    if kind == "add":
        build = bool(exchange.output.get("build_index"))
        named = {f"item/{number}": picture for number, picture in enumerate(pictures)}
        return client.add_to_index(service, named, layer="fc1", build=build)
    replies = client.search_index(service, pictures, layer="fc1")
    return [(reply.vector, [(item.uri, item.distance) for item in reply.neighbours]) for reply in replies]


def predictions(exchange: Exchange) -> list[dict[str, Any]]:
    """The recorded predictions."""
    found = part(exchange.payload, "body").get("predictions")
    return found if isinstance(found, list) else []


def names(exchange: Exchange) -> list[str]:
    """The names that the server gave the pictures of the request, in the request's order; at least one."""
    data, ids = exchange.body.get("data"), exchange.body.get("ids")
    items = data if isinstance(data, list) else []
    ids = ids if isinstance(ids, list) else []
    found = [
        ids[number] if number < len(ids) else item if isinstance(item, str) and item[:1] in "/h" else str(number)
        for number, item in enumerate(items)
    ]
    answered = [prediction["uri"] for prediction in predictions(exchange)]
    if not set(answered) <= set(map(str, found)):
        found = answered  # a folder in place of a picture, or a name that JSON spoiled on its way
    return [str(name) for name in found] or [""]


def renamed(exchange: Exchange, sent: dict[str, Any]) -> Reply:
    """The recorded answer, with the names that the client sent."""
    payload = exchange.payload
    if predictions(exchange):
        for prediction in payload["body"]["predictions"]:
            prediction["uri"] = sent["ids"][names(exchange).index(prediction["uri"])]
        return Reply(exchange.response["status"], as_bytes(payload))
    return Reply(exchange.response["status"], exchange.answer or b"")


def expected(exchange: Exchange) -> Plain:
    """What the client should make of the answer: plain values, or the class of the error."""
    refused = refusal(exchange)
    if refused:
        return refused
    method, head = exchange.request["method"], exchange.request["path"].strip("/").partition("/")[0]
    if method == "GET":
        return exchange.payload["head" if head == "info" else "body"]
    return None if head == "services" else expected_predictions(exchange)


def refusal(exchange: Exchange) -> type[DDSimError] | None:
    """The class of the error that the answer stands for."""
    if exchange.response.get("closed"):
        return ConnectionLost
    payload, status = exchange.payload, exchange.response["status"]
    if not isinstance(payload, dict):
        return InvalidResponse
    said = part(payload, "status")
    code = max(status, said.get("code", 0))
    if code < 400:
        return None
    if exchange.request["method"] == "DELETE" and code == 404:
        return errors.ServiceNotFound
    return KINDS[code, said.get("dd_code")]


def expected_predictions(exchange: Exchange) -> Plain:
    """The recorded predictions in the order of the request."""
    by_name = {prediction["uri"]: prediction for prediction in predictions(exchange)}
    asked = names(exchange)
    if sorted(by_name) != sorted(asked) or len(predictions(exchange)) != len(asked):
        return InvalidResponse  # the server dropped some: the same name twice, or no layer
    found = [by_name[name] for name in asked]
    kind = kind_of(exchange)
    if kind == "classify":
        ordered = [sorted(one.get("classes", []), key=lambda entry: -entry["prob"]) for one in found]
        return [[(entry["cat"], entry["prob"]) for entry in classes] for classes in ordered]
    if any(not one.get("vals") for one in found):
        return InvalidResponse
    vectors = np.array([one["vals"] for one in found], np.float32)
    if kind != "search":
        return vectors
    ordered = [sorted(one.get("nns", []), key=lambda entry: entry["dist"]) for one in found]
    neighbours = [[(entry["uri"], entry["dist"]) for entry in nns] for nns in ordered]
    return list(zip(vectors, neighbours, strict=True))
