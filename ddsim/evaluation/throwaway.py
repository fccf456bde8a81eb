"""A service for the time of an evaluation: made under a name of its own, made again if a server forgot it, removed."""

from __future__ import annotations

import logging
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from ddsim.config import Service
from ddsim.deepdetect import Client, ServiceSpec, ensure
from ddsim.errors import DDSimError, ServiceNotFound
from ddsim.vectors import Patience, stands_alone

_log = logging.getLogger(__name__)
_T = TypeVar("_T")

PREFIX = "ddsim-evaluate-"


class Throwaway:
    """A service that nobody else knows of. A program that is killed leaves it to the server, which ends with it.

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
            self._ensured.clear()
            self._ensure(layer)
            return call(self.name)

    def recover(self) -> None:
        """Wait for a server that gave no answer.

        Raises:
            TransportError: it does not come back in time.
        """
        self._patience.wait_for(self._client, self.name)
        self._ensured.clear()

    def remove(self) -> None:
        """Have it gone from the server, and its folder where that is its own; what fails at that is only logged."""
        if not self._created:
            return
        try:
            try:
                self._delete()
            except ServiceNotFound:
                # It failed its first prediction, or is gone from the server. Only a service takes its folder with it.
                if self._own_folder:
                    self._client.create_service(self._spec)
                    self._delete()
        except DDSimError as error:
            _log.warning("service %s could not be removed from the server: %s", self.name, error)

    def _delete(self) -> None:
        # dir empties and removes the folder, and leaves a network elsewhere alone (recordings/wire/07c).
        self._client.delete_service(self.name, destroy_model_files="dir" if self._own_folder else None)

    def _ensure(self, layer: str | None) -> None:
        if layer not in self._ensured:
            self._created = True  # even where that fails, or its answer is lost
            ensure(self._client, self._spec, layer=layer)
            self._ensured.add(layer)


@contextmanager
def borrowed(client: Client, service: Service, spec: ServiceSpec, patience: Patience) -> Iterator[Throwaway]:
    """A throw-away service, removed at the end.

    Not where the program is being interrupted: a service that is deleted while it predicts may take the server with it
    (read in the server's source, not recorded).
    """
    there = Throwaway(client, service, spec, patience)
    try:
        yield there
    except Exception:
        there.remove()
        raise
    there.remove()
