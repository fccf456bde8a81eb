"""Client: DeepDetect's REST API, one method a call, typed results."""

# One file, since services and predictions share the guards: what a call learns about a service decides the next one.

from __future__ import annotations

import logging
import operator
import os
import posixpath
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from types import TracebackType
from typing import Any, Literal, TypeAlias, TypeVar

import numpy as np
from PIL import Image

from ddsim.deepdetect import training, wire
from ddsim.deepdetect.calls import Calls, TimeLimits, limits_of, retries_of
from ddsim.deepdetect.guard import Guard
from ddsim.deepdetect.http import HttpTransport
from ddsim.deepdetect.results import Classification, SearchReply, Vectors
from ddsim.deepdetect.training import TrainingStatus
from ddsim.deepdetect.transport import Retries, Transport, ValueTransport
from ddsim.errors import (
    ApiError,
    BadParameter,
    CapabilityError,
    DDSimError,
    InvalidRequest,
    InvalidResponse,
    ServerFault,
    ServerUnreachable,
    ServiceExists,
    ServiceNotFound,
    TooLarge,
    TransportError,
    UnsafeCall,
)
from ddsim.pictures import Encoded, Picture, ServerPath, Upload, Url, encode

_log = logging.getLogger(__name__)
_Answer = TypeVar("_Answer")
# An element of a request's `data`: base64, a path or a URL; bytes where the transport carries values.
_Data: TypeAlias = str | bytes
_Send: TypeAlias = Callable[[list[str], list[_Data]], list[_Answer]]


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
        self._batch_size = _count("batch_size", batch_size)
        self._batch_bytes = _count("batch_bytes", batch_bytes)
        self._fitting_bytes = self._batch_bytes
        self._transport = transport if transport is not None else HttpTransport(url)
        self._limits = limits_of(timeout)
        self._calls = Calls(self._transport, self._limits, retries_of(retries))
        self._upload = upload if upload is not None else Upload()
        self._guards: dict[str, Guard] = {}
        self._guards_lock = threading.Lock()
        self._capabilities: wire.Capabilities | None = None

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

    def info(self) -> wire.Info:
        """Ask what the server is, what it was built with and which services it has.

        Do not poll it while services are created or deleted: the server reads its list without a lock.
        """
        return wire.parse_info(self._calls.call("GET", "/info", None, self._limits.info, repeatable=True))

    def create_service(self, spec: wire.ServiceSpec) -> None:
        """Create a service.

        A service that was created may still be unable to predict: DeepDetect v0.25.0 notices a missing weights file
        only at the first prediction (checked on a running server). :func:`ddsim.deepdetect.services.ensure` tries one.

        Raises:
            ServiceExists: a service of that name exists, or is being created by another client.
            UnsafeCall: another similarity service has the same repository. On DeepDetect v0.25.0 each would find the
                names of the other's pictures (checked on a running server).
        """
        guard = self._guard(spec.name)
        path = f"/services/{spec.name}"
        body = spec.body()
        if spec.type == "unsupervised":
            self._check_repository(spec)
        with guard.lock:
            try:
                self._calls.call("PUT", path, body, self._limits.create)
            except ApiError as error:
                if not self._lost_race(error, spec.name):
                    raise
                raise ServiceExists(
                    409, 1014, "Service already exists (created at the same time)", method="PUT", path=path
                ) from error
            guard.forget()

    def _check_repository(self, spec: wire.ServiceSpec) -> None:
        wanted = posixpath.normpath(spec.repository)
        for other in self.info().services:
            same = other.type == "unsupervised" and posixpath.normpath(other.repository) == wanted
            if same and other.name != spec.name:
                raise UnsafeCall(
                    f"repository {spec.repository!r} belongs to the similarity service {other.name!r}: give "
                    f"{spec.name!r} a repository of its own, or each service finds the names of the other's pictures"
                )

    def _lost_race(self, error: ApiError, name: str) -> bool:
        # Of several creations at once all but one fail with 500/1007 or a bare 403 (recording 14).
        if not isinstance(error, ServerFault) and (error.status, error.dd_code) != (403, None):
            return False
        try:
            self.get_service(name)
        except DDSimError:
            return False
        return True

    def get_service(self, name: str, *, labels: bool = False) -> wire.ServiceInfo:
        """Describe a service.

        Args:
            name: the service.
            labels: also ask for the network's labels; the server gives them in no particular order.

        Raises:
            ServiceNotFound: there is no such service.
        """
        path = f"/services/{wire.service_name(name)}" + ("?labels=true" if labels else "")
        return wire.parse_service(self._calls.call("GET", path, None, self._limits.info, repeatable=True))

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
        if clear not in (None, "index") or destroy_model_files not in (None, "lib", "full", "dir"):
            raise InvalidRequest("delete_service: clear takes None or 'index', destroy_model_files lib, full or dir")
        if clear is not None and destroy_model_files is not None:
            raise InvalidRequest("delete_service: give either clear or destroy_model_files")
        guard = self._guard(name)
        word = clear or destroy_model_files
        with guard.lock:
            if clear == "index":
                self._load_index(guard, layer)
            path = f"/services/{guard.name}" + (f"?clear={word}" if word else "")
            self._calls.call("DELETE", path, None, self._limits.create)
            guard.forget(index_too=word is not None)

    def _load_index(self, guard: Guard, layer: str | None) -> None:
        """Have the server load a service's index, even where it seems to be: the server may be another one since."""
        if guard.engine == "broken" or (guard.unbuilt and guard.engine == "loaded"):
            return
        if guard.layer is not None:
            self._refresh(guard)
            # What the index is made of, whatever the next one is to be made of.
            layer = guard.layer if guard.is_same_index() else layer
        if layer is None:
            raise InvalidRequest(
                f"delete_service({guard.name!r}, clear='index'): this client has not used the index yet; say by "
                "layer= which layer it is made of, as the server removes the files of a loaded index only"
            )
        self.search_index(guard.name, [_DUMMY], layer=layer, k=1)

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
        return training.start(self._calls, service, data, parameters)

    def training_status(self, service: str, job: int) -> TrainingStatus:
        """Ask how a training is doing. The server tells the end of one once, so it is not asked again after a loss.

        Raises:
            ApiError: the training failed, with the server's words, or there is no such job.
            InvalidResponse: the answer is of something else.
        """
        return training.status(self._calls, service, job)

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
        return training.wait(lambda: self.training_status(service, job), seconds=seconds, pause=pause, told=progress)

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
        if top is not None:
            top = _count("top", top)
        if not 0.0 <= min_probability <= 1.0:
            raise InvalidRequest(f"classify: min_probability={min_probability} must be from 0 to 1")
        _check_list(pictures)
        guard = self._known(service)
        if guard.info and guard.info.type == "unsupervised":
            raise InvalidRequest(f"service {guard.name!r} gives features, not labels: use a classification service")
        output = {"best": self._best(guard, top), "confidence_threshold": float(min_probability)}

        def send(ids: list[str], data: list[_Data]) -> list[Classification]:
            predictions = self._predict(guard, ids, data, output=output)
            return [wire.parse_classification(prediction) for prediction in predictions]

        return list(self._in_requests(pictures, upload, send))

    @staticmethod
    def _best(guard: Guard, top: int | None) -> int:
        if top is None:
            return -1
        # A Torch service invents classes above its own count (recordings/torch 06).
        known = guard.info.nclasses if guard.info and guard.is_torch else None
        return min(top, known) if known is not None and known > 0 else top

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
        _check_layer(layer)
        _check_list(pictures)
        guard = self._known(service)
        guard.check_features()

        def send(ids: list[str], data: list[_Data]) -> list[Vectors]:
            return [self._features(guard, ids, data, layer)]

        parts = list(self._in_requests(pictures, upload, send))
        if len({part.shape[1] for part in parts}) > 1:
            raise InvalidResponse(f"service {guard.name!r} answered feature vectors of different lengths")
        return np.concatenate(parts) if parts else np.zeros((0, 0), np.float32)

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
        if not isinstance(pictures, Mapping) or not pictures:
            raise InvalidRequest("add_to_index: give the pictures by their uris, at least one: {uri: picture}")
        uris = [wire.check_uri(uri) for uri in pictures]
        _check_layer(layer)
        wire.check_index_type(index_type)
        too_many = InvalidRequest(
            f"add_to_index: {len(uris)} pictures are more than one request may hold ({self._batch_size} pictures, "
            f"{self._batch_bytes} bytes); call it for each part, with build=True in the last"
        )
        if len(uris) > self._batch_size:
            raise too_many
        guard = self._known(service)
        self._check_similarity()
        made = list(zip(uris, (self._data(picture, upload) for picture in pictures.values()), strict=True))
        if len(made) > 1 and sum(_length(one) for _, one in made) > self._batch_bytes:
            raise too_many

        def send(ids: list[str], data: list[_Data]) -> list[Vectors]:
            last = build and ids[-1] == uris[-1]
            output: dict[str, Any] = {"index": True, "build_index": True} if last else {"index": True}
            with guard.claimed(layer), _unbuilt(guard, last):
                predictions = self._predict(guard, ids, data, layer=layer, output=output | _index_type(index_type))
            vectors = wire.parse_vectors(predictions)
            guard.used(vectors.shape[1])
            return [vectors]

        with guard.lock:
            self._refresh(guard)
            guard.check_index(layer)
            return np.concatenate([part for batch in self._cut(made) for part in self._in_parts(batch, send)])

    def may_be_unbuilt(self, service: str) -> bool:
        """Whether something may be in a service's index that was not built since; the server is not asked."""
        return self._guard(service).unbuilt

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
        k = _count("k", k)
        _check_layer(layer)
        _check_list(pictures)
        wire.check_index_type(index_type)
        guard = self._known(service)
        self._check_similarity()
        output = {"search": True, "search_nn": k} | _index_type(index_type)

        def send(ids: list[str], data: list[_Data]) -> list[SearchReply]:
            with guard.lock:
                self._refresh(guard)
                guard.check_search(layer)
                with guard.claimed(layer):
                    predictions = self._predict(guard, ids, data, layer=layer, output=output)
                vectors = wire.parse_vectors(predictions)
                guard.used(vectors.shape[1])
            return [wire.parse_search(one, vector) for one, vector in zip(predictions, vectors, strict=True)]

        return list(self._in_requests(pictures, upload, send))

    # Underneath

    def _guard(self, name: str) -> Guard:
        lowered = wire.service_name(name)
        with self._guards_lock:
            return self._guards.setdefault(lowered, Guard(lowered))

    def _known(self, service: str) -> Guard:
        """The service's guard, after asking the server once what the service is."""
        guard = self._guard(service)
        self._refresh(guard)
        return guard

    def _refresh(self, guard: Guard) -> None:
        if guard.info is not None and not guard.stale and guard.engine != "broken":
            return
        with guard.lock:
            # Before asking: a doubt that comes up meanwhile must not be overwritten.
            guard.stale = False
            try:
                guard.seen(self.get_service(guard.name))
            except DDSimError:
                guard.stale = True
                raise

    def _check_similarity(self) -> None:
        capabilities = self._capabilities  # another thread may forget them
        if capabilities is None:
            capabilities = self._capabilities = self.info().capabilities
        if not capabilities.similarity_search:
            raise CapabilityError(
                "this server was built without similarity search and would answer without neighbours, silently "
                "(official images since v0.28 are so): use image v0.25.0, or keep the vectors from extract() yourself"
            )

    def _in_requests(
        self, pictures: Iterable[Picture], upload: Upload | None, send: _Send[_Answer]
    ) -> Iterator[_Answer]:
        """The answers of one request after another, in the order of the pictures."""
        made = ((str(place), self._data(picture, upload)) for place, picture in enumerate(pictures))
        for batch in self._cut(made):
            yield from self._in_parts(batch, send)

    def _cut(self, made: Iterable[tuple[str, _Data]]) -> Iterator[list[tuple[str, _Data]]]:
        """Ids and data in batches within all limits; a picture too big for any goes alone."""
        batch: list[tuple[str, _Data]] = []
        size = 0
        for name, text in made:
            if batch and (len(batch) == self._batch_size or size + _length(text) > self._fitting_bytes):
                yield batch
                batch, size = [], 0
            batch.append((name, text))
            size += _length(text)
        if batch:
            yield batch

    def _in_parts(self, batch: Sequence[tuple[str, _Data]], send: _Send[_Answer]) -> list[_Answer]:
        """Send a batch; in smaller parts where it is too large for what is on the way, and only such from then on."""
        answers: list[_Answer] = []
        rest = list(batch)
        while rest:
            part = next(self._cut(rest))
            names, data = map(list, zip(*part, strict=True))
            try:
                answers += send(names, data)
            except TooLarge as error:
                if len(part) == 1:
                    raise
                size = sum(map(_length, data))
                self._fitting_bytes = min(self._fitting_bytes, max(size // 2, 1))
                _log.warning("smaller requests are sent from now on, as one of %d bytes was too large: %s", size, error)
            else:
                del rest[: len(part)]
        return answers

    def _data(self, picture: Picture, upload: Upload | None) -> _Data:
        if isinstance(picture, (ServerPath, Url)):
            return picture.data
        encoded = encode(picture, upload if upload is not None else self._upload)
        return encoded.data if isinstance(self._transport, ValueTransport) else encoded.base64

    def _features(self, guard: Guard, ids: list[str], data: list[_Data], layer: str) -> Vectors:
        """The features of one request's pictures, with what they tell about the service."""
        if layer in guard.proven:
            return wire.parse_vectors(self._predict(guard, ids, data, layer=layer))
        with guard.lock:
            vectors = wire.parse_vectors(self._predict(guard, ids, data, layer=layer))
            if guard.together is not None or not guard.is_torch:
                guard.proven.add(layer)
                return vectors
            if len(ids) == 1:
                return vectors
            if vectors.shape[1] % len(ids) or (vectors != vectors[0]).any():
                guard.together = True
                return vectors
            # Torch before v0.29 answers for each picture the features of all that went through the network with it, in
            # a row (known from its source, not recorded). Pictures that are alike look so, too: one by one tells.
            alone = wire.parse_vectors(self._predict(guard, ids, data, layer=layer, one_by_one=True))
            guard.together = alone.shape == vectors.shape
        if not guard.together:
            _log.warning(
                "service %s mixes up the features of pictures that go through its network together, as Torch does "
                "before v0.29: from now on they go one by one",
                guard.name,
            )
        return alone

    def _predict(
        self,
        guard: Guard,
        ids: list[str],
        data: list[_Data],
        *,
        layer: str | None = None,
        output: Mapping[str, Any] | None = None,
        one_by_one: bool = False,
    ) -> list[Mapping[str, Any]]:
        """One POST /predict, its predictions in the order of ``ids``."""
        if layer is not None and guard.is_torch and not guard.together:
            # While nobody knows whether the service mixes features up, none of them may get into an index.
            one_by_one = one_by_one or guard.together is False or bool(output)
        network: dict[str, Any] = {"net": {"test_batch_size": 1 if one_by_one else min(len(data), self._batch_size)}}
        if layer is not None:
            network["extract_layer"] = layer
        parameters: dict[str, Any] = {"mllib": network, "output": dict(output or {})}
        if guard.is_torch and guard.info and guard.info.std:
            # Given at creation it is shown and not used (recordings/torch 13): it must come with every call.
            parameters["input"] = {"std": guard.info.std}
        # ids go with every call: without them the server names pictures by position, and fewer of them than data kill
        # it (recording 28).
        body = {"service": guard.name, "ids": ids, "parameters": parameters, "data": data}
        indexing = bool(output and "index" in output)
        limit = self._limits.index if indexing else self._limits.predict
        # Conclusions are drawn before another thread gets its turn.
        alone = (layer not in guard.proven or output) if layer else not guard.is_torch
        with guard.lock if alone else nullcontext(), self._watched(guard, layer, output):
            payload = self._calls.call("POST", "/predict", body, limit, repeatable=not indexing)
        return wire.parse_predictions(payload, ids)

    @contextmanager
    def _watched(self, guard: Guard, layer: str | None, output: Mapping[str, Any] | None) -> Iterator[None]:
        """Draw the conclusions from a failed prediction."""
        try:
            yield
        except ServiceNotFound:
            guard.forget()
            raise
        except TransportError:
            guard.doubt()
            self._capabilities = None
            raise
        except BadParameter:
            if layer is not None and not guard.is_torch:
                self._absorb_poison(guard)
            raise
        except ServerFault as error:
            if output is not None and ("index" in output or "search" in output):
                guard.failed(error, searching="index" not in output)
            raise

    def _absorb_poison(self, guard: Guard) -> None:
        # After an unknown layer a Caffe service holds pictures that it did not consume and fails at the next call,
        # whatever it is (recording 20). This is that call.
        body = {
            "service": guard.name,
            "ids": ["0"],
            "parameters": {"mllib": {"net": {"test_batch_size": 1}}},
            "data": [self._data(_DUMMY, None)],
        }
        try:
            self._calls.call("POST", "/predict", body, self._limits.predict)
        except DDSimError as error:
            _log.info("the call after an unknown layer failed, as expected: %s", error)


# Stands for "some picture" where the server demands one and its content does not matter.
_DUMMY: Image.Image = Image.new("RGB", (32, 32), (128, 128, 128))


@contextmanager
def _unbuilt(guard: Guard, build: bool) -> Iterator[None]:
    """Keep account of what an index call leaves unbuilt; while nobody knows, it counts as unbuilt."""
    before, guard.unbuilt = guard.unbuilt, True
    try:
        yield
    except ServiceNotFound:
        raise
    except ServerUnreachable:
        guard.unbuilt = before
        raise
    except ApiError as error:
        # A call that fails before the index is reached indexed nothing. Where the build failed, the items may be in
        # (recording 38), and a proxy's 502 to 504 says nothing of what the server did.
        guard.unbuilt = before or error.status > 500 or (build and error.status == 500)
        raise
    guard.unbuilt = not build


def _length(one: _Data) -> int:
    """Batches are the same whatever carries them: bytes count as they would in base64."""
    return len(one) if isinstance(one, str) else (len(one) + 2) // 3 * 4


def _check_layer(layer: str) -> None:
    # The server takes an empty name for none at all and then answers no predictions (recording 20).
    if not isinstance(layer, str) or not layer or not layer.isprintable():
        raise InvalidRequest(f"layer {layer!r}: name a layer of the network")


def _check_list(pictures: object) -> None:
    """Refuse one picture where a list of them belongs: a str would be taken apart into letters, a file into lines."""
    one = (str, bytes, bytearray, memoryview, os.PathLike, Image.Image, Encoded, ServerPath, Url, Mapping)
    flat = isinstance(pictures, np.ndarray) and pictures.ndim < 4
    if isinstance(pictures, one) or flat or hasattr(pictures, "read") or not isinstance(pictures, Iterable):
        raise InvalidRequest("give a list of pictures, even for one: [picture]")


def _count(name: str, value: int) -> int:
    # numpy's integers are fine, and cannot be written as JSON; a float where an int is due is a 500/1007.
    try:
        number = operator.index(value)
    except TypeError as error:
        raise InvalidRequest(f"{name}={value!r}: expected a whole number") from error
    if not 1 <= number < 2**31:
        raise InvalidRequest(f"{name}={number} must be 1 or more, and fit into 32 bits")
    return number


def _index_type(index_type: str) -> dict[str, str]:
    return {} if index_type == "Flat" else {"index_type": index_type}
