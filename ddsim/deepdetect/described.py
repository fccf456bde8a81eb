"""What a server says of itself and of its services, read leniently: servers of other versions say more, or less."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ddsim.deepdetect.wire import member
from ddsim.errors import InvalidResponse
from ddsim.showing import Shown, Sketch, Table, clipped, counted, plain, several


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


def parse_info(payload: Any) -> Info:
    """Read the answer of ``GET /info``, which has a ``head`` and no ``status``."""
    return _validated(Info, member(payload, "head"))


def parse_service(payload: Any) -> ServiceInfo:
    """Read the answer of ``GET /services/{name}``."""
    return _validated(ServiceInfo, member(payload, "body"))


def _validated(model: type[_Model], payload: Mapping[str, Any]) -> _Model:
    try:
        return model.model_validate(payload)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise InvalidResponse(f"the answer cannot be read at {where}: {first['msg']}") from error
