"""A service for the time of an evaluation: made under a name of its own, made again if a server forgot it, removed."""

from __future__ import annotations

import logging
import secrets
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from tempfile import TemporaryDirectory
from typing import TypeVar

from ddsim.config import Service
from ddsim.deepdetect import Client, ServiceSpec, ensure, members_of
from ddsim.errors import DDSimError, ServerFault, ServiceNotFound
from ddsim.vectors import Patience, stands_alone

_log = logging.getLogger(__name__)
_T = TypeVar("_T")

PREFIX = "ddsim-evaluate-"


class Throwaway:
    """A service that nobody else knows of; any thread may ask it.

    A program that is killed leaves it to the server, which ends with it.

    Args:
        client: the server.
        service: the configured one, which is not touched.
        spec: as it is created.
        patience: how long to wait for a server that is gone.
    """

    def __init__(self, client: Client, service: Service, spec: ServiceSpec, patience: Patience) -> None:
        self.name = f"{PREFIX}{secrets.token_hex(6)}"
        self._client = client
        self._patience = patience
        # Where the network's files are named, nothing of it lies in a folder that is drawn here, so that the folder can
        # go with the service. Otherwise the network is in the configured one, and that stays as it is.
        self._own_folder = stands_alone(service)
        changes: dict[str, object] = {"name": self.name}
        if self._own_folder:
            changes |= {"repository": f"{spec.repository.rstrip('/')}/{self.name}", "create_repository": True}
        self._spec = spec.model_copy(update=changes)
        self._lock = threading.RLock()
        self._ensured: set[str | None] = set()
        self._created = False

    def ask(self, call: Callable[[str], _T], layer: str | None) -> _T:
        """Call the service, by its name; it is there then, and has answered a prediction.

        Args:
            call: is made once more where the server turns out to have forgotten the service.
            layer: whose features are wanted; None for labels.

        Raises:
            ApiError, TransportError, InvalidRequest, ServiceConflict: it cannot be had, or what ``call`` raises.
        """
        self._ensure(layer)
        try:
            return call(self.name)
        except ServiceNotFound:
            _log.info("the server has service %s no more: %s", self.name, self._client.why_missing(self.name))
            self._ensure(layer, anew=True)
            return call(self.name)

    def recover(self) -> None:
        """Wait for a server that gave no answer.

        Raises:
            TransportError: it does not come back in time.
        """
        self._patience.wait_for(self._client, self.name)
        with self._lock:
            self._ensured.clear()

    def remove(self) -> None:
        """Have it gone from each server, and its folder where that is its own; what fails at that is only logged."""
        if not self._created:
            return
        for url, client in members_of(self._client).items():
            try:
                self._remove_from(client)
            except DDSimError as error:
                _log.warning("service %s could not be removed from %s: %s", self.name, url or "the server", error)

    def _remove_from(self, client: Client) -> None:
        try:
            self._delete(client)
        except ServiceNotFound:
            # It failed its first prediction, or is gone from the server. Only a service takes its folder with it.
            if self._own_folder:
                client.create_service(self._spec)
                self._delete(client)

    def _delete(self, client: Client) -> None:
        # dir empties and removes the folder, and leaves a network elsewhere alone (recordings/wire/07c).
        try:
            client.delete_service(self.name, destroy_model_files="dir" if self._own_folder else None)
        except ServerFault:
            if not self._own_folder:
                raise
            # Servers may share a disk: then the folder went with the service of the first.
            client.delete_service(self.name)

    def _ensure(self, layer: str | None, *, anew: bool = False) -> None:
        # One thread creates it, the others find it there.
        with self._lock:
            if anew:
                self._ensured.clear()
            if layer not in self._ensured:
                self._created = True  # even where that fails, or its answer is lost
                ensure(self._client, self._spec, layer=layer)
                self._ensured.add(layer)


@contextmanager
def borrowed(
    client: Client, service: Service, spec: ServiceSpec, patience: Patience, *, embedded: bool = False
) -> Iterator[Throwaway]:
    """A throw-away service, removed at the end.

    Not where the program is being interrupted: a service that is deleted while it predicts may take the server with it
    (read in the server's source, not recorded).

    Args:
        client: the server.
        service: as :class:`Throwaway` has it.
        spec: likewise.
        patience: likewise.
        embedded: whether the server is ddsim's own. It sees this machine's folder for what passes, and the configured
            one, which it may have no right to write into, is left alone.
    """
    with ExitStack() as rooms:
        if embedded and stands_alone(service):
            room = TemporaryDirectory(prefix=PREFIX, ignore_cleanup_errors=True)
            spec = spec.model_copy(update={"repository": rooms.enter_context(room)})
        there = Throwaway(client, service, spec, patience)
        try:
            yield there
        except Exception:
            there.remove()
            raise
        there.remove()
