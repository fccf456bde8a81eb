"""Every error that ddsim raises.

::

    DDSimError
    ├── InvalidRequest (also ValueError)   refused before anything was sent
    │   └── UnsafeCall                     ... because the server could die of it or lose data
    ├── ConfigError (also ValueError)      a configuration file is wrong
    │   ├── StateNotWritable               ... or the state folder cannot be written, which only looking needs not
    │   ├── ForeignCollection              ... or a database's collection of its name is somebody else's
    │   ├── StateCopied                    ... or the state folder is a copy, and its index is another's
    │   ├── CatalogueUnreachable           ... or the catalogue is elsewhere and cannot be read
    │   └── CatalogueVanished              ... or too much of the catalogue is gone to go on without being told
    ├── ImageError (also ValueError)       a picture cannot be read
    │   └── ImageUnavailable               ... just now: who has it does not give it
    ├── CapabilityError                    this server was built without what the call needs
    ├── ServiceConflict                    a service exists with other settings
    ├── ManifestBusy                       another run works on this catalogue's index
    ├── IndexBusy                          the index cannot be searched, or added to, at the moment
    │   └── IndexLost                      ... because the server has none any more: index again
    ├── TransportError                     no usable answer
    │   ├── ServerUnreachable              nothing was sent: safe to repeat any call
    │   │   └── Unconnectable              ... and waiting will not help
    │   ├── ServerTimeout                  sent, no answer in time
    │   ├── ConnectionLost                 sent, the connection ended without an answer
    │   ├── DatabaseTrouble                the database that keeps the vectors does not answer, or fails
    │   └── InvalidResponse                answered, but not as DeepDetect does
    │       └── NetworkChanged             ... its network gives other vectors than those that are kept
    └── ApiError                           the server said no: status, dd_code, dd_msg, method, path
        ├── MalformedRequest               400 without dd_code, or 400/400
        ├── BadInput                       400/1005
        ├── BadParameter                   400/1006
        ├── IndexClosed                    403/1010
        ├── IndexNotBuilt                  403/1011
        ├── UnknownLibrary                 404/1000
        ├── ServiceNotFound                404/1002
        ├── TrainPredictConflict           409/1008
        ├── ServiceExists                  409/1014
        ├── Intercepted                    3xx or 4xx of something before the server, such as a proxy
        ├── TooLarge                       413: the request is too large; nothing of it was done
        ├── ServerBusy                     429: no more calls are taken for now; nothing of this one was done
        └── ServerFault                    any 5xx

Whoever uses :mod:`ddsim.containers` also meets its EngineError, a DDSimError, and PortTaken below that.

A TransportError is never an ApiError: after the first nobody knows what the server did, with the second it answered.
The class of an ApiError follows from HTTP status and ``dd_code`` alone, never from message texts, which vary between
builds of DeepDetect (checked on running servers).
"""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from typing import Any

_SHOWN = 300
#: What ddsim is called where packages are installed.
DISTRIBUTION = "deepdetect-visual-search"
_PAGE = 10_000


def install_hint(extra: str) -> str:
    """How to get one of ddsim's extras: package indexes know another project by the name ddsim."""
    wheel = f"{DISTRIBUTION.replace('-', '_')}-….whl"
    return f"from a checkout `pip install '.[{extra}]'`, from a wheel `pip install '{wheel}[{extra}]'`"


class DDSimError(Exception):
    """Root of all errors that ddsim raises on purpose."""

    def __str__(self) -> str:
        # File names and a server's words may hold bytes that are no Unicode; printing them must not raise once more.
        return super().__str__().encode("utf-8", "backslashreplace").decode("utf-8")

    def __reduce__(self) -> tuple[Any, ...]:
        # Exceptions are rebuilt from their text alone, which the constructors below do not take. Errors must survive
        # the way out of a worker process.
        return _rebuilt, (type(self), self.args, self.__dict__)


def _rebuilt(kind: type[DDSimError], args: tuple[Any, ...], facts: Mapping[str, Any]) -> DDSimError:
    error = kind.__new__(kind, *args)
    error.__dict__.update(facts)
    return error


class InvalidRequest(DDSimError, ValueError):
    """A call that cannot be right was refused before anything was sent."""


class UnsafeCall(InvalidRequest):
    """A call was refused because a DeepDetect server could die of it, or lose or mix up what it has indexed."""


class ConfigError(DDSimError, ValueError):
    """A configuration is wrong; the message names file, key, value and what was expected."""


class StateNotWritable(ConfigError):
    """The state folder cannot be written: another user's, on a read-only disk, or on a full one. Looking works."""


class CatalogueUnreachable(ConfigError):
    """A catalogue that is no folder here cannot be read: credentials, a bucket or the way there is missing."""


class StateCopied(ConfigError):
    """A state folder is a copy, or may be one: its index is another's, and was neither searched nor changed."""


class CatalogueVanished(ConfigError):
    """So much of what is indexed is gone from the catalogue's folder that a run stopped before it changed anything."""


class ForeignCollection(ConfigError):
    """A collection of that name in the database is another ddsim's, or no ddsim's at all; nothing was changed."""


class ImageError(DDSimError, ValueError):
    """A picture cannot be used.

    Attributes:
        source: what the caller named: a path, or words such as ``<bytes>``.
        reason: why it cannot be used.
    """

    def __init__(self, source: str, reason: str) -> None:
        super().__init__(f"{source}: {reason}")
        self.source = source
        self.reason = reason


class ImageUnavailable(ImageError):
    """A picture cannot be had just now: its host does not answer, is in trouble, or shows a page in its place.

    That says nothing of the picture. What is indexed of it stays, and the next run asks for it again.
    """


class CapabilityError(DDSimError):
    """The server was built without what this call needs."""


class ServiceConflict(DDSimError):
    """A service of that name exists with other settings; nothing was changed.

    Attributes:
        service: the service's name.
        differences: setting -> (wanted, found).
    """

    def __init__(self, service: str, differences: dict[str, tuple[object, object]]) -> None:
        rows = "; ".join(f"{key}: wanted {want!r}, found {found!r}" for key, (want, found) in differences.items())
        super().__init__(
            f"service {service!r} exists with other settings ({rows}). "
            "Give this configuration another service name, or delete the existing service first."
        )
        self.service = service
        self.differences = differences


class ManifestBusy(DDSimError):
    """Another run works on the same manifest; nothing was changed.

    Attributes:
        folder: where the manifest is.
        pid, host, since, command: who holds it; None where the holder has not said so (yet). ``since`` is in seconds
            since 1970.
        until: when somebody on another machine counts as gone who is not heard of again, in seconds since 1970; None
            for somebody on this one.
    """

    def __init__(
        self,
        folder: str,
        *,
        pid: int | None = None,
        host: str | None = None,
        since: float | None = None,
        until: float | None = None,
        command: str | None = None,
    ) -> None:
        facts = [f"process {pid} on {host}"] if pid is not None else ["it has not said which"]
        facts += [f"since {_moment(since)}"] if since is not None else []
        facts += [f"until {_moment(until)} unless it goes on"] if until is not None else []
        facts += [command] if command else []
        super().__init__(
            f"another run works on this index ({', '.join(facts)}): wait for its end, or stop it, and try again. "
            f"Its manifest is in {folder}"
        )
        self.folder = folder
        self.pid = pid
        self.host = host
        self.since = since
        self.until = until
        self.command = command


def _moment(seconds: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(seconds))


class IndexBusy(DDSimError):
    """The index cannot be used now: pictures are being added, so it cannot be searched, or the other way round."""


class IndexLost(IndexBusy):
    """The server's index is gone: its files were removed, or the Docker volume that held them."""


class TransportError(DDSimError):
    """No usable answer came back.

    Attributes:
        method, path: the call.
    """

    def __init__(self, message: str, *, method: str = "", path: str = "") -> None:
        super().__init__(message)
        self.method = method
        self.path = path


class ServerUnreachable(TransportError):
    """No connection to the server could be made, so nothing was sent."""


class Unconnectable(ServerUnreachable):
    """No connection can be made this way, however long one waits: a name, a certificate or a proxy is wrong."""


class ServerTimeout(TransportError):
    """The call was sent and no answer came in time; the server may still carry it out."""


class ConnectionLost(TransportError):
    """The connection ended without an answer: the server died or was stopped; the call may have taken effect."""


class DatabaseTrouble(TransportError):
    """The database that keeps the vectors does not answer, or fails at a call, which may have taken effect.

    ``method`` is the database's name of the call, ``path`` the collection.
    """


class InvalidResponse(TransportError):
    """Something answered, but not what a DeepDetect server answers."""


class NetworkChanged(InvalidResponse):
    """The server's network gives other vectors than the one by which a catalogue was indexed; nothing was changed."""


class ApiError(DDSimError):
    """The server refused the call or failed at it.

    Attributes:
        status: HTTP status.
        dd_code: DeepDetect's own code, None where it sent none.
        dd_msg: the server's own words, complete.
        method, path: the call.
        meaning: what the server's words come to, where they are raw ones of Caffe and the like; mostly empty.
        retry_after: seconds after which a server that answered 429 or 503 wants to be asked again; None where it does
            not say.
    """

    def __init__(
        self,
        status: int,
        dd_code: int | None,
        dd_msg: str,
        *,
        method: str,
        path: str,
        hint: str = "",
        meaning: str = "",
        retry_after: float | None = None,
    ) -> None:
        code = f"{status}" if dd_code is None else f"{status}/{dd_code}"
        # libtorch appends a C++ stack trace of several kB to its message; the attribute keeps it, the text does not.
        words = (_plain(dd_msg).splitlines() or ["no message"])[0][:_SHOWN]
        if meaning:
            super().__init__(f"{method} {path}: {meaning} (the server answered {code}: {words})")
        else:
            hints = [hint] if hint else []
            hints += [] if retry_after is None else [f"it asks to be called again in {retry_after:.0f} s"]
            super().__init__(f"{method} {path} answered {code}: {words}" + (f" ({'; '.join(hints)})" if hints else ""))
        self.status = status
        self.dd_code = dd_code
        self.dd_msg = dd_msg
        self.method = method
        self.path = path
        self.meaning = meaning
        self.retry_after = retry_after


def _plain(words: str) -> str:
    """A proxy's page of HTML without its marks; anything else as it is."""
    words = words.strip()
    if not words.startswith("<"):
        return words
    return " ".join(re.sub(r"(?is)<(script|style)\b.*?</\1>|<[^>]*>", " ", words[:_PAGE]).split())


class MalformedRequest(ApiError):
    """400 without dd_code, or 400/400: the body is not what the server can read."""


class BadInput(ApiError):
    """400/1005: a picture of the call could not be read by the server (the whole call failed), or none was given."""


class BadParameter(ApiError):
    """400/1006: repository, model, layer or another parameter is not acceptable."""


class IndexClosed(ApiError):
    """403/1010: the index takes nothing more (Annoy), or no index is loaded (FAISS)."""


class IndexNotBuilt(ApiError):
    """403/1011: searched before it was built (Annoy)."""


class UnknownLibrary(ApiError):
    """404/1000: the ``mllib`` is not compiled into this server."""


class ServiceNotFound(ApiError):
    """404/1002: no such service; services are gone after every restart of the server."""


class TrainPredictConflict(ApiError):
    """409/1008: the service is training or being deleted."""


class ServiceExists(ApiError):
    """409/1014: a service of that name exists already."""


class Intercepted(ApiError):
    """3xx or 4xx without DeepDetect's words: something before the server answered, or no DeepDetect server is there."""


class TooLarge(ApiError):
    """413: the server, or a proxy before it, takes no request of this size; nothing of it was done."""


class ServerBusy(ApiError):
    """429: the server, or a proxy before it, takes no more calls for now; nothing of this one was done."""


class ServerFault(ApiError):
    """Any 5xx. DeepDetect uses 500/1007 for wrong parameter types too, so it is not always the server's fault."""


_BY_CODE: dict[tuple[int, int | None], type[ApiError]] = {
    (400, None): MalformedRequest,
    (400, 400): MalformedRequest,
    (400, 1005): BadInput,
    (400, 1006): BadParameter,
    (403, 1010): IndexClosed,
    (403, 1011): IndexNotBuilt,
    (404, 1000): UnknownLibrary,
    (404, 1002): ServiceNotFound,
    (409, 1008): TrainPredictConflict,
    (409, 1014): ServiceExists,
}
_BY_STATUS: dict[int, type[ApiError]] = {413: TooLarge, 429: ServerBusy}


def api_error_class(status: int, dd_code: int | None) -> type[ApiError]:
    """The class for an answer with this HTTP status and ``dd_code``."""
    if status in _BY_STATUS:
        return _BY_STATUS[status]
    return _BY_CODE.get((status, dd_code), ServerFault if status >= 500 else ApiError)
