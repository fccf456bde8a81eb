"""ddsim.deepdetect.calls: limits, retries, and the error an answer stands for."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ddsim.deepdetect.calls import Calls, TimeLimits, checked, limits_of
from ddsim.deepdetect.retries import Retries, retries_of
from ddsim.deepdetect.transport import Reply
from ddsim.errors import (
    ApiError,
    BadParameter,
    DDSimError,
    Intercepted,
    InvalidRequest,
    InvalidResponse,
    MalformedRequest,
    ServerBusy,
    ServerFault,
    ServerTimeout,
    ServerUnreachable,
    ServiceNotFound,
    TooLarge,
)


def read(status: int, body: bytes, method: str = "POST", path: str = "/predict") -> Any:
    """What `checked` makes of an answer."""
    return checked(Reply(status, body), method, path)


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (200, b'{"head": {}}'),
        (200, b'{"status": {"code": 200, "msg": "OK"}, "body": {}}'),
        (201, b'{"status": {"code": 201}}'),
        (200, b"[1]"),
        (200, b'{"status": {}}'),
        (200, b'{"status": {"code": "odd"}}'),
    ],
)
def test_good_answers_are_their_json(status: int, body: bytes) -> None:
    """An answer that is no error is returned as it is, with or without a status object."""
    assert read(status, body) is not None


def test_an_error_keeps_all_that_the_server_said() -> None:
    """Status, code, words and call stand in the error, and so does a hint where there is one."""
    with pytest.raises(BadParameter) as raised:
        read(400, b'{"status":{"code":400,"msg":"BadRequest","dd_code":1006,"dd_msg":"unknown extract layer fc9"}}')
    error = raised.value
    assert (error.status, error.dd_code, error.dd_msg) == (400, 1006, "unknown extract layer fc9")
    assert (error.method, error.path) == ("POST", "/predict")
    assert "deploy.prototxt" in str(error)


def test_words_fall_back_to_msg() -> None:
    """Where there is no dd_msg the short one is kept."""
    with pytest.raises(MalformedRequest, match="answered 400: BadRequest") as raised:
        read(400, b'{"status":{"code":400,"msg":"BadRequest"}}')
    assert (raised.value.dd_code, raised.value.dd_msg) == (None, "BadRequest")


def test_the_body_may_say_no_where_http_says_yes() -> None:
    """With output.network the HTTP status can say 200 and the body 404 (recording 16)."""
    with pytest.raises(ApiError) as raised:
        read(200, b'{"status":{"code":404,"msg":"Not Found","dd_code":1009,"dd_msg":"Output Connector Network Error"}}')
    assert (raised.value.status, raised.value.dd_code) == (404, 1009)


def test_http_may_say_no_where_the_body_says_yes() -> None:
    """A proxy that failed while passing on an answer is believed."""
    with pytest.raises(ServerFault):
        read(502, b'{"status":{"code":200,"msg":"OK"}}')


def test_deleting_what_is_not_there() -> None:
    """DELETE says 404 without a code where other calls say 1002 (recording 07)."""
    with pytest.raises(ServiceNotFound) as raised:
        read(404, b'{"status":{"code":404,"msg":"NotFound"}}', "DELETE", "/services/a")
    assert raised.value.dd_code is None


def test_a_route_that_is_not_there() -> None:
    """The same answer to another method is a plain ApiError."""
    with pytest.raises(ApiError) as raised:
        read(404, b'{"status":{"code":404,"msg":"Not Found: No mapping"}}', "GET", "/nope")
    assert type(raised.value) is ApiError


@pytest.mark.parametrize("status", [500, 502, 503, 504])
@pytest.mark.parametrize("body", [b"", b"<html>Bad Gateway</html>", b'{"message": "no upstream"}', b'"down"', b"null"])
def test_a_proxy_in_between(status: int, body: bytes) -> None:
    """Any 5xx is a ServerFault with the words that came, JSON or not."""
    with pytest.raises(ServerFault) as raised:
        read(status, body)
    assert (raised.value.status, raised.value.dd_code, raised.value.dd_msg) == (status, None, body.decode())


@pytest.mark.parametrize("status", [200, 201, 204])
@pytest.mark.parametrize("body", [b"", b"<!doctype html><title>router</title>", b"\xff\xfe"])
def test_something_else_that_speaks_http(status: int, body: bytes) -> None:
    """HTML, nothing, or bytes from a stranger is an InvalidResponse that names call and status."""
    with pytest.raises(InvalidResponse, match=rf"POST /predict: HTTP {status} without JSON .*DeepDetect") as raised:
        read(status, body)
    assert (raised.value.method, raised.value.path) == ("POST", "/predict")


NGINX = "<html>\r\n<head><title>%s</title></head>\r\n<body><center><h1>%s</h1></center></body>\r\n</html>\r\n"


@pytest.mark.parametrize(
    ("status", "kind", "words"),
    [
        (301, Intercepted, "is this a DeepDetect server"),
        (400, Intercepted, "is this a DeepDetect server"),
        (401, Intercepted, "user:password@host.*server.token"),
        (403, Intercepted, "a proxy or a firewall, refuses this call"),
        (404, Intercepted, "are its host, port and path right"),
        (407, Intercepted, "the proxy wants a login"),
        (413, TooLarge, "nothing of it was done: write a smaller index.batch_bytes"),
        (429, ServerBusy, "nothing of this one was done: call later, or less often"),
        (502, ServerFault, "no DeepDetect server behind it"),
        (503, ServerFault, "no DeepDetect server behind it"),
        (504, ServerFault, "proxy_read_timeout"),
    ],
)
@pytest.mark.parametrize("body", [b"", NGINX.replace("%s", "An Error").encode(), b'{"detail": "no"}', b"\xff"])
def test_what_a_proxy_answers_has_a_sentence_of_its_own(
    status: int, kind: type[ApiError], words: str, body: bytes
) -> None:
    """Nobody has to guess whether it is the server that speaks, nor what to do; HTML is shown without its marks."""
    with pytest.raises(kind, match=words) as raised:
        read(status, body)
    assert (type(raised.value), raised.value.status, raised.value.dd_code) == (kind, status, None)
    assert "<" not in str(raised.value)


@pytest.mark.parametrize("status", [301, 302, 307, 308])
@pytest.mark.parametrize(
    ("location", "shown"),
    [
        ("https://dd.example/predict", "write https://dd.example as"),
        ("https://dd.example/api/predict", "write https://dd.example/api as"),
        ("https://me:secret@dd.example/predict", r"write https://\*\*\*@dd.example as"),
        ("https://login.example/?next=dd", "leads elsewhere, to https://login.example/"),
        ("/login", "leads elsewhere, to /login: .*want a login"),
    ],
)
def test_a_redirect_says_where_the_server_is_now(status: int, location: str, shown: str) -> None:
    """The address to write is that of the server, without the call and without a password."""
    with pytest.raises(Intercepted, match=shown) as raised:
        checked(Reply(status, b"<html>301</html>", {"location": location}), "POST", "/predict")
    assert "secret" not in str(raised.value)


def test_http_where_https_belongs_is_told() -> None:
    """Web servers say so in a page of HTML or in a line."""
    for body in (
        NGINX.replace("%s", "The plain HTTP request was sent to HTTPS port"),
        "Client sent an HTTP request to an HTTPS server.",
    ):
        with pytest.raises(Intercepted, match="write https://"):
            read(400, body.encode())


def test_the_servers_own_413_names_the_setting() -> None:
    """It comes with a status object, and means the same."""
    with pytest.raises(TooLarge, match=r"index\.batch_bytes"):
        read(413, b'{"status":{"code":413,"msg":"too large"}}')


@pytest.mark.parametrize("body", [b"<html>slow down</html>", b'{"status":{"code":429,"msg":"Too Many"}}'])
def test_a_busy_server_says_when(body: bytes) -> None:
    """429 is one error whoever says it, with the seconds that it asked for, in words and for programs."""
    with pytest.raises(ServerBusy, match="asks to be called again in 90 s") as raised:
        checked(Reply(429, body, {"retry-after": "90"}), "POST", "/predict")
    assert (raised.value.status, raised.value.retry_after) == (429, 90.0)


def test_a_pause_says_when() -> None:
    """503 stays a fault of the server, and says when to ask again, where it does."""
    with pytest.raises(ServerFault, match="asks to be called again in 5 s") as raised:
        checked(Reply(503, b"", {"retry-after": "5"}), "POST", "/predict")
    assert raised.value.retry_after == 5.0
    with pytest.raises(ServerFault) as silent:
        read(503, b"")
    assert silent.value.retry_after is None


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda parts: st.lists(parts, max_size=3) | st.dictionaries(st.text(max_size=5), parts, max_size=3),
    max_leaves=6,
)


@given(
    status=st.integers(100, 599),
    body=st.binary(max_size=20)
    | st.fixed_dictionaries(
        {},
        optional=dict.fromkeys(("status", "head", "body"), JSON)
        | {"status": st.dictionaries(st.sampled_from(["code", "dd_code", "dd_msg", "msg"]), JSON)},
    ).map(lambda value: json.dumps(value).encode()),
    method=st.sampled_from(["GET", "PUT", "POST", "DELETE"]),
)
def test_no_answer_breaks_the_reader(status: int, body: bytes, method: str) -> None:
    """Whatever comes back, it is JSON or a DDSimError."""
    try:
        read(status, body, method)
    except DDSimError as error:
        str(error).encode("utf-8")


def test_a_call_goes_through_with_its_limits(wire_answers: Any) -> None:
    """Method, path, JSON and both limits reach the transport."""
    transport = wire_answers.transport(wire_answers.reply(status=201))
    calls = Calls(transport, TimeLimits(connect=3), retries_of(0))
    calls.call("PUT", "/services/a", {"mllib": "caffe"}, 7.0)
    (sent,) = transport.sent
    assert (sent.method, sent.path, sent.json) == ("PUT", "/services/a", {"mllib": "caffe"})
    assert (sent.timeout.connect, sent.timeout.read) == (3, 7.0)


@pytest.mark.parametrize(("repeatable", "made"), [(True, 2), (False, 1)])
def test_repeatable_is_passed_on(wire_answers: Any, repeatable: bool, made: int) -> None:
    """Only a repeatable call is made again after a lost answer."""
    transport = wire_answers.transport(ServerTimeout("slow"))
    calls = Calls(transport, TimeLimits(), Retries(sleep=lambda _: None))
    try:
        calls.call("POST", "/train", {"a": 1}, 1.0, repeatable=repeatable)
    except ServerTimeout:
        assert not repeatable
    assert len(transport.sent) == made


def test_retries_can_be_switched_off(wire_answers: Any) -> None:
    """retries=0 makes one call, and waits for nothing."""
    transport = wire_answers.transport(*[ServerUnreachable("x")] * 3)
    with pytest.raises(ServerUnreachable):
        Calls(transport, TimeLimits(), retries_of(0)).call("PUT", "/services/a", {}, 1.0, repeatable=True)
    assert len(transport.sent) == 1


def test_every_limit_is_finite() -> None:
    """Each kind of call has a limit, and indexing the longest."""
    limits = limits_of(None)
    assert limits == TimeLimits()
    assert limits.index == max(limits.info, limits.create, limits.predict, limits.index) < math.inf


@pytest.mark.parametrize(("timeout", "connect"), [(1.5, 1.5), (60, 5.0)])
def test_one_number_limits_every_call(timeout: float, connect: float) -> None:
    """One number goes for all kinds of calls, and shortens connecting but never lengthens it."""
    limits = limits_of(timeout)
    assert {limits.info, limits.create, limits.predict, limits.index} == {timeout}
    assert limits.connect == connect


def test_limits_are_kept() -> None:
    """Limits given as such are used as they are."""
    limits = TimeLimits(predict=1)
    assert limits_of(limits) is limits


@pytest.mark.parametrize("seconds", [0, -1, math.nan, math.inf, 1e10, "5"])
def test_limits_that_are_none(seconds: Any) -> None:
    """No limit is zero, negative, endless, or beyond what a socket takes."""
    with pytest.raises(InvalidRequest, match="limit"):
        limits_of(seconds)


@pytest.mark.parametrize("name", ["connect", "info", "create", "predict", "index"])
@pytest.mark.parametrize("seconds", [0, None, math.inf])
def test_each_limit_is_checked(name: str, seconds: Any) -> None:
    """The wrong one of several is named; None, which would wait for ever, is wrong too."""
    with pytest.raises(InvalidRequest, match=name):
        TimeLimits(**{name: seconds})


@pytest.mark.parametrize(("again", "tries"), [(None, 3), (0, 1), (4, 5)])
def test_retries_are_counted_after_the_first_try(again: int | None, tries: int) -> None:
    """retries=4 means up to five calls."""
    assert retries_of(again).tries == tries


def test_a_policy_is_kept() -> None:
    """A policy given as such is used as it is."""
    policy = Retries(tries=9)
    assert retries_of(policy) is policy


def test_fewer_than_no_retries() -> None:
    """A negative number is refused."""
    with pytest.raises(InvalidRequest, match="retries"):
        retries_of(-1)
