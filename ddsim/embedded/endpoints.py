"""The endpoints beside services and predictions: what the embedded server has of them.

Training, video resources and chains of more than one call belong to a real server; the answers here are those of
recordings/wire/15-other-endpoints and 15b-chain-empty.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ddsim.embedded.payload import container
from ddsim.embedded.replies import (
    Answer,
    Json,
    Refusal,
    encode,
    malformed,
    not_embedded,
    service_not_found,
    would_have_died,
)
from ddsim.embedded.routes import Route, is_word, lowered
from ddsim.embedded.service import Service

_API_DOCUMENT: Json = {
    "openapi": "3.0.0",
    "info": {"title": "DeepDetect API, embedded server of ddsim", "version": "1.0"},
    "paths": {},
}


def answer(route: Route, find: Callable[[str], Service | None]) -> Answer:
    """Answer one of the lesser endpoints.

    Args:
        route: the request.
        find: looks a service up by its name.

    Raises:
        Refusal: not found, or not in the embedded server.
    """
    if route.endpoint == "api-docs":
        return Answer(200, encode(_API_DOCUMENT), "OK")
    if route.endpoint == "train":
        raise _training(route, find)
    if route.endpoint == "stream":  # does nothing in the real server either
        return Answer(200, encode({"status": {"code": 200, "msg": ""}}))
    if route.method == "PUT":
        raise not_embedded("a video resource")
    raise Refusal(404, "Not Found")


def _training(route: Route, find: Callable[[str], Service | None]) -> Refusal:
    if route.method in ("PUT", "POST"):
        return not_embedded("training")
    name = route.query.get("service", "")
    if not is_word(name):
        return malformed()
    if find(lowered(name)) is None:
        return service_not_found()
    job = route.query.get("job")
    head = {"method": "/train", "job": int(job)} if job is not None and job.isdecimal() else None
    return Refusal(404, "NotFound", 1003, "Job Not Found", head)


def single_call_of_chain(body: Any) -> tuple[str, Json]:
    """Service name and request of a chain that is one predict call.

    Raises:
        Refusal: 500 for a body without ``chain``, which ends a real server; 400/1006 for longer chains.
    """
    if not isinstance(body, dict):
        raise malformed()
    chain = container(body).get("chain")
    calls = chain.get("calls") if isinstance(chain, dict) else None
    if not isinstance(calls, list) or not isinstance(calls[0], dict):
        raise would_have_died("SIGSEGV", "POST /chain without chain.calls")
    if len(calls) > 1 or not isinstance(calls[0].get("service"), str):
        raise not_embedded("a chain of more than one predict call")
    return calls[0]["service"], calls[0]
