"""Several servers as one: services on each, batches and queries to the one that has the least to do.

They have to run the same network, which three drawn pictures tell, see :mod:`ddsim.deepdetect.canary`. A server that
fails is left alone for a while and tried again; what it was asked for goes to another one. Each has an index of its
own, so that none of them can hold a catalogue's vectors.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sized
from typing import Any, Literal, NoReturn, TypeVar

from ddsim.deepdetect.canary import Canary
from ddsim.deepdetect.client import Client
from ddsim.deepdetect.described import Info, ServiceInfo
from ddsim.deepdetect.members import Member, Members, Pause, is_trouble, was_sent
from ddsim.deepdetect.results import Classification, Ensured, Vectors
from ddsim.deepdetect.retries import Retries, retries_of
from ddsim.deepdetect.specs import ServiceSpec
from ddsim.deepdetect.wanted import Wanted, WantedServices
from ddsim.errors import (
    DDSimError,
    Intercepted,
    InvalidRequest,
    ServerBusy,
    ServerUnreachable,
    ServiceExists,
    ServiceNotFound,
    UnsafeCall,
)
from ddsim.pictures import Picture, Upload
from ddsim.showing import several

_Answer = TypeVar("_Answer")
# A picture that ends servers must not end them all.
_LOST_AT_MOST = 2
#: Why a catalogue's vectors cannot live on several servers.
NO_INDEX = "each of several servers has an index of its own, so that none would hold all of the catalogue"


def _refusing(why: str) -> Any:
    """A method that refuses whatever it is asked for."""

    def refuse(*_: object, **__: object) -> NoReturn:
        raise UnsafeCall(why)

    return refuse


class Several(Client):
    """Several DeepDetect servers, as one client. Safe to use from several threads.

    Args:
        clients: address -> a client to it alone, one that repeats nothing itself; they are closed with this object.
        upload: how the drawn pictures are prepared that tell networks apart.
        retries: how often a call is tried again when none of them can be had.
        pause: how long one that failed is left alone.

    Every method may raise :class:`~ddsim.errors.ServerUnreachable`, which names each of them, when none can be had.
    """

    # Nothing of Client's own is used, only what it is called by: a test holds that every public method is here.
    def __init__(
        self,
        clients: Mapping[str, Client],
        *,
        upload: Upload | None = None,
        retries: int | Retries | None = None,
        pause: Pause | None = None,
    ) -> None:
        if len(clients) < 2:
            raise InvalidRequest("Several: give two servers at least; for one there is Client")
        self._retries = retries_of(retries)
        self._wanted = WantedServices(upload or Upload(), self._retries)
        self._servers = Members(clients, self._wanted.admit, pause or Pause())

    def __repr__(self) -> str:
        return f"<Several: {several(self.members, len(self.members))}>"

    @property
    def members(self) -> dict[str, Client]:
        """The servers one by one: address -> client."""
        return {one.url: one.client for one in self._servers.all}

    @property
    def troubles(self) -> dict[str, str]:
        """The addresses of those that cannot be used at the moment, with the reason."""
        return self._servers.troubles()

    @property
    def concurrent(self) -> bool:
        """Whether several requests may be under way at a time."""
        return all(one.client.concurrent for one in self._servers.all)

    def close(self) -> None:
        """Release the connections."""
        self._servers.close()

    # What the servers are, and their services

    def info(self) -> Info:
        """Ask one of them what it is."""
        return self._with_one(None, 0, lambda client: client.info())

    def get_service(self, name: str, *, labels: bool = False) -> ServiceInfo:
        """Describe a service of one of them."""
        return self._with_one(name, 0, lambda client: client.get_service(name, labels=labels))

    def why_missing(self, service: str) -> str:
        """Why one of them does not have a service any more; see :meth:`ddsim.Client.why_missing`."""
        return self._with_one(None, 0, lambda client: client.why_missing(service))

    def create_service(self, spec: ServiceSpec) -> None:
        """Create a service on each.

        Raises:
            ServiceExists: all of them have one of that name.
        """
        self._on_each(lambda client: client.create_service(spec), ServiceExists)

    def delete_service(
        self,
        name: str,
        clear: Literal["index"] | None = None,
        *,
        layer: str | None = None,
        destroy_model_files: Literal["lib", "full", "dir"] | None = None,
    ) -> None:
        """Remove a service from each.

        Raises:
            ServiceNotFound: none of them has it.
        """
        self._wanted.forget(name)
        self._on_each(
            lambda client: client.delete_service(name, clear, layer=layer, destroy_model_files=destroy_model_files),
            ServiceNotFound,
        )

    def ensured(
        self, name: str, layer: str | None, make: Callable[[Client], Ensured], canary: Canary | None = None
    ) -> Ensured:
        """Have a service on each that can be had, and from now on on each that comes back.

        Args:
            name: the service.
            layer: whose features will be asked for; None where labels will.
            make: has it on one server, see :func:`ddsim.deepdetect.services.ensure`.
            canary: what is kept of the layer's vectors, where something is.

        Raises:
            NetworkChanged: some give other vectors than the others; they are named, and nothing is asked of any.
            ServiceConflict, ApiError: as ``make`` raises, where it does so on each that can be had; the message begins
                with the address of one of them.
        """
        return self._wanted.ensured(self._servers, name, Wanted(layer, make), canary)

    # Predictions

    def classify(
        self,
        service: str,
        pictures: Iterable[Picture],
        *,
        top: int | None = 5,
        min_probability: float = 0.0,
        upload: Upload | None = None,
    ) -> list[Classification]:
        """Label pictures on one of them; see :meth:`ddsim.Client.classify`."""
        given, count = _repeatable(pictures)

        def ask(client: Client) -> list[Classification]:
            return client.classify(service, given, top=top, min_probability=min_probability, upload=upload)

        return self._with_one(service, count, ask)

    def extract(
        self, service: str, pictures: Iterable[Picture], *, layer: str, upload: Upload | None = None
    ) -> Vectors:
        """Compute features on one of them; see :meth:`ddsim.Client.extract`."""
        given, count = _repeatable(pictures)

        def ask(client: Client) -> Vectors:
            return client.extract(service, given, layer=layer, upload=upload)

        return self._with_one(service, count, ask)

    def _with_one(self, service: str | None, count: int, ask: Callable[[Client], _Answer]) -> _Answer:
        return self._retries.run(lambda: self._asked(service, count, ask), repeatable=False)

    def _asked(self, service: str | None, count: int, ask: Callable[[Client], _Answer]) -> _Answer:
        """Ask one after the other, those with the least to do first, until one answers."""
        self._servers.await_any()
        tried: dict[Member, DDSimError] = {}
        while True:
            with self._servers.borrowed(count, tried) as member:
                if member is None:
                    raise self._nobody_answered(tried)
                try:
                    answer = ask(member.client)
                except DDSimError as error:
                    forgot = isinstance(error, ServiceNotFound) and service in self._wanted
                    if not (forgot or is_trouble(error)):
                        raise
                    tried[member] = error
                    if isinstance(error, _UNSENT) or was_sent(error):
                        self._servers.lose(member, error)
                    if len(_worked_on(tried)) == _LOST_AT_MOST:
                        raise
                else:
                    self._servers.proved(member)
                    for other, fault in tried.items():
                        # Where nobody does better, a fault is the pictures' rather than the server's.
                        self._servers.lose(other, fault)
                    return answer

    def _nobody_answered(self, tried: Mapping[Member, DDSimError]) -> DDSimError:
        worked_on = _worked_on(tried)
        faults = [error for error in worked_on if not was_sent(error)]
        return faults[0] if faults else self._servers.nobody(lost=bool(worked_on))

    def _on_each(self, do: Callable[[Client], None], passing: type[DDSimError]) -> None:
        """Do something on all that are in use; ``passing`` matters only where it is the same on all of them."""
        self._servers.await_any()
        members, passed = self._servers.in_use(), []
        failed: dict[Member, DDSimError] = {}
        for member in members:
            try:
                do(member.client)
            except passing as error:
                passed.append(error)
            except DDSimError as error:
                failed[member] = error
        self._servers.part_with(failed, done=len(failed) < len(members))
        if passed and len(passed) + len(failed) == len(members):
            raise passed[0]

    # What several servers cannot do

    def may_be_unbuilt(self, service: str) -> bool:  # noqa: ARG002  as it is called on a client
        """Never: nothing is added to an index."""
        return False

    def index_failed(self, service: str) -> bool:  # noqa: ARG002  likewise
        """Never: there is none."""
        return False

    add_to_index = search_index = search_rows = index_was_built = _refusing(
        f"this is not for several servers: {NO_INDEX}"
    )
    train = training_status = wait = _refusing("a training belongs to one server: use a Client to that one")


# With these nothing happened on the server.
_UNSENT = (ServerUnreachable, ServiceNotFound, ServerBusy, Intercepted)


def _worked_on(tried: Mapping[Member, DDSimError]) -> list[DDSimError]:
    """The failures of servers that may have worked on what they were asked for."""
    return [error for error in tried.values() if not isinstance(error, _UNSENT)]


def members_of(client: Client) -> dict[str, Client]:
    """The servers behind a client, one by one: address -> client; one that is alone bears no address."""
    return client.members if isinstance(client, Several) else {"": client}


def _repeatable(pictures: Iterable[Picture]) -> tuple[Iterable[Picture], int]:
    """Pictures that can be sent twice, and how many; what is no list of them is left for a client to refuse."""
    if isinstance(pictures, Iterator) and not hasattr(pictures, "read"):
        pictures = list(pictures)
    return pictures, len(pictures) if isinstance(pictures, Sized) else 1
