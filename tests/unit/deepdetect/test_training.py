"""Training on the server: what is sent, what its answers are read as, and waiting; unproven on a real server."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from ddsim import BadParameter, Client, InvalidResponse, Retries, ServerTimeout, TimeLimits, TrainingStatus
from ddsim.deepdetect import Calls, HttpTransport
from ddsim.deepdetect.steps import Plan
from ddsim.deepdetect.training import wait


def running(job: int = 1, status: str = "running", **body: Any) -> dict[str, Any]:
    """An answer of /train (WIRE 18)."""
    head = {"method": "/train", "job": job, "status": status, "time": 12.0}
    return {"status": {"code": 200, "msg": "OK"}, "head": head, **({"body": body} if body else {})}


def test_a_training_is_started_in_the_background(client: Client, transport: Any, wire_answers: Any) -> None:
    """Service, folders and parameters go out as given; the job's number comes back."""
    transport.script.append(wire_answers.reply({**running(7), "status": {"code": 201, "msg": "Created"}}, 201))
    found = client.train("cls", ["/data/photos"], parameters={"mllib": {"solver": {"iterations": 10}}})
    assert (found.job, found.state, found.ended) == (7, "running", False)
    sent = transport.sent[-1]
    assert (sent.method, sent.path) == ("POST", "/train")
    assert sent.json == {
        "service": "cls",
        "async": True,
        "parameters": {"mllib": {"solver": {"iterations": 10}}},
        "data": ["/data/photos"],
    }


def test_a_refusal_keeps_the_servers_words(client: Client, transport: Any, wire_answers: Any) -> None:
    """As for every call."""
    transport.script.append(wire_answers.refusal(400, 1006, "no solver"))
    with pytest.raises(BadParameter, match="no solver"):
        client.train("cls", ["/data"], parameters={})


@pytest.mark.parametrize("answer", [{}, {"head": {}}, {"head": {"job": "1", "status": "running"}}, {"head": []}])
def test_an_answer_without_a_job(client: Client, transport: Any, wire_answers: Any, answer: dict[str, Any]) -> None:
    """Is none."""
    transport.script.append(wire_answers.reply({"status": {"code": 201}, **answer}, 201))
    with pytest.raises(InvalidResponse, match="without job and status"):
        client.train("cls", ["/data"], parameters={})


def status(state: str) -> TrainingStatus:
    """Of one job."""
    return TrainingStatus("cls", 1, state)  # type: ignore[arg-type]


def waited(answer: Callable[[], TrainingStatus], **options: Any) -> tuple[TrainingStatus, list[float]]:
    """What waiting comes to, and how long it slept in between, without doing so."""
    slept: list[float] = []

    def asked() -> Plan[TrainingStatus]:
        yield from ()
        return answer()

    calls = Calls(HttpTransport("http://localhost:1"), TimeLimits(), Retries(sleep=slept.append))
    return calls.run(wait(asked, pause=5, clock=lambda: sum(slept), **options)), slept


def test_waiting_ends_with_the_training() -> None:
    """Every answer is told, and none is asked for after the last."""
    answers, told = [status("running"), status("running"), status("finished"), status("error")], []
    found, slept = waited(lambda: answers.pop(0), seconds=100, told=told.append)
    assert found.state == "finished"
    assert [one.state for one in told] == ["running", "running", "finished"]
    assert slept == [5, 5]


def test_waiting_has_an_end() -> None:
    """The error says that the training goes on, and which job it is."""
    answers = [status("running")] * 3
    with pytest.raises(ServerTimeout, match="goes on, ask for job 1"):
        waited(lambda: answers.pop(0), seconds=12)
    assert answers == []
