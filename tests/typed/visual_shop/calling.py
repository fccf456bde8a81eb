"""Clients: DeepDetect's REST API as typed calls."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from typing_extensions import assert_type

import ddsim


def features(photos: list[str]) -> NDArray[np.float32]:
    """Vectors, labels and neighbours."""
    limits, retries = ddsim.TimeLimits(predict=5), ddsim.Retries(tries=2)
    with ddsim.Client("http://localhost:8080", timeout=limits, retries=retries) as client:
        assert_type(client.info().capabilities.similarity_search, bool)
        assert_type([service.name for service in client.info().services], list[str])
        (labels,) = client.classify("classes", [ddsim.Url("http://shop.example/a.jpg")], top=3)
        assert_type(labels.best, ddsim.Label | None)
        (reply,) = client.search_index("similar", photos[:1], layer="pool5", upload=ddsim.Upload(shrink=(224, 224)))
        assert_type(reply.neighbours, tuple[ddsim.Match, ...])
        assert_type(reply.neighbours[0].closeness, float)
        spec = ddsim.ServiceSpec(name="mine", repository="/data", nclasses=9, mean=(104.0, 117.0, 123.0))
        client.create_service(spec)
        return client.extract("similar", photos, layer="pool5")


async def labelled(photo: bytes) -> list[ddsim.Classification]:
    """The same to await."""
    async with ddsim.AsyncClient("http://localhost:8080") as client:
        return await client.classify("classes", [photo])


class Recorded:
    """A transport of somebody's own."""

    def exchange(self, method: str, path: str, json: Mapping[str, Any] | None, timeout: ddsim.Timeout) -> ddsim.Reply:
        """Answer everything alike."""
        del method, path, json, timeout
        return ddsim.Reply(200, b"{}")

    def close(self) -> None:
        """Nothing is open."""


def tried() -> ddsim.Client:
    """A transport stands in for a server."""
    transport: ddsim.Transport = Recorded()
    return ddsim.Client(transport=transport)
