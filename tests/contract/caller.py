"""A handful of calls for tests that do not replay single exchanges."""

from __future__ import annotations

import json
from typing import Any

from doors import Door
from recorded import image
from world import World


class Caller:
    """Sends calls written with the recordings' paths."""

    def __init__(self, door: Door, world: World) -> None:
        self._door = door
        self._world = world

    def another(self) -> Caller:
        """The same server by another connection, for another thread."""
        return Caller(self._door.another(), self._world)

    def close(self) -> None:
        """Close the connection."""
        self._door.close()

    def call(self, method: str, target: str, request: dict[str, Any] | None = None) -> tuple[int, Any]:
        """One call; gives HTTP status and JSON."""
        body = None if request is None else json.dumps(self._world.there(request)).encode()
        seen = self._door.request(method, target, {}, body)
        return seen.status, seen.json()

    def predict(
        self, service: str, pictures: list[str], ids: list[str], layer: str | None, output: dict[str, Any]
    ) -> tuple[int, Any]:
        """One predict with recorded pictures."""
        mllib = {"extract_layer": layer} if layer else {}
        data = [image(name) for name in pictures]
        parameters = {"mllib": mllib, "output": output}
        return self.call("POST", "/predict", {"service": service, "ids": ids, "parameters": parameters, "data": data})

    def extract(self, service: str, pictures: list[str], ids: list[str], batch: int | None) -> dict[str, list[float]]:
        """Vectors of layer fc1 by id."""
        mllib = {"extract_layer": "fc1"} | ({} if batch is None else {"net": {"test_batch_size": batch}})
        data = [image(name) for name in pictures]
        request = {"service": service, "ids": ids, "parameters": {"mllib": mllib}, "data": data}
        _, answer = self.call("POST", "/predict", request)
        return {entry["uri"]: entry["vals"] for entry in answer["body"]["predictions"]}
