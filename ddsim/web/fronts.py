"""What stands before the page: a reverse proxy, and the path below which it is reached."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Collection, Iterable
from typing import Any

from starlette.datastructures import Headers
from starlette.types import Scope

from ddsim.errors import ConfigError

LOOPBACK_PROXIES = ("127.0.0.0/8", "::1")
"""Whose word is taken by default: only somebody on this machine can connect from there."""
ROUTES = frozenset(
    {
        "accent.css",
        "api",
        "docs",
        "embed.js",
        "healthz",
        "logo",
        "metrics",
        "openapi.json",
        "photos",
        "pictures",
        "search",
        "static",
        "thumbnails",
    }
)
"""First parts of the page's own paths."""
_PATH = re.compile(r"(/[A-Za-z0-9._~-]+)+")
_HOST = re.compile(r"([A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(:[0-9]{1,5})?")

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class Front:
    """Knows under which name, scheme and path people reach the page.

    Args:
        root_path: the path below which it is reached, such as ``/visual``; empty for none. Whether a proxy takes it
            away before it passes requests on makes no difference.
        proxies: addresses or networks whose ``X-Forwarded-Host``, ``-Proto`` and ``-Prefix`` are believed.

    Raises:
        ConfigError: one of them cannot be right.
    """

    def __init__(self, root_path: str = "", proxies: Iterable[str] = LOOPBACK_PROXIES) -> None:
        self._root = checked_root(root_path)
        self._proxies = [_network(text) for text in proxies]

    def host(self, scope: Scope) -> str | None:
        """The name that the browser asked a trusted proxy for, with its port; None where none is told."""
        told = self._told(scope, "x-forwarded-host")
        return told.lower() if _HOST.fullmatch(told) else None

    def inside(self, scope: Scope) -> Scope:
        """The request as the application is to see it: with outside's scheme and host, and its path below the root."""
        changed: dict[str, Any] = {}
        scheme = self._told(scope, "x-forwarded-proto").lower()
        if scheme in ("http", "https"):
            changed["scheme"] = scheme
        if host := self.host(scope):
            others = [(name, value) for name, value in scope["headers"] if name != b"host"]
            changed["headers"] = [(b"host", host.encode()), *others]
        prefix = self._told(scope, "x-forwarded-prefix").rstrip("/")
        root = prefix if _PATH.fullmatch(prefix) else self._root
        if root:
            path = scope["path"]
            changed["root_path"] = root
            changed["path"] = path if _is_below(path, root) else root + path
        return {**scope, **changed}

    def _told(self, scope: Scope, header: str) -> str:
        if not self._trusts(scope):
            return ""
        # Of several, the nearest proxy's own word is the last one; what stands before it may be the browser's.
        return Headers(scope=scope).get(header, "").rpartition(",")[2].strip()

    def _trusts(self, scope: Scope) -> bool:
        try:
            peer = ipaddress.ip_address((scope.get("client") or ("",))[0])
        except ValueError:
            return False
        peer = getattr(peer, "ipv4_mapped", None) or peer
        return any(peer in network for network in self._proxies)


def checked_root(root_path: str) -> str:
    """A path without a slash at its end; empty for none.

    Raises:
        ConfigError: it is no plain path, or begins as one of the page's own does.
    """
    root = root_path.strip().rstrip("/")
    if not root:
        return ""
    if not _PATH.fullmatch(root):
        raise ConfigError(f"the root path {root_path!r} is none: write it as /visual")
    first = root.split("/")[1]
    if first in ROUTES:
        raise ConfigError(f"the root path {root!r} begins as the page's own /{first} does: choose another")
    return root


def checked_host(name: str) -> str:
    """A host's name as it stands in requests, in small letters, without a port.

    Raises:
        ConfigError: it is none.
    """
    if not _HOST.fullmatch(name):
        raise ConfigError(f"{name!r} is not a host's name: write it as shop.example")
    return without_port(name.lower())


def without_port(host: str) -> str:
    """The name alone."""
    name, colon, port = host.rpartition(":")
    return name if colon and (port.isdecimal() or not port) else host


def is_among(host: str, names: Collection[str]) -> bool:
    """Whether a host, with or without a port, is one of these names."""
    return without_port(host) in names


def _is_below(path: str, root: str) -> bool:
    # A path that begins as one of our own can only be one whose root the proxy took away.
    return root.split("/")[1] not in ROUTES and (path + "/").startswith(root + "/")


def _network(text: str) -> Network:
    try:
        return ipaddress.ip_network(text, strict=False)
    except ValueError as error:
        raise ConfigError(f"{text!r} is no address or network: write it as 172.16.0.0/12") from error
