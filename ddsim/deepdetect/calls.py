"""One call of the API: limits and retries around a transport, and the answer's JSON or the error it stands for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, TypeVar

from ddsim.deepdetect import wire
from ddsim.deepdetect.proxies import TOO_LARGE, TOO_MANY, proxy_words
from ddsim.deepdetect.retries import Retries, retry_after
from ddsim.deepdetect.sayings import meaning
from ddsim.deepdetect.steps import Ask, Plan, Step, Take, Work
from ddsim.deepdetect.transport import Reply, Timeout, Transport, ValueTransport
from ddsim.errors import (
    ApiError,
    BadParameter,
    DDSimError,
    Intercepted,
    InvalidRequest,
    InvalidResponse,
    ServerBusy,
    ServerFault,
    ServiceNotFound,
    TooLarge,
    api_error_class,
)

_Answer = TypeVar("_Answer")
_HINTS: dict[type[ApiError], str] = {
    ServiceNotFound: "a server forgets its services when it restarts: create it again",
    TooLarge: TOO_LARGE,
    ServerBusy: TOO_MANY,
    BadParameter: "paths are as the server sees them; layer names stand in the network's deploy.prototxt",
}


@dataclass(frozen=True)
class TimeLimits:
    """Seconds that each kind of call may take. The server itself never gives up on a call.

    Attributes:
        connect: until a connection stands.
        info: reading what the server knows; it may wait for a running prediction.
        create: creating or deleting a service; creating loads the weights.
        predict: classify, extract, search; the first one may load the network again.
        index: adding to an index, and building it.

    Raises:
        InvalidRequest: a limit is not a number of seconds above 0; there is none that means for ever.
    """

    connect: float = 5.0
    info: float = 30.0
    create: float = 300.0
    predict: float = 120.0
    index: float = 600.0

    def __post_init__(self) -> None:
        for limit in fields(self):
            seconds = getattr(self, limit.name)
            # A socket takes no more than some hundred years.
            if isinstance(seconds, bool) or not isinstance(seconds, (int, float)) or not 0 < seconds <= 1e9:
                raise InvalidRequest(f"time limit {limit.name}={seconds!r}: more than 0 and at most 1e9 seconds")


class Calls:
    """Makes calls over a transport, and carries out plans in the thread that asks for it.

    Args:
        transport: carries them.
        limits: seconds for each kind of call.
        retries: when to try again.
    """

    def __init__(self, transport: Transport, limits: TimeLimits, retries: Retries) -> None:
        self.transport = transport
        self.limits = limits
        self.retries = retries
        self._exchange = transport.exchange_values if isinstance(transport, ValueTransport) else transport.exchange

    def call(
        self, method: str, path: str, json: Mapping[str, Any] | None, read: float, *, repeatable: bool = False
    ) -> Any:
        """Make one call and return its answer's JSON.

        Args:
            method: see :meth:`ddsim.deepdetect.transport.Transport.exchange`, as for ``path`` and ``json``.
            path: the request target.
            json: the body.
            read: seconds to wait for the answer.
            repeatable: whether the call changes nothing, so that it may be sent again after a lost answer.

        Raises:
            TransportError: no usable answer.
            ApiError: the server said no.
        """
        return checked(self._asked(Ask(method, path, json, read, repeatable)), method, path, json)

    def run(self, plan: Plan[_Answer]) -> _Answer:
        """Carry a plan out: what it returns, or the error that it ends with."""
        try:
            step = next(plan)
            while True:
                try:
                    outcome = self._done(step)
                except BaseException as error:  # noqa: BLE001  even Ctrl-C: the plan gives back its locks and raises it
                    step = plan.throw(error)
                else:
                    step = plan.send(outcome)
        except StopIteration as end:
            answer: _Answer = end.value
            return answer
        finally:
            plan.close()

    def _done(self, step: Step) -> Any:
        if isinstance(step, Ask):
            return self._asked(step)
        if isinstance(step, Take):
            return step.lock.acquire()
        if isinstance(step, Work):
            return step.do()
        return self.retries.pause(step.seconds)

    def _asked(self, ask: Ask) -> Reply:
        timeout = Timeout(self.limits.connect, ask.read)
        return self.retries.run(
            lambda: self._exchange(ask.method, ask.path, ask.json, timeout), repeatable=ask.repeatable
        )


def limits_of(timeout: float | TimeLimits | None) -> TimeLimits:
    """The limits that the ``timeout`` of a client stands for."""
    if isinstance(timeout, TimeLimits):
        return timeout
    if timeout is None:
        return TimeLimits()
    limits = TimeLimits(info=timeout, create=timeout, predict=timeout, index=timeout)
    return replace(limits, connect=min(limits.connect, timeout))


def checked(reply: Reply, method: str, path: str, sent: Mapping[str, Any] | None = None) -> Any:
    """Return the answer's JSON, or raise the ApiError that its status and dd_code stand for.

    Args:
        reply: the answer.
        method: of the call.
        path: likewise.
        sent: its JSON, from which an error names files and layers.
    """
    try:
        payload = reply.values if reply.values is not None else wire.decode(reply.body)
    except ValueError as error:
        raise _not_deepdetect(reply, "JSON", method, path) from error
    status = payload.get("status") if isinstance(payload, Mapping) else None
    if not isinstance(status, Mapping):
        if reply.status >= 300:
            raise _not_deepdetect(reply, "a status object", method, path)
        return payload
    said, dd_code = status.get("code"), status.get("dd_code")
    # With output.network the HTTP status can say 200 and the body 404 (recording 16).
    code = max(said, reply.status) if isinstance(said, int) else reply.status
    if code < 400:
        return payload
    dd_code = dd_code if isinstance(dd_code, int) else None
    kind = api_error_class(code, dd_code)
    if method == "DELETE" and code == 404:
        # The one "service not found" that comes without its code (recording 07).
        kind = ServiceNotFound
    words = str(status.get("dd_msg") or status.get("msg") or "")
    told = meaning(words, sent)
    asked, hint = retry_after(reply), _HINTS.get(kind, "")
    raise kind(code, dd_code, words, method=method, path=path, hint=hint, meaning=told, retry_after=asked)


def _not_deepdetect(reply: Reply, lacking: str, method: str, path: str) -> DDSimError:
    words = reply.body.decode("utf-8", "replace").strip()
    if reply.status >= 300:
        # A proxy in front of the server speaks for itself.
        kind = api_error_class(reply.status, None)
        if not issubclass(kind, (ServerFault, TooLarge, ServerBusy)):
            kind = Intercepted
        asked, hint = retry_after(reply), proxy_words(reply, path)
        return kind(reply.status, None, words, method=method, path=path, hint=hint, retry_after=asked)
    shown = f"{method} {path}: HTTP {reply.status} without {lacking} ({words[:80]!r}): is this a DeepDetect server?"
    return InvalidResponse(shown, method=method, path=path)
