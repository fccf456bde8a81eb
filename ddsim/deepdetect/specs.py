"""What a server is told: services as they are to be created, and the names that it can keep and give back.

Strict, as a server dies of some of what is refused here. Every claim about it rests on tests/contract/recordings.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from ddsim.errors import InvalidRequest, UnsafeCall
from ddsim.showing import clipped, plain

# Loggers share one namespace with services: these two cannot be created (recordings 12b, 12c). `true` and `false` are
# read as booleans in the query strings of some endpoints.
_RESERVED_NAMES = frozenset({"api", "torchlib", "true", "false"})
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
    if not isinstance(name, str):
        raise InvalidRequest(f"service name {name!r}: expected text")
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
