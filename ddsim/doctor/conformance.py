"""Makes the calls of :mod:`ddsim.doctor.expectations` on a server and says where it differs from v0.25.0."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from ddsim.config import Settings
from ddsim.deepdetect import TimeLimits, Timeout, Transport, wire
from ddsim.doctor import shapes
from ddsim.doctor.bench import Bench, NoPlace
from ddsim.doctor.expectations import STEPS
from ddsim.doctor.steps import Answer, Scene, Service, Step
from ddsim.errors import ApiError, TransportError

_SHOWN = 200


@dataclass(frozen=True)
class Outcome:
    """What became of one call.

    Attributes:
        name: what the call shows.
        source: the recording of v0.25.0's answer, and the position in it.
        expected: that answer.
        got: this server's; None where none came.
        difference: in words; empty where there is none.
        untried: why the call was not made; empty where it was.
    """

    name: str
    source: str
    expected: Answer
    got: Answer | None = None
    difference: str = ""
    untried: str = ""


@dataclass(frozen=True)
class Conformance:
    """All calls, in order, and what could not be removed afterwards, a sentence each."""

    outcomes: tuple[Outcome, ...]
    left: tuple[str, ...]

    @property
    def differences(self) -> tuple[Outcome, ...]:
        """The calls that this server answers otherwise."""
        return tuple(one for one in self.outcomes if one.difference)

    @property
    def untried(self) -> tuple[Outcome, ...]:
        """The calls that were not made."""
        return tuple(one for one in self.outcomes if one.untried)


def run(
    settings: Settings,
    transport: Transport,
    *,
    progress: Callable[[str], None] = lambda _: None,
    sleep: Callable[[float], None] = time.sleep,
) -> Conformance:
    """Make the calls, on services and in a folder of their own that are removed afterwards, whatever happens.

    Args:
        settings: ``similarity`` names the network, which must be Caffe's and be named by def and weights.
        transport: to the server; not closed.
        progress: told the name of every call.
        sleep: see :class:`Bench`.

    Raises:
        TransportError: the server could not even be asked for a place.
    """
    bench = Bench(transport, settings.similarity.repository, sleep=sleep)
    try:
        # What the server has against it is shown by the call that creates without a network.
        with suppress(NoPlace, ApiError):
            bench.locate()
        outcomes = _Run(Scene(bench, settings), transport, progress).all()
    finally:
        bench.close()
    return Conformance(tuple(outcomes), tuple(bench.left))


class _Run:
    def __init__(self, scene: Scene, transport: Transport, progress: Callable[[str], None]) -> None:
        self._scene = scene
        self._transport = transport
        self._progress = progress
        self._limits = TimeLimits()
        self._there: set[Service] = set()
        self._doubtful: set[Service] = set()
        self._lost = ""

    def all(self) -> list[Outcome]:
        return [self._outcome(step) for step in STEPS]

    def _outcome(self, step: Step) -> Outcome:
        source = f"recordings/wire/{step.source[0]}#{step.source[1]}"
        untried = self._obstacle(step)
        if untried:
            return Outcome(step.name, source, step.answer, untried=untried)
        self._progress(step.name)
        try:
            got, payload, sent = self._send(step)
        except TransportError as error:
            self._lost = "the server did not answer an earlier call"
            return Outcome(step.name, source, step.answer, difference=str(error))
        difference = self._compared(step, got, payload, sent)
        self._conclude(step, got)
        return Outcome(step.name, source, step.answer, got, difference)

    def _obstacle(self, step: Step) -> str:
        if self._lost:
            return self._lost
        if step.needs and step.needs not in self._there:
            return "it needs a service that could not be created"
        if step.index and step.needs in self._doubtful:
            return "the index may be broken, and the server could die of another call to it"
        return ""

    def _send(self, step: Step) -> tuple[Answer, Any, dict[str, Any]]:
        scene = self._scene
        names = {service: scene.name(service) for service in ("hold", "classes", "similar", "none")}
        path = step.path.format(**names, CLASSES=names["classes"].upper())
        body = step.body(scene)
        seconds = self._limits.create if step.method in ("PUT", "DELETE") else self._limits.predict
        timeout = Timeout(self._limits.connect, seconds)
        if step.method == "PUT":
            with scene.bench.making(path.rpartition("/")[2]):
                reply = self._transport.exchange(step.method, path, body, timeout)
        else:
            reply = self._transport.exchange(step.method, path, body, timeout)
        try:
            payload = wire.decode(reply.body)
        except ValueError:
            payload = {}
        status = payload.get("status") if isinstance(payload, dict) else None
        dd_code = status.get("dd_code") if isinstance(status, dict) else None
        return Answer(reply.status, dd_code), payload, body or {}

    def _compared(self, step: Step, got: Answer, payload: Any, sent: dict[str, Any]) -> str:
        if got != step.answer:
            status = payload.get("status") if isinstance(payload, dict) else None
            words = str(status.get("dd_msg") or status.get("msg") or "") if isinstance(status, dict) else ""
            said = (words.splitlines() or [""])[0][:_SHOWN]
            return f"{got} instead of {step.answer}" + (f": {said}" if said and got.status >= 400 else "")
        try:
            problem = step.shape(sent, payload)
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            problem = f"the answer cannot be read ({error!r})"
        if not problem and step.finds is not None and shapes.found_names(payload) != sorted(step.finds):
            problem = f"finds {shapes.found_names(payload)} instead of {sorted(step.finds)}"
        return problem

    def _conclude(self, step: Step, got: Answer) -> None:
        if step.makes and got.status == 201:
            self._there.add(step.makes)
            self._doubtful.discard(step.makes)
            self._scene.bench.made(self._scene.name(step.makes))
        if step.method == "DELETE" and step.needs and got.status == 200:
            self._there.discard(step.needs)
        if step.index and step.needs and got != step.answer:
            # Nobody knows what it left behind: a half-made index, or rows that are not built.
            self._doubtful.add(step.needs)
