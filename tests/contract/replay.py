"""Replays one recorded scenario against a server and collects where the answers differ."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import compare
import events
from caller import Caller
from differences import NOT_LOOKED_INTO
from doors import Door, Seen, SocketDoor
from recorded import Scenario, with_images
from world import World, damage, listing


@dataclass
class Replay:
    """One scenario in the making.

    Attributes:
        scenario: what is replayed.
        world: paths.
        door: the way to the server.
        restart: ends the server, starts a new one and gives the way to it; None = cannot.
        skip: positions left out.
        same_build: whether the server should describe itself as the recorded one does.
        found: position -> differences.
    """

    scenario: Scenario
    world: World
    door: Door
    restart: Callable[[], Door] | None = None
    skip: frozenset[int] = frozenset()
    same_build: bool = True
    found: dict[int, list[str]] = field(default_factory=dict)
    repository: str = ""
    before: list[str] = field(default_factory=list)

    def run(self) -> dict[int, list[str]]:
        """Replay everything in order; gives the differences by position."""
        for position, exchange in enumerate(self.scenario.exchanges):
            if position in self.skip:
                continue
            differences = self._one(exchange)
            if differences:
                self.found[position] = differences
        return self.found

    def _one(self, exchange: dict[str, Any]) -> list[str]:
        if "request" in exchange:
            seen = self._send(exchange["request"])
            over_http = isinstance(self.door, SocketDoor)
            return compare.problems(exchange["response"], seen, over_http=over_http, same_build=self.same_build)
        if "raw_request" in exchange:
            return self._raw(exchange) if isinstance(self.door, SocketDoor) else []
        if exchange["event"] == "restart" and self.restart is not None:
            self.door = self.restart()
            damage(self.world, self.scenario.name)
            return []
        return self._event(exchange)

    def _send(self, request: dict[str, Any]) -> Seen:
        target = request["path"] + (f"?{request['query']}" if "query" in request else "")
        body = None
        if "json" in request:
            sent = self.world.there(with_images(request["json"]))
            body = json.dumps(sent).encode()
            if request["method"] == "PUT":
                model = request["json"].get("model")
                self.repository = model.get("repository", "") if isinstance(model, dict) else ""
        elif "raw" in request:
            body = self.world.there(request["raw"]).encode("utf-8", "surrogateescape")
        if request["method"] == "DELETE" and self.repository:
            self.before = listing(self.world.path(self.repository))
        seen = self.door.request(request["method"], target, request.get("headers", {}), body)
        return Seen(seen.status, self.world.back(seen.body), seen.reason, seen.headers)

    def _raw(self, exchange: dict[str, Any]) -> list[str]:
        """Compare the bytes of an answer, but for the name of the server and the order of headers."""
        request = exchange["raw_request"].replace("a*17000", "a" * 17000).replace("<<next part>>", "")
        received, end = self.door.raw(request.encode()) if isinstance(self.door, SocketDoor) else (b"", "")
        want, got = (_normal(text) for text in (exchange["raw_response"], received.decode() + end))
        return [] if want == got else [f"{got} instead of {want}"]

    def _event(self, event: dict[str, Any]) -> list[str]:
        """Compare listings of files, or do what the event sums up."""
        repository = self.world.path(self.repository) if self.repository else None
        pairs: list[tuple[Any, Any]] = []
        if "before" in event:
            pairs.append((event["before"], self.before))
        for key in ("after", "repository", "repository_files"):
            if key in event and repository is not None:
                pairs.append((event[key], listing(repository) if repository.is_dir() else "the directory is gone"))
        for key in ("model", "model_files"):
            if key in event:
                pairs.append((event[key], listing(self.world.path("/opt/models/tiny"))))
        if "repository_exists" in event and repository is not None:
            pairs.append((event["repository_exists"], repository.exists()))
        if isinstance(event.get("files"), dict):
            pairs += [
                (files, listing(self.world.path(f"/data/indexes/{name}"))) for name, files in event["files"].items()
            ]
        if "path" in event:
            folder = self.world.path(event["path"])
            pairs.append((event["files"], listing(folder)))
            texts = {name: self.world.back((folder / name).read_bytes()).decode() for name in event["content"]}
            pairs.append((event["content"], texts))
        summed_up = events.check(event, Caller(self.door, self.world))
        pairs = [(_outer(want), _outer(got)) for want, got in pairs]
        return summed_up + [f"{got} instead of {want}" for want, got in pairs if want != got]


def _outer(files: Any) -> Any:
    """A listing without what lies in folders that are not looked into."""
    if not isinstance(files, list):
        return files
    return [name for name in files if name in NOT_LOOKED_INTO or not name.startswith(NOT_LOOKED_INTO)]


def _normal(answer: str) -> tuple[Any, ...]:
    head, _, body = answer.partition("\r\n\r\n")
    lines = head.split("\r\n")
    headers = sorted(line.lower() for line in lines[1:] if not line.lower().startswith("server:"))
    return lines[0], headers, _normal(body) if body.startswith("HTTP/") else body
