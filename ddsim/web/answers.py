"""How a refusal is answered."""

from __future__ import annotations

from starlette.responses import JSONResponse, Response

from ddsim.web.refusals import Words


def refused(words: Words) -> Response:
    """The answer to a request that is refused."""
    return JSONResponse({"error": error_of(words)}, words.status, headers_of(words))


def error_of(words: Words) -> dict[str, str]:
    """What is said."""
    return {"code": words.code, "message": words.message, "hint": words.hint}


def headers_of(words: Words) -> dict[str, str]:
    """When to come back."""
    return {} if words.retry_after is None else {"retry-after": str(words.retry_after)}
