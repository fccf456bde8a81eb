"""ddsim.deepdetect.client: no sequence of calls and failures kills a server."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
from awaited import AT_ONCE, Awaited
from client_calls import index, search, spec
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ddsim import Client
from ddsim.errors import (
    DDSimError,
    ServerTimeout,
    ServerUnreachable,
)

CALLS: dict[str, Callable[[Client, Any], Any]] = {
    "add": lambda client, draw: index(client, draw, build=False),
    "build": lambda client, draw: index(client, draw),
    "search": search,
    "other layer": lambda client, draw: search(client, draw, layer="pool1"),
    "classify": lambda client, draw: client.classify("sim", [draw()]),
    "extract": lambda client, draw: client.extract("sim", [draw()], layer="pool1"),
    "delete": lambda client, _: client.delete_service("sim"),
    "clear": lambda client, _: client.delete_service("sim", clear="index", layer="fc1"),
    "create": lambda client, _: client.create_service(spec(name="sim", type="unsupervised", repository="/i/sim")),
}


class FragileServer:
    """A server as WIRE knows it: one service, whose index kills it or spoils results when it is used wrongly."""

    def __init__(self, wire_answers: Any, outcomes: list[str]) -> None:
        self.transport = wire_answers.transport(*[self.answer] * 1000)
        self.answers = wire_answers
        self.outcomes = list(outcomes)
        self.there = True
        self.engine = "none"
        self.unbuilt = False
        self.layers: set[str] = set()
        self.files: set[str] = set()

    def answer(self, body: Any) -> Any:
        """Carry out the call, and perhaps lose the answer."""
        sent = self.transport.sent[-1]
        outcome = self.outcomes.pop(0) if self.outcomes else "well"
        if outcome == "unreachable":
            return ServerUnreachable("x")
        if outcome == "restart":
            self._stop()
        reply = self._answered(sent, body, outcome)
        return ServerTimeout("slow") if outcome == "lost" else reply

    def _answered(self, sent: Any, body: Any, outcome: str) -> Any:
        if sent.method == "PUT":
            if self.there:
                return self.answers.refusal(409, 1014)
            self.there = True
            return self.answers.reply(status=201)
        if not self.there:
            return self.answers.refusal(404, None if sent.method == "DELETE" else 1002)
        if sent.method == "DELETE":
            if "clear=index" in sent.path and self.engine != "none":
                self.files = set()
            self._stop()
            return self.answers.reply()
        output = body["parameters"].get("output", {})
        if outcome == "bad picture":
            return self.answers.refusal(400, 1005)
        if {"index", "search", "build_index"} & set(output) and (failed := self._use(output, body, outcome)):
            return failed
        return self.answers.predicted(body)

    def _use(self, output: Any, body: Any, outcome: str) -> Any:
        layer = body["parameters"]["mllib"]["extract_layer"]
        assert self.engine != "broken", "recording 46: the server dies"
        assert not output.get("build_index") or output.get("index"), "recording 26: the server dies"
        if self.engine == "none" and outcome == "fails to load":
            self.engine = "broken"
            return self.answers.refusal(500, 1007)
        if self.engine == "none":
            self.engine, self.layers = "loaded", set(self.files)
        self.layers.add(layer)
        assert len(self.layers) == 1, "recording 39: wrong distances"
        if output.get("index"):
            self.unbuilt = True
        if output.get("build_index"):
            self.unbuilt, self.files = False, set(self.layers)
        assert not (output.get("search") and self.unbuilt), "recording 23: undefined"
        return None

    def _stop(self) -> None:
        self.there, self.engine, self.unbuilt = False, "none", False


@pytest.mark.parametrize("kind", [Client, Awaited], ids=["threads", "tasks"])
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=150, deadline=None)
@given(
    calls=st.lists(st.sampled_from(sorted(CALLS)), max_size=12),
    outcomes=st.lists(
        st.sampled_from(["well", "well", "lost", "unreachable", "restart", "bad picture", "fails to load"]), max_size=20
    ),
)
def test_no_sequence_of_calls_kills_the_server(
    draw: Any, wire_answers: Any, kind: Any, calls: list[str], outcomes: list[str]
) -> None:
    """Whatever a caller does and whatever goes wrong, nothing that kills a server or spoils its index is sent."""
    server = FragileServer(wire_answers, outcomes)
    client = kind(transport=server.transport, retries=AT_ONCE)
    for call in calls:
        with suppress(DDSimError):
            CALLS[call](client, draw)
    client.close()
