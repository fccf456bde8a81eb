"""One service of the embedded server: its settings, its network, its index, its statistics."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from ddsim.embedded import dto
from ddsim.embedded.network import Network
from ddsim.embedded.payload import section
from ddsim.embedded.pictures import Preprocessing
from ddsim.embedded.replies import Json, bad_input, bad_parameter, internal, no_model
from ddsim.embedded.repository import ModelFiles
from ddsim.embedded.simsearch import SimilarityIndex

Mean = tuple[float, ...] | NDArray[np.float32]

_DEFAULT_SIDE = 224
_MEMORY_DATA = "MemoryData"


@dataclass(frozen=True)
class InputSettings:
    """What becomes of a picture; given at creation for good, in a predict call for that call.

    Attributes:
        width, height: size the picture is brought to, in pixels.
        scale: factor; Caffe ignores it.
        mean: subtracted per channel after that; empty = none.
        std: divisor per channel after that; empty = none; Caffe ignores it. Lost where given at creation.
        rgb, bw: channel order, grey.
        interp: interpolation's name.
        histogram_equalization: of the brightness; lost where given at creation.
    """

    width: int = _DEFAULT_SIDE
    height: int = _DEFAULT_SIDE
    scale: float = 1.0
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()
    rgb: bool = False
    bw: bool = False
    interp: str = "cubic"
    histogram_equalization: bool = False

    def changed_by(self, given: Json) -> InputSettings:
        """These settings with the ones of a request's ``parameters.input``.

        A crop size does not crop: it takes the place of the size (recordings/wire/63-golden-preprocessing).

        Raises:
            Refusal: 500/1007 for a wrong type, 400/1005 for a crop larger than the picture.
        """
        try:
            dto.check_input(given)
        except dto.WrongField as problem:
            raise internal(str(problem)) from None
        names = ("width", "height", "scale", "rgb", "bw", "interp", "histogram_equalization")
        changes: dict[str, Any] = {name: given[name] for name in names if name in given}
        changes |= {name: tuple(map(float, given[name])) for name in ("mean", "std") if name in given}
        new = replace(self, **changes)
        for side in ("width", "height"):
            crop = given.get(f"crop_{side}")
            if crop is not None and crop > getattr(new, side):
                raise bad_input(f"Crop {side} must be less than or equal to {side}")
            if crop is not None:
                new = replace(new, **{side: crop})
        return new

    def preprocessing(self, mean_file: Mean | None) -> Preprocessing:
        """The same as the picture room wants it; a mean.binaryproto in the repository comes before ``mean``."""
        mean = self.mean if mean_file is None else mean_file
        return Preprocessing(
            self.width,
            self.height,
            mean,
            self.rgb,
            self.bw,
            self.interp,
            self.scale,
            self.std,
            self.histogram_equalization,
        )


@dataclass
class Statistics:
    """What ``service_stats`` shows; durations in milliseconds."""

    calls: int = 0
    succeeded: int = 0
    failed: int = 0
    pictures: int = 0
    transform_ms: float = 0.0
    predict_ms: float = 0.0

    def shown(self) -> Json:
        """The object as the server shows it; averages of nothing are -1."""
        transform = self.transform_ms / self.calls if self.calls else -1.0
        predict = self.predict_ms / self.calls if self.calls else -1.0
        return {
            "avg_transform_duration": transform / 1000,
            "avg_predict_duration": predict / 1000,
            "avg_transform_duration_s": transform / 1000,
            "avg_predict_duration_s": predict / 1000,
            "avg_transform_duration_ms": transform,
            "avg_predict_duration_ms": predict,
            "avg_batch_size": self.pictures / self.calls if self.calls else -1.0,
            "total_transform_duration_ms": self.transform_ms,
            "predict_failure": self.failed,
            "total_predict_duration_ms": self.predict_ms,
            "predict_count": self.calls,
            "predict_success": self.succeeded,
            "inference_count": self.pictures,
        }


@dataclass
class Service:
    """A service, from its creation to its deletion.

    Attributes:
        name: lower case.
        unsupervised: whether it answers with vectors.
        parameters: as given at creation.
        repository: as given at creation.
        network: None where a model file is missing.
        labels: class index -> label; empty = classes are called by their index.
        mean: of the repository's mean.binaryproto.
        lock: one predict at a time, as in the real server with Caffe.
        deleted: set under the lock by the deletion.
        poisoned: the next predict fails (recordings/wire/20-sim-extract).
        index: None until the first call with index or search.
        index_broken: making the index failed; the next use would kill a real server.
    """

    fields: ClassVar[dto.Fields] = dto.CAFFE
    #: Words in the names of files that ``clear=lib`` removes.
    library_files: ClassVar[tuple[str, ...]] = (".solverstate", ".caffemodel", ".json", ".dat")

    name: str
    description: str
    mllib: str
    unsupervised: bool
    parameters: Json
    repository: str
    files: ModelFiles
    network: Network | None
    labels: Mapping[int, str]
    mean: Mean | None
    inputs: InputSettings
    lock: threading.Lock = field(default_factory=threading.Lock)
    statistics: Statistics = field(default_factory=Statistics)
    deleted: bool = False
    poisoned: bool = False
    index: SimilarityIndex | None = None
    index_broken: bool = False

    @property
    def weights(self) -> int | None:
        """How many weights its network has, None where none is loaded."""
        return None if self.network is None else self.network.parameters

    @property
    def on_gpu(self) -> bool:
        """Whether its network runs on a GPU."""
        return self.network is not None and self.network.on_gpu

    @property
    def warning(self) -> str | None:
        """What is not as the request wanted it, though the service works."""
        wanted = section(self.parameters, "mllib").get("gpu")
        if not wanted or self.weights is None or self.on_gpu:
            return None
        return (
            "gpu is true, but its network runs on the processor: install the package onnxruntime-gpu in the place of "
            "onnxruntime, with CUDA and cuDNN, on a machine with an NVIDIA GPU"
        )

    def usable_network(self) -> Network:
        """The network.

        Raises:
            Refusal: a creation that was answered 201 may still have no model (recordings/wire/04-service-repository).
        """
        if self.files.deploy is None:
            raise bad_parameter(f"no deploy file in {self.repository} for initializing the net")
        if self.network is None:
            raise no_model(f"no model in {self.repository} for initializing the net")
        if self.network.head != _MEMORY_DATA:
            raise bad_parameter("deploy net's first layer is required to be of MemoryData type")
        return self.network

    def label(self, index: int) -> str:
        """The label of a class."""
        return self.labels.get(index, "") if self.labels else str(index)

    def shown(self, *, status: bool, labels: bool, in_info: bool) -> Json:
        """The service as ``GET /info`` and ``GET /services`` show it.

        Raises:
            WrongField: a parameter stored at creation has the wrong type (recordings/wire/13-info-broken-by-parameter).
        """
        counts = {"params": self.weights} if self.weights else {}
        body: Json = {
            "name": self.name,
            "description": self.description,
            "mllib": self.mllib,
            "mltype": "" if self.weights is None else "classification",
            "parameters": dto.shown(self.parameters, in_info=in_info, fields=self.fields),
            "type": "unsupervised" if self.unsupervised else "supervised",
            "predict": True,
            "training": False,
            "stats": counts,
            "model_stats": counts,
        }
        if self.warning:
            body["warning"] = self.warning
        if status:
            body["jobs"] = []
        if labels:
            # Hash order in the real server: never the order of the classes.
            body["labels"] = [self.labels[index] for index in sorted(self.labels, reverse=True)]
        sides = {"width": self.inputs.width, "height": self.inputs.height}
        return body | {"repository": self.repository} | sides | {"service_stats": self.statistics.shown()}
