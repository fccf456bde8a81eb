"""The core of a client: what it knows of a server and its services, without doing any input or output itself."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from ddsim.deepdetect.calls import TimeLimits, checked
from ddsim.deepdetect.checks import count
from ddsim.deepdetect.described import Capabilities, Info, ServiceInfo, parse_info, parse_service
from ddsim.deepdetect.guard import Guard
from ddsim.deepdetect.specs import service_name
from ddsim.deepdetect.steps import Ask, Lock, Plan, holding
from ddsim.errors import CapabilityError, DDSimError
from ddsim.pictures import Upload


@dataclass
class Core:
    """One client's knowledge and settings; plans read and change it.

    Attributes:
        new_lock: makes a lock of the kind that whoever runs the plans can take.
        limits: seconds for each kind of call.
        upload: how pictures are prepared where a call names no other way.
        batch_size, batch_bytes: see :class:`ddsim.Client`.
        values: whether pictures go out as bytes, not as base64.
        fitting_bytes: as batch_bytes, and less once a proxy has said that less is too large.
        capabilities: of the server, None until asked.
        seen: services that were there, with their descriptions, which tell one from another of that name.

    Raises:
        InvalidRequest: a batch of less than one.
    """

    new_lock: Callable[[], Lock]
    limits: TimeLimits
    upload: Upload
    batch_size: int
    batch_bytes: int
    values: bool
    fitting_bytes: int = 0
    capabilities: Capabilities | None = None
    seen: dict[str, str] = field(default_factory=dict)
    _guards: dict[str, Guard] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.batch_size = count("batch_size", self.batch_size)
        self.batch_bytes = self.fitting_bytes = count("batch_bytes", self.batch_bytes)

    def guard(self, name: str) -> Guard:
        """What is known of a service; the server is not asked."""
        lowered = service_name(name)
        # Of several threads that come first at once, all get the one that got in.
        return self._guards.setdefault(lowered, Guard(lowered, self.new_lock()))

    def known(self, service: str) -> Plan[Guard]:
        """The service's guard, after asking the server once what the service is."""
        guard = self.guard(service)
        yield from self.refresh(guard)
        return guard

    def refresh(self, guard: Guard) -> Plan[None]:
        """Ask about a service that may be another one since."""
        if guard.info is None or guard.stale or guard.engine == "broken":
            yield from holding(guard.lock, self._seen(guard))

    def _seen(self, guard: Guard) -> Plan[None]:
        # Before asking: a doubt that comes up meanwhile must not be overwritten.
        guard.stale = False
        try:
            guard.seen((yield from self.service(guard.name)))
        except BaseException:
            guard.stale = True
            raise

    def service(self, name: str, *, labels: bool = False) -> Plan[ServiceInfo]:
        """See :meth:`ddsim.Client.get_service`."""
        name = service_name(name)
        path = f"/services/{name}" + ("?labels=true" if labels else "")
        found = parse_service((yield from ask("GET", path, None, self.limits.info, repeatable=True)))
        self.seen[name] = found.description
        return found

    def info(self) -> Plan[Info]:
        """See :meth:`ddsim.Client.info`."""
        return parse_info((yield from ask("GET", "/info", None, self.limits.info, repeatable=True)))

    def check_similarity(self) -> Plan[None]:
        """Refuse index and search where the server has neither.

        Raises:
            CapabilityError: it was built without.
        """
        capabilities = self.capabilities  # another thread may forget them
        if capabilities is None:
            capabilities = self.capabilities = (yield from self.info()).capabilities
        if not capabilities.similarity_search:
            raise CapabilityError(
                "this server was built without similarity search and would answer without neighbours, silently "
                "(official images since v0.28 are so): use image v0.25.0, or keep the vectors from extract() yourself"
            )


def ask(method: str, path: str, json: Mapping[str, Any] | None, read: float, *, repeatable: bool = False) -> Plan[Any]:
    """One call: the answer's JSON, or the error that it stands for; see :class:`ddsim.deepdetect.steps.Ask`."""
    reply = yield Ask(method, path, json, read, repeatable)
    return checked(reply, method, path, json)


def attempted(plan: Plan[Any]) -> Plan[DDSimError | None]:
    """Carry a plan out for what it does alone: its error, if any, is given back."""
    try:
        yield from plan
    except DDSimError as error:
        return error
    return None
