"""Where the server of a container is reached, and where its files are."""

from __future__ import annotations

import ipaddress
import socket
from typing import Any

from ddsim.containers.recipe import MODELS, PORT
from ddsim.errors import InvalidRequest


def url_of(address: str, port: int) -> str:
    """How this machine reaches what listens there."""
    ip = ip_of(address)
    if ip.is_unspecified:
        return f"http://127.0.0.1:{port}" if ip.version == 4 else f"http://[::1]:{port}"
    return f"http://{ip}:{port}" if ip.version == 4 else f"http://[{ip}]:{port}"


def ip_of(address: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    """An address of this machine.

    Raises:
        InvalidRequest: it is none.
    """
    try:
        return ipaddress.ip_address(address)
    except ValueError as error:
        raise InvalidRequest(f"address {address!r}: an IP address is needed, such as 127.0.0.1") from error


def published(container: Any) -> str | None:
    """How this machine reaches the server of a container; None while no port is bound."""
    for one in container.ports.get(f"{PORT}/tcp") or ():
        return url_of(one["HostIp"] or "127.0.0.1", int(one["HostPort"]))
    return None


def volume_of(container: Any) -> str | None:
    """The volume with a container's models and indexes; None where they go with it."""
    mounts = container.attrs.get("Mounts", ())
    return next((mount.get("Name") for mount in mounts if mount.get("Destination") == MODELS), None)


def free_port(address: str) -> int:
    """A port that nobody listens on at this moment."""
    ip = ip_of(address)
    with socket.create_server((address, 0), family=socket.AF_INET if ip.version == 4 else socket.AF_INET6) as taken:
        return int(taken.getsockname()[1])
