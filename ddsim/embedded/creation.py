"""PUT /services: from a request's body to a service, with the real server's checks in its order."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ddsim.caffe import BlobError
from ddsim.embedded import repository
from ddsim.embedded.files import NetworkError
from ddsim.embedded.network import Network
from ddsim.embedded.networks import Networks
from ddsim.embedded.payload import a_bool, a_string, an_int, section
from ddsim.embedded.pictures import read_mean
from ddsim.embedded.profile import Profile
from ddsim.embedded.replies import Json, Refusal, bad_parameter, internal, wrong_shape
from ddsim.embedded.service import InputSettings, Mean, Service

_TYPES = ("supervised", "unsupervised")
#: Input connectors of Caffe; this server reads pictures only.
_OTHER_CONNECTORS = ("csv", "csvts", "svm", "txt")


@dataclass(frozen=True)
class Place:
    """What is known of a service before its parameters are looked at: its repository and its type."""

    repository: str
    unsupervised: bool


@dataclass(frozen=True)
class Steps:
    """The steps of a creation, which differ between libraries; the server takes the name before the last of them.

    Attributes:
        check_shape: what is looked at in the raw JSON before all else.
        check_place: library, repository, type and connector.
        make_service: the service, its network loaded: name, request, place, whether a path may be touched, and where
            networks come from.
    """

    check_shape: Callable[[Any], None]
    check_place: Callable[[Json, Profile, repository.Allowed], Place]
    make_service: Callable[[str, Json, Place, repository.Allowed, Networks], Service]


def check_shape(request: Any) -> None:
    """The checks made on the raw JSON, before anything else is looked at (recordings/wire/03-service-create-errors).

    Raises:
        Refusal: 400/400 with the text of the failed assertion.
    """
    _raw_string(request, "mllib")
    for key in ("type", "description"):
        if isinstance(request, dict) and key in request:
            _raw_string(request, key)
    inputs = request
    for key in ("parameters", "input"):
        inputs = _raw_member(inputs, key)
    _raw_string(inputs, "connector")


def _raw_member(value: Any, key: str) -> Any:
    if not isinstance(value, dict):
        raise wrong_shape("IsObject()")
    if key not in value:
        raise wrong_shape("false")
    return value[key]


def _raw_string(value: Any, key: str) -> None:
    if not isinstance(_raw_member(value, key), str):
        raise wrong_shape("IsString()")


def make_service(name: str, request: Json, place: Place, allowed: repository.Allowed, networks: Networks) -> Service:
    """A service as the request describes it, its network loaded.

    Args:
        name: lower case.
        request: the body as the typed container holds it.
        place: as :func:`check_place` found it.
        allowed: tells whether this server may touch a path.
        networks: where networks come from.

    Raises:
        Refusal: the parameters are not acceptable, or the model cannot be loaded.
    """
    inputs = InputSettings().changed_by(section(request, "parameters", "input"))
    library = section(request, "parameters", "mllib")
    _check_library_parameters(library)
    gpu = a_bool(library, "gpu", False)
    model = section(request, "model")
    files = repository.find_model(model, place.repository, allowed)
    labels = repository.read_labels(files.corresp if files.corresp and allowed(files.corresp) else None)
    return Service(
        name=name,
        description=a_string(request, "description", ""),
        mllib=a_string(request, "mllib", ""),
        unsupervised=place.unsupervised,
        parameters=section(request, "parameters"),
        repository=place.repository,
        files=files,
        network=_load(files, networks, gpu=gpu),
        labels=labels,
        mean=_mean(files),
        inputs=replace(inputs, histogram_equalization=False),
    )


def check_place(request: Json, profile: Profile, allowed: repository.Allowed) -> Place:
    """Library, repository, type and connector, in this order.

    Raises:
        Refusal: 404/1000, 400/1006 or 404/1004.
    """
    if request["mllib"] not in profile.mllibs:
        raise Refusal(404, "NotFound", 1000, "Unknown Library")
    path = repository.prepare(section(request, "model"), allowed)
    kind = a_string(request, "type", _TYPES[0])
    if kind not in _TYPES:
        raise bad_parameter()
    connector = section(request, "parameters", "input")["connector"]
    if connector in _OTHER_CONNECTORS:
        raise bad_parameter(f"input connector {connector} is not in the embedded server, which reads pictures only")
    if connector != "image":
        raise Refusal(404, "NotFound", 1004, "Input Connector Not Found")
    return Place(path, kind == "unsupervised")


def _check_library_parameters(given: Json) -> None:
    a_bool(given, "gpu", False)
    classes = an_int(given, "nclasses", 0)
    an_int(given, "ntargets", 0)
    template = a_string(given, "template", "")
    if template:
        raise bad_parameter(f"failed to locate model template templates/caffe//{template}/.prototxt")
    if classes == 0:
        raise bad_parameter("number of classes is unknown (nclasses == 0)")


def _mean(files: repository.ModelFiles) -> Mean | None:
    try:
        return read_mean(files.mean) if files.mean else None
    except BlobError as problem:
        raise internal(str(problem)) from problem


def _load(files: repository.ModelFiles, networks: Networks, *, gpu: bool) -> Network | None:
    if files.deploy is None or files.weights is None:
        return None
    try:
        network = networks.caffe(files.deploy, files.weights, gpu=gpu)
    except NetworkError as problem:
        raise internal(str(problem)) from problem
    if network.head == "input":
        raise internal("Fatal Caffe error: the deploy file has an input: header in the place of a MemoryData layer")
    return network


STEPS = Steps(check_shape, check_place, make_service)


def keep_request(service: Service, body: bytes) -> None:
    """Write the request into the repository as config.json (recordings/wire/04-service-repository)."""
    path = Path(service.repository, repository.REQUEST)
    try:
        path.write_bytes(body + b"\n")
    except OSError:
        if not os.path.isfile(path):  # else the repository can only be read, and one from before will do
            raise
