"""ddsim.deepdetect.retries: when a call is made again, and when not."""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from datetime import datetime, timedelta, timezone
from email.utils import format_datetime
from types import SimpleNamespace
from typing import Any

import pytest
import tenacity
from hypothesis import given
from hypothesis import strategies as st

from ddsim.deepdetect.retries import Retries, retry_after
from ddsim.deepdetect.transport import Reply
from ddsim.errors import (
    ApiError,
    ConnectionLost,
    ImageError,
    InvalidRequest,
    InvalidResponse,
    ServerBusy,
    ServerTimeout,
    ServerUnreachable,
    TransportError,
)

FINE = Reply(200, b"{}")
BUSY = Reply(503, b"{}")
REFUSED = Reply(429, b"")


class Calls:
    """A call that does one thing after another, then succeeds."""

    def __init__(self, *outcomes: Reply | BaseException) -> None:
        self.outcomes = list(outcomes)
        self.made = 0

    def __call__(self) -> Reply:
        """Make it."""
        self.made += 1
        outcome = self.outcomes.pop(0) if self.outcomes else FINE
        if isinstance(outcome, BaseException):
            raise outcome
        return outcome


def retries(**changes: Any) -> Retries:
    """A policy that waits for nothing."""
    return Retries(**{"sleep": lambda _: None} | changes)


def test_a_good_answer_comes_at_once() -> None:
    """Nothing is repeated that went well."""
    call = Calls()
    assert retries().run(call, repeatable=True) is FINE
    assert call.made == 1


@pytest.mark.parametrize("repeatable", [True, False])
def test_what_was_never_sent_is_always_repeated(repeatable: bool) -> None:
    """An unreachable server has seen nothing, so any call is tried again."""
    call = Calls(ServerUnreachable("x"), ServerUnreachable("x"))
    assert retries().run(call, repeatable=repeatable) is FINE
    assert call.made == 3


@pytest.mark.parametrize("outcome", [ConnectionLost("x"), ServerTimeout("x"), BUSY, Reply(502, b""), Reply(504, b"")])
def test_a_lost_answer_is_repeated_where_the_call_changes_nothing(outcome: Reply | TransportError) -> None:
    """A call that may have been carried out is repeated only if that does no harm."""
    call = Calls(outcome)
    assert retries().run(call, repeatable=True) is FINE
    assert call.made == 2


@pytest.mark.parametrize("outcome", [ConnectionLost("x"), ServerTimeout("x")])
def test_a_lost_answer_of_a_change_comes_out(outcome: TransportError) -> None:
    """Indexing twice stores twice: no second try, and the error itself comes out."""
    call = Calls(outcome)
    with pytest.raises(type(outcome)) as raised:
        retries().run(call, repeatable=False)
    assert raised.value is outcome
    assert call.made == 1


def test_a_busy_answer_to_a_change_comes_out() -> None:
    """A proxy's 503 to a call that changes something is the last word."""
    call = Calls(BUSY)
    assert retries().run(call, repeatable=False) is BUSY
    assert call.made == 1


@pytest.mark.parametrize("status", [200, 400, 404, 409, 500, 501])
def test_other_answers_are_final(status: int) -> None:
    """Of all answers only 429 and 502 to 504 pass by themselves; 500 is DeepDetect's word for wrong parameters too."""
    call = Calls(Reply(status, b""))
    assert retries().run(call, repeatable=True).status == status
    assert call.made == 1


@pytest.mark.parametrize(
    "error",
    [
        InvalidResponse("x"),
        ApiError(400, None, "", method="", path=""),
        ImageError("a", "b"),
        InvalidRequest("x"),
        KeyboardInterrupt(),
        RuntimeError("a bug"),
    ],
    ids=repr,
)
def test_other_errors_are_final(error: BaseException) -> None:
    """What trying again cannot mend comes out at once, and so does Ctrl-C."""
    call = Calls(error)
    with pytest.raises(type(error)) as raised:
        retries().run(call, repeatable=True)
    assert raised.value is error
    assert call.made == 1


@pytest.mark.parametrize("tries", [1, 2, 5])
def test_tries_are_bounded(tries: int) -> None:
    """So many calls in all; the last error comes out."""
    errors = [ServerUnreachable(str(number)) for number in range(9)]
    call = Calls(*errors)
    with pytest.raises(ServerUnreachable) as raised:
        retries(tries=tries, seconds=1000).run(call, repeatable=True)
    assert call.made == tries
    assert raised.value is errors[tries - 1]


def test_the_last_answer_comes_out() -> None:
    """Where all tries are answered badly, the last answer is returned and not an error of the retrying."""
    assert retries(tries=3).run(Calls(*[BUSY] * 9), repeatable=True) is BUSY


def ticking(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """A clock that moves only when told; its one element is the time."""
    now = [0.0]
    monkeypatch.setattr(tenacity, "time", SimpleNamespace(monotonic=lambda: now[0], sleep=None))
    return now


def test_time_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """No try begins later than the allowed seconds after the first, however many tries are left."""
    now = ticking(monkeypatch)
    begun: list[float] = []

    def call() -> Reply:
        begun.append(now[0])
        raise ServerUnreachable("x")

    def sleep(seconds: float) -> None:
        now[0] += seconds

    with pytest.raises(ServerUnreachable):
        Retries(tries=1000, seconds=10, sleep=sleep).run(call, repeatable=True)
    assert 2 < len(begun) < 100
    assert begun[-1] <= 10


def test_a_long_wait_for_an_answer_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    """A call that used up the time by waiting is not made again."""
    now = ticking(monkeypatch)
    call = Calls(ServerTimeout("x"))

    def slow() -> Reply:
        now[0] += 120
        return call()

    with pytest.raises(ServerTimeout):
        retries(tries=5, seconds=30).run(slow, repeatable=True)
    assert call.made == 1


def test_waits_double_with_jitter_and_a_limit() -> None:
    """Each wait lies between its doubled value and that plus the jitter, and no longer than the longest."""
    waits: list[float] = []
    policy = Retries(tries=9, seconds=1e6, first_wait=1.0, longest_wait=8.0, sleep=waits.append)
    with pytest.raises(ServerUnreachable):
        policy.run(Calls(*[ServerUnreachable("x")] * 9), repeatable=True)
    assert len(waits) == 8
    for number, wait in enumerate(waits):
        assert min(2.0**number, 8.0) <= wait <= min(2.0**number, 8.0) + 1.0
    assert len(set(waits)) > 1


def test_each_new_try_is_logged_with_its_reason(caplog: pytest.LogCaptureFixture) -> None:
    """Who reads the log sees what failed and why it is tried again."""
    with caplog.at_level(logging.WARNING, "ddsim"):
        retries().run(Calls(ServerUnreachable("POST /predict: nobody there"), BUSY), repeatable=True)
    assert [record.levelname for record in caplog.records] == ["WARNING"] * 2
    assert "POST /predict: nobody there" in caplog.text
    assert "503" in caplog.text


@given(
    st.lists(
        st.sampled_from([BUSY, REFUSED, ServerUnreachable("u"), ConnectionLost("l"), ServerTimeout("t")]), max_size=6
    ),
    st.integers(1, 4),
    st.booleans(),
)
def test_no_change_is_sent_twice(outcomes: list[Any], tries: int, repeatable: bool) -> None:
    """Whatever happens, a call that is not repeatable is taken by the server at most once."""
    call = Calls(*outcomes)
    with suppress(TransportError):
        retries(tries=tries).run(call, repeatable=repeatable)
    assert call.made <= tries
    if not repeatable:
        untaken = [one is REFUSED or isinstance(one, ServerUnreachable) for one in ([*outcomes, FINE])[: call.made]]
        assert untaken.count(False) <= 1


# Who says when to ask again


def asking(words: str, status: int = 429, **headers: str) -> Reply:
    """An answer that names a time."""
    return Reply(status, b"", {"retry-after": words} | headers)


def waits_of(call: Calls, *, repeatable: bool, **changes: Any) -> tuple[Any, list[float]]:
    """What came of a call, and the waits before its tries."""
    waits: list[float] = []
    policy = Retries(**{"sleep": waits.append, "first_wait": 0.0} | changes)
    return policy.run(call, repeatable=repeatable), waits


@pytest.mark.parametrize("repeatable", [True, False])
@pytest.mark.parametrize("answer", [REFUSED, asking("0"), asking("soon")])
def test_a_refused_call_is_always_repeated(answer: Reply, repeatable: bool) -> None:
    """429 says that nothing was done, so any call is tried again, whether or not it says when."""
    assert waits_of(Calls(answer), repeatable=repeatable) == (FINE, [0.0])


@pytest.mark.parametrize("repeatable", [True, False])
def test_it_is_not_asked_earlier_than_it_wants(repeatable: bool) -> None:
    """The seconds of Retry-After are waited for, though other waits are no longer than the longest."""
    answers = [asking("7"), asking("2")]
    assert waits_of(Calls(*answers), repeatable=repeatable, longest_wait=5.0) == (FINE, [7.0, 2.0])


def test_waits_that_are_asked_for_differ_a_little() -> None:
    """Of many that were told the same not all come at the same moment."""
    _, waits = waits_of(Calls(*[asking("3")] * 9), repeatable=True, tries=9, seconds=1e3, first_wait=1.0)
    assert all(3.0 <= wait <= 6.0 for wait in waits)
    assert len(set(waits)) > 1


def test_a_pause_of_the_server_is_waited_for() -> None:
    """503 with Retry-After is waited for where the call changes nothing, and is the last word where it may."""
    busy = asking("4", 503)
    assert waits_of(Calls(busy), repeatable=True) == (FINE, [4.0])
    assert waits_of(Calls(busy), repeatable=False) == (busy, [])


def test_a_date_is_waited_for() -> None:
    """Retry-After may be a date; it counts by the clock of whoever says it, where that is shown."""
    shown = datetime(2001, 2, 3, 4, 5, 6, tzinfo=timezone.utc)
    later = format_datetime(shown + timedelta(seconds=9), usegmt=True)
    answer = asking(later, date=format_datetime(shown, usegmt=True))
    assert waits_of(Calls(answer), repeatable=False) == (FINE, [9.0])
    assert retry_after(asking(later)) == 0.0
    soon = retry_after(asking(format_datetime(datetime.now(timezone.utc) + timedelta(hours=1), usegmt=True)))
    assert soon is not None
    assert 0 < soon <= 3600


def test_what_takes_too_long_is_not_waited_for() -> None:
    """Where it wants to be asked after the retries' own time, the answer comes out at once."""
    answer = asking("31")
    assert waits_of(Calls(answer), repeatable=True, tries=9, seconds=30.0) == (answer, [])


def test_the_time_of_all_waits_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Several waits that are asked for count together."""
    now = ticking(monkeypatch)

    def sleep(seconds: float) -> None:
        now[0] += seconds

    call = Calls(*[asking("12")] * 99)
    assert Retries(tries=99, seconds=30.0, first_wait=0.0, sleep=sleep).run(call, repeatable=False).status == 429
    assert (call.made, now[0]) == (3, 24.0)


def test_an_error_that_names_a_time_is_heeded() -> None:
    """Where several servers stand behind a call, what says that all are busy is an error."""
    error = ServerBusy(429, None, "", method="POST", path="/predict", retry_after=6.0)
    assert waits_of(Calls(error), repeatable=False) == (FINE, [6.0])


def test_tasks_wait_as_long(monkeypatch: pytest.MonkeyPatch) -> None:
    """In asyncio the same is waited for, by asyncio."""
    waits: list[float] = []

    async def sleep(seconds: float) -> None:
        waits.append(seconds)

    monkeypatch.setattr("ddsim.deepdetect.retries.asyncio", SimpleNamespace(sleep=sleep))
    call = Calls(asking("7"), asking("4", 503))

    async def exchange() -> Reply:
        return call()

    assert asyncio.run(Retries(first_wait=0.0).run_in_task(exchange, repeatable=True)) is FINE
    assert waits == [7.0, 4.0]


@pytest.mark.parametrize("status", [200, 302, 404, 413, 500, 502, 504])
def test_other_answers_name_no_time(status: int) -> None:
    """What a redirect, or a refusal of another kind, says there is nothing to wait for."""
    assert retry_after(asking("5", status)) is None


@pytest.mark.parametrize("words", ["", " ", "-1", "1.5", "soon", "1, 1", "\u0663", "Thu, 99 Foo 2020", "9" * 5000])
def test_no_time_breaks_the_reader(words: str) -> None:
    """What cannot be read is as if it were not there; what is read is a number of seconds, though a large one."""
    assert retry_after(asking(words)) in (None, 1e9)


@given(st.text(max_size=40), st.text(max_size=40))
def test_any_words_can_be_read(words: str, date: str) -> None:
    """Whatever stands there, it is nothing or a number of seconds that can be waited for."""
    found = retry_after(asking(words, date=date))
    assert found is None or 0.0 <= found <= 1e9
