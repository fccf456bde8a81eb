"""Request targets: routes and query strings as the real server's HTTP library reads them.

Nothing is percent-decoded, a trailing slash is tolerated, a second path segment is not
(recordings/wire/02-service-create, 07-service-get-delete, 12-service-names).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ddsim.embedded.replies import Refusal

#: endpoint -> methods; the second table's endpoints take a name.
_PLAIN = {"info": {"GET"}, "predict": {"POST"}, "train": {"GET", "PUT", "POST", "DELETE"}}
_NAMED = {
    "services": {"GET", "PUT", "POST", "DELETE"},
    "chain": {"PUT", "POST"},
    "resources": {"GET", "PUT", "DELETE"},
    "stream": {"GET", "PUT", "DELETE"},
}
_API_DOCUMENT = "api-docs/oas-3.0.0.json"
_LOWER = {upper: upper + 32 for upper in range(ord("A"), ord("Z") + 1)}
_BOOLEANS = {"1": True, "true": True, "0": False, "false": False}


@dataclass(frozen=True)
class Route:
    """A request that has a handler.

    Attributes:
        method: GET, PUT, POST or DELETE.
        endpoint: first path segment.
        name: second one, lower-cased; empty where the endpoint takes none.
        query: the raw values; of equal keys the last one counts.
    """

    method: str
    endpoint: str
    name: str
    query: Mapping[str, str]


def find(method: str, target: str) -> Route | None:
    """The handler of a request, None where there is none."""
    path, _, query = target.partition("?")
    if not path.startswith("/"):
        return None
    if path.strip("/") == _API_DOCUMENT and method == "GET":
        return Route(method, "api-docs", "", {})
    endpoint, _, name = path[1:].partition("/")
    name = name.removesuffix("/")
    if "/" in name:
        return None
    methods = _NAMED.get(endpoint, set()) if name else _PLAIN.get(endpoint, set())
    if method not in methods:
        return None
    pairs = (pair.partition("=") for pair in query.split("&") if pair)
    return Route(method, endpoint, lowered(name), {key: value for key, _, value in pairs})


def lowered(name: str) -> str:
    """Lower case in ASCII alone, as the real server compares names."""
    return name.translate(_LOWER)


def flag(route: Route, name: str, default: bool) -> bool:
    """A boolean of the query.

    Raises:
        Refusal: 400/400 for anything but 0, 1, false, true in lower case (recordings/wire/01-info).
    """
    if name not in route.query:
        return default
    try:
        return _BOOLEANS[route.query[name]]
    except KeyError:
        raise Refusal(400, "Bad request", 400, f"{name} must be a boolean value") from None


def is_word(value: str) -> bool:
    """Whether the server takes a query value for a string: it holds a letter and is no boolean.

    Anything else becomes a boolean or a number, which no parameter here wants (recordings/wire/07-service-get-delete).
    """
    return any(char.isascii() and char.isalpha() for char in value) and value.lower() not in ("true", "false")
