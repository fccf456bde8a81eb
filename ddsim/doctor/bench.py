"""A place on the server for trials: a folder that was not there before, services in it, and nothing left afterwards.

Everything lies below one folder, ``ddsim-doctor-<random>``, in the configured repository or the nearest folder above it
that exists; it holds no network, so removing it cannot reach one (recordings/wire/07c-delete-explicit-paths).
"""

from __future__ import annotations

import logging
import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import PurePosixPath
from types import TracebackType

from ddsim.deepdetect import Calls, Client, Retries, ServiceSpec, TimeLimits, Transport
from ddsim.errors import (
    ApiError,
    BadParameter,
    DDSimError,
    InvalidResponse,
    ServerUnreachable,
    ServiceNotFound,
)

_log = logging.getLogger(__name__)

#: How the names of all trial services and folders begin.
PREFIX = "ddsim-doctor-"
# A creation whose answer never came may still be under way: the network is being loaded.
_TRIES, _PAUSE = 20, 0.5


class NoPlace(DDSimError):
    """The server can write neither into a folder nor into any above it."""


class Bench:
    """A folder for trials and the services in it; use it as a context manager.

    A Caffe service without a network holds the folder (recordings/wire/04-service-repository), so that it can be
    removed whatever becomes of the trials.

    Args:
        transport: to the server; not closed.
        repository: where the folder goes, or above it.
        limits: seconds for each kind of call.
        sleep: how to wait for a creation that is still under way.

    Attributes:
        name: of the service that holds the folder; all other names begin so.
        folder: on the server; chosen by :meth:`locate`.
        left: what could not be removed, a sentence each; filled at the end.
    """

    def __init__(
        self,
        transport: Transport,
        repository: str,
        *,
        limits: TimeLimits | None = None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.limits = limits or TimeLimits()
        self.client = Client(transport=transport, timeout=self.limits, retries=0)
        self.name = PREFIX + secrets.token_hex(4)
        self.folder = f"{repository.rstrip('/')}/{self.name}"
        self.left: list[str] = []
        self._repository = repository
        self._calls = Calls(transport, self.limits, Retries(tries=1))
        self._sleep = sleep
        self._made: list[str] = []
        self._there: set[str] = set()
        self._in_doubt: set[str] = set()

    def __enter__(self) -> Bench:
        """Make the folder.

        Raises:
            NoPlace: the server can write nowhere.
            ApiError, TransportError: the server refuses, or does not answer.
        """
        self.locate()
        try:
            self.create(self.holder())
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def locate(self) -> None:
        """Choose the folder: in the configured repository, or the nearest one above it in which the server can write.

        Asking makes nothing: a service with an input connector that does not exist is refused with 404/1004, and before
        that with 400/1006 if the folder is not there or not writable (recordings/wire/03-service-create-errors, 04).

        Raises:
            NoPlace: there is none.
        """
        start = PurePosixPath(self._repository)
        for folder in (start, *start.parents):
            if self._can_write(str(folder)):
                self.folder = str(folder / self.name)
                return
        raise NoPlace(
            f"the server can write neither into {self._repository} nor into any folder above it: "
            "make that folder on the server, writable for the user that the server runs as"
        )

    def _can_write(self, folder: str) -> bool:
        body = self.holder().model_copy(update={"repository": folder, "create_repository": False}).body()
        body["parameters"]["input"]["connector"] = "ddsim-doctor"
        path = f"/services/{self.name}"
        try:
            self._calls.call("PUT", path, body, self.limits.create)
        except BadParameter:
            return False
        except ApiError as error:
            if (error.status, error.dd_code) == (404, 1004):
                return True
            raise
        self.client.delete_service(self.name)
        raise InvalidResponse("the server created a service that it should have refused", method="PUT", path=path)

    def holder(self) -> ServiceSpec:
        """The service that holds the folder: it has no network and cannot predict."""
        return ServiceSpec(name=self.name, repository=self.folder, create_repository=True, nclasses=1)

    def spec(self, wanted: ServiceSpec, word: str) -> ServiceSpec:
        """A configured service as a trial: another name, and a folder of its own on the bench."""
        place = {"name": f"{self.name}-{word}", "repository": f"{self.folder}/{word}", "create_repository": True}
        return wanted.model_copy(update=place)

    def create(self, spec: ServiceSpec) -> None:
        """Create a service of :meth:`spec`; the end of the bench removes it."""
        with self.making(spec.name):
            self.client.create_service(spec)
        self.made(spec.name)

    def made(self, name: str) -> None:
        """Note that this service is there."""
        self._there.add(name)

    @contextmanager
    def making(self, name: str) -> Iterator[None]:
        """Around a call that may create the service of this name; the end of the bench removes it."""
        if name not in self._made:
            self._made.append(name)
        try:
            yield
        except (ApiError, ServerUnreachable):
            raise
        except BaseException:
            self._in_doubt.add(name)
            raise

    def remove(self, name: str) -> None:
        """Remove a service and its folder on the bench."""
        if name not in self._made:
            return
        for last in [False] * _TRIES + [True]:
            try:
                self.client.delete_service(name, destroy_model_files="dir")
            except ServiceNotFound:
                if name in self._in_doubt and not last:
                    self._sleep(_PAUSE)
                    continue
                if name == self.name and name in self._there:
                    self.left.append(f"folder {self.folder} is left on the server: its service is gone from there")
            except DDSimError as error:
                self.left.append(f"service {name} and folder {self.folder} may be left on the server: {error}")
            break
        self._made.remove(name)

    def close(self) -> None:
        """Remove what is left, the folder last. It takes a second Ctrl-C to end this early."""
        try:
            self._remove_all()
        except KeyboardInterrupt:
            # Whether the call that was interrupted has removed the folder nobody knows.
            self._there.discard(self.name)
            try:
                self._remove_all()
            except KeyboardInterrupt:
                _log.error("service %s and folder %s are left on the server", self.name, self.folder)
            raise

    def _remove_all(self) -> None:
        for name in list(reversed(self._made)):
            self.remove(name)
