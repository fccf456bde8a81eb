"""The client's side of every recording: each recorded answer gives the typed result or the typed error it should.

Each recorded request is matched with the call of the client that would make it. The answer goes through a transport
that records; what the client asks about the service before is answered from a stub. Names of pictures in an answer are
those of the recorded request; they are replaced by the ones that the client sent.
"""

from __future__ import annotations

import json
import socket
import threading
from typing import Any

import numpy as np
import pytest
from awaited import Awaited
from client_side import EXCHANGES, KINDS, NO_CALL, Exchange, expected, files, no_call, part, read, refusal, spec_of

from ddsim import Client, Reply, Timeout
from ddsim.deepdetect.calls import checked
from ddsim.deepdetect.http import HttpTransport
from ddsim.errors import ApiError, ConnectionLost, DDSimError, InvalidResponse


def assert_refused(error: DDSimError, exchange: Exchange) -> None:
    """The error keeps status, code and words of the answer."""
    if isinstance(error, ApiError):
        said = part(exchange.payload, "status")
        assert error.status == max(exchange.response["status"], said["code"])
        assert error.dd_code == said.get("dd_code")
        assert error.dd_msg == said.get("dd_msg", said.get("msg"))
        assert said.get("dd_msg", said["msg"]).strip().splitlines()[0][:80].encode(
            "utf-8", "backslashreplace"
        ).decode() in str(error)


@pytest.mark.parametrize("kind", [Client, Awaited], ids=["threads", "tasks"])
@pytest.mark.parametrize("exchange", [one for one in EXCHANGES if not no_call(one)], ids=lambda one: one.where)
def test_recorded_answer(exchange: Exchange, kind: Any, wire_answers: Any, request: pytest.FixtureRequest) -> None:
    """The call that stands for a recorded request makes of the recorded answer what it should, in both clients."""
    transport = wire_answers.transport()
    client = kind(transport=transport, retries=0, batch_size=1000)
    request.addfinalizer(client.close)
    wanted = expected(exchange)
    if isinstance(wanted, type):
        with pytest.raises(wanted) as raised:
            read(exchange, client, transport)
        assert type(raised.value) is wanted
        assert_refused(raised.value, exchange)
        return
    np.testing.assert_equal(read(exchange, client, transport), wanted)


@pytest.mark.parametrize("exchange", [one for one in EXCHANGES if no_call(one)], ids=lambda one: one.where)
def test_recorded_answer_that_no_call_gets(exchange: Exchange) -> None:
    """Answers to what the client never sends are read like all others: their JSON, or the error they stand for."""
    if exchange.response.get("closed") or exchange.answer is None:
        assert no_call(exchange) in ("chain", "build", "left out")
        return
    request = exchange.request

    def call() -> Any:
        return checked(Reply(exchange.response["status"], exchange.answer or b""), request["method"], request["path"])

    wanted = refusal(exchange)
    if wanted is None:
        assert call() == exchange.payload
        return
    with pytest.raises(wanted) as raised:
        call()
    assert type(raised.value) is wanted
    assert_refused(raised.value, exchange)


def test_every_exception_has_its_use() -> None:
    """Each reason why the client does not send something keeps some request from being sent."""
    assert {no_call(exchange) for exchange in EXCHANGES} - {""} == set(NO_CALL)


def test_every_refusal_was_recorded() -> None:
    """Each pair of status and code in the table above occurs."""
    said = [(one.response.get("status"), part(one.payload, "status")) for one in EXCHANGES]
    assert set(KINDS) <= {(max(status or 0, words.get("code", 0)), words.get("dd_code")) for status, words in said}


def test_most_recorded_services_can_be_said() -> None:
    """The body that the client sends for a service is the recorded one, wherever it sends one at all."""
    bodies = [one.body for one in EXCHANGES if one.request["method"] == "PUT" and one.response.get("status") == 201]
    said = [body for body in bodies if spec_of(body)]
    assert len(said) > 0.8 * len(bodies)


# Bytes

RAW = [
    (f"{name}#{number}", entry["raw_response"])
    for name, recording in files()
    for number, entry in enumerate(recording["exchanges"])
    if "raw_response" in entry
]


@pytest.mark.parametrize("response", [response for _, response in RAW], ids=[where for where, _ in RAW])
def test_recorded_bytes(response: str, loopback: None) -> None:
    """The server's own bytes, from a socket: empty reason phrases, errors of its HTTP layer, resets, odd greetings."""
    text, _, end = response.partition("<<")
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve() -> None:
            connection, _ = listening.accept()
            with connection:
                connection.recv(65536)
                connection.sendall(text.encode())
                if "reset" in end:
                    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")

        thread = threading.Thread(target=serve)
        thread.start()
        transport = HttpTransport(f"http://127.0.0.1:{listening.getsockname()[1]}")
        try:
            outcome: Any = checked(transport.exchange("GET", "/x", None, Timeout(5, 20)), "GET", "/x")
        except DDSimError as error:
            outcome = error
        transport.close()
        thread.join()
    if "reset" in end:
        assert isinstance(outcome, ConnectionLost)
    elif text.startswith("HTTP/1.1 100 Continue\r\nHTTP"):
        # The blank line is missing, so no client can read on; ddsim asks for no such greeting (no Expect).
        assert isinstance(outcome, InvalidResponse)
    else:
        head, _, body = text.removeprefix("HTTP/1.1 100 Continue\r\n\r\n").partition("\r\n\r\n")
        status, said = int(head.split()[1]), part(json.loads(body.partition("HTTP/1.1")[0]), "status")
        assert isinstance(outcome, KINDS[status, said.get("dd_code")] if status >= 400 else dict)
