"""The embedded server without its doors: requests in, answers out."""

from __future__ import annotations

import logging
import shutil
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ddsim.deepdetect.transport import Decoded
from ddsim.embedded import creation, dto, endpoints, predict, repository, routes, torch_predict, torch_service
from ddsim.embedded.networks import Networks
from ddsim.embedded.payload import container, parse, section
from ddsim.embedded.profile import Profile, profile_named
from ddsim.embedded.replies import (
    Answer,
    Json,
    Refusal,
    encode,
    http_error,
    internal,
    malformed,
    no_mapping,
    service_not_found,
    wrong_type,
)
from ddsim.embedded.runtime import cores
from ddsim.embedded.service import Service
from ddsim.embedded.simsearch import remove_files

#: Longer request bodies are refused; a real server takes any length and copies it several times.
MAX_BODY_BYTES = 64 * 1024 * 1024

_log = logging.getLogger(__name__)

_OK: Json = {"code": 200, "msg": "OK"}
#: Names that the loggers of a real server take (recordings/wire/12b-service-names-reserved).
_LOGGER, _LOADED_LOGGER = "api", "torchlib"


class Engine:
    """A DeepDetect server's state and answers.

    Thread-safe: calls on one service wait for each other, calls on different services run side by side.

    Args:
        root: where given, paths outside of it (repositories, model files, data) are treated as if nothing were there.
        allow_paths: whether ``data`` may name files of this machine; a door for others should not let it.
        profile: which DeepDetect to stand in for, by its name or described.
        threads: cores that a forward pass, or the reading of pictures, may use; None takes all of them.
        idle: seconds after which a network that nobody asks gives its memory back, until it is asked again; None never.

    Raises:
        ValueError: unknown profile.
    """

    def __init__(
        self,
        *,
        root: Path | None = None,
        allow_paths: bool = True,
        profile: str | Profile = "v0.25.0",
        threads: int | None = None,
        idle: float | None = None,
    ) -> None:
        self._root = root.resolve() if root is not None else None
        self._allow_paths = allow_paths
        self._profile = profile_named(profile)
        self._creation = torch_service.STEPS if self._profile.torch else creation.STEPS
        self._threads = threads or cores()
        self._networks = Networks(self._threads, idle)
        self._lock = threading.Lock()
        self._services: dict[str, Service] = {}
        self._being_made: set[str] = set()
        self._loaded_once = False

    def handle(
        self, method: str, target: str, body: bytes = b"", pictures: Sequence[str | bytes | Decoded] | None = None
    ) -> Answer:
        """Answer one request.

        Args:
            method: GET, PUT, POST, DELETE; any other has no route.
            target: path and query as they stand in the request line: nothing is percent-decoded.
            body: the request's body.
            pictures: within the process, a prediction's ``data`` aside from the body, files as they are. A
                yes is then answered in values.

        Returns:
            the answer; errors are answers too.
        """
        if len(body) + sum((len(one) + 2) // 3 * 4 for one in pictures or ()) > MAX_BODY_BYTES:
            return http_error(413, f"the embedded server takes at most {MAX_BODY_BYTES} bytes")
        route = routes.find(method, target)
        if route is None:
            return no_mapping(method, target)
        try:
            return self._dispatch(route, body, pictures)
        except Refusal as refusal:
            return refusal.answer()
        except dto.WrongField as problem:
            return http_error(500, str(problem))
        except Exception as problem:  # noqa: BLE001 - the real server answers any exception so
            _log.exception("%s %s failed", method, route.endpoint)
            return internal(str(problem) or type(problem).__name__).answer()

    def release_idle(self) -> None:
        """Let networks that nobody has asked for a while give their memory back; a door calls it now and then."""
        self._networks.release_idle()

    def _dispatch(self, route: routes.Route, body: bytes, pictures: Sequence[str | bytes | Decoded] | None) -> Answer:
        if route.endpoint == "info":
            return self._info(routes.flag(route, "status", False))
        if route.endpoint == "services":
            if route.method == "GET":
                return self._show(route)
            return self._delete(route) if route.method == "DELETE" else self._create(route, body)
        if route.endpoint == "predict":
            return self._predict(body, pictures)
        if route.endpoint == "chain":
            return self._chain(body)
        return endpoints.answer(route, self._find)

    def _find(self, name: str) -> Service | None:
        with self._lock:
            return self._services.get(name)

    def _info(self, status: bool) -> Answer:
        with self._lock:
            # Hash order in the real server: never the order of creation.
            services = list(self._services.values())[::-1]
        shown = [service.shown(status=status, labels=False, in_info=True) for service in services]
        head = {
            "method": "/info",
            "build-type": "release",
            "version": self._profile.version,
            "branch": self._profile.branch,
            "commit": self._profile.commit,
            "compile_flags": self._profile.compile_flags,
            "deps_version": self._profile.deps_version,
            "services": shown,
        }
        return Answer(200, encode({"head": head}), "OK")

    def _show(self, route: routes.Route) -> Answer:
        status, labels = routes.flag(route, "status", True), routes.flag(route, "labels", False)
        service = self._find(route.name)
        if service is None:
            raise service_not_found()
        return Answer(200, encode({"status": _OK, "body": service.shown(status=status, labels=labels, in_info=False)}))

    def _create(self, route: routes.Route, body: bytes) -> Answer:
        if self._find(route.name) is not None:
            raise Refusal(409, "Conflict", 1014, "Service already exists")
        raw = parse(body)
        self._creation.check_shape(raw)
        request = container(raw)
        place = self._creation.check_place(request, self._profile, self._is_allowed)
        self._reserve(route.name)
        try:
            service = self._creation.make_service(route.name, request, place, self._is_allowed, self._networks)
            creation.keep_request(service, body)
            with self._lock:
                self._services[route.name] = service
                self._loaded_once |= service.weights is not None
        finally:
            with self._lock:
                self._being_made.discard(route.name)
        status: Json = {"code": 201, "msg": "Created"}
        if service.warning:
            _log.warning("service %s: %s", service.name, service.warning)
            status["warning"] = service.warning
        return Answer(201, encode({"status": status}))

    def _reserve(self, name: str) -> None:
        """Take a name as a real server's logger does: one creation of it at a time (recordings/wire/14-create-race)."""
        with self._lock:
            taken = name in self._being_made or name in self._services
            if taken or name == _LOGGER or (name == _LOADED_LOGGER and self._loaded_once):
                raise internal(f"logger with name '{name}' already exists")
            self._being_made.add(name)

    def _delete(self, route: routes.Route) -> Answer:
        service = self._find(route.name)
        if service is None:
            raise Refusal(404, "NotFound")
        clear = route.query.get("clear", "mem")
        if not routes.is_word(clear):
            raise wrong_type()
        with service.lock:
            if service.deleted:
                raise Refusal(404, "NotFound")
            self._clear(service, clear)
            service.deleted = True
            with self._lock:
                del self._services[route.name]
        return Answer(200, encode({"status": _OK}))

    @staticmethod
    def _clear(service: Service, clear: str) -> None:
        place = Path(service.repository)
        try:
            if clear in ("index", "lib") and (service.index is not None or service.index_broken):
                remove_files(place)
            if clear == "lib":
                repository.clear_library(place, service.library_files)
            if clear in ("full", "dir"):
                repository.clear_all(place)
            if clear == "dir":
                shutil.rmtree(place)
        except OSError as problem:
            raise internal(f"clear={clear} failed: {problem}") from problem

    def _predict(self, body: bytes, pictures: Sequence[str | bytes | Decoded] | None) -> Answer:
        request = parse(body)
        if self._profile.torch:
            torch_predict.check_shape(request)
        if not isinstance(request, dict) or not isinstance(request.get("service"), str):
            raise malformed()
        service = self._find(routes.lowered(request["service"]))
        if service is None:
            raise service_not_found()
        request = container(request)
        if pictures is None:
            return self._answered(service, request)
        if pictures:
            request["data"] = list(pictures)
        return Answer(200, b"", values=self._predicted(service, request))

    def _answered(self, service: Service, request: Json) -> Answer:
        return Answer(200, encode(self._predicted(service, request)))

    def _predicted(self, service: Service, request: Json) -> Json:
        result = predict.predict(service, request, self._is_readable, self._profile, self._threads)
        if section(request, "parameters", "output").get("network"):
            # This server makes no calls, so the result cannot be forwarded (recordings/wire/16-template-network).
            failed = {"code": 404, "msg": "Not Found", "dd_code": 1009, "dd_msg": "Output Connector Network Error"}
            return {"status": failed}
        return {"status": _OK} | result

    def _chain(self, body: bytes) -> Answer:
        name, call = endpoints.single_call_of_chain(parse(body))
        service = self._find(name)
        if service is None:
            raise internal(f"Service {name} does not exist")
        result: dict[str, Any] = predict.predict(service, call, self._is_readable, self._profile, self._threads)
        head = {"method": "/chain", "time": result["head"]["time"]}
        return Answer(200, encode({"status": _OK, "head": head, "body": result["body"]}))

    def _is_allowed(self, path: Path) -> bool:
        return self._root is None or path.resolve().is_relative_to(self._root)

    def _is_readable(self, path: Path) -> bool:
        return self._allow_paths and self._is_allowed(path)
