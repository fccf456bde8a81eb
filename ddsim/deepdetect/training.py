"""Training on the server itself, through DeepDetect's own API: fine-tuning a network on folders that the server sees.

The recipe: create a service whose repository is empty and whose parameters name a template, ``finetuning`` and the
weights to begin with; call :meth:`ddsim.Client.train` with folders as the server sees them, and wait. ::

    job = client.train("mine", ["/data/photos"], parameters={
        "input": {"connector": "image", "width": 227, "height": 227, "test_split": 0.1, "shuffle": True, "db": True},
        "mllib": {"gpu": False, "net": {"batch_size": 32}, "solver": {"iterations": 1000, "base_lr": 0.0005}},
        "output": {"measure": ["acc", "mcll"]},
    }).job
    print(client.wait("mine", job).measures)

Unproven. On a DeepDetect v0.25.0 that was tried, a service with the template squeezenet, ``finetuning`` and weights was
created, and its training failed both without ``db`` (500, dd_code 1007) and with it (500, dd_code 500, "solver creation
exception"). So these calls are typed and keep the server's words, and nothing here claims that a training ends well.
For a classifier that does, see :mod:`ddsim.training`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from ddsim.deepdetect.core import Core, ask
from ddsim.deepdetect.specs import service_name
from ddsim.deepdetect.steps import Pause, Plan
from ddsim.errors import InvalidResponse, ServerTimeout
from ddsim.showing import Value

State = Literal["running", "finished", "error", "terminated"]
_STATES: tuple[State, ...] = ("running", "finished", "error", "terminated")


@dataclass(frozen=True, repr=False)
class TrainingStatus(Value):
    """Where a training stands.

    Attributes:
        service: that is trained.
        job: its number on the server.
        state: ``running``, ``finished``, ``error`` or ``terminated``.
        seconds: how long it has been running; None where the server does not say.
        measures: what the server measured last, such as ``train_loss`` and ``acc``.
        words: the server's own, of an error.
    """

    service: str
    job: int
    state: State
    seconds: float | None = None
    measures: Mapping[str, float] = field(default_factory=dict)
    words: str = ""

    @property
    def ended(self) -> bool:
        """Whether nothing more will happen."""
        return self.state != "running"


def start(core: Core, service: str, data: Sequence[str], parameters: Mapping[str, Any]) -> Plan[TrainingStatus]:
    """See :meth:`ddsim.Client.train`."""
    name = service_name(service)
    body = {"service": name, "async": True, "parameters": dict(parameters), "data": list(data)}
    return _read((yield from ask("POST", "/train", body, core.limits.create)), name, "POST")


def status(core: Core, service: str, job: int) -> Plan[TrainingStatus]:
    """See :meth:`ddsim.Client.training_status`."""
    name = service_name(service)
    # The server hands a finished training's report out once: a repeated question would get "no such job".
    path = f"/train?service={name}&job={job}&timeout=0"
    return _read((yield from ask("GET", path, None, core.limits.info)), name, "GET")


def wait(
    asked: Callable[[], Plan[TrainingStatus]],
    *,
    seconds: float,
    pause: float,
    told: Callable[[TrainingStatus], None] | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> Plan[TrainingStatus]:
    """See :meth:`ddsim.Client.wait`."""
    end = clock() + seconds
    while True:
        found = yield from asked()
        if told is not None:
            told(found)
        if found.ended:
            return found
        if clock() + pause > end:
            raise ServerTimeout(
                f"training of {found.service!r} still runs after {seconds:g} s; it goes on, ask for job {found.job}",
                method="GET",
                path="/train",
            )
        yield Pause(pause)


def _read(payload: Any, service: str, method: str) -> TrainingStatus:
    head = payload.get("head") if isinstance(payload, Mapping) else None
    state, job = (head.get("status"), head.get("job")) if isinstance(head, Mapping) else (None, None)
    if state not in _STATES or not isinstance(job, int) or not isinstance(head, Mapping):
        raise InvalidResponse(f"{method} /train: an answer without job and status", method=method, path="/train")
    body = payload.get("body")
    measured = body.get("measure") if isinstance(body, Mapping) else None
    numbers = measured.items() if isinstance(measured, Mapping) else ()
    seconds = head.get("time")
    return TrainingStatus(
        service,
        job,
        state,
        float(seconds) if isinstance(seconds, (int, float)) else None,
        {str(name): float(value) for name, value in numbers if isinstance(value, (int, float))},
        str(body.get("dd_msg") or body.get("msg") or "") if isinstance(body, Mapping) else "",
    )
