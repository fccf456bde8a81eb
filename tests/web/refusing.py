"""How a refused request is answered, whatever was wrong with it."""

from __future__ import annotations

from typing import Any

from shop import Shop

HEADERS = {
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "cache-control": "no-store",
}


def assert_refused(answer: Any, status: int, code: str, shop: Shop | None = None) -> dict[str, str]:
    """See that it is the error wanted, with the usual headers, and tells nothing of the machine; gives what is said."""
    assert (answer.status_code, answer.json()["error"]["code"]) == (status, code), answer.text
    assert answer.headers["content-type"] == "application/json"
    for name, value in HEADERS.items():
        assert answer.headers[name] == value
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    assert not any(word in answer.text for word in ("Traceback", ".py", "/tmp", "/home", "/etc"))  # noqa: S108
    assert shop is None or str(shop.root) not in answer.text
    error: dict[str, str] = answer.json()["error"]
    assert error.keys() == {"code", "message", "hint"}
    assert error["message"].endswith(".")
    assert error["hint"].endswith(".")
    return error
