"""Calls that the tests of the client make again and again."""

from __future__ import annotations

from typing import Any

from ddsim import Client, ServiceSpec

FRESH = {"name": "new", "repository": "/i/new", "nclasses": 5}


def spec(**changes: Any) -> ServiceSpec:
    """A valid service, with changes."""
    return ServiceSpec(**(FRESH | changes))


def index(client: Client, draw: Any, uri: str = "lamp/a.jpg", **options: Any) -> Any:
    """Add one picture to the index of `sim`."""
    return client.add_to_index("sim", {uri: draw(len(uri))}, **({"layer": "fc1"} | options))


def search(client: Client, draw: Any, service: str = "sim", **options: Any) -> Any:
    """Search for one picture."""
    return client.search_index(service, [draw(7)], **({"layer": "fc1"} | options))
