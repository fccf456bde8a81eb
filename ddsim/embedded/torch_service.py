"""PUT /services as a server with Torch alone answers it (recordings/torch/wire/02-removed-backends and those after it).

The network is an ONNX file, where the real server has a traced one; native templates, which are built into Torch, and
everything for training are not here.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

from ddsim.embedded import dto, repository
from ddsim.embedded.creation import Place, Steps
from ddsim.embedded.files import NetworkError
from ddsim.embedded.networks import Networks
from ddsim.embedded.onnx import OnnxNetwork
from ddsim.embedded.payload import a_bool, a_string, section
from ddsim.embedded.profile import Profile
from ddsim.embedded.replies import (
    Json,
    Refusal,
    bad_input,
    bad_parameter,
    internal,
    no_model,
    not_embedded,
    would_have_died,
    wrong_shape,
)
from ddsim.embedded.runtime import gpu_available
from ddsim.embedded.service import InputSettings, Service

_DATATYPES = ("fp16", "fp32", "fp64")
#: Connectors that a real server takes beside pictures.
_OTHER_CONNECTORS = ("csvts", "txt", "video")
_TEMPLATES = frozenset({"resnet18", "resnet34", "resnet50", "resnet101", "resnet152"}) | {
    *("resnext50_32x4d", "resnext101_32x8d", "wideresnet50_2", "wideresnet101_2", "vit", "visformer")
}


@dataclass(kw_only=True)
class TorchService(Service):
    """A service of a server with Torch.

    Attributes:
        net: what it runs.
        columns: ``nclasses`` at creation: how many classes it answers where the call does not say.
    """

    fields: ClassVar[dto.Fields] = dto.TORCH
    library_files: ClassVar[tuple[str, ...]] = (".onnx", ".pt", ".json")

    net: OnnxNetwork
    columns: int

    @property
    def weights(self) -> int | None:
        """How many weights its network has."""
        return self.net.parameters

    @property
    def on_gpu(self) -> bool:
        """Whether its network runs on a GPU."""
        return self.net.on_gpu


def check_shape(request: Any) -> None:
    """The checks made on the raw JSON; of wrong types the server dies (recordings/torch/wire/16-creation-wrong-types).

    That it does so for ``mllib`` and ``connector``, too, is not recorded.

    Raises:
        Refusal: 400/400 where something is missing, 500 where the real process would end.
    """
    _checked(request, dict, "a body that is no object")
    for key in ("mllib", "type", "description"):
        if key in request:
            _checked(request[key], str, f"a {key} that is no string")
    _member(request, "mllib")
    inputs = _member(request, "parameters")
    _checked(inputs, dict, "parameters that are no object")
    inputs = _member(inputs, "input")
    _checked(inputs, dict, "parameters.input that is no object")
    _checked(_member(inputs, "connector"), str, "a connector that is no string")


def _member(value: Json, key: str) -> Any:
    if key not in value:
        raise wrong_shape("false")
    return value[key]


def _checked(value: Any, kind: type, what: str) -> None:
    if not isinstance(value, kind):
        raise would_have_died("SIGABRT", f"{what}; official builds do not survive it")


def check_place(request: Json, profile: Profile, allowed: repository.Allowed) -> Place:
    """Library, repository, type and connector, in this order.

    Raises:
        Refusal: 404/1000, 400/1006 or 404/1004.
    """
    library = request["mllib"]
    if library in profile.refused:
        raise bad_parameter(profile.refused[library])
    if library not in profile.mllibs:
        raise Refusal(404, "NotFound", 1000, "Unknown Library")
    path = repository.prepare(section(request, "model"), allowed)
    if a_string(request, "type", "supervised") != "supervised":
        raise bad_parameter()
    connector = section(request, "parameters", "input")["connector"]
    if connector in _OTHER_CONNECTORS:
        raise not_embedded(f"input connector {connector}")
    if connector != "image":
        raise Refusal(404, "NotFound", 1004, "Input Connector Not Found")
    return Place(path, unsupervised=False)


def make_service(
    name: str, request: Json, place: Place, allowed: repository.Allowed, networks: Networks
) -> TorchService:
    """A service as the request describes it, its network loaded.

    Raises:
        Refusal: the parameters are not acceptable, or the network cannot be loaded.
    """
    given = section(request, "parameters", "mllib")
    inputs = changed(InputSettings(), section(request, "parameters", "input"))
    try:
        dto.check({"mllib": given}, dto.TORCH)
    except dto.WrongField as problem:
        raise internal(str(problem)) from None
    gpu = bool(given.get("gpu"))
    if gpu and not gpu_available():
        raise bad_parameter("GPU is not available, service could not be created")
    if given.get("datatype", "fp32") not in _DATATYPES:
        raise bad_parameter(f"unknown datatype {given['datatype']}")
    files = _files(Path(place.repository), allowed)
    net = _load(_network_file(files, given), networks, gpu=gpu)
    corresp = next((path for path in files if "corresp" in path.name), None)
    return TorchService(
        name=name,
        description=a_string(request, "description", ""),
        mllib=a_string(request, "mllib", ""),
        unsupervised=False,
        parameters=section(request, "parameters"),
        repository=place.repository,
        files=repository.ModelFiles(None, None, corresp, None),
        network=None,
        labels=repository.read_labels(corresp),
        mean=None,
        inputs=replace(inputs, std=(), histogram_equalization=False),
        net=net,
        columns=given.get("nclasses", 0),
    )


def changed(settings: InputSettings, given: Json) -> InputSettings:
    """Settings with those of a request's ``parameters.input``.

    Raises:
        Refusal: 500/1007 for a wrong type, 400/1005 for a ``scale`` that is no float or a crop larger than the picture.
    """
    try:
        dto.check({"input": given}, dto.TORCH)
    except dto.WrongField as problem:
        raise internal(str(problem)) from None
    a_bool(given, "db", False)
    if not isinstance(given.get("scale", 1.0), float):
        raise bad_input("could not read double value for scale input parameter")
    return settings.changed_by(given)


def _files(folder: Path, allowed: repository.Allowed) -> list[Path]:
    """A repository's files, the newest first."""
    found = [path for path in sorted(folder.iterdir()) if os.path.isfile(path) and allowed(path)]
    return sorted(found, key=lambda path: -path.stat().st_mtime)


def _network_file(files: list[Path], given: Json) -> Path:
    """The repository's network, after the checks of everything that could take its place.

    Raises:
        Refusal: recordings/torch/wire/04-create-errors.
    """

    def newest(ending: str) -> Path | None:
        return next((path for path in files if path.suffix == ending), None)

    net, template = newest(".onnx"), given.get("template", "")
    known = template in _TEMPLATES
    if net is None and known:
        raise not_embedded(f"model template {template}")
    if net is None and newest(".prototxt"):
        raise bad_parameter("proto file do not contain a proper LSTM/autoencoder")
    if net is None and newest(".pt"):
        raise not_embedded(f"{newest('.pt')} (a traced network; an ONNX file of the same network beside it will do)")
    if net is None:
        raise no_model("Use of libtorch backend needs either: traced net, protofile or native template")
    if template and not known:
        raise bad_parameter(f"invalid torch model template {template}")
    if known and given.get("finetuning"):
        raise no_model("If you want to finetune a model using a native template, move the weights to a .npt file")
    if known:
        raise no_model("Only one of these must be provided: traced net, protofile or native template")
    if given.get("finetuning"):
        raise not_embedded("finetuning")
    return net


def _load(path: Path, networks: Networks, *, gpu: bool) -> OnnxNetwork:
    try:
        return networks.onnx(path, gpu=gpu)
    except NetworkError as problem:
        raise internal(str(problem)) from problem


STEPS = Steps(check_shape, check_place, make_service)
