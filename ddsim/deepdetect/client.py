"""Client: DeepDetect's REST API, one method a call, typed results."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from types import TracebackType
from typing import Any, Literal

from ddsim.deepdetect import administering, indexing, labelling, training
from ddsim.deepdetect.calls import Calls, TimeLimits, limits_of
from ddsim.deepdetect.core import Core
from ddsim.deepdetect.described import Info, ServiceInfo
from ddsim.deepdetect.http import HttpTransport
from ddsim.deepdetect.results import Classification, SearchReply, Vectors
from ddsim.deepdetect.retries import Retries, retries_of
from ddsim.deepdetect.specs import ServiceSpec
from ddsim.deepdetect.training import TrainingStatus
from ddsim.deepdetect.transport import Transport, ValueTransport, where
from ddsim.pictures import Picture, Upload


class Client:
    """A DeepDetect server, as typed calls. Safe to use from several threads; use it as a context manager.

    Args:
        url: where the server is.
        timeout: seconds any call may take, or limits for each kind of call.
        retries: how many times a call that is safe to repeat is tried again (0: never), or a full policy.
        transport: what carries the calls instead of HTTP to ``url``.
        upload: how pictures are prepared, see :class:`ddsim.Upload`; each call can name another.
        batch_size: pictures in one request, and in one forward pass of the network. The server's own default is a
            forward pass over the whole request, which has ended containers for lack of memory.
        batch_bytes: bytes of pictures (as base64) in one request; the server copies each request several times.

    Calls that take pictures send as many requests as the limits need, and smaller ones where a proxy on the way answers
    that they are too large (413). Results come in the caller's order, whatever order the server answered in. Every
    method may raise :class:`~ddsim.errors.TransportError` and :class:`~ddsim.errors.ApiError`; those that take pictures
    also :class:`~ddsim.errors.ImageError`.
    """

    def __init__(
        self,
        url: str = "http://localhost:8080",
        *,
        timeout: float | TimeLimits | None = None,
        retries: int | Retries | None = None,
        transport: Transport | None = None,
        upload: Upload | None = None,
        batch_size: int = 32,
        batch_bytes: int = 16 * 1024 * 1024,
    ) -> None:
        self._transport = transport if transport is not None else HttpTransport(url)
        limits = limits_of(timeout)
        self._calls = Calls(self._transport, limits, retries_of(retries))
        values = isinstance(self._transport, ValueTransport)
        self._core = Core(threading.RLock, limits, upload or Upload(), batch_size, batch_bytes, values)

    def __repr__(self) -> str:
        return f"<Client: {where(self._transport)}>"

    @property
    def concurrent(self) -> bool:
        """Whether several requests may be under way at a time: to servers, not to what only stands for one."""
        return isinstance(self._transport, (HttpTransport, ValueTransport))

    def __enter__(self) -> Client:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Release the connections."""
        self._transport.close()

    # What the server is, and its services

    def info(self) -> Info:
        """Ask what the server is, what it was built with and which services it has.

        Do not poll it while services are created or deleted: the server reads its list without a lock.
        """
        return self._calls.run(self._core.info())

    def create_service(self, spec: ServiceSpec) -> None:
        """Create a service.

        A service that was created may still be unable to predict: DeepDetect v0.25.0 notices a missing weights file
        only at the first prediction (checked on a running server). :func:`ddsim.deepdetect.services.ensure` tries one.

        Args:
            spec: all that is to be known of it.

        Raises:
            ServiceExists: a service of that name exists, or is being created by another client.
            UnsafeCall: another similarity service has the same repository. On DeepDetect v0.25.0 each would find the
                names of the other's pictures (checked on a running server).
        """
        self._calls.run(administering.create_service(self._core, spec))

    def get_service(self, name: str, *, labels: bool = False) -> ServiceInfo:
        """Describe a service.

        Args:
            name: the service.
            labels: also ask for the network's labels; the server gives them in no particular order.

        Raises:
            ServiceNotFound: there is no such service.
        """
        return self._calls.run(self._core.service(name, labels=labels))

    def why_missing(self, service: str) -> str:
        """Why a service that was there is not there any more, in words.

        A server that ends forgets all its services at once: so it was restarted where everything that this client has
        seen is gone, and was not where anything of that is still there.
        """
        return self._calls.run(administering.why_missing(self._core, service))

    def delete_service(
        self,
        name: str,
        clear: Literal["index"] | None = None,
        *,
        layer: str | None = None,
        destroy_model_files: Literal["lib", "full", "dir"] | None = None,
    ) -> None:
        """Remove a service from the server's memory; by default no file is touched.

        Args:
            name: the service.
            clear: ``index`` also removes the files of its index. DeepDetect v0.25.0 removes them only if the index is
                loaded, and does not say when it did not (checked on a running server), so a search is sent first.
            layer: the layer for that search; needed where this client has not used the index yet.
            destroy_model_files: the server's words for deleting files of the repository, **weights included** where
                they lie in it: ``lib`` weights and configuration, ``full`` everything, ``dir`` the folder too.

        Raises:
            ServiceNotFound: there is no such service.
        """
        self._calls.run(administering.delete_service(self._core, name, clear, layer, destroy_model_files))

    # Training on the server

    def train(self, service: str, data: Sequence[str], *, parameters: Mapping[str, Any]) -> TrainingStatus:
        """Start a training of the server's own, which goes on in the background.

        Unproven: see :mod:`ddsim.deepdetect.training`. While it runs the service answers no prediction.

        Args:
            service: created for training, with a template, ``finetuning`` and weights in its parameters.
            data: what it learns from, as the server sees it: folders with one folder a category.
            parameters: of ``input``, ``mllib`` and ``output``, in DeepDetect's own words.

        Raises:
            ServiceNotFound: there is no such service.
            ApiError: the server refuses, or could not begin; it keeps the server's words.
            InvalidResponse: the answer names no job.
        """
        return self._calls.run(training.start(self._core, service, data, parameters))

    def training_status(self, service: str, job: int) -> TrainingStatus:
        """Ask how a training is doing. The server tells the end of one once, so it is not asked again after a loss.

        Args:
            service: that is trained.
            job: its number, as :meth:`train` gave it.

        Raises:
            ApiError: the training failed, with the server's words, or there is no such job.
            InvalidResponse: the answer is of something else.
        """
        return self._calls.run(training.status(self._core, service, job))

    def wait(
        self,
        service: str,
        job: int,
        *,
        seconds: float = 86_400.0,
        pause: float = 10.0,
        progress: Callable[[TrainingStatus], None] | None = None,
    ) -> TrainingStatus:
        """Ask again and again until a training has ended.

        Args:
            service: that is trained.
            job: its number.
            seconds: how long to wait at most.
            pause: seconds between two questions.
            progress: told every answer.

        Raises:
            ServerTimeout: it still runs by then; it goes on.
            ApiError, TransportError: as :meth:`training_status`.
        """
        asked = partial(training.status, self._core, service, job)
        return self._calls.run(training.wait(asked, seconds=seconds, pause=pause, told=progress))

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
        """Label pictures.

        Args:
            service: a classification service.
            pictures: see :data:`ddsim.Picture`.
            top: how many labels for each picture; None gives all.
            min_probability: labels that are less probable than this, 0 to 1, are left out.
            upload: how to prepare these pictures.

        Raises:
            InvalidRequest: the service gives features, not labels.
        """
        return self._calls.run(labelling.classify(self._core, service, pictures, top, min_probability, upload))

    def extract(
        self, service: str, pictures: Iterable[Picture], *, layer: str, upload: Upload | None = None
    ) -> Vectors:
        """Compute features.

        Args:
            service: a service of type unsupervised (Caffe), or any service (Torch).
            pictures: see :data:`ddsim.Picture`.
            layer: the network's layer whose output to take, flattened; Torch knows ``last`` and ``final`` only.
            upload: how to prepare these pictures.

        Returns:
            float32, shape (n, d), in the order of ``pictures``; (0, 0) for none.

        Raises:
            BadParameter: the network has no such layer.
        """
        return self._calls.run(labelling.extract(self._core, service, pictures, layer, upload))

    def add_to_index(
        self,
        service: str,
        pictures: Mapping[str, Picture],
        *,
        layer: str,
        build: bool = True,
        index_type: str = "Flat",
        upload: Upload | None = None,
    ) -> Vectors:
        """Add pictures to a service's index, in one request that is never repeated.

        Where that is too large for a proxy, which then does nothing of it, it goes in several; should a later one of
        them fail, what the first ones added is unbuilt (:meth:`may_be_unbuilt`).

        The index can only grow: adding a uri again stores it twice. Adding and building go in one call, because a build
        without anything new ends the server. One bad picture fails the whole call, and none of its pictures is indexed.
        DeepDetect v0.25.0 does all this (checked on a running server).

        Args:
            service: a similarity service.
            pictures: uri -> picture, at least one; the uris are what searches give back.
            layer: the layer that the index is made of; the same in all calls on this service.
            build: make the added pictures searchable and write the index to the server's disk. With False both wait for
                a later call that builds, and until then searches on this service are refused.
            index_type: FAISS' name for the kind of index; used when the index is created.
            upload: how to prepare these pictures.

        Returns:
            the features of the pictures, float32, shape (n, d), in the order of ``pictures``.

        Raises:
            InvalidRequest: more pictures or bytes than one request may hold.
            UnsafeCall: see :class:`ddsim.deepdetect.guard.Guard`.
            CapabilityError: the server was built without similarity search.
        """
        plan = indexing.add_to_index(self._core, service, pictures, layer, build, index_type, upload)
        return self._calls.run(plan)

    def may_be_unbuilt(self, service: str) -> bool:
        """Whether something may be in a service's index that was not built since; the server is not asked."""
        return self._core.guard(service).unbuilt

    def index_failed(self, service: str) -> bool:
        """Whether a service's index failed at this client's first use of it, and is not used since."""
        return self._core.guard(service).engine == "broken"

    def index_was_built(self, service: str) -> None:
        """Be told that others have built a service's index since it failed: then it is loaded, and used again.

        Only who knows so may say it: the next use of an index that is not loaded can end the server.
        """
        self._core.guard(service).built_by_others()

    def search_index(
        self,
        service: str,
        pictures: Iterable[Picture],
        *,
        layer: str,
        k: int = 10,
        index_type: str = "Flat",
        upload: Upload | None = None,
    ) -> list[SearchReply]:
        """Find the nearest pictures of a service's index.

        Args:
            service: a similarity service.
            pictures: the queries, see :data:`ddsim.Picture`.
            layer: the layer that the index is made of.
            k: neighbours for each query; an index that holds fewer gives fewer.
            index_type: as for :meth:`add_to_index`; the server makes an empty index at the first search, too.
            upload: how to prepare these pictures.

        Raises:
            UnsafeCall: see :class:`ddsim.deepdetect.guard.Guard`.
            CapabilityError: the server was built without similarity search.
        """
        return self._calls.run(indexing.search_index(self._core, service, pictures, layer, k, index_type, upload))

    def search_rows(
        self,
        service: str,
        pictures: Iterable[Picture],
        *,
        layer: str,
        k: int = 10,
        index_type: str = "Flat",
        upload: Upload | None = None,
    ) -> list[tuple[Vectors, list[tuple[str, float]]]]:
        """As :meth:`search_index`, for who looks through hundreds of neighbours: names and distances without objects.

        Args:
            service: see :meth:`search_index`, as for the others.
            pictures: likewise.
            layer: likewise.
            k: likewise.
            index_type: likewise.
            upload: likewise.

        Returns:
            for each query its features, shape (d,), and its neighbours' uris and distances, nearest first.
        """
        return self._calls.run(indexing.search_rows(self._core, service, pictures, layer, k, index_type, upload))
