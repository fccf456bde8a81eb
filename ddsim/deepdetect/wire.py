"""DeepDetect's JSON: strict models of what is sent, lenient readers of what comes back.

Every claim about the server here rests on tests/contract/recordings.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from operator import itemgetter
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar

import numpy as np
import orjson
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from ddsim.deepdetect.results import Classification, Label, Vectors
from ddsim.errors import InvalidRequest, InvalidResponse, UnsafeCall
from ddsim.showing import Shown, Sketch, Table, clipped, counted, plain, several

# Loggers share one namespace with services: these two cannot be created (recordings 12b, 12c). `true` and `false` are
# read as booleans in the query strings of some endpoints.
_RESERVED_NAMES = frozenset({"api", "torchlib", "true", "false"})
# Digits of the largest number of 64 bits.
_LONGEST = 20
_NAME = re.compile(r"[a-z0-9_.-]*[a-z][a-z0-9_.-]*")
# The forms that were seen to work (recordings 21, 45).
INDEX_TYPE = re.compile(r"Flat|HNSW(?:[4-9]|[1-9]\d{1,2})|IVF[1-9]\d{0,5},Flat|PCA[1-9]\d{0,3},Flat")
# The server finds model files by looking for these words in the full path, so a folder named like one confuses it
# (recording 04c).
_CONFUSING_FOLDERS = ("corresp", "deploy.prototxt", ".caffemodel", "mean.binaryproto", ".lmdb")


def service_name(name: str) -> str:
    """The name as the server keeps it: lower-case.

    Raises:
        InvalidRequest: the name holds characters that do not survive a URL (the server decodes nothing), no letter,
            or is reserved.
    """
    lowered = name.lower()
    if len(lowered) > 200 or not _NAME.fullmatch(lowered):
        raise InvalidRequest(
            f"service name {name[:200]!r}: use letters, digits, '_', '.' and '-', with at least one letter, 200 at most"
        )
    if lowered in _RESERVED_NAMES:
        raise InvalidRequest(f"service name {name!r} is reserved by the server: use another one")
    return lowered


def check_uri(uri: str) -> str:
    """A name that an index can hold and give back.

    Raises:
        InvalidRequest: it is empty, not valid Unicode, or holds ``^`` or NUL: on DeepDetect v0.25.0 every later search
            that finds such a name fails or answers part of it (checked on a running server).
    """
    if not isinstance(uri, str) or not uri or "^" in uri or "\0" in uri:
        raise InvalidRequest(f"uri {uri!r}: expected a str that is not empty, without '^' and NUL; rename the picture")
    try:
        uri.encode("utf-8")
    except UnicodeEncodeError as error:
        raise InvalidRequest(f"uri {uri!r} is not valid Unicode; rename the picture") from error
    return uri


def _without_nul(text: str) -> str:
    if "\0" in text:
        raise ValueError("the server would read it up to the NUL in it only")
    return text


def _three(values: tuple[float, ...]) -> tuple[float, ...]:
    # A Caffe server does not check the length and reads beyond the end of a short list (recording 63).
    if len(values) not in (0, 3):
        raise ValueError(f"3 numbers are needed, one a channel; there are {len(values)}")
    return values


_AsTuple = BeforeValidator(lambda value: tuple(value) if isinstance(value, list) else value)
_Text = Annotated[str, AfterValidator(_without_nul)]
_Count = Annotated[int, Field(gt=0, lt=2**31)]
# JSON has no NaN and no Infinity; orjson would send null, and null inside an array kills a server (recording torch 15).
_Finite = Annotated[float, Field(allow_inf_nan=False)]
_Channels = Annotated[tuple[_Finite, ...], _AsTuple, AfterValidator(_three)]


def check_index_type(index_type: str) -> str:
    """A kind of index that a server is known to make.

    Raises:
        UnsafeCall: it is not one of them. With one that FAISS cannot read, DeepDetect v0.25.0 ends at the next call to
            the index (checked on a running server).
    """
    if not isinstance(index_type, str) or not INDEX_TYPE.fullmatch(index_type):
        raise UnsafeCall(
            f"index_type {index_type!r}: use Flat, IVF<lists>,Flat, HNSW<links> (4 to 999) or PCA<dimensions>,Flat; "
            "a server may die of one that it cannot make"
        )
    return index_type


class ServiceSpec(BaseModel):
    """A service as it is to be created.

    Attributes:
        name: see :func:`service_name`.
        mllib: the library that runs the network: ``caffe`` or ``torch``.
        description: for people; the name where it is empty.
        type: ``unsupervised`` for similarity search on Caffe; Torch has no such type and extracts on ``supervised``.
        repository: the folder that the service writes into, as the server sees it; one for each similarity service.
        create_repository: whether the server makes that folder.
        template, templates: the name of a network definition that comes with the server, in place of ``definition``,
            and the folder of such where it is not the usual one.
        width, height: of the network's input, in pixels.
        rgb: whether the network takes red first; Caffe's take blue first.
        gpu, gpuid: whether to compute on a GPU, and on which.
        definition, weights, corresp: files elsewhere, as the server sees them; they win over what the repository holds.
        nclasses: an int above 0; without one the server refuses the service, whatever its type.
        mean: subtracted per channel, in B, G, R order for Caffe. Sent as floats only: an official server dies of an
            array that mixes ints and floats.
        scale, std: honoured by Torch, ignored by Caffe. ``std`` given at creation is lost on the server.

    Raises:
        InvalidRequest: a setting is missing, unknown or of the wrong type.
    """

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)

    name: Annotated[str, BeforeValidator(lambda value: service_name(value) if isinstance(value, str) else value)]
    mllib: _Text = "caffe"
    type: Literal["supervised", "unsupervised"] = "supervised"
    description: _Text = ""
    repository: _Text = Field(min_length=1)
    create_repository: bool = False
    definition: _Text | None = None
    weights: _Text | None = None
    corresp: _Text | None = None
    template: _Text | None = None
    templates: _Text | None = None
    nclasses: _Count
    width: _Count = 224
    height: _Count = 224
    mean: _Channels = ()
    std: _Channels = ()
    scale: _Finite | None = None
    rgb: bool = False
    gpu: bool = False
    gpuid: Annotated[int | tuple[int, ...] | None, _AsTuple] = None

    if not TYPE_CHECKING:  # type checkers keep the signature that the fields give

        def __init__(self, **settings: Any) -> None:
            try:
                super().__init__(**settings)
            except ValidationError as error:
                wrong = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
                raise InvalidRequest(f"service: {wrong}") from error

    def __repr__(self) -> str:
        where = clipped(self.repository)
        return f"<ServiceSpec: {self.name!r}, {self.mllib} {self.type}, {self.nclasses} classes, repository {where!r}>"

    def __str__(self) -> str:
        return repr(self)

    def to_dict(self) -> dict[str, Any]:
        """Plain values, by the names of the attributes."""
        plain_values: dict[str, Any] = plain(self.model_dump(mode="python"))
        return plain_values

    def body(self) -> dict[str, Any]:
        """The JSON of the PUT that creates this service.

        Raises:
            UnsafeCall: the repository's path holds a word that the server takes for a model file.
        """
        folders = self.repository.lower()
        if word := next((word for word in _CONFUSING_FOLDERS if word in folders), None):
            raise UnsafeCall(f"repository {self.repository!r}: rename, a server takes {word!r} in it for a model file")
        gpuid = list(self.gpuid) if isinstance(self.gpuid, tuple) else self.gpuid
        network = {"nclasses": self.nclasses, "template": self.template, "gpu": self.gpu or None, "gpuid": gpuid}
        picture = {
            "connector": "image",
            "width": self.width,
            "height": self.height,
            "mean": _floats(self.mean),
            "std": _floats(self.std),
            "scale": None if self.scale is None else float(self.scale),
            "rgb": self.rgb or None,
        }
        model = {
            "repository": self.repository,
            "create_repository": self.create_repository or None,
            "def": self.definition,
            "weights": self.weights,
            "corresp": self.corresp,
            "templates": self.templates,
        }
        return {
            "mllib": self.mllib,
            "description": self.description or self.name,
            "type": self.type,
            "model": _present(model),
            "parameters": {"input": _present(picture), "mllib": _present(network), "output": {}},
        }


def _floats(values: Iterable[float]) -> list[float] | None:
    return [float(value) for value in values] or None


def _present(values: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in values.items() if value is not None}


class _Received(Shown, BaseModel):
    """Unknown keys are kept: servers of other versions say more."""

    model_config = ConfigDict(extra="allow", frozen=True)

    def to_dict(self) -> dict[str, Any]:
        """Plain values, with whatever else the server said."""
        plain_values: dict[str, Any] = plain(self.model_dump(mode="python"))
        return plain_values

    def __str__(self) -> str:
        return repr(self)


_Model = TypeVar("_Model", bound=_Received)


class Capabilities(_Received):
    """What the server was built with, read from ``compile_flags``.

    Attributes:
        caffe, torch: backends.
        similarity_search: whether index and search do anything. Builds without it answer 200 and leave the neighbours
            out (checked on a running server).
        similarity_engine: ``faiss``, ``annoy`` or None.
    """

    caffe: bool
    torch: bool
    similarity_search: bool
    similarity_engine: str | None

    def _brief(self) -> str:
        libraries = [name for name, there in (("caffe", self.caffe), ("torch", self.torch)) if there]
        search = f"similarity search by {self.similarity_engine or 'an unknown engine'}"
        return ", ".join([*libraries, search if self.similarity_search else "no similarity search"])


class ServiceInfo(_Received):
    """A service as the server describes it.

    Attributes:
        name: its name, in small letters.
        description: as it was created; ddsim notes there whose it is.
        mllib: the library that runs the network, such as ``caffe``.
        type: ``supervised`` or ``unsupervised``.
        mltype: what it does, in the server's words, such as ``classification``.
        repository: the folder that it writes into, as the server sees it.
        width, height: of the network's input, in pixels; 0 where the server does not say.
        parameters: what it was created with, defaults filled in, as the server words it.
        labels: the network's labels, in no particular order; only where they were asked for.
    """

    name: str
    description: str = ""
    mllib: str = ""
    type: str = ""
    mltype: str = ""
    repository: str = ""
    width: int = 0
    height: int = 0
    parameters: dict[str, Any] = Field(default_factory=dict)
    labels: tuple[str, ...] = ()

    @property
    def std(self) -> list[float]:
        """What each channel was to be divided by; empty where the server shows nothing of the kind."""
        values = self.shown("input").get("std")
        if not isinstance(values, list) or not all(isinstance(value, (int, float)) for value in values):
            return []
        return [float(value) for value in values]

    @property
    def nclasses(self) -> int | None:
        """How many classes the service was created with."""
        value = self.shown("mllib").get("nclasses")
        return value if isinstance(value, int) else None

    def _facts(self) -> list[tuple[str, str]]:
        facts = [
            ("type", f"{self.mllib} {self.type}".strip()),
            ("repository", self.repository),
            ("pictures", f"{self.width} x {self.height}" if self.width else ""),
            ("classes", "" if self.nclasses is None else str(self.nclasses)),
            ("labels", several(self.labels, len(self.labels))),
        ]
        return [(name, value) for name, value in facts if value]

    def _brief(self) -> str:
        facts = ", ".join(f"{name} {clipped(value)}" for name, value in self._facts())
        return f"{clipped(self.name)!r}, {facts}" if facts else repr(clipped(self.name))

    def _sketch(self) -> Sketch:
        return Sketch(f"Service {self.name}", facts=self._facts())

    def shown(self, part: str) -> Mapping[str, Any]:
        """One part of its parameters, ``input``, ``mllib`` or ``output``; empty where the server shows none."""
        found = self.parameters.get(part)
        return found if isinstance(found, Mapping) else {}


class Info(_Received):
    """What ``GET /info`` says.

    Attributes:
        version, commit: of the server; empty where it does not say.
        compile_flags: what it was built with, in its own words; :attr:`capabilities` reads them.
        services: that it has now.
    """

    version: str = ""
    commit: str = ""
    compile_flags: str = ""
    services: tuple[ServiceInfo, ...] = ()

    @property
    def capabilities(self) -> Capabilities:
        """What the server was built with. A flag that is not listed counts as off."""
        on = {flag.removesuffix("=ON") for flag in self.compile_flags.split() if flag.endswith("=ON")}
        search = "USE_SIMSEARCH" in on
        # USE_FAISS is on in builds whose USE_SIMSEARCH is off (recordings/torch 01): alone it tells nothing.
        engine = "annoy" if "USE_ANNOY" in on else "faiss" if "USE_FAISS" in on else None
        return Capabilities(
            caffe="USE_CAFFE" in on,
            torch="USE_TORCH" in on,
            similarity_search=search,
            similarity_engine=engine if search else None,
        )

    def _brief(self) -> str:
        services = counted(len(self.services), "service")
        named = f": {several((one.name for one in self.services), len(self.services))}" if self.services else ""
        return f"DeepDetect {clipped(self.version) or 'of unknown version'}, {services}{named}"

    def _sketch(self) -> Sketch:
        rows = [(one.name, f"{one.mllib} {one.type}", one.repository) for one in self.services]
        facts = [("version", self.version), ("built with", self.capabilities._brief())]
        table = Table(("service", "type", "repository"), rows)
        return Sketch("DeepDetect", facts=facts, tables=[table] if rows else ())


def decode(body: bytes) -> Any:
    """Parse an answer.

    orjson is five times faster on feature vectors; it refuses bare NaN and Infinity and bytes that are not UTF-8, all
    of which a server can send (recordings 10, torch 12c), so those few answers take the standard library.

    Raises:
        ValueError: not JSON.
    """
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        try:
            return json.loads(body.decode("utf-8", "surrogateescape"), parse_int=_bounded)
        except RecursionError as error:
            raise ValueError("it nests too deep") from error


def _bounded(digits: str) -> int | float:
    """As orjson reads it: what 64 bits cannot hold is a float, so that later arithmetic cannot overflow."""
    number = int(digits) if len(digits) <= _LONGEST else float(digits)
    return number if -(2**63) <= number < 2**64 else float(digits)


def parse_info(payload: Any) -> Info:
    """Read the answer of ``GET /info``, which has a ``head`` and no ``status``."""
    return _validated(Info, _member(payload, "head"))


def parse_service(payload: Any) -> ServiceInfo:
    """Read the answer of ``GET /services/{name}``."""
    return _validated(ServiceInfo, _member(payload, "body"))


def parse_predictions(payload: Any, ids: Iterable[str]) -> list[Mapping[str, Any]]:
    """The raw predictions in the order of ``ids``, joined by ``uri``: servers answer batches in any order.

    Raises:
        InvalidResponse: the uris answered are not exactly the ids asked.
    """
    found = _as_list(_member(payload, "body").get("predictions"))
    by_uri: dict[str, Mapping[str, Any]] = {}
    for prediction in found:
        if not isinstance(prediction, Mapping) or not isinstance(prediction.get("uri"), str):
            raise InvalidResponse("the server answered a prediction without a uri")
        by_uri[prediction["uri"]] = prediction
    wanted = list(ids)
    if len(found) != len(wanted) or by_uri.keys() != set(wanted):
        missing = [uri for uri in wanted if uri not in by_uri]
        raise InvalidResponse(
            f"the server answered {len(found)} predictions for {len(wanted)} pictures"
            + (f"; first one missing: {missing[0]!r}" if missing else "; some bear names that were not sent")
        )
    return [by_uri[uri] for uri in wanted]


def parse_classification(prediction: Mapping[str, Any]) -> Classification:
    """The labels of one prediction, most probable first."""
    try:
        labels = [Label(str(entry["cat"]), float(entry["prob"])) for entry in _as_list(prediction.get("classes"))]
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise InvalidResponse(f"the server answered classes that cannot be read: {error!r}") from error
    return Classification(tuple(sorted(labels, key=lambda label: -label.probability)))


def parse_vectors(predictions: list[Mapping[str, Any]]) -> Vectors:
    """The feature vectors of predictions, shape (n, d), float32.

    Raises:
        InvalidResponse: vectors are missing or differ in length.
    """
    lists = [prediction.get("vals") for prediction in predictions]
    if not all(isinstance(vals, (list, np.ndarray)) and len(vals) for vals in lists):
        raise InvalidResponse("the server answered predictions without features")
    lengths = {len(vals) for vals in lists if vals is not None}
    if len(lengths) != 1:
        raise InvalidResponse(f"the server answered feature vectors of different lengths: {sorted(lengths)}")
    try:
        # The type is found out first: asked for floats at once, numpy would take null, words and booleans for some.
        vectors = np.array(lists)
    except ValueError as error:
        raise InvalidResponse(f"the server answered features that are not numbers: {error}") from error
    if vectors.ndim != 2 or vectors.dtype.kind not in "fiu":
        raise InvalidResponse(f"the server answered features that are not numbers but {vectors.dtype}")
    with np.errstate(over="ignore"):
        return vectors.astype(np.float32)


def parse_rows(prediction: Mapping[str, Any]) -> list[tuple[str, float]]:
    """The neighbours of one prediction, uri and distance, nearest first. An empty index leaves ``nns`` out."""
    try:
        found = [(str(entry["uri"]), float(entry["dist"])) for entry in _as_list(prediction.get("nns"))]
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise InvalidResponse(f"the server answered neighbours that cannot be read: {error!r}") from error
    found.sort(key=itemgetter(1))
    return found


def _member(payload: Any, key: str) -> Mapping[str, Any]:
    member = payload.get(key) if isinstance(payload, Mapping) else None
    if not isinstance(member, Mapping):
        raise InvalidResponse(f"the answer has no {key!r} object: is this a DeepDetect server?")
    return member


def _as_list(value: Any) -> list[Any]:
    # Servers before v0.10 sent an object where there was one entry only.
    return [] if value is None else value if isinstance(value, list) else [value]


def _validated(model: type[_Model], payload: Mapping[str, Any]) -> _Model:
    try:
        return model.model_validate(payload)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise InvalidResponse(f"the answer cannot be read at {where}: {first['msg']}") from error
