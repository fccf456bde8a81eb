"""Answers of the embedded server: envelope, error codes, and JSON as DeepDetect writes it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

import numpy as np
import orjson

Json = dict[str, Any]

#: dd_code of the answer given where a real server's process would have ended; no DeepDetect uses this number.
WOULD_HAVE_DIED = 1900


@dataclass(frozen=True)
class Answer:
    """One HTTP answer.

    Attributes:
        status: HTTP status.
        body: the body's bytes.
        reason: reason phrase; the real server leaves it empty but for the errors of its HTTP layer
            (recordings/wire/11-http-layer).
        close: whether the connection ends after it.
        content_type: of the body.
        values: what the body would say, to a caller within the process, who needs no body.
    """

    status: int
    body: bytes
    reason: str = ""
    close: bool = False
    content_type: str = "application/json"
    values: Json | None = None


class Refusal(Exception):
    """A call is answered with an error.

    Attributes:
        status: HTTP status.
        msg: the envelope's ``msg``, whose spelling differs from place to place in the real server.
        dd_code: None sends neither code nor dd_msg.
        dd_msg: the error's text.
        head: an additional ``head`` (only the training status has one).
    """

    def __init__(self, status: int, msg: str, dd_code: int | None = None, dd_msg: str = "", head: Json | None = None):
        super().__init__(f"{status}/{dd_code} {dd_msg or msg}")
        self.status = status
        self.msg = msg
        self.dd_code = dd_code
        self.dd_msg = dd_msg
        self.head = head

    def answer(self) -> Answer:
        """The answer that says so."""
        status: Json = {"code": self.status, "msg": self.msg}
        if self.dd_code is not None:
            status |= {"dd_code": self.dd_code, "dd_msg": self.dd_msg}
        body: Json = {"status": status}
        if self.head is not None:
            body["head"] = self.head
        return Answer(self.status, encode(body))


def malformed() -> Refusal:
    """400 without dd_code: not JSON, or not what the call needs."""
    return Refusal(400, "BadRequest")


def wrong_shape(assertion: str) -> Refusal:
    """400/400: JSON whose mandatory parts are missing or of the wrong type."""
    return Refusal(400, "BadRequest", 400, assertion)


def bad_input(detail: str) -> Refusal:
    """400/1005."""
    return Refusal(400, "BadRequest", 1005, f"Service Input Error: {detail}")


def bad_parameter(detail: str = "") -> Refusal:
    """400/1006."""
    return Refusal(400, "BadRequest", 1006, "Service Bad Request Error" + (f": {detail}" if detail else ""))


def not_embedded(what: str) -> Refusal:
    """400/1006 for what only a real server does."""
    return bad_parameter(f"{what} is not in the embedded server; use a real DeepDetect server for it")


def internal(detail: str) -> Refusal:
    """500/1007: any exception in the real server, mistakes of the caller included."""
    return Refusal(500, "InternalError", 1007, detail)


def no_model(detail: str) -> Refusal:
    """500/500: an error inside the machine learning library."""
    return Refusal(500, "InternalError", 500, detail)


def wrong_type() -> Refusal:
    """500/1007 with the text of DeepDetect's own typed getters."""
    return internal("in get<T>()")


def out_of_range(index: int, size: int) -> Refusal:
    """500/1007 with the text of std::vector::at."""
    return internal(f"vector::_M_range_check: __n (which is {index}) >= this->size() (which is {size})")


def service_not_found() -> Refusal:
    """404/1002."""
    return Refusal(404, "NotFound", 1002, "Service Not Found")


def index_closed() -> Refusal:
    """403/1010: with FAISS this means that no index is loaded (recordings/wire/27-sim-build-fresh)."""
    return Refusal(403, "Forbidden", 1010, "Cannot index after similarity search tree has been built")


def would_have_died(signal: str, why: str) -> Refusal:
    """500 in the place of a real server's death; nothing is lost here, and the service goes on.

    Args:
        signal: what ends the real process, e.g. ``SIGSEGV``.
        why: what the call did, and what to do instead.
    """
    text = f"a real DeepDetect would have ended here with {signal}, and every service with it: {why}"
    return Refusal(500, "InternalError", WOULD_HAVE_DIED, text)


def http_error(status: int, detail: str) -> Answer:
    """An error of the HTTP layer: no dd_code, and the connection ends."""
    reason = HTTPStatus(status).phrase
    return Answer(status, encode({"status": {"code": status, "msg": f"{reason}: {detail}"}}), reason, close=True)


def no_mapping(method: str, target: str) -> Answer:
    """404 of the HTTP layer: no such route."""
    return http_error(404, f"No mapping for HTTP-method: '{method}', URL: '{target}'")


def encode(body: Json) -> bytes:
    """JSON as DeepDetect sends it: NaN and infinities bare, strings byte for byte even where they are not UTF-8.

    orjson, several times faster on long vectors, is taken wherever it writes the same.
    """
    try:
        text = orjson.dumps(body, option=orjson.OPT_SERIALIZE_NUMPY)
        # It writes null for numbers that are none, and nothing else in an answer is null.
        if b"null" not in text:
            return text
    except orjson.JSONEncodeError:
        pass  # a string that is not UTF-8, which orjson refuses
    words = json.dumps(body, ensure_ascii=False, separators=(",", ":"), default=np.ndarray.tolist)
    return words.encode("utf-8", "surrogateescape")
